from collections.abc import Iterator
from dataclasses import replace

import av
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nvr.base.errors import Misconfigured
from nvr.codec.encode import AccessUnit, Encoder, Settings, split

SETTINGS = Settings((320, 180), 25, 400_000, gop_s=2.0)


def pictures(size: tuple[int, int] = (320, 180)) -> Iterator[av.VideoFrame]:
    width, height = size
    base = np.random.default_rng(3).integers(40, 200, (height * 3 // 2, width), np.uint8)
    for i in range(10_000):
        yield av.VideoFrame.from_ndarray(np.roll(base, i, 1), "yuv420p")


def coded(encoder: Encoder, count: int, first: int = 0) -> list[AccessUnit]:
    made: list[AccessUnit] = []
    for i, frame in zip(range(first, first + count), pictures(), strict=False):
        units = encoder.encode(frame, i * 3600)
        assert len(units) == 1, "a live encoder gives each picture back at once"
        made += units
    return made


def test_key_frames_come_every_gop_and_carry_their_parameter_sets() -> None:
    encoder = Encoder(SETTINGS)
    units = coded(encoder, 101)
    assert [i for i, unit in enumerate(units) if unit.key] == [0, 50, 100]
    for unit in units:
        kinds = [nal[0] & 31 for nal in unit.nals]
        assert (kinds[:2] == [7, 8]) == unit.key
        assert 7 not in kinds[2:]
    assert [unit.pts_90k for unit in units] == [i * 3600 for i in range(101)]
    assert units[0].nals[:2] == encoder.parameter_sets


def test_a_key_frame_comes_when_asked_for_and_only_then() -> None:
    encoder = Encoder(SETTINGS)
    coded(encoder, 10)
    encoder.request_key()
    assert [unit.key for unit in coded(encoder, 5, 10)] == [True, False, False, False, False]


def test_the_rate_is_met_and_follows_a_change() -> None:
    encoder = Encoder(SETTINGS)
    sets = encoder.parameter_sets
    coded(encoder, 50)
    for wanted_bps in (1_000_000, 300_000):
        encoder.retarget(replace(SETTINGS, bitrate_bps=wanted_bps))
        units = coded(encoder, 100, 1000 if wanted_bps > 400_000 else 2000)
        assert units[0].key
        bits = sum(len(unit.annex_b()) * 8 for unit in units)
        assert 0.5 < bits / 4 / wanted_bps < 1.3
        assert encoder.parameter_sets == sets


def test_settings_that_do_not_work_leave_the_old_ones_running() -> None:
    encoder = Encoder(SETTINGS)
    coded(encoder, 3)
    encoder.retarget(replace(SETTINGS, preset="lightning"))
    with pytest.raises(Misconfigured) as caught:
        coded(encoder, 1, 3)
    assert caught.value.code == "encoder.refused"
    assert encoder.settings == SETTINGS
    assert len(coded(encoder, 3, 4)) == 3


def test_the_stream_says_what_its_colours_mean() -> None:
    decoder = av.CodecContext.create("h264", "r")
    for unit in coded(Encoder(SETTINGS), 3):
        decoder.decode(av.Packet(unit.annex_b()))
    bt709 = 1
    assert (decoder.colorspace, decoder.color_primaries, decoder.color_trc) == (bt709,) * 3
    assert decoder.color_range == 1, "limited"


def test_decoded_pictures_are_the_ones_that_went_in() -> None:
    encoder, decoder = Encoder(replace(SETTINGS, bitrate_bps=3_000_000)), None
    decoder = av.CodecContext.create("h264", "r")
    got = []
    for unit in coded(encoder, 30):
        got += decoder.decode(av.Packet(unit.annex_b()))
    got += decoder.decode(None)
    assert len(got) == 30
    want = [frame.to_ndarray() for frame, _ in zip(pictures(), range(30), strict=False)]
    last = got[-1].to_ndarray().astype(int)
    errors = [np.abs(last - picture).mean() for picture in want]
    assert int(np.argmin(errors)) == 29


nal = st.binary(min_size=1, max_size=40).filter(
    lambda b: b"\0\0\0" not in b and b"\0\0\1" not in b and b[-1] != 0 and b"\0\0\2" not in b
)


@given(st.lists(st.tuples(nal, st.sampled_from([b"\0\0\1", b"\0\0\0\1", b"\0\0\0\0\1"]))))
def test_a_byte_stream_splits_into_its_nal_units(units: list[tuple[bytes, bytes]]) -> None:
    assert split(b"".join(code + unit for unit, code in units)) == [unit for unit, _ in units]


@given(st.binary(max_size=200))
def test_any_bytes_split_without_losing_their_order(stream: bytes) -> None:
    at = 0
    for unit in split(stream):
        assert unit
        at = stream.index(unit, at) + len(unit)
