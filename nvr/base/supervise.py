"""Keeps one task alive: waits out what may pass, ends what cannot, never ends its neighbours."""

import asyncio
import logging
import random
from collections.abc import Awaitable, Callable, Collection, Coroutine
from dataclasses import dataclass
from typing import Any

from nvr.base.clock import Clock
from nvr.base.errors import NvrError
from nvr.base.log import event

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Backoff:
    """How long to wait after the n-th failure in a row.

    Attributes:
        first_s: Wait after the first failure.
        cap_s: Longest wait.
        factor: Growth from one failure to the next.
        stable_s: A run at least this long counts as healthy and resets the count.
        jitter: Fraction of the wait added at random, so that many tasks do not retry together.
    """

    first_s: float = 1.0
    cap_s: float = 30.0
    factor: float = 2.0
    stable_s: float = 30.0
    jitter: float = 0.0

    def wait_s(self, failures: int) -> float:
        """Seconds to wait after `failures` failures in a row (>= 1), without jitter."""
        exponent = min(failures - 1, 64)  # 2.0 ** 1024 overflows after nine hours off
        return min(self.cap_s, self.first_s * self.factor**exponent)


async def supervise(
    name: str,
    body: Callable[[], Awaitable[None]],
    *,
    clock: Clock,
    backoff: Backoff,
    failed: Callable[[NvrError, float], None] | None = None,
) -> None:
    """Run `body` until it returns, waiting and retrying after errors that may pass.

    An `NvrError` whose class says ``retry`` is waited out; another one ends this task only.
    Anything else is a bug: it is logged with its trace and retried with back-off, because a
    bug in one camera's task must not stop the others.

    Args:
        name: Task name for the log, such as ``capture/gate``.
        body: Called afresh for each attempt; closes what it opens.
        clock: Time source.
        backoff: Waiting times.
        failed: Told of each error and of the seconds until the next attempt, or -1 if none.
    """
    failures = 0
    while True:
        started_s = clock.monotonic_s()
        try:
            await body()
        except NvrError as err:
            error = err
            retry = err.retry
        except Exception as err:  # noqa: BLE001 - the one place that turns a bug into an event
            error = NvrError("internal.bug", f"{type(err).__name__}: {err}", task=name)
            retry = True
            _log.error("task.bug %s", name, exc_info=err)
        else:
            return
        ran_s = clock.monotonic_s() - started_s
        failures = 1 if ran_s >= backoff.stable_s else failures + 1
        if not retry:
            event(_log, logging.ERROR, "task.stopped", task=name, error=str(error))
            if failed:
                failed(error, -1.0)
            return
        wait_s = backoff.wait_s(failures) * (1 + random.random() * backoff.jitter)  # noqa: S311 - spread, not a secret
        level = logging.WARNING if failures == 1 else logging.DEBUG
        event(
            _log,
            level,
            "task.failed",
            task=name,
            error=str(error),
            ran_s=round(ran_s, 3),
            wait_s=round(wait_s, 3),
        )
        if failed:
            failed(error, wait_s)
        await clock.sleep(wait_s)


async def first_end(*bodies: Coroutine[Any, Any, None]) -> None:
    """Run `bodies` until one of them ends, cancel the others, and raise what the first raised.

    A task group forgets that it was cancelled when a child fails just then; whoever tries for ever
    around it would never stop.
    """
    tasks = [asyncio.ensure_future(body) for body in bodies]
    try:
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)
    raised = [task.exception() for task in tasks if not task.cancelled()]
    for error in raised:
        if error is not None:
            raise error


async def ended(tasks: Collection["asyncio.Task[Any]"], every_s: float = 3.0) -> None:
    """Cancel tasks, again and again, until all have ended.

    Before Python 3.12 `asyncio.wait_for` swallows a cancellation that comes just as what it waits
    for is there; whoever calls a library that uses it has to insist.
    """
    left = set(tasks)
    while left:
        for task in left:
            task.cancel()
        _, left = await asyncio.wait(left, timeout=every_s)


def leaves(group: BaseExceptionGroup[NvrError]) -> list[NvrError]:
    """Return the errors in a group of groups, in order; what ``except*`` catches is such a one."""
    found: list[NvrError] = []
    for error in group.exceptions:
        found += leaves(error) if isinstance(error, BaseExceptionGroup) else [error]
    return found
