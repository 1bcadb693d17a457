"""Simulated joysticks: directories, one a joystick, so that a process of its own can hold one.

A directory ``joystick/NAME`` has ``layout.json`` (what it is), ``standing.json`` (how it stands,
asked when the kernel would be: at the begin and after events were lost) and the named pipe
``events``, into which whoever holds it writes the kernel's structs. It is plugged in while the pipe
is open for writing. `nvr.sim.joystick` holds one.
"""

import contextlib
import json
import os
from collections.abc import Mapping
from collections.abc import Set as AbstractSet
from functools import partial
from pathlib import Path

from nvr.base.errors import Unavailable
from nvr.hal.joystick import Joystick, Layout

LAYOUT, STANDING, EVENTS = "layout.json", "standing.json", "events"


def nodes(directory: Path) -> list[Path]:
    """Return the pipes there are, plugged in or not."""
    return sorted(directory.glob(f"*/{EVENTS}"))


def open_joystick(pipe: Path) -> Joystick:
    """Open one.

    Raises:
        Unavailable: ``joystick.gone``: it is not plugged in.
    """
    fd = -1
    try:
        fd = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        _forget(fd)
        told = json.loads((pipe.parent / LAYOUT).read_text())
        layout = Layout(
            told["name"], told["vendor"], told["product"],
            {int(code): (least, most) for code, (least, most) in told["axes"].items()},
            set(told["keys"]),
        )  # fmt: skip
    except (OSError, ValueError, TypeError, LookupError) as err:
        if fd >= 0:
            os.close(fd)
        raise Unavailable("joystick.gone", str(err), joystick=pipe.parent.name) from err
    return Joystick(fd, layout, partial(_standing, pipe.parent))


def _forget(fd: int) -> None:
    """Leave out what was done while nobody listened, as the kernel does."""
    with contextlib.suppress(BlockingIOError):
        while os.read(fd, 65536):
            pass
        raise OSError("nobody holds it")


def _standing(directory: Path) -> tuple[Mapping[int, int], AbstractSet[int]]:
    try:
        told = json.loads((directory / STANDING).read_text())
        return {int(code): value for code, value in told["axes"].items()}, set(told["keys"])
    except (ValueError, TypeError, LookupError) as err:
        raise OSError(str(err)) from err
