"""What a device is asked for, and how what it leaves out is counted."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nvr.base.errors import Misconfigured
from nvr.capture.beat import Beat
from nvr.capture.choose import USABLE, Choice, choose
from nvr.media.device import Capture, VideoFormat, VideoSize


def form(fourcc, *sizes):
    return VideoFormat(
        fourcc, fourcc, fourcc in {"MJPG", "H264"}, tuple(VideoSize(w, h, r) for w, h, r in sizes)
    )


WEBCAM = [
    form("MJPG", (1920, 1080, (30.0, 15.0)), (640, 480, (30.0,))),
    form("YUYV", (1920, 1080, (5.0,)), (640, 480, (30.0, 15.0)), (320, 240, (30.0,))),
    form("H264", (1920, 1080, (30.0,))),
]


@pytest.mark.parametrize(
    ("wish", "picked"),
    [
        (Capture(), Choice("MJPG", (1920, 1080), 30.0)),
        (Capture(format="yuyv"), Choice("YUYV", (1920, 1080), 5.0)),
        (Capture(size=(640, 480)), Choice("YUYV", (640, 480), 30.0)),
        (Capture(size=(640, 480), format="mjpeg"), Choice("MJPG", (640, 480), 30.0)),
        (Capture(rate_fps=10), Choice("MJPG", (1920, 1080), 15.0)),
        (Capture(size=(640, 480), rate_fps=15), Choice("YUYV", (640, 480), 15.0)),
        (Capture(rate_fps=60), Choice("MJPG", (1920, 1080), 30.0)),
        (Capture(format="h264"), Choice("H264", (1920, 1080), 30.0)),
    ],
)
def test_the_best_of_what_is_wished_for_is_taken(wish, picked):
    assert choose(WEBCAM, wish) == picked


def test_kinds_are_told_apart():
    assert [Choice(name, (2, 2), 0).kind for name in ("NV12", "MJPG", "H264")] == [
        "raw", "jpeg", "h264",
    ]  # fmt: skip


def test_more_than_full_hd_must_be_asked_for():
    offered = [form("NV12", (3840, 2160, (30.0,)), (1920, 1080, (30.0,)))]
    assert choose(offered, Capture()).size == (1920, 1080)
    assert choose(offered, Capture(size=(3840, 2160))).size == (3840, 2160)
    assert choose([form("NV12", (3840, 2160, (30.0,)))], Capture()).size == (3840, 2160)


def test_what_it_lacks_is_said_with_what_it_has():
    with pytest.raises(Misconfigured, match="MJPG, YUYV, H264"):
        choose(WEBCAM, Capture(format="nv12"))
    with pytest.raises(Misconfigured, match="does not offer that size"):
        choose(WEBCAM, Capture(size=(1280, 720)))
    with pytest.raises(Misconfigured, match="nothing usable"):
        choose([form("BA81", (640, 480, (30.0,)))], Capture())


def test_a_grabber_without_sizes_or_rates_is_taken_as_it_is():
    assert choose([form("UYVY", (720, 576, ()))], Capture()) == Choice("UYVY", (720, 576), 0.0)


SIZES = st.tuples(
    st.integers(1, 8000),
    st.integers(1, 8000),
    st.lists(st.floats(0.1, 240), max_size=4).map(tuple),
)
FORMATS = st.builds(lambda name, sizes: form(name, *sizes), st.sampled_from([*USABLE, "BA81"]),
                    st.lists(SIZES, max_size=5))  # fmt: skip


@given(st.lists(FORMATS, max_size=5), st.floats(0, 120))
def test_only_what_is_offered_is_chosen(offered, rate):
    try:
        found = choose(offered, Capture(rate_fps=rate))
    except Misconfigured:
        return
    sizes = [size for one in offered if one.fourcc == found.fourcc for size in one.sizes]
    fitting = [s for s in sizes if (s.width_px, s.height_px) == found.size]
    assert fitting
    assert any(found.rate_fps in {*s.rates_fps, rate} for s in fitting)


def beaten(gaps):
    beat = Beat()
    at = 1000
    beat.take(at)
    for gap in gaps:
        at += gap
        beat.take(at)
    return beat.missed


def test_pictures_left_out_are_counted():
    assert beaten([3600] * 10 + [7200] + [3600] * 5 + [3600 * 4] + [3600] * 5) == 4


def test_a_late_picture_is_not_a_missing_one():
    assert beaten([3600, 3700, 3500, 5000, 2200] * 20) == 0


def test_a_slower_beat_in_the_dark_is_no_loss():
    assert beaten([3000] * 30 + [6000] * 200) <= 2
    assert beaten([6000] * 30 + [3000] * 200) == 0


@given(st.lists(st.integers(-(10**6), 10**6)))
def test_no_time_stamp_is_too_odd(gaps):
    assert beaten(gaps) >= 0
