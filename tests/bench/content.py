"""What the bench cameras send: prepared once, packetised, kept under ``build/bench``.

H.264 at 25 pictures a second (Constrained Baseline, no B-frames) and AAC 48 kHz at 64 kbit/s:
16 s, in which both a whole number of groups of pictures and of AAC frames fit. `FULL` is what a
camera on a wall sends; `SMALL` is for what must not be held up by it.

The file, little endian, u32 unless said::

    "camsim1\\n"  SDP length  SDP  loop length in us
    per track:  clock rate  payload type  loop length in ticks
    number of units, then each:
        due in us  track  ticks  packets  bytes  interleaved RTP frames with channel, sequence,
        time stamp and SSRC left zero

Source: RFC 6184 (H.264), RFC 3640 (AAC-hbr), RFC 2326 section 10.12 (interleaving).
"""

import base64
import os
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import av
import numpy as np

from tests.bench.figures import ROOT, progress

CACHE = ROOT / "build" / "bench"

FPS = 25
LOOP_S = 16
VIDEO_HZ = 90_000
AUDIO_HZ = 48_000
AAC_SAMPLES = 1024
PAYLOAD_BYTES = 1400
VERSION = 1  # of what is generated, part of the file name


@dataclass(frozen=True, slots=True)
class Shape:
    """What a camera's video is like.

    Attributes:
        name: Part of the file name.
        width_px: Of a picture.
        height_px: Of a picture.
        video_bps: About so much.
        gop: Pictures from one key frame to the next.
    """

    name: str
    width_px: int
    height_px: int
    video_bps: int
    gop: int


FULL = Shape("camera", 1920, 1080, 4_000_000, 50)
SMALL = Shape("camera-small", 640, 360, 500_000, 25)


@dataclass(frozen=True, slots=True)
class Unit:
    """One access unit: when the camera sends it and the RTP payloads it is cut into."""

    due_us: int
    track: int
    ticks: int
    payloads: tuple[bytes, ...]


def prepared(shape: Shape = FULL) -> Path:
    """Return the content file, made at first use (about 10 s)."""
    path = CACHE / f"{shape.name}-{VERSION}.bin"
    if not path.exists():
        progress("preparing the camera's stream, once")
        path.parent.mkdir(parents=True, exist_ok=True)
        made = path.with_suffix(f".{os.getpid()}")
        made.write_bytes(_content(shape))
        made.replace(path)
    return path


def _content(shape: Shape) -> bytes:
    video = list(_video(shape))
    audio = list(_audio())
    parameter_sets = [nal for nal in video[0] if nal[0] & 0x1F in {7, 8}]
    units = [
        Unit(
            number * 1_000_000 // FPS,
            0,
            number * VIDEO_HZ // FPS,
            tuple(part for nal in nals for part in cut(nal)),
        )
        for number, nals in enumerate(video)
    ]
    units += [
        Unit(
            number * AAC_SAMPLES * 1_000_000 // AUDIO_HZ,
            1,
            number * AAC_SAMPLES,
            (struct.pack(">HH", 16, len(frame) << 3) + frame,),
        )
        for number, frame in enumerate(audio)
    ]
    units.sort(key=lambda unit: (unit.due_us, unit.track))
    sdp = _sdp(parameter_sets).encode()
    out = bytearray(b"camsim1\n" + struct.pack("<I", len(sdp)) + sdp)
    out += struct.pack("<I", LOOP_S * 1_000_000)
    out += struct.pack("<3I", VIDEO_HZ, 96, LOOP_S * VIDEO_HZ)
    out += struct.pack("<3I", AUDIO_HZ, 97, LOOP_S * AUDIO_HZ)
    out += struct.pack("<I", len(units))
    for unit in units:
        frames = bytearray()
        for number, payload in enumerate(unit.payloads):
            last = number == len(unit.payloads) - 1
            frames += b"$\0" + struct.pack(">H", 12 + len(payload))
            frames += bytes((0x80, (96 + unit.track) | (0x80 if last else 0))) + bytes(10) + payload
        out += struct.pack(
            "<5I", unit.due_us, unit.track, unit.ticks, len(unit.payloads), len(frames)
        )
        out += frames
    return bytes(out)


def cut(nal: bytes) -> Iterator[bytes]:
    """Yield one NAL unit as a single packet or as FU-A fragments."""
    if len(nal) <= PAYLOAD_BYTES:
        yield nal
        return
    indicator = (nal[0] & 0xE0) | 28
    room = PAYLOAD_BYTES - 2
    for start in range(1, len(nal), room):
        first = 0x80 if start == 1 else 0
        last = 0x40 if start + room >= len(nal) else 0
        yield bytes((indicator, (nal[0] & 0x1F) | first | last)) + nal[start : start + room]


