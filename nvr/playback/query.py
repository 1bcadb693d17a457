"""The archive: what is recorded, and its bytes, without a demuxer in the path.

Only acknowledged parts are seen, those of the block still being written included. A part is read
with one `pread` after its header, its checksum verified, and a few bytes of it patched: the
fragment's number, decode times, and the size of ``mdat``, which on disk takes in the padding.
"""

import struct
import uuid
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from nvr.base.clock import TICKS_PER_S
from nvr.base.errors import Damaged, Rejected
from nvr.media.track import StreamConfig
from nvr.playback.gap import Gap, Notes
from nvr.playback.holding import Holding, holdings
from nvr.record import block
from nvr.record.block import Entry
from nvr.record.catalog import TOLERANCE_90K, Row, Span
from nvr.record.header import PartHeader
from nvr.record.note import Note
from nvr.record.retention import Promised
from nvr.record.store import Store
from nvr.wire.fmp4 import init_segment

_U32 = struct.Struct(">I")
_U64 = struct.Struct(">Q")


@dataclass(frozen=True, slots=True)
class Recorded:
    """A stretch without a hole.

    Attributes:
        run: Run on this volume.
        from_us: UTC microseconds of its start.
        to_us: UTC microseconds of its end.
    """

    run: int
    from_us: int
    to_us: int


@dataclass(frozen=True, slots=True)
class Ranges:
    """What is recorded of a stream in some span of time.

    Attributes:
        runs: Recorded stretches in the order of recording; two may overlap in wall time after
            the clock was set back.
        gaps: Holes between them, and the time since the last if the stream is not recorded now.
        recorded_until_us: End of the last acknowledged part of the stream, 0 if there is none.
    """

    runs: tuple[Recorded, ...]
    gaps: tuple[Gap, ...]
    recorded_until_us: int


@dataclass(frozen=True, slots=True)
class Gop:
    """From one key frame up to the next.

    Attributes:
        data: ``moof mdat`` repeated; decode times count from the start of the run, so the
            groups of a run follow each other without an offset.
        start_90k: Decode time of the first sample in `data`, 90 kHz.
        from_us: UTC microseconds of the key frame.
        to_us: UTC microseconds of the end.
        run: Run on this volume.
        next_us: UTC microseconds at which the next recorded group begins, None at the end.
    """

    data: bytes
    start_90k: int
    from_us: int
    to_us: int
    run: int
    next_us: int | None


@dataclass(frozen=True, slots=True)
class VolumeState:
    """A volume as the page shows it.

    Attributes:
        ring_id: Its UUID.
        size_bytes: Room in all blocks.
        used_bytes: Room in blocks that hold something.
        oldest_us: UTC microseconds of the oldest part, 0 if there is none.
        condemned: Blocks given up since the start because the disk refused them.
    """

    ring_id: uuid.UUID
    size_bytes: int
    used_bytes: int
    oldest_us: int
    condemned: int


