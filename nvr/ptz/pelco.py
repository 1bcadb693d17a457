"""Pelco-D and -P heads: the speeds of `Motion` become frames for the bus.

Source: Pelco "D" Protocol Manual TF-0002 (2003): queries 51, 53, 55, answers 59, 5B, 5D.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

from nvr.media.ports import HeadFunction, Position
from nvr.ptz.line import Aux, Deed, Glide, Said
from nvr.ptz.position import Asked, Feed
from nvr.ptz.schedule import Auxiliary, Motion
from nvr.wire import pelco_command, pelco_d, pelco_p
from nvr.wire.pelco_d import Cmd, Frame, Op

BITS_PER_BYTE = 10  # 8N1

_UNKNOWN: Said = ("what it does there differs from maker to maker", "各厂家含义不同")
RESERVED: Mapping[int, Said] = dict.fromkeys(
    (*range(33, 46), *range(65, 109), 130, 131, 132, 200), _UNKNOWN
)
"""Preset numbers to which makers gave another meaning: flip, menus, scans, limits, and 94, which
reboots a Hikvision dome. The union over the makers we know; refused as plain presets."""

_PRESET_OPS = {"call": Op.CALL_PRESET, "set": Op.SET_PRESET, "clear": Op.CLEAR_PRESET}

OPS: Mapping[str, Op] = {
    **_PRESET_OPS,
    "pattern-record": Op.PATTERN_START,
    "pattern-end": Op.PATTERN_STOP,
    "pattern-run": Op.PATTERN_RUN,
    "zone-start": Op.ZONE_START,
    "zone-end": Op.ZONE_END,
    "zone-scan-on": Op.ZONE_SCAN_ON,
    "zone-scan-off": Op.ZONE_SCAN_OFF,
    "clear-screen": Op.CLEAR_SCREEN,
    "acknowledge-alarm": Op.ALARM_ACK,
    "zoom-speed": Op.ZOOM_SPEED,
    "focus-speed": Op.FOCUS_SPEED,
    "reset": Op.RESET,
    "defaults": Op.DEFAULTS,
    "auto-focus": Op.AUTO_FOCUS,
    "auto-iris": Op.AUTO_IRIS,
    "agc": Op.AGC,
    "backlight": Op.BACKLIGHT,
    "white-balance": Op.WHITE_BALANCE,
    "phase-delay": Op.PHASE_DELAY,
    "shutter": Op.SHUTTER,
    "line-lock": Op.LINE_LOCK,
    "white-balance-rb": Op.WHITE_BALANCE_RB,
    "white-balance-mg": Op.WHITE_BALANCE_MG,
    "gain": Op.GAIN,
    "iris-level": Op.IRIS_LEVEL,
    "iris-peak": Op.IRIS_PEAK,
    "set-zero": Op.SET_ZERO,
    "go-pan": Op.SET_PAN,
    "go-tilt": Op.SET_TILT,
    "go-zoom": Op.SET_ZOOM,
    "go-magnification": Op.SET_MAGNIFICATION,
}
"""What a function of a head may do. Auxiliaries are outputs, which the guard knows; what is asked
and what stands on the screen letter by letter is none of a function's business."""
SWITCHES: Mapping[str, int] = {
    "camera-on": Cmd.SENSE | Cmd.CAMERA,
    "camera-off": Cmd.CAMERA,
    "auto-scan": Cmd.SENSE | Cmd.SCAN,
    "manual-scan": Cmd.SCAN,
}
_RUNNING = {"call", "pattern-run", "zone-scan-on", "auto-scan"}
_MOVING = _RUNNING | {"go-pan", "go-tilt", "go-zoom", "go-magnification"}


@dataclass(frozen=True, slots=True)
class Act:
    """One function of a head and the frame it comes to.

    Attributes:
        said: What people know of it.
        do: Key of `OPS` or `SWITCHES`.
        number: Its value.
        delta: The value is a change.
    """

    said: HeadFunction
    do: str
    number: int = 0
    delta: bool = False

    def frame(self, address: int) -> Frame:
        """Return its frame.

        Raises:
            ValueError: The value is out of range, or there is no such thing to do.
        """
        if self.do in SWITCHES:
            return Frame(address, SWITCHES[self.do])
        if self.do not in OPS:
            known = ", ".join(sorted((*OPS, *SWITCHES)))
            raise ValueError(f"no head can {self.do}; there is {known}")
        return pelco_command.command(address, OPS[self.do], self.number, delta=self.delta)


