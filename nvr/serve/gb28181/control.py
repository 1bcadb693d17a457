"""What a platform commands: heads, recording, duty, alarms.

A command for which the standard has a response gets one, ``OK`` or ``ERROR``. The others
(``PTZCmd``, ``IFameCmd``, ...) are answered by SIP alone: 200 if they were done, else why not.

An I-frame is not asked of the camera, which has no common way to be asked: the command is granted,
and the next one comes when the camera makes it. Who begins to watch does not wait for one: the
group of pictures that is under way is sent from its key frame on.

Source: GB/T 28181-2022, section 9.3 and annex A.2.3 and A.3.
"""

import asyncio
import contextlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Final

from nvr.auth.policy import authorise
from nvr.base.errors import NvrError
from nvr.media.aim import Area
from nvr.media.ports import Position
from nvr.media.program import DWELL_S, IDLE_S, MOST_STEPS, Guard, Program, Step, Tour
from nvr.serve.gb28181.motion import Motions
from nvr.serve.gb28181.parts import Bodies, Call, Operation, Parts, Refusal
from nvr.serve.gb28181.roster import Roster
from nvr.wire import gb_ptz
from nvr.wire.gb_ptz import Aux, Cruise, Lens, Move, Preset, Scan
from nvr.wire.manscdp import build, child, said
from nvr.wire.soap import leaf
from nvr.wire.xml import Element

ANSWERED: Final = frozenset(("RecordCmd", "GuardCmd", "AlarmCmd", "HomePosition", "DeviceUpgrade"))
"""Commands that have a response; with ``DeviceConfig``, which has a ``CmdType`` of its own."""
SPELLINGS: Final = {"IFrameCmd": "IFameCmd"}
"""Of two editions."""
RECORD_S: Final = 24 * 3600.0
"""``Record`` is kept up for so long, unless it is commanded again or ended."""
_RENEWED_S: Final = 30.0
_WIPER: Final = {1: "wiper"}


@dataclass(frozen=True, slots=True)
class _Command:
    """What answers one child of ``DeviceControl``.

    Attributes:
        do: Does it, given the camera (empty for the box) and the element.
        camera: It is about a camera.
    """

    do: Callable[[Call, str, Element], None]
    camera: bool = True


