"""What a camera's event means here: motion, tampering, an input, a line. Makers name them apart.

Source: ONVIF Imaging, Analytics and Device IO specifications 23.06 (topics); the other names are
those of Hikvision, Dahua, Axis, Hanwha and TP-Link as `onvif-parsers` lists them.
"""

import re
from dataclasses import dataclass
from typing import Final, Literal

from nvr.media.onvif import CameraEvent

Sort = Literal["motion", "tamper", "input", "line"]

_SORTS: Final[tuple[tuple[re.Pattern[str], Sort], ...]] = (
    (re.compile(r"Tamper|GlobalSceneChange|ImageTooDark|ImageTooBright|ImageTooBlurry", re.I),
     "tamper"),
    (re.compile(r"Trigger/DigitalInput|Device/IO/.*Port|DigitalInput$", re.I), "input"),
    (re.compile(r"LineDetector|LineCross|Crossed|CrossLine", re.I), "line"),
    (re.compile(r"Motion|ObjectsInside|FieldDetector|PeopleDetect|"
                r"VehicleDetect|FaceDetect|SmartEvent|MyRuleDetector", re.I), "motion"),
)  # fmt: skip
_NAMES: Final = ("Rule", "RuleName", "InputToken", "Token", "Name")
_TRUE: Final = frozenset(("true", "1", "active", "on", "high"))
_FALSE: Final = frozenset(("false", "0", "inactive", "off", "low"))


@dataclass(frozen=True, slots=True)
class Meant:
    """A camera's event as it concerns us.

    Attributes:
        sort: What it is.
        active: It begins, or goes on; else it is over.
        lasting: Its end will be told as well; else it is over at once.
        source: What tells it apart from others of its sort: topic and token.
        name: What the camera calls the rule or input, empty if it does not.
    """

    sort: Sort
    active: bool
    lasting: bool
    source: str
    name: str = ""


def meant(told: CameraEvent) -> Meant | None:
    """Return what an event means, None if it is nothing to us."""
    sort = next((kind for pattern, kind in _SORTS if pattern.search(told.topic)), None)
    if sort is None or told.operation == "Deleted":
        return None
    words = [value.lower() for value in told.data.values()]
    known = [word for word in words if word in _TRUE or word in _FALSE]
    token = ",".join(sorted(told.source.values()))
    source = f"{told.topic} {token}"[:128]
    name = next((told.source[key] for key in _NAMES if told.source.get(key)), "")[:64]
    if not known:
        return Meant(sort, True, False, source, name)
    return Meant(sort, any(word in _TRUE for word in known), bool(told.operation), source, name)
