"""Says the time to cameras that have nobody else to ask: those of a network without a way out.

How far our own time can be trusted is told with it. A clock that NTP sets is passed on; one that
runs on a battery is what such a network goes by (`RTC_STRATUM`), so that its cameras at least agree
with the box; a clock that nobody ever set is offered to nobody.

Source: `nvr.wire.ntp`.
"""

import asyncio
import contextlib
import logging
import socket
from collections import OrderedDict
from collections.abc import Callable
from typing import Final

from nvr.base.allowance import PerSecond
from nvr.base.clock import Clock
from nvr.base.errors import NvrError, Unavailable
from nvr.base.log import event
from nvr.media.camera import ClockState
from nvr.media.ntp import TimeAsker
from nvr.wire.ntp import Standing, answer

_log = logging.getLogger(__name__)

NTP_STRATUM: Final = 4
"""The kernel does not tell how far its own server is from the truth: this far is usual."""
RTC_STRATUM: Final = 10
"""So clients take every other server rather than this one."""
MOST_A_S: Final = 200
"""Answers a second, of all askers: sixteen cameras ask once a minute."""
MOST_ASKERS: Final = 64
AGAIN_S: Final = 10.0
_LONGEST = 1024


def standing_of(state: ClockState, now_us: int) -> Standing:
    """What is said of a clock of this state."""
    if state.state == "unsynced":
        return Standing(0, 0, 0)
    if state.state == "rtc":
        return Standing(RTC_STRATUM, 0, now_us)
    return Standing(NTP_STRATUM, state.uncertainty_ms, now_us)


class TimeServer:
    """Answers on one UDP port.

    Args:
        clock: Whose wall time is told.
        trust: How far that can be trusted, asked each time.
    """

    def __init__(self, clock: Clock, trust: Callable[[], ClockState]) -> None:
        self._clock, self._trust = clock, trust
        self._askers: OrderedDict[str, TimeAsker] = OrderedDict()
        self._allowance = PerSecond(MOST_A_S, clock)
        self.fault: NvrError | None = None
        self.listening = False

    @property
    def askers(self) -> tuple[TimeAsker, ...]:
        """Who asked of late, the last first."""
        return tuple(reversed(self._askers.values()))

    async def run(self, host: str, port: int) -> None:
        """Answer until cancelled; a port that cannot be had is tried again every `AGAIN_S`."""
        level = logging.WARNING
        while True:
            try:
                await self._serve(host, port)
            except OSError as err:
                self.fault = Unavailable("ntp.port", str(err), host=host, port=port)
                event(_log, level, "ntp.not_listening", error=str(self.fault))
                level = logging.DEBUG
            await self._clock.sleep(AGAIN_S)

    async def _serve(self, host: str, port: int) -> None:
        loop = asyncio.get_running_loop()
        with contextlib.ExitStack() as stack:
            for family, kind, proto, _, address in await loop.getaddrinfo(
                host or None, port, type=socket.SOCK_DGRAM, flags=socket.AI_PASSIVE
            ):
                sock = stack.enter_context(socket.socket(family, kind, proto))
                sock.setblocking(False)
                if family == socket.AF_INET6:
                    sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
                sock.bind(address)
                loop.add_reader(sock, self._take, sock)
                stack.callback(loop.remove_reader, sock.fileno())
            self.fault, self.listening = None, True
            stack.callback(setattr, self, "listening", False)
            await asyncio.Event().wait()

    def _take(self, sock: socket.socket) -> None:
        """Answer one question; what is left waits for the loop's next turn."""
        with contextlib.suppress(OSError):  # nobody there, or no room: whoever wants it asks again
            question, address = sock.recvfrom(_LONGEST)
            now_us = self._clock.wall_us()
            standing = standing_of(self._trust(), now_us)
            told = answer(question, now_us, self._clock.wall_us(), standing)
            if told is not None and self._allowance.take():
                sock.sendto(told, address)
                self._note(address[0], now_us)

    def _note(self, address: str, now_us: int) -> None:
        had = self._askers.pop(address, None)
        self._askers[address] = TimeAsker(address, now_us, 1 + (had.answered if had else 0))
        while len(self._askers) > MOST_ASKERS:
            self._askers.popitem(last=False)
