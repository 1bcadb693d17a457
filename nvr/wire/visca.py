"""VISCA: commands and inquiries to cameras on a serial line or a chain, and what they answer.

    to a camera:     8x  payload  FF      x: address 1-7; 88 to all of a chain
    from a camera:   y0  payload  FF      y: 8 + address
    acknowledged     y0 4s FF             s: socket that carries the command out
    done             y0 5s FF
    answer           y0 50 ... FF
    error            y0 6s code FF        s is 0 where no socket had the command
    network change   y0 38 FF             a camera was added or switched on: set addresses anew
    addresses set    88 30 0w FF          w: the next free address

Numbers go one hexadecimal digit a byte, so that behind the address nothing is above 7F; FF ends a
packet and is nothing else. There is no checksum: what is not exactly as here is refused.

Source: Sony EVI-D70 command list (2003), recalled, and compared with PyPI `pyvisca` 0.1.9.
"""

from dataclasses import dataclass
from typing import TypeAlias

END = 0xFF
BROADCAST = 8
ADDRESSES = range(1, 8)
SIZE_MIN, SIZE_MAX = 3, 16

PAN_SPEED_MAX = 0x18
TILT_SPEED_MAX = 0x14
ZOOM_SPEED_MAX = FOCUS_SPEED_MAX = 7
PRESETS = range(0x80)

SYNTAX = 0x02
BUFFER_FULL = 0x03
CANCELLED = 0x04
NO_SOCKET = 0x05
NOT_EXECUTABLE = 0x41
FAULTS = {
    0x01: "message length",
    SYNTAX: "syntax",
    BUFFER_FULL: "buffer full",
    CANCELLED: "cancelled",
    NO_SOCKET: "no such socket",
    NOT_EXECUTABLE: "cannot be done now",
}

_COMMAND, _INQUIRY = 0x01, 0x09
_CAMERA, _HEAD = 0x04, 0x06  # categories
_PRESET_DOS = {"clear": 0, "set": 1, "call": 2}

HOME = bytes((_HEAD, 0x04))
RESET = bytes((_HEAD, 0x05))
POWER_ON = bytes((_CAMERA, 0x00, 0x02))
POWER_OFF = bytes((_CAMERA, 0x00, 0x03))
FOCUS_AUTO = bytes((_CAMERA, 0x38, 0x02))
FOCUS_MANUAL = bytes((_CAMERA, 0x38, 0x03))
FOCUS_ONCE = bytes((_CAMERA, 0x18, 0x01))
FOCUS_FAR = bytes((_CAMERA, 0x18, 0x02))
BACKLIGHT_ON = bytes((_CAMERA, 0x33, 0x02))
BACKLIGHT_OFF = bytes((_CAMERA, 0x33, 0x03))
WHITE_AUTO = bytes((_CAMERA, 0x35, 0x00))
EXPOSURE_AUTO = bytes((_CAMERA, 0x39, 0x00))
EXPOSURE_MANUAL = bytes((_CAMERA, 0x39, 0x03))
MENU_OFF = bytes((_HEAD, 0x06, 0x03))

ASK_POWER = bytes((_CAMERA, 0x00))
ASK_ZOOM = bytes((_CAMERA, 0x47))
ASK_FOCUS = bytes((_CAMERA, 0x48))
ASK_HEAD = bytes((_HEAD, 0x12))
ASK_VERSION = bytes((0x00, 0x02))

SET_ADDRESSES = bytes((0x80 | BROADCAST, 0x30, 0x01, END))
CLEAR_ALL = bytes((0x80 | BROADCAST, 0x01, 0x00, 0x01, END))


@dataclass(frozen=True, slots=True)
class Acknowledged:
    """The command is being carried out, by a socket."""

    address: int
    socket: int


@dataclass(frozen=True, slots=True)
class Done:
    """A command was carried out; socket 0 where it needed none."""

    address: int
    socket: int


@dataclass(frozen=True, slots=True)
class Answer:
    """What an inquiry gave: the bytes between ``50`` and the end."""

    address: int
    data: bytes


