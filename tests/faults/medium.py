"""The inside of the drive: a medium, a volatile cache before it, and what can go wrong."""

import errno
import json
import mmap
import os
import random
import socket
import stat
import sys
import threading
import time
from pathlib import Path
from typing import Any

import mfusepy

from tests.faults.drive import NAME, SECTOR_BYTES

Writes = list[tuple[int, bytes]]
_LONG_BYTES = 32 << 10


class Medium:
    """What is written, what of it is durable, and the faults in force.

    Attributes:
        power: Without it nothing is read or written.
        cut_in: Writes and flushes until the power goes; below 0 for never.
        write_errors: Writes that fail from now on; below 0 for all.
        flush_errors: Flushes that fail from now on, and lose what they were for; below 0 for all.
        spared: Of them, those are spared that no long write would be lost by: the journal's own,
            and those after zeroes.
        bad: Offset and size of what cannot be read.
        unwritable: Offset and size of what cannot be written.
        slow_s: Seconds each write and each flush takes; several may be under way at once.
        operations: Writes and flushes so far.
    """

    def __init__(self, size_bytes: int) -> None:
        self.size_bytes = size_bytes
        self.power = True
        self.cut_in = -1
        self.write_errors = 0
        self.flush_errors = 0
        self.spared = False
        self.bad: list[tuple[int, int]] = []
        self.unwritable: list[tuple[int, int]] = []
        self.slow_s = 0.0
        self.operations = 0
        self.guard = threading.Lock()
        self._view = mmap.mmap(-1, size_bytes)
        self._durable = mmap.mmap(-1, size_bytes)
        self._pending: Writes = []
        self._rng = random.Random(0)

    def seed(self, seed: int) -> None:
        """Choose what stays at the next cut."""
        self._rng = random.Random(seed)

    def read(self, offset: int, size: int) -> bytes:
        """Read."""
        with self.guard:
            if not self.power or _meets(self.bad, offset, size):
                raise mfusepy.FuseOSError(errno.EIO)
            return self._view[offset : offset + size]

    def write(self, offset: int, data: bytes) -> None:
        """Write into the cache."""
        if self.slow_s:
            time.sleep(self.slow_s)
        with self.guard:
            if _meets(self.unwritable, offset, len(data)):
                raise mfusepy.FuseOSError(errno.EIO)
            if not self.power or self.write_errors:
                self.write_errors -= self.power and self.write_errors > 0
                raise mfusepy.FuseOSError(errno.EIO)
            # It is under way when the power goes: it may have got to the medium, or in part.
            self._view[offset : offset + len(data)] = data
            self._pending.append((offset, data))
            self._operate()

    def flush(self) -> None:
        """Empty the cache onto the medium; the power may go before it or after."""
        if self.slow_s:
            time.sleep(self.slow_s)
        with self.guard:
            self._operate()
            if self.flush_errors and not (self.spared and all(map(_dull, self._pending))):
                self.flush_errors -= self.flush_errors > 0
                self._settle([])
                raise mfusepy.FuseOSError(errno.EIO)
            self._settle(self._pending)
            self._operate()

    def _operate(self) -> None:
        if not self.power:
            raise mfusepy.FuseOSError(errno.EIO)
        self.operations += 1
        if self.cut_in >= 0:
            self.cut_in -= 1
            if self.cut_in < 0:
                self.strike()
                raise mfusepy.FuseOSError(errno.EIO)

    def strike(self) -> None:
        """Take the power away, and of what was not flushed what chance will have."""
        self.power = False
        self.cut_in = -1
        survive = self._rng.choice([_nothing, _everything, _prefix, _some_writes, _some_sectors])
        self._settle(survive(self._rng, self._pending))
        self.struck()

    def struck(self) -> None:
        """Called when the power went; `serve` tells the harness."""

    def _settle(self, kept: Writes) -> None:
        for at, data in kept:
            self._durable[at : at + len(data)] = data
        for at, data in self._pending:
            self._view[at : at + len(data)] = self._durable[at : at + len(data)]
        self._pending = []


