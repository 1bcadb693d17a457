"""A disk of 20 TB that is not there: every head, index and part header is made when it is read.

A formula says which stream and which of its blocks lies in a file, and of which run and second
each of its parts is; identity and logs are kept in memory, since the recorder writes those. The
links of parts within full blocks are made up: only a verifier follows them. Those within the
blocks still open are real, or recovery would not follow them.
"""

import functools
import hashlib
import os
import struct
import time
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from nvr._native import crc32c
from nvr.media.part import PART_HEADER_BYTES
from nvr.media.track import StreamConfig, TrackConfig
from nvr.record import block, header, log, volume
from nvr.record.block import BlockHeader
from nvr.record.header import NO_LINK, Cause
from nvr.record.volume import Identity
from nvr.wire.fmp4 import init_segment

BLOCK_BYTES = 64 << 20
PART_90K = 45_000
KEY_PARTS = 4
"""A key frame every two seconds."""
AWAY_90K = 20 * 90_000
"""How long a camera is away when it has to be called again, about twice a day."""
LAPS = 3
"""The ring has been all round so often."""
END_US = 1_800_000_000_000_000
MAIN_BLOCKS = 8
"""Blocks of a main stream for each of its sub stream."""
_MOOF_BYTES = 96
_ENTRY = np.dtype(
    [
        ("offset", ">u4"),
        ("bytes", ">u4"),
        ("run", ">u8"),
        ("start", ">i8"),
        ("wall", ">i8"),
        ("long", ">u4"),
        ("key", "u1"),
        ("cause", "u1"),
        ("reserved", ">u2"),
    ]
)


@dataclass(frozen=True)
class Kind:
    """Main or sub: 4 Mbit/s, or 0.5 Mbit/s, in parts of half a second.

    Attributes:
        part_bytes: Room of a part.
        config: Codecs.
        run_blocks: The camera is called again in one of so many blocks.
    """

    part_bytes: int
    config: StreamConfig
    run_blocks: int

    @functools.cached_property
    def init(self) -> bytes:
        return init_segment(self.config)

    @functools.cached_property
    def header_bytes(self) -> int:
        return block.header_bytes_for(self.config, self.init)

    @functools.cached_property
    def first_offset(self) -> int:
        return self.header_bytes + block.index_bytes_for(BLOCK_BYTES)

    @functools.cached_property
    def parts(self) -> int:
        """Parts in a full block."""
        return (BLOCK_BYTES - self.first_offset) // self.part_bytes

    @functools.cached_property
    def payload(self) -> bytes:
        size = self.part_bytes - PART_HEADER_BYTES - _MOOF_BYTES
        moof = struct.pack(">I4s", _MOOF_BYTES, b"moof") + bytes(_MOOF_BYTES - 8)
        return moof + struct.pack(">I4s", size, b"mdat") + bytes(size - 8)

    @functools.cached_property
    def sums(self) -> tuple[int, bytes]:
        return crc32c(self.payload), hashlib.sha256(self.payload).digest()

    def calls(self, k: int, part: int) -> int:
        """How often the camera was called again before a part of the stream's block `k`."""
        half = self.run_blocks // 2
        within = (k - half) % self.run_blocks == 0 and part >= self.parts // 2
        return (k - half - 1 + self.run_blocks) // self.run_blocks + within

    def start_90k(self, k: int, part: int) -> int:
        return (k * self.parts + part) * PART_90K + self.calls(k, part) * AWAY_90K


def _config(width: int, height: int) -> StreamConfig:
    return (TrackConfig("video", "h264", 90_000, b"\1\x42\xc0\x1f\xff" + bytes(40), width, height),)


MAIN = Kind(256 << 10, _config(1920, 1080), 350)
SUB = Kind(32 << 10, _config(640, 360), 44)


