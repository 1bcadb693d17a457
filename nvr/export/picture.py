"""What the sandbox that burns captions is told and what it answers, as msgpack.

Both sides check what they get: an answer comes from where foreign bytes are decoded.
"""

import msgspec

from nvr.base.errors import Damaged
from nvr.media.mask import Masks


class Look(msgspec.Struct, array_like=True, frozen=True):
    """A caption. See `nvr.media.camera.CaptionText`."""

    lines: tuple[str, ...]
    position_permille: tuple[int, int]
    size_permille: int
    mode: str


class Begin(msgspec.Struct, tag=True, array_like=True, frozen=True):
    """Begin a film.

    Attributes:
        codec: ``h264``, ``h265`` or ``jpeg``, of the pictures that come.
        config: Their ``avcC`` or ``hvcC`` record, empty of JPEG.
        size: ``(width, height)`` of those that go out, even, in pixels.
        fps: How many a second are expected.
        bitrate_bps: What those that go out may take.
        masks: What is hidden.
    """

    codec: str
    config: bytes
    size: tuple[int, int]
    fps: int
    bitrate_bps: int
    masks: Masks = ()


class Units(msgspec.Struct, tag=True, array_like=True, frozen=True):
    """Go on.

    Attributes:
        units: Coded pictures in the order of decoding: bytes as MP4 has them, when each is shown
            on a line of 90 kHz, and the UTC microseconds of that.
        look: The caption from the first of them on, None if it stays what it was.
        last: Nothing comes after them.
    """

    units: list[tuple[bytes, int, int]]
    look: Look | None = None
    last: bool = False


class Begun(msgspec.Struct, tag=True, array_like=True, frozen=True):
    """It can begin.

    Attributes:
        sps: Sequence parameter set of what goes out.
        pps: Picture parameter set.
    """

    sps: bytes
    pps: bytes


class Pictures(msgspec.Struct, tag=True, array_like=True, frozen=True):
    """What could be decoded, with its caption.

    Attributes:
        pictures: Coded in H.264 as MP4 has them, when each is shown, whether it is a key frame.
        missing: Characters of a new caption that the font does not have.
    """

    pictures: list[tuple[bytes, int, bool]]
    missing: str = ""


Request = Begin | Units
_ANSWERS = msgspec.msgpack.Decoder(Begun | Pictures)


def answered(data: bytes) -> Begun | Pictures:
    """Read an answer.

    Raises:
        Damaged: ``sandbox.died``.
    """
    try:
        return _ANSWERS.decode(data)
    except (msgspec.DecodeError, RecursionError) as err:
        raise Damaged(
            "sandbox.died", "the decoder could not bear it: it answered nonsense"
        ) from err
