"""The PTZ service: speeds, stops and presets of whatever head is behind; see `ptz_place` too.

A host's motion lasts as long as it says, 5 s if it says nothing, and then ends by a command of ours
in its name: to the arbiter that is letting go, as a lapsed lease would not be, and the next motion
is not refused. The lease behind it is a little longer, and ends the motion should we be gone.

Source: ONVIF PTZ Service Specification 23.06, sections 5.3 and 5.4; ptz.wsdl of 2023.
"""

import asyncio
import contextlib
import re
from dataclasses import dataclass

from nvr.base.errors import NvrError, Rejected
from nvr.media.owner import Operator
from nvr.media.ports import Position
from nvr.serve.onvif.channel import Channels, Profile
from nvr.serve.onvif.parts import Call, Operation, Parts, Service
from nvr.serve.onvif.ptz_place import Places
from nvr.serve.onvif.ptz_words import (
    LONGEST_S,
    MOST_PRESETS,
    PAN_TILT_PLACE,
    PAN_TILT_SPEED,
    SHORTEST_S,
    TIMEOUT_S,
    ZOOM_PLACE,
    ZOOM_SPEED,
    configuration,
    options,
    spaces,
)
from nvr.wire.soap import Fault, child, duration_s, instant, leaf, tag

_MARGIN_S = 0.5
"""The lease outlives the time that was asked for by so much."""
_AUX = {
    "tt:Wiper|On": ("wiper", True), "tt:Wiper|Off": ("wiper", False),
    "tt:Washer|On": ("washer", True), "tt:Washer|Off": ("washer", False),
    "tt:IRLamp|On": ("lamp", True), "tt:IRLamp|Off": ("lamp", False),
}  # fmt: skip


@dataclass(slots=True)
class _Motion:
    """What a host has a head do, and what will end it."""

    speeds: tuple[float, float, float]
    ends: asyncio.TimerHandle


