"""Makes of a device's raw pictures what encoders take: yuv420p, BT.709, limited range, no combs.

A grabber hands out both fields of a picture in one frame, every other line a fiftieth (or sixtieth)
of a second apart. Woven together they comb whatever moves, and an encoder spends its bits on the
combs; so the fields are taken apart again by motion (bwdif), before the chroma of neighbouring
lines, which are of different fields, is mixed.

Measured on 720x576 YUYV, one thread of a 2 GHz x86: bwdif and colours 1.1 ms a picture (yadif 2.3);
1280x720 YUYV to yuv420p 0.4 ms, colours 0.5 ms more.

Source: FFmpeg filters bwdif, il, colorspace; ITU-R BT.601 and BT.709; V4L2 "Field Order".
"""

from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from typing import Literal

import av
from av.filter import Graph

from nvr.base.errors import Misconfigured
from nvr.codec.encode import picture_of
from nvr.media.picture import Picture

TICKS_PER_S = 90_000
Fields = Literal["none", "top", "bottom", "top_half", "bottom_half", "single"]
"""How the two fields of a picture lie: not at all, in turn with the top or bottom one first, the
first in the upper half and then the other, or one field a picture."""
Deinterlace = Literal["off", "frames", "fields"]


@dataclass(frozen=True, slots=True)
class Raw:
    """What a device hands out.

    Attributes:
        size: ``(width, height)`` in pixels.
        pixels: Pixel format as libav calls it.
        fields: How fields lie in it.
        hd: Colours after BT.709 already, not BT.601.
        full: Luma from 0 to 255, not 16 to 235.
    """

    size: tuple[int, int]
    pixels: str
    fields: Fields = "none"
    hd: bool = False
    full: bool = False


class Tidy:
    """Takes frames, gives pictures. Used by one thread.

    Args:
        raw: What comes.
        deinterlace: ``frames``: a picture for each two fields; ``fields``: one for each; of
            progressive pictures nothing is taken apart.

    Attributes:
        size: Of the pictures: even, and of single fields twice as high.
        doubled: Twice as many come out as go in.

    Raises:
        Misconfigured: ``device.no_format``: such frames cannot be used.
    """

    def __init__(self, raw: Raw, deinterlace: Deinterlace = "frames") -> None:
        width, height = raw.size
        woven = raw.fields not in {"none", "single"} and deinterlace != "off"
        self.doubled = woven and deinterlace == "fields"
        self.size = (width // 2 * 2, height * (2 if raw.fields == "single" else 1) // 2 * 2)
        graph = Graph()
        graph.threads = 1
        try:
            last = self._source = graph.add(
                "buffer",
                f"video_size={width}x{height}:pix_fmt={raw.pixels}:time_base=1/{TICKS_PER_S}"
                ":pixel_aspect=1/1",
            )
            for name, arguments in _chain(raw, self.size, woven=woven, doubled=self.doubled):
                node = graph.add(name, arguments)
                last.link_to(node)
                last = node
            self._sink = graph.add("buffersink")
            last.link_to(self._sink)
            graph.configure()
        except (av.FFmpegError, ValueError) as err:
            raise Misconfigured(
                "device.no_format", f"such pictures cannot be used: {err}", pixels=raw.pixels
            ) from err
        self._graph = graph

    def take(self, frame: av.VideoFrame, pts_90k: int) -> Iterator[Picture]:
        """Give a frame, and yield what is ready; bwdif holds one back to see what moves.

        A picture's memory is its own: it may be painted over.
        """
        frame.pts = pts_90k
        frame.time_base = Fraction(1, TICKS_PER_S)
        self._source.push(frame)
        while True:
            try:
                out = self._sink.pull()
            except (BlockingIOError, EOFError):
                return
            assert isinstance(out, av.VideoFrame)
            assert out.pts is not None
            assert out.time_base is not None
            yield picture_of(out, round(out.pts * out.time_base * TICKS_PER_S))


def _chain(
    raw: Raw, size: tuple[int, int], *, woven: bool, doubled: bool
) -> Iterator[tuple[str, str]]:
    if raw.fields in {"top_half", "bottom_half"}:
        swap = "" if raw.fields == "top_half" else ":luma_swap=1:chroma_swap=1"
        yield "il", f"luma_mode=interleave:chroma_mode=interleave{swap}"
    if size != raw.size:
        doubles = ":flags=bilinear" if raw.fields == "single" else ""
        if raw.fields == "single":
            yield "scale", f"{size[0]}:{size[1]}{doubles}"
        else:
            yield "crop", f"{size[0]}:{size[1]}:0:0"
    if raw.pixels.startswith(("rgb", "bgr")):
        yield "scale", "out_color_matrix=bt709:out_range=tv"
        yield "format", "yuv420p"
        return
    if woven:
        # Chroma is halved downwards only once the fields are apart.
        yield "format", "yuv420p" if raw.pixels in {"nv12", "yuv420p"} else "yuv422p"
        mode = "send_field" if doubled else "send_frame"
        first = "tff" if raw.fields in {"top", "top_half"} else "bff"
        yield "bwdif", f"mode={mode}:parity={first}:deint=all"
    elif raw.pixels != "gray" and not raw.pixels.startswith("yuvj"):
        yield "format", "yuv420p"
    if raw.pixels == "gray":  # a sensor's own, which uses all of the range
        yield "scale", "in_range=pc:out_range=tv"
    elif not raw.hd or raw.full:
        given = "bt709" if raw.hd else "bt601-6-625"
        spread = "pc" if raw.full else "tv"
        yield (
            "colorspace",
            f"all=bt709:iall={given}:irange={spread}:range=tv:fast=1:format=yuv420p",
        )
    elif not woven and raw.pixels == "yuv420p":
        yield "copy", ""  # nothing else would make it ours
    yield "format", "yuv420p"
