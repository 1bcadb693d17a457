"""A stream's blocks in pieces: up to 256 full ones packed into bytes that never change, or one.

A reader takes the list of pieces and has a picture of the stream that nothing changes any more,
for the price of some dozen references however many blocks there are. A packed block takes 126
bytes and 41 for each span; it becomes a `Row` only when somebody looks at it. Each piece knows
between which times and runs it lies, so that a search unpacks one or two of them.
"""

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import chain, islice, repeat

from nvr.media.track import StreamConfig
from nvr.record.block import BlockHeader
from nvr.record.header import Cause
from nvr.record.row import Row, Span

PIECE_ROWS = 256
_ROW = struct.Struct("<QIIQIIQQIIIH32s32s")
"""Serial, block, generation, run, size of head and index, sequence of the first and of the next
part, tail, parts, configuration, spans, the links before and after."""
_PLACE = struct.Struct("<QI114x")
_COUNTED = struct.Struct("<32xQQ12xH64x")
SPAN = struct.Struct("<QqqqqB")
ROW_BYTES, SPAN_BYTES = _ROW.size, SPAN.size
_NEVER = 1 << 63
_SUMS = frozenset(
    ("end_90k", "first_run", "from_us", "last_run", "latest_from_us", "recorded_90k", "to_us")
)

RawSpan = tuple[int, int, int, int, int, int]
"""The fields of a `Span`, in order."""


@dataclass(frozen=True, slots=True)
class Common:
    """What blocks of a stream have in common, once for all of them.

    Attributes:
        stream: Its name.
        ring_id: UUID of the volume.
        block_bytes: Size of a block.
        configs: Codec configurations of the whole volume; only added to.
    """

    stream: str
    ring_id: bytes
    block_bytes: int
    configs: list[StreamConfig]


def pack(row: Row, config: int) -> tuple[bytes, bytes]:
    """Return a full block packed, and its spans.

    Args:
        row: The block; its parts must be in its index.
        config: Place of its configuration in `Common.configs`.
    """
    head = row.head
    packed = _ROW.pack(
        head.serial,
        head.block,
        head.generation,
        head.run,
        head.header_bytes,
        head.index_bytes,
        head.sequence,
        row.sequence,
        row.tail,
        row.count,
        config,
        len(row.spans),
        head.previous,
        row.link,
    )
    return packed, b"".join(SPAN.pack(*_raw(span)) for span in row.spans)


def _raw(span: Span) -> RawSpan:
    return (
        span.run, span.start_90k, span.end_90k, span.from_us, span.to_us, int(span.cause)
    )  # fmt: skip


def span_of(raw: RawSpan) -> Span:
    """Return a span of its fields."""
    return Span(*raw[:5], Cause(raw[5]))


