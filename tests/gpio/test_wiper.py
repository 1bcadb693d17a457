"""Wiper programs on a clock that is moved by hand."""

import asyncio
import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nvr.base.clock import FakeClock
from nvr.base.errors import Rejected, Unavailable
from nvr.gpio.wiper import Blade, Wipers, check
from nvr.media.gpio import WipeWish


class Rig:
    def __init__(self, **blade: object) -> None:
        self.clock = FakeClock()
        self.begun_s = self.clock.now_s
        self.log: list[tuple[float, str, bool]] = []
        self.broken = ""
        self.ended: list[tuple[str, str]] = []
        self.wipers = Wipers(self.clock, lambda *words: self.ended.append(words))
        values = {"stroke_s": 1.5, "limit_s": 20.0, "washer_limit_s": 10.0, **blade}
        self.blade = Blade(self._switch("wiper"), self._switch("washer"), **values)

    def _switch(self, what: str):
        def switch(on: bool) -> None:
            if self.broken == what and on:
                raise Unavailable("gpio.gone", "no answer")
            self.log.append((round(self.clock.now_s - self.begun_s, 3), what, on))

        return switch

    def begin(self, program: str, **wish: object) -> None:
        self.wipers.begin("w", WipeWish(program, **wish), self.blade)

    def turn(self, for_s: float) -> None:
        end_s = self.clock.now_s + for_s
        while (wake_s := self.wipers.turn(self.clock.now_s)) <= end_s:
            self.clock.now_s = max(self.clock.now_s, wake_s)
        self.clock.now_s = end_s


def test_single_is_so_many_strokes() -> None:
    rig = Rig()
    rig.begin("single", strokes=2)
    assert rig.wipers.going("w") == "single"
    rig.turn(10)
    assert rig.log == [(0, "wiper", True), (3.0, "wiper", False)]
    assert rig.wipers.going("w") == ""
    assert rig.ended == [("w", "")]


def test_intermittent_goes_on_until_stopped() -> None:
    rig = Rig()
    rig.begin("intermittent", every_s=15)
    rig.turn(31)
    assert [at_s for at_s, _, on in rig.log if on] == [0, 15, 30]
    assert rig.wipers.stop("w")
    assert rig.log[-2:] == [(31, "wiper", False), (31, "washer", False)]
    count = len(rig.log)
    rig.turn(100)
    assert len(rig.log) == count
    assert not rig.wipers.stop("w")


def test_wash_sprays_and_then_wipes() -> None:
    rig = Rig()
    rig.begin("wash", wash_s=2, strokes=3)
    rig.turn(10)
    assert rig.log == [
        (0, "washer", True), (2, "washer", False), (2, "wiper", True), (6.5, "wiper", False),
    ]  # fmt: skip


def test_another_program_takes_the_place_of_the_first() -> None:
    rig = Rig()
    rig.begin("wash", wash_s=5)
    rig.turn(1)
    rig.begin("single")
    assert rig.log[1:4] == [(1, "wiper", False), (1, "washer", False), (1, "wiper", True)]


def test_a_program_ends_when_it_cannot_be_switched() -> None:
    rig = Rig()
    rig.begin("intermittent", every_s=10)
    rig.turn(5)
    rig.broken = "wiper"
    rig.turn(20)
    assert rig.ended == [("w", "gpio.gone")]
    assert not rig.log[-1][2]
    rig.broken = "washer"
    with pytest.raises(Unavailable):
        rig.begin("wash")
    assert rig.wipers.going("w") == ""


def test_wipes_that_were_missed_are_not_made_up_for() -> None:
    rig = Rig()
    rig.begin("intermittent", every_s=10)
    rig.turn(2)
    rig.clock.advance(100)
    rig.turn(20)
    assert [at_s for at_s, _, on in rig.log if on] == [0, 102, 112, 122]


@pytest.mark.parametrize(
    ("wish", "code"),
    [
        (WipeWish(strokes=0), "gpio.range"),
        (WipeWish(strokes=21), "gpio.range"),
        (WipeWish(strokes=14), "gpio.range"),  # 21 s, over its limit of 20
        (WipeWish("intermittent", 1, every_s=2), "gpio.range"),
        (WipeWish("intermittent", 4, every_s=6.1), "gpio.range"),
        (WipeWish("intermittent", 1, every_s=float("nan")), "gpio.range"),
        (WipeWish("wash", wash_s=11), "gpio.range"),  # over the washer's limit
        (WipeWish("wash", wash_s=0.1), "gpio.range"),
    ],
)
def test_what_the_wiper_cannot_do_is_refused(wish: WipeWish, code: str) -> None:
    rig = Rig(min_off_s=1.0)
    with pytest.raises(Rejected, check=lambda err: err.code == code):
        rig.wipers.begin("w", wish, rig.blade)
    assert rig.log == []
    with pytest.raises(Rejected, check=lambda err: err.code == "gpio.no_washer"):
        check(WipeWish("wash"), Blade(lambda _on: None))


@given(
    st.sampled_from(["single", "intermittent", "wash"]), st.integers(1, 13), st.floats(3, 60),
    st.floats(0.5, 10), st.lists(st.floats(0, 9), max_size=40), st.booleans(),
)  # fmt: skip
def test_whatever_the_clock_does_limits_hold_and_both_end_off(
    program: str, strokes: int, every_s: float, wash_s: float, waits: list[float], stops: bool
) -> None:
    rig = Rig()
    try:
        rig.begin(program, strokes=strokes, every_s=every_s, wash_s=wash_s)
    except Rejected:
        assert rig.log == []
        return
    for wait_s in waits:
        rig.turn(wait_s)
    if stops or program == "intermittent":
        rig.wipers.stop("w")
    else:
        rig.turn(40)
    for what, limit_s in (("wiper", 20), ("washer", 10)):
        mine = [(at_s, on) for at_s, one, on in rig.log if one == what]
        assert not mine or not mine[-1][1], "left on"
        for (on_s, on), (off_s, _) in itertools.pairwise(mine):
            assert not on or off_s - on_s <= limit_s + 0.01


async def test_run_carries_out_and_ends_everything_when_cancelled() -> None:
    rig = Rig()
    rig.begin("intermittent", every_s=5)
    task = asyncio.create_task(rig.wipers.run())
    while sum(on for _, _, on in rig.log) < 3:
        await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert not rig.log[-1][2]
    assert rig.wipers.going("w") == ""
