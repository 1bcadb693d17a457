"""Zones drawn over a picture, as cells of the grid that the kernel looks at."""

from collections.abc import Sequence
from dataclasses import dataclass

WIDTH, HEIGHT = 80, 45
CELLS = WIDTH * HEIGHT
MOST_ZONES = 8

Points = Sequence[tuple[int, int]]


@dataclass(frozen=True, slots=True)
class Zone:
    """A part of the picture.

    Attributes:
        name: What people call it; empty for the whole picture.
        points_permille: Its corners, thousandths of the picture's width and height.
        sensitivity: 1 (little) to 10; 0 to ignore what is there, whatever other zones say.
    """

    name: str
    points_permille: tuple[tuple[int, int], ...]
    sensitivity: int = 5


WHOLE = ((0, 0), (1000, 0), (1000, 1000), (0, 1000))


def inside(points: Points, x: float, y: float) -> bool:
    """Whether a place lies in a polygon, by the rule of even and odd."""
    return sum(x < crossed for crossed in _crossings(points, y)) % 2 == 1


def _crossings(points: Points, y: float) -> list[float]:
    """Where the sides of a polygon cross a horizontal line."""
    sides = zip(points, (*points[1:], points[0]), strict=True)
    return [
        (bx - ax) * (y - ay) / (by - ay) + ax
        for (ax, ay), (bx, by) in sides
        if (ay > y) != (by > y)
    ]


def _cells(points: Points) -> bytearray:
    """Return 1 for each cell whose middle lies in a polygon."""
    found = bytearray(CELLS)
    for row in range(HEIGHT):
        crossed = _crossings(points, (row + 0.5) * 1000 / HEIGHT)
        if crossed:
            for column in range(WIDTH):
                x = (column + 0.5) * 1000 / WIDTH
                found[row * WIDTH + column] = sum(x < one for one in crossed) % 2
    return found


def masks(zones: Sequence[Zone]) -> tuple[bytes, bytes]:
    """Return what `nvr._native.Scene.mask` wants: sensitivity and zones of each cell.

    A cell belongs to a zone if its middle does; of several, the most sensitive counts. Bit n
    stands for the n-th zone that is not ignored.
    """
    sense, member = bytearray(CELLS), bytearray(CELLS)
    looked = [zone for zone in zones if zone.sensitivity][:MOST_ZONES]
    for bit, zone in enumerate(looked):
        for cell, held in enumerate(_cells(zone.points_permille)):
            if held:
                sense[cell] = max(sense[cell], zone.sensitivity)
                member[cell] |= 1 << bit
    for zone in zones:
        if not zone.sensitivity:
            for cell, held in enumerate(_cells(zone.points_permille)):
                if held:
                    sense[cell] = member[cell] = 0
    return bytes(sense), bytes(member)


def least_cells(sensitivity: int) -> int:
    """How many cells must move: 16 (0.4 % of the picture) down to 2."""
    return max(2, round(16.0 * float(2.0 ** (-(sensitivity - 1) / 3))))
