"""`nvr ntp`: the box as the time server of its cameras, and which of them ask."""

import argparse
from datetime import datetime
from typing import Any

from nvr.cli import console, where

_DESCRIPTION = """\
Says whether the box tells cameras the time (NTP), how far its clock is to be trusted, and who asked
of late. Asks the recorder, which must run. Switch it by [ntp] in nvr.toml, on the page, or here.
"""
_EXAMPLES = """\
examples:
  nvr ntp
  nvr ntp on                     from now on, for good
"""


def add(parsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add the subcommand."""
    parser = parsers.add_parser(
        "ntp",
        help="tell cameras the time: on or off, and which of them ask",
        description=_DESCRIPTION,
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("switch", nargs="?", choices=("on", "off"), help="for good")
    where.add_data(parser)
    console.add_account(parser)
    parser.set_defaults(run=run)


def run(chosen: argparse.Namespace) -> int:
    """Switch if wanted, and print; 1 if it is on and cannot answer."""
    with console.running(chosen) as box:
        if chosen.switch:
            box.ask("PUT", "/api/ntp", {"on": chosen.switch == "on"})
        told: Any = box.ask("GET", "/api/ntp")
    print(_standing(told))
    if told["on"] and told["fault"] is not None:
        print(f"  {told['fault']['detail']} ({told['fault']['code']})")
    for one in told["askers"]:
        at = datetime.fromtimestamp(one["at_us"] / 1e6).strftime("%Y-%m-%d %H:%M:%S")  # noqa: DTZ006 - here
        print(f"  {one['address']}  last {at}  {one['answered']} answers")
    return int(told["on"] and told["fault"] is not None)


def _standing(told: dict[str, Any]) -> str:
    if not told["on"]:
        return "off"
    if told["stratum"] == 0:
        return "on, but the clock of the box was never set: nobody is told a time"
    heard = "answers" if told["listening"] else "not yet"
    return f"on  UDP {told['port']}  {heard}  stratum {told['stratum']}"
