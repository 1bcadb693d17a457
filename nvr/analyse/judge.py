"""From what is seen in single pictures to what happens: with begin, end, and no flutter.

Pure: time comes with each picture. Of troubles only the worst is judged, for a covered lens is also
blurred, and a picture without signal also frozen; those it hides neither begin nor end meanwhile.
"""

from collections import deque
from collections.abc import Collection, Iterable, Sequence
from typing import Literal, NamedTuple

from nvr.analyse.grid import Zone, least_cells
from nvr.media.happening import TROUBLES, Kind, Trouble


class Seen(NamedTuple):
    """One picture, as `nvr._native.Scene.look` saw it; shares are permille.

    Attributes:
        zones: Cells of each zone that move.
        moving: Cells that move in any.
        changed: Cells that are not as the background is.
        step: 1 if the whole picture changed at once.
        mean: Mean of luma, in sixteenths of a grey level, 0-4080.
        low: Of the cells, a tenth is darker.
        high: A tenth is brighter.
        flat: Cells without an edge, as grey as most.
        same: Cells that are bit for bit what they were.
        edged: Number of cells that have edges.
        textured: Number of those that should have, and are bright enough.
        sharp: What is left of their edges.
        lost: Those that have hardly any left.
        like: How alike it is to what was learned, -1000 to 1000.
        dx: By how many cells it is shifted to the right.
        dy: Downwards.
        shifted: How alike it is then.
        learned: Looks learned from, a second apart or more; those of health are as far apart.
    """

    zones: tuple[int, ...]
    moving: int
    changed: int
    step: int
    mean: int
    low: int
    high: int
    flat: int
    same: int
    edged: int
    textured: int
    sharp: int
    lost: int
    like: int
    dx: int
    dy: int
    shifted: int
    learned: int


class Change(NamedTuple):
    """Something began or ended.

    Attributes:
        what: Which.
        kind: Of what.
        zone: Where, empty if that does not matter.
        at_s: When, on the line of `Judge.see`.
        strength: Of a motion, the most cells so far; of an object, how sure it is, permille.
    """

    what: Literal["begin", "end"]
    kind: Kind
    zone: str
    at_s: float
    strength: int = 0


HOLD_S = 4.0
"""Motion goes on over pauses as long as that."""
LONGEST_S = 600.0
"""Longer motion is told in pieces, each with a picture of its own."""
ENTER_S: dict[Trouble, float] = {
    "signal": 10, "dark": 30, "bright": 30, "covered": 5, "moved": 15, "defocused": 30,
    "frozen": 20,
}  # fmt: skip
LEAVE_S = 6.0
LEARNED = 15
"""Looks, about a second apart, before anything is compared with what was learned."""
_COMPARED = frozenset(("covered", "moved", "defocused"))
_SIGHTINGS, _APART_S = 3, 0.7
_LEAST_TEXTURE = 60
_UNLIKE = 300
"""Of `Seen.like`: below that it is another picture."""
_LEVEL = 16
_SAME, _LIVELY = 970, 900
_LIVELY_S, _LIVED_S = 300.0, 60.0
"""A picture is frozen only where noise was seen before: so long on average, and at least."""
_PICTURES_S = 10.0
"""Time between two pictures beyond which it starts anew."""


class _Latch:
    """Lets a condition through once it has lasted, and its end too."""

    def __init__(self, enter_s: float, leave_s: float) -> None:
        self._enter_s, self._leave_s = enter_s, leave_s
        self.on = False
        self._since_s: float | None = None

    def see(self, given: bool, at_s: float) -> float | None:
        """Return since when it is otherwise, at the moment it is believed."""
        if given == self.on:
            self._since_s = None
            return None
        if self._since_s is None:
            self._since_s = at_s
        if at_s - self._since_s < (self._leave_s if self.on else self._enter_s):
            return None
        since_s, self._since_s, self.on = self._since_s, None, not self.on
        return since_s

    def reset(self) -> None:
        """Forget a change that is not believed yet."""
        self._since_s = None


