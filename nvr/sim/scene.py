"""Paints what the virtual dome sees: street, traffic, weather, through a lens that can blur.

What never changes and hides nothing that moves is painted once per direction of the lens and
kept; the rest is painted anew in every picture, farthest first.
"""

from dataclasses import dataclass
from datetime import datetime
from math import atan, cos, hypot, pi, radians, sin

import numpy as np
from numpy.typing import NDArray

from nvr._native import blur, paint
from nvr.media.picture import Planes
from nvr.overlay.strip import pack
from nvr.sim import figure, street
from nvr.sim import palette as p
from nvr.sim.glass import Glass
from nvr.sim.mesh import Mesh, Model, Paint, Plane, Points, Writing, facing, rows_of
from nvr.sim.terrain import G
from nvr.sim.traffic import Mover, Traffic, light
from nvr.sim.view import FLAT, NEAR_M, View

_FARTHEST_MOVER_M = 330.0
_LAMP_GAIN = 1.34


@dataclass(frozen=True, slots=True)
class Optics:
    """Everything about the dome that shows in its picture besides the direction.

    Attributes:
        wiping: The wiper is on.
        lamp: The white lamp is on.
        blur_px: How far the focus is off, as a radius for a picture 720 high.
        exposure: 1 as the automatic would; 2 lets in twice the light.
    """

    wiping: bool = False
    lamp: bool = False
    blur_px: float = 0.0
    exposure: float = 1.0


@dataclass(frozen=True, slots=True)
class _Item:
    """Something to paint in order of distance."""

    distance_m: float
    points: Points
    rows: NDArray[np.int32]


