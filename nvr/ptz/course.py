"""What a head does next: tours, patterns and scans as rows of single things to do. Pure.

A course says `Go`, `Stay` and `Turn`, one after the other; `nvr.ptz.pilot` does them. It ends by
itself where what it stands for has an end. What runs on is bound to positions: every lap of a
pattern and every turn of a scan begins at a preset.
"""

import random
from collections.abc import Callable, Generator, Iterator
from dataclasses import dataclass
from itertools import pairwise
from typing import TypeAlias

from nvr.media.ports import Position
from nvr.media.program import Pattern, Program, Scan, Tour

PROBE_S = 1.5
PAUSE_S = 1.0
"""At each end of a scan, and after a lap of a pattern."""
POSITION_S = 2.5
"""For a head that stands to say where it points."""
_LEAST_DEG = 0.05


@dataclass(frozen=True, slots=True)
class Go:
    """Go to a preset and arrive there."""

    preset: int


@dataclass(frozen=True, slots=True)
class Stay:
    """Stand still for so long."""

    for_s: float


@dataclass(frozen=True, slots=True)
class Turn:
    """Move at these speeds for so long."""

    pan: float
    tilt: float
    zoom: float
    for_s: float


Do: TypeAlias = Go | Stay | Turn
Course: TypeAlias = Iterator[Do]
Where: TypeAlias = Callable[[], Position | None]
"""Where the head says it points, None if it does not."""


def course_of(program: Program, what: str, where: Where, chance: random.Random) -> Course | None:
    """Return the course of something that can be run; None if it is not there (any more)."""
    if not program.has(what):
        return None
    word, _, name = what.partition(" ")
    if word == "tour":
        return tour(next(one for one in program.tours if one.name == name), chance)
    if word == "pattern":
        return pattern(next(one for one in program.patterns if one.name == name))
    if word == "scan":
        return scan(next(one for one in program.scans if one.name == name), where)
    return iter((Go(program.guard.preset if what == "home" else int(name)),))


def tour(it: Tour, chance: random.Random) -> Course:
    """Each position in turn, for ever. By chance, none twice in a row where there are others."""
    last = None
    while True:
        steps = list(it.steps)
        if it.order == "shuffle":
            chance.shuffle(steps)
            if steps[0] == last:
                steps.append(steps.pop(0))
        for step in steps:
            yield Go(step.preset)
            yield Stay(step.dwell_s)
        last = steps[-1]


def pattern(it: Pattern) -> Course:
    """What was recorded, lap after lap, each from the preset it was begun at."""
    ends = [*(one.at_s for one in it.moves), it.lasts_s]
    while True:
        yield Go(it.preset)
        for one, (begin_s, end_s) in zip(it.moves, pairwise(ends), strict=True):
            if end_s > begin_s:
                still = not (one.pan or one.tilt or one.zoom)
                for_s = end_s - begin_s
                yield Stay(for_s) if still else Turn(one.pan, one.tilt, one.zoom, for_s)
        yield Stay(PAUSE_S)


def scan(it: Scan, where: Where) -> Course:
    """To and fro. How long a way takes is measured where the head says where it points."""
    span_s = it.span_s
    measured = yield from _measure(it, where)
    span_s = measured or span_s
    yield Go(it.left)
    while span_s > 0:
        yield Turn(it.speed, 0.0, 0.0, span_s)
        yield Go(it.right)
        yield Stay(PAUSE_S)
        yield Turn(-it.speed, 0.0, 0.0, span_s)
        yield Go(it.left)
        yield Stay(PAUSE_S)


def _measure(it: Scan, where: Where) -> Generator[Do, None, float]:
    """Seconds of the way from the left limit to the right one, 0 if nobody can say."""
    yield Go(it.right)
    right = where()
    if right is None:
        return 0.0
    yield Go(it.left)
    left = where()
    yield Turn(it.speed, 0.0, 0.0, PROBE_S)
    yield Stay(POSITION_S)
    after = where()
    if left is None or after is None:
        return 0.0
    span_deg = (right.pan_deg - left.pan_deg) % 360
    went_deg = (after.pan_deg - left.pan_deg) % 360
    if span_deg < _LEAST_DEG or not _LEAST_DEG < went_deg < 360 - _LEAST_DEG:
        return 0.0
    return PROBE_S * span_deg / went_deg
