"""`nvr target`: where exports can be sent to."""

import argparse

from nvr.app.target import bucket, targets
from nvr.base.clock import SystemClock
from nvr.base.errors import Misconfigured
from nvr.cli import ask, where
from nvr.config import load

_DESCRIPTION = """\
Lists where an export can be sent to now: USB sticks (`nvr export --usb`, or the page), with their
file system and free room, and the S3-compatible store of [export.s3] in nvr.toml (`--store`).

A stick is listed once the system has mounted it below `usb` of [export] (/media unless changed),
writable; never a disk that is the system's or holds a volume. How to have the system mount sticks
by itself, and what a store needs: nvr/export/TARGETS.md.
"""
_EXAMPLES = """\
examples:
  nvr target
  nvr target --secret      asks for the secret of the store's key_id, and keeps it in secrets.toml
  nvr target --check       begins an upload in the store and aborts it: address, trust and rights
"""
_PROBE = "nvr-check"
_WHY = {
    "usb.unmounted": "the system has not mounted it",
    "usb.read_only": "it is read-only: its switch, or its file system is damaged",
    "usb.volume": "it holds recordings, and is not written to",
}


def add(parsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add the subcommand."""
    parser = parsers.add_parser(
        "target",
        help="where exports can be sent to: USB sticks, a store",
        description=_DESCRIPTION,
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    where.add_data(parser)
    what = parser.add_mutually_exclusive_group()
    what.add_argument("--secret", action="store_true", help="set the store's secret")
    what.add_argument("--check", action="store_true", help="see whether the store takes uploads")
    parser.set_defaults(run=run)


def run(chosen: argparse.Namespace) -> int:
    """List them, or set or check the store."""
    config = load.read(chosen.data / "nvr.toml")
    clock = SystemClock()
    if chosen.secret or chosen.check:
        store = bucket(chosen.data, config, clock.wall_us)
        if store is None:
            raise Misconfigured("s3.none", "nvr.toml names no store: add [export.s3]")
        if chosen.secret:
            load.edit_store_secret(
                chosen.data / "secrets.toml", ask.secret(f"secret of {store.place.key_id}: ")
            )
            print("saved; a recorder that runs uses it from the next export on")
            return 0
        opened = store.store()
        try:
            opened.abort(_PROBE, opened.begin(_PROBE, "text/plain"))
        finally:
            opened.close()
        print(f"{store.place} takes uploads")
        return 0
    there = targets(chosen.data, config, clock.wall_us)
    found = [one for one in there.all() if one.name]
    for one in found:
        room = f"{one.free_bytes / 1e9:.1f} of {one.size_bytes / 1e9:.1f} GB free"
        kind = f"{one.file_system}  {room}" if one.kind == "usb" else config.export.s3.endpoint  # type: ignore[union-attr] # there is one
        print(f"{one.name}  {one.title}  {kind}")
    unusable = there.unusable()
    for stick in unusable:
        print(f"{stick.title}: {_WHY[stick.code]} ({stick.code})")
    if not unusable and not any(one.kind == "usb" for one in found):
        print(f"no stick is plugged in, or none that is mounted below {config.export.usb}")
    return 0 if found else 1