class _Track:
    """All parts of a stream as one list, whose blocks are looked into only when needed."""

    def __init__(self, store: Store, rows: list[Row]) -> None:
        self._store = store
        self.rows = rows
        self._entries: dict[int, tuple[Entry, ...]] = {}

    def entries(self, row: int) -> tuple[Entry, ...]:
        if row not in self._entries:
            try:
                self._entries[row] = self._store.entries(self.rows[row])
            except OSError:
                self._entries[row] = ()  # its index cannot be read: fsck tells, playback goes on
        return self._entries[row]

    def entry(self, at: tuple[int, int]) -> Entry:
        return self.entries(at[0])[at[1]]

    def after(self, at: tuple[int, int]) -> tuple[int, int] | None:
        row, part = at[0], at[1] + 1
        while row < len(self.rows):
            if part < len(self.entries(row)):
                return row, part
            row, part = row + 1, 0
        return None

    def before(self, at: tuple[int, int]) -> tuple[int, int] | None:
        row, part = at[0], at[1] - 1
        while part < 0:
            row -= 1
            if row < 0:
                return None
            part = len(self.entries(row)) - 1
        return row, part

    def find(self, t_us: int) -> tuple[int, int] | None:
        """Return the part that holds `t_us`, else the first that begins later."""
        for row in range(len(self.rows) - 1, -1, -1):
            for span in reversed(self.rows[row].spans):
                if span.from_us <= t_us < span.to_us:
                    found = self._in_span(row, span, t_us)
                    if found is not None:
                        return found
        later = [
            (span.from_us, row, span)
            for row, info in enumerate(self.rows)
            for span in info.spans
            if span.from_us > t_us
        ]
        if not later:
            return None
        from_us, row, span = min(later, key=lambda found: found[:2])
        return self._in_span(row, span, from_us)

    def _in_span(self, row: int, span: Span, t_us: int) -> tuple[int, int] | None:
        entries = self.entries(row)
        for part in range(len(entries) - 1, -1, -1):
            entry = entries[part]
            if (
                entry.run == span.run
                and span.start_90k <= entry.start_90k < span.end_90k
                and entry.wall_us <= t_us
            ):
                return row, part
        return None

    def key_at_or_before(self, at: tuple[int, int]) -> tuple[int, int] | None:
        """Return the key part that `at` depends on, else the next key part."""
        run = self.entry(at).run
        back: tuple[int, int] | None = at
        while back is not None and self.entry(back).run == run:
            if self.entry(back).key:
                return back
            back = self.before(back)
        forward: tuple[int, int] | None = at
        while forward is not None and not self.entry(forward).key:
            forward = self.after(forward)
        return forward


