"""Answers who looks for devices: WS-Discovery on every interface that carries multicast, IPv4.

All four habits of hosts are answered: no type, either of the two, or both at once. Everybody on the
network may ask, and an answer is larger than a question: at most `MOST_A_S` go out a second, to the
address that asked.

Source: Web Services Dynamic Discovery, April 2005; ONVIF Core Specification 23.06, section 7.
"""

import asyncio
import contextlib
import logging
import socket
import struct
import uuid
from collections.abc import Callable

from nvr.base.clock import Clock
from nvr.base.errors import Unavailable
from nvr.link.discover import interfaces
from nvr.wire.wsdiscovery import GROUP_V4, PORT, Match, announcement, answer, asked

_log = logging.getLogger(__name__)

MOST_A_S = 20
LOOK_S = 10.0
"""Interfaces come and go: they are looked at again after so long."""
TYPES = ("dn:NetworkVideoTransmitter", "tds:Device")


class Responder:
    """Says where the device is.

    Args:
        endpoint: Its UUID.
        scopes: What it says of itself, asked anew each time.
        port: TCP port of its service.
        clock: Time source.
    """

    def __init__(
        self, endpoint: str, scopes: Callable[[], tuple[str, ...]], port: int, clock: Clock
    ) -> None:
        self._endpoint, self._scopes, self._port, self._clock = endpoint, scopes, port, clock
        self._started_s = clock.wall_us() // 1_000_000
        self._sent = 0
        self._window: tuple[int, int] = (0, 0)
        self._joined: set[int] = set()
        self.answered = 0

    async def run(self) -> None:
        """Answer until cancelled; says hello at the start and bye at the end.

        Raises:
            Unavailable: ``onvif.discovery``: the port cannot be opened.
        """
        with contextlib.closing(_open()) as sock:
            loop = asyncio.get_running_loop()
            loop.add_reader(sock.fileno(), self._take, sock)
            try:
                while True:
                    self._join(sock)
                    await self._clock.sleep(LOOK_S)
            finally:
                loop.remove_reader(sock.fileno())
                for index in self._joined:
                    self._announce(sock, index, "Bye")

    def _join(self, sock: socket.socket) -> None:
        """Listen on interfaces that are new, and say hello there."""
        there = {index for index, _ in interfaces()}
        for index in there - self._joined:
            member = struct.pack("@4s4si", socket.inet_aton(GROUP_V4), bytes(4), index)
            try:
                sock.setsockopt(socket.IPPROTO_IP, socket.IP_ADD_MEMBERSHIP, member)
            except OSError:
                continue  # it has no address yet
            self._joined.add(index)
            self._announce(sock, index, "Hello")
        self._joined &= there

    def _announce(self, sock: socket.socket, index: int, what: str) -> None:
        own = _address_of(index)
        if not own:
            return
        data = announcement(_id(), "Hello" if what == "Hello" else "Bye", self._we(own), self._no())
        with contextlib.suppress(OSError):  # the network is not up
            through = struct.pack("@4s4si", bytes(4), bytes(4), index)
            sock.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_IF, through)
            sock.sendto(data, (GROUP_V4, PORT))

    def _take(self, sock: socket.socket) -> None:
        try:
            data, source = sock.recvfrom(64 * 1024)
        except OSError:
            return
        try:
            found = asked(data)
        except ValueError:  # anybody may send us anything
            return
        if found is None or not self._may_answer():
            return
        own = _towards(str(source[0]))
        we = self._we(own)
        if own and found.means(we):
            self.answered += 1
            with contextlib.suppress(OSError):  # the buffer is full, or it is gone
                sock.sendto(answer(_id(), found, we, self._no()), source)

    def _may_answer(self) -> bool:
        second = int(self._clock.monotonic_s())
        if second != self._window[0]:
            self._window = (second, 0)
        self._window = (second, self._window[1] + 1)
        return self._window[1] <= MOST_A_S

    def _we(self, own: str) -> Match:
        where = f"http://{own}:{self._port}/onvif/device_service"
        return Match(f"urn:uuid:{self._endpoint}", TYPES, self._scopes(), (where,))

    def _no(self) -> tuple[int, int]:
        self._sent += 1
        return self._started_s, self._sent


def _open() -> socket.socket:
    sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK)
    try:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_TTL, 1)
        sock.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_LOOP, 1)
        sock.bind(("", PORT))
    except OSError as err:
        sock.close()
        raise Unavailable("onvif.discovery", str(err), port=PORT) from err
    return sock


def _towards(host: str) -> str:
    """Our address on the way to a host, empty if there is no way."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        try:
            sock.connect((host, PORT))
        except OSError:
            return ""
        return str(sock.getsockname()[0])


def _address_of(index: int) -> str:
    """Our address on an interface, empty if it has none."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        try:
            through = struct.pack("@4s4si", bytes(4), bytes(4), index)
            sock.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_IF, through)
            sock.connect((GROUP_V4, PORT))
        except OSError:
            return ""
        found = str(sock.getsockname()[0])
        return "" if found == "0.0.0.0" else found  # noqa: S104 - compared


def _id() -> str:
    return f"urn:uuid:{uuid.uuid4()}"
