"""What a Pelco frame says, as words and numbers that a page or a console puts into sentences."""

from nvr.media.desk import Words
from nvr.wire.pelco_d import Cmd, Frame, Op

_AXES = (
    (Cmd.LEFT, "left"),
    (Cmd.RIGHT, "right"),
    (Cmd.UP, "up"),
    (Cmd.DOWN, "down"),
    (Cmd.TELE, "tele"),
    (Cmd.WIDE, "wide"),
    (Cmd.FOCUS_FAR, "far"),
    (Cmd.FOCUS_NEAR, "near"),
    (Cmd.IRIS_OPEN, "open"),
    (Cmd.IRIS_CLOSE, "close"),
)
_PAN, _TILT = Cmd.LEFT | Cmd.RIGHT, Cmd.UP | Cmd.DOWN
_OPS = {
    Op.SET_PRESET: "preset_set",
    Op.CLEAR_PRESET: "preset_clear",
    Op.CALL_PRESET: "preset_call",
    Op.SET_AUX: "aux_on",
    Op.CLEAR_AUX: "aux_off",
}


def words_of(frame: Frame) -> Words:
    """Return what `frame` says; never empty."""
    op = frame.op
    if op is not None:
        if op in _OPS:
            return ((_OPS[op], frame.data2),)
        return ((op.name.lower(), frame.value),)
    found = [(word, _speed(frame, bit)) for bit, word in _AXES if frame.command & bit]
    if frame.command & Cmd.SCAN:
        found.append(("scan", int(bool(frame.command & Cmd.SENSE))))
    if frame.command & Cmd.CAMERA:
        found.append(("camera", int(bool(frame.command & Cmd.SENSE))))
    return tuple(found) or (("stop", 0),)


def sentence(words: Words) -> str:
    """Return the same in English."""
    return ", ".join(
        f"{word.replace('_', ' ')} {number}" if number else word.replace("_", " ")
        for word, number in words
    )


def _speed(frame: Frame, bit: Cmd) -> int:
    if bit & _PAN:
        return frame.data1
    return frame.data2 if bit & _TILT else 0
