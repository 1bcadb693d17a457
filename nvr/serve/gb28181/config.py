"""What a platform may read and set of us: ``ConfigDownload`` and ``DeviceConfig``.

=================== === ============================================================================
type                set what it is here
=================== === ============================================================================
BasicParam              name, and times of the registration
VideoParamOpt           speeds of downloads, size of pictures
VideoParamAttribute     the streams as they are
VideoAlarmRecord        the plan: how long before and after an event is recorded
AlarmReport         yes whether motion, and who enters an area, is told to this platform
OSDConfig           yes the caption
PictureMask         yes the masks; setting them takes the right ``unmasked``, too
SnapShotConfig      yes an order of pictures: see `nvr.serve.gb28181.snapshots`; it cannot be read
=================== === ============================================================================

All the rest (FrameMirror, VideoRecordPlan, SVAC...) is answered ``ERROR``, to be read or set, and
so is what cannot be set, is nonsense or takes a right that is not there: the standard has no other
word for it. Of several types in one ``DeviceConfig`` all are set or none. A caption has one place:
that of its first line. Coordinates are pixels from the top left, of the window that is named
(``Length`` by ``Width``) or of the main stream.

Source: GB/T 28181-2022, annexes A.2.1, A.2.3.2, A.2.4 and A.2.6.
"""

import re
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from dataclasses import replace
from typing import Final

from nvr.auth.audit import Entry
from nvr.auth.policy import authorise
from nvr.base.errors import NvrError
from nvr.media import mask as masking
from nvr.media.camera import CameraState
from nvr.media.caption import FIELD, fault_of
from nvr.media.mask import Mask
from nvr.serve.gb28181.alarm import Alarms
from nvr.serve.gb28181.parts import Bodies, Call, Operation, Parts, Refusal
from nvr.serve.gb28181.roster import Roster
from nvr.serve.gb28181.snapshots import Snapshots
from nvr.wire.manscdp import build, list_of, said
from nvr.wire.soap import leaf, tag
from nvr.wire.xml import Element

MOST_TYPES: Final = 16
"""In one question."""
_WINDOW: Final = 1920, 1080
"""Of a camera whose size is not known."""
_TIME: Final = "{date} {hms}"
_LINE: Final = 1.2
"""From line to line, in sizes of a caption."""
_FORMATS: Final = {"mpeg4": 1, "h264": 2, "h265": 5}
_HEADS: Final = frozenset(("CmdType", "SN", "DeviceID", "Info", "ExtraInfo"))
_POINT: Final = re.compile(r"\s*(\d{1,5})\s*,\s*(\d{1,5})\s*,\s*(\d{1,5})\s*,\s*(\d{1,5})\s*")

Setting = Callable[[], Awaitable[object]]
"""Sets what was read and found right."""


