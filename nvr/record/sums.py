"""Checksum and hash of a whole group of parts at once.

With SHA-256 instructions one chain leaves the core idle half the time, so the extension hashes
two parts in step; without them the library's vector code is quicker than ours.
"""

import hashlib
from collections.abc import Sequence

from nvr import _native
from nvr.media.part import Bytes

_FAST = _native.sha256_fast()


def sums(payloads: Sequence[Sequence[Bytes]]) -> list[tuple[int, bytes]]:
    """Return CRC-32C and SHA-256 of each payload, itself a sequence of buffers."""
    return _native.sums(payloads) if _FAST else [_one(pieces) for pieces in payloads]


def _one(pieces: Sequence[Bytes]) -> tuple[int, bytes]:
    crc, digest = 0, hashlib.sha256()
    for piece in pieces:
        crc = _native.crc32c(piece, crc)
        digest.update(piece)
    return crc, digest.digest()
