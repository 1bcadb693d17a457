"""`nvr export`: a span of one camera as an MP4 file."""

import argparse
import sys
import time
from pathlib import Path

from nvr.base.clock import SystemClock
from nvr.base.errors import Misconfigured
from nvr.cli import where
from nvr.export.job import export
from nvr.playback.query import Archive
from nvr.record.recording import open_directory
from nvr.record.recover import open_reading


def add(parsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add the subcommand."""
    parser = parsers.add_parser(
        "export",
        help="copy a span of the archive into an MP4 file",
        description="Writes an MP4 that any player opens, and FILE.json with its SHA-256, the "
        "times really covered and the gaps. Works while the recorder is running, and on the disk "
        "of another box (--volume). The file begins at the key frame before --from. If the "
        "camera's codecs changed on the way, further files FILE-2, FILE-3 are written.",
    )
    where.add(parser)
    parser.add_argument("--camera", required=True, metavar="NAME", help="name of the camera")
    parser.add_argument(
        "--stream", choices=("main", "sub"), default="main", help="which stream (default: main)"
    )
    parser.add_argument(
        "--from", dest="begin", type=where.wall_us, required=True, metavar="TIME",
        help="2026-03-01T08:00:00 in this machine's time zone, or with Z or +08:00 at the end",
    )  # fmt: skip
    parser.add_argument(
        "--to", dest="end", type=where.wall_us, required=True, metavar="TIME", help="likewise"
    )
    parser.add_argument("file", type=Path, metavar="FILE", help="MP4 to write; must not exist")
    parser.set_defaults(run=run)


def run(chosen: argparse.Namespace) -> int:
    """Export."""
    if chosen.end <= chosen.begin:
        raise Misconfigured("export.times", "--to must be after --from")
    disk = open_directory(where.volume(chosen), read_only=True)
    try:
        archive = Archive(open_reading(disk, SystemClock()))
        stream = f"{chosen.camera}/{chosen.stream}"
        done = export(archive, stream, chosen.begin, chosen.end, chosen.file, _Progress())
    finally:
        disk.close()
    for each in done:
        begin, end = (
            where.local(at).isoformat(timespec="milliseconds") for at in (each.from_us, each.to_us)
        )
        print(f"{each.path}  {each.size_bytes} bytes  {begin} to {end}  sha256 {each.sha256}")
    return 0


class _Progress:
    """One line that is written over, on a terminal only."""

    def __init__(self) -> None:
        self._shown_s = 0.0

    def __call__(self, size_bytes: int, fraction: float) -> None:
        now_s = time.monotonic()
        if not sys.stderr.isatty() or (now_s - self._shown_s < 0.2 and fraction < 1.0):
            return
        self._shown_s = now_s
        end = "\n" if fraction >= 1.0 else ""
        print(f"\r{fraction:4.0%}  {size_bytes / 1e6:.1f} MB", end=end, file=sys.stderr, flush=True)
