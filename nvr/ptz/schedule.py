"""What goes out next on one bus: pure decisions, time is an argument.

Order of precedence: first STOPs in the order they were asked for, then what the whole line is told,
then second STOPs, then what is on and shall be off, then the oldest of what else waits (a changed
motion, a command, an auxiliary to be switched, a motion to be repeated). What shall be off waits
for the STOPs of each head once: a stick that is let go again and again never runs out of them.

Frames start at least `pace_s` apart, with two exceptions, for hands and for safety: a first STOP
waits for no gap but that after another STOP, and a changed motion not for the answer to a query.
Both are told again after the gap, should a slow decoder or an answer on the wire have swallowed
them. A head keeps one motion, the newest; a head's STOP is never replaced by the motion that
follows it, and nothing that moves a head survives its STOP.
"""

from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Literal

COMMANDS_MAX = 16
TRAVEL_S = 20.0
"""A head that was sent somewhere may move for so long: half a turn at 9 degrees a second."""
TURN_S = 0.005
"""For a head to leave a two-wire line after its answer: five bytes at 9600 baud."""


@dataclass(frozen=True, slots=True)
class Motion:
    """Speeds of all axes of a head, -1 to 1; focus and iris know only -1, 0, 1.

    Attributes:
        pan: Negative left.
        tilt: Negative down.
        zoom: Negative wide.
        focus: Negative near.
        iris: Negative close.
    """

    pan: float = 0.0
    tilt: float = 0.0
    zoom: float = 0.0
    focus: int = 0
    iris: int = 0


NEUTRAL = Motion()


@dataclass(frozen=True, slots=True)
class Order:
    """One frame to be written now.

    Attributes:
        head: Whom it is for, empty for the whole line.
        data: The frame.
        kind: Why it is sent; ``on`` and ``off`` switch an auxiliary.
        asked_s: When the first of the commands it carries out came in.
    """

    head: str
    data: bytes
    kind: Literal["stop", "motion", "command", "on", "off"]
    asked_s: float


@dataclass(frozen=True, slots=True)
class Auxiliary:
    """An output of a head, switched over its line. Off is its safe state.

    Attributes:
        on: Frame that switches it on.
        off: Frame that switches it off.
        max_on_s: Longest time on; switching on again while on does not extend it.
    """

    on: bytes
    off: bytes
    max_on_s: float


@dataclass(slots=True)
class _Switch:
    auxiliary: Auxiliary
    wanted: bool = False
    left: int = 0  # how often it is yet to be told
    asked_s: float = 0.0
    off_at_s: float = float("inf")
    lit: bool = False  # what it was told last


@dataclass(slots=True)
class _Head:
    encode: Callable[[Motion], bytes]
    stop: bytes
    frame: bytes = b""  # of the wanted motion; empty: none
    until_s: float = 0.0
    changed_s: float = 0.0
    sent: bytes = b""
    sent_s: float = 0.0
    stops_left: int = 0
    stop_asked_s: float = 0.0
    stopped_s: float = float("-inf")  # when it was told a STOP last
    travels_until_s: float = 0.0  # it moves by itself, to where a command sends it; 0: it does not
    barred: bool = False


@dataclass(frozen=True, slots=True)
class _Command:
    head: str
    data: bytes
    moves: bool
    asked_s: float = field(default=0.0)


