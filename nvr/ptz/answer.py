"""What a decoder would answer to a keyboard that waits for it."""

from collections.abc import Callable
from typing import Final

from nvr.media.ports import PtzStatus
from nvr.ptz.journal import decoded
from nvr.wire import pelco_p
from nvr.wire.pelco_d import SYNC, Frame, Op

_ZOOM_MOST: Final = 0xFFFF


def answer_to(command: bytes, status: Callable[[int], PtzStatus | None]) -> bytes:
    """Return the answer to a whole command, empty if a decoder would give none.

    A question for a position is answered from what the head says of itself, and not at all where
    that is not known. Tilt counts down from 360 degrees below the horizon. Whoever has no such
    camera says nothing, as on any line.

    Args:
        command: A Pelco-D or -P frame.
        status: Of the camera that has an address, None if none has.
    """
    frame, protocol = decoded(command)
    if frame is None:
        return b""
    found = status(frame.address)
    if found is None:
        return b""
    if protocol == "pelco-p":
        return bytes((pelco_p.ACK,))
    match frame.op:
        case Op.QUERY_PAN | Op.QUERY_TILT | Op.QUERY_ZOOM as op:
            return _position(frame.address, op, found)
        case Op.QUERY_DEVICE | Op.QUERY_MAGNIFICATION:
            return b""
    return bytes((SYNC, frame.address, 0, command[-1]))  # its checksum, plus alarms: none


def _position(address: int, op: Op, status: PtzStatus) -> bytes:
    at = status.position
    if at is None:
        return b""
    value, reply = {
        Op.QUERY_PAN: (round(at.pan_deg * 100) % 36000, Op.PAN),
        Op.QUERY_TILT: (round(at.tilt_deg * 100) % 36000, Op.TILT),
        Op.QUERY_ZOOM: (round(at.zoom * _ZOOM_MOST), Op.ZOOM),
    }[op]
    return Frame(address, reply, *divmod(value, 256)).encode()