class Controls:
    """Handlers of ``Control``.

    Args:
        parts: What we are built from.
        roster: What the platform may know.
        duty: Sets whether alarms of a device of ours are told to it.
        reset: Told when it has seen the alarms of a device.
    """

    def __init__(
        self,
        parts: Parts,
        roster: Roster,
        duty: Callable[[str, bool], None],
        reset: Callable[[str], None],
    ) -> None:
        self._parts, self._roster = parts, roster
        self._duty, self._reset = duty, reset
        self._motions = Motions(parts.ptz)
        self._recorded: dict[str, asyncio.TimerHandle] = {}
        self._aux: Mapping[int, str] = _WIPER | dict(roster.settings.aux)
        self._commands: Mapping[str, _Command] = {
            "PTZCmd": _Command(self._ptz),
            "DragZoomIn": _Command(self._drag),
            "DragZoomOut": _Command(self._drag),
            "PTZPreciseCtrl": _Command(self._precise),
            "HomePosition": _Command(self._home),
            "IFameCmd": _Command(lambda *_: None),
            "RecordCmd": _Command(self._record),
            "GuardCmd": _Command(self._guard, camera=False),
            "AlarmCmd": _Command(self._alarm, camera=False),
            "TeleBoot": _Command(_refused, camera=False),
            "DeviceUpgrade": _Command(_refused, camera=False),
            "FormatSDCard": _Command(_refused, camera=False),
            "TargetTrack": _Command(_refused),
        }

    def keys(self) -> list[str]:
        """Keys of the policy for all that is done here beside the operations themselves."""
        return [*(f"gb {name}" for name in self._commands), "gb PTZCmd stop", "gb PTZCmd aux"]

    def operations(self) -> dict[str, Operation]:
        """By their commands."""
        return {"DeviceControl": Operation(self.control)}

    def close(self) -> None:
        """End every motion and recording."""
        self._motions.close()
        for camera in list(self._recorded):
            self._stop_recording(camera)

    def control(self, call: Call) -> Bodies:
        """``DeviceControl``: the first child that is a command counts."""
        for element in call.body.root.children:
            name = SPELLINGS.get(element.name, element.name)
            if name not in self._commands:
                continue
            self._do(call, name, element)
            return [self._answer(call, "OK")] if name in ANSWERED else ()
        raise Refusal(501, "this device does not know the command")

    def _do(self, call: Call, name: str, element: Element) -> None:
        command = self._commands[name]
        camera = self._roster.camera(call.body.device) or ""
        if command.camera and not camera:
            raise Refusal(404, "that is no camera")
        if name != "PTZCmd":  # which has several
            authorise(call.subject, f"gb {name}", camera or None)
        command.do(call, camera, element)

    def _ptz(self, call: Call, camera: str, element: Element) -> None:
        """``PTZCmd``."""
        try:
            command = gb_ptz.parse(element.text)
        except gb_ptz.Malformed as err:
            raise Refusal(400, str(err)) from err
        stops = command in {Move(), Lens()}
        key = "gb PTZCmd stop" if stops else "gb PTZCmd"
        authorise(call.subject, "gb PTZCmd aux" if isinstance(command, Aux) else key, camera)
        ptz, who = self._parts.ptz, call.operator
        match command:
            case Move():
                self._move(call, camera, command)
            case Lens():
                self._motions.lens(camera, who, command.focus, command.iris)
            case Preset():
                name = said(child(call.body.root, "PTZCmdParams") or element, "PresetName")[:32]
                if command.do == "set" and not name:
                    known = {one.number: one.name for one in ptz.status(camera).presets}
                    name = known.get(command.number, "")
                self._motions.end(camera)
                ptz.preset(camera, who, command.do, command.number, name)
            case Cruise():
                self._cruise(call, camera, command)
            case Scan():
                self._scan(call, camera, command)
            case Aux():
                output = self._aux.get(command.number, "")
                if output not in dict(ptz.status(camera).outputs):
                    raise Refusal(404, "this head has no such switch")
                ptz.output(camera, who, output, command.on)

    def _move(self, call: Call, camera: str, wanted: Move) -> None:
        who = call.operator
        if wanted != Move():
            self._motions.move(camera, who, wanted.pan, wanted.tilt, wanted.zoom)
            return
        auto = self._parts.ptz.status(camera).auto
        self._motions.end(camera)
        self._parts.ptz.stop(camera, who)
        if auto is not None and auto.what:
            self._parts.programs.end(camera, who.name)

    def _cruise(self, call: Call, camera: str, wanted: Cruise) -> None:
        """Tours: the one called ``GB 3`` is that of group 3, else the third one is.

        A platform changes only those that it made itself.
        """
        programs, own = self._parts.programs, f"GB {wanted.group}"
        now = programs.program(camera)
        tours = {one.name: one for one in now.tours}
        if wanted.do == "start":
            found = own if own in tours else _nth([*tours], wanted.group)
            programs.start(camera, f"tour {found}", call.operator.name)
            return
        steps = tours[own].steps if own in tours else ()
        if wanted.do == "add":
            if len(steps) >= MOST_STEPS:
                raise Refusal(486, "the tour is full")
            steps = (*steps, Step(wanted.value))
        elif wanted.do == "remove":
            kept = () if wanted.value == 0 else steps
            steps = tuple(one for one in kept if one.preset != wanted.value)
        elif wanted.do == "dwell":
            dwell_s = min(max(float(wanted.value), DWELL_S[0]), DWELL_S[1])
            steps = tuple(replace(one, dwell_s=dwell_s) for one in steps)
        else:
            raise Refusal(501, "speeds of tours are the head's own")
        others = tuple(one for one in now.tours if one.name != own)
        programs.write(camera, replace(now, tours=(*others, Tour(own, steps)) if steps else others))

    def _scan(self, call: Call, camera: str, wanted: Scan) -> None:
        if wanted.do != "start":
            raise Refusal(501, "limits of scans are set on the page of the box")
        names = [one.name for one in self._parts.programs.program(camera).scans]
        own = f"GB {wanted.group}"
        found = own if own in names else _nth(names, wanted.group)
        self._parts.programs.start(camera, f"scan {found}", call.operator.name)

    def _drag(self, call: Call, camera: str, element: Element) -> None:
        """``DragZoomIn`` fills the picture with an area; ``Out`` brings it to the middle."""
        numbers = [
            _number(element, name)
            for name in ("Length", "Width", "MidPointX", "MidPointY", "LengthX", "LengthY")
        ]
        length, width, x, y, across, down = numbers
        if length < 1 or width < 1:
            raise Refusal(400, "a window has a size")
        grows = element.name == "DragZoomIn"
        area = Area(
            x / length,
            y / width,
            min(across / length, 1.0) if grows else 0.0,
            min(down / width, 1.0) if grows else 0.0,
            length / width,
        )
        self._motions.end(camera)
        self._parts.aims.aim(camera, call.operator, area)

    def _precise(self, call: Call, camera: str, element: Element) -> None:
        """``PTZPreciseCtrl``: angles, and ``Zoom`` as `Queries.position` says it.

        That is a factor in the standard, which no head says of itself: 1 is wide and 2, or more,
        all the way in.
        """
        now = self._parts.ptz.status(camera).position
        if now is None:
            raise Refusal(501, "this head does not say where it points")
        pan, tilt = _number(element, "Pan", -360.0), _number(element, "Tilt", -90.0)
        if not (0 <= pan <= 360 and -30 <= tilt <= 90):
            raise Refusal(400, "Pan is from 0 to 360, Tilt from -30 to 90")
        zoom = min(_number(element, "Zoom", 1.0) - 1, 1.0) if said(element, "Zoom") else now.zoom
        self._motions.end(camera)
        self._parts.point(camera, call.operator, Position(pan % 360, -tilt, zoom))

    def _home(self, call: Call, camera: str, element: Element) -> None:  # noqa: ARG002 - a handler's shape
        programs = self._parts.programs
        if said(element, "Enabled") != "1":
            programs.guard(camera, on=False)
            return
        preset = int(_number(element, "PresetIndex"))
        known = {one.number for one in self._parts.ptz.status(camera).presets}
        if preset not in known:
            raise Refusal(404, "there is no such preset")
        idle_s = _number(element, "ResetTime") if said(element, "ResetTime") else 120.0
        idle_s = min(max(idle_s, IDLE_S[0]), IDLE_S[1])
        now: Program = programs.program(camera)
        programs.write(camera, replace(now, guard=Guard(preset, idle_s, on=True)))

    def _record(self, call: Call, camera: str, element: Element) -> None:  # noqa: ARG002 - a handler's shape
        """``Record`` is an event of the camera's plan, until ``StopRecord`` or for `RECORD_S`."""
        if element.text not in {"Record", "StopRecord"}:
            raise Refusal(400, "RecordCmd is Record or StopRecord")
        self._stop_recording(camera)
        if element.text == "Record":
            self._parts.cameras.event(camera, 2 * _RENEWED_S)
            self._renew(camera, round(RECORD_S / _RENEWED_S))

    def _renew(self, camera: str, left: int) -> None:
        """Have the event go on: one that was begun for long could not be ended."""
        self._recorded.pop(camera, None)
        with contextlib.suppress(NvrError):  # it is gone, or its plan says never
            self._parts.cameras.event(camera, 2 * _RENEWED_S)
            if left > 0:
                self._recorded[camera] = asyncio.get_running_loop().call_later(
                    _RENEWED_S, self._renew, camera, left - 1
                )

    def _stop_recording(self, camera: str) -> None:
        timer = self._recorded.pop(camera, None)
        if timer is not None:
            timer.cancel()

    def _guard(self, call: Call, camera: str, element: Element) -> None:  # noqa: ARG002 - a handler's shape
        if element.text not in {"SetGuard", "ResetGuard"}:
            raise Refusal(400, "GuardCmd is SetGuard or ResetGuard")
        self._duty(call.body.device, element.text == "SetGuard")

    def _alarm(self, call: Call, camera: str, element: Element) -> None:  # noqa: ARG002 - a handler's shape
        if element.text != "ResetAlarm":
            raise Refusal(400, "AlarmCmd is ResetAlarm")
        self._reset(call.body.device)

    def _answer(self, call: Call, result: str) -> bytes:
        body = call.body
        return build(
            "Response", body.command, body.number, body.device, leaf("Result", result),
            edition=call.edition,
        )  # fmt: skip


def _refused(*_: object) -> None:
    """Never done: the policy has no kind of account that may."""
    raise Refusal(403, "this is not done for a platform")


def _nth(names: list[str], number: int) -> str:
    if not 1 <= max(number, 1) <= len(names):
        raise Refusal(404, "the head has nothing of that number")
    return names[max(number, 1) - 1]


def _number(element: Element, name: str, least: float = 0.0) -> float:
    try:
        found = float(said(element, name))
    except ValueError as err:
        raise Refusal(400, f"{name} is no number") from err
    if not least <= found <= 1e6:
        raise Refusal(400, f"{name} is out of range")
    return found
