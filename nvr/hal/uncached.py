"""Reads a file from its medium rather than from what the system remembers of it.

What the medium's own controller remembers, and a file system in FUSE, cannot be passed by.

Source: open(2), ``O_DIRECT``; posix_fadvise(2).
"""

import errno
import mmap
import os
from collections.abc import Iterator
from pathlib import Path

_PIECE_BYTES = 1 << 20


def read_uncached(path: Path) -> Iterator[memoryview]:
    """Yield what is in a file, which must be durable; each piece holds until the next is taken.

    Raises:
        OSError: It cannot be read.
    """
    flags = os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW
    fd = os.open(path, flags)
    try:
        os.posix_fadvise(fd, 0, 0, os.POSIX_FADV_DONTNEED)
        left = os.fstat(fd).st_size
    finally:
        os.close(fd)
    try:
        fd = os.open(path, flags | os.O_DIRECT)
    except OSError as err:
        if err.errno != errno.EINVAL:
            raise
        fd = os.open(path, flags)  # a file system without it
    try:
        piece = memoryview(mmap.mmap(-1, _PIECE_BYTES))  # on a page boundary, as O_DIRECT asks
        while left > 0 and (got := os.readv(fd, [piece])):
            left -= got
            yield piece[:got]
    finally:
        os.close(fd)
