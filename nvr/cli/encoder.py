"""`nvr encoder`: which encoders this box has, whether they work, and what they bear."""

import argparse
import asyncio
from pathlib import Path

import msgspec

from nvr.app.films import desk_of
from nvr.base.clock import SystemClock
from nvr.cli.board import HELP
from nvr.encode.desk import Desk
from nvr.encode.share import Grant
from nvr.hal.detect import AUTO, load_board
from nvr.media.encoding import EncoderState

_DESCRIPTION = """\
Tries every encoder that the board file names, now, and beside a running recorder too: ten
pictures are encoded, decoded in a sandbox and compared. What works has given back every
picture, the first one a key frame, in the right size and colours. For those that work on
the processor it says how many 1080p cameras at 25 pictures a second the box bears with each
preset. "untested" means that nobody has reported a bench run on such a board yet.
"""
_EXAMPLES = """\
examples:
  nvr encoder board/virtual.toml
  nvr encoder board/virtual.toml --json       for a program

ends with 0, with 1 if none works
"""
_HD_MPIXEL_S = 1920 * 1080 * 25 / 1e6


def add(parsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add the subcommand."""
    parser = parsers.add_parser(
        "encoder",
        help="which encoders this box has and whether they work",
        description=_DESCRIPTION,
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("file", type=Path, nargs="?", default=AUTO, metavar="BOARD", help=HELP)
    parser.add_argument("--json", action="store_true", help="one JSON object")
    parser.set_defaults(run=run)


def run(chosen: argparse.Namespace) -> int:
    """Try them."""
    found = load_board(chosen.file)

    async def tried() -> Desk:
        desk = desk_of(found, None, SystemClock(), _nobody)
        await desk.run(all_codecs=True)
        return desk

    report = asyncio.run(tried()).report()
    if chosen.json:
        print(msgspec.json.format(msgspec.json.encode(report), indent=2).decode())
    else:
        for one in report.encoders:
            print(f"{one.name} {one.codec}: {_said(one)}")
            for preset, cost in one.costs:
                cameras = report.cores / (cost * _HD_MPIXEL_S)
                print(
                    f"  {preset}: {cost * 1000:.1f} ms of a processor a million pixels,"
                    f" {cameras:.1f} cameras of 1080p at 25 on {report.cores:g} processors"
                )
    return 0 if any(one.state == "works" for one in report.encoders) else 1


def _said(one: EncoderState) -> str:
    if one.state != "works":
        return f"does not work: {one.detail} ({one.code})"
    proven = "" if one.proven or one.costs else "; untested on this board: no bench report yet"
    most = f", {one.sessions} streams" if one.sessions < 64 else ""
    most += f", {one.mpixel_s:g} million pixels a second" if one.mpixel_s else ""
    return f"works, {one.psnr_db:g} dB{most}{proven}"


def _nobody(_stream: str, _was: Grant, _now: Grant) -> None:
    """Nothing is encoded here."""
