"""Reads closed blocks back, slowly and for ever, to find what a dying disk no longer holds.

A disk does not tell what it lost until somebody asks, and nobody looks at recordings until they
are needed. Every closed block is read past the page cache and verified with the code of `fsck`,
one after another by number, at most one round a day, below a rate and below the writing. The block
that is written, or waits for its index, is left alone. What is found is told once, and remembered
on the volume: see `record.remembered`.
"""

import contextlib
import logging
import threading
from collections.abc import Callable, Generator, Iterator, Sequence
from datetime import UTC, datetime

from msgspec.structs import replace

from nvr.base.errors import Damaged
from nvr.base.log import event
from nvr.hal.idle import give_way
from nvr.record import block, volume
from nvr.record.block import Entry
from nvr.record.chain import Fault, follow
from nvr.record.remembered import MOST_DAMAGES, MOST_OFFSETS, Damage, Remembered, Round, load, save
from nvr.record.row import Row
from nvr.record.stock import MOST_ASIDE_SHARE
from nvr.record.store import Store

_log = logging.getLogger(__name__)

ROUND_S = 86400.0
"""A round begins at most so often: reading wears flash too, and a small volume is soon read."""
SAVE_S = 600.0
BUSY_S = 1.0
GONE_S = 60.0
"""While there is no disk, or nothing to read on it."""
PIECE_BYTES = 1 << 20


