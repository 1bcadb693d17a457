"""`nvr check FILE`: every fault of a configuration, board or head file at once."""

import argparse
import tomllib
from pathlib import Path

from nvr.app import data
from nvr.base.errors import Misconfigured
from nvr.base.shape import Fault
from nvr.config import load
from nvr.hal import board
from nvr.ptz import profile


def add(parsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add the subcommand."""
    parser = parsers.add_parser(
        "check",
        help="name every fault in a configuration, board or head file",
        description="Reads FILE and prints every fault in it, one a line, with its place; of a "
        "board file also in the configuration it starts a new box with. "
        "Exit status 0 if there is none, 1 otherwise. Nothing is changed.",
    )
    parser.add_argument(
        "file", type=Path, metavar="FILE", help="nvr.toml, a board file or a head file"
    )
    parser.add_argument(
        "--board",
        type=Path,
        metavar="BOARD",
        help="also check serial lines and outputs against this board",
    )
    parser.set_defaults(run=run)


def run(chosen: argparse.Namespace) -> int:
    """Check the file; the kind is told by its keys."""
    try:
        text = chosen.file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as err:
        raise Misconfigured("config.unreadable", str(err), file=str(chosen.file)) from err
    if _is_board(text):
        found = board.check(text) or _start(board.load(chosen.file))
    elif _is_profile(text):
        found = profile.check(text, chosen.file.stem)
    else:
        has = data.has(board.load(chosen.board), chosen.file.parent) if chosen.board else None
        found = load.check(text, board=has, heads=data.heads(chosen.file.parent))
    for fault in found:
        print(fault)
    if not found:
        print(f"{chosen.file}: no faults")
    return 1 if found else 0


def _start(found: board.Board) -> list[Fault]:
    """Faults of the configuration that the board gives a new box."""
    faults = load.check(found.start, board=data.has(found))
    return [Fault(f"$.start{fault.path.removeprefix('$')}", fault.detail) for fault in faults]


def _is_profile(text: str) -> bool:
    try:
        return {"protocol", "function"} & tomllib.loads(text).keys() != set()
    except tomllib.TOMLDecodeError:
        return False


def _is_board(text: str) -> bool:
    try:
        keys = tomllib.loads(text).keys()
        return {"id", "start", "gpio", "serial"} & keys != set() and "protocol" not in keys
    except tomllib.TOMLDecodeError:
        return False
