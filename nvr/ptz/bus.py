"""One RS-485 line and the one thread that owns it.

Commands come from any thread and only change the `Schedule`; the thread writes what is due. It
also ends motions whose lease lapsed, reopens a port that was pulled, and tells the guard that it
lives. While nothing moves it sleeps and costs nothing.
"""

import logging
import os
import select
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from nvr.base.clock import Clock
from nvr.base.errors import NvrError, Rejected, Unavailable
from nvr.base.log import event
from nvr.hal.ports import Guard, SerialPort
from nvr.media.ports import Position
from nvr.ptz.echo import EchoFilter
from nvr.ptz.line import Chain
from nvr.ptz.position import Asked, Locator
from nvr.ptz.schedule import Auxiliary, Motion, Schedule

_log = logging.getLogger(__name__)

BEAT_S = 0.1
STALL_S = 0.35
"""After so long without a turn the guard has acted or is about to: all motion is over."""
SILENT_S = 0.6
"""After so long without a beat the guard has acted for sure."""
QUIET_S = 0.1
"""Replies come within this; after it, what looked like the start of an echo was a reply."""
RENEW_S = 1.0
"""Heads of a chain that join so soon after each other stop the others but once."""
REOPEN_S = 0.25
"""Heads behind an adapter that is back stand within a second, even eight; a look is cheap."""


@dataclass(frozen=True, slots=True)
class BusEvent:
    """Something a bus did by itself, told from its thread.

    Attributes:
        kind: ``stopped``: a first STOP is on the wire. ``lapsed``: the dead-man stopped it.
            ``cut``: its motion ended because of the port, the guard or a stall.
            ``up``, ``down``: the port came or went. ``pointed``: its position is another.
            ``switched``: one of its auxiliaries was told.
        head: Whom it concerns, empty for the whole bus.
        asked_s: ``stopped``: when the stop was asked for.
        at_s: When it happened.
        position: ``pointed``: where it says it points.
    """

    kind: Literal["stopped", "lapsed", "cut", "up", "down", "pointed", "switched"]
    head: str
    asked_s: float
    at_s: float
    position: Position | None = None


