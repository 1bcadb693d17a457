"""The eight bytes of ``PTZCmd``: what a platform wants of a head.

::

    A5 | version<<4 + check | address low | op | d1 | d2 | d3<<4 + address high | sum

``check`` is (A + 5 + version) mod 16, ``sum`` that of the first seven bytes mod 256. The address is
not looked at: the ``DeviceID`` beside it says who is meant, and platforms send anything here.

Source: GB/T 28181-2022, annex A.3.
"""

import re
from dataclasses import dataclass
from typing import Final, Literal

FIRST: Final = 0xA5
SECOND: Final = 0x0F
_HEX: Final = re.compile(r"[0-9A-Fa-f]{16}")


class Malformed(ValueError):
    """It is no command."""


@dataclass(frozen=True, slots=True)
class Move:
    """Speeds; all zero stops the head, and what it runs.

    Attributes:
        pan: -1 left to 1 right.
        tilt: -1 down to 1 up.
        zoom: -1 out to 1 in.
    """

    pan: float = 0.0
    tilt: float = 0.0
    zoom: float = 0.0


@dataclass(frozen=True, slots=True)
class Lens:
    """Focus (-1 near, 1 far) and iris (-1 close, 1 open); both zero stops them."""

    focus: int = 0
    iris: int = 0


@dataclass(frozen=True, slots=True)
class Preset:
    """A position, 1 to 255."""

    do: Literal["set", "call", "clear"]
    number: int


@dataclass(frozen=True, slots=True)
class Cruise:
    """A tour.

    Attributes:
        do: ``start``; ``add`` or ``remove`` of `value`, a preset (``remove`` of 0: the whole tour);
            ``speed`` or ``dwell`` of `value`, 12 bits, the latter in seconds.
        group: Which tour, 0 to 255.
        value: See `do`.
    """

    do: Literal["add", "remove", "speed", "dwell", "start"]
    group: int
    value: int = 0


@dataclass(frozen=True, slots=True)
class Scan:
    """To and fro between two limits; `value` is the speed of ``speed``, 12 bits."""

    do: Literal["start", "left", "right", "speed"]
    group: int
    value: int = 0


@dataclass(frozen=True, slots=True)
class Aux:
    """A switch; 1 is the wiper."""

    number: int
    on: bool


Command = Move | Lens | Preset | Cruise | Scan | Aux


def parse(text: str) -> Command:
    """Read a command from its 16 hexadecimal digits.

    Raises:
        Malformed: It is none, its sum is wrong, or it wants opposites at once.
    """
    text = "".join(text.split())
    if not _HEX.fullmatch(text):
        raise Malformed("that is not 16 hexadecimal digits")
    code = bytes.fromhex(text)
    if code[0] != FIRST:
        raise Malformed("the first byte is not A5")
    if code[7] != sum(code[:7]) & 0xFF:
        raise Malformed("the sum is wrong")
    op, d1, d2, d3 = code[3], code[4], code[5], code[6] >> 4
    if op & 0xC0 == 0:
        return _move(op, d1, d2, d3)
    if op & 0xF0 == 0x40:
        return Lens(_either(op, 0x01, 0x02), _either(op, 0x04, 0x08))
    return _other(op, d1, d2, d2 | d3 << 8)


def build(op: int, d1: int = 0, d2: int = 0, d3: int = 0, address: int = 1) -> str:
    """Write a command, as a platform does.

    Args:
        op: Fourth byte.
        d1: Fifth.
        d2: Sixth.
        d3: Upper half of the seventh, 0 to 15.
        address: 12 bits.
    """
    code = bytes((FIRST, SECOND, address & 0xFF, op, d1, d2, d3 << 4 | address >> 8))
    return (code + bytes((sum(code) & 0xFF,))).hex().upper()


def _move(op: int, pan: int, tilt: int, zoom: int) -> Move:
    """Speed 0 is the slowest, not standing still: what stops is the bit of the direction."""
    return Move(
        _either(op, 0x01, 0x02) * (pan + 1) / 256,
        _either(op, 0x08, 0x04) * (tilt + 1) / 256,
        _either(op, 0x10, 0x20) * (zoom + 1) / 16,
    )


def _either(op: int, more: int, less: int) -> int:
    if op & more and op & less:
        raise Malformed("it wants opposites at once")
    return 1 if op & more else -1 if op & less else 0


_PRESETS: Final[dict[int, Literal["set", "call", "clear"]]] = {
    0x81: "set", 0x82: "call", 0x83: "clear",
}  # fmt: skip
_CRUISES: Final[dict[int, Literal["add", "remove", "speed", "dwell", "start"]]] = {
    0x84: "add", 0x85: "remove", 0x86: "speed", 0x87: "dwell", 0x88: "start",
}  # fmt: skip
_SCANS: Final[dict[int, Literal["start", "left", "right"]]] = {0: "start", 1: "left", 2: "right"}


def _other(op: int, d1: int, d2: int, wide: int) -> Command:
    if op in _PRESETS:
        if d2 == 0:
            raise Malformed("there is no preset 0")
        return Preset(_PRESETS[op], d2)
    if op in _CRUISES:
        if op == 0x84 and d2 == 0:
            raise Malformed("there is no preset 0")
        return Cruise(_CRUISES[op], d1, wide if op in {0x86, 0x87} else d2 if op != 0x88 else 0)
    if op == 0x89 and d2 in _SCANS:
        return Scan(_SCANS[d2], d1)
    if op == 0x8A:
        return Scan("speed", d1, wide)
    if op in {0x8C, 0x8D}:
        return Aux(d1, op == 0x8C)
    raise Malformed(f"nobody knows the operation {op:02X}")
