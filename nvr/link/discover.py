"""Finds cameras: WS-Discovery on every interface, and asking addresses that a person names.

Two probes, one for each kind of device, three times each, on each interface that is up and carries
multicast, over IPv4 and IPv6's link-local group. Datagrams get lost, and some cameras answer only
the second time. A camera is believed to be where its answer came from: many name an address that
they had in the factory.

An address or a small network given by hand is asked both ways: by the same probe as unicast, and
on the ports where cameras have their services, for those that do not know WS-Discovery or are
behind a router.
"""

import asyncio
import contextlib
import fcntl
import secrets
import socket
import struct
import uuid
from collections.abc import Callable
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network
from typing import Any, Final
from urllib.parse import urlsplit

from nvr.base.errors import Rejected
from nvr.base.transport import cut
from nvr.media.onvif import Sighting
from nvr.wire.wsdiscovery import (
    GROUP_V4,
    GROUP_V6,
    KINDS,
    PORT,
    Kind,
    Match,
    matches,
    probe,
)

LISTEN_S: Final = 3.0
AGAIN_S: Final = (0.0, 0.3, 0.9)
"""When each probe is sent."""
MOST_FOUND: Final = 256
MOST_DATAGRAMS: Final = 1024
MOST_ADDRESSES: Final = 256
"""A network given by hand has at most so many: a /24."""
PORTS: Final = (80, 8000, 8080, 8899, 2020, 8081, 443)
"""Where cameras have their services when nobody moved them, the usual one first."""
CONNECT_S: Final = 1.5
ANSWER_S: Final = 4.0
AT_ONCE: Final = 64
_GET_FLAGS: Final = 0x8913  # SIOCGIFFLAGS
_UP, _LOOPBACK, _MULTICAST = 0x1, 0x8, 0x1000
_ASK: Final = (
    '<?xml version="1.0"?><s:Envelope xmlns:s="http://www.w3.org/2003/05/soap-envelope">'
    '<s:Body><GetSystemDateAndTime xmlns="http://www.onvif.org/ver10/device/wsdl"/></s:Body>'
    "</s:Envelope>"
)

Permit = Callable[[str, int], bool]


def interfaces() -> list[tuple[int, str]]:
    """Number and name of each interface on which cameras could be."""
    found = []
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        for index, name in socket.if_nameindex():
            with contextlib.suppress(OSError):
                # Not from /sys, which may show another network namespace than ours.
                asked = struct.pack("@16sh14x", name.encode(), 0)
                (flags,) = struct.unpack_from("@h", fcntl.ioctl(sock, _GET_FLAGS, asked), 16)
                if flags & _UP and flags & _MULTICAST and not flags & _LOOPBACK:
                    found.append((index, name))
    return found


async def search(permit: Permit, *, listen_s: float = LISTEN_S) -> tuple[Sighting, ...]:
    """Ask every network the box is on who is there.

    Args:
        permit: Whether an address and port may be connected to; others are left out.
        listen_s: How long answers are waited for.
    """
    found = _Found(permit)
    with contextlib.ExitStack() as stack:
        for index, name in interfaces():
            for make in (_socket_v4, _socket_v6):
                with contextlib.suppress(OSError):  # it has no address of that family
                    sock, group = make(index)
                    stack.callback(sock.close)
                    found.listen(sock, group, name)
        await found.ask(listen_s)
    return found.all()


