"""A camera's answers, as `onvif-zeep-async` hands them over, turned into our values.

Answers are whatever the camera sent: attributes may be missing, None, lists, or of another type.
Nothing here raises for that; what cannot be read is empty, 0 or None. Text is cut and printable.
"""

import math
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlsplit, urlunsplit

from nvr.media.onvif import (
    CameraEvent,
    CameraPreset,
    EdgeRecording,
    HeadStatus,
    Imaging,
    Node,
    Profile,
    Relay,
)
from nvr.wire.xml import Element

FOV_SPACE = "http://www.onvif.org/ver10/tptz/PanTiltSpaces/TranslationSpaceFov"
MOST_TEXT = 128
MOST_LISTED = 256
MOST_URL = 1024
_CODECS = {"h.264": "h264", "h.265": "h265", "hevc": "h265", "mjpeg": "jpeg", "mpv4-es": "mpeg4"}


def get(value: Any, *path: str) -> Any:  # noqa: ANN401 - an answer may be anything
    """Follow attributes, or keys; None where one is missing. Of a list the first counts."""
    for name in path:
        if isinstance(value, list):
            value = value[0] if value else None
        if value is None:
            return None
        value = value.get(name) if isinstance(value, dict) else getattr(value, name, None)
    return value


def text(value: Any, most: int = MOST_TEXT) -> str:  # noqa: ANN401 - an answer may be anything
    """Return it as printable text, empty if it is none."""
    if value is None or isinstance(value, (list, dict)):
        return ""
    return "".join(c for c in str(value)[: 4 * most] if c.isprintable()).strip()[:most]


def number(value: Any, default: float = 0.0) -> float:  # noqa: ANN401 - an answer may be anything
    """Return it as a finite number."""
    try:
        found = float(value)
    except (TypeError, ValueError, OverflowError):
        return default
    return found if math.isfinite(found) and abs(found) < 1e15 else default


def whole(value: Any) -> int:  # noqa: ANN401 - an answer may be anything
    """Return it as an integer that is not negative."""
    return max(0, int(number(value)))


def maybe(value: Any) -> float | None:  # noqa: ANN401 - an answer may be anything
    """Return it as a number, None if it is none."""
    found = number(value, math.nan)
    return None if math.isnan(found) else found


def each(value: Any) -> Iterator[Any]:  # noqa: ANN401 - an answer may be anything
    """The members of a list, of which a camera may have sent none, one bare, or far too many."""
    if value is None:
        return
    members: Iterable[Any] = value if isinstance(value, (list, tuple)) else [value]
    for index, one in enumerate(members):
        if index >= MOST_LISTED:
            return
        if one is not None:
            yield one


def own_url(url: str, host: str, schemes: tuple[str, ...]) -> str:
    """Return a URL that a camera names, with our own host in place of the one it says.

    A log-in in it goes; the port stays. Empty if it is no such URL.
    """
    try:
        parts = urlsplit("".join(c for c in url.strip() if c.isprintable())[:MOST_URL])
        port = parts.port
    except ValueError:
        return ""
    if parts.scheme.lower() not in schemes or not parts.netloc:
        return ""
    name = f"[{host}]" if ":" in host else host
    netloc = name if port is None else f"{name}:{port}"
    path = parts.path.replace(" ", "%20")
    return urlunsplit((parts.scheme.lower(), netloc, path, parts.query.replace(" ", "%20"), ""))


def at_us(value: Any) -> int:  # noqa: ANN401 - an answer may be anything
    """Return a time as UTC microseconds, 0 if it is none."""
    if not isinstance(value, datetime):
        return 0
    try:
        aware = value if value.tzinfo else value.replace(tzinfo=UTC)
        return max(0, round(aware.timestamp() * 1e6))
    except (OverflowError, ValueError, OSError):
        return 0


