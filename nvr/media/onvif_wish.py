"""What can be asked of a camera over ONVIF, and who is asked: the port `OnvifClient`.

A question is a value that names the type of its answer, so that it can be put to a client in this
process or through a pipe to one in another.

Source: ONVIF Core, Media, Media2, PTZ, Imaging, Device IO, Recording Search and Replay Control
specifications, 23.06.
"""

from dataclasses import dataclass
from typing import Any, ClassVar, Generic, Literal, Protocol, TypeVar

from nvr.media.onvif import (
    CameraEvent,
    CameraPreset,
    Device,
    EdgeRecording,
    HeadStatus,
    Imaging,
    Mask,
    MaskOptions,
    Node,
    Osd,
    OsdOptions,
    Profile,
    Relay,
    Target,
)

Answer = TypeVar("Answer")


class Wish(Generic[Answer]):
    """A question to a camera.

    Attributes:
        answer: Type of what comes back.
        within_s: Time it may take.
        steers: It moves or stops something: it waits for no other question.
    """

    answer: ClassVar[Any]
    within_s: ClassVar[float] = 10.0
    steers: ClassVar[bool] = False


@dataclass(frozen=True)
class GetDevice(Wish[Device]):
    """Who are you? Also shows whether the log-in is right."""

    answer = Device
    within_s = 15.0


@dataclass(frozen=True)
class GetProfiles(Wish[tuple[Profile, ...]]):
    """Which streams have you? Media2's where it has that, for H.265."""

    answer = tuple[Profile, ...]
    within_s = 15.0


@dataclass(frozen=True)
class GetStreamUri(Wish[str]):
    """Where is a stream? The host is ours, whatever the camera says."""

    profile: str
    media2: bool = False
    multicast: bool = False
    answer = str


@dataclass(frozen=True)
class GetSnapshotUri(Wish[str]):
    """Where is a still picture? The host is ours, whatever the camera says."""

    profile: str
    media2: bool = False
    answer = str


@dataclass(frozen=True)
class SetClock(Wish[None]):
    """Set your clock to UTC microseconds; its zone stays as it is."""

    utc_us: int
    answer = None


@dataclass(frozen=True)
class SetNtp(Wish[None]):
    """Take the time from that server, an address or a name."""

    server: str
    answer = None


@dataclass(frozen=True)
class SetGop(Wish[None]):
    """Make a key frame every so many pictures, in a video encoder configuration."""

    encoder: str
    frames: int
    media2: bool = False
    answer = None
    within_s = 15.0


@dataclass(frozen=True)
class GetNode(Wish[Node]):
    """What can the head of a profile do?"""

    profile: str
    answer = Node


@dataclass(frozen=True)
class Move(Wish[None]):
    """Move with these speeds, -1 to 1, until the lease ends; all zero is a stop.

    The client itself stops the head when the lease ends without another move, and when whoever
    asked is gone.
    """

    profile: str
    pan: float
    tilt: float
    zoom: float
    lease_s: float
    answer = None
    within_s = 3.0
    steers = True


@dataclass(frozen=True)
class Halt(Wish[None]):
    """Stop the head: Stop, then a motion of zero if it still says that it moves."""

    profile: str
    answer = None
    within_s = 10.0
    steers = True


@dataclass(frozen=True)
class GetHeadStatus(Wish[HeadStatus]):
    """Where does the head point?"""

    profile: str
    answer = HeadStatus


@dataclass(frozen=True)
class GoTo(Wish[None]):
    """Go to a position (-1 to 1, zoom 0 to 1), or by a distance if `relative`.

    With `fov` the distance is in what is seen: 1 is from the middle to the edge.
    """

    profile: str
    pan: float
    tilt: float
    zoom: float | None = None
    relative: bool = False
    fov: bool = False
    answer = None


@dataclass(frozen=True)
class GetPresets(Wish[tuple[CameraPreset, ...]]):
    """Which presets do you keep?"""

    profile: str
    answer = tuple[CameraPreset, ...]


@dataclass(frozen=True)
class DoPreset(Wish[str]):
    """Go to, store or clear a preset; storing answers its token, a new one without."""

    profile: str
    do: Literal["call", "set", "clear", "home", "set-home"]
    token: str = ""
    name: str = ""
    answer = str


@dataclass(frozen=True)
class Auxiliary(Wish[None]):
    """Send an auxiliary command that the node lists, or the device takes.

    What switches something on names the command that switches it off: the client itself sends that
    after `lease_s`, and when whoever asked is gone.
    """

    profile: str
    command: str
    off: str = ""
    lease_s: float = 0.0
    answer = None
    steers = True


