from math import isclose

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nvr.sim.decoder import Outputs, Receiver
from nvr.sim.head import (
    FASTEST_DPS,
    PRESET_DPS,
    STILL,
    TILT_MAX_DEG,
    TILT_MIN_DEG,
    ZOOM_MAX,
    Drive,
    Head,
    speed_dps,
)
from nvr.sim.view import View
from nvr.wire import pelco_d, pelco_p
from nvr.wire.pelco_d import Frame, Op

HOME = View(180.0, -9.0, 1.0)


def new_head() -> Head:
    return Head(0.0, HOME, {1: HOME, 5: View(20.0, -4.0, 2.0)})


def new_receiver(head: Head, outputs: Outputs | None = None) -> Receiver:
    return Receiver(head, outputs or Outputs(), 1, ZOOM_MAX)


def turned(before: View, after: View) -> float:
    return (after.pan_deg - before.pan_deg + 180) % 360 - 180


def test_speeds_run_from_a_tenth_to_120_degrees_a_second() -> None:
    assert speed_dps(0) == 0
    assert speed_dps(1) == pytest.approx(0.1)
    assert speed_dps(63) == FASTEST_DPS == 120
    assert all(speed_dps(s) < speed_dps(s + 1) for s in range(63))
    assert speed_dps(32) < 120 * 32 / 63 / 1.5, "fine near the middle of the stick"


@pytest.mark.parametrize("speed", [5, 20, 40, 63])
def test_a_steady_pan_covers_speed_times_time(speed: int) -> None:
    head = new_head()
    head.drive(0.0, Drive(pan=speed))
    head.advance(1.0)
    middle = head.view
    head.advance(1.5)
    assert turned(middle, head.view) == pytest.approx(speed_dps(speed) * 0.5, rel=0.01)


def test_it_speeds_up_over_time_and_stops_at_once() -> None:
    head = new_head()
    head.drive(0.0, Drive(pan=63))
    head.advance(0.1)
    assert 0 < turned(HOME, head.view) < 0.5 * FASTEST_DPS * 0.1
    head.drive(1.0, STILL)
    stopped = head.view
    head.advance(5.0)
    assert head.view == stopped
    assert not head.moving


def test_speed_goes_down_with_the_zoom() -> None:
    wide, tele = new_head(), Head(0.0, View(180.0, -9.0, 10.0))
    for head in (wide, tele):
        head.drive(0.0, Drive(pan=40))
        head.advance(2.0)
    assert turned(HOME, tele.view) == pytest.approx(turned(HOME, wide.view) / 10, rel=0.1)


def test_motion_ends_by_itself_after_fifteen_seconds() -> None:
    head = new_head()
    head.drive(0.0, Drive(pan=10))
    head.advance(14.9)
    assert head.moving
    head.advance(15.1)
    assert not head.moving
    stopped = head.view
    head.advance(60.0)
    assert head.view == stopped


def test_a_repeated_command_keeps_it_moving() -> None:
    head = new_head()
    for i in range(30):
        head.drive(float(i), Drive(pan=10))
    head.advance(30.0)
    assert head.moving


def test_a_preset_is_met_exactly_and_at_preset_speed() -> None:
    head = new_head()
    assert head.call_preset(0.0, 5)
    seconds = 0.0
    while head.moving:
        seconds += 0.04
        before = head.view
        head.advance(seconds)
        assert abs(turned(before, head.view)) <= PRESET_DPS * 0.04 + 1e-6
    assert head.view == View(20.0, -4.0, 2.0)
    assert 160 / PRESET_DPS < seconds < 160 / PRESET_DPS + 0.7


@given(st.floats(0, 360), st.floats(-90, 10), st.floats(1, 20))
@settings(max_examples=50, deadline=None)
def test_every_stored_place_is_found_again(pan: float, tilt: float, zoom: float) -> None:
    head = Head(0.0, View(pan, tilt, zoom))
    head.set_preset(0.0, 77)
    stored = head.view
    head.drive(0.0, Drive(pan=63, tilt=-30, zoom=-1))
    head.advance(1.3)
    assert head.call_preset(1.3, 77)
    head.advance(20.0)
    assert isclose(head.view.pan_deg % 360, stored.pan_deg % 360, abs_tol=1e-9)
    assert isclose(head.view.tilt_deg, stored.tilt_deg, abs_tol=1e-9)
    assert isclose(head.view.zoom, stored.zoom, rel_tol=1e-9)


def test_a_preset_nobody_stored_moves_nothing() -> None:
    head = new_head()
    assert not head.call_preset(0.0, 200)
    head.advance(3.0)
    assert head.view == HOME


commands = st.builds(
    Drive,
    st.integers(-64, 64),
    st.integers(-63, 63),
    st.integers(-1, 1),
    st.integers(-1, 1),
    st.integers(-1, 1),
)


@given(st.lists(st.tuples(st.floats(0, 4), commands), max_size=12))
@settings(max_examples=60, deadline=None)
def test_no_command_leaves_the_limits(steps: list[tuple[float, Drive]]) -> None:
    head, now_s = new_head(), 0.0
    for wait_s, drive in steps:
        head.drive(now_s, drive)
        now_s += wait_s
        head.advance(now_s)
        assert TILT_MIN_DEG <= head.view.tilt_deg <= TILT_MAX_DEG
        assert 1.0 <= head.view.zoom <= ZOOM_MAX
        assert 0.0 <= head.view.pan_deg < 360.0


