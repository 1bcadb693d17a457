"""A block: one file of fixed size that any player opens after every completed group.

::

    ftyp moov            as any fragmented MP4
    uuid  block header   ring, serial, stream, codecs; then a `free` box up to a page boundary
    uuid  index          its contents start on a page of their own; filled when the block closes
    uuid  part header, moof, mdat      each starting on a page; repeated
    free                 over all the rest; its header is on a page of its own

A page is 16 KiB: devices that lose power while they write may turn a whole page of flash to
garbage, so nothing that is ever written again shares one with acknowledged bytes.

Source: ISO/IEC 14496-12:2022; ``FORMAT.md`` version 1.
"""

import struct
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import overload

from nvr._native import crc32c
from nvr.base.errors import Damaged
from nvr.hal.ports import Disk
from nvr.media.part import PART_HEADER_BYTES
from nvr.media.track import StreamConfig
from nvr.record.codecs import decode_config, encode_config
from nvr.record.header import MAX_TRACKS, STREAM_BYTES, VERSION, Cause, PartHeader, decode

PAGE_BYTES = 16384
MIN_BLOCK_BYTES = 4 << 20
MAX_BLOCK_BYTES = 64 << 20
BLOCK_TYPE = bytes.fromhex("207f903a53074d1eb973671ad5d9c8f3")
INDEX_TYPE = bytes.fromhex("c08093dcc1a7412dafb41696034564f3")
UUID_BOX_BYTES = 24

_BLOCK = struct.Struct(">HHI16sIQQQIIIQ32s64s")
_CRC = struct.Struct(">I")
_INDEX = struct.Struct(">8sHHIQI")
_ENTRY = struct.Struct(">IIQqqIBBxx")
_LONGEST_DAMAGE_BYTES = 8 << 20
_INDEX_MAGIC = b"nvrindex"

Read = Callable[[int, int], bytes]
"""Takes an offset and a size and reads there, in one block."""


@dataclass(frozen=True, slots=True)
class Entry:
    """Where a part is and when it was, as the index of its block has it.

    Attributes:
        offset: Of the part's header in the block.
        part_bytes: From there to the next part.
        run: Run on this volume.
        start_90k: Decode time on the stream's time line.
        wall_us: UTC microseconds of `start_90k`.
        duration_90k: Length in 90 kHz ticks.
        key: Begins with a key frame.
        cause: Why the time before it was not recorded.
    """

    offset: int
    part_bytes: int
    run: int
    start_90k: int
    wall_us: int
    duration_90k: int
    key: bool
    cause: Cause

    @property
    def end_us(self) -> int:
        """UTC microseconds of its end."""
        return self.wall_us + self.duration_90k * 100 // 9


@dataclass(frozen=True, slots=True)
class BlockHeader:
    """What a block says of itself.

    Attributes:
        ring_id: UUID of the volume.
        generation: How often the volume had been opened when the block was begun.
        block: Number of the file, from 0.
        serial: Serial of this use of the file; only counts up.
        run: First run in it.
        block_bytes: Size of the file.
        header_bytes: Where the contents of the index begin.
        index_bytes: Size of the index; parts begin after it.
        sequence: The stream's sequence number of the first part.
        previous: Link of the stream's part before that.
        stream: Stream name.
        config: Codec configuration of every part.
    """

    ring_id: bytes
    generation: int
    block: int
    serial: int
    run: int
    block_bytes: int
    header_bytes: int
    index_bytes: int
    sequence: int
    previous: bytes
    stream: str
    config: StreamConfig

    @property
    def first_offset(self) -> int:
        """Offset of the first part."""
        return self.header_bytes + self.index_bytes


def name(block: int) -> str:
    """Return the file name of a block."""
    return f"block-{block:06d}.mp4"


def reader(disk: Disk, number: int) -> Read:
    """Return a function that reads block `number` of `disk`."""
    path = name(number)
    return lambda offset, size: disk.pread(path, size, offset)


