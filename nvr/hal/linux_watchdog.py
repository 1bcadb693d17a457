"""The kernel's hardware watchdog, and one for tests that is a process behind a named pipe.

Untested on real hardware. Opening ``/dev/watchdog`` arms it; it is disarmed by the letter ``V``
before it is closed, unless the driver has *nowayout*. Who dies with it open is restarted by it.

Source: Linux ``Documentation/watchdog/watchdog-api.rst``, ``include/uapi/linux/watchdog.h``.
"""

import contextlib
import fcntl
import os
import struct

from nvr.base.errors import Unavailable

# Of type W: 2 and 5 are read, 6 is written and read, each an int.
_GET_BOOT_STATUS = 0x80045702
_KEEP_ALIVE = 0x80045705
_SET_TIMEOUT = 0xC0045706
_CARD_RESET = 0x0020
_MAGIC = b"V"
_FOOD = b"\0"


class LinuxWatchdog:
    """See `nvr.hal.ports.WatchdogDevice`.

    Args:
        device: Its node.
        timeout_s: Seconds without food.

    Raises:
        Unavailable: ``watchdog.gone``: there is none, or somebody else has it.
    """

    def __init__(self, device: str, timeout_s: int) -> None:
        try:
            self._fd = os.open(device, os.O_WRONLY | os.O_CLOEXEC)
        except OSError as err:
            raise Unavailable("watchdog.gone", err.strerror or str(err), device=device) from err
        self.timeout_s = float(timeout_s)
        # A driver may round it, or have a time of its own: what it took stands in the answer.
        with contextlib.suppress(OSError):
            answer = fcntl.ioctl(self._fd, _SET_TIMEOUT, struct.pack("i", timeout_s))
            self.timeout_s = float(struct.unpack("i", answer)[0])
        self.was_reset = False
        with contextlib.suppress(OSError):
            answer = fcntl.ioctl(self._fd, _GET_BOOT_STATUS, struct.pack("i", 0))
            self.was_reset = bool(struct.unpack("i", answer)[0] & _CARD_RESET)

    def feed(self) -> None:  # noqa: D102 - see WatchdogDevice
        fcntl.ioctl(self._fd, _KEEP_ALIVE, 0)

    def close(self, *, disarm: bool) -> None:  # noqa: D102 - see WatchdogDevice
        if disarm:
            with contextlib.suppress(OSError):
                os.write(self._fd, _MAGIC)
        os.close(self._fd)


class VirtualWatchdog:
    """A named pipe: a zero byte is food, ``V`` disarms, its end without that is a death.

    Args:
        path: The pipe, which somebody reads already.
        timeout_s: Seconds without food.

    Raises:
        Unavailable: ``watchdog.gone``: nobody reads it.
    """

    def __init__(self, path: str, timeout_s: int) -> None:
        try:
            self._fd = os.open(path, os.O_WRONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        except OSError as err:
            raise Unavailable("watchdog.gone", err.strerror or str(err), device=path) from err
        self.timeout_s = float(timeout_s)
        self.was_reset = False

    def feed(self) -> None:  # noqa: D102 - see WatchdogDevice
        os.write(self._fd, _FOOD)

    def close(self, *, disarm: bool) -> None:  # noqa: D102 - see WatchdogDevice
        if disarm:
            with contextlib.suppress(OSError):
                os.write(self._fd, _MAGIC)
        os.close(self._fd)
