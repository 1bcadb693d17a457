"""Heads that are asked where they point, and those that are not."""

import asyncio
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nvr.app.control import Control
from nvr.base.clock import SystemClock
from nvr.config.camera import Camera, Ptz
from nvr.config.model import Config
from nvr.hal.board import Board, Serial
from nvr.hal.virtual_serial import VirtualSerial
from nvr.media.ports import Position
from nvr.ptz.bus import Bus, BusEvent
from nvr.ptz.pelco import Pelco, PelcoAsked
from nvr.ptz.position import QUIET_S, TRIES, Locator
from nvr.ptz.schedule import NEUTRAL, Motion, Schedule
from nvr.sim.decoder import Outputs, Receiver
from nvr.sim.head import Head
from nvr.sim.view import View
from nvr.wire.pelco_d import QUERIES, Frame, Op
from tests.ptz.line import FarEnd, Heard, PaperGuard


class Dome:
    """The simulated head as a far end's answer; `mute` has no return pair."""

    def __init__(self, *, mute: bool = False) -> None:
        self.head = Head(time.monotonic(), View(123.45, -12.5, 10.5))
        self.mute = mute
        self._receiver = Receiver(self.head, Outputs(), 1, 20.0)

    def __call__(self, data: bytes) -> bytes:
        answer = self._receiver.receive(data, time.monotonic())
        return b"" if self.mute else answer


class Line:
    def __init__(self, far: FarEnd, bus: Bus, told: list[BusEvent]) -> None:
        self.far, self.bus, self._told = far, bus, told

    @property
    def position(self) -> Position | None:
        return next((e.position for e in reversed(self._told) if e.kind == "pointed"), None)

    def until(self, holds: Callable[[Position | None], bool]) -> Position | None:
        end_s = time.monotonic() + 10
        while not holds(self.position):
            assert time.monotonic() < end_s, self._told
            time.sleep(0.02)
        return self.position


@contextmanager
def line(
    dome: Callable[[bytes], bytes], head: Pelco, *, echo: bool = False, gap_s: float = 0.08
) -> Iterator[Line]:
    far = FarEnd(echo=echo, answer=dome)
    told: list[BusEvent] = []
    bus = Bus(
        "ptz",
        lambda: VirtualSerial(far.path),
        clock=SystemClock(),
        guard=PaperGuard(),
        tell=told.append,
        gap_s=gap_s,
    )
    bus.add("dome", head.encode, head.asked)
    bus.start()
    try:
        yield Line(far, bus, told)
    finally:
        bus.close()
        far.close()


def queries(heard: list[Heard]) -> list[Op]:
    return [h.frame.op for h in heard if h.frame.op in QUERIES]


@pytest.mark.parametrize("echo", [False, True])
def test_where_it_points_is_known_at_the_start_and_after_motion(echo: bool) -> None:
    dome = Dome()
    with line(dome, Pelco(reports=True), echo=echo) as it:
        first = it.until(bool)
        assert (first.pan_deg, first.tilt_deg) == (123.45, -12.5)
        assert first.zoom == pytest.approx(0.5, abs=1e-4)
        it.bus.move("dome", Motion(pan=1, tilt=0.5), time.monotonic() + 5)
        time.sleep(0.3)
        it.bus.stop("dome")
        it.until(lambda at: at.pan_deg != first.pan_deg)
        time.sleep(1.0)  # two rounds that agree, and then it is left in peace
        view = dome.head.view
        assert it.position.pan_deg == pytest.approx(view.pan_deg, abs=0.01)
        assert it.position.tilt_deg == pytest.approx(view.tilt_deg, abs=0.01)
        it.far.clear()
        time.sleep(1.5)
        assert it.far.heard == []


def test_a_head_that_is_driven_is_not_asked() -> None:
    with line(Dome(), Pelco(reports=True)) as it:
        it.until(bool)
        time.sleep(1.0)  # two rounds that agree
        it.far.clear()
        it.bus.move("dome", Motion(pan=0.6), time.monotonic() + 8)
        time.sleep(2.5)
        assert [h.still for h in it.far.heard] == [False, False], "told, and told again"


@pytest.mark.parametrize("motion", [NEUTRAL, Motion(pan=-1)])
def test_no_query_holds_up_what_a_hand_commands(motion: Motion) -> None:
    """Its answer never comes and the gap is long; the hand moves right when it is asked."""
    sent: list[tuple[float, bytes]] = []
    dome = Dome(mute=True)

    def answer(data: bytes) -> bytes:
        sent.append((time.monotonic(), data))
        if data == Frame(1, Op.QUERY_PAN).encode():
            if motion == NEUTRAL:
                it.bus.stop("dome")
            else:
                it.bus.move("dome", motion, time.monotonic() + 9)
        return dome(data)

    with line(answer, Pelco(reports=True), gap_s=0.8) as it:
        it.far.wait(lambda heard: len(heard) >= 5)
    query = next(n for n, (_, data) in enumerate(sent) if data[3] == Op.QUERY_PAN)
    expected = Pelco().encode(motion)
    assert [data for _, data in sent[query + 1 : query + 3]] == [expected] * 2
    asked_s, first_s, again_s = (at_s for at_s, _ in sent[query : query + 3])
    assert first_s - asked_s < 0.4, "it waited for the answer"
    assert again_s - first_s > 0.7, "its repetition is a frame like any other"


