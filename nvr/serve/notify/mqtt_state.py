"""What a broker keeps of the box: topics and their retained payloads, as far as a host may know.

==================================== =============================================
topic below the prefix               payload
==================================== =============================================
``status``                           ``online``; ``offline`` is the last will
``box``                              JSON: name, version, clock, fault, warnings
``camera/<name>``                    JSON: state, recording, what goes on
``output/<name>``, ``input/<name>``  JSON: level, state
``volume/<name>``                    JSON: role, room
==================================== =============================================
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec

from nvr.auth.policy import authorise
from nvr.auth.user import Subject
from nvr.base.errors import NvrError, Rejected
from nvr.media.camera import BoxState, Cameras, CameraState
from nvr.media.gpio import OUTPUT_PREFIX, InputView, Lines, OutputView
from nvr.media.happening import BOX
from nvr.media.news import News

STATUS = "status"
KEYS = (
    "mqtt box", "mqtt volume", "mqtt camera", "mqtt input", "mqtt output",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class VolumeSeen:
    """A volume, now.

    Attributes:
        name: As configured.
        role: ``recording``, ``standby``, ``failing`` or ``away``.
        code: What is wrong with it, empty if nothing is.
        size_bytes: Of it, 0 while it is away.
    """

    name: str
    role: str
    code: str = ""
    size_bytes: int = 0


class States:
    """Says what a broker is to keep.

    Args:
        cameras: All cameras.
        lines: All outputs and inputs.
        volumes: All volumes, as last looked at.
        box: The box.
        version: Of the program.
    """

    def __init__(
        self,
        cameras: Cameras,
        lines: Lines,
        volumes: Callable[[], Sequence[VolumeSeen]],
        box: BoxState,
        version: str,
    ) -> None:
        self._cameras, self._lines, self._volumes = cameras, lines, volumes
        self._box, self._version = box, version

    def cameras(self, subject: Subject) -> list[CameraState]:
        """Cameras that a broker is told of."""
        return [one for one in self._cameras.all() if may(subject, "mqtt camera", one.name)]

    def outputs(self, subject: Subject) -> list[OutputView]:
        """Outputs that it is told of."""
        return [
            one
            for one in self._lines.outputs()
            if may(subject, "mqtt output", OUTPUT_PREFIX + one.name)
        ]

    def inputs(self, subject: Subject) -> list[InputView]:
        """Inputs that it is told of: those under whose name it has any right."""
        return [one for one in self._lines.inputs() if subject.may(OUTPUT_PREFIX + one.name)]

    def now(self, subject: Subject) -> dict[str, bytes]:
        """Topics below the prefix, and what is to be retained there."""
        found: dict[str, Any] = {"box": self._of_box()}
        for volume in self._volumes():
            found[f"volume/{volume.name}"] = {
                "role": volume.role, "code": volume.code, "size_bytes": volume.size_bytes,
            }  # fmt: skip
        for camera in self.cameras(subject):
            found[f"camera/{camera.name}"] = _of_camera(camera)
        for output in self.outputs(subject):
            found[f"output/{output.name}"] = {
                "state": "ON" if output.on else "OFF", "kind": output.kind,
                "title": output.title, "online": output.online, "since_us": output.since_us,
            }  # fmt: skip
        for one in self.inputs(subject):
            found[f"input/{one.name}"] = {
                "state": one.state or "gone", "title": one.title, "storm": one.storm,
                "since_us": one.since_us,
            }  # fmt: skip
        return {topic: msgspec.json.encode(value) for topic, value in found.items()}

    def knows(self, subject: Subject, news: News) -> bool:
        """Whether a broker may be told of that."""
        if news.event in {"input", "tamper"}:
            return any(one.name == news.name for one in self.inputs(subject))
        if news.event == "output":
            return any(one.name == news.name for one in self.outputs(subject))
        return news.camera == BOX or may(subject, "mqtt camera", news.camera)

    def _of_box(self) -> dict[str, Any]:
        fault = self._box.fault()
        return {
            "name": self._box.name,
            "version": self._version,
            "clock": self._box.clock_state().state,
            "fault": _code(fault),
            "warnings": list(dict.fromkeys(one.code for one in self._box.warnings())),
        }


def may(subject: Subject, action: str, camera: str) -> bool:
    """Whether the one table lets somebody do that."""
    try:
        authorise(subject, action, camera)
    except Rejected:
        return False
    return True


def _of_camera(camera: CameraState) -> Mapping[str, Any]:
    """What lasts for a while: nothing that changes with every picture."""
    recording = camera.recorded and camera.not_recorded is None and camera.recorded_until_us > 0
    return {
        "title": camera.title,
        "state": camera.state,
        "since_us": camera.since_us,
        "code": camera.code,
        "recording": recording,
        "codec": camera.codec,
        "width_px": camera.width_px,
        "height_px": camera.height_px,
        "happening": sorted({one.kind for one in camera.happening}),
    }


def _code(error: NvrError | None) -> str:
    return "" if error is None else error.code
