"""A stream's blocks at one moment, and what is where in them.

Wall times may go back where a clock was set, so nothing here relies on their order: a search looks
at the times each piece covers, and is quick because in practice one or two cover a moment. Only
what is asked for is unpacked.
"""

from bisect import bisect_right
from collections.abc import Iterator, Sequence
from typing import overload

from nvr.record.pieces import Loose, Piece, span_of
from nvr.record.row import Row, Span


class Rows(Sequence[Row]):
    """A stream's blocks, oldest first, without the parts of open ones.

    Args:
        pieces: Of the stream.
    """

    def __init__(self, pieces: Sequence[Piece]) -> None:
        self._pieces = pieces
        self._starts = [0]
        for piece in pieces:
            self._starts.append(self._starts[-1] + piece.count)

    def __len__(self) -> int:
        return self._starts[-1]

    @overload
    def __getitem__(self, at: int) -> Row: ...
    @overload
    def __getitem__(self, at: slice) -> list[Row]: ...
    def __getitem__(self, at: int | slice) -> Row | list[Row]:
        if isinstance(at, slice):
            return [self[n] for n in range(*at.indices(len(self)))]
        n = at + len(self) if at < 0 else at
        if not 0 <= n < len(self):
            raise IndexError(at)
        piece = bisect_right(self._starts, n) - 1
        return self._pieces[piece].row(n - self._starts[piece])

    def __iter__(self) -> Iterator[Row]:
        for piece in self._pieces:
            for n in range(piece.count):
                yield piece.row(n)

    def __reversed__(self) -> Iterator[Row]:
        for piece in reversed(self._pieces):
            for n in range(piece.count - 1, -1, -1):
                yield piece.row(n)

    def after(self, serial: int) -> Iterator[Row]:
        """Yield the blocks begun after `serial`, oldest first."""
        for at, piece in enumerate(self._pieces):
            if at + 1 < len(self._pieces) and self._pieces[at + 1].serial <= serial:
                continue
            for n in range(piece.count):
                row = piece.row(n)
                if row.head.serial > serial:
                    yield row

    def first_us(self) -> int | None:
        """Return the earliest wall time, None if nothing is recorded."""
        return min((piece.from_us for piece in self._pieces if piece.last_run >= 0), default=None)

    def first_end_us(self, begin: int) -> int:
        """Return the earliest wall time at which one of the blocks from a place on ends."""
        first = bisect_right(self._starts, begin) - 1
        ends_us = [piece.first_end_us() for piece in self._pieces[first + 1 :]]
        return min([self._pieces[first].first_end_us(begin - self._starts[first]), *ends_us])

    def each_block(self) -> Iterator[int]:
        """Yield the numbers of the blocks."""
        for piece in self._pieces:
            yield from piece.blocks()

    def blocks(self) -> list[int]:
        """Return the numbers of the blocks."""
        return list(self.each_block())

    def holding(self, t_us: int) -> Iterator[tuple[int, Span]]:
        """Yield the spans that hold a wall time, newest first, each with the place of its block."""
        for start, piece in zip(reversed(self._starts[:-1]), reversed(self._pieces), strict=True):
            if piece.from_us <= t_us < piece.to_us:
                for n, raw in reversed(list(piece.owned())):
                    if raw[3] <= t_us < raw[4]:
                        yield start + n, span_of(raw)

    def following(self, t_us: int) -> tuple[int, Span] | None:
        """Return the span that begins next after a wall time, with the place of its block."""
        found = None
        for start, piece in zip(self._starts, self._pieces, strict=False):
            if piece.latest_from_us <= t_us or (found and piece.from_us >= found[1][3]):
                continue
            for n, raw in piece.owned():
                if raw[3] > t_us and (found is None or raw[3] < found[1][3]):
                    found = start + n, raw
        return None if found is None else (found[0], span_of(found[1]))

    def touching(self, from_us: int, to_us: int) -> list[Row]:
        """Return the blocks with something recorded between two wall times."""
        return [self._pieces[piece].row(n) for piece, n in self._touching(from_us, to_us)]

    def places_touching(self, from_us: int, to_us: int) -> list[int]:
        """Return the places of those blocks."""
        return [self._starts[piece] + n for piece, n in self._touching(from_us, to_us)]

    def _touching(self, from_us: int, to_us: int) -> Iterator[tuple[int, int]]:
        for at, piece in enumerate(self._pieces):
            if piece.to_us > from_us and piece.from_us < to_us:
                hit = (n for n, raw in piece.owned() if raw[4] > from_us and raw[3] < to_us)
                for n in dict.fromkeys(hit):
                    yield at, n

    def blocks_touching(self, from_us: int, to_us: int) -> set[int]:
        """Return the numbers of the blocks with something recorded between two wall times."""
        found, numbers = set[int](), dict[int, list[int]]()
        for at, n in self._touching(from_us, to_us):
            if at not in numbers:
                numbers[at] = self._pieces[at].blocks()
            found.add(numbers[at][n])
        return found

    def lately(self, least_90k: int) -> tuple[int, list[Row], int]:
        """Look at the newest blocks in which so many ticks are recorded, or at all there are.

        Returns:
            How many full ones they are, the others, and the ticks recorded in all of them.
        """
        full, others, ticks_90k = 0, list[Row](), 0
        for piece in reversed(self._pieces):
            if ticks_90k >= least_90k:
                break
            if isinstance(piece, Loose):
                others.append(piece.row(0))
                ticks_90k += piece.recorded_90k
            elif ticks_90k + piece.recorded_90k < least_90k:
                full += piece.count
                ticks_90k += piece.recorded_90k
            else:
                recorded_90k = [0] * piece.count
                for n, raw in piece.owned():
                    recorded_90k[n] += raw[2] - raw[1]
                while recorded_90k and ticks_90k < least_90k:
                    full += 1
                    ticks_90k += recorded_90k.pop()
                break
        return full, others, ticks_90k

    def with_run(self, run: int) -> Row | None:
        """Return the first block with something of a run in it."""
        for piece in self._pieces:
            if piece.first_run <= run <= piece.last_run:
                for n, raw in piece.owned():
                    if raw[0] == run:
                        return piece.row(n)
        return None

    def recorded_at(self, run: int, tick_90k: int) -> int | None:
        """Return the place of the block in which a tick of a run is recorded."""
        for start, piece in zip(self._starts, self._pieces, strict=False):
            if piece.first_run <= run <= piece.last_run:
                for n, raw in piece.owned():
                    if raw[0] == run and raw[1] <= tick_90k < raw[2]:
                        return start + n
        return None

    def stretches(self) -> Iterator[tuple[bool, Span]]:
        """Yield the spans, many of them joined where nothing is missing between.

        Each with whether parts before it are not there any more.
        """
        sequence = 0
        for piece in self._pieces:
            for lost, span in piece.stretches():
                yield piece.sequence > sequence if lost is None else lost, span
            sequence = piece.next_sequence
