"""Switching outputs: driven safe before anything else, and cut by us and not by the caller.

One thread owns all outputs of the board. It ends pulses, cuts what was on for too long, drives
again what failed, and tells the guard that it lives while anything is away from the level that the
guard would drive it to. Of an interlock at most one is on: another one may go on once the first was
seen to be driven off.
"""

import logging
import os
import select
import threading
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from nvr.base.clock import Clock
from nvr.base.errors import Misconfigured, Rejected, Unavailable
from nvr.base.log import event
from nvr.hal.ports import Guard, Output

_log = logging.getLogger(__name__)

Tell = Callable[[str, bool, str], None]
"""``tell(name, on, why)``: driven to another level as it was ``asked``, by its ``limit``, or made
``safe``; called in the owner's thread."""

BEAT_S = 0.1
STALL_S = 0.35
RETRY_S = 0.5
SILENT_S = 0.6
"""After so long without a beat the guard has acted for sure."""
_WHO = "outputs"


@dataclass(frozen=True, slots=True)
class Wiring:
    """One output of the board.

    Attributes:
        name: Its name on the board.
        open: Opens it and drives it to the level given, in one step where the kernel can.
        safe: Level at start and at the end.
        on_crash: Level that the guard drives when something happens to us; None: `safe`.
        max_on_s: Longest time on; switching on again while on does not extend it.
        min_off_s: Once off it stays off for so long.
        pulse_ms: Switching on gives one pulse of this length.
        interlock: At most one of those with the same is on; empty for none.
    """

    name: str
    open: Callable[[bool], Output]
    safe: bool = False
    on_crash: bool | None = None
    max_on_s: float | None = None
    min_off_s: float = 0.0
    pulse_ms: int | None = None
    interlock: str = ""

    def __post_init__(self) -> None:
        rests_on = self.safe or bool(self.on_crash)
        if rests_on and self.limit_s != float("inf"):
            raise Misconfigured(
                "gpio.bad_wiring", "an output that is safe when on has no limit", output=self.name
            )
        if rests_on and self.interlock:
            raise Misconfigured(
                "gpio.bad_wiring", "an output that is safe when on has no interlock",
                output=self.name,
            )  # fmt: skip

    @property
    def crash(self) -> bool:
        """Level that the guard drives."""
        return self.safe if self.on_crash is None else self.on_crash

    @property
    def limit_s(self) -> float:
        """Longest time on, infinity if none."""
        limits = [self.max_on_s, None if self.pulse_ms is None else self.pulse_ms / 1000]
        return min((limit for limit in limits if limit is not None), default=float("inf"))


@dataclass(slots=True)
class _State:
    wiring: Wiring
    wanted: bool
    output: Output | None = None
    driven: bool | None = None
    shown: bool | None = None
    why: str = "asked"
    off_at_s: float = float("inf")
    off_since_s: float = float("-inf")
    retry_s: float = 0.0
    reported: bool = False

    @property
    def maybe_on(self) -> bool:
        """Whether it may be on, now or in a moment."""
        return self.wanted or self.driven is not False


@dataclass(frozen=True, slots=True)
class Standing:
    """How an output is.

    Attributes:
        on: Level last driven.
        online: It answered the last time it was driven.
        left_s: Seconds until its limit switches it off, None if it is off or has no limit.
        wait_s: Seconds until it may go on because of its time off.
        blocked_by: Another one of its interlock that is on.
    """

    on: bool
    online: bool
    left_s: float | None
    wait_s: float
    blocked_by: str