class _Motion:
    """Motion in one zone."""

    def __init__(self, zone: Zone) -> None:
        self.name = zone.name
        self.least = least_cells(zone.sensitivity)
        self.on = False
        self.strength = 0
        self._began_s = self._last_s = 0.0
        self._hints_s: deque[float] = deque(maxlen=_SIGHTINGS)

    def see(self, cells: int, at_s: float, apart_s: float) -> list[Change]:
        """Take how many cells move."""
        found: list[Change] = []
        if cells >= self.least:
            self.strength = max(self.strength, cells)
            self._last_s = at_s
            self._hints_s.append(at_s)
            if not self.on and self._believed(cells, at_s, apart_s):
                self.on = True
                self._began_s = next(one for one in self._hints_s if self._near(one, at_s, apart_s))
                found.append(Change("begin", "motion", self.name, self._began_s, self.strength))
            elif self.on and at_s - self._began_s > LONGEST_S:
                found += self.end(at_s)
                self.on, self._began_s, self.strength = True, at_s, cells
                found.append(Change("begin", "motion", self.name, at_s, cells))
        elif self.on and at_s - self._last_s > max(HOLD_S, 2.5 * apart_s):
            found += self.end(self._last_s)
        return found

    def _believed(self, cells: int, at_s: float, apart_s: float) -> bool:
        """Seen three times in five pictures; where those are seconds apart twice, once if clear."""
        near = sum(self._near(one, at_s, apart_s) for one in self._hints_s)
        if apart_s >= _APART_S:
            return near >= 2 or cells >= 2 * self.least
        return near >= _SIGHTINGS

    def _near(self, one_s: float, at_s: float, apart_s: float) -> bool:
        return 0 <= at_s - one_s <= (1.5 if apart_s >= _APART_S else 4.5) * apart_s

    def end(self, at_s: float) -> list[Change]:
        """It is over, if it was on."""
        if not self.on:
            return []
        self.on = False
        self._hints_s.clear()
        strength, self.strength = self.strength, 0
        return [Change("end", "motion", self.name, at_s, strength)]


