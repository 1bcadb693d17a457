"""Encoders that only GStreamer reaches, each in a child process: a Jetson's, VA-API's.

One pipeline a board; the machinery is the same for all, and is proven with the x264enc and
openh264enc of the distribution. The system's Python runs the child (`nvr.encode.gst_child`).
"""

import contextlib
import json
import os
import select
import struct
import subprocess
import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from nvr.base.errors import Misconfigured, Unavailable
from nvr.media.encoder import AccessUnit, Settings
from nvr.media.picture import Layout, Picture, Planes
from nvr.media.track import VideoCodec
from nvr.wire import h264, h265
from nvr.wire.annexb import split

PYTHON: Final = "/usr/bin/python3"
_CHILD: Final = Path(__file__).with_name("gst_child.py")
_START_S: Final = 15.0
_TAKE_S: Final = 3.0
_END_S: Final = 3.0
_PIPE_BYTES: Final = 1 << 20
_MOST_BYTES: Final = 16 << 20


@dataclass(frozen=True, slots=True)
class Pipeline:
    """What stands between the pictures and the parser.

    Attributes:
        codecs: For each codec, the elements; ``{kbit_s}``, ``{bps}``, ``{gop}``, ``{profile}``
            are filled in, and the encoder itself has ``name=enc``.
        layout: What it is fed.
        unit_bps: What one of its property ``bitrate`` is.
    """

    codecs: Mapping[VideoCodec, str]
    layout: Layout = "nv12"
    unit_bps: int = 1


PIPELINES: Final = {
    # Source: Accelerated GStreamer guide of L4T 36; `maxperf-enable` costs power, not quality.
    "jetson": Pipeline(
        {
            "h264": "nvvidconv ! video/x-raw(memory:NVMM),format=NV12 ! nvv4l2h264enc name=enc"
            " bitrate={bps} control-rate=1 iframeinterval={gop} idrinterval={gop}"
            " insert-sps-pps=true insert-vui=true preset-level=1 maxperf-enable=true"
            " num-B-Frames=0 profile={jetson_profile}",
            "h265": "nvvidconv ! video/x-raw(memory:NVMM),format=NV12 ! nvv4l2h265enc name=enc"
            " bitrate={bps} control-rate=1 iframeinterval={gop} idrinterval={gop}"
            " insert-sps-pps=true insert-vui=true preset-level=1 maxperf-enable=true",
        }
    ),
    "vaapi": Pipeline(
        {
            "h264": "vah264enc name=enc bitrate={kbit_s} key-int-max={gop} rate-control=cbr"
            " b-frames=0 ! video/x-h264,profile={profile}",
            "h265": "vah265enc name=enc bitrate={kbit_s} key-int-max={gop} rate-control=cbr"
            " b-frames=0",
        },
        unit_bps=1000,
    ),
    "gst-x264": Pipeline(
        {
            "h264": "x264enc name=enc bitrate={kbit_s} key-int-max={gop} tune=zerolatency"
            " speed-preset=superfast threads=1 vbv-buf-capacity=1000"
            " option-string=scenecut=0 ! video/x-h264,profile={profile}",
        },
        unit_bps=1000,
    ),
    "gst-openh264": Pipeline(
        {
            "h264": "openh264enc name=enc bitrate={bps} gop-size={gop} complexity=low"
            " rate-control=bitrate",
        },
        layout="yuv420p",
    ),
}
_JETSON_PROFILE: Final = {"baseline": 0, "main": 2, "high": 4}
_BASELINE: Final = {"baseline": "constrained-baseline"}
_SETS: Final[Mapping[VideoCodec, tuple[int, ...]]] = {
    "h264": (h264.SPS, h264.PPS),
    "h265": (h265.VPS, h265.SPS, h265.PPS),
}


