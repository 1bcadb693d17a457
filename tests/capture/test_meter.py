import math
import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nvr.capture.history import Trace
from nvr.capture.meter import NEW_USUAL_S, Meter, slope_ppm
from nvr.media.ports import RunStats


class Camera:
    """Counters of a camera, as a session would give them."""

    def __init__(self):
        self.now_s = 1000.0
        self.meter = Meter()
        self.begin()

    def begin(self):
        self.bytes = self.packets = self.lost = self.frames = self.damaged = self.sound = 0
        self.anchors = 1
        self.lead = (0.0, 0.0)

    def pass_(self, for_s, fps=25.0, kbit_s=4000, loss=0.0, sound=0.0, **more):
        for _ in range(int(for_s / 2)):
            self.now_s += 2.0
            self.bytes += kbit_s * 250
            packets = kbit_s * 250 // 1400
            lost = round(packets * loss)
            self.packets += packets - lost
            self.lost += lost
            self.frames += round(fps * 2)
            self.sound += round(sound * 2)
            stats = RunStats(
                self.bytes, self.packets, self.lost, self.damaged, self.frames, 1, self.now_s,
                self.now_s - 1, 180_000, 50, 0, 0, self.sound, self.anchors, 0.02,
                self.lead[1], self.lead[0], **more,
            )  # fmt: skip
            self.meter.look(
                self.now_s, round(self.now_s * 1e6), stats, sound=sound > 0, shape="h264"
            )
        return self.meter.rates


def test_rates_are_those_of_the_last_seconds():
    camera = Camera()
    rates = camera.pass_(40)
    assert (rates.fps, rates.bitrate_bps, rates.loss_percent) == (25.0, 4_000_000, 0.0)
    assert (rates.gop_s, rates.gop_frames, rates.key_age_s) == (2.0, 50, 1.0)
    assert rates.sound is None
    rates = camera.pass_(6, fps=10, kbit_s=1000)
    assert (rates.fps, rates.bitrate_bps) == (10.0, 1_000_000)
    assert rates.usual_fps == 25.0
    assert camera.pass_(30, loss=0.1).loss_percent == pytest.approx(10, abs=0.5)


def test_another_connection_begins_anew_but_knows_what_is_usual():
    camera = Camera()
    camera.pass_(60, loss=0.5)
    camera.begin()
    rates = camera.pass_(2)
    assert rates.loss_percent == 0.0
    assert rates.fps is None
    assert rates.usual_fps == 25.0
    camera.meter.nothing()
    assert camera.meter.rates.fps is None


def test_a_lower_frame_rate_is_usual_only_once_it_lasts():
    camera = Camera()
    camera.pass_(60)
    assert camera.pass_(NEW_USUAL_S - 60, fps=12.5).usual_fps == 25.0
    assert camera.pass_(120, fps=12.5).usual_fps == pytest.approx(12.5, abs=0.3)
    assert camera.pass_(60, fps=25).usual_fps == 25.0


def test_sound_that_stops_is_noticed():
    camera = Camera()
    assert camera.pass_(20, sound=50).sound is True
    for _ in range(10):
        camera.now_s += 2
        stats = RunStats(camera.bytes, 1, 0, 0, 1, 1, 0.0, 0.0, 0, sound=camera.sound)
        camera.meter.look(camera.now_s, 0, stats, sound=True, shape="h264")
    assert camera.meter.rates.sound is False
    assert camera.meter.silent_s == 20.0


@pytest.mark.parametrize("ppm", [-900, -40, 0, 40, 900])
def test_drift_is_found_within_its_error(ppm):
    camera, rng = Camera(), random.Random(ppm)
    for step in range(90):
        at_s = camera.now_s
        blur_s = rng.uniform(0, 0.02)
        camera.lead = (at_s, step * 10 * ppm / 1e6 - blur_s)
        rates = camera.pass_(10)
        assert (rates.drift_ppm is None) == (step < 5)
        if rates.drift_ppm is not None:
            assert abs(rates.drift_ppm - ppm) <= rates.drift_error_ppm
    assert rates.drift_error_ppm < 60
    camera.anchors += 1
    assert camera.pass_(4).drift_ppm is None


@given(st.floats(-1000, 1000), st.integers(6, 90))
@settings(deadline=None)
def test_a_line_without_scatter_has_its_slope(ppm, count):
    points = [(1e6 + 10 * n, 5 + 10 * n * ppm / 1e6) for n in range(count)]
    found, error = slope_ppm(points)
    assert math.isclose(found, ppm, abs_tol=0.1)
    assert error > 0


def test_the_camera_s_wall_clock_is_held_against_ours():
    camera = Camera()
    rates = camera.pass_(4, ntp_us=1_000_000_000 + 7_000_000, ntp_at_s=1000.0)
    assert rates.clock_offset_ms == 7000.0
    assert camera.pass_(2, ntp_us=0, ntp_at_s=1000.0).clock_offset_ms is None


@given(
    st.floats(0, 1e6),
    st.lists(st.tuples(st.floats(0, 60), st.integers(0, 10**7), st.integers(0, 99)), max_size=60),
)
@settings(deadline=None)
def test_a_trace_holds_what_came_and_no_more(begun_s, adds):
    trace, now_s, added = Trace(10.0, 36), begun_s, []
    for wait_s, took, lost in adds:
        now_s += wait_s
        trace.add(now_s, bytes_in=took, frames=lost, lost=lost, jitter_ms=lost, state="degraded")
        added.append((now_s, lost))
    found = trace.history(now_s, 10**15)
    assert len(found.kbit_s) == len(found.fps) == len(found.lost) == len(found.state) <= 36
    newest = int(now_s // 10.0)
    kept = [lost for at_s, lost in added if int(at_s // 10.0) > newest - 36]
    assert sum(found.lost) == sum(kept)
    assert max(found.jitter_ms, default=0) == max(kept, default=0)
    assert set(found.state) <= {"d"}


def test_a_trace_tells_rates_of_steps_that_are_not_whole():
    trace = Trace(10.0, 36)
    for at in range(1006, 1047, 2):
        trace.add(at, bytes_in=250_000, frames=50, lost=1, jitter_ms=9, state="recording")
    found = trace.history(1046.0, 2_000_000_000)
    assert found.state == "rrrrr"
    assert found.until_us == 2_000_000_000 + 4_000_000
    assert found.kbit_s[1:4] == (1000, 1000, 1000)
    assert found.fps[1:4] == (25.0, 25.0, 25.0)
    assert 1000 <= found.kbit_s[0] <= 1500, "from when it began"
    assert sum(found.lost) == 21


def test_the_worst_of_a_step_is_its_state():
    trace = Trace(10.0, 4)
    for at, state in enumerate(["recording", "lost", "recording", "recording", "off"]):
        trace.add(at * 5.0, bytes_in=0, frames=0, lost=0, jitter_ms=0, state=state)
    assert trace.history(20.0, 0).state == "lro"
