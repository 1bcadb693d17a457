"""VISCA heads: the speeds of `Motion` become packets for the bus.

A VISCA camera keeps each axis by itself, where Pelco's frames say all at once. Every motion is
therefore written as the packets of head, zoom and focus together, so that the newest is the whole
state here too, and STOP ends everything. Such cameras answer each command; what is needed of it is
whether they refuse. Pan and tilt answer in units of the model, `Scale` says how many a degree.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

from nvr.media.ports import HeadFunction, Position
from nvr.ptz.line import Aux, Chain, Deed, Glide, Said
from nvr.ptz.position import Asked, Feed
from nvr.ptz.schedule import Auxiliary, Motion
from nvr.wire import visca

BODIES: Mapping[str, bytes] = {
    "home": visca.HOME,
    "reset": visca.RESET,
    "power-on": visca.POWER_ON,
    "power-off": visca.POWER_OFF,
    "focus-auto": visca.FOCUS_AUTO,
    "focus-manual": visca.FOCUS_MANUAL,
    "focus-once": visca.FOCUS_ONCE,
    "focus-infinity": visca.FOCUS_FAR,
    "backlight-on": visca.BACKLIGHT_ON,
    "backlight-off": visca.BACKLIGHT_OFF,
    "white-balance-auto": visca.WHITE_AUTO,
    "exposure-auto": visca.EXPOSURE_AUTO,
    "exposure-manual": visca.EXPOSURE_MANUAL,
    "menu-off": visca.MENU_OFF,
}
_PRESET_DOS = ("call", "set", "clear")
_MOVING = frozenset(("home", "reset", "call"))
_QUERIES = (visca.ASK_HEAD, visca.ASK_ZOOM)


@dataclass(frozen=True, slots=True)
class Scale:
    """What a model's units are.

    Attributes:
        per_deg: Units of pan and tilt in a degree; EVI-D70: 0x08B6 are 170 degrees.
        zoom: Units of zoom from wide to tele, without digital zoom.
    """

    per_deg: float = 14.4
    zoom: int = 0x4000


@dataclass(frozen=True, slots=True)
class ViscaAct:
    """One function of a head and the packet it comes to.

    Attributes:
        said: What people know of it.
        do: Key of `BODIES`, or ``call``, ``set``, ``clear`` of a position.
        number: Of the position, as it is on the wire.
    """

    said: HeadFunction
    do: str
    number: int = 0

    def body(self) -> bytes:
        """Return its body.

        Raises:
            ValueError: There is no such thing to do, or no such position.
        """
        if self.do in _PRESET_DOS:
            return visca.preset(self.do, self.number)
        if self.do not in BODIES:
            known = ", ".join(sorted((*BODIES, *_PRESET_DOS)))
            raise ValueError(f"no head can {self.do}; there is {known}")
        return BODIES[self.do]


@dataclass(frozen=True, slots=True)
class ViscaAsked:
    """How such a head is asked. See `Asked`."""

    address: int
    scale: Scale = Scale()

    @property
    def queries(self) -> Sequence[bytes]:  # noqa: D102 - see Asked
        return [visca.inquiry(self.address, body) for body in _QUERIES]

    def answer(self, step: int) -> Feed:  # noqa: D102 - see Asked
        decoder, wanted = visca.Decoder(), 2 - step

        def feed(data: bytes) -> tuple[int, ...] | None:
            for found in decoder.feed(data):
                if isinstance(found, visca.Answer) and found.address == self.address:
                    values = visca.numbers(found.data, signed=step == 0)
                    if values is not None and len(values) == wanted:
                        return values
            return None

        return feed

    def position(self, values: Sequence[tuple[int, ...]]) -> Position:  # noqa: D102 - see Asked
        (pan, tilt), (zoom,) = values
        per_deg = self.scale.per_deg
        return Position(pan / per_deg % 360, tilt / per_deg, min(zoom / self.scale.zoom, 1.0))


class ViscaChain:
    """A chain of such cameras: they know no address until they are given one. See `Chain`."""

    opening: Sequence[bytes] = (visca.SET_ADDRESSES, visca.CLEAR_ALL)
    renewal: Sequence[bytes] = (visca.SET_ADDRESSES,)  # what the others do goes on

    def __init__(self) -> None:
        self._decoder = visca.Decoder()

    def joined(self, data: bytes) -> bool:  # noqa: D102 - see Chain
        return visca.NetworkChanged in map(type, self._decoder.feed(data))


@dataclass(frozen=True, slots=True)
class Visca:
    """One head. See `nvr.ptz.line.Dialect`.

    Attributes:
        address: Its place on the chain, 1-7.
        pan_speeds: The slowest and the fastest pan speed sent, 1-24.
        tilt_speeds: The same of tilt, 1-20.
        preset_base: Number on the wire of preset 1.
        presets_max: The highest number of a preset.
        reports: It may be asked where it points.
        scale: What its answers mean.
        reserved: Preset numbers that are no presets, and what they are.
        acts: Its functions.
        ends: Name of the function that ends those that run; empty if a STOP does.
    """

    address: int = 1
    pan_speeds: tuple[int, int] = (1, visca.PAN_SPEED_MAX)
    tilt_speeds: tuple[int, int] = (1, visca.TILT_SPEED_MAX)
    preset_base: Literal[0, 1] = 0
    presets_max: int = 16
    reports: bool = False
    scale: Scale = Scale()
    reserved: Mapping[int, Said] = field(default_factory=dict)
    acts: tuple[ViscaAct, ...] = ()
    ends: str = ""

    @property
    def asked(self) -> Asked | None:  # noqa: D102 - see Dialect
        return ViscaAsked(self.address, self.scale) if self.reports else None

    @property
    def chain(self) -> Chain:  # noqa: D102 - see Dialect
        return ViscaChain()

    def encode(self, motion: Motion) -> bytes:
        """Return the packets that set all axes; iris moves a step each time it is told."""
        bodies = [
            visca.drive(_speed(motion.pan, self.pan_speeds), _speed(motion.tilt, self.tilt_speeds)),
            visca.zoom(_speed(motion.zoom, (1, visca.ZOOM_SPEED_MAX + 1))),
        ]
        if motion.focus:
            bodies.append(visca.FOCUS_MANUAL)  # else the camera focuses back at once
        bodies.append(visca.focus(motion.focus * (visca.FOCUS_SPEED_MAX + 1) // 2))
        if motion.iris:
            bodies.append(visca.iris(motion.iris))
        return b"".join(visca.command(self.address, body) for body in bodies)

    def preset(self, do: Literal["call", "set", "clear"], number: int) -> bytes:
        """Return the packet that goes to, stores or clears a preset."""
        wire = number - 1 + self.preset_base
        return visca.command(self.address, visca.preset(do, wire))

    def auxiliary(self, aux: Aux) -> Auxiliary | None:  # noqa: ARG002, D102 - see Dialect
        return None

    def point(self, to: Position | Glide) -> tuple[bytes, ...]:  # noqa: ARG002, D102 - see Dialect
        return ()  # the units of pan and tilt are those of each model

    @property
    def functions(self) -> tuple[HeadFunction, ...]:  # noqa: D102 - see Dialect
        return tuple(act.said for act in self.acts)

    def perform(self, function: str) -> Deed | None:  # noqa: D102 - see Dialect
        for act in self.acts:
            if act.said.name == function:
                return Deed(visca.command(self.address, act.body()), moves=act.do in _MOVING)
        return None

    def end(self) -> Deed | None:  # noqa: D102 - see Dialect
        deed = self.perform(self.ends) if self.ends else None
        return deed and Deed(deed.data, moves=False)


def _speed(value: float, speeds: tuple[int, int]) -> int:
    slowest, fastest = speeds
    speed = min(max(round(abs(value) * fastest), slowest), fastest) if value else 0
    return speed if value > 0 else -speed
