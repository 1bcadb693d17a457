"""How far a picture is moved and scaled against another: phase correlation of two luma pictures.

A head's own counters say where its motors think they are; two pictures say where it looks. What is
found is believed only if it explains the pictures: laid over each other by it they must agree, and
no other way as well. A dark picture, one without structure, one of somewhere else and a fence that
looks the same one slat on are "cannot tell", never a figure.

What is burned into a picture (caption, clock) does not move with the scene and would be found as
"not moved at all"; `painted` finds it from a picture taken elsewhere, and it is left out.

Source: Kuglin and Hines, The phase correlation image alignment method, 1975; the estimate is
refined on what both pictures have in common.
"""

from dataclasses import dataclass
from math import hypot
from typing import Any, Final, TypeAlias

import numpy as np
from numpy.typing import NDArray

from nvr.media.aim import Grey

Luma: TypeAlias = NDArray[np.uint8]
_Plane: TypeAlias = NDArray[np.float32]

LEAST_PX: Final = 32
_LEAST_STRUCTURE: Final = 1.2
"""Grey levels: the noise of a sensor in the dark is about one after smoothing."""
_LEAST_AGREEMENT: Final = 0.4
_MOST_RIVAL: Final = 0.75
_LEAST_COMMON: Final = 0.3
"""Of each side: less in common than this is no base for a figure."""
_BLOCK_PX: Final = 8
_ALIKE: Final = 0.9
_STEP: Final = 1.04
_STEPS: Final = 18
"""Scales from 1/2 to 2 are tried."""


@dataclass(frozen=True, slots=True)
class Shift:
    """How what is seen went from one picture to the other.

    Attributes:
        x: To the right, in widths of the picture. A head that pans right sees it go left.
        y: Down, in heights of the picture.
        scale: Its size, about the middle of the picture; more than 1 is nearer.
        agreement: How well the pictures agree laid over each other, up to 1.
    """

    x: float
    y: float
    scale: float
    agreement: float


def register(
    before: Luma, after: Luma, *, zoomed: bool = False, hidden: NDArray[np.bool_] | None = None
) -> Shift | None:
    """Find how `after` is moved against `before`; None if that cannot be told.

    A turned lens stretches its edges, so that a picture of 60 degrees that went by an eighth agrees
    with itself only coarsely: what the pictures do not tell they are asked again at half the size.

    Costs some 20 ms for pictures of 320 x 180, several times that with `zoomed`.

    Args:
        before: Luma, shape ``(height, width)``, each at least `LEAST_PX`.
        after: The same of the other.
        zoomed: It may be scaled too, from half to double.
        hidden: Pixels that do not count, as of `painted`.

    Raises:
        ValueError: The shapes differ, or are too small.
    """
    if before.shape != after.shape or before.ndim != 2 or min(before.shape) < LEAST_PX:
        raise ValueError(f"shapes {before.shape} and {after.shape} are not to be compared")
    found = _registered(before, after, zoomed, hidden)
    if found is None and min(before.shape) >= 2 * LEAST_PX:
        coarser = None if hidden is None else _halved(hidden) > 0
        one, other = (_halved(picture).astype(np.uint8) for picture in (before, after))
        found = _registered(one, other, zoomed, coarser)
    return found


def _registered(
    before: Luma, after: Luma, zoomed: bool, hidden: NDArray[np.bool_] | None
) -> Shift | None:
    """As `register`, at one size."""
    weight = _window(before.shape)
    if hidden is not None:
        weight = weight * (1 - _smooth(_smooth(hidden.astype(np.float32))))
    one, other = _structure(before), _structure(after)
    if min(_power(one, weight), _power(other, weight)) < _LEAST_STRUCTURE:
        return None
    scale = _scale(one, other, weight) if zoomed else 1.0
    if scale is None:
        return None
    found = _shift(one, _scaled(other, 1 / scale), weight)
    if found is None:
        return None
    x, y, agreement = found
    height, width = before.shape
    # What lies at p comes to scale * (p + d): the middle itself goes by scale * d.
    return Shift(x * scale / width, y * scale / height, scale, agreement)


def compare(
    before: Grey, after: Grey, elsewhere: Grey | None = None, *, zoomed: bool = False
) -> Shift | None:
    """As `register`; what is burned in is left out, as a picture taken elsewhere shows it.

    Pictures of different sizes cannot be told: somebody has changed the camera's meanwhile.
    """
    one, other = (
        np.frombuffer(it.luma, np.uint8).reshape(it.height, it.width) for it in (before, after)
    )
    if one.shape != other.shape or min(one.shape) < LEAST_PX:
        return None
    hidden = None
    if elsewhere is not None and (elsewhere.height, elsewhere.width) == one.shape:
        third = np.frombuffer(elsewhere.luma, np.uint8).reshape(one.shape)
        hidden = painted(one, third)
    return register(one, other, zoomed=zoomed, hidden=hidden)


