"""`nvr board`: what a board file says this box has, and what of it was ever proven."""

import argparse
from pathlib import Path

from nvr.hal import board


def add(parsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add the subcommand."""
    parser = parsers.add_parser(
        "board",
        help="show what a board file describes",
        description="Prints the serial lines, outputs and simulated parts of a board, and whether "
        "a bench run has proven it.",
    )
    parser.add_argument(
        "file", type=Path, metavar="BOARD", help="a board file, such as board/virtual.toml"
    )
    parser.set_defaults(run=run)


def run(chosen: argparse.Namespace) -> int:
    """Print the board."""
    found = board.load(chosen.file)
    print(f"{found.id}: {found.title}")
    if found.dome:
        proof = "simulated: what the tests run on"
    else:
        proof = f"proven by {found.proof}" if found.proof else "untested: no bench report yet"
    print(f"  proof   {proof}")
    for name, line in found.serial.items():
        how = f"{line.baud} baud, direction {line.direction}, {line.driver}"
        print(f"  serial  {name}: {line.path}, {how}")
    for name, output in found.gpio.items():
        where = output.driver if output.driver == "virtual" else f"{output.chip}:{output.line}"
        limit = f", at most {output.max_on_s:g} s on" if output.max_on_s else ""
        print(f"  output  {name}: {where}, safe {output.safe}{limit}")
    for one in found.encoder:
        most = f", at most {one.sessions} streams" if one.sessions < 64 else ""
        most += f", {one.mpixel_s:g} million pixels a second" if one.mpixel_s else ""
        print(f"  encoder {one.name}: {', '.join(one.codecs)}{most}; `nvr encoder` tries it")
    if found.dome:
        print(
            f"  dome    {found.dome.name}: rtsp://127.0.0.1:{found.dome.rtsp_port}/{found.dome.name}"
        )
    return 0