class ReadBack:
    """The reading back of one volume; `step` is the whole of it without a thread.

    Args:
        store: The open volume. Blocks it could not read before are kept out of use at once.
        bytes_per_s: How fast it reads; 0 reads nothing.
        busy: Whether the disk has something more important to do; then it waits.
    """

    def __init__(
        self, store: Store, *, bytes_per_s: float, busy: Callable[[], bool] = lambda: False
    ) -> None:
        self._store = store
        self._bytes_per_s = bytes_per_s
        self._busy = busy
        self._remembered, self._number = load(store.disk, str(store.identity.ring_id))
        self._saved_s = store.clock.monotonic_s()
        self._unsaved = False
        self._stopped: Callable[[], bool] = lambda: False
        self._pieces = self._rounds()
        if self._remembered.avoided:  # the log of a volume written before knows nothing of them
            self._set_aside(self._remembered.avoided)
        self._remembered = replace(self._remembered, damages=self._live())
        for damage in self._remembered.damages:
            self._mark(damage)

    @property
    def remembered(self) -> Remembered:
        """What it found so far and is not overwritten; from any thread."""
        aside = self._store.ring.aside
        return replace(self._remembered, damages=self._live(), avoided=aside)

    def run(self, stop: threading.Event) -> None:
        """Read until told to stop, if it reads at all."""
        if self._bytes_per_s <= 0:
            return
        give_way()
        self._stopped = stop.is_set
        while not stop.wait(self.step()):
            pass

    def close(self) -> None:
        """Remember how far it came; only once nothing is read any more."""
        self._stopped = lambda: False
        if self._bytes_per_s > 0:
            self._save()

    def step(self) -> float:
        """Read and verify the next piece.

        Returns:
            Seconds until the next one is due.
        """
        return BUSY_S if self._busy() else next(self._pieces)

    def _rounds(self) -> Iterator[float]:
        """Yield how long to wait, for ever."""
        clock = self._store.clock
        while True:
            if not self._remembered.now.from_us:
                if self._remembered.last.from_us:
                    since_s = (clock.wall_us() - self._remembered.last.from_us) / 1e6
                    yield min(ROUND_S, max(0.0, ROUND_S - since_s))
                self._note(now=Round(from_us=clock.wall_us()))
            while self._remembered.next_block < self._store.identity.blocks:
                row = self._readable(self._remembered.next_block)
                if row is not None and not (yield from self._block(row)):
                    yield GONE_S
                    continue
                self._note(next_block=self._remembered.next_block + 1)
                if clock.monotonic_s() - self._saved_s >= SAVE_S:
                    self._save()
            done = replace(self._remembered.now, to_us=clock.wall_us())
            if not done.blocks:  # nothing is full yet, or everything is being overwritten
                self._note(next_block=0, now=Round())
                yield GONE_S
                continue
            live = self._live()
            for damage in set(self._remembered.damages) - set(live):
                self._mark(damage, damaged=False)
            self._note(next_block=0, now=Round(), last=done, damages=live)
            self._save()

    def _note(self, **changes: object) -> None:
        self._remembered = replace(self._remembered, **changes)

    def _readable(self, number: int) -> Row | None:
        if self._store.ring.is_aside(number):
            return None  # known; each try costs a failing disk seconds
        row = self._store.catalog.row(number)
        return row if row and row.closed and self._store.ring.at_rest(number) else None

    def _is_there(self, number: int, serial: int) -> bool:
        """Whether a block still holds what it held: it may have been given up meanwhile."""
        now = self._store.catalog.row(number)
        return now is not None and now.head.serial == serial

    def _live(self) -> tuple[Damage, ...]:
        return tuple(d for d in self._remembered.damages if self._is_there(d.block, d.serial))

    def _block(self, row: Row) -> Generator[float, None, bool]:
        """Verify a block; returns whether the disk was there to be asked."""
        head, found = row.head, _Found()
        self._forget_pages(head.block)
        entries = self._entries(row, found)
        link: bytes | None = head.previous
        for piece in _pieces(entries):
            read_bytes = found.read_bytes
            link = self._verify(row, piece, link, found)
            read_bytes = found.read_bytes - read_bytes
            now = self._remembered.now
            self._note(now=replace(now, read_bytes=now.read_bytes + read_bytes))
            yield read_bytes / self._bytes_per_s
            if not self._is_there(head.block, head.serial):
                return True  # what was found may be what is written there now
        self._forget_pages(head.block)
        if found.refused and self._gone():
            return False
        now = self._remembered.now
        self._note(now=replace(now, blocks=now.blocks + 1))
        self._conclude(row, found)
        return True

    def _forget_pages(self, number: int) -> None:
        with contextlib.suppress(OSError):  # then reading says what is the matter
            self._store.disk.drop_cache(block.name(number))

    def _gone(self) -> bool:
        """Whether the disk as a whole cannot be read: that says nothing of a block."""
        try:
            self._store.disk.drop_cache(volume.ID_NAME)
            self._store.disk.pread(volume.ID_NAME, block.PAGE_BYTES, 0)
        except OSError:
            return True
        return False

    def _entries(self, row: Row, found: "_Found") -> Sequence[Entry]:
        """Verify a block's head and index; return its parts as well as they can be known."""
        head, read = row.head, self._store.reader(row.head.block)
        try:
            block.decode_head(read)
        except (Damaged, OSError) as err:
            found.add(Fault("head", str(err), refused=isinstance(err, OSError)))
        if row.entries is not None:
            return row.entries
        try:
            return block.decode_index(read, head)
        except (Damaged, OSError) as err:
            found.add(Fault("index", str(err), refused=isinstance(err, OSError)))
        return block.scan(read, head, trusted=row.tail).entries[: row.count]

    def _verify(
        self, row: Row, piece: Sequence[Entry], link: bytes | None, found: "_Found"
    ) -> bytes | None:
        """Verify parts that lie side by side; returns the link of the last."""
        number, first = row.head.block, piece[0].offset
        size = sum(entry.part_bytes for entry in piece)
        one_by_one = self._store.reader(number)
        found.read_bytes += size
        try:
            data = one_by_one(first, size)
        except OSError:
            data = b""

        def read(offset: int, count: int) -> bytes:
            return data[offset - first : offset - first + count]

        for entry in piece:
            before = link
            link, fault = follow(read, row.head, entry, before)
            if fault is not None:  # asked again, alone: a cable is not to blame a block
                self._forget_pages(number)
                found.read_bytes += entry.part_bytes
                link, fault = follow(one_by_one, row.head, entry, before)
            if fault is not None:
                found.add(fault, entry)
        return link

    def _conclude(self, row: Row, found: "_Found") -> None:
        """Remember what was found in a block, and tell what is new."""
        head, remembered = row.head, self._remembered
        others = tuple(d for d in remembered.damages if d.block != head.block)
        before = next((d for d in remembered.damages if d.block == head.block), None)
        if before is not None and before.serial != head.serial:
            before = None
        if before is not None:
            self._mark(before, damaged=False)
        if found.first is None:
            if others != remembered.damages:
                self._note(damages=others)
            return
        now_us = self._store.clock.wall_us()
        damage = Damage(
            head.block,
            head.serial,
            head.stream,
            found.entries[0].wall_us if found.entries else row.first_us,
            found.entries[-1].end_us if found.entries else row.last_us,
            len(found.entries),
            tuple(entry.offset for entry in found.entries[:MOST_OFFSETS]),
            found.refused,
            found.first.detail,
            before.found_us if before else now_us,
        )
        full = before is None and len(others) >= MOST_DAMAGES
        new = before is None or (damage.parts, damage.refused) > (before.parts, before.refused)
        if not full:
            self._note(damages=(*others, damage))
        self._mark(damage)
        if damage.refused:
            self._avoid(head.block)
        event(
            _log,
            logging.ERROR if new and not full else logging.DEBUG,
            "record.decayed",
            block=head.block,
            stream=head.stream,
            at=datetime.fromtimestamp(damage.from_us / 1e6, UTC).isoformat(timespec="seconds"),
            parts=damage.parts,
            refused=damage.refused,
            aside=self._store.ring.is_aside(head.block),
            error=damage.detail,
        )
        self._save()

    def _mark(self, damage: Damage, *, damaged: bool = True) -> None:
        """Have the box say that parts are damaged, as it does when somebody comes upon one."""
        places = self._store.damaged
        for offset in damage.offsets:
            (places.add if damaged else places.discard)((damage.block, damage.serial, offset))

    def _avoid(self, number: int) -> None:
        ring = self._store.ring
        if len(ring.aside) < self._store.identity.blocks // MOST_ASIDE_SHARE:
            self._set_aside([number])

    def _set_aside(self, numbers: Sequence[int]) -> None:
        with contextlib.suppress(OSError):  # found again in the next round
            self._store.ring.set_aside(numbers, "read")
            self._note(avoided=())

    def _save(self) -> None:
        if self._stopped():
            return  # what hung in the disk wakes up when another may be in its place
        self._saved_s = self._store.clock.monotonic_s()
        try:
            save(self._store.disk, self._remembered, self._number + 1)
        except OSError as err:
            level = logging.DEBUG if self._unsaved else logging.WARNING
            event(_log, level, "record.readback_unsaved", error=str(err))
            self._unsaved = True
        else:
            self._number += 1
            self._unsaved = False


class _Found:
    """What is wrong in a block."""

    def __init__(self) -> None:
        self.first: Fault | None = None
        self.entries: list[Entry] = []
        self.refused = False
        self.read_bytes = 0

    def add(self, fault: Fault, entry: Entry | None = None) -> None:
        self.first = self.first or fault
        self.refused |= fault.refused
        if entry is not None:
            self.entries.append(entry)


def _pieces(entries: Sequence[Entry]) -> Iterator[list[Entry]]:
    """Parts that lie side by side, as many at a time as make a piece."""
    piece: list[Entry] = []
    for entry in entries:
        if piece:
            end = piece[-1].offset + piece[-1].part_bytes
            whole = end + entry.part_bytes - piece[0].offset > PIECE_BYTES
            if whole or end != entry.offset:
                yield piece
                piece = []
        piece.append(entry)
    if piece:
        yield piece