def painted(one: Luma, elsewhere: Luma) -> NDArray[np.bool_]:
    """Return which pixels show the same in two pictures taken in different directions.

    That is what is burned in: captions, a clock, dirt on the glass. Nothing where the whole picture
    is the same, because then the head has not moved.
    """
    height, width = one.shape
    rows, columns = height // _BLOCK_PX, width // _BLOCK_PX

    def blocks(picture: Luma) -> _Plane:
        cut = _structure(picture)[: rows * _BLOCK_PX, : columns * _BLOCK_PX]
        split = cut.reshape(rows, _BLOCK_PX, columns, _BLOCK_PX).swapaxes(1, 2)
        return split.reshape(rows, columns, -1)

    a, b = blocks(one), blocks(elsewhere)
    power = np.sqrt((a * a).sum(axis=2) * (b * b).sum(axis=2))
    rich = power > (3 * _LEAST_STRUCTURE) ** 2 * _BLOCK_PX**2
    same = rich & ((a * b).sum(axis=2) > _ALIKE * np.maximum(power, 1.0))
    mask = np.zeros(one.shape, dtype=np.bool_)
    if same.sum() > 0.5 * max(1, rich.sum()):
        return mask
    near = np.pad(same, 1)
    grown = np.zeros_like(same)
    for y in range(3):
        for x in range(3):
            grown |= near[y : y + rows, x : x + columns]
    full = np.repeat(np.repeat(grown, _BLOCK_PX, axis=0), _BLOCK_PX, axis=1)
    mask[: full.shape[0], : full.shape[1]] = full
    return mask


