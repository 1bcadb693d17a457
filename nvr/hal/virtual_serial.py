"""A serial line that ends in another process: the slave side of its pseudo-terminal."""

import os
import termios
import tty

from nvr.base.errors import Unavailable
from nvr.hal import raw


class VirtualSerial:
    """An open pseudo-terminal. See `nvr.hal.ports.SerialPort`.

    Args:
        path: The slave, or a link to it that the owner of the other end renews.

    Raises:
        Unavailable: ``serial.gone``: nobody serves the other end.
    """

    def __init__(self, path: str) -> None:
        self._path = path
        self.rts = False
        fd = -1
        try:
            fd = os.open(path, os.O_RDWR | os.O_NOCTTY | os.O_NONBLOCK | os.O_CLOEXEC)
            tty.setraw(fd)
        except (OSError, termios.error) as err:
            if fd >= 0:
                os.close(fd)
            raise Unavailable("serial.gone", str(err), path=path) from err
        self._fd = fd

    def fileno(self) -> int:  # noqa: D102 - see SerialPort
        return self._fd

    def write(self, data: bytes) -> None:  # noqa: D102 - see SerialPort
        try:
            raw.write_frame(self._fd, data)
        except OSError as err:
            raise Unavailable("serial.gone", str(err), path=self._path) from err

    def read(self, timeout_s: float) -> bytes:  # noqa: D102 - see SerialPort
        try:
            return raw.read_some(self._fd, timeout_s)
        except OSError as err:
            raise Unavailable("serial.gone", str(err), path=self._path) from err

    def close(self) -> None:  # noqa: D102 - see SerialPort
        os.close(self._fd)
