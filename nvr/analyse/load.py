"""How much may be looked at: all pictures, or only key frames while the box has better to do.

Pure: time and cost come as arguments.
"""

from dataclasses import dataclass

MOST_SHARE = 0.6
"""Of one processor, over `OVER_S`."""
OVER_S = 10.0
LATE_PARTS = 8
"""Parts of a stream that wait, four seconds: the box does not give us the time."""
FIRST_S = 60.0
"""How long it is slow at least; doubled each time it has to be again soon."""
LONGEST_S = 1800.0
CALM_S = 300.0


@dataclass(slots=True)
class Load:
    """What was spent, and what follows from it.

    Attributes:
        slow: Only key frames are looked at.
        since_s: Since when it is so, or not.
    """

    slow: bool = False
    since_s: float = 0.0
    _wait_s: float = FIRST_S
    _begun_s: float = 0.0
    _cpu_s: float = 0.0

    def spent(self, cpu_s: float) -> None:
        """Processor time went into it."""
        self._cpu_s += cpu_s

    def look(self, now_s: float, most_waiting: int) -> bool:
        """Decide anew; returns whether that changed something.

        Args:
            now_s: Monotonic seconds.
            most_waiting: Parts that wait of the stream that waits longest.
        """
        if not self._begun_s:
            self._begun_s = self.since_s = now_s
        over_s = now_s - self._begun_s
        share = self._cpu_s / over_s if over_s >= OVER_S else 0.0
        if over_s >= OVER_S:
            self._begun_s, self._cpu_s = now_s, 0.0
        if not self.slow and (most_waiting >= LATE_PARTS or share > MOST_SHARE):
            soon = now_s - self.since_s < CALM_S
            self._wait_s = min(LONGEST_S, 2 * self._wait_s) if soon else FIRST_S
            return self._turn(now_s, slow=True)
        if self.slow and now_s - self.since_s >= self._wait_s and share < MOST_SHARE / 2:
            return self._turn(now_s, slow=False)
        return False

    def _turn(self, now_s: float, *, slow: bool) -> bool:
        self.slow, self.since_s = slow, now_s
        self._begun_s, self._cpu_s = now_s, 0.0
        return True
