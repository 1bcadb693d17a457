"""`nvr unseal`: everything on a sealed volume as plain MP4, without the box."""

import argparse
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path

from nvr.base.errors import Rejected, Unavailable
from nvr.cli import archive, where
from nvr.export.job import export
from nvr.playback.joined import Joined


def add(parsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add the subcommand."""
    parser = parsers.add_parser(
        "unseal",
        help="copy a whole sealed volume into plain MP4 files, with the recovery key",
        description="Writes one MP4 a stream and day (in this machine's time zone) into DIR, and "
        "beside each FILE.json with its SHA-256, times and gaps. Needs the disk and the recovery "
        "key, not the box; on the box itself its own key will do. What is there already is not "
        "written again, so an interrupted run can be repeated. `nvr export --recovery-key` copies "
        "a part only.",
    )
    where.add(parser)
    where.add_recovery(parser)
    parser.add_argument("to", type=Path, metavar="DIR", help="where to; made if it is not there")
    parser.set_defaults(run=run)


def run(chosen: argparse.Namespace) -> int:
    """Copy all there is."""
    chosen.to.mkdir(parents=True, exist_ok=True)
    with archive.opened(chosen, where.keys(chosen)) as found:
        if not found.streams():
            raise Unavailable("volume.missing", "nothing is recorded there")
        for stream in found.streams():
            for day, begin_us, end_us in _days(found, stream):
                path = chosen.to / f"{stream.replace('/', '-')}-{day:%Y-%m-%d}.mp4"
                _copy(found, stream, begin_us, end_us, path)
    return 0


def _copy(found: Joined, stream: str, begin_us: int, end_us: int, path: Path) -> None:
    try:
        done = export(found, stream, begin_us, end_us, path)
    except Rejected as err:
        if err.code not in {"export.exists", "export.nothing"}:
            raise
        print(f"{path}  {err.detail}")
        return
    for each in done:
        print(f"{each.path}  {each.size_bytes} bytes  sha256 {each.sha256}", flush=True)


def _days(found: Joined, stream: str) -> Iterator[tuple[datetime, int, int]]:
    """Yield the days on which something of a stream was recorded: midnight, begin and end."""
    days: set[datetime] = set()
    for run in found.ranges(stream, 0, 1 << 62).runs:
        day = where.local(run.from_us).replace(hour=0, minute=0, second=0, microsecond=0)
        while day <= where.local(run.to_us):
            days.add(day.replace(tzinfo=None))
            day += timedelta(days=1)
    for day in sorted(days):
        begin, end = day.astimezone(), (day + timedelta(days=1)).astimezone()
        yield day, round(begin.timestamp() * 1e6), round(end.timestamp() * 1e6)