@given(st.lists(st.floats(0.001, 0.3), min_size=1, max_size=30))
@settings(max_examples=40, deadline=None)
def test_how_often_it_is_looked_at_changes_nothing(waits_s: list[float]) -> None:
    watched, alone, now_s = new_head(), new_head(), 0.0
    for head in (watched, alone):
        head.drive(0.0, Drive(pan=30, tilt=-12, zoom=1))
    for wait_s in waits_s:
        now_s += wait_s
        watched.advance(now_s)
    alone.advance(now_s)
    assert turned(watched.view, alone.view) == pytest.approx(0, abs=0.25)
    assert watched.view.zoom == pytest.approx(alone.view.zoom, rel=0.01)


@pytest.mark.parametrize("encode", [Frame.encode, pelco_p.encode])
def test_both_protocols_drive_it(encode: object) -> None:
    head = new_head()
    receiver = new_receiver(head)
    receiver.receive(encode(pelco_d.motion(1, pan=40, tilt=-20)), 0.0)
    head.advance(1.0)
    assert turned(HOME, head.view) > 20
    assert head.view.tilt_deg < HOME.tilt_deg - 5
    receiver.receive(encode(pelco_d.motion(1)), 1.0)
    assert not head.moving


def test_commands_for_another_head_are_ignored() -> None:
    head = new_head()
    receiver = new_receiver(head)
    assert receiver.receive(pelco_d.motion(2, pan=40).encode(), 0.0) == b""
    assert receiver.receive(Frame(2, Op.QUERY_PAN).encode(), 0.0) == b""
    assert not head.moving
    assert receiver.frames == 0


def test_positions_are_told_when_asked_for() -> None:
    head = Head(0.0, View(271.5, -12.25, 4.0))
    receiver = new_receiver(head)
    asked = [Op.QUERY_PAN, Op.QUERY_TILT, Op.QUERY_ZOOM, Op.QUERY_MAGNIFICATION]
    replies = pelco_d.Decoder().feed(
        b"".join(receiver.receive(Frame(1, op).encode(), 0.0) for op in asked)
    )
    assert [(r.op, r.value) for r in replies] == [
        (Op.PAN, 27150),
        (Op.TILT, 36000 - 1225),
        (Op.ZOOM, round(3 / 19 * 0xFFFF)),
        (Op.MAGNIFICATION, 400),
    ]


def test_a_position_can_be_set_axis_by_axis() -> None:
    head = new_head()
    receiver = new_receiver(head)
    for op, value in ((Op.SET_PAN, 9000), (Op.SET_TILT, 36000 - 2500), (Op.SET_MAGNIFICATION, 300)):
        receiver.receive(Frame(1, op, value >> 8, value & 255).encode(), 0.0)
    head.advance(10.0)
    assert head.view == View(90.0, -25.0, 3.0)


def test_auxiliaries_switch_wiper_and_lamp() -> None:
    outputs = Outputs()
    receiver = new_receiver(new_head(), outputs)
    receiver.receive(Frame(1, Op.SET_AUX, 0, 1).encode(), 0.0)
    assert (outputs.wiper, outputs.lamp) == (True, False)
    receiver.receive(Frame(1, Op.SET_AUX, 0, 2).encode() + Frame(1, Op.CLEAR_AUX, 0, 1).encode(), 0)
    assert (outputs.wiper, outputs.lamp) == (False, True)


def test_focus_and_iris_stay_until_the_head_moves() -> None:
    head = new_head()
    head.drive(0.0, Drive(focus=1, iris=1))
    head.drive(1.0, STILL)
    head.advance(9.0)
    assert head.blur_px > 3
    assert head.exposure > 1.5
    head.drive(9.0, Drive(pan=1))
    assert head.blur_px == 0
    assert head.exposure == 1


def test_flip_and_zero_pan_are_there_without_being_stored() -> None:
    head = new_head()
    receiver = new_receiver(head)
    receiver.receive(Frame(1, Op.CALL_PRESET, 0, 33).encode(), 0.0)
    head.advance(5.0)
    assert head.view.pan_deg == pytest.approx(0.0)
    receiver.receive(Frame(1, Op.SET_PAN, *divmod(12345, 256)).encode(), 5.0)
    receiver.receive(Frame(1, Op.CALL_PRESET, 0, 34).encode(), 9.0)
    head.advance(14.0)
    assert head.view.pan_deg == pytest.approx(0.0)


@given(st.binary(max_size=120), st.data())
def test_noise_never_breaks_it_and_a_frame_after_it_is_obeyed(
    noise: bytes, data: st.DataObject
) -> None:
    head = new_head()
    receiver = new_receiver(head)
    line = noise + bytes(7) + Frame(1, Op.CLEAR_PRESET, 0, 5).encode()
    cuts = sorted(data.draw(st.lists(st.integers(0, len(line)), max_size=5)))
    for start, stop in zip([0, *cuts], [*cuts, len(line)], strict=True):
        receiver.receive(line[start:stop], 0.0)
    assert 5 not in head.presets
