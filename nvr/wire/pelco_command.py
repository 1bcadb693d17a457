"""Extended Pelco commands by what they do, for D and P alike, each kept to its range.

Source: as `nvr.wire.pelco_d`; values that makers do not agree on are the caller's business.
"""

from nvr.wire.pelco_d import BYTES, DELTAS, ROW, WORDS, Frame, Op

_AUX_MAX = 8
_SPEED_MAX = 3
_SENT = {
    Op.SET_AUX: range(_AUX_MAX + 1),
    Op.CLEAR_AUX: range(_AUX_MAX + 1),
    Op.ZOOM_SPEED: range(_SPEED_MAX + 1),
    Op.FOCUS_SPEED: range(_SPEED_MAX + 1),
}
"""Where less is sent than is understood."""


def range_of(op: Op) -> range:
    """Return what the value of `op` may be; one number, 0, where it has none."""
    return _SENT.get(op) or BYTES.get(op) or WORDS[op]


def command(address: int, op: Op, value: int = 0, *, delta: bool = False) -> Frame:
    """Return an extended command.

    Args:
        address: Receiver.
        op: What it does; characters are `characters`' business.
        value: A preset, zone, pattern, alarm or auxiliary; hundredths of a degree of a position
            and of a magnification; a speed; device units of all else.
        delta: Of lens and picture adjustments: `value` is a change.

    Raises:
        ValueError: `value` is out of range, or `op` takes no change.
    """
    name = op.name.lower().replace("_", " ")
    if op is Op.WRITE_CHARACTER:
        raise ValueError(f"{name} is one of `characters`")
    fits = range_of(op)
    if value not in fits:
        said = "takes no value" if len(fits) == 1 else f"takes {fits[0]} to {fits[-1]}"
        raise ValueError(f"{name} {said}, not {value}")
    if delta and op not in DELTAS:
        raise ValueError(f"{name} takes no change")
    return Frame(address, op | delta << 8, value >> 8, value & 0xFF)


def characters(address: int, text: str, row: int = 0) -> tuple[Frame, ...]:
    """Return the frames that write a row of the screen, one a character.

    Args:
        address: Receiver.
        text: Up to 20 characters of ASCII; shorter leaves what stands behind it.
        row: 0 for the zone's label, 1 for the preset's.

    Raises:
        ValueError: There is no such row, `text` is too long or not ASCII.
    """
    if row not in {0, 1} or len(text) > ROW:
        raise ValueError(f"a screen has two rows of {ROW} characters")
    if not (text.isascii() and text.isprintable()):
        raise ValueError("a screen shows ASCII only")
    return tuple(
        Frame(address, Op.WRITE_CHARACTER, row * ROW + column, ord(letter))
        for column, letter in enumerate(text)
    )
