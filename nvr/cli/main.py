"""The `nvr` command: one file a subcommand, each with `add(parsers)`."""

import argparse
import sys

from nvr import __version__
from nvr.base.errors import NvrError
from nvr.cli import board, check, export, fsck, gaps, plan, run, user

COMMANDS = (run, check, board, user, export, gaps, plan, fsck)


def parser() -> argparse.ArgumentParser:
    """Build the whole command line."""
    top = argparse.ArgumentParser(prog="nvr", description="Records and steers cameras on this box.")
    top.add_argument("--version", action="version", version=f"nvr {__version__}")
    parsers = top.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for command in COMMANDS:
        command.add(parsers)
    return top


def main(arguments: list[str] | None = None) -> int:
    """Run one subcommand; an error is one sentence and a stable code, never a trace."""
    chosen = parser().parse_args(arguments)
    try:
        return int(chosen.run(chosen))
    except NvrError as err:
        print(f"nvr: {err}", file=sys.stderr)
        return 1