def _halved(plane: NDArray[Any]) -> NDArray[np.float64]:
    """Mean of 2 x 2; an odd last row or column is left out."""
    height, width = (n // 2 for n in plane.shape)
    mean: NDArray[np.float64] = (
        plane[: 2 * height, : 2 * width].reshape(height, 2, width, 2).mean(axis=(1, 3))
    )
    return mean


def _window(shape: tuple[int, ...]) -> _Plane:
    """Edges weigh little: what enters there has no partner."""
    tall, wide = (np.hanning(n + 2)[1:-1] for n in shape)
    return np.outer(np.sqrt(tall), np.sqrt(wide)).astype(np.float32)


def _smooth(plane: _Plane) -> _Plane:
    """Mean of 3 x 3."""
    rows = np.pad(plane, ((1, 1), (0, 0)), mode="edge")
    rows = rows[:-2] + rows[1:-1] + rows[2:]
    columns = np.pad(rows, ((0, 0), (1, 1)), mode="edge")
    mean: _Plane = ((columns[:, :-2] + columns[:, 1:-1] + columns[:, 2:]) / 9).astype(np.float32)
    return mean


def _structure(picture: Luma) -> _Plane:
    """What is left without noise and without what light does to whole regions."""
    fine = _smooth(picture.astype(np.float32))
    coarse = fine
    for _ in range(6):
        coarse = _smooth(_smooth(coarse))
    return fine - coarse


def _power(plane: _Plane, weight: _Plane) -> float:
    return float(np.sqrt((plane * plane * weight).sum() / max(1.0, float(weight.sum()))))


def _surface(one: _Plane, other: _Plane, weight: _Plane) -> _Plane:
    """Where the pictures agree, by how far `other` is moved; 1 is everywhere and exactly."""
    a, b = np.fft.rfft2(one * weight), np.fft.rfft2(other * weight)
    cross = b * np.conj(a)
    size = np.abs(cross)
    # What is weak is noise: it has a phase like all the others, and would be heard as loud.
    cross /= size + 0.02 * float(np.sqrt((size * size).mean())) + 1e-9
    height, width = one.shape
    fy, fx = np.fft.fftfreq(height)[:, None], np.fft.rfftfreq(width)[None, :]
    cross *= np.exp(-(fy * fy + fx * fx) / (2 * 0.15**2))
    surface: _Plane = np.fft.irfft2(cross, s=one.shape).astype(np.float32)
    return surface


def _peak(surface: _Plane) -> tuple[float, float, float, float]:
    """The highest place as ``(x, y, height, height of the next)``, between the pixels."""
    height, width = surface.shape
    y, x = (int(n) for n in np.unravel_index(int(np.argmax(surface)), surface.shape))
    top = float(surface[y, x])

    def between(before: float, after: float) -> float:
        bend = before - 2 * top + after
        return 0.5 * (before - after) / bend if bend < 0 else 0.0

    fx = x + between(float(surface[y, x - 1]), float(surface[y, (x + 1) % width]))
    fy = y + between(float(surface[y - 1, x]), float(surface[(y + 1) % height, x]))
    rest = np.roll(surface, (height // 2 - y, width // 2 - x), axis=(0, 1)).copy()
    rest[height // 2 - 5 : height // 2 + 6, width // 2 - 5 : width // 2 + 6] = -np.inf
    fx = (fx + width / 2) % width - width / 2
    fy = (fy + height / 2) % height - height / 2
    return fx, fy, top, float(rest.max())


def _common(one: _Plane, other: _Plane, x: int, y: int) -> tuple[_Plane, _Plane] | None:
    """What both show, when `other` is moved by whole pixels; None if that is too little."""
    height, width = one.shape
    if width - abs(x) < _LEAST_COMMON * width or height - abs(y) < _LEAST_COMMON * height:
        return None
    a = one[max(0, -y) : height - max(0, y), max(0, -x) : width - max(0, x)]
    b = other[max(0, y) : height - max(0, -y), max(0, x) : width - max(0, -x)]
    return a, b


def _shift(one: _Plane, other: _Plane, weight: _Plane) -> tuple[float, float, float] | None:
    """How `other` is moved in pixels, and how well both agree then; None if that is unsure."""
    x, y, top, rival = _peak(_surface(one, other, weight))
    if rival > _MOST_RIVAL * top:
        return None
    # Once more, and once more, on what both have in common, which the edges do not blur.
    nearer = _refined(one, other, weight, round(x), round(y))
    if nearer is None:
        return None
    found = _refined(one, other, weight, round(nearer[0]), round(nearer[1]))
    return None if found is None or found[2] < _LEAST_AGREEMENT else found


def _refined(
    one: _Plane, other: _Plane, weight: _Plane, x: int, y: int
) -> tuple[float, float, float] | None:
    """As `_shift`, of what both show when `other` is moved by about so many pixels."""
    both, weights = _common(one, other, x, y), _common(weight, weight, x, y)
    if both is None or weights is None or min(both[0].shape) < LEAST_PX // 2:
        return None
    common = np.minimum(*weights)
    off_x, off_y, _, _ = _peak(_surface(*both, common * _window(common.shape)))
    if hypot(off_x, off_y) > 3:
        return None  # what is common says something else
    return x + off_x, y + off_y, _agreement(*both, common)


def _agreement(one: _Plane, other: _Plane, weight: _Plane) -> float:
    """Correlation of both, of how they are laid over each other now."""
    power = _power(one, weight) * _power(other, weight)
    if power < 1e-6:
        return 0.0
    return float((one * other * weight).sum() / max(1.0, float(weight.sum())) / power)


def _scaled(plane: _Plane, scale: float) -> _Plane:
    """Make a picture's content larger about its middle, between pixels by weight."""
    if scale == 1.0:
        return plane
    height, width = plane.shape

    def places(n: int) -> tuple[NDArray[np.intp], _Plane, NDArray[np.bool_]]:
        middle = (n - 1) / 2
        at = (np.arange(n) - middle) / scale + middle
        inside = (at >= 0) & (at <= n - 1)
        low = np.clip(np.floor(at).astype(np.intp), 0, n - 2)
        return low, (at - low).astype(np.float32), inside

    y, fy, y_in = places(height)
    x, fx, x_in = places(width)
    rows = plane[y] * (1 - fy)[:, None] + plane[y + 1] * fy[:, None]
    out: _Plane = (rows[:, x] * (1 - fx) + rows[:, x + 1] * fx).astype(np.float32)
    return out * y_in[:, None] * x_in[None, :]


def _scale(one: _Plane, other: _Plane, weight: _Plane) -> float | None:
    """Which scale lets both agree best; None at the end of the range, where a better may lie."""

    def tops(scales: list[float], every: int) -> list[float]:
        a, b, w = one[::every, ::every], other[::every, ::every], weight[::every, ::every]
        return [float(_surface(a, _scaled(b, 1 / s), w).max()) for s in scales]

    coarse = [_STEP**n for n in range(-_STEPS, _STEPS + 1)]
    heights = tops(coarse, 2)
    best = int(np.argmax(heights))
    if best in {0, len(coarse) - 1}:
        return None
    fine = [coarse[best] * _STEP ** (n / 4) for n in range(-4, 5)]
    heights = tops(fine, 1)
    best = min(max(int(np.argmax(heights)), 1), len(fine) - 2)
    low, top, high = heights[best - 1 : best + 2]
    bend = low - 2 * top + high
    off = 0.5 * (low - high) / bend if bend < 0 else 0.0
    return float(fine[best] * _STEP ** (min(max(off, -1.0), 1.0) / 4))