async def ask_addresses(
    where: str, permit: Permit, *, listen_s: float = LISTEN_S
) -> tuple[Sighting, ...]:
    """Ask an address, ``192.0.2.10``, with a port, or each of a network, ``192.0.2.0/24``.

    Raises:
        Rejected: ``camera.search``: that is none, or too large. ``onvif.forbidden``.
    """
    hosts, port = _places(where)
    allowed = [host for host in hosts if permit(str(host), port or PORTS[0])]
    if not allowed:
        raise Rejected(
            "onvif.forbidden",
            "the address is this box itself, the local link or a metadata service; "
            "only local_cameras in nvr.toml can allow that",
        )
    found = _Found(permit)
    with contextlib.ExitStack() as stack:
        if port is None:
            for family in {socket.AF_INET if h.version == 4 else socket.AF_INET6 for h in allowed}:
                with contextlib.suppress(OSError):
                    sock = _datagrams(family)
                    stack.callback(sock.close)
                    asked = [
                        str(h) for h in allowed if (h.version == 4) == (family == socket.AF_INET)
                    ]
                    found.listen(sock, asked, "")
        slots = asyncio.Semaphore(AT_ONCE)
        knocking = [
            _knock(str(host), each, slots, permit)
            for host in allowed
            for each in ((port,) if port else PORTS)
        ]
        *answers, _ = await asyncio.gather(*knocking, found.ask(listen_s if port is None else 0.0))
    for answer in answers:
        if answer is not None:
            found.add(answer)
    return found.all()


class _Found:
    """What was seen: each camera once, though it is on several networks and has several ports."""

    def __init__(self, permit: Permit) -> None:
        self._permit = permit
        self._ids: dict[str, Kind] = {f"urn:uuid:{uuid.uuid4()}": kind for kind in KINDS}
        self._lines: list[tuple[socket.socket, list[str] | tuple[Any, ...], str]] = []
        self._seen: dict[str, Sighting] = {}
        self._hosts: set[str] = set()
        self._left = MOST_DATAGRAMS

    def listen(self, sock: socket.socket, to: list[str] | tuple[Any, ...], via: str) -> None:
        """Have a socket asked through: to addresses, or to a group."""
        self._lines.append((sock, to, via))

    async def ask(self, listen_s: float) -> None:
        loop = asyncio.get_running_loop()
        for sock, _, via in self._lines:
            loop.add_reader(sock.fileno(), self._take, sock, via)
        try:
            started_s = loop.time()
            for at_s in AGAIN_S if self._lines else ():
                await asyncio.sleep(max(0.0, started_s + at_s - loop.time()))
                self._send()
            if self._lines:
                await asyncio.sleep(max(0.0, started_s + listen_s - loop.time()))
        finally:
            for sock, _, _ in self._lines:
                loop.remove_reader(sock.fileno())

    def _send(self) -> None:
        for sock, to, _ in self._lines:
            for message_id, kind in self._ids.items():
                data = probe(message_id, kind)
                for place in [(host, PORT) for host in to] if isinstance(to, list) else [to]:
                    with contextlib.suppress(OSError):  # nobody there, or the buffer is full
                        sock.sendto(data, place)

    def _take(self, sock: socket.socket, via: str) -> None:
        try:
            data, source = sock.recvfrom(64 * 1024)
        except OSError:
            return
        self._left -= 1
        if self._left < 0:
            return
        host = str(source[0])
        if host.startswith("fe80:") and via and "%" not in host:
            host = f"{host}%{via}"  # without it nobody knows on which link
        with contextlib.suppress(ValueError):  # anybody may send us anything
            for match in matches(data, frozenset(self._ids)):
                self.add(_sighting(match, host, via))

    def add(self, one: Sighting) -> None:
        """Keep it, unless it is there already or may not be connected to."""
        if len(self._seen) >= MOST_FOUND or not self._permit(one.host, one.port):
            return
        key = one.endpoint or f"{one.host}:{one.port}"
        before = self._seen.get(key)
        if before is None and not one.endpoint and one.host in self._hosts:
            return  # knocked at, and seen already under its own name
        if before is None or (":" in before.host and ":" not in one.host):
            self._seen[key] = one
            self._hosts.add(one.host)

    def all(self) -> tuple[Sighting, ...]:
        def key(one: Sighting) -> tuple[int, int, int]:
            address = ip_address(one.host.partition("%")[0])
            return address.version, int(address), one.port

        return tuple(sorted(self._seen.values(), key=key))