ZOOM_UNITS = 0xFFFF
_ROUND = ((Op.QUERY_PAN, Op.PAN), (Op.QUERY_TILT, Op.TILT), (Op.QUERY_ZOOM, Op.ZOOM))


@dataclass(frozen=True, slots=True)
class PelcoAsked:
    """How a head that answers is asked. See `Asked`.

    Attributes:
        address: Its address.
        tilt_reply: Below the horizon its answer ``falls`` from 360 degrees or ``rises`` from 0.
        protocol: ``pelco-d`` or ``pelco-p``.
        dialect: Options of Pelco-P.
    """

    address: int
    tilt_reply: Literal["falls", "rises"] = "falls"
    protocol: Literal["pelco-d", "pelco-p"] = "pelco-d"
    dialect: pelco_p.Dialect = pelco_p.PELCO

    @property
    def queries(self) -> Sequence[bytes]:  # noqa: D102 - see Asked
        return [self._bytes(Frame(self.address, query)) for query, _ in _ROUND]

    def answer(self, step: int) -> Feed:  # noqa: D102 - see Asked
        query, awaited = _ROUND[step]
        if self.protocol == "pelco-p":
            replies: pelco_d.ReplyDecoder | pelco_p.ReplyDecoder = pelco_p.ReplyDecoder(
                self.dialect
            )
        else:
            replies = pelco_d.ReplyDecoder()
        replies.sent(Frame(self.address, query))

        def feed(data: bytes) -> tuple[int, ...] | None:
            for reply in replies.feed(data):
                if isinstance(reply, Frame) and reply.op is awaited:
                    return (reply.value,)
            return None

        return feed

    def position(self, values: Sequence[tuple[int, ...]]) -> Position:  # noqa: D102 - see Asked
        (pan,), (tilt,), (zoom,) = values
        tilt_deg = (tilt / 100 + 180) % 360 - 180
        if self.tilt_reply == "rises":
            tilt_deg = -tilt_deg
        return Position(pan / 100 % 360, tilt_deg, zoom / ZOOM_UNITS)

    def _bytes(self, frame: Frame) -> bytes:
        if self.protocol == "pelco-p":
            return pelco_p.encode(frame, self.dialect)
        return frame.encode()


