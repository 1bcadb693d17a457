"""Connections to a camera during and after the handshake: a TCP socket, or TLS over one."""

import asyncio
import socket
from typing import Protocol

READ_BYTES = 256 * 1024
Socket = tuple[str, int] | tuple[str, int, int, int]
"""Address and port; of IPv6, flow and scope too."""


class Line(Protocol):
    """A connection during the handshake."""

    @property
    def sock(self) -> socket.socket | None:
        """The bare socket, for the ingest thread; None if bytes must be fed."""
        ...

    @property
    def writes(self) -> bool:
        """`sock` is for writing too; if not, everything goes through `write`."""
        ...

    def ends(self) -> tuple[Socket, str]:
        """Our end as `getsockname` says it, and the camera's numeric address."""
        ...

    async def read(self) -> bytes:
        """Next bytes, empty at the end."""
        ...

    async def write(self, data: bytes) -> None:
        """Send all of `data`."""
        ...


class PlainLine:
    """A TCP socket. See `Line`."""

    writes = True

    def __init__(self, sock: socket.socket) -> None:
        self.sock: socket.socket | None = sock
        self._sock = sock

    def ends(self) -> tuple[Socket, str]:  # noqa: D102 - see Line
        return self._sock.getsockname(), self._sock.getpeername()[0]

    async def read(self) -> bytes:  # noqa: D102 - see Line
        return await asyncio.get_running_loop().sock_recv(self._sock, READ_BYTES)

    async def write(self, data: bytes) -> None:  # noqa: D102 - see Line
        await asyncio.get_running_loop().sock_sendall(self._sock, data)


class TlsLine:
    """TLS over asyncio. See `Line`."""

    sock = None
    writes = False

    def __init__(self, streams: tuple[asyncio.StreamReader, asyncio.StreamWriter]) -> None:
        self._input, self._output = streams

    def ends(self) -> tuple[Socket, str]:  # noqa: D102 - see Line
        info = self._output.get_extra_info
        return info("sockname"), info("peername")[0]

    async def read(self) -> bytes:  # noqa: D102 - see Line
        return await self._input.read(READ_BYTES)

    async def write(self, data: bytes) -> None:  # noqa: D102 - see Line
        self._output.write(data)
        await self._output.drain()
