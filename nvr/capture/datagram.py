"""Sockets for a camera's datagrams: a pair of ports for each track, or a place in its group.

They are bound to the address from which we reach the camera, and taken from that camera only.
What a server says of itself is believed as far as it harms nobody: a ``source`` that may not be
connected to is ignored, a group must be one.
"""

import contextlib
import errno
import socket
import struct
from collections.abc import Callable
from ipaddress import IPv4Address, ip_address

from nvr.base.errors import Damaged, Unavailable
from nvr.media.datagram import Datagrams, End
from nvr.wire.rtsp import Pair
from nvr.wire.rtsp_client import Track

BUFFER_BYTES = 8 << 20
"""Of a socket: what comes in a tick at line rate. The system grants `net.core.rmem_max`."""
_TRIES = 64
_PUNCHES = 2
_RTP = bytes((0x80, *bytes(11)))
_RTCP = bytes((0x80, 201, 0, 1, *bytes(4)))
_LOCAL_NETWORK = IPv4Address("224.0.0.255")
# Of linux/in.h and asm/socket.h, which Python's `socket` does not name.
_IP_ADD_SOURCE_MEMBERSHIP = 39
_IP_MULTICAST_ALL = 49
_IPV6_MULTICAST_ALL = 29
_SO_RCVBUFFORCE = 33


