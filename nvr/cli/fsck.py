"""`nvr fsck`: look through a volume and say what can be read and what cannot."""

import argparse
import sys

from nvr.base.errors import Unavailable
from nvr.cli import where
from nvr.record.fsck import Report, check
from nvr.record.index import NAME
from nvr.record.recording import open_directory


def add(parsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add the subcommand."""
    parser = parsers.add_parser(
        "fsck",
        help="check the archive on disk",
        description="Checks every block with the code that recovery and playback use, reads every "
        "part and compares its checksum (--quick leaves that out), and says in one line each what "
        "is wrong. Changes nothing unless told to --repair, and then only writes again what the "
        "parts themselves say: it never overwrites anything that could still be read. A recorder "
        "needs no fsck after a power cut. Ends with 0 if the archive is sound, 1 if not.",
    )
    where.add(parser)
    parser.add_argument("--quick", action="store_true", help="do not read the parts of full blocks")
    parser.add_argument(
        "--repair", action="store_true", help="write indexes again; the recorder must be stopped"
    )
    parser.set_defaults(run=run)


def run(chosen: argparse.Namespace) -> int:
    """Check and report."""
    directory = where.volume(chosen)
    disk = open_directory(directory, read_only=not chosen.repair)
    try:
        if chosen.repair:
            disk.lock()
        report = check(disk, deep=not chosen.quick, repair=chosen.repair, progress=_progress)
        if chosen.repair:
            for ending in ("", "-wal", "-shm"):  # a cache: the next start makes it again
                (directory / (NAME + ending)).unlink(missing_ok=True)
    except OSError as err:
        raise Unavailable("volume.unreadable", f"the volume cannot be read: {err}") from err
    finally:
        disk.close()
    _show(report)
    return 0 if report.sound else 1


def _progress(done: int, blocks: int) -> None:
    if sys.stderr.isatty():
        end = "\n" if done == blocks else ""
        print(f"\rblock {done} of {blocks}", end=end, file=sys.stderr, flush=True)


def _show(report: Report) -> None:
    identity = report.identity
    print(
        f"volume {identity.ring_id}, opened {identity.generation} times, "
        f"{report.live} of {identity.blocks} blocks of {identity.block_bytes >> 20} MiB in use"
    )
    for stream, (parts, first_us, last_us) in sorted(report.streams.items()):
        print(f"{stream}: {parts} parts from {_time(first_us)} to {_time(last_us)}")
    for found in report.findings:
        state = "repaired" if found.repaired else "harmless" if found.harmless else "DAMAGED"
        place = f"block {found.block}" if found.block >= 0 else "volume"
        about = " ".join(filter(None, (found.stream, _time(found.at_us) if found.at_us else "")))
        print(f"{state:<9} {place}{f' ({about})' if about else ''}: {found.detail}")
    print("the archive is sound" if report.sound else "some of the archive cannot be shown")


def _time(at_us: int) -> str:
    return where.local(at_us).isoformat(timespec="seconds")
