"""What the volume holds, in memory: a row a block, and every part of the blocks still open.

The one place where the writer (which adds acknowledged parts) and readers meet. Readers get
values; nothing they hold changes under them.
"""

import threading
from collections import OrderedDict
from collections.abc import Container, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

from nvr.base.clock import TICKS_PER_S
from nvr.record.block import BlockHeader, Entry
from nvr.record.header import Cause

TOLERANCE_90K = 30_000
"""A hole of up to a third of a second within a run is jitter, not a gap: a part is longer."""
_INDEXES_KEPT = 64


@dataclass(frozen=True, slots=True)
class Span:
    """A stretch recorded without a hole: one run, one mapping of ticks to wall time.

    Attributes:
        run: Run on this volume.
        start_90k: First tick.
        end_90k: Tick after the last.
        from_us: UTC microseconds of `start_90k`.
        to_us: UTC microseconds of `end_90k`.
        cause: Why the time before it was not recorded.
    """

    run: int
    start_90k: int
    end_90k: int
    from_us: int
    to_us: int
    cause: Cause

    def continued_by(self, run: int, start_90k: int, wall_us: int) -> bool:
        """Whether something that starts then carries this on without a hole."""
        return (
            run == self.run
            and abs(start_90k - self.end_90k) <= TOLERANCE_90K
            and abs((wall_us - self.to_us) - (start_90k - self.end_90k) * 100 // 9) <= 500_000
        )


@dataclass(frozen=True, slots=True)
class Row:
    """One block.

    Attributes:
        head: What the block says of itself.
        spans: What it holds, in the order of recording.
        tail: Where the next part goes.
        count: Parts in it.
        sequence: The stream's sequence number of the next part.
        link: Link of its last part.
        closed: Its index is written; nothing is added any more.
        entries: Its parts while it is open; None once its index must be read.
        doubtful: The disk would not read all of it: nothing in it is ever written, not even its
            index, until it can be read or its turn in the ring comes.
    """

    head: BlockHeader
    spans: tuple[Span, ...]
    tail: int
    count: int
    sequence: int
    link: bytes
    closed: bool
    entries: tuple[Entry, ...] | None
    doubtful: bool = False

    @property
    def first_us(self) -> int:
        """Earliest wall time in it."""
        return min((span.from_us for span in self.spans), default=0)

    @property
    def last_us(self) -> int:
        """Latest wall time in it."""
        return max((span.to_us for span in self.spans), default=0)

    @property
    def recorded_s(self) -> float:
        """Seconds recorded in it."""
        return sum(span.end_90k - span.start_90k for span in self.spans) / TICKS_PER_S


def spans_of(entries: Iterable[Entry], before: Sequence[Span] = ()) -> tuple[Span, ...]:
    """Fold parts into spans, carrying on `before`."""
    spans = list(before)
    for entry in entries:
        last = spans[-1] if spans else None
        end_90k = entry.start_90k + entry.duration_90k
        if last and last.continued_by(entry.run, entry.start_90k, entry.wall_us):
            spans[-1] = Span(
                last.run, last.start_90k, end_90k, last.from_us, entry.end_us, last.cause
            )
        else:
            cause = entry.cause
            if last and last.run == entry.run and not cause:
                same_ticks = abs(entry.start_90k - last.end_90k) <= TOLERANCE_90K
                cause = Cause.NONE if same_ticks else Cause.CAMERA
            spans.append(
                Span(entry.run, entry.start_90k, end_90k, entry.wall_us, entry.end_us, cause)
            )
    return tuple(spans)


class Oldest(NamedTuple):
    """The first block of a stream that could go.

    Attributes:
        row: The block.
        ended_us: UTC microseconds at which its recording ended, at the latest.
    """

    row: Row
    ended_us: int


class Ends(NamedTuple):
    """A stream's first and last block, and how many it has."""

    first: Row
    last: Row
    blocks: int


class _Open:
    """A block that grows: a list, so that adding a part does not copy the ones before."""

    __slots__ = ("entries", "row")

    def __init__(self, row: Row) -> None:
        self.row = row
        self.entries = list(row.entries or ())


class Catalog:
    """All rows. Safe for several threads."""

    def __init__(self) -> None:
        self._guard = threading.Lock()
        self._blocks: dict[int, Row | _Open] = {}
        self._streams: dict[str, list[int]] = {}
        self._indexes: OrderedDict[tuple[int, int], tuple[Entry, ...]] = OrderedDict()

    def add(self, row: Row) -> None:
        """Add a block; blocks of a stream must come in the order of their serials."""
        with self._guard:
            self._blocks[row.head.block] = row if row.closed else _Open(row)
            self._streams.setdefault(row.head.stream, []).append(row.head.block)

    def remove(self, block: int) -> None:
        """Forget a block that is about to be used anew."""
        with self._guard:
            found = self._blocks.pop(block, None)
            if found is not None:
                row = found if isinstance(found, Row) else found.row
                self._streams[row.head.stream].remove(block)

    def acknowledge(
        self, block: int, entries: Sequence[Entry], *, tail: int, sequence: int, link: bytes
    ) -> None:
        """Add parts, now durable, to an open block."""
        with self._guard:
            found = self._blocks[block]
            if isinstance(found, Row):
                raise TypeError(f"block {block} is closed")
            found.entries += entries
            row = found.row  # not `replace`, which costs more than the rest of this method
            found.row = Row(
                head=row.head,
                spans=spans_of(entries, row.spans),
                tail=tail,
                count=len(found.entries),
                sequence=sequence,
                link=link,
                closed=row.closed,
                entries=row.entries,
            )

    def close(self, block: int, *, indexed: bool) -> None:
        """Note that nothing is added to a block any more.

        Args:
            block: Its number.
            indexed: Its index is durable, so its parts need not stay in memory.
        """
        with self._guard:
            found = self._blocks[block]
            if isinstance(found, _Open):
                entries = None if indexed else tuple(found.entries)
                self._blocks[block] = replace(found.row, closed=True, entries=entries)
            elif indexed:
                self._blocks[block] = replace(found, entries=None)

    def row(self, block: int) -> Row | None:
        """Return a block's row, with its parts if it is open."""
        with self._guard:
            return self._snapshot(self._blocks.get(block))

    @staticmethod
    def _snapshot(found: Row | _Open | None) -> Row | None:
        if isinstance(found, _Open):
            return replace(found.row, entries=tuple(found.entries))
        return found

    def rows(self, stream: str) -> list[Row]:
        """Return a stream's blocks, oldest first, without the parts of open ones."""
        with self._guard:
            return [self._row(block) for block in self._streams.get(stream, ())]

    def oldest(self, skip: Container[int], now_us: int) -> list[Oldest]:
        """Return each stream's first block that is not in `skip`, without the parts of open ones.

        Blocks are in the order of recording: an end that lies in the future, because a clock was
        wrong then, is taken to be no later than that of any block after it.
        """
        found = []
        with self._guard:
            for blocks in self._streams.values():
                at = next((n for n, block in enumerate(blocks) if block not in skip), None)
                if at is None:
                    continue
                row = self._row(blocks[at])
                ended_us = row.last_us
                if ended_us > now_us:
                    ended_us = min(self._row(block).last_us for block in blocks[at:])
                found.append(Oldest(row, ended_us))
        return found

    def ends(self, stream: str) -> Ends | None:
        """Return a stream's first and last block, None if it has none."""
        with self._guard:
            blocks = self._streams.get(stream)
            if not blocks:
                return None
            return Ends(self._row(blocks[0]), self._row(blocks[-1]), len(blocks))

    def recent(self, stream: str, recorded_s: float) -> list[Row]:
        """Return a stream's newest blocks, newest first, that hold `recorded_s` or all there is."""
        found: list[Row] = []
        with self._guard:
            for block in reversed(self._streams.get(stream, ())):
                if recorded_s <= 0:
                    break
                found.append(self._row(block))
                recorded_s -= found[-1].recorded_s
        return found

    def _row(self, block: int) -> Row:
        found = self._blocks[block]
        return found if isinstance(found, Row) else found.row

    def all_rows(self) -> list[Row]:
        """Return every block, without the parts of open ones, by serial."""
        with self._guard:
            rows = [self._row(block) for block in self._blocks]
        return sorted(rows, key=lambda row: row.head.serial)

    def streams(self) -> tuple[str, ...]:
        """Return the names of all streams with something recorded."""
        with self._guard:
            return tuple(name for name, blocks in self._streams.items() if blocks)

    def cached(self, block: int, serial: int) -> tuple[Entry, ...] | None:
        """Return a closed block's index if it was read lately."""
        with self._guard:
            found = self._indexes.get((block, serial))
            if found is not None:
                self._indexes.move_to_end((block, serial))
            return found

    def cache(self, block: int, serial: int, entries: tuple[Entry, ...]) -> None:
        """Keep a closed block's index for the next reader."""
        with self._guard:
            self._indexes[block, serial] = entries
            while len(self._indexes) > _INDEXES_KEPT:
                self._indexes.popitem(last=False)
