"""USB sticks that the system has mounted: which may be written to, and letting go of them.

The recorder mounts nothing, it has no right to: the system does, below one directory
(``nvr/export/TARGETS.md`` says how). Of what is mounted there, block devices that are removable or
behind USB are offered. Never: a disk of which anything is mounted elsewhere or swapped to, or that
a directory of ours lies on, or that holds a volume of any box.

Source: proc_pid_mountinfo(5); proc_swaps(5); umount(2); Linux 6.1 ``Documentation/ABI/stable/
sysfs-block``; Microsoft, FAT32 File System Specification 1.03 (files of 4 GiB - 1 at most).
"""

import contextlib
import ctypes
import os
import re
import shutil
import subprocess
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path, PurePath

from nvr.hal.block_device import PROC, SYS, behind, under
from nvr.hal.ports import Stick, Unusable

FAT_MOST_BYTES = (1 << 32) - 1
_FAT = frozenset(("vfat", "msdos"))
VOLUME_ID = "volume.id"
_UMOUNT_NOFOLLOW = 8
_UMOUNT_S = 120.0


@dataclass(frozen=True, slots=True)
class _Mount:
    number: tuple[int, int]
    directory: Path
    file_system: str
    source: str
    writable: bool


class LinuxSticks:
    """See `Sticks`.

    Args:
        directory: Where the system mounts them, each in a directory below it.
        ours: Directories whose disks are never offered.
        sys: Where sysfs is.
        proc: Where proc is.
    """

    def __init__(
        self,
        directory: Path,
        ours: Callable[[], Iterable[Path]],
        *,
        sys: Path = SYS,
        proc: Path = PROC,
    ) -> None:
        self._directory = directory.absolute()
        self._ours = ours
        self._sys = sys
        self._proc = proc
        self._libc = ctypes.CDLL(None, use_errno=True)

    def found(self) -> list[Stick]:  # noqa: D102 - see Sticks
        return [one for one in self._plugged() if isinstance(one, Stick)]

    def unusable(self) -> list[Unusable]:  # noqa: D102 - see Sticks
        return [one for one in self._plugged() if isinstance(one, Unusable)]

    def _plugged(self) -> Iterator[Stick | Unusable]:
        mounts = list(self._mounts())
        ours = [_there(path) for path in self._ours()]
        taken, mounted = self._taken(mounts, ours), set[str]()
        for mount in mounts:
            disk, partition = self._disk(mount) if self._below(mount.directory) else (None, "")
            if disk is None or disk.name in taken or not _removable(disk):
                continue
            mounted.add(disk.name)
            with contextlib.suppress(OSError):
                if os.stat(mount.directory).st_dev not in map(_number, ours):
                    yield _stick(mount, disk, partition)
        for disk in sorted((self._sys / "block").glob("sd*")):
            size = _lines(disk / "size")[:1]  # 0: a reader without a card
            if disk.name not in taken | mounted and _removable(disk.resolve()) and size != ["0"]:
                yield Unusable(_title(disk.name, disk), "usb.unmounted")

    def eject(self, stick: Stick) -> bool:  # noqa: D102 - see Sticks
        fd = os.open(stick.directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            if self._libc.syncfs(fd):
                number = ctypes.get_errno()
                raise OSError(number, os.strerror(number), str(stick.directory))
        finally:
            os.close(fd)
        target = os.fsencode(stick.directory)
        if not self._libc.umount2(target, _UMOUNT_NOFOLLOW):
            # Of a service with a view of its own on the mounts, it may still be mounted elsewhere.
            return _free(stick.disk)
        program = shutil.which("umount", path="/bin:/usr/bin:/sbin:/usr/sbin")
        if program is None:
            return False
        with contextlib.suppress(subprocess.SubprocessError, OSError):
            done = subprocess.run(  # noqa: S603 - our own words; it may let the user of a mount end it
                (program, stick.directory), check=False, capture_output=True, timeout=_UMOUNT_S
            )
            others = (self._disk(mount)[0] for mount in self._mounts())
            name = PurePath(stick.disk).name
            return not done.returncode and all(disk is None or disk.name != name for disk in others)
        return False

    def _below(self, directory: Path) -> bool:
        return self._directory in directory.parents

    def _mounts(self) -> Iterator[_Mount]:
        """Yield what is mounted; of what is mounted over each other, the last."""
        found: dict[Path, _Mount] = {}
        for line in _lines(self._proc / "self" / "mountinfo"):
            words = line.split(" ")
            with contextlib.suppress(ValueError, IndexError):
                rest = words[words.index("-") + 1 :]
                major, minor = words[2].split(":")
                directory = Path(_plain(words[4]))
                writable = "rw" in words[5].split(",") and "rw" in rest[2].split(",")
                number = int(major), int(minor)
                found[directory] = _Mount(number, directory, rest[0], _plain(rest[1]), writable)
        yield from found.values()

    def _taken(self, mounts: list[_Mount], ours: list[Path]) -> set[str]:
        """Names of the disks that are the system's or ours."""
        disks = [disk for path in ours for disk in under(path, sys=self._sys)]
        for mount in mounts:
            if not self._below(mount.directory):
                disks += behind(*mount.number, sys=self._sys, proc=self._proc)
        for line in _lines(self._proc / "swaps")[1:]:
            with contextlib.suppress(OSError, IndexError):
                number = os.stat(line.split()[0]).st_rdev
                disks += behind(os.major(number), os.minor(number), sys=self._sys)
        return {disk.name for disk in disks}

    def _disk(self, mount: _Mount) -> tuple[Path | None, str]:
        """Return the whole disk's place in sysfs, and the partition's name."""
        major, minor = mount.number
        if not major:  # FUSE
            try:
                number = os.stat(mount.source).st_rdev if mount.source.startswith("/dev/") else 0
            except OSError:
                return None, ""
            major, minor = os.major(number), os.minor(number)
        place = self._sys / "dev" / "block" / f"{major}:{minor}"
        if not place.exists():
            return None, ""
        place = place.resolve()
        return (place.parent if (place / "partition").exists() else place), place.name


def _stick(mount: _Mount, disk: Path, partition: str) -> Stick | Unusable:
    title = _title(mount.directory.name, disk)
    if _holds_volume(mount.directory):
        return Unusable(title, "usb.volume")
    if not mount.writable:
        return Unusable(title, "usb.read_only")
    room = os.statvfs(mount.directory)
    return Stick(
        partition,
        title,
        "fat32" if mount.file_system in _FAT else mount.file_system,
        mount.directory,
        room.f_blocks * room.f_frsize,
        room.f_bavail * room.f_frsize,
        FAT_MOST_BYTES if mount.file_system in _FAT else 0,
        f"/dev/{disk.name}",
    )


def _title(name: str, disk: Path) -> str:
    """Return a name and the model, fit for a terminal and a page."""
    model = " ".join(
        lines[0] for word in ("vendor", "model") if (lines := _lines(disk / "device" / word))
    )
    text = f"{name} ({model})" if model else name
    return "".join(letter if letter.isprintable() else "_" for letter in text)


def _removable(disk: Path) -> bool:
    """Whether it is made to be pulled out; a loop device is whoever mounted it there."""
    return (
        _lines(disk / "removable")[:1] == ["1"]
        or any(part.startswith("usb") for part in disk.parts)
        or disk.name.startswith("loop")
    )


def _holds_volume(directory: Path) -> bool:
    """Whether there is a volume of some box at its top or one directory down."""
    if (directory / VOLUME_ID).exists():
        return True
    with os.scandir(directory) as found:
        return any(
            one.is_dir(follow_symlinks=False) and os.path.exists(os.path.join(one.path, VOLUME_ID))
            for one in found
        )


def _free(disk: str) -> bool:
    """Whether nobody has any part of a disk mounted; if that cannot be told, it is not claimed."""
    try:
        os.close(os.open(disk, os.O_RDONLY | os.O_EXCL | os.O_CLOEXEC))
    except OSError:
        return False
    return True


def _number(path: Path) -> int:
    """Number of the device a path lies on."""
    return os.stat(path).st_dev


def _there(path: Path) -> Path:
    """The nearest directory that exists: where it will be made."""
    path = path.absolute()
    while not path.exists() and path != path.parent:
        path = path.parent
    return path


def _plain(text: str) -> str:
    return re.sub(r"\\([0-7]{3})", lambda found: chr(int(found[1], 8)), text)


def _lines(path: Path) -> list[str]:
    try:
        return path.read_text(encoding="utf-8", errors="surrogateescape").strip("\0 \n").split("\n")
    except OSError:
        return []