def camera_clock_s(answer: Any) -> float | None:  # noqa: ANN401 - an answer may be anything
    """Return UTC seconds that a camera's clock shows, None if it shows none."""
    utc = get(answer, "UTCDateTime")
    date, time = get(utc, "Date"), get(utc, "Time")
    try:
        shown = datetime(
            int(get(date, "Year")),
            int(get(date, "Month")),
            int(get(date, "Day")),
            int(get(time, "Hour")),
            int(get(time, "Minute")),
            min(59, int(get(time, "Second"))),
            tzinfo=UTC,
        )
    except (TypeError, ValueError, OverflowError):
        return None
    return shown.timestamp()


def codec(value: Any) -> str:  # noqa: ANN401 - an answer may be anything
    """Return a codec's name as the rest of the box writes it."""
    name = text(value, 32).lower()
    return _CODECS.get(name, name)


def profile(one: Any) -> Profile:  # noqa: ANN401 - an answer may be anything
    """Read one of Media's profiles."""
    video = get(one, "VideoEncoderConfiguration")
    name = codec(get(video, "Encoding"))
    detail = get(video, {"h264": "H264", "mpeg4": "MPEG4"}.get(name, "H264"))
    return Profile(
        token=text(get(one, "token"), 64),
        name=text(get(one, "Name"), 64),
        source=text(get(one, "VideoSourceConfiguration", "SourceToken"), 64),
        codec=name,
        width_px=whole(get(video, "Resolution", "Width")),
        height_px=whole(get(video, "Resolution", "Height")),
        fps=number(get(video, "RateControl", "FrameRateLimit")),
        kbit_s=whole(get(video, "RateControl", "BitrateLimit")),
        gop_frames=whole(get(detail, "GovLength")),
        audio=codec(get(one, "AudioEncoderConfiguration", "Encoding")),
        encoder=text(get(video, "token"), 64),
        ptz=text(get(one, "PTZConfiguration", "token"), 64),
        video=text(get(one, "VideoSourceConfiguration", "token"), 64),
    )


def profile2(one: Element) -> Profile:
    """Read one of Media2's profiles."""
    video = one.first("Configurations", "VideoEncoder") or Element("")
    rate = video.first("RateControl") or Element("")
    head = one.first("Configurations", "PTZ")
    source = one.first("Configurations", "VideoSource")
    return Profile(
        token=text(one.attributes.get("token"), 64),
        name=text(one.said("Name"), 64),
        source=text(one.said("Configurations", "VideoSource", "SourceToken"), 64),
        codec=codec(video.said("Encoding")),
        width_px=whole(video.said("Resolution", "Width")),
        height_px=whole(video.said("Resolution", "Height")),
        fps=number(rate.said("FrameRateLimit")),
        kbit_s=whole(rate.said("BitrateLimit")),
        gop_frames=whole(video.attributes.get("GovLength")),
        audio=codec(one.said("Configurations", "AudioEncoder", "Encoding")),
        encoder=text(video.attributes.get("token"), 64),
        ptz=text(head.attributes.get("token"), 64) if head else "",
        media2=True,
        video=text(source.attributes.get("token"), 64) if source else "",
    )


def node(one: Any, timeout: Any) -> Node:  # noqa: ANN401 - an answer may be anything
    """Read a PTZ node, and the range of time-outs from its configuration's options."""
    spaces = get(one, "SupportedPTZSpaces")
    shortest, longest = seconds(get(timeout, "Min")), seconds(get(timeout, "Max"))
    known = shortest is not None and longest is not None and longest > 0 and shortest <= longest
    return Node(
        continuous=bool(get(spaces, "ContinuousPanTiltVelocitySpace")),
        zoom=bool(get(spaces, "ContinuousZoomVelocitySpace")),
        absolute=bool(get(spaces, "AbsolutePanTiltPositionSpace")),
        relative=bool(get(spaces, "RelativePanTiltTranslationSpace")),
        presets=min(whole(get(one, "MaximumNumberOfPresets")), 65_535),
        home=bool(get(one, "HomeSupported")),
        auxiliary=tuple(text(a) for a in each(get(one, "AuxiliaryCommands"))),
        timeout_s=(shortest or 0.0, longest or 0.0) if known else None,
        fov=any(
            text(get(space, "URI")) == FOV_SPACE
            for space in each(get(spaces, "RelativePanTiltTranslationSpace"))
        ),
    )