class Piece:
    """One or more blocks of a stream that follow each other.

    Attributes:
        count: Blocks in it.
        serial: Of the first.
        sequence: Of the first part.
        next_sequence: After the last part.
        first_run: Lowest run in it.
        last_run: Highest run in it, -1 if it holds nothing.
        end_90k: Latest tick in it.
        from_us: Earliest wall time in it.
        to_us: Latest wall time in it.
        latest_from_us: Latest wall time at which a span begins.
        recorded_90k: Ticks recorded.
    """

    __slots__ = (
        "_ends_us", "_stretches", "count", "end_90k", "first_run", "from_us", "last_run",
        "latest_from_us", "next_sequence", "recorded_90k", "sequence", "serial", "to_us",
    )  # fmt: skip
    first_run: int
    last_run: int
    end_90k: int
    from_us: int
    to_us: int
    latest_from_us: int
    recorded_90k: int

    def __init__(self, serial: int, count: int, sequence: int, next_sequence: int) -> None:
        self.serial = serial
        self.count = count
        self.sequence = sequence
        self.next_sequence = next_sequence
        self._stretches: list[tuple[bool | None, Span]] | None = None
        self._ends_us = -1

    def __getattr__(self, name: str) -> int:
        """Sum the spans up when that is asked first: a piece that grows or shrinks never is."""
        if name not in _SUMS:
            raise AttributeError(name)
        runs, starts, ends, froms, tos, _ = list(zip(*self.spans(), strict=True)) or [()] * 6
        self.first_run, self.last_run = min(runs, default=_NEVER), max(runs, default=-1)
        self.end_90k = max(ends, default=-_NEVER)
        self.from_us = min(froms, default=_NEVER)
        self.latest_from_us = max(froms, default=-_NEVER)
        self.to_us = max(tos, default=-_NEVER)
        self.recorded_90k = sum(ends) - sum(starts)
        found: int = object.__getattribute__(self, name)
        return found

    def row(self, n: int) -> Row:
        """Return a block."""
        raise NotImplementedError

    def blocks(self) -> list[int]:
        """Return the numbers of the blocks."""
        raise NotImplementedError

    def counted(self) -> Iterator[tuple[int, int, int]]:
        """Yield each block's first sequence, its next one, and how many spans it has."""
        raise NotImplementedError

    def spans(self) -> Iterator[RawSpan]:
        """Yield all spans."""
        raise NotImplementedError

    def owned(self) -> Iterator[tuple[int, RawSpan]]:
        """Yield all spans, each with the place of its block."""
        counts = enumerate(spans for _, _, spans in self.counted())
        return zip(chain.from_iterable(repeat(n, k) for n, k in counts), self.spans(), strict=True)

    def first_end_us(self, begin: int = 0) -> int:
        """Return the earliest wall time at which one of the blocks from a place on ends."""
        if begin == 0 and self._ends_us >= 0:
            return self._ends_us
        ends_us = [0] * self.count
        for n, raw in self.owned():
            ends_us[n] = max(ends_us[n], raw[4])
        found = min(ends_us[begin:])
        if begin == 0:
            self._ends_us = found
        return found

    def stretches(self) -> list[tuple[bool | None, Span]]:
        """Return the spans joined where nothing is missing between them, over blocks too.

        Each with whether parts before it are not there any more; None if the piece before decides.
        """
        if self._stretches is None:
            self._stretches = list(self._joined())
        return self._stretches

    def _joined(self) -> Iterator[tuple[bool | None, Span]]:
        spans, sequence, last = self.spans(), -1, None
        first: bool | None = None
        for begin, following, count in self.counted():
            lost = None if sequence < 0 else begin > sequence
            sequence = following
            for _ in range(count):
                run, start_90k, end_90k, from_us, to_us, cause = next(spans)
                if last is not None and last.continued_by(run, start_90k, from_us):
                    last = Span(run, last.start_90k, end_90k, last.from_us, to_us, last.cause)
                else:
                    if last is not None:
                        yield first, last
                    first, last = lost, span_of((run, start_90k, end_90k, from_us, to_us, cause))
                lost = False
        if last is not None:
            yield first, last

    def last_tick(self, since_run: int, until_run: int) -> int:
        """Return the end of what was recorded last in these runs, below 0 if nothing was."""
        if self.last_run < since_run or self.first_run >= until_run:
            return -1
        if since_run <= self.first_run and self.last_run < until_run:
            return self.end_90k
        ends = (span[2] for span in self.spans() if since_run <= span[0] < until_run)
        return max(ends, default=-1)


class Loose(Piece):
    """One block that is not packed, as it was when it was looked at."""

    __slots__ = ("_row",)

    def __init__(self, row: Row) -> None:
        self._row = row
        super().__init__(row.head.serial, 1, row.head.sequence, row.sequence)

    def row(self, n: int) -> Row:  # noqa: ARG002, D102 - see Piece
        return self._row

    def blocks(self) -> list[int]:  # noqa: D102 - see Piece
        return [self._row.head.block]

    def counted(self) -> Iterator[tuple[int, int, int]]:  # noqa: D102 - see Piece
        yield self._row.head.sequence, self._row.sequence, len(self._row.spans)

    def spans(self) -> Iterator[RawSpan]:  # noqa: D102 - see Piece
        return map(_raw, self._row.spans)


