"""The `nvr` command: one file a subcommand, each with `add(parsers)`."""

import argparse
import sys
from importlib import import_module

from nvr import __version__
from nvr.base.errors import NvrError

COMMANDS = (
    "run", "check", "board", "output", "safe", "camera", "find", "user", "export", "target",
    "verify", "gaps", "lock", "event", "events", "control", "key", "plan", "resize", "disk",
    "device", "ptz", "joystick",
    "encoder", "unseal", "fsck", "backup", "upstream", "gb28181", "ntp",
)  # fmt: skip
"""Modules, most named like their command, in the order in which people meet them."""


def parser(command: str = "") -> argparse.ArgumentParser:
    """Build the command line.

    Args:
        command: The only one that is needed, and loaded: together they take half a second, and
            memory that a recorder would keep. Any other word is for all of them.
    """
    top = argparse.ArgumentParser(prog="nvr", description="Records and steers cameras on this box.")
    top.add_argument("--version", action="version", version=f"nvr {__version__}")
    parsers = top.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for name in (command,) if command in COMMANDS else COMMANDS:
        import_module(f"nvr.cli.{name}").add(parsers)
    return top


def main(arguments: list[str] | None = None) -> int:
    """Run one subcommand; an error is one sentence and a stable code, never a trace."""
    words = sys.argv[1:] if arguments is None else arguments
    chosen = parser(words[0] if words else "").parse_args(words)
    try:
        return int(chosen.run(chosen))
    except NvrError as err:
        print(f"nvr: {err}", file=sys.stderr)
        return 1