@dataclass(frozen=True, slots=True)
class Refused:
    """A command or inquiry that was not carried out.

    Attributes:
        address: Camera that refuses.
        socket: The one that had it, 0 if none had.
        code: One of `FAULTS`, or another.
    """

    address: int
    socket: int
    code: int

    @property
    def words(self) -> str:
        """What the matter is."""
        return FAULTS.get(self.code, f"error {self.code:#04x}")


@dataclass(frozen=True, slots=True)
class NetworkChanged:
    """A camera came onto the chain or was switched on."""

    address: int


@dataclass(frozen=True, slots=True)
class AddressesSet:
    """What the last camera of a chain sends back; `count` cameras have an address now."""

    count: int


@dataclass(frozen=True, slots=True)
class Request:
    """A command or inquiry, as a camera hears it.

    Attributes:
        address: Camera, or `BROADCAST`.
        inquiry: It asks for something.
        body: What stands behind ``01`` or ``09``.
    """

    address: int
    inquiry: bool
    body: bytes

    def encode(self) -> bytes:
        """Return the packet."""
        if self.address not in ADDRESSES:
            raise ValueError(f"address {self.address} is outside 1-7")
        return bytes((0x80 | self.address, _INQUIRY if self.inquiry else _COMMAND, *self.body, END))


@dataclass(frozen=True, slots=True)
class Noise:
    """Bytes that are no packet."""

    data: bytes


Reply: TypeAlias = Acknowledged | Done | Answer | Refused | NetworkChanged | AddressesSet


def command(address: int, body: bytes) -> bytes:
    """Return a command to one camera. Raises `ValueError` for an address outside 1-7."""
    return Request(address, False, body).encode()


def inquiry(address: int, body: bytes) -> bytes:
    """Return an inquiry of one camera. Raises `ValueError` for an address outside 1-7."""
    return Request(address, True, body).encode()


def cancel(address: int, socket: int) -> bytes:
    """Return what ends a command that a socket carries out."""
    if address not in ADDRESSES or not 1 <= socket <= 15:
        raise ValueError(f"there is no socket {socket} of camera {address}")
    return bytes((0x80 | address, 0x20 | socket, END))


def drive(pan: int, tilt: int) -> bytes:
    """Return the body that turns the head until it is told otherwise; both 0 stops it.

    Args:
        pan: Speed, negative left, up to 24.
        tilt: Speed, negative down, up to 20.

    Raises:
        ValueError: A speed is out of range.
    """
    if abs(pan) > PAN_SPEED_MAX or abs(tilt) > TILT_SPEED_MAX:
        raise ValueError(f"speeds are up to {PAN_SPEED_MAX} and {TILT_SPEED_MAX}")
    across = 3 if pan == 0 else 1 if pan < 0 else 2
    along = 3 if tilt == 0 else 1 if tilt > 0 else 2
    # Speed 0 does not exist: an axis that stands still has 1.
    return bytes((_HEAD, 0x01, abs(pan) or 1, abs(tilt) or 1, across, along))


def zoom(speed: int) -> bytes:
    """Return the body that zooms until told otherwise: -8 wide to 8 tele, 0 stops it."""
    return bytes((_CAMERA, 0x07, _lens(speed)))


def focus(speed: int) -> bytes:
    """Return the body that focuses until told otherwise: -8 near to 8 far, 0 stops it."""
    return bytes((_CAMERA, 0x08, _lens(speed)))


def _lens(speed: int) -> int:
    if abs(speed) > ZOOM_SPEED_MAX + 1:
        raise ValueError(f"speeds are up to {ZOOM_SPEED_MAX + 1}")
    if speed == 0:
        return 0
    return (0x20 if speed > 0 else 0x30) | abs(speed) - 1


def iris(step: int) -> bytes:
    """Return the body that moves the iris one step: -1 close, 1 open, 0 to its usual place."""
    return bytes((_CAMERA, 0x0B, {-1: 3, 0: 0, 1: 2}[step]))


def preset(do: str, number: int) -> bytes:
    """Return the body that goes to (``call``), stores (``set``) or clears a position.

    Raises:
        ValueError: `number` is not from 0 to 127.
    """
    if number not in PRESETS:
        raise ValueError(f"positions are {PRESETS[0]} to {PRESETS[-1]}, not {number}")
    return bytes((_CAMERA, 0x3F, _PRESET_DOS[do], number))


