"""Some room on the system's disk that is given up when the box could not start without it.

SQLite cannot so much as open `state.db` after an orderly stop when there is no room for its log
beside it: a box whose disk something else has filled would record until its next restart and never
again. So a file of some megabytes waits there. While the box runs it is not given up: whatever
filled the disk would take that too.
"""

import contextlib
import logging
import os
from pathlib import Path

from nvr.base.log import event

_log = logging.getLogger(__name__)

NAME = "reserve"
RESERVE_BYTES = 8 << 20
"""Twice the log that SQLite lets grow before it empties it."""


def give_up(data: Path) -> None:
    """Give the room back if there is less left than the box needs to start."""
    if _left_bytes(data) >= RESERVE_BYTES:
        return
    with contextlib.suppress(OSError):
        (data / NAME).unlink()
        event(_log, logging.WARNING, "data.reserve_used", left_bytes=_left_bytes(data))


def keep(data: Path) -> None:
    """Set the room aside again once there is enough; what keeps it from that is no matter."""
    path = data / NAME
    with contextlib.suppress(OSError):
        if path.exists() or _left_bytes(data) < 4 * RESERVE_BYTES:
            return
        with path.open("wb") as file:
            os.posix_fallocate(file.fileno(), 0, RESERVE_BYTES)


def _left_bytes(data: Path) -> int:
    disk = os.statvfs(data)
    return disk.f_bavail * disk.f_frsize
