"""WebSocket frames built once and written to many connections.

aiohttp builds a frame for each connection it sends to, in two writes. Live pictures go to many
connections unchanged, so their frames are made here, once, and written whole to each transport.

Source: RFC 6455 section 5.2.
"""

import struct
from typing import Final

from nvr.media.part import Bytes

TEXT: Final = 1
BINARY: Final = 2
CLOSE: Final = 8

SIGNED_OUT: Final = 4401
"""Close code: the session is over, log in again."""


def frame(payload: Bytes, opcode: int = BINARY, prefix: bytes = b"") -> bytes:
    """One unmasked, unfragmented frame from the server, holding `prefix` and `payload`."""
    size = len(prefix) + len(payload)
    if size < 126:
        head = struct.pack(">BB", 0x80 | opcode, size)
    elif size < 1 << 16:
        head = struct.pack(">BBH", 0x80 | opcode, 126, size)
    else:
        head = struct.pack(">BBQ", 0x80 | opcode, 127, size)
    return b"".join((head, prefix, payload))


def closing(code: int) -> bytes:
    """A close frame."""
    return frame(struct.pack(">H", code), CLOSE)
