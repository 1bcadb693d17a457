"""The state machine on a fake clock: it never flaps, always recovers, and tells no lies."""

import json
import logging
import re
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import get_args

import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st
from msgspec import structs

from nvr.capture.health import LIMITS, UNSTEADY_S, Limit, Machine, Seen, _Switch
from nvr.capture.meter import Meter
from nvr.capture.state import Connection
from nvr.cli.main import main
from nvr.config.camera import Tolerable
from nvr.media.health import Rates

GOOD = Rates(
    fps=25.0, usual_fps=25.0, bitrate_bps=4_000_000, loss_percent=0.0, gop_s=2.0, gop_frames=50,
    key_age_s=1.0, jitter_ms=20.0, drift_ppm=20.0, drift_error_ppm=30.0,
)  # fmt: skip
LIVE = Seen(Connection("live", 0), connections=1)
LOST = Connection("lost", 0, "camera.lost", "the camera closed the connection")
LOOK_S = 2.0


class Bench:
    """A machine with a clock, fed by hand."""

    def __init__(self):
        self.now_s = 5000.0
        self.meter = Meter()
        self.meter.rates = GOOD
        self.machine = Machine("gate", self.wall_us)
        self.states = []

    @property
    def wall_us(self):
        return round(self.now_s * 1e6) + 1_700_000_000_000_000

    @property
    def health(self):
        return self.machine.health

    @property
    def codes(self):
        return [one.code for one in self.health.why]

    def look(self, seen=LIVE, rates=GOOD, *, damaged=0.0, silent_s=0.0):
        self.now_s += LOOK_S
        self.meter.rates = rates
        self.meter.damaged_percent = damaged
        self.meter.silent_s = silent_s
        changed = self.machine.look(self.now_s, self.wall_us, seen, self.meter)
        last = self.health.last if self.health.state == "lost" else None
        now = (self.health.state, tuple(self.codes), last and last.code)
        assert not self.states or changed == (now != self.states[-1])
        self.states.append(now)
        return self.health

    def go_on(self, for_s, seen=LIVE, rates=GOOD, **more):
        for _ in range(int(for_s / LOOK_S)):
            self.look(seen, rates, **more)
        return self.health

    def wait(self, for_s, seen):
        """All is well, and somebody looks but now and then."""
        for _ in range(int(for_s / 20)):
            self.now_s += 18
            self.look(seen)
        return self.health


BAD = {
    "camera.loss": ({"loss_percent": 2.0}, {}),
    "camera.damaged": ({}, {"damaged": 5.0}),
    "camera.no_key_frames": ({"key_age_s": 11.0}, {}),
    "camera.gop_long": ({"gop_s": 4.0}, {}),
    "camera.clock_drift": ({"drift_ppm": -800.0}, {}),
    "camera.frame_rate": ({"fps": 12.0}, {}),
    "camera.sound_missing": ({}, {"silent_s": 12.0}),
}
SEEN_BAD = {
    "camera.frozen": replace(LIVE, connection=Connection("frozen", 0, "camera.frozen", "x")),
    "camera.unsupported": replace(
        LIVE, connection=Connection("unsupported", 0, "camera.unsupported", "x")
    ),
    "camera.sound_unsupported": replace(
        LIVE, connection=Connection("live", 0, "camera.sound_unsupported", "x")
    ),
    "camera.no_signal": replace(LIVE, connection=Connection("live", 0, "camera.no_signal", "x")),
    "camera.no_power": replace(LIVE, connection=Connection("frozen", 0, "camera.no_power", "x")),
    "camera.not_recorded": replace(LIVE, stopped="volume.gone"),
    "record.behind": replace(LIVE, behind=True),
    "camera.sub_missing": replace(LIVE, sub_lost=True),
}


def test_every_reason_is_tried_here():
    assert {*BAD, *SEEN_BAD, "camera.unsteady"} == set(LIMITS)