class PtzService:
    """Handlers of this service."""

    def __init__(self, parts: Parts, channels: Channels) -> None:
        self._parts, self._channels = parts, channels
        self._motions: dict[tuple[str, Operator], _Motion] = {}
        self._places = Places(
            parts, self._steered, lambda call, camera: self._forget(camera, call.operator)
        )

    def service(self) -> Service:
        """What there is of it."""
        gets = {
            "GetServiceCapabilities": self.capabilities,
            "GetNodes": self.nodes,
            "GetNode": self.node,
            "GetConfigurations": self.configurations,
            "GetConfiguration": self.configuration,
            "GetConfigurationOptions": self.configuration_options,
            "GetCompatibleConfigurations": self.compatible,
        }
        does = {
            "GetStatus": self.status,
            "ContinuousMove": self.move,
            "Stop": self.stop,
            "GetPresets": self.presets,
            "SetPreset": self.set_preset,
            "GotoPreset": self.goto_preset,
            "RemovePreset": self.remove_preset,
            "SendAuxiliaryCommand": self.auxiliary,
        }
        about = self._steered
        return Service(
            "ptz", "tptz", "ptz_service", (2, 60),
            {name: Operation(do) for name, do in gets.items()}
            | {name: Operation(do, about) for name, do in does.items()}
            | self._places.operations(),
            self.capabilities,
        )  # fmt: skip

    def close(self, name: str | None = None) -> None:
        """End every motion that was begun here, or those of one credential."""
        for camera, who in list(self._motions):
            if name in {None, who.name}:
                self._end(camera, who)

    def capabilities(self, call: Call) -> str:  # noqa: ARG002 - a handler's shape
        """``GetServiceCapabilities``."""
        return tag("tptz:Capabilities", EFlip=False, Reverse=False, MoveStatus=True,
                   StatusPosition=True)  # fmt: skip

    def nodes(self, call: Call) -> str:
        """``GetNodes``."""
        return "".join(self._node("tptz:PTZNode", one) for one in self._heads(call))

    def node(self, call: Call) -> str:
        """``GetNode``."""
        return self._node("tptz:PTZNode", self._named(call, "NodeToken", "ter:NoEntity"))

    def configurations(self, call: Call) -> str:
        """``GetConfigurations``."""
        return "".join(configuration("tptz:PTZConfiguration", one) for one in self._heads(call))

    def configuration(self, call: Call) -> str:
        """``GetConfiguration``."""
        one = self._named(call, "PTZConfigurationToken", "ter:NoConfig")
        return configuration("tptz:PTZConfiguration", one)

    def configuration_options(self, call: Call) -> str:
        """``GetConfigurationOptions``."""
        one = self._named(call, "ConfigurationToken", "ter:NoConfig")
        return options("tptz:PTZConfigurationOptions", one)

    def compatible(self, call: Call) -> str:
        """``GetCompatibleConfigurations``."""
        one = self._channels.profile(call)
        return configuration("tptz:PTZConfiguration", one) if one.steered else ""

    def status(self, call: Call) -> str:
        """``GetStatus``."""
        now = self._parts.ptz.status(self._steered(call))
        word = "MOVING" if now.moving else "IDLE"
        return tag(
            "tptz:PTZStatus", _place("tt:Position", now.position),
            tag("tt:MoveStatus", leaf("tt:PanTilt", word), leaf("tt:Zoom", word)),
            leaf("tt:UtcTime", instant(self._parts.clock.wall_us())),
        )  # fmt: skip

    def move(self, call: Call) -> str:
        """``ContinuousMove``: what is left out goes on as it does, zero stops it."""
        camera, who = self._steered(call), call.operator
        lasts_s = TIMEOUT_S
        if said := call.said("Timeout"):
            found = duration_s(said)
            if found is None or not SHORTEST_S <= found <= LONGEST_S:
                raise Fault(
                    f"a motion lasts {SHORTEST_S:g} to {LONGEST_S:g} s", "ter:InvalidArgVal",
                    "ter:TimeoutNotSupported",
                )  # fmt: skip
            lasts_s = found
        known = self._motions.get((camera, who))
        pan, tilt, zoom = known.speeds if known else (0.0, 0.0, 0.0)
        velocity = child(call.body, "Velocity")
        for one in velocity.children if velocity else ():
            if one.name == "PanTilt":
                _of_space(one.attributes, PAN_TILT_SPEED)
                pan, tilt = _speed(one.attributes, "x"), _speed(one.attributes, "y")
            elif one.name == "Zoom":
                _of_space(one.attributes, ZOOM_SPEED)
                zoom = _speed(one.attributes, "x")
        self._parts.ptz.move(camera, who, pan, tilt, zoom, lasts_s + _MARGIN_S)
        self._forget(camera, who)
        if (pan, tilt, zoom) != (0.0, 0.0, 0.0):
            ends = asyncio.get_running_loop().call_later(lasts_s, self._end, camera, who)
            self._motions[camera, who] = _Motion((pan, tilt, zoom), ends)
        return ""

    def stop(self, call: Call) -> str:
        """``Stop``: all axes, or some of one's own motion. Nobody is refused."""
        camera, who = self._steered(call), call.operator
        known = self._motions.get((camera, who))
        pan_tilt = call.said("PanTilt").lower() not in {"false", "0"}
        zoom = call.said("Zoom").lower() not in {"false", "0"}
        if known is not None and not (pan_tilt and zoom):
            pan, tilt, zooming = known.speeds
            left = (0.0, 0.0, zooming) if pan_tilt else (pan, tilt, 0.0)
            if (pan_tilt or zoom) and left != (0.0, 0.0, 0.0):
                lasts_s = known.ends.when() - asyncio.get_running_loop().time() + _MARGIN_S
                self._parts.ptz.move(camera, who, *left, max(SHORTEST_S, lasts_s))
                known.speeds = left
            if not (pan_tilt or zoom) or left != (0.0, 0.0, 0.0):
                return ""
        self._end(camera, who)
        self._parts.ptz.stop(camera, who)
        return ""

    def presets(self, call: Call) -> str:
        """``GetPresets``."""
        return "".join(
            tag("tptz:Preset", leaf("tt:Name", one.name or str(one.number)), token=one.number)
            for one in self._parts.ptz.status(self._steered(call)).presets
        )

    def set_preset(self, call: Call) -> str:
        """``SetPreset``: under the next number that the head has free, if none is named."""
        camera, who = self._steered(call), call.operator
        name, token = call.said("PresetName")[:32], call.said("PresetToken")
        if token:
            known = {one.number: one.name for one in self._parts.ptz.status(camera).presets}
            number = _number(token)
            self._parts.ptz.preset(camera, who, "set", number, name or known.get(number, ""))
            return leaf("tptz:PresetToken", token)
        taken = {one.number for one in self._parts.ptz.status(camera).presets}
        for number in range(1, MOST_PRESETS + 1):
            if number in taken:
                continue
            try:
                self._parts.ptz.preset(camera, who, "set", number, name)
            except Rejected as err:
                if err.code == "ptz.reserved":
                    continue
                if err.code == "ptz.range":
                    break
                raise
            return leaf("tptz:PresetToken", number)
        raise Fault("all presets are taken", "ter:Action", "ter:TooManyPresets", receiver=True)

    def goto_preset(self, call: Call) -> str:
        """``GotoPreset``."""
        camera, who = self._steered(call), call.operator
        self._parts.ptz.preset(camera, who, "call", _number(call.said("PresetToken")))
        self._forget(camera, who)
        return ""

    def remove_preset(self, call: Call) -> str:
        """``RemovePreset``."""
        number = _number(call.said("PresetToken"))
        self._parts.ptz.preset(self._steered(call), call.operator, "clear", number)
        return ""

    def auxiliary(self, call: Call) -> str:
        """``SendAuxiliaryCommand``."""
        camera, said = self._steered(call), call.said("AuxiliaryData")
        name, on = _AUX.get(said, ("", False))
        if name not in dict(self._parts.ptz.status(camera).outputs):
            raise Fault("this head has nothing of that name", "ter:InvalidArgVal")
        self._parts.ptz.output(camera, call.operator, name, on)
        return leaf("tptz:AuxiliaryResponse", said)

    def _end(self, camera: str, who: Operator) -> None:
        """End a motion of a host in its own name: that is letting go."""
        if self._forget(camera, who):
            with contextlib.suppress(NvrError):  # the head, or its camera, is gone
                self._parts.ptz.move(camera, who, 0.0, 0.0, 0.0)

    def _forget(self, camera: str, who: Operator) -> bool:
        known = self._motions.pop((camera, who), None)
        if known is not None:
            known.ends.cancel()
        return known is not None

    def _steered(self, call: Call) -> str:
        """Return the camera that a request names by its profile. See `Operation`."""
        one = self._channels.profile(call)
        if not one.steered:
            raise Fault("this profile has no head", "ter:InvalidArgVal", "ter:NoPTZProfile")
        return one.camera.name

    def _heads(self, call: Call) -> list[Profile]:
        shown = self._channels.profiles(call.subject)
        return [one for one in shown if one.which == "main" and one.steered]

    def _named(self, call: Call, argument: str, code: str) -> Profile:
        wanted = call.said(argument)
        found = next((one for one in self._heads(call) if one.camera.name == wanted), None)
        if found is None:
            raise Fault("there is no such head", "ter:InvalidArgVal", code)
        return found

    def _node(self, name: str, one: Profile) -> str:
        camera = one.camera
        has = dict(self._parts.ptz.status(camera.name).outputs)
        words = [word for word, (output, _) in _AUX.items() if output in has]
        return tag(
            name, leaf("tt:Name", camera.title or camera.name),
            spaces("tt:SupportedPTZSpaces", points=one.points),
            leaf("tt:MaximumNumberOfPresets", MOST_PRESETS),
            leaf("tt:HomeSupported", self._places.has_home(camera.name)),
            *(leaf("tt:AuxiliaryCommands", word) for word in words),
            token=camera.name, FixedHomePosition=True,
        )  # fmt: skip


