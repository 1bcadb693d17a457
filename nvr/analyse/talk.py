"""What the sandbox that looks at pictures is told and what it answers, as msgpack.

Both sides check what they get: an answer comes from where foreign bytes are decoded.
"""

from typing import Annotated, NamedTuple

import msgspec
from msgspec import Meta

from nvr.analyse.grid import CELLS
from nvr.base.errors import Damaged
from nvr.media.aim import Grey

MOST_SEEN = 4096
MOST_JPEG_BYTES = 4 << 20
MEMORY_BYTES = 8 + 4 * CELLS
MOST_THINGS = 64
MOST_SAID = 300
UNUSABLE = "objects.model"
"""Code of a model that cannot be used."""


class Watch(msgspec.Struct, tag=True, array_like=True, frozen=True):
    """Begin to look at a stream, or go on with another configuration of it.

    Attributes:
        stream: Its number.
        codec: ``h264``, ``h265`` or ``jpeg``.
        config: ``avcC`` or ``hvcC`` record, empty of JPEG.
        sense: See `nvr.analyse.grid.masks`.
        zones: The same.
        memory: What `Keep` gave, empty if there is none.
    """

    stream: int
    codec: str
    config: bytes
    sense: bytes
    zones: bytes
    memory: bytes = b""


class Feed(msgspec.Struct, tag=True, array_like=True, frozen=True):
    """Look at pictures.

    Attributes:
        stream: Its number.
        units: Coded pictures in the order of decoding: bytes as MP4 has them, when each is shown
            on a line of 90 kHz.
        apart_90k: Pictures closer together than that are decoded, but not looked at.
        alone: Each is a key frame and shown at once; nothing hangs on another.
        flags: Of `nvr._native.Scene.look`.
        map: The cells that moved are wanted too.
    """

    stream: int
    units: list[tuple[bytes, int]]
    apart_90k: int
    alone: bool
    flags: int
    map: bool = False


class Picture(msgspec.Struct, tag=True, array_like=True, frozen=True):
    """Give the picture last looked at as a JPEG.

    Attributes:
        stream: Its number.
        width: Most pixels across.
        box: What to draw a frame around, as of `Thing`; None for nothing.
    """

    stream: int
    width: int
    box: tuple[int, int, int, int] | None = None


class Find(msgspec.Struct, tag=True, array_like=True, frozen=True):
    """Look for objects in the picture last looked at.

    Attributes:
        stream: Its number.
        least_permille: What is less sure is nothing.
        classes: Which are looked for.
    """

    stream: int
    least_permille: int
    classes: list[int]


class About(msgspec.Struct, tag=True, array_like=True, frozen=True):
    """Say what finds objects. To be asked before foreign bytes have come."""


class Still(msgspec.Struct, tag=True, array_like=True, frozen=True):
    """Make a JPEG of a key frame of any stream.

    Attributes:
        codec: ``h264``, ``h265`` or ``jpeg``.
        config: ``avcC`` or ``hvcC`` record, empty of JPEG.
        unit: Bytes as MP4 has them.
        width: Most pixels across, 0 for as many as it has.
        grey: Not a JPEG, but luma: see `nvr.codec.still.grey`.
    """

    codec: str
    config: bytes
    unit: bytes
    width: int = 0
    grey: bool = False


class Keep(msgspec.Struct, tag=True, array_like=True, frozen=True):
    """Give what was learned of a stream."""

    stream: int


class Forget(msgspec.Struct, tag=True, array_like=True, frozen=True):
    """Forget what was learned of a stream, or the stream itself."""

    stream: int
    altogether: bool = False


Request = Watch | Feed | Picture | Find | About | Still | Keep | Forget

_Int = Annotated[int, Meta(ge=-(1 << 31), lt=1 << 31)]
Row = tuple[
    tuple[_Int, _Int, _Int, _Int, _Int, _Int, _Int, _Int],
    _Int, _Int, _Int, _Int, _Int, _Int, _Int, _Int,
    _Int, _Int, _Int, _Int, _Int, _Int, _Int, _Int, _Int,
]  # fmt: skip
"""See `nvr.analyse.judge.Seen`."""