@pytest.mark.parametrize("code", BAD)
def test_a_measure_beyond_its_limit_degrades_and_a_good_one_ends_it(code):
    bench = Bench()
    assert bench.go_on(60).state == "recording"
    rates, more = BAD[code]
    rates, limit = structs.replace(GOOD, **rates), LIMITS[code]
    began_s = bench.now_s
    while code not in bench.codes:
        bench.look(LIVE, rates, **more)
        assert bench.now_s - began_s < limit.comes_s + 3 * LOOK_S
    assert bench.now_s - began_s >= limit.comes_s
    assert bench.health.state == "degraded"
    bench.go_on(100, LIVE, rates, **more)
    began_s = bench.now_s
    while bench.health.state != "recording":
        bench.look()
        assert bench.now_s - began_s < limit.goes_s + 3 * LOOK_S
    assert bench.now_s - began_s >= limit.goes_s


@pytest.mark.parametrize("code", SEEN_BAD)
def test_what_is_said_degrades_too(code):
    bench = Bench()
    bench.go_on(60)
    bench.go_on(LIMITS[code].comes_s + 3 * LOOK_S, SEEN_BAD[code])
    assert bench.codes == [code]
    assert bench.health.state == "degraded"
    bench.go_on(LIMITS[code].goes_s + 3 * LOOK_S)
    assert bench.health.state == "recording"


def test_a_glance_at_a_limit_is_no_reason():
    bench = Bench()
    bench.go_on(60)
    for _ in range(200):
        bench.look(LIVE, structs.replace(GOOD, loss_percent=0.6, gop_s=4.0, fps=5.0))
        bench.look()
    assert {state for state, *_ in bench.states} == {"recording"}


values = st.lists(st.floats(0, 20) | st.none(), min_size=1, max_size=80)


@given(values, st.booleans(), st.integers(0, 5), st.integers(0, 5))
@settings(deadline=None)
def test_a_switch_turns_only_after_its_time(numbers, falls, comes, goes):
    limit = (
        Limit(5, 10, comes * LOOK_S, goes * LOOK_S)
        if falls
        else Limit(10, 5, comes * LOOK_S, goes * LOOK_S)
    )
    switch, turned = _Switch(), [(0.0, False)]
    for place, number in enumerate(numbers):
        now_s = place * LOOK_S
        switch.look(number, limit, now_s, 0)
        if switch.on != turned[-1][1]:
            needs = limit.comes_s if switch.on else limit.goes_s
            held = numbers[place - int(needs / LOOK_S) : place + 1]
            assert None not in held
            worse = [(n <= 5) if falls else (n >= 10) for n in held]
            better = [(n >= 10) if falls else (n <= 5) for n in held]
            assert all(worse if switch.on else better)
            turned.append((now_s, switch.on))


@given(st.lists(st.floats(5.01, 9.99), min_size=1, max_size=100), st.booleans())
@settings(deadline=None)
def test_nothing_turns_between_the_two_limits(numbers, on):
    switch = _Switch(on=on)
    for place, number in enumerate(numbers):
        switch.look(number, Limit(10, 5, 0, 0), place * LOOK_S, 0)
    assert switch.on == on


@st.composite
def looks(draw):
    """What a camera and the box may do, at random."""
    state = draw(
        st.sampled_from(["live", "live", "live", "lost", "frozen", "refused", "unsupported"])
    )
    code = "" if state == "live" else f"camera.{state}"
    rates = draw(
        st.builds(
            Rates,
            fps=st.floats(0, 60), usual_fps=st.none() | st.floats(1, 60),
            loss_percent=st.floats(0, 100), gop_s=st.none() | st.floats(0.01, 60),
            key_age_s=st.floats(0, 600), drift_ppm=st.none() | st.floats(-1e6, 1e6),
            drift_error_ppm=st.floats(0, 1e5),
        )
    )  # fmt: skip
    seen = Seen(
        Connection(state, 0, code, "words" if code else ""),
        connected=state in {"live", "frozen"} or draw(st.booleans()),
        connections=draw(st.integers(0, 1)),
        failures=draw(st.integers(0, 3)),
        planned=draw(st.booleans()), recorded=draw(st.booleans()),
        stopped=draw(st.sampled_from(["", "volume.gone"])), behind=draw(st.booleans()),
        sub_lost=draw(st.booleans()),
    )  # fmt: skip
    return seen, rates, draw(st.integers(1, 8))


