"""Captions as ONVIF's on-screen displays: one text for each camera that has a caption.

Its token is the camera's name and ``.caption``. The text is the caption's lines, ours for the time
(``{time}``) as they are written; place and size are the caption's. It can be read and set, not made
or deleted: an empty text is none. Old and new Media service differ in their prefix only.

Source: ONVIF Media Service Specification 21.06, section 5.20; Media2 23.06, section 5.12.
"""

import dataclasses
import math
from collections.abc import Callable
from typing import Literal

from nvr.auth.audit import Entry
from nvr.media.camera import CameraState
from nvr.media.caption import MOST_CHARACTERS, MOST_LINES, CaptionText
from nvr.serve.onvif.channel import Channels
from nvr.serve.onvif.parts import Call, Operation, Parts
from nvr.wire.soap import Fault, child, leaf, tag
from nvr.wire.xml import Element

SUFFIX = ".caption"
SMALLEST, LARGEST = 10, 200
"""Thousandths of the picture's height."""
Prefix = Literal["trt", "tr2"]


class Osds:
    """Handlers for both Media services."""

    def __init__(self, parts: Parts, channels: Channels, prefix: Prefix) -> None:
        self._parts, self._channels, self._prefix = parts, channels, prefix

    def operations(self) -> dict[str, Operation]:
        """What there is of them."""
        about = self._named
        fixed: Callable[[Call], str] = _fixed
        found = {
            "GetOSDs": Operation(self.all),
            "GetOSDOptions": Operation(self.options, self._source),
            "SetOSD": Operation(self.write, about),
            "CreateOSD": Operation(fixed, about),
            "DeleteOSD": Operation(fixed, about),
        }
        if self._prefix == "trt":
            found["GetOSD"] = Operation(self.one, about)
        return found

    def all(self, call: Call) -> str:
        """``GetOSDs``: all, of one camera, or one."""
        shown = self._shown(call)
        wanted, token = call.said("ConfigurationToken"), call.said("OSDToken")
        return "".join(
            self._told(f"{self._prefix}:OSDs", one, caption)
            for one, caption in shown
            if wanted in {"", one.name} and token in {"", one.name + SUFFIX}
        )

    def one(self, call: Call) -> str:
        """``GetOSD``."""
        return self._told(f"{self._prefix}:OSD", *self._find(call))

    def options(self, call: Call) -> str:
        """``GetOSDOptions``."""
        name = self._source(call)
        most = int(any(one.name == name for one, _ in self._shown(call)))
        text = tag(
            "tt:TextOption", leaf("tt:Type", "Plain"),
            tag("tt:FontSizeRange", leaf("tt:Min", SMALLEST), leaf("tt:Max", LARGEST)),
        )  # fmt: skip
        return tag(
            f"{self._prefix}:OSDOptions",
            tag("tt:MaximumNumberOfOSDs", Total=most, Image=0, PlainText=most, Date=0, Time=0,
                DateAndTime=0),
            leaf("tt:Type", "Text"), leaf("tt:PositionOption", "Custom"), text,
        )  # fmt: skip

    async def write(self, call: Call) -> str:
        """``SetOSD``."""
        camera, caption = self._find(call)
        asked = child(call.body, "OSD")
        assert asked is not None  # `_find` looked into it
        fresh = _read(asked, caption)
        self._parts.audit.check_room()
        await self._parts.cameras.write_caption(camera.name, fresh)
        self._parts.audit.record(
            Entry(
                "event", f"onvif {'media' if self._prefix == 'trt' else 'media2'} SetOSD",
                reason=" / ".join(fresh.lines)[:300], who=call.subject.name, source=call.address,
                camera=camera.name,
            )
        )  # fmt: skip
        return ""

    def _shown(self, call: Call) -> list[tuple[CameraState, CaptionText]]:
        return [
            (one, one.caption)
            for one in self._channels.sources(call.subject)
            if one.caption is not None
        ]

    def _find(self, call: Call) -> tuple[CameraState, CaptionText]:
        token = call.said("OSDToken")
        asked = child(call.body, "OSD")
        if asked is not None:
            token = asked.attributes.get("token", "")
            if not token:  # to be made: it is about a source
                token = asked.said("VideoSourceConfigurationToken") + SUFFIX
        for one, caption in self._shown(call):
            if one.name + SUFFIX == token:
                return one, caption
        raise Fault("there is no such text", "ter:InvalidArgVal", "ter:NoConfig")

    def _named(self, call: Call) -> str:
        return self._find(call)[0].name

    def _source(self, call: Call) -> str:
        wanted = call.said("ConfigurationToken")
        for one in self._channels.sources(call.subject):
            if wanted in {"", one.name}:
                return one.name
        raise Fault("there is no such source", "ter:InvalidArgVal", "ter:NoConfig")

    @staticmethod
    def _told(name: str, camera: CameraState, caption: CaptionText) -> str:
        left, top = caption.position_permille
        place = tag(
            "tt:Position", leaf("tt:Type", "Custom"),
            tag("tt:Pos", x=f"{left / 500 - 1:.3f}", y=f"{1 - top / 500:.3f}"),
        )  # fmt: skip
        text = tag(
            "tt:TextString", leaf("tt:Type", "Plain"), leaf("tt:FontSize", caption.size_permille),
            leaf("tt:PlainText", "\n".join(caption.lines)), IsPersistentText=True,
        )  # fmt: skip
        return tag(
            name, leaf("tt:VideoSourceConfigurationToken", camera.name), leaf("tt:Type", "Text"),
            place, text, token=camera.name + SUFFIX,
        )  # fmt: skip


def _fixed(_call: Call) -> str:
    raise Fault(
        "a camera has one text, which can be set", "ter:Action", "ter:MaxOSDs", receiver=True
    )


def _read(asked: Element, was: CaptionText) -> CaptionText:
    """What a caption is to be; what is not said stays."""
    place, text = child(asked, "Position"), child(asked, "TextString")
    found = was
    if text is not None:
        if text.said("Type") not in {"", "Plain"}:
            raise Fault("texts are plain here", "ter:InvalidArgVal", "ter:ConfigModify")
        lines = tuple(text.said("PlainText").splitlines())
        if len(lines) > MOST_LINES or any(len(line) > MOST_CHARACTERS for line in lines):
            said = f"{MOST_LINES} lines of {MOST_CHARACTERS} characters fit"
            raise Fault(said, "ter:InvalidArgVal", "ter:ConfigModify")
        found = dataclasses.replace(found, lines=lines)
        if size := text.said("FontSize"):
            if not size.isdigit() or not SMALLEST <= int(size[:4]) <= LARGEST:
                said = f"a size is {SMALLEST} to {LARGEST}"
                raise Fault(said, "ter:InvalidArgVal", "ter:ConfigModify")
            found = dataclasses.replace(found, size_permille=int(size))
    if place is not None and place.said("Type") in {"", "Custom"}:
        at = child(place, "Pos")
        if at is not None:
            left = (_share(at, "x") + 1) * 500
            top = (1 - _share(at, "y")) * 500
            found = dataclasses.replace(found, position_permille=(round(left), round(top)))
    return found


def _share(at: Element, axis: str) -> float:
    try:
        found = float(at.attributes.get(axis, ""))
    except ValueError:
        found = math.nan
    if not -1.0 <= found <= 1.0:
        raise Fault("a place is from -1 to 1", "ter:InvalidArgVal", "ter:ConfigModify")
    return found