class Saw(msgspec.Struct, tag=True, array_like=True, frozen=True):
    """What was seen.

    Attributes:
        pictures: Of each picture looked at, when it is shown and what `Scene.look` said.
        decoded: How many were decoded.
        failed: Coded pictures that the decoder refused.
        cpu_us: CPU time of the answer.
        map: Cells that moved in the last picture, one byte each, if it was asked for.
        size: Of the pictures, in pixels.
    """

    pictures: Annotated[list[tuple[int, Row]], Meta(max_length=MOST_SEEN)]
    decoded: int
    failed: int
    cpu_us: int
    map: Annotated[bytes, Meta(max_length=CELLS)] = b""
    size: tuple[int, int] = (0, 0)


class Made(msgspec.Struct, tag=True, array_like=True, frozen=True):
    """A JPEG, or what was learned; empty if there is none.

    Attributes:
        data: The bytes.
    """

    data: Annotated[bytes, Meta(max_length=MOST_JPEG_BYTES)] = b""


_Permille = Annotated[int, Meta(ge=0, le=1000)]


class Thing(NamedTuple):
    """An object in a picture.

    Attributes:
        label: Which class, from 0.
        sure_permille: How sure the model is.
        moving: How many cells that move lie in it, of those where motion is looked for.
        box_permille: Left, top, right and bottom, thousandths of the picture.
    """

    label: Annotated[int, Meta(ge=0, lt=1000)]
    sure_permille: _Permille
    moving: Annotated[int, Meta(ge=0, le=CELLS)]
    box_permille: tuple[_Permille, _Permille, _Permille, _Permille]


class Things(msgspec.Struct, tag=True, array_like=True, frozen=True):
    """What was found.

    Attributes:
        things: The surest first.
        cpu_us: CPU time of the answer.
    """

    things: Annotated[list[Thing], Meta(max_length=MOST_THINGS)]
    cpu_us: int


class Knows(msgspec.Struct, tag=True, array_like=True, frozen=True):
    """What finds objects.

    Attributes:
        code: Why nothing does: ``objects.no_runtime``, ``objects.model``; empty if something does.
        detail: More of that.
        layout: See `nvr.analyse.layout`.
        size: Of the pictures it takes, pixels.
        labels: Of its classes, as many as have one.
    """

    code: Annotated[str, Meta(max_length=64)] = "objects.no_model"
    detail: Annotated[str, Meta(max_length=MOST_SAID)] = ""
    layout: Annotated[str, Meta(max_length=16)] = ""
    size: tuple[int, int] = (0, 0)
    labels: Annotated[list[Annotated[str, Meta(max_length=48)]], Meta(max_length=1000)] = []


Answer = Saw | Made | Things | Knows
REQUESTS = msgspec.msgpack.Decoder(Request)
_ANSWERS = msgspec.msgpack.Decoder(Answer)


def answered(data: bytes) -> Answer:
    """Read an answer.

    Raises:
        Damaged: ``sandbox.died``.
    """
    try:
        return _ANSWERS.decode(data)
    except (msgspec.MsgspecError, RecursionError) as err:
        raise nonsense() from err


def nonsense() -> Damaged:
    """What to raise for an answer that does not fit."""
    return Damaged("sandbox.died", "the decoder could not bear it: it answered nonsense")


def grey_of(data: bytes) -> Grey:
    """Return the picture that a `Still` in grey was answered with.

    Raises:
        Damaged: ``sandbox.died``.
    """
    width, height = int.from_bytes(data[:2], "big"), int.from_bytes(data[2:4], "big")
    if len(data) <= 4 or len(data) != 4 + width * height:
        raise Damaged("sandbox.died", "what decodes pictures gave something that is none")
    return Grey(width, height, data[4:])
