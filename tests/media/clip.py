"""Short encoded clips, made with PyAV's encoders, as a camera would send them."""

import fractions
from dataclasses import dataclass

import av
import numpy

from nvr.media.track import RtpTrack, TrackConfig
from nvr.wire import h264, h265


@dataclass(frozen=True, slots=True)
class Unit:
    """One access unit: its NAL units or audio bytes, in decode order."""

    pts: int
    key: bool
    nals: tuple[bytes, ...]


@dataclass(frozen=True, slots=True)
class Clip:
    track: RtpTrack
    config: TrackConfig
    units: tuple[Unit, ...]


def split(data: bytes) -> tuple[bytes, ...]:
    """NAL units of an Annex B access unit."""
    nals = []
    at = data.find(b"\0\0\1")
    while at >= 0:
        end = data.find(b"\0\0\1", at + 3)
        nal = data[at + 3 : end if end >= 0 else len(data)]
        nals.append(nal.rstrip(b"\0"))
        at = end
    return tuple(nals)


def picture(number: int, width: int, height: int) -> av.VideoFrame:
    rgb = numpy.zeros((height, width, 3), numpy.uint8)
    rgb[:, :, 1] = (numpy.arange(width)[None, :] + 3 * number) & 255
    rgb[8 : height - 8, (number * 5) % (width - 16) : (number * 5) % (width - 16) + 16] = 255
    return av.VideoFrame.from_ndarray(rgb, "rgb24").reformat(format="yuv420p")


def video(
    codec: str = "h264",
    frames: int = 60,
    gop: int = 20,
    b_frames: int = 0,
    width: int = 160,
    height: int = 96,
    clock_hz: int = 90_000,
    options: dict[str, str] | None = None,
) -> Clip:
    if codec == "jpeg":
        return jpeg(frames, width, height)
    name = {"h264": "libx264", "h265": "libx265"}[codec]
    ctx = av.CodecContext.create(name, "w")
    ctx.width, ctx.height, ctx.pix_fmt = width, height, "yuv420p"
    ctx.time_base = fractions.Fraction(1, 25)
    ctx.framerate = fractions.Fraction(25)
    ctx.gop_size = gop
    ctx.max_b_frames = b_frames
    if codec == "h264":
        ctx.options = {"preset": "ultrafast", "bf": str(b_frames), "x264-params": "scenecut=0"}
        if b_frames:
            ctx.options = {"preset": "veryfast", "bf": str(b_frames), "x264-params": "scenecut=0"}
    else:
        ctx.options = {
            "preset": "ultrafast",
            "x265-params": f"log-level=none:repeat-headers=1:keyint={gop}:bframes={b_frames}"
            ":scenecut=0:open-gop=0:pools=1:frame-threads=1",
        }
    ctx.options = {**ctx.options, **(options or {})}
    packets = []
    for number in range(frames):
        frame = picture(number, width, height)
        frame.pts = number
        packets += ctx.encode(frame)
    packets += ctx.encode(None)
    units = tuple(Unit(p.pts * clock_hz // 25, p.is_keyframe, split(bytes(p))) for p in packets)
    wire = h264 if codec == "h264" else h265
    kinds = {wire.SPS, wire.PPS} | ({h265.VPS} if codec == "h265" else set())
    sets = tuple(nal for nal in units[0].nals if wire.nal_type(nal) in kinds)
    record = h264.avcc(sets) if codec == "h264" else h265.hvcc(sets)
    return Clip(
        RtpTrack("video", codec, clock_hz, 96, 0, parameter_sets=sets),
        TrackConfig("video", codec, clock_hz, record, width, height),
        units,
    )


def jpeg(
    frames: int = 25,
    width: int = 320,
    height: int = 192,
    restarts: bool = False,
    huffman: str = "default",
) -> Clip:
    """JPEGs, unless told otherwise with the Huffman tables that RFC 2435 takes for granted."""
    ctx = av.CodecContext.create("mjpeg", "w")
    ctx.width, ctx.height, ctx.pix_fmt = width, height, "yuvj420p"
    ctx.time_base = fractions.Fraction(1, 25)
    ctx.options = {"huffman": huffman, "qmin": "3", "qmax": "3"}
    ctx.thread_count = 1
    if restarts:
        ctx.thread_type, ctx.thread_count = "SLICE", 2  # its slices begin at restart markers
    units = []
    for number in range(frames):
        frame = picture(number, width, height).reformat(format="yuvj420p")
        frame.pts = number
        units += [Unit(number * 3600, True, (bytes(p),)) for p in ctx.encode(frame)]
    return Clip(
        RtpTrack("video", "jpeg", 90_000, 26, 0),
        TrackConfig("video", "jpeg", 90_000, b"", width, height),
        tuple(units),
    )


def audio(codec: str = "aac", seconds: float = 2.0, rate_hz: int = 48_000) -> Clip:
    name = {
        "aac": "aac", "pcma": "pcm_alaw", "pcmu": "pcm_mulaw", "g726": "g726", "l16": "pcm_s16be",
        "opus": "libopus",
    }[codec]  # fmt: skip
    channels = 2 if codec == "aac" else 1
    rate_hz = rate_hz if codec in {"aac", "opus"} else 8_000
    ctx = av.CodecContext.create(name, "w")
    ctx.sample_rate = rate_hz
    ctx.layout = "stereo" if channels == 2 else "mono"
    ctx.format = "fltp" if codec == "aac" else "s16"
    if codec == "g726":
        ctx.bit_rate = 32_000
    ctx.open()
    step = ctx.frame_size or rate_hz // 50
    packets = []
    for start in range(0, int(seconds * rate_hz) - step, step):
        wave = numpy.sin((start + numpy.arange(step)) * (2 * numpy.pi * 440 / rate_hz))
        if codec == "aac":
            data = numpy.tile(wave.astype(numpy.float32) * 0.5, (2, 1))
        else:
            data = (wave * 16000).astype(numpy.int16)[None, :]
        frame = av.AudioFrame.from_ndarray(data, ctx.format.name, ctx.layout.name)
        frame.sample_rate = rate_hz
        frame.pts = start
        packets += ctx.encode(frame)
    packets += ctx.encode(None)
    extra = bytes(ctx.extradata or b"") if codec == "aac" else b""
    extra = b"\4" if codec == "g726" else extra
    units = tuple(Unit(n * step, True, (bytes(p),)) for n, p in enumerate(packets) if bytes(p))
    return Clip(
        RtpTrack("audio", codec, rate_hz, 97, 2, channels=channels, config=extra),
        TrackConfig("audio", codec, rate_hz, extra, channels=channels),
        units,
    )
