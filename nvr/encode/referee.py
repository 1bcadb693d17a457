"""The program in the sandbox that decodes what an encoder on trial has made.

What a driver writes is no more to be trusted than what a camera sends: a stream that crashes the
decoder is a verdict, and not an end. Asked with a codec and byte streams, it answers with planes.
"""

import av
import msgspec
from av.video.reformatter import ColorRange

from nvr.codec.confined import serve
from nvr.codec.encode import Encoder, picture_of
from nvr.media.encoder import Settings
from nvr.media.track import VideoCodec

MOST_BYTES = 48 << 20
"""Of all planes together."""


class Case(msgspec.Struct, array_like=True, frozen=True):
    """What is to be decoded: the codec, and each picture as a byte stream."""

    codec: VideoCodec
    units: list[bytes]


class Seen(msgspec.Struct, array_like=True, frozen=True):
    """One decoded picture.

    Attributes:
        size: ``(width, height)``.
        form: Its format, as libav calls it.
        full: It says that its range is full.
        key: It is a key frame.
        planes: Luma and chroma of yuv420p without padding, empty if it is another format.
    """

    size: tuple[int, int]
    form: str
    full: bool
    key: bool
    planes: bytes


def decode(case: Case) -> list[Seen]:
    """Decode all of it; what cannot be is left out."""
    decoder = av.CodecContext.create("hevc" if case.codec == "h265" else "h264", "r")
    decoder.thread_count = 1
    seen: list[Seen] = []
    left = MOST_BYTES
    for unit in [*case.units, None]:
        try:
            frames = decoder.decode(None if unit is None else av.Packet(unit))
        except av.FFmpegError:
            continue
        for frame in frames:
            assert isinstance(frame, av.VideoFrame)
            plain = frame.format.name in {"yuv420p", "yuvj420p"}
            planes = frame.to_ndarray(format="yuv420p").tobytes() if plain and left > 0 else b""
            left -= len(planes)
            full = frame.color_range == ColorRange.JPEG
            size = (frame.width, frame.height)
            seen.append(Seen(size, frame.format.name, full, bool(frame.key_frame), planes))
    return seen


def main() -> None:
    """Run in the sandbox."""
    av.logging.set_level(av.logging.PANIC)
    encoder = Encoder(Settings((64, 64), 25, 100_000))  # once: what is loaded late could not be
    units = encoder.encode(picture_of(av.VideoFrame(64, 64, "yuv420p"), 0))
    codecs: tuple[VideoCodec, ...] = ("h264", "h265")
    for codec in codecs:
        decode(Case(codec, [unit.annex_b() for unit in units]))
    asked = msgspec.msgpack.Decoder(Case)
    serve(lambda message: msgspec.msgpack.encode(decode(asked.decode(message))))


if __name__ == "__main__":
    main()
