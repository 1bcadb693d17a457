"""When a refused account is tried again: cameras lock out who tries often, some for half an hour.

Common cameras lock an address after five to seven wrong passwords within half an hour. All streams
of a camera use one account, so they share one of these: while it is refused one of them tries for
all. Four attempts come in the first half hour, at 0, 2, 6 and 14 minutes, then one each half hour.

A camera that took this account before and refuses it now may just be starting, its accounts not
loaded yet: then the first attempt comes after ten seconds.
"""

from nvr.base.clock import Clock
from nvr.base.supervise import Backoff

REFUSED = Backoff(first_s=120.0, cap_s=1800.0, factor=2.0)
STARTING_S = 10.0
_TOGETHER_S = 5.0
"""Refusals of several streams within so many seconds are one."""
_PROBE_S = 30.0
"""So long the others wait for the outcome of the one that tries."""
_LOOK_S = 2.0


class Lockout:
    """For one account on one camera; in the event loop's thread.

    Args:
        clock: Time source.
        backoff: Waits after the first, second... refusal.
    """

    def __init__(self, clock: Clock, backoff: Backoff = REFUSED) -> None:
        self._clock = clock
        self._backoff = backoff
        self._refusals = 0  # in a row
        self._refused_s = self._until_s = 0.0
        self._proven = False

    def reset(self) -> None:
        """The account is another one, or a person wants it tried now."""
        self._refusals, self._proven = 0, False

    def accepted(self) -> None:
        """The camera took the account."""
        self._refusals, self._proven = 0, True

    def refused(self) -> float:
        """The camera refused it; returns the seconds until it is to be tried again."""
        now_s = self._clock.monotonic_s()
        if not self._refusals or now_s - self._refused_s >= _TOGETHER_S:
            self._refused_s = now_s
            if self._proven:
                self._proven = False
                self._until_s = now_s + min(STARTING_S, self._backoff.wait_s(1))
                self._refusals = self._refusals or 1
            else:
                self._refusals += 1
                self._until_s = now_s + self._backoff.wait_s(self._refusals)
        return max(0.0, self._until_s - now_s)

    async def turn(self) -> None:
        """Wait until it may be tried."""
        while self._refusals:
            now_s = self._clock.monotonic_s()
            if now_s >= self._until_s:
                self._until_s = now_s + _PROBE_S
                return
            await self._clock.sleep(min(self._until_s - now_s, _LOOK_S))