def go(pan: int, tilt: int, *, pan_speed: int = 0x18, tilt_speed: int = 0x14) -> bytes:
    """Return the body that turns the head to a place, in its own units, -32768 to 32767."""
    return bytes((_HEAD, 0x02, pan_speed, tilt_speed, *_digits(pan), *_digits(tilt)))


def go_zoom(position: int) -> bytes:
    """Return the body that zooms to a place, 0 wide to 16384, in the camera's units."""
    return bytes((_CAMERA, 0x47, *_digits(position)))


def _digits(value: int) -> tuple[int, ...]:
    value &= 0xFFFF
    return tuple(value >> shift & 0xF for shift in (12, 8, 4, 0))


def numbers(data: bytes, *, signed: bool) -> tuple[int, ...] | None:
    """Return the numbers of an answer, four digits each; None if it has no such form."""
    if not data or len(data) % 4 or max(data) > 0x0F:
        return None
    found = []
    for start in range(0, len(data), 4):
        value = 0
        for digit in data[start : start + 4]:
            value = value << 4 | digit
        found.append(value - 0x10000 if signed and value & 0x8000 else value)
    return tuple(found)


class Decoder:
    """Turns received bytes into what cameras say, and what is said to them.

    A packet ends with the only FF in it, so that damage costs one packet and what begins before the
    next.
    """

    def __init__(self) -> None:
        self._held = bytearray()

    def feed(self, data: bytes) -> list[Reply | Request | Noise]:
        """Take bytes off the line and return what they completed, in line order.

        At most 15 bytes stay buffered between calls.
        """
        found: list[Reply | Request | Noise] = []
        for byte in data:
            self._held.append(byte)
            if byte == END:
                found += _parted(bytes(self._held))
                self._held.clear()
            elif len(self._held) >= SIZE_MAX:
                found.append(Noise(bytes(self._held)))
                self._held.clear()
        return found

    def idle(self) -> list[Noise]:
        """Drop what is buffered: the line was quiet for longer than a packet ever is."""
        rest = bytes(self._held)
        self._held.clear()
        return [Noise(rest)] if rest else []


def _parted(data: bytes) -> list[Reply | Request | Noise]:
    """One packet, with what stands before its first byte as noise."""
    starts = [n for n, byte in enumerate(data[:-1]) if byte & 0x80]
    # Behind the address nothing is above 7F: the last such byte begins the packet.
    start = starts[-1] if starts else len(data)
    packet = _packet(data[start:]) if len(data) - start >= SIZE_MIN else None
    if packet is None:
        return [Noise(data)]
    return [Noise(data[:start]), packet] if start else [packet]


def _packet(data: bytes) -> Reply | Request | None:
    head, body = data[0], data[1:-1]
    if head == 0x80 | BROADCAST:
        return _broadcast(body)
    if head & 0xF8 == 0x80:
        if head & 7 and len(body) >= 3 and body[0] in {_COMMAND, _INQUIRY}:
            return Request(head & 7, body[0] == _INQUIRY, body[1:])
        return None
    if head & 0x8F == 0x80 and head >= 0x90:
        return _reply((head >> 4) - 8, body)
    return None


def _broadcast(body: bytes) -> Reply | Request | None:
    if len(body) == 2 and body[0] == 0x30:
        if body[1] == 1:
            return Request(BROADCAST, False, body)
        return AddressesSet(body[1] - 1) if 2 <= body[1] <= 8 else None
    return Request(BROADCAST, False, body[1:]) if body == b"\x01\x00\x01" else None


def _reply(address: int, body: bytes) -> Reply | None:
    kind, socket = body[0] & 0xF0, body[0] & 0x0F
    if len(body) == 1:
        if body[0] == 0x38:
            return NetworkChanged(address)
        if kind == 0x40:
            return Acknowledged(address, socket)
        return Done(address, socket) if kind == 0x50 else None
    if kind == 0x60 and len(body) == 2:
        return Refused(address, socket, body[1])
    return Answer(address, body[1:]) if body[0] == 0x50 else None