class Scene:
    """The virtual world, painted into pictures of one size. Used by one thread.

    Args:
        size: ``(width, height)`` in pixels, both even.
        writing: Where the letters of its signs come from.
    """

    def __init__(self, size: tuple[int, int], writing: Writing) -> None:
        self._size = size
        self._writing = writing
        self._street = street.build(writing)
        self._balls = [(*s.centre, s.reach_m) for s in self._street.standing]
        self._traffic = Traffic()
        self._glass = Glass(size)
        self._boats = tuple(
            (
                boat,
                Model(boat.points * np.array((-1, 1, 1), np.float32), boat.contours, boat.shines),
            )
            for boat in (figure.boat(lit=True), figure.boat(lit=False))
        )
        self._beam = pack(_beam(size), 235)
        self._tints: dict[int, NDArray[np.int32]] = {}
        self._tints_for = (1.0, False)
        self._kept: tuple[bytes, ...] = ()
        self._kept_for: tuple[View, float, bool] | None = None
        self._signs: list[_Item] = []
        self._signs_for = (-1, 0.0, False)

    @property
    def glass(self) -> Glass:
        """Rain and wiper."""
        return self._glass

    def paint(
        self, planes: Planes, view: View, optics: Optics, now_s: float, local: datetime
    ) -> None:
        """Paint one picture over `planes`, a yuv420p picture.

        Args:
            planes: Where to.
            view: Direction of the lens.
            optics: State of lens, lamp and wiper.
            now_s: Monotonic seconds; traffic and rain move by it.
            local: What the clock tower shows.
        """
        self._traffic.advance(now_s)
        self._glass.advance(now_s, wiping=optics.wiping)
        self._behind(planes, view, optics)
        self._moving(planes, view, optics, now_s, local)
        if optics.blur_px >= 0.5:
            self._blur(planes, optics.blur_px)
        if optics.lamp:
            self._beam.blend(planes.y, planes.y_stride, self._size, (0, 0))
        glass = self._glass.model()
        self._draw(planes, FLAT, glass.points, glass.rows)

    def _draw(
        self,
        planes: Planes,
        matrix: tuple[float, float, float, float, float, float, float, float, float],
        points: Points,
        rows: NDArray[np.int32],
    ) -> None:
        u, v = planes.chroma
        strides = (planes.y_stride, planes.chroma_stride)
        table = rows.tobytes()
        paint(planes.y, u, v, strides, self._size, matrix, NEAR_M, points.tobytes(), table)

    def _behind(self, planes: Planes, view: View, optics: Optics) -> None:
        wanted = (view, optics.exposure, optics.lamp)
        if self._kept_for == wanted:
            for plane, kept in zip((planes.y, *planes.chroma), self._kept, strict=True):
                plane[:] = kept
            return
        behind = self._street.behind
        tinted = _tinted(behind.contours, behind.shines, optics)
        self._draw(planes, view.matrix(*self._size), behind.points, tinted)
        # Kept only once the lens rests: copying out of every picture of a sweep is wasted.
        if self._kept_for is not None and self._kept_for[0] == view:
            self._kept = tuple(bytes(plane) for plane in (planes.y, *planes.chroma))
            self._kept_for = wanted
        else:
            self._kept_for = (view, -1.0, optics.lamp)

    def _moving(
        self, planes: Planes, view: View, optics: Optics, now_s: float, local: datetime
    ) -> None:
        movers = [*self._traffic.movers(), *self._afloat(now_s)]
        balls = [(m.x, m.y, m.z + 1, m.radius_m) for m in movers]
        seen = _inside(view, self._size, np.array((*self._balls, *balls), np.float64))
        standing = self._street.standing
        items = self._changing(now_s, local, optics)
        items += [
            _Item(s.distance_m, s.model.points, self._tint(s.model, optics))
            for s, visible in zip(standing, seen, strict=False)
            if visible
        ]
        for mover, visible in zip(movers, seen[len(standing) :], strict=True):
            if visible and mover.distance_m < _FARTHEST_MOVER_M:
                points = mover.model.moved(mover.x, mover.y, mover.z, mover.heading_deg)
                items.append(_Item(mover.distance_m, points, self._tint(mover.model, optics)))
        items.sort(key=lambda item: -item.distance_m)
        rows = np.concatenate([item.rows for item in items])
        counts = [len(item.points) for item in items]
        rows[:, 0] += np.repeat(
            np.cumsum([0, *counts[:-1]], dtype=np.int32), [len(item.rows) for item in items]
        )
        points = np.concatenate([item.points for item in items])
        self._draw(planes, view.matrix(*self._size), points, rows)

    def _tint(self, model: Model, optics: Optics) -> NDArray[np.int32]:
        """Colours of a model that lives as long as the scene; kept while the light stays."""
        light_now = (optics.exposure, optics.lamp)
        if light_now != self._tints_for:
            self._tints_for = light_now
            self._tints.clear()
        found = self._tints.get(id(model))
        if found is None:
            found = self._tints[id(model)] = _tinted(model.contours, model.shines, optics)
        return found

    def _afloat(self, now_s: float) -> list[Mover]:
        movers = []
        for i, (from_x, y, mps) in enumerate(((34.0, 84.0, 2.6), (-46.0, 120.0, -1.9))):
            way_m = abs(mps) * now_s % 300.0
            onward = way_m < 150.0
            x = from_x + (way_m if onward else 300.0 - way_m) * (1 if mps > 0 else -1)
            model = self._boats[i][0 if onward == (mps > 0) else 1]
            movers.append(Mover(model, x, y, G - 4.0, float(np.degrees(np.arctan2(x, y))), 18.0))
        return movers

    def _changing(self, now_s: float, local: datetime, optics: Optics) -> list[_Item]:
        """Lights, clock hands and the barrier: drawn anew, at most five times a second."""
        key = (int(now_s * 5), optics.exposure, optics.lamp)
        if key != self._signs_for:
            self._signs_for = key
            made = [(500.0, self._hands(local)), (20.9, _barrier(now_s))]
            for x, y, ruled in street.LIGHTS:
                model = _signal(self._writing, (x, y), *light(ruled, now_s))
                made.append((hypot(x, y) - 0.01, model))
            self._signs = [
                _Item(distance_m, model.points, _tinted(model.contours, model.shines, optics))
                for distance_m, model in made
            ]
        return list(self._signs)

    def _hands(self, local: datetime) -> Model:
        m = Mesh()
        x, y, z = street.CLOCK_AT
        sheet = facing(x, y, z)
        minutes = local.minute + local.second / 60
        for turn, length, half, colour in (
            ((local.hour % 12 + minutes / 60) / 12, 1.25, 0.13, p.POLE),
            (minutes / 60, 1.95, 0.085, p.POLE),
            (local.second / 60, 2.1, 0.03, p.RED),
        ):
            a = 2 * pi * turn
            along, across = (sin(a), cos(a)), (cos(a), -sin(a))
            ends = ((-0.35, half), (length, half * 0.55), (length, -half * 0.55), (-0.35, -half))
            hand = [
                (along[0] * far + across[0] * side, along[1] * far + across[1] * side)
                for far, side in ends
            ]
            m.flat(sheet, hand, colour)
        m.disc(sheet, (0, 0), (0.17, 0.17), p.POLE)
        return m.model()

    def _blur(self, planes: Planes, blur_px: float) -> None:
        width, height = self._size
        radius = round(blur_px * height / 720)
        blur(planes.y, planes.y_stride, self._size, min(127, max(1, radius)))
        for plane in planes.chroma:
            half = (width // 2, height // 2)
            blur(plane, planes.chroma_stride, half, min(127, max(1, radius // 2)))


def _beam(size: tuple[int, int]) -> NDArray[np.uint8]:
    """Where the lamp's light falls on the picture, as coverage: strong below the middle."""
    width, height = size
    x = (np.arange(width) / width - 0.5) / 0.62
    y = (np.arange(height) / height - 0.62) / 0.6
    off = np.sqrt(x[None, :] ** 2 + y[:, None] ** 2)
    share = np.clip(1 - off, 0, 1)
    cover: NDArray[np.uint8] = np.rint(52 * share * share * (3 - 2 * share)).astype(np.uint8)
    return cover


def _tinted(
    contours: NDArray[np.void], shines: NDArray[np.bool_], optics: Optics
) -> NDArray[np.int32]:
    """Colours as exposure and lamp make them."""
    if optics.exposure == 1.0 and not optics.lamp:
        return rows_of(contours)
    out = contours.copy()
    gain = np.where(shines, 1.0, _LAMP_GAIN if optics.lamp else 1.0) * optics.exposure
    out["y"] = np.clip(16 + (contours["y"] - 16.0) * gain, 16, 235)
    # Colour fades where the light is clipped, as on a sensor.
    colour = np.minimum(gain, 1.5)
    for name in ("u", "v"):
        out[name] = np.clip(128 + (contours[name] - 128.0) * colour, 16, 240)
    return rows_of(out)


def _inside(view: View, size: tuple[int, int], balls: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Which balls ``(x, y, z, radius)`` may touch the picture."""
    pan, tilt = radians(view.pan_deg), radians(view.tilt_deg)
    ahead = np.array((sin(pan) * cos(tilt), cos(pan) * cos(tilt), sin(tilt)))
    distance_m = np.linalg.norm(balls[:, :3], axis=1)
    reach = np.arcsin(np.minimum(balls[:, 3] / distance_m, 1.0))
    off = np.arccos(np.clip(balls[:, :3] @ ahead / distance_m, -1, 1))
    widest = atan(hypot(size[0], size[1]) / 2 / view.focal_px(size[0]))
    near: NDArray[np.bool_] = (off < widest + reach) | (balls[:, 3] >= distance_m)
    return near


def _signal(writing: Writing, at: tuple[float, float], colour: str, left_s: int) -> Model:
    m = Mesh()
    sheet = facing(at[0], at[1], street.LIGHT_Z)
    lamps: tuple[tuple[str, Paint, Paint, float], ...] = (
        ("red", p.RED, p.UNLIT_RED, 0.72),
        ("amber", p.AMBER, p.UNLIT_AMBER, 0.0),
        ("green", p.GREEN, p.UNLIT_GREEN, -0.72),
    )
    for name, lit, unlit, z in lamps:
        if name == colour:
            m.disc(sheet, (0, z), (0.62, 0.62), lit.thin(40), 32)
        m.disc(sheet, (0, z), (0.3, 0.3), lit if name == colour else unlit, 32)
        if name == colour:
            m.disc(sheet, (-0.08, z + 0.09), (0.09, 0.09), p.LAMP.thin(120), 16)
    count = Plane(sheet.origin, sheet.right)
    m.rect(count, (-0.45, 1.2, 0.45, 1.95), p.POLE)
    ink = {"red": p.RED, "amber": p.AMBER, "green": p.GREEN}[colour]
    m.text(writing, str(left_s), count, (0, 1.32), 0.7, ink)
    return m.model()


def _barrier(now_s: float) -> Model:
    """The car park's arm: down, and up for a while every half minute."""
    m = Mesh()
    at = now_s % 34.0
    raised = min(1.0, max(0.0, at - 24.0) / 1.6) - min(1.0, max(0.0, at - 31.5) / 1.6)
    a = radians(78.0) * raised
    x, y = street.BARRIER_AT
    sheet = Plane((x, y, G + 1.0), (0.0, -cos(a), sin(a)), (0.0, sin(a), cos(a)))
    m.rect(sheet, (-0.7, -0.09, 0.0, 0.09), p.STEEL)
    for k in range(9):
        m.rect(sheet, (k * 0.8, -0.07, (k + 1) * 0.8, 0.07), p.SIGN_RED if k % 2 else p.MARK)
    return m.model()
