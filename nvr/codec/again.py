"""Pictures that were decoded, on their way into an encoder again and from it into an MP4."""

from collections.abc import Iterable, Mapping
from typing import Final

import av
from av.video.reformatter import ColorRange, Colorspace

from nvr.media.encoder import AccessUnit
from nvr.wire import h264, h265

_SD_LINES = 576
_BT601, _UNSAID = frozenset((5, 6)), 2
"""Matrices as ITU-T H.273 numbers them; unsaid, players go by the number of lines."""
DECODERS: Final[Mapping[str, str]] = {"h264": "h264", "h265": "hevc", "jpeg": "mjpeg"}
"""libav's decoder of what is recorded."""


def pixel_aspect(codec: str, config: bytes) -> tuple[int, int]:
    """Width and height of a pixel, as the configuration of what is recorded says."""
    of = {"h264": h264.pixel_aspect, "h265": h265.pixel_aspect}.get(codec)
    return of(config) if of else (1, 1)


def encodable(frame: av.VideoFrame, size: tuple[int, int]) -> av.VideoFrame:
    """Return a picture as `nvr.codec.encode.Encoder` wants it.

    Args:
        frame: As a decoder gave it, in any colours.
        size: Width and height it shall have, in pixels.

    Returns:
        yuv420p, BT.709, limited range; in the decoder's memory where there was nothing to convert.
    """
    matrix = frame.colorspace
    sd = matrix in _BT601 or (matrix == _UNSAID and frame.height <= _SD_LINES)
    full = frame.color_range == ColorRange.JPEG
    return frame.reformat(
        *size,
        "yuv420p",
        src_colorspace=Colorspace.ITU601 if sd else Colorspace.ITU709,
        dst_colorspace=Colorspace.ITU709,
        src_color_range=ColorRange.JPEG if full else ColorRange.MPEG,
        dst_color_range=ColorRange.MPEG,
        threads=1,
    )


def prefixed(nals: Iterable[bytes]) -> bytes:
    """Return NAL units as MP4 has them: each behind its length in four bytes."""
    return b"".join(piece for nal in nals for piece in (len(nal).to_bytes(4, "big"), nal))


def mp4_sample(unit: AccessUnit) -> bytes:
    """Return an H.264 picture as MP4 has it, whose parameter sets stand elsewhere."""
    return prefixed(nal for nal in unit.nals if h264.nal_type(nal) not in {h264.SPS, h264.PPS})
