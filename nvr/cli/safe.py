"""`nvr safe`: every output of a board driven as after a crash; systemd runs it at each end."""

import argparse
import sys
from pathlib import Path

from nvr.app.wiring import make_safe
from nvr.cli.board import HELP
from nvr.hal.detect import load_board

_DESCRIPTION = """\
Drives every output of a board to its `on_crash` level (without one, `safe`) and ends.
For the moment after the recorder was killed together with nvr-guard, or before it
starts. Outputs that another process holds, such as a running recorder, are named and
left; the others are driven all the same.

What becomes of a line once this has ended is the kernel's business: a Raspberry Pi
keeps it as driven, a Jetson and newer kernels may give it back to its pull resistor.
Wire relays so that the resistor's level is off.
"""
_EXAMPLES = """\
in the service of the recorder (board/nvr.service):
  ExecStopPost=nvr safe auto

ends with 1 if an output could not be driven
"""


def add(parsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add the subcommand."""
    parser = parsers.add_parser(
        "safe",
        help="drive every output of a board to its level after a crash",
        description=_DESCRIPTION,
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("file", type=Path, metavar="BOARD", help=HELP)
    parser.add_argument(
        "--data", type=Path, default=Path("var"), metavar="DIR",
        help="data directory, where simulated outputs are (default: var)",
    )  # fmt: skip
    parser.set_defaults(run=run)


def run(chosen: argparse.Namespace) -> int:
    """Drive them."""
    found = load_board(chosen.file)
    failed = 0
    for name, err in make_safe(found.gpio, chosen.data / "sim").items():
        if err is None:
            print(f"{name}: {'on' if found.gpio[name].crash else 'off'}")
        else:
            failed = 1
            print(f"{name}: {err}", file=sys.stderr)
    return failed
