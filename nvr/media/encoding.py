"""How the encoders of the box do, as page, API and command line say it."""

from dataclasses import dataclass
from typing import Protocol

from nvr.base.errors import Rejected


@dataclass(frozen=True, slots=True)
class EncoderState:
    """One encoder of the board.

    Attributes:
        name: Its name.
        codec: ``h264`` or ``h265``; one that makes both is there twice.
        state: ``works``, ``failed``, ``trying``, or ``untried``: nobody wanted its codec yet.
        code: Error code if it failed.
        detail: A sentence to go with it.
        psnr_db: How near the pictures of its trial came to what went in, 0 if none did.
        sessions: Streams at once.
        used: Of these, now.
        mpixel_s: Million pixels a second for all of them, 0 for no limit.
        costs: Processor seconds of a million pixels by preset, the slowest first.
        proven: A report of a bench run on such a board is there.
    """

    name: str
    codec: str
    state: str
    code: str
    detail: str
    psnr_db: float
    sessions: int
    used: int
    mpixel_s: float
    costs: tuple[tuple[str, float], ...]
    proven: bool


@dataclass(frozen=True, slots=True)
class EncodedStream:
    """One stream that this box encodes.

    Attributes:
        stream: Its name.
        encoder: Which encodes it, empty if none does.
        preset: Of an encoder that has such.
        instead_of: Which would, had it worked or had room; empty if it is the first choice.
        code: Error code if none does.
        detail: A sentence to go with it.
        mpixel_s: Million pixels a second.
        pictures: Encoded since it began.
        late: Pictures left out since then, because nobody was there in time.
        cpu_s: Processor seconds since then, of capture, burning and encoding.
    """

    stream: str
    encoder: str
    preset: str
    instead_of: str
    code: str
    detail: str
    mpixel_s: float
    pictures: int = 0
    late: int = 0
    cpu_s: float = 0.0


@dataclass(frozen=True, slots=True)
class EncodingReport:
    """All of it.

    Attributes:
        encoders: In the board's order of preference.
        streams: Those that are, or are to be, encoded here.
        cores: Processors that encoding may use together.
        used_cores: Of these, how many it is reckoned to use now.
    """

    encoders: tuple[EncoderState, ...] = ()
    streams: tuple[EncodedStream, ...] = ()
    cores: float = 0.0
    used_cores: float = 0.0


@dataclass(frozen=True, slots=True)
class EncodeSettings:
    """How a local camera is encoded. See ``[camera.encode]`` of the configuration.

    Attributes:
        encoder: Its name, or ``auto``.
        codec: ``h264`` or ``h265``.
        kbit_s: Target, 0 for what is usual for size and rate.
        gop_s: Seconds from one key frame to the next.
        fps: At most so many pictures a second, 0 for all.
        profile: ``baseline``, ``main`` or ``high``.
        latency: ``low`` or ``normal``.
    """

    encoder: str = "auto"
    codec: str = "h264"
    kbit_s: int = 0
    gop_s: float = 2.0
    fps: int = 0
    profile: str = "main"
    latency: str = "low"


class Encoding(Protocol):
    """Encoders of the box and what is encoded with them. Rights are the caller's business."""

    def encoding(self) -> EncodingReport:
        """How they do now."""
        ...

    def encode(self, name: str) -> EncodeSettings | None:
        """Return how a camera is encoded, None if it is a network camera.

        Raises:
            Rejected: ``camera.unknown``.
        """
        ...

    async def write_encode(self, name: str, settings: EncodeSettings) -> None:
        """Encode a camera otherwise, at once and for good.

        Rate, GOP and rate of pictures change within a picture or two and the stream goes on;
        another encoder, codec or latency begins it anew, which costs a second.

        Raises:
            Rejected: As `encode`; ``encode.unsupported``; ``config.refused``.
            Unavailable: ``config.unwritable``.
        """
        ...


class NoEncoding:
    """Of a box that encodes nothing. See `Encoding`."""

    def encoding(self) -> EncodingReport:  # noqa: D102 - see Encoding
        return EncodingReport()

    def encode(self, name: str) -> EncodeSettings | None:  # noqa: ARG002, D102 - see Encoding
        return None

    async def write_encode(self, name: str, settings: EncodeSettings) -> None:  # noqa: ARG002, D102 - see Encoding
        raise Rejected("encode.unsupported", "this camera encodes its own picture", camera=name)