@dataclass(frozen=True)
class Stream:
    """One stream.

    Attributes:
        number: From 0.
        name: ``camera-01/main``.
        kind: Main or sub.
        blocks: It has so many; the last is half full and open.
        late_parts: So many fewer are in that.
    """

    number: int
    name: str
    kind: Kind
    blocks: int
    late_parts: int = 0

    def parts(self, k: int) -> int:
        last = k == self.blocks - 1
        return self.kind.parts // 2 - self.late_parts if last else self.kind.parts

    @functools.cached_property
    def origin_us(self) -> int:
        """Wall time of tick 0: all streams were cut off at the same moment."""
        return END_US - self.kind.start_90k(self.blocks - 1, self.kind.parts // 2) * 100 // 9

    def wall_us(self, start_90k: int) -> int:
        return self.origin_us + start_90k * 100 // 9

    def run(self, k: int, part: int) -> int:
        return 1 + self.kind.calls(k, part) * 1000 + self.number


class Shelf:
    """The disk. See `Disk`.

    Args:
        periods: Each is a block of every sub stream and eight of every main stream.
        cameras: How many.
        late_parts: Parts that are not there yet at the end of each stream.

    Attributes:
        spent_s: What making up what is read took; no real disk needs that.
        reads: How often something was read.
    """

    def __init__(self, periods: int, cameras: int = 16, late_parts: int = 0) -> None:
        self.cameras = cameras
        self.blocks = periods * cameras * (MAIN_BLOCKS + 1)
        self.streams = [
            Stream(n, f"camera-{n:02d}/main", MAIN, periods * MAIN_BLOCKS, late_parts)
            for n in range(cameras)
        ]
        self.streams += [
            Stream(cameras + n, f"camera-{n:02d}/sub", SUB, periods, late_parts)
            for n in range(cameras)
        ]
        self.ring_id = uuid.UUID(int=1, version=4)
        self.spent_s = 0.0
        self.reads = 0
        self._taken: set[int] = set()
        size = log.size_for(self.blocks)
        self.files = {path: bytearray(size) for path in log.NAMES}
        self.files[volume.ID_NAME] = bytearray(2 * block.PAGE_BYTES)
        volume.write(self, Identity(self.ring_id, 7, BLOCK_BYTES, self.blocks, END_US, ready=True))

    def serial(self, number: int) -> int:
        return (LAPS - 1) * self.blocks + self._rank(number) + 1

    def _rank(self, number: int) -> int:
        """Place of a file's block among all, from the oldest: the ring stands somewhere."""
        return (number - self.blocks // 3) % self.blocks

    def place(self, number: int) -> tuple[Stream, int]:
        """Return the stream a block holds, and which of that stream's blocks it is."""
        period, n = divmod(self._rank(number), self.cameras * (MAIN_BLOCKS + 1))
        if n < self.cameras * MAIN_BLOCKS:
            return self.streams[n % self.cameras], period * MAIN_BLOCKS + n // self.cameras
        return self.streams[self.cameras + n % self.cameras], period

    def head(self, number: int) -> BlockHeader:
        stream, k = self.place(number)
        kind = stream.kind
        previous = NO_LINK if k == 0 else header.decode(self._made_up(stream, k - 1)).link
        return BlockHeader(
            self.ring_id.bytes, 7, number, self.serial(number), stream.run(k, 0), BLOCK_BYTES,
            kind.header_bytes, kind.first_offset - kind.header_bytes, k * kind.parts, previous,
            stream.name, kind.config,
        )  # fmt: skip

    def _number(self, stream: Stream, k: int) -> int:
        if stream.kind is MAIN:
            period, of = divmod(k, MAIN_BLOCKS)
            n = of * self.cameras + stream.number
        else:
            period, n = k, self.cameras * MAIN_BLOCKS + stream.number - self.cameras
        rank = period * self.cameras * (MAIN_BLOCKS + 1) + n
        return (rank + self.blocks // 3) % self.blocks

    def _made_up(self, stream: Stream, k: int) -> bytes:
        """Return the header of the last part of a full block."""
        return self._header(stream, k, stream.kind.parts - 1, hashlib.sha256(b"%d" % k).digest())

    def _header(self, stream: Stream, k: int, part: int, previous: bytes) -> bytes:
        kind, start_90k = stream.kind, stream.kind.start_90k(k, part)
        front = bytearray(PART_HEADER_BYTES)
        crc, sha256 = kind.sums
        header.begin_into(
            front, key=part % KEY_PARTS == 0, ring_id=self.ring_id.bytes, generation=7,
            group=k * kind.parts + part, number=part, serial=self.serial(self._number(stream, k)),
            sequence=k * kind.parts + part, run=stream.run(k, part), start_90k=start_90k,
            base_90k=kind.start_90k(k, 0), run_90k=0, duration_90k=PART_90K, uncertainty_ms=5,
            wall_us=stream.wall_us(start_90k), samples=12, damaged=0, moof_bytes=_MOOF_BYTES,
            mdat_bytes=kind.part_bytes - PART_HEADER_BYTES - _MOOF_BYTES,
            stored_bytes=len(kind.payload), sequence_offset=20, tfdt_offsets=(-1,),
            cause=self._cause(stream, k, part), stream=stream.name.encode(),
        )  # fmt: skip
        header.end_into(front, payload_crc=crc, sha256=sha256, previous=previous)
        return bytes(front)

    @staticmethod
    def _cause(stream: Stream, k: int, part: int) -> Cause:
        again = part and stream.run(k, part) != stream.run(k, part - 1)
        return Cause.CAMERA if again else Cause.NONE

    @functools.lru_cache(maxsize=64)  # noqa: B019 - one shelf a process
    def _chain(self, number: int) -> list[bytes]:
        """Return the headers of an open block."""
        stream, k = self.place(number)
        found, link = list[bytes](), self.head(number).previous
        for part in range(stream.parts(k)):
            found.append(self._header(stream, k, part, link))
            link = header.decode(found[-1]).link
        return found

    def _index(self, number: int, stream: Stream, k: int) -> bytes:
        kind = stream.kind
        n = np.arange(kind.parts)
        made = np.zeros(kind.parts, _ENTRY)
        made["offset"] = kind.first_offset + n * kind.part_bytes
        made["bytes"], made["long"] = kind.part_bytes, PART_90K
        made["key"] = n % KEY_PARTS == 0
        starts = kind.start_90k(k, 0) + n * PART_90K
        made["run"] = stream.run(k, 0)
        half = kind.parts // 2
        if self._cause(stream, k, half):
            starts[half:] += AWAY_90K
            made["run"][half:] = stream.run(k, half)
            made["cause"][half] = Cause.CAMERA
        made["start"], made["wall"] = starts, stream.origin_us + starts * 100 // 9
        first = struct.pack(">8sHHIQI", b"nvrindex", 1, 40, kind.parts, self.serial(number), 0)
        body = first + made.tobytes()
        return body + struct.pack(">I", crc32c(body))

    def warm(self) -> None:
        """Make up the chains of the open blocks, which are kept: they are not the recorder's."""
        for number in range(self.blocks):
            stream, k = self.place(number)
            if k == stream.blocks - 1:
                self._chain(number)

    def keep(self, path: Path) -> None:
        """Write identity and logs to a file, for the same shelf in another process."""
        path.write_bytes(b"".join(self.files.values()))

    def take(self, path: Path) -> None:
        """Read them back."""
        data, at = path.read_bytes(), 0
        for each in self.files.values():
            each[:] = data[at : at + len(each)]
            at += len(each)

    def lay(self, directory: Path) -> None:
        """Make it a real directory of sparse files: zeroes take no room."""
        for path, data in self.files.items():
            (directory / path).write_bytes(data)
        for number in range(self.blocks):
            stream, k = self.place(number)
            kind, parts = stream.kind, stream.parts(k)
            with (directory / block.name(number)).open("wb", buffering=0) as file:
                os.truncate(file.fileno(), BLOCK_BYTES)
                for offset, size in ((0, kind.header_bytes), (kind.header_bytes, 1 << 18)):
                    os.pwrite(file.fileno(), self._made(number, size, offset).rstrip(b"\0"), offset)
                full = k < stream.blocks - 1
                for part in range(parts - 1 if full else 0, parts):
                    at = kind.first_offset + part * kind.part_bytes
                    head = self._made(number, PART_HEADER_BYTES, at)
                    os.pwrite(file.fileno(), head + kind.payload[: _MOOF_BYTES + 8], at)

    def pread(self, path: str, size: int, offset: int) -> bytes:
        if path in self.files:
            return bytes(self.files[path][offset : offset + size])
        self.reads += 1
        began_s = time.perf_counter()
        try:
            return self._made(int(path[6:12]), size, offset)
        finally:
            self.spent_s += time.perf_counter() - began_s

    def _made(self, number: int, size: int, offset: int) -> bytes:
        stream, k = self.place(number)
        kind, last = stream.kind, k == stream.blocks - 1
        if number in self._taken:
            return bytes(size)
        if offset == 0:
            made = block.encode_head(self.head(number), kind.init)
        elif offset == kind.header_bytes:
            made = b"" if last else self._index(number, stream, k)
        else:
            part, within = divmod(offset - kind.first_offset, kind.part_bytes)
            if not 0 <= part < stream.parts(k):
                made = b""
            elif within:
                made = kind.payload[within - PART_HEADER_BYTES :]
            elif last:
                made = self._chain(number)[part]
            else:
                made = self._header(stream, k, part, hashlib.sha256(b"%d" % k).digest())
        return made[:size].ljust(size, b"\0") if len(made) != size else made

    def pwrite(
        self, path: str, pieces: Sequence[bytes | bytearray | memoryview], offset: int
    ) -> None:
        """Keep identity and logs; of a block written anew only that there is nothing to read."""
        if path in self.files:
            data = b"".join(pieces)
            self.files[path][offset : offset + len(data)] = data
        else:
            self._taken.add(int(path[6:12]))

    def listing(self) -> list[tuple[str, int]]:
        """All its files: asking a real disk for them takes seconds, so nobody may at a start."""
        found = [(path, len(data)) for path, data in self.files.items()]
        return found + [(block.name(n), BLOCK_BYTES) for n in range(self.blocks)]

    def create(self, path: str, size: int) -> None:
        raise AssertionError(f"{path} of {size} bytes: a volume that is there needs no new files")

    def zero(self, path: str, size: int, offset: int) -> None:  # noqa: ARG002 - see Disk
        self.pwrite(path, [], offset)

    def flush(self, ranges: Sequence[tuple[str, int, int]], *, written_before: bool) -> None:
        """Do nothing: what is written is kept or forgotten at once."""

    def drop_cache(self, path: str) -> None:
        """There is none."""

    def lock(self) -> None:
        """Nobody else knows of it."""

    def close(self) -> None:
        """Nothing to give back."""

    def sync_directory(self) -> None:
        """Nothing is created."""

    def refused(self) -> tuple[int, str]:
        return 0, ""

    def free_bytes(self) -> int:
        return 0
