"""Commands to heads: asks the arbiter, tells the bus, keeps the status, audits all of it.

Everything here runs in the event loop's thread; buses report from theirs through `post`.
"""

import asyncio
import dataclasses
import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Literal

from nvr.base.errors import Rejected
from nvr.media.ports import HeadFunction, Operator, Position
from nvr.media.program import AUTOMATIC
from nvr.ptz.bus import BusEvent
from nvr.ptz.heads import Heads, Mounted
from nvr.ptz.line import Aux, Glide
from nvr.ptz.preset import NAME_MAX
from nvr.ptz.schedule import NEUTRAL

LOCK_MAX_S = 12 * 3600.0
HOLD_MAX_S = 3600.0
REASON_MAX = 100
_TICK_S = 0.2


class Controller(Heads):
    """All heads of the box. See `nvr.media.ports.Ptz` and, for the arguments, `Heads`."""

    lock_max_s = LOCK_MAX_S

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
        try:
            with self._refusals(it, who):
                lost = it.arbiter.take(who, self._clock.monotonic_s())
        finally:
            self._publish(it)  # who has it is told that it was asked for
        # Whatever runs by itself may be on its way to a preset, without a lease.
        if lost is not None and (moving or lost.role in AUTOMATIC):
            self._halt(it)
        self._audit("ptz.take", who, camera, f"from {lost.name}" if lost else "")
        self.watch(camera, who, "take", NEUTRAL)
        self._publish(it)

    def release(self, camera: str, who: Operator) -> None:  # noqa: D102 - see Ptz
        it = self._find(camera)
        held = it.arbiter.holder == who
        if it.arbiter.release(who, self._clock.monotonic_s()):
            self._halt(it)
        if held:
            self._audit("ptz.release", who, camera, "")
            self._publish(it)

    def lock(self, camera: str, who: Operator, lasts_s: float, reason: str) -> None:  # noqa: D102 - see Reserved
        it = self._find(camera)
        said = " ".join(reason.split())
        if not 60 <= lasts_s <= self.lock_max_s:  # also refuses NaN
            hours = f"{self.lock_max_s / 3600:g}"
            raise Rejected("ptz.lock_invalid", f"a lock lasts a minute to {hours} h", most_h=hours)
        if not said or len(said) > REASON_MAX:
            raise Rejected("ptz.lock_invalid", f"say why, in up to {REASON_MAX} characters")
        now_s = self._clock.monotonic_s()
        with self._refusals(it, who):
            it.arbiter.set_lock(who, said, lasts_s, now_s)
        self._halt(it)
        it.arbiter.stopped(now_s)
        self._keep_lock(it, self._ranks.of(who))
        self._audit("ptz.lock", who, camera, f"{lasts_s / 60:.0f} min: {said}")
        self.watch(camera, who, "take", NEUTRAL)
        self._publish(it)

    def unlock(self, camera: str, who: Operator) -> None:  # noqa: D102 - see Reserved
        it = self._find(camera)
        with self._refusals(it, who):
            lock = it.arbiter.unlock(who, self._clock.monotonic_s())
        if lock is None:
            return
        self._keep_lock(it)
        self._audit("ptz.unlock", who, camera, f"of {lock.name}: {lock.reason}")
        self.watch(camera, who, "take", NEUTRAL)
        self._publish(it)

    def call_up(  # noqa: D102 - see Reserved
        self, camera: str, preset: int, priority: int | None, hold_s: float, cause: str = "alarm"
    ) -> None:
        if not 0 <= hold_s <= HOLD_MAX_S:
            raise Rejected("ptz.range", f"an alarm holds a head up to {HOLD_MAX_S:g} s")
        who = Operator(cause, "alarm", f"event/{camera}", priority)
        it, number = self._find(camera), self._number(camera, preset)
        moving = it.arbiter.moving
        with self._refusals(it, who):
            it.arbiter.act(who, self._clock.monotonic_s(), hold_s)
        if moving:
            self._halt(it)
        self._audit("ptz.call_up", who, camera, f"{preset} for {hold_s:g} s")
        it.mount.bus.command(camera, it.mount.head.preset("call", number), moves=True)
        self.watch(camera, who, "call", NEUTRAL)
        self.sent(camera, "call", preset)
        self._publish(it)

    def arrange(self, camera: str, who: Operator, presets: Sequence[tuple[int, str, int]]) -> None:  # noqa: D102 - see Reserved
        it = self._find(camera)
        for number, name, device in presets:
            self._number(camera, number, device=device)
            if len(name) > NAME_MAX:
                raise Rejected("ptz.range", f"names of presets have up to {NAME_MAX} characters")
        named = {number: device or number for number, _, device in presets}
        others = {one.number: one.device or one.number for one in self._presets.of(camera)}
        if len(named) < len(presets) or len({**others, **named}) > len(
            set({**others, **named}.values())
        ):
            raise Rejected("ptz.range", "two presets have the same number", camera=camera)
        said = ", ".join(f"{number} {name}".strip() for number, name, _ in presets)
        self._audit("ptz.preset_arrange", who, camera, said[:300])
        self._presets.arrange(camera, presets)
        self._save_presets(it)

    def pictured(self, camera: str, number: int, at_us: int) -> None:
        """Note when a preset was pictured; no effect without it."""
        if it := self._cameras.get(camera):
            self._presets.pictured(camera, number, at_us)
            self._save_presets(it)

    def _save_presets(self, it: Mounted) -> None:
        names = self._presets.snapshot()
        self._save(lambda: self._presets.save(names))
        self._publish(it)

    def gone(self, who: Operator) -> None:  # noqa: D102 - see Ptz
        for camera, it in self._cameras.items():
            held = it.arbiter.holder == who
            if it.arbiter.gone(who, self._clock.monotonic_s()):
                self._halt(it)
                self._audit("ptz.stop", who, camera, "its connection closed while moving")
                self.watch(camera, who, "take", NEUTRAL)
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
        if len(name) > NAME_MAX:
            raise Rejected("ptz.range", f"names of presets have up to {NAME_MAX} characters")
        device = self._number(camera, number, stored=do != "set")
        moving = it.arbiter.moving
        with self._refusals(it, who):
            it.arbiter.act(who, self._clock.monotonic_s())
        if moving:
            self._halt(it)
        self._audit(f"ptz.preset_{do}", who, camera, f"{number} {name}".strip())
        it.mount.bus.command(camera, it.mount.head.preset(do, device), moves=do == "call")
        if do == "set":
            self._presets.put(camera, number, name)
        elif do == "clear":
            self._presets.drop(camera, number)
        if do != "call":
            names = self._presets.snapshot()
            self._save(lambda: self._presets.save(names))
        self.watch(camera, who, "call" if do == "call" else "take", NEUTRAL)
        self.sent(camera, do, number)
        self._publish(it)

    def point(self, camera: str, who: Operator, to: Position | Glide) -> None:
        """Have a head look somewhere: as `preset`, to a place that nobody stored.

        Raises:
            Rejected: As `preset`, and ``ptz.unaimed``: it cannot be told that.
        """
        it = self._find(camera)
        frames = it.mount.head.point(to)
        if not frames:
            raise Rejected("ptz.unaimed", "this head cannot be told where to", camera=camera)
        moving = it.arbiter.moving
        with self._refusals(it, who):
            it.arbiter.act(who, self._clock.monotonic_s())
        if moving:
            self._halt(it)
        self._audit("ptz.aim", who, camera, _said(to))
        for frame in frames:
            it.mount.bus.command(camera, frame, moves=True)
        self.watch(camera, who, "call", NEUTRAL)
        self.sent(camera, "move", 0)
        self._publish(it)

    def spare(self, camera: str) -> int:
        """Return the lowest number of a preset that is free. Raises `Rejected` if none is."""
        head = self._find(camera).mount.head
        used = {n for it in self._presets.of(camera) for n in (it.number, it.device)}
        taken = used | head.reserved.keys()
        free = next((n for n in range(1, head.presets_max + 1) if n not in taken), None)
        if free is None:
            raise Rejected("ptz.range", "no number of a preset is free", camera=camera)
        return free

    def _number(
        self, camera: str, preset: int, *, stored: bool = True, device: int | None = None
    ) -> int:
        """Return under which number the head knows a preset, or raise."""
        if device is None:
            device = self._presets.device(camera, preset)
        device = device or preset
        head = self._cameras[camera].mount.head
        if not 1 <= preset <= 255 or not 1 <= device <= head.presets_max:
            raise Rejected("ptz.range", f"presets are 1 to {head.presets_max}", camera=camera)
        if device in head.reserved:
            what, what_zh = head.reserved[device]
            said = f"preset {device} is reserved on this head: {what}"
            raise Rejected(
                "ptz.reserved", said, camera=camera, number=device, what=what, what_zh=what_zh
            )
        if stored and not self._presets.has(camera, preset):
            raise Rejected("ptz.unknown_preset", f"preset {preset} is not stored", camera=camera)
        return device

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
        self.watch(camera, who, "call" if deed.moves else "take", NEUTRAL)
        self.sent(camera, "move", 0)
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
        it: Mounted,
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
                self.watch(camera, who, "move", it.motion)
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
        self.watch(camera, who, "move", it.motion)
        self.sent(camera, "move", 0)
        self._publish(it)

    def _stop(self, cameras: Iterable[Mounted], who: Operator) -> None:
        stopped = list(cameras)
        for it in stopped:  # all of them before the first word to the audit log
            self._halt(it)
            it.arbiter.stopped(self._clock.monotonic_s())
        for it in stopped:
            self._audit("ptz.stop", who, it.mount.camera, "")
            self.watch(it.mount.camera, who, "stop", NEUTRAL)
            self._publish(it)


def _said(to: Position | Glide) -> str:
    if isinstance(to, Glide):
        return f"by {to.x:+.2f} {to.y:+.2f} of the picture"
    return f"to {to.pan_deg:.2f} {to.tilt_deg:+.2f} zoom {to.zoom:.3f}"
