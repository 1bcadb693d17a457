"""The structures of ALSA that a microphone is set up with, as bytes of a 64-bit Linux.

An ioctl's number is ``direction(2) | size(14) | 'A'(8) | number(8)``. What a device can is a set of
masks (access, format) and intervals (rate, channels, period): it is told what is wanted, and makes
the rest narrower each time it is asked (``HW_REFINE``), until one setting is left (``HW_PARAMS``).

Source: Linux 6.1 ``include/uapi/sound/asound.h``; ``tests/hal/test_alsa.py`` holds every size,
place and number against a compiler that reads the machine's own copy.
"""

import struct
from dataclasses import dataclass
from typing import Final

_READ, _WRITE = 2, 1
ALL: Final = 0xFFFFFFFF


def _number(direction: int, number: int, size: int) -> int:
    return direction << 30 | size << 16 | ord("A") << 8 | number


HARDWARE_BYTES: Final = 608
_SOFTWARE: Final = struct.Struct("=iII4x7QII56x")
_FRAMES: Final = struct.Struct("=q")
HW_REFINE: Final = _number(_READ | _WRITE, 0x10, HARDWARE_BYTES)
HW_PARAMS: Final = _number(_READ | _WRITE, 0x11, HARDWARE_BYTES)
SW_PARAMS: Final = _number(_READ | _WRITE, 0x13, _SOFTWARE.size)
DELAY: Final = _number(_READ, 0x21, _FRAMES.size)
PREPARE: Final = _number(0, 0x40, 0)
START: Final = _number(0, 0x42, 0)

ACCESS: Final = 0
FORMAT: Final = 1
CHANNELS: Final = 10
RATE: Final = 11
PERIOD: Final = 13
BUFFER: Final = 17
_FIRST_INTERVAL: Final = 8
_MASK_AT, _MASK_BYTES, _MASKS = 4, 32, 3
_INTERVAL_AT, _INTERVAL, _INTERVALS = 260, struct.Struct("=III"), 12
_ASKED_AT: Final = 512
_INTEGER: Final = 4

INTERLEAVED: Final = 3
S16_LE: Final = 2
S24_3LE: Final = 32
S32_LE: Final = 10


@dataclass(slots=True)
class Hardware:
    """What a device is wished to do, and what is left of it."""

    data: bytearray

    @classmethod
    def anything(cls) -> "Hardware":
        """Return a wish for nothing in particular."""
        one = cls(bytearray(HARDWARE_BYTES))
        for mask in range(_MASKS):
            start = _MASK_AT + mask * _MASK_BYTES
            one.data[start : start + _MASK_BYTES] = b"\xff" * _MASK_BYTES
        for interval in range(_INTERVALS):
            _INTERVAL.pack_into(one.data, _INTERVAL_AT + interval * _INTERVAL.size, 0, ALL, 0)
        one._ask()
        return one

    def only(self, mask: int, bit: int) -> "Hardware":
        """Return the same with one way of access, or one format, left."""
        made = Hardware(bytearray(self.data))
        start = _MASK_AT + mask * _MASK_BYTES
        bits = (1 << bit).to_bytes(_MASK_BYTES, "little")
        made.data[start : start + _MASK_BYTES] = bits
        made._ask()
        return made

    def has(self, mask: int, bit: int) -> bool:
        """Whether that way of access, or that format, is left."""
        start = _MASK_AT + mask * _MASK_BYTES
        bits = int.from_bytes(self.data[start : start + _MASK_BYTES], "little")
        return bool(bits >> bit & 1)

    def fixed(self, what: int, value: int) -> "Hardware":
        """Return the same with one value of an interval left."""
        made = Hardware(bytearray(self.data))
        at = _INTERVAL_AT + (what - _FIRST_INTERVAL) * _INTERVAL.size
        _INTERVAL.pack_into(made.data, at, value, value, _INTEGER)
        made._ask()
        return made

    def interval(self, what: int) -> tuple[int, int]:
        """Smallest and largest value that is left of an interval."""
        at = _INTERVAL_AT + (what - _FIRST_INTERVAL) * _INTERVAL.size
        least, most, _ = _INTERVAL.unpack_from(self.data, at)
        return least, most

    def _ask(self) -> None:
        """Have everything worked out anew."""
        struct.pack_into("=II", self.data, _ASKED_AT, ALL, 0)


def software(available: int, boundary: int) -> bytearray:
    """How it is run: woken by so many frames, started by hand, stopped when nobody reads.

    Args:
        available: Frames that wake who waits.
        boundary: Frames of the buffer: with so many unread it stops, which is an overrun.
    """
    return bytearray(_SOFTWARE.pack(0, 1, 0, available, 1, ALL, boundary, 0, 0, 0, 0, 0))


def frames(data: bytes | bytearray) -> int:
    """Read a number of frames."""
    return int(_FRAMES.unpack(data)[0])
