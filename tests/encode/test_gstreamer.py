"""Encoders in a child process, with those of the distribution's GStreamer in a Jetson's place."""

import os
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import av
import numpy as np
import pytest

from nvr.base.errors import Misconfigured, Unavailable
from nvr.codec.encode import picture_of
from nvr.encode.gstreamer import GstEncoder, pipeline_of
from nvr.media.encoder import AccessUnit, Settings
from tests.codec.test_encode import decoded, pictures

SETTINGS = Settings((320, 180), 25, 600_000, gop_s=1.0)
pytestmark = pytest.mark.needs("gst-rtsp-server")
START_90K = 7 * 90_000 * 3600


@contextmanager
def encoding(name: str = "gst-x264", settings: Settings = SETTINGS) -> Iterator[GstEncoder]:
    encoder = GstEncoder(name, settings)
    pid = encoder.pid
    try:
        yield encoder
    finally:
        encoder.close()
        assert not Path(f"/proc/{pid}").exists()


def coded(encoder: GstEncoder, count: int, first: int = 0, layout: str = "yuv420p"):
    made: list[AccessUnit] = []
    for i, frame in zip(range(first, first + count), pictures(), strict=False):
        made += encoder.encode(picture_of(frame.reformat(format=layout), START_90K + i * 3600))
    return made


@pytest.mark.parametrize(
    ("name", "layout"), [("gst-x264", "yuv420p"), ("gst-x264", "nv12"), ("gst-openh264", "nv12")]
)
def test_pictures_come_back_with_their_times_keys_and_colours(name: str, layout: str) -> None:
    with encoding(name, replace(SETTINGS, bitrate_bps=3_000_000)) as encoder:
        units = coded(encoder, 30, layout=layout) + encoder.close()
    assert [unit.pts_90k for unit in units] == [START_90K + i * 3600 for i in range(30)]
    assert all(unit.dts_90k == unit.pts_90k for unit in units)
    assert units[0].key
    assert sum(unit.key for unit in units) == 2
    for unit in units:
        kinds = [nal[0] & 31 for nal in unit.nals]
        assert (kinds[:2] == [7, 8]) == unit.key
        assert not {7, 8, 9} & set(kinds[2:])
    got = decoded(units, "h264")
    want = [frame.to_ndarray() for frame, _ in zip(pictures(), range(30), strict=False)]
    assert len(got) == 30
    assert np.abs(got[-1].astype(int) - want[-1]).mean() < 12


def test_padding_is_left_out() -> None:
    size = (322, 182)
    with encoding(settings=replace(SETTINGS, size=size, bitrate_bps=3_000_000)) as encoder:
        frames = [frame for frame, _ in zip(pictures(size), range(3), strict=False)]
        units: list[AccessUnit] = []
        for i, frame in enumerate(frames):
            units += encoder.encode(picture_of(frame, i * 3600))
        got = decoded(units + encoder.close(), "h264")
    assert got[0].shape == (182 * 3 // 2, 322)
    assert np.abs(got[-1].astype(int) - frames[-1].to_ndarray()).mean() < 12


def test_keys_and_rate_follow_at_once_and_size_gives_a_new_child() -> None:
    with encoding(settings=replace(SETTINGS, gop_s=60.0)) as encoder:
        first = encoder.pid
        units = coded(encoder, 40)
        encoder.request_key()
        units += coded(encoder, 40, 40)
        encoder.retarget(replace(encoder.settings, bitrate_bps=2_400_000))
        units += coded(encoder, 60, 80)
        assert encoder.pid == first
        encoder.retarget(replace(encoder.settings, gop_s=0.4))
        units += coded(encoder, 20, 140) + encoder.close()
    assert encoder.pid is None
    assert sorted(unit.pts_90k for unit in units) == [START_90K + i * 3600 for i in range(160)]
    keys = [(unit.pts_90k - START_90K) // 3600 for unit in units if unit.key]
    assert keys[0] == 0
    assert 40 in keys
    assert keys[-2:] == [140, 150]
    size = {"slow": 0, "fast": 0}
    for unit in units:
        at = (unit.pts_90k - START_90K) // 3600
        if 10 <= at < 40 or 90 <= at < 120:
            size["slow" if at < 40 else "fast"] += len(unit.annex_b())
    assert size["fast"] > 2 * size["slow"]


def test_one_that_dies_is_said_and_closing_ends() -> None:
    with encoding() as encoder:
        coded(encoder, 5)
        os.kill(encoder.pid, signal.SIGSEGV)
        with pytest.raises(Unavailable, match=r"encoder\.died"):
            coded(encoder, 50, 5)


def test_one_that_hangs_is_given_up_and_closing_ends(monkeypatch) -> None:
    monkeypatch.setattr("nvr.encode.gstreamer._END_S", 0.5)
    with encoding() as encoder:
        coded(encoder, 2)
        os.kill(encoder.pid, signal.SIGSTOP)
        begun_s = time.monotonic()
        with pytest.raises(Unavailable, match="hangs"):
            coded(encoder, 500, 2)
        assert time.monotonic() - begun_s >= 2.9


def test_what_is_not_there_is_refused_with_a_reason(monkeypatch) -> None:
    with pytest.raises(Misconfigured, match="nvvidconv"):
        GstEncoder("jetson", SETTINGS)
    with pytest.raises(Misconfigured, match="gst-x264 makes no h265"):
        GstEncoder("gst-x264", replace(SETTINGS, codec="h265"))
    monkeypatch.setattr("nvr.encode.gstreamer.PYTHON", "/nowhere/python3")
    with pytest.raises(Misconfigured, match="no /nowhere/python3"):
        GstEncoder("gst-x264", SETTINGS)


def test_the_pipeline_of_a_jetson_says_what_was_asked_for() -> None:
    made = pipeline_of("jetson", replace(SETTINGS, profile="high"))
    assert "nvv4l2h264enc name=enc bitrate=600000 control-rate=1 iframeinterval=25" in made
    assert "profile=4" in made
    assert "colorimetry=bt709" in made


def test_the_stream_says_what_its_colours_mean() -> None:
    with encoding() as encoder:
        units = coded(encoder, 3) + encoder.close()
    decoder = av.CodecContext.create("h264", "r")
    for unit in units:
        decoder.decode(av.Packet(unit.annex_b()))
    assert decoder.colorspace == 1
