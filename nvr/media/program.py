"""What a head does by itself: guard position, tours, patterns, scans, and when.

Stretches of a week say what runs: ``08:00-18:00 tour Yard``. What runs is named by a word and a
name: ``tour Yard``, ``pattern Gate``, ``scan Fence``, or ``preset 3`` and ``home``, where the head
then stays.
"""

from dataclasses import dataclass
from typing import Literal, Protocol

from nvr.media.owner import Operator
from nvr.media.week import DAY_STRETCHES, fault_of_stretch

AUTOMATIC = frozenset(("guard", "tour", "schedule", "alarm"))
"""Roles of `nvr.media.ports.Operator` behind which there is no hand."""

NAME_MAX = 32
MOST_PROGRAMS = 16
MOST_STEPS = 64
MOST_MOVES = 2000
PATTERN_MAX_S = 300.0
DWELL_S = (1.0, 3600.0)
IDLE_S = (15.0, 3600.0)
HIGHEST = 255


@dataclass(frozen=True, slots=True)
class Guard:
    """Where a head returns to when nobody needs it.

    Attributes:
        preset: Number of the position, which is also ``home``; 0 for none.
        idle_s: Seconds after the last command.
        on: Whether it returns by itself.
    """

    preset: int = 0
    idle_s: float = 120.0
    on: bool = True


@dataclass(frozen=True, slots=True)
class Step:
    """A position of a tour, and how long the head stays there once it has come."""

    preset: int
    dwell_s: float = 10.0


@dataclass(frozen=True, slots=True)
class Tour:
    """Positions one after the other; ``shuffle``: each once a lap, in an order of chance."""

    name: str
    steps: tuple[Step, ...]
    order: Literal["forward", "shuffle"] = "forward"


@dataclass(frozen=True, slots=True)
class Moved:
    """What a recorded hand wanted from a moment on, speeds as of `Ptz.move`."""

    at_s: float
    pan: float
    tilt: float
    zoom: float


@dataclass(frozen=True, slots=True)
class Pattern:
    """Recorded moves. Each lap begins at the preset, so that what is inexact does not add up.

    Attributes:
        name: What people call it.
        preset: Where it begins.
        moves: In order, the first at 0.
        lasts_s: Length of a lap.
    """

    name: str
    preset: int
    moves: tuple[Moved, ...]
    lasts_s: float


@dataclass(frozen=True, slots=True)
class Scan:
    """To and fro between two positions at a steady speed.

    Attributes:
        name: What people call it.
        left: Preset of the left limit.
        right: Of the right one. Every turn begins exactly at one of them.
        speed: Share of full pan speed.
        span_s: Seconds from one to the other at this speed, for a head that does not say where it
            points; one that does turns by what it says.
    """

    name: str
    left: int
    right: int
    speed: float = 0.2
    span_s: float = 0.0


@dataclass(frozen=True, slots=True)
class Program:
    """All that a head may do by itself.

    Attributes:
        guard: Where it returns to.
        tours: Its tours.
        patterns: Its patterns.
        scans: Its scans.
        week: Stretches of Monday to Sunday. Outside of them nothing begins by itself.
        resume_s: What runs goes on so long after the last command of a person.
    """

    guard: Guard = Guard()
    tours: tuple[Tour, ...] = ()
    patterns: tuple[Pattern, ...] = ()
    scans: tuple[Scan, ...] = ()
    week: tuple[tuple[str, ...], ...] = ((),) * 7
    resume_s: float = 60.0

    @property
    def names(self) -> tuple[str, ...]:
        """All that can be run but positions."""
        return (
            *(f"tour {one.name}" for one in self.tours),
            *(f"pattern {one.name}" for one in self.patterns),
            *(f"scan {one.name}" for one in self.scans),
        )

    def has(self, what: str) -> bool:
        """Whether `what` can be run: something with a name, a preset's number, home."""
        word, _, name = what.partition(" ")
        if word == "preset":
            return name.isascii() and name.isdigit() and 1 <= int(name[:4]) <= HIGHEST
        return self.guard.preset > 0 if what == "home" else what in self.names


@dataclass(frozen=True, slots=True)
class AutoState:
    """What a head does by itself now.

    Attributes:
        what: ``tour Yard``; ``home`` for the guard position.
        state: ``running``; ``paused``: a person or an alarm has the head; ``waiting``: for its
            time, or for its line; ``recording``: a pattern is taken down.
        until_us: UTC microseconds at which it goes on or returns home, 0 if that is not known.
        preset: Where it is, or is on its way to; 0 for nowhere.
        by: Who began it; empty for the week.
    """

    what: str
    state: Literal["running", "paused", "waiting", "recording"]
    until_us: int = 0
    preset: int = 0
    by: str = ""


def fault_of(program: Program) -> str:
    """Say in words what is wrong with a program, empty if nothing is."""
    for said in (
        _rules_fault(program),
        *map(_tour_fault, program.tours),
        *map(_pattern_fault, program.patterns),
        *map(_scan_fault, program.scans),
    ):
        if said:
            return said
    return _week_fault(program)


