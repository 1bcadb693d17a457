"""The archive: what is recorded, and its bytes, without a demuxer in the path.

Only acknowledged parts are seen, those of the block still being written included. A part is read
with one `pread` after its header, its checksum verified, and a few bytes of it patched: the
fragment's number, decode times, and the size of ``mdat``, which on disk takes in the padding.
"""

import uuid
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

from nvr.base.errors import Damaged, Rejected
from nvr.media.track import StreamConfig
from nvr.playback.gap import Fetch, Gap, Notes
from nvr.playback.group import Group, groups
from nvr.playback.holding import Holding, holdings
from nvr.playback.splice import Piece, Splice, patched
from nvr.playback.track import Place, Track
from nvr.playback.trust import NOT_NOTED, Trust, Trusts
from nvr.record.block import Entry
from nvr.record.header import PartHeader
from nvr.record.note import Note
from nvr.record.retention import TermsOf
from nvr.record.row import TOLERANCE_90K, Row, Span
from nvr.record.store import Store
from nvr.wire.fmp4 import init_segment


@dataclass(frozen=True, slots=True)
class Recorded:
    """A stretch without a hole.

    Attributes:
        run: Run on this volume.
        from_us: UTC microseconds of its start.
        to_us: UTC microseconds of its end.
        place: Of its first part.
        trust: How far these times can be trusted.
        end_90k: Tick after its last part.
        fetch: That it was fetched from the camera's own storage, None if it was recorded as it
            happened.
    """

    run: int
    from_us: int
    to_us: int
    place: Place | None = None
    trust: Trust = NOT_NOTED
    end_90k: int = 0
    fetch: Fetch | None = None


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
        following: Where that is, in the order of recording; None at the end.
    """

    data: bytes
    start_90k: int
    from_us: int
    to_us: int
    run: int
    next_us: int | None
    following: Place | None = None


@dataclass(frozen=True, slots=True)
class VolumeState:
    """A volume as the page shows it.

    Attributes:
        ring_id: Its UUID.
        size_bytes: Room in all blocks.
        used_bytes: Room in blocks that hold something.
        oldest_us: UTC microseconds of the oldest part, 0 if there is none.
        condemned: Blocks that are not used because the disk refused them.
        locked_bytes: Room in blocks that are locked.
        unread_bytes: Room in blocks of which it is not known yet what they hold: what the recorder
            remembered of the disk was lost, and it looks again.
        wanted_bytes: Room there is to be; `size_bytes` unless it grows or shrinks.
    """

    ring_id: uuid.UUID
    size_bytes: int
    used_bytes: int
    oldest_us: int
    condemned: int
    locked_bytes: int = 0
    unread_bytes: int = 0
    wanted_bytes: int = 0


class Exporting(Protocol):
    """What `exported` needs of an archive."""

    def configs(self, stream: str, from_us: int, to_us: int) -> list[tuple[int, int]]:
        """See `Archive.configs`."""
        ...

    def export_timed(self, stream: str, from_us: int, to_us: int) -> Iterator[tuple[bytes, int]]:
        """See `Archive.export_timed`."""
        ...


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
        self.store = store
        self._running = running
        self._pending = pending

    @property
    def volumes(self) -> "tuple[Archive, ...]":
        """This one; see `nvr.playback.joined`."""
        return (self,)

    def streams(self) -> tuple[str, ...]:
        """Return the names of all streams with something recorded."""
        return self.store.catalog.streams()

    def recorded_until_us(self, stream: str) -> int:
        """UTC microseconds of the end of the last acknowledged part, 0 if there is none."""
        for row in reversed(self.store.catalog.rows(stream)):
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

    def _notes(self) -> Notes:
        catalog = self.store.catalog
        return Notes(self._said(), catalog.last_tick, running=self._running)

    def _said(self) -> list[Note]:
        return [*self.store.ring.notes, *self._pending]

    def account(self, stream: str) -> Iterator[Recorded | Gap]:
        """Yield all time of a stream, recorded or not, in the order in which it went by.

        Where the clock was set back, wall times come twice; where it was set forward, some never.
        """
        notes, now_us = self._notes(), self.store.clock.wall_us()
        trusts = Trusts(self._said())
        first: Span | None = None  # of the stretch that `last` may still be a part of
        last: Span | None = None
        for lost, span in self.store.catalog.rows(stream).stretches():
            if last and last.continued_by(span.run, span.start_90k, span.from_us):
                last = span
                continue
            if first and last:
                yield _recorded(first, last, trusts)
            if last is None:
                yield from () if lost else notes.before(stream, span)
            elif lost:
                if span.from_us > last.to_us:
                    cause = "unread" if self.store.ring.unread else "gone"
                    yield Gap(last.to_us, span.from_us, cause)
            elif not _follows(last, span):
                yield from notes.between(stream, last, span)
            first = last = span
        if first and last:
            yield _recorded(first, last, trusts)
            yield from notes.after(stream, last, now_us)
        else:
            yield from notes.never(stream, now_us)

    def recorded(self, stream: str) -> Iterator[Recorded]:
        """Yield what `account` does of recorded time, without what the notes say of it."""
        first: Span | None = None
        last: Span | None = None
        for _, span in self.store.catalog.rows(stream).stretches():
            if first and last and not last.continued_by(span.run, span.start_90k, span.from_us):
                yield _recorded(first, last, None)
                first = None
            first, last = first or span, span
        if first and last:
            yield _recorded(first, last, None)

    def config(self, stream: str, run: int) -> StreamConfig:
        """Return the codecs of a run.

        Raises:
            Rejected: ``archive.no_run``.
        """
        row = self.store.catalog.rows(stream).with_run(run)
        if row is not None:
            return row.head.config
        raise Rejected("archive.no_run", "there is no such run", stream=stream, run=run)

    def init(self, stream: str, run: int) -> bytes:
        """Return ``ftyp moov`` of a run.

        Raises:
            Rejected: ``archive.no_run``.
        """
        return init_segment(self.config(stream, run))

    def gop(
        self, stream: str, t_us: int, place: Place | None = None, *, key_only: bool = False
    ) -> Gop | None:
        """Return the group of pictures that shows `t_us`, or if that is in a gap the next one.

        A group with bytes that do not match their checksum is cut short there, or left out.

        Args:
            stream: Its name.
            t_us: UTC microseconds. Where the clock was set back, the newest recording counts.
            place: What an earlier answer gave as `Gop.following`: that one, whatever the clock
                said then; unless it was overwritten meanwhile, when `t_us` counts.
            key_only: Only the part with its key frame is read; `to_us` is still the end of all.
        """
        track = Track(self.store, self.store.catalog.rows(stream))
        at = track.at_place(place) if place else None
        at = at or track.find(t_us)
        key = track.key_at_or_before(at) if at is not None else None
        while key is not None:
            data, last, after = self._read_gop(track, key, key_only=key_only)
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
                    following=track.place(next_key) if next_key else None,
                )
            key = after
            while key is not None and not track.entry(key).key:
                key = track.after(key)
        return None

    def groups(self, stream: str, from_us: int, to_us: int) -> list[Group]:
        """Return where the groups of pictures of a span are. See `nvr.playback.group.groups`."""
        return list(groups(self.store, stream, from_us, to_us))

    def _read_gop(
        self, track: Track, key: tuple[int, int], *, key_only: bool
    ) -> tuple[list[tuple[PartHeader, bytes]], Entry, tuple[int, int] | None]:
        first = last = track.entry(key)
        data: list[tuple[PartHeader, bytes]] = []
        at: tuple[int, int] | None = key
        before = key
        intact = True
        while at is not None:
            entry = track.entry(at)
            if at != key and (entry.key or entry.run != first.run or not track.joined(before, at)):
                break
            before = at
            if key_only and data:
                last = entry
            elif intact:
                try:
                    header, payload = self._read(track.row(at[0]), entry)
                    origin_90k = header.run_90k
                    piece = patched(header, payload, track.row(at[0]), origin_90k, len(data) + 1)
                    data.append((header, piece))
                    last = entry
                except (Damaged, OSError):
                    intact = False
            at = track.after(at)
        return data, last, at

    def _read(self, row: Row, entry: Entry) -> tuple[PartHeader, bytes]:
        return self.store.part(row, entry)

    def key_us(self, stream: str, t_us: int) -> int | None:
        """Return when the key frame begins that the picture at `t_us`, or the next, hangs on."""
        track = Track(self.store, self.store.catalog.rows(stream))
        at = track.find(t_us)
        key = track.key_at_or_before(at) if at is not None else None
        return None if key is None else track.entry(key).wall_us

    def configs(self, stream: str, from_us: int, to_us: int) -> list[tuple[int, int]]:
        """Return the wall times at which `export` must be split because the codecs change."""
        return split(self.stretches_of_codecs(stream, from_us, to_us))

    def stretches_of_codecs(
        self, stream: str, from_us: int, to_us: int
    ) -> Iterator[tuple[int, int, StreamConfig]]:
        """Yield what is recorded between two wall times, piece by piece, each with its codecs."""
        for row in self.store.catalog.rows(stream).touching(from_us, to_us):
            for span in row.spans:
                begin_us, end_us = max(span.from_us, from_us), min(span.to_us, to_us)
                if begin_us < end_us:
                    yield begin_us, end_us, row.head.config

    def export(self, stream: str, from_us: int, to_us: int) -> Iterator[bytes]:
        """Return one fragmented MP4 from the key frame at or before `from_us` up to `to_us`.

        Gaps are left out: the picture goes on at once with what was recorded next.

        Raises:
            Rejected: ``export.nothing``, ``export.config_changed``. Both before the first byte.
        """
        return exported(self, stream, from_us, to_us)

    def export_timed(self, stream: str, from_us: int, to_us: int) -> Iterator[tuple[bytes, int]]:
        """Return the pieces of `export` with the UTC microseconds up to which they lead."""
        return ((one.data, one.to_us) for one in self.export_pieces(stream, from_us, to_us))

    def export_pieces(self, stream: str, from_us: int, to_us: int) -> Iterator[Piece]:
        """Return the pieces of `export` with their wall times.

        Ends where the codecs change; `configs` tells where that is.
        """
        return Splice().pieces(self.store, stream, from_us, to_us)

    def holdings(self, terms: TermsOf, recording: Iterable[str]) -> list[Holding]:
        """Return what is held of each stream and will be. See `nvr.playback.holding`."""
        return holdings(self.store, terms, recording)

    def volume(self) -> VolumeState:
        """Return the state of the volume."""
        catalog = self.store.catalog
        identity = self.store.identity
        return VolumeState(
            ring_id=identity.ring_id,
            size_bytes=self.store.ring.blocks * identity.block_bytes,
            used_bytes=len(catalog) * identity.block_bytes,
            oldest_us=catalog.first_us(),
            condemned=self.store.ring.condemned,
            locked_bytes=len(self.store.ring.locked) * identity.block_bytes,
            unread_bytes=self.store.ring.unread * identity.block_bytes,
            wanted_bytes=self.store.ring.wanted * identity.block_bytes,
        )


def exported(archive: Exporting, stream: str, from_us: int, to_us: int) -> Iterator[bytes]:
    """See `Archive.export`."""
    parts = archive.configs(stream, from_us, to_us)
    if not parts:
        raise Rejected("export.nothing", "nothing is recorded there", stream=stream)
    if len(parts) > 1:
        raise Rejected(
            "export.config_changed",
            "the camera's codecs changed within this time: export it in two",
            stream=stream,
            at_us=parts[1][0],
        )
    return (piece for piece, _ in archive.export_timed(stream, parts[0][0], to_us))


def split(found: Iterable[tuple[int, int, StreamConfig]]) -> list[tuple[int, int]]:
    """Join stretches of the same codecs that follow each other."""
    parts: list[tuple[int, int]] = []
    before: StreamConfig | None = None
    for begin_us, end_us, config in found:
        if parts and config == before:
            parts[-1] = min(parts[-1][0], begin_us), max(parts[-1][1], end_us)
        else:
            parts.append((begin_us, end_us))
            before = config
    return parts


def _recorded(first: Span, last: Span, trusts: Trusts | None) -> Recorded:
    """Return the stretch from one span to another that goes on from it."""
    trust = trusts.of(first.run, first.start_90k, last.end_90k) if trusts else NOT_NOTED
    place = Place(first.run, first.start_90k)
    return Recorded(first.run, first.from_us, last.to_us, place, trust, last.end_90k)


def _follows(last: Span, span: Span) -> bool:
    """Whether nothing is missing between two spans; a step of the clock is not a hole."""
    return span.run == last.run and abs(span.start_90k - last.end_90k) <= TOLERANCE_90K
