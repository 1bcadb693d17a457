"""Parts as they lie on the disk, header, seal and all: what proves itself, and is never patched."""

import functools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from nvr._native import crc32c
from nvr.base.errors import Damaged
from nvr.media.part import PART_HEADER_BYTES
from nvr.record import block
from nvr.record.block import Entry
from nvr.record.header import PartHeader
from nvr.record.row import Row
from nvr.record.store import Store

MOST_HEADS = 512


@dataclass(frozen=True, slots=True)
class Verbatim:
    """A part as stored.

    Attributes:
        header: Of it.
        data: Its header, its stored bytes, and zeroes for the room up to the next part, which
            on the disk may hold what was there before.
        init: ``ftyp moov`` of its block.
        whole: What follows the header has the right checksum.
    """

    header: PartHeader
    data: bytes
    init: bytes
    whole: bool


def chosen(store: Store, stream: str, from_us: int, to_us: int) -> list[tuple[Row, Entry]]:
    """Return where the parts of a span are, in the order of recording.

    Each stretch begins at the key frame that its first picture hangs on.
    """
    places: list[tuple[Row, Entry]] = []
    rows = store.catalog.rows(stream)
    taken: dict[int, None] = {}
    for n in rows.places_touching(from_us, to_us):
        taken.update(dict.fromkeys((max(0, n - 1), n)))  # its key frame may be in the one before
    for n in taken:
        row = rows[n]
        places += [(row, entry) for entry in _entries(store, row)]
    inside = [entry.end_us > from_us and entry.wall_us < to_us for _, entry in places]
    for n, (_, entry) in enumerate(places):
        at = n
        while inside[n] and at and not places[at][1].key and not inside[at - 1]:
            if places[at - 1][1].run != entry.run:
                break
            at -= 1
            inside[at] = True
    return [place for place, taken in zip(places, inside, strict=True) if taken]


def _entries(store: Store, row: Row) -> Sequence[Entry]:
    try:
        return store.entries(row)
    except OSError:
        return ()  # its index cannot be read: what follows says that something is missing


class Reader:
    """Reads parts verbatim.

    Args:
        store: The volume.
    """

    def __init__(self, store: Store) -> None:
        self._store = store
        self._init = functools.lru_cache(maxsize=4)(self._read_init)

    def _read_init(self, number: int, serial: int) -> bytes:
        head, init = block.decode_head(self._store.reader(number))
        if head.serial != serial:
            raise Damaged("part.damaged", "the block was overwritten")
        return init

    def part(self, row: Row, entry: Entry) -> Verbatim:
        """Read one part.

        Raises:
            Damaged: ``part.damaged``, ``block.damaged``: it has no header, or no longer.
            OSError: The disk refuses.
        """
        head = row.head
        data = self._store.reader(head.block)(entry.offset, entry.part_bytes)
        header = block.read_header(
            lambda at, size: data[at - entry.offset : at - entry.offset + size], head, entry.offset
        )
        stored = memoryview(data)[PART_HEADER_BYTES : PART_HEADER_BYTES + header.stored_bytes]
        whole = len(data) == header.part_bytes and crc32c(stored) == header.payload_crc
        filled = PART_HEADER_BYTES + len(stored)
        data = data[:filled] + bytes(len(data) - filled)
        return Verbatim(header, data, self._init(head.block, head.serial), whole)

    def heads(self, stream: str, sequence: int) -> Iterator[bytes]:
        """Yield the headers that follow a part, up to one that carries a signature of it or later.

        None are yielded if no such signature was written yet, or a header between is not there.
        """
        found: list[bytes] = []
        for row in self._store.catalog.rows(stream):
            if row.sequence <= sequence + 1:
                continue
            for entry in _entries(self._store, row):
                read = self._store.reader(row.head.block)
                try:
                    header = block.read_header(read, row.head, entry.offset)
                    raw = read(entry.offset, PART_HEADER_BYTES)
                except (Damaged, OSError):
                    return
                if header.sequence <= sequence + len(found):
                    continue
                if header.sequence != sequence + len(found) + 1 or len(found) == MOST_HEADS:
                    return
                found.append(raw)
                if any(header.signature) and header.signed >= sequence:
                    yield from found
                    return
