"""Telephone sound as FLAC, against ffmpeg's decoders of both ends."""

import io
import struct

import av
import numpy
import pytest

from nvr._native import flac
from tests.native.g726_model import Model
from tests.native.test_sound import bits

NAMES = {"pcma": ("pcm_alaw", 0), "pcmu": ("pcm_mulaw", 1), "l16": ("pcm_s16be", 2)}


def streaminfo(rate_hz, channels):
    packed = rate_hz << 44 | (channels - 1) << 41 | 15 << 36
    return struct.pack(">HH6x", 16, 65535) + packed.to_bytes(8, "big") + bytes(16)


def heard(frames, rate_hz=8_000, channels=1):
    ctx = av.CodecContext.create("flac", "r")
    ctx.extradata = streaminfo(rate_hz, channels)
    ctx.options = {"err_detect": "crccheck+explode"}
    out = [f for frame in frames for f in ctx.decode(av.Packet(frame))]
    return numpy.concatenate([f.to_ndarray().reshape(-1) for f in out]), out


def ffmpeg(name, data, rate_hz=8_000, channels=1):
    ctx = av.CodecContext.create(name, "r")
    ctx.sample_rate = rate_hz
    ctx.layout = "mono" if channels == 1 else "stereo"
    return numpy.concatenate([f.to_ndarray().reshape(-1) for f in ctx.decode(av.Packet(data))])


def ffmpeg_g726(data, width):
    options = {"code_size": str(width), "sample_rate": "8000"}
    with av.open(io.BytesIO(data), format="g726", options=options) as box:
        return numpy.concatenate([f.to_ndarray().reshape(-1) for f in box.decode(audio=0)])


@pytest.mark.parametrize("codec", NAMES)
@pytest.mark.parametrize("channels", [1, 2])
def test_each_sample_is_the_one_ffmpeg_decodes(codec, channels):
    name, number = NAMES[codec]
    data = bytes(range(256)) * 2
    frame, state = flac(number, 0, data, channels, 8_000, 0, b"")
    got, frames = heard([frame], 8_000, channels)
    assert state == b""
    assert numpy.array_equal(got, ffmpeg(name, data, 8_000, channels))
    assert frames[0].sample_rate == 8_000
    assert frames[0].layout.nb_channels == channels


@pytest.mark.parametrize(
    "first", [0, 127, 128, 0x7FF, 0x800, 0xFFFF, 0x10000, 1 << 21, 1 << 26, 1 << 31, (1 << 36) - 1]
)
@pytest.mark.parametrize("rate_hz", [8_000, 16_000, 11_025, 48_000])
def test_any_number_and_rate_makes_a_whole_frame(first, rate_hz):
    data = bytes(range(160))
    frame, _ = flac(1, 0, data, 1, rate_hz, first, b"")
    got, frames = heard([frame], rate_hz)
    assert len(got) == 160
    assert frames[0].sample_rate == rate_hz


def test_silence_costs_next_to_nothing():
    frame, _ = flac(0, 0, b"\xd5" * 8000, 1, 8_000, 0, b"")
    assert len(frame) < 20
    got, _ = heard([frame])
    assert len(got) == 8000
    assert set(got.tolist()) == {8}


def speech_like():
    rng = numpy.random.default_rng(1)
    time = numpy.arange(12_000) / 8_000
    wave = 9000 * numpy.sin(2 * numpy.pi * 440 * time) * (time < 0.7)
    wave += 500 * rng.standard_normal(len(time))
    return wave + 6000 * (time > 1.2) * numpy.sin(2 * numpy.pi * 1800 * time)


def quality_db(wave, got):
    return 10 * numpy.log10((wave**2).mean() / ((wave - got) ** 2).mean())


@pytest.mark.parametrize("width", [2, 3, 4])
def test_g726_of_ffmpeg_sounds_as_it_should(width):
    """Not to the bit: ffmpeg rounds the scale factor otherwise than the recommendation does."""
    wave = speech_like()
    ctx = av.CodecContext.create("g726", "w")
    ctx.sample_rate, ctx.layout, ctx.format = 8_000, "mono", "s16"
    ctx.bit_rate = 8_000 * width
    ctx.open()
    frame = av.AudioFrame.from_ndarray(wave.astype(numpy.int16)[None, :], "s16", "mono")
    frame.sample_rate = 8_000
    data = b"".join(bytes(p) for p in [*ctx.encode(frame), *ctx.encode(None)])
    group = 40 * width
    state, frames = b"", []
    for at in range(0, len(data) - len(data) % group, group):
        made, state = flac(3, width, data[at : at + group], 1, 8_000, at * 8 // width, state)
        frames.append(made)
    got, _ = heard(frames)
    assert len(got) >= 11_500
    wave = wave[: len(got)]
    assert quality_db(wave, got) > quality_db(wave, ffmpeg_g726(data, width)[: len(got)]) - 6


@pytest.mark.parametrize(("width", "least_db"), [(2, 8), (3, 14), (4, 20), (5, 22)])
def test_g726_is_the_recommendation_s_to_the_bit(width, least_db):
    wave = speech_like()[::3]
    near, far = Model(width), Model(width)
    codes, want = [], []
    for sample in wave:
        codes.append(near.encode(round(sample / 4)))
        near.decode(codes[-1])
        want.append(far.decode(codes[-1]))
    data = bits(*((code, width) for code in codes))
    got, _ = heard([flac(3, width, data, 1, 8_000, 0, b"")[0]])
    assert got.tolist() == want
    assert quality_db(wave, got) > least_db


def test_what_is_no_sound_is_refused_or_empty():
    assert flac(0, 0, b"", 1, 8_000, 0, b"")[0] == b""
    assert flac(2, 0, b"\0\1\2", 2, 8_000, 0, b"")[0] == b""
    for bad in (
        (4, 0, b"x", 1),
        (3, 1, b"x", 1),
        (3, 6, b"x", 1),
        (3, 4, b"x", 2),
        (0, 0, b"x", 0),
        (0, 0, b"x", 9),
    ):
        with pytest.raises(ValueError, match="range"):
            flac(*bad, 8_000, 0, b"")
    with pytest.raises(ValueError, match="range"):
        flac(3, 4, b"x", 1, 8_000, 0, b"short")
    with pytest.raises(ValueError, match="range"):
        flac(0, 0, bytes(65_537), 1, 8_000, 0, b"")
