"""A file that appears under its name only when it is whole, and on the disk."""

import contextlib
import hashlib
import os
from collections.abc import Generator, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO


@dataclass(frozen=True, slots=True)
class Whole:
    """A file that is there.

    Attributes:
        size_bytes: Its size.
        sha256: Hexadecimal SHA-256 of it.
    """

    size_bytes: int
    sha256: str


def whole_file(
    path: Path, pieces: Iterable[tuple[bytes, float]], *, sync_bytes: int = 0
) -> Generator[float, None, Whole]:
    """Write pieces into a file, yielding each one's share of the work when it is written.

    May be left and taken up again; closed before its end it leaves nothing.

    Args:
        path: The file.
        pieces: What is in it.
        sync_bytes: Written out to the disk, and forgotten by the system, after so many; 0: at the
            end only.

    Raises:
        OSError: It cannot be written.
    """
    digest, size, synced = hashlib.sha256(), 0, 0
    unfinished = path.with_name(path.name + ".part")
    try:
        with unfinished.open("wb") as file:
            for piece, share in pieces:
                file.write(piece)
                digest.update(piece)
                size += len(piece)
                if sync_bytes and size - synced >= sync_bytes:
                    synced = size
                    _write_out(file)
                yield share
            file.flush()
            os.fsync(file.fileno())
        unfinished.replace(path)
    finally:
        with contextlib.suppress(OSError):  # the disk may have been pulled
            unfinished.unlink(missing_ok=True)
    return Whole(size, digest.hexdigest())


def _write_out(file: BinaryIO) -> None:
    file.flush()
    os.fdatasync(file.fileno())
    os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
