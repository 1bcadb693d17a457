"""`nvr event`: something happens at a camera, so that it is recorded."""

import argparse

import msgspec

from nvr.base.errors import Unavailable
from nvr.cli import where
from nvr.cli.console import add_account, running
from nvr.config import load
from nvr.hal.linux_disk import in_use


class _Answer(msgspec.Struct, frozen=True):
    until_us: int


def add(parsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add the subcommand."""
    parser = parsers.add_parser(
        "event",
        help="something happens: have a camera record it",
        description="Tells the running recorder that something happens at a camera. In hours in "
        "which its plan records only events, the seconds before (pre_s) and after (post_s) are "
        "recorded; in others nothing changes. Signs in as an account of the page with the right "
        "to relays, whose password is asked for or read from standard input.",
    )
    where.add_data(parser)
    parser.add_argument("--camera", required=True, metavar="NAME", help="name of the camera")
    parser.add_argument("--what", default="", metavar="TEXT", help="for the audit log")
    parser.add_argument(
        "--seconds", type=float, metavar="S", help="go on for so long (default: what the plan says)"
    )
    add_account(parser)
    parser.set_defaults(run=run)


def run(chosen: argparse.Namespace) -> int:
    """Tell the recorder."""
    config = load.read(chosen.data / "nvr.toml")
    volumes = (config.volume, *config.spare)
    if not any(in_use(chosen.data / volume.path) for volume in volumes):
        raise Unavailable("box.not_running", "no recorder runs on this directory, or on no volume")
    body = {"what": chosen.what, "post_s": chosen.seconds}
    with running(chosen) as box:
        told = box.ask("POST", f"/api/camera/{chosen.camera}/event", body)
    until = where.local(msgspec.convert(told, _Answer).until_us)
    print(f"{chosen.camera} is recorded until {until:%H:%M:%S} at least")
    return 0
