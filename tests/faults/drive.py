"""A drive that loses its cache: one file in a FUSE mount, which a loop device makes a disk of.

The kernel's FLUSH arrives here as fsync of that file, so what it means to be durable is the
kernel's own doing, from the file system down. At a cut any part of what was written and not yet
flushed may have reached the medium: none, all, the first few, any of the writes, any of their
sectors. The drive can also fail, be slow, and go away.

Needs root, ``/dev/fuse``, loop devices and libfuse 3. `in_namespace` keeps every mount in a mount
namespace of its own, and the loop devices detach themselves with their last user, so that nothing
is left when the processes are gone, however they went.

Source: Linux 6.x ``drivers/block/loop.c``, ``include/uapi/linux/loop.h``, ``fs/fuse/file.c``.
"""

import ctypes
import errno
import fcntl
import json
import os
import shutil
import socket
import stat
import struct
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Self

SECTOR_BYTES = 512
SIZES_MIB = {"ext4": 192, "xfs": 400}
"""Smallest that hold a volume of 40 MiB beside the room it leaves; xfs refuses less than 300."""
MAKE = {
    "ext4": ["mkfs.ext4", "-q", "-F", "-E", "nodiscard,lazy_itable_init=0"],
    "xfs": ["mkfs.xfs", "-q", "-f", "-K"],
}
PACKAGES = {"ext4": "e2fsprogs", "xfs": "xfsprogs"}

NAME = "disk"
_START_S = 60
_CONFIG = struct.Struct("<II52xI176x64x")
"""``struct loop_config``: descriptor of the backing file, size of a sector, flags."""
_LOOP_CONFIGURE = 0x4C0A
_LOOP_CTL_GET_FREE = 0x4C82
_AUTOCLEAR, _DIRECT_IO = 4, 16
_CLONE_NEWNS = 0x00020000
_ROOT = Path(__file__).parents[2]


class Missing(RuntimeError):
    """What the drive needs is not here; the text says what."""


def require(*kinds: str) -> None:
    """Look whether this machine can run a drive with file systems of `kinds`.

    Raises:
        Missing: It cannot, and why.
    """
    if os.geteuid():
        raise Missing("only root can make and mount the drive: run this as root")
    for device, what in (("/dev/fuse", "FUSE"), ("/dev/loop-control", "loop devices")):
        if not os.path.exists(device):
            raise Missing(f"this kernel or container has no {what}: {device} is not there")
    os.environ["FUSE_LIBRARY_NAME"] = "fuse3"  # it would rather take libfuse 2, if that is there
    try:
        import mfusepy  # noqa: F401, PLC0415 - only looked for
    except (ImportError, OSError) as err:
        raise Missing(f"mfusepy does not load, needs the package libfuse3-3: {err}") from err
    known = Path("/proc/filesystems").read_text(encoding="ascii").split()
    for kind in kinds:
        if kind not in known:
            raise Missing(f"this kernel has no {kind}")
        if shutil.which(MAKE[kind][0]) is None:
            raise Missing(f"needs the package {PACKAGES[kind]} (tests/apt.txt)")


def in_namespace() -> None:
    """Give this process, and what it starts from now on, mounts of its own."""
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.unshare(_CLONE_NEWNS):
        raise OSError(ctypes.get_errno(), "unshare")
    subprocess.run(["mount", "--make-rprivate", "/"], check=True)