class Packed(Piece):
    """Full blocks, packed.

    Args:
        common: What they have in common.
        rows: What `pack` returned first, of each.
        spans: What it returned second.
    """

    __slots__ = ("_common", "_rows", "_spans")

    def __init__(self, common: Common, rows: bytes, spans: bytes) -> None:
        self._common = common
        self._rows = rows
        self._spans = spans
        count = len(rows) // ROW_BYTES
        last = _COUNTED.unpack_from(rows, (count - 1) * ROW_BYTES)
        first = _COUNTED.unpack_from(rows)
        super().__init__(_PLACE.unpack_from(rows)[0], count, first[0], last[1])

    def row(self, n: int) -> Row:  # noqa: D102 - see Piece
        (
            serial, number, generation, run, header_bytes, index_bytes, sequence, following, tail,
            parts, config, _, previous, link,
        ) = _ROW.unpack_from(self._rows, n * ROW_BYTES)  # fmt: skip
        common = self._common
        head = BlockHeader(
            common.ring_id, generation, number, serial, run, common.block_bytes, header_bytes,
            index_bytes, sequence, previous, common.stream, common.configs[config],
        )  # fmt: skip
        spans = tuple(map(span_of, SPAN.iter_unpack(self.packed(n)[1])))
        return Row(head, spans, tail, parts, following, link, closed=True, entries=None)

    def packed(self, n: int) -> tuple[bytes, bytes]:
        """Return a block as `pack` returned it."""
        at = self._spans_before(n) * SPAN_BYTES
        size = _COUNTED.unpack_from(self._rows, n * ROW_BYTES)[2] * SPAN_BYTES
        return self._rows[n * ROW_BYTES : (n + 1) * ROW_BYTES], self._spans[at : at + size]

    def all_packed(self) -> Iterator[tuple[int, bytes, bytes]]:
        """Yield the serial of each block and what `pack` returned."""
        at = 0
        for n, (serial, _) in enumerate(self.places()):
            size = _COUNTED.unpack_from(self._rows, n * ROW_BYTES)[2] * SPAN_BYTES
            yield (
                serial,
                self._rows[n * ROW_BYTES : (n + 1) * ROW_BYTES],
                self._spans[at : at + size],
            )
            at += size

    def places(self) -> Iterator[tuple[int, int]]:
        """Yield the serial and the number of each block."""
        return _PLACE.iter_unpack(self._rows)

    def blocks(self) -> list[int]:  # noqa: D102 - see Piece
        return [number for _, number in self.places()]

    def counted(self) -> Iterator[tuple[int, int, int]]:  # noqa: D102 - see Piece
        return _COUNTED.iter_unpack(self._rows)

    def spans(self) -> Iterator[RawSpan]:  # noqa: D102 - see Piece
        return SPAN.iter_unpack(self._spans)

    def find(self, serial: int) -> int:
        """Return the place of the first block with that serial or a later one."""
        low, high = 0, self.count
        while low < high:
            middle = (low + high) // 2
            if _PLACE.unpack_from(self._rows, middle * ROW_BYTES)[0] < serial:
                low = middle + 1
            else:
                high = middle
        return low

    def part(self, begin: int, end: int) -> "Packed | None":
        """Return some of its blocks as a piece, None if there are none."""
        if begin >= end:
            return None
        at = self._spans_before(begin)
        until = len(self._spans) if end == self.count else self._spans_before(end) * SPAN_BYTES
        return Packed(
            self._common,
            self._rows[begin * ROW_BYTES : end * ROW_BYTES],
            self._spans[at * SPAN_BYTES : until],
        )

    def _spans_before(self, n: int) -> int:
        return sum(count for _, _, count in islice(self.counted(), n))

    def joined_with(self, after: "Packed | None") -> "Packed":
        """Return a piece of these blocks and those after them."""
        if after is None:
            return self
        return Packed(self._common, self._rows + after._rows, self._spans + after._spans)  # noqa: SLF001 - one of us
