"""The structures of V4L2 that a capture device is asked and set with, as bytes of a 64-bit Linux.

An ioctl's number is ``direction(2) | size(14) | 'V'(8) | number(8)``. All fields are of the
machine's byte order, strings are padded with zeros. Nothing here is done for each picture.

Source: Linux 6.1 ``include/uapi/linux/videodev2.h``; ``tests/hal/test_v4l2.py`` holds every size,
place and number against a compiler that reads the machine's own copy.
"""

import struct
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

_READ, _WRITE = 2, 1
CAPTURE: Final = 1
"""``V4L2_BUF_TYPE_VIDEO_CAPTURE``: the single-planar capture side of a device."""


def _number(direction: int, number: int, size: int) -> int:
    return direction << 30 | size << 16 | ord("V") << 8 | number


_CAPABILITY: Final = struct.Struct("=16s32s32sIII12x")
_FORMAT_NAME: Final = struct.Struct("=III32s4sI12x")
_FRAME_SIZE: Final = struct.Struct("=I4sI6I8x")
_INTERVAL: Final = struct.Struct("=I4sIII6I8x")
_INPUT: Final = struct.Struct("=I32sIIIQII16x")
_CONTROL_ABOUT: Final = struct.Struct("=II32siiiiI8x")
_CONTROL: Final = struct.Struct("=Ii")
_MENU_ITEM: Final = struct.Struct("=II32s4x")
_FORMAT: Final = struct.Struct("=I4x12I152x")
_NUMBER: Final = struct.Struct("=i")
_SET: Final = struct.Struct("=Q")
_PARAMETERS: Final = struct.Struct("=IIIIIII176x")

QUERYCAP: Final = _number(_READ, 0, _CAPABILITY.size)
ENUM_FMT: Final = _number(_READ | _WRITE, 2, _FORMAT_NAME.size)
G_FMT: Final = _number(_READ | _WRITE, 4, _FORMAT.size)
S_FMT: Final = _number(_READ | _WRITE, 5, _FORMAT.size)
STREAMOFF: Final = _number(_WRITE, 19, _NUMBER.size)
G_PARM: Final = _number(_READ | _WRITE, 21, _PARAMETERS.size)
G_STD: Final = _number(_READ, 23, _SET.size)
S_STD: Final = _number(_WRITE, 24, _SET.size)
ENUMINPUT: Final = _number(_READ | _WRITE, 26, _INPUT.size)
G_CTRL: Final = _number(_READ | _WRITE, 27, _CONTROL.size)
S_CTRL: Final = _number(_READ | _WRITE, 28, _CONTROL.size)
QUERYCTRL: Final = _number(_READ | _WRITE, 36, _CONTROL_ABOUT.size)
QUERYMENU: Final = _number(_READ | _WRITE, 37, _MENU_ITEM.size)
G_INPUT: Final = _number(_READ, 38, _NUMBER.size)
S_INPUT: Final = _number(_READ | _WRITE, 39, _NUMBER.size)
QUERYSTD: Final = _number(_READ, 63, _SET.size)
ENUM_FRAMESIZES: Final = _number(_READ | _WRITE, 74, _FRAME_SIZE.size)
ENUM_FRAMEINTERVALS: Final = _number(_READ | _WRITE, 75, _INTERVAL.size)

CAN_CAPTURE: Final = 0x1
CAN_STREAM: Final = 0x04000000
_HAS_DEVICE_CAPS: Final = 0x80000000
_COMPRESSED: Final = 0x1
_DISCRETE: Final = 1

NO_POWER: Final = 0x1
NO_SIGNAL: Final = 0x2
NO_COLOUR: Final = 0x4
NO_H_LOCK: Final = 0x100
COLOUR_KILL: Final = 0x200
NO_V_LOCK: Final = 0x400
NO_SYNC: Final = 0x10000

PAL: Final = 0xFF
NTSC: Final = 0xB000
SECAM: Final = 0xFF0000
LINES_525: Final = 0xF900
LINES_625: Final = 0xFF06FF

FIELD_NONE: Final = 1
FIELD_TOP: Final = 2
FIELD_BOTTOM: Final = 3
FIELD_INTERLACED: Final = 4
FIELD_TOP_HALF: Final = 5
FIELD_BOTTOM_HALF: Final = 6
FIELD_ALTERNATE: Final = 7
FIELD_TOP_FIRST: Final = 8
FIELD_BOTTOM_FIRST: Final = 9

COLOURS_709: Final = 3
ENCODING_709: Final = 2
FULL_RANGE: Final = 1

BRIGHTNESS: Final = 0x00980900
"""First of the controls that a driver lists one after another."""
NEXT_CONTROL: Final = 0x80000000

Ioctl = Callable[[int, bytearray], None]
"""Asks a device; the bytes are what it is told and then what it answers. May raise `OSError`."""


