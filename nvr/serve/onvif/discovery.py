"""Answers who looks for devices: WS-Discovery on every interface that carries multicast.

Over IPv4, over IPv6, or both: as the device's own service can be reached.

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
from collections.abc import Callable, Iterable
from typing import Any, Literal

from nvr.base.allowance import PerSecond
from nvr.base.clock import Clock
from nvr.base.errors import Unavailable
from nvr.link.discover import interfaces
from nvr.wire.wsdiscovery import GROUP_V4, GROUP_V6, PORT, Match, announcement, answer, asked

_log = logging.getLogger(__name__)

MOST_A_S = 20
LOOK_S = 10.0
"""Interfaces come and go: they are looked at again after so long."""
TYPES = ("dn:NetworkVideoTransmitter", "tds:Device")


class _V4:
    """How groups are joined and spoken to in IPv4."""

    kind = socket.AF_INET

    def join(self, sock: socket.socket, index: int) -> None:
        member = struct.pack("@4s4si", socket.inet_aton(GROUP_V4), bytes(4), index)
        sock.setsockopt(socket.IPPROTO_IP, socket.IP_ADD_MEMBERSHIP, member)

    def through(self, sock: socket.socket, index: int) -> None:
        out = struct.pack("@4s4si", bytes(4), bytes(4), index)
        sock.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_IF, out)

    def everybody(self, _index: int) -> tuple[str | int, ...]:
        return GROUP_V4, PORT

    def set_up(self, sock: socket.socket) -> None:
        sock.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_TTL, 1)
        sock.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_LOOP, 1)

    def address_of(self, index: int) -> str:
        """Our address on an interface, empty if it has none."""
        return _own(self, index)


class _V6:
    """The same in IPv6: on the link alone, where addresses mean nothing without their interface."""

    kind = socket.AF_INET6

    def join(self, sock: socket.socket, index: int) -> None:
        member = socket.inet_pton(socket.AF_INET6, GROUP_V6) + struct.pack("@I", index)
        sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_JOIN_GROUP, member)

    def through(self, sock: socket.socket, index: int) -> None:
        sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_MULTICAST_IF, index)

    def everybody(self, index: int) -> tuple[str | int, ...]:
        return GROUP_V6, PORT, 0, index

    def set_up(self, sock: socket.socket) -> None:
        sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_MULTICAST_HOPS, 1)

    def address_of(self, index: int) -> str:
        """Our address on an interface, empty if it has none."""
        return _own(self, index)


Family = _V4 | _V6
V4, V6 = _V4(), _V6()


class Responder:
    """Says where the device is.

    Args:
        endpoint: Its UUID.
        scopes: What it says of itself, asked anew each time.
        port: TCP port of its service.
        clock: Time source.
        families: Over which it answers: those its service listens on.
    """

    def __init__(
        self,
        endpoint: str,
        scopes: Callable[[], tuple[str, ...]],
        port: int,
        clock: Clock,
        families: Iterable[Family] = (V4,),
    ) -> None:
        self._endpoint, self._scopes, self._port, self._clock = endpoint, scopes, port, clock
        self._families = tuple(families)
        self._started_s = clock.wall_us() // 1_000_000
        self._sent = 0
        self._allowance = PerSecond(MOST_A_S, clock)
        self.answered = 0

    async def run(self) -> None:
        """Answer until cancelled; says hello at the start and bye at the end.

        Raises:
            Unavailable: ``onvif.discovery``: the port cannot be opened.
        """
        loop = asyncio.get_running_loop()
        with contextlib.ExitStack() as stack:
            joined: dict[socket.socket, set[int]] = {}
            for family in self._families:
                sock = stack.enter_context(contextlib.closing(_open(family)))
                joined[sock] = set()
                loop.add_reader(sock.fileno(), self._take, sock)
                stack.callback(loop.remove_reader, sock.fileno())
            try:
                while True:
                    for sock, known in joined.items():
                        self._join(sock, known)
                    await self._clock.sleep(LOOK_S)
            finally:
                for sock, known in joined.items():
                    for index in known:
                        self._announce(sock, index, "Bye")

    def _join(self, sock: socket.socket, known: set[int]) -> None:
        """Listen on interfaces that are new, and say hello there."""
        there = {index for index, _ in interfaces()}
        for index in there - known:
            try:
                _family(sock).join(sock, index)
            except OSError:
                continue  # it has no address yet
            known.add(index)
            self._announce(sock, index, "Hello")
        known &= there

    def _announce(self, sock: socket.socket, index: int, what: Literal["Hello", "Bye"]) -> None:
        family = _family(sock)
        own = family.address_of(index)
        if not own:
            return
        data = announcement(_id(), what, self._we(own), self._no())
        with contextlib.suppress(OSError):  # the network is not up
            family.through(sock, index)
            sock.sendto(data, family.everybody(index))

    def _take(self, sock: socket.socket) -> None:
        try:
            data, source = sock.recvfrom(64 * 1024)
        except OSError:
            return
        try:
            found = asked(data)
        except ValueError:  # anybody may send us anything
            return
        if found is None or not self._allowance.take():
            return
        own = _towards(sock.family, source)
        we = self._we(own)
        if own and found.means(we):
            self.answered += 1
            with contextlib.suppress(OSError):  # the buffer is full, or it is gone
                sock.sendto(answer(_id(), found, we, self._no()), source)

    def _we(self, own: str) -> Match:
        host = f"[{own}]" if ":" in own else own
        where = f"http://{host}:{self._port}/onvif/device_service"
        return Match(f"urn:uuid:{self._endpoint}", TYPES, self._scopes(), (where,))

    def _no(self) -> tuple[int, int]:
        self._sent += 1
        return self._started_s, self._sent


def families_of(host: str) -> tuple[Family, ...]:
    """Return what a service that listens at `host` can be reached over."""
    if not host:
        return V4, V6
    return (V6,) if ":" in host else (V4,)


def _family(sock: socket.socket) -> Family:
    return V4 if sock.family == socket.AF_INET else V6


def _open(family: Family) -> socket.socket:
    sock = socket.socket(family.kind, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK)
    try:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        family.set_up(sock)
        sock.bind(("", PORT))
    except OSError as err:
        sock.close()
        raise Unavailable("onvif.discovery", str(err), port=PORT) from err
    return sock


def _towards(kind: int, source: tuple[Any, ...]) -> str:
    """Our address on the way to a host, empty if there is no way."""
    with socket.socket(kind, socket.SOCK_DGRAM) as sock:
        try:
            sock.connect(source)
        except OSError:
            return ""
        return str(sock.getsockname()[0]).partition("%")[0]


def _own(family: Family, index: int) -> str:
    with socket.socket(family.kind, socket.SOCK_DGRAM) as sock:
        try:
            family.through(sock, index)
            sock.connect(family.everybody(index))
        except OSError:
            return ""
        found = str(sock.getsockname()[0]).partition("%")[0]
        return "" if found in {"0.0.0.0", "::"} else found  # noqa: S104 - compared


def _id() -> str:
    return f"urn:uuid:{uuid.uuid4()}"