def pipeline_of(name: str, settings: Settings) -> str:
    """Return the whole pipeline.

    Raises:
        Misconfigured: ``encoder.refused``: it does not make that codec.
    """
    known = PIPELINES[name]
    elements = known.codecs.get(settings.codec)
    if elements is None:
        raise Misconfigured("encoder.refused", f"{name} makes no {settings.codec}")
    width, height = settings.size
    made = elements.format(
        kbit_s=max(1, settings.bitrate_bps // 1000),
        bps=settings.bitrate_bps,
        gop=max(1, round(settings.gop_s * settings.fps)),
        profile=_BASELINE.get(settings.profile, settings.profile),
        jetson_profile=_JETSON_PROFILE[settings.profile],
    )
    form = "I420" if known.layout == "yuv420p" else "NV12"
    kind = "h264" if settings.codec == "h264" else "h265"
    return (
        "appsrc name=in format=time is-live=true do-timestamp=false block=true max-buffers=3"
        f" caps=video/x-raw,format={form},width={width},height={height},"
        f"framerate={settings.fps}/1,colorimetry=bt709,"
        f"pixel-aspect-ratio={settings.aspect[0]}/{settings.aspect[1]}"
        f" ! {made} ! {kind}parse config-interval=-1"
        f" ! video/x-{kind},stream-format=byte-stream,alignment=au"
        " ! appsink name=out emit-signals=true sync=false max-buffers=64"
    )


class _Child:
    """One process that encodes. Used by one thread."""

    def __init__(self, name: str, settings: Settings) -> None:
        order = {"pipeline": pipeline_of(name, settings), "unit_bps": PIPELINES[name].unit_bps}
        try:
            self._process = subprocess.Popen(  # noqa: S603 - our own program
                [PYTHON, "-I", str(_CHILD)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                bufsize=0,
                pipesize=_PIPE_BYTES,
            )
        except OSError as err:
            raise Misconfigured("encoder.refused", f"no {PYTHON}: {err.strerror}") from err
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._in, self._out = self._process.stdin, self._process.stdout
        for pipe in (self._in, self._out):
            os.set_blocking(pipe.fileno(), False)
        self._received = bytearray()
        self._fault = ""
        self.units: list[tuple[int, int, bytes]] = []
        self._running = False
        try:
            self.send(b"S", [json.dumps(order).encode()], within_s=_START_S)
            until_s = time.monotonic() + _START_S
            while not self._running:
                self._move([], until_s)
        except Unavailable as err:
            self.kill()
            raise Misconfigured("encoder.refused", err.detail, encoder=name) from err

    @property
    def pid(self) -> int:
        """Its process number."""
        return self._process.pid

    def send(self, kind: bytes, body: list[bytes | memoryview], within_s: float = _TAKE_S) -> None:
        """Send a message, and take what comes meanwhile.

        Raises:
            Unavailable: ``encoder.died``.
        """
        size = sum(len(piece) for piece in body)
        left = [memoryview(kind + struct.pack(">I", size))]
        left += [memoryview(piece) for piece in body if len(piece)]
        until_s = time.monotonic() + within_s
        while left:
            left = self._move(left, until_s)
        self.take()

    def take(self) -> None:
        """Take what has come."""
        self._move([], None)

    def finish(self) -> None:
        """Close its input and take all that comes until its end, for seconds at most."""
        with contextlib.suppress(OSError):
            self._in.close()
        until_s = time.monotonic() + _END_S
        with contextlib.suppress(Unavailable):
            while True:
                self._move([], until_s)

    def kill(self) -> None:
        """End it."""
        self._process.kill()
        self._process.wait()
        for pipe in (self._in, self._out):
            with contextlib.suppress(OSError):
                pipe.close()

    def _move(self, left: list[memoryview], until_s: float | None) -> list[memoryview]:
        """Send and receive what can be; waits for either until `until_s`, not at all if None."""
        poll = select.poll()
        poll.register(self._out, select.POLLIN)
        if left:
            poll.register(self._in, select.POLLOUT)
        wait_s = 0.0 if until_s is None else until_s - time.monotonic()
        if wait_s < 0:
            raise Unavailable("encoder.died", "GStreamer's encoder hangs")
        ready = {fd for fd, _ in poll.poll(wait_s * 1000)}
        try:
            if left and self._in.fileno() in ready:
                sent = os.writev(self._in.fileno(), left[:16])
                while left and sent >= len(left[0]):
                    sent -= len(left[0])
                    left = left[1:]
                if left:
                    left = [left[0][sent:], *left[1:]]
            if self._out.fileno() in ready:
                piece = os.read(self._out.fileno(), _PIPE_BYTES)
                if not piece:
                    raise Unavailable("encoder.died", self._fault or "GStreamer's encoder ended")
                self._received += piece
                self._parse()
        except BlockingIOError:
            pass
        except OSError as err:
            self._last_words()
            raise Unavailable("encoder.died", self._fault or "GStreamer's encoder ended") from err
        return left

    def _last_words(self) -> None:
        with contextlib.suppress(OSError, BlockingIOError):
            self._received += os.read(self._out.fileno(), _PIPE_BYTES)
            self._parse()

    def _parse(self) -> None:
        while len(self._received) >= 5:
            kind, size = self._received[:1], int.from_bytes(self._received[1:5], "big")
            if size > _MOST_BYTES:
                raise Unavailable("encoder.died", "GStreamer's encoder says nonsense")
            if len(self._received) < 5 + size:
                return
            body = bytes(self._received[5 : 5 + size])
            del self._received[: 5 + size]
            if kind == b"U" and size >= 16:
                self.units.append((*struct.unpack(">qq", body[:16]), body[16:]))
            elif kind == b"O":
                self._running = True
            else:
                text = body.decode("utf-8", "replace")
                self._fault = "".join(one for one in text if one.isprintable())[:200]


class GstEncoder:
    """An encoder of GStreamer. See `nvr.media.encoder.Encoder`.

    Args:
        name: Which pipeline.
        settings: What is wanted.

    Raises:
        Misconfigured: ``encoder.refused``: GStreamer, its bindings or the element are not there,
            or do not take these settings.
    """

    def __init__(self, name: str, settings: Settings) -> None:
        self._name = name
        self._layout = PIPELINES[name].layout
        self._child: _Child | None = _Child(name, settings)
        self._settings = self._wanted = settings
        self._sets: dict[int, bytes] = {}

    @property
    def name(self) -> str:  # noqa: D102 - see Encoder
        return self._name

    @property
    def settings(self) -> Settings:  # noqa: D102 - see Encoder
        return self._wanted

    @property
    def pid(self) -> int | None:
        """The process that encodes."""
        return self._child.pid if self._child else None

    @property
    def parameter_sets(self) -> tuple[bytes, ...]:  # noqa: D102 - see Encoder
        wanted = _SETS[self._settings.codec]
        return tuple(self._sets[kind] for kind in wanted if kind in self._sets)

    def request_key(self) -> None:  # noqa: D102 - see Encoder
        if self._child is not None:
            with contextlib.suppress(Unavailable):  # said by the next picture
                self._child.send(b"K", [])

    def retarget(self, settings: Settings) -> None:  # noqa: D102 - see Encoder
        self._wanted = settings

    def encode(self, picture: Picture) -> list[AccessUnit]:
        """Give the child a picture, and return what is ready. See `nvr.media.encoder.Encoder`."""
        made: list[AccessUnit] = []
        if self._child is None:
            raise Unavailable("encoder.died", "it is closed")
        if self._wanted != self._settings:
            made += self._follow()
        pieces = _packed(picture.planes, self._layout)
        self._child.send(b"F", [struct.pack(">q", picture.pts_90k), *pieces])
        return [*made, *self._taken(self._child)]

    def close(self) -> list[AccessUnit]:
        """End the child; returns what was still inside. See `nvr.media.encoder.Encoder`."""
        child, self._child = self._child, None
        if child is None:
            return []
        try:
            child.finish()
            return self._taken(child)
        finally:
            child.kill()

    def _follow(self) -> list[AccessUnit]:
        wanted, self._wanted = self._wanted, self._settings
        assert self._child is not None
        if replace(wanted, bitrate_bps=self._settings.bitrate_bps) == self._settings:
            order = json.dumps({"bitrate_bps": wanted.bitrate_bps}).encode()
            self._child.send(b"B", [order])
            self._child.send(b"K", [])
            self._settings = self._wanted = wanted
            return []
        fresh = _Child(self._name, wanted)
        rest = self.close()
        self._child, self._sets = fresh, {}
        self._settings = self._wanted = wanted
        return rest

    def _taken(self, child: _Child) -> list[AccessUnit]:
        units, child.units = child.units, []
        return [self._unit(*each) for each in units]

    def _unit(self, pts_90k: int, dts_90k: int, data: bytes) -> AccessUnit:
        codec = self._settings.codec
        read = h264.nal_type if codec == "h264" else h265.nal_type
        nals = split(data)
        kinds = [read(nal) for nal in nals]
        self._sets |= {k: n for k, n in zip(kinds, nals, strict=True) if k in _SETS[codec]}
        # What delimits access units is RTP's business.
        delimiter = 9 if codec == "h264" else 35
        left_out = {*_SETS[codec], delimiter}
        key = any(k == 5 if codec == "h264" else 16 <= k <= 21 for k in kinds)
        nals = [n for n, k in zip(nals, kinds, strict=True) if k not in left_out]
        sets = self.parameter_sets if key else ()
        return AccessUnit((*sets, *nals), pts_90k, key, dts_90k)


def _packed(planes: Planes, layout: Layout) -> list[bytes | memoryview]:
    """The planes in the layout wanted, with rows of whole four bytes, which is how GStreamer reads.

    Source: ``gst_video_info_set_format`` of gst-plugins-base.
    """
    width, height = planes.size
    if planes.layout != layout:
        planes = _turned(planes, layout)
    wide = width // 2 * (2 if layout == "nv12" else 1)
    parts = [(planes.y, planes.y_stride, width, height)]
    parts += [(each, planes.chroma_stride, wide, height // 2) for each in planes.chroma]
    return [_rows(*part, step=4) for part in parts]


def _rows(
    plane: memoryview, stride: int, wide: int, high: int, step: int = 1
) -> bytes | memoryview:
    out = -(-wide // step) * step
    if stride == out and len(plane) >= out * high:
        return plane[: out * high]
    pad = bytes(out - wide)
    rows = (plane[row * stride : row * stride + wide] for row in range(high))
    return b"".join(piece for row in rows for piece in (row, pad))


def _turned(planes: Planes, layout: Layout) -> Planes:
    """The same picture with its chroma as one plane of pairs, or as two."""
    width, height = planes.size
    wide, high = width // 2, height // 2
    if layout == "nv12":
        pairs = bytearray(wide * 2 * high)
        for at, plane in enumerate(planes.chroma):
            pairs[at::2] = _rows(plane, planes.chroma_stride, wide, high)
        return replace(planes, chroma=(memoryview(pairs),), chroma_stride=wide * 2)
    together = bytes(_rows(planes.chroma[0], planes.chroma_stride, wide * 2, high))
    both = tuple(memoryview(together[at::2]) for at in (0, 1))
    return replace(planes, chroma=both, chroma_stride=wide)
