"""What the sandbox that converts pictures is told and what it answers, as msgpack.

Both sides check what they get: an answer comes from where foreign bytes are decoded.
"""

from typing import TypeVar

import msgspec

from nvr.base.errors import Damaged
from nvr.codec.sandbox import Sandbox
from nvr.media.camera import CaptionText
from nvr.media.mask import Masks
from nvr.media.track import TrackConfig
from nvr.wire import h264

_HZ = 90_000


class Wanted(msgspec.Struct, tag=True, array_like=True, frozen=True):
    """Begin anew.

    Attributes:
        codec: ``h264``, ``h265`` or ``jpeg``, of the pictures that come.
        config: Their ``avcC`` or ``hvcC`` record, empty of JPEG.
        most_lines: Height at most of those that go out, pixels.
        fps: So many a second are expected, and made at most unless `every`.
        bitrate_bps: What they may take.
        every: None is left out for the rate.
    """

    codec: str
    config: bytes
    most_lines: int
    fps: int
    bitrate_bps: int
    every: bool = False


class Burned(msgspec.Struct, array_like=True, frozen=True):
    """A caption over pictures that are made of others.

    Attributes:
        caption: What is burned in.
        clock: What ``{clock}`` stands for.
        since_us: UTC microseconds at 0 of the line that pictures are shown on.
    """

    caption: CaptionText
    clock: str
    since_us: int


class Coded(msgspec.Struct, tag=True, array_like=True, frozen=True):
    """Go on.

    Attributes:
        units: Coded pictures in the order of decoding: bytes as MP4 has them, and when each is
            shown on a line of 90 kHz.
        masks: What is hidden of all that comes out now, those that the decoder held included.
        last: Nothing comes after them.
        burned: Caption over what comes out; only a sandbox started for captions heeds it.
    """

    units: list[tuple[bytes, int]]
    masks: Masks = ()
    last: bool = False
    burned: Burned | None = None


class Still(msgspec.Struct, tag=True, array_like=True, frozen=True):
    """Make a JPEG of one picture.

    Attributes:
        codec: ``h264``, ``h265`` or ``jpeg``.
        config: ``avcC`` or ``hvcC`` record, empty of a JPEG.
        unit: The picture.
        width: Most pixels across, 0 for as many as it has.
        masks: What is hidden.
    """

    codec: str
    config: bytes
    unit: bytes
    width: int
    masks: Masks


class Head(msgspec.Struct, array_like=True, frozen=True):
    """Parameter sets and size of what comes out."""

    sps: bytes
    pps: bytes
    size: tuple[int, int]


class Recoded(msgspec.Struct, tag=True, array_like=True, frozen=True):
    """What came out: a head where there is a key frame; samples of MP4, their times, which key."""

    head: Head | None
    samples: list[tuple[bytes, int, bool]]


class Made(msgspec.Struct, tag=True, array_like=True, frozen=True):
    """A JPEG, empty if it was no picture."""

    jpeg: bytes


Request = Wanted | Coded | Still
Answer = Recoded | Made
T = TypeVar("T", Recoded, Made)
REQUESTS = msgspec.msgpack.Decoder(Request)
_ANSWERS = msgspec.msgpack.Decoder(Answer)


def ask(box: Sandbox, request: Request, kind: type[T]) -> T:
    """Ask, and check the answer.

    Raises:
        Damaged: ``sandbox.died``.
    """
    try:
        answer = _ANSWERS.decode(box.ask(msgspec.msgpack.encode(request)))
    except (msgspec.DecodeError, RecursionError) as err:
        raise nonsense() from err
    if not isinstance(answer, kind):
        raise nonsense()
    return answer


def track_of(head: Head) -> TrackConfig:
    """Return the track of what comes out.

    Raises:
        Damaged: ``sandbox.died``: it is none.
    """
    try:
        record = h264.avcc([head.sps, head.pps])
    except ValueError as err:
        raise nonsense() from err
    return TrackConfig("video", "h264", _HZ, record, *head.size)


def nonsense() -> Damaged:
    """Return the error for an answer that is none."""
    return Damaged("sandbox.died", "the decoder could not bear it: it answered nonsense")
