"""What the configuration says of a camera: its streams, head, caption and plan."""

from typing import Annotated, Literal

from msgspec import Meta, Struct

from nvr.config.analyse import Analyse
from nvr.config.call import OnEvent
from nvr.config.value import Name, Permille, Title
from nvr.media.caption import Mode, fault_of
from nvr.media.drawn import Burn
from nvr.media.mask import MaskKind


class Caption(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Text burned into, or drawn over, a camera's picture. See REQUIREMENTS T11."""

    # 32 characters and fields such as ``{time}``. See `nvr.media.caption`.
    lines: Annotated[list[Annotated[str, Meta(max_length=86)]], Meta(max_length=8)] = []
    position_permille: tuple[Permille, Permille] = (20, 30)
    size_permille: Annotated[int, Meta(ge=15, le=250)] = 42
    mode: Mode = "outline"
    # Of a camera that encodes its own picture: it is told to write the caption into it, where it
    # can, or never; else whoever shows the picture draws it.
    burn: Burn = "auto"

    def __post_init__(self) -> None:
        if fault := fault_of(self.lines):
            raise ValueError(fault)


class Aux(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """An auxiliary output of the head itself; what hangs on which one, its manual says."""

    # Over ONVIF the name of its command: ``tt:Wiper``, ``tt:Washer``, ``tt:IRLamp``.
    aux: Annotated[int, Meta(ge=1, le=8)] | Annotated[str, Meta(pattern=r"^[A-Za-z][\w:.-]{0,31}$")]
    # None: 60 s for a wiper, which scratches a dry glass, ten for a washer, whose tank is small,
    # half an hour for a lamp; over ONVIF 30 s, ten, and ten minutes, for a guard that outlives
    # the recorder is missing there.
    max_on_s: Annotated[float, Meta(gt=0, le=86400)] | None = None


class Ptz(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How pan, tilt and zoom are reached: a decoder on a serial line, or the camera's own ONVIF."""

    # Serial line of the board; none with ``onvif``.
    bus: Annotated[str, Meta(pattern=r"^([a-z0-9][a-z0-9-]{0,31})?$")] = ""
    address: Annotated[int, Meta(ge=1, le=254)] = 1
    # None: what the profile speaks, and Pelco-D where none is named.
    protocol: Literal["pelco-d", "pelco-p", "visca", "onvif"] | None = None
    # What kind of head it is: a file of ``board/ptz``, or of ``ptz`` in the data directory.
    profile: Annotated[str, Meta(pattern=r"^([a-z0-9][a-z0-9-]{0,31})?$")] = ""
    # A head that says where it points counts tilt below the horizon down from 360 or up from 0.
    # None: as the profile says.
    tilt_reply: Literal["falls", "rises"] | None = None
    # Pan value for full deflection. Makers disagree, and some heads take harm above 63: as the
    # profile says, which is off unless the head's manual names one.
    turbo: Literal[0, 0x40, 0xFF] | None = None
    # The name of an output of the board, or ``{ aux = 1 }``: the head's own.
    wiper: Name | Aux | None = None
    # None: what the board says sprays for the wiper, where that is one of its outputs.
    washer: Name | Aux | None = None
    lamp: Name | Aux | None = None
    # Names of positions that the head already keeps, for a box that has no names of its own yet.
    presets: dict[Annotated[str, Meta(pattern=r"^[1-9][0-9]{0,2}$")], Title] = {}


def hung(ptz: Ptz) -> tuple[tuple[str, str | Aux | None], ...]:
    """What can hang on a head, and where the file says it does."""
    return ("wiper", ptz.wiper), ("washer", ptz.washer), ("lamp", ptz.lamp)


Segment = Annotated[
    str,
    Meta(
        pattern=r"^([01][0-9]|2[0-3]):[0-5][0-9]-(([01][0-9]|2[0-3]):[0-5][0-9]|24:00) "
        r"(continuous|event|off)$"
    ),
]
Pixels = Annotated[int, Meta(ge=32, le=8192)]
# Encoders of drivers take nothing smaller.
SubPixels = Annotated[int, Meta(ge=128, le=1920)]
Day = Annotated[list[Segment], Meta(max_length=8)]


class Plan(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """When a camera is recorded, by the clock of the place: ``"08:00-18:00 continuous"``."""

    # Outside of all that follows.
    mode: Literal["continuous", "event", "off"] = "continuous"
    # Recorded with an event, in the hours in which only events are.
    pre_s: Annotated[float, Meta(ge=0, le=30)] = 5.0
    post_s: Annotated[float, Meta(ge=1, le=3600)] = 30.0
    # Every day that has no list of its own.
    every: Day = []
    mon: Day | None = None
    tue: Day | None = None
    wed: Day | None = None
    thu: Day | None = None
    fri: Day | None = None
    sat: Day | None = None
    sun: Day | None = None


EncoderName = Literal[
    "auto", "x264", "x265", "v4l2m2m", "nvenc", "qsv", "jetson", "vaapi", "gst-x264",
    "gst-openh264",
]  # fmt: skip


class Encode(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How the pictures of a local camera are encoded; a network camera encodes its own."""

    # ``auto``: the first of the board's that works here and has room.
    encoder: EncoderName = "auto"
    codec: Literal["h264", "h265"] = "h264"
    # None: by the size and rate of the pictures.
    kbit_s: Annotated[int, Meta(ge=32, le=100_000)] | None = None
    gop_s: Annotated[float, Meta(ge=0.2, le=10)] = 2.0
    # At most so many pictures a second; None: all that the source has.
    fps: Annotated[int, Meta(ge=1, le=60)] | None = None
    profile: Literal["baseline", "main", "high"] = "main"
    # ``normal``: smaller for the same picture, shown up to half a second later.
    latency: Literal["low", "normal"] = "low"


ControlName = Annotated[str, Meta(pattern=r"^[a-z0-9_]{1,40}$")]
ControlValue = Annotated[int, Meta(ge=-(2**31), lt=2**31)]


class Capture(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How a camera or grabber of this box is used; `nvr device` lists what it offers."""

    # ``auto``: the best raw or JPEG one. ``h264``: what the camera encodes goes on untouched.
    format: Literal["auto", "yuyv", "uyvy", "nv12", "yu12", "grey", "mjpeg", "h264"] = "auto"
    size: tuple[Pixels, Pixels] | None = None
    rate_fps: Annotated[float, Meta(gt=0, le=240)] | None = None
    # Number or title of an input; empty: the one in use.
    input: Annotated[str, Meta(max_length=32)] = ""
    standard: Literal["auto", "pal", "ntsc", "secam"] = "auto"
    # ``frames``: one picture of each two fields, as ``auto``; ``fields``: one of each.
    deinterlace: Literal["auto", "off", "frames", "fields"] = "auto"
    # Without a signal: a dark picture that says so is recorded, or nothing is.
    no_signal: Literal["picture", "gap"] = "picture"
    # A microphone or line input: ``CARD=Camera,DEV=0``.
    alsa: Annotated[str, Meta(pattern=r"^(CARD=[^,/\s]{1,32}(,DEV=[0-9]{1,3})?)?$")] = ""
    # Shape of the whole picture, or of its pixels; ``auto``: 4:3 of PAL and NTSC, else square.
    aspect: Literal["auto", "4:3", "16:9", "square"] = "auto"
    # Brightness, exposure, ...: what `nvr device` lists of it.
    controls: Annotated[dict[ControlName, ControlValue], Meta(max_length=32)] = {}


# ``rtsps://`` encrypts; nothing of the camera's certificate is verified.
Url = Annotated[str, Meta(pattern=r"^rtsps?://[^@/\s]+(/\S*)?$")]

# ``test:`` is a picture of our own, to try what a local camera does: ``test:1280x720@25``.
# ``v4l2:`` is a device of this box: ``v4l2:/dev/v4l/by-id/...``.
LOCAL = ("test:", "v4l2:")
MainUrl = Annotated[
    str,
    Meta(
        pattern=r"^(rtsps?://[^@/\s]+(/\S*)?"
        r"|v4l2:/dev/[A-Za-z0-9_.:+@=,/-]{1,200}"
        r"|test:([1-9][0-9]{1,2}[02468]x[1-9][0-9]{1,2}[02468])?(@[1-9][0-9]?)?)$"
    ),
]


class Sub(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A second, smaller stream: a network camera's own, or made here of a local camera's pictures.

    Of a network camera it has a `url`, under the same log-in; the four below it are for a local
    camera, which has none.
    """

    url: Url | Literal[""] = ""
    # Most pixels; the shape of the picture stays.
    size: tuple[SubPixels, SubPixels] | None = None
    # At most so many pictures a second.
    fps: Annotated[int, Meta(ge=1, le=60)] | None = None
    # None: by size and rate.
    kbit_s: Annotated[int, Meta(ge=32, le=100_000)] | None = None
    codec: Literal["h264", "h265"] | None = None
    # False: it is only watched.
    record: bool = True
    plan: Plan | None = None
    # As long as the camera's, and not longer than the camera's, unless said here.
    retain_h: Annotated[int, Meta(ge=1, le=8784)] | None = None
    guaranteed_h: Annotated[int, Meta(ge=0, le=8784)] = 0
    limit_h: Annotated[int, Meta(ge=2, le=87840)] | None = None
    # Of this stream alone; the camera's own is for both together.
    limit_gb: Annotated[float, Meta(gt=0, le=1_000_000)] | None = None


class Onvif(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A camera's own services, under the camera's log-in."""

    # ``192.0.2.10:80``; ``https://192.0.2.10:443``, whose certificate is not verified but by `pin`.
    address: Annotated[str, Meta(pattern=r"^(https?://)?[^@/\s]+(/\S*)?$", max_length=256)]
    # SHA-256 of the only certificate to be taken.
    pin: Annotated[str, Meta(pattern=r"^[0-9a-f]{64}$")] | None = None
    # Which of its profiles is steered; None: the first one that can be.
    profile: Annotated[str, Meta(min_length=1, max_length=64)] | None = None
    # Motion, tampering and digital inputs that it tells of are events here.
    events: bool = True


class Backfill(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Fetching what was missed from the camera's own storage, over ONVIF Profile G."""

    on: bool = True
    # Megabits a second at most.
    mbit_s: Annotated[float, Meta(ge=0.1, le=1000)] = 8.0
    # What is longer ago is left; never longer ago than it would be kept.
    back_h: Annotated[int, Meta(ge=1, le=720)] = 24
    # What is shorter is left.
    least_s: Annotated[float, Meta(ge=1, le=3600)] = 5.0
    # Token of the recording; empty: the only one there is, or of `[camera.onvif] profile`.
    recording: Annotated[str, Meta(max_length=64)] = ""


# ``auto``: TCP, and what a camera that refuses it offers. ``http``: through the web port.
Transport = Literal["auto", "tcp", "udp", "multicast", "http"]


Tolerable = Literal[
    "camera.clock_drift", "camera.frame_rate", "camera.gop_long", "camera.loss",
    "camera.sound_missing", "camera.sound_unsupported", "camera.sub_missing", "camera.unsteady",
]  # fmt: skip


class MaskArea(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """An area that only who has the right ``unmasked`` sees. See `nvr.media.mask`."""

    points_permille: Annotated[list[tuple[Permille, Permille]], Meta(min_length=3, max_length=16)]
    kind: MaskKind = "solid"


class Camera(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One camera."""

    name: Name
    # What it is called on a keyboard.
    number: Annotated[int, Meta(ge=1, le=254)] | None = None
    url: MainUrl
    # Of the sub stream too, as the two below.
    transport: Transport = "auto"
    # Of ``rtsps://``: the SHA-256 of the one certificate that is taken; a PEM file with the CA that
    # must have signed it, beside this one. With neither any certificate is taken.
    tls_pin: Annotated[str, Meta(pattern=r"^(([0-9a-fA-F]{2}:?){31}[0-9a-fA-F]{2})?$")] = ""
    tls_ca: Annotated[str, Meta(max_length=256, pattern=r"^[^\x00-\x1f]*$")] = ""
    title: Title | None = None
    user: Annotated[str, Meta(max_length=64)] = ""
    # False: sound is not even asked for, so it is neither heard live nor recorded.
    audio: bool = True
    # Hours to be kept; of a disk that is too small every camera gets the same share of them, but
    # what is guaranteed is shortened last.
    retain_h: Annotated[int, Meta(ge=1, le=8784)] = 168
    guaranteed_h: Annotated[int, Meta(ge=0, le=8784)] = 0
    # Not longer, and not more: older recordings are erased although there is room for them.
    limit_h: Annotated[int, Meta(ge=2, le=87840)] | None = None
    limit_gb: Annotated[float, Meta(gt=0, le=1_000_000)] | None = None
    priority: Annotated[int, Meta(ge=0, le=9)] = 5
    # What is known of it and cannot be helped: it is shown, and no reason to call it degraded.
    tolerate: Annotated[list[Tolerable], Meta(max_length=8)] = []
    plan: Plan | None = None
    sub: Sub | None = None
    ptz: Ptz | None = None
    caption: Caption | None = None
    mask: Annotated[list[MaskArea], Meta(max_length=8)] = []
    # The same of masks: what a camera hides itself nobody sees again, whatever their rights.
    mask_burn: Burn = "auto"
    encode: Encode | None = None
    onvif: Onvif | None = None
    capture: Capture | None = None
    # None: nothing is looked at.
    analyse: Analyse | None = None
    # None: nothing is fetched. It needs `onvif`.
    backfill: Backfill | None = None
    # Where a head is sent when something happens here.
    on_event: Annotated[list[OnEvent], Meta(max_length=16)] = []
