"""Picks what a device is asked for: format, size and rate, as the settings wish or as is best.

Raw pictures are taken before JPEG at the same size and rate, because nothing has to be decoded.
What the device encodes itself (H.264) is only taken when it is asked for: it goes into the
recording untouched, so no caption or mask can be burned into it, and how often it sends key frames
is its own affair.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from nvr.base.errors import Misconfigured
from nvr.media.device import Capture, VideoFormat, VideoSize

RAW = {
    "YUYV": "yuyv422",
    "UYVY": "uyvy422",
    "NV12": "nv12",
    "YU12": "yuv420p",
    "422P": "yuv422p",
    "BGR3": "bgr24",
    "RGB3": "rgb24",
    "GREY": "gray",
}
"""Formats that are taken as they are, the likely ones first, and libav's names for them."""
JPEG = ("MJPG", "JPEG")
H264 = ("H264",)
USABLE = (*RAW, *JPEG, *H264)
_WISHES = {"mjpeg": JPEG, "h264": H264} | {
    name.lower(): (name,) for name in ("YUYV", "UYVY", "NV12", "YU12", "GREY")
}
_ENOUGH_PX = 1920 * 1088
_ENOUGH_FPS = 30.0
_ASSUMED_FPS = 25.0


@dataclass(frozen=True, slots=True)
class Choice:
    """What to ask a device for.

    Attributes:
        fourcc: Format.
        size: ``(width, height)`` in pixels.
        rate_fps: Pictures a second, 0.0 to leave it as it is.
    """

    fourcc: str
    size: tuple[int, int]
    rate_fps: float

    @property
    def kind(self) -> str:
        """``raw``, ``jpeg`` or ``h264``."""
        return "jpeg" if self.fourcc in JPEG else "h264" if self.fourcc in H264 else "raw"


def choose(offered: Sequence[VideoFormat], wish: Capture) -> Choice:
    """Return the best of what is offered.

    The best is what has most pixels a second up to 1080p and 30 pictures; asked for a rate the
    device does not have, the next above it is taken, else its fastest.

    Raises:
        Misconfigured: ``device.no_format``: it does not have what is wished for.
    """
    wanted = (*RAW, *JPEG) if wish.format == "auto" else _WISHES.get(wish.format, ())
    formats = [form for form in offered if form.fourcc in wanted]
    formats.sort(key=lambda form: wanted.index(form.fourcc))
    if not formats:
        has = (
            ", ".join(form.fourcc for form in offered if form.fourcc in USABLE) or "nothing usable"
        )
        raise Misconfigured("device.no_format", f"it offers {has}", wanted=wish.format)
    found = list(_each(formats, wish))
    if not found:
        raise Misconfigured(
            "device.no_format",
            "it does not offer that size; nvr device --full lists those it does",
            wanted=f"{wish.size[0]}x{wish.size[1]}" if wish.size else wish.format,
        )
    enough_fps = wish.rate_fps or _ENOUGH_FPS
    return max(found, key=lambda one: _worth(one, enough_fps))


def _each(formats: Sequence[VideoFormat], wish: Capture) -> Iterator[Choice]:
    for form in formats:
        for size in form.sizes:
            pixels = (size.width_px, size.height_px)
            if wish.size in {None, pixels}:
                yield Choice(form.fourcc, pixels, _rate(size, wish.rate_fps))
        if not form.sizes and wish.size:
            yield Choice(form.fourcc, wish.size, wish.rate_fps)


def _rate(size: VideoSize, wanted: float) -> float:
    rates = sorted(size.rates_fps)
    if not rates:
        return wanted
    if not wanted:
        enough = [rate for rate in rates if rate <= _ENOUGH_FPS + 0.1]
        return enough[-1] if enough else rates[0]
    # 29.97 is what a device calls 30.
    return next((rate for rate in rates if rate >= wanted - 0.1), rates[-1])


def _worth(one: Choice, enough_fps: float) -> tuple[float, float]:
    area = one.size[0] * one.size[1]
    small = min(area, _ENOUGH_PX) if area <= _ENOUGH_PX else 1.0 / area
    return (small * min(one.rate_fps or _ASSUMED_FPS, enough_fps), small)