def _of_space(attributes: dict[str, str], expected: str) -> None:
    if attributes.get("space", expected) != expected:
        raise Fault("speeds are generic", "ter:InvalidArgVal", "ter:SpaceNotSupported")


def _speed(attributes: dict[str, str], axis: str) -> float:
    try:
        found = float(attributes.get(axis, ""))
    except ValueError:
        found = float("nan")
    if not -1.0 <= found <= 1.0:
        raise Fault("a speed is from -1 to 1", "ter:InvalidArgVal", "ter:InvalidVelocity")
    return found


def _number(token: str) -> int:
    if not re.fullmatch(r"[0-9]{1,3}", token) or not 1 <= int(token) <= MOST_PRESETS:
        raise Fault("there is no such preset", "ter:InvalidArgVal", "ter:NoToken")
    return int(token)


def _place(name: str, position: Position | None) -> str:
    if position is None:
        return ""
    pan = ((position.pan_deg + 180.0) % 360.0 - 180.0) / 180.0
    tilt = max(-1.0, min(1.0, position.tilt_deg / 90.0))
    return tag(
        name,
        tag("tt:PanTilt", x=f"{pan:.4f}", y=f"{tilt:.4f}", space=PAN_TILT_PLACE),
        tag("tt:Zoom", x=f"{position.zoom:.4f}", space=ZOOM_PLACE),
    )  # fmt: skip
