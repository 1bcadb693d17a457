"""With real processes: what is left moving when the recorder dies or freezes."""

import os
import signal
import time
from collections.abc import Iterator

import pytest

from nvr.wire.pelco_d import Cmd, Op
from tests.ptz.conftest import Recorder, gone
from tests.ptz.line import FarEnd, Heard, RelayBox

# The guard's own limits are 400 ms and one gap; the rest is what a busy machine may add. The
# figures proper are measured by `python -m tests.bench.control`.
AFTER_S = 2.0
GAP_S = 0.08


def start_moving(recorder: Recorder, far: FarEnd, camera: str = "dome1") -> None:
    assert "code" not in recorder.ask("move", camera=camera, pan=-1, tilt=0, zoom=0, lease_s=10)
    far.wait(lambda heard: any(h.frame.command & Cmd.LEFT for h in heard))
    far.clear()


def two_stops(heard: list[Heard]) -> bool:
    return sum(h.still for h in heard) >= 2


def test_killed_while_moving_with_the_wiper_on(
    recorder: Recorder, far: FarEnd, relays: RelayBox
) -> None:
    start_moving(recorder, far)
    recorder.ask("output", camera="dome1", name="wiper", on=True)
    relays.wait("wiper", True)
    killed_s = time.monotonic()
    recorder.signal(signal.SIGKILL)
    heard = far.wait(two_stops, AFTER_S)
    assert heard[0].still
    assert heard[1].at_s - killed_s >= GAP_S * 0.9
    assert relays.wait("wiper", False, AFTER_S) > killed_s
    end_s = time.monotonic() + 5
    while not gone(recorder.guard_pid):
        assert time.monotonic() < end_s, "the guard outlives its recorder"
        time.sleep(0.01)


def test_killed_with_a_wiper_on_and_heads_that_stand_again(
    recorder: Recorder, far: FarEnd, relays: RelayBox
) -> None:
    start_moving(recorder, far)
    recorder.ask("move", camera="dome1", pan=0, tilt=0, zoom=0)
    far.wait(two_stops, AFTER_S)
    recorder.ask("output", camera="dome1", name="wiper", on=True)
    relays.wait("wiper", True)
    recorder.signal(signal.SIGKILL)
    relays.wait("wiper", False, AFTER_S)


def test_frozen_while_moving_and_thawed_later(
    recorder: Recorder, far: FarEnd, relays: RelayBox
) -> None:
    start_moving(recorder, far)
    recorder.ask("output", camera="dome1", name="lamp", on=True)
    relays.wait("lamp", True)
    recorder.signal(signal.SIGSTOP)
    heard = far.wait(two_stops, AFTER_S)
    assert all(h.still for h in heard)
    relays.wait("lamp", False, AFTER_S)
    time.sleep(0.2)
    far.clear()
    recorder.signal(signal.SIGCONT)
    # The lease of 10 s has not lapsed, and yet the motion is over.
    again = recorder.ask("move", camera="dome1", pan=-1, tilt=0, zoom=0, lease_s=10)
    far.wait(two_stops, AFTER_S)
    if "code" not in again:  # it came before the thread had noticed; then it was dropped there
        again = recorder.ask("move", camera="dome1", pan=-1, tilt=0, zoom=0, lease_s=10)
    assert again["code"] == "ptz.rearm"
    assert all(h.still for h in far.heard)
    recorder.ask("move", camera="dome1", pan=0, tilt=0, zoom=0)
    start_moving(recorder, far)


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGSTOP])
def test_killed_or_frozen_on_the_way_to_a_preset(
    recorder: Recorder, far: FarEnd, number: int
) -> None:
    for do, op in (("set", Op.SET_PRESET), ("call", Op.CALL_PRESET)):
        assert "code" not in recorder.ask("preset", camera="dome1", do=do, number=1)
        far.wait(lambda heard, op=op: any(h.frame.op == op for h in heard))
    far.clear()
    recorder.signal(number)
    heard = far.wait(two_stops, AFTER_S)
    assert all(h.still for h in heard)


def test_frozen_with_nothing_moving_is_no_reason_to_act(recorder: Recorder, far: FarEnd) -> None:
    time.sleep(0.1)
    recorder.signal(signal.SIGSTOP)
    time.sleep(0.8)
    recorder.signal(signal.SIGCONT)
    assert recorder.ask("status", camera="dome1") | {"at_s": 0} == {
        "at_s": 0,
        "moving": False,
        "rearm": False,
    }
    assert far.heard == []


def test_eight_heads_are_all_told_before_any_is_told_twice(far: FarEnd, relays: RelayBox) -> None:
    recorder = Recorder(far, relays, heads=8)
    far.wait_count(16)
    far.clear()
    for n in range(1, 9):
        recorder.ask("move", camera=f"dome{n}", pan=1, tilt=0, zoom=0, lease_s=10)
    far.wait(lambda heard: len({h.frame.address for h in heard}) == 8)
    recorder.signal(signal.SIGKILL)
    heard = far.wait(lambda heard: sum(h.still for h in heard) >= 16, 5)
    stops = [h.frame.address for h in heard if h.still]
    assert set(stops[:8]) == set(stops[8:]) == set(range(1, 9))
    recorder.close()


