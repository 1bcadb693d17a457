"""The heads there are: what each is reached over, its owner and its state, as everybody is told.

Everything here runs in the event loop's thread.
"""

import asyncio
import contextlib
import dataclasses
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Protocol

from nvr.base.clock import Clock
from nvr.base.errors import Rejected, Unavailable
from nvr.media.ports import Holder, Operator, Position, PtzStatus
from nvr.media.program import AutoState
from nvr.ptz.arbiter import Arbiter
from nvr.ptz.keep import KeepBook
from nvr.ptz.line import Aux, Dialect, Line
from nvr.ptz.pilot import Hand, Seen
from nvr.ptz.preset import PresetBook
from nvr.ptz.priority import Ranks
from nvr.ptz.refusals import Refusals
from nvr.ptz.schedule import NEUTRAL, Motion
from nvr.ptz.sight import Angles

Audit = Callable[[str, Operator, str, str], None]
"""``audit(action, who, camera, detail)``; told before something begins, and may refuse it by
raising: nothing moves without a record. A stop is told after it was sent, and is never refused."""

Watch = Callable[[str, Operator, Seen, Motion], None]
"""Told of the camera, of who commanded, and what."""


class Switches(Protocol):
    """Outputs by their name on the board."""

    def set(self, name: str, on: bool) -> None:
        """Switch one. Raises `Unavailable` ``gpio.gone``."""
        ...

    def rest(self, name: str) -> None:
        """Let it go to its safe level."""
        ...

    def get(self, name: str) -> bool:
        """Whether it is on."""
        ...


@dataclass(frozen=True, slots=True)
class Mount:
    """How one camera's head is reached.

    Attributes:
        camera: Camera name.
        bus: What it is reached over.
        head: Its dialect.
        outputs: ``wiper``, ``lamp``: name of the output on the board, or the head's own.
        angles: What such a head sees, empty if nobody says.
    """

    camera: str
    bus: Line
    head: Dialect
    outputs: Mapping[str, str | Aux] = field(default_factory=dict)
    angles: Angles = ()


@dataclass(frozen=True, slots=True)
class Reach:
    """How a head can be made to look somewhere, beside being moved.

    Attributes:
        points: It goes to a position that it is told.
        glides: It goes by a share of what it sees.
        position: Where it points, None if it does not say.
        angles: What such a head sees, empty if nobody says.
    """

    points: bool
    glides: bool
    position: Position | None
    angles: Angles


@dataclass(slots=True)
class Mounted:
    """A head, and what is known of it."""

    mount: Mount
    arbiter: Arbiter
    motion: Motion = NEUTRAL
    stop_asked_s: float = 0.0
    stop_sent_ms: float | None = None
    refused: dict[tuple[Operator, str], float] = field(default_factory=dict)
    position: Position | None = None
    running: bool = False  # something that the head goes on with by itself
    published: PtzStatus | None = None
    since: tuple[float, int] = (-1.0, 0)


