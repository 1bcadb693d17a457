"""Alarms for one platform: what happens at its cameras and inputs, in the standard's numbers.

An alarm is told once when it begins. One of a device (method 2: an input, tampering, a lost signal)
is not told again before the platform says ``ResetAlarm``. What could not be told waits, at most
`MOST` of them; the oldest go first. Of a device that is off duty nothing is told.

Source: GB/T 28181-2022, section 9.4 and annexes A.2.5 and A.2.3 (AlarmCmd, GuardCmd).
"""

import asyncio
from collections import deque
from dataclasses import dataclass

from nvr.media.camera import CameraState
from nvr.media.happening import is_object
from nvr.serve.gb28181.parts import Parts
from nvr.serve.gb28181.roster import Roster
from nvr.wire.manscdp import local_time
from nvr.wire.soap import leaf, tag

MOST = 200
SAMPLES_A_S = 2
"""How often inputs are looked at, and the box itself."""
_DEVICE, _VIDEO, _FAULT = 2, 5, 6
_KINDS = {
    "signal": (_DEVICE, 1), "moved": (_DEVICE, 2), "tamper": (_DEVICE, 2),
    "motion": (_VIDEO, 2), "line": (_VIDEO, 5), "covered": (_VIDEO, 13),
    "dark": (_VIDEO, 11), "bright": (_VIDEO, 11), "defocused": (_VIDEO, 11),
    "frozen": (_VIDEO, 11),
}  # fmt: skip
_INTRUSION = (_VIDEO, 6)
_AREA = {_INTRUSION, _KINDS["line"]}
_DISK = (_FAULT, 1)
_PRIORITY = {_DEVICE: 1, _FAULT: 2, _VIDEO: 3}


@dataclass(frozen=True, slots=True)
class Alarm:
    """One.

    Attributes:
        device: ID of where.
        method: 2 device, 5 video, 6 fault.
        type: As the standard numbers it for that method, 0 for none.
        at_us: UTC microseconds.
        what: For people.
    """

    device: str
    method: int
    type: int
    at_us: int
    what: str

    def inner(self) -> str:
        """What stands in the body after the ``DeviceID``."""
        info = tag("Info", leaf("AlarmType", self.type)) if self.type else ""
        return "".join(
            (
                leaf("AlarmPriority", _PRIORITY[self.method]),
                leaf("AlarmMethod", self.method),
                leaf("AlarmTime", local_time(self.at_us)),
                leaf("AlarmDescription", self.what),
                info,
            )
        )


class Alarms:
    """What one platform is to be told, and was; it outlives registrations."""

    def __init__(self, parts: Parts, roster: Roster) -> None:
        self._parts, self._roster = parts, roster
        self.waiting: deque[Alarm] = deque(maxlen=MOST)
        self.came = asyncio.Event()
        self._off_duty: set[str] = set()
        self._not_reported: set[tuple[str, str]] = set()
        self._held: set[tuple[str, int]] = set()
        self._going_on: dict[str, frozenset[tuple[str, str]]] = {}
        self._active: set[str] = set()
        self._faulty = False

    def on_duty(self, device: str) -> bool:
        """Whether alarms of a device are told."""
        return not self._off_duty & {device, self._roster.settings.device}

    def duty(self, device: str, on: bool) -> None:
        """Set that; of the whole box by its own ID."""
        if on and device == self._roster.settings.device:
            self._off_duty.clear()
        elif on:
            self._off_duty.discard(device)
        else:
            self._off_duty.add(device)

    def reports(self, device: str, what: str) -> bool:
        """Whether ``motion`` at a camera, or who enters or crosses there (``area``), is told."""
        return (device, what) not in self._not_reported

    def report(self, device: str, what: str, on: bool) -> None:
        """Set that."""
        (self._not_reported.discard if on else self._not_reported.add)((device, what))

    def reset(self, device: str) -> None:
        """The platform has seen the alarms of a device, or of the whole box."""
        every = device == self._roster.settings.device
        self._held = {one for one in self._held if not every and one[0] != device}

    async def run(self) -> None:
        """Watch, until cancelled."""
        ends = self._parts.cameras.subscribe(self._camera)
        try:
            for state in self._parts.cameras.all():  # what goes on already is not told
                self._going_on[state.name] = _kinds(state)
            self._look(tell=False)
            while True:
                await self._parts.clock.sleep(1.0 / SAMPLES_A_S)
                self._look(tell=True)
        finally:
            ends()

    def _camera(self, state: CameraState) -> None:
        device = self._roster.camera_id(state.name)
        if device is None or "live" not in self._roster.subject.may(state.name):
            return
        now = _kinds(state)
        new = now - self._going_on.get(state.name, frozenset())
        self._going_on[state.name] = now
        for kind, zone in sorted(new):
            numbers = _INTRUSION if is_object(kind) else _KINDS.get(kind)
            what = "area" if numbers in _AREA else kind
            if numbers is not None and self.reports(device, what):
                self._tell(device, numbers, f"{kind} {zone}".strip())

    def _look(self, *, tell: bool) -> None:
        now = {one.name for one in self._parts.lines.inputs() if one.state not in {None, "normal"}}
        for name in sorted(now - self._active):
            device = self._roster.input_id(name)
            if device is not None and tell:
                self._tell(device, (_DEVICE, 0), f"input {name}")
        self._active = now
        fault = self._parts.box.fault()
        if fault is not None and not self._faulty and tell:
            self._tell(self._roster.settings.device, _DISK, fault.code)
        self._faulty = fault is not None

    def _tell(self, device: str, numbers: tuple[int, int], what: str) -> None:
        method, number = numbers
        if not self.on_duty(device) or (device, number) in self._held:
            return
        if method == _DEVICE:
            self._held.add((device, number))
        self.waiting.append(Alarm(device, method, number, self._parts.clock.wall_us(), what))
        self.came.set()


def _kinds(state: CameraState) -> frozenset[tuple[str, str]]:
    return frozenset((one.kind, one.zone) for one in state.happening if one.to_us is None)
