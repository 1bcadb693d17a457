"""Which block is used next, and that it was given up durably before its first byte is overwritten.

A block is *free* (never used, or given up), *granted* (has a serial in ``volume.log``, waits to be
begun), or *live* (in the catalogue). Granting is what retires: the victim leaves the catalogue, its
new serial is flushed to the log, and its head is zeroed and flushed. Only then may it be written.
"""

import errno
import logging
from collections import deque
from collections.abc import Collection, Container, Sequence
from dataclasses import dataclass

from nvr.base.clock import Clock
from nvr.base.errors import Misconfigured, Unavailable
from nvr.base.log import event
from nvr.hal.ports import Disk
from nvr.record import block
from nvr.record.block import PAGE_BYTES
from nvr.record.catalog import Catalog, Oldest
from nvr.record.expire import past_its_time, shifts, too_much
from nvr.record.log import Record, VolumeLog
from nvr.record.log_state import LogState
from nvr.record.retention import TermsOf, default_terms, guaranteed, next_to_go
from nvr.record.row import Row
from nvr.record.size import Sized
from nvr.record.volume import Identity

_log = logging.getLogger(__name__)
_ZERO_PAGE = bytes(PAGE_BYTES)
_MOST_ERASED = 16
LOOK_S = 10.0
"""What must go although there is room is looked for so often."""


@dataclass(frozen=True, slots=True)
class Grant:
    """A block that may be written from its first byte on.

    Attributes:
        block: Its number.
        serial: Of this use.
        private: Something that must be gone was not zeroed in it: every byte is to be written.
    """

    block: int
    serial: int
    private: bool = False


class _Kept(Container[int]):
    """Blocks whose turn it is not."""

    def __init__(self, *those: Container[int]) -> None:
        self._those = those

    def __contains__(self, number: object) -> bool:
        return any(number in some for some in self._those)