class Bus:
    """A serial line with heads on it.

    Args:
        name: Name in the log and towards the guard.
        open_port: Opens the port; called again whenever it was lost.
        clock: Time source; the thread waits in real time.
        guard: Told before anything moves.
        tell: Called in the bus's thread for each event; must not block.
        gap_s: From the start of one frame to the start of the next.
        frame_s: Time of a frame on the wire, where that is longer.
        byte_s: Time of a byte: some dialects write several frames at once.
        heard: Called in the bus's thread with bytes received, echo removed.
        wrote: Called in the bus's thread with each frame written.

    Attributes:
        fault: Why the port is not there, empty while it is.
        since_s: Since when it is there, or not (monotonic).
    """

    def __init__(
        self,
        name: str,
        open_port: Callable[[], SerialPort],
        *,
        clock: Clock,
        guard: Guard,
        tell: Callable[[BusEvent], None],
        gap_s: float = 0.08,
        frame_s: float = 0.0,
        byte_s: float = 0.0,
        heard: Callable[[bytes], None] = lambda _data: None,
        wrote: Callable[[bytes], None] = lambda _data: None,
    ) -> None:
        self.name = name
        self.fault = ""
        self.since_s = clock.monotonic_s()
        self._open_port = open_port
        self._clock = clock
        self._guard = guard
        self._tell = tell
        self._gap_s = max(gap_s, frame_s)
        self._heard = heard
        self._wrote = wrote
        self._schedule = Schedule(self._gap_s, byte_s=byte_s)
        self._locator = Locator(frame_s)
        self._askable: list[tuple[str, Asked | None]] = []  # for the owner thread to take up
        self._pointed: dict[str, Position | None] = {}
        self._chains: dict[str, Chain] = {}
        self._renewed_s = float("-inf")
        self._lock = threading.Lock()
        self._wake = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
        self._port: SerialPort | None = None
        self._open_at_s = 0.0
        self._reported = False
        self._told: tuple[bytes, ...] = ()
        self._told_s = 0.0
        self._turn_s = 0.0
        self._echo = EchoFilter()
        self._sent_s = 0.0
        self._closing = False
        self._thread = threading.Thread(target=self._run, name=f"ptz/{name}")

    def add(
        self,
        head: str,
        encode: Callable[[Motion], bytes],
        asked: Asked | None = None,
        chain: Chain | None = None,
    ) -> None:
        """Put a head on the line. With `asked` its position is asked for.

        It is told to stop, at once or as soon as the port is open; with `chain` the line is told
        its opening then, between the two STOPs: one without an address hears only the second.
        """
        with self._lock:
            self._schedule.add(head, encode)
            if chain is not None:
                if self._port is not None and not self._chains:
                    self._schedule.greet(chain.opening)
                self._chains[head] = chain
            if self._port is not None:
                self._schedule.stop(head, self._clock.monotonic_s())
            self._askable.append((head, asked))
        self._poke()

    def add_auxiliary(self, head: str, name: str, auxiliary: Auxiliary) -> None:
        """Add an output of a head that was added; it is switched off."""
        with self._lock:
            self._schedule.add_auxiliary(head, name, auxiliary)
            if self._port is not None:
                self._schedule.switch(head, name, False, self._clock.monotonic_s())
        self._poke()

    def leave(self, head: str) -> None:
        """Take a head off the line, after a STOP and with everything of it switched off."""
        with self._lock:
            self._schedule.leave(head, self._clock.monotonic_s())
            self._chains.pop(head, None)
            self._askable.append((head, None))
        self._poke()

    def start(self) -> None:
        """Start the owner thread.

        As soon as the port is open every head is told to stop, and every auxiliary to go off.
        """
        self._thread.start()

    def close(self) -> None:
        """Stop every head twice, switch every auxiliary off, then end; waits for it."""
        with self._lock:
            self._schedule.cut(self._clock.monotonic_s())
            self._closing = True
        self._poke()
        self._thread.join()
        os.close(self._wake)

    @property
    def online(self) -> bool:
        """The port is open."""
        return self._port is not None

    @property
    def glides(self) -> bool:
        """See `nvr.ptz.line.Line`: no serial protocol knows that."""
        return False

    def move(self, head: str, motion: Motion, until_s: float) -> None:
        """Let `head` move until `until_s` (monotonic).

        Raises:
            Unavailable: ``ptz.bus_down``, ``ptz.guard_gone``.
        """
        self._check()
        with self._lock:
            self._schedule.move(head, motion, until_s, self._clock.monotonic_s())
        self._poke()

    def stop(self, head: str) -> None:
        """Stop `head`; never refused. Without a port it is told when the port is back."""
        with self._lock:
            self._schedule.stop(head, self._clock.monotonic_s())
        self._poke()

    def switch(self, head: str, name: str, on: bool) -> None:
        """Switch an auxiliary of `head`. Off is never refused.

        Raises:
            Unavailable: ``ptz.bus_down``, ``ptz.guard_gone``.
        """
        if on:
            self._check()
        with self._lock:
            self._schedule.switch(head, name, on, self._clock.monotonic_s())
        self._poke()

    def lit(self, head: str, name: str) -> bool:
        """Whether an auxiliary was last told to be on."""
        with self._lock:
            return self._schedule.lit(head, name)

    def unbar(self, head: str) -> None:
        """Accept motions of `head` again, after a `BusEvent` ``lapsed`` or ``cut`` was heard."""
        with self._lock:
            self._schedule.unbar(head)

    def command(self, head: str, data: bytes, *, moves: bool) -> None:
        """Send one frame when its turn comes; a STOP drops it if it `moves`.

        Raises:
            Rejected: ``ptz.busy``: too much waits already.
            Unavailable: ``ptz.bus_down``.
        """
        if self._port is None:
            raise Unavailable("ptz.bus_down", "the serial port is not there", bus=self.name)
        with self._lock:
            taken = self._schedule.command(head, data, self._clock.monotonic_s(), moves=moves)
        if not taken:
            raise Rejected("ptz.busy", "too many commands wait for the bus", bus=self.name)
        self._poke()

    def _check(self) -> None:
        if self._port is None:
            raise Unavailable("ptz.bus_down", "the serial port is not there", bus=self.name)
        if not self._guard.ready():
            raise Unavailable("ptz.guard_gone", "nothing moves without the guard", bus=self.name)

    def _poke(self) -> None:
        os.eventfd_write(self._wake, 1)

    # From here on: the owner thread.

    def _run(self) -> None:
        while True:
            try:
                while self._turn():
                    pass
            except Exception:  # noqa: BLE001 - a bug must not leave a head turning or this thread dead
                _log.exception("ptz.bug bus=%s", self.name)
                # The guard, which hears nothing from us meanwhile, tells the heads to stop.
                time.sleep(SILENT_S)
                self._lose(NvrError("internal.bug", "the bus starts anew", bus=self.name))
            else:
                self._shut()
                return

    def _turn(self) -> bool:
        now_s = self._clock.monotonic_s()
        if self._told and now_s - self._turn_s > STALL_S:
            self._cut("ptz.stalled", away_s=round(now_s - self._turn_s, 3))
        self._turn_s = now_s
        port = self._port
        try:
            if port is None:
                if self._closing:
                    return False
                self._open(now_s)
            else:
                self._write_due(port, now_s)
            with self._lock:
                wake_s = self._schedule.wake_at_s()
                ask_s = max(self._locator.wake_at_s(), self._schedule.idle_at_s())
                if self._closing:
                    ask_s = float("inf")
                at_stake = bool(self._schedule.at_stake() or self._schedule.on_at_stake())
            if self._closing and not at_stake:
                return False
            if at_stake or not self._told:  # else the guard hears at once that all is over
                self._wait(min(wake_s, ask_s))
        except Unavailable as err:
            self._lose(err)
        return True

    def _write_due(self, port: SerialPort, now_s: float) -> None:
        self._take_up()
        self._end_what_is_over(now_s)
        # The guard knows of a motion before the wire does: killed in between, we leave nothing.
        with self._lock:
            stops, offs = self._schedule.at_stake(), self._schedule.on_at_stake()
        at_stake = (*stops, *offs)
        if at_stake and not self._told:
            self._guard.took_over(self.name)  # of an earlier motion, which is over
        if at_stake != self._told or (at_stake and now_s - self._told_s >= BEAT_S):
            self._guard.beat(self.name, stops, offs=offs)
            self._told, self._told_s = at_stake, now_s
        with self._lock:
            order = self._schedule.next(self._clock.monotonic_s())
        if order is None:
            self._ask(port)
            return
        if order.kind in {"motion", "on"} and self._clock.monotonic_s() - now_s > STALL_S:
            return  # we were frozen right here; the next turn stops it
        self._write(port, order.data)
        if order.kind in {"on", "off"}:
            self._tell(BusEvent("switched", order.head, order.asked_s, self._sent_s))
            return
        self._locator.told(order.head, self._sent_s)
        if order.kind == "stop":
            self._tell(BusEvent("stopped", order.head, order.asked_s, self._sent_s))

    def _take_up(self) -> None:
        with self._lock:
            news, self._askable = self._askable, []
        for head, asked in news:
            self._locator.leave(head)
            self._pointed.pop(head, None)
            if asked:
                self._locator.add(head, asked)

    def _end_what_is_over(self, now_s: float) -> None:
        if self._told and self._guard.took_over(self.name):
            self._cut("ptz.guard_acted")
        with self._lock:
            lapsed = self._schedule.expire(now_s)
            over = self._schedule.expire_auxiliaries(now_s)
            needs_guard = bool(self._schedule.moving() or self._schedule.wanted_on())
        for head in lapsed:
            self._tell(BusEvent("lapsed", head, now_s, now_s))
        for head, name in over:
            event(_log, logging.INFO, "ptz.output_cut", bus=self.name, head=head, output=name)
        if needs_guard and not self._guard.ready():
            self._cut("ptz.guard_lost")

    def _ask(self, port: SerialPort) -> None:
        """Ask a head where it points if nobody wants the line."""
        now_s = self._clock.monotonic_s()
        if mute := self._locator.expire(now_s):
            event(_log, logging.INFO, "ptz.head_mute", bus=self.name, head=mute)
        self._tell_positions(now_s)
        with self._lock:
            if self._closing or now_s < self._schedule.idle_at_s():
                return
            query = self._locator.next(now_s)
            if query is None:
                return
            self._schedule.ask(now_s)
        self._write(port, query)

    def _write(self, port: SerialPort, data: bytes) -> None:
        self._echo.sent(data)
        port.write(data)
        self._sent_s = self._clock.monotonic_s()
        self._wrote(data)

    def _tell_positions(self, now_s: float) -> None:
        positions = self._locator.positions()
        for head, position in positions.items():
            if position != self._pointed.get(head):
                self._tell(BusEvent("pointed", head, now_s, now_s, position))
        self._pointed = positions

    def _wait(self, wake_s: float) -> None:
        now_s = self._clock.monotonic_s()
        if self._port is None:
            wake_s = self._open_at_s
        elif self._told:
            wake_s = min(wake_s, self._told_s + BEAT_S)
        timeout_s = None if wake_s == float("inf") else max(0.0, wake_s - now_s)
        watched = [self._wake] if self._port is None else [self._wake, self._port.fileno()]
        readable = select.select(watched, [], [], timeout_s)[0]
        if self._wake in readable:
            os.eventfd_read(self._wake)
        if self._port is not None and self._port.fileno() in readable:
            self._read(self._port)

    def _read(self, port: SerialPort) -> None:
        held = b""
        if self._clock.monotonic_s() - self._sent_s > QUIET_S:
            held = self._echo.quiet()
        data = held + self._echo.feed(port.read(0.0))
        if data:
            now_s = self._clock.monotonic_s()
            with self._lock:
                if self._locator.heard(data, now_s):
                    self._schedule.answered(now_s)
            self._tell_positions(now_s)
            self._renew(data, now_s)
            self._heard(data)

    def _renew(self, data: bytes, now_s: float) -> None:
        """Give a chain its addresses anew if a head joined: those behind it have others then."""
        with self._lock:
            joined = [it for it in self._chains.values() if it.joined(data)]
        if not joined:
            return
        if now_s - self._renewed_s >= RENEW_S:
            self._cut("ptz.chain_changed")
        self._renewed_s = now_s
        with self._lock:
            self._schedule.greet(joined[0].renewal)

    def _cut(self, why: str, **fields: object) -> None:
        """End every motion at once and switch off; whoever commanded it must begin anew."""
        now_s = self._clock.monotonic_s()
        with self._lock:
            cut = self._schedule.cut(now_s)
        event(_log, logging.WARNING, why, bus=self.name, heads=cut, **fields)
        for head in cut:
            self._tell(BusEvent("cut", head, now_s, now_s))

    def _open(self, now_s: float) -> None:
        if now_s < self._open_at_s:
            return
        try:
            port = self._open_port()
        except NvrError as err:
            level = logging.DEBUG if self._reported else logging.WARNING
            event(_log, level, "ptz.port_missing", bus=self.name, error=str(err))
            if not self._reported:
                self.fault, self.since_s = err.detail, now_s
            self._reported = True
            self._open_at_s = self._clock.monotonic_s() + REOPEN_S
            return
        self._reported = False
        self.fault, self.since_s = "", now_s
        self._guard.serial(self.name, port.fileno(), self._gap_s, rts=port.rts)
        with self._lock:
            # Whatever a head was told before, by us or by a recorder that died, ends here.
            self._schedule.begin(now_s)
            self._schedule.greet(next((it.opening for it in self._chains.values()), ()))
            self._port = port
        self._turn_s = self._clock.monotonic_s()
        event(_log, logging.INFO, "ptz.port_open", bus=self.name)
        self._tell(BusEvent("up", "", now_s, self._turn_s))

    def _lose(self, err: NvrError) -> None:
        event(_log, logging.WARNING, "ptz.port_lost", bus=self.name, error=str(err))
        self._cut("ptz.motion_lost")
        now_s = self._clock.monotonic_s()
        self.fault, self.since_s, self._reported = err.detail, now_s, True
        self._shut()
        self._locator.lost()
        self._tell_positions(now_s)
        self._open_at_s = now_s + REOPEN_S
        self._tell(BusEvent("down", "", now_s, now_s))

    def _shut(self) -> None:
        port = self._port
        self._port = None
        if port is not None:
            self._guard.beat(self.name)
            self._told = ()
            self._guard.forget(self.name)
            port.close()