def _sighting(match: Match, host: str, via: str) -> Sighting:
    """Place it where its answer came from, at the port that it names."""
    urls = []
    for text in match.addresses:
        with contextlib.suppress(ValueError):
            parts = urlsplit(text)
            if parts.scheme in {"http", "https"} and parts.hostname:
                urls.append((parts, parts.port or (443 if parts.scheme == "https" else 80)))
    # Its own address first, then HTTP before HTTPS, as it lists them.
    urls.sort(key=lambda url: (url[0].hostname != host, url[0].scheme == "https"))
    parts, port = urls[0] if urls else (urlsplit("http://x/onvif/device_service"), 80)
    path = parts.path if parts.path.startswith("/") else "/onvif/device_service"
    return Sighting(
        host,
        port,
        parts.scheme == "https",
        match.scope("name"),
        match.scope("hardware"),
        match.scope("location"),
        match.endpoint,
        via,
        path,
    )


async def _knock(host: str, port: int, slots: asyncio.Semaphore, permit: Permit) -> Sighting | None:
    """Ask at a port what time it is there, which anybody may; None if that is no camera."""
    if not permit(host, port):
        return None
    async with slots:
        try:
            async with asyncio.timeout(CONNECT_S):
                reader, writer = await asyncio.open_connection(host, port, limit=8192)
        except (OSError, TimeoutError):
            return None
        try:
            if port == 443:
                return None  # it is there, and says nothing without TLS: found by its name only
            name = f"[{host}]" if ":" in host else host
            async with asyncio.timeout(ANSWER_S):
                writer.write(
                    f"POST /onvif/device_service HTTP/1.1\r\nHost: {name}:{port}\r\n"
                    "Content-Type: application/soap+xml; charset=utf-8\r\nConnection: close\r\n"
                    f"Content-Length: {len(_ASK)}\r\n\r\n{_ASK}".encode()
                )
                answer = b""
                while len(answer) < 8192 and (piece := await reader.read(4096)):
                    answer += piece
        except (OSError, TimeoutError):
            return None
        finally:
            cut(writer.transport)
    known = b"www.onvif.org" in answer or b"http://www.w3.org/2003/05/soap-envelope" in answer
    return Sighting(host, port) if known else None


def _places(where: str) -> tuple[list[IPv4Address | IPv6Address], int | None]:
    text = where.strip()
    with contextlib.suppress(ValueError):
        network = ip_network(text, strict=False)
        if network.num_addresses > MOST_ADDRESSES:
            raise Rejected(
                "camera.search", f"at most {MOST_ADDRESSES} addresses at once: 192.0.2.0/24"
            )
        return list(network.hosts()), None
    host, _, port = text.rpartition(":")
    with contextlib.suppress(ValueError):
        if port.isascii() and port.isdigit() and 1 <= int(port) <= 65535:
            return [ip_address(host.strip("[]"))], int(port)
    raise Rejected("camera.search", "that is no address, and no network: 192.0.2.10, 192.0.2.0/24")


def _datagrams(family: socket.AddressFamily) -> socket.socket:
    sock = socket.socket(family, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 256 * 1024)
    if family == socket.AF_INET6:
        sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
    return sock


def _socket_v4(index: int) -> tuple[socket.socket, tuple[Any, ...]]:
    sock = _datagrams(socket.AF_INET)
    try:
        sock.setsockopt(
            socket.IPPROTO_IP, socket.IP_MULTICAST_IF, struct.pack("@4s4si", b"", b"", index)
        )
        sock.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_TTL, 1)
        # A port that nobody guesses: only who heard the probe can answer it.
        _bind(sock, "")
    except OSError:
        sock.close()
        raise
    return sock, (GROUP_V4, PORT)


def _socket_v6(index: int) -> tuple[socket.socket, tuple[Any, ...]]:
    sock = _datagrams(socket.AF_INET6)
    try:
        sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_MULTICAST_IF, index)
        sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_MULTICAST_HOPS, 1)
        _bind(sock, "::")
    except OSError:
        sock.close()
        raise
    return sock, (GROUP_V6, PORT, 0, index)


def _bind(sock: socket.socket, host: str) -> None:
    for _ in range(8):
        with contextlib.suppress(OSError):
            sock.bind((host, 20_000 + secrets.randbelow(40_000)))
            return
    sock.bind((host, 0))
