"""`nvr ptz scan` and `nvr ptz monitor`: who is on a serial line, and what is said there."""

import argparse
import re
from pathlib import Path

from nvr.app.control import open_serial
from nvr.base.errors import Misconfigured, Rejected
from nvr.cli import ptz_monitor, ptz_scan, where
from nvr.cli.console import add_account
from nvr.hal import board
from nvr.hal.board import BAUDS, Serial
from nvr.hal.ports import SerialPort


def add(doing: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add both to the verbs of `nvr ptz`."""
    scan = doing.add_parser(
        "scan",
        help="find addresses, rate and protocol of the heads on a line",
        description="Without --camera nothing is moved: every address is asked where it points, "
        "or told to stop, and found if it answers, which needs the return pair. With --camera the "
        "heads are nudged for less than half a second each and told to stop, and the picture of "
        "that camera is watched: it is asked first. Needs the line for itself: the recorder must "
        "be stopped. Ends with 1 if nothing was found.",
    )
    _add_line(scan)
    scan.add_argument(
        "--protocol",
        nargs="+",
        choices=("pelco-d", "pelco-p"),
        default=["pelco-d", "pelco-p"],
        help="protocols to try (default: both)",
    )
    scan.add_argument(
        "--addresses",
        type=_addresses,
        default=list(range(1, 33)),
        metavar="N-M",
        help="addresses to try, such as 1-32 or 1,5,9 (default: 1-32)",
    )
    scan.add_argument(
        "--camera",
        metavar="NAME",
        help="nudge the heads and watch the picture of this camera of nvr.toml",
    )
    scan.add_argument("--yes", action="store_true", help="do not ask before heads are moved")
    scan.add_argument("--json", action="store_true", help="for a program: one JSON list")
    scan.set_defaults(run=run_scan)
    monitor = doing.add_parser(
        "monitor",
        help="show what goes over a line, decoded",
        description="With --path, or --board and --line: listens and never writes; rate and "
        "protocol are found out. With --line alone: what the running recorder says and hears on "
        "that line of its board, for an administrator of the page. Ctrl-C ends it.",
    )
    _add_line(monitor)
    add_account(monitor)
    monitor.set_defaults(run=run_monitor)


def run_scan(chosen: argparse.Namespace) -> int:
    """Find heads."""
    line = _line(chosen)
    if line is None:
        raise Misconfigured("serial.unnamed", "name the line: --path, or --board and --line")
    bauds = chosen.baud or (line.bauds if chosen.board else BAUDS)
    return ptz_scan.run(chosen, _opener(chosen, line), bauds)


def run_monitor(chosen: argparse.Namespace) -> int:
    """Show what goes over a line."""
    line = _line(chosen)
    if line is not None:
        bauds = chosen.baud or (line.bauds if chosen.board else BAUDS)
        return ptz_monitor.listen(_opener(chosen, line), bauds)
    if not chosen.line:
        raise Misconfigured("serial.unnamed", "name the line: --path, or --line")
    return ptz_monitor.follow(chosen)


def _add_line(parser: argparse.ArgumentParser) -> None:
    where.add_data(parser)
    parser.add_argument("--path", metavar="DEVICE", help="the port, as `nvr device` lists it")
    parser.add_argument("--board", type=Path, metavar="BOARD", help="board file that has the line")
    parser.add_argument("--line", default="", metavar="NAME", help="serial line of the board")
    parser.add_argument(
        "--baud",
        type=_baud,
        nargs="+",
        default=None,
        metavar="RATE",
        help="rates to try (default: the board's, else 2400 4800 9600 19200)",
    )
    parser.add_argument(
        "--direction",
        choices=("auto", "kernel", "rts", "none"),
        default="auto",
        help="who switches the transmitter, for --path (default: auto)",
    )


def _line(chosen: argparse.Namespace) -> Serial | None:
    """The line that is meant; None if only a running recorder knows it."""
    if chosen.path:
        return Serial(path=chosen.path, direction=chosen.direction)
    if chosen.board is None:
        return None
    lines = board.load(chosen.board).serial
    name = chosen.line or (next(iter(lines)) if len(lines) == 1 else "")
    if name not in lines:
        has = ", ".join(sorted(lines)) or "none"
        raise Rejected("serial.unknown", f"the board has no serial line {name!r} (it has {has})")
    return lines[name]


def _opener(chosen: argparse.Namespace, line: Serial) -> ptz_scan.Open:
    sim: Path = chosen.data / "sim"

    def opened(baud: int) -> SerialPort:
        return open_serial(line, sim, baud)

    return opened


def _baud(text: str) -> int:
    if text not in set(map(str, BAUDS)):
        raise argparse.ArgumentTypeError(f"{text} is none of {', '.join(map(str, BAUDS))}")
    return int(text)


def _addresses(text: str) -> list[int]:
    found: set[int] = set()
    for part in text.split(","):
        match = re.fullmatch(r"(\d{1,3})(?:-(\d{1,3}))?", part.strip())
        if not match:
            raise argparse.ArgumentTypeError(f"{text} is not like 1-32 or 1,5,9")
        first = int(match[1])
        found |= set(range(first, int(match[2] or first) + 1))
    if not found or min(found) < 1 or max(found) > 254:
        raise argparse.ArgumentTypeError("addresses are 1 to 254")
    return sorted(found)
