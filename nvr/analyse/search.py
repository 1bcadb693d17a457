"""Objects of one camera: which pictures are searched, and what happens by what is found in them.

Pure: time comes with each picture. A picture is searched when something moves in it, or as every
n-th key frame; of the first kind only what moves counts, so that a parked car is none. Where an
object stands, its foot says: the middle of its box's lower edge.
"""

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal, NamedTuple

from nvr.analyse.grid import Zone, inside
from nvr.analyse.judge import LONGEST_S, Change
from nvr.analyse.talk import Thing
from nvr.media.happening import Kind, object_kind

HOLD_S = 8.0
"""What was not seen for so long is gone, if it was looked for since."""
MISSED = 2
NEAR_S = 12.0
"""Two sightings so near to each other are one object; so is a single one that is clear."""
CLEARER = 1.15
MOST_PICTURES = 3

Due = Literal["", "motion", "key"]


@dataclass(frozen=True, slots=True)
class Sought:
    """What is looked for at a camera.

    Attributes:
        classes: Labels.
        least_permille: How sure the model must be.
        zones: Where; those that are ignored may be among them.
        every_keys: Of so many key frames one is searched though nothing moves; 0 for none.
    """

    classes: tuple[str, ...]
    least_permille: int
    zones: tuple[Zone, ...]
    every_keys: int = 0


class Sighting(NamedTuple):
    """What changed, and what it was seen by.

    Attributes:
        change: See `nvr.analyse.judge.Change`.
        box_permille: Where, of a begin.
        better: Nothing began: it is only seen better.
    """

    change: Change
    box_permille: tuple[int, int, int, int] | None = None
    better: bool = False


@dataclass(slots=True)
class _Object:
    """One class in one zone."""

    on: bool = False
    hints_s: deque[float] = field(default_factory=lambda: deque(maxlen=2))
    began_s: float = 0.0
    last_s: float = 0.0
    missed: int = 0
    strength: int = 0
    pictured: int = 0
    pictures: int = 0


class Search:
    """One camera.

    Args:
        sought: What is looked for.

    Attributes:
        due: Whether the picture last looked at is to be searched, and why.
        asked_s: Monotonic seconds of the last search.
    """

    def __init__(self, sought: Sought) -> None:
        self.sought = sought
        self.due: Due = ""
        self.asked_s = 0.0
        self._keys = 0
        self._moving = False
        self._objects: dict[tuple[Kind, str], _Object] = {}

    @property
    def on(self) -> tuple[Kind, ...]:
        """What goes on."""
        return tuple(dict.fromkeys(kind for (kind, _), one in self._objects.items() if one.on))

    def looked(self, at_s: float, *, moving: bool, keys: int) -> list[Sighting]:
        """Take that pictures were looked at.

        Args:
            at_s: When the last of them was, on the line of `Judge.see`.
            moving: Something moves in it.
            keys: How many of them were key frames.
        """
        self._moving = moving
        self._keys += keys
        every = self.sought.every_keys
        if moving:
            self.due = "motion"
        elif every and self._keys >= every:
            self.due = "key"
        else:
            self.due = ""
        return self._gone(at_s)

    def see(self, things: Sequence[Thing], labels: Sequence[str], at_s: float) -> list[Sighting]:
        """Take what was found in the picture that was due."""
        why, self.due = self.due, ""
        if why == "key":
            self._keys = 0
        best: dict[tuple[Kind, str], Thing] = {}
        for thing in things:
            label = labels[thing.label] if thing.label < len(labels) else ""
            if label not in self.sought.classes or thing.sure_permille < self.sought.least_permille:
                continue
            if why == "motion" and not thing.moving:
                continue
            zone = self._zone(thing)
            if zone is not None:
                best.setdefault((object_kind(label), zone), thing)
        made: list[Sighting] = []
        for at, thing in best.items():
            one = self._objects.setdefault(at, _Object())
            made += self._seen(at, one, thing, at_s)
        for at, one in self._objects.items():
            if at not in best:
                one.missed += 1
        return made + self._gone(at_s)

    def end(self, at_s: float) -> list[Sighting]:
        """Nobody looks any more: what goes on is ended."""
        found = [
            Sighting(Change("end", *at, at_s, one.strength))
            for at, one in self._objects.items()
            if one.on
        ]
        self._objects.clear()
        self.due = ""
        return found

    def _zone(self, thing: Thing) -> str | None:
        """Name of the zone it stands in, None if it is in none."""
        left, _, right, bottom = thing.box_permille
        x, y = min(999.0, (left + right) / 2), min(999.0, bottom)
        found: str | None = None
        for zone in self.sought.zones:
            if not inside(zone.points_permille, x, y):
                continue
            if not zone.sensitivity:
                return None
            found = zone.name if found is None else found
        return found

    def _seen(
        self, at: tuple[Kind, str], one: _Object, thing: Thing, at_s: float
    ) -> list[Sighting]:
        sure, box = thing.sure_permille, thing.box_permille
        one.last_s, one.missed = at_s, 0
        one.hints_s.append(at_s)
        one.strength = max(one.strength, sure)
        if not one.on:
            clear = (1000 + self.sought.least_permille) // 2
            near = len(one.hints_s) > 1 and 0 <= at_s - one.hints_s[0] <= NEAR_S
            if sure < clear and not near:
                return []
            one.on, one.strength = True, sure
            one.began_s = one.hints_s[0] if near else at_s
            one.pictured, one.pictures = sure, 1
            return [Sighting(Change("begin", *at, one.began_s, sure), box)]
        if at_s - one.began_s > LONGEST_S:
            ended = Sighting(Change("end", *at, at_s, one.strength))
            one.began_s, one.strength, one.pictured, one.pictures = at_s, sure, sure, 1
            return [ended, Sighting(Change("begin", *at, at_s, sure), box)]
        if one.pictures < MOST_PICTURES and sure >= CLEARER * one.pictured:
            one.pictured, one.pictures = sure, one.pictures + 1
            return [Sighting(Change("begin", *at, at_s, sure), box, better=True)]
        return []

    def _gone(self, at_s: float) -> list[Sighting]:
        found: list[Sighting] = []
        for at, one in list(self._objects.items()):
            unsought = not self._moving and not self.sought.every_keys
            if at_s - one.last_s > HOLD_S and (one.missed >= MISSED or unsought):
                del self._objects[at]
                if one.on:
                    found.append(Sighting(Change("end", *at, one.last_s, one.strength)))
        return found
