"""RTSP through HTTP: two connections of a reader's that are one to `rtsp_connection.Connection`.

They are paired by their cookie, and only if they came from one address and in the same clothes
(both over TLS or neither). Whoever guessed a cookie would have gained nothing: each request inside
proves its user by itself. A tunnel has one POST at a time; when that ends, another may go on.
"""

import asyncio
import contextlib
from typing import Final

from nvr.base.transport import cut
from nvr.wire.rtsp_tunnel import Decoder, Leg, is_http, parse_leg

_PIECE_BYTES: Final = 16_384


class Begun:
    """A connection whose beginning was read already. See `Input`."""

    def __init__(self, first: bytes, stream: asyncio.StreamReader) -> None:
        self._first = first
        self._stream = stream

    async def read(self, size: int) -> bytes:
        """See `Input`."""
        if self._first:
            first, self._first = self._first, b""
            return first
        return await self._stream.read(size)


async def opening(stream: asyncio.StreamReader) -> tuple[Leg | None, bytes]:
    """Read until it is clear what a connection is.

    Returns:
        Which half of a tunnel, None if it is RTSP as it is; and what was read beyond that.

    Raises:
        Malformed: It is HTTP, but no tunnel.
    """
    data = b""
    while more := await stream.read(_PIECE_BYTES):
        data += more
        http = is_http(data)
        if http and (found := parse_leg(data)):
            return found
        if http is False:
            break
    return None, data


class Tunnel:
    """What a reader says through its POSTs. See `Input`.

    At most one piece of 16 KiB waits: the next is read when `Connection` asks for more.
    """

    def __init__(self) -> None:
        self._said = asyncio.StreamReader()
        self._asked = asyncio.Event()
        self._over = False
        self._up: asyncio.StreamWriter | None = None
        self.half = True
        """No POST has come yet."""

    async def read(self, size: int) -> bytes:
        """See `Input`."""
        self._asked.set()
        return await self._said.read(size)

    @property
    def taken(self) -> bool:
        """It has a POST already, or is over."""
        return self._over or self._up is not None

    async def carry(self, stream: Begun, writer: asyncio.StreamWriter) -> None:
        """Take what a POST brings until it ends.

        Raises:
            Malformed: It is not Base64.
        """
        decoder = Decoder()
        self._up, self.half = writer, False
        try:
            while data := await stream.read(_PIECE_BYTES):
                said = decoder.feed(data)
                if self._over:
                    break
                if said:
                    self._asked.clear()
                    self._said.feed_data(said)
                    await self._asked.wait()
        finally:
            self._up = None

    async def until_gone(self, down: asyncio.StreamReader) -> None:
        """Wait until the reader closes its GET, then end. What it says there is not heard."""
        with contextlib.suppress(OSError):
            while await down.read(_PIECE_BYTES):
                pass
        self.end()

    def end(self) -> None:
        """Nothing more is heard, and the POST is closed."""
        if not self._over:
            self._over = True
            self._said.feed_eof()
            self._asked.set()
        if self._up is not None:
            cut(self._up.transport)