class Configs:
    """Handlers of both.

    Args:
        parts: What we are built from.
        roster: What the platform may know.
        alarms: What it is told.
        snapshots: Takes pictures for it.
    """

    def __init__(self, parts: Parts, roster: Roster, alarms: Alarms, snapshots: Snapshots) -> None:
        self._parts, self._roster, self._alarms = parts, roster, alarms
        self._snapshots = snapshots
        self._reads: Mapping[str, Callable[[Call], str]] = {
            "BasicParam": self._basic,
            "VideoParamOpt": self._options,
            "VideoParamAttribute": self._streams,
            "VideoAlarmRecord": self._plan,
            "AlarmReport": self._report,
            "OSDConfig": self._caption,
            "PictureMask": self._masks,
        }
        self._writes: Mapping[str, Callable[[Call, str, Element], Setting]] = {
            "AlarmReport": self._set_report,
            "OSDConfig": self._set_caption,
            "PictureMask": self._set_masks,
            "SnapShotConfig": self._order,
        }

    def keys(self) -> list[str]:
        """Keys of the policy for what can be set."""
        return [f"gb {name}" for name in self._writes]

    def operations(self) -> dict[tuple[str, str], Operation]:
        """By kind and command."""
        return {
            ("Query", "ConfigDownload"): Operation(self.read),
            ("Control", "DeviceConfig"): Operation(self.write),
        }

    def read(self, call: Call) -> Bodies:
        """``ConfigDownload``: one answer a type."""
        for what in call.body.said("ConfigType").split("/")[:MOST_TYPES]:
            inner, read = "", self._reads.get(what.strip())
            if read is not None:
                with suppress(Refusal, NvrError):  # it is answered ERROR
                    inner = read(call)
            yield self._answer(call, leaf("Result", "OK" if inner else "ERROR"), inner)

    async def write(self, call: Call) -> Bodies:
        """``DeviceConfig``."""
        settings: list[tuple[str, Setting]] = []
        for element in call.body.root.children:
            if element.name in _HEADS:
                continue
            make = self._writes.get(element.name)
            if make is None:
                raise Refusal(501, f"{element.name[:40]} cannot be set")
            key, camera = f"gb {element.name}", self._camera(call).name
            authorise(call.subject, key, camera, masked=self._parts.masked)
            settings.append((key, make(call, camera, element)))
        if not settings:
            raise Refusal(400, "there is nothing to be set")
        self._parts.audit.check_room()
        for key, do in settings:
            await do()
            self._parts.audit.record(
                Entry(
                    "event", key, who=call.subject.name, source=call.address,
                    camera=self._camera(call).name,
                )
            )  # fmt: skip
        return [self._answer(call, leaf("Result", "OK"))]

    def _basic(self, call: Call) -> str:
        settings = self._roster.settings
        return tag(
            "BasicParam", leaf("Name", self._parts.box.name),
            leaf("Expiration", settings.expires_s),
            leaf("HeartBeatInterval", settings.keepalive_s),
            leaf("HeartBeatCount", settings.misses),
            leaf("PositionCapability", 0) if call.edition == "2022" else "",
        )  # fmt: skip

    def _options(self, call: Call) -> str:
        state = self._camera(call)
        size = f"{state.width_px}x{state.height_px}" if state.width_px else ""
        return tag("VideoParamOpt", leaf("DownloadSpeed", "1/2/4"), leaf("Resolution", size))

    def _streams(self, call: Call) -> str:
        state = self._camera(call)
        items = [
            tag(
                "Item", leaf("StreamNumber", number), leaf("VideoFormat", _FORMATS[one.codec]),
                leaf("Resolution", f"{one.width_px}x{one.height_px}"),
                leaf("FrameRate", round(one.fps)),
                leaf("VideoBitRate", round(one.bitrate_bps / 1000)),
            )
            for number, one in enumerate((state, state.sub))
            if one is not None and one.width_px and one.codec in _FORMATS
        ]  # fmt: skip
        return list_of("VideoParamAttribute", items) if items else ""

    def _plan(self, call: Call) -> str:
        plan = self._parts.cameras.plan(self._camera(call).name)
        return tag(
            "VideoAlarmRecord", leaf("RecordEnable", int(plan.mode == "event")),
            leaf("StreamNumber", 0), leaf("RecordTime", round(plan.post_s)),
            leaf("PreRecordTime", round(plan.pre_s)),
        )  # fmt: skip

    def _report(self, call: Call) -> str:
        self._camera(call)
        motion, area = (self._alarms.reports(call.body.device, one) for one in ("motion", "area"))
        return tag(
            "AlarmReport", leaf("MotionDetection", int(motion)), leaf("FieldDetection", int(area))
        )

    def _set_report(self, call: Call, camera: str, element: Element) -> Setting:  # noqa: ARG002 - as the others
        wanted = {
            what: value == "1"
            for what, name in (("motion", "MotionDetection"), ("area", "FieldDetection"))
            if (value := said(element, name))
        }

        async def do() -> None:
            for what, on in wanted.items():
                self._alarms.report(call.body.device, what, on)

        return do

    def _caption(self, call: Call) -> str:
        state = self._camera(call)
        caption = state.caption
        if caption is None:
            return ""
        length, width = (state.width_px, state.height_px) if state.width_px else _WINDOW
        left = caption.position_permille[0] * length // 1000
        top = caption.position_permille[1] * width // 1000
        step = caption.size_permille * width * _LINE / 1000
        placed = [(round(top + n * step), line) for n, line in enumerate(caption.lines)]
        times = [y for y, line in placed if not FIELD.sub("", line).strip() and line]
        texts = [(y, line) for y, line in placed if FIELD.sub("", line).strip()]
        items = [
            tag("Item", leaf("Text", line), leaf("X", left), leaf("Y", y)) for y, line in texts
        ]
        return tag(
            "OSDConfig", leaf("Length", length), leaf("Width", width),
            leaf("TimeX", left), leaf("TimeY", times[0] if times else top),
            leaf("TimeEnable", int(bool(times))), leaf("TimeType", 0),
            leaf("TextEnable", int(bool(items))), leaf("SumNum", len(items)), *items,
        )  # fmt: skip

    def _set_caption(self, call: Call, camera: str, element: Element) -> Setting:
        caption = self._camera(call).caption
        if caption is None:
            raise Refusal(501, "this camera has no caption")
        length, width = _whole(element, "Length", 1), _whole(element, "Width", 1)
        placed: list[tuple[int, int, str]] = []
        if (said(element, "TimeEnable") or "1") != "0" and said(element, "TimeX"):
            placed.append((_whole(element, "TimeY"), _whole(element, "TimeX"), _TIME))
        if (said(element, "TextEnable") or "1") != "0":
            placed += [
                (_whole(item, "Y"), _whole(item, "X"), said(item, "Text"))
                for item in element.all("Item")
            ]
        placed.sort(key=lambda one: one[:2])
        lines = tuple(line for _, _, line in placed)
        if why := fault_of(lines):
            raise Refusal(400, why)
        fresh = replace(caption, lines=lines)
        if placed:
            top, left = placed[0][0] * 1000 // width, min(x for _, x, _ in placed) * 1000 // length
            fresh = replace(fresh, position_permille=(min(left, 1000), min(top, 1000)))
        return lambda: self._parts.cameras.write_caption(camera, fresh)

    def _masks(self, call: Call) -> str:
        state = self._camera(call)
        items = []
        for number, mask in enumerate(state.masks, 1):
            across, down = zip(*mask.points_permille, strict=True)
            corners = min(across), min(down), max(across), max(down)
            sides = (state.width_px or _WINDOW[0], state.height_px or _WINDOW[1]) * 2
            point = [one * side // 1000 for one, side in zip(corners, sides, strict=True)]
            text = ",".join(map(str, point))
            items.append(tag("Item", leaf("Seq", number), leaf("Point", text)))
        return tag(
            "PictureMask", leaf("On", int(bool(items))), leaf("SumNum", len(items)),
            list_of("RegionList", items) if items else "",
        )  # fmt: skip

    def _set_masks(self, call: Call, camera: str, element: Element) -> Setting:
        if "unmasked" not in call.subject.may(camera):  # who sets masks could take them away
            raise Refusal(403, "masks are set by who may see what is under them")
        state, masks = self._camera(call), list[Mask]()
        for item in element.all("Item") if said(element, "On") != "0" else ():
            found = _POINT.fullmatch(said(item, "Point"))
            if found is None or not state.width_px:
                raise Refusal(400, "an area is Point left,top,right,bottom of a known picture")
            sides = (state.width_px, state.height_px) * 2
            left, top, right, bottom = (
                min(int(one) * 1000 // side, 1000)
                for one, side in zip(found.groups(), sides, strict=True)
            )
            if not (left < right and top < bottom):
                raise Refusal(400, "an area has a size")
            masks.append(Mask(((left, top), (right, top), (right, bottom), (left, bottom))))
        if not masks and said(element, "On") != "0":
            raise Refusal(400, "there is no area to be hidden")
        if why := masking.fault_of(masks):
            raise Refusal(400, why)
        return lambda: self._parts.cameras.write_masks(camera, tuple(masks))

    def _order(self, call: Call, camera: str, element: Element) -> Setting:
        order = self._snapshots.order(call, camera, element)

        async def do() -> None:
            self._snapshots.begin(order)

        return do

    def _camera(self, call: Call) -> CameraState:
        """The camera that it is about.

        Raises:
            Refusal: 404.
        """
        name = self._roster.camera(call.body.device)
        state = self._parts.cameras.find(name) if name else None
        if state is None or not call.subject.may(state.name):
            raise Refusal(404, "that is no camera")
        return state

    def _answer(self, call: Call, *inner: str) -> bytes:
        body = call.body
        return build(
            "Response", body.command, body.number, body.device, *inner, edition=call.edition
        )


def _whole(element: Element, name: str, least: int = 0) -> int:
    text = said(element, name)
    if not text.isdecimal() or not least <= int(text[:9]) <= 100_000:
        raise Refusal(400, f"{name} is no number of pixels")
    return int(text[:9])
