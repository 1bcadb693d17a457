"""What is said between the recorder and the process that films a local camera, as lines of JSON.

The process captures, burns and encodes; its pictures come as interleaved RTP over a socket of their
own, so that ingest takes them as it takes any camera's and no Python touches a packet. Everything
else is one of these: orders down its standard input, reports up its standard output.
"""

from typing import Final

import msgspec

from nvr.base.errors import Damaged, Misconfigured, NvrError, Rejected, Unavailable
from nvr.media.camera import CaptionText
from nvr.media.device import Capture, Controls
from nvr.media.encoder import Latency, Profile
from nvr.media.mask import Masks
from nvr.media.track import VideoCodec

PAYLOAD_TYPE: Final = 96
SOUND_TYPE: Final = 97
SOUND_CHANNEL: Final = 2
"""Interleaved channel of sound; pictures are on 0."""
REPORT_S: Final = 1.0
"""Between two reports while it films."""
LINE_BYTES: Final = 1 << 16
"""Longest order or report."""


class Wish(msgspec.Struct, frozen=True):
    """How it is to be encoded. See `nvr.media.encoder.Settings`; size and rate are the source's.

    Attributes:
        encoder: Which one.
        bitrate_bps: Target, 0 for what is usual for size and rate.
        gop_s: Seconds from one key frame to the next.
        fps: At most so many pictures a second, 0 for all that the source has.
        codec: ``h264`` or ``h265``.
        profile: Of H.264.
        latency: Whether pictures may be held back.
        preset: The encoder's own, empty for its usual.
    """

    encoder: str
    bitrate_bps: int
    gop_s: float = 2.0
    fps: int = 0
    codec: VideoCodec = "h264"
    profile: Profile = "main"
    latency: Latency = "low"
    preset: str = ""


class Begin(msgspec.Struct, tag=True, frozen=True):
    """Film; the first order, and given once.

    Attributes:
        url: What to film: ``test:1280x720@25``.
        socket: File descriptor that takes the pictures.
        wish: How they are encoded.
        caption: What is burned in.
        capture: How a device of this box is to be used.
        masks: What is hidden of its pictures.
        handover: File descriptor over which sockets for sub streams come. See `Sub`.
    """

    url: str
    socket: int
    wish: Wish
    caption: CaptionText | None = None
    capture: Capture = Capture()
    masks: Masks = ()
    handover: int = -1


class Sub(msgspec.Struct, tag=True, frozen=True):
    """Encode the same pictures a second time, smaller; the last one asked for is the one made.

    Its socket was handed over just before, in a message that holds `number` as text.

    Attributes:
        number: What reports about it are marked with.
        wish: How it is encoded.
        box: Most ``(width, height)`` in pixels. See `nvr.media.picture.within`.
    """

    number: int
    wish: Wish
    box: tuple[int, int]


class SubRetarget(msgspec.Struct, tag=True, frozen=True):
    """Encode the sub stream otherwise from its next picture on."""

    number: int
    wish: Wish


class SubEnd(msgspec.Struct, tag=True, frozen=True):
    """Make that sub stream no more."""

    number: int


class Hide(msgspec.Struct, tag=True, frozen=True):
    """Hide other areas from the next picture on."""

    masks: Masks


class Turn(msgspec.Struct, tag=True, frozen=True):
    """Set the device's controls; what it does not take is told by `Refused`."""

    controls: Controls


class Retarget(msgspec.Struct, tag=True, frozen=True):
    """Encode otherwise from the next picture on."""

    wish: Wish


class Key(msgspec.Struct, tag=True, frozen=True):
    """Make the next picture a key frame."""


class Caption(msgspec.Struct, tag=True, frozen=True):
    """Burn another caption; answered by `Lacking` with the same number."""

    number: int
    text: CaptionText


class Began(msgspec.Struct, tag=True, frozen=True):
    """It films: source and encoder are open.

    Attributes:
        encoder: Which one it is.
        size: Of the pictures.
        fps: Pictures a second.
        parameter_sets: In hexadecimal, none if the encoder says them only with the first picture.
        codec: Of the pictures: what was wished for, or what a camera makes itself.
        sound: AudioSpecificConfig in hexadecimal, empty if there is no sound.
        sound_code: Why there is none although it was asked for: ``device.missing``.
    """

    encoder: str
    size: tuple[int, int]
    fps: int
    parameter_sets: tuple[str, ...]
    codec: VideoCodec = "h264"
    sound: str = ""
    sound_code: str = ""


class Work(msgspec.Struct, tag=True, frozen=True):
    """What it has done since it began.

    Attributes:
        pictures: Encoded.
        late: Left out because burning and encoding took too long.
        capture_s: Processor seconds of capture, or of painting.
        burn_s: Of captions and masks.
        encode_s: Of the encoder, as far as it works in the thread that feeds it.
        cpu_s: Of the whole process and what it started.
    """

    pictures: int
    late: int
    capture_s: float
    burn_s: float
    encode_s: float
    cpu_s: float


class Lacking(msgspec.Struct, tag=True, frozen=True):
    """A caption is burned; these characters the font does not have.

    Attributes:
        number: Of the order.
        characters: Each once.
        code: Error code if it was refused instead, and the old one stays.
        detail: A sentence to go with it.
    """

    number: int
    characters: tuple[str, ...] = ()
    code: str = ""
    detail: str = ""


class Condition(msgspec.Struct, tag=True, frozen=True):
    """What is the matter with a source that is open and well; said at each change.

    Attributes:
        code: ``camera.no_signal``, ``camera.no_power``, or empty if all is well again.
        pictures: Pictures that say so come meanwhile; else none come.
    """

    code: str
    pictures: bool


class Failed(msgspec.Struct, tag=True, frozen=True):
    """It could not begin, or ends; the last report.

    Attributes:
        kind: Of the error: the name of its class.
        code: Its code.
        detail: A sentence.
    """

    kind: str
    code: str
    detail: str

    def error(self) -> NvrError:
        """Return it as an error again."""
        return _KINDS.get(self.kind, Unavailable)(self.code, self.detail)


class Refused(msgspec.Struct, tag=True, frozen=True):
    """Settings of `Retarget` or `Turn` do not work; the old ones stay in force."""

    code: str
    detail: str


class OfSub(msgspec.Struct, tag=True, frozen=True):
    """A report about a sub stream; after `Failed` it is made no more, and the main stream goes on.

    Attributes:
        number: Of its order.
        said: The report.
    """

    number: int
    said: Began | Work | Failed | Refused


Order = Begin | Retarget | Key | Caption | Hide | Turn | Sub | SubRetarget | SubEnd
Report = Began | Work | Lacking | Condition | Failed | Refused | OfSub
_KINDS = {each.__name__: each for each in (Unavailable, Rejected, Damaged, Misconfigured)}
_ORDERS: Final = msgspec.json.Decoder(Order)
_REPORTS: Final = msgspec.json.Decoder(Report)


def line(said: Order | Report) -> bytes:
    """Return an order or a report as a line."""
    return msgspec.json.encode(said) + b"\n"


def order(text: bytes) -> Order:
    """Read an order.

    Raises:
        ValueError: It is none.
    """
    return _ORDERS.decode(text)


def report(text: bytes) -> Report:
    """Read a report.

    Raises:
        Damaged: ``film.garbage``: it is none.
    """
    try:
        return _REPORTS.decode(text)
    except (msgspec.DecodeError, RecursionError) as err:
        raise Damaged("film.garbage", f"the process that films says nonsense: {err}") from err
