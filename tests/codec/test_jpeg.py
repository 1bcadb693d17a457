"""A webcam's pictures are decoded in the sandbox: right, and whatever they are."""

import os
import signal

import av
import numpy as np
import pytest

from nvr.base.errors import Damaged
from nvr.codec.jpeg import JpegDecoder


def jpeg(width=160, height=120, level=120, pixels="yuvj422p", stripe=True):
    frame = av.VideoFrame(width, height, pixels)
    for plane in frame.planes:
        np.frombuffer(memoryview(plane), np.uint8)[:] = 128
    luma = np.frombuffer(memoryview(frame.planes[0]), np.uint8).reshape(height, -1)
    luma[:] = level
    if stripe:
        luma[:, : width // 2] = 255
    maker = av.CodecContext.create("mjpeg", "w")
    maker.width, maker.height, maker.pix_fmt, maker.time_base = width, height, pixels, 1
    maker.options = {"qmin": "1", "qmax": "1"}
    return bytes(maker.encode(frame)[0])


@pytest.fixture(scope="module")
def decoder():
    made = JpegDecoder((160, 120))
    yield made
    made.close()


@pytest.mark.parametrize("pixels", ["yuvj420p", "yuvj422p", "yuvj444p"])
def test_a_picture_comes_out_in_limited_range(decoder, pixels):
    found = decoder.decode(jpeg(pixels=pixels))
    luma = found.to_ndarray()[:120]
    assert luma[60, 20] == pytest.approx(235, abs=2)
    assert luma[60, 140] == pytest.approx(16 + 120 * 219 / 255, abs=2)


@pytest.mark.parametrize(
    "broken", [b"", b"\xff\xd8", b"noise" * 1000, jpeg(320, 240), jpeg()[:200] + bytes(100)]
)
def test_what_is_no_picture_is_left_out(decoder, broken):
    assert decoder.decode(broken) is None or len(broken) == 300  # a torn one may still show
    assert decoder.decode(jpeg()) is not None


def test_a_decoder_that_dies_is_started_again():
    made = JpegDecoder((160, 120))
    try:
        for _ in range(2):
            os.kill(made.pid, signal.SIGKILL)
            assert made.decode(jpeg()) is None
            assert made.decode(jpeg()) is not None
    finally:
        made.close()


def test_pictures_that_always_crash_it_are_given_up():
    made = JpegDecoder((160, 120))
    try:
        for _ in range(2):
            made.start()
            os.kill(made.pid, signal.SIGKILL)
            assert made.decode(jpeg()) is None
        made.start()
        os.kill(made.pid, signal.SIGKILL)
        with pytest.raises(Damaged, match="garbage"):
            made.decode(jpeg())
    finally:
        made.close()
