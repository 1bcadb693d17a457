"""`nvr run`: the recorder itself."""

import argparse
import asyncio
import logging
from pathlib import Path

from nvr.app.box import Box
from nvr.app.data import DataDirectory
from nvr.base import log
from nvr.cli.board import HELP
from nvr.hal.detect import load_board


def add(parsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add the subcommand."""
    parser = parsers.add_parser(
        "run",
        help="record, control and serve until stopped",
        description="Starts the recorder on a board and keeps everything in one directory. The "
        "first start writes nvr.toml there; edit it and check it with `nvr check`. Prints the "
        "page's address and, until somebody has claimed the box, the claim code. "
        "Ctrl-C or SIGTERM stops it cleanly.",
    )
    parser.add_argument(
        "--board",
        type=Path,
        required=True,
        metavar="BOARD",
        help=HELP,
    )
    parser.add_argument(
        "--data",
        type=Path,
        default=Path("var"),
        metavar="DIR",
        help="where everything is kept (default: var)",
    )
    parser.add_argument("--verbose", action="store_true", help="also log repeated failures")
    parser.set_defaults(run=run)


def run(chosen: argparse.Namespace) -> int:
    """Run until stopped."""
    log.set_up(logging.DEBUG if chosen.verbose else logging.INFO)
    found = load_board(chosen.board)
    with DataDirectory(chosen.data) as data:
        config = data.config(found)
        asyncio.run(Box(found, data, config).run(_say))
    return 0


def _say(what: str, value: str) -> None:
    print(f"{what:<5} {value}", flush=True)
