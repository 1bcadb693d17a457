"""`nvr upstream`: who is told what happens, and how that goes."""

import argparse
import json
import sys
import time

import msgspec

from nvr.cli import ask, where
from nvr.cli.console import add_account, running
from nvr.config import load
from nvr.media.notify import NOTIFY_KINDS

_DESCRIPTION = """\
Asks the running recorder how brokers (MQTT), webhooks and syslog servers do: connected
or not, since when, what was sent, what waits or was dropped, and the last trouble.
They stand in nvr.toml: [[mqtt]], [[webhook]], [[syslog]]; see nvr/config/SETTINGS.md.
"""
_EXAMPLES = """\
examples:
  nvr upstream
  nvr upstream --test webhook/ticket      sends a test, past its filter
  nvr upstream --secret mqtt/plant        asks for its password, and keeps it in secrets.toml;
                                          no recorder needs to run, one that runs takes it
                                          with its next connection
  nvr upstream --json                     for a program

ends with 0, with 1 if one that is on is not connected
"""


class _Settings(msgspec.Struct, frozen=True):
    kind: str
    name: str
    on: bool
    url: str


class _Fault(msgspec.Struct, frozen=True):
    code: str
    detail: str


class _One(msgspec.Struct, frozen=True):
    settings: _Settings
    standing: str
    since_us: int
    error: _Fault | None
    error_us: int
    sent: int
    failed: int
    dropped: int
    waiting: int
    commands: int
    refused: int


def add(parsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add the subcommand."""
    parser = parsers.add_parser(
        "upstream",
        help="who is told what happens: MQTT brokers, webhooks, syslog servers",
        description=_DESCRIPTION,
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    where.add_data(parser)
    how = parser.add_mutually_exclusive_group()
    how.add_argument("--test", metavar="KIND/NAME", help="send a test")
    how.add_argument("--secret", metavar="KIND/NAME", help="set a password or secret")
    how.add_argument("--json", action="store_true", help="what the recorder answers, as JSON")
    add_account(parser)
    parser.set_defaults(run=run)


def run(chosen: argparse.Namespace) -> int:
    """Show them, send a test, or keep a secret."""
    if chosen.secret:
        kind, _, name = chosen.secret.partition("/")
        if kind not in NOTIFY_KINDS[:2] or not name:
            print("which? --secret mqtt/NAME or webhook/NAME", file=sys.stderr)
            return 2
        secret = ask.secret(f"secret of {chosen.secret}: ")
        load.edit_notify_secret(chosen.data / "secrets.toml", kind, name, secret or None)
        print("saved")
        return 0
    with running(chosen) as box:
        if chosen.test:
            told = box.ask("POST", f"/api/upstream/notify/{chosen.test}/test", {})
            took_s = msgspec.convert(told, dict[str, float])["took_s"]
            print(f"{chosen.test} took it after {took_s * 1000:.0f} ms")
            return 0
        told = box.ask("GET", "/api/upstream/notify")
    found = msgspec.convert(told, list[_One])
    if chosen.json:
        sys.stdout.write(json.dumps(told, ensure_ascii=False) + "\n")
    else:
        _show(found)
    return int(any(one.settings.on and one.standing != "connected" for one in found))


def _show(found: list[_One]) -> None:
    if not found:
        print("nobody is told: [[mqtt]], [[webhook]], [[syslog]] in nvr.toml, or the page")
    for one in found:
        since = f" since {_at(one.since_us)}" if one.since_us else ""
        counts = [f"{one.sent} sent"]
        keys = ("waiting", "dropped", "failed", "commands", "refused")
        counts += [f"{getattr(one, key)} {key}" for key in keys if getattr(one, key)]
        place = f"{one.settings.kind}/{one.settings.name}"
        print(f"{place}  {one.settings.url}  {one.standing}{since}  {', '.join(counts)}")
        if one.error is not None:
            print(f"  last trouble {_at(one.error_us)}: {one.error.code}: {one.error.detail}")


def _at(us: int) -> str:
    return time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(us / 1e6))
