"""Recordings whose pictures say which they are: the lower half of picture n is 20 + 2 (n % 100)."""

from collections.abc import Iterator
from fractions import Fraction

import av
import numpy as np

from nvr.codec.again import prefixed
from nvr.codec.encode import X264, X265, Encoder, picture_of
from nvr.media.encoder import Settings
from nvr.media.part import Part
from nvr.media.track import TrackConfig
from nvr.wire import h264, h265
from tests.record import synthetic
from tests.record.synthetic import FPS, FRAME_90K, Sample

LOOP = 100
STEP = 10
"""Pictures of a part of JPEG: each is a key frame, and none begins a part."""
UPPER = 150
SIZE = (320, 240)


def picture(n: int, size: tuple[int, int] = SIZE) -> av.VideoFrame:
    width, height = size
    y = np.full((height * 3 // 2, width), 128, np.uint8)
    y[: height // 2] = UPPER
    y[height // 2 : height] = 20 + 2 * (n % LOOP)
    return av.VideoFrame.from_ndarray(y, "yuv420p")


def number(luma: float) -> float:
    """Which picture it is, by the luma of its lower half."""
    return (luma - 20) / 2


def recorded(
    stream: str, codec: str, seconds: int, wall_us: int, size: tuple[int, int] = SIZE
) -> Iterator[Part]:
    """Parts of half a second, a key frame every second."""
    if codec == "jpeg":
        yield from _jpegs(stream, seconds, wall_us, size)
        return
    settings = Settings(size, FPS, 400_000, 1.0, codec=codec)
    encoder = Encoder(settings, X265 if codec == "h265" else X264)
    wire = h265 if codec == "h265" else h264
    sets = encoder.parameter_sets
    units = [
        unit
        for n in range(min(seconds * FPS, LOOP))
        for unit in encoder.encode(picture_of(picture(n, size), n * FRAME_90K))
    ]
    units += encoder.close()
    record = wire.hvcc(sets) if codec == "h265" else wire.avcc(sets)
    track = TrackConfig("video", codec, 90_000, record, *size)
    samples = [
        Sample(prefixed(nal for nal in unit.nals if nal not in sets), FRAME_90K, unit.key)
        for unit in units
    ]
    for begin in range(0, seconds * FPS, FPS):
        for first, last in ((begin, begin + FPS // 2), (begin + FPS // 2, begin + FPS)):
            its = samples[first % LOOP : (last - 1) % LOOP + 1]
            yield synthetic.part_of(
                stream, 1, (track,), [(first * FRAME_90K, its)],
                start_90k=first * FRAME_90K, wall_us=wall_us + first * 40_000,
            )  # fmt: skip


def _jpegs(stream: str, seconds: int, wall_us: int, size: tuple[int, int]) -> Iterator[Part]:
    encoder = av.CodecContext.create("mjpeg", "w")
    encoder.width, encoder.height, encoder.pix_fmt = *size, "yuvj420p"
    encoder.time_base = Fraction(1, FPS)
    encoder.options = {"huffman": "default", "qmin": "2", "qmax": "2"}
    track = TrackConfig("video", "jpeg", 90_000, b"", *size)
    for first in range(0, seconds * FPS, STEP):
        its = [
            Sample(bytes(packet), FRAME_90K, True)
            for n in range(first, first + STEP)
            for packet in encoder.encode(picture(n, size).reformat(format="yuvj420p"))
        ]
        yield synthetic.part_of(
            stream, 1, (track,), [(first * FRAME_90K, its)],
            start_90k=first * FRAME_90K, wall_us=wall_us + first * 40_000,
        )  # fmt: skip
