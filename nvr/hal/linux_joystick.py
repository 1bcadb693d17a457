"""The joysticks that the kernel knows: ``/dev/input/event*``.

A joystick has two axes for a hand and what only a joystick has: no touchpad, no tablet, no sensor.

Source: Linux 6.1 ``include/uapi/linux/input.h``; systemd 252 ``udev-builtin-input_id.c``.
"""

import fcntl
import os
import struct
from collections.abc import Callable, Mapping
from collections.abc import Set as AbstractSet
from functools import partial
from pathlib import Path

from nvr.base.errors import Unavailable
from nvr.hal.joystick import BTN_JOYSTICK, Joystick, Layout
from nvr.wire.input_event import EV_ABS, EV_KEY

SUBSYSTEM = "input"
INPUT = Path("/dev/input")

Ioctl = Callable[[int, bytearray], int]
"""Asks the driver: request and where its answer goes; returns how many bytes came."""

_ID = struct.Struct("@4H")
_ABS = struct.Struct("@6i")
_NAME_BYTES, _KEY_MAX, _ABS_MAX, _PROP_MAX = 256, 0x2FF, 0x3F, 0x1F
_ABS_MISC = 0x28
"""From here on come the axes of touch screens and others."""
_BTN_MOUSE, _BTN_JOYSTICKS, _BTN_DIGI = 0x110, range(0x120, 0x140), range(0x140, 0x150)
_TRIGGER_HAPPY = range(0x2C0, 0x2E8)
_PROP_POINTER, _PROP_DIRECT, _PROP_ACCELEROMETER = 0, 1, 6
_ABS_X, _ABS_Y, _HAND = 0, 1, range(2, 8)


def _read(number: int, size: int) -> int:
    """Return the code of a request that answers `size` bytes (``_IOC_READ``, type ``E``)."""
    return 2 << 30 | size << 16 | ord("E") << 8 | number


def nodes(directory: Path = INPUT) -> list[Path]:
    """Return the input devices there are, joysticks or not."""
    try:
        return [directory / name for name in os.listdir(directory) if name.startswith("event")]
    except OSError:
        return []


def open_joystick(path: Path) -> Joystick | None:
    """Open an input device, None if it is no joystick.

    Raises:
        Unavailable: ``joystick.gone``: it is not there any more, or may not be read.
    """
    fd = -1
    try:
        fd = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        ioctl: Ioctl = partial(fcntl.ioctl, fd)
        layout = layout_of(ioctl)
    except OSError as err:
        if fd >= 0:
            os.close(fd)
        raise Unavailable("joystick.gone", str(err), joystick=str(path)) from err
    if layout is None:
        os.close(fd)
        return None
    return Joystick(fd, layout, partial(standing_of, ioctl, layout))


def layout_of(ioctl: Ioctl) -> Layout | None:
    """Ask a device what it is and has, None if it is no joystick.

    Raises:
        OSError: It does not answer.
    """
    axes = {code for code in _bits(ioctl, 0x20 + EV_ABS, _ABS_MAX) if code < _ABS_MISC}
    keys = _bits(ioctl, 0x20 + EV_KEY, _KEY_MAX)
    if not _is_joystick(axes, keys, _bits(ioctl, 0x09, _PROP_MAX)):
        return None
    ranges = {code: _abs(ioctl, code)[1:3] for code in axes}
    _, vendor, product, _ = _ID.unpack(_ask(ioctl, 0x02, _ID.size))
    name = _ask(ioctl, 0x06, _NAME_BYTES).split(b"\0")[0].decode("utf-8", "replace")
    return Layout(name, vendor, product, ranges, {code for code in keys if code >= 0x100})


def standing_of(ioctl: Ioctl, layout: Layout) -> tuple[Mapping[int, int], AbstractSet[int]]:
    """Ask a device how it stands. See `nvr.hal.joystick.Ask`."""
    return {code: _abs(ioctl, code)[0] for code in layout.axes}, _bits(ioctl, 0x18, _KEY_MAX)


def _is_joystick(axes: set[int], keys: set[int], props: set[int]) -> bool:
    if not {_ABS_X, _ABS_Y} <= axes or props & {_PROP_POINTER, _PROP_DIRECT, _PROP_ACCELEROMETER}:
        return False
    if keys & {*_BTN_DIGI, _BTN_MOUSE}:
        return False
    buttons = keys & {*_BTN_JOYSTICKS, *_TRIGGER_HAPPY}
    return bool(buttons or axes & {*_HAND} or any(0x100 <= key < BTN_JOYSTICK for key in keys))


def _bits(ioctl: Ioctl, number: int, most: int) -> set[int]:
    answer = _ask(ioctl, number, most // 8 + 1)
    return {8 * n + bit for n, byte in enumerate(answer) for bit in range(8) if byte >> bit & 1}


def _abs(ioctl: Ioctl, code: int) -> tuple[int, int, int]:
    value, least, most, *_ = _ABS.unpack(_ask(ioctl, 0x40 + code, _ABS.size))
    return value, least, most


def _ask(ioctl: Ioctl, number: int, size: int) -> bytes:
    answer = bytearray(size)
    ioctl(_read(number, size), answer)
    return bytes(answer)
