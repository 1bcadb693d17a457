"""Seals and signs parts on their way to the disk, and unseals them on their way back.

A sealed part keeps its header; what follows is one ``uuid`` box with ``moof mdat`` enciphered byte
for byte, in the same room, so that unsealing in place gives the block that would have been written
without sealing. The first 384 bytes of the header, as they stand before its sums, are the
associated data: a payload fits only the stream, place and time it was sealed for.
"""

import secrets
import struct
from collections.abc import Callable, Iterable, Sequence

from nvr.base.errors import Unavailable
from nvr.media.part import Bytes
from nvr.record.header import ASSOCIATED_BYTES, NONCE_AT, TAG_AT, PartHeader
from nvr.record.keys import DayKey, Keys, day_of
from nvr.seal import sign, suite

SEALED_TYPE = bytes.fromhex("5d4f1f0a0c7e4d3b9a1e2b6f7c8d9e01")
BOX_BYTES = 24
"""Header of the box around a sealed payload; it takes its room from the padding."""
SIGN_90K = 10 * 90_000
"""A stream's chain is signed this often."""
_BOX = struct.Struct(">I4s16s")


class Sealer:
    """What the writing thread seals and signs with.

    Args:
        keys: Day keys; None leaves parts as they are.
        signer: The box's signing key; None signs nothing.
        ring_id: UUID of the volume.
        token: Source of nonces.
    """

    def __init__(
        self,
        keys: Keys | None = None,
        signer: sign.Signer | None = None,
        ring_id: bytes = b"",
        token: Callable[[int], bytes] = secrets.token_bytes,
    ) -> None:
        self._keys = keys
        self._signer = signer
        self._ring_id = ring_id
        self._token = token

    @property
    def seals(self) -> bool:
        """Whether parts are to be sealed."""
        return self._keys is not None

    @property
    def suite_id(self) -> int:
        """How parts are sealed."""
        return self._keys.suite_id if self._keys else suite.PLAIN

    def prepare(self, parts: Iterable[tuple[str, int]]) -> None:
        """Have keys for streams at wall times, before anything is sealed with them.

        Raises:
            OSError: The disk refuses.
        """
        if self._keys:
            self._keys.prepare((stream, day_of(wall_us)) for stream, wall_us in parts)

    def key(self, stream: str, wall_us: int) -> DayKey | None:
        """Return the key for a part; None if there is none and none could be made."""
        return self._keys.current(stream, day_of(wall_us)) if self._keys else None

    def seal(self, key: DayKey, front: bytearray, pieces: Sequence[Bytes], room: int) -> bytearray:
        """Return the box that goes behind a begun header, without what fills it up.

        Args:
            key: From `key`.
            front: The header; nonce and tag are put into it.
            pieces: ``moof mdat``.
            room: Size of the box.
        """
        nonce = self._token(suite.NONCE_BYTES)
        front[NONCE_AT : NONCE_AT + suite.NONCE_BYTES] = nonce
        box = bytearray(BOX_BYTES + sum(map(len, pieces)) + suite.TAG_BYTES)
        _BOX.pack_into(box, 0, room, b"uuid", SEALED_TYPE)
        associated = bytes(front[:ASSOCIATED_BYTES])
        tag = suite.seal_into(key.cipher, nonce, pieces, associated, box, BOX_BYTES)
        front[TAG_AT : TAG_AT + suite.TAG_BYTES] = tag
        return box

    def signature(self, stream: str, sequence: int, link: bytes) -> bytes:
        """Return the signature of a stream's part, empty without a signing key."""
        if self._signer is None:
            return b""
        return self._signer.sign(sign.head_message(self._ring_id, stream, sequence, link))


def unsealed(header: PartHeader, payload: bytes, keys: Keys | None) -> bytes:
    """Return ``moof mdat`` of a stored part.

    Args:
        header: Of the part.
        payload: Its stored bytes.
        keys: Of its volume.

    Raises:
        Damaged: ``part.damaged``: the bytes do not fit the key. ``key.destroyed``.
        Unavailable: ``key.none``, ``key.locked``, ``key.foreign``.
    """
    if header.suite == suite.PLAIN:
        return payload
    if keys is None:
        raise Unavailable("key.none", "this is sealed, and no key is at hand")
    cipher = keys.cipher(header.key_id, header.suite)
    view = memoryview(payload)[BOX_BYTES:]
    return suite.unseal(cipher, header.nonce, view, header.tag, header.associated)