def seconds(value: Any) -> float | None:  # noqa: ANN401 - an answer may be anything
    """Return a duration in seconds, None if it is none."""
    try:
        return float(value.total_seconds())
    except (AttributeError, TypeError, ValueError, OverflowError):
        return None


def head_status(one: Any) -> HeadStatus:  # noqa: ANN401 - an answer may be anything
    """Read a PTZ status."""
    moving = [
        text(get(one, "MoveStatus", axis)).upper()
        for axis in ("PanTilt", "Zoom")
        if get(one, "MoveStatus", axis) is not None
    ]
    known = [word for word in moving if word in {"IDLE", "MOVING"}]
    return HeadStatus(
        maybe(get(one, "Position", "PanTilt", "x")),
        maybe(get(one, "Position", "PanTilt", "y")),
        maybe(get(one, "Position", "Zoom", "x")),
        "MOVING" in known if known else None,
    )


def preset(one: Any) -> CameraPreset:  # noqa: ANN401 - an answer may be anything
    """Read a preset."""
    return CameraPreset(text(get(one, "token"), 64), text(get(one, "Name"), 64))


def relay(one: Any) -> Relay:  # noqa: ANN401 - an answer may be anything
    """Read a relay output."""
    how = get(one, "Properties")
    return Relay(
        text(get(one, "token"), 64),
        text(get(how, "Mode")).lower() == "monostable",
        seconds(get(how, "DelayTime")) or 0.0,
        text(get(how, "IdleState")).lower() != "closed",
    )


def imaging(one: Any) -> Imaging:  # noqa: ANN401 - an answer may be anything
    """Read the settings of a picture."""
    return Imaging(
        maybe(get(one, "Brightness")),
        maybe(get(one, "Contrast")),
        maybe(get(one, "ColorSaturation")),
        maybe(get(one, "Sharpness")),
        text(get(one, "IrCutFilter"), 16),
    )


def events(answer: Element) -> tuple[CameraEvent, ...]:
    """Read what PullMessages answers; at most `MOST_LISTED` of them."""
    found: list[CameraEvent] = []
    for notification in answer.all("NotificationMessage"):
        if len(found) >= MOST_LISTED:
            break
        message = notification.first("Message", "Message") or notification.first("Message")
        topic = notification.said("Topic")
        if message is None or not topic:
            continue
        found.append(
            CameraEvent(
                "/".join(part.rpartition(":")[2] for part in text(topic).split("/")),
                text(message.attributes.get("PropertyOperation"), 16),
                _items(message.first("Source")),
                _items(message.first("Data")),
                iso_us(message.attributes.get("UtcTime", "")),
            )
        )
    return tuple(found)


def _items(section: Element | None) -> dict[str, str]:
    if section is None:
        return {}
    items: dict[str, str] = {}
    for one in section.all("SimpleItem"):
        if len(items) < 16:
            items[text(one.attributes.get("Name"), 64)] = text(one.attributes.get("Value"))
    return items


def iso_us(word: str) -> int:
    """Return a time as XML writes it as UTC microseconds, 0 if it is none."""
    try:
        return at_us(datetime.fromisoformat(word.strip()[:40]))
    except ValueError:
        return 0


def recording(one: Any) -> EdgeRecording:  # noqa: ANN401 - an answer may be anything
    """Read what a search found."""
    tracks = []
    for track in each(get(one, "Track")):
        kind = text(get(track, "TrackType"), 16).lower()
        tracks.append(f"{kind}:{text(get(track, 'TrackToken'), 64)}")
    return EdgeRecording(
        text(get(one, "RecordingToken"), 64),
        text(get(one, "Source", "Name")) or text(get(one, "Content")),
        at_us(get(one, "EarliestRecording")),
        at_us(get(one, "LatestRecording")),
        tuple(tracks),
    )
