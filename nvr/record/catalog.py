"""What the volume holds, in memory: full blocks packed, and every part of the blocks still open.

The one place where the writer (which adds acknowledged parts) and readers meet. Readers get
values; nothing they hold changes under them.
"""

import functools
import threading
from array import array
from collections import OrderedDict
from collections.abc import Container, Iterable, Iterator, Sequence
from dataclasses import replace
from heapq import merge
from itertools import pairwise
from typing import NamedTuple

from nvr.media.name import is_beside
from nvr.media.track import StreamConfig
from nvr.record.block import Entry
from nvr.record.pieces import PIECE_ROWS, Common, Packed, Piece, pack
from nvr.record.row import Row, spans_of
from nvr.record.rows import Rows
from nvr.record.series import Open, Series

_INDEXES_KEPT = 64


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


class Unsaved(NamedTuple):
    """What an index that was saved before does not know yet.

    Attributes:
        whole: It knows nothing: forget what it holds.
        gone: Serials of blocks that are not there any more.
        rows: Stream, serial, whether its index is written, and the packed row and its spans.
        configs: What the packed rows refer to.
    """

    whole: bool
    gone: set[int]
    rows: Iterable[tuple[str, int, bool, bytes, bytes]]
    configs: Sequence[StreamConfig]


class Catalog:
    """All blocks. Safe for several threads.

    Args:
        configs: Codec configurations that packed rows to be loaded refer to.
    """

    def __init__(self, configs: Iterable[StreamConfig] = ()) -> None:
        self._guard = threading.Lock()
        self._streams: dict[str, Series] = {}
        self._by_number: list[Series] = []
        self._serials = array("Q")  # by number of the block, 0 for none
        self._stream_of = array("H")
        self._configs = list(configs)
        self._config_ids = {config: n for n, config in enumerate(self._configs)}
        self._indexes: OrderedDict[tuple[int, int], Sequence[Entry]] = OrderedDict()
        self._changed: dict[int, int] | None = None  # None: nothing was ever saved
        self._gone: set[int] = set()

    def _stream(self, name: str, ring_id: bytes, block_bytes: int) -> Series:
        found = self._streams.get(name)
        if found is None:
            common = Common(name, ring_id, block_bytes, self._configs)
            found = self._streams[name] = Series(common, len(self._by_number))
            self._by_number.append(found)
        return found

    def _place(self, stream: Series, block: int, serial: int) -> None:
        if block >= len(self._serials):
            more = [0] * (block + 1 - len(self._serials))
            self._serials.extend(more)
            self._stream_of.extend(more)
        self._serials[block] = serial
        self._stream_of[block] = stream.number

    def _packed(self, row: Row) -> tuple[bytes, bytes]:
        config = self._config_ids.get(row.head.config)
        if config is None:
            config = self._config_ids[row.head.config] = len(self._configs)
            self._configs.append(row.head.config)
        return pack(row, config)

    def _find(self, block: int) -> tuple[Series, int] | None:
        """Return the stream of a block, and its serial."""
        serial = self.serial(block)
        return (self._by_number[self._stream_of[block]], serial) if serial else None

    def serial(self, block: int) -> int:
        """Return the serial of a block, 0 if it is not there."""
        return self._serials[block] if block < len(self._serials) else 0

    def add(self, row: Row) -> None:
        """Add a block, in its place among those of its stream."""
        head = row.head
        with self._guard:
            stream = self._stream(head.stream, head.ring_id, head.block_bytes)
            full = row.closed and row.entries is None
            made = Packed(stream.common, *self._packed(row)) if full else Open(row)
            stream.insert(head.serial, made)
            self._place(stream, head.block, head.serial)
            self._note(head.serial, head.block)

    def _note(self, serial: int, block: int) -> None:
        if self._changed is not None:
            self._changed[serial] = block

    def load(
        self, stream: str, identity: tuple[bytes, int], packed: Sequence[tuple[bytes, bytes]]
    ) -> None:
        """Add packed blocks behind what there is of a stream, in the order of their serials.

        Args:
            stream: Its name.
            identity: UUID of the volume, and size of a block.
            packed: What `pack` returned for each.
        """
        with self._guard:
            self._load(self._stream(stream, *identity), packed)

    def _load(self, stream: Series, packed: Sequence[tuple[bytes, bytes]]) -> None:
        for n in range(0, len(packed), PIECE_ROWS):
            rows, spans = zip(*packed[n : n + PIECE_ROWS], strict=True)
            piece = Packed(stream.common, b"".join(rows), b"".join(spans))
            stream.pieces.append(piece)
            for serial, block in piece.places():
                self._place(stream, block, serial)
                self._note(serial, block)

    def fill(self, rows: Iterable[Row]) -> None:
        """Add many blocks, quickest if they come in the order of their serials."""
        waiting: dict[str, list[tuple[bytes, bytes]]] = {}
        last: dict[str, int] = {}
        identities: dict[str, tuple[bytes, int]] = {}
        for row in rows:
            name, serial = row.head.stream, row.head.serial
            identities[name] = row.head.ring_id, row.head.block_bytes
            if name not in last:
                ends = self.ends(name)
                last[name] = ends.last.head.serial if ends else -1
                waiting[name] = []
            if row.closed and row.entries is None and serial > last[name]:
                waiting[name].append(self._packed(row))
                if len(waiting[name]) == PIECE_ROWS:
                    self.load(name, identities[name], waiting.pop(name))
                    waiting[name] = []
            else:
                self.load(name, identities[name], waiting[name])
                waiting[name] = []
                self.add(row)
            last[name] = max(last[name], serial)
        for name, packed in waiting.items():
            self.load(name, identities[name], packed)

    def keep(self, serials: Sequence[int]) -> list[Row]:
        """Drop every block that the log has given to another use, and every one not packed.

        Args:
            serials: The serial of each block as the log has it.

        Returns:
            The blocks not packed: what they hold must be read again.
        """
        loose = []
        with self._guard:
            for stream in self._streams.values():
                kept: list[Packed | Open] = []
                for piece in stream.pieces:
                    if isinstance(piece, Open):
                        loose.append(piece.row(entries=False))
                        self._forget(piece.serial, piece.head.block)
                        continue
                    stale = [
                        n
                        for n, (serial, block) in enumerate(piece.places())
                        if block >= len(serials) or serials[block] != serial
                    ]
                    kept += self._without(piece, stale) if stale else [piece]
                stream.pieces = kept
        return loose

    def _without(self, piece: Packed, stale: Sequence[int]) -> list[Packed]:
        places = list(piece.places())
        for n in stale:
            self._forget(*places[n])
        ends = [-1, *stale, piece.count]
        parts = (piece.part(a + 1, b) for a, b in pairwise(ends))
        left = [part for part in parts if part is not None]
        return [functools.reduce(Packed.joined_with, left)] if left else []

    def _forget(self, serial: int, block: int) -> None:
        if self._serials[block] == serial:
            self._serials[block] = 0
        if self._changed is not None:
            self._changed.pop(serial, None)
            self._gone.add(serial)

    def remove(self, block: int) -> None:
        """Forget a block that is about to be used anew."""
        with self._guard:
            found = self._find(block)
            if found is not None:
                found[0].remove(found[1])
                self._forget(found[1], block)

    def acknowledge(
        self, block: int, entries: Sequence[Entry], *, tail: int, sequence: int, link: bytes
    ) -> None:
        """Add parts, now durable, to an open block."""
        with self._guard:
            found = self._open(block)
            if found is None or found.closed:
                raise TypeError(f"block {block} is closed")
            found.entries += entries
            found.spans = spans_of(entries, found.spans)
            found.tail, found.sequence, found.link = tail, sequence, link
            found.count = len(found.entries)
            self._note(found.serial, block)

    def _open(self, block: int) -> Open | None:
        stream, serial = self._find(block) or (None, 0)
        if stream is None:
            raise KeyError(block)
        return stream.open(serial)

    def close(self, block: int, *, indexed: bool) -> None:
        """Note that nothing is added to a block any more.

        Args:
            block: Its number.
            indexed: Its index is durable, so its parts need not stay in memory.
        """
        with self._guard:
            found = self._open(block)
            if found is None:
                return
            found.closed = True
            if indexed:
                stream = self._streams[found.head.stream]
                row = replace(found.row(entries=False), entries=None)
                stream.settle(found.serial, Packed(stream.common, *self._packed(row)))
            self._note(found.serial, block)

    def row(self, block: int) -> Row | None:
        """Return a block's row, with its parts if it is open."""
        with self._guard:
            found = self._find(block)
            return found[0].row(found[1], entries=True) if found else None

    def rows(self, stream: str) -> Rows:
        """Return a stream's blocks, oldest first, without the parts of open ones."""
        with self._guard:
            return self._rows(stream)

    def _rows(self, stream: str) -> Rows:
        found = self._streams.get(stream)
        return Rows(found.snapshot() if found else ())

    def oldest(self, skip: Container[int], now_us: int) -> list[Oldest]:
        """Return each stream's first block that is not in `skip`, without the parts of open ones.

        Blocks are in the order of recording: an end that lies in the future, because a clock was
        wrong then, is taken to be no later than that of any block after it. What was copied or
        fetched came in any order: of that the block whose first part is oldest counts.
        """
        found = []
        with self._guard:
            for series in self._streams.values():
                beside = is_beside(series.common.stream)
                at = series.oldest_but(skip) if beside else series.first_but(skip)
                if at is None:
                    continue
                row = series.row(at[1], entries=False)
                ended_us = row.last_us
                if ended_us > now_us:
                    ended_us = Rows(series.snapshot()).first_end_us(at[0])
                found.append(Oldest(row, ended_us))
        return found

    def ends(self, stream: str) -> Ends | None:
        """Return a stream's first and last block, None if it has none."""
        rows = self.rows(stream)
        return Ends(rows[0], rows[-1], len(rows)) if rows else None

    def all_rows(self) -> list[Row]:
        """Return what `in_order` yields; too much for a big volume."""
        return list(self.in_order())

    def in_order(self) -> Iterator[Row]:
        """Yield every block, without the parts of open ones, by serial."""
        rows = [self.rows(name) for name in self.streams()]
        return merge(*rows, key=lambda row: row.head.serial)

    def loose(self) -> list[Row]:
        """Return the blocks that are open, or have no index yet, by serial."""
        with self._guard:
            found = [
                piece.row(entries=False)
                for stream in self._streams.values()
                for piece in stream.pieces
                if isinstance(piece, Open)
            ]
        return sorted(found, key=lambda row: row.head.serial)

    def streams(self) -> tuple[str, ...]:
        """Return the names of all streams with something recorded."""
        with self._guard:
            return tuple(name for name, stream in self._streams.items() if stream.pieces)

    def next_recorded(self, stream: str, serial: int) -> Row | None:
        """Return the first block of a stream after `serial` with something recorded in it."""
        for row in self.rows(stream).after(serial):
            if row.spans:
                return row
        return None

    def __len__(self) -> int:
        """How many blocks there are."""
        return sum(piece.count for piece in self.pieces())

    def first_us(self) -> int:
        """UTC microseconds of the oldest part, 0 if there is none."""
        pieces = self.pieces()
        return min((piece.from_us for piece in pieces if piece.last_run >= 0), default=0)

    def last_run(self) -> int:
        """Return the highest run, -1 if there is none."""
        return max((piece.last_run for piece in self.pieces()), default=-1)

    def last_tick(self, since_run: int, until_run: int) -> int:
        """Return the last tick recorded in these runs of any stream, below 0 if there is none.

        What was copied or fetched is no sign of life of the moment it speaks of.
        """
        with self._guard:
            live = [s for s in self._streams.values() if not is_beside(s.common.stream)]
            pieces = [piece for series in live for piece in series.snapshot()]
        return max((piece.last_tick(since_run, until_run) for piece in pieces), default=-1)

    def newest(self) -> Row | None:
        """Return the block begun last."""
        last = [rows[-1] for name in self.streams() if (rows := self.rows(name))]
        return max(last, key=lambda row: row.head.serial, default=None)

    def pieces(self) -> list[Piece]:
        """Return all there is, as it is now."""
        with self._guard:
            return [piece for stream in self._streams.values() for piece in stream.snapshot()]

    def unsaved(self) -> Unsaved:
        """Return what changed since this was asked last."""
        with self._guard:
            changed, gone = self._changed, self._gone
            self._changed, self._gone = {}, set()
            found: list[tuple[Series, int, Packed | Open]] = []
            if changed is None:
                for series in self._streams.values():
                    found += [(series, 0, piece) for piece in series.pieces]
            else:
                for serial, block in changed.items():
                    if self._serials[block] == serial:
                        series = self._by_number[self._stream_of[block]]
                        found.append((series, serial, series.piece(serial)))
            ready = [
                (series.common.stream, serial, True, piece)
                if isinstance(piece, Packed)
                else (series.common.stream, piece.serial, False, self._packed_open(series, piece))
                for series, serial, piece in found
            ]
            return Unsaved(changed is None, gone, _each(ready), tuple(self._configs))

    def _packed_open(self, series: Series, piece: Open) -> Packed:
        return Packed(series.common, *self._packed(piece.row(entries=False)))

    def saved(self, *, nothing: bool = False) -> None:
        """Note that all there is has been saved, or `nothing` of it."""
        with self._guard:
            self._changed = None if nothing else {}
            self._gone = set()

    def cached(self, block: int, serial: int) -> Sequence[Entry] | None:
        """Return a closed block's index if it was read lately."""
        with self._guard:
            found = self._indexes.get((block, serial))
            if found is not None:
                self._indexes.move_to_end((block, serial))
            return found

    def cache(self, block: int, serial: int, entries: Sequence[Entry]) -> None:
        """Keep a closed block's index for the next reader."""
        with self._guard:
            self._indexes[block, serial] = entries
            while len(self._indexes) > _INDEXES_KEPT:
                self._indexes.popitem(last=False)


def _each(
    ready: Iterable[tuple[str, int, bool, Packed]],
) -> Iterator[tuple[str, int, bool, bytes, bytes]]:
    for name, serial, closed, piece in ready:
        if serial:
            yield name, serial, closed, *piece.packed(piece.find(serial))
        else:
            for each in piece.all_packed():
                yield name, each[0], closed, each[1], each[2]
