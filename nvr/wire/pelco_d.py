"""Pelco-D: seven-byte commands and replies on RS-485, ``FF addr cmd1 cmd2 data1 data2 ck``.

``ck`` is the sum of the five bytes before it, modulo 256; the sync byte is not summed. Bit 0 of
``cmd2`` tells a motion frame (all axes at once; all clear is STOP) from an extended command.

    cmd1: 7 sense | 6,5 zero | 4 scan | 3 camera | 2 iris close | 1 iris open | 0 focus near
    cmd2: 7 focus far | 6 wide | 5 tele | 4 down | 3 up | 2 left | 1 right | 0 extended

A general response is ``FF addr alarms ck`` with ``ck`` = checksum of the command answered +
alarms; an extended response has the layout of a command; the answer to a query for the device is
``FF addr part[15] ck`` with ``ck`` = checksum of the query + address + all of part.

Source: Pelco C466M-E (6/1999) pp. 19-24; Pelco "D" Protocol Manual TF-0002 (2003).
"""

from collections.abc import Callable
from dataclasses import dataclass
from enum import IntEnum, IntFlag
from typing import TypeAlias

SYNC = 0xFF
SIZE = 7
SPEED_MAX = 0x3F


class Cmd(IntFlag):
    """Bits of the command word, ``cmd1`` high and ``cmd2`` low."""

    EXTENDED = 0x0001
    RIGHT = 0x0002
    LEFT = 0x0004
    UP = 0x0008
    DOWN = 0x0010
    TELE = 0x0020
    WIDE = 0x0040
    FOCUS_FAR = 0x0080
    FOCUS_NEAR = 0x0100
    IRIS_OPEN = 0x0200
    IRIS_CLOSE = 0x0400
    CAMERA = 0x0800
    SCAN = 0x1000
    SENSE = 0x8000


class Op(IntEnum):
    """Extended commands: the low byte of the command word."""

    SET_PRESET = 0x03
    CLEAR_PRESET = 0x05
    CALL_PRESET = 0x07
    SET_AUX = 0x09
    CLEAR_AUX = 0x0B
    DUMMY = 0x0D
    RESET = 0x0F
    ZONE_START = 0x11
    ZONE_END = 0x13
    WRITE_CHARACTER = 0x15
    CLEAR_SCREEN = 0x17
    ALARM_ACK = 0x19
    ZONE_SCAN_ON = 0x1B
    ZONE_SCAN_OFF = 0x1D
    PATTERN_START = 0x1F
    PATTERN_STOP = 0x21
    PATTERN_RUN = 0x23
    ZOOM_SPEED = 0x25
    FOCUS_SPEED = 0x27
    DEFAULTS = 0x29
    AUTO_FOCUS = 0x2B
    AUTO_IRIS = 0x2D
    AGC = 0x2F
    BACKLIGHT = 0x31
    WHITE_BALANCE = 0x33
    PHASE_DELAY = 0x35
    SHUTTER = 0x37
    LINE_LOCK = 0x39
    WHITE_BALANCE_RB = 0x3B
    WHITE_BALANCE_MG = 0x3D
    GAIN = 0x3F
    IRIS_LEVEL = 0x41
    IRIS_PEAK = 0x43
    QUERY_DEVICE = 0x45
    SET_ZERO = 0x49
    SET_PAN = 0x4B
    SET_TILT = 0x4D
    SET_ZOOM = 0x4F
    QUERY_PAN = 0x51
    QUERY_TILT = 0x53
    QUERY_ZOOM = 0x55
    PAN = 0x59
    TILT = 0x5B
    ZOOM = 0x5D
    SET_MAGNIFICATION = 0x5F
    QUERY_MAGNIFICATION = 0x61
    MAGNIFICATION = 0x63


REPLIES = frozenset({Op.PAN, Op.TILT, Op.ZOOM, Op.MAGNIFICATION})
QUERIES = frozenset({Op.QUERY_PAN, Op.QUERY_TILT, Op.QUERY_ZOOM, Op.QUERY_MAGNIFICATION})
DELTAS = frozenset(op for op in Op if Op.LINE_LOCK <= op <= Op.IRIS_PEAK)
"""Where cmd1 says whether the value is absolute, 0, or a change, 1."""

CENTIDEGREES = range(36000)
ROW = 20
"""Characters of a row on the screen; two rows, for the zone's label and the preset's."""