def round_up(size: int) -> int:
    """Return `size` rounded up to whole pages."""
    return -(-size // PAGE_BYTES) * PAGE_BYTES


def size_for(volume_bytes: int) -> int:
    """Return the block size of a volume: 1/2048 of it, whole MiB, 4 to 64 MiB."""
    return min(MAX_BLOCK_BYTES, max(MIN_BLOCK_BYTES, volume_bytes // 2048 >> 20 << 20))


def index_bytes_for(block_bytes: int) -> int:
    """Return the room for an index of as many parts as could ever fit."""
    return round_up(_INDEX.size + _CRC.size + block_bytes // PAGE_BYTES * _ENTRY.size)


def free_box(size: int) -> bytes:
    """Return the header of a ``free`` box that covers `size` bytes."""
    return struct.pack(">I4s", size, b"free")


def tail_page(block_bytes: int, tail: int) -> bytes:
    """Return what goes at the end of the parts: the header of the box over the rest, or nothing."""
    return free_box(block_bytes - tail) if tail < block_bytes else b""


def header_bytes_for(config: StreamConfig, init: bytes) -> int:
    """Return how much room the head of a block needs, whole pages."""
    own = UUID_BOX_BYTES + _BLOCK.size + len(encode_config(config)) + _CRC.size
    return round_up(len(init) + own + 8 + UUID_BOX_BYTES)


def encode_head(header: BlockHeader, init: bytes) -> bytes:
    """Return everything up to the contents of the index.

    Args:
        header: Of the block; its `header_bytes` must come from `header_bytes_for`.
        init: ``ftyp moov`` of its configuration.
    """
    stream = header.stream.encode()
    if len(stream) > STREAM_BYTES or len(header.config) > MAX_TRACKS:
        raise ValueError(f"stream {header.stream} has a name or tracks that do not fit")
    own = _BLOCK.pack(
        VERSION,
        0,
        header.generation,
        header.ring_id,
        header.block,
        header.run,
        header.serial,
        header.sequence,
        header.block_bytes,
        header.header_bytes,
        header.index_bytes,
        0,
        header.previous,
        stream,
    )
    own += encode_config(header.config)
    own += _CRC.pack(crc32c(own))
    box = struct.pack(">I4s16s", UUID_BOX_BYTES + len(own), b"uuid", BLOCK_TYPE) + own
    fill = header.header_bytes - UUID_BOX_BYTES - len(init) - len(box)
    index = struct.pack(">I4s16s", UUID_BOX_BYTES + header.index_bytes, b"uuid", INDEX_TYPE)
    return init + box + free_box(fill) + bytes(fill - 8) + index


def decode_head(read: Read) -> tuple[BlockHeader, bytes]:
    """Read the head of a block.

    Returns:
        The header and ``ftyp moov``.

    Raises:
        Damaged: ``block.damaged``: there is no intact head.
    """
    data = memoryview(read(0, PAGE_BYTES))
    at = 0
    while at + UUID_BOX_BYTES <= len(data):
        size, kind = struct.unpack_from(">I4s", data, at)
        if kind not in {b"ftyp", b"moov", b"uuid"} or size < 8:
            break
        if at + size > len(data):
            if size > 1 << 20:
                break
            data = memoryview(read(0, at + size + PAGE_BYTES))
            if at + size > len(data):
                break
        if kind == b"uuid" and data[at + 8 : at + 24] == BLOCK_TYPE:
            return _decode_own(data[at + UUID_BOX_BYTES : at + size]), bytes(data[:at])
        at += size
    raise Damaged("block.damaged", "the block has no intact head")


def _decode_own(own: memoryview) -> BlockHeader:
    if len(own) < _BLOCK.size + 1 + _CRC.size:
        raise Damaged("block.damaged", "the head of the block is cut off")
    if _CRC.unpack_from(own, len(own) - _CRC.size)[0] != crc32c(own[: -_CRC.size]):
        raise Damaged("block.damaged", "the head of the block has wrong bytes")
    fields = _BLOCK.unpack_from(own)
    if fields[0] != VERSION:
        raise Damaged("block.damaged", f"format version {fields[0]} is not known")
    return BlockHeader(
        ring_id=fields[3],
        generation=fields[2],
        block=fields[4],
        serial=fields[6],
        run=fields[5],
        block_bytes=fields[8],
        header_bytes=fields[9],
        index_bytes=fields[10],
        sequence=fields[7],
        previous=fields[12],
        stream=fields[13].rstrip(b"\0").decode("utf-8", "replace"),
        config=decode_config(own[_BLOCK.size : -_CRC.size]),
    )


def encode_index(serial: int, entries: Sequence[Entry]) -> bytes:
    """Return the contents of a block's index."""
    body = bytearray(_INDEX.pack(_INDEX_MAGIC, VERSION, _ENTRY.size, len(entries), serial, 0))
    for entry in entries:
        body += _ENTRY.pack(
            entry.offset,
            entry.part_bytes,
            entry.run,
            entry.start_90k,
            entry.wall_us,
            entry.duration_90k,
            int(entry.key),
            entry.cause,
        )
    return bytes(body) + _CRC.pack(crc32c(body))


RawEntry = tuple[int, int, int, int, int, int, int, int]
"""The fields of an `Entry`, in order."""


class Entries(Sequence[Entry]):
    """The entries of an index as they are stored; one is a value once somebody looks at it.

    There are up to 4,096 of them, and whoever looks for a picture needs two or three.
    """

    __slots__ = ("_stored",)

    def __init__(self, stored: bytes) -> None:
        self._stored = stored

    def __len__(self) -> int:
        return len(self._stored) // _ENTRY.size

    @overload
    def __getitem__(self, at: int) -> Entry: ...
    @overload
    def __getitem__(self, at: slice) -> tuple[Entry, ...]: ...
    def __getitem__(self, at: int | slice) -> Entry | tuple[Entry, ...]:
        if isinstance(at, slice):
            return tuple(self[n] for n in range(*at.indices(len(self))))
        n = at + len(self) if at < 0 else at
        if not 0 <= n < len(self):
            raise IndexError(at)
        return _entry(_ENTRY.unpack_from(self._stored, n * _ENTRY.size))

    def __iter__(self) -> Iterator[Entry]:
        return map(_entry, _ENTRY.iter_unpack(self._stored))

    def raw(self) -> list[RawEntry]:
        """Return the fields of all, which is quicker than to look at each."""
        return list(_ENTRY.iter_unpack(self._stored))


def _entry(raw: RawEntry) -> Entry:
    return Entry(*raw[:6], bool(raw[6]), Cause(raw[7]))


def decode_index(read: Read, header: BlockHeader) -> Entries:
    """Read a closed block's index.

    Raises:
        Damaged: ``index.damaged``: the block was not closed, or its index has wrong bytes.
    """
    data = memoryview(read(header.header_bytes, header.index_bytes))
    if len(data) < _INDEX.size + _CRC.size or data[:8] != _INDEX_MAGIC:
        raise Damaged("index.damaged", "the block has no index yet")
    _, version, entry_bytes, count, serial, _ = _INDEX.unpack_from(data)
    size = _INDEX.size + count * _ENTRY.size
    if (
        version != VERSION
        or entry_bytes != _ENTRY.size
        or serial != header.serial
        or size + _CRC.size > len(data)
        or _CRC.unpack_from(data, size)[0] != crc32c(data[:size])
    ):
        raise Damaged("index.damaged", "the index of the block has wrong bytes")
    return Entries(bytes(data[_INDEX.size : size]))


def entry_of(header: PartHeader, offset: int) -> Entry:
    """Return the index entry of a part at `offset`."""
    return Entry(
        offset=offset,
        part_bytes=header.part_bytes,
        run=header.run,
        start_90k=header.start_90k,
        wall_us=header.wall_us,
        duration_90k=header.duration_90k,
        key=header.key,
        cause=header.cause,
    )


def decode_part_header(read: Read, offset: int) -> PartHeader:
    """Read the part header at `offset` of any block.

    Raises:
        Damaged: ``part.damaged``.
    """
    return decode(read(offset, PART_HEADER_BYTES))


def read_header(read: Read, head: BlockHeader, offset: int) -> PartHeader:
    """Read one part's header and check that it belongs to this block.

    Raises:
        Damaged: ``part.damaged``.
    """
    header = decode_part_header(read, offset)
    if (
        header.ring_id != head.ring_id
        or header.serial != head.serial
        or header.stream != head.stream
        or header.part_bytes % PAGE_BYTES
        or offset + header.part_bytes > head.block_bytes
        or header.stored_bytes > header.part_bytes - PART_HEADER_BYTES
    ):
        raise Damaged("part.damaged", "the part belongs to another block", offset=offset)
    return header


def read_part(read: Read, head: BlockHeader, offset: int) -> tuple[PartHeader, bytes]:
    """Read and verify one part of a block.

    Returns:
        Its header and the stored bytes.

    Raises:
        Damaged: ``part.damaged``.
    """
    header = read_header(read, head, offset)
    payload = read(offset + PART_HEADER_BYTES, header.stored_bytes)
    if len(payload) != header.stored_bytes or crc32c(payload) != header.payload_crc:
        raise Damaged("part.damaged", "the part has wrong bytes", offset=offset)
    return header, payload


@dataclass(slots=True)
class Scan:
    """What reading a block found.

    Attributes:
        entries: Intact parts, in order.
        tail: Where the next part goes.
        sequence: The stream's sequence number of the next part.
        link: Link of the last part.
        last: Header of the last part, if there is one.
        refused: The disk refused to read something.
    """

    entries: list[Entry]
    tail: int
    sequence: int
    link: bytes
    last: PartHeader | None
    refused: bool


def scan(read: Read, head: BlockHeader, *, trusted: int = 0) -> Scan:
    """Find the intact parts of a block.

    Parts are followed along their chain up to the first that is not intact. That is where a power
    cut tore the last group, unless later groups follow: they were begun only after it had been
    flushed, so what is not intact was damaged since, and the search goes on behind it.

    Args:
        read: Reads the block.
        head: Its head.
        trusted: Below this offset only headers are read: those parts are known to be durable.
    """
    found = Scan([], head.first_offset, head.sequence, head.previous, None, refused=False)
    _follow(read, head, found, trusted)
    while _go_on_behind(read, head, found):
        pass
    return found


def _follow(read: Read, head: BlockHeader, found: Scan, trusted: int = 0) -> set[tuple[int, int]]:
    """Add the parts that carry on the chain; return the groups they were written in."""
    groups = set()
    while found.tail < head.block_bytes:
        try:
            if found.tail < trusted:
                header = read_header(read, head, found.tail)
            else:
                header, _ = read_part(read, head, found.tail)
        except OSError:
            found.refused = True
            break
        except Damaged:
            break
        number = found.last.number + 1 if found.last else 0
        if (
            header.number != number
            or header.sequence != found.sequence
            or header.previous != found.link
        ):
            break
        _add(found, header)
        groups.add((header.generation, header.group))
    return groups


def _add(found: Scan, header: PartHeader) -> None:
    found.entries.append(entry_of(header, found.tail))
    found.tail += header.part_bytes
    found.sequence = header.sequence + 1
    found.link = header.link
    found.last = header


def _go_on_behind(read: Read, head: BlockHeader, found: Scan) -> bool:
    """Look for parts behind one that is not intact; add them if they prove to be acknowledged."""
    before = (found.last.generation, found.last.group) if found.last else (0, 0)
    number = found.last.number if found.last else -1
    end = min(head.block_bytes, found.tail + _LONGEST_DAMAGE_BYTES)
    for offset in range(found.tail + PAGE_BYTES, end, PAGE_BYTES):
        try:
            header, _ = read_part(read, head, offset)
        except OSError:
            found.refused = True
            continue
        except Damaged:
            continue
        group = header.generation, header.group
        if header.number <= number or group < before:
            continue
        behind = Scan([], offset, header.sequence, header.previous, None, refused=False)
        _add(behind, header)
        if len(_follow(read, head, behind) | {group}) < 2:
            return False
        found.entries += behind.entries
        found.tail, found.sequence = behind.tail, behind.sequence
        found.link, found.last = behind.link, behind.last
        found.refused |= behind.refused
        return True
    return False
