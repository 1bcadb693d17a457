"""The coded pictures of an MP4 file, byte for byte: no edit list, no filter, nothing decoded.

libavformat through PyAV, which is told that it is MP4 and gets an open file: a name or a list in
the file cannot make it open something else.
"""

from collections.abc import Callable, Iterator
from fractions import Fraction
from typing import BinaryIO

import av

from nvr.base.errors import Damaged
from nvr.wire.mp4 import begun_us

_FRONT_BYTES = 1 << 16
_US_PER_S = 1_000_000
_FAR_US = 1 << 60
"""No file makes a time longer than 64 bits of it."""
_NAMES = {"h264": "h264", "hevc": "h265"}


class Pictures:
    """The video of an MP4 file.

    Args:
        opened: Opens the file anew, at its beginning.

    Attributes:
        codec: ``h264`` or ``h265``.
        record: ``avcC`` or ``hvcC``.
        begun_us: UTC microseconds of the first picture, 0 if the file does not say.
        end_us: When the last picture ends, once they were read.

    Raises:
        Damaged: ``clip.unreadable``: it is no MP4 file, or has no H.264 or H.265 in it.
    """

    def __init__(self, opened: Callable[[], BinaryIO]) -> None:
        self._opened = opened
        with opened() as file:
            front = file.read(_FRONT_BYTES)
            file.seek(0)
            try:
                with av.open(file, "r", format="mov", metadata_errors="replace") as container:
                    stream = next(iter(container.streams.video), None)
                    several = len(container.streams.video) > 1
                    coded = stream.codec_context if stream else None
                    name = coded.name if coded else ""
                    self.record = bytes(coded.extradata or b"") if coded else b""
                    self.begun_us = begun_us(front, stream.id) or 0 if stream else 0
            except av.error.FFmpegError as err:
                raise _unreadable(err) from err
        self.end_us = self.begun_us
        if several:
            raise Damaged("clip.unreadable", "there is more than one video track in it")
        if name not in _NAMES:
            raise Damaged("clip.unreadable", "there is no H.264 or H.265 in it")
        self.codec = _NAMES[name]

    def read(self) -> Iterator[tuple[bytes, int]]:
        """Yield each picture with the UTC microseconds at which it is decoded.

        Raises:
            Damaged: ``clip.unreadable``.
        """
        with self._opened() as file:
            try:
                options = {"ignore_editlist": "1"}
                with av.open(
                    file, "r", format="mov", options=options, metadata_errors="replace"
                ) as container:
                    stream = container.streams.video[0]
                    scale, first = stream.time_base or Fraction(1), None
                    for packet in container.demux(stream):
                        if packet.size == 0 or packet.dts is None:
                            continue
                        first = packet.dts if first is None else first
                        at_us = _clamped(self.begun_us + (packet.dts - first) * scale * _US_PER_S)
                        length = (packet.duration or 0) * scale * _US_PER_S
                        self.end_us = _clamped(at_us + length)
                        yield bytes(packet), at_us
            except av.error.FFmpegError as err:
                raise _unreadable(err) from err


def _clamped(at_us: Fraction) -> int:
    return max(-_FAR_US, min(_FAR_US, int(at_us)))


def _unreadable(err: Exception) -> Damaged:
    return Damaged("clip.unreadable", f"it is no MP4 file that can be read: {err}")
