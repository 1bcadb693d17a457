"""`nvr gaps`: every stretch of time that was not recorded, and why."""

import argparse
import sys
from dataclasses import replace
from pathlib import Path

import msgspec

from nvr.app.outage import load
from nvr.base.clock import SystemClock
from nvr.base.errors import Misconfigured, Rejected
from nvr.cli import archive, where
from nvr.playback.gap import Fetch, Gap
from nvr.playback.query import Recorded

UNKNOWN = 3
FILLED = "filled"
LATEST = 1 << 62
_DESCRIPTION = """\
Lists every stretch of time that was not recorded, with its length and its cause,
the one that lasts until now included. Only reads: works while the recorder is
running, and on the disk of another box (--volume). Several volumes are one archive:
what was recorded on any of them that is there is no gap. What was fetched later from
the camera's own storage is listed too, with the cause `filled`: when, and from where.
"""
_EXAMPLES = """\
examples:
  nvr gaps /var/lib/nvr                        every camera, all that is on the disk
  nvr gaps /var/lib/nvr --camera gate --from 2026-03-01T08:00 --to 2026-03-01T18:00
  nvr gaps --volume /mnt/disk --json           the disk of another box, for a program

ends with 0 if every gap has a known cause, with 3 if the cause of one is not known
"""
WORDS = {
    "power": "power lost, or the recorder was killed",
    "camera": "camera lost",
    "behind": "disk too slow",
    "stopped": "recorder stopped",
    "disk": "disk failed",
    "volume": "volume missing or not usable",
    "removed": "camera or stream removed",
    "plan": "not to be recorded then",
    "away": "recorded on a volume that is not there",
    "gone": "was recorded, is not on the disk any more",
    "unread": "still being looked through",
    "unknown": "cause not known",
}


class _Row(msgspec.Struct, frozen=True):
    camera: str
    from_us: int
    to_us: int
    length_s: float
    cause: str
    code: str
    by: str
    open: bool
    fetch: Fetch | None = None


def add(parsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add the subcommand."""
    parser = parsers.add_parser(
        "gaps",
        help="what was not recorded, when and why",
        description=_DESCRIPTION,
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "directory",
        nargs="?",
        type=Path,
        metavar="DATA",
        help="data directory of the recorder (default: var)",
    )
    where.add(parser)
    parser.add_argument("--camera", metavar="NAME", help="only this camera (default: all)")
    parser.add_argument(
        "--from", dest="begin", type=where.wall_us, metavar="TIME",
        help="2026-03-01T08:00:00 in this machine's time zone, or with Z or +08:00 at the end",
    )  # fmt: skip
    parser.add_argument("--to", dest="end", type=where.wall_us, metavar="TIME", help="likewise")
    parser.add_argument("--json", action="store_true", help="one JSON array, times in UTC us")
    parser.set_defaults(run=run)


def run(chosen: argparse.Namespace) -> int:
    """List the gaps."""
    begin_us = 0 if chosen.begin is None else chosen.begin
    end_us = LATEST if chosen.end is None else chosen.end
    if end_us <= begin_us:
        raise Misconfigured("gaps.times", "--to must be after --from")
    if chosen.directory is not None:
        chosen.data = chosen.directory
    clock, alive = SystemClock(), archive.alive(chosen)
    # A volume that the recorder had to let go of cannot say so itself.
    outage = None if alive or chosen.volume is not None else load(chosen.data)
    pending = [] if outage is None else [replace(outage.note(clock.wall_us()), run=LATEST)]
    with archive.opened(chosen, pending=pending) as found:
        streams = [s for s in found.noted() if chosen.camera in {None, s.partition("/")[0]}]
        if chosen.camera is not None and not streams:
            raise Rejected(
                "gaps.no_camera",
                "nothing is recorded or noted of this camera",
                camera=chosen.camera,
                known=", ".join(found.noted()),
            )
        rows: list[_Row] = []
        for stream in streams:
            ranges = found.ranges(stream, begin_us, end_us)
            rows += [_row(stream, gap, begin_us, end_us) for gap in ranges.gaps]
            rows += [_filled(stream, run, begin_us, end_us) for run in ranges.runs if run.fetch]
    rows.sort(key=lambda row: (row.camera, row.from_us))
    if chosen.json:
        sys.stdout.write(msgspec.json.encode(rows).decode() + "\n")
    else:
        _show(rows, running=alive)
    return UNKNOWN if any(row.cause == "unknown" for row in rows) else 0


def _row(stream: str, gap: Gap, begin_us: int, end_us: int) -> _Row:
    camera, _, track = stream.partition("/")
    from_us, to_us = max(gap.from_us, begin_us), min(gap.to_us, end_us)
    return _Row(
        camera if track == "main" else stream,
        from_us,
        to_us,
        round((to_us - from_us) / 1e6, 3),
        gap.cause,
        gap.code,
        gap.by,
        gap.open and to_us == gap.to_us,
        gap.fetch,
    )


def _filled(stream: str, run: Recorded, begin_us: int, end_us: int) -> _Row:
    """Return what was fetched afterwards, so that there is no gap any more."""
    gap = Gap(run.from_us, run.to_us, FILLED, fetch=run.fetch)
    return _row(stream, gap, begin_us, end_us)


def _show(rows: list[_Row], *, running: bool) -> None:
    if not running:
        print("no recorder is running on this volume")
    if not rows:
        print("no gaps")
        return
    table = [("CAMERA", "FROM", "TO", "LENGTH", "CAUSE")]
    table += [
        (
            row.camera,
            _time(row.from_us),
            "until now" if row.open else _time(row.to_us),
            length(row.length_s),
            _words(row),
        )
        for row in rows
    ]
    widths = [max(len(line[n]) for line in table) for n in range(4)]
    for line in table:
        cells = [cell.ljust(width) for cell, width in zip(line, widths, strict=False)]
        cells[3] = line[3].rjust(widths[3])
        print("  ".join([*cells, line[4]]))


def _words(row: _Row) -> str:
    text = "no gap any more: fetched" if row.cause == FILLED else WORDS.get(row.cause, row.cause)
    if row.by:
        text += f": {row.by}" if row.cause == "away" else f" by {row.by}"
    text = f"{text} ({row.code})" if row.code else text
    if row.fetch is None:
        return text
    source = f" from {row.fetch.source}" if row.fetch.source else ""
    at = f" at {_time(row.fetch.at_us)}" if row.fetch.at_us else ""
    if row.cause == FILLED:
        return text + source + at
    return f"{text}; could not be fetched{source}: {row.fetch.code}{at}"


def _time(at_us: int) -> str:
    return where.local(at_us).isoformat(sep=" ", timespec="seconds")


def length(length_s: float) -> str:
    """Return a length as ``2d 03:04:05``, with tenths of a second below a minute."""
    if length_s < 60:
        return f"{length_s:.1f} s"
    minutes, seconds = divmod(round(length_s), 60)
    hours, minutes = divmod(minutes, 60)
    days, hours = divmod(hours, 24)
    return (f"{days}d " if days else "") + f"{hours:02}:{minutes:02}:{seconds:02}"
