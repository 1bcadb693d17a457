"""A decoded picture as JPEG."""

import struct
from fractions import Fraction
from typing import Final

import av
from av.codec.context import Flags
from av.video.reformatter import ColorRange

_QUALITY: Final = 5
_SIZE: Final = struct.Struct(">HH")


def jpeg(frame: av.VideoFrame, width: int, box: tuple[int, int, int, int] | None = None) -> bytes:
    """Return a JPEG of a picture, at most `width` pixels across; 0 for as many as it has.

    Args:
        frame: The picture.
        width: Pixels.
        box: What a frame is drawn around: left, top, right and bottom, permille.
    """
    wide = min(width or frame.width, frame.width) // 2 * 2
    tall = max(2, round(frame.height * wide / frame.width) // 2 * 2)
    full = frame.color_range == ColorRange.JPEG or frame.format.name.startswith("yuvj")
    shown = frame.reformat(
        wide,
        tall,
        "yuvj420p",
        src_color_range=ColorRange.JPEG if full else ColorRange.MPEG,
        dst_color_range=ColorRange.JPEG,
        threads=1,
    )
    if box is not None:
        _frame(shown, box)
    context = av.CodecContext.create("mjpeg", "w")
    assert isinstance(context, av.VideoCodecContext)
    context.width, context.height, context.pix_fmt = wide, tall, "yuvj420p"
    context.time_base = Fraction(1, 25)
    context.thread_count = 1
    context.flags |= Flags.qscale
    context.global_quality = _QUALITY * 118
    shown.pts = 0
    shown.time_base = Fraction(1, 25)
    return b"".join(bytes(one) for one in (*context.encode(shown), *context.encode(None)))


def grey(frame: av.VideoFrame, width: int) -> bytes:
    """Return luma of a picture: width and height as two bytes each, then rows without padding."""
    wide = min(width or frame.width, frame.width) // 2 * 2
    tall = max(2, round(frame.height * wide / frame.width) // 2 * 2)
    plane = frame.reformat(wide, tall, "gray", threads=1).planes[0]
    data, stride = bytes(memoryview(plane)), plane.line_size
    return _SIZE.pack(wide, tall) + b"".join(
        data[y * stride : y * stride + wide] for y in range(tall)
    )


def _frame(frame: av.VideoFrame, box: tuple[int, int, int, int]) -> None:
    """Draw a white frame with a black one around it."""
    frame.make_writable()
    plane = frame.planes[0]
    luma, stride = bytearray(memoryview(plane)), plane.line_size
    left, right = (one * (frame.width - 1) // 1000 for one in (box[0], box[2]))
    top, bottom = (one * (frame.height - 1) // 1000 for one in (box[1], box[3]))
    for out, grey in ((1, 0), (0, 255), (-1, 255)):
        x0, x1 = max(0, left - out), min(frame.width - 1, right + out)
        y0, y1 = max(0, top - out), min(frame.height - 1, bottom + out)
        if x0 > x1 or y0 > y1:
            continue
        for y in {y0, y1}:
            luma[y * stride + x0 : y * stride + x1 + 1] = bytes((grey,)) * (x1 + 1 - x0)
        for x in {x0, x1}:
            luma[y0 * stride + x : y1 * stride + x + 1 : stride] = bytes((grey,)) * (y1 + 1 - y0)
    plane.update(bytes(luma))