def test_a_head_that_goes_to_a_preset_by_itself_is_followed_to_its_end() -> None:
    dome = Dome()
    dome.head.restore({3: View(300.0, -45.0, 1.0)})
    with line(dome, Pelco(reports=True)) as it:
        it.until(bool)
        it.bus.command("dome", Pelco().preset("call", 3), moves=True)
        it.until(lambda at: at == Position(300.0, -45.0, 0.0))


def test_a_head_that_never_answers_is_soon_left_alone() -> None:
    dome = Dome(mute=True)
    with line(dome, Pelco(reports=True)) as it:
        it.far.wait(lambda heard: len(queries(heard)) == TRIES)
        time.sleep(0.3)  # the last one is given up
        dome.mute = False
        it.bus.move("dome", Motion(pan=1), time.monotonic() + 0.3)
        time.sleep(2.5)
        assert queries(it.far.heard) == [Op.QUERY_PAN] * TRIES
        assert it.position is None


@pytest.mark.parametrize(
    ("receive", "protocol"), [(True, "pelco-d"), (False, "pelco-d"), (True, "pelco-p")]
)
async def test_only_a_head_with_a_return_pair_is_asked(
    tmp_path: Path, receive: bool, protocol: str
) -> None:
    """As `nvr run` puts it together."""
    far = FarEnd(tmp_path / "dome0", answer=Dome())
    serial = Serial(path="dome0", driver="virtual", receive=receive)
    head = Ptz(bus="ptz", protocol=protocol)
    control = Control(
        Board(schema=1, id="b", title="b", serial={"ptz": serial}),
        Config(camera=[Camera(name="gate", url="rtsp://192.0.2.1/", ptz=head)]),
        tmp_path,
        tmp_path,
        SystemClock(),
        lambda *_: None,
    )
    try:
        await asyncio.sleep(1.5)
        asked = receive and protocol == "pelco-d"
        assert bool(queries(far.heard)) == asked
        position = control.ptz.status("gate").position
        assert (position is not None and position.pan_deg == 123.45) == asked
    finally:
        await asyncio.to_thread(control.close)
        far.close()


# The decisions alone; time is a number.


def locator(**more: str) -> Locator:
    it = Locator()
    it.add("dome", PelcoAsked(1, **more))
    return it


def round_at(it: Locator, now_s: float, *values: int) -> None:
    for value, answer in zip(values, (Op.PAN, Op.TILT, Op.ZOOM), strict=True):
        query = it.next(now_s)
        assert query is not None
        assert query == Frame(1, answer - 8).encode()
        reply = Frame(1, answer, value >> 8, value & 0xFF).encode()
        assert it.heard(b"\x00\xff" + reply, now_s)


@pytest.mark.parametrize(
    ("way", "value", "tilt_deg"),
    [("falls", 35000, -10), ("falls", 500, 5), ("rises", 1000, -10), ("rises", 35500, 5)],
)
def test_both_ways_to_count_below_the_horizon(way: str, value: int, tilt_deg: float) -> None:
    it = locator(tilt_reply=way)
    it.told("dome", 0.0)
    round_at(it, 1.0, 9000, value, 0xFFFF)
    assert it.positions() == {"dome": Position(90.0, tilt_deg, 1.0)}


def test_nobody_is_asked_while_commands_go_out() -> None:
    it = locator()
    for n in range(40):  # a stick in a hand
        assert it.next(n * 0.1) is None
        it.told("dome", n * 0.1)
    it.told("dome", 4.0)
    assert it.wake_at_s() == 4.0 + QUIET_S
    assert it.next(4.0 + QUIET_S) == Frame(1, Op.QUERY_PAN).encode()


def test_a_command_between_two_answers_begins_the_round_anew() -> None:
    it = locator()
    it.told("dome", 0.0)
    it.next(1.0)
    it.heard(Frame(1, Op.PAN, 1, 2).encode(), 1.0)
    it.told("dome", 1.1)
    assert it.next(2.0) == Frame(1, Op.QUERY_PAN).encode()


def test_an_answer_that_a_command_met_is_neither_taken_nor_missed() -> None:
    it = locator()
    now_s = 0.0
    for _ in range(2 * TRIES):
        it.told("dome", now_s)
        it.next(now_s + 1)
        it.heard(Frame(1, Op.PAN, 1, 2).encode(), now_s + 1)
        assert it.next(now_s + 1) == Frame(1, Op.QUERY_TILT).encode()
        it.told("dome", now_s + 1.01)
        assert not it.heard(Frame(1, Op.TILT, 0, 0).encode(), now_s + 1.02)
        assert it.expire(now_s + 2) == ""
        now_s += 10
    round_at(it, now_s, 9000, 0, 0)
    assert it.positions() == {"dome": Position(90.0, 0.0, 0.0)}


