"""A disk in memory that loses its volatile cache when the power is cut, and can fail in other ways.

What a write promises before a flush: nothing. At a cut any part of the unflushed writes may have
reached the medium: none, all, the first few, any of them, any of their sectors; and a page the
device was busy with, 4 or 16 KiB, may hold garbage, neighbouring bytes included.

Pages of a file that were only allocated stay unknown to the file system until that file itself
is flushed: after one flush for many files, such a page may read as zeroes again.

Source: the faults seen on ext4 over a drive with a volatile cache, and `fsync` semantics of
Linux 6.x after a write error (the pages become clean, and the next flush succeeds).
"""

import errno
import os
import random
from collections.abc import Callable, Sequence

SECTOR_BYTES = 512
_EXTENT_BYTES = 4096
_GARBAGE_PAGES = (4096, 16384)


class PowerCut(Exception):
    """The power is gone; nothing reaches the disk until `VirtualDisk.power_on`."""


class _File:
    def __init__(self, size: int) -> None:
        self.view = bytearray(size)
        self.medium = bytearray(size)
        self.pending: list[tuple[int, int]] = []
        self.unwritten = set(range(-(-size // _EXTENT_BYTES)))
        self.uncommitted: set[int] = set()
        self.named = False
        self.known_bytes = size  # of the size, what a power cut leaves

    def make_durable(self, offset: int, size: int, *, commit: bool) -> None:
        kept = []
        for at, length in self.pending:
            begin, end = max(at, offset), min(at + length, offset + size)
            if begin >= end:
                kept.append((at, length))
                continue
            self.medium[begin:end] = self.view[begin:end]
            touched = range(begin // _EXTENT_BYTES, -(-end // _EXTENT_BYTES))
            self.uncommitted.update(self.unwritten.intersection(touched))
            if at < begin:
                kept.append((at, begin - at))
            if end < at + length:
                kept.append((end, at + length - end))
        self.pending = kept
        if commit:
            self.unwritten -= self.uncommitted
            self.uncommitted.clear()
            self.known_bytes = len(self.view)

    def resize(self, size: int) -> None:
        """Make it larger, or cut off what a power cut takes of its size."""
        extents = range(-(-len(self.view) // _EXTENT_BYTES), -(-size // _EXTENT_BYTES))
        self.unwritten.update(extents)
        for side in (self.view, self.medium):
            side[size:] = bytes(max(0, size - len(side)))


class VirtualDisk:
    """See `Disk`.

    Args:
        rng: Decides everything that chance decides.
        one_flush: Do what ext4 does with one flush for many files; otherwise each has its own.
        spend: Called with the seconds an operation takes, to move a fake clock.
    """

    def __init__(
        self,
        rng: random.Random,
        *,
        one_flush: bool = True,
        spend: Callable[[float], None] | None = None,
    ) -> None:
        self.cut_in = -1
        self.read_only = False
        self.full = False
        self.write_errors = 0
        self.flush_errors = 0
        self.bad_paths: set[str] = set()
        self.bad_sectors: set[tuple[str, int]] = set()
        self.flush_s = (0.0, 0.0)
        self.operations = 0
        self._rng = rng
        self._one_flush = one_flush
        self._spend = spend
        self._files: dict[str, _File] = {}
        self._removed: dict[str, _File] = {}  # of which a power cut may bring back some
        self._off = False

    def _operate(self) -> None:
        """Count an operation; the power may go before it."""
        if self._off:
            raise PowerCut
        self.operations += 1
        if self.cut_in >= 0:
            self.cut_in -= 1
            if self.cut_in < 0:
                self._off = True
                raise PowerCut

    def _file(self, path: str) -> _File:
        if path not in self._files:
            raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), path)
        return self._files[path]

    def create(self, path: str, size: int) -> None:  # noqa: D102 - see Disk
        self._operate()
        self._writable(path)
        found = self._files.get(path)
        if found is None:
            self._files[path] = _File(size)
        elif len(found.view) < size:
            found.resize(size)

    def remove(self, path: str) -> None:  # noqa: D102 - see Disk
        file = self._file(path)
        self._operate()
        if self.read_only:
            self._writable(path)
        del self._files[path]
        if file.named:
            self._removed[path] = file

    def _writable(self, path: str) -> None:
        if self.read_only:
            raise OSError(errno.EROFS, os.strerror(errno.EROFS), path)
        if self.full:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), path)

    def pread(self, path: str, size: int, offset: int) -> bytes:  # noqa: D102 - see Disk
        if self._off:
            raise PowerCut
        view = self._file(path).view
        if self.bad_sectors and any(
            (path, sector) in self.bad_sectors
            for sector in range(offset // SECTOR_BYTES, -(-(offset + size) // SECTOR_BYTES))
        ):
            raise OSError(errno.EIO, os.strerror(errno.EIO), path)
        return bytes(view[offset : offset + size])

    def pwrite(  # noqa: D102 - see Disk
        self, path: str, pieces: Sequence[bytes | bytearray | memoryview], offset: int
    ) -> None:
        if self.read_only:
            self._writable(path)
        if self.write_errors:
            self.write_errors -= 1
            raise OSError(errno.EIO, os.strerror(errno.EIO), path)
        file = self._file(path)
        data = b"".join(pieces)
        if offset + len(data) > len(file.view):
            raise OSError(errno.ENOSPC, "a file of the volume must not grow", path)
        if self._off:
            raise PowerCut
        # The write is under way when the power goes: it may have got to the disk, or in part.
        file.view[offset : offset + len(data)] = data
        file.pending.append((offset, len(data)))
        self._operate()

    def zero(self, path: str, size: int, offset: int) -> None:  # noqa: D102 - see Disk
        self.pwrite(path, [bytes(size)], offset)

    def flush(  # noqa: D102 - see Disk
        self, ranges: Sequence[tuple[str, int, int]], *, written_before: bool
    ) -> None:
        if self._spend is not None:
            self._spend(self._rng.uniform(*self.flush_s))
        self._operate()
        self._fail_flush(ranges)
        if written_before and self._one_flush:
            for number, (path, offset, size) in enumerate(ranges):
                self._file(path).make_durable(offset, size, commit=number == 0)
        else:
            for path in dict.fromkeys(path for path, _, _ in ranges):
                self._operate()
                file = self._file(path)
                file.make_durable(0, len(file.view), commit=True)
        self._operate()

    def _fail_flush(self, ranges: Sequence[tuple[str, int, int]]) -> None:
        bad = [path for path, _, _ in ranges if path in self.bad_paths]
        if self.flush_errors or bad or self.read_only:
            self.flush_errors = max(0, self.flush_errors - 1)
            for path, _, _ in ranges:
                self._file(path).pending.clear()  # the kernel calls the pages clean from here on
            raise OSError(errno.EIO, os.strerror(errno.EIO), bad[0] if bad else ranges[0][0])

    def drop_cache(self, path: str) -> None:  # noqa: D102 - see Disk
        file = self._file(path)
        if not file.pending:
            file.view[:] = file.medium

    def sync_directory(self) -> None:  # noqa: D102 - see Disk
        self._operate()
        for file in self._files.values():
            file.named = True
        self._removed.clear()

    def listing(self) -> list[tuple[str, int]]:  # noqa: D102 - see Disk
        if self._off:
            raise PowerCut
        return sorted((path, len(file.view)) for path, file in self._files.items())

    def refused(self) -> tuple[int, str]:  # noqa: D102 - see Disk
        return 0, ""

    def free_bytes(self) -> int:  # noqa: D102 - see Disk
        return 0 if self.full else 1 << 40

    def lock(self) -> None:  # noqa: D102 - see Disk
        return

    def close(self) -> None:  # noqa: D102 - see Disk
        return

    def power_on(self) -> None:
        """Come back with what the medium kept."""
        survive = self._rng.choice([_nothing, _everything, _prefix, _some_writes, _some_sectors])
        for path, file in self._removed.items():
            if path not in self._files and self._rng.random() < 0.5:
                self._files[path] = file
        self._removed.clear()
        for path, file in list(self._files.items()):
            if not file.named and self._rng.random() < 0.5:
                del self._files[path]
                continue
            for begin, end in survive(self._rng, file.pending):
                file.medium[begin:end] = file.view[begin:end]
            if file.pending and self._rng.random() < 0.5:
                self._spoil(file)
            for extent in file.uncommitted:
                if self._rng.random() < 0.5:
                    at = extent * _EXTENT_BYTES
                    file.medium[at : at + _EXTENT_BYTES] = bytes(
                        len(file.medium[at : at + _EXTENT_BYTES])
                    )
            file.uncommitted.clear()
            file.pending.clear()
            if len(file.view) > file.known_bytes and self._rng.random() < 0.5:
                file.resize(file.known_bytes)
            file.known_bytes = len(file.view)
            file.view[:] = file.medium
        self._off = False
        self.cut_in = -1

    def _spoil(self, file: _File) -> None:
        """Fill one page that an unflushed write touches with garbage."""
        offset, size = self._rng.choice(file.pending)
        page = self._rng.choice(_GARBAGE_PAGES)
        at = self._rng.randrange(offset, offset + max(1, size)) // page * page
        end = min(at + page, len(file.medium))
        file.medium[at:end] = self._rng.randbytes(end - at)


Survivors = list[tuple[int, int]]


def _nothing(_rng: random.Random, _pending: Survivors) -> Survivors:
    return []


def _everything(_rng: random.Random, pending: Survivors) -> Survivors:
    return [(at, at + size) for at, size in pending]


def _prefix(rng: random.Random, pending: Survivors) -> Survivors:
    """The first few writes, the last of them torn."""
    count = rng.randint(0, len(pending))
    kept = [(at, at + size) for at, size in pending[:count]]
    if kept:
        at, end = kept[-1]
        sectors = -(-(end - at) // SECTOR_BYTES)
        kept[-1] = at, min(end, at + rng.randint(0, sectors) * SECTOR_BYTES)
    return kept


def _some_writes(rng: random.Random, pending: Survivors) -> Survivors:
    return [(at, at + size) for at, size in pending if rng.random() < 0.5]


def _some_sectors(rng: random.Random, pending: Survivors) -> Survivors:
    return [
        (sector, min(sector + SECTOR_BYTES, at + size))
        for at, size in pending
        for sector in range(at // SECTOR_BYTES * SECTOR_BYTES, at + size, SECTOR_BYTES)
        if rng.random() < 0.5
    ]