class Schedule:
    """The heads of one bus and what each is yet to be told.

    Args:
        pace_s: From the start of one frame to the start of the next, at least.
        repeat_s: A motion is repeated this often: decoders stop by themselves after 15 s, some
            clones sooner, and a frame lost to noise must not leave the old motion on.
        byte_s: Time of a byte on the wire: what is longer than the pace takes longer.
    """

    def __init__(self, pace_s: float, repeat_s: float = 2.0, byte_s: float = 0.0) -> None:
        self._heads: dict[str, _Head] = {}
        self._switches: dict[tuple[str, str], _Switch] = {}
        self._leaving: set[str] = set()
        self._left = 0
        self._commands: deque[_Command] = deque()  # full: the newest is refused
        self._greeting: deque[bytes] = deque()
        self._pace_s = pace_s
        self._repeat_s = repeat_s
        self._byte_s = byte_s
        self._free_s = 0.0
        self._holder: Literal["stop", "query", "other"] = "other"  # of the line, until it is free

    def add(self, head: str, encode: Callable[[Motion], bytes]) -> None:
        """Add a head whose frames `encode` makes; it may be one that is just leaving."""
        stop = encode(NEUTRAL)
        for one in [one for one in self._leaving if self._heads[one].stop == stop]:
            self._heads[one].stops_left = 0  # what it is yet to be told would end newer motions
        self._heads[head] = _Head(encode, stop)

    def add_auxiliary(self, head: str, name: str, auxiliary: Auxiliary) -> None:
        """Add an auxiliary output of a head that was added."""
        fresh = _Switch(auxiliary)
        for (of, _), it in self._switches.items():
            if of in self._leaving and it.auxiliary.off == auxiliary.off:
                it.left, fresh.lit = 0, it.lit
        self._switches[head, name] = fresh

    def leave(self, head: str, now_s: float) -> None:
        """Stop a head and switch it off, then forget it; its name is free at once."""
        self._left += 1
        spare = f"{head} that left {self._left}"
        self.stop(head, now_s)
        self._heads[spare] = self._heads.pop(head)
        for of, name in [key for key in self._switches if key[0] == head]:
            self._switches[spare, name] = self._switches.pop((of, name))
            self.switch(spare, name, False, now_s)
        self._leaving.add(spare)

    def switch(self, head: str, name: str, on: bool, now_s: float) -> None:
        """Tell an auxiliary, twice: a frame lost to noise must not leave it on."""
        it = self._switches[head, name]
        if on and not it.wanted and not it.lit:  # until it was told off it has been on all along
            it.off_at_s = now_s + it.auxiliary.max_on_s
        if not it.left or on != it.wanted:
            it.asked_s = now_s
        it.wanted, it.left = on, 2

    def lit(self, head: str, name: str) -> bool:
        """Whether an auxiliary was last told to be on."""
        return self._switches[head, name].lit

    def expire_auxiliaries(self, now_s: float) -> list[tuple[str, str]]:
        """Switch off what was on for its longest time, and name it: head and auxiliary."""
        over = [key for key, it in self._switches.items() if it.wanted and now_s >= it.off_at_s]
        for head, name in over:
            self.switch(head, name, False, now_s)
        return over

    def move(self, head: str, motion: Motion, until_s: float, now_s: float) -> None:
        """Want `motion` until `until_s`; newest wins. Neutral is told like a STOP, once.

        A head that we stopped by ourselves takes no motion until `unbar`: whoever commands may
        not know yet.
        """
        it = self._heads[head]
        frame = it.encode(motion)
        if frame == it.stop:
            if it.frame:
                self.stop(head, now_s)
            return
        if it.barred:
            return
        if frame != it.frame:
            if not it.frame or it.frame == it.sent:
                it.changed_s = now_s
            it.frame = frame
        if it.stops_left == 1:  # told once; the second STOP would end this newer motion
            it.stops_left = 0
        it.until_s = until_s

    def stop(self, head: str, now_s: float) -> None:
        """Tell `head` to stop, twice, before anything else; forget what would move it."""
        it = self._heads[head]
        it.frame, it.travels_until_s = b"", 0.0
        if it.stops_left != 2:
            it.stops_left = 2
            it.stop_asked_s = now_s
        self._commands = deque(c for c in self._commands if c.head != head or not c.moves)

    def command(self, head: str, data: bytes, now_s: float, *, moves: bool) -> bool:
        """Send `data` once; False if too much waits already. A STOP drops what `moves`."""
        if len(self._commands) >= COMMANDS_MAX:
            return False
        self._commands.append(_Command(head, data, moves, now_s))
        if moves:
            self._heads[head].travels_until_s = float("inf")  # from when it is sent
        return True

    def expire(self, now_s: float) -> list[str]:
        """Stop every head whose lease lapsed, and name them."""
        for it in self._heads.values():
            if now_s >= it.travels_until_s:
                it.travels_until_s = 0.0
        lapsed = [name for name, it in self._heads.items() if it.frame and now_s >= it.until_s]
        for name in lapsed:
            self.stop(name, now_s)
            self._heads[name].barred = True
        return lapsed

    def cut(self, now_s: float) -> list[str]:
        """Stop and bar every head, switch off what is on; name the heads that were moving."""
        moving = self.moving()
        for (head, name), switch in self._switches.items():
            if switch.wanted or switch.left or switch.lit:
                self.switch(head, name, False, now_s)
        for name, it in self._heads.items():
            self.stop(name, now_s)
            it.barred = name in moving or it.barred
        return moving

    def begin(self, now_s: float) -> None:
        """Stop every head and switch everything off: nobody knows what they were told before."""
        self.cut(now_s)
        for head, name in self._switches:
            self.switch(head, name, False, now_s)

    def greet(self, frames: Iterable[bytes]) -> None:
        """Tell the line as a whole something, between first and second STOPs."""
        self._greeting = deque(frames)

    def unbar(self, head: str) -> None:
        """Accept motions again: whoever commanded `head` knows that it was stopped."""
        self._heads[head].barred = False

    def moving(self) -> list[str]:
        """Heads that are wanted to move."""
        return [name for name, it in self._heads.items() if it.frame]

    def at_stake(self) -> list[bytes]:
        """STOP frames of the heads that may be moving on the wire's other end."""
        return [
            it.stop
            for it in self._heads.values()
            if it.frame or it.stops_left or it.travels_until_s
        ]

    def on_at_stake(self) -> list[bytes]:
        """Frames that switch off the auxiliaries that may be on at the wire's other end."""
        return [it.auxiliary.off for it in self._switches.values() if it.wanted or it.left]

    def wanted_on(self) -> list[tuple[str, str]]:
        """Auxiliaries that are wanted on: head and auxiliary."""
        return [key for key, it in self._switches.items() if it.wanted]

    def next(self, now_s: float) -> Order | None:
        """Take the frame that goes out now; None if none is due or the gap is not over."""
        if self._leaving:
            self._forget_the_gone()
        if now_s >= self._free_s:
            order = self._greet(now_s) or self._stop(now_s, self._late_s()) or self._off(now_s)
            order = order or self._other(now_s)
        elif self._holder != "stop" and self._stopping():
            order = self._stop(now_s)
        elif self._holder == "query":
            order = self._interrupting(now_s)
        else:
            return None
        if order:
            self._free_s = now_s + max(self._pace_s, len(order.data) * self._byte_s)
            self._holder = "stop" if order.kind == "stop" else "other"
        return order

    def _forget_the_gone(self) -> None:
        told = {head for (head, _), it in self._switches.items() if it.left}
        for head in [one for one in self._leaving - told if not self._heads[one].stops_left]:
            self._leaving.discard(head)
            del self._heads[head]
            self._switches = {key: it for key, it in self._switches.items() if key[0] != head}

    def idle_at_s(self) -> float:
        """From when a query would be in nobody's way; infinity while anything moves or waits."""
        return float("inf") if self._due() else self._free_s

    def ask(self, now_s: float) -> None:
        """A query goes out now."""
        self._free_s, self._holder = now_s + self._pace_s, "query"

    def answered(self, now_s: float) -> None:
        """The query that holds the line was answered, which shows that it was taken."""
        if self._holder == "query":
            self._free_s, self._holder = min(self._free_s, now_s + TURN_S), "other"

    def wake_at_s(self) -> float:
        """When `next` or one of the two `expire` will have something to do; infinity if never."""
        over = [it.off_at_s for it in self._switches.values() if it.wanted]
        over += [it.travels_until_s for it in self._heads.values() if it.travels_until_s]
        return min(self._due() + over, default=float("inf"))

    def _due(self) -> list[float]:
        due = [it.until_s for it in self._heads.values() if it.frame]
        if self._stopping() and self._holder != "stop":
            due.append(0.0)
        if any(it.stops_left for it in self._heads.values()):
            due.append(self._free_s)
        if self._changes():
            due.append(0.0 if self._holder == "query" else self._free_s)
        if self._greeting or self._commands or any(it.left for it in self._switches.values()):
            due.append(self._free_s)
        due += [
            max(self._free_s, it.sent_s + self._repeat_s) for it in self._heads.values() if it.frame
        ]
        return due

    def _stopping(self) -> bool:
        return any(it.stops_left == 2 for it in self._heads.values())

    def _stop(self, now_s: float, late_s: float = float("inf")) -> Order | None:
        """Take a STOP; a first one only of a head that was told none since `late_s`.

        Another one goes right behind what shall be off, so nothing comes between the two.
        """
        heads = self._heads.items()
        asked = [(it.stop_asked_s, name) for name, it in heads if it.stops_left == 2]
        first = [one for one in asked if self._heads[one[1]].stopped_s < late_s]
        second = [] if asked else [(it.sent_s, name) for name, it in heads if it.stops_left == 1]
        if not first and not second:
            return None
        name = min(first or second)[1]
        it = self._heads[name]
        it.stops_left = 0 if it.frame else it.stops_left - 1
        it.sent, it.sent_s, it.stopped_s = it.stop, now_s, now_s
        return Order(name, it.stop, "stop", it.stop_asked_s)

    def _greet(self, now_s: float) -> Order | None:
        if not self._greeting or self._stopping():
            return None
        return Order("", self._greeting.popleft(), "command", now_s)

    def _late(self) -> list[tuple[float, tuple[str, str]]]:
        """What is on and shall be off, and since when."""
        return [(it.asked_s, key) for key, it in self._switches.items() if it.lit and not it.wanted]

    def _late_s(self) -> float:
        return min((since_s for since_s, _ in self._late()), default=float("inf"))

    def _off(self, now_s: float) -> Order | None:
        late = self._late()
        return self._switched(min(late)[1], now_s) if late else None

    def _other(self, now_s: float) -> Order | None:
        waiting = self._changes() + [
            (it.sent_s + self._repeat_s, name)
            for name, it in self._heads.items()
            if it.frame and it.frame == it.sent and it.sent_s + self._repeat_s <= now_s
        ]
        oldest = min(waiting, default=None)
        switches = [(it.asked_s, key) for key, it in self._switches.items() if it.left]
        switch = min(switches, default=None)
        if (
            switch
            and (oldest is None or switch[0] <= oldest[0])
            and (not self._commands or switch[0] <= self._commands[0].asked_s)
        ):
            return self._switched(switch[1], now_s)
        if self._commands and (oldest is None or self._commands[0].asked_s <= oldest[0]):
            command = self._commands.popleft()
            if command.moves:
                self._heads[command.head].travels_until_s = now_s + TRAVEL_S
            return Order(command.head, command.data, "command", command.asked_s)
        if oldest is None:
            return None
        it = self._heads[oldest[1]]
        it.sent, it.sent_s = it.frame, now_s
        return Order(oldest[1], it.frame, "motion", oldest[0])

    def _switched(self, key: tuple[str, str], now_s: float) -> Order:
        it = self._switches[key]
        asked_s = it.asked_s
        it.left -= 1
        it.asked_s, it.lit = now_s, it.wanted
        if it.wanted:
            return Order(key[0], it.auxiliary.on, "on", asked_s)
        return Order(key[0], it.auxiliary.off, "off", asked_s)

    def _interrupting(self, now_s: float) -> Order | None:
        waiting = self._changes()
        if not waiting:
            return None
        asked_s, name = min(waiting)
        it = self._heads[name]
        it.sent, it.sent_s = it.frame, now_s + self._pace_s - self._repeat_s
        return Order(name, it.frame, "motion", asked_s)

    def _changes(self) -> list[tuple[float, str]]:
        """Heads whose wanted motion is not told yet, and since when."""
        heads = self._heads.items()
        return [(it.changed_s, name) for name, it in heads if it.frame and it.frame != it.sent]
