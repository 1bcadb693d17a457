"""What is changed from the console: by the recorder where one runs, else in its files."""

import argparse
import getpass
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from typing import TypeVar

from nvr.app.data import DataDirectory
from nvr.auth.audit import Audit, Entry
from nvr.base.clock import SystemClock
from nvr.cli import archive
from nvr.cli.box import Box
from nvr.config import load
from nvr.playback.lock import MOST_BY

Done = TypeVar("Done")


@dataclass(frozen=True, slots=True)
class Noted:
    """What the audit log says of a change.

    Attributes:
        reason: In words.
        camera: Name of the camera it is about.
    """

    reason: str
    camera: str = ""


def add_account(parser: argparse.ArgumentParser) -> None:
    """Add the option that names who asks a running recorder."""
    parser.add_argument(
        "--user", metavar="NAME", help="account of the page, if the recorder is running"
    )


def who() -> str:
    """Name the person in what is kept on a volume."""
    return f"{getpass.getuser()} at the console"[:MOST_BY]


def running(chosen: argparse.Namespace) -> Box:
    """Sign in to the recorder that runs on the data directory.

    Raises:
        Unavailable: ``box.unreachable``.
        NvrError: What the box answers to a log-in.
    """
    return Box(chosen.data, load.read(chosen.data / "nvr.toml"), chosen.user)


def change(
    chosen: argparse.Namespace,
    through: Callable[[Box], Done],
    directly: Callable[[], tuple[Done, Noted]],
) -> Done:
    """Have the recorder do it if it runs, else do it, and write so in its audit log.

    Args:
        chosen: With the options of `where.add` and `add_account`.
        through: Asks the recorder.
        directly: Does it; the data directory is held meanwhile.
    """
    if archive.alive(chosen):
        with running(chosen) as box:
            return through(box)
    with (
        DataDirectory(chosen.data) as data,
        closing(Audit(data.state_path, SystemClock(), hardware_no="console")) as audit,
    ):
        done, noted = directly()
        audit.record(
            Entry(
                "function-setting",
                f"console {chosen.command} {chosen.what}",
                reason=noted.reason,
                who=getpass.getuser(),
                camera=noted.camera,
            )
        )
    return done
