"""What moves in the virtual street: cars that heed the lights, people who wait to cross.

Drivers follow the one in front by the intelligent driver model and stop at red; nobody turns.

Source: Treiber, Hennecke, Helbing, "Congested traffic states in empirical observations and
microscopic simulations", Phys. Rev. E 62 (2000).
"""

from dataclasses import dataclass
from math import atan2, degrees, hypot, sqrt

import numpy as np

from nvr.sim import figure
from nvr.sim.mesh import Model
from nvr.sim.terrain import G

CYCLE_S = 44.0
_GREEN_S, _AMBER_S, _HALF_S = 18.0, 21.0, 22.0

_TOP_MPS, _ACCELERATION, _BRAKING = 11.5, 1.6, 2.4
_HEADWAY_S, _STANDSTILL_M = 1.1, 2.0


def light(street: str, now_s: float) -> tuple[str, int]:
    """Colour of the lights of 南北 or 东西 (``green amber red``), and whole seconds left of it."""
    at = (now_s + (0.0 if street == "南北" else _HALF_S)) % CYCLE_S
    for colour, until_s in (("green", _GREEN_S), ("amber", _AMBER_S), ("red", CYCLE_S)):
        if at < until_s:
            return colour, int(until_s - at) + 1
    raise AssertionError("the cycle is longer than itself")


@dataclass(frozen=True, slots=True)
class Lane:
    """A straight lane.

    Attributes:
        x: East of where it begins, metres.
        y: North of where it begins.
        heading_deg: Clockwise from north.
        length_m: How far it goes.
        stop_m: Its stop line, from the beginning.
        street: Whose lights it heeds.
    """

    x: float
    y: float
    heading_deg: float
    length_m: float
    stop_m: float
    street: str


_LANES = (
    Lane(-1.9, 250, 180, 590, 268.5, "南北"),
    Lane(-5.3, 250, 180, 590, 268.5, "南北"),
    Lane(1.9, -340, 0, 590, 290.5, "南北"),
    Lane(5.3, -340, 0, 590, 290.5, "南北"),
    Lane(-300, -36.2, 90, 600, 286.0, "东西"),
    Lane(-300, -40.2, 90, 600, 286.0, "东西"),
    Lane(300, -31.8, 270, 600, 286.0, "东西"),
    Lane(300, -27.8, 270, 600, 286.0, "东西"),
)


@dataclass(frozen=True, slots=True)
class Path:
    """A footway, walked to and fro.

    Attributes:
        start: ``(x, y)``.
        end: ``(x, y)``.
        crossing: Metres from `start` where the road to be crossed begins and ends.
        street: Whose green is also theirs; empty where there is no road.
    """

    start: tuple[float, float]
    end: tuple[float, float]
    crossing: tuple[float, float]
    street: str


_PATHS = (
    Path((-40, -22.5), (40, -22.5), (32, 48), "东西"),
    Path((-40, -45.5), (40, -45.5), (32, 48), "东西"),
    Path((-10.5, -62), (-10.5, -8), (20, 36), "南北"),
    Path((10.5, -62), (10.5, -8), (20, 36), "南北"),
    Path((-80, 15.2), (-9.5, 15.2), (0, 0), ""),
    Path((9.5, 14.4), (80, 14.4), (0, 0), ""),
    Path((12.5, -100), (12.5, -50), (0, 0), ""),
    Path((-13, -100), (-13, -50), (0, 0), ""),
    Path((24, -45.6), (29, -45.6), (0, 0), ""),
    Path((15.5, -12), (15.5, 8), (0, 0), ""),
)


@dataclass(slots=True)
class _Car:
    kind: figure.Vehicle
    at_m: float
    speed_mps: float


@dataclass(slots=True)
class _Walker:
    path: Path
    at_m: float
    way: int
    speed_mps: float
    dress: int
    walking: bool = True


@dataclass(frozen=True, slots=True)
class Mover:
    """One moving thing where it is now.

    Attributes:
        model: Its shape, about its own origin.
        x: East, metres.
        y: North, metres.
        z: Height of its ground.
        heading_deg: Clockwise from north.
        radius_m: How far it reaches, for leaving out what the lens does not see.
    """

    model: Model
    x: float
    y: float
    z: float
    heading_deg: float
    radius_m: float

    @property
    def distance_m(self) -> float:
        """From the lens, over the ground."""
        return hypot(self.x, self.y)


