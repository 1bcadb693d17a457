"""Exports onto a USB stick: written, made durable, read back from the stick, and unmounted.

Everything goes through the directory that was open when it began: where a stick is pulled and its
mount point becomes a directory of the system's disk, nothing is written there.
"""

import errno
import hashlib
import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

from nvr.base.errors import Damaged, NvrError, Rejected, Unavailable
from nvr.export.out import SUMS, File, Pieces, Steps
from nvr.export.whole import whole_file
from nvr.hal.ports import Stick, Sticks
from nvr.hal.uncached import read_uncached

SYNC_BYTES = 16 << 20
"""Written out after so many: what waits in memory is neither progress nor safe."""
_WRITING = 0.8
"""Share of the work; the rest is reading back."""


class StickOut:
    """See `Out`.

    Args:
        sticks: Lets go of it.
        stick: The stick.
        folder: Name of the directory to make on it.

    Raises:
        Unavailable: ``usb.gone``, ``export.unwritable``.
    """

    def __init__(self, sticks: Sticks, stick: Stick, folder: str) -> None:
        self._sticks = sticks
        self._stick = stick
        self.files: list[File] = []
        self.safe: bool | None = False
        self._fd = -1
        try:
            self._fd = os.open(stick.directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
            self._folder = _new(Path(f"/proc/self/fd/{self._fd}"), folder)
        except OSError as err:
            why = self._why(err)
            self._close()
            raise why from err
        self.place = f"{stick.title}: {self._folder.name}"

    def write(self, name: str, pieces: Pieces) -> Steps:  # noqa: D102 - see Out
        path = self._folder / name
        try:
            whole = yield from whole_file(path, self._watched(pieces), sync_bytes=SYNC_BYTES)
        except OSError as err:
            raise self._why(err) from err
        self.files.append(File(name, whole.size_bytes, whole.sha256))

    def finish(self, last: Callable[[], bool]) -> Steps:  # noqa: D102 - see Out
        sums = "".join(f"{file.sha256}  {file.name}\n" for file in self.files).encode()
        try:
            yield from whole_file(self._folder / SUMS, [(sums, _WRITING)])
            for directory in (self._folder, self._folder.parent):
                _sync(directory)
            yield from self._read_back()
            self._close()
            self.safe = last() and self._sticks.eject(self._stick)
        except OSError as err:
            raise self._why(err) from err
        yield 1.0

    def give_up(self) -> None:  # noqa: D102 - see Out
        if self._fd >= 0:
            shutil.rmtree(self._folder, ignore_errors=True)
            self._close()
            self.files = []

    def hurry(self) -> None:  # noqa: D102 - see Out
        return

    def _watched(self, pieces: Pieces) -> Iterator[tuple[bytes, float]]:
        for piece, share in pieces:
            if not self._there():
                raise _gone()
            yield piece, share * _WRITING

    def _read_back(self) -> Steps:
        whole, done = max(1, sum(file.size_bytes for file in self.files)), 0
        for file in self.files:
            digest = hashlib.sha256()
            for piece in read_uncached(self._folder / file.name):
                digest.update(piece)
                done += len(piece)
                yield _WRITING + (1 - _WRITING) * done / whole
            if digest.hexdigest() != file.sha256:
                raise Damaged(
                    "usb.wrong_bytes",
                    "the stick does not give back what was written to it: throw it away",
                    file=file.name,
                )

    def _there(self) -> bool:
        """Whether what is mounted there is still what was when it began."""
        try:
            now, then = os.stat(self._stick.directory), os.fstat(self._fd)
        except OSError:
            return False
        return (now.st_dev, now.st_ino) == (then.st_dev, then.st_ino)

    def _why(self, err: OSError) -> NvrError:
        if err.errno == errno.ENOSPC:
            return Unavailable("export.no_room", "the stick is full")
        if err.errno == errno.EFBIG:
            return Rejected("export.too_big", "the stick's file system takes no file so big")
        if err.errno == errno.EINVAL:
            return Unavailable("export.unwritable", "the stick is not mounted with utf8 names")
        if err.errno in {errno.EIO, errno.ENODEV, errno.ENXIO, errno.EROFS} or not self._there():
            return _gone()
        return Unavailable("export.unwritable", f"the stick cannot be written: {err}")

    def _close(self) -> None:
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1


def _gone() -> Unavailable:
    return Unavailable("usb.gone", "the stick was pulled out, or fails, before it was finished")


def _new(parent: Path, name: str) -> Path:
    """Make a directory of this name, or one with a number where it is taken."""
    for number in range(1, 100):
        path = parent / (name if number == 1 else f"{name}-{number}")
        try:
            path.mkdir()
        except FileExistsError:
            continue
        return path
    raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), name)


def _sync(directory: Path) -> None:
    fd = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)