class Ring(Sized):
    """The blocks of an open volume. Safe for several threads.

    Args:
        disk: Of the volume.
        identity: Of the volume.
        log: Its log, read.
        catalog: What is live.
        state: What the log says.
        refused: Blocks that could not be read; they are not used.
        unread: Blocks that nobody looked into yet; they are not used until `found` says so.
        clock: Time source.
        terms: For how long each stream is kept; see `record.retention`.

    Attributes:
        unread_serial: The highest of a block that was unread at first: what is in later ones is
            all known.
    """

    def __init__(
        self,
        disk: Disk,
        identity: Identity,
        log: VolumeLog,
        catalog: Catalog,
        state: LogState,
        *,
        refused: Collection[int] = (),
        unread: Collection[int] = (),
        clock: Clock,
        terms: TermsOf = default_terms,
    ) -> None:
        super().__init__(
            disk, identity, log, catalog, state, refused=refused, unread=unread, clock=clock
        )
        self._next_serial = max(state.serials, default=0) + 1
        self._terms = terms
        self._unread = set(unread)
        self.unread_serial = max((state.serials[number] for number in unread), default=0)
        self._granted: deque[Grant] = deque()
        self._private: set[int] = set()
        self._unwanted: frozenset[int] = frozenset()
        self._looked_s = -LOOK_S
        self._steps = (
            self._expire,
            self._erase,
            self._grant_ahead,
            self._zero_ahead,
            self._try_suspect,
            self._fit,
        )

    @property
    def unread(self) -> int:
        """Blocks of which it is not known yet what they hold."""
        return len(self._unread)

    @property
    def fresh_sequence(self) -> int:
        """A sequence number above all that any stream has used, whatever is unread."""
        with self._guard:
            return self._next_serial << 20  # a block has 4,096 pages, and a part at least one

    def found(self, number: int, row: Row | None, *, refused: bool = False) -> None:
        """Note what is in a block that was unread.

        Args:
            number: The block.
            row: What it holds; None is for nothing.
            refused: The disk refused to say.
        """
        with self._guard:
            if row is not None:
                self._catalog.add(row)
            elif refused:
                self._condemned.add(number)
            elif number not in self._aside:
                self._free.append(number)
            self._unread.discard(number)

    def take(self) -> Grant:
        """Return the block to write next; retires one now if none was made ready.

        Raises:
            OSError: The disk refuses.
            Misconfigured: ``volume.too_small``: every block is being written.
        """
        with self._guard:
            if not self._granted:
                self._grant(self.spare)  # one record for all: its flushes delay this group
            if not self._granted:
                raise OSError(errno.EIO, "the disk refuses the blocks that were to come next")
            grant = self._granted.popleft()
            self._in_use.add(grant.block)
            return grant

    def give_back(self, grant: Grant) -> None:
        """Take back a block in which nothing was acknowledged; it is the next to be given."""
        with self._guard:
            self._in_use.discard(grant.block)
            self._granted.appendleft(grant)

    def use(self, number: int, serial: int) -> bool:
        """Note that a block of an earlier process is being written again.

        Returns:
            Whether it may be; False if it was given up meanwhile, or set aside.
        """
        with self._guard:
            if self._serials[number] != serial or number in self._aside:
                return False
            self._in_use.add(number)
            return True

    @property
    def unwanted(self) -> frozenset[int]:
        """Blocks being written whose first parts are past their time: to be closed and released."""
        return self._unwanted

    def release(self, number: int) -> None:
        """Note that a block is no longer written, so its turn to be retired may come."""
        with self._guard:
            self._in_use.discard(number)

    def keep(self) -> bool:
        """Do one step of what should be ready before the writer asks: grant, or zero a block.

        Returns:
            Whether there was something to do.

        Raises:
            OSError: The disk refuses.
        """
        failed: OSError | None = None
        # Each in its turn, and none for ever held up by another that the disk refuses.
        for step in self._steps:
            try:
                if step():
                    return True
            except OSError as err:
                failed = failed or err
        if failed:
            raise failed
        return False

    def _grant_ahead(self) -> bool:
        with self._guard:
            if len(self._granted) * 2 > self.spare or self._only_unwritten_free():
                return False
            self._grant(self.spare - len(self._granted), zeroed=True)
            return True

    def _only_unwritten_free(self) -> bool:
        """Zeroing comes first while a first lap is under way."""
        return bool(self._free) and self._free[0] not in self._written

    def _expire(self) -> bool:
        """Give up a block that must go although there is room; whether there was one."""
        with self._guard:
            now_s = self._clock.monotonic_s()
            if now_s - self._looked_s < LOOK_S or len(self._to_erase) >= _MOST_ERASED:
                return False
            row = self._past()
            if row is None:
                self._looked_s = now_s
                return False
            self._give_up(*row)
            return True

    def _past(self) -> tuple[Row, str] | None:
        """Return a block that must go, and why."""
        now_us = self._age.now_us()
        known = shifts(self._notes)
        over = past_its_time(self._oldest(now_us), self._terms, now_us, known)
        self._unwanted = frozenset(row.head.block for row in over if row.spans) & self._in_use
        for row in over:
            if row.head.block not in self._in_use:
                return row, "age"
        oldest = self._oldest(now_us, self._in_use)
        size = self._identity.block_bytes
        most = too_much(self._catalog, oldest, self._terms, self._locked, size)
        return (most, "bytes") if most is not None else None

    def _give_up(self, row: Row, why: str) -> None:
        """Take a block out of the archive, as granting it would, before its turn."""
        number, stream = row.head.block, row.head.stream
        grant = Grant(number, self._next_serial)
        erase = [number] if self._terms(stream).limit_s else []
        self._catalog.remove(number)
        if erase:
            self._private.add(number)
        try:
            self._append(self._record([grant], erase))
        except OSError:
            if number not in self._aside:
                self._free.appendleft(number)  # the next to be granted
            raise
        self._private.discard(number)
        self._next_serial += 1
        self._serials[number] = grant.serial
        self._unlogged = []
        event(_log, logging.DEBUG, "retention.gone", stream=stream, block=number, why=why)
        if erase:
            self._to_erase.append(number)
            return
        refused = self._zero_heads([number])
        if not refused and number not in self._aside:
            self._free.append(number)

    def standing(self) -> tuple[int, frozenset[int]]:
        """How many blocks are free or soon will be, and which of the others must stay."""
        with self._guard:
            self._oldest(self._clock.wall_us())  # what a lock holds is known after it
            kept = self._in_use.union(self._aside, self._condemned, self._locked)
            return len(self._free) + len(self._to_erase), frozenset(kept)

    def _give_up_oldest(self) -> bool:
        if self._unread:
            return False  # nobody knows yet what is the oldest
        now_us = self._age.now_us()
        oldest = self._oldest(now_us, self._in_use, self._aside)
        chosen = next_to_go(oldest, self._terms, now_us)
        if chosen is None or guaranteed(chosen, self._terms, now_us):
            why = "what is left of the recordings is locked or guaranteed, and stays"
            self._wait(Unavailable("volume.kept", why))
            return False
        self._give_up(chosen.row, "size")
        return True

    def _grant(self, count: int, *, zeroed: bool = False) -> None:
        """Grant blocks; with `zeroed`, those that were never wholly written go to be zeroed first.

        One such block among those of a group makes the flush dearer for all of them.
        """
        chosen = [number for _ in range(count) if (number := self._victim()) is not None]
        if not chosen:
            raise Misconfigured(
                "volume.too_small",
                "the volume has too few blocks for its streams",
                blocks=self.blocks,
            )
        used = [number for number in chosen if self._serials[number]]
        for number in used:
            self._catalog.remove(number)
        # Of the streams that must be gone some day nothing is left behind in a block used anew,
        # unless a group waits for it.
        private = [number for number in used if number in self._private]
        erase = private if zeroed else []
        grants = [
            Grant(number, self._next_serial + n, number in private and not zeroed)
            for n, number in enumerate(chosen)
        ]
        self._next_serial += len(grants)
        for grant in grants:
            self._serials[grant.block] = grant.serial
        try:
            refused = self._retire(used, grants, erase)
        except OSError:
            self._free.extendleft(reversed(chosen))
            raise
        self._private.difference_update(chosen)
        for grant in grants:
            if grant.block in refused:
                continue
            if grant.block in erase:
                self._to_erase.append(grant.block)
            elif zeroed and grant.block not in self._written:
                self._free.append(grant.block)
            else:
                self._granted.append(grant)

    def _victim(self) -> int | None:
        """Free blocks first, then what `record.retention` gives up."""
        if self._free:
            return self._free.popleft()
        now_us = self._clock.wall_us()
        oldest = self._oldest(now_us, self._in_use, self._aside)
        chosen = next_to_go(oldest, self._terms, now_us)
        if chosen is None:
            return None
        number = chosen.row.head.block
        self._catalog.remove(number)
        if self._terms(chosen.row.head.stream).limit_s:
            self._private.add(number)
        return number

    def _oldest(self, now_us: int, *but: Container[int]) -> list[Oldest]:
        """Return each stream's first block that may go and is not one of `but`."""
        self._end_locks()
        kept = _Kept(*but, self._condemned, self._locked)
        while True:
            oldest = self._catalog.oldest(kept, now_us)
            # What was recorded after the lock on it was made is not among the locked yet.
            later = [it.row.head.block for it in oldest if self._locks.hold(it.row)]
            if not later:
                return oldest
            self._locked.update(later)

    def _record(self, grants: Sequence[Grant], erase: Sequence[int]) -> Record:
        record: Record = {
            "kind": "grant",
            "blocks": [[grant.block, grant.serial] for grant in grants],
            "written": self._unlogged,
        }
        return {**record, "erase": list(erase)} if erase else record

    def _retire(
        self, used: Sequence[int], grants: Sequence[Grant], erase: Sequence[int] = ()
    ) -> Collection[int]:
        """Give up blocks durably: in the log first, which alone decides, then in their heads.

        The other way round a cut in between leaves a block that a remembered row still shows
        and a rebuilt index does not. The heads are for the day when the log is lost.

        Returns:
            Those that the disk refuses: they were given up, but cannot be used.
        """
        self._append(self._record(grants, erase))
        self._unlogged = []
        return self._zero_heads(used)

    def _zero_heads(self, used: Sequence[int]) -> Collection[int]:
        try:
            self._zero_pages(used)
        except OSError:
            refused = [number for number in used if not self._takes_head(number)]
            for number in refused:
                self.suspect(number)
            return refused
        return ()

    def _takes_head(self, number: int) -> bool:
        try:
            self._zero_pages([number])
        except OSError:
            return False
        return True

    def _zero_pages(self, used: Sequence[int]) -> None:
        ranges = []
        for number in used:
            self._disk.pwrite(block.name(number), [_ZERO_PAGE], 0)
            ranges.append((block.name(number), 0, PAGE_BYTES))
        if ranges:
            self._disk.flush(ranges, written_before=all(n in self._written for n in used))
