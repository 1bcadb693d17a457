"""What is on the dome's glass: rain, and the wiper that clears it.

Everything here lies flat on the picture. Rain gathers by itself, drop by drop; the wiper takes
what its blade passes.
"""

from math import cos, pi, radians, sin

import numpy as np

from nvr.sim import palette as p
from nvr.sim.mesh import Mesh, Model, Plane, rgb

_MOST_DROPS = 64
_DROP_EVERY_S = 0.55
_SWEEP_S = 1.5
"""Time of one sweep there and back."""

_PARKED_DEG, _FAR_DEG = -97.0, 97.0
"""Angle of the blade from upright; at rest it lies below the picture."""

_PIVOT = (0.5, 1.10)
_REACH = 1.22
"""In picture heights."""

_BRIGHT, _DARK = rgb(0xDCE8F0, shines=True), rgb(0x0C1218)


class Glass:
    """Rain and wiper. Used by one thread.

    Args:
        size: ``(width, height)`` of the picture, pixels.
        seed: Where the drops fall.
    """

    def __init__(self, size: tuple[int, int], seed: int = 11) -> None:
        self._width, self._height = size
        self._chance = np.random.default_rng(seed)
        self._drops = np.zeros((0, 3))
        self._sheet = Plane((0.0, 0.0, 1.0), (1.0, 0.0, 0.0), (0.0, 1.0, 0.0))
        self._drop = _drop(self._sheet)
        self._next_drop_s = -1.0
        self._swept_s = 0.0
        self._last_s = -1.0
        for _ in range(26):
            self._fall()

    @property
    def blade_deg(self) -> float:
        """Where the blade is, from upright, clockwise."""
        turn = 0.5 - 0.5 * cos(2 * pi * self._swept_s / _SWEEP_S)
        return _PARKED_DEG + (_FAR_DEG - _PARKED_DEG) * turn

    @property
    def drops(self) -> int:
        """Drops on the glass."""
        return len(self._drops)

    def advance(self, now_s: float, *, wiping: bool) -> None:
        """Let rain fall and the wiper move; switched off, it finishes its sweep and parks."""
        lag_s = min(max(now_s - self._last_s, 0.0), 0.5)
        self._last_s = now_s
        if self._next_drop_s <= now_s:
            self._fall()
            self._next_drop_s = now_s + float(self._chance.exponential(_DROP_EVERY_S))
        self._run(lag_s)
        if wiping or self._swept_s > 0:
            before = self.blade_deg
            swept_s = self._swept_s + lag_s
            self._swept_s = swept_s % _SWEEP_S if wiping or swept_s < _SWEEP_S else 0.0
            turned = swept_s < _SWEEP_S / 2 or self._swept_s > _SWEEP_S / 2
            self._wipe(before, self.blade_deg if turned else _PARKED_DEG)

    def model(self) -> Model:
        """Drops and the blade, in pixels, for the matrix `FLAT`."""
        m = Mesh()
        m.extend(self._beaded())
        if self._swept_s > 0:
            self._draw_blade(m)
        return m.model()

    def _beaded(self) -> Model:
        """All drops: one drop's shape, carried to each place at once."""
        count, one = len(self._drops), self._drop
        spots = self._drops * np.array((self._width, self._height, self._height))
        points = np.ones((count, len(one.points), 3), np.float32)
        points[:, :, :2] = one.points[None, :, :2] * spots[:, None, 2:] + spots[:, None, :2]
        contours = np.tile(one.contours, count)
        contours["first"] += np.repeat(np.arange(count) * len(one.points), len(one.contours))
        return Model(points.reshape(-1, 3), contours, np.tile(one.shines, count))

    def _fall(self) -> None:
        x, y = self._chance.uniform(0, 1), self._chance.uniform(0, 1)
        radius = 0.005 + 0.013 * float(self._chance.random()) ** 2
        self._drops = np.vstack((self._drops, (x, y, radius)))[-_MOST_DROPS:]

    def _run(self, lag_s: float) -> None:
        """Heavy drops run down, slowly, and off the picture."""
        heavy = self._drops[:, 2] > 0.0135
        self._drops[heavy, 1] += lag_s * 0.03
        self._drops = self._drops[self._drops[:, 1] < 1.05]

    def _wipe(self, from_deg: float, to_deg: float) -> None:
        low, high = min(from_deg, to_deg) - 1.0, max(from_deg, to_deg) + 1.0
        aspect = self._width / self._height
        east = (self._drops[:, 0] - _PIVOT[0]) * aspect
        up = _PIVOT[1] - self._drops[:, 1]
        at_deg = np.degrees(np.arctan2(east, up))
        reached = np.hypot(east, up) < _REACH
        self._drops = self._drops[~(reached & (at_deg >= low) & (at_deg <= high))]

    def _draw_blade(self, m: Mesh) -> None:
        a = radians(self.blade_deg)
        h = self._height
        along, across = np.array((sin(a), -cos(a))) * h, np.array((cos(a), sin(a))) * h
        pivot = np.array((_PIVOT[0] * self._width, _PIVOT[1] * h))

        def bar(inner: float, outer: float, thick: float, thin: float) -> list[tuple[float, float]]:
            ends = (
                pivot + along * inner - across * thick,
                pivot + along * inner + across * thick,
                pivot + along * outer + across * thin,
                pivot + along * outer - across * thin,
            )
            return [(float(e[0]), float(e[1])) for e in ends]

        m.flat(self._sheet, bar(0.1, _REACH, 0.030, 0.026), p.SHADOW.thin(70))
        m.flat(self._sheet, bar(0.0, 0.72, 0.017, 0.011), p.POLE)
        m.flat(self._sheet, bar(0.22, _REACH, 0.008, 0.007), p.TYRE)
        m.flat(self._sheet, bar(0.22, _REACH, 0.0022, 0.002), p.STEEL)


def _drop(sheet: Plane) -> Model:
    """A drop of radius 1: dark rim, the world upside down in it, a spark."""
    m = Mesh()
    m.disc(sheet, (0, 0), (1, 1.12), _DARK.thin(52), 18)
    m.disc(sheet, (0, 0.16), (0.86, 0.9), _BRIGHT.thin(34), 18)
    m.disc(sheet, (0, 0.52), (0.6, 0.36), _BRIGHT.thin(70), 14)
    m.disc(sheet, (-0.34, -0.42), (0.2, 0.16), _BRIGHT.thin(190), 10)
    return m.model()