class Heads:
    """What `Controller` commands.

    Args:
        mounts: The cameras that have a head; their heads are put on their buses here.
        switches: Outputs of the board.
        presets: Names of presets.
        clock: Time source.
        audit: Told of every action and of every refusal.
        save: Runs a blocking call elsewhere, for the preset file.
        book: Keeps locks over a restart; None to keep none.
        ranks: Who ranks above whom.

    Attributes:
        watch: Told of every command that was accepted.
        auto: Returns what a head does by itself.
        how: Returns how it can be aimed by its picture.
        left: Told who has gone.
        sent: Told the camera, ``call``, ``set``, ``clear`` and of which preset, or ``move``.
    """

    def __init__(
        self,
        mounts: Iterable[Mount],
        *,
        switches: Switches,
        presets: PresetBook,
        clock: Clock,
        audit: Audit,
        save: Callable[[Callable[[], None]], None],
        book: KeepBook | None = None,
        ranks: Ranks | None = None,
    ) -> None:
        self.watch: Watch = lambda _camera, _who, _what, _motion: None
        self.auto: Callable[[str], AutoState | None] = lambda _: None
        self.sent: Callable[[str, str, int], None] = lambda _camera, _do, _preset: None
        self.left: Callable[[Operator], None] = lambda _: None
        self.how: Callable[[str], str] = lambda _: ""
        self._book = book
        self._ranks = ranks or Ranks()
        self._clock = clock
        self._switches = switches
        self._presets = presets
        self._audit = audit
        self._save = save
        self._listeners: dict[object, Callable[[PtzStatus], None]] = {}
        self._cameras: dict[str, Mounted] = {}
        self._mounted = asyncio.Event()
        for mount in mounts:
            self.mount(mount)

    def mount(self, mount: Mount) -> None:
        """Give a camera a head, in place of the one it has; both are told to stop."""
        self.unmount(mount.camera)
        head = mount.head
        mount.bus.add(mount.camera, head.encode, head.asked, head.chain)
        for name, place in mount.outputs.items():
            auxiliary = mount.head.auxiliary(place) if isinstance(place, Aux) else None
            if auxiliary is not None:
                mount.bus.add_auxiliary(mount.camera, name, auxiliary)
        arbiter = Arbiter(mount.camera, self._ranks.of, self._wall_us)
        self._relock(arbiter, mount.camera)
        self._cameras[mount.camera] = Mounted(mount, arbiter)
        self._mounted.set()
        self._publish(self._cameras[mount.camera])

    def unmount(self, camera: str) -> None:
        """Take a camera's head away: it is stopped, its outputs go to rest. No effect without."""
        it = self._cameras.pop(camera, None)
        if it is None:
            return
        it.mount.bus.leave(camera)
        for place in it.mount.outputs.values():
            if isinstance(place, str):
                self._switches.rest(place)

    def cameras(self) -> tuple[str, ...]:  # noqa: D102 - see Ptz
        return tuple(self._cameras)

    def status(self, camera: str) -> PtzStatus:  # noqa: D102 - see Ptz
        return self._status(self._find(camera))

    def subscribe(self, callback: Callable[[PtzStatus], None]) -> Callable[[], None]:  # noqa: D102 - see Ptz
        key = object()
        self._listeners[key] = callback

        def end() -> None:
            self._listeners.pop(key, None)

        return end

    def hand(self, camera: str) -> Hand:
        """Return who has a head. See `nvr.ptz.pilot.Heads`."""
        it = self._find(camera)
        return Hand(it.arbiter.holder, it.arbiter.lock is not None, it.position)

    def reach(self, camera: str) -> Reach:
        """Return how a head can be made to look somewhere. Raises `Rejected`."""
        it = self._find(camera)
        points = bool(it.mount.head.point(Position(0.0, 0.0, 0.0)))
        return Reach(points, it.mount.bus.glides, it.position, it.mount.angles)

    def refresh(self, camera: str) -> None:
        """Tell everybody what has changed of a head; no effect without one."""
        if it := self._cameras.get(camera):
            self._publish(it)

    def _halt(self, it: Mounted) -> None:
        it.motion = NEUTRAL
        it.stop_asked_s = self._clock.monotonic_s()
        it.stop_sent_ms = None
        it.mount.bus.stop(it.mount.camera)
        if it.running:
            it.running = False
            self._end(it)
        self.sent(it.mount.camera, "move", 0)

    def _end(self, it: Mounted) -> None:
        """Have the head end what it does by itself; it has been told to stop."""
        deed = it.mount.head.end()
        if deed is not None:
            with contextlib.suppress(Rejected, Unavailable):  # nobody is refused a stop
                it.mount.bus.command(it.mount.camera, deed.data, moves=False)

    def _relock(self, arbiter: Arbiter, camera: str) -> None:
        """Put a lock in force that was set before a restart, or before the head was changed."""
        if self._book is None or (lock := self._book.of(camera).lock) is None:
            return
        # The clock may have been set since; a lock is never longer than it was when it was set.
        left_us = min(lock.until_us - self._clock.wall_us(), lock.until_us - lock.since_us)
        if left_us > 0:
            until_s = self._clock.monotonic_s() + left_us / 1e6
            arbiter.restore_lock(lock, self._book.of(camera).level, until_s)

    def _keep_lock(self, it: Mounted, level: int = 0) -> None:
        if self._book is not None:
            self._book.change(it.mount.camera, lock=it.arbiter.lock, level=level)

    def _expire(self, it: Mounted, now_s: float) -> None:
        if (lock := it.arbiter.lock_lapsed(now_s)) is not None:
            self._keep_lock(it)
            who = Operator(lock.name, lock.role, "")
            self._audit("ptz.unlock", who, it.mount.camera, "its time is over")
        # The bus ends a lapsed motion by itself, at the same moment and whatever holds up this
        # thread; stopping it once more costs a frame.
        mover = it.arbiter.expire(now_s)
        if mover is not None:
            self._halt(it)
            self._dead_man(it, mover, "lapsed")

    def _dead_man(self, it: Mounted, mover: Operator | None, why: str) -> None:
        it.motion = NEUTRAL
        if mover is not None:
            self._audit("ptz.dead_man", mover, it.mount.camera, why)

    def _find(self, camera: str) -> Mounted:
        it = self._cameras.get(camera)
        if it is None:
            raise Rejected("ptz.unknown_camera", "this camera has no head", camera=camera)
        self._expire(it, self._clock.monotonic_s())
        return it

    def _refusals(self, it: Mounted, who: Operator) -> Refusals:
        return Refusals(self._clock, self._audit, it.mount.camera, it.refused, who)

    def _status(self, it: Mounted) -> PtzStatus:
        arbiter, holder = it.arbiter, None
        if arbiter.holder is not None:
            if it.since[0] != arbiter.since_s:
                it.since = (arbiter.since_s, self._wall_us(arbiter.since_s))
            holder = Holder(
                arbiter.holder,
                it.since[1],
                self._wall_us(arbiter.until_s),
                arbiter.taken,
            )
        return PtzStatus(
            camera=it.mount.camera,
            online=it.mount.bus.online,
            holder=holder,
            moving=arbiter.moving,
            rearm=arbiter.holder is not None and arbiter.must_let_go(arbiter.holder),
            position=it.position,
            outputs=tuple((name, self._is_on(it, name)) for name in it.mount.outputs),
            presets=self._presets.of(it.mount.camera),
            stop_sent_ms=it.stop_sent_ms,
            lock=arbiter.lock,
            asked=arbiter.asked(self._clock.monotonic_s()),
            auto=self.auto(it.mount.camera),
            aim=self.how(it.mount.camera),
        )

    def _is_on(self, it: Mounted, name: str) -> bool:
        place = it.mount.outputs[name]
        if isinstance(place, Aux):
            return it.mount.bus.lit(it.mount.camera, name)
        return self._switches.get(place)

    def _publish(self, it: Mounted) -> None:
        status = self._status(it)
        if it.published is not None and _same(it.published, status):
            return
        it.published = status
        for callback in list(self._listeners.values()):
            callback(status)

    def _wall_us(self, at_s: float) -> int:
        return self._clock.wall_us() + round((at_s - self._clock.monotonic_s()) * 1e6)


def _same(one: PtzStatus, other: PtzStatus) -> bool:
    """Whether nobody needs to be told: the end of an ownership moves with every renewal."""

    def lasting(status: PtzStatus) -> PtzStatus:
        holder = status.holder and dataclasses.replace(status.holder, until_us=0)
        return dataclasses.replace(status, holder=holder)

    return lasting(one) == lasting(other)
