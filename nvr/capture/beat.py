"""Counts the pictures that a device left out, by the gaps they leave in its time stamps.

libavdevice does not hand on the driver's numbers. What is usual is learnt from what comes: a webcam
in the dark halves its rate, and loses nothing.
"""

from collections import deque
from statistics import median

_LEARNT = 15
_LONGEST_90K = 10 * 90_000
"""A gap this long is a device that stopped, not pictures it left out."""


class Beat:
    """The beat of one device's pictures.

    Attributes:
        missed: Left out so far.
    """

    def __init__(self) -> None:
        self.missed = 0
        self._gaps: deque[int] = deque(maxlen=_LEARNT)
        self._last_90k: int | None = None

    def take(self, pts_90k: int) -> None:
        """Note a picture of that time."""
        last, self._last_90k = self._last_90k, pts_90k
        if last is None or not 0 < pts_90k - last < _LONGEST_90K:
            return
        gap = pts_90k - last
        if len(self._gaps) >= 3:
            usual = median(self._gaps)
            left_out = round(gap / usual) - 1
            # Half a beat late is only late; the third of a row is a new beat.
            if gap > 1.6 * usual and not self._slower(gap):
                self.missed += left_out
        self._gaps.append(gap)

    def _slower(self, gap: int) -> bool:
        recent = list(self._gaps)[-2:]
        return all(abs(one - gap) * 4 < gap for one in recent)
