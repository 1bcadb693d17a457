"""Whose time the box goes by: NTP, a platform that may set it, or nobody's."""

import logging
from datetime import UTC, datetime

import pytest

from nvr.app.walltime import DRIFT_PPM, JUMP_MS, LEAST_MS, WallTime
from nvr.base.clock import FakeClock
from nvr.hal.linux_clock import UNKNOWN_MS
from nvr.media.camera import ClockState
from tests.serve.gb_world import Kernel

SAID_US = 1_800_000_000_000_000
"""2027-01-15."""
HOUR_US = 3_600_000_000


class Box:
    """A box that was switched on in 1970."""

    def __init__(self, *, may: bool = True, wall_us: int = 60_000_000) -> None:
        self.clock = FakeClock(wall_us)
        self.kernel = Kernel(self.clock, may=may)
        self.wall = WallTime(self.clock, self.kernel, "2026-11-30")


def test_a_clock_that_nobody_set_is_set_once() -> None:
    box = Box()
    assert box.wall.unset()
    assert box.wall.local() is None
    assert box.wall.offer("city", SAID_US, 1000) == "set"
    assert box.clock.wall_us() == SAID_US
    assert box.wall.state() == ClockState("gb28181", 1000)
    assert box.wall.trust() == ("gb28181", 1000)
    assert not box.wall.unset()
    box.clock.advance(60)
    assert box.wall.offer("city", SAID_US + 61_500_000, 1000) == "set"
    assert box.kernel.set_to == [SAID_US], "a second and a half is no reason to step it"
    assert box.wall.uncertainty_ms() == 2500


def test_what_was_known_once_is_known_worse_and_worse() -> None:
    box = Box()
    box.wall.offer("city", SAID_US, 1000)
    box.clock.advance(86_400)
    assert box.wall.uncertainty_ms() == 1000 + 86_400 * DRIFT_PPM // 1000


def test_the_networks_time_is_better() -> None:
    box = Box(wall_us=SAID_US)
    box.kernel.ntp = True
    assert box.wall.offer("city", SAID_US + HOUR_US, 1000) == "better"
    assert box.kernel.set_to == []
    assert box.wall.state() == ClockState("ntp", 20)


def test_without_the_right_the_time_is_known_but_not_set(caplog: pytest.LogCaptureFixture) -> None:
    box = Box(may=False)
    with caplog.at_level(logging.WARNING):
        assert box.wall.offer("city", SAID_US, 1000) == "denied"
    assert "clock.denied" in caplog.text
    assert box.wall.state() == ClockState("unsynced", UNKNOWN_MS)
    (warning,) = box.wall.warnings()
    assert warning.code == "clock.denied"
    assert "says the time, but it is not set" in warning.detail
    # Somebody sets it by hand: then it is right, and there is nothing to warn of.
    box.clock.offset_us += SAID_US - box.clock.wall_us()
    assert box.wall.offer("city", SAID_US, 1000) == "set"
    assert box.wall.state().state == "gb28181"
    assert box.wall.warnings() == []


@pytest.mark.parametrize(
    "said",
    [
        datetime(1970, 1, 1, tzinfo=UTC),
        datetime(2026, 11, 29, 23, 59, tzinfo=UTC),
        datetime(2046, 11, 30, tzinfo=UTC),
        datetime(9999, 12, 31, tzinfo=UTC),
    ],
)
def test_a_time_that_cannot_be_is_refused(said: datetime, caplog: pytest.LogCaptureFixture) -> None:
    box = Box()
    before_us = box.clock.wall_us()
    with caplog.at_level(logging.WARNING):
        assert box.wall.offer("city", round(said.timestamp() * 1e6), 1000) == "refused"
    assert 'clock.refused platform="city" code="clock.implausible"' in caplog.text
    assert box.clock.wall_us() == before_us
    assert box.wall.unset()
    assert [one.code for one in box.wall.warnings()] == ["clock.implausible"]


@pytest.mark.parametrize("said_us", [-(10**30), 10**30])
def test_what_is_no_time_at_all_raises_nothing(said_us: int) -> None:
    assert Box().wall.offer("city", said_us, 1000) == "refused"


@pytest.mark.parametrize("jump_us", [HOUR_US, -HOUR_US])
def test_a_jump_is_believed_when_it_is_said_twice(jump_us: int) -> None:
    box = Box()
    box.wall.offer("city", SAID_US, 1000)
    box.clock.advance(100)
    assert box.wall.offer("city", SAID_US + 100_000_000 + jump_us, 1000) == "refused"
    assert [one.code for one in box.wall.warnings()] == ["clock.jumped"]
    assert box.kernel.set_to == [SAID_US]
    assert box.wall.state().state == "gb28181", "what was known is known still"
    box.clock.advance(30)
    assert box.wall.offer("city", SAID_US + 130_000_000 + jump_us, 1000) == "set"
    assert box.clock.wall_us() == SAID_US + 130_000_000 + jump_us
    assert box.wall.warnings() == []


def test_two_jumps_that_do_not_agree_are_not_believed() -> None:
    box = Box()
    box.wall.offer("city", SAID_US, 1000)
    for n in range(1, 5):
        box.clock.advance(30)
        assert box.wall.offer("city", SAID_US + n * HOUR_US, 1000) == "refused"
    assert box.kernel.set_to == [SAID_US]
    # It is itself again.
    assert box.wall.offer("city", SAID_US + 120_000_000, 1000) == "set"
    assert box.wall.warnings() == []


def test_a_little_off_is_neither_a_jump_nor_left() -> None:
    box = Box()
    box.wall.offer("city", SAID_US, 1000)
    box.clock.advance(86_400)
    drifted_us = SAID_US + 86_400_000_000 + (LEAST_MS + JUMP_MS) * 500
    assert box.wall.offer("city", drifted_us, 1000) == "set"
    assert box.kernel.set_to == [SAID_US, drifted_us]


def test_a_clock_that_somebody_else_moved_is_not_the_platforms() -> None:
    box = Box()
    box.wall.offer("city", SAID_US, 1000)
    box.clock.offset_us += HOUR_US
    assert box.wall.state() == ClockState("unsynced", UNKNOWN_MS)


def test_a_platform_that_is_asked_no_more_vouches_for_nothing() -> None:
    box = Box()
    box.wall.offer("city", SAID_US, 1000)
    box.wall.forget("other")
    assert box.wall.state().state == "gb28181"
    box.wall.forget("city")
    assert box.wall.state().state == "unsynced"
    assert box.clock.wall_us() == SAID_US