@dataclass(frozen=True, slots=True)
class Pelco:
    """One head's dialect. See `nvr.ptz.line.Dialect`.

    Attributes:
        protocol: ``pelco-d`` or ``pelco-p``.
        address: Number on its switch, 1-254.
        turbo: Pan value for full deflection; makers disagree, so none unless its manual says.
        dialect: Options of Pelco-P.
        reserved: Preset numbers that are no presets, and what they are.
        reports: It may be asked where it points; needs the line's return pair.
        tilt_reply: See `PelcoAsked`.
        pan_speeds: The slowest and the fastest pan speed sent, turbo aside.
        tilt_speeds: The same of tilt.
        presets_max: The highest number of a preset.
        acts: Its functions.
        ends: Name of the function that ends those that run; empty if a STOP does.
        goes: It goes to a position that it is told.
    """

    protocol: Literal["pelco-d", "pelco-p"] = "pelco-d"
    address: int = 1
    turbo: Literal[0, 0x40, 0xFF] = 0
    dialect: pelco_p.Dialect = pelco_p.PELCO
    reserved: Mapping[int, Said] = field(default_factory=lambda: RESERVED)
    reports: bool = False
    tilt_reply: Literal["falls", "rises"] = "falls"
    pan_speeds: tuple[int, int] = (1, pelco_d.SPEED_MAX)
    tilt_speeds: tuple[int, int] = (1, pelco_d.SPEED_MAX)
    presets_max: int = 255
    acts: tuple[Act, ...] = ()
    ends: str = ""
    goes: bool = True

    @property
    def chain(self) -> None:
        """It has a switch for its address."""

    @property
    def asked(self) -> Asked | None:
        """How it is asked for its position, None if it is not."""
        if not self.reports:
            return None
        return PelcoAsked(self.address, self.tilt_reply, self.protocol, self.dialect)

    def encode(self, motion: Motion) -> bytes:
        """Return the frame that sets all axes at once."""
        pan = _speed(motion.pan, self.pan_speeds)
        if self.turbo and round(abs(motion.pan) * pelco_d.SPEED_MAX) == pelco_d.SPEED_MAX:
            pan = self.turbo if pan > 0 else -self.turbo
        return self._bytes(
            pelco_d.motion(
                self.address,
                pan=pan,
                tilt=_speed(motion.tilt, self.tilt_speeds),
                zoom=_sign(motion.zoom),
                focus=motion.focus,
                iris=motion.iris,
            )
        )

    def preset(self, do: Literal["call", "set", "clear"], number: int) -> bytes:
        """Return the frame that goes to, stores or clears preset `number`, 1-255."""
        return self._bytes(Frame(self.address, _PRESET_OPS[do], 0, number))

    def auxiliary(self, aux: Aux) -> Auxiliary:
        """Return what the bus needs to switch `aux`."""
        on, off = (
            self._bytes(Frame(self.address, op, 0, aux.number)) for op in (Op.SET_AUX, Op.CLEAR_AUX)
        )
        return Auxiliary(on, off, aux.max_on_s)

    @property
    def functions(self) -> tuple[HeadFunction, ...]:  # noqa: D102 - see Dialect
        return tuple(act.said for act in self.acts)

    def perform(self, function: str) -> Deed | None:  # noqa: D102 - see Dialect
        for act in self.acts:
            if act.said.name == function:
                return Deed(self._bytes(act.frame(self.address)), moves=act.do in _MOVING)
        return None

    def end(self) -> Deed | None:  # noqa: D102 - see Dialect
        # It must get through a STOP, whatever it is called by.
        deed = self.perform(self.ends) if self.ends else None
        return deed and Deed(deed.data, moves=False)

    def point(self, to: Position | Glide) -> tuple[bytes, ...]:
        """Return the frames that set pan, tilt and zoom; none to a head that is not asked."""
        if isinstance(to, Glide) or not self.goes or not self.reports:
            return ()
        tilt_deg = -to.tilt_deg if self.tilt_reply == "rises" else to.tilt_deg
        wanted = (
            (Op.SET_PAN, round(to.pan_deg * 100) % 36000),
            (Op.SET_TILT, round(tilt_deg * 100) % 36000),
            (Op.SET_ZOOM, min(max(round(to.zoom * ZOOM_UNITS), 0), ZOOM_UNITS)),
        )
        return tuple(
            self._bytes(Frame(self.address, int(op), value >> 8, value & 0xFF))
            for op, value in wanted
        )

    def _bytes(self, frame: Frame) -> bytes:
        if self.protocol == "pelco-p":
            return pelco_p.encode(frame, self.dialect)
        return frame.encode()


def ranges(numbers: Iterable[int]) -> str:
    """Return numbers as people write them: ``33-45, 200``."""
    found: list[tuple[int, int]] = []
    for one in sorted(numbers):
        if found and one == found[-1][1] + 1:
            found[-1] = (found[-1][0], one)
        else:
            found.append((one, one))
    return ", ".join(str(low) if low == high else f"{low}-{high}" for low, high in found)


def frame_s(baud: int) -> float:
    """Seconds that the longer of both frames takes on the wire."""
    return pelco_p.SIZE * byte_s(baud)


def byte_s(baud: int) -> float:
    """Seconds that a byte takes on the wire."""
    return BITS_PER_BYTE / baud


def _speed(value: float, speeds: tuple[int, int]) -> int:
    """Map -1..1 to the speeds of a head. What is not zero turns, if slowly."""
    slowest, fastest = speeds
    speed = min(max(round(abs(value) * fastest), slowest), fastest) if value else 0
    return speed if value > 0 else -speed


def _sign(value: float) -> int:
    return (value > 0) - (value < 0)