@given(st.lists(looks(), max_size=10))
@settings(max_examples=60, deadline=None, phases=[Phase.explicit, Phase.generate])
def test_whatever_happens_it_tells_no_lies_and_comes_back(story):
    bench, connections = Bench(), 1
    for seen, rates, times in story:
        connections += seen.connections
        for _ in range(times):
            health = bench.look(replace(seen, connections=connections), rates)
            assert health.since_us <= bench.wall_us
            assert (health.state == "degraded") <= bool(health.why)
            assert (health.state in {"lost", "connecting"}) <= (not health.why)
            assert health.state != "lost" or health.last is not None
            gone = seen.connection.state in {"lost", "refused"}
            assert not gone or health.state == "lost"
            assert seen.connection.state != "live" or health.state != "lost"
            spells = bench.machine.spells(bench.now_s)
            lasting = [spell for spell in spells if not spell.to_us]
            assert len(lasting) == (health.state in {"lost", "degraded"})
            assert all(spell.codes for spell in spells)
            assert all(spell.state in {"lost", "degraded"} for spell in spells)
            for newer, older in pairwise(spells):
                assert older.from_us <= older.to_us <= newer.from_us
    seen = replace(LIVE, connections=connections)
    assert bench.wait(UNSTEADY_S + 200, seen).state == "recording"
    assert bench.machine.spells(bench.now_s)[:1] == () or bench.machine.spells(bench.now_s)[0].to_us


def test_a_lost_camera_says_since_when_why_and_when_it_is_tried_next():
    bench = Bench()
    bench.go_on(20)
    seen = replace(LIVE, connection=LOST, connected=False, failures=1, next_try_us=77)
    first = bench.look(seen)
    assert (first.state, first.since_us, first.next_try_us) == ("lost", bench.wall_us, 77)
    assert (first.last.code, first.last.detail) == (LOST.code, LOST.detail)
    since_us, at_us = first.since_us, first.last.at_us
    again = bench.look(replace(seen, failures=2))
    assert again.since_us == since_us
    assert again.last.at_us > at_us, "of the last attempt"
    back = bench.look(replace(LIVE, connections=2))
    assert back.state == "recording"
    assert back.last == again.last, "what it was last is still said"
    [spell] = bench.machine.spells(bench.now_s)
    assert (spell.state, spell.codes, spell.to_us - spell.from_us) == (
        "lost",
        (LOST.code,),
        4_000_000,
    )
    assert spell.duration_s == 4.0


def test_off_by_its_plan_is_no_trouble_but_lost_is():
    bench = Bench()
    bench.go_on(20)
    off = replace(LIVE, planned=False)
    assert bench.go_on(20, off, structs.replace(GOOD, loss_percent=5.0)).state == "off"
    assert bench.codes == ["camera.loss"], "what is wrong is said all the same"
    assert bench.machine.spells(bench.now_s) == ()
    assert bench.look(replace(off, connection=LOST, connected=False)).state == "lost"
    assert bench.go_on(120, replace(LIVE, recorded=False)).state == "watched"


