"""How many blocks a volume has: made larger and smaller while it records.

A block whose file is not there is *absent*. The log says which are, so that a power cut leaves no
doubt: a file is made before the log calls its block present, and removed after the log calls it
absent. New numbers come into being with the identity, which has two copies; they are absent until
their files are made. What is to be is in the log too, so that what was begun goes on after a start.
"""

import contextlib
import logging
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from itertools import islice

from nvr.base.errors import NvrError, Unavailable
from nvr.base.log import event
from nvr.record import block, log, volume
from nvr.record.stock import Stock
from nvr.record.volume import SPARE_BYTES

_log = logging.getLogger(__name__)

AT_ONCE = 16
"""Files that are made or removed with one record."""
AGAIN_S = 30.0
"""What had to wait for room, or for a lock to end, is tried again so often."""


class Sized(Stock):
    """The part of a `Ring` that makes and removes the files of blocks."""

    _again_s = -1e9
    _stuck: NvrError | None = None
    _swept: Iterator[int] | None = None

    @property
    def wanted(self) -> int:
        """How many blocks there are to be."""
        with self._guard:
            return self._wanted or self.blocks

    @property
    def stuck(self) -> NvrError | None:
        """Why there are not as many as there are to be, None if they are, or soon will be."""
        return self._stuck

    def resize(self, blocks: int, by: str) -> None:
        """Note, durably, how many blocks there are to be; `keep` makes it so, a few at a time.

        Args:
            blocks: How many. With fewer, recordings are given up until what remains fits.
            by: Who wants it.

        Raises:
            OSError: The disk refuses; nothing changed.
        """
        with self._guard:
            if blocks > self._identity.blocks:
                self._widen(blocks)
            wall_us = self._clock.wall_us()
            self._append({"kind": "size", "blocks": blocks, "by": by, "wall_us": wall_us})
            self._wanted = blocks
            self._stuck, self._again_s = None, -1e9
            have = self.blocks
        event(_log, logging.INFO, "record.resizing", blocks=have, wanted=blocks, by=by)

    def _widen(self, blocks: int) -> None:
        """Give more blocks a number; the log has none of them yet, so they are absent."""
        now = self._identity
        size, more = log.size_for(now.blocks), log.size_for(blocks)
        for path in log.NAMES:
            self._disk.create(path, more)
            self._disk.flush([(path, size, more - size)], written_before=False)
        wide = replace(now, generation=now.generation + 1, blocks=blocks)
        volume.write(self._disk, wide)
        self._identity = wide
        self._volume_log.widen(more)
        self._serials.extend([0] * (blocks - now.blocks))
        for known in (self._written, self._absent):
            known.widen(blocks)
        self._absent.update(range(now.blocks, blocks))

    def _fit(self) -> bool:
        """Do one step towards the size that is wanted; whether there was one to do."""
        return self._sweep() or self._grow() or self._shrink()

    def _sweep(self) -> bool:
        """Remove files of absent blocks that a power cut left; whether some remain to be tried."""
        with self._guard:
            if self._swept is None:
                self._swept = iter(self._absent)
            numbers = list(islice(self._swept, 4 * AT_ONCE))
        if not numbers:
            return False
        self._remove(numbers)
        return True

    def _remove(self, numbers: Iterable[int]) -> None:
        for number in numbers:
            with contextlib.suppress(OSError):  # it takes room until the next start tries again
                self._disk.remove(block.name(number))
        with contextlib.suppress(OSError):
            self._disk.sync_directory()

    def _grow(self) -> bool:
        with self._guard:
            missing = self.wanted - self.blocks
            if missing <= 0 or self._clock.monotonic_s() < self._again_s:
                return False
            numbers = list(islice(self._absent, min(missing, AT_ONCE)))
        size = self._identity.block_bytes
        room = self._disk.free_bytes() - SPARE_BYTES
        if room < missing * size:
            self._wait(
                Unavailable(
                    "volume.no_room",
                    "the disk has too little room to make the volume as large as size_mib asks",
                    needs_mib=missing * size >> 20,
                    free_mib=max(0, room) >> 20,
                )
            )
            return False
        self._again_s = self._clock.monotonic_s() + AGAIN_S
        try:
            for number in numbers:
                self._disk.create(block.name(number), size)
            self._disk.sync_directory()
        except OSError:
            self._remove(numbers)
            raise
        with self._guard:
            # If this fails one copy may say it all the same: the files stay, until the next start.
            self._append({"kind": "present", "ranges": list(_ranges(numbers))})
            self._absent.difference_update(numbers)
            self._free.extend(numbers)
            self._again_s = -1e9
            self._settled()
        return True

    def _shrink(self) -> bool:
        with self._guard:
            excess = self.blocks - self.wanted
            if excess <= 0 or self._clock.monotonic_s() < self._again_s:
                return False
            if not self._free:
                return self._give_up_oldest()
            # Those not zeroed yet, at the end, are the least loss.
            numbers = [self._free.pop() for _ in range(min(excess, AT_ONCE, len(self._free)))]
            try:
                self._append({"kind": "absent", "ranges": list(_ranges(sorted(numbers)))})
            except OSError:
                self._free.extend(reversed(numbers))
                raise
            self._absent.update(numbers)
            self._written.difference_update(numbers)
            self._unlogged = [number for number in self._unlogged if number not in self._absent]
            self._settled()
        self._remove(numbers)
        return True

    def _give_up_oldest(self) -> bool:
        """Take a block out of the archive so that it may be removed; whether there was one."""
        raise NotImplementedError

    def _wait(self, why: NvrError) -> None:
        if self._stuck is None or self._stuck.code != why.code:
            event(_log, logging.WARNING, "record.resize_waits", error=str(why))
        self._stuck = why
        self._again_s = self._clock.monotonic_s() + AGAIN_S

    def _settled(self) -> None:
        self._stuck = None
        if self.blocks == self.wanted:
            event(_log, logging.INFO, "record.resized", blocks=self.blocks)


def _ranges(numbers: Sequence[int]) -> Iterator[list[int]]:
    """Yield first and one after last of each run of numbers, which ascend."""
    at = 0
    for n in range(1, len(numbers) + 1):
        if n == len(numbers) or numbers[n] != numbers[n - 1] + 1:
            yield [numbers[at], numbers[n - 1] + 1]
            at = n
