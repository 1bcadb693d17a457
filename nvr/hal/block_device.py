"""Which devices a directory lies on, and what the kernel says of their wear.

Partitions lead to their disk, device-mapper and RAID to what they are made of, a loop device to the
file behind it. Only sysfs is read: no tool, no command to the device, no rights. SMART beyond the
temperature needs such commands and is not read; SD cards say nothing of their wear at all.

Source: Linux 6.1 ``Documentation/ABI/testing/sysfs-block``, ``Documentation/admin-guide/iostats``,
``drivers/mmc/core/mmc.c``; JEDEC JESD84-B51 7.4.44-46 (DEVICE_LIFE_TIME_EST, PRE_EOL_INFO).
"""

import contextlib
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

Kind = Literal["sd", "emmc", "ssd", "hdd", "usb", "loop", "virtual", "unknown"]
PreEol = Literal["", "normal", "warning", "urgent"]

SYS = Path("/sys")
PROC = Path("/proc")
_SECTOR_BYTES = 512
"""Of the counters, whatever the device's own sectors are."""
_WRITTEN_SECTORS = 6
_MOST_DEEP = 8
_PRE_EOL: dict[int, PreEol] = {1: "normal", 2: "warning", 3: "urgent"}


@dataclass(frozen=True, slots=True)
class BlockDevice:
    """A whole disk.

    Attributes:
        name: The kernel's name: ``mmcblk0``.
        kind: ``usb`` is a disk or stick behind USB that does not say which of them it is.
        ident: What tells it from others over restarts: its CID, serial or WWID, else its name.
        model: As it calls itself.
        maker: Manufacturer's number of SD and eMMC, vendor of others, empty if not given.
        made: Month and year of an SD card or eMMC, empty if not given.
        size_bytes: Its size.
        written_bytes: Written to it since the kernel met it, by everybody.
        life: Both of an eMMC's life time estimates, in tenths of its life begun: 1 is up to
            10 % used, 11 is beyond its life, 0 not given. None for everything else.
        pre_eol: How an eMMC judges its spare blocks; empty if not given.
        celsius: Its temperature, None if the kernel does not give it.
    """

    name: str
    kind: Kind
    ident: str
    model: str = ""
    maker: str = ""
    made: str = ""
    size_bytes: int = 0
    written_bytes: int = 0
    life: tuple[int, int] | None = None
    pre_eol: PreEol = ""
    celsius: float | None = None


def under(directory: Path, *, sys: Path = SYS, proc: Path = PROC) -> list[BlockDevice]:
    """Return the disks a directory lies on; none if that cannot be told, as on a network."""
    try:
        number = os.stat(directory).st_dev
    except OSError:
        return []
    return behind(os.major(number), os.minor(number), sys=sys, proc=proc)


def behind(
    major: int, minor: int, *, sys: Path = SYS, proc: Path = PROC, deep: int = 0
) -> list[BlockDevice]:
    """Return the disks behind a device number."""
    place = sys / "dev" / "block" / f"{major}:{minor}"
    if not place.exists():
        number = _mounted(major, minor, proc)
        return behind(*number, sys=sys, proc=proc, deep=deep + 1) if number and not deep else []
    found: dict[str, BlockDevice] = {}
    for disk in _disks(place.resolve(), sys, proc, deep):
        found.setdefault(disk.name, disk)
    return list(found.values())


def _mounted(major: int, minor: int, proc: Path) -> tuple[int, int] | None:
    """Return the device of a file system that has a number of its own, as btrfs does."""
    for line in _text(proc / "self" / "mountinfo").splitlines():
        words = line.split()
        if f"{major}:{minor}" in words[2:3] and "-" in words:
            source = words[words.index("-") + 2]
            with contextlib.suppress(OSError):
                if source.startswith("/dev/") and (number := os.stat(source).st_rdev):
                    return os.major(number), os.minor(number)
    return None


def _disks(place: Path, sys: Path, proc: Path, deep: int) -> list[BlockDevice]:
    if deep > _MOST_DEEP:
        return []
    if (place / "partition").exists():
        place = place.parent
    with contextlib.suppress(OSError):
        if made_of := sorted((place / "slaves").iterdir()):
            return [d for one in made_of for d in _disks(one.resolve(), sys, proc, deep + 1)]
    file = _text(place / "loop" / "backing_file")
    if file:
        with contextlib.suppress(OSError):
            number = os.stat(file).st_dev
            at = os.major(number), os.minor(number)
            if at_file := behind(*at, sys=sys, proc=proc, deep=deep + 1):
                return at_file
    return [_disk(place)]


def _disk(place: Path) -> BlockDevice:
    """Read what the kernel says of one whole disk."""
    device, name = place / "device", place.name
    counters = _text(place / "stat").split()
    kind = _kind(place)
    ident = next(
        (
            text
            for path in ("device/cid", "device/serial", "serial", "wwid", "device/wwid")
            if (text := _text(place / path))
        ),
        name,
    )
    life = _numbers(device / "life_time") if kind == "emmc" else []
    eol = _numbers(device / "pre_eol_info") if kind == "emmc" else []
    size = _text(place / "size")
    return BlockDevice(
        name=name,
        kind=kind,
        ident=ident,
        model=_text(device / "model") or _text(device / "name"),
        maker=_text(device / "manfid") or _text(device / "vendor"),
        made=_text(device / "date"),
        size_bytes=int(size) * _SECTOR_BYTES if size.isdecimal() else 0,
        written_bytes=_written(counters),
        life=(life[0], life[1]) if len(life) == 2 and any(life) else None,
        pre_eol=_PRE_EOL.get(eol[0], "") if eol else "",
        celsius=_celsius(device),
    )


def _kind(place: Path) -> Kind:
    name = place.name
    if name.startswith("mmcblk"):
        card = _text(place / "device" / "type")
        return "sd" if card.startswith("SD") else "emmc" if card == "MMC" else "unknown"
    if name.startswith("nvme"):
        return "ssd"
    if name.startswith("sd"):
        turns = _text(place / "queue" / "rotational")
        if any(part.startswith("usb") for part in place.parts) and turns != "0":
            return "usb"  # sticks and bridges say that they turn
        return {"0": "ssd", "1": "hdd"}.get(turns, "unknown")  # type: ignore[return-value]
    if name.startswith("loop"):
        return "loop"
    return "virtual" if name.startswith(("vd", "xvd", "zram", "ram")) else "unknown"


def _celsius(device: Path) -> float | None:
    for pattern in ("hwmon*/temp1_input", "hwmon/hwmon*/temp1_input", "nvme*/hwmon*/temp1_input"):
        for path in sorted(device.glob(pattern)):
            with contextlib.suppress(ValueError):
                return int(_text(path)) / 1000
    return None


def _written(counters: list[str]) -> int:
    try:
        return int(counters[_WRITTEN_SECTORS]) * _SECTOR_BYTES
    except (IndexError, ValueError):
        return 0


def _numbers(path: Path) -> list[int]:
    try:
        return [int(word, 16) for word in _text(path).split()]
    except ValueError:
        return []


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8", errors="replace").strip("\0 \n\t")
    except OSError:
        return ""


def boot(proc: Path = PROC) -> str:
    """Return what tells this start of the kernel from others."""
    return _text(proc / "sys" / "kernel" / "random" / "boot_id")
