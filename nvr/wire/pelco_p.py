"""Pelco-P: Pelco-D's meaning in eight bytes, ``A0 addr d1 d2 d3 d4 AF ck``.

``ck`` is the XOR of the seven bytes before it. The address is zero-based on the wire. Extended
commands are D's; d2 is D's cmd2 but for focus far, and d1 is arranged anew:

    d1: 7 zero | 6 camera on | 5 auto scan | 4 camera on/off | 3 iris close | 2 iris open
        | 1 focus near | 0 focus far

Receivers may answer with one byte, `ACK`; those that answer D's queries do it in a frame of their
own protocol. Three things differ in the field, see `Dialect`.

Source: Pelco C466M-E (6/1999) p. 24; Pelco "P" protocol tables as transcribed in 2012.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import reduce
from operator import xor
from typing import Literal

from nvr.wire.pelco_d import QUERIES, REPLIES, Cmd, Frame, Noise, plausible

STX = 0xA0
ETX = 0xAF
SIZE = 8
ACK = 0xA2

_LOW = 0x7F  # d2 without focus far
# D's bits of the command word to P's d1, but for camera and scan.
_LENS = (
    (Cmd.FOCUS_FAR, 0x01),
    (Cmd.FOCUS_NEAR, 0x02),
    (Cmd.IRIS_OPEN, 0x04),
    (Cmd.IRIS_CLOSE, 0x08),
)
_SWITCHES = {
    0: 0,
    Cmd.SENSE | Cmd.CAMERA: 0x50,
    Cmd.CAMERA: 0x10,
    Cmd.SENSE | Cmd.SCAN: 0x20,
}
_SWITCHES_BACK = {d1: bits for bits, d1 in _SWITCHES.items()}
_SWITCH_BITS = Cmd.SENSE | Cmd.CAMERA | Cmd.SCAN


@dataclass(frozen=True, slots=True)
class Dialect:
    """What differs from one maker of Pelco-P receivers to the next.

    Attributes:
        lens_bits: ``pelco`` as above, or ``d_style``: d1 and d2 as Pelco-D's cmd1 and cmd2.
        address_base: Number on the wire of the receiver whose switch says 1.
        checksum: ``all`` seven bytes, or the ``body`` between `STX` and `ETX`.
    """

    lens_bits: Literal["pelco", "d_style"] = "pelco"
    address_base: Literal[0, 1] = 0
    checksum: Literal["all", "body"] = "all"


PELCO = Dialect()


def encode(frame: Frame, dialect: Dialect = PELCO) -> bytes:
    """Return the eight bytes of `frame`, whose address is the number on the switch.

    Raises:
        ValueError: The address does not fit, or P has no bit for this: manual scan.
    """
    address = frame.address - 1 + dialect.address_base
    if frame.address < 1 or address > 255:
        raise ValueError(f"address {frame.address} does not fit")
    high, low = frame.command >> 8, frame.command & 0xFF
    if not frame.command & Cmd.EXTENDED and dialect.lens_bits == "pelco":
        switches = frame.command & _SWITCH_BITS
        if switches not in _SWITCHES:
            raise ValueError(f"no such command in Pelco-P: {frame.command:#06x}")
        high = sum(bit for cmd, bit in _LENS if frame.command & cmd) | _SWITCHES[switches]
        low &= _LOW
    body = bytes((address, high, low, frame.data1, frame.data2))
    return bytes((STX, *body, ETX, _check(body, dialect)))


def _check(body: bytes, dialect: Dialect) -> int:
    start = STX ^ ETX if dialect.checksum == "all" else 0
    return reduce(xor, body, start)


class Decoder:
    """See `nvr.wire.pelco_d.Decoder`. A lone `ACK` between frames counts as noise.

    Args:
        dialect: How the senders on this line write P.
        address_max: Highest address believed, as the number on the switch.
    """

    def __init__(self, dialect: Dialect = PELCO, address_max: int = 255) -> None:
        self._held = bytearray()
        self._dialect = dialect
        self._address_max = address_max
        self._command: Callable[[int, int], int | None] = (
            _d_command if dialect.lens_bits == "d_style" else _p_command
        )

    def feed(self, data: bytes) -> list[Frame | Noise]:
        """Take bytes off the line and return what they completed, in line order.

        At most seven bytes stay buffered between calls.
        """
        held = self._held
        held += data
        found: list[Frame | Noise] = []
        start = noise = 0
        while len(held) - start >= SIZE:
            frame = self._at(bytes(held[start : start + SIZE]))
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

    def _at(self, data: bytes) -> Frame | None:
        body = data[1:6]
        if data[0] != STX or data[6] != ETX or _check(body, self._dialect) != data[7]:
            return None
        address = body[0] + 1 - self._dialect.address_base
        command = _d_command(body[1], body[2]) if body[2] & 1 else self._command(body[1], body[2])
        if command is None or not 1 <= address <= self._address_max:
            return None
        frame = Frame(address, command, body[3], body[4])
        return frame if plausible(frame) else None


@dataclass(frozen=True, slots=True)
class Acknowledged:
    """The short response: some head took the command; it does not say which."""


class ReplyDecoder:
    """See `nvr.wire.pelco_d.ReplyDecoder`.

    Args:
        dialect: How the heads on this line write P.
    """

    def __init__(self, dialect: Dialect = PELCO) -> None:
        self._dialect = dialect
        self._frames = Decoder(dialect)
        self._address = 0
        self._query = False

    def sent(self, frame: Frame) -> None:
        """Expect the answer to `frame` from now on; what is buffered answered another one."""
        self._frames = Decoder(self._dialect)
        self._address = frame.address
        self._query = frame.op in QUERIES

    def feed(self, data: bytes) -> list[Frame | Acknowledged]:
        """Take bytes, without our own echo, and return the replies they completed."""
        if not self._query:
            # Only between frames: the byte may stand in a frame too.
            return [Acknowledged()] if data[:1] == bytes((ACK,)) else []
        return [
            found
            for found in self._frames.feed(data)
            if isinstance(found, Frame)
            and found.address == self._address
            and found.command in REPLIES
        ]


def _d_command(d1: int, d2: int) -> int:
    return d1 << 8 | d2


def _p_command(d1: int, d2: int) -> int | None:
    switches = _SWITCHES_BACK.get(d1 & 0xF0)
    if switches is None or d2 & ~_LOW:
        return None
    return sum(cmd for cmd, bit in _LENS if d1 & bit) | switches | d2
