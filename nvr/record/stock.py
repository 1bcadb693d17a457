"""The free blocks of an open volume: zeroed ahead, and set aside where the disk refuses them.

A disk that refuses everything is away, not worn: a block is set aside only once it was refused
several times, and the disk takes the record of it in ``volume.log`` all the same.
"""

import errno
import logging
from collections import Counter, deque
from collections.abc import Collection, Iterable

from nvr.base.clock import Clock
from nvr.base.log import event
from nvr.hal.ports import Disk
from nvr.record import block
from nvr.record.catalog import Catalog
from nvr.record.ledger import Ledger
from nvr.record.log import VolumeLog
from nvr.record.log_state import LogState
from nvr.record.volume import Identity

_log = logging.getLogger(__name__)

REFUSALS = 3
"""A block that was refused so often is set aside."""
MOST_ASIDE_SHARE = 8
"""Of a disk that cannot read more than an eighth, the rest is used on: recording comes first."""
TRY_S = 10.0
"""Blocks that were refused are tried again so often."""
_BLAMED = {errno.EIO, errno.EREMOTEIO, errno.ENODATA, errno.EILSEQ, errno.EBADMSG, errno.ENOENT}
"""What the medium under a block, or the lack of its file, is to blame for."""
_PIECE_BYTES = 1 << 20
_MOST_SPARE = 16


