from collections.abc import Iterator
from dataclasses import replace

import av
import numpy as np
import pytest

from nvr.base.errors import Misconfigured, Unavailable
from nvr.codec.encode import X264, X265, Encoder, copied, picture_of
from nvr.media.encoder import AccessUnit, Settings

SETTINGS = Settings((320, 180), 25, 400_000, gop_s=2.0)


def pictures(size: tuple[int, int] = (320, 180)) -> Iterator[av.VideoFrame]:
    width, height = size
    base = np.random.default_rng(3).integers(40, 200, (height * 3 // 2, width), np.uint8)
    for i in range(10_000):
        yield av.VideoFrame.from_ndarray(np.roll(base, i, 1), "yuv420p")


def coded(encoder: Encoder, count: int, first: int = 0) -> list[AccessUnit]:
    made: list[AccessUnit] = []
    for i, frame in zip(range(first, first + count), pictures(), strict=False):
        units = encoder.encode(picture_of(frame, i * 3600))
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


def decoded(units: list[AccessUnit], codec: str) -> list[np.ndarray]:
    decoder = av.CodecContext.create(codec, "r")
    frames = [f for unit in units for f in decoder.decode(av.Packet(unit.annex_b()))]
    return [f.to_ndarray(format="yuv420p") for f in [*frames, *decoder.decode(None)]]


@pytest.mark.parametrize("layout", ["yuv420p", "nv12"])
@pytest.mark.parametrize("library", [X264, X265], ids=lambda each: each.name)
@pytest.mark.parametrize("lent", [True, False])
def test_every_layout_comes_out_as_it_went_in(library, layout, lent) -> None:
    codec = next(iter(library.codecs))
    encoder = Encoder(replace(SETTINGS, codec=codec, bitrate_bps=3_000_000), library)
    units, want = [], []
    for i, plain in zip(range(5), pictures(), strict=False):
        frame = plain.reformat(format=layout)
        picture = picture_of(frame, i * 3600)
        units += encoder.encode(picture if lent else replace(picture, owner=None))
        want.append(plain.to_ndarray())
        for plane in frame.planes:
            plane.update(bytes(plane.buffer_size))  # painted over: it must be done with it
    units += encoder.close()
    got = decoded(units, "h264" if codec == "h264" else "hevc")
    assert len(got) == len(want) == 5
    assert units[0].key
    assert units[0].nals[: len(encoder.parameter_sets)] == encoder.parameter_sets
    for ours, theirs in zip(got, want, strict=True):
        assert np.abs(ours.astype(int) - theirs).mean() < 12


def test_held_back_pictures_come_out_in_the_order_of_decoding_and_none_is_lost() -> None:
    encoder = Encoder(replace(SETTINGS, latency="normal", profile="high"))
    units: list[AccessUnit] = []
    for i, frame in zip(range(60), pictures(), strict=False):
        units += encoder.encode(picture_of(frame, i * 3600))
        if i == 30:
            encoder.retarget(replace(encoder.settings, bitrate_bps=800_000))
    units += encoder.close()
    assert sorted(unit.pts_90k for unit in units) == [i * 3600 for i in range(60)]
    order = [unit.dts_90k for unit in units]
    assert order[:31] == sorted(order[:31])
    assert any(unit.pts_90k > unit.dts_90k for unit in units), "nothing was reordered"
    assert encoder.close() == [], "twice is once"


def test_a_picture_with_padding_and_a_short_last_row_is_copied_whole() -> None:
    frame = next(pictures((322, 182)))
    picture = picture_of(frame, 0)
    planes = picture.planes
    short = memoryview(bytes(planes.y[: planes.y_stride * 181 + 322]))
    made = copied(replace(planes, y=short))
    assert np.array_equal(made.to_ndarray(), frame.to_ndarray())


def test_what_a_library_does_not_make_is_refused() -> None:
    with pytest.raises(Misconfigured, match="x264 makes no h265"):
        Encoder(replace(SETTINGS, codec="h265"))


def test_a_closed_encoder_takes_nothing() -> None:
    encoder = Encoder(SETTINGS)
    coded(encoder, 2)
    encoder.close()
    with pytest.raises(Unavailable, match="closed"):
        encoder.encode(picture_of(next(pictures()), 99_999))
