"""A serial line that is listened to, and the one thread that owns it.

Rates are tried one after the other until two whole frames came; what was understood is told to the
event loop, which alone does something about it. Whatever happens to the port is told as well: a
keyboard that cannot be heard moves nothing.
"""

import logging
import os
import select
import threading
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final, Literal

from nvr.base.clock import Clock
from nvr.base.errors import NvrError, Unavailable
from nvr.base.log import event
from nvr.hal.ports import SerialPort
from nvr.ptz.ear import Ear, Said
from nvr.ptz.echo import EchoFilter

_log = logging.getLogger(__name__)

REOPEN_S: Final = 1.0
IDLE_S: Final = 0.04
"""Silence between two frames. USB adapters hand bytes over every 16 ms: less would cut frames in
two. Frames that follow each other sooner are understood as well, as long as no byte is lost."""
MOST_ANSWERS: Final = 8


@dataclass(frozen=True, slots=True)
class LineNews:
    """What became of a line.

    Attributes:
        kind: ``heard``; ``found``: rate and protocol are known; ``searching``: they are not, or no
            longer; ``lost``: the port is gone.
        baud: Rate in use.
        protocol: Of what is understood.
        said: ``heard``: what was.
        detail: ``lost``: why.
    """

    kind: Literal["heard", "found", "searching", "lost"]
    baud: int
    protocol: str = ""
    said: tuple[Said, ...] = ()
    detail: str = ""


class KeyboardLine:
    """Listens.

    Args:
        name: In the log.
        open_port: Opens the port at a rate; called again whenever it was lost.
        bauds: Rates to try; one: it is known.
        clock: Time source; the thread waits in real time.
        tell: Called in the thread; must not block.
        overheard: Called in the thread with bytes that came, or that we wrote.

    Attributes:
        ear: What is understood; its counters may be read from anywhere.
    """

    def __init__(
        self,
        name: str,
        open_port: Callable[[int], SerialPort],
        bauds: Sequence[int],
        *,
        clock: Clock,
        tell: Callable[[LineNews], None],
        overheard: Callable[[Literal["out", "in"], bytes], None] = lambda _way, _data: None,
    ) -> None:
        self.name = name
        self.ear = Ear()
        self._open_port = open_port
        self._bauds = tuple(bauds)
        self._clock = clock
        self._tell = tell
        self._overheard = overheard
        self._at = 0
        self._port: SerialPort | None = None
        self._reported = False
        self._answers: deque[bytes] = deque(maxlen=MOST_ANSWERS)  # the oldest is dropped
        self._free_s = 0.0
        self._echo = EchoFilter()
        self._wake = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
        self._closing = False
        self._thread = threading.Thread(target=self._run, name=f"keyboard/{name}")

    @property
    def baud(self) -> int:
        """Rate in use."""
        return self._bauds[self._at]

    def start(self) -> None:
        """Start the owner thread."""
        self._thread.start()

    def answer(self, data: bytes) -> None:
        """Write something to the keyboard as soon as may be."""
        self._answers.append(data)
        os.eventfd_write(self._wake, 1)

    def close(self) -> None:
        """End; waits for it."""
        self._closing = True
        os.eventfd_write(self._wake, 1)
        self._thread.join()
        os.close(self._wake)

    # From here on: the owner thread.

    def _run(self) -> None:
        while not self._closing:
            try:
                self._turn()
            except Unavailable as err:
                self._lose(err)
            except Exception:  # noqa: BLE001 - a bug must not end this thread, nor leave a head turning
                _log.exception("keyboard.bug port=%s", self.name)
                self._lose(NvrError("internal.bug", "the line starts anew", port=self.name))
        self._shut()

    def _turn(self) -> None:
        port = self._port
        if port is None:
            self._open()
            return
        waits_s = [IDLE_S] if self.ear.open else []
        if self._answers:
            waits_s.append(max(0.0, self._free_s - self._clock.monotonic_s()))
        readable = select.select([self._wake, port.fileno()], [], [], min(waits_s, default=None))[0]
        if self._wake in readable:
            os.eventfd_read(self._wake)
        if self._answers and self._clock.monotonic_s() >= self._free_s:
            self._write(port, self._answers.popleft())
        if port.fileno() in readable:
            self._read(port)
        elif self.ear.open and not readable:
            # Nothing came although we looked: being woken late does not look like silence.
            self._take(self._echo.quiet())
            self._say(self.ear.idle())
        if self.ear.lost:
            self._search()

    def _write(self, port: SerialPort, data: bytes) -> None:
        self._echo.sent(data)
        port.write(data)
        # One at a time, or the echo of the one is taken for a command while the other is awaited.
        self._free_s = self._clock.monotonic_s() + IDLE_S
        self._overheard("out", data)

    def _read(self, port: SerialPort) -> None:
        self._take(self._echo.feed(port.read(0.0)))

    def _take(self, data: bytes) -> None:
        if not data:
            return
        self._overheard("in", data)
        before = self.ear.protocol
        said = self.ear.feed(data, self._clock.monotonic_s())
        protocol = self.ear.protocol
        if protocol != before:
            event(_log, logging.INFO, "keyboard.found", port=self.name, baud=self.baud,
                  protocol=protocol)  # fmt: skip
            self._tell(LineNews("found", self.baud, protocol))
        self._say(said)

    def _say(self, said: list[Said]) -> None:
        if said:
            self._tell(LineNews("heard", self.baud, self.ear.protocol, tuple(said)))

    def _search(self) -> None:
        """Nothing is understood: try the next rate."""
        if self.ear.protocol:
            event(_log, logging.WARNING, "keyboard.garbled", port=self.name, baud=self.baud)
        self.ear.anew()
        if len(self._bauds) > 1:
            self._shut()
            self._at = (self._at + 1) % len(self._bauds)
            self._open()
        self._tell(LineNews("searching", self.baud))

    def _open(self) -> None:
        try:
            self._port = self._open_port(self.baud)
        except NvrError as err:
            level = logging.DEBUG if self._reported else logging.WARNING
            event(_log, level, "keyboard.port_missing", port=self.name, error=str(err))
            if not self._reported:
                self._tell(LineNews("lost", self.baud, detail=err.detail))
            self._reported = True
            self._pause(REOPEN_S)
            return
        self._reported = False
        self.ear.anew()
        self._tell(LineNews("searching", self.baud))

    def _lose(self, err: NvrError) -> None:
        event(_log, logging.WARNING, "keyboard.port_lost", port=self.name, error=str(err))
        self._shut()
        self._reported = True
        self._tell(LineNews("lost", self.baud, detail=err.detail))
        self._pause(REOPEN_S / 4)

    def _pause(self, pause_s: float) -> None:
        if select.select([self._wake], [], [], pause_s)[0]:
            os.eventfd_read(self._wake)

    def _shut(self) -> None:
        port, self._port = self._port, None
        self._answers.clear()
        if port is not None:
            port.close()