class Judge:
    """One camera.

    Args:
        zones: Where motion is looked for; those that are ignored may be among them.
        troubles: Which are looked for.
    """

    def __init__(self, zones: Sequence[Zone], troubles: Collection[Trouble] = TROUBLES) -> None:
        self._zones = [_Motion(zone) for zone in zones if zone.sensitivity]
        self._latches = {one: _Latch(ENTER_S[one], LEAVE_S) for one in TROUBLES if one in troubles}
        self._at_s: float | None = None
        self._apart_s = 0.2
        self._lively, self._lived_s = 1000.0, 0.0
        self._gone = False

    @property
    def learn(self) -> bool:
        """The next picture may be learned from: nothing seems wrong now."""
        return self._learn

    _learn = True

    @property
    def on(self) -> tuple[Kind, ...]:
        """What goes on."""
        motion: tuple[Kind, ...] = ("motion",) if any(zone.on for zone in self._zones) else ()
        return (*motion, *(kind for kind, latch in self._latches.items() if latch.on))

    def thresholds(self) -> list[tuple[str, int]]:
        """Name of each zone, and how many of its cells must move."""
        return [(zone.name, zone.least) for zone in self._zones]

    def see(self, seen: Seen, at_s: float, *, hush: bool = False) -> list[Change]:
        """Take a picture.

        Args:
            seen: What was seen.
            at_s: When, seconds on a line that goes on over reconnects.
            hush: The camera itself moves, or its wiper does: nothing is judged.
        """
        found: list[Change] = []
        first = self._at_s is None
        since_s = 0.2 if self._at_s is None else at_s - self._at_s
        self._at_s = at_s
        if not 0 < since_s < _PICTURES_S:
            for latch in self._latches.values():
                latch.reset()
            since_s = self._apart_s
        self._apart_s += 0.3 * (since_s - self._apart_s)
        if hush:
            self._learn = False
            for motion in self._zones:
                found += motion.end(at_s)
            for latch in self._latches.values():
                latch.reset()
            return found
        if self._gone:
            found += self._back(at_s)
        troubles: set[Trouble] = set() if first else self._troubles(seen, since_s)
        found += self._judge(troubles, at_s)
        worst = next((one for one in TROUBLES if one in troubles), None)
        self._learn = worst in {None, "frozen"} and not seen.step
        blind = worst in {"signal", "covered"}
        for motion, cells in zip(self._zones, seen.zones, strict=False):
            found += motion.see(0 if blind else cells, at_s, self._apart_s)
        return found

    def gone(self, at_s: float) -> list[Change]:
        """No pictures come any more."""
        if self._gone:
            return []
        self._gone = True
        found = [change for motion in self._zones for change in motion.end(at_s)]
        latch = self._latches.get("signal")
        if latch is not None and not latch.on:
            latch.on = True
            found.append(Change("begin", "signal", "", at_s))
        return found

    def end(self, at_s: float) -> list[Change]:
        """Nobody looks any more: what goes on is ended."""
        found = [change for motion in self._zones for change in motion.end(at_s)]
        return found + self._end(self._latches, at_s)

    def accept(self, at_s: float) -> list[Change]:
        """How the picture is now is right: what it was compared with is forgotten."""
        return self._end([kind for kind in self._latches if kind in _COMPARED], at_s)

    def strengths(self) -> list[tuple[str, int]]:
        """Name of each zone where something moves, and the most cells so far."""
        return [(zone.name, zone.strength) for zone in self._zones if zone.on]

    def _end(self, kinds: Iterable[Trouble], at_s: float) -> list[Change]:
        found: list[Change] = []
        for kind in kinds:
            latch = self._latches[kind]
            latch.reset()
            if latch.on:
                latch.on = False
                found.append(Change("end", kind, "", at_s))
        return found

    def _back(self, at_s: float) -> list[Change]:
        self._gone = False
        latch = self._latches.get("signal")
        if latch is None or not latch.on:
            return []
        latch.on = False
        return [Change("end", "signal", "", at_s)]

    def _judge(self, troubles: set[Trouble], at_s: float) -> list[Change]:
        found: list[Change] = []
        hidden = False
        for kind, latch in self._latches.items():
            if hidden:
                latch.reset()
                continue
            since_s = latch.see(kind in troubles, at_s)
            if since_s is not None:
                found.append(Change("begin" if latch.on else "end", kind, "", since_s))
            hidden = kind in troubles
        return found

    def _troubles(self, seen: Seen, since_s: float) -> set[Trouble]:
        """Everything that seems wrong in this picture alone."""
        found: set[Trouble] = set()
        if seen.high < 36 * _LEVEL:
            found.add("dark")
        elif seen.flat >= 930 and seen.high - seen.low <= 3 * _LEVEL:
            found.add("signal")
        if seen.low > 215 * _LEVEL or seen.mean > 225 * _LEVEL:
            found.add("bright")
        on = {kind for kind, latch in self._latches.items() if latch.on}
        if seen.learned >= LEARNED and seen.textured >= _LEAST_TEXTURE:
            found |= _compared(seen, on)
        still = seen.same >= _SAME or ("frozen" in on and seen.same >= _LIVELY)
        if still and self._lively < _LIVELY and self._lived_s >= _LIVED_S:
            found.add("frozen")
        else:
            self._lived_s = min(_LIVELY_S, self._lived_s + since_s)
            self._lively += since_s / self._lived_s * (seen.same - self._lively)
        return found


def _compared(seen: Seen, on: set[Trouble]) -> set[Trouble]:
    """What seems wrong beside what was learned; once believed, it must become clearly better."""
    found: set[Trouble] = set()
    covered = seen.lost >= (600 if "covered" not in on else 450)
    # Else it shows something, only something else; of what is unlike all that was, edges count, of
    # what is left beside a hand fewer: those of a coder that starves come and go over a flat area.
    bare = seen.edged < (0.45 if seen.like < _UNLIKE else 0.75) * seen.textured
    if covered and bare and seen.like < (550 if "covered" not in on else 700):
        found.add("covered")
    alike = 450 if "moved" not in on else 600
    turned = seen.like < _UNLIKE or (
        seen.like < alike
        and (seen.dx, seen.dy) != (0, 0)
        and seen.shifted >= max(450, seen.like + 150)
    )
    if turned or ("moved" in on and seen.like < alike):
        found.add("moved")
    if seen.sharp < (450 if "defocused" not in on else 620):
        found.add("defocused")
    return found
