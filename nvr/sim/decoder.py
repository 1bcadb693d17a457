"""The receiver end of a virtual dome: Pelco-D and Pelco-P bytes in, motion and replies out.

Both protocols are understood at once, as domes with self-detection do: their frames begin
differently. Like most heads it answers queries and nothing else.
"""

from collections.abc import Callable
from dataclasses import dataclass

from nvr.sim.head import STILL, Drive, Head
from nvr.sim.view import View
from nvr.wire import pelco_d, pelco_p
from nvr.wire.pelco_d import Cmd, Frame, Noise, Op

FLIP, ZERO_PAN = 33, 34
"""Presets that every head has: turn round, and face north."""

ZOOM_UNITS = 0xFFFF
"""Zoom position of the longest focal length in replies to query 55."""


@dataclass(slots=True)
class Outputs:
    """What a dome switches: its wiper and its lamp."""

    wiper: bool = False
    lamp: bool = False


class Receiver:
    """One head on the line.

    Args:
        head: What it drives.
        outputs: What auxiliaries 1 (wiper) and 2 (lamp) switch.
        address: Its address, as on the dip switch: 1 based in both protocols.
        zoom_max: Longest focal length, times the shortest.
    """

    def __init__(self, head: Head, outputs: Outputs, address: int, zoom_max: float) -> None:
        self._head = head
        self._outputs = outputs
        self._address = address
        self._zoom_max = zoom_max
        self._d = pelco_d.Decoder()
        self._p = pelco_p.Decoder()
        self._extended: dict[int, Callable[[float, Frame], None]] = {
            Op.SET_PRESET: lambda now_s, f: head.set_preset(now_s, f.data2),
            Op.CLEAR_PRESET: lambda _, f: head.clear_preset(f.data2),
            Op.CALL_PRESET: self._call,
            Op.SET_AUX: lambda _, f: self._auxiliary(f.data2, on=True),
            Op.CLEAR_AUX: lambda _, f: self._auxiliary(f.data2, on=False),
            Op.ZOOM_SPEED: lambda _, f: head.set_zoom_speed(f.data2),
            Op.AUTO_FOCUS: lambda _, __: head.automatic(),
            Op.AUTO_IRIS: lambda _, __: head.automatic(),
            Op.DEFAULTS: lambda _, __: head.automatic(),
            Op.RESET: lambda now_s, _: head.drive(now_s, STILL),
            Op.SET_PAN: self._set_pan,
            Op.SET_TILT: self._set_tilt,
            Op.SET_ZOOM: self._set_zoom,
            Op.SET_MAGNIFICATION: self._set_magnification,
        }
        self.frames = 0
        self.noise_bytes = 0

    def receive(self, data: bytes, now_s: float) -> bytes:
        """Obey what came off the line; returns what to answer, often nothing."""
        answer = b""
        for frame in self._d.feed(data):
            if isinstance(frame, Noise):
                self.noise_bytes += len(frame.data)
            else:
                answer += self._obey(frame, now_s, lambda reply: reply.encode())
        for frame in self._p.feed(data):
            if not isinstance(frame, Noise):
                answer += self._obey(frame, now_s, pelco_p.encode)
        return answer

    def _obey(self, frame: Frame, now_s: float, encode: Callable[[Frame], bytes]) -> bytes:
        if frame.address != self._address:
            return b""
        self.frames += 1
        if not frame.command & Cmd.EXTENDED:
            self._head.drive(now_s, _drive(frame))
            return b""
        op = frame.command & 0xFF
        reply = self._reply(op, now_s)
        if reply is not None:
            return encode(reply)
        act = self._extended.get(op)
        if act is not None:
            act(now_s, frame)
        return b""

    def _reply(self, op: int, now_s: float) -> Frame | None:
        if op not in pelco_d.QUERIES:
            return None
        self._head.advance(now_s)
        view = self._head.view
        # Tilt below the horizon counts down from 360, the commonest of the three conventions.
        answer, value = {
            Op.QUERY_PAN: (Op.PAN, round(view.pan_deg * 100) % 36000),
            Op.QUERY_TILT: (Op.TILT, round(view.tilt_deg * 100) % 36000),
            Op.QUERY_ZOOM: (
                Op.ZOOM,
                round((view.zoom - 1) / (self._zoom_max - 1) * ZOOM_UNITS),
            ),
            Op.QUERY_MAGNIFICATION: (Op.MAGNIFICATION, round(view.zoom * 100)),
        }[Op(op)]
        return Frame(self._address, int(answer), value >> 8, value & 0xFF)

    def _call(self, now_s: float, frame: Frame) -> None:
        head = self._head
        if head.call_preset(now_s, frame.data2):
            return
        head.advance(now_s)
        view = head.view
        if frame.data2 == FLIP:
            head.go(now_s, View(view.pan_deg + 180.0, view.tilt_deg, view.zoom))
        elif frame.data2 == ZERO_PAN:
            head.go(now_s, View(0.0, view.tilt_deg, view.zoom))

    def _auxiliary(self, number: int, *, on: bool) -> None:
        if number == 1:
            self._outputs.wiper = on
        elif number == 2:
            self._outputs.lamp = on

    def _set_pan(self, now_s: float, frame: Frame) -> None:
        view = self._aim(now_s)
        self._head.go(now_s, View(frame.value / 100, view.tilt_deg, view.zoom))

    def _set_tilt(self, now_s: float, frame: Frame) -> None:
        view = self._aim(now_s)
        tilt_deg = (frame.value / 100 + 180.0) % 360.0 - 180.0
        self._head.go(now_s, View(view.pan_deg, tilt_deg, view.zoom))

    def _set_zoom(self, now_s: float, frame: Frame) -> None:
        view = self._aim(now_s)
        zoom = 1 + frame.value / ZOOM_UNITS * (self._zoom_max - 1)
        self._head.go(now_s, View(view.pan_deg, view.tilt_deg, zoom))

    def _set_magnification(self, now_s: float, frame: Frame) -> None:
        view = self._aim(now_s)
        self._head.go(now_s, View(view.pan_deg, view.tilt_deg, max(frame.value, 100) / 100))

    def _aim(self, now_s: float) -> View:
        """Where the head is going, or is: pan, tilt and zoom are set one frame each."""
        self._head.advance(now_s)
        return self._head.target or self._head.view


def _drive(frame: Frame) -> Drive:
    command = frame.command

    def way(negative: Cmd, positive: Cmd) -> int:
        return bool(command & positive) - bool(command & negative)

    return Drive(
        pan=way(Cmd.LEFT, Cmd.RIGHT) * min(frame.data1, 64),
        tilt=way(Cmd.DOWN, Cmd.UP) * min(frame.data2, 63),
        zoom=way(Cmd.WIDE, Cmd.TELE),
        focus=way(Cmd.FOCUS_NEAR, Cmd.FOCUS_FAR),
        iris=way(Cmd.IRIS_CLOSE, Cmd.IRIS_OPEN),
    )
