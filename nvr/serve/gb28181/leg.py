"""The socket that media leaves by: UDP, or TCP of which either side listens.

Ports come from a range, even ones as RTP has them, so that a firewall can name them. Over TCP who
connects says port 9 (RFC 4145). A platform that listens gets three tries, a second apart; one that
connects has ten seconds, and only its own addresses are let in.
"""

import asyncio
import contextlib
import socket
from typing import Final

from nvr.base.clock import Clock
from nvr.serve.gb28181.ports import Refused
from nvr.wire.gb_sdp import Offer

TRIES: Final = 3
TRY_S: Final = 3.0
BETWEEN_S: Final = 1.0
ACCEPT_S: Final = 10.0
SEND_BYTES: Final = 256 * 1024
"""SO_SNDBUF over TCP: without it the kernel hides megabytes for each slow reader."""
_DISCARD: Final = 9


class PortRange:
    """Local ports for media.

    Args:
        first: Lowest, 1024-65535.
        last: Highest, at least `first`; two ports make one.
    """

    def __init__(self, first: int, last: int) -> None:
        self._ports = range(first + first % 2, last + 1, 2)
        self._next = 0

    def take(self, kind: socket.SocketKind, host: str) -> socket.socket:
        """Return a socket that has one, at `host`.

        Raises:
            Refused: 486: all are in use.
        """
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        for _ in self._ports:
            port = self._ports[self._next % len(self._ports)]
            self._next += 1
            sock = socket.socket(family, kind)
            sock.setblocking(False)
            try:
                sock.bind((host, port))
                if kind == socket.SOCK_STREAM:
                    sock.listen(4)
            except OSError:
                sock.close()
                continue
            return sock
        raise Refused(486, "no media port is free")


class Leg:
    """One session's way out, from the answer to the end.

    Args:
        ports: Where a port comes from.
        offer: What the platform said.
        remote_host: Where it asked from.
        local_host: Address of ours that it reaches.
        clock: Time source.

    Raises:
        Refused: 486, and 488 if it has no port to send to.
    """

    def __init__(
        self, ports: PortRange, offer: Offer, remote_host: str, local_host: str, clock: Clock
    ) -> None:
        self._offer, self._remote_host, self._clock = offer, remote_host, clock
        self._listens = offer.transport == "tcp" and offer.setup == "active"
        if not self._listens and not offer.port:
            raise Refused(488, "there is no port to send to")
        self._sock: socket.socket | None = None
        self.port = _DISCARD
        if self._listens or offer.transport == "udp":
            kind = socket.SOCK_STREAM if self._listens else socket.SOCK_DGRAM
            self._sock = ports.take(kind, local_host)
            self.port = int(self._sock.getsockname()[1])

    async def ready(self) -> socket.socket:
        """Return the socket, connected and not blocking. It stays ours.

        Raises:
            OSError: The platform cannot be reached.
            TimeoutError: It did not come.
        """
        if self._offer.transport == "udp":
            assert self._sock is not None
            await asyncio.get_running_loop().sock_connect(self._sock, await self._peer())
        elif self._listens:
            await self._accepted()
        else:
            await self._connected()
        assert self._sock is not None
        return self._sock

    def meet(self, answer: Offer) -> None:
        """Where the platform is, once it has answered an invitation of ours."""
        self._offer = answer

    def close(self) -> None:
        """Free socket and port."""
        if self._sock is not None:
            self._sock.close()
            self._sock = None

    async def _peer(self) -> tuple[str, int]:
        loop = asyncio.get_running_loop()
        wanted = self._sock.family if self._sock else 0
        found = await loop.getaddrinfo(self._offer.host, self._offer.port, family=wanted)
        if not found:
            raise OSError(f"{self._offer.host} has no address")
        return str(found[0][4][0]), int(found[0][4][1])

    async def _accepted(self) -> None:
        listener, loop = self._sock, asyncio.get_running_loop()
        assert listener is not None
        known = {self._remote_host, self._offer.host}
        with contextlib.suppress(OSError):
            found = await loop.getaddrinfo(self._offer.host, None)
            known |= {str(one[4][0]) for one in found}
        async with asyncio.timeout(ACCEPT_S):
            while True:
                sock, peer = await loop.sock_accept(listener)
                if str(peer[0]) in known:
                    break
                sock.close()
        if self._sock is not listener:  # closed meanwhile
            sock.close()
            raise ConnectionAbortedError
        listener.close()
        self._keep(sock)

    async def _connected(self) -> None:
        loop = asyncio.get_running_loop()
        for left in range(TRIES - 1, -1, -1):
            peer = await self._peer()
            family = socket.AF_INET6 if ":" in peer[0] else socket.AF_INET
            sock = socket.socket(family, socket.SOCK_STREAM)
            sock.setblocking(False)
            try:
                async with asyncio.timeout(TRY_S):
                    await loop.sock_connect(sock, peer)
            except BaseException as err:
                sock.close()
                if not left or not isinstance(err, OSError):  # TimeoutError is one
                    raise
            else:
                self._keep(sock)
                return
            await self._clock.sleep(BETWEEN_S)

    def _keep(self, sock: socket.socket) -> None:
        sock.setblocking(False)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SEND_BYTES)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, 10)
        self._sock = sock
