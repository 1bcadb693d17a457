"""What a platform asks: catalogue, state, disks, recordings, positions.

Each answer is one or more messages with the number of the question. What is not known, and what we
do not do, is answered ``ERROR``: the standard has no other word for it.

Source: GB/T 28181-2022, sections 9.5 to 9.7 and annex A.2.4 and A.2.6.
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from typing import Final

from nvr.auth.policy import authorise
from nvr.playback.query import Recorded
from nvr.serve.gb28181.parts import MANUFACTURER, Bodies, Call, Operation, Parts, Refusal
from nvr.serve.gb28181.roster import Roster, pages
from nvr.wire.manscdp import build, list_of, local_time, time_us
from nvr.wire.soap import leaf, tag

MOST_RECORDS: Final = 10_000
"""In one answer; who wants more asks for a shorter time."""


class Queries:
    """Handlers of ``Query``.

    Args:
        parts: What we are built from.
        roster: What the platform may know.
        on_duty: Whether alarms of a device of ours are told to it.
    """

    def __init__(self, parts: Parts, roster: Roster, on_duty: Callable[[str], bool]) -> None:
        self._parts, self._roster, self._on_duty = parts, roster, on_duty

    def operations(self) -> dict[str, Operation]:
        """By their commands."""
        gets: dict[str, Callable[[Call], Bodies | Awaitable[Bodies]]] = {
            "Catalog": self.catalog,
            "DeviceInfo": self.device_info,
            "DeviceStatus": self.device_status,
            "SDCardStatus": self.disks,
        }
        of_camera: dict[str, Callable[[Call], Bodies | Awaitable[Bodies]]] = {
            "RecordInfo": self.records,
            "PresetQuery": self.presets,
            "HomePositionQuery": self.home,
            "CruiseTrackListQuery": self.tours,
            "CruiseTrackQuery": self.tour,
            "PTZPosition": self.position,
        }
        return {name: Operation(do) for name, do in gets.items()} | {
            name: Operation(do, "camera") for name, do in of_camera.items()
        }

    def catalog(self, call: Call) -> Bodies:
        """``Catalog``: everything, or the one that is named; always as it is now."""
        wanted, device = call.body.device, self._roster.settings.device
        found = self._roster.entries()
        # Of a civil code, a system or a group of the platform's own we know nothing: all of it.
        if wanted != device and self._roster.knows(wanted):
            found = self._roster.below(wanted) or [one for one in found if one.id == wanted]
        items = [self._roster.item(one, call.edition) for one in found]
        for page in pages(items, self._roster.settings.transport):
            yield self._answer(call, leaf("SumNum", len(items)), list_of("DeviceList", page))

    def device_info(self, call: Call) -> Bodies:
        """``DeviceInfo``."""
        camera = self._camera(call)
        title, channels = self._parts.box.name, len(self._roster.settings.channels)
        if camera is not None:
            state = self._parts.cameras.find(camera)
            title, channels = (state.title if state else "") or camera, 1
        elif below := self._roster.below(call.body.device):
            title, channels = below[0].title, len(below) - 1
        yield self._answer(
            call, leaf("DeviceName", title), leaf("Result", "OK"),
            leaf("Manufacturer", MANUFACTURER), leaf("Model", "nvr"),
            leaf("Firmware", self._parts.version), leaf("Channel", channels),
        )  # fmt: skip

    def device_status(self, call: Call) -> Bodies:
        """``DeviceStatus``."""
        camera, fault = self._camera(call), self._parts.box.fault()
        online, recorded = True, fault is None
        reason = "" if fault is None else fault.code
        if camera is not None:
            state = self._parts.cameras.find(camera)
            online = state is not None and state.state == "live"
            recorded = state is not None and state.recorded and state.not_recorded is None
            reason = state.code if state is not None else "camera.unknown"
        below = self._roster.below(call.body.device)
        if below:  # of its own disks and inputs we know nothing
            on = below[0].on
            online, recorded, reason = on, on, "" if on else "camera.lost"
        duty = [
            tag("Item", leaf("DeviceID", one.id), leaf("DutyStatus", self._duty(one.id, one.input)))
            for one in (self._roster.entries() if camera is None and not below else ())
            if one.input
        ]
        yield self._answer(
            call, leaf("Result", "OK"), leaf("Online", "ONLINE" if online else "OFFLINE"),
            leaf("Status", "ERROR" if reason else "OK"),
            leaf("Reason", reason) if reason else "",
            leaf("Encode", "ON" if online else "OFF"),
            leaf("Record", "ON" if recorded else "OFF"),
            leaf("DeviceTime", local_time(self._parts.clock.wall_us())),
            list_of("Alarmstatus", duty) if duty else "",
        )  # fmt: skip

    async def disks(self, call: Call) -> Bodies:
        """``SDCardStatus``: the disks that are recorded on; of cards in cameras we know nothing."""
        if call.body.device != self._roster.settings.device:
            raise Refusal(404, "that is no disk")
        found = await asyncio.to_thread(self._parts.disks)
        items = [
            tag(
                "Item", leaf("ID", number), leaf("HddName", one.name),
                leaf("Status", "ok" if one.well else "error"),
                leaf("Capacity", one.size_bytes // 1_000_000),
                leaf("FreeSpace", one.free_bytes // 1_000_000),
            )
            for number, one in enumerate(found, 1)
        ]  # fmt: skip
        return [
            self._answer(
                call, leaf("Result", "OK"), leaf("SumNum", len(items)),
                list_of("SDCardStatusInfo", items),
            )
        ]  # fmt: skip

    async def records(self, call: Call) -> Bodies:
        """``RecordInfo``: stretches without a hole; all are recorded by time."""
        camera = self._head(call)
        from_us, to_us = time_us(call.body.said("StartTime")), time_us(call.body.said("EndTime"))
        if from_us is None or to_us is None:
            raise Refusal(400, "StartTime and EndTime are times")
        authorise(call.subject, "gb RecordInfo", camera, (from_us, to_us))
        runs: list[Recorded] = []
        if (call.body.said("Type") or "all").lower() in {"all", "time"}:
            state = self._parts.cameras.find(camera)
            sub = call.body.said("StreamNumber") == "1" and state is not None and state.sub
            stream = sub.stream if sub else f"{camera}/main"
            found = await asyncio.to_thread(self._parts.archive.ranges, stream, from_us, to_us)
            runs = sorted(found.runs, key=lambda run: run.from_us)[:MOST_RECORDS]
        title = self._title(camera)
        # What goes out is whole seconds: a stretch is made no longer than it is.
        items = [
            tag(
                "Item", leaf("DeviceID", call.body.device), leaf("Name", title),
                leaf("FilePath", f"{camera}/{max(run.from_us, from_us) // 1_000_000}"),
                leaf("Address", self._parts.box.name),
                leaf("StartTime", local_time(max(run.from_us, from_us) + 999_999)),
                leaf("EndTime", local_time(min(run.to_us, to_us))),
                leaf("Secrecy", 0), leaf("Type", "time"),
                leaf("RecorderID", self._roster.settings.device),
            )
            for run in runs
            if min(run.to_us, to_us) - max(run.from_us, from_us) >= 2_000_000
        ]  # fmt: skip
        return self._recorded(call, title, items)

    def presets(self, call: Call) -> Bodies:
        """``PresetQuery``."""
        items = [
            tag("Item", leaf("PresetID", one.number), leaf("PresetName", one.name or one.number))
            for one in self._parts.ptz.status(self._steered(call)).presets
        ]
        for page in pages(items, self._roster.settings.transport):
            yield self._answer(call, leaf("SumNum", len(items)), list_of("PresetList", page))

    def home(self, call: Call) -> Bodies:
        """``HomePositionQuery``: the guard position."""
        guard = self._parts.programs.program(self._steered(call)).guard
        yield self._answer(
            call,
            tag(
                "HomePosition", leaf("Enabled", int(guard.on and guard.preset > 0)),
                leaf("ResetTime", int(guard.idle_s)), leaf("PresetIndex", guard.preset),
            ),
        )  # fmt: skip

    def tours(self, call: Call) -> Bodies:
        """``CruiseTrackListQuery``: tours, numbered from 1 in their order."""
        tours = self._parts.programs.program(self._steered(call)).tours
        items = [
            tag("CruiseTrack", leaf("Number", n), leaf("Name", one.name))
            for n, one in enumerate(tours, 1)
        ]
        yield self._answer(call, leaf("SumNum", len(items)), list_of("CruiseTrackList", items))

    def tour(self, call: Call) -> Bodies:
        """``CruiseTrackQuery``: positions of one."""
        tours = self._parts.programs.program(self._steered(call)).tours
        number = call.body.said("Number")
        if not number.isdecimal() or not 1 <= int(number[:4]) <= len(tours):
            raise Refusal(404, "there is no such cruise track")
        one = tours[int(number) - 1]
        items = [
            tag("CruisePoint", leaf("PresetIndex", step.preset),
                leaf("StayTime", int(step.dwell_s)), leaf("Speed", 8))
            for step in one.steps
        ]  # fmt: skip
        yield self._answer(
            call, leaf("Number", number), leaf("Name", one.name), leaf("SumNum", len(items)),
            list_of("CruisePointList", items),
        )  # fmt: skip

    def position(self, call: Call) -> Bodies:
        """``PTZPosition``: where a head says it points; down is positive."""
        place = self._parts.ptz.status(self._steered(call)).position
        if place is None:
            raise Refusal(404, "this head does not say where it points")
        yield self._answer(
            call, leaf("Pan", f"{place.pan_deg:.2f}"), leaf("Tilt", f"{-place.tilt_deg:.2f}"),
            leaf("Zoom", f"{1 + place.zoom:.2f}"),
        )  # fmt: skip

    def _recorded(self, call: Call, title: str, items: list[str]) -> Iterator[bytes]:
        for page in pages(items, self._roster.settings.transport):
            yield self._answer(
                call, leaf("Name", title), leaf("SumNum", len(items)),
                list_of("RecordList", page) if page else "",
            )  # fmt: skip

    def _answer(self, call: Call, *inner: str) -> bytes:
        body = call.body
        return build(
            "Response", body.command, body.number, body.device, *inner, edition=call.edition
        )

    def _duty(self, device: str, name: str) -> str:
        state = next((one.state for one in self._parts.lines.inputs() if one.name == name), None)
        if state not in {None, "normal"}:
            return "ALARM"
        return "ONDUTY" if self._on_duty(device) else "OFFDUTY"

    def _camera(self, call: Call) -> str | None:
        """The camera that a command is about, None if it is about the box."""
        return self._roster.camera(call.body.device)

    def _head(self, call: Call) -> str:
        camera = self._camera(call)
        if camera is None:
            raise Refusal(404, "that is no camera")
        return camera

    def _steered(self, call: Call) -> str:
        camera = self._head(call)
        if camera not in self._parts.ptz.cameras():
            raise Refusal(404, "this camera has no head")
        return camera

    def _title(self, camera: str) -> str:
        state = self._parts.cameras.find(camera)
        return (state.title if state else "") or camera
