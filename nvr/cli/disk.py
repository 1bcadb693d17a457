"""`nvr disk`: which disks the recorder lies on, and how fast they are worn."""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

import msgspec

from nvr.app import wear
from nvr.base.errors import NvrError
from nvr.cli import where
from nvr.record.log_state import aside_on
from nvr.record.recording import open_directory
from nvr.record.wear import DiskWear, report

_DESCRIPTION = """\
Says for the disks of the volumes and that of the system what they are, how much is
written to them a day by everybody and by recording, how often that is the whole
disk a year, and what the disk says of its own life: an eMMC's estimates, an NVMe's
or SATA disk's temperature. What the kernel does not give without a tool is called
"not given"; SD cards give nothing. Only reads, beside a running recorder too. Bytes
a day are those the recorder has seen: they need an hour of it. Blocks that are set
aside are those of the volume that the disk refused: `nvr fsck --use-again` tries them.
"""
_EXAMPLES = """\
examples:
  nvr disk --data /var/lib/nvr
  nvr disk --data /var/lib/nvr --json        for a program

ends with 0, with 1 if a disk says that its life is nearly over, or refused blocks
"""
_KINDS = {
    "sd": "SD card", "emmc": "eMMC", "ssd": "SSD", "hdd": "hard disk", "usb": "USB disk or stick",
    "loop": "loop device", "virtual": "virtual disk", "unknown": "unknown kind of disk",
}  # fmt: skip


def add(parsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add the subcommand."""
    parser = parsers.add_parser(
        "disk",
        help="the disks, how fast they are worn and what they say of it",
        description=_DESCRIPTION,
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    where.add(parser)
    parser.add_argument("--json", action="store_true", help="one JSON array")
    parser.set_defaults(run=run)


class _Disk(DiskWear, frozen=True, kw_only=True):
    """A disk, and how many blocks of the volume on it are set aside; None if it has none."""

    blocks_aside: int | None


def run(chosen: argparse.Namespace) -> int:
    """Look at the disks."""
    data: Path = chosen.data
    watched = wear.load(data)
    directories = where.volumes(chosen)
    each = [_aside(directory) for directory in directories]
    aside = sum(n for n in each if n is not None) if any(n is not None for n in each) else None
    found = [
        _Disk(
            **msgspec.structs.asdict(report(disk, watched.get(disk.ident), uses)),
            blocks_aside=aside if "volume" in uses else None,
        )
        for disk, uses in wear.disks(data, directories)
    ]
    if chosen.json:
        sys.stdout.write(msgspec.json.encode(found).decode() + "\n")
    else:
        show(found, aside)
    return 1 if any(disk.worn or disk.blocks_aside for disk in found) else 0


def _aside(directory: Path) -> int | None:
    try:
        disk = open_directory(directory, read_only=True)
    except NvrError:
        return None
    try:
        return aside_on(disk)
    except (NvrError, OSError):
        return None
    finally:
        disk.close()


def show(found: Sequence[DiskWear], aside: int | None = None) -> None:
    """Print the disks for a person, and how many blocks of the volume are set aside."""
    if not found:
        print("on which disk it lies cannot be told")
    for disk in found:
        about = " ".join(filter(None, (disk.maker, disk.model, disk.made)))
        print(f"{disk.name} ({' and '.join(disk.uses)}): {_KINDS[disk.kind]}", end="")
        print(f", {about}" if about else "", end="")
        print(f", {disk.size_bytes / 1e9:.1f} GB")
        _line("written a day", _each(disk.bytes_a_day, 1e9, "GB"))
        if "volume" in disk.uses:
            _line("  of that recordings", _each(disk.recorded_a_day, 1e9, "GB"))
            _line("  written for each byte", _each(disk.amplification, 1, "", 2))
        _line("whole disk a year", _each(disk.disk_writes_a_year, 1, "times"))
        days = disk.watched_s / 86400
        _line("written while watched", f"{disk.written_bytes / 1e9:.1f} GB in {days:.1f} days")
        _line("life used", _life(disk.life_percent))
        _line("spare blocks", disk.pre_eol or "not given")
        _line("days left", "not known" if disk.days_left is None else f"{disk.days_left:.0f}")
        _line("temperature", "not given" if disk.celsius is None else f"{disk.celsius:.0f} C")
        refuses = aside if "volume" in disk.uses else None
        if refuses is not None:
            _line("blocks set aside", str(refuses))
        if refuses:
            print("  CHANGE IT: it refuses parts of the volume")
        if disk.worn:
            print("  CHANGE IT: it says that its life is nearly over")


def _line(what: str, value: str) -> None:
    print(f"  {what:<24}{value}")


def _each(value: float | None, unit: float, name: str, digits: int = 1) -> str:
    return "not known yet" if value is None else f"{value / unit:.{digits}f} {name}".rstrip()


def _life(percent: int | None) -> str:
    if percent is None:
        return "not given"
    return "all of it" if percent > 100 else f"up to {percent} %"
