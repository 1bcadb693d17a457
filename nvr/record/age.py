"""How old a recording is, by a clock that is not believed at once.

What is over its time is given up for good, and a wall clock can be wrong by years: a dead battery,
a time server that lies. So a leap forward of more than a day counts only after the clock has gone
on like that for a day; till then time passes as it did before. Backwards is believed at once, since
everything is younger then.
"""

from nvr.base.clock import Clock

LEAP_US = 86_400_000_000
DOUBT_S = 86_400.0


class Steady:
    """The wall clock without its leaps.

    Args:
        clock: Time source.
        seen_us: UTC microseconds last known, before this process; 0 if nothing is known.
    """

    def __init__(self, clock: Clock, seen_us: int) -> None:
        self._clock = clock
        self._at_us = seen_us or clock.wall_us()
        self._at_s = clock.monotonic_s()
        self._since_s: float | None = None

    def now_us(self) -> int:
        """UTC microseconds, as far as they are believed."""
        wall_us, now_s = self._clock.wall_us(), self._clock.monotonic_s()
        expected_us = self._at_us + round((now_s - self._at_s) * 1e6)
        if wall_us > expected_us + LEAP_US:
            if self._since_s is None:
                self._since_s = now_s
            if now_s - self._since_s < DOUBT_S:
                return expected_us
        self._since_s = None
        self._at_us, self._at_s = wall_us, now_s
        return wall_us
