"""One stream on its way to the disk: which block it writes, and where it stands there.

A lane turns a part of the ingest thread into bytes: a header, the ``moof`` with sequence and decode
times that fit the block, and the shared ``mdat`` whose size field takes in the room up to the
next part. That room is not written: it would be most of what a disk is given beyond the video.
Everything a lane changes is undone when the group it was for does not reach the disk.
"""

import struct
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import TypeAlias

from nvr.base.clock import TICKS_PER_S
from nvr.media.name import is_beside
from nvr.media.part import PART_HEADER_BYTES, Bytes, Part
from nvr.media.track import StreamConfig
from nvr.record import block, header
from nvr.record.block import BlockHeader, Entry
from nvr.record.header import NO_LINK, Cause
from nvr.record.keys import DayKey
from nvr.record.ring import Grant
from nvr.record.row import Row
from nvr.record.seal import BOX_BYTES, SIGN_90K, Sealer
from nvr.record.volume import Identity
from nvr.wire.fmp4 import init_segment

_U32 = struct.Struct(">I")
_U64 = struct.Struct(">Q")
BESIDE_US = 3_600_000_000
"""A block of what is copied or fetched spans no more: a block goes as a whole, and what is fetched
one day may lie weeks before what is fetched the next."""
_MEMORY_PAGE_BYTES = 4096
"""Whole pages of memory are written: less would make the kernel read the rest first."""


@dataclass(slots=True)
class Place:
    """The open block of a lane and how far it is filled.

    Attributes:
        head: Of the block.
        tail: Where the next part goes.
        number: Its place in the block.
        base_90k: Subtracted from the stream's time line to get the block's.
        bases: The same in each track's own ticks.
        end_90k: End of the last part on the block's time line.
        covers: The room behind parts is written too, for what was there must be gone.
        from_us: UTC microseconds of its first part, None before it has one.
    """

    head: BlockHeader
    tail: int
    number: int
    base_90k: int
    bases: tuple[int, ...]
    end_90k: int
    covers: bool
    from_us: int | None = None


@dataclass(slots=True)
class Write:
    """What one lane adds to one block in one group.

    Attributes:
        place: The lane's place in the block.
        block: Number of the block.
        head: The block's head, for a block begun by this group.
        parts_at: Where its parts begin.
        pieces: Bytes and where they go, in order: the parts, and the box over the rest of the
            block. What lies side by side is one piece.
        end: Byte after the last.
        entries: The parts among it.
        part_bytes: Bytes of the parts with their headers.
        tail: Where the parts end.
        sequence: The stream's next sequence number after it.
        link: Link of the last part.
        row: Row to add to the catalogue first, for a block begun by this group.
    """

    place: Place
    block: int
    head: bytes
    parts_at: int
    pieces: list[tuple[int, list[Bytes]]]
    end: int
    entries: list[Entry]
    part_bytes: int
    tail: int
    sequence: int
    link: bytes
    row: Row | None

    @property
    def start(self) -> int:
        """First byte written."""
        return 0 if self.head else self.parts_at

    def put(self, at: int, buffers: Sequence[Bytes]) -> None:
        """Add bytes behind what is there, and what fills their last page of memory."""
        if not self.pieces or at != self.end:
            self.pieces.append((at, []))
        piece = self.pieces[-1][1]
        piece += buffers
        size = sum(map(len, buffers))
        rest = -size % _MEMORY_PAGE_BYTES
        if rest:
            piece.append(bytes(rest))
        self.end = at + size + rest


@dataclass(frozen=True, slots=True)
class Run:
    """A camera's connection, for the next opening of the same volume to go on with.

    Attributes:
        key: Number the ingest thread gave it.
        number: Number on the volume.
        begun_90k: Its first tick.
    """

    key: int
    number: int
    begun_90k: int


@dataclass(slots=True)
class _Standing:
    """What a group changes in a lane, and gives back when it fails."""

    place: Place | None
    sequence: int
    link: bytes
    config: StreamConfig
    run_key: int = -1
    run: int = 0
    run_90k: int = 0


