"""Waits for a device that is away, at next to no cost, and notices it within a second.

The kernel and udev say when one comes (`nvr.hal.uevent`); where they cannot be heard, as in some
containers, a look at the name every half second does.
"""

import asyncio
import contextlib
import os
from collections.abc import Callable
from typing import Final

from nvr.hal.uevent import changes

_LOOK_S: Final = 0.5
_HEARD_LOOK_S: Final = 5.0
_SETTLE_S: Final = 0.2
"""Between the node and the rights that udev gives it."""


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
        wait_s = _HEARD_LOOK_S if heard else _LOOK_S
        while not _there(path):
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(wait_s):
                    await changed.wait()
            changed.clear()
    await asyncio.sleep(_SETTLE_S)


def _there(path: str) -> bool:
    """A look into the memory of the kernel, no disk."""
    return os.path.exists(path)
