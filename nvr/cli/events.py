"""`nvr events`: what happened at the cameras, as kept by the recorder."""

import argparse
import sys
import time
from dataclasses import asdict

import msgspec

from nvr.analyse.store import FILE, read
from nvr.base.errors import Misconfigured
from nvr.cli import where
from nvr.media.happening import KINDS, Happening, is_object

_DESCRIPTION = """\
Lists what happened, the oldest first: what the recorder found in the pictures, what
the cameras told of themselves (source "camera"), and what was reported with nvr event.
Only reads: works while the recorder is running and on the directory of a dead box.
"""
_EXAMPLES = """\
examples:
  nvr events                                the last day, of all cameras
  nvr events --camera gate --kind motion,tamper --from 2026-03-01T08:00
  nvr events --json                         for a program, times in UTC us
"""
_DAY_US = 86_400_000_000


def add(parsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add the subcommand."""
    parser = parsers.add_parser(
        "events",
        help="what happened at the cameras: motion, tampering, inputs, bad pictures",
        description=_DESCRIPTION,
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    where.add_data(parser)
    parser.add_argument(
        "--camera",
        action="append",
        default=[],
        metavar="NAME",
        help="only this camera; again: more",
    )
    parser.add_argument(
        "--kind",
        default="",
        metavar="KIND,...",
        help=f"of {', '.join(KINDS)}, object, object.person...",
    )
    parser.add_argument(
        "--from", dest="begin", type=where.wall_us, metavar="TIME",
        help="2026-03-01T08:00:00 in this machine's time zone, or with Z or +08:00 at the end "
        "(default: a day ago)",
    )  # fmt: skip
    parser.add_argument("--to", dest="end", type=where.wall_us, metavar="TIME", help="likewise")
    parser.add_argument("--most", type=int, default=1000, help="the newest so many (default: 1000)")
    parser.add_argument("--json", action="store_true", help="one JSON array, times in UTC us")
    parser.set_defaults(run=run)


def run(chosen: argparse.Namespace) -> int:
    """List them."""
    end_us = time.time_ns() // 1000 + 1 if chosen.end is None else chosen.end
    begin_us = end_us - _DAY_US if chosen.begin is None else chosen.begin
    if end_us <= begin_us:
        raise Misconfigured("event.times", "--to must be after --from")
    words = [word for word in chosen.kind.split(",") if word]
    kinds = [word for word in words if word in KINDS or is_object(word)]
    if kinds != words:
        raise Misconfigured("event.kind", f"a kind is one of {', '.join(KINDS)}")
    path = chosen.data / FILE
    if not path.exists():
        raise Misconfigured("event.none", "no recorder has kept anything there", file=str(path))
    most = min(max(chosen.most, 1), 1_000_000)
    found = read(path, chosen.camera, begin_us, end_us, kinds, most)
    if chosen.json:
        rows = [asdict(one) | {"source": one.source or "box"} for one in found]
        sys.stdout.write(msgspec.json.format(msgspec.json.encode(rows)).decode() + "\n")
        return 0
    for one in found:
        print(line(one))
    return 0


def line(one: Happening) -> str:
    """One of them for a person."""
    lasted = "goes on" if one.to_us is None else f"{(one.to_us - one.from_us) / 1e6:.1f} s"
    at = f"{where.local(one.from_us):%Y-%m-%d %H:%M:%S}"
    words = [at, one.camera or "(box)", one.kind, one.source or "box", lasted, one.zone]
    return "  ".join(words).rstrip()