@dataclass(slots=True)
class _Unended:
    """A part whose header lacks its sums: the header in front, and what it must hash to."""

    front: bytearray
    payload: tuple[Bytes, ...]
    sealed: bool
    signs: bool


Saved: TypeAlias = tuple[_Standing, Cause]
"""What a lane goes back to when a group fails."""


class Lane:
    """The state of one stream in the writer.

    Args:
        stream: Its name.
        identity: Of the volume.
        last: Its last block, if it has any.
        last_header: Header of the last part in it.
        cause: Why nothing was recorded since that.
        sealer: Seals and signs.
        sequence: Of its first part, if it has no last block.
    """

    def __init__(
        self,
        stream: str,
        identity: Identity,
        last: Row | None,
        last_header: header.PartHeader | None,
        cause: Cause,
        sealer: Sealer,
        sequence: int = 0,
    ) -> None:
        self.stream = stream
        self._sealer = sealer
        self._signed_90k: int | None = None
        self._held_90k = -1 << 63
        self.cause = cause if last else Cause.NONE
        self._identity = identity
        self._name = stream.encode()
        self._beside = is_beside(stream)
        self._unended: list[_Unended] = []
        self._now = _Standing(
            place=None,
            sequence=last.sequence if last else sequence,
            link=last.link if last else NO_LINK,
            config=(),
        )
        if last and not last.closed and last_header:
            end_90k = last_header.start_90k + last_header.duration_90k - last_header.base_90k
            number = last_header.number + 1
            # Whether what was in the block must be gone is not known any more.
            self._now.place = Place(last.head, last.tail, number, 0, (), end_90k, covers=True)
            self._now.place.from_us = min((s.from_us for s in last.spans), default=None)
            self._now.config = last.head.config

    @property
    def run(self) -> Run | None:
        """What is being recorded, None if nothing was yet."""
        now = self._now
        return Run(now.run_key, now.run, now.run_90k) if now.run_key >= 0 else None

    def go_on(self, run: Run, config: StreamConfig, last: header.PartHeader) -> None:
        """Go on with `run`, whose last part on the volume is `last`: the recorder never stopped."""
        now = self._now
        now.run_key, now.run, now.run_90k = run.key, run.number, run.begun_90k
        now.config = config
        self.cause = Cause.NONE
        self._held_90k = last.start_90k + last.duration_90k
        if now.place is not None:
            self._set_base(now.place, last.base_90k, config)

    def holds(self, part: Part) -> bool:
        """Whether `part` is on the volume, though the disk had refused to flush it."""
        middle_90k = part.start_90k + part.duration_90k // 2
        return part.run == self._now.run_key and middle_90k < self._held_90k

    @property
    def place(self) -> Place | None:
        """The open block."""
        return self._now.place

    def leave_block(self) -> None:
        """Write no more to the open block."""
        self._now.place = None

    def saved(self) -> Saved:
        """Return what `restore` goes back to."""
        now, place = self._now, self._now.place
        if place is not None:
            place = replace(place)
        standing = _Standing(
            place, now.sequence, now.link, now.config, now.run_key, now.run, now.run_90k
        )
        return standing, self.cause

    def restore(self, saved: Saved) -> None:
        """Go back to what `saved` returned, but keep the reason of a gap noted since."""
        self._now, cause = saved
        self._unended = []
        self._signed_90k = None
        self.cause = self.cause or cause

    def end_run(self) -> None:
        """What comes next begins another run, whatever connection it comes over."""
        self._now.run_key = -1
        self._held_90k = -1 << 63

    def is_new_run(self, part: Part) -> bool:
        """Whether `part` begins a run: another connection, or other codecs."""
        return part.run != self._now.run_key or part.config != self._now.config

    def begin_run(self, part: Part, run: int) -> None:
        """Take note of a new run; it goes on in the same block if the codecs are the same."""
        now = self._now
        if now.run_key >= 0 and part.run != now.run_key and not self.cause:
            self.cause = Cause.CAMERA
        now.run_key, now.run, now.run_90k = part.run, run, _first_90k(part)
        now.config = part.config
        if now.place and now.place.head.config == part.config:
            self._set_base(now.place, now.run_90k - now.place.end_90k, part.config)

    @staticmethod
    def _set_base(place: Place, base_90k: int, config: StreamConfig) -> None:
        place.base_90k = base_90k
        place.bases = tuple(base_90k * track.clock_hz // TICKS_PER_S for track in config)

    def fits(self, part: Part) -> bool:
        """Whether `part` can go into the open block."""
        place = self.place
        return (
            place is not None
            and place.head.config == part.config
            and place.tail + self.room(part) <= place.head.block_bytes
            and (not self._beside or _together(place, part))
        )

    def begin_block(self, part: Part, grant: Grant) -> Write:
        """Begin a block with `part` to come; returns the write of its head."""
        init = init_segment(part.config)
        head = BlockHeader(
            ring_id=self._identity.ring_id.bytes,
            generation=self._identity.generation,
            block=grant.block,
            serial=grant.serial,
            run=self._now.run,
            block_bytes=self._identity.block_bytes,
            header_bytes=block.header_bytes_for(part.config, init),
            index_bytes=block.index_bytes_for(self._identity.block_bytes),
            sequence=self._now.sequence,
            previous=self._now.link,
            stream=self.stream,
            config=part.config,
        )
        tail = head.first_offset
        place = self._now.place = Place(head, tail, 0, 0, (), 0, covers=grant.private)
        self._set_base(place, _first_90k(part), part.config)
        row = Row(head, (), tail, 0, self._now.sequence, self._now.link, closed=False, entries=())
        return Write(
            place=place,
            block=grant.block,
            head=block.encode_head(head, init),
            parts_at=tail,
            pieces=[],
            end=tail,
            entries=[],
            part_bytes=0,
            tail=tail,
            sequence=self._now.sequence,
            link=self._now.link,
            row=row,
        )

    def continue_block(self, place: Place) -> Write:
        """Return an empty write at the end of the open block, which is at `place`."""
        return Write(
            place=place,
            block=place.head.block,
            head=b"",
            parts_at=place.tail,
            pieces=[],
            end=place.tail,
            entries=[],
            part_bytes=0,
            tail=place.tail,
            sequence=self._now.sequence,
            link=self._now.link,
            row=None,
        )

    def room(self, part: Part) -> int:
        """Return the bytes `part` takes in a block."""
        sealed = BOX_BYTES if self._sealer.seals else 0
        return block.round_up(PART_HEADER_BYTES + sealed + len(part.moof) + len(part.mdat))

    def add(self, part: Part, write: Write, group: int) -> bool:
        """Append `part` to `write`; the sums in its header come with `end`.

        Returns:
            False if it is to be sealed and there is no key.
        """
        now, place = self._now, write.place
        head = place.head
        key = self._sealer.key(self.stream, part.wall_us)
        if self._sealer.seals and key is None:
            return False
        moof_bytes = len(part.moof)
        whole = self.room(part)
        mdat_bytes = whole - PART_HEADER_BYTES - moof_bytes
        front = bytearray(PART_HEADER_BYTES) + part.moof + _U32.pack(mdat_bytes) + b"mdat"
        _U32.pack_into(front, PART_HEADER_BYTES + part.sequence_offset, place.number + 1)
        for at, base in zip(part.tfdt_offsets, place.bases, strict=True):
            if at >= 0:
                ticks = _U64.unpack_from(part.moof, at)[0] - base
                _U64.pack_into(front, PART_HEADER_BYTES + at, max(0, ticks))
        samples = memoryview(part.mdat)[8:]
        header.begin_into(
            front,
            key=part.key,
            ring_id=head.ring_id,
            generation=self._identity.generation,
            group=group,
            number=place.number,
            serial=head.serial,
            sequence=now.sequence,
            run=now.run,
            start_90k=part.start_90k,
            base_90k=place.base_90k,
            run_90k=now.run_90k,
            duration_90k=part.duration_90k,
            uncertainty_ms=part.uncertainty_ms,
            wall_us=part.wall_us,
            samples=part.samples,
            damaged=part.damaged,
            moof_bytes=moof_bytes,
            mdat_bytes=mdat_bytes,
            stored_bytes=(BOX_BYTES if key else 0) + moof_bytes + 8 + len(samples),
            sequence_offset=part.sequence_offset,
            tfdt_offsets=part.tfdt_offsets,
            cause=self.cause,
            stream=self._name,
            suite=self._sealer.suite_id,
            key_id=key.key_id if key else b"",
        )
        write.entries.append(
            Entry(
                place.tail,
                whole,
                now.run,
                part.start_90k,
                part.wall_us,
                part.duration_90k,
                part.key,
                self.cause,
            )
        )
        signs = self._signs(part)
        self._unended.append(self._stored(front, samples, key, whole, write, signs))
        place.tail += whole
        place.number += 1
        place.from_us = part.wall_us if place.from_us is None else place.from_us
        place.end_90k = part.start_90k + part.duration_90k - place.base_90k
        now.sequence += 1
        self.cause = Cause.NONE
        write.tail, write.sequence = place.tail, now.sequence
        return True

    def _stored(
        self,
        front: bytearray,
        samples: memoryview,
        key: DayKey | None,
        whole: int,
        write: Write,
        signs: bool,
    ) -> _Unended:
        """Put a part of `whole` bytes with its room into `write`, sealed if there is a key."""
        if key:
            plain = bytes(front[PART_HEADER_BYTES:])
            del front[PART_HEADER_BYTES:]
            box = self._sealer.seal(key, front, (plain, samples), whole - PART_HEADER_BYTES)
            behind: Bytes = box
            payload: tuple[Bytes, ...] = (box,)
        else:
            behind = samples
            payload = (memoryview(front)[PART_HEADER_BYTES:], samples)
        room = whole - len(front) - len(behind)
        write.put(write.place.tail, (front, behind, bytes(room if write.place.covers else 0)))
        write.part_bytes += len(front) + len(behind)
        return _Unended(front, payload, sealed=key is not None, signs=signs)

    def _signs(self, part: Part) -> bool:
        """Whether this part is to carry a signature: some seconds passed since the last."""
        since = self._signed_90k
        if since is not None and 0 <= part.start_90k - since < SIGN_90K:
            return False
        self._signed_90k = part.start_90k
        return True

    def payloads(self) -> list[tuple[Bytes, ...]]:
        """Return what `end` needs the sums of: what each part added holds after its header."""
        return [each.payload for each in self._unended]

    def end(self, sums: Iterable[tuple[int, bytes]], write: Write) -> None:
        """End the headers of all parts added to `write`, with their `sums` in order."""
        link = self._now.link
        sequence = self._now.sequence - len(self._unended)
        for each, (crc, sha256) in zip(self._unended, sums, strict=True):
            if each.signs and sequence:
                signature = self._sealer.signature(self.stream, sequence - 1, link)
                header.sign_into(each.front, signature, sequence - 1)
            link = header.end_into(
                each.front, payload_crc=crc, sha256=sha256, previous=link, sealed=each.sealed
            )
            sequence += 1
        write.link = self._now.link = link
        self._unended = []

    @staticmethod
    def finish(write: Write) -> None:
        """End `write` with the box over the rest of the block."""
        place = write.place
        end = block.tail_page(place.head.block_bytes, write.tail)
        if end:
            write.put(write.tail, [end])


def _together(place: Place, part: Part) -> bool:
    """Whether a part is so near in time to the first of a block that both may go in one moment."""
    from_us = part.wall_us if place.from_us is None else place.from_us
    return 0 <= part.wall_us - from_us < BESIDE_US


def _first_90k(part: Part) -> int:
    """Earliest decode time of any track in `part`, so that no track's time becomes negative."""
    ticks: list[int] = [
        _U64.unpack_from(part.moof, at)[0] * TICKS_PER_S // track.clock_hz
        for at, track in zip(part.tfdt_offsets, part.config, strict=True)
        if at >= 0
    ]
    return min([part.start_90k, *ticks])
