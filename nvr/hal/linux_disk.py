"""A directory on a Linux file system as a `Disk`.

One flush for many files: on ext4, when every range lies on extents that were written before,
``sync_file_range`` on all of them and then a single ``fdatasync`` makes them durable, because the
data is on the device by then and the flush empties the device's cache. It is *not* enough for
extents that were only allocated: there the journal must commit each file (measured under cut
power: 16 of 2,288 acknowledged parts lost), so those files are flushed one by one, in parallel.

Source: Linux 6.1 ``fs/sync.c``, ``fs/ext4/fsync.c``; sync_file_range(2).
"""

import ctypes
import errno
import fcntl
import mmap
import os
import threading
from collections import OrderedDict
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import contextmanager
from pathlib import Path

from nvr._native import sync_ranges
from nvr.base.errors import Unavailable

EXT4_MAGIC = 0xEF53
_OPEN_FILES = 128
_FLUSH_THREADS = 4
_PIECE_BYTES = 1 << 20
_ZERO_PIECES = 16
_MOST_PIECES = 1024
"""A vectored write takes no more (``IOV_MAX``)."""
_LOCK_NAME = "volume.lock"


class LinuxDisk:
    """A volume's directory. See `Disk`.

    Args:
        directory: Where the files are; made if it is not there.
        read_only: Open files for reading only.

    Raises:
        OSError: The directory cannot be made or read.
    """

    def __init__(self, directory: Path, *, read_only: bool = False) -> None:
        if not read_only:
            directory.mkdir(parents=True, exist_ok=True)
        self.directory = directory
        self._flags = (os.O_RDONLY if read_only else os.O_RDWR) | os.O_CLOEXEC | os.O_NOFOLLOW
        self._libc = ctypes.CDLL(None, use_errno=True)
        self._one_flush = _file_system(self._libc, directory) == EXT4_MAGIC
        self._zeroes = mmap.mmap(-1, _PIECE_BYTES)  # on a page boundary, as O_DIRECT asks
        self._guard = threading.Lock()
        self._open: OrderedDict[str, int] = OrderedDict()
        self._users: dict[int, int] = {}
        self._removed: set[int] = set()
        self._closed = False
        self._locked = -1
        self._pool: ThreadPoolExecutor | None = None
        self._refused = (0, "")

    def _lend(self, path: str) -> int:
        """Lend a cached descriptor; the least used ones are closed beyond `_OPEN_FILES`."""
        with self._guard:
            fd = self._open.get(path, -1)
            if fd < 0:
                fd = os.open(self.directory / path, self._flags)
                self._users[fd] = 0
                if not self._closed:  # else it is this reader's alone
                    self._open[path] = fd
                if len(self._open) > _OPEN_FILES:
                    self._close_idle()
            if not self._closed:
                self._open.move_to_end(path)
            self._users[fd] += 1
            return fd

    def _give_back(self, *fds: int) -> None:
        with self._guard:
            for fd in fds:
                self._users[fd] -= 1
                if (self._closed or fd in self._removed) and not self._users[fd]:
                    self._removed.discard(fd)
                    del self._users[fd]
                    os.close(fd)

    def _refuse(self, err: OSError) -> None:
        """Count what the device refused; a file that is not there is no fault of its."""
        if err.errno != errno.ENOENT:
            self._refused = self._refused[0] + 1, str(err)

    def refused(self) -> tuple[int, str]:  # noqa: D102 - see Disk
        return self._refused

    @contextmanager
    def _file(self, path: str) -> Iterator[int]:
        fd = self._lend(path)
        try:
            yield fd
        except OSError as err:
            self._refuse(err)
            raise
        finally:
            self._give_back(fd)

    def _close_idle(self) -> None:
        for path, fd in list(self._open.items()):
            if len(self._open) <= _OPEN_FILES:
                return
            if not self._users[fd] and path != next(reversed(self._open)):
                del self._open[path], self._users[fd]
                os.close(fd)

    def create(self, path: str, size: int) -> None:  # noqa: D102 - see Disk
        fd = os.open(self.directory / path, os.O_CREAT | self._flags, 0o640)
        try:
            os.posix_fallocate(fd, 0, size)
        finally:
            os.close(fd)

    def remove(self, path: str) -> None:  # noqa: D102 - see Disk
        with self._guard:
            (self.directory / path).unlink()
            fd = self._open.pop(path, -1)
            if fd < 0:
                return
            if self._users[fd]:
                self._removed.add(fd)  # a reader has it still
            else:
                del self._users[fd]
                os.close(fd)

    def pread(self, path: str, size: int, offset: int) -> bytes:  # noqa: D102 - see Disk
        with self._file(path) as fd:
            data = os.pread(fd, size, offset)
            if len(data) in {0, size}:
                return data
            pieces = [data]  # one call gives at most 2 GiB, or what a signal let through
            while data and sum(map(len, pieces)) < size:
                got = sum(map(len, pieces))
                data = os.pread(fd, size - got, offset + got)
                pieces.append(data)
            return b"".join(pieces)

    def pwrite(  # noqa: D102 - see Disk
        self, path: str, pieces: Sequence[bytes | bytearray | memoryview], offset: int
    ) -> None:
        try:
            self._pwrite(path, pieces, offset)
        except OSError as err:
            self._refuse(err)
            raise

    def _pwrite(
        self, path: str, pieces: Sequence[bytes | bytearray | memoryview], offset: int
    ) -> None:
        if len(pieces) > _MOST_PIECES:
            pieces = [b"".join(pieces)]
        fd = self._lend(path)  # not `_file`: generators are dear 40 times a second
        try:
            size = sum(map(len, pieces))
            written = os.pwritev(fd, pieces, offset)
            if written != size:
                rest = b"".join(pieces)
                while written < size:
                    step = os.pwrite(fd, rest[written:], offset + written)
                    if not step:
                        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), path)
                    written += step
        finally:
            self._give_back(fd)

    def zero(self, path: str, size: int, offset: int) -> None:
        """Past the page cache where the file system can. See `Disk`.

        Copying zeroes into pages only to write them back cost as much CPU as all of a recording's
        own writes.
        """
        try:
            fd = os.open(self.directory / path, self._flags | os.O_DIRECT)
        except OSError as err:
            if err.errno != errno.EINVAL:
                raise
            fd = os.open(self.directory / path, self._flags)
        zeroes = memoryview(self._zeroes)
        try:
            end = offset + size
            while offset < end:
                count = min(end - offset, _ZERO_PIECES * _PIECE_BYTES) // _PIECE_BYTES
                pieces = [zeroes] * count or [zeroes[: end - offset]]
                offset += os.pwritev(fd, pieces, offset)
        except OSError as err:
            self._refuse(err)
            raise
        finally:
            os.close(fd)

    def flush(  # noqa: D102 - see Disk
        self, ranges: Sequence[tuple[str, int, int]], *, written_before: bool
    ) -> None:
        if not ranges:
            return
        if written_before and self._one_flush:
            self._sync_ranges(ranges)
            return
        paths = list(dict.fromkeys(path for path, _, _ in ranges))
        if len(paths) == 1:
            self._fdatasync(paths[0])
            return
        if self._pool is None:
            self._pool = ThreadPoolExecutor(_FLUSH_THREADS, thread_name_prefix="flush")
        flushes = [self._pool.submit(self._fdatasync, path) for path in paths]
        wait(flushes)
        for flush in flushes:
            flush.result()

    def _fdatasync(self, path: str) -> None:
        with self._file(path) as fd:
            os.fdatasync(fd)

    def _sync_ranges(self, ranges: Sequence[tuple[str, int, int]]) -> None:
        fds: list[int] = []
        try:
            for path, _, _ in ranges:
                fds.append(self._lend(path))
            spans = [(fd, at, size) for fd, (_, at, size) in zip(fds, ranges, strict=True)]
            sync_ranges(spans, fds[0])
        except OSError as err:
            self._refuse(err)
            raise
        finally:
            self._give_back(*fds)

    def drop_cache(self, path: str) -> None:  # noqa: D102 - see Disk
        with self._file(path) as fd:
            os.posix_fadvise(fd, 0, 0, os.POSIX_FADV_DONTNEED)

    def sync_directory(self) -> None:  # noqa: D102 - see Disk
        fd = os.open(self.directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            os.fsync(fd)
        finally:
            os.close(fd)

    def free_bytes(self) -> int:  # noqa: D102 - see Disk
        room = os.statvfs(self.directory)
        return room.f_bavail * room.f_frsize

    def listing(self) -> list[tuple[str, int]]:  # noqa: D102 - see Disk
        with os.scandir(self.directory) as found:
            return sorted(
                (entry.name, entry.stat().st_size)
                for entry in found
                if entry.is_file(follow_symlinks=False)
                and entry.name != _LOCK_NAME
                and not entry.name.startswith("index.db")
            )

    def lock(self) -> None:  # noqa: D102 - see Disk
        fd = os.open(
            self.directory / _LOCK_NAME,
            os.O_CREAT | os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW,
            0o640,
        )
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as err:
            os.close(fd)
            raise Unavailable(
                "volume.busy",
                "another process is using this volume",
                directory=str(self.directory),
            ) from err
        self._locked = fd

    def close(self) -> None:  # noqa: D102 - see Disk
        if self._pool is not None:
            self._pool.shutdown()
            self._pool = None
        with self._guard:
            # One in use is closed by whoever uses it: its number must not be another file's before.
            self._closed = True
            for fd in self._open.values():
                if not self._users[fd]:
                    del self._users[fd]
                    os.close(fd)
            self._open.clear()
        if self._locked >= 0:
            os.close(self._locked)
            self._locked = -1


def _file_system(libc: ctypes.CDLL, directory: Path) -> int:
    """Magic number of the file system that holds `directory`, statfs(2)'s ``f_type``."""
    answer = (ctypes.c_long * 32)()
    if libc.statfs(os.fsencode(directory), answer):
        return 0
    return int(answer[0])


def in_use(directory: Path) -> bool:
    """Whether a recorder has the volume in a directory open, as far as can be told."""
    try:
        fd = os.open(directory / _LOCK_NAME, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
    except OSError:
        return False
    try:
        # Only tried: who gets it holds up a recorder that starts in this very moment, no other.
        fcntl.flock(fd, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except OSError:
        return True
    finally:
        os.close(fd)
    return False
