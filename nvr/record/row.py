"""A block as the catalogue shows it, and the stretches of recording in it."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from nvr.record.block import BlockHeader, Entry, RawEntry
from nvr.record.header import Cause

TOLERANCE_90K = 30_000
"""A hole of up to a third of a second within a run is jitter, not a gap: a part is longer."""


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


def spans_of_index(entries: Sequence[RawEntry]) -> tuple[Span, ...]:
    """Fold the parts of an index into spans, as `spans_of` does, without making a value of each."""
    spans: tuple[Span, ...] = ()
    begun = 0  # first part of the last span
    ends_90k = ends_us = 0
    for n, (_, _, run, start_90k, wall_us, long_90k, _, _) in enumerate(entries):
        ahead_90k = start_90k - ends_90k
        if (
            n == begun
            or run != entries[begun][2]
            or not -TOLERANCE_90K <= ahead_90k <= TOLERANCE_90K
            or not -500_000 <= wall_us - ends_us - ahead_90k * 100 // 9 <= 500_000
        ):
            spans = _ended(spans, entries[begun:n])
            begun = n
        ends_90k, ends_us = start_90k + long_90k, wall_us + long_90k * 100 // 9
    return _ended(spans, entries[begun:])


def _ended(spans: tuple[Span, ...], entries: Sequence[RawEntry]) -> tuple[Span, ...]:
    """Add the span of parts that follow each other without a hole."""
    if not entries:
        return spans
    first, last = entries[0], entries[-1]
    *before, span = spans_of([Entry(*first[:6], bool(first[6]), Cause(first[7]))], spans)
    end_90k, to_us = last[3] + last[5], last[4] + last[5] * 100 // 9
    return (*before, replace(span, end_90k=end_90k, to_us=to_us))


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
