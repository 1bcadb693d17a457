"""Several volumes as one archive: what was recorded first on one and then on another has no hole.

Each volume has its own runs, and its own account of the time. They are put together here: recorded
stretches by the time at which they begin, and between them what the volume says that recorded
last. A stretch that two hold, since each begins with a key frame of its own, is the later one's.
What one holds as a copy, or fetched from the camera's own storage, counts only where nothing else
is there.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from itertools import chain, pairwise
from typing import TypeAlias

from nvr.base.errors import Rejected
from nvr.media.name import BESIDE, FETCHED, original
from nvr.media.track import StreamConfig
from nvr.playback.fetch import Fetches
from nvr.playback.gap import Gap
from nvr.playback.group import Group
from nvr.playback.holding import Holding
from nvr.playback.query import (
    Archive,
    Gop,
    Ranges,
    Recorded,
    VolumeState,
    exported,
    split,
)
from nvr.playback.splice import Piece, Splice
from nvr.playback.track import Place
from nvr.playback.weave import SHORT_US, Stretch, found_in, left, woven
from nvr.record.note import ELSEWHERE
from nvr.record.retention import TermsOf
from nvr.wire.fmp4 import init_segment

RUNS = 1 << 40
"""Runs of the second volume begin here, those of the third at twice that: JSON keeps 2^53."""
_COPIES = 8
"""Copies on the first volume are numbered as if they lay on the ninth, what was fetched as if on
the 17th, and so on: `BESIDE`, in order."""
_SLOTS = _COPIES * (1 + len(BESIDE))
_EVER_US = 1 << 62
_UUID_CHARS = 36


class _Told:
    """What one volume says of all time: its stretches, and the gaps before each and the last."""

    def __init__(self, account: Iterable[Recorded | Gap]) -> None:
        self.recorded: list[Recorded] = []
        self.gaps: list[list[Gap]] = [[]]
        for one in account:
            if isinstance(one, Recorded):
                self.recorded.append(one)
                self.gaps.append([])
            else:
                self.gaps[-1].append(one)

    def all_gaps(self) -> Iterator[Gap]:
        return chain.from_iterable(self.gaps)


class Joined:
    """What is recorded on all volumes that are there; asked like an `Archive`.

    Args:
        archives: The volumes by their place in the configuration, 0 for the first.
        recording: The one recorded on.
    """

    def __init__(self, archives: Mapping[int, Archive], recording: int = 0) -> None:
        self._archives = dict(sorted(archives.items()))
        self._recording = recording if recording in archives else min(archives)
        self._rings = {str(each.store.identity.ring_id) for each in archives.values()}

    @property
    def slots(self) -> Mapping[int, Archive]:
        """Each of them by its place in the configuration."""
        return self._archives

    @property
    def recording(self) -> int:
        """The place of the one recorded on."""
        return self._recording

    @property
    def volumes(self) -> tuple[Archive, ...]:
        """Each of them."""
        return tuple(self._archives.values())

    def streams(self) -> tuple[str, ...]:
        """Return the names of all streams with something recorded."""
        return tuple(sorted({original(name) for each in self.volumes for name in each.streams()}))

    def noted(self) -> tuple[str, ...]:
        """Return the names of all streams of which something is recorded or explained."""
        return tuple(sorted({original(name) for each in self.volumes for name in each.noted()}))

    def recorded_until_us(self, stream: str) -> int:
        """UTC microseconds of the end of the last acknowledged part, 0 if there is none."""
        return max(each.recorded_until_us(stream) for each in self.volumes)

    def ranges(self, stream: str, from_us: int, to_us: int) -> Ranges:
        """See `Archive.ranges`."""
        found = [one for one in self.account(stream) if one.to_us > from_us and one.from_us < to_us]
        return Ranges(
            tuple(one for one in found if isinstance(one, Recorded)),
            tuple(one for one in found if isinstance(one, Gap)),
            self.recorded_until_us(stream),
        )

    def account(self, stream: str) -> Iterator[Recorded | Gap]:
        """See `Archive.account`; says of what was fetched from the camera that it was."""
        notes = chain.from_iterable(each.store.ring.notes for each in self.volumes)
        fetches = Fetches(stream, notes)
        for one in self._account(stream):
            if isinstance(one, Gap):
                yield fetches.explained(one)
            elif _is_fetched(one.run // RUNS):
                yield replace(one, fetch=fetches.brought(one.from_us, one.to_us))
            else:
                yield one

    def _account(self, stream: str) -> Iterator[Recorded | Gap]:
        told = {slot: _Told(each.account(stream)) for slot, each in self._archives.items()}
        order = woven({slot: each.recorded for slot, each in told.items()})
        pieces = self._with_copies(order, stream)
        if not pieces:
            yield from self._own(told, self._recording, 0, whole=False)
            return
        before: Stretch | None = None
        for piece in pieces:
            if before is None and piece.slot >= _COPIES:
                now = self._recording
                yield from self._said(told, now, -_EVER_US, piece.from_us, whole=False)
            elif before is None or (before.slot, before.number + 1) == (piece.slot, piece.number):
                # It alone knows of steps of the clock between.
                whole = before is not None
                yield from self._own(told, piece.slot, piece.number, whole=whole)
            elif piece.from_us - before.to_us > SHORT_US:
                yield from self._said(told, before.slot, before.to_us, piece.from_us, whole=True)
            yield _shown(piece)
            before = piece
        assert before is not None
        if before.slot >= _COPIES:
            yield from self._said(told, self._recording, before.to_us, _EVER_US, whole=False)
        else:
            yield from self._own(told, before.slot, before.number + 1, whole=False)

    def _own(
        self, told: "Mapping[int, _Told]", slot: int, before: int, *, whole: bool
    ) -> Iterator[Gap]:
        """Yield what a volume says of the time before one of its stretches, or after the last."""
        for gap in told[slot].gaps[before] if before < len(told[slot].gaps) else ():
            found = self._away(gap)
            if found is not None:
                yield found
            else:
                yield from self._said(told, slot, gap.from_us, gap.to_us, whole=whole)

    def _said(
        self, told: "Mapping[int, _Told]", first: int, from_us: int, to_us: int, *, whole: bool
    ) -> list[Gap]:
        """Return why nothing is recorded between two times, by the volume `first` if it knows.

        Args:
            told: What each volume says.
            first: The one that knows best.
            from_us: UTC microseconds.
            to_us: UTC microseconds.
            whole: What nobody says anything of is a gap as well.
        """
        said = [
            replace(gap, from_us=max(gap.from_us, from_us), to_us=min(gap.to_us, to_us))
            for slot in sorted(told, key=lambda slot: (slot != first, slot))
            for gap in told[slot].all_gaps()
            if gap.to_us > from_us and gap.from_us < to_us
        ]
        gaps = [found for gap in said if (found := self._away(gap))]
        edges = {edge for gap in said for edge in (gap.from_us, gap.to_us)}
        if whole and from_us < to_us:
            edges |= {from_us, to_us}
        joined: list[Gap] = []
        for begin_us, end_us in pairwise(sorted(edges)):
            there = [gap for gap in gaps if gap.from_us <= begin_us < gap.to_us]
            there.sort(key=lambda gap: gap.cause == "unknown")
            if there:
                still = there[0].open and end_us == there[0].to_us
                gap = replace(there[0], from_us=begin_us, to_us=end_us, open=still)
            elif whole:  # where another volume was recorded on, it overwrote that since
                gone = any(one.from_us <= begin_us and end_us <= one.to_us for one in said)
                gap = Gap(begin_us, end_us, "gone" if gone else "unknown")
            else:
                continue
            if joined and joined[-1].to_us == begin_us and _why(joined[-1]) == _why(gap):
                gap = replace(gap, from_us=joined.pop().from_us)
            joined.append(gap)
        return joined

    def _away(self, gap: Gap) -> Gap | None:
        """Return a gap; None if another volume is here that can tell of this time."""
        if gap.cause != ELSEWHERE:
            return gap
        ring, name = gap.by[:_UUID_CHARS], gap.by[_UUID_CHARS + 1 :]
        if ring in self._rings:
            return None
        return replace(gap, cause="away", code="volume.missing", by=name or ring)

    def _pieces(self, stream: str) -> list[Stretch]:
        its = {slot: list(each.recorded(stream)) for slot, each in self._archives.items()}
        return self._with_copies(woven(its), stream)

    def _with_copies(self, pieces: list[Stretch], stream: str) -> list[Stretch]:
        """Add what is there only as a copy, or fetched."""
        for kind, suffix in enumerate(BESIDE, 1):
            for slot, each in self._archives.items():
                for one in each.recorded(stream + suffix):
                    for from_us, to_us in left(pieces, one.from_us, one.to_us):
                        piece = Stretch(slot + kind * _COPIES, -1, one, from_us, to_us)
                        later = (n for n, other in enumerate(pieces) if other.from_us > from_us)
                        pieces.insert(next(later, len(pieces)), piece)
        return pieces

    def _source(self, slot: int, stream: str) -> tuple[Archive, str]:
        """Return where what has this number lies, and its name there."""
        kind, at = divmod(slot, _COPIES)
        return self._archives[at], stream + (BESIDE[kind - 1] if kind else "")

    def _only(self, stream: str) -> tuple[int, Archive] | None:
        """Return the one volume that holds something of a stream, None if several do."""
        holding = [(s, each) for s, each in self._archives.items() if stream in each.streams()]
        if len(holding) > 1 or any(_has_beside(stream, each) for each in self.volumes):
            return None
        return holding[0] if holding else next(iter(self._archives.items()))

    def config(self, stream: str, run: int) -> StreamConfig:
        """Return the codecs of a run.

        Raises:
            Rejected: ``archive.no_run``.
        """
        if run // RUNS % _COPIES not in self._archives or run // RUNS >= _SLOTS:
            raise Rejected("archive.no_run", "its volume is not there", stream=stream, run=run)
        archive, name = self._source(run // RUNS, stream)
        return archive.config(name, run % RUNS)

    def init(self, stream: str, run: int) -> bytes:
        """Return ``ftyp moov`` of a run.

        Raises:
            Rejected: ``archive.no_run``.
        """
        return init_segment(self.config(stream, run))

    def gop(
        self, stream: str, t_us: int, place: Place | None = None, *, key_only: bool = False
    ) -> Gop | None:
        """See `Archive.gop`."""
        slot = place.run // RUNS if place else None
        inner = Place(place.run % RUNS, place.start_90k) if place else None
        only = self._only(stream)
        if only is not None:
            its = inner if slot == only[0] else None
            found = only[1].gop(stream, t_us, its, key_only=key_only)
            return found and _numbered(found, only[0])
        pieces = self._pieces(stream)
        at = found_in(pieces, t_us, slot, inner)
        while at < len(pieces):
            piece = pieces[at]
            begin_us = min(max(t_us, piece.from_us), piece.to_us - 1)
            archive, name = self._source(piece.slot, stream)
            found = archive.gop(name, begin_us, inner, key_only=key_only)
            if (
                found and inner and found.to_us <= piece.from_us
            ):  # of it only what is later is shown
                found = archive.gop(name, begin_us, key_only=key_only)
            if found and piece.holds(found.run, found.from_us, found.to_us):
                shown, next_us = _numbered(found, piece.slot), found.next_us
                run = found.following.run if found.following else -1
                if next_us is not None and piece.holds(run, next_us, next_us + 1):
                    return shown
                if at + 1 == len(pieces):
                    return replace(shown, next_us=None, following=None)
                after = pieces[at + 1]
                following = _place(after.place, after.slot)
                return replace(shown, next_us=after.from_us, following=following)
            at, inner, t_us = at + 1, None, -_EVER_US
        return None

    def groups(self, stream: str, from_us: int, to_us: int) -> list[Group]:
        """See `Archive.groups`."""
        found: list[Group] = []
        for slot, begin_us, end_us, _ in self._turns(stream, from_us, to_us):
            archive, name = self._source(slot, stream)
            found += [
                replace(one, place=_place(one.place, slot))
                for one in archive.groups(name, begin_us, end_us)
            ]
        return found

    def key_us(self, stream: str, t_us: int) -> int | None:
        """See `Archive.key_us`."""
        pieces = self._pieces(stream)
        at = found_in(pieces, t_us, None, None)
        if at == len(pieces):
            return None
        piece = pieces[at]
        begin_us = min(max(t_us, piece.from_us), piece.to_us - 1)
        archive, name = self._source(piece.slot, stream)
        return archive.key_us(name, begin_us)

    def configs(self, stream: str, from_us: int, to_us: int) -> list[tuple[int, int]]:
        """See `Archive.configs`."""
        return split(self.stretches_of_codecs(stream, from_us, to_us))

    def stretches_of_codecs(
        self, stream: str, from_us: int, to_us: int
    ) -> Iterator[tuple[int, int, StreamConfig]]:
        """See `Archive.stretches_of_codecs`."""
        for slot, begin_us, end_us, _ in self._turns(stream, from_us, to_us):
            archive, name = self._source(slot, stream)
            yield from archive.stretches_of_codecs(name, begin_us, end_us)

    def _turns(
        self, stream: str, from_us: int, to_us: int
    ) -> list[tuple[int, int, int, Place | None]]:
        """Return which volume to read from when, in the order of recording, and from what place."""
        only = self._only(stream)
        if only is not None:
            return [(only[0], from_us, to_us, None)]
        turns: list[tuple[int, int, int, Place | None]] = []
        for piece in self._pieces(stream):
            begin_us, end_us = max(piece.from_us, from_us), min(piece.to_us, to_us)
            if begin_us >= end_us:
                continue
            if turns and turns[-1][0] == piece.slot:
                slot, first_us, last_us, place = turns[-1]
                turns[-1] = slot, min(first_us, begin_us), max(last_us, end_us), place
            else:
                turns.append((piece.slot, begin_us, end_us, piece.place))
        return turns

    def export(self, stream: str, from_us: int, to_us: int) -> Iterator[bytes]:
        """See `Archive.export`.

        Raises:
            Rejected: ``export.nothing``, ``export.config_changed``. Both before the first byte.
        """
        return exported(self, stream, from_us, to_us)

    def export_timed(self, stream: str, from_us: int, to_us: int) -> Iterator[tuple[bytes, int]]:
        """See `Archive.export_timed`."""
        return ((one.data, one.to_us) for one in self.export_pieces(stream, from_us, to_us))

    def export_pieces(self, stream: str, from_us: int, to_us: int) -> Iterator[Piece]:
        """See `Archive.export_pieces`."""
        splice = Splice()
        for slot, begin_us, end_us, place in self._turns(stream, from_us, to_us):
            archive, name = self._source(slot, stream)
            yield from splice.pieces(archive.store, name, begin_us, end_us, place)
            if splice.changed:
                return

    def holdings(self, terms: TermsOf, recording: Iterable[str]) -> list[Holding]:
        """Return what is held of each stream, and what the volume recorded on will hold of it."""
        wanted = set(recording)
        found: dict[str, Holding] = {}
        order = sorted(self._archives, key=lambda slot: slot != self._recording)
        for slot in order:
            now = wanted if slot == self._recording else set[str]()
            for one in self._archives[slot].holdings(terms, now):
                before = found.get(original(one.stream))
                found[original(one.stream)] = _added(before, one) if before else one
        return [replace(one, stream=stream) for stream, one in found.items()]

    def volume(self) -> VolumeState:
        """Return the state of all volumes together, under the UUID of the one recorded on."""
        states = [each.volume() for each in self.volumes]
        oldest = [one.oldest_us for one in states if one.oldest_us]
        return VolumeState(
            ring_id=self._archives[self._recording].store.identity.ring_id,
            size_bytes=sum(one.size_bytes for one in states),
            used_bytes=sum(one.used_bytes for one in states),
            oldest_us=min(oldest, default=0),
            condemned=sum(one.condemned for one in states),
            locked_bytes=sum(one.locked_bytes for one in states),
            unread_bytes=sum(one.unread_bytes for one in states),
            wanted_bytes=sum(one.wanted_bytes for one in states),
        )


Recordings: TypeAlias = Archive | Joined
"""What is recorded, on one volume or several."""


def _is_fetched(slot: int) -> bool:
    kind = slot // _COPIES
    return kind > 0 and FETCHED in BESIDE[kind - 1]


def _has_beside(stream: str, archive: Archive) -> bool:
    return any(stream + suffix in archive.streams() for suffix in BESIDE)


def _shown(piece: Stretch) -> Recorded:
    return replace(
        piece.of,
        run=piece.of.run + piece.slot * RUNS,
        from_us=piece.from_us,
        to_us=piece.to_us,
        place=_place(piece.place, piece.slot),
    )


def _numbered(gop: Gop, slot: int) -> Gop:
    following = _place(gop.following, slot) if gop.following else None
    return replace(gop, run=gop.run + slot * RUNS, following=following)


def _place(place: Place, slot: int) -> Place:
    return Place(place.run + slot * RUNS, place.start_90k)


def _why(gap: Gap) -> tuple[str, str, str]:
    return gap.cause, gap.code, gap.by


def _added(one: Holding, other: Holding) -> Holding:
    begins = [each.from_us for each in (one, other) if each.from_us]
    return replace(
        one,
        used_bytes=one.used_bytes + other.used_bytes,
        from_us=min(begins, default=0),
        to_us=max(one.to_us, other.to_us),
        locked_bytes=one.locked_bytes + other.locked_bytes,
    )