def _rules_fault(program: Program) -> str:
    guard = program.guard
    if not 0 <= guard.preset <= HIGHEST:
        return "presets are 1 to 255"
    if not IDLE_S[0] <= guard.idle_s <= IDLE_S[1]:
        return f"a head returns after {IDLE_S[0]:g} to {IDLE_S[1]:g} s"
    if not 5.0 <= program.resume_s <= IDLE_S[1]:
        return f"what runs goes on after 5 to {IDLE_S[1]:g} s"
    if len(program.names) > MOST_PROGRAMS:
        return f"at most {MOST_PROGRAMS} tours, patterns and scans"
    if len(set(program.names)) < len(program.names):
        return "two of a kind have the same name"
    return ""


def _tour_fault(tour: Tour) -> str:
    if not 1 <= len(tour.steps) <= MOST_STEPS:
        return f"a tour has 1 to {MOST_STEPS} positions"
    if any(not DWELL_S[0] <= step.dwell_s <= DWELL_S[1] for step in tour.steps):
        return f"a tour stays {DWELL_S[0]:g} to {DWELL_S[1]:g} s at a position"
    return _name_fault(tour.name) or _preset_fault(*(step.preset for step in tour.steps))


def _pattern_fault(pattern: Pattern) -> str:
    moves = pattern.moves
    if not 0 < pattern.lasts_s <= PATTERN_MAX_S or len(moves) > MOST_MOVES:
        return f"a pattern lasts up to {PATTERN_MAX_S:g} s"
    if any(not -1 <= v <= 1 for one in moves for v in (one.pan, one.tilt, one.zoom)):
        return "speeds are from -1 to 1"
    times = [one.at_s for one in moves]
    if times != sorted(times) or any(not 0 <= at_s <= pattern.lasts_s for at_s in times):
        return "the moves of a pattern are in order of time, and within it"
    return _name_fault(pattern.name) or _preset_fault(pattern.preset)


def _scan_fault(scan: Scan) -> str:
    if scan.left == scan.right:
        return "the limits of a scan are two positions"
    if not 0.01 <= scan.speed <= 1 or not 0 <= scan.span_s <= PATTERN_MAX_S:
        return f"a scan has a speed of 0.01 to 1 and up to {PATTERN_MAX_S:g} s"
    return _name_fault(scan.name) or _preset_fault(scan.left, scan.right)


def _week_fault(program: Program) -> str:
    if len(program.week) != 7 or any(len(day) > DAY_STRETCHES for day in program.week):
        return f"a week has seven days of up to {DAY_STRETCHES} stretches"
    for text in (text for day in program.week for text in day):
        if said := fault_of_stretch(text):
            return said
        if not program.has(text.partition(" ")[2]):
            return f"{text.partition(' ')[2]} is not there to be run"
    return ""


def _name_fault(name: str) -> str:
    if not name.strip() or name != name.strip() or len(name) > NAME_MAX or not name.isprintable():
        return f"names have 1 to {NAME_MAX} characters"
    return ""


def _preset_fault(*numbers: int) -> str:
    return "" if all(1 <= number <= HIGHEST for number in numbers) else "presets are 1 to 255"


class Programs(Protocol):
    """Programs of all heads. Rights are the caller's business, as of `nvr.media.ports.Ptz`."""

    def program(self, camera: str) -> Program:
        """What a head may do by itself. Raises `Rejected` ``ptz.unknown_camera``."""
        ...

    def write(self, camera: str, program: Program) -> None:
        """Set that, durably; what runs begins anew.

        Raises:
            Rejected: ``ptz.unknown_camera``, ``ptz.program_invalid``.
        """
        ...

    def start(self, camera: str, what: str, by: str) -> None:
        """Run something until it is ended, or the week says something else.

        Raises:
            Rejected: ``ptz.unknown_camera``, ``ptz.unknown_program``.
        """
        ...

    def end(self, camera: str, by: str) -> None:
        """End what runs; the head stands still. Raises `Rejected` ``ptz.unknown_camera``."""
        ...

    def guard(self, camera: str, *, on: bool) -> None:
        """Have the head return to its guard position by itself, or not. As `write`."""
        ...

    def take_down(self, camera: str, who: Operator, name: str, preset: int) -> None:
        """Send the head to a preset and take a pattern down from what `who` then does with it.

        Raises:
            Rejected: As `nvr.media.ports.Ptz.preset`; ``ptz.program_invalid``.
            Unavailable: As `nvr.media.ports.Ptz.preset`.
        """
        ...

    def taken(self, camera: str, who: Operator, *, keep: bool) -> None:
        """Stop the head, and keep what was taken down, or not.

        Raises:
            Rejected: ``ptz.unknown_camera``, ``ptz.unknown_program``, ``ptz.program_invalid``.
        """
        ...
