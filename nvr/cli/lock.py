"""`nvr lock`: what must stay, whatever else is overwritten."""

import argparse
import sys
from collections.abc import Callable, Sequence

import msgspec

from nvr.app import locks
from nvr.base.clock import SystemClock
from nvr.base.errors import Misconfigured
from nvr.cli import archive, console, where
from nvr.cli.box import Box
from nvr.playback.lock import Locked, Wanted
from nvr.record.lock import KINDS, Lock
from nvr.record.store import Store

_DAY_US = 86_400_000_000
_DESCRIPTION = """\
A lock keeps a stretch of a camera's recordings, all its streams, whatever else is
overwritten: until a day that is named, or, for a legal hold, until it is removed.
Listing works while the recorder is running and on the disk of another box
(--volume). Beside a running recorder, locks are added and removed by it, for an
account of the page, whose password is asked for or read from standard input; of a
stopped one, or on another box's disk, in the volume itself.
"""
_EXAMPLES = """\
examples:
  nvr lock list
  nvr lock add --camera gate --from 2026-03-01T08:00 --to 2026-03-01T08:20 \\
      --days 90 --why "theft at the east gate"
  nvr lock add --camera gate --from 2026-03-01T08:00 --to 2026-03-01T18:00 \\
      --kind legal --why "court order 2026-114"
  nvr lock remove 3
"""


class _Row(msgspec.Struct, frozen=True):
    number: int
    camera: str
    kind: str
    from_us: int
    to_us: int
    until_us: int | None
    by: str
    why: str
    made_us: int
    used_bytes: int


def add(parsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add the subcommand."""
    parser = parsers.add_parser(
        "lock",
        help="recordings that must stay: evidence, alarms, legal holds",
        description=_DESCRIPTION,
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    what = parser.add_subparsers(dest="what", required=True, metavar="WHAT")
    one = what.add_parser("list", help="show all locks in force")
    where.add(one)
    one.add_argument("--json", action="store_true", help="one JSON array, times in UTC us")
    one.set_defaults(run=_list)

    one = what.add_parser("add", help="lock a stretch of a camera")
    where.add(one)
    one.add_argument("--camera", required=True, metavar="NAME", help="name of the camera")
    one.add_argument(
        "--from", dest="begin", type=where.wall_us, required=True, metavar="TIME",
        help="2026-03-01T08:00:00 in this machine's time zone, or with Z or +08:00 at the end",
    )  # fmt: skip
    one.add_argument(
        "--to", dest="end", type=where.wall_us, required=True, metavar="TIME",
        help="likewise; may be up to a day ahead",
    )  # fmt: skip
    one.add_argument("--kind", choices=KINDS, default="evidence", help="(default: evidence)")
    one.add_argument("--why", required=True, metavar="TEXT", help="why it must stay")
    end = one.add_mutually_exclusive_group()
    end.add_argument(
        "--days", type=float, metavar="N", help="until so many days from now (default: 90)"
    )
    end.add_argument("--until", type=where.wall_us, metavar="TIME", help="until then")
    console.add_account(one)
    one.set_defaults(run=_add)

    one = what.add_parser("remove", help="end a lock")
    where.add(one)
    one.add_argument("number", type=int, metavar="NUMBER", help="as `nvr lock list` shows it")
    console.add_account(one)
    one.set_defaults(run=_remove)


def _list(chosen: argparse.Namespace) -> int:
    with archive.opened(chosen) as all_volumes:
        found = locks.locked([each.store for each in all_volumes.volumes])
    if chosen.json:
        sys.stdout.write(msgspec.json.encode([_row(one) for one in found]).decode() + "\n")
        return 0
    for one in found:
        print(_line(one))
    if not found:
        print("nothing is locked")
    return 0


def _add(chosen: argparse.Namespace) -> int:
    clock = SystemClock()
    until_us = 0
    if chosen.kind == "legal":
        if chosen.days is not None or chosen.until is not None:
            raise Misconfigured("lock.times", "a legal hold has no end: it is removed when over")
    elif chosen.until is not None:
        until_us = chosen.until
    else:
        days = 90.0 if chosen.days is None else chosen.days
        until_us = clock.wall_us() + round(days * _DAY_US)

    def through(box: Box) -> str:
        body = {
            "kind": chosen.kind, "from_us": chosen.begin, "to_us": chosen.end,
            "why": chosen.why, "until_us": until_us or None,
        }  # fmt: skip
        made = msgspec.convert(box.ask("POST", f"/api/camera/{chosen.camera}/lock", body), _Row)
        return f"lock {made.number}: {made.used_bytes / 1e6:,.0f} MB of {made.camera} will stay"

    def directly(stores: Sequence[Store]) -> tuple[Lock, str]:
        wanted = Wanted(
            chosen.kind,
            chosen.camera,
            chosen.begin,
            chosen.end,
            until_us,
            console.who(),
            chosen.why,
        )
        made = locks.add(stores, wanted)
        megabytes = made.used_bytes / 1e6
        return made.lock, (
            f"lock {made.lock.number}: {megabytes:,.0f} MB of {made.lock.camera} will stay"
        )

    print(_change(chosen, through, directly))
    return 0


def _remove(chosen: argparse.Namespace) -> int:
    def through(box: Box) -> str:
        for row in msgspec.convert(box.ask("GET", "/api/lock"), list[_Row]):
            if row.number == chosen.number:
                box.ask("DELETE", f"/api/camera/{row.camera}/lock/{row.number}")
                return f"lock {row.number} of {row.camera} is removed"
        raise Misconfigured("lock.number", "there is no lock of that number", number=chosen.number)

    def directly(stores: Sequence[Store]) -> tuple[Lock, str]:
        gone = locks.remove(stores, chosen.number, console.who())
        return gone, f"lock {gone.number} of {gone.camera} is removed"

    print(_change(chosen, through, directly))
    return 0


def _change(
    chosen: argparse.Namespace,
    through: Callable[[Box], str],
    directly: Callable[[Sequence[Store]], tuple[Lock, str]],
) -> str:
    """Change the box's locks, or those on another box's disk."""
    if chosen.volume is not None:
        with archive.edited(chosen) as stores:
            return directly(stores)[1]

    def noted() -> tuple[str, console.Noted]:
        with archive.edited(chosen) as stores:
            done, said = directly(stores)
        reason = f"{done.kind} {done.number}: {done.from_us} to {done.to_us}: {done.why}"
        return said, console.Noted(reason, done.camera)

    return console.change(chosen, through, noted)


def _row(one: Locked) -> _Row:
    found = one.lock
    return _Row(
        found.number, found.camera, found.kind, found.from_us, found.to_us, found.until_us or None,
        found.by, found.why, found.made_us, one.used_bytes,
    )  # fmt: skip


def _line(one: Locked) -> str:
    found = one.lock
    begin, end = (where.local(at) for at in (found.from_us, found.to_us))
    until = f"until {where.local(found.until_us):%Y-%m-%d %H:%M}" if found.until_us else "no end"
    return (
        f"{found.number:>4}  {found.kind:<8}  {found.camera:<16}  {begin:%Y-%m-%d %H:%M:%S} to "
        f"{end:%Y-%m-%d %H:%M:%S}  {one.used_bytes / 1e6:>8,.0f} MB  {until}  "
        f"by {found.by}: {found.why}"
    )
