"""Encoders of libav through PyAV: libx264 and libx265, and those of drivers that libav knows.

Which ones a build of PyAV has, `there` says; that it works on this box, only a trial does
(`nvr.encode.trial`). With ``latency = "low"`` libx264 gives back what goes in by the same call:
one slice group of whole macroblock rows, no look-ahead, no B-pictures.

Source: libavcodec/libx264.c, libx265.c, v4l2_m2m_enc.c, nvenc.c, qsvenc.c for the options; ITU-T
H.264 and H.265 annex B for the byte stream.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from fractions import Fraction
from typing import Final

import av
import numpy as np
from av.codec.context import Flags
from av.video.frame import PictureType

from nvr.base.clock import TICKS_PER_S
from nvr.base.errors import Misconfigured, Unavailable
from nvr.media.encoder import AccessUnit, Settings
from nvr.media.picture import Picture, Planes
from nvr.media.track import VideoCodec
from nvr.wire import h264, h265
from nvr.wire.annexb import split

_BUFFER_S = 1.0
"""At the target: a key frame may be several times the average, but the stream never runs away from
what the network was promised."""
_HD_PX = 1920 * 1088


@dataclass(frozen=True, slots=True)
class Library:
    """One family of encoders in libav.

    Attributes:
        name: As boards and cameras call it.
        codecs: libav's own name for each codec that it makes.
        options: What it is told beside the common things.
        layouts: What it takes without a conversion, as libav says it.
        borrows: It has read a picture when the call returns, so that no copy is needed.
        sets_first: It says its parameter sets when it is opened, and not in band.
    """

    name: str
    codecs: Mapping[VideoCodec, str]
    options: Callable[[Settings], dict[str, str]]
    layouts: tuple[str, ...] = ("yuv420p", "nv12")
    borrows: bool = False
    sets_first: bool = False


def _rate(settings: Settings) -> dict[str, str]:
    rate = str(settings.bitrate_bps)
    return {"maxrate": rate, "bufsize": str(round(settings.bitrate_bps * _BUFFER_S))}


def _x264(settings: Settings) -> dict[str, str]:
    low = {"tune": "zerolatency"} if settings.latency == "low" else {}
    return _rate(settings) | low | {
        "preset": settings.preset or "superfast",
        "profile": settings.profile,
        "forced-idr": "1",
        # Named, or it would follow the rate and make every new target a new stream.
        "level": "4.1" if settings.size[0] * settings.size[1] <= _HD_PX else "5.2",
        "x264-params": "scenecut=0:sliced-threads=0:force-cfr=1:colorprim=bt709"
        ":transfer=bt709:colormatrix=bt709:fullrange=off"
        + ("" if low else ":rc-lookahead=10:sync-lookahead=0:bframes=2"),
    }  # fmt: skip


def _x265(settings: Settings) -> dict[str, str]:
    low = {"tune": "zerolatency"} if settings.latency == "low" else {}
    return low | {
        "preset": settings.preset or "ultrafast",
        "forced-idr": "1",
        "x265-params": "log-level=none:pools=none:frame-threads=1:scenecut=0:open-gop=0"
        ":repeat-headers=0:info=0:colorprim=bt709:transfer=bt709:colormatrix=bt709:range=limited"
        f":vbv-maxrate={settings.bitrate_bps // 1000}"
        f":vbv-bufsize={round(settings.bitrate_bps * _BUFFER_S) // 1000}"
        + ("" if low else ":rc-lookahead=10:bframes=2"),
    }


def _v4l2m2m(_settings: Settings) -> dict[str, str]:
    # Few, for each one that is held is a picture of latency and of memory that is scarce there.
    return {"num_output_buffers": "6", "num_capture_buffers": "6"}


def _nvenc(settings: Settings) -> dict[str, str]:
    low = {"tune": "ull", "zerolatency": "1", "delay": "0"} if settings.latency == "low" else {}
    profile = {"profile": settings.profile} if settings.codec == "h264" else {}
    return _rate(settings) | low | profile | {
        "preset": settings.preset or "p3", "rc": "cbr", "forced-idr": "1", "no-scenecut": "1",
    }  # fmt: skip


def _qsv(settings: Settings) -> dict[str, str]:
    low = {"async_depth": "1", "look_ahead": "0"} if settings.latency == "low" else {}
    profile = {"profile": settings.profile} if settings.codec == "h264" else {}
    return _rate(settings) | low | profile | {
        "preset": settings.preset or "veryfast", "forced_idr": "1",
    }  # fmt: skip


X264: Final = Library("x264", {"h264": "libx264"}, _x264, borrows=True, sets_first=True)
X265: Final = Library(
    "x265", {"h265": "libx265"}, _x265, layouts=("yuv420p",), borrows=True, sets_first=True
)
V4L2M2M: Final = Library("v4l2m2m", {"h264": "h264_v4l2m2m", "h265": "hevc_v4l2m2m"}, _v4l2m2m)
NVENC: Final = Library("nvenc", {"h264": "h264_nvenc", "h265": "hevc_nvenc"}, _nvenc)
QSV: Final = Library(
    "qsv", {"h264": "h264_qsv", "h265": "hevc_qsv"}, _qsv, layouts=("nv12",)
)  # fmt: skip
LIBRARIES: Final = {each.name: each for each in (X264, X265, V4L2M2M, NVENC, QSV)}

_SETS: Mapping[VideoCodec, tuple[int, ...]] = {
    "h264": (h264.SPS, h264.PPS),
    "h265": (h265.VPS, h265.SPS, h265.PPS),
}


def there(library: Library, codec: VideoCodec) -> bool:
    """Whether this build of PyAV has it; the driver and the device may be missing all the same."""
    return library.codecs.get(codec) in av.codecs_available


class Encoder:
    """A running encoder of libav. See `nvr.media.encoder.Encoder`.

    Args:
        settings: What is wanted.
        library: Which one.

    Raises:
        Misconfigured: ``encoder.refused``: it does not take these settings, or is not there.
    """

    def __init__(self, settings: Settings, library: Library = X264) -> None:
        self._library = library
        self._key_wanted = False
        self._closed = False
        self._sets: tuple[bytes, ...] = ()
        self._layout = ""
        self._context = self._open(settings, library.layouts[0])
        self._settings = settings
        self._wanted = settings

    @property
    def name(self) -> str:  # noqa: D102 - see Encoder
        return self._library.name

    @property
    def settings(self) -> Settings:  # noqa: D102 - see Encoder
        return self._wanted

    @property
    def parameter_sets(self) -> tuple[bytes, ...]:  # noqa: D102 - see Encoder
        return self._sets

    def request_key(self) -> None:  # noqa: D102 - see Encoder
        self._key_wanted = True

    def retarget(self, settings: Settings) -> None:  # noqa: D102 - see Encoder
        self._wanted = settings

    def encode(self, picture: Picture) -> list[AccessUnit]:
        """Encode one picture. See `nvr.media.encoder.Encoder`.

        A frame of PyAV as its `owner` is taken without a copy by those that read it at once.
        """
        made: list[AccessUnit] = []
        if self._closed:
            raise Unavailable("encoder.died", "it is closed")
        layout = self._fitting(picture)
        if self._wanted != self._settings or layout != self._layout:
            wanted, self._wanted = self._wanted, self._settings
            # PyAV cannot set the rate limit of an open encoder, so it is replaced; with low
            # latency nothing is inside the old one.
            fresh = self._open(wanted, layout)
            made += self._rest()
            self._context = fresh
            self._settings = self._wanted = wanted
        frame = self._frame(picture)
        frame.pts = picture.pts_90k
        frame.time_base = Fraction(1, TICKS_PER_S)
        frame.pict_type = PictureType.I if self._key_wanted else PictureType.NONE
        self._key_wanted = False
        try:
            return [*made, *map(self._unit, self._context.encode(frame))]
        except av.FFmpegError as err:
            raise Unavailable("encoder.died", _why(err), encoder=self.name) from err

    def close(self) -> list[AccessUnit]:
        """End the stream; returns what was still inside. See `nvr.media.encoder.Encoder`."""
        rest = [] if self._closed else self._rest()
        self._closed = True
        return rest

    def _rest(self) -> list[AccessUnit]:
        try:
            return list(map(self._unit, self._context.encode(None)))
        except av.FFmpegError:
            return []  # one that died gives nothing back

    def _fitting(self, picture: Picture) -> str:
        layout = picture.planes.layout
        return layout if layout in self._library.layouts else self._library.layouts[0]

    def _frame(self, picture: Picture) -> av.VideoFrame:
        """A frame that the encoder may keep as long as it needs it."""
        owner = picture.owner
        owned = isinstance(owner, av.VideoFrame) and owner.format.name == self._layout
        if owned and self._library.borrows:
            assert isinstance(owner, av.VideoFrame)
            return owner
        frame = copied(picture.planes)
        if picture.planes.layout != self._layout:
            frame = frame.reformat(format=self._layout, threads=1)
        return frame

    def _unit(self, packet: "av.Packet[av.VideoStream]") -> AccessUnit:
        codec = self._settings.codec
        nals = split(bytes(packet))
        kinds = [_kind(codec, nal) for nal in nals]
        key = any(kind in _KEYS[codec] for kind in kinds)
        said = {kind: nal for kind, nal in zip(kinds, nals, strict=True) if kind in _SETS[codec]}
        if said:
            kept = {_kind(codec, nal): nal for nal in self._sets} | said
            self._sets = tuple(kept[kind] for kind in _SETS[codec] if kind in kept)
            nals = [n for n, kind in zip(nals, kinds, strict=True) if kind not in said]
        if key:
            nals = [*self._sets, *nals]
        pts_90k = packet.pts or 0
        return AccessUnit(tuple(nals), pts_90k, key, pts_90k if packet.dts is None else packet.dts)

    def _open(self, settings: Settings, layout: str) -> av.VideoCodecContext:
        name = self._library.codecs.get(settings.codec)
        if name is None:
            raise Misconfigured(
                "encoder.refused", f"{self.name} makes no {settings.codec}", size=settings.size
            )
        try:
            context = av.CodecContext.create(name, "w")
            assert isinstance(context, av.VideoCodecContext)
            context.width, context.height = settings.size
            context.pix_fmt = layout
            context.time_base = Fraction(1, TICKS_PER_S)
            context.framerate = Fraction(settings.fps, 1)
            context.sample_aspect_ratio = Fraction(*settings.aspect)
            context.gop_size = max(1, round(settings.gop_s * settings.fps))
            context.max_b_frames = 0 if settings.latency == "low" else 2
            context.bit_rate = settings.bitrate_bps
            # Threads cost more in hand-over than they gain at these sizes, and slices cost bits.
            context.thread_count = 1
            if settings.codec == "h264" and settings.profile == "baseline":
                context.max_b_frames = 0
            if self._library.sets_first:
                # Gives the parameter sets before the first picture, which SDP needs; `_unit` puts
                # them back in front of every key frame.
                context.flags |= Flags.global_header
            context.options = self._library.options(settings)
            context.open()
        except (av.FFmpegError, ValueError, OverflowError) as err:
            raise Misconfigured(
                "encoder.refused", _why(err), encoder=self.name, size=settings.size
            ) from err
        self._layout = layout
        if self._library.sets_first:
            nals = split(bytes(context.extradata or b""))
            wanted = _SETS[settings.codec]
            self._sets = tuple(n for n in nals if _kind(settings.codec, n) in wanted)
        return context


_KEYS: Mapping[VideoCodec, frozenset[int]] = {
    "h264": frozenset({h264.SLICE_IDR}),
    "h265": frozenset(range(16, 22)),
}


def _why(err: Exception) -> str:
    """A sentence without the call that failed: PyAV's own names every option."""
    if not isinstance(err, av.FFmpegError):
        return str(err)
    what = (err.strerror or "it failed").lower()
    log = getattr(err, "log", None)  # None where libav wrote none, whatever the stub says
    return f"{what}: {log[2].strip()}" if log else what