@dataclass(frozen=True, slots=True)
class Capability:
    """What a device node is.

    Attributes:
        driver: The driver's short name.
        card: What its maker calls it.
        bus: Where it hangs: ``usb-0000:01:00.0-1.2``.
        flags: Of this node, where the driver says that; of the whole device otherwise.
    """

    driver: str
    card: str
    bus: str
    flags: int

    @property
    def captures(self) -> bool:
        """Whether pictures can be streamed from it, single-planar."""
        return bool(self.flags & CAN_CAPTURE and self.flags & CAN_STREAM)


@dataclass(frozen=True, slots=True)
class FormatName:
    """A format that a device offers."""

    fourcc: str
    title: str
    compressed: bool


@dataclass(frozen=True, slots=True)
class Range:
    """From the smallest to the largest in steps; a single value three times."""

    least: int
    most: int
    step: int


@dataclass(frozen=True, slots=True)
class FrameSize:
    """Widths and heights that go together; discrete ones are ranges of one."""

    width: Range
    height: Range


@dataclass(frozen=True, slots=True)
class Input:
    """An input as its driver describes it.

    Attributes:
        number: Its index.
        title: Its name.
        standards: Set of the standards it takes, 0 if none.
        status: ``NO_SIGNAL`` and the like, of the input in use.
    """

    number: int
    title: str
    standards: int
    status: int


@dataclass(frozen=True, slots=True)
class PictureFormat:
    """What a device hands out now.

    Attributes:
        width_px: Width.
        height_px: Height.
        fourcc: Pixel format.
        field: How fields lie in it: ``FIELD_NONE``, ``FIELD_INTERLACED``, ...
        colorspace: ``V4L2_COLORSPACE_*``.
        encoding: ``V4L2_YCBCR_ENC_*``, 0 for the colour space's usual.
        quantization: 1 full range, 2 limited, 0 for the format's usual.
    """

    width_px: int
    height_px: int
    fourcc: str
    field: int
    colorspace: int
    encoding: int
    quantization: int


@dataclass(frozen=True, slots=True)
class Control:
    """Something that can be set: brightness, exposure.

    Attributes:
        number: Its id.
        kind: ``V4L2_CTRL_TYPE_*``: 1 a number, 2 a switch, 3 a menu.
        title: Its name.
        least: Smallest value.
        most: Largest value.
        step: Between values.
        usual: Value it starts with.
        flags: 1 disabled, 2 held by somebody, 4 read only.
    """

    number: int
    kind: int
    title: str
    least: int
    most: int
    step: int
    usual: int
    flags: int


def text(raw: bytes) -> str:
    """Return a padded string of a driver's, fit for a terminal and a page."""
    said = raw.partition(b"\0")[0].decode("utf-8", "replace").strip()
    return "".join(letter if letter.isprintable() else "_" for letter in said)


def fourcc(raw: bytes) -> str:
    """Return a pixel format's four letters; what is none is written as a dot."""
    return "".join(chr(each) if 0x20 < each < 0x7F else "." for each in raw).rstrip(".")


def capability(ask: Ioctl) -> Capability:
    """Ask what a node is; `OSError` ``ENOTTY`` if it is no V4L2 device."""
    data = bytearray(_CAPABILITY.size)
    ask(QUERYCAP, data)
    driver, card, bus, _version, whole, own = _CAPABILITY.unpack(data)
    flags = own if whole & _HAS_DEVICE_CAPS else whole
    return Capability(text(driver), text(card), text(bus), flags)


def format_name(ask: Ioctl, index: int) -> FormatName:
    """Ask for the format of that index; `OSError` ``EINVAL`` behind the last one."""
    data = bytearray(_FORMAT_NAME.pack(index, CAPTURE, 0, b"", b"", 0))
    ask(ENUM_FMT, data)
    _, _, flags, title, pixels, _ = _FORMAT_NAME.unpack(data)
    return FormatName(fourcc(pixels), text(title), bool(flags & _COMPRESSED))


def frame_size(ask: Ioctl, format_: str, index: int) -> FrameSize:
    """Ask for the size of that index; `OSError` ``EINVAL`` behind the last one."""
    data = bytearray(_FRAME_SIZE.pack(index, _pixels(format_), 0, *[0] * 6))
    ask(ENUM_FRAMESIZES, data)
    _, _, kind, *numbers = _FRAME_SIZE.unpack(data)
    if kind == _DISCRETE:
        width, height = numbers[:2]
        return FrameSize(Range(width, width, 1), Range(height, height, 1))
    return FrameSize(Range(*numbers[:3]), Range(*numbers[3:]))


def rates_fps(ask: Ioctl, format_: str, size: tuple[int, int], index: int) -> tuple[float, ...]:
    """Ask for the rate of that index; of a device with a range of them, its ends.

    Intervals that are no numbers are left out.
    """
    data = bytearray(_INTERVAL.pack(index, _pixels(format_), *size, 0, *[0] * 6))
    ask(ENUM_FRAMEINTERVALS, data)
    _, _, _, _, kind, *numbers = _INTERVAL.unpack(data)
    pairs = zip(numbers[::2], numbers[1::2], strict=True)
    found = [round(below / above, 3) for above, below in pairs if above and below]
    return tuple(found[: 1 if kind == _DISCRETE else 2])


