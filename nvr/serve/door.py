"""Where connections come in: counted before they have said a word, and cut if they say none.

At most 64 connections of one address and 256 in all are held, TLS handshakes included; more are
closed at once. Without such a limit 120 idle clients are enough to take the last file descriptor
from the recorder. A connection that has not sent a whole request within 10 s of its arrival is cut.
64 and not fewer because two tabs with sixteen tiles each hold 32 WebSockets and their requests.
"""

import asyncio
import contextlib
import errno
import logging
import socket
import ssl
from collections import Counter
from collections.abc import Callable
from weakref import WeakSet

from aiohttp import web

from nvr.base.errors import Unavailable
from nvr.base.log import event
from nvr.base.transport import cut

_log = logging.getLogger(__name__)

MOST_OF_ONE = 64
MOST = 256
FIRST_REQUEST_S = 10.0
HANDSHAKE_S = 10.0
NOT_SENT_BYTES = 32 * 1024
MOST_HEADERS = 64
_BACKLOG = 128
_OUT_OF_FILES_S = 0.2


def listen(host: str, port: int, code: str = "page.port") -> list[socket.socket]:
    """Open listening sockets on every address `host` stands for.

    Raises:
        Unavailable: `code`: the port is taken or the address is not ours.
    """
    opened: list[socket.socket] = []
    try:
        for family, kind, proto, _, address in socket.getaddrinfo(
            host or None, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        ):
            sock = socket.socket(family, kind, proto)
            opened.append(sock)
            sock.setblocking(False)
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            if family == socket.AF_INET6:
                sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
            sock.bind(address)
            sock.listen(_BACKLOG)
    except OSError as err:
        for sock in opened:
            sock.close()
        raise Unavailable(code, str(err), host=host, port=port) from err
    return opened


async def protocol(
    app: web.Application, *, idle_s: float, most_line_bytes: int
) -> tuple[web.AppRunner, web.Server]:
    """Set up what speaks HTTP for `app` behind a `Door`; whoever calls cleans the runner up.

    Args:
        app: What answers.
        idle_s: After so long without a request a connection is closed.
        most_line_bytes: Longest request line, and longest header.
    """
    runner = web.AppRunner(
        app,
        access_log=None,
        keepalive_timeout=idle_s,
        max_line_size=most_line_bytes,
        max_field_size=most_line_bytes,
        max_headers=MOST_HEADERS,
        auto_decompress=False,
        shutdown_timeout=1.0,
    )
    await runner.setup()
    if runner.server is None:  # pragma: no cover - setup() makes it
        raise RuntimeError("the HTTP server was not made")
    return runner, runner.server


class Door:
    """Takes connections off listening sockets and hands them to the HTTP protocol."""

    def __init__(
        self,
        protocol: Callable[[], asyncio.BaseProtocol],
        context: ssl.SSLContext | None,
        *,
        most_of_one: int = MOST_OF_ONE,
        most: int = MOST,
        first_request_s: float = FIRST_REQUEST_S,
    ) -> None:
        self._protocol = protocol
        self._context = context
        self._most_of_one = most_of_one
        self._most = most
        self._first_request_s = first_request_s
        self._shaking: Counter[str] = Counter()
        self._open: dict[asyncio.Transport, str] = {}
        self._silent: WeakSet[asyncio.BaseTransport] = WeakSet()
        self.refused = 0

    def heard(self, transport: asyncio.BaseTransport | None) -> None:
        """A whole request head came in over `transport`."""
        if transport is not None:
            self._silent.discard(transport)

    async def serve(self, sockets: list[socket.socket]) -> None:
        """Accept until cancelled; closes the sockets."""
        try:
            async with asyncio.TaskGroup() as tasks:
                for sock in sockets:
                    tasks.create_task(self._accept(sock, tasks))
        finally:
            for sock in sockets:
                sock.close()
            for transport in list(self._open):
                cut(transport)

    async def _accept(self, listener: socket.socket, tasks: asyncio.TaskGroup) -> None:
        loop = asyncio.get_running_loop()
        while True:
            try:
                sock, address = await loop.sock_accept(listener)
            except OSError as err:
                # Out of descriptors or the peer went away meanwhile: the next may do better.
                level = logging.WARNING if err.errno in {errno.EMFILE, errno.ENFILE} else 10
                event(_log, level, "page.accept_failed", error=str(err))
                await asyncio.sleep(_OUT_OF_FILES_S)
                continue
            peer = str(address[0])
            if not self._room(peer):
                self.refused += 1
                sock.close()
                continue
            self._shaking[peer] += 1
            tasks.create_task(self._admit(sock, peer))

    def _room(self, peer: str) -> bool:
        self._forget_closed()
        of_one = self._shaking[peer] + sum(one == peer for one in self._open.values())
        return of_one < self._most_of_one and self._shaking.total() + len(self._open) < self._most

    def _forget_closed(self) -> None:
        for transport in [one for one in self._open if one.is_closing()]:
            del self._open[transport]

    async def _admit(self, sock: socket.socket, peer: str) -> None:
        loop = asyncio.get_running_loop()
        try:
            with contextlib.suppress(OSError):
                sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                # Else the kernel buffers megabytes: at a tile's rate a minute of old pictures.
                sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NOTSENT_LOWAT, NOT_SENT_BYTES)
            handshake_s = HANDSHAKE_S if self._context else None
            transport, _ = await loop.connect_accepted_socket(
                self._protocol, sock, ssl=self._context, ssl_handshake_timeout=handshake_s
            )
        except (OSError, ssl.SSLError, TimeoutError) as err:
            event(_log, logging.DEBUG, "page.handshake_failed", peer=peer, error=str(err))
            sock.close()
            return
        finally:
            self._shaking[peer] -= 1
            if not self._shaking[peer]:
                del self._shaking[peer]
        self._open[transport] = peer
        self._silent.add(transport)
        loop.call_later(self._first_request_s, self._cut_if_silent, transport)

    def _cut_if_silent(self, transport: asyncio.Transport) -> None:
        if transport in self._silent and not transport.is_closing():
            cut(transport)
