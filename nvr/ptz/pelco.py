"""Pelco-D and -P heads: the speeds of `Motion` become frames for the bus."""

from dataclasses import dataclass
from typing import Literal

from nvr.ptz.position import Asked
from nvr.ptz.schedule import Auxiliary, Motion
from nvr.wire import pelco_d, pelco_p
from nvr.wire.pelco_d import Frame, Op

BITS_PER_BYTE = 10  # 8N1

RESERVED = frozenset((*range(33, 46), *range(65, 109), 130, 131, 132, 200))
"""Preset numbers to which makers gave another meaning: flip, menus, scans, limits, and 94, which
reboots a Hikvision dome. The union over the makers we know; refused as plain presets."""

_PRESET_OPS = {"call": Op.CALL_PRESET, "set": Op.SET_PRESET, "clear": Op.CLEAR_PRESET}


@dataclass(frozen=True, slots=True)
class Aux:
    """An auxiliary output of a head.

    Attributes:
        number: 1-8; what hangs on it differs from dome to dome, 1 is mostly the wiper.
        max_on_s: Longest time on.
    """

    number: int
    max_on_s: float


@dataclass(frozen=True, slots=True)
class Pelco:
    """One head's dialect.

    Attributes:
        protocol: ``pelco-d`` or ``pelco-p``.
        address: Number on its switch, 1-254.
        turbo: Pan value for full deflection; makers disagree, so none unless its manual says.
        dialect: Options of Pelco-P.
        reserved: Preset numbers that are no presets.
        reports: It may be asked where it points; needs the line's return pair.
        tilt_reply: See `Asked`.
    """

    protocol: Literal["pelco-d", "pelco-p"] = "pelco-d"
    address: int = 1
    turbo: Literal[0, 0x40, 0xFF] = 0
    dialect: pelco_p.Dialect = pelco_p.PELCO
    reserved: frozenset[int] = RESERVED
    reports: bool = False
    tilt_reply: Literal["falls", "rises"] = "falls"

    @property
    def asked(self) -> Asked | None:
        """How it is asked for its position, None if it is not: Pelco-P has no queries."""
        if not self.reports or self.protocol != "pelco-d":
            return None
        return Asked(self.address, self.tilt_reply)

    def encode(self, motion: Motion) -> bytes:
        """Return the frame that sets all axes at once."""
        pan = _speed(motion.pan)
        if self.turbo and abs(pan) == pelco_d.SPEED_MAX:
            pan = self.turbo if pan > 0 else -self.turbo
        return self._bytes(
            pelco_d.motion(
                self.address,
                pan=pan,
                tilt=_speed(motion.tilt),
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

    def _bytes(self, frame: Frame) -> bytes:
        if self.protocol == "pelco-p":
            return pelco_p.encode(frame, self.dialect)
        return frame.encode()


def frame_s(baud: int) -> float:
    """Seconds that the longer of both frames takes on the wire."""
    return pelco_p.SIZE * BITS_PER_BYTE / baud


def _speed(value: float) -> int:
    """Map -1..1 to -63..63. A speed too small to show still turns slowly, unless it is zero."""
    speed = round(abs(value) * pelco_d.SPEED_MAX)
    if value and not speed:
        speed = 1
    return speed if value > 0 else -speed


def _sign(value: float) -> int:
    return (value > 0) - (value < 0)