def test_nothing_moves_without_a_guard(recorder: Recorder, far: FarEnd) -> None:
    os.kill(recorder.guard_pid, signal.SIGKILL)
    while not gone(recorder.guard_pid):
        time.sleep(0.01)
    answer = recorder.ask("move", camera="dome1", pan=1, tilt=0, zoom=0)
    assert answer["code"] == "ptz.guard_gone"
    answer = recorder.ask("output", camera="dome1", name="wiper", on=True)
    assert answer["code"] == "gpio.guard_gone"


def test_a_motion_ends_when_its_guard_is_killed(recorder: Recorder, far: FarEnd) -> None:
    start_moving(recorder, far)
    os.kill(recorder.guard_pid, signal.SIGKILL)
    far.wait(two_stops, AFTER_S)


def test_a_frozen_guard_is_as_good_as_none(recorder: Recorder, far: FarEnd) -> None:
    start_moving(recorder, far)
    os.kill(recorder.guard_pid, signal.SIGSTOP)
    far.wait(two_stops, AFTER_S)
    os.kill(recorder.guard_pid, signal.SIGCONT)


def test_signals_that_ask_do_not_end_the_guard(recorder: Recorder, far: FarEnd) -> None:
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        os.kill(recorder.guard_pid, number)
    start_moving(recorder, far)
    recorder.signal(signal.SIGKILL)
    far.wait(two_stops, AFTER_S)


@pytest.fixture
def lit(far: FarEnd, relays: RelayBox) -> Iterator[Recorder]:
    """Two heads whose lamps are their own; both turn, both lamps are on."""
    it = Recorder(far, relays, heads=2, lamp="aux")
    far.wait_count(8)  # STOP and off, twice each
    far.clear()
    for camera in ("dome1", "dome2"):
        assert "code" not in it.ask("output", camera=camera, name="lamp", on=True)
        it.ask("move", camera=camera, pan=1, tilt=0, zoom=0, lease_s=10)
    far.wait(lambda heard: sum(h.frame.op == Op.SET_AUX for h in heard) == 4)
    far.wait(lambda heard: len({h.frame.address for h in heard if h.frame.op is None}) == 2)
    assert it.ask("status", camera="dome1")["lamp"] is True
    far.clear()
    yield it
    it.close()


def dark(heard: list[Heard]) -> bool:
    return sum(h.frame.op == Op.CLEAR_AUX for h in heard) >= 4


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGSTOP])
def test_killed_or_frozen_with_lamps_on_that_hang_on_the_heads(
    lit: Recorder, far: FarEnd, number: int
) -> None:
    signalled_s = time.monotonic()
    lit.signal(number)
    heard = far.wait(dark, AFTER_S)
    assert [(h.frame.op, h.frame.address, h.frame.data2) for h in heard[:8]] == [
        *[(None, 1, 0), (None, 2, 0)] * 2,
        *[(Op.CLEAR_AUX, 1, 2), (Op.CLEAR_AUX, 2, 2)] * 2,
    ]
    assert all(h.still for h in heard[:4])
    # Each at its place in the row or later: a loaded machine hears some of them late.
    assert all(h.at_s - signalled_s >= n * GAP_S * 0.9 for n, h in enumerate(heard[:8]))
    if number == signal.SIGKILL:
        return
    time.sleep(0.2)
    lit.signal(signal.SIGCONT)
    end_s = time.monotonic() + AFTER_S
    while lit.ask("status", camera="dome1")["lamp"]:
        assert time.monotonic() < end_s, "thawed, it still believes that the lamp is on"
        time.sleep(0.02)
    assert not any(h.frame.op == Op.SET_AUX for h in far.heard)


def test_a_lamp_alone_is_enough_for_the_guard_to_watch(
    lit: Recorder, far: FarEnd, relays: RelayBox
) -> None:
    for camera in ("dome1", "dome2"):
        lit.ask("move", camera=camera, pan=0, tilt=0, zoom=0)
    far.wait(lambda heard: sum(h.still for h in heard) == 4)
    time.sleep(0.3)
    far.clear()
    lit.signal(signal.SIGSTOP)
    heard = far.wait(dark, AFTER_S)
    assert {h.frame.op for h in heard} == {Op.CLEAR_AUX}, "nothing moved, so nothing is stopped"
    lit.signal(signal.SIGCONT)


def test_a_lamp_goes_out_when_its_guard_is_killed(lit: Recorder, far: FarEnd) -> None:
    os.kill(lit.guard_pid, signal.SIGKILL)
    far.wait(dark, AFTER_S)
    answer = lit.ask("output", camera="dome1", name="lamp", on=True)
    assert answer["code"] == "ptz.guard_gone"
