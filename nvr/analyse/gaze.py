"""One camera that is looked at: what is asked of the sandbox for it, and what its answers mean."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from nvr.analyse.grid import Zone, masks
from nvr.analyse.judge import Change, Judge, Seen
from nvr.analyse.search import Search, Sighting, Sought
from nvr.analyse.talk import (
    Answer,
    Feed,
    Find,
    Forget,
    Keep,
    Made,
    Picture,
    Request,
    Saw,
    Things,
    Watch,
    nonsense,
)
from nvr.analyse.tap import Tap, Unit, last_key, units
from nvr.base.clock import TICKS_PER_S
from nvr.media.happening import TROUBLES, Trouble
from nvr.media.part import Part
from nvr.media.track import StreamConfig

Ask = Callable[[Request], Answer]

APART_S = 0.2
LATE_S = 10.0
"""So long without pictures, and there is no signal; or the sub stream is left for the main one."""
LEARN, HUSH = 1, 2
THUMB_PX = 480
MOST_PICTURES = 3
KEEP_S = 300.0
COST_S = 10.0
_CLEARER = 1.5
_HELD_90K = 10 * TICKS_PER_S
_SETTLE_S = 2.0
"""After a head has come to rest: its brakes, focus and exposure."""
CODECS = frozenset(("h264", "h265", "jpeg"))


@dataclass(frozen=True, slots=True)
class Aim:
    """What is to be looked at.

    Attributes:
        camera: Name.
        streams: Its streams, the one to be looked at first; what comes next is looked at, key
            frames only, while that does not come.
        zones: Where motion is looked for; empty for nowhere.
        troubles: Which are looked for.
        turns: It is on a head, so its picture is another one after each move.
        sought: Which objects are looked for; None for none.
    """

    camera: str
    streams: tuple[str, ...]
    zones: tuple[Zone, ...]
    troubles: tuple[Trouble, ...] = TROUBLES
    turns: bool = False
    sought: Sought | None = None


@dataclass(frozen=True, slots=True)
class Found:
    """Something that began or ended, with the time of day and a picture.

    Attributes:
        camera: Where.
        change: What.
        at_us: UTC microseconds.
        jpeg: A picture of it, empty if there is none.
        better: Nothing began: it is a better picture of what goes on.
    """

    camera: str
    change: Change
    at_us: int
    jpeg: bytes = b""
    better: bool = False


@dataclass(slots=True)
class Now:
    """What was seen last.

    Attributes:
        seen: Of the last picture.
        at_us: UTC microseconds of it.
        map: Cells that moved, if somebody wants to see them.
        size: Of the picture, in pixels.
        stream: Of which stream it is.
        keys_only: Only its key frames are looked at.
        pictures: How many were looked at.
        failed: How many could not be decoded.
        cpu_us: What it cost so far.
        cost_permille: And lately, thousandths of one processor.
    """

    seen: Seen | None = None
    at_us: int = 0
    map: bytes = b""
    size: tuple[int, int] = (0, 0)
    stream: str = ""
    keys_only: bool = False
    pictures: int = 0
    failed: int = 0
    cpu_us: int = 0
    cost_permille: int = 0
    on: tuple[str, ...] = field(default=())


class Gaze:
    """One camera.

    Args:
        number: Under which the sandbox knows it.
        aim: What is to be looked at.
        memory: What was learned of it before, empty if nothing was.
    """

    def __init__(self, number: int, aim: Aim, memory: bytes = b"") -> None:
        self.number = number
        self.aim = aim
        self.memory = memory
        self.taps = {
            name: Tap(keys_only=n > 0 or "/main" in name) for n, name in enumerate(aim.streams)
        }
        self.judge = Judge(aim.zones, aim.troubles)
        self.search = Search(aim.sought) if aim.sought else None
        self.now = Now()
        self.shown_until_s = 0.0
        self.closed = False
        """Nobody wants it looked at any more; set from any thread, and heeded at once."""
        self._masks = masks(aim.zones or (aim.sought.zones if aim.sought else ()))
        self._config: StreamConfig | None = None
        self._stream = ""
        self._told = False
        self._came_s: dict[str, float] = {}
        self._at_s, self._at_us = 0.0, 0
        self._best: dict[str, tuple[int, int]] = {}
        self._hushed = False
        self._hush_until_s = 0.0
        self._kept_s = 0.0
        self._cost = (0.0, 0)

    def restarted(self) -> None:
        """The sandbox is another one: it has to be told everything again."""
        self._config, self._told = None, False

    def waiting(self) -> int:
        """Parts that wait, of the stream that is looked at whole."""
        return max((tap.waiting() for tap in self.taps.values() if not tap.keys_only), default=0)

    def look(self, ask: Ask, now_s: float, *, slow: bool, hush: bool) -> list[Found]:
        """Look at what has come.

        Args:
            ask: Asks the sandbox.
            now_s: Monotonic seconds.
            slow: Key frames only.
            hush: The camera's head moves, or its wiper does.

        Raises:
            Damaged: ``sandbox.died``, ``fragment.damaged``.
        """
        if hush:
            self._hush_until_s = now_s + _SETTLE_S
        taken = {name: tap.take() for name, tap in self.taps.items()}
        for name, parts in taken.items():
            self._came_s.setdefault(name, now_s)
            if parts:
                self._came_s[name] = now_s
        chosen = next(
            (name for name in self.aim.streams if now_s - self._came_s[name] < LATE_S), None
        )
        if chosen is None:
            self._at_s, self._at_us = self._at_s + 1e-3, self._at_us
            gone = [self._found(change) for change in self.judge.gone(self._at_s)]
            return gone + self._unsought()
        parts = taken[chosen]
        if not parts:
            return []
        keys_only = slow or self.taps[chosen].keys_only
        return self._feed(ask, chosen, parts, now_s, keys_only=keys_only)

    def _feed(
        self, ask: Ask, stream: str, parts: Sequence[Part], now_s: float, *, keys_only: bool
    ) -> list[Found]:
        if keys_only:
            newest = last_key(parts)
            if newest is None:
                return []
            parts = [newest]
        found: list[Found] = []
        for same in _by_config(parts):
            if not self._watch(ask, stream, same[0].config):
                return []
            coded: list[Unit] = []
            for part in same:
                coded += units(part, key_only=keys_only)
            last = same[-1]
            self._at_us = last.wall_us - last.start_90k * 1_000_000 // TICKS_PER_S
            keys = sum(part.key for part in same)
            found += self._saw(ask, coded, now_s, keys_only=keys_only, keys=keys)
        self.now.stream, self.now.keys_only = stream, keys_only
        since_s, since_us = self._cost
        if now_s - since_s >= COST_S:
            self.now.cost_permille = round((self.now.cpu_us - since_us) / 1000 / (now_s - since_s))
            self._cost = (now_s, self.now.cpu_us)
        if now_s - self._kept_s >= KEEP_S and self.judge.learn:
            self.keep(ask, now_s)
        return found

    def _watch(self, ask: Ask, stream: str, config: StreamConfig) -> bool:
        if self._config is config and self._stream == stream:
            return True
        track = next((one for one in config if one.kind == "video"), None)
        if track is None or track.codec not in CODECS:
            return False
        memory = b"" if self._told else self.memory
        ask(Watch(self.number, track.codec, track.config, *self._masks, memory))
        self._told = True
        self._config, self._stream = config, stream
        return True

    def _saw(
        self, ask: Ask, coded: list[Unit], now_s: float, *, keys_only: bool, keys: int
    ) -> list[Found]:
        hush = now_s < self._hush_until_s
        if self._hushed and not hush and self.aim.turns:
            ask(Forget(self.number))
        self._hushed = hush
        flags = (LEARN if self.judge.learn else 0) | (HUSH if hush else 0)
        shown = now_s < self.shown_until_s
        apart_90k = round(APART_S * TICKS_PER_S)
        saw = ask(Feed(self.number, coded, apart_90k, keys_only, flags, shown))
        if not isinstance(saw, Saw):
            raise nonsense()
        first_90k, last_90k = min(at for _, at in coded), max(at for _, at in coded)
        changes: list[Change] = []
        for at_90k, row in saw.pictures:
            if not first_90k - _HELD_90K <= at_90k <= last_90k:
                continue  # the decoder held it back since before a gap
            seen = Seen(*row)
            self._at_s = at_90k / TICKS_PER_S
            changes += self.judge.see(seen, self._at_s, hush=hush)
            self.now.seen = seen
            self.now.at_us = self._at_us + at_90k * 1_000_000 // TICKS_PER_S
        self.now.pictures += len(saw.pictures)
        self.now.failed += saw.failed
        self.now.cpu_us += max(0, saw.cpu_us)
        self.now.map, self.now.size = saw.map, saw.size
        self.now.on = self.judge.on
        found = self._pictured(ask, changes)
        if self.search is not None and saw.pictures:
            last = Seen(*saw.pictures[-1][1])
            moving = last.moving > 0 and not hush
            sightings = self.search.looked(self._at_s, moving=moving, keys=keys)
            found += [self._found(one.change) for one in sightings]
            self.now.on += self.search.on
        return found

    def find(self, ask: Ask, labels: Sequence[str], now_s: float) -> tuple[list[Found], float]:
        """Search the picture last looked at for objects; returns also the CPU seconds that took.

        Raises:
            Damaged: ``sandbox.died``.
        """
        search = self.search
        if search is None:
            return [], 0.0
        search.asked_s = now_s
        classes = [n for n, label in enumerate(labels) if label in search.sought.classes]
        answer = ask(Find(self.number, search.sought.least_permille, classes))
        if not isinstance(answer, Things):
            raise nonsense()
        found = [self._sighted(ask, one) for one in search.see(answer.things, labels, self._at_s)]
        self.now.on = (*self.judge.on, *search.on)
        return found, max(0, answer.cpu_us) / 1e6

    def _sighted(self, ask: Ask, one: Sighting) -> Found:
        jpeg = self._picture(ask, one.box_permille) if one.box_permille else b""
        return self._found(one.change, jpeg, better=one.better)

    def _unsought(self) -> list[Found]:
        """End what objects there are."""
        ended = self.search.end(self._at_s) if self.search else []
        return [self._found(one.change) for one in ended]

    def _pictured(self, ask: Ask, changes: list[Change]) -> list[Found]:
        found: list[Found] = []
        jpeg = b""
        for change in changes:
            if change.what == "begin":
                jpeg = jpeg or self._picture(ask)
                self._best[change.zone] = (change.strength, 1)
            found.append(self._found(change, jpeg if change.what == "begin" else b""))
        seen = self.now.seen
        if seen is None or changes:
            return found
        for zone, strength in self.judge.strengths():
            before, count = self._best.get(zone, (strength, MOST_PICTURES))
            if count < MOST_PICTURES and strength >= _CLEARER * before:
                self._best[zone] = (strength, count + 1)
                better = Change("begin", "motion", zone, self._at_s, strength)
                found.append(self._found(better, self._picture(ask), better=True))
        return found

    def _picture(self, ask: Ask, box: tuple[int, int, int, int] | None = None) -> bytes:
        made = ask(Picture(self.number, THUMB_PX, box))
        if not isinstance(made, Made):
            raise nonsense()
        return made.data if made.data[:2] == b"\xff\xd8" else b""

    def keep(self, ask: Ask, now_s: float) -> None:
        """Have what was learned, for the next sandbox."""
        made = ask(Keep(self.number))
        if isinstance(made, Made):
            self.memory, self._kept_s = made.data, now_s

    def accept(self, ask: Ask) -> list[Found]:
        """How it looks now is right."""
        self.memory = b""
        if self._told:
            ask(Forget(self.number))
        return [self._found(change) for change in self.judge.accept(self._at_s)]

    def end(self) -> list[Found]:
        """Look no more: what goes on is ended."""
        return [self._found(change) for change in self.judge.end(self._at_s)] + self._unsought()

    def _found(self, change: Change, jpeg: bytes = b"", *, better: bool = False) -> Found:
        at_us = self._at_us + round(change.at_s * 1e6)
        return Found(self.aim.camera, change, at_us, jpeg, better)


def _by_config(parts: Sequence[Part]) -> list[list[Part]]:
    """Return parts in groups of the same configuration."""
    groups: list[list[Part]] = []
    for part in parts:
        if groups and groups[-1][-1].config is part.config:
            groups[-1].append(part)
        else:
            groups.append([part])
    return groups