def input_of(ask: Ioctl, index: int) -> Input:
    """Ask for the input of that index; `OSError` ``EINVAL`` behind the last one."""
    data = bytearray(_INPUT.pack(index, b"", 0, 0, 0, 0, 0, 0))
    ask(ENUMINPUT, data)
    number, title, _kind, _audio, _tuner, standards, status, _can = _INPUT.unpack(data)
    return Input(number, text(title), standards, status)


def chosen_input(ask: Ioctl) -> int:
    """Ask which input is in use."""
    return _ask_number(ask, G_INPUT)


def choose_input(ask: Ioctl, number: int) -> None:
    """Use another input; `OSError` ``EBUSY`` while somebody takes pictures."""
    ask(S_INPUT, bytearray(_NUMBER.pack(number)))


def standard(ask: Ioctl) -> int:
    """Ask which standards it is set to."""
    return _ask_set(ask, G_STD)


def detected_standard(ask: Ioctl) -> int:
    """Ask which standards what comes in may be of, 0 if nothing comes in."""
    return _ask_set(ask, QUERYSTD)


def set_standard(ask: Ioctl, standards: int) -> None:
    """Take what comes in for that; `OSError` ``EBUSY`` while somebody takes pictures."""
    ask(S_STD, bytearray(_SET.pack(standards)))


def picture_format(ask: Ioctl) -> PictureFormat:
    """Ask what is handed out now."""
    data = bytearray(_FORMAT.pack(CAPTURE, *[0] * 12))
    ask(G_FMT, data)
    return _picture_format(data)


def set_picture_format(ask: Ioctl, wanted: PictureFormat) -> PictureFormat:
    """Ask for a format; returns what the device made of it."""
    pixels = int.from_bytes(_pixels(wanted.fourcc), "little")
    data = bytearray(
        _FORMAT.pack(CAPTURE, wanted.width_px, wanted.height_px, pixels, wanted.field, *[0] * 8)
    )
    ask(S_FMT, data)
    return _picture_format(data)


def rate_fps(ask: Ioctl) -> float:
    """Ask how many pictures a second it is set to, 0.0 if it does not know."""
    data = bytearray(_PARAMETERS.pack(CAPTURE, *[0] * 6))
    ask(G_PARM, data)
    _, _, _, above, below, _, _ = _PARAMETERS.unpack(data)
    return round(below / above, 3) if above and below else 0.0


def control(ask: Ioctl, number: int) -> Control:
    """Ask about a control, or with `NEXT_CONTROL` the next one above that number."""
    data = bytearray(_CONTROL_ABOUT.pack(number, 0, b"", 0, 0, 0, 0, 0))
    ask(QUERYCTRL, data)
    found, kind, title, *rest = _CONTROL_ABOUT.unpack(data)
    return Control(found, kind, text(title), *rest)


def menu_item(ask: Ioctl, number: int, index: int) -> str:
    """Ask what a choice of a menu is called; `OSError` ``EINVAL`` if there is none."""
    data = bytearray(_MENU_ITEM.pack(number, index, b""))
    ask(QUERYMENU, data)
    return text(_MENU_ITEM.unpack(data)[2])


def get_control(ask: Ioctl, number: int) -> int:
    """Ask for a control's value."""
    data = bytearray(_CONTROL.pack(number, 0))
    ask(G_CTRL, data)
    return int(_CONTROL.unpack(data)[1])


def set_control(ask: Ioctl, number: int, value: int) -> None:
    """Set a control; `OSError` ``ERANGE`` if it does not take that."""
    ask(S_CTRL, bytearray(_CONTROL.pack(number, value)))


def standards_in(found: int) -> tuple[str, ...]:
    """Name the families of standards in a set."""
    families = {"PAL": PAL, "NTSC": NTSC, "SECAM": SECAM}
    return tuple(name for name, family in families.items() if found & family)


def _picture_format(data: bytearray) -> PictureFormat:
    _, width, height, pixels, field, _, _, space, _, _, encoding, quantization, _ = _FORMAT.unpack(
        data
    )
    return PictureFormat(
        width, height, fourcc(pixels.to_bytes(4, "little")), field, space, encoding, quantization
    )


def _pixels(letters: str) -> bytes:
    return letters.encode("ascii", "replace").ljust(4)[:4]


def _ask_number(ask: Ioctl, request: int) -> int:
    data = bytearray(_NUMBER.size)
    ask(request, data)
    return int(_NUMBER.unpack(data)[0])


def _ask_set(ask: Ioctl, request: int) -> int:
    data = bytearray(_SET.size)
    ask(request, data)
    return int(_SET.unpack(data)[0])