@dataclass(frozen=True)
class GetImaging(Wish[Imaging]):
    """How is a video source's picture set?"""

    source: str
    answer = Imaging


@dataclass(frozen=True)
class SetImaging(Wish[None]):
    """Change settings of a picture; None and empty leave one."""

    source: str
    settings: Imaging
    answer = None


@dataclass(frozen=True)
class Focus(Wish[None]):
    """Focus with a speed, -1 near to 1 far; 0 stops."""

    source: str
    speed: float
    answer = None
    within_s = 3.0


@dataclass(frozen=True)
class GetRelays(Wish[tuple[Relay, ...]]):
    """Which outputs have you?"""

    answer = tuple[Relay, ...]


@dataclass(frozen=True)
class SetRelay(Wish[None]):
    """Switch an output of the camera."""

    token: str
    on: bool
    answer = None
    within_s = 5.0


@dataclass(frozen=True)
class GetInputs(Wish[tuple[str, ...]]):
    """Which digital inputs have you? Tokens; their levels come as events."""

    answer = tuple[str, ...]


@dataclass(frozen=True)
class GetRecordings(Wish[tuple[EdgeRecording, ...]]):
    """What did you record by yourself?"""

    answer = tuple[EdgeRecording, ...]
    within_s = 60.0


@dataclass(frozen=True)
class GetReplayUri(Wish[str]):
    """Where can a recording be played? To be asked with ``Require: onvif-replay``."""

    recording: str
    answer = str


@dataclass(frozen=True)
class GetOsdOptions(Wish[OsdOptions]):
    """Which texts can you write into the picture of a video source configuration?"""

    source: str
    answer = OsdOptions


@dataclass(frozen=True)
class GetOsds(Wish[tuple[Osd, ...]]):
    """Which texts do you write into the picture?"""

    source: str = ""
    answer = tuple[Osd, ...]


@dataclass(frozen=True)
class SetOsd(Wish[str]):
    """Write a text, a new one if it has no token; answers its token."""

    osd: Osd
    answer = str


@dataclass(frozen=True)
class DeleteOsd(Wish[None]):
    """Write a text no more."""

    token: str
    answer = None


@dataclass(frozen=True)
class GetMaskOptions(Wish[MaskOptions]):
    """Which masks can a video source configuration have? Media2 only."""

    source: str
    answer = MaskOptions


@dataclass(frozen=True)
class GetMasks(Wish[tuple[Mask, ...]]):
    """What do you hide? Media2 only."""

    answer = tuple[Mask, ...]


@dataclass(frozen=True)
class SetMask(Wish[str]):
    """Hide a polygon, a new one if it has no token; answers its token. Media2 only."""

    mask: Mask
    answer = str


@dataclass(frozen=True)
class DeleteMask(Wish[None]):
    """Hide a polygon no more."""

    token: str
    answer = None


@dataclass(frozen=True)
class Pull(Wish[tuple[CameraEvent, ...]]):
    """What happened? Subscribes at the first call and waits up to `wait_s`; renews by itself.

    A subscription is given up when it was not pulled for a minute, and when whoever asked is gone.
    """

    wait_s: float = 20.0
    answer = tuple[CameraEvent, ...]
    within_s = 60.0


@dataclass(frozen=True)
class Unsubscribe(Wish[None]):
    """Tell us no more."""

    answer = None


WISHES: dict[str, type[Wish[Any]]] = {kind.__name__: kind for kind in Wish.__subclasses__()}
"""Every question by its name."""


class OnvifAsk(Protocol):
    """All cameras' services."""

    async def ask(self, target: Target, wish: Wish[Answer]) -> Answer:
        """Put a question to a camera. See `OnvifClient.ask`."""
        ...


class OnvifClient(Protocol):
    """One camera's services."""

    async def ask(self, wish: Wish[Answer]) -> Answer:
        """Put a question to the camera.

        Raises:
            Unavailable: ``onvif.unreachable``, ``onvif.silent``, ``onvif.busy``,
                ``onvif.worker``: the process for it died; the next question starts another.
            Rejected: ``onvif.refused``: the log-in is wrong. ``onvif.locked``: it takes none for
                now. ``onvif.forbidden``: the address is one that we may not connect to.
                ``onvif.redirected``. ``onvif.fault``: it does not want to.
            Damaged: ``onvif.garbage``: what it answers is no ONVIF, or too much.
            Misconfigured: ``onvif.unsupported``: it has no such service.
                ``onvif.certificate``: it is not the one pinned.
        """
        ...
