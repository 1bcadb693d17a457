"""The device operations that the guard shares with the recorder; standard library only.

Source: Linux ``include/uapi/linux/gpio.h`` (v2 ABI), ``tty_ioctl(4)``.
"""

import errno
import fcntl
import os
import select
import struct
import termios
import time

# _IOWR(0xB4, 0x0F, struct gpio_v2_line_values { __aligned_u64 bits, mask; })
_SET_VALUES = 0xC010B40F
# _IOWR(0xB4, 0x07, struct gpio_v2_line_request), 592 bytes
_GET_LINE = 0xC250B407
# _IOWR(0xB4, 0x09, struct gpiohandle_data { __u8 values[64]; }), of the first ABI
_SET_VALUES_1 = 0xC040B409
_OUTPUT, _VALUES = 1 << 3, 2
_RTS = struct.pack("I", termios.TIOCM_RTS)


def drive_line(fd: int, on: bool) -> None:
    """Set the first line of a GPIO line request; the kernel applies active-low by itself.

    Raises:
        OSError: The chip is gone, or `fd` is no line request.
    """
    try:
        fcntl.ioctl(fd, _SET_VALUES, struct.pack("QQ", 1 if on else 0, 1))
    except OSError as err:
        if err.errno not in {errno.ENOTTY, errno.EINVAL}:
            raise
        # A line requested through the first ABI, as some libraries still do.
        fcntl.ioctl(fd, _SET_VALUES_1, struct.pack("64B", 1 if on else 0, *bytes(63)))


def claim_line(chip: str, line: int, on: bool) -> int:
    """Request a line as an output with its level in the same call; returns its descriptor.

    Raises:
        OSError: No such chip or line, or somebody holds it.
    """
    request = struct.pack(
        # offsets, consumer, flags, num_attrs, padding; one attribute with its mask, nine empty;
        # num_lines, event_buffer_size, padding, fd
        "I252x 32s QI20x IIQQ 216x II20xi",
        *(line, b"nvr-guard", _OUTPUT, 1),
        *(_VALUES, 0, 1 if on else 0, 1),
        *(1, 0, 0),
    )
    fd = os.open(chip, os.O_RDWR | os.O_CLOEXEC)
    try:
        answer = bytearray(request)
        fcntl.ioctl(fd, _GET_LINE, answer)
    finally:
        os.close(fd)
    return int(struct.unpack_from("i", answer, 588)[0])


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
        try:
            termios.tcdrain(fd)
        except termios.error as err:  # no OSError, though a pulled adapter says so
            raise OSError(*err.args) from err
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
