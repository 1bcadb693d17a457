"""How a head is described: what Pelco heads and most others can do, speeds and nothing else."""

from nvr.serve.onvif.channel import Profile
from nvr.wire.soap import duration, leaf, tag

_SPACE = "http://www.onvif.org/ver10/tptz"
PAN_TILT_SPEED = f"{_SPACE}/PanTiltSpaces/VelocityGenericSpace"
ZOOM_SPEED = f"{_SPACE}/ZoomSpaces/VelocityGenericSpace"
PAN_TILT_PLACE = f"{_SPACE}/PanTiltSpaces/PositionGenericSpace"
ZOOM_PLACE = f"{_SPACE}/ZoomSpaces/PositionGenericSpace"
PAN_TILT_WAY = f"{_SPACE}/PanTiltSpaces/TranslationGenericSpace"
ZOOM_WAY = f"{_SPACE}/ZoomSpaces/TranslationGenericSpace"
TIMEOUT_S = 5.0
"""How long a motion goes on that names no time."""
SHORTEST_S, LONGEST_S = 0.1, 9.0
MOST_PRESETS = 255


def _range(name: str, low: float, high: float) -> str:
    return tag(name, leaf("tt:Min", low), leaf("tt:Max", high))


def spaces(name: str, *, points: bool = False) -> str:
    """The spaces there are; places too, of a head that says where it points."""
    full = ("tt:XRange", -1.0, 1.0)
    pan_tilt = (_range(*full), _range("tt:YRange", -1.0, 1.0))
    places = (
        tag("tt:AbsolutePanTiltPositionSpace", leaf("tt:URI", PAN_TILT_PLACE), *pan_tilt),
        tag(
            "tt:AbsoluteZoomPositionSpace", leaf("tt:URI", ZOOM_PLACE),
            _range("tt:XRange", 0.0, 1.0),
        ),
        tag("tt:RelativePanTiltTranslationSpace", leaf("tt:URI", PAN_TILT_WAY), *pan_tilt),
        tag("tt:RelativeZoomTranslationSpace", leaf("tt:URI", ZOOM_WAY), _range(*full)),
    )  # fmt: skip
    return tag(
        name, *(places if points else ()),
        tag(
            "tt:ContinuousPanTiltVelocitySpace", leaf("tt:URI", PAN_TILT_SPEED),
            _range(*full), _range("tt:YRange", -1.0, 1.0),
        ),
        tag("tt:ContinuousZoomVelocitySpace", leaf("tt:URI", ZOOM_SPEED), _range(*full)),
    )  # fmt: skip


def configuration(name: str, one: Profile) -> str:
    """The one configuration of a head."""
    camera = one.camera
    places = (
        leaf("tt:DefaultAbsolutePantTiltPositionSpace", PAN_TILT_PLACE),  # the schema's spelling
        leaf("tt:DefaultAbsoluteZoomPositionSpace", ZOOM_PLACE),
        leaf("tt:DefaultRelativePanTiltTranslationSpace", PAN_TILT_WAY),
        leaf("tt:DefaultRelativeZoomTranslationSpace", ZOOM_WAY),
    )
    return tag(
        name, leaf("tt:Name", camera.title or camera.name),
        leaf("tt:UseCount", 1 if camera.sub is None else 2), leaf("tt:NodeToken", camera.name),
        *(places if one.points else ()),
        leaf("tt:DefaultContinuousPanTiltVelocitySpace", PAN_TILT_SPEED),
        leaf("tt:DefaultContinuousZoomVelocitySpace", ZOOM_SPEED),
        leaf("tt:DefaultPTZTimeout", duration(TIMEOUT_S)),
        token=camera.name,
    )  # fmt: skip


def options(name: str, one: Profile) -> str:
    """What could be chosen: only how long a motion lasts, with each."""
    return tag(
        name, spaces("tt:Spaces", points=one.points),
        tag(
            "tt:PTZTimeout", leaf("tt:Min", duration(SHORTEST_S)),
            leaf("tt:Max", duration(LONGEST_S)),
        ),
    )  # fmt: skip
