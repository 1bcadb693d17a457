"""A platform's ``Date``, from the answer to REGISTER to the clock of the box."""

import asyncio
from datetime import UTC, datetime
from pathlib import Path

import pytest

from nvr.media.camera import ClockState
from nvr.serve.gb28181.platform import DOUBTED_S
from tests.serve.gb_world import START_US, World
from tests.serve.test_gb_world import play

AHEAD_US = 7 * 86_400_000_000


def say(it: World, ahead_us: int = AHEAD_US) -> None:
    """Have the platform say the time, so much ahead of what the box began with."""

    def date() -> str:
        now_us = START_US + ahead_us + round(it.clock.monotonic_s() * 1e6)
        return datetime.fromtimestamp(now_us // 1_000_000, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")

    it.platform.date = date


async def again(it: World) -> None:
    """Wait for the next registration, and for what it brings."""
    before = len(it.platform.registered)
    await it.platform.until(lambda: len(it.platform.registered) > before, 10_000)
    await asyncio.sleep(1)


def off_s(it: World, ahead_us: int = AHEAD_US) -> float:
    """By how many seconds the clock of the box is not the platform's."""
    return (it.clock.offset_us - START_US - ahead_us) / 1e6


def test_it_sets_the_clock_of_a_box_that_has_none(tmp_path: Path) -> None:
    async def story(it: World) -> None:
        say(it)
        await again(it)
        state = it.device.state()
        assert state.clock_use == "set"
        assert state.clock_off_ms == 0
        assert abs(off_s(it)) < 1.1
        assert it.wall.state().state == "gb28181"
        assert 1000 <= it.wall.uncertainty_ms() < 1500
        await again(it)
        assert len(it.kernel.set_to) == 1

    play(tmp_path, story, sets_clock=True, expires_s=60)


@pytest.mark.parametrize("sets_clock", [True, False])
def test_it_sets_no_clock_unless_it_is_to(tmp_path: Path, sets_clock: bool) -> None:
    async def story(it: World) -> None:
        say(it)
        it.kernel.ntp = sets_clock
        await again(it)
        state = it.device.state()
        assert state.clock_use == ("better" if sets_clock else "")
        assert state.clock_off_ms == pytest.approx(AHEAD_US / 1000, abs=1100)
        assert it.kernel.set_to == []

    play(tmp_path, story, sets_clock=sets_clock, expires_s=60)


def test_without_the_right_it_says_so(tmp_path: Path) -> None:
    async def story(it: World) -> None:
        say(it)
        it.kernel.may = False
        await again(it)
        state = it.device.state()
        assert state.clock_use == "denied"
        assert state.clock_off_ms == pytest.approx(AHEAD_US / 1000, abs=1100)
        assert it.wall.state().state == "unsynced"

    play(tmp_path, story, sets_clock=True, expires_s=60)


def test_a_date_that_is_none_changes_nothing(tmp_path: Path) -> None:
    async def story(it: World) -> None:
        for date in ("", "yesterday", "0000-00-00T00:00:00", "2026-13-01T00:00:00"):
            it.platform.date = lambda date=date: date
            await again(it)
            assert it.device.state().clock_use == ""
        assert it.wall.state() == ClockState("unsynced", 0xFFFFFFFF)

    play(tmp_path, story, sets_clock=True, expires_s=60)


def test_a_jump_is_asked_for_again_soon_and_not_in_a_day(tmp_path: Path) -> None:
    async def story(it: World) -> None:
        say(it)
        await again(it)
        assert it.device.state().clock_use == "set"
        say(it, 3 * AHEAD_US)
        await again(it)
        assert it.device.state().clock_use == "refused"
        assert abs(off_s(it)) < 1.1
        began_s = it.clock.monotonic_s()
        await again(it)
        assert it.clock.monotonic_s() - began_s < DOUBTED_S + 5
        assert it.device.state().clock_use == "set"
        assert abs(off_s(it, 3 * AHEAD_US)) < 1.1

    play(tmp_path, story, sets_clock=True, expires_s=7200)
