"""Bodies of answers that many readers share: sent as they are, piece after piece.

The head goes out with the first piece, in one write. A connection is given so much at a time, and
what it does not take stays shared with the others; one that takes nothing is cut.
"""

import asyncio
import contextlib
import logging
import socket
from collections.abc import Sequence
from typing import Final

from aiohttp import web
from aiohttp.abc import AbstractStreamWriter
from aiohttp.payload import Payload

from nvr.base.log import event
from nvr.base.transport import cut
from nvr.media.part import Bytes

_log = logging.getLogger(__name__)

WRITE_S: Final = 20.0
PIECE_BYTES: Final = 256 * 1024


class Pieces(Payload):
    """The body of one answer.

    Args:
        pieces: What is sent, one behind the other.
        request: What is answered.
        content_type: Of all of it.
    """

    _autoclose = True

    def __init__(
        self, pieces: Sequence[Bytes], request: web.BaseRequest, content_type: str
    ) -> None:
        super().__init__(pieces, content_type=content_type)
        self._pieces, self._request = pieces, request
        self._size = sum(map(len, pieces))

    def decode(self, encoding: str = "utf-8", errors: str = "strict") -> str:
        """See `Payload`; nobody reads it as text."""
        return b"".join(self._pieces).decode(encoding, errors)

    async def write(self, writer: AbstractStreamWriter) -> None:
        """Send all of it.

        Raises:
            ConnectionResetError: The reader stopped reading, and was cut.
        """
        self._widen()
        try:
            for piece in self._pieces:
                view = memoryview(piece)
                for at in range(0, len(view), PIECE_BYTES):
                    async with asyncio.timeout(WRITE_S):
                        await writer.write(view[at : at + PIECE_BYTES])
        except TimeoutError as err:
            cut(self._request.transport)
            event(_log, logging.DEBUG, "hls.stalled", peer=self._request.remote)
            raise ConnectionResetError("the receiver stopped reading") from err

    def _widen(self) -> None:
        """Let the kernel take a piece at once: what is asked for is wanted, however old it gets."""
        transport = self._request.transport
        sock = transport.get_extra_info("socket") if transport else None
        if sock is not None:
            with contextlib.suppress(OSError):
                sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NOTSENT_LOWAT, PIECE_BYTES)