class Stock(Ledger):
    """The part of a `Ring`, which describes the arguments, that knows the blocks nobody writes."""

    def __init__(
        self,
        disk: Disk,
        identity: Identity,
        log: VolumeLog,
        catalog: Catalog,
        state: LogState,
        *,
        refused: Collection[int],
        unread: Collection[int],
        clock: Clock,
    ) -> None:
        super().__init__(identity, log, catalog, state, clock)
        self._disk = disk
        kept = {*refused, *unread, *state.erase, *state.aside}
        free = [
            n
            for n in range(identity.blocks)
            if not catalog.serial(n) and n not in kept and n not in state.absent
        ]
        self._free = deque(sorted(free, key=lambda number: (number not in state.written, number)))
        self._in_use: set[int] = set()
        self._condemned = set(refused)
        self._suspects: deque[int] = deque()
        self._refusals: Counter[int] = Counter()
        self._tried_s = -TRY_S
        self._unlogged: list[int] = []

    @property
    def spare(self) -> int:
        """Blocks that are kept ready for the next ones to be begun."""
        return max(1, min(_MOST_SPARE, self.blocks // 8))

    @property
    def condemned(self) -> int:
        """Blocks not used, because the disk refused them in this process or before."""
        # Without the guard, here and below: it is held for as long as a disk hangs.
        return len(self._condemned | self._aside)

    @property
    def aside(self) -> tuple[int, ...]:
        """Blocks that were set aside."""
        return tuple(sorted(self._aside))

    def is_aside(self, number: int) -> bool:
        """Whether a block was set aside."""
        return number in self._aside

    def condemn(self, number: int) -> None:
        """Keep a block out of use, and what was acknowledged in it readable, until the next start.

        Its last pages were written, but the disk refused to flush them: whatever the page cache
        says about them from here on proves nothing.
        """
        with self._guard:
            self._condemned.add(number)
            self._in_use.discard(number)
        event(_log, logging.ERROR, "record.block_condemned", block=number)

    def suspect(self, number: int) -> None:
        """Keep a block in which nothing was acknowledged out of use until the disk takes it."""
        self.condemn(number)
        with self._guard:
            self._refusals[number] += 1
            self._suspects.append(number)

    def set_aside(self, numbers: Iterable[int], why: str) -> None:
        """Record on these blocks no more, durably: the disk refuses them.

        What still can be read there stays, and goes when it must; the block is not used after it.

        Args:
            numbers: The blocks.
            why: ``read`` or ``write``: what the disk refuses.

        Raises:
            OSError: The disk refuses even the note of it; nothing changed.
        """
        with self._guard:
            fresh = [number for number in dict.fromkeys(numbers) if number not in self._aside]
            if not fresh:
                return
            wall_us = self._clock.wall_us()
            self._append({"kind": "aside", "blocks": fresh, "why": why, "wall_us": wall_us})
            self._aside.update(fresh)
            self._condemned.difference_update(fresh)
            self._free = deque(number for number in self._free if number not in self._aside)
        for number in fresh:
            event(_log, logging.ERROR, "record.block_set_aside", block=number, refused=why)

    def _refuse(self, number: int, err: OSError) -> bool:
        """Count a refusal of a block; whether it is set aside for it."""
        if err.errno not in _BLAMED:
            return False
        self._refusals[number] += 1
        if self._refusals[number] < REFUSALS:
            return False
        try:
            self.set_aside([number], "write")
        except OSError:  # it is not the block, or not only
            return False
        return True

    def use_again(self, numbers: Iterable[int]) -> list[int]:
        """Take blocks that were set aside back, durably, if the disk takes them now.

        Where something is recorded it must be readable; elsewhere the block is zeroed.

        Returns:
            Those that are used again.

        Raises:
            OSError: The disk refuses the note of it.
        """
        taken = []
        for number in sorted(set(numbers).intersection(self._aside)):
            try:
                if self._catalog.serial(number):
                    self._read(number)
                else:
                    self._prove(number)
            except OSError:
                continue
            with self._guard:
                self._append({"kind": "use_again", "blocks": [number]})
                self._aside.difference_update([number])
                if not self._catalog.serial(number):
                    self._free.append(number)
            taken.append(number)
        return taken

    def at_rest(self, number: int) -> bool:
        """Whether nobody is writing to a block."""
        with self._guard:
            return number not in self._in_use

    def written_before(self, number: int) -> bool:
        """Whether every page of the block was durably written once."""
        return number in self._written

    def _erase(self) -> bool:
        """Zero a block that was given up for good; whether there was one."""
        with self._guard:
            if not self._to_erase:
                return False
            number = self._to_erase.popleft()
        done = False
        try:
            self._zero(number)
            with self._guard:
                self._append({"kind": "erased", "blocks": [number]})
                if number not in self._aside:
                    self._free.append(number)
            done = True
        except OSError as err:
            done = self._refuse(number, err)
            if not done:
                raise
        finally:
            if not done:
                self._to_erase.append(number)
        return True

    def _zero_ahead(self) -> bool:
        """Zero a free block that was never wholly written; whether there was one."""
        with self._guard:
            number = self._next_to_zero()
        if number is None:
            return False
        try:
            self._zero(number)
        except OSError as err:
            if not self._refuse(number, err):
                self._free.append(number)
                raise
        else:
            with self._guard:
                self._unlogged.append(number)
                self._free.appendleft(number)
        return True

    def _next_to_zero(self) -> int | None:
        spare = self.spare
        for ready, number in enumerate(self._free):
            if ready >= spare:
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

    def _try_suspect(self) -> bool:
        """Try a block again that the disk refused; whether it is decided what becomes of it."""
        now_s = self._clock.monotonic_s()
        with self._guard:
            if not self._suspects or now_s - self._tried_s < TRY_S:
                return False
            self._tried_s = now_s
            number = self._suspects.popleft()
        try:
            self._prove(number)
        except OSError as err:
            if not self._refuse(number, err):
                self._suspects.append(number)
                raise
        else:
            with self._guard:
                self._condemned.discard(number)
                self._unlogged.append(number)
                self._free.append(number)
        return True

    def _prove(self, number: int) -> None:
        """Zero a block, and see on the medium that it is.

        Raises:
            OSError: It is not.
        """
        self._zero(number)
        self._disk.drop_cache(block.name(number))
        self._read(number, zeroes=True)

    def _read(self, number: int, *, zeroes: bool = False) -> None:
        path, size = block.name(number), self._identity.block_bytes
        for offset in range(0, size, _PIECE_BYTES):
            data = self._disk.pread(path, min(_PIECE_BYTES, size - offset), offset)
            if zeroes and any(data):
                raise OSError(errno.EIO, "it reads back otherwise than it was written", path)