def test_a_camera_that_comes_and_goes_is_unsteady_and_fills_no_log(caplog):
    bench = Bench()
    caplog.set_level(logging.INFO)
    for connections in range(1, 60):
        bench.go_on(12, replace(LIVE, connections=connections))
        bench.go_on(4, replace(LIVE, connection=LOST, connected=False, connections=connections))
    assert bench.go_on(4, replace(LIVE, connections=60)).state == "degraded"
    assert bench.codes == ["camera.unsteady"]
    assert bench.health.why[0].value >= 3
    said = [record.message for record in caplog.records]
    assert len(said) < 15, said
    assert "camera.lost" in said[0]
    assert 'why="camera.unsteady"' in said[-1] or "camera.unsteady" in said[-1]
    assert bench.go_on(UNSTEADY_S + 10, replace(LIVE, connections=60)).state == "recording"
    assert len(bench.machine.spells(bench.now_s)) >= 59


def test_begin_and_end_are_in_the_log_with_how_long_it_was(caplog):
    caplog.set_level(logging.INFO)
    bench = Bench()
    bench.go_on(20)
    bench.go_on(40, replace(LIVE, connection=LOST, connected=False))
    bench.go_on(20, replace(LIVE, connections=2))
    bench.go_on(20, LIVE, structs.replace(GOOD, loss_percent=3.0))
    bench.go_on(90)
    lost, returned, degraded, recovered = (record.message for record in caplog.records)
    assert lost.startswith("camera.lost")
    assert "the camera closed the connection" in lost
    assert returned.startswith("camera.returned")
    assert "after_s=40.0" in returned
    assert degraded.startswith("camera.degraded")
    assert "camera.loss" in degraded
    assert recovered.startswith("camera.recovered")
    assert "after_s=76.0" in recovered


def test_spells_are_bounded():
    bench = Bench()
    for connections in range(1, 400):
        bench.look(replace(LIVE, connections=connections))
        bench.look(replace(LIVE, connection=LOST, connected=False, connections=connections))
    assert len(bench.machine.spells(bench.now_s)) <= 101


@pytest.mark.parametrize("error_ppm", [10.0, 300.0])
def test_drift_is_judged_only_once_it_is_sure(error_ppm):
    bench = Bench()
    bench.go_on(120, LIVE, structs.replace(GOOD, drift_ppm=700.0, drift_error_ppm=error_ppm))
    assert bench.health.state == ("degraded" if error_ppm < 250 else "recording")


def test_what_is_put_up_with_is_shown_and_degrades_nothing():
    bench = Bench()
    seen = replace(LIVE, tolerate=frozenset({"camera.gop_long"}))
    bench.go_on(60, seen, structs.replace(GOOD, gop_s=4.0))
    assert bench.health.state == "recording"
    assert [one.code for one in bench.health.tolerated] == ["camera.gop_long"]
    assert bench.machine.spells(bench.now_s) == ()
    bench.go_on(60, seen, structs.replace(GOOD, gop_s=4.0, loss_percent=3.0))
    assert bench.codes == ["camera.loss"], "and hides nothing else"
    bench.go_on(4, LIVE, structs.replace(GOOD, gop_s=4.0))
    assert bench.codes == ["camera.loss", "camera.gop_long"]


def test_what_may_be_put_up_with_is_something_that_is_said():
    assert set(get_args(Tolerable)) < set(LIMITS)
    page = Path("nvr/web/page/js/admin/diagnosis.js").read_text(encoding="utf-8")
    [shown] = re.findall(r"const TOLERABLE = (\[.*?\]);", page)
    assert json.loads(shown) == sorted(get_args(Tolerable))


def test_the_command_tells_every_limit(capsys):
    with pytest.raises(SystemExit):
        main(["camera", "--help"])
    text = capsys.readouterr().out
    for code, limit in LIMITS.items():
        [line] = [each for each in text.splitlines() if each.strip().startswith(f"{code} ")]
        if limit.goes_s >= 20:
            assert f"{limit.goes_s:g} s" in line or f"{limit.goes_s / 60:g} min" in line, line
        if limit.comes_s:
            assert f"{limit.comes_s:g} s" in line, line
