"""How often something may be done that anybody can ask for."""

from nvr.base.clock import Clock


class PerSecond:
    """So many a second of the monotonic clock, and no more.

    Args:
        most: In one second.
        clock: Time source.
    """

    def __init__(self, most: int, clock: Clock) -> None:
        self._most, self._clock = most, clock
        self._second, self._done = 0, 0

    def take(self) -> bool:
        """Whether it may be done once more now; counted if so or not."""
        second = int(self._clock.monotonic_s())
        if second != self._second:
            self._second, self._done = second, 0
        self._done += 1
        return self._done <= self._most