class Sockets:
    """The datagram sockets of one connection, until its run takes them.

    Args:
        ours: Local address of the RTSP connection, as `getsockname` says.
        theirs: The camera's numeric address.
        permit: Whether an address and port may be connected to at all.
    """

    def __init__(
        self,
        ours: tuple[str, int, int, int] | tuple[str, int],
        theirs: str,
        permit: Callable[[str, int], bool],
    ) -> None:
        self._ours = ours
        self._theirs = theirs
        self._permit = permit
        self._family = socket.AF_INET6 if len(ours) == 4 else socket.AF_INET
        self._opened: list[tuple[socket.socket, socket.socket]] = []
        self._joined: list[Datagrams] = []
        self._scope = ours[3] if len(ours) == 4 else 0

    def close(self) -> None:
        """Close what nobody took."""
        for pair in self._opened:
            for sock in pair:
                sock.close()
        for one in self._joined:
            one.close()
        self._opened.clear()
        self._joined.clear()

    def open_pair(self) -> Pair:
        """Bind an even port for RTP and the next one for RTCP; each pair is for one track.

        Raises:
            Unavailable: ``camera.no_ports``: none is free.
        """
        for _ in range(_TRIES):
            with self._bind(0) as free:
                port = free.getsockname()[1] & ~1
            with contextlib.suppress(OSError):  # somebody else has one of them
                self._opened.append(self._pair(port))
                return port, port + 1
        raise Unavailable("camera.no_ports", "no two ports in a row are free for its datagrams")

    def _pair(self, port: int) -> tuple[socket.socket, socket.socket]:
        rtp = self._bind(port)
        try:
            return rtp, self._bind(port + 1)
        except OSError:
            rtp.close()
            raise

    def _bind(self, port: int) -> socket.socket:
        sock = self._socket()
        try:
            sock.bind(self._at(self._ours[0], port))
        except OSError:
            sock.close()
            raise
        return sock

    def _socket(self) -> socket.socket:
        sock = socket.socket(self._family, socket.SOCK_DGRAM)
        sock.setblocking(False)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, BUFFER_BYTES)
        with contextlib.suppress(OSError):  # beyond net.core.rmem_max, for whoever may
            sock.setsockopt(socket.SOL_SOCKET, _SO_RCVBUFFORCE, BUFFER_BYTES)
        return sock

    def _at(self, host: str, port: int) -> tuple[str, int] | tuple[str, int, int, int]:
        if self._family == socket.AF_INET:
            return (host, port)
        return (host.partition("%")[0], port, 0, self._scope)

    def take(self, tracks: tuple[Track, ...]) -> dict[int, Datagrams]:
        """Return the sockets of each track by its channel; whoever takes them closes them.

        The way through NATs and firewalls is opened here, before the camera begins to send.

        Raises:
            Damaged: ``camera.protocol``: the group it speaks of is none.
            Unavailable: ``camera.no_ports``: the group cannot be joined.
        """
        found: dict[int, Datagrams] = {}
        for track in tracks:
            if track.delivery == "udp":
                found[track.channel] = self._unicast(track)
            elif track.delivery == "multicast":
                found[track.channel] = self._multicast(track)
        self._joined.clear()
        return found

    def _source(self, said: str, port: int) -> str:
        """The address that the server says it sends from, if that may be believed."""
        with contextlib.suppress(ValueError):
            source = ip_address(said)
            same_family = source.version == (4 if self._family == socket.AF_INET else 6)
            if same_family and not source.is_multicast and self._permit(said, port):
                return said
        return self._theirs

    def _unicast(self, track: Track) -> Datagrams:
        rtp, rtcp = self._opened.pop(0)
        said = track.transport
        port = said.server_port
        source = self._source(said.source, port[0] if port else 0)
        senders = tuple(dict.fromkeys((self._theirs, source)))
        punch: End | None = (source, port[0]) if port else None
        report: End | None = (source, port[1]) if port else None
        for _ in range(_PUNCHES):
            for sock, end, data in ((rtp, punch, _RTP), (rtcp, report, _RTCP)):
                if end:
                    with contextlib.suppress(OSError):
                        sock.sendto(data, self._at(*end))
        made = Datagrams(rtp, rtcp, senders, punch, report)
        self._joined.append(made)
        return made

    def _multicast(self, track: Track) -> Datagrams:
        said, media = track.transport, track.media
        group = said.destination or media.address.partition("/")[0]
        ports = said.group_port or said.server_port or (media.port, media.port + 1)
        try:
            address = ip_address(group)
        except ValueError:
            address = None
        low, high = min(ports), max(ports)
        if (
            address is None
            or not address.is_multicast
            or (address.version == 4) != (self._family == socket.AF_INET)
            or (isinstance(address, IPv4Address) and address <= _LOCAL_NETWORK)
            or low < 1024
            or high > 65535
        ):
            where = f"{group or 'nowhere'}:{ports[0]}"
            raise Damaged("camera.protocol", f"the camera says that its group is {where}")
        source = self._source(said.source, ports[0])
        senders = tuple(dict.fromkeys((self._theirs, source)))
        try:
            rtp = self._join(str(address), ports[0], senders)
            try:
                rtcp = self._join(str(address), ports[1], senders)
            except OSError:
                rtp.close()
                raise
        except OSError as err:
            why = f"the group {group}:{ports[0]} cannot be joined: {err.strerror}"
            raise Unavailable("camera.no_ports", why) from err
        ttl = max(1, min(said.ttl or 16, 255))
        if self._family == socket.AF_INET:
            rtcp.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_TTL, ttl)
            rtcp.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_LOOP, 0)
            rtcp.setsockopt(
                socket.IPPROTO_IP, socket.IP_MULTICAST_IF, socket.inet_aton(self._ours[0])
            )
        else:
            rtcp.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_MULTICAST_HOPS, ttl)
            rtcp.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_MULTICAST_LOOP, 0)
            rtcp.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_MULTICAST_IF, self._scope)
        made = Datagrams(rtp, rtcp, senders, None, (str(address), ports[1]))
        self._joined.append(made)
        return made

    def _join(self, group: str, port: int, senders: tuple[str, ...]) -> socket.socket:
        """Bind to the group, and join it on the interface on which the camera is reached."""
        sock = self._socket()
        try:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            if self._family == socket.AF_INET:
                # Not what others of this box joined on other interfaces.
                sock.setsockopt(socket.IPPROTO_IP, _IP_MULTICAST_ALL, 0)
                sock.bind((group, port))
                self._join_v4(sock, socket.inet_aton(group), senders)
            else:
                with contextlib.suppress(OSError):
                    sock.setsockopt(socket.IPPROTO_IPV6, _IPV6_MULTICAST_ALL, 0)
                sock.bind((group, port, 0, self._scope))
                packed = socket.inet_pton(socket.AF_INET6, group)
                join = packed + struct.pack("@I", self._scope)
                sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_JOIN_GROUP, join)
        except OSError:
            sock.close()
            raise
        return sock

    def _join_v4(self, sock: socket.socket, group: bytes, senders: tuple[str, ...]) -> None:
        ours = socket.inet_aton(self._ours[0])
        if group[0] != 232:
            sock.setsockopt(socket.IPPROTO_IP, socket.IP_ADD_MEMBERSHIP, group + ours)
            return
        for sender in senders:  # source-specific by its address: no router forwards anything else
            try:
                join = group + ours + socket.inet_aton(sender)
                sock.setsockopt(socket.IPPROTO_IP, _IP_ADD_SOURCE_MEMBERSHIP, join)
            except OSError as err:
                if err.errno != errno.EADDRNOTAVAIL:
                    raise
