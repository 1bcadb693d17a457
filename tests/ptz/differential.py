"""Pelco-D as somebody else writes it: every frame compared with an encoder from PyPI.

    pip install --group peer; python -m tests.ptz.differential [--json]

`pyptzcontroller` 0.1.2 (MIT) is the only independent one of the registries that runs today:
`libpelco` 1.1 is for Python 2, and no package of PyPI or npm was found that writes Pelco-P.
"""

import contextlib
import io
import sys
from collections.abc import Iterator
from typing import Any

from nvr.wire.pelco_command import command, range_of
from nvr.wire.pelco_d import Decoder, Frame, Op, motion
from tests.bench.figures import arguments, at_least, at_most, report

ADDRESSES = (1, 2, 37, 254)
_VALUES = {
    "set_preset": (Op.SET_PRESET, "preset_id"),
    "go_to_preset": (Op.CALL_PRESET, "preset_id"),
    "clear_preset": (Op.CLEAR_PRESET, "preset_id"),
    "aux_on": (Op.SET_AUX, "switch_id"),
    "aux_off": (Op.CLEAR_AUX, "switch_id"),
}
_PLAIN = {
    "reboot": Op.RESET,
    "query_pan": Op.QUERY_PAN,
    "query_tilt": Op.QUERY_TILT,
    "query_zoom": Op.QUERY_ZOOM,
}
_PLACES = {"move_to_pan": Op.SET_PAN, "move_to_tilt": Op.SET_TILT, "move_to_zoom": Op.SET_ZOOM}


def pairs(address: int) -> Iterator[tuple[str, dict[str, int], Frame]]:
    """What is asked of the other encoder, and our frame for it."""
    yield "stop", {}, motion(address)
    for speed in range(1, 64):
        yield "up", {"speed": speed}, motion(address, tilt=speed)
        yield "down", {"speed": speed}, motion(address, tilt=-speed)
        yield "left", {"speed": speed}, motion(address, pan=-speed)
        yield "right", {"speed": speed}, motion(address, pan=speed)
    for name, (op, key) in _VALUES.items():
        for value in range_of(op):
            yield name, {key: value}, command(address, op, value)
    for name, op in _PLAIN.items():
        yield name, {}, command(address, op)
    for name, op in _PLACES.items():
        for value in range_of(op)[::7]:
            high, low = divmod(value, 256)
            yield name, {"d1": high, "d2": low}, command(address, op, value)


def main(words: list[str]) -> int:
    """Compare, and say what differs."""
    chosen = arguments("Pelco-D compared with an encoder from PyPI.").parse_args(words)
    from ptz_control_lib.ptz_controller import PtzControl  # noqa: PLC0415 - not in the dev group

    frames, different, unread = 0, 0, 0
    for address in ADDRESSES:
        with contextlib.redirect_stdout(io.StringIO()):
            peer: Any = PtzControl("none", address)
        for name, values, frame in pairs(address):
            theirs = peer._create_command(name, **values)
            frames += 1
            different += theirs != frame.encode()
            unread += Decoder().feed(theirs) != [frame]
    figures = {"frames": frames, "different": different, "unread": unread}
    limits = {
        "frames": at_least(10_000, "fewer leave values out"),
        "different": at_most(0, "byte for byte"),
        "unread": at_most(0, "what it writes must be understood"),
    }
    return report("pelco_peer", figures, limits, as_json=chosen.json)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
