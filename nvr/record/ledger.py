"""What ``volume.log`` says of an open volume, and what is added to it while it is open.

Notes of time not recorded, locks, and for each block who has it: all of it goes into the summary
that begins each epoch. What a method adds is durable in both copies when it returns.
"""

import logging
import threading
from array import array
from collections import deque
from collections.abc import Collection, Sequence
from dataclasses import replace

from nvr.base.clock import Clock
from nvr.base.errors import Rejected
from nvr.base.log import event
from nvr.record.age import Steady
from nvr.record.bits import BlockSet
from nvr.record.catalog import Catalog
from nvr.record.lock import MOST_SHARE, Lock, blocks_of
from nvr.record.log import Record, VolumeLog
from nvr.record.log_state import LogState
from nvr.record.note import Note, keep, newest, stamped
from nvr.record.volume import Identity

_log = logging.getLogger(__name__)
_MOST_NOTES = 10_000
_DESTROYED_BYTES = 192 << 10


class Ledger:
    """The log's side of a `Ring`, which describes the arguments. Safe for several threads."""

    def __init__(
        self,
        identity: Identity,
        log: VolumeLog,
        catalog: Catalog,
        state: LogState,
        clock: Clock,
    ) -> None:
        self.clean = state.clean
        self._identity = identity
        self._volume_log = log
        self._catalog = catalog
        self._serials = array("Q", state.serials)
        self._written = state.written
        self._aside = set(state.aside)
        self._absent = state.absent
        self._wanted = state.wanted
        self._next_run = state.next_run
        self._notes = list(state.notes)
        self._destroyed = list(state.destroyed)
        self._locks = state.locks
        self._locked = self._locks.blocks(catalog)
        self._to_erase = deque(sorted(state.erase))
        self._clock = clock
        self._guard = threading.RLock()
        seen_us = [note.wall_us for note in self._notes[-1:]]
        newest = catalog.newest()
        seen_us += [newest.last_us] if newest else []
        self._age = Steady(clock, max(seen_us, default=0))

    @property
    def identity(self) -> Identity:
        """Of the volume, as it is now."""
        return self._identity

    @property
    def blocks(self) -> int:
        """How many blocks there are."""
        with self._guard:
            return self._identity.blocks - len(self._absent)

    @property
    def absent(self) -> Collection[int]:
        """Blocks without a file."""
        return self._absent

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

    def resume(self) -> None:
        """Start a new log epoch without an opening: nothing will be recorded.

        Raises:
            OSError: The disk refuses; nothing changed.
        """
        with self._guard:
            self._volume_log.start([self._summary()])

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

    def destroyed(self, record: Record) -> None:
        """Keep a record of keys that are about to be destroyed, durably.

        Raises:
            OSError: The disk refuses.
        """
        with self._guard:
            self._append(record)
            self._destroyed = newest([*self._destroyed, record], _DESTROYED_BYTES)

    @property
    def destroyed_records(self) -> tuple[Record, ...]:
        """What the log says of keys that were destroyed, oldest first."""
        with self._guard:
            return tuple(self._destroyed)

    def _keep_notes(self, notes: Sequence[Note]) -> None:
        for note in notes:
            keep(self._notes, note)
        del self._notes[:-_MOST_NOTES]

    @property
    def notes(self) -> tuple[Note, ...]:
        """What the log says of time not recorded, in the order of writing."""
        with self._guard:
            return tuple(self._notes)

    def _summary(self) -> Record:
        serials = array("Q", self._serials)
        aside = BlockSet(self._identity.blocks)
        aside.update(self._aside)
        serials.byteswap()  # big-endian on disk; every board this runs on is little-endian
        return {
            "kind": "summary",
            "ring": self._identity.ring_id.bytes,
            "serials": serials.tobytes(),
            "written": self._written.stored,
            "next_run": self._next_run,
            "aside": aside.stored,
            "absent": self._absent.stored,
            "wanted": self._wanted,
            "erase": list(self._to_erase),
            "notes": newest([note.record() for note in self._notes]),
            "destroyed": self._destroyed,
            **self._locks.summary(),
        }

    def lock(self, wanted: Lock, coming: int = 0) -> Lock:
        """Keep a stretch of a camera from now on, durably.

        Args:
            wanted: The lock; its number is filled in, at least the one it has.
            coming: Blocks of it that are still to be recorded, about.

        Raises:
            Rejected: ``lock.too_much``: too little would be left to record on; ``lock.too_many``.
            OSError: The disk refuses; nothing is locked.
        """
        with self._guard:
            made = self._locks.numbered(wanted)
            held = self._locks.blocks(self._catalog)
            locked = held | blocks_of([made], self._catalog)[made.number]
            blocks = min(self.blocks, self._wanted or self.blocks)
            most = int(blocks * MOST_SHARE)
            if len(locked) + coming > most:
                raise Rejected(
                    "lock.too_much",
                    "too much of the disk would be locked to go on recording",
                    locked_percent=round(100 * len(held) / blocks),
                    would_percent=round(100 * (len(locked) + coming) / blocks),
                    most_percent=round(100 * MOST_SHARE),
                )
            self._append(made.record())
            self._locks.add(made)
            self._locked = locked
        return made

    def unlock(self, number: int, by: str) -> Lock:
        """End a lock, durably; what it held may be overwritten when its turn comes.

        Raises:
            Rejected: ``lock.unknown``.
            OSError: The disk refuses; it is still locked.
        """
        with self._guard:
            lock = self._locks.get(number)
            now_us = self._clock.wall_us()
            self._append({"kind": "unlock", "number": number, "by": by, "wall_us": now_us})
            self._locks.remove(number)
            self._locked = self._locks.blocks(self._catalog)
        return lock

    @property
    def next_lock(self) -> int:
        """Number of the next lock."""
        with self._guard:
            return self._locks.next_number

    @property
    def locks(self) -> tuple[Lock, ...]:
        """The locks in force, in the order in which they were made."""
        with self._guard:
            self._end_locks()
            return self._locks.all()

    @property
    def locked(self) -> Collection[int]:
        """Blocks that are locked now."""
        with self._guard:
            self._end_locks()
            return self._locks.blocks(self._catalog)

    def _end_locks(self) -> None:
        over = self._locks.expire(self._age.now_us())
        for lock in over:
            event(_log, logging.INFO, "lock.ended", number=lock.number, camera=lock.camera)
        if over:
            self._locked = self._locks.blocks(self._catalog)

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
