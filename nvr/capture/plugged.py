"""Waits for a device that is away, at next to no cost, and notices it within a second.

The kernel and udev say when one comes (`nvr.hal.uevent`); where they cannot be heard, as in some
containers, a look at the name every half second does.
"""

import asyncio
import contextlib
import os
from collections.abc import Callable
from typing import Final

from nvr.hal.uevent import Uevents

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
    changed = asyncio.Event()
    with contextlib.ExitStack() as stack:
        wait_s = _LOOK_S
        with contextlib.suppress(OSError):
            heard = stack.enter_context(Uevents("video4linux", "sound"))
            loop = asyncio.get_running_loop()

            def listen() -> None:
                if heard.happened():
                    changed.set()

            loop.add_reader(heard.fileno(), listen)
            stack.callback(loop.remove_reader, heard.fileno())
            wait_s = _HEARD_LOOK_S
        while not _there(path):
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(wait_s):
                    await changed.wait()
            changed.clear()
    await asyncio.sleep(_SETTLE_S)


def _there(path: str) -> bool:
    """A look into the memory of the kernel, no disk."""
    return os.path.exists(path)
