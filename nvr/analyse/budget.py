"""How often pictures may be searched for objects, of all cameras: by number and processor time.

Pure: time and cost come as arguments. Both are buckets that fill while time goes by; a search may
cost more than there is, and then the next one waits until that is paid.
"""

from dataclasses import dataclass

SAVED_S = 5.0
"""What was not spent is kept for so long."""


@dataclass(slots=True)
class Budget:
    """What may be spent.

    Attributes:
        per_s: Searches a second.
        share: Of one processor.
        searches: How many there were.
        put_off: How often a picture was due and had to be left.
        cpu_s: What the searches cost.
    """

    per_s: float
    share: float
    searches: int = 0
    put_off: int = 0
    cpu_s: float = 0.0
    _left: float = 1.0
    _left_s: float = 0.0
    _at_s: float | None = None

    def may(self, now_s: float) -> bool:
        """Whether a search may begin; the number is counted, its cost comes with `spent`."""
        since_s = 0.0 if self._at_s is None else max(0.0, now_s - self._at_s)
        self._at_s = now_s
        most = max(1.0, self.per_s * SAVED_S)
        self._left = min(most, self._left + since_s * self.per_s)
        self._left_s = min(self.share * SAVED_S, self._left_s + since_s * self.share)
        if self._left < 1.0 or self._left_s < 0.0:
            self.put_off += 1
            return False
        self._left -= 1.0
        self.searches += 1
        return True

    def spent(self, cpu_s: float) -> None:
        """A search took so long."""
        self.cpu_s += cpu_s
        self._left_s -= cpu_s