def _kind(codec: VideoCodec, nal: bytes) -> int:
    return h264.nal_type(nal) if codec == "h264" else h265.nal_type(nal)


def picture_of(frame: av.VideoFrame, pts_90k: int) -> Picture:
    """Return a frame of PyAV, yuv420p or NV12, as a picture that owns its memory.

    Raises:
        ValueError: It is of another format.
    """
    if frame.format.name not in {"yuv420p", "nv12"}:
        raise ValueError(f"{frame.format.name} is neither yuv420p nor nv12")
    y, *chroma = frame.planes
    size = (frame.width, frame.height)
    views = tuple(memoryview(plane) for plane in chroma)
    planes = Planes(size, memoryview(y), y.line_size, views, chroma[0].line_size)
    return Picture(planes, pts_90k, frame)


def copied(planes: Planes) -> av.VideoFrame:
    """Return a fresh frame of PyAV with the same picture; its size even, strides its own."""
    width, height = planes.size
    frame = av.VideoFrame(width, height, planes.layout)
    rows = [(planes.y, planes.y_stride, width, height)]
    wide = width // 2 * (2 if planes.layout == "nv12" else 1)
    rows += [(plane, planes.chroma_stride, wide, height // 2) for plane in planes.chroma]
    for (source, stride, bytes_wide, high), plane in zip(rows, frame.planes, strict=True):
        into = np.frombuffer(memoryview(plane), np.uint8).reshape(-1, plane.line_size)
        last = (high - 1) * stride + bytes_wide  # of the last row the padding may be missing
        flat = np.frombuffer(source, np.uint8)
        if len(flat) < high * stride:
            flat = np.concatenate((flat[:last], np.zeros(high * stride - last, np.uint8)))
        into[:high, :bytes_wide] = flat[: high * stride].reshape(high, stride)[:, :bytes_wide]
    return frame