_NONE, _BYTE, _WORD = range(1), range(256), range(0x10000)
BYTES: dict[Op, range] = {
    Op.SET_PRESET: range(1, 256),
    Op.CLEAR_PRESET: range(1, 256),
    Op.CALL_PRESET: range(1, 256),
    Op.SET_AUX: _BYTE,  # 1-8; 0 starts auto scan in old papers on Pelco-P
    Op.CLEAR_AUX: _BYTE,
    Op.DUMMY: _NONE,
    Op.RESET: _NONE,
    Op.ZONE_START: range(1, 9),
    Op.ZONE_END: range(1, 9),
    Op.CLEAR_SCREEN: _NONE,
    Op.ALARM_ACK: range(1, 9),
    Op.ZONE_SCAN_ON: _NONE,
    Op.ZONE_SCAN_OFF: _NONE,
    Op.PATTERN_START: _BYTE,
    Op.PATTERN_STOP: _BYTE,
    Op.PATTERN_RUN: _BYTE,
    Op.ZOOM_SPEED: range(0x34),  # 0-3; a page that many copied prints 33 hex
    Op.FOCUS_SPEED: range(0x34),
    Op.DEFAULTS: _NONE,
    Op.AUTO_FOCUS: _BYTE,
    Op.AUTO_IRIS: _BYTE,
    Op.AGC: _BYTE,
    Op.BACKLIGHT: _BYTE,
    Op.WHITE_BALANCE: _BYTE,
    Op.PHASE_DELAY: _BYTE,
    Op.QUERY_DEVICE: _NONE,
    Op.SET_ZERO: _NONE,
    Op.QUERY_PAN: _NONE,
    Op.QUERY_TILT: _NONE,
    Op.QUERY_ZOOM: _NONE,
    Op.QUERY_MAGNIFICATION: _NONE,
}
"""What data2 can be, of commands that leave data1 at 0."""
WORDS: dict[Op, range] = {
    Op.SHUTTER: _WORD,
    **dict.fromkeys(sorted(DELTAS), _WORD),
    Op.SET_PAN: CENTIDEGREES,
    Op.SET_TILT: CENTIDEGREES,
    Op.SET_ZOOM: _WORD,
    Op.SET_MAGNIFICATION: _WORD,
    **dict.fromkeys(sorted(REPLIES), _WORD),  # what heads answer keeps to no range
}
"""What both data bytes together can be."""

_RESERVED = 0x6000  # for the in-video form only
_OPPOSITE = (
    Cmd.LEFT | Cmd.RIGHT,
    Cmd.UP | Cmd.DOWN,
    Cmd.TELE | Cmd.WIDE,
    Cmd.FOCUS_NEAR | Cmd.FOCUS_FAR,
    Cmd.IRIS_OPEN | Cmd.IRIS_CLOSE,
)
_OPS = frozenset(Op)
# 0x40 and 0xFF are the two turbo values in use; tilt FF is sent by some controllers.
_SPEEDS = frozenset((*range(SPEED_MAX + 1), 0x40, 0xFF))


@dataclass(frozen=True, slots=True)
class Frame:
    """One command, or one extended response.

    Attributes:
        address: Receiver on the bus, 1-255.
        command: The command word; motion bits are named in `Cmd`, others in `Op`.
        data1: Pan speed for motion, 0-63; command-specific otherwise.
        data2: Tilt speed for motion, 0-63; preset number for preset commands.
    """

    address: int
    command: int = 0
    data1: int = 0
    data2: int = 0

    @property
    def op(self) -> Op | None:
        """The extended command, None for a motion frame."""
        return Op(self.command & 0xFF) if self.command & Cmd.EXTENDED else None

    @property
    def value(self) -> int:
        """Both data bytes as one number: hundredths of a degree in position frames."""
        return self.data1 << 8 | self.data2

    def encode(self) -> bytes:
        """Return the seven bytes."""
        if not 1 <= self.address <= 255:
            raise ValueError(f"address {self.address} is outside 1-255")
        body = bytes((self.address, *self.command.to_bytes(2, "big"), self.data1, self.data2))
        return bytes((SYNC, *body, sum(body) & 0xFF))


@dataclass(frozen=True, slots=True)
class General:
    """The short response: the head took the command.

    Attributes:
        address: Head that answers.
        alarms: Bit n-1 is alarm n.
    """

    address: int
    alarms: int

    @property
    def alarm_numbers(self) -> tuple[int, ...]:
        """The alarms that are on, 1-8."""
        return tuple(n for n in range(1, 9) if self.alarms >> n - 1 & 1)


@dataclass(frozen=True, slots=True)
class Device:
    """What a head says it is. Asked over the line, every head on it answers at once.

    Attributes:
        address: Head that answers.
        part: Fifteen bytes, mostly the name of a part in ASCII.
    """

    address: int
    part: bytes


@dataclass(frozen=True, slots=True)
class Noise:
    """Bytes that are no part of a frame."""

    data: bytes


def motion(
    address: int, *, pan: int = 0, tilt: int = 0, zoom: int = 0, focus: int = 0, iris: int = 0
) -> Frame:
    """Return the frame that sets all axes at once; all zero is STOP.

    Args:
        address: Receiver.
        pan: Speed, negative left: up to 63, or a turbo value (0x40, 0xFF).
        tilt: Speed, negative down, up to 63.
        zoom: Negative wide, positive tele.
        focus: Negative near, positive far.
        iris: Negative close, positive open.
    """
    command = (
        _bit(pan, Cmd.LEFT, Cmd.RIGHT)
        | _bit(tilt, Cmd.DOWN, Cmd.UP)
        | _bit(zoom, Cmd.WIDE, Cmd.TELE)
        | _bit(focus, Cmd.FOCUS_NEAR, Cmd.FOCUS_FAR)
        | _bit(iris, Cmd.IRIS_CLOSE, Cmd.IRIS_OPEN)
    )
    return Frame(address, command, abs(pan), abs(tilt))


