"""The 512-byte ``uuid`` box before every part: what it is, where it belongs, what it must hash to.

Big-endian like the rest of MP4; every offset is in ``FORMAT.md``. The header names the ring, the
block and its place in both, so bytes of an earlier lap or of another disk are never taken for
this part, and it carries the link of the part before, so a part written after a power cut never
continues what the cut left behind.

Source: ISO/IEC 14496-12:2022, 4.2 (``uuid`` boxes); ``FORMAT.md`` version 1.
"""

import hashlib
import struct
from dataclasses import dataclass
from enum import IntEnum

from nvr._native import crc32c
from nvr.base.errors import Damaged
from nvr.media.part import PART_HEADER_BYTES

VERSION = 1
SUITE_PLAIN = 0
BOX_TYPE = bytes.fromhex("b7c9a41f4ac14c4cbf7e9d3f6e767270")
NO_OFFSET = 0xFFFFFFFF
MAX_TRACKS = 4
STREAM_BYTES = 64
KEY = 1
NO_LINK = bytes(32)

_PLACE = ">I4s16sHHI16sIIIIQQQqqqIIqIIIIII4IB3x"
_FIELDS = struct.Struct(_PLACE + "I64s32s32s32s12s4x16s16s64sQ52x")
_PAYLOAD_CRC_AT = struct.calcsize(_PLACE)
_HASHES = struct.Struct("32s32s32s")
_HASHES_AT = struct.calcsize(_PLACE + "I64s")
NONCE_AT = struct.calcsize(_PLACE + "I64s32s32s32s")
TAG_AT = struct.calcsize(_PLACE + "I64s32s32s32s12s4x")
ASSOCIATED_BYTES = struct.calcsize(_PLACE + "I64s32s32s32s12s4x16s16s")
"""Of a begun header: what a sealed payload is bound to."""
_SIGNATURE = struct.Struct(">64sQ")
_CRC = struct.Struct(">I")
_CRC_AT = _FIELDS.size


class Cause(IntEnum):
    """Why nothing was recorded just before a part; 0 where nothing is missing."""

    NONE = 0
    POWER = 1
    CAMERA = 2
    BEHIND = 3
    STOPPED = 4
    DISK = 5
    PLAN = 6


@dataclass(frozen=True, slots=True)
class PartHeader:
    """A part's header as stored.

    Attributes:
        suite: How the payload is sealed; 0 is not at all.
        key: The first video sample is a key frame.
        ring_id: UUID of the volume.
        generation: How often the volume had been opened when the part was written.
        group: Number of the group commit within that generation.
        number: Place within the block, from 0.
        serial: Serial of the block's allocation.
        sequence: Place within the stream on this volume, from 0, without holes.
        run: Run on this volume; a stream's runs only count up.
        start_90k: Decode time of the first sample on the stream's time line.
        base_90k: What was subtracted from the stream's time line to get the stored ``tfdt``.
        run_90k: Tick at which the run began.
        duration_90k: Length in 90 kHz ticks.
        uncertainty_ms: How far `wall_us` may be off.
        wall_us: UTC microseconds of `start_90k`.
        samples: Video samples (audio samples if there is no video).
        damaged: Access units with missing packets.
        moof_bytes: Size of the ``moof`` box.
        mdat_bytes: Size of the ``mdat`` box, with the room up to the next part.
        stored_bytes: Bytes after this header that the checksum and hashes cover.
        sequence_offset: Offset in ``moof`` of the ``mfhd`` sequence number.
        tfdt_offsets: Offset in ``moof`` of each track's decode time, -1 if the track is absent.
        cause: Why the time before this part was not recorded.
        payload_crc: CRC-32C of the stored bytes.
        stream: Stream name.
        stored_sha256: SHA-256 of the stored bytes.
        plain_sha256: The same for a part that is not sealed, zeroes for one that is: key id and
            stored bytes determine the plain ones.
        previous: Link of the part before, of the same stream.
        nonce: Of a sealed payload, zeroes else; so are the next two.
        tag: Of a sealed payload.
        key_id: Names the key of a sealed payload, and commits to it.
        signature: The box's signature of an earlier part of the stream, zeroes if there is none.
        signed: Sequence of that part.
        associated: What a sealed payload is bound to: the header as it was begun.
        link: SHA-256 over this header, the next part's `previous`.
    """

    suite: int
    key: bool
    ring_id: bytes
    generation: int
    group: int
    number: int
    serial: int
    sequence: int
    run: int
    start_90k: int
    base_90k: int
    run_90k: int
    duration_90k: int
    uncertainty_ms: int
    wall_us: int
    samples: int
    damaged: int
    moof_bytes: int
    mdat_bytes: int
    stored_bytes: int
    sequence_offset: int
    tfdt_offsets: tuple[int, ...]
    cause: Cause
    payload_crc: int
    stream: str
    stored_sha256: bytes
    plain_sha256: bytes
    previous: bytes
    nonce: bytes
    tag: bytes
    key_id: bytes
    signature: bytes
    signed: int
    associated: bytes
    link: bytes

    @property
    def part_bytes(self) -> int:
        """Room the part takes in its block, header included."""
        return PART_HEADER_BYTES + self.moof_bytes + self.mdat_bytes


