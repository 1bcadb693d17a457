"""Parts as the ingest thread makes them: real H.264 and AAC that players open, or random bytes."""

import functools
import random
import struct
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction

import av
import numpy as np

from nvr.media.part import Part
from nvr.media.track import StreamConfig, TrackConfig
from nvr.wire import h264
from nvr.wire.fmp4 import box

FPS = 25
FRAME_90K = 90_000 // FPS
WALL_US = 1_800_000_000_000_000


@dataclass(frozen=True)
class Sample:
    data: bytes
    duration: int
    key: bool


def _nals(annex_b: bytes) -> list[bytes]:
    pieces = annex_b.replace(b"\0\0\0\1", b"\0\0\1").split(b"\0\0\1")
    return [piece.rstrip(b"\0") for piece in pieces[1:]]


@functools.cache
def video(
    width: int = 320, height: int = 240, gop: int = 25, seconds: int = 4
) -> tuple[TrackConfig, tuple[Sample, ...]]:
    """Encode a few groups of pictures, which tests then repeat for as long as they like."""
    encoder = av.CodecContext.create("libx264", "w")
    encoder.width, encoder.height, encoder.pix_fmt = width, height, "yuv420p"
    encoder.time_base, encoder.framerate = Fraction(1, FPS), Fraction(FPS)
    encoder.options = {
        "preset": "ultrafast",
        "x264-params": f"keyint={gop}:min-keyint={gop}:scenecut=0:bframes=0:threads=1",
    }
    rng = np.random.default_rng(1)
    units, sets = [], []
    for n in range(FPS * seconds):
        picture = np.full((height, width, 3), n * 2 % 256, dtype=np.uint8)
        picture[: height // 2] ^= rng.integers(0, 64, (height // 2, width, 3), dtype=np.uint8)
        frame = av.VideoFrame.from_ndarray(picture, format="rgb24").reformat(format="yuv420p")
        frame.pts, frame.time_base = n, Fraction(1, FPS)
        units += encoder.encode(frame)
    units += encoder.encode(None)
    samples = []
    for unit in units:
        nals = _nals(bytes(unit))
        sets = sets or [nal for nal in nals if h264.nal_type(nal) in {7, 8}]
        body = b"".join(
            struct.pack(">I", len(nal)) + nal for nal in nals if h264.nal_type(nal) not in {7, 8, 9}
        )
        samples.append(Sample(body, FRAME_90K, any(h264.nal_type(nal) == 5 for nal in nals)))
    track = TrackConfig("video", "h264", 90_000, h264.avcc(sets), width, height)
    return track, tuple(samples)


@functools.cache
def audio(seconds: int = 4) -> tuple[TrackConfig, tuple[Sample, ...]]:
    encoder = av.CodecContext.create("aac", "w")
    encoder.sample_rate, encoder.layout, encoder.format = 16_000, "mono", "fltp"
    encoder.open()
    samples = []
    for n in range(seconds * 16_000 // 1024):
        tone = np.sin(np.arange(n * 1024, n * 1024 + 1024) / 16_000 * 2 * np.pi * 440)
        frame = av.AudioFrame.from_ndarray(
            tone.astype(np.float32)[None], format="fltp", layout="mono"
        )
        frame.sample_rate, frame.pts = 16_000, n * 1024
        samples += [Sample(bytes(packet), 1024, True) for packet in encoder.encode(frame)]
    track = TrackConfig("audio", "aac", 16_000, bytes(encoder.extradata), channels=1)
    return track, tuple(samples)


def part_of(
    stream: str,
    run: int,
    config: StreamConfig,
    tracks: Sequence[tuple[int, Sequence[Sample]]],
    *,
    start_90k: int,
    wall_us: int,
    uncertainty_ms: int = 5,
) -> Part:
    """Build one part: for each track its first decode time and its samples."""

    def build(offset: int) -> tuple[bytes, list[int]]:
        trafs, places = b"", []
        at = 8 + 16
        for number, (tfdt, samples) in enumerate(tracks, 1):
            if not samples:
                places.append(-1)
                continue
            tfhd = box(b"tfhd", struct.pack(">II", 0x020000, number))
            time = box(b"tfdt", struct.pack(">IQ", 1 << 24, tfdt))
            rows = b"".join(
                struct.pack(">III", s.duration, len(s.data), 0x02000000 if s.key else 0x01010000)
                for s in samples
            )
            trun = box(b"trun", struct.pack(">III", 0x000701, len(samples), offset) + rows)
            places.append(at + 8 + len(tfhd) + 12)
            trafs += box(b"traf", tfhd, time, trun)
            at = 8 + 16 + len(trafs)
            offset += sum(len(s.data) for s in samples)
        mfhd = box(b"mfhd", struct.pack(">II", 0, 0))
        return box(b"moof", mfhd, trafs), places

    moof, places = build(0)
    moof, places = build(len(moof) + 8)
    media = b"".join(s.data for _, samples in tracks for s in samples)
    main = tracks[0][1]
    clock = config[0].clock_hz
    return Part(
        stream=stream,
        run=run,
        config=config,
        moof=moof,
        mdat=memoryview(box(b"mdat", media)),
        tfdt_offsets=tuple(places),
        sequence_offset=8 + 12,
        start_90k=start_90k,
        duration_90k=sum(s.duration for s in main) * 90_000 // clock,
        wall_us=wall_us,
        uncertainty_ms=uncertainty_ms,
        key=main[0].key,
        samples=len(main),
        damaged=0,
    )


def camera(
    stream: str = "gate/main",
    *,
    run: int = 1,
    start_90k: int = 900_000,
    wall_us: int = WALL_US,
    frames_a_part: int = 12,
    with_audio: bool = False,
    width: int = 320,
    height: int = 240,
    seconds: int = 4,
) -> Iterator[Part]:
    """Yield parts for ever: real pictures, cut every half second and at each key frame.

    The pictures of so many `seconds` come again and again.
    """
    track, pictures = video(width, height, seconds=seconds)
    sounds: tuple[Sample, ...] = ()
    config: StreamConfig = (track,)
    if with_audio:
        heard, sounds = audio()
        config = (track, heard)
    at, spoken = 0, 0
    while True:
        taken = [pictures[at % len(pictures)]]
        while len(taken) < frames_a_part and not pictures[(at + len(taken)) % len(pictures)].key:
            taken.append(pictures[(at + len(taken)) % len(pictures)])
        begin_90k = start_90k + at * FRAME_90K
        tracks: list[tuple[int, Sequence[Sample]]] = [(begin_90k, taken)]
        if with_audio:
            first = spoken
            until = (at + len(taken)) * 16_000 // FPS
            while (spoken + 1) * 1024 <= until:
                spoken += 1
            heard_samples = [sounds[n % len(sounds)] for n in range(first, spoken)]
            tracks.append((start_90k * 16_000 // 90_000 + first * 1024, heard_samples))
        yield part_of(
            stream,
            run,
            config,
            tracks,
            start_90k=begin_90k,
            wall_us=wall_us + (begin_90k - start_90k) * 100 // 9,
        )
        at += len(taken)


NOISE_CONFIG: StreamConfig = (TrackConfig("video", "h264", 90_000, b"\1\x42\xc0\x1f\xff", 16, 16),)


def noise_part(
    stream: str,
    rng: random.Random,
    *,
    run: int,
    start_90k: int,
    wall_us: int,
    size: int,
    key: bool,
    duration_90k: int = 45_000,
    config: StreamConfig = NOISE_CONFIG,
) -> Part:
    """Half a second of nothing a player could show, cheap enough for thousands of power cuts."""
    samples = [Sample(rng.randbytes(size), duration_90k, key)]
    return part_of(
        stream, run, config, [(start_90k, samples)], start_90k=start_90k, wall_us=wall_us
    )
