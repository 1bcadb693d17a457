"""What a head sees, and where it has to point to see something else. Pure geometry.

A head that says where it points is told the direction of a place in its picture. That is computed
on the sphere, as a dome that looks down on a yard turns by far more than the angle in its picture.
One that says nothing is moved for as long as the place is away at the speed that was measured.
"""

from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from math import atan, atan2, cos, degrees, exp, hypot, log, radians, sin, tan
from typing import Final, TypeAlias

from nvr.media.aim import Area
from nvr.media.ports import Position

Angles: TypeAlias = tuple[tuple[float, float], ...]
"""``(zoom position 0-1, horizontal angle in degrees)``, from wide to tele, at least one."""

SPEED: Final = 0.35
"""Of timed moves, and of the moves they are measured by."""
BEYOND: Final = 0.02
"""Of the zoom: nothing is told of what lies farther beyond what was measured."""
LEG_MAX_S: Final = 6.0
"""A timed move is no longer: what would be was measured wrongly, or is better done by hand."""
LEG_LEAST_S: Final = 0.04
"""Less is not worth a command: a frame and its stop take as long."""


@dataclass(frozen=True, slots=True)
class Rate:
    """How fast an axis goes in the picture at `SPEED`.

    Attributes:
        per_s: Pan in widths of the picture, tilt in heights, zoom in e-folds of size, a second.
        lag_s: What of the time of a command nothing comes of: the head begins to move.
    """

    per_s: float
    lag_s: float = 0.0

    def time_s(self, way: float) -> float:
        """Return how long to go for so far; 0 for what is too little."""
        if abs(way) / self.per_s < LEG_LEAST_S:
            return 0.0
        return min(abs(way) / self.per_s + self.lag_s, LEG_MAX_S)


@dataclass(frozen=True, slots=True)
class Sight:
    """What was measured of a head.

    Attributes:
        angles: What it sees, empty if that was not measured.
        pan: How fast it goes, None if that was not measured.
        tilt: The same.
        zoom: The same.
        at_us: UTC microseconds of the measurement.
    """

    angles: Angles = ()
    pan: Rate | None = None
    tilt: Rate | None = None
    zoom: Rate | None = None
    at_us: int = 0


@dataclass(frozen=True, slots=True)
class Leg:
    """A motion for a time; all zero is a wait."""

    pan: float
    tilt: float
    zoom: float
    for_s: float


def angle_deg(angles: Angles, zoom: float) -> float:
    """Return the horizontal angle at a zoom position, between those known by their logarithm."""
    at = min(max(bisect_left(angles, (zoom,)), 1), len(angles) - 1) if len(angles) > 1 else 0
    if not at:
        return angles[0][1]
    (low, wide), (high, tele) = angles[at - 1], angles[at]
    share = min(max((zoom - low) / (high - low), 0.0), 1.0)
    half = _focal(wide) * exp(share * log(_focal(tele) / _focal(wide)))
    return 2 * degrees(atan(1 / half))


def zoom_at(angles: Angles, wanted_deg: float) -> float:
    """Return the zoom position of a horizontal angle, the end of the range beyond it."""
    if wanted_deg >= angles[0][1]:
        return angles[0][0]
    for (low, wide), (high, tele) in pairwise(angles):
        if wanted_deg >= tele:
            share = log(_focal(wanted_deg) / _focal(wide)) / log(_focal(tele) / _focal(wide))
            return low + share * (high - low)
    return angles[-1][0]


def known(angles: Angles, zoom: float) -> bool:
    """Whether it is known what is seen at a zoom position: none measured lies far before it."""
    return bool(angles) and (len(angles) == 1 or zoom <= angles[-1][0] + BEYOND)


def fits(angles: Sequence[tuple[float, float]]) -> bool:
    """Whether it is one: from wide to tele, each nearer than the one before."""
    steps = pairwise(angles)
    return bool(angles) and all(
        one[0] < other[0] and one[1] > other[1] for one, other in steps
    ) and all(0 <= zoom <= 1 and 0.1 <= deg <= 170 for zoom, deg in angles)  # fmt: skip


def target(angles: Angles, at: Position, area: Area) -> Position:
    """Return where to point so that an area comes to the middle, and fills the picture."""
    sees_deg = angle_deg(angles, at.zoom)
    focal = _focal(sees_deg)
    right, up = 2 * area.x - 1, (1 - 2 * area.y) / area.aspect
    tilt = radians(at.tilt_deg)
    ahead = focal * cos(tilt) - up * sin(tilt)
    height = focal * sin(tilt) + up * cos(tilt)
    pan_deg = at.pan_deg + degrees(atan2(right, ahead))
    tilt_deg = degrees(atan2(height, hypot(right, ahead)))
    zoom = at.zoom
    if area.larger > 1:
        wanted_deg = 2 * degrees(atan(tan(radians(sees_deg / 2)) / area.larger))
        zoom = zoom_at(angles, wanted_deg)
    return Position(pan_deg % 360, tilt_deg, zoom)


def legs(sight: Sight, area: Area) -> list[Leg]:
    """Return which timed motions bring an area to the middle, and near; none for none."""
    assert sight.pan is not None
    assert sight.tilt is not None
    right, up = area.x - 0.5, 0.5 - area.y
    pan_s, tilt_s = sight.pan.time_s(right), sight.tilt.time_s(up)
    pan, tilt = _signed(right), _signed(up)
    both_s = min(pan_s, tilt_s)
    found = [
        Leg(pan, tilt, 0.0, both_s),
        Leg(pan, 0.0, 0.0, pan_s - both_s),
        Leg(0.0, tilt, 0.0, tilt_s - both_s),
        *nearer(sight, area),
    ]
    return [leg for leg in found if leg.for_s > 0]


def nearer(sight: Sight, area: Area) -> list[Leg]:
    """Return the timed motion that makes an area fill the picture; none for none."""
    if area.larger <= 1 or sight.zoom is None:
        return []
    for_s = sight.zoom.time_s(log(area.larger))
    return [Leg(0.0, 0.0, 1.0, for_s)] if for_s else []


def _signed(way: float) -> float:
    return SPEED if way > 0 else -SPEED


def _focal(angle: float) -> float:
    """Half widths of the picture that its glass is away."""
    return 1 / tan(radians(angle / 2))
