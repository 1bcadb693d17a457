"""What a source has carried so far, over all its connections, and when it tries again.

A run's counters begin anew with each connection; here they go on. A source tells of the begin and
the end of each, and of each wait between them.
"""

from nvr.base.clock import Clock
from nvr.media.health import Counters
from nvr.media.ports import NOTHING_YET, Run, RunStats

COUNTED = (
    "bytes_in", "packets", "lost", "reordered", "other", "frames", "damaged", "keys", "restored",
    "overrun", "foreign",
)  # fmt: skip


class Tally:
    """Kept by one source, in the event loop's thread.

    Args:
        clock: Time source.

    Attributes:
        connections: How often it was connected.
        connected_us: UTC microseconds since when it is, 0 while it is not.
        has_sound: The camera offers sound that can be carried.
        failures: Attempts that failed in a row.
        next_try_us: UTC microseconds of the next one, 0 unless that is waited for.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._run: Run | None = None
        self._past = Counters(clock.wall_us())
        self.connections = 0
        self.connected_us = 0
        self.has_sound = False
        self.failures = 0
        self.next_try_us = 0

    def begins(self, run: Run, *, has_sound: bool) -> None:
        """A connection carries."""
        self._run = run
        self.connections += 1
        self.connected_us = self._clock.wall_us()
        self.has_sound = has_sound

    def ends(self) -> None:
        """It does no more, and all it carried is counted."""
        self._past = self.totals()
        self._run = None
        self.connected_us = 0

    def waits(self, failures: int, wait_s: float) -> None:
        """An attempt failed; the next one comes after `wait_s`."""
        self.failures = failures
        self.next_try_us = self._clock.wall_us() + round(wait_s * 1e6)

    def tries(self) -> None:
        """An attempt begins."""
        self.next_try_us = 0

    def stats(self) -> RunStats | None:
        """Counters of the connection there is, None without one."""
        return self._run.stats() if self._run else None

    def totals(self, stats: RunStats | None = None) -> Counters:
        """Everything counted, with the connection there is; `stats` are its own, if known."""
        past = self._past
        counted = summed(past, stats or self.stats() or NOTHING_YET)
        reconnects = max(0, self.connections - 1)
        return Counters(past.since_us, self.connected_us, **counted, reconnects=reconnects)


def summed(one: Counters, other: Counters | RunStats) -> dict[str, int]:
    """Add what is counted, by its name."""
    return {name: getattr(one, name) + getattr(other, name) for name in COUNTED}
