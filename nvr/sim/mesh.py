"""Flat coloured polygons in space, gathered once and painted by `nvr._native.paint`.

Metres; x east, y north, z up, the dome's lens at the origin. What is built here faces the
lens, which turns but never moves: order of painting and what hides what never change.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Protocol, TypeAlias

import numpy as np
from numpy.typing import NDArray

Points: TypeAlias = NDArray[np.float32]

CONTOUR = np.dtype(
    [
        ("first", "=i4"),
        ("count", "=i4"),
        ("flags", "=u4"),
        ("y", "u1"),
        ("u", "u1"),
        ("v", "u1"),
        ("alpha", "u1"),
    ]
)
"""A row of the contour table, as ``paint.h`` reads it."""

JOINED, ONE_SIDED = 1, 2


@dataclass(frozen=True, slots=True)
class Paint:
    """A colour, BT.709 limited range.

    Attributes:
        y: Luma.
        u: Blue difference.
        v: Red difference.
        alpha: 255 covers what is behind.
        shines: Gives light itself, so the dome's lamp adds nothing to it.
    """

    y: int
    u: int
    v: int
    alpha: int = 255
    shines: bool = False

    def thin(self, alpha: int) -> "Paint":
        """The same colour, seen through."""
        return replace(self, alpha=alpha)


def rgb(code: int, *, alpha: int = 255, shines: bool = False) -> Paint:
    """Make a `Paint` of ``0xRRGGBB``.

    Source: ITU-R BT.709, quantised to 16-235 and 16-240.
    """
    r, g, b = (code >> 16 & 255) / 255, (code >> 8 & 255) / 255, (code & 255) / 255
    y = 0.2126 * r + 0.7152 * g + 0.0722 * b
    u, v = (b - y) / 1.8556, (r - y) / 1.5748
    return Paint(round(16 + 219 * y), round(128 + 224 * u), round(128 + 224 * v), alpha, shines)


def mixed(one: Paint, other: Paint, share: float) -> Paint:
    """`one` with `share` (0-1) of `other`: far things take the colour of the air."""

    def mix(a: int, b: int) -> int:
        return round(a + (b - a) * share)

    return replace(one, y=mix(one.y, other.y), u=mix(one.u, other.u), v=mix(one.v, other.v))


class Writing(Protocol):
    """Gives text as closed outlines; `nvr.overlay.font.Font` does."""

    def outlines(self, text: str, steps: int = 4) -> tuple[list[Points], float]:
        """Contours in ems, y upwards from the base line, and the width in ems."""
        ...


@dataclass(frozen=True, slots=True)
class Plane:
    """A flat sheet in space to draw on.

    Attributes:
        origin: Where its (0, 0) lies.
        right: Unit vector to the right as seen from the lens.
        up: Unit vector upwards on the sheet.
    """

    origin: tuple[float, float, float]
    right: tuple[float, float, float]
    up: tuple[float, float, float] = (0.0, 0.0, 1.0)

    def at(self, flat: Points | Sequence[Sequence[float]]) -> Points:
        """Points of shape ``(n, 2)`` on the sheet, in space."""
        xy = np.asarray(flat, np.float32)
        frame = np.array((self.right, self.up), np.float32)
        return xy @ frame + np.array(self.origin, np.float32)


def facing(x: float, y: float, z: float) -> Plane:
    """An upright sheet at a place, turned towards the lens."""
    distance = float(np.hypot(x, y))
    return Plane((x, y, z), (y / distance, -x / distance, 0.0))


class Mesh:
    """Polygons in the order they are to be painted."""

    def __init__(self) -> None:
        self._points: list[Points] = []
        self._rows: list[tuple[int, int, int, int, int, int, int]] = []
        self._shines: list[bool] = []
        self._count = 0

    def shape(self, contours: Iterable[Points], paint: Paint, flags: int = 0) -> None:
        """Add one shape of several contours; holes run the other way round."""
        for points in contours:
            self._rows.append(
                (self._count, len(points), flags | JOINED, paint.y, paint.u, paint.v, paint.alpha)
            )
            self._shines.append(paint.shines)
            self._points.append(np.asarray(points, np.float32))
            self._count += len(points)
        if self._rows:
            first, count, flags_, *colour = self._rows[-1]
            y, u, v, alpha = colour
            self._rows[-1] = (first, count, flags_ & ~JOINED, y, u, v, alpha)

    def polygon(self, points: Points, paint: Paint, flags: int = 0) -> None:
        """Add one polygon of shape ``(n, 3)``."""
        self.shape((points,), paint, flags)

    def ground(self, corners: Sequence[tuple[float, float]], z: float, paint: Paint) -> None:
        """Add a polygon lying flat at height `z`."""
        self.polygon(np.array([(x, y, z) for x, y in corners], np.float32), paint)

    def floor(self, box: tuple[float, float, float, float], z: float, paint: Paint) -> None:
        """Add a flat rectangle ``(x0, y0, x1, y1)`` at height `z`."""
        x0, y0, x1, y1 = box
        self.ground(((x0, y0), (x1, y0), (x1, y1), (x0, y1)), z, paint)

    def rect(self, sheet: Plane, box: tuple[float, float, float, float], paint: Paint) -> None:
        """Add a rectangle ``(x0, y0, x1, y1)`` on a sheet."""
        x0, y0, x1, y1 = box
        self.polygon(sheet.at([(x0, y0), (x1, y0), (x1, y1), (x0, y1)]), paint)

    def flat(self, sheet: Plane, points: Sequence[tuple[float, float]], paint: Paint) -> None:
        """Add any polygon on a sheet."""
        self.polygon(sheet.at(points), paint)

    def disc(
        self,
        sheet: Plane,
        centre: tuple[float, float],
        radius: tuple[float, float],
        paint: Paint,
        corners: int = 28,
    ) -> None:
        """Add an ellipse on a sheet."""
        turn = np.arange(corners) * (2 * np.pi / corners)
        flat = np.stack((np.cos(turn) * radius[0], np.sin(turn) * radius[1]), axis=1)
        self.polygon(sheet.at((flat + np.array(centre)).astype(np.float32)), paint)

    def text(
        self,
        writing: Writing,
        text: str,
        sheet: Plane,
        at: tuple[float, float],
        em: float,
        paint: Paint,
    ) -> None:
        """Write centred on ``at[0]``, base line at ``at[1]``, `em` metres tall."""
        contours, width = writing.outlines(text)
        shift = np.array((at[0] - width * em / 2, at[1]), np.float32)
        # A glyph at a time would be cheaper to paint, but its contours are not told apart.
        self.shape([sheet.at(c * np.float32(em) + shift) for c in contours], paint)

    def extend(self, other: "Model") -> None:
        """Add all of a finished model."""
        rows = other.contours.copy()
        rows["first"] += self._count
        self._rows += [tuple(row) for row in rows.tolist()]
        self._shines += other.shines.tolist()
        self._points.append(other.points)
        self._count += len(other.points)

    def model(self) -> "Model":
        """Finish."""
        points = np.concatenate(self._points) if self._points else np.zeros((0, 3), np.float32)
        return Model(points, np.array(self._rows, CONTOUR), np.array(self._shines, np.bool_))


@dataclass(frozen=True, slots=True)
class Model:
    """Polygons ready to be painted.

    Attributes:
        points: float32, shape ``(n, 3)``.
        contours: Rows of `CONTOUR`.
        shines: For each contour, whether it gives light itself.
    """

    points: Points
    contours: NDArray[np.void]
    shines: NDArray[np.bool_]

    @property
    def rows(self) -> NDArray[np.int32]:
        """The contours as plain numbers, shape ``(n, 4)``; column 0 is the first point."""
        return rows_of(self.contours)

    def moved(self, x: float, y: float, z: float, heading_deg: float) -> Points:
        """Its points, turned clockwise by `heading_deg` from north and carried to a place."""
        a = np.deg2rad(heading_deg)
        c, s = float(np.cos(a)), float(np.sin(a))
        turn = np.array(((c, -s, 0), (s, c, 0), (0, 0, 1)), np.float32)
        return self.points @ turn + np.array((x, y, z), np.float32)


def rows_of(contours: NDArray[np.void]) -> NDArray[np.int32]:
    """A contour table as int32, shape ``(n, 4)``: numpy joins these 20 times faster."""
    return np.ascontiguousarray(contours).view(np.int32).reshape(-1, 4)
