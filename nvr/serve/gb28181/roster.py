"""What one platform may know: its IDs, whose they are, and the entries of its catalogue.

An NVR is a device (type 118) with its cameras and alarm inputs right below it, and loudspeakers
(type 137) below their cameras. A lower platform has other recorders below it, and their cameras
below those: what a camera belongs to is the one difference.

Source: GB/T 28181-2022, annexes A.2.1, E and J.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal

from nvr.auth.user import Right, Subject, rights_of
from nvr.media.camera import CameraState
from nvr.media.gb28181 import PlatformSettings
from nvr.serve.gb28181.parts import MANUFACTURER, Parts
from nvr.wire.manscdp import Edition
from nvr.wire.soap import leaf, tag

MOST_ITEMS = 100
"""In one message."""
MOST_ITEM_BYTES = {"udp": 900, "tcp": 48 * 1024}
"""So that a message fits into a datagram that no router has to cut."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One line of a catalogue.

    Attributes:
        id: 20 digits.
        title: For people.
        model: What it is.
        camera: Name of the camera, empty for anything else.
        input: Name of the alarm input, empty for anything else.
        on: It works.
        steered: It has a head that this platform may steer.
        size_px: Size of its pictures, ``(0, 0)`` if that is not known.
        sub: It has a sub stream.
        of: ID of what it belongs to, empty: to the device as a whole.
        owns: Something belongs to it: a camera whose loudspeaker is an entry, a recorder.
    """

    id: str
    title: str
    model: Literal["camera", "speaker", "input", "nvr"]
    camera: str = ""
    input: str = ""
    on: bool = True
    steered: bool = False
    size_px: tuple[int, int] = (0, 0)
    sub: bool = False
    of: str = ""
    owns: bool = False


class Roster:
    """What one platform may know of the box."""

    def __init__(self, parts: Parts, settings: PlatformSettings) -> None:
        self._parts = parts
        self.settings = settings
        rights: dict[str, Iterable[Right]] = {}
        for one in settings.channels:
            rights[one.camera] = rights_of({one.camera: one.rights})[one.camera]
        frozen = {camera: frozenset(some) for camera, some in rights.items()}
        self.subject = Subject("machine", settings.name, None, MappingProxyType(frozen))
        self._cameras = {one.id: one.camera for one in settings.channels}
        self._inputs = {one.id: one.input for one in settings.inputs}
        self._speakers = {one.id: one.speaker for one in settings.channels if one.speaker}
        self._boxes = {one.id: one.title for one in settings.boxes}
        self._of = {one.id: one.box for one in settings.channels if one.box}

    def knows(self, device: str) -> bool:
        """Whether an ID is one of ours, on this platform."""
        known = (self._cameras, self._inputs, self._speakers.values(), self._boxes)
        return device == self.settings.device or any(device in some for some in known)

    def camera(self, device: str) -> str | None:
        """Name of the camera that an ID stands for, None if it is none or is not there."""
        name = self._cameras.get(device)
        return name if name and self._parts.cameras.find(name) else None

    def speaking(self, device: str) -> str | None:
        """The camera that speaks for an ID: its own, or that of its loudspeaker."""
        own = next((one for one, speaker in self._speakers.items() if speaker == device), device)
        return self.camera(own)

    def camera_id(self, camera: str) -> str | None:
        """ID of a camera."""
        return next((known for known, name in self._cameras.items() if name == camera), None)

    def input_id(self, name: str) -> str | None:
        """ID of an alarm input."""
        return next((known for known, one in self._inputs.items() if one == name), None)

    def below(self, device: str) -> list[Entry]:
        """The recorder below us that an ID stands for, then its cameras; nothing if it is none."""
        found = self.entries() if device in self._boxes else []
        return [one for one in found if device in {one.id, one.of}]

    def entries(self) -> list[Entry]:
        """The whole catalogue, as it is now. What is configured and not there is off."""
        known = {one.name: one for one in self._parts.cameras.all()}
        steered = set(self._parts.ptz.cameras())
        found = [
            self._entry(device, name, known.get(name), steered=name in steered)
            for device, name in self._cameras.items()
            if self.subject.may(name)
        ]
        found += [
            Entry(self._speakers[one.id], f"{one.title} 扬声器", "speaker", on=one.on, of=one.id)
            for one in found
            if one.owns
        ]
        there = {one.of for one in found if one.camera and one.on}
        below = [
            Entry(device, title, "nvr", on=device in there, owns=True)
            for device, title in self._boxes.items()
        ]
        lines = {one.name: one for one in self._parts.lines.inputs()}
        for device, name in self._inputs.items():
            line = lines.get(name)
            on = line is not None and line.state is not None
            title = (line.title if line else "") or name
            found.append(Entry(device, title, "input", input=name, on=on))
        return below + found

    def faults(self) -> list[str]:
        """IDs of what does not work."""
        return [one.id for one in self.entries() if not one.on and one.model != "speaker"]

    def item(self, one: Entry, edition: Edition, event: str = "") -> str:
        """An ``Item`` of a catalogue, or of what changed in it."""
        settings = self.settings
        info = ""
        if one.camera:
            width, height = one.size_px
            about = [leaf("PTZType", 1 if one.steered else 3)]
            if width:
                about.append(leaf("Resolution", f"{width}x{height}" if edition == "2022" else
                                  _resolution(height)))  # fmt: skip
            if edition == "2022":
                about.append(leaf("StreamNumberList", "0/1" if one.sub else "0"))
            info = tag("Info", *about)
        return tag(
            "Item", leaf("DeviceID", one.id), leaf("Event", event) if event else "",
            leaf("Name", one.title), leaf("Manufacturer", MANUFACTURER),
            leaf("Model", one.model),
            leaf("Owner", MANUFACTURER) if edition == "2016" else "",
            leaf("CivilCode", settings.device[:6]), leaf("Address", self._parts.box.name),
            leaf("Parental", int(one.owns)), leaf("ParentID", one.of or settings.device),
            leaf("RegisterWay", 1), leaf("Secrecy", 0),
            leaf("Status", "ON" if one.on else "OFF"), info,
        )  # fmt: skip

    def _entry(self, device: str, name: str, state: CameraState | None, *, steered: bool) -> Entry:
        owns = device in self._speakers and "relay" in self.subject.may(name)
        of = self._of.get(device, "")
        if state is None:
            return Entry(device, name, "camera", camera=name, on=False, of=of, owns=owns)
        return Entry(
            device,
            state.title or name,
            "camera",
            camera=name,
            on=state.state == "live",
            steered=steered and "ptz" in self.subject.may(name),
            size_px=(state.width_px, state.height_px),
            sub=state.sub is not None,
            of=of,
            owns=owns,
        )


def pages(items: list[str], transport: str) -> Iterator[list[str]]:
    """Cut a list into what goes into one message each; an empty list is one empty page."""
    most_bytes = MOST_ITEM_BYTES[transport]
    page: list[str] = []
    size = 0
    for item in items:
        length = len(item.encode("gb18030", "replace"))
        if page and (len(page) >= MOST_ITEMS or size + length > most_bytes):
            yield page
            page, size = [], 0
        page.append(item)
        size += length
    if page or not items:
        yield page


def _resolution(height: int) -> int:
    """A size as the edition of 2016 numbers it: QCIF, CIF, 4CIF, D1, 720P, 1080P."""
    return next((n for n, most in enumerate((144, 288, 480, 576, 720), 1) if height <= most), 6)
