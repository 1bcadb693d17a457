"""JPEG pictures of a webcam, decoded where nothing can be opened, sent or started.

A USB camera is foreign: whoever plugs one in, or pulls the cable of ours and plugs in his, chooses
what the decoder is fed, thirty times a second. So it decodes in a sandbox (`nvr.codec.sandbox`),
and what it gives back is bytes of a size we know: two copies through a pipe, which is its price.

``python -m nvr.codec.jpeg`` is the child: the first message is the size wanted, each further one a
picture; the answer is yuv420p in BT.709, limited range, without padding, or nothing if it is none.
"""

import struct
import sys
from fractions import Fraction
from typing import Final

import av
import numpy as np

from nvr.base.errors import Damaged, Misconfigured, Unavailable
from nvr.codec.confined import serve
from nvr.codec.sandbox import Sandbox
from nvr.codec.tidy import Raw, Tidy
from nvr.media.picture import Picture

_SIZE: Final = struct.Struct(">II")
_ANSWER_CPU_S: Final = 5.0
_ANSWER_S: Final = 20.0
_NICE: Final = 5
_MOST_BYTES: Final = 32 << 20
_MOST_DEATHS: Final = 3


class JpegDecoder:
    """Decodes pictures of one size, one after another. Used by one thread.

    Args:
        size: ``(width, height)`` in pixels; an odd last row or column is cut off.

    Attributes:
        size: Of the pictures that come out.

    Raises:
        Unavailable: ``sandbox.failed``.
    """

    def __init__(self, size: tuple[int, int]) -> None:
        self.size = (size[0] // 2 * 2, size[1] // 2 * 2)
        if not all(self.size) or self.size[0] * self.size[1] * 3 // 2 > _MOST_BYTES:
            raise Misconfigured("device.no_format", "such pictures cannot be used", size=size)
        self._frame = av.VideoFrame(*self.size, "yuv420p")
        self._deaths = 0
        self._box: Sandbox | None = None
        self.start()

    @property
    def pid(self) -> int:
        """The sandbox's process number, 0 while there is none."""
        return self._box.pid if self._box else 0

    def start(self) -> None:
        """Start the sandbox, unless it runs."""
        if self._box is None:
            self._box = self._started()

    def decode(self, jpeg: bytes) -> av.VideoFrame | None:
        """Return the picture, valid until the next one; None if it is none of that size.

        Raises:
            Damaged: ``camera.garbage``: pictures have ended the decoder again and again.
        """
        self.start()
        assert self._box is not None
        try:
            planes = self._box.ask(jpeg)
        except Damaged as err:
            self.close()
            self._deaths += 1
            if self._deaths >= _MOST_DEATHS:
                raise Damaged(
                    "camera.garbage", "its pictures crash the decoder again and again"
                ) from err
            return None
        width, height = self.size
        if len(planes) != width * height * 3 // 2:
            return None
        self._deaths = 0
        self._fill(planes)
        return self._frame

    def close(self) -> None:
        """End the sandbox; twice is once."""
        box, self._box = self._box, None
        if box is not None:
            box.close()

    def _started(self) -> Sandbox:
        box = Sandbox("nvr.codec.jpeg", answer_cpu_s=_ANSWER_CPU_S, answer_s=_ANSWER_S, nice=_NICE)
        try:
            box.ask(_SIZE.pack(*self.size))
        except Damaged as err:
            box.close()
            raise Unavailable("sandbox.failed", err.detail) from err
        return box

    def _fill(self, planes: bytes) -> None:
        width, height = self.size
        at = 0
        for plane, wide, high in zip(
            self._frame.planes,
            (width, width // 2, width // 2),
            (height, height // 2, height // 2),
            strict=True,
        ):
            into = np.frombuffer(memoryview(plane), np.uint8).reshape(-1, plane.line_size)
            into[:high, :wide] = np.frombuffer(planes, np.uint8, wide * high, at).reshape(
                high, wide
            )
            at += wide * high


class _Child:
    """The decoder in the sandbox."""

    def __init__(self) -> None:
        self._size: tuple[int, int] | None = None
        self._decoder = _decoder()
        self._raw: Raw | None = None
        self._tidy: Tidy | None = None

    def answer(self, message: bytes) -> bytes:
        """Take the size, then pictures."""
        if self._size is None:
            width, height = _SIZE.unpack(message)
            self._size = (width, height)
            return b""
        try:
            frames = self._decoder.decode(av.Packet(message)) if message else []
            return self._planes(frames[0]) if frames else b""
        except (av.FFmpegError, Misconfigured):
            return b""

    def _planes(self, frame: av.VideoFrame) -> bytes:
        """Return a picture as the parent wants it, empty if it is of another size."""
        # JPEG is full range and BT.601 (JFIF 1.02); some webcams halve the chroma, or leave it out.
        raw = Raw((frame.width, frame.height), frame.format.name, full=True)
        if raw != self._raw:
            self._raw, self._tidy = raw, Tidy(raw, "off")
        assert self._tidy is not None
        if self._tidy.size != self._size:
            return b""
        return b"".join(map(_packed, self._tidy.take(frame, 0)))


def _packed(picture: Picture) -> bytes:
    """The planes without padding."""
    planes, (width, height) = picture.planes, picture.planes.size
    parts = [(planes.y, planes.y_stride, width, height)]
    parts += [(one, planes.chroma_stride, width // 2, height // 2) for one in planes.chroma]
    return b"".join(
        np.frombuffer(plane, np.uint8).reshape(-1, stride)[:high, :wide].tobytes()
        for plane, stride, wide, high in parts
    )


def _decoder() -> av.VideoCodecContext:
    decoder = av.CodecContext.create("mjpeg", "r")
    assert isinstance(decoder, av.VideoCodecContext)
    decoder.thread_count = 1
    decoder.open()
    return decoder


def _warm() -> None:
    """Have everything loaded that a first picture needs: nothing can be opened later."""
    maker = av.CodecContext.create("mjpeg", "w")
    assert isinstance(maker, av.VideoCodecContext)
    maker.width = maker.height = 16
    maker.pix_fmt = "yuvj422p"
    maker.time_base = Fraction(1)
    child = _Child()
    child.answer(_SIZE.pack(16, 16))
    for packet in maker.encode(av.VideoFrame(16, 16, "yuvj422p")):
        child.answer(bytes(packet))


if __name__ == "__main__":
    av.logging.set_level(av.logging.PANIC)
    _warm()
    serve(_Child().answer)
    sys.exit(0)