class Archive:
    """Everything recorded on a volume. Calls block on the disk; safe for several threads.

    Args:
        store: The open volume.
        running: Whether a recorder has it open; None if this is the recorder itself, which notes
            in a moment why something is not recorded now.
        pending: Notes that are not in the volume's log yet.
    """

    def __init__(
        self, store: Store, *, running: bool | None = None, pending: Sequence[Note] = ()
    ) -> None:
        self._store = store
        self._running = running
        self._pending = pending

    def streams(self) -> tuple[str, ...]:
        """Return the names of all streams with something recorded."""
        return self._store.catalog.streams()

    def recorded_until_us(self, stream: str) -> int:
        """UTC microseconds of the end of the last acknowledged part, 0 if there is none."""
        for row in reversed(self._store.catalog.rows(stream)):
            if row.spans:
                return row.spans[-1].to_us
        return 0

    def ranges(self, stream: str, from_us: int, to_us: int) -> Ranges:
        """Return what is recorded between two wall times, and why the rest is not."""
        runs: list[Recorded] = []
        gaps: list[Gap] = []
        for one in self.account(stream):
            if one.to_us <= from_us or one.from_us >= to_us:
                continue
            if isinstance(one, Gap):
                gaps.append(one)
            else:
                runs.append(one)
        return Ranges(tuple(runs), tuple(gaps), self.recorded_until_us(stream))

    def noted(self) -> tuple[str, ...]:
        """Return the names of all streams of which something is recorded or explained."""
        return tuple(sorted({*self.streams(), *self._notes().streams()}))

    def _spans(self, stream: str) -> Iterator[tuple[bool, Span]]:
        """Yield a stream's spans, each with whether parts before it are not there any more."""
        sequence = 0
        for row in self._store.catalog.rows(stream):
            lost = row.head.sequence > sequence
            sequence = row.sequence
            for span in row.spans:
                yield lost, span
                lost = False

    def _notes(self) -> Notes:
        catalog = self._store.catalog
        return Notes(
            [*self._store.ring.notes, *self._pending],
            lambda: [span for row in catalog.all_rows() for span in row.spans],
            running=self._running,
        )

    def account(self, stream: str) -> Iterator[Recorded | Gap]:
        """Yield all time of a stream, recorded or not, in the order in which it went by.

        Where the clock was set back, wall times come twice; where it was set forward, some never.
        """
        notes, now_us = self._notes(), self._store.clock.wall_us()
        last: Span | None = None
        run: Recorded | None = None
        for lost, span in self._spans(stream):
            if run and last and last.continued_by(span.run, span.start_90k, span.from_us):
                run, last = Recorded(span.run, run.from_us, span.to_us), span
                continue
            if run:
                yield run
            if last is None:
                yield from () if lost else notes.before(stream, span)
            elif lost:
                if span.from_us > last.to_us:
                    yield Gap(last.to_us, span.from_us, "gone")
            elif not _follows(last, span):
                yield from notes.between(stream, last, span)
            run, last = Recorded(span.run, span.from_us, span.to_us), span
        if run and last:
            yield run
            yield from notes.after(stream, last, now_us)
        else:
            yield from notes.never(stream, now_us)

    def config(self, stream: str, run: int) -> StreamConfig:
        """Return the codecs of a run.

        Raises:
            Rejected: ``archive.no_run``.
        """
        for row in self._store.catalog.rows(stream):
            if any(span.run == run for span in row.spans):
                return row.head.config
        raise Rejected("archive.no_run", "there is no such run", stream=stream, run=run)

    def init(self, stream: str, run: int) -> bytes:
        """Return ``ftyp moov`` of a run.

        Raises:
            Rejected: ``archive.no_run``.
        """
        return init_segment(self.config(stream, run))

    def gop(self, stream: str, t_us: int) -> Gop | None:
        """Return the group of pictures that shows `t_us`, or if that is in a gap the next one.

        A group with bytes that do not match their checksum is cut short there, or left out.
        """
        track = _Track(self._store, self._store.catalog.rows(stream))
        at = track.find(t_us)
        key = track.key_at_or_before(at) if at is not None else None
        while key is not None:
            data, last, after = self._read_gop(track, key)
            first = track.entry(key)
            if data:
                next_key = after
                while next_key is not None and not track.entry(next_key).key:
                    next_key = track.after(next_key)
                return Gop(
                    data=b"".join(piece for _, piece in data),
                    start_90k=first.start_90k - data[0][0].run_90k,
                    from_us=first.wall_us,
                    to_us=last.end_us,
                    run=first.run,
                    next_us=track.entry(next_key).wall_us if next_key else None,
                )
            key = after
            while key is not None and not track.entry(key).key:
                key = track.after(key)
        return None

    def _read_gop(
        self, track: _Track, key: tuple[int, int]
    ) -> tuple[list[tuple[PartHeader, bytes]], Entry, tuple[int, int] | None]:
        first = last = track.entry(key)
        data: list[tuple[PartHeader, bytes]] = []
        at: tuple[int, int] | None = key
        intact = True
        while at is not None:
            entry = track.entry(at)
            if at != key and (entry.key or entry.run != first.run):
                break
            if intact:
                try:
                    header, payload = self._read(track.rows[at[0]], entry)
                    origin_90k = header.run_90k
                    piece = patched(header, payload, track.rows[at[0]], origin_90k, len(data) + 1)
                    data.append((header, piece))
                    last = entry
                except (Damaged, OSError):
                    intact = False
            at = track.after(at)
        return data, last, at

    def _read(self, row: Row, entry: Entry) -> tuple[PartHeader, bytes]:
        return block.read_part(self._store.reader(row.head.block), row.head, entry.offset)

    def configs(self, stream: str, from_us: int, to_us: int) -> list[tuple[int, int]]:
        """Return the wall times at which `export` must be split because the codecs change."""
        parts: list[tuple[int, int]] = []
        config: StreamConfig | None = None
        for row in self._store.catalog.rows(stream):
            for span in row.spans:
                begin_us, end_us = max(span.from_us, from_us), min(span.to_us, to_us)
                if begin_us >= end_us:
                    continue
                if parts and row.head.config == config:
                    parts[-1] = parts[-1][0], end_us
                else:
                    parts.append((begin_us, end_us))
                    config = row.head.config
        return parts

    def export(self, stream: str, from_us: int, to_us: int) -> Iterator[bytes]:
        """Return one fragmented MP4 from the key frame at or before `from_us` up to `to_us`.

        Gaps are left out: the picture goes on at once with what was recorded next.

        Raises:
            Rejected: ``export.nothing``, ``export.config_changed``. Both before the first byte.
        """
        parts = self.configs(stream, from_us, to_us)
        if not parts:
            raise Rejected("export.nothing", "nothing is recorded there", stream=stream)
        if len(parts) > 1:
            raise Rejected(
                "export.config_changed",
                "the camera's codecs changed within this time: export it in two",
                stream=stream,
                at_us=parts[1][0],
            )
        return (piece for piece, _ in self.export_timed(stream, parts[0][0], to_us))

    def export_timed(self, stream: str, from_us: int, to_us: int) -> Iterator[tuple[bytes, int]]:
        """Return the pieces of `export` with the UTC microseconds up to which they lead.

        Ends where the codecs change; `configs` tells where that is.
        """
        track = _Track(self._store, self._store.catalog.rows(stream))
        found = track.find(from_us)
        at = track.key_at_or_before(found) if found is not None else None
        if at is None:
            return
        config = track.rows[at[0]].head.config
        yield init_segment(config), track.entry(at).wall_us
        number, out_90k, broken = 0, 0, False
        last: tuple[int, int] | None = None  # run and end of the part before
        origin_90k = 0
        while at is not None:
            row, entry = track.rows[at[0]], track.entry(at)
            if entry.wall_us >= to_us or row.head.config != config:
                break
            try:
                header, payload = self._read(row, entry)
            except (Damaged, OSError):
                broken = True  # what follows depends on it, up to the next key frame
            else:
                broken = broken and not entry.key
                if not broken:
                    follows = (
                        last is not None
                        and last[0] == entry.run
                        and 0 <= entry.start_90k - last[1] <= TOLERANCE_90K
                    )
                    if not follows:
                        origin_90k = entry.start_90k - out_90k
                    number += 1
                    yield patched(header, payload, row, origin_90k, number), entry.end_us
                    last = entry.run, entry.start_90k + entry.duration_90k
                    out_90k = last[1] - origin_90k
            at = track.after(at)

    def holdings(self, promised_s: Promised, recording: Iterable[str]) -> list[Holding]:
        """Return what is held of each stream and will be. See `nvr.playback.holding`."""
        return holdings(self._store, promised_s, recording)

    def volume(self) -> VolumeState:
        """Return the state of the volume."""
        rows = self._store.catalog.all_rows()
        identity = self._store.identity
        return VolumeState(
            ring_id=identity.ring_id,
            size_bytes=identity.size_bytes,
            used_bytes=len(rows) * identity.block_bytes,
            oldest_us=min((row.first_us for row in rows if row.spans), default=0),
            condemned=self._store.ring.condemned,
        )


def patched(header: PartHeader, payload: bytes, row: Row, origin_90k: int, number: int) -> bytes:
    """Return a stored part with its decode times counted from `origin_90k` of the stream.

    Args:
        header: Of the part.
        payload: Its stored bytes.
        row: Of its block.
        origin_90k: Tick of the stream's time line that becomes 0; earlier samples become 0 too.
        number: Fragment number it gets.
    """
    data = bytearray(payload)
    _U32.pack_into(data, header.sequence_offset, number)
    _U32.pack_into(data, header.moof_bytes, len(data) - header.moof_bytes)
    for at, track in zip(header.tfdt_offsets, row.head.config, strict=False):
        if at >= 0:
            shift = (
                header.base_90k * track.clock_hz // TICKS_PER_S
                - origin_90k * track.clock_hz // TICKS_PER_S
            )
            _U64.pack_into(data, at, max(0, _U64.unpack_from(data, at)[0] + shift))
    return bytes(data)


def _follows(last: Span, span: Span) -> bool:
    """Whether nothing is missing between two spans; a step of the clock is not a hole."""
    return span.run == last.run and abs(span.start_90k - last.end_90k) <= TOLERANCE_90K
