"""An open volume: what the writer writes to and the archive reads from."""

from dataclasses import dataclass

from nvr.base.clock import Clock
from nvr.base.errors import Damaged
from nvr.hal.ports import Disk
from nvr.record import block
from nvr.record.block import Entry, Read
from nvr.record.catalog import Catalog, Row
from nvr.record.ring import Ring
from nvr.record.volume import Identity


@dataclass(frozen=True, slots=True)
class Store:
    """The parts of an open volume.

    Attributes:
        disk: Its files.
        clock: Time source.
        identity: What it is.
        catalog: What it holds.
        ring: Which block comes next.
    """

    disk: Disk
    clock: Clock
    identity: Identity
    catalog: Catalog
    ring: Ring

    def reader(self, number: int) -> Read:
        """Return a function that reads one block."""
        return reader(self.disk, number)

    def entries(self, row: Row) -> tuple[Entry, ...]:
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


def reader(disk: Disk, number: int) -> Read:
    """Return a function that reads block `number` of `disk`."""
    path = block.name(number)
    return lambda offset, size: disk.pread(path, size, offset)
