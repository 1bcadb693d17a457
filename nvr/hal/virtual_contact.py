"""An alarm input that a person or a test moves: a named pipe, into which its level is written.

``echo 1 > var/sim/input/gate``: a digit is a level, as of then; everything else is ignored.
"""

import contextlib
import os
import time
from collections.abc import Sequence
from pathlib import Path

from nvr.base.errors import Unavailable
from nvr.hal.ports import Edge

_MOST_BYTES = 64


class VirtualContact:
    """One input. See `nvr.hal.ports.Contact`.

    Args:
        path: The pipe, made if it is not there.
        rest: Level at the begin.

    Raises:
        Unavailable: ``gpio.gone``.
    """

    def __init__(self, path: Path, rest: int = 0) -> None:
        self._level = rest
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            with contextlib.suppress(FileExistsError):
                os.mkfifo(path, 0o600)
            # Open for writing too: without a writer it would be readable for ever.
            self._fd = os.open(path, os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC)
        except OSError as err:
            raise Unavailable("gpio.gone", str(err), input=path.name) from err

    def fileno(self) -> int:  # noqa: D102 - see Contact
        return self._fd

    def level(self) -> int:  # noqa: D102 - see Contact
        return self._level

    def edges(self) -> Sequence[Edge]:  # noqa: D102 - see Contact
        try:
            said = os.read(self._fd, _MOST_BYTES)
        except BlockingIOError:
            return ()
        except OSError as err:
            raise Unavailable("gpio.gone", str(err)) from err
        found = []
        for digit in said:
            if 0x30 <= digit <= 0x33 and digit - 0x30 != self._level:
                self._level = digit - 0x30
                found.append(Edge(self._level, time.monotonic()))
        return found

    def close(self) -> None:  # noqa: D102 - see Contact
        os.close(self._fd)