def test_a_head_whose_first_queries_bring_nothing_is_left_alone() -> None:
    it = locator()
    it.told("dome", 0.0)
    for n in range(TRIES):
        assert it.next(10.0 * n + 1) is not None
        assert it.expire(10.0 * n + 2) == ("dome" if n == TRIES - 1 else "")
    it.told("dome", 40.0)
    assert it.wake_at_s() == float("inf")


def test_a_head_that_answered_once_and_fell_silent_points_nowhere_known() -> None:
    it = locator()
    it.told("dome", 0.0)
    round_at(it, 1.0, 0, 0, 0)
    round_at(it, 2.0, 0, 0, 0)
    assert it.wake_at_s() == float("inf")
    it.told("dome", 3.0)
    for now_s in (10.0, 20.0, 30.0):
        assert it.next(now_s) is not None
        assert it.expire(now_s + 1) == ""
    assert it.positions() == {"dome": None}
    it.told("dome", 40.0)
    assert it.next(50.0) is not None, "it may be back"


def test_answers_that_never_come_to_rest_are_not_followed_for_ever() -> None:
    it = locator()
    it.told("dome", 0.0)
    for n in range(1000):
        if it.wake_at_s() == float("inf"):
            return
        round_at(it, it.wake_at_s(), n, 0, 0)
    raise AssertionError("asked for ever")


@given(st.binary(max_size=64))
def test_no_bytes_are_taken_for_the_answer_of_another_head(data: bytes) -> None:
    it = locator()
    it.told("dome", 0.0)
    it.next(1.0)
    taken = it.heard(data, 1.0)
    assert taken == any(
        data[n : n + 4] == b"\xff\x01\x00\x59"
        and len(data) >= n + 7
        and sum(data[n + 1 : n + 6]) & 0xFF == data[n + 6]
        for n in range(len(data))
    )


@pytest.fixture
def asking() -> Schedule:
    """A query went out at 1.0."""
    it = Schedule(0.08)
    it.add("dome", Pelco().encode)
    it.ask(1.0)
    return it


def test_only_a_line_where_nothing_moves_or_waits_is_idle() -> None:
    it = Schedule(0.08)
    it.add("dome", Pelco().encode)
    assert it.idle_at_s() == 0.0
    it.move("dome", Motion(pan=1), 10.0, 1.0)
    it.next(1.0)
    assert it.idle_at_s() == float("inf")
    it.stop("dome", 1.5)
    it.next(1.5)
    assert it.idle_at_s() == float("inf"), "its second STOP is due"
    it.next(1.58)
    assert it.idle_at_s() == pytest.approx(1.66)


def test_a_stop_ends_a_query_and_is_told_again_after_the_gap(asking: Schedule) -> None:
    asking.stop("dome", 1.01)
    assert asking.wake_at_s() <= 1.01
    assert asking.next(1.01).kind == "stop"
    assert asking.next(1.08) is None
    assert asking.next(1.1).kind == "stop"


def test_a_motion_that_ends_a_query_is_told_again_after_the_gap(asking: Schedule) -> None:
    asking.move("dome", Motion(pan=1), 9.0, 1.01)
    assert asking.wake_at_s() <= 1.01
    assert asking.next(1.01).kind == "motion"
    assert asking.wake_at_s() == pytest.approx(1.09)
    assert asking.next(1.085) is None
    assert asking.next(1.091).kind == "motion"
    assert asking.wake_at_s() == pytest.approx(3.091)


def test_a_stop_waits_for_no_gap_but_that_after_another_stop() -> None:
    it = Schedule(0.08)
    it.add("dome", Pelco().encode)
    it.add("yard", Pelco(address=2).encode)
    it.move("dome", Motion(pan=1), 9.0, 1.0)
    it.next(1.0)
    it.move("dome", Motion(pan=-1), 9.0, 1.01)
    assert it.next(1.02) is None, "a motion waits"
    it.stop("dome", 1.03)
    it.stop("yard", 1.03)
    assert it.wake_at_s() <= 1.03
    assert [it.next(1.03).head, it.next(1.031)] == ["dome", None]
    assert it.wake_at_s() == pytest.approx(1.11)
    assert it.next(1.1101).head == "yard"
    assert it.next(1.1902).head == "dome", "and again"


def test_after_an_answer_a_motion_waits_for_the_line_to_turn_and_is_told_once(
    asking: Schedule,
) -> None:
    asking.answered(1.02)
    asking.move("dome", Motion(pan=1), 9.0, 1.021)
    assert asking.next(1.021) is None
    assert asking.next(1.0251).kind == "motion"
    assert asking.wake_at_s() == pytest.approx(3.0251)


def test_what_is_not_told_twice_waits_for_the_answer(asking: Schedule) -> None:
    asking.command("dome", b"preset", 1.01, moves=True)
    assert asking.wake_at_s() == pytest.approx(1.08)
    assert asking.next(1.03) is None
    asking.answered(1.03)
    assert asking.next(1.036).kind == "command"
    asking.answered(1.037)
    asking.command("dome", b"preset", 1.04, moves=True)
    assert asking.next(1.05) is None, "a late answer shortened the gap after a command"
