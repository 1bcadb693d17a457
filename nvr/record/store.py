"""An open volume: what the writer writes to and the archive reads from."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from nvr.base.clock import Clock
from nvr.base.errors import Damaged
from nvr.hal.ports import Disk
from nvr.record import block
from nvr.record.block import Entry, Read
from nvr.record.catalog import Catalog
from nvr.record.header import PartHeader
from nvr.record.keys import Keys
from nvr.record.ring import Ring
from nvr.record.row import Row
from nvr.record.seal import unsealed
from nvr.record.survey import Survey
from nvr.record.volume import Identity


@dataclass(frozen=True, slots=True)
class Store:
    """The parts of an open volume.

    Attributes:
        disk: Its files.
        clock: Time source.
        catalog: What it holds.
        ring: Which block comes next.
        keys: What its sealed parts can be read with; None without any.
        survey: Of its blocks, some of which it may still have to read.
        damaged: Block, serial and offset of each part found with wrong bytes since it was opened.
    """

    disk: Disk
    clock: Clock
    catalog: Catalog
    ring: Ring
    keys: Keys | None = None
    survey: Survey | None = None
    damaged: set[tuple[int, int, int]] = field(default_factory=set)

    @property
    def identity(self) -> Identity:
        """What it is now."""
        return self.ring.identity

    def reader(self, number: int) -> Read:
        """Return a function that reads one block."""
        return block.reader(self.disk, number)

    def part(self, row: Row, entry: Entry) -> tuple[PartHeader, bytes]:
        """Read and verify one part; returns its header and ``moof mdat``, unsealed.

        Raises:
            Damaged: ``part.damaged``, ``key.destroyed``.
            Unavailable: ``key.none``, ``key.locked``, ``key.foreign``.
            OSError: The disk refuses.
        """
        head = row.head
        try:
            header, payload = block.read_part(self.reader(head.block), head, entry.offset)
            return header, unsealed(header, payload, self.keys)
        except Damaged as err:
            now = self.catalog.row(head.block)  # another recording may have come into its place
            if err.code == "part.damaged" and now and now.head.serial == head.serial:
                self.damaged.add((head.block, head.serial, entry.offset))
            raise

    def entries(self, row: Row) -> Sequence[Entry]:
        """Return the acknowledged parts of a block, from memory or from its index.

        Raises:
            OSError: The disk refuses.
        """
        head = row.head
        if not row.closed:
            current = self.catalog.row(head.block)
            if current is None or current.head.serial != head.serial:
                return ()
            row = current
        if row.entries is not None:
            return row.entries
        cached = self.catalog.cached(head.block, head.serial)
        if cached is None:
            read = self.reader(head.block)
            try:
                cached = block.decode_index(read, head)
            except (Damaged, OSError):  # the index is a shortcut: the parts themselves say the same
                cached = tuple(block.scan(read, head, trusted=row.tail).entries[: row.count])
            self.catalog.cache(head.block, head.serial, cached)
        return cached