def begin_into(
    buffer: bytearray,
    *,
    key: bool,
    ring_id: bytes,
    generation: int,
    group: int,
    number: int,
    serial: int,
    sequence: int,
    run: int,
    start_90k: int,
    base_90k: int,
    run_90k: int,
    duration_90k: int,
    uncertainty_ms: int,
    wall_us: int,
    samples: int,
    damaged: int,
    moof_bytes: int,
    mdat_bytes: int,
    stored_bytes: int,
    sequence_offset: int,
    tfdt_offsets: tuple[int, ...],
    cause: int,
    stream: bytes,
    suite: int = SUITE_PLAIN,
    key_id: bytes = b"",
) -> None:
    """Write the header of a part to the front of `buffer`, but for its sums.

    A function of plain values, not a method of `PartHeader`: it runs for every part, and making
    the value first costs more than packing it.
    """
    tfdt = [NO_OFFSET if at < 0 else at for at in tfdt_offsets]
    tfdt += [NO_OFFSET] * (MAX_TRACKS - len(tfdt))
    _FIELDS.pack_into(
        buffer,
        0,
        PART_HEADER_BYTES,
        b"uuid",
        BOX_TYPE,
        VERSION,
        suite,
        KEY if key else 0,
        ring_id,
        generation,
        group,
        number,
        0,
        serial,
        sequence,
        run,
        start_90k,
        base_90k,
        run_90k,
        duration_90k,
        uncertainty_ms,
        wall_us,
        samples,
        damaged,
        moof_bytes,
        mdat_bytes,
        stored_bytes,
        sequence_offset,
        *tfdt,
        cause,
        0,
        stream,
        b"",
        b"",
        b"",
        b"",
        b"",
        key_id,
        b"",
        0,
    )


def sign_into(buffer: bytearray, signature: bytes, sequence: int) -> None:
    """Put the signature of an earlier part of the stream into a begun header."""
    _SIGNATURE.pack_into(buffer, ASSOCIATED_BYTES, signature, sequence)


def end_into(
    buffer: bytearray, *, payload_crc: int, sha256: bytes, previous: bytes, sealed: bool = False
) -> bytes:
    """Put the sums of the payload and the link before into a begun header; returns its link."""
    _CRC.pack_into(buffer, _PAYLOAD_CRC_AT, payload_crc)
    _HASHES.pack_into(buffer, _HASHES_AT, sha256, b"" if sealed else sha256, previous)
    covered = memoryview(buffer)[:_CRC_AT]
    _CRC.pack_into(buffer, _CRC_AT, crc32c(covered))
    return hashlib.sha256(covered).digest()


def _associated(data: bytes | memoryview) -> bytes:
    """Return what `end_into` found: the header before its sums, and before there was a tag."""
    begun = bytearray(data[:ASSOCIATED_BYTES])
    begun[_PAYLOAD_CRC_AT : _PAYLOAD_CRC_AT + _CRC.size] = bytes(_CRC.size)
    begun[_HASHES_AT:NONCE_AT] = bytes(NONCE_AT - _HASHES_AT)
    begun[TAG_AT : TAG_AT + 16] = bytes(16)
    return bytes(begun)


def decode(data: bytes | memoryview) -> PartHeader:
    """Read a header.

    Raises:
        Damaged: ``part.damaged``: not a header, or one with wrong bytes.
    """
    if len(data) < PART_HEADER_BYTES:
        raise Damaged("part.damaged", "the header is cut off")
    covered = memoryview(data)[:_CRC_AT]
    if (
        data[4:8] != b"uuid"
        or data[8:24] != BOX_TYPE
        or _CRC.unpack_from(data, _CRC_AT)[0] != crc32c(covered)
    ):
        raise Damaged("part.damaged", "there is no intact part header")
    fields = _FIELDS.unpack_from(data)
    version, suite, flags = fields[3:6]
    if version != VERSION:
        raise Damaged("part.damaged", f"format version {version} is not known")
    cause = fields[30]
    return PartHeader(
        suite=suite,
        key=bool(flags & KEY),
        ring_id=fields[6],
        generation=fields[7],
        group=fields[8],
        number=fields[9],
        serial=fields[11],
        sequence=fields[12],
        run=fields[13],
        start_90k=fields[14],
        base_90k=fields[15],
        run_90k=fields[16],
        duration_90k=fields[17],
        uncertainty_ms=fields[18],
        wall_us=fields[19],
        samples=fields[20],
        damaged=fields[21],
        moof_bytes=fields[22],
        mdat_bytes=fields[23],
        stored_bytes=fields[24],
        sequence_offset=fields[25],
        tfdt_offsets=tuple(-1 if at == NO_OFFSET else at for at in fields[26:30]),
        cause=Cause(cause) if cause <= Cause.DISK else Cause.NONE,
        payload_crc=fields[31],
        stream=fields[32].rstrip(b"\0").decode("utf-8", "replace"),
        stored_sha256=fields[33],
        plain_sha256=fields[34],
        previous=fields[35],
        nonce=fields[36],
        tag=fields[37],
        key_id=fields[38],
        signature=fields[39],
        signed=fields[40],
        associated=_associated(data) if suite else b"",
        link=hashlib.sha256(covered).digest(),
    )