def _video(shape: Shape) -> Iterator[list[bytes]]:
    """Yield the NAL units of each frame of a moving, slightly noisy picture."""
    width_px, height_px, video_bps, gop = (
        shape.width_px, shape.height_px, shape.video_bps, shape.gop
    )  # fmt: skip
    codec = av.CodecContext.create("libx264", "w")
    codec.width, codec.height, codec.pix_fmt = width_px, height_px, "yuv420p"
    codec.time_base, codec.framerate = Fraction(1, FPS), Fraction(FPS)
    codec.bit_rate = video_bps
    codec.thread_count = 1
    codec.options = {
        "preset": "ultrafast",
        "profile": "baseline",
        "x264-params": f"keyint={gop}:min-keyint={gop}:scenecut=0:bframes=0:slices=1:"
        f"vbv-maxrate={video_bps // 1000}:vbv-bufsize={video_bps // 1000}",
    }
    random = np.random.default_rng(1)
    x = np.arange(width_px)[None, :]
    y = np.arange(height_px)[:, None]
    ground = (96 + 48 * np.sin(x / 97) * np.cos(y / 61)).astype(np.uint8)
    noise = random.integers(0, 7, (height_px + 64, width_px + 64), dtype=np.uint8)
    packets = []
    for number in range(LOOP_S * FPS):
        dx, dy = random.integers(0, 64, 2)
        luma = ground + noise[dy : dy + height_px, dx : dx + width_px]
        for car in range(6):
            left = (number * (4 + car) + car * 311) % (width_px - 160)
            luma[120 + car * 150 : 200 + car * 150, left : left + 160] = 60 + 30 * car
        planes = np.full((height_px * 3 // 2, width_px), 128, dtype=np.uint8)
        planes[:height_px] = luma
        frame = av.VideoFrame.from_ndarray(planes, format="yuv420p")
        frame.pts = number
        packets += codec.encode(frame)
    packets += codec.encode(None)
    for packet in packets:
        # Parameter sets and slices only: few cameras send delimiters or SEI.
        yield [nal for nal in _nals(bytes(packet)) if nal[0] & 0x1F in {1, 5, 7, 8}]


def _nals(stream: bytes) -> Iterator[bytes]:
    for chunk in stream.split(b"\0\0\1")[1:]:
        nal = chunk.rstrip(b"\0")
        if nal:
            yield nal


def _audio() -> Iterator[bytes]:
    """Yield as many raw AAC frames as the loop has room for."""
    codec = av.CodecContext.create("aac", "w")
    codec.sample_rate, codec.layout, codec.format = AUDIO_HZ, "mono", "fltp"
    codec.bit_rate = 64_000
    codec.open()
    random = np.random.default_rng(2)
    wanted = LOOP_S * AUDIO_HZ // AAC_SAMPLES
    frames: list[bytes] = []
    number = 0
    while len(frames) < wanted:
        t = (np.arange(AAC_SAMPLES) + number * AAC_SAMPLES) / AUDIO_HZ
        tone = 0.3 * np.sin(2 * np.pi * 440 * t) + 0.05 * random.standard_normal(AAC_SAMPLES)
        frame = av.AudioFrame.from_ndarray(
            tone.astype(np.float32)[None, :], format="fltp", layout="mono"
        )
        frame.sample_rate = AUDIO_HZ
        frame.pts = number * AAC_SAMPLES
        frames += [bytes(packet) for packet in codec.encode(frame)]
        number += 1
    yield from frames[:wanted]


def _sdp(parameter_sets: list[bytes]) -> str:
    sprop = ",".join(base64.b64encode(nal).decode() for nal in parameter_sets)
    profile = parameter_sets[0][1:4].hex()
    lines = (
        "v=0",
        "o=- 1 1 IN IP4 127.0.0.1",
        "s=camera",
        "c=IN IP4 0.0.0.0",
        "t=0 0",
        "a=control:*",
        "m=video 0 RTP/AVP 96",
        "a=rtpmap:96 H264/90000",
        f"a=fmtp:96 packetization-mode=1;profile-level-id={profile};sprop-parameter-sets={sprop}",
        f"a=framerate:{FPS}",
        "a=control:trackID=0",
        "m=audio 0 RTP/AVP 97",
        f"a=rtpmap:97 MPEG4-GENERIC/{AUDIO_HZ}/1",
        # AudioSpecificConfig: AAC-LC (2), 48 kHz (3), one channel.
        (
            "a=fmtp:97 streamtype=5;profile-level-id=1;mode=AAC-hbr;sizelength=13;indexlength=3;"
            "indexdeltalength=3;config=1188"
        ),
        "a=control:trackID=1",
        "",
    )
    return "\r\n".join(lines)