class Drive:
    """A running drive, seen from the harness; its process ends with `close`.

    Args:
        size_bytes: Of the disk.

    Attributes:
        target: Where it is mounted.
        strikes: Descriptor that can be read once the power went.
    """

    def __init__(self, size_bytes: int) -> None:
        self._directory = Path(tempfile.mkdtemp(prefix="nvr-drive-"))
        self._point = self._directory / "fuse"
        self.target = self._directory / "mnt"
        self._point.mkdir()
        self.target.mkdir()
        self._socket, theirs = socket.socketpair()
        self._said = self._socket.makefile("r")
        self.strikes, strike = os.pipe()
        with theirs, os.fdopen(strike, "wb"):
            self._process = subprocess.Popen(
                [
                    *(sys.executable, "-m", "tests.faults.medium"),
                    *(str(theirs.fileno()), str(strike), str(self._point), str(size_bytes)),
                ],
                cwd=_ROOT,
                pass_fds=[theirs.fileno(), strike],
            )
        self._mounted = False
        until_s = time.monotonic() + _START_S
        while not (self._point / NAME).exists():
            if self._process.poll() is not None or time.monotonic() > until_s:
                self.close()
                raise Missing("the drive's FUSE mount did not come about")
            time.sleep(0.02)

    def ask(self, **words: Any) -> dict[str, Any]:
        """Tell the drive something, and return how it stands."""
        self._socket.sendall(json.dumps(words).encode() + b"\n")
        line = self._said.readline()
        if not line:
            raise RuntimeError("the drive is gone")
        answer: dict[str, Any] = json.loads(line)
        return answer

    def arm(self, cut_in: int, seed: int) -> None:
        """Have the power go `cut_in` writes and flushes from now; what stays is chance."""
        self.ask(cut_in=cut_in, seed=seed)

    def disarm(self) -> bool:
        """Have the power stay, and return whether it is there."""
        return bool(self.ask(cut_in=-1)["power"])

    def cut(self, seed: int) -> None:
        """Have the power go now."""
        self.ask(strike=True, seed=seed)

    def struck_s(self) -> float:
        """Monotonic second at which the power went; waits for it."""
        return float(os.read(self.strikes, 64).splitlines()[-1])

    def set(self, **faults: Any) -> dict[str, Any]:
        """Have it fail or be slow; see `Medium` for the names."""
        return self.ask(**faults)

    def on(self) -> None:
        """Give it power again."""
        self.ask(power=True)

    @contextmanager
    def attached(self) -> Iterator[str]:
        """A block device for as long as the block lasts, and then for as long as it is mounted."""
        with (
            open("/dev/loop-control", "rb", buffering=0) as control,
            open(self._point / NAME, "r+b", buffering=0) as backing,
        ):
            for _ in range(20):
                number = fcntl.ioctl(control, _LOOP_CTL_GET_FREE)
                device = f"/dev/loop{number}"
                if not os.path.exists(device):
                    os.mknod(device, 0o600 | stat.S_IFBLK, os.makedev(7, number))
                with open(device, "r+b", buffering=0) as loop:
                    try:
                        config = backing.fileno(), SECTOR_BYTES, _AUTOCLEAR | _DIRECT_IO
                        fcntl.ioctl(loop, _LOOP_CONFIGURE, _CONFIG.pack(*config))
                    except OSError as err:  # somebody else was quicker
                        if err.errno != errno.EBUSY:
                            raise
                        continue
                    yield device
                return
            raise Missing("no loop device is free")

    def make(self, kind: str) -> None:
        """Make a file system of `kind` on it."""
        with self.attached() as device:
            subprocess.run([*MAKE[kind], device], check=True, capture_output=True)

    def mount(self, kind: str, options: str = "") -> bool:
        """Mount it at `target`; False if the file system could not be mounted."""
        with self.attached() as device:
            words = ["mount", "-t", kind, *(["-o", options] if options else []), device]
            done = subprocess.run([*words, str(self.target)], check=False, capture_output=True)
        self._mounted = done.returncode == 0
        return self._mounted

    @property
    def device(self) -> str:
        """Name of the loop device that is mounted, without ``/dev/``."""
        for line in Path("/proc/self/mounts").read_text(encoding="utf-8").splitlines():
            words = line.split()
            if words[1] == str(self.target):
                return words[0].removeprefix("/dev/")
        raise RuntimeError("it is not mounted")

    def unmount(self) -> None:
        """Unmount it.

        A file system that stays mounted would write old pages after the power is back, so that
        not being able to is an error.
        """
        if not self._mounted:
            return
        until_s = time.monotonic() + 10
        while True:
            done = subprocess.run(
                ["umount", str(self.target)], check=False, capture_output=True, text=True
            )
            if done.returncode == 0:
                self._mounted = False
                return
            if time.monotonic() > until_s:
                raise RuntimeError(f"cannot unmount: {done.stderr.strip()}")
            time.sleep(0.05)

    def close(self) -> None:
        """Unmount everything and end the process."""
        for point in (self.target, self._point):
            subprocess.run(["umount", "-l", str(point)], check=False, capture_output=True)
        self._said.close()
        self._socket.close()
        os.close(self.strikes)
        try:
            self._process.wait(10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        shutil.rmtree(self._directory, ignore_errors=True)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
