"""RS-485 on a Linux serial port: UART, USB adapter, HAT."""

import termios
from typing import Literal

import serial
from serial.rs485 import RS485Settings

from nvr.base.errors import Misconfigured, Unavailable
from nvr.hal import raw

Direction = Literal["auto", "kernel", "rts", "none"]
_BITS_PER_BYTE = 10  # 8N1


class LinuxSerial:
    """An open port. See `nvr.hal.ports.SerialPort`.

    Args:
        path: Device, best by a name that stays: ``/dev/serial/by-id/...``.
        baud: Line speed; 8N1 always.
        direction: Who switches the transmitter on. ``kernel``: the driver's RS-485 mode;
            ``rts``: we raise RTS around each frame; ``none``: the adapter itself;
            ``auto``: the kernel if its driver can, else the adapter.

    Raises:
        Unavailable: ``serial.gone``: not there, or held by another process.
        Misconfigured: ``serial.direction``: this driver cannot do that.
    """

    def __init__(self, path: str, baud: int, direction: Direction = "auto") -> None:
        self._path = path
        self._byte_s = _BITS_PER_BYTE / baud
        self.rts = direction == "rts"
        try:
            self._port = serial.Serial(path, baud, timeout=0, exclusive=True)
        except (OSError, ValueError, termios.error) as err:
            raise Unavailable("serial.gone", str(err), path=path) from err
        try:
            self._direct(direction)
        except BaseException:
            self._port.close()
            raise

    def _direct(self, direction: Direction) -> None:
        try:
            if direction in {"auto", "kernel"}:
                self._port.rs485_mode = RS485Settings()
            elif direction == "rts":
                self._port.rts = False
        except (OSError, ValueError) as err:
            # USB adapters refuse the kernel mode (ENOTTY): their chip switches by itself.
            if direction != "auto":
                raise Misconfigured(
                    "serial.direction",
                    f"the driver of this port cannot do direction = {direction}",
                    path=self._path,
                ) from err
            self._port.rs485_mode = None  # else pyserial tries it again at every change

    def fileno(self) -> int:  # noqa: D102 - see SerialPort
        return int(self._port.fileno())

    def write(self, data: bytes) -> None:  # noqa: D102 - see SerialPort
        try:
            raw.write_frame(self.fileno(), data, rts=self.rts, byte_s=self._byte_s)
        except OSError as err:
            raise Unavailable("serial.gone", str(err), path=self._path) from err

    def read(self, timeout_s: float) -> bytes:  # noqa: D102 - see SerialPort
        try:
            return raw.read_some(self.fileno(), timeout_s)
        except OSError as err:
            raise Unavailable("serial.gone", str(err), path=self._path) from err

    def close(self) -> None:  # noqa: D102 - see SerialPort
        self._port.close()
