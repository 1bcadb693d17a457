"""`nvr fsck`: look through a volume and say what can be read and what cannot."""

import argparse
import sys
from pathlib import Path

from nvr.base.clock import SystemClock
from nvr.base.errors import Misconfigured, Unavailable
from nvr.cli import where
from nvr.hal.linux_disk import LinuxDisk
from nvr.record.fsck import Report, check
from nvr.record.index import NAME
from nvr.record.recording import open_directory, remembered
from nvr.record.recover import open_editing
from nvr.record.remembered import Remembered, forget
from nvr.record.remembered import load as remembered_of

_ALL = -1


def add(parsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add the subcommand."""
    parser = parsers.add_parser(
        "fsck",
        help="check the archive on disk",
        description="Checks every block with the code that recovery and playback use, reads every "
        "part and compares its checksum (--quick leaves that out), and says in one line each what "
        "is wrong. Changes nothing unless told to --repair, and then only writes again what the "
        "parts themselves say: it never overwrites anything that could still be read. A recorder "
        "needs no fsck after a power cut. Also says what the recorder found when it read full "
        "blocks back in the background, and which blocks were set aside because the disk refused "
        "to write or read them. Ends with 0 if the archive is sound, 1 if not.",
    )
    where.add(parser)
    parser.add_argument("--quick", action="store_true", help="do not read the parts of full blocks")
    how = parser.add_mutually_exclusive_group()
    how.add_argument(
        "--dry-run", action="store_true", help="change nothing and say what is wrong: the default"
    )
    how.add_argument(
        "--repair", action="store_true", help="write indexes again; the recorder must be stopped"
    )
    how.add_argument(
        "--use-again",
        type=int,
        nargs="?",
        const=_ALL,
        metavar="BLOCK",
        help="only try the blocks that were set aside again, or one of them, such as after a cable "
        "or the disk was changed, and have those recorded on again that the disk takes: what is "
        "recorded in them must be readable, others are zeroed; the recorder must be stopped",
    )
    parser.set_defaults(run=run)


def run(chosen: argparse.Namespace) -> int:
    """Check and report."""
    directories = where.volumes(chosen)
    if len(directories) > 1 and chosen.use_again is not None:
        raise Misconfigured("volume.which", "there are several volumes: name one with --volume")
    sound = True
    for directory in directories:
        if len(directories) > 1:
            print(f"{directory}:")
        sound = _check(chosen, directory) and sound
    return 0 if sound else 1


def _check(chosen: argparse.Namespace, directory: Path) -> bool:
    writes = chosen.repair or chosen.use_again is not None
    disk = open_directory(directory, read_only=not writes)
    try:
        if chosen.use_again is not None:
            return _use_again(disk, chosen.use_again)
        if writes:
            disk.lock()
        report = check(disk, deep=not chosen.quick, repair=chosen.repair, progress=_progress)
        if chosen.repair:
            for ending in ("", "-wal", "-shm"):  # a cache: the next start makes it again
                (directory / (NAME + ending)).unlink(missing_ok=True)
        remembered, _ = remembered_of(disk, str(report.identity.ring_id))
    except OSError as err:
        raise Unavailable("volume.unreadable", f"the volume cannot be read: {err}") from err
    finally:
        disk.close()
    _show(report, {*report.aside, *remembered.avoided})
    _show_readback(remembered)
    return report.sound


def _use_again(disk: LinuxDisk, number: int) -> bool:
    store = open_editing(disk, SystemClock(), known=remembered(disk.directory))
    ring = str(store.identity.ring_id)
    known = remembered_of(disk, ring)[0].avoided
    aside = {*store.ring.aside, *known}
    wanted = aside if number == _ALL else aside & {number}
    taken = {*store.ring.use_again(wanted), *(wanted & set(known)).difference(store.ring.aside)}
    forget(disk, ring, taken)
    for each in sorted(wanted):
        if each in taken:
            print(f"block {each} is recorded on again from the next start on")
        else:
            print(f"block {each} is still refused by the disk and stays set aside")
    if not wanted:
        print("no block is set aside" if number == _ALL else f"block {number} is not set aside")
    return bool(wanted) and taken == wanted


def _progress(done: int, blocks: int) -> None:
    if sys.stderr.isatty():
        end = "\n" if done == blocks else ""
        print(f"\rblock {done} of {blocks}", end=end, file=sys.stderr, flush=True)


def _show(report: Report, aside: set[int]) -> None:
    identity = report.identity
    print(
        f"volume {identity.ring_id}, opened {identity.generation} times, "
        f"{report.live} of {report.blocks} blocks of {identity.block_bytes >> 20} MiB in use"
    )
    for stream, (parts, first_us, last_us) in sorted(report.streams.items()):
        print(f"{stream}: {parts} parts from {_time(first_us)} to {_time(last_us)}")
    for found in report.findings:
        state = "repaired" if found.repaired else "harmless" if found.harmless else "DAMAGED"
        place = f"block {found.block}" if found.block >= 0 else "volume"
        about = " ".join(filter(None, (found.stream, _time(found.at_us) if found.at_us else "")))
        print(f"{state:<9} {place}{f' ({about})' if about else ''}: {found.detail}")
    for number in sorted(aside):
        print(f"SET ASIDE block {number}: the disk refused it; it is recorded on no more")
    print("the archive is sound" if report.sound else "some of the archive cannot be shown")


def _show_readback(found: Remembered) -> None:
    """Say what the recorder found in the background, if it ever looked."""
    last, now = found.last, found.now
    if not (last.to_us or now.from_us):
        print("the recorder has not read this volume back yet")
        return
    if last.to_us:
        print(
            f"last read back by the recorder from {_time(last.from_us)} to {_time(last.to_us)}: "
            f"{last.blocks} blocks, {last.read_bytes / 1e9:.1f} GB"
        )
    if now.from_us:
        print(f"reading back since {_time(now.from_us)}: {now.blocks} blocks so far")
    for each in found.damages:
        print(
            f"FOUND     block {each.block} ({each.stream} {_time(each.from_us)}) on "
            f"{_time(each.found_us)}, {each.parts} parts: {each.detail}"
        )


def _time(at_us: int) -> str:
    return where.local(at_us).isoformat(timespec="seconds")
