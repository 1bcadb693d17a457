"""Commands to heads: asks the arbiter, tells the bus, keeps the status, audits all of it.

Everything here runs in the event loop's thread; buses report from theirs through `post`.
"""

import asyncio
import contextlib
import dataclasses
import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol

from nvr.base.clock import Clock
from nvr.base.errors import Rejected, Unavailable
from nvr.media.ports import HeadFunction, Holder, Operator, Position, PtzStatus
from nvr.ptz.arbiter import Arbiter
from nvr.ptz.bus import BusEvent
from nvr.ptz.line import Aux, Dialect, Line
from nvr.ptz.preset import NAME_MAX, PresetBook
from nvr.ptz.schedule import NEUTRAL, Motion

Audit = Callable[[str, Operator, str, str], None]
"""``audit(action, who, camera, detail)``; told before something begins, and may refuse it by
raising: nothing moves without a record. A stop is told after it was sent, and is never refused."""

PRIORITIES = {"admin": 30, "operator": 20, "tour": 0}
_TICK_S = 0.2
_REFUSED_EVERY_S = 10.0


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
    """

    camera: str
    bus: Line
    head: Dialect
    outputs: Mapping[str, str | Aux] = field(default_factory=dict)


@dataclass(slots=True)
class _Camera:
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


def priority(who: Operator) -> int:
    """Return the priority of an operator by role; unknown roles are below people."""
    return PRIORITIES.get(who.role, 10)


class Controller:
    """All heads of the box. See `nvr.media.ports.Ptz`.

    Args:
        mounts: The cameras that have a head; their heads are put on their buses here.
        switches: Outputs of the board.
        presets: Names of presets.
        clock: Time source.
        audit: Told of every action and of every refusal.
        save: Runs a blocking call elsewhere, for the preset file.
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
    ) -> None:
        self._clock = clock
        self._switches = switches
        self._presets = presets
        self._audit = audit
        self._save = save
        self._listeners: dict[object, Callable[[PtzStatus], None]] = {}
        self._cameras: dict[str, _Camera] = {}
        self._mounted = asyncio.Event()
        self.left: Callable[[Operator], None] = lambda _: None
        """Told who has gone."""
        for mount in mounts:
            self.mount(mount)

    def mount(self, mount: Mount) -> None:
        """Give a camera a head, in place of the one it has; both are told to stop."""
        self.unmount(mount.camera)
        mount.bus.add(mount.camera, mount.head.encode, mount.head.asked)
        for name, place in mount.outputs.items():
            auxiliary = mount.head.auxiliary(place) if isinstance(place, Aux) else None
            if auxiliary is not None:
                mount.bus.add_auxiliary(mount.camera, name, auxiliary)
        arbiter = Arbiter(mount.camera, priority, self._wall_us)
        self._cameras[mount.camera] = _Camera(mount, arbiter)
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

    def keeps(self, camera: str, presets: Mapping[int, str]) -> None:
        """Take over presets that a camera keeps itself; what people called one stays."""
        known = {one.number for one in self._presets.of(camera)}
        new = {number: name for number, name in presets.items() if number not in known}
        for number, name in new.items():
            self._presets.put(camera, number, name[:NAME_MAX])
        if new:
            names = self._presets.snapshot()
            self._save(lambda: self._presets.save(names))
        if found := self._cameras.get(camera):
            self._publish(found)

    def cameras(self) -> tuple[str, ...]:  # noqa: D102 - see Ptz
        return tuple(self._cameras)

    def move(  # noqa: D102 - see Ptz
        self,
        camera: str,
        who: Operator,
        pan: float,
        tilt: float,
        zoom: float,
        lease_s: float = 0.5,
    ) -> None:
        it = self._find(camera)
        if not all(math.isfinite(v) and -1 <= v <= 1 for v in (pan, tilt, zoom)):
            raise Rejected("ptz.range", "speeds are from -1 to 1", camera=camera)
        self._drive(it, who, "drive", {"pan": pan, "tilt": tilt, "zoom": zoom}, lease_s)

    def lens(  # noqa: D102 - see Ptz
        self, camera: str, who: Operator, focus: int, iris: int, lease_s: float = 0.5
    ) -> None:
        it = self._find(camera)
        if focus not in {-1, 0, 1} or iris not in {-1, 0, 1}:
            raise Rejected("ptz.range", "focus and iris are -1, 0 or 1", camera=camera)
        self._drive(it, who, "lens", {"focus": focus, "iris": iris}, lease_s)

    def stop(self, camera: str, who: Operator) -> None:  # noqa: D102 - see Ptz
        self._stop([self._find(camera)], who)

    def stop_all(self, who: Operator) -> None:  # noqa: D102 - see Ptz
        self._stop(self._cameras.values(), who)

    def take(self, camera: str, who: Operator) -> None:  # noqa: D102 - see Ptz
        it = self._find(camera)
        moving = it.arbiter.moving
        with self._refusals(it, who):
            lost = it.arbiter.take(who, self._clock.monotonic_s())
        if lost is not None and moving:
            self._halt(it)
        self._audit("ptz.take", who, camera, f"from {lost.name}" if lost else "")
        self._publish(it)

    def release(self, camera: str, who: Operator) -> None:  # noqa: D102 - see Ptz
        it = self._find(camera)
        held = it.arbiter.holder == who
        if it.arbiter.release(who, self._clock.monotonic_s()):
            self._halt(it)
        if held:
            self._audit("ptz.release", who, camera, "")
            self._publish(it)

    def gone(self, who: Operator) -> None:  # noqa: D102 - see Ptz
        for camera, it in self._cameras.items():
            held = it.arbiter.holder == who
            if it.arbiter.gone(who, self._clock.monotonic_s()):
                self._halt(it)
                self._audit("ptz.stop", who, camera, "its connection closed while moving")
            it.refused = {key: at for key, at in it.refused.items() if key[0] != who}
            if held:
                self._publish(it)
        self.left(who)

    def preset(  # noqa: D102 - see Ptz
        self,
        camera: str,
        who: Operator,
        do: Literal["call", "set", "clear"],
        number: int,
        name: str = "",
    ) -> None:
        it = self._find(camera)
        most = it.mount.head.presets_max
        if not 1 <= number <= most or len(name) > NAME_MAX:
            raise Rejected(
                "ptz.range", f"presets are 1 to {most}, names up to 32 characters", camera=camera
            )
        if number in it.mount.head.reserved:
            what, what_zh = it.mount.head.reserved[number]
            said = f"preset {number} is reserved on this head: {what}"
            raise Rejected(
                "ptz.reserved", said, camera=camera, number=number, what=what, what_zh=what_zh
            )
        if do != "set" and not self._presets.has(camera, number):
            raise Rejected("ptz.unknown_preset", f"preset {number} is not stored", camera=camera)
        moving = it.arbiter.moving
        with self._refusals(it, who):
            it.arbiter.act(who, self._clock.monotonic_s())
        if moving:
            self._halt(it)
        self._audit(f"ptz.preset_{do}", who, camera, f"{number} {name}".strip())
        it.mount.bus.command(camera, it.mount.head.preset(do, number), moves=do == "call")
        if do == "set":
            self._presets.put(camera, number, name)
        elif do == "clear":
            self._presets.drop(camera, number)
        if do != "call":
            names = self._presets.snapshot()
            self._save(lambda: self._presets.save(names))
        self._publish(it)

    def functions(self, camera: str) -> tuple[HeadFunction, ...]:  # noqa: D102 - see Ptz
        return self._find(camera).mount.head.functions

    def perform(self, camera: str, who: Operator, function: str) -> None:  # noqa: D102 - see Ptz
        it = self._find(camera)
        deed = it.mount.head.perform(function)
        if deed is None:
            raise Rejected(
                "ptz.unknown_function", f"this head has no function {function}", camera=camera
            )
        moving = it.arbiter.moving
        with self._refusals(it, who):
            it.arbiter.act(who, self._clock.monotonic_s())
        if moving:
            self._halt(it)
        self._audit("ptz.function", who, camera, function)
        it.mount.bus.command(camera, deed.data, moves=deed.moves)
        it.running |= any(one.runs for one in it.mount.head.functions if one.name == function)
        self._publish(it)

    def output(self, camera: str, who: Operator, name: str, on: bool) -> None:  # noqa: D102 - see Ptz
        it = self._find(camera)
        place = it.mount.outputs.get(name)
        if place is None:
            raise Rejected("ptz.unknown_output", f"there is no {name}", camera=camera)
        if on:
            with self._refusals(it, who):
                it.arbiter.allow_switch(who, self._clock.monotonic_s())
            self._audit("ptz.output", who, camera, f"{name} on")
        if isinstance(place, Aux):
            it.mount.bus.switch(camera, name, on)
        else:
            self._switches.set(place, on)
        if not on:
            self._audit("ptz.output", who, camera, f"{name} off")
        self._publish(it)

    def status(self, camera: str) -> PtzStatus:  # noqa: D102 - see Ptz
        return self._status(self._find(camera))

    def subscribe(self, callback: Callable[[PtzStatus], None]) -> Callable[[], None]:  # noqa: D102 - see Ptz
        key = object()
        self._listeners[key] = callback

        def end() -> None:
            self._listeners.pop(key, None)

        return end

    async def run(self) -> None:
        """Publish what changes by itself: idle owners, outputs that their limit cut."""
        while True:
            if not self._cameras:  # nothing has to wake up on a board without heads
                self._mounted.clear()
                await self._mounted.wait()
            self.tick()
            await asyncio.sleep(_TICK_S)

    def tick(self) -> None:
        """Let time act on ownership, and publish what changed."""
        now_s = self._clock.monotonic_s()
        for it in self._cameras.values():
            self._expire(it, now_s)
            self._publish(it)

    def bus_event(self, told: BusEvent) -> None:
        """Take what a bus did by itself; called in the event loop's thread."""
        if not told.head:
            for it in self._cameras.values():
                self._publish(it)
            return
        found = self._cameras.get(told.head)
        if found is None:
            return  # it has left
        it = found
        if told.kind == "stopped":
            if told.asked_s >= it.stop_asked_s:
                it.stop_sent_ms = round((told.at_s - told.asked_s) * 1000, 1)
        elif told.kind == "pointed":
            it.position = told.position
        elif told.kind in {"lapsed", "cut"}:
            if it.arbiter.moving and it.arbiter.began_s <= told.at_s:
                self._dead_man(it, it.arbiter.stopped(told.at_s, by_neutral=True), told.kind)
            it.mount.bus.unbar(told.head)
        self._publish(it)

    def _drive(
        self,
        it: _Camera,
        who: Operator,
        axes: Literal["drive", "lens"],
        speeds: Mapping[str, Any],
        lease_s: float,
    ) -> None:
        camera, now_s = it.mount.camera, self._clock.monotonic_s()
        if not any(speeds.values()):
            if it.arbiter.neutral(who, axes, now_s):
                it.motion = dataclasses.replace(it.motion, **speeds)
                if it.arbiter.moving:
                    it.mount.bus.move(camera, it.motion, it.arbiter.lease_until_s())
                else:
                    self._halt(it)
                    self._audit("ptz.stop", who, camera, "neutral")
            self._publish(it)
            return
        was_moving, before = it.arbiter.moving, it.arbiter.holder
        with self._refusals(it, who):
            lost = it.arbiter.move(who, axes, lease_s, now_s)
        if lost is not None or before != who:
            it.motion = NEUTRAL  # its axes are not ours to keep moving
        it.motion = dataclasses.replace(it.motion, **speeds)
        try:
            if not was_moving or before != who:
                self._audit("ptz.move", who, camera, f"from {lost.name}" if lost else "")
            it.mount.bus.move(camera, it.motion, it.arbiter.lease_until_s())
        except BaseException:
            self._halt(it)
            it.arbiter.stopped(now_s)
            raise
        self._publish(it)

    def _halt(self, it: _Camera) -> None:
        it.motion = NEUTRAL
        it.stop_asked_s = self._clock.monotonic_s()
        it.stop_sent_ms = None
        it.mount.bus.stop(it.mount.camera)
        if it.running:
            it.running = False
            self._end(it)

    def _end(self, it: _Camera) -> None:
        """Have the head end what it does by itself; it has been told to stop."""
        deed = it.mount.head.end()
        if deed is not None:
            with contextlib.suppress(Rejected, Unavailable):  # nobody is refused a stop
                it.mount.bus.command(it.mount.camera, deed.data, moves=False)

    def _stop(self, cameras: Iterable[_Camera], who: Operator) -> None:
        stopped = list(cameras)
        for it in stopped:  # all of them before the first word to the audit log
            self._halt(it)
            it.arbiter.stopped(self._clock.monotonic_s())
        for it in stopped:
            self._audit("ptz.stop", who, it.mount.camera, "")
            self._publish(it)

    def _expire(self, it: _Camera, now_s: float) -> None:
        # The bus ends a lapsed motion by itself, at the same moment and whatever holds up this
        # thread; stopping it once more costs a frame.
        mover = it.arbiter.expire(now_s)
        if mover is not None:
            self._halt(it)
            self._dead_man(it, mover, "lapsed")

    def _dead_man(self, it: _Camera, mover: Operator | None, why: str) -> None:
        it.motion = NEUTRAL
        if mover is not None:
            self._audit("ptz.dead_man", mover, it.mount.camera, why)

    def _find(self, camera: str) -> _Camera:
        it = self._cameras.get(camera)
        if it is None:
            raise Rejected("ptz.unknown_camera", "this camera has no head", camera=camera)
        self._expire(it, self._clock.monotonic_s())
        return it

    def _refusals(self, it: _Camera, who: Operator) -> "_Refusals":
        return _Refusals(self._clock, self._audit, it, who)

    def _status(self, it: _Camera) -> PtzStatus:
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
        )

    def _is_on(self, it: _Camera, name: str) -> bool:
        place = it.mount.outputs[name]
        if isinstance(place, Aux):
            return it.mount.bus.lit(it.mount.camera, name)
        return self._switches.get(place)

    def _publish(self, it: _Camera) -> None:
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


class _Refusals:
    """Audits a refusal, at most once in ten seconds for each operator and reason."""

    def __init__(self, clock: Clock, audit: Audit, it: _Camera, who: Operator) -> None:
        self._clock = clock
        self._audit = audit
        self._it = it
        self._who = who

    def __enter__(self) -> None:
        pass

    def __exit__(self, _kind: object, err: BaseException | None, _trace: object) -> None:
        if isinstance(err, Rejected):
            now_s = self._clock.monotonic_s()
            key = (self._who, err.code)
            if now_s - self._it.refused.get(key, -math.inf) >= _REFUSED_EVERY_S:
                self._it.refused[key] = now_s
                self._audit("ptz.refused", self._who, self._it.mount.camera, err.code)
