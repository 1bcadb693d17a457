from hypothesis import given
from hypothesis import strategies as st

from nvr.base.clock import FakeClock
from nvr.base.errors import Misconfigured, NvrError, Unavailable
from nvr.base.supervise import Backoff, supervise


@given(st.integers(1, 10**9))
def test_no_outage_is_too_long_to_wait_for(failures: int) -> None:
    assert 1.0 <= Backoff().wait_s(failures) <= Backoff().wait_s(failures + 1) <= 30.0


async def test_waits_grow_and_reset_after_a_healthy_run() -> None:
    clock = FakeClock()
    runs = iter([0.0, 0.0, 0.0, 60.0])

    async def body() -> None:
        ran_s = next(runs, None)
        if ran_s is None:
            return
        clock.advance(ran_s)
        raise Unavailable("camera.offline", "no route to host")

    await supervise("capture/gate", body, clock=clock, backoff=Backoff())
    assert clock.slept_s == [1.0, 2.0, 4.0, 1.0]


async def test_what_a_person_must_mend_is_not_retried() -> None:
    clock = FakeClock()
    told: list[tuple[NvrError, float]] = []

    async def body() -> None:
        raise Misconfigured("config.invalid", "no such port")

    await supervise(
        "x", body, clock=clock, backoff=Backoff(), failed=lambda err, wait: told.append((err, wait))
    )
    assert clock.slept_s == []
    assert [(err.code, wait) for err, wait in told] == [("config.invalid", -1.0)]


async def test_a_bug_is_told_with_its_code_and_retried() -> None:
    clock = FakeClock()
    told: list[str] = []
    attempts = iter([True])

    async def body() -> None:
        if next(attempts, False):
            raise ZeroDivisionError

    await supervise(
        "x", body, clock=clock, backoff=Backoff(), failed=lambda err, _wait: told.append(err.code)
    )
    assert told == ["internal.bug"]
    assert clock.slept_s == [1.0]
