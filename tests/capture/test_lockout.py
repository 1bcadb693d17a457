import asyncio
from itertools import pairwise

import pytest

from nvr.base.clock import FakeClock
from nvr.base.supervise import Backoff
from nvr.capture.lockout import Lockout


async def attempts(lockout, clock, for_s, answer):
    """When one stream tries, in seconds from now; `answer` says what the camera does."""
    began_s, found = clock.now_s, []
    while clock.now_s - began_s < for_s:
        await lockout.turn()
        found.append(clock.now_s - began_s)
        if answer(found[-1]):
            lockout.accepted()
            clock.advance(60)
        else:
            clock.advance(0.1)
            lockout.refused()
    return found


async def test_a_wrong_password_is_tried_four_times_in_half_an_hour():
    clock = FakeClock()
    found = await attempts(Lockout(clock), clock, 8 * 3600, lambda _: False)
    assert [round(at / 60) for at in found[:5]] == [0, 2, 6, 14, 30]
    for at in found:
        assert sum(at <= other < at + 1800 for other in found) <= 4
    assert max(b - a for a, b in pairwise(found)) <= 1802, "it is never given up"


async def test_a_camera_that_just_starts_is_tried_again_soon():
    clock = FakeClock()
    lockout = Lockout(clock)
    lockout.accepted()
    found = await attempts(lockout, clock, 3600, lambda _: False)
    assert 9 <= found[1] <= 12
    for at in found:
        assert sum(at <= other < at + 1800 for other in found) <= 5


@pytest.mark.parametrize("streams", [1, 2, 4])
async def test_streams_of_a_camera_try_no_oftener_than_one(streams):
    clock = FakeClock()
    lockout = Lockout(clock)
    found = []

    async def stream():
        while clock.now_s < 1000 + 7200:
            await lockout.turn()
            found.append(clock.now_s)
            await asyncio.sleep(0)
            lockout.refused()

    await asyncio.gather(*(stream() for _ in range(streams)))
    later = [at for at in found if at > 1001]
    assert len([at for at in found if at < 1001]) == streams, "at first each tries"
    assert len(later) == len({round(at) for at in later}), "then one for all"
    assert 4 <= len(later) <= 6 + streams, "each that sleeps moves the fake clock"


async def test_others_go_on_once_one_is_let_in():
    clock = FakeClock()
    lockout = Lockout(clock, Backoff(first_s=100.0, cap_s=100.0))
    lockout.refused()
    clock.advance(101)
    await lockout.turn()  # one tries
    began_s = clock.now_s

    async def other():
        await lockout.turn()
        return clock.now_s - began_s

    waiting = asyncio.create_task(other())
    await asyncio.sleep(0)
    lockout.accepted()
    assert await waiting < 3


async def test_a_new_password_is_tried_at_once():
    clock = FakeClock()
    lockout = Lockout(clock)
    for _ in range(6):
        clock.advance(10)
        lockout.refused()
    lockout.reset()
    at_s = clock.now_s
    await lockout.turn()
    assert clock.now_s == at_s
