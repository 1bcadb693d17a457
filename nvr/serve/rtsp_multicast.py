"""Live streams to multicast groups: one sender for all that asked, and none while nobody asks.

Where a stream goes follows from its name: the address is one of the network in the settings, and so
are the ports, for a receiver that listens on a port hears every group that somebody on its machine
joined. Whoever is on the network can see a group, with or without a log-in: off unless said.
"""

import socket
import struct
from dataclasses import dataclass
from ipaddress import IPv4Network
from typing import Final
from zlib import crc32

from nvr._native import RelayReader
from nvr.media.ports import RelaySource
from nvr.media.track import StreamConfig
from nvr.serve.rtsp_relay import Variant, Variants
from nvr.wire.rtsp_session import Group

_STREAMS: Final = 1024
_PORTS: Final = 8
"""Of each stream: RTP and RTCP of four tracks."""


@dataclass(frozen=True, slots=True)
class Casting:
    """Where groups are.

    Attributes:
        network: Their addresses.
        first_port: Of the first; even.
        ttl: How many routers pass them on, and one.
    """

    network: IPv4Network
    first_port: int
    ttl: int


@dataclass(eq=False, slots=True)
class Cast:
    """A stream on its way to its group.

    Attributes:
        reader: What it sends.
        sessions: Who asked for it.
    """

    key: tuple[str, str, StreamConfig]
    variant: Variant
    reader: RelayReader
    sockets: tuple[socket.socket, ...]
    sessions: int = 0


class Groups:
    """The groups of one server.

    Args:
        casting: Where they are.
        variants: The server's relays.
        send_bytes: SO_SNDBUF.
    """

    def __init__(self, casting: Casting, variants: Variants, send_bytes: int) -> None:
        self._casting, self._variants, self._send_bytes = casting, variants, send_bytes
        self._slots: dict[str, int] = {}
        self._casts: dict[tuple[str, str, StreamConfig], Cast] = {}

    def place(self, path: str, own: str, track: int) -> Group | None:
        """Where a track goes; None: there is no room for another stream, or not over IPv6.

        Args:
            path: Its stream.
            own: Our address as its reader knows it: it is sent on that interface.
            track: Its number.
        """
        slot = self._slot(path)
        if slot is None or ":" in own or 2 * track >= _PORTS:
            return None
        port = self._casting.first_port + _PORTS * slot + 2 * track
        address = str(self._casting.network[slot])
        return Group(address, own, (port, port + 1), self._casting.ttl)

    def join(self, path: str, own: str, source: RelaySource, config: StreamConfig) -> Cast:
        """Have a stream sent to its group, for one session more.

        Raises:
            OSError: There is no way there, or no descriptor.
            Rejected: ``relay.too_many``.
        """
        key = (path, own, config)
        cast = self._casts.get(key)
        if cast is None:
            cast = self._casts[key] = self._begin(key, source)
        cast.sessions += 1
        return cast

    def leave(self, cast: Cast) -> None:
        """One session less; the last ends it."""
        cast.sessions -= 1
        if cast.sessions:
            return
        del self._casts[cast.key]
        self._variants.detach(cast.variant, cast.reader)
        for sock in cast.sockets:
            sock.close()

    def _begin(self, key: tuple[str, str, StreamConfig], source: RelaySource) -> Cast:
        path, own, config = key
        opened: list[socket.socket] = []
        try:
            groups = [self.place(path, own, track) for track in range(len(config))]
            ends = [(group.address, port) for group in groups if group for port in group.ports]
            for address, port in ends:
                opened.append(self._open(own, address, port))
            channels = {track: 2 * track for track in range(len(opened) // 2)}
            routes = {channel: sock.fileno() for channel, sock in enumerate(opened)}
            variant, reader = self._variants.attach(
                path, source, config, channels, opened[0].fileno(), b"", None, routes
            )
        except BaseException:
            for sock in opened:
                sock.close()
            raise
        reader.play()
        return Cast(key, variant, reader, tuple(opened))

    def _open(self, own: str, address: str, port: int) -> socket.socket:
        sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK)
        try:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, self._send_bytes)
            sock.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_TTL, self._casting.ttl)
            sock.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_LOOP, 1)
            mine = struct.pack("=4s4si", bytes(4), socket.inet_aton(own), 0)
            sock.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_IF, mine)
            sock.bind((own, 0))
            sock.connect((address, port))
        except OSError:
            sock.close()
            raise
        return sock

    def _slot(self, path: str) -> int | None:
        """The place of a stream: by its name, and the next that is free."""
        if path not in self._slots:
            room = min(self._casting.network.num_addresses, _STREAMS)
            first, taken = crc32(path.encode()) % room, set(self._slots.values())
            free = (slot % room for slot in range(first, first + room) if slot % room not in taken)
            slot = next(free, None)
            if slot is None:
                return None
            self._slots[path] = slot
        return self._slots[path]
