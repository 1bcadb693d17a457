"""`nvr gb28181`: the GB/T 28181 platforms that the box is a device of, and how each does."""

import argparse
from datetime import datetime
from typing import Any

from nvr.cli import console, where

_DESCRIPTION = """\
Says of each GB/T 28181 platform of [[gb28181]] in nvr.toml whether the box is registered with it
and since when, what went wrong last, what it asked for, and whether
our clock goes by it. Asks the recorder, which must run.
"""
_EXAMPLES = """\
examples:
  nvr gb28181
  nvr gb28181 --user admin       the account of the page that asks
"""
_USES = {
    "": "",
    "set": "; ours goes by it",
    "better": "; ours is set by NTP, which is better",
    "denied": "; known but not set: the recorder may not set the clock (CAP_SYS_TIME)",
    "refused": "; not believed",
}


def add(parsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add the subcommand."""
    parser = parsers.add_parser(
        "gb28181",
        help="GB/T 28181 platforms: registered or not, and why",
        description=_DESCRIPTION,
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    where.add_data(parser)
    console.add_account(parser)
    parser.set_defaults(run=run)


def run(chosen: argparse.Namespace) -> int:
    """Ask and print; 1 if one that is on is not registered."""
    with console.running(chosen) as box:
        told: Any = box.ask("GET", "/api/upstream/gb28181")
    platforms = told["platforms"]
    for one in platforms:
        print("\n".join(_lines(one)))
    if not platforms:
        print("no platform")
    return int(any(one["on"] and one["state"] != "registered" for one in platforms))


def _lines(one: dict[str, Any]) -> list[str]:
    since = f" since {_time(one['since_us'])}" if one["since_us"] else ""
    said = [f"{one['name']}  {one['state']}{since}  {one['at'] or one['host']}  {one['spoken']}"]
    if one["on"]:
        said.append(
            f"  {len(one['channels'])} channels, {one['sessions']} streams, {one['asked']} asked, "
            f"{one['refused']} refused, {one['damaged']} damaged, {one['repeated']} repeated, "
            f"{one['alarms']} alarms told"
        )
    if one["clock_off_ms"] is not None:
        use = _USES[one["clock_use"]]
        said.append(f"  its clock is {one['clock_off_ms'] / 1000:+.1f} s off ours{use}")
    if one["fault"] is not None:
        fault = one["fault"]
        said.append(f"  {_time(one['fault_us'])}  {fault['detail']} ({fault['code']})")
    return said


def _time(at_us: int) -> str:
    return datetime.fromtimestamp(at_us / 1e6).strftime("%Y-%m-%d %H:%M:%S")  # noqa: DTZ006 - here