def _meets(places: list[tuple[int, int]], offset: int, size: int) -> bool:
    return any(at < offset + size and offset < at + n for at, n in places)


def _dull(write: tuple[int, bytes]) -> bool:
    return len(write[1]) < _LONG_BYTES or not any(write[1])


def _nothing(_rng: random.Random, _writes: Writes) -> Writes:
    return []


def _everything(_rng: random.Random, writes: Writes) -> Writes:
    return writes


def _prefix(rng: random.Random, writes: Writes) -> Writes:
    """The first few, the last of them torn."""
    kept = writes[: rng.randint(0, len(writes))]
    if kept:
        at, data = kept[-1]
        kept[-1] = at, data[: rng.randint(0, len(data) // SECTOR_BYTES) * SECTOR_BYTES]
    return kept


def _some_writes(rng: random.Random, writes: Writes) -> Writes:
    return [write for write in writes if rng.random() < 0.5]


def _some_sectors(rng: random.Random, writes: Writes) -> Writes:
    return [
        (at + piece, data[piece : piece + SECTOR_BYTES])
        for at, data in writes
        for piece in range(0, len(data), SECTOR_BYTES)
        if rng.random() < 0.5
    ]


class _Files(mfusepy.Operations):  # type: ignore[misc]
    """The one file of the mount."""

    use_ns = True

    def __init__(self, medium: Medium) -> None:
        self._medium = medium

    def getattr(self, path: str, _fh: int | None = None) -> dict[str, Any]:
        if path == "/":
            return {"st_mode": stat.S_IFDIR | 0o700, "st_nlink": 2}
        if path == f"/{NAME}":
            return {
                "st_mode": stat.S_IFREG | 0o600,
                "st_nlink": 1,
                "st_size": self._medium.size_bytes,
            }
        raise mfusepy.FuseOSError(errno.ENOENT)

    def read(self, _path: str, size: int, offset: int, _fh: int) -> bytes:
        return self._medium.read(offset, size)

    def write(self, _path: str, data: bytes, offset: int, _fh: int) -> int:
        self._medium.write(offset, data)
        return len(data)

    def fsync(self, _path: str, _datasync: int, _fh: int) -> int:
        self._medium.flush()
        return 0


def serve(control: socket.socket, strikes: int, point: Path, size_bytes: int) -> None:
    """Be the drive until the mount ends; with the harness's end of `control` it ends at once.

    Args:
        control: Questions and answers, a line of JSON each.
        strikes: A pipe that is told when the power went, in monotonic seconds.
        point: Where to mount.
        size_bytes: Of the disk.
    """
    medium = Medium(size_bytes)

    def struck() -> None:
        os.write(strikes, f"{time.monotonic()}\n".encode())

    medium.struck = struck  # type: ignore[method-assign]
    threading.Thread(target=_obey, args=(control, medium), daemon=True).start()
    mfusepy.FUSE(_Files(medium), str(point), foreground=True, max_threads=16)


def _obey(control: socket.socket, medium: Medium) -> None:
    for line in control.makefile("r"):
        words = json.loads(line)
        with medium.guard:
            if "seed" in words:
                medium.seed(words.pop("seed"))
            if words.pop("strike", False):
                medium.strike()
            for name, value in words.items():
                setattr(medium, name, value)
            told = {"power": medium.power, "operations": medium.operations}
            told |= {"write_errors": medium.write_errors, "flush_errors": medium.flush_errors}
            control.sendall(json.dumps(told).encode() + b"\n")
    os._exit(0)  # nobody is there to ask for the rest


if __name__ == "__main__":
    serve(
        socket.socket(fileno=int(sys.argv[1])),
        int(sys.argv[2]),
        Path(sys.argv[3]),
        int(sys.argv[4]),
    )