class Traffic:
    """The moving part of the street. Used by one thread."""

    def __init__(self) -> None:
        chance = np.random.default_rng(7)
        self._now_s = -1.0
        fleet = figure.fleet()
        self._lanes: list[list[_Car]] = []
        for lane in _LANES:
            spots = sorted(chance.uniform(20, lane.length_m - 20, 6), reverse=True)
            cars = []
            for i, at_m in enumerate(spots):
                kind = fleet[int(chance.integers(0, len(fleet)))]
                cars.append(_Car(kind, float(at_m) - 12.0 * i, 8.0))
            self._lanes.append(cars)
        self._crowd = figure.crowd()
        self._walkers = [
            _Walker(
                path,
                float(chance.uniform(0, _length(path))),
                int(chance.choice((-1, 1))),
                float(chance.uniform(1.0, 1.5)),
                int(chance.integers(0, len(self._crowd))),
            )
            for path in _PATHS
            for _ in range(2)
        ]

    def advance(self, now_s: float) -> None:
        """Bring everything to `now_s`; a long pause is skipped, not caught up with."""
        lag_s = now_s - self._now_s
        self._now_s = now_s
        if not 0 < lag_s <= 2.0:
            return
        steps = max(1, round(lag_s / 0.05))
        for _ in range(steps):
            self._drive(lag_s / steps)
            self._walk(lag_s / steps)

    def movers(self) -> list[Mover]:
        """Everything that moves, where it is."""
        found = []
        for lane, cars in zip(_LANES, self._lanes, strict=True):
            east, north = _heading(lane.heading_deg)
            for car in cars:
                x, y = lane.x + east * car.at_m, lane.y + north * car.at_m
                model, reach = car.kind.model, car.kind.length_m + 12
                found.append(Mover(model, x, y, G, lane.heading_deg, reach))
        for walker in self._walkers:
            x, y = _spot(walker.path, walker.at_m)
            poses = self._crowd[walker.dress]
            pose = int(walker.at_m * 2.6) % 4 if walker.walking else 1
            found.append(Mover(poses[pose], x, y, G, degrees(atan2(x, y)), 2.5))
        return found

    def _drive(self, step_s: float) -> None:
        for lane, cars in zip(_LANES, self._lanes, strict=True):
            colour, _ = light(lane.street, self._now_s)
            for i, car in enumerate(cars):
                ahead = cars[i - 1] if i else None
                gap_m, their_mps = 1e9, car.speed_mps
                if ahead is not None:
                    gap_m = ahead.at_m - ahead.kind.length_m / 2 - car.at_m - car.kind.length_m / 2
                    their_mps = ahead.speed_mps
                to_line_m = lane.stop_m - car.at_m - car.kind.length_m / 2
                can_stop = to_line_m > car.speed_mps**2 / (2 * 4.0)
                if colour != "green" and to_line_m > -0.5 and can_stop and to_line_m < gap_m:
                    gap_m, their_mps = to_line_m + 1.0, 0.0
                car.speed_mps = _follow(car.speed_mps, gap_m, their_mps, step_s)
                car.at_m += car.speed_mps * step_s
            if cars[0].at_m > lane.length_m and cars[-1].at_m > 16:
                again = cars.pop(0)
                again.at_m = 0.0
                again.speed_mps = min(9.0, cars[-1].speed_mps + 1.0)
                cars.append(again)

    def _walk(self, step_s: float) -> None:
        for walker in self._walkers:
            path, step_m = walker.path, walker.way * walker.speed_mps * step_s
            enter_m = path.crossing[0] if walker.way > 0 else path.crossing[1]
            walker.walking = True
            if path.street and (walker.at_m - enter_m) * walker.way <= 0:
                reaches = (walker.at_m + step_m - enter_m) * walker.way > 0
                if reaches:
                    colour, left_s = light(path.street, self._now_s)
                    walker.walking = colour == "green" and left_s >= 11
            if walker.walking:
                walker.at_m += step_m
            if not 0 <= walker.at_m <= _length(path):
                walker.way = -walker.way
                walker.at_m = min(max(walker.at_m, 0.0), _length(path))


def _follow(speed_mps: float, gap_m: float, their_mps: float, step_s: float) -> float:
    """Speed after `step_s`, by the intelligent driver model."""
    closing = speed_mps * (speed_mps - their_mps) / (2 * sqrt(_ACCELERATION * _BRAKING))
    wanted_m = _STANDSTILL_M + max(0.0, speed_mps * _HEADWAY_S + closing)
    free = (speed_mps / _TOP_MPS) ** 4
    change = _ACCELERATION * (1 - free - (wanted_m / max(gap_m, 0.5)) ** 2)
    return max(0.0, speed_mps + max(change, -8.0) * step_s)


def _heading(heading_deg: float) -> tuple[float, float]:
    a = np.deg2rad(heading_deg)
    return float(np.sin(a)), float(np.cos(a))


def _length(path: Path) -> float:
    return hypot(path.end[0] - path.start[0], path.end[1] - path.start[1])


def _spot(path: Path, at_m: float) -> tuple[float, float]:
    share = at_m / _length(path)
    x = path.start[0] + (path.end[0] - path.start[0]) * share
    y = path.start[1] + (path.end[1] - path.start[1]) * share
    return x, y
