"""Which block is used next, and that it was given up durably before its first byte is overwritten.

A block is *free* (never used, or given up), *granted* (has a serial in ``volume.log``, waits to be
begun), or *live* (in the catalogue). Granting is what retires: the victim leaves the catalogue, its
new serial is flushed to the log, and its head is zeroed and flushed. Only then may it be written.
"""

import logging
import threading
from array import array
from collections import deque
from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace

from nvr.base.clock import Clock
from nvr.base.errors import Misconfigured
from nvr.base.log import event
from nvr.hal.ports import Disk
from nvr.record import block
from nvr.record.block import PAGE_BYTES
from nvr.record.catalog import Catalog
from nvr.record.log import Record, VolumeLog
from nvr.record.note import Note, carried, stamped
from nvr.record.retention import Promised, default_promise, next_to_go
from nvr.record.volume import Identity

_log = logging.getLogger(__name__)
_ZERO_PAGE = bytes(PAGE_BYTES)
_MOST_SPARE = 16
_MOST_NOTES = 10_000


@dataclass(frozen=True, slots=True)
class Grant:
    """A block that may be written from its first byte on.

    Attributes:
        block: Its number.
        serial: Of this use.
    """

    block: int
    serial: int


class Ring:
    """The blocks of an open volume. Safe for several threads.

    Args:
        disk: Of the volume.
        identity: Of the volume.
        log: Its log, read.
        catalog: What is live.
        serials: For each block, the serial of its last grant, 0 if it never had one.
        written: Blocks whose every page was durably written once.
        next_run: First run number not yet used.
        clean: The volume was closed properly last time.
        refused: Blocks that could not be read; they are not used.
        notes: What the log says of time not recorded.
        clock: Time source.
        promised_s: What each stream is promised; see `record.retention`.
    """

    def __init__(
        self,
        disk: Disk,
        identity: Identity,
        log: VolumeLog,
        catalog: Catalog,
        *,
        serials: Sequence[int],
        written: set[int],
        next_run: int,
        clean: bool,
        refused: Collection[int] = (),
        notes: Sequence[Note] = (),
        clock: Clock,
        promised_s: Promised = default_promise,
    ) -> None:
        self.clean = clean
        self._notes = list(notes)
        self._disk = disk
        self._identity = identity
        self._volume_log = log
        self._catalog = catalog
        self._serials = array("Q", serials)
        self._written = written
        self._next_serial = max(serials, default=0) + 1
        self._next_run = next_run
        self._clock = clock
        self._promised_s = promised_s
        self._guard = threading.RLock()
        rows = catalog.all_rows()
        live = {row.head.block for row in rows} | set(refused)
        free = [number for number in range(identity.blocks) if number not in live]
        self._free = deque(sorted(free, key=lambda number: (number not in written, number)))
        self._granted: deque[Grant] = deque()
        self._in_use: set[int] = set()
        self._condemned: set[int] = set(refused)
        self._unlogged: list[int] = []
        self._spare = max(1, min(_MOST_SPARE, identity.blocks // 8))

    @property
    def spare(self) -> int:
        """Blocks that are kept ready for the next ones to be begun."""
        return self._spare

    @property
    def condemned(self) -> int:
        """Blocks given up in this process because the disk refused them."""
        return len(self._condemned)

    def begin(self) -> None:
        """Start a new log epoch for this opening of the volume.

        Raises:
            OSError: The disk refuses; nothing changed.
        """
        with self._guard:
            self._volume_log.start([self._summary()])
            opened = Note("opened", self._clock.wall_us(), run=self._next_run, clean=self.clean)
            opened = stamped(opened, self._clock)
            self._append({**opened.record(), "generation": self._identity.generation})
            self._keep_notes([opened])

    def end(self, by: str = "") -> None:
        """Note that recording was stopped on purpose, and by whom.

        Raises:
            OSError: The disk refuses; the next start will call the gap a power cut.
        """
        self.note(stamped(Note("stopped", self._clock.wall_us(), by=by), self._clock))

    def note(self, *notes: Note) -> None:
        """Keep notes, durably and with one flush of each log, as made now; their run is filled in.

        Raises:
            OSError: The disk refuses.
        """
        with self._guard:
            made = [replace(note, run=self._next_run) for note in notes]
            self._append(*(note.record() for note in made))
            self._keep_notes(made)

    def _keep_notes(self, notes: Sequence[Note]) -> None:
        self._notes += notes
        del self._notes[:-_MOST_NOTES]

    @property
    def notes(self) -> tuple[Note, ...]:
        """What the log says of time not recorded, in the order of writing."""
        with self._guard:
            return tuple(self._notes)

    def _summary(self) -> Record:
        written = bytearray(-(-self._identity.blocks // 8))
        for number in self._written:
            written[number // 8] |= 1 << number % 8
        serials = array("Q", self._serials)
        serials.byteswap()  # big-endian on disk; every board this runs on is little-endian
        return {
            "kind": "summary",
            "ring": self._identity.ring_id.bytes,
            "serials": serials.tobytes(),
            "written": bytes(written),
            "next_run": self._next_run,
            "notes": carried(self._notes),
        }

    def _append(self, *records: Record) -> None:
        if self._volume_log.fits(*records):
            self._volume_log.append(*records)
        else:
            self._volume_log.start([self._summary(), *records])

    def new_run(self) -> int:
        """Return a run number this volume has not used yet."""
        with self._guard:
            self._next_run += 1
            return self._next_run - 1

    def take(self) -> Grant:
        """Return the block to write next; retires one now if none was made ready.

        Raises:
            OSError: The disk refuses.
            Misconfigured: ``volume.too_small``: every block is being written.
        """
        with self._guard:
            if not self._granted:
                self._grant(self._spare)  # one record for all: its flushes delay this group
            grant = self._granted.popleft()
            self._in_use.add(grant.block)
            return grant

    def give_back(self, grant: Grant) -> None:
        """Take back a block in which nothing was acknowledged; it is the next to be given."""
        with self._guard:
            self._in_use.discard(grant.block)
            self._granted.appendleft(grant)

    def use(self, number: int) -> None:
        """Note that an open block of an earlier process is being written again."""
        with self._guard:
            self._in_use.add(number)

    def release(self, number: int) -> None:
        """Note that a block is no longer written, so its turn to be retired may come."""
        with self._guard:
            self._in_use.discard(number)

    def condemn(self, number: int) -> None:
        """Keep a block out of use, and what was acknowledged in it readable, until the next start.

        Its last pages were written, but the disk refused to flush them: whatever the page cache
        says about them from here on proves nothing.
        """
        with self._guard:
            self._condemned.add(number)
            self._in_use.discard(number)
        event(_log, logging.ERROR, "record.block_condemned", block=number)

    def written_before(self, number: int) -> bool:
        """Whether every page of the block was durably written once."""
        return number in self._written

    def keep(self) -> bool:
        """Do one step of what should be ready before the writer asks: grant, or zero a block.

        Returns:
            Whether there was something to do.

        Raises:
            OSError: The disk refuses.
        """
        with self._guard:
            if len(self._granted) * 2 <= self._spare and not self._only_unwritten_free():
                self._grant(self._spare - len(self._granted), zeroed=True)
                return True
            number = self._next_to_zero()
        if number is None:
            return False
        try:
            self._zero(number)
        finally:
            with self._guard:
                if number in self._written:
                    self._free.appendleft(number)
                else:
                    self._free.append(number)
        return True

    def _only_unwritten_free(self) -> bool:
        """Zeroing comes first while a first lap is under way."""
        return bool(self._free) and self._free[0] not in self._written

    def _next_to_zero(self) -> int | None:
        for ready, number in enumerate(self._free):
            if ready >= self._spare:
                break
            if number not in self._written:
                self._free.remove(number)
                return number
        return None

    def _zero(self, number: int) -> None:
        path, size = block.name(number), self._identity.block_bytes
        self._disk.zero(path, size, 0)
        self._disk.flush([(path, 0, size)], written_before=False)
        with self._guard:
            self._written.add(number)
            self._unlogged.append(number)

    def _grant(self, count: int, *, zeroed: bool = False) -> None:
        """Grant blocks; with `zeroed`, those that were never wholly written go to be zeroed first.

        One such block among those of a group makes the flush dearer for all of them.
        """
        chosen = [number for _ in range(count) if (number := self._victim()) is not None]
        if not chosen:
            raise Misconfigured(
                "volume.too_small",
                "the volume has too few blocks for its streams",
                blocks=self._identity.blocks,
            )
        used = [number for number in chosen if self._serials[number]]
        for number in used:
            self._catalog.remove(number)
        grants = [Grant(number, self._next_serial + n) for n, number in enumerate(chosen)]
        self._next_serial += len(grants)
        for grant in grants:
            self._serials[grant.block] = grant.serial
        try:
            self._retire(used, grants)
        except OSError:
            self._free.extendleft(reversed(chosen))
            raise
        for grant in grants:
            if zeroed and grant.block not in self._written:
                self._free.append(grant.block)
            else:
                self._granted.append(grant)

    def _victim(self) -> int | None:
        """Free blocks first, then what `record.retention` gives up."""
        if self._free:
            return self._free.popleft()
        held = self._in_use | self._condemned
        now_us = self._clock.wall_us()
        chosen = next_to_go(self._catalog.oldest(held, now_us), self._promised_s, now_us)
        if chosen is None:
            return None
        number = chosen.row.head.block
        self._catalog.remove(number)
        return number

    def _retire(self, used: Sequence[int], grants: Sequence[Grant]) -> None:
        """Give up blocks durably: in the log first, which alone decides, then in their heads.

        The other way round a cut in between leaves a block that a remembered row still shows
        and a rebuilt index does not. The heads are for the day when the log is lost.
        """
        self._append(
            {
                "kind": "grant",
                "blocks": [[grant.block, grant.serial] for grant in grants],
                "written": self._unlogged,
            }
        )
        self._unlogged = []
        ranges = []
        for number in used:
            self._disk.pwrite(block.name(number), [_ZERO_PAGE], 0)
            ranges.append((block.name(number), 0, PAGE_BYTES))
        if ranges:
            self._disk.flush(ranges, written_before=all(n in self._written for n in used))
