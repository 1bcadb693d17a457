"""What is in the blocks that nobody remembers: each one's row, read from the block itself.

The blocks say it all: a block is live if its head is intact and its serial is not older than the
one the log gave it. A closed block has an index; an open one is followed part by part, and ends
where the chain of headers and checksums ends. Rows remembered from before only save reading.

Of a big disk whose rows were lost nobody waits for all of it: the newest blocks say where every
stream that is recorded goes on, the oldest which block is overwritten next, and what is between
is read while recording goes on.
"""

import logging
from array import array
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace

from nvr.base.errors import Damaged
from nvr.base.log import event
from nvr.hal.ports import Disk
from nvr.record import block
from nvr.record.bits import BlockSet
from nvr.record.block import BlockHeader
from nvr.record.catalog import Catalog
from nvr.record.header import NO_LINK
from nvr.record.row import Row, spans_of, spans_of_index
from nvr.record.volume import Identity

_log = logging.getLogger(__name__)

_OLDEST_SHARE = 4
"""Of what is read at once a quarter are the oldest, the others the newest."""


class Survey:
    """The reading of one volume's blocks. Not safe for several threads.

    Args:
        disk: The volume's files.
        identity: Of the volume.
        serials: For each block, the serial that its log gave it last.
        catalog: What is remembered from before; what the log knows better is taken out of it.
        absent: Blocks without a file; if the log was lost, those that are found out are added.
        all_blocks: Read those too that the log never gave out: it was lost.
        durable: Flush open blocks and forget their cached pages first, so that nothing is taken
            for acknowledged that only a page cache holds. Needs a writable disk.

    Attributes:
        unread: Blocks still to be read, the oldest first.
        refused: Blocks whose heads the disk refused to read: nobody knows what they hold, so they
            must not be used.
    """

    def __init__(
        self,
        disk: Disk,
        identity: Identity,
        serials: "array[int]",
        catalog: Catalog,
        absent: BlockSet,
        *,
        all_blocks: bool,
        durable: bool,
    ) -> None:
        self._disk = disk
        self._identity = identity
        self._serials = serials
        self._catalog = catalog
        self._durable = durable
        self._ordered = not all_blocks
        self._absent = absent
        self._old = {row.head.block: row for row in catalog.keep(serials)}
        self.unread = [
            number
            for number in range(identity.blocks)
            if not catalog.serial(number)
            and number not in absent
            and (serials[number] or all_blocks)
        ]
        self.unread.sort(key=serials.__getitem__)
        self.refused: set[int] = set()

    def begin(self, at_once: int = 0) -> None:
        """Read everything, or of many more than `at_once` so many; the rest stays `unread`."""
        later: list[int] = []
        numbers = self.unread
        if self._ordered and 0 < at_once < len(numbers) // 2:
            oldest = at_once // _OLDEST_SHARE
            newest = len(numbers) - (at_once - oldest)
            later = numbers[oldest:newest]
            self._catalog.fill(self._rows(numbers[:oldest]))
            numbers = numbers[newest:]
        first = self._serials[numbers[0]] if later else 0
        self._catalog.fill(self._rows(numbers))
        self.unread = later
        settle(self._catalog, lambda row: row.head.serial >= first)

    def _rows(self, numbers: Iterable[int]) -> Iterator[Row]:
        for number in numbers:
            row = self.read(number)
            if row is not None:
                yield row

    def read(self, number: int) -> Row | None:
        """Read a block's row; None if it holds nothing, or is now among `refused`."""
        try:
            return self._read(number)
        except OSError as err:
            if isinstance(err, FileNotFoundError) and not self._ordered:
                self._absent.add(number)  # nobody else knows any more
                return None
            event(_log, logging.ERROR, "record.block_unreadable", block=number, error=str(err))
            self.refused.add(number)
            return None

    def _read(self, number: int) -> Row | None:
        read = block.reader(self._disk, number)
        try:
            head, _ = block.decode_head(read)
        except Damaged:
            return None
        if (
            head.ring_id != self._identity.ring_id.bytes
            or head.block != number
            or head.serial < self._serials[number]
            or head.block_bytes != self._identity.block_bytes
        ):
            return None
        row = _read_closed(read, head)
        if row is None:
            if self._durable:
                path = block.name(number)
                self._disk.flush([(path, 0, head.block_bytes)], written_before=False)
                self._disk.drop_cache(path)
            old = self._old.get(number)
            row = read_open(read, head, old.tail if old and old.head.serial == head.serial else 0)
        # One whose first group was cut off is as good as not begun: it is free again.
        return row if row.closed or row.count else None


def _read_closed(read: block.Read, head: BlockHeader) -> Row | None:
    try:
        entries = block.decode_index(read, head).raw()
        spans = spans_of_index(entries)
    except (Damaged, OSError):  # the parts themselves say the same, at more expense
        return None
    tail, link, sequence = head.first_offset, head.previous, head.sequence
    if entries:
        offset, size = entries[-1][:2]
        tail = offset + size
        try:
            last = block.read_header(read, head, offset)
            link, sequence = last.link, last.sequence + 1
        except (Damaged, OSError):
            # The chain begins anew, and a verifier will say where it broke.
            link, sequence = NO_LINK, head.sequence + len(entries)
    return Row(head, spans, tail, len(entries), sequence, link, closed=True, entries=None)


def read_open(read: block.Read, head: BlockHeader, trusted: int = 0) -> Row:
    """Follow an open block's parts and return its row."""
    found = block.scan(read, head, trusted=trusted)
    return Row(
        head=head,
        spans=spans_of(found.entries),
        tail=found.tail,
        count=len(found.entries),
        sequence=found.sequence,
        link=found.link,
        closed=found.refused,
        entries=tuple(found.entries),
        doubtful=found.refused,
    )


def settle(catalog: Catalog, which: Callable[[Row], bool]) -> None:
    """Close every open block but the last of its stream, and drop what a later block repeats.

    A part is in two blocks when the flush of the first one failed, and it was written again.

    Args:
        catalog: What the volume holds.
        which: The blocks concerned; all that come after them in their streams must be known.
    """
    for row in filter(which, catalog.loose()):
        after = catalog.next_recorded(row.head.stream, row.head.serial)
        if after is None or row.entries is None:
            continue
        begin = after.spans[0].start_90k, after.spans[0].from_us
        whole = catalog.row(row.head.block)
        entries = (whole and whole.entries) or ()
        repeated = [n for n, e in enumerate(entries) if (e.start_90k, e.wall_us) == begin]
        entries = entries[: repeated[0]] if repeated else entries
        catalog.remove(row.head.block)
        catalog.add(
            replace(row, closed=True, entries=entries, spans=spans_of(entries), count=len(entries))
        )
