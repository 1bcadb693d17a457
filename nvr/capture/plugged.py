"""Waits for a device that is away, at next to no cost, and notices it within a second.

The kernel and udev say when one comes (`nvr.hal.uevent`); where they cannot be heard, as in some
containers, a look at the name every half second does.
"""

import asyncio
import os
from collections.abc import Callable

from nvr.hal.uevent import SETTLE_S, changes, look_again


async def until_there(path: str, missing: Callable[[], None]) -> None:
    """Return once there is something at `path`.

    Args:
        path: A node of ``/dev``, or a name of udev's.
        missing: Called once, if there is nothing now.
    """
    if _there(path):
        return
    missing()
    with changes("video4linux", "sound") as (changed, heard):
        while not _there(path):
            await look_again(changed, rare=heard)
    await asyncio.sleep(SETTLE_S)


def _there(path: str) -> bool:
    """A look into the memory of the kernel, no disk."""
    return os.path.exists(path)