class Outputs:
    """All outputs of the board, by name.

    Args:
        wirings: The outputs; each is opened at its safe level here, before anything else runs.
            One that is not there yet is tried again by the thread.
        clock: Time source; the thread waits in real time.
        guard: Makes them safe when this process cannot.
        tell: Told of every change.

    Raises:
        Misconfigured: ``gpio.no_chip``.
    """

    def __init__(
        self,
        wirings: Iterable[Wiring],
        *,
        clock: Clock,
        guard: Guard,
        tell: Tell = lambda _name, _on, _why: None,
    ) -> None:
        self._clock = clock
        self._guard = guard
        self._tell = tell
        self._lock = threading.Lock()
        self._states: dict[str, _State] = {}
        for wiring in wirings:
            it = self._states[wiring.name] = _State(wiring, wiring.safe)
            self._drive(it, clock.monotonic_s())
        self._armed = False
        self._beat_s = self._turn_s = 0.0
        self._wake = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
        self._closing = False
        self._thread = threading.Thread(target=self._run, name="gpio")

    def start(self) -> None:
        """Start the owner thread."""
        self._thread.start()

    def close(self) -> None:
        """Drive every output safe and end; waits for it."""
        with self._lock:
            self._closing = True
            for it in self._states.values():
                it.wanted, it.retry_s = it.wiring.safe, 0.0
        os.eventfd_write(self._wake, 1)
        self._thread.join()
        os.close(self._wake)
        for it in self._states.values():
            if it.output is not None:
                it.output.close()

    def names(self) -> tuple[str, ...]:
        """Names of the outputs."""
        return tuple(self._states)

    def set(self, name: str, on: bool, for_s: float | None = None) -> None:
        """Switch `name`; driven within a turn of the thread.

        Args:
            name: Which.
            on: To which level.
            for_s: When it goes on by this, seconds after which it goes off by itself.

        Raises:
            Rejected: ``gpio.unknown_output``; ``gpio.resting``: it was on just before;
                ``gpio.interlocked``: another one of its interlock is on.
            Unavailable: ``gpio.gone``: it could not be driven last time. ``gpio.guard_gone``:
                nothing leaves its safe level without the guard.
        """
        it = self._find(name)
        with self._lock:
            now_s = self._clock.monotonic_s()
            if on and not it.wiring.safe and not it.wanted:
                self._check_order(it, now_s)
            if on != it.wiring.safe:
                if it.driven is None:
                    raise Unavailable("gpio.gone", "the output does not answer", output=name)
                if not self._guard.ready():
                    raise Unavailable("gpio.guard_gone", "the guard is not there", output=name)
            if on and not it.wanted and not it.driven:  # until driven off it has been on all along
                it.off_at_s = now_s + it.wiring.limit_s
                if for_s is not None:
                    it.off_at_s = min(it.off_at_s, now_s + for_s)
            it.wanted, it.retry_s, it.why = on, 0.0, "asked"
        os.eventfd_write(self._wake, 1)

    def rest(self, name: str) -> None:
        """Let `name` go to its safe level; never refused.

        Raises:
            Rejected: ``gpio.unknown_output``.
        """
        self.set(name, self._find(name).wiring.safe)

    def get(self, name: str) -> bool:
        """Level last driven."""
        it = self._find(name)
        return it.wiring.safe if it.driven is None else it.driven

    def standing(self, name: str) -> Standing:
        """How `name` is.

        Raises:
            Rejected: ``gpio.unknown_output``.
        """
        it = self._find(name)
        with self._lock:
            now_s = self._clock.monotonic_s()
            on = it.wiring.safe if it.driven is None else it.driven
            left_s = it.off_at_s - now_s if on and it.off_at_s != float("inf") else None
            wait_s = 0.0 if on else max(0.0, it.off_since_s + it.wiring.min_off_s - now_s)
            blocked_by = "" if on else self._blocker(it)
            return Standing(on, it.driven is not None, left_s, wait_s, blocked_by)

    def nudge(self) -> float:
        """Wake the thread; returns when it last had a turn, in monotonic seconds."""
        os.eventfd_write(self._wake, 1)
        return self._turn_s

    def turn(self, now_s: float) -> float:
        """Do what is due; returns when the next thing is. Called by the thread alone."""
        stalled = self._armed and now_s - self._turn_s > STALL_S
        self._turn_s = now_s
        if self._armed:
            acted = self._guard.took_over(_WHO) or stalled
            if acted or (not self._guard.ready() and any(map(self._left, self._states.values()))):
                self._all_safe("gpio.made_safe")
        with self._lock:
            for it in self._states.values():
                if it.wanted and now_s >= it.off_at_s:
                    it.wanted, it.why = False, "limit"
                    event(_log, logging.INFO, "gpio.cut", output=it.wiring.name)
            armed = any(self._away(it) for it in self._states.values())
        # The guard knows of a level before the line does: killed in between, we leave nothing.
        if armed and not self._armed:
            self._guard.took_over(_WHO)  # of an earlier time on, which is over
        if armed != self._armed or (armed and now_s - self._beat_s >= BEAT_S):
            self._guard.beat(_WHO, on=armed)
            self._armed, self._beat_s = armed, now_s
        for it in sorted(self._states.values(), key=lambda it: it.wanted):  # off before on
            self._drive(it, now_s)
            self._show(it)
        return self._wake_at_s()

    @staticmethod
    def _away(it: _State) -> bool:
        """Whether the guard would change it."""
        return it.wanted != it.wiring.crash or it.driven == (not it.wiring.crash)

    @staticmethod
    def _left(it: _State) -> bool:
        """Whether it has left its safe level, or is about to."""
        return it.wanted != it.wiring.safe or it.driven == (not it.wiring.safe)

    def _check_order(self, it: _State, now_s: float) -> None:
        name = it.wiring.name
        if blocker := self._blocker(it):
            raise Rejected(
                "gpio.interlocked", f"{blocker} is on, and only one of them may be",
                output=name, by=blocker,
            )  # fmt: skip
        wait_s = it.off_since_s + it.wiring.min_off_s - now_s
        if wait_s > 0 and not it.driven:
            raise Rejected(
                "gpio.resting", f"it must stay off for another {wait_s:.1f} s",
                output=name, wait_s=round(wait_s, 1),
            )  # fmt: skip

    def _blocker(self, it: _State) -> str:
        group = it.wiring.interlock
        others = (one for one in self._states.values() if one is not it and group)
        return next(
            (one.wiring.name for one in others if one.wiring.interlock == group and one.maybe_on),
            "",
        )

    def _show(self, it: _State) -> None:
        if it.driven is not None and it.driven != it.shown:
            first, it.shown = it.shown is None, it.driven
            if not first:
                self._tell(it.wiring.name, it.driven, it.why)

    def _drive(self, it: _State, now_s: float) -> None:
        with self._lock:
            wanted = it.wanted
            if it.driven == wanted or now_s < it.retry_s:
                return
        try:
            if it.output is None:
                it.output = it.wiring.open(it.wiring.safe)
                if (way := it.output.way()) is not None:
                    self._guard.output(it.wiring.name, way, safe=it.wiring.crash)
                it.driven = it.wiring.safe
            if it.driven != wanted:
                it.output.set(wanted)
        except Unavailable as err:
            level = logging.DEBUG if it.reported else logging.WARNING
            event(_log, level, "gpio.not_driven", output=it.wiring.name, error=str(err))
            it.reported = True
            it.driven, it.retry_s = None, now_s + RETRY_S
            with self._lock:
                it.wanted = it.wiring.safe  # nobody waits for a late "on"
            return
        with self._lock:
            done_s = self._clock.monotonic_s()
            if not wanted and it.driven is not False:
                it.off_since_s = done_s
            it.driven, it.reported = wanted, False
            if it.wanted and not wanted:  # asked for again while it was being driven off
                it.off_at_s = done_s + it.wiring.limit_s
                it.wanted = not it.wiring.min_off_s

    def _all_safe(self, why: str) -> None:
        with self._lock:
            for it in self._states.values():
                if self._left(it):
                    event(_log, logging.WARNING, why, output=it.wiring.name)
                    it.why = "safe"
                it.wanted, it.driven, it.retry_s = it.wiring.safe, None, 0.0

    def _wake_at_s(self) -> float:
        with self._lock:
            due = [it.off_at_s for it in self._states.values() if it.wanted]
            due += [it.retry_s for it in self._states.values() if it.driven != it.wanted]
        if self._armed:
            due.append(self._beat_s + BEAT_S)
        return min(due, default=float("inf"))

    def _end(self) -> None:
        """An orderly end is no crash: what the guard drives last is the safe level."""
        for it in self._states.values():
            way = it.output.way() if it.output is not None else None
            if way is not None and it.wiring.crash != it.wiring.safe:
                self._guard.output(it.wiring.name, way, safe=it.wiring.safe)

    def _find(self, name: str) -> _State:
        it = self._states.get(name)
        if it is None:
            raise Rejected("gpio.unknown_output", "the board has no such output", output=name)
        return it

    def _run(self) -> None:
        while True:
            try:
                self._loop()
            except Exception:  # noqa: BLE001 - a bug must not leave an output on or this thread dead
                _log.exception("gpio.bug")
                # The guard, which hears nothing from us meanwhile, makes the outputs safe.
                time.sleep(SILENT_S)
                self._all_safe("gpio.made_safe")
            else:
                return

    def _loop(self) -> None:
        while True:
            last = self._closing
            wake_s = self.turn(self._clock.monotonic_s())
            if last:
                self.turn(self._clock.monotonic_s())  # tells the guard that all is safe
                self._end()
                return
            timeout_s = None
            if wake_s != float("inf"):
                timeout_s = max(0.0, wake_s - self._clock.monotonic_s())
            if select.select([self._wake], [], [], timeout_s)[0]:
                os.eventfd_read(self._wake)
