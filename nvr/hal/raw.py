"""The device operations that the guard shares with the recorder; standard library only.

Source: Linux ``include/uapi/linux/gpio.h`` (v2 ABI), ``tty_ioctl(4)``.
"""

import fcntl
import os
import select
import struct
import termios
import time

# _IOWR(0xB4, 0x0F, struct gpio_v2_line_values { __aligned_u64 bits, mask; })
_SET_VALUES = 0xC010B40F
_RTS = struct.pack("I", termios.TIOCM_RTS)


def drive_line(fd: int, on: bool) -> None:
    """Set the first line of a GPIO line request; the kernel applies active-low by itself.

    Raises:
        OSError: The chip is gone, or `fd` is no line request.
    """
    fcntl.ioctl(fd, _SET_VALUES, struct.pack("QQ", 1 if on else 0, 1))


def write_frame(fd: int, data: bytes, *, rts: bool = False, byte_s: float = 0.0) -> None:
    """Write a whole frame to a non-blocking serial descriptor.

    Args:
        fd: The port.
        data: The frame.
        rts: Raise RTS around it: the adapter's driver is switched by it.
        byte_s: Time of a byte on the wire. USB adapters still shift bytes out when the kernel
            calls its queue empty; the driver is released a frame later.

    Raises:
        OSError: The port is gone, or takes nothing for 200 ms.
    """
    if rts:
        fcntl.ioctl(fd, termios.TIOCMBIS, _RTS)
    view = memoryview(data)
    while view:
        try:
            view = view[os.write(fd, view) :]
        except BlockingIOError:
            if not select.select([], [fd], [], 0.2)[1]:
                raise TimeoutError("takes no bytes") from None
    if rts:
        termios.tcdrain(fd)
        time.sleep(byte_s * len(data))
        fcntl.ioctl(fd, termios.TIOCMBIC, _RTS)


def read_some(fd: int, timeout_s: float) -> bytes:
    """Return what arrived on a non-blocking serial descriptor within `timeout_s`, perhaps nothing.

    Raises:
        OSError: The port is gone.
    """
    try:
        if not select.select([fd], [], [], timeout_s)[0]:
            return b""
        data = os.read(fd, 4096)
    except BlockingIOError:
        return b""
    if not data:
        raise ConnectionResetError("the other end hung up")
    return data