def _bit(speed: int, negative: Cmd, positive: Cmd) -> int:
    return 0 if speed == 0 else negative if speed < 0 else positive


def plausible(frame: Frame) -> bool:
    """Whether a controller could mean `frame`.

    A lost byte makes the checksum fit by chance in 1 of 700 shifted windows; most of those say
    something impossible: left and right at once, a reserved bit, an unknown command.
    """
    command = frame.command
    if command & Cmd.EXTENDED:
        return _plausible_extended(frame)
    if command & _RESERVED or any(command & pair == pair for pair in _OPPOSITE):
        return False
    if command & Cmd.SENSE and not command & (Cmd.CAMERA | Cmd.SCAN):
        return False
    return frame.data1 in _SPEEDS and frame.data2 in _SPEEDS


def _plausible_extended(frame: Frame) -> bool:
    op, high = frame.command & 0xFF, frame.command >> 8
    if high and (high != 1 or op not in DELTAS):
        return False
    if op == Op.WRITE_CHARACTER:
        return frame.data1 <= 2 * ROW  # the last column is 39; a transcription says 40
    if (fits := BYTES.get(Op(op)) if op in _OPS else None) is not None:
        return frame.data1 == 0 and frame.data2 in fits
    return op in _OPS and frame.value in WORDS[Op(op)]


class Decoder:
    """Turns received bytes into frames, however the line happened to split them.

    Args:
        address_max: Highest address believed; 255 only where a head's switch allows it.
    """

    def __init__(self, address_max: int = 254) -> None:
        self._held = bytearray()
        self._address_max = address_max

    def feed(self, data: bytes) -> list[Frame | Noise]:
        """Take bytes off the line and return what they completed, in line order.

        At most six bytes stay buffered between calls. A bad checksum costs one byte, not
        seven, so a frame that starts inside a damaged one is still found.
        """
        held = self._held
        held += data
        found: list[Frame | Noise] = []
        start = noise = 0
        while len(held) - start >= SIZE:
            frame = self._at(start)
            if frame is None:
                start += 1
                continue
            if noise < start:
                found.append(Noise(bytes(held[noise:start])))
            found.append(frame)
            start += SIZE
            noise = start
        if noise < start:
            found.append(Noise(bytes(held[noise:start])))
        del held[:start]
        return found

    def idle(self) -> list[Frame | Noise]:
        """Drop what is buffered: the line was quiet for longer than a frame ever is."""
        rest = bytes(self._held)
        self._held.clear()
        return [Noise(rest)] if rest else []

    def _at(self, start: int) -> Frame | None:
        sync, address, high, low, data1, data2, check = self._held[start : start + SIZE]
        if sync != SYNC or (address + high + low + data1 + data2) & 0xFF != check:
            return None
        frame = Frame(address, high << 8 | low, data1, data2)
        return frame if 1 <= address <= self._address_max and plausible(frame) else None


Reply: TypeAlias = Frame | General | Device

DEVICE_SIZE = 18
_GENERAL_SIZE = 4


class ReplyDecoder:
    """Finds replies to the last command sent: what was asked for, else a general response.

    All are optional: most return pairs are not wired.
    """

    def __init__(self) -> None:
        self._held = bytearray()
        self._address = 0
        self._check = 0
        self._size = _GENERAL_SIZE
        self._read: Callable[[bytes], Reply | None] = self._general

    def sent(self, frame: Frame) -> None:
        """Expect the answer to `frame` from now on; what is buffered answered another one."""
        self._held.clear()
        self._address = frame.address
        self._check = frame.encode()[-1]
        if frame.op in QUERIES:
            self._size, self._read = SIZE, self._position
        elif frame.op is Op.QUERY_DEVICE:
            self._size, self._read = DEVICE_SIZE, self._device
        else:
            self._size, self._read = _GENERAL_SIZE, self._general

    def feed(self, data: bytes) -> list[Reply]:
        """Take bytes, without our own echo, and return the replies they completed."""
        held = self._held
        held += data
        found: list[Reply] = []
        while len(held) >= self._size:
            reply = self._read(bytes(held[: self._size])) if held[0] == SYNC else None
            if reply is None:
                del held[0]
                continue
            del held[: self._size]
            found.append(reply)
        return found

    def _general(self, data: bytes) -> General | None:
        _, address, alarms, check = data
        if address != self._address or check != (self._check + alarms) & 0xFF:
            return None
        return General(address, alarms)

    def _device(self, data: bytes) -> Device | None:
        # Whoever answers says its own address: the query is for whatever is on the line.
        if data[-1] != (self._check + sum(data[1:-1])) & 0xFF:
            return None
        return Device(data[1], data[2:-1])

    def _position(self, data: bytes) -> Frame | None:
        _, address, high, low, data1, data2, check = data
        if address != self._address or high or low not in REPLIES:
            return None
        if (address + low + data1 + data2) & 0xFF != check:
            return None
        return Frame(address, low, data1, data2)
