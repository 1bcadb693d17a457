"""How the writer keeps up: how long groups took, how long the one under way has, what was late."""

import logging
from collections import deque
from dataclasses import dataclass

from nvr.base.log import event

_log = logging.getLogger(__name__)

PART_S = 0.5
"""Length the ingest thread gives a part; a group begins when one of that age is waiting."""
BEHIND_S = 1.0
_LATELY, _SLOW = 10, 3
"""A disk is slow if so many of the last groups were; a single one is a flash card's own affair."""


@dataclass(frozen=True, slots=True)
class WriterState:
    """How the writer is doing.

    Attributes:
        groups: Groups made durable.
        parts: Parts acknowledged.
        part_bytes: Bytes of them with their headers.
        dropped_parts: Parts dropped because the disk was behind.
        behind_s: Age of the oldest part not yet acknowledged.
        busy_s: How long the group under way has taken so far; 0 if none is.
        worst_group_s: Longest of the last 120 groups.
        slow: Some of the last groups took longer than it takes for the next to come.
        failures: Groups in a row that the disk refused.
    """

    groups: int
    parts: int
    part_bytes: int
    dropped_parts: int
    behind_s: float
    busy_s: float
    worst_group_s: float
    slow: bool
    failures: int


class Pace:
    """The last groups of a writer; monotonic seconds."""

    def __init__(self) -> None:
        self.begun_s: float | None = None
        self._took_s: deque[float] = deque(maxlen=120)
        self._behind = False

    def begin(self, now_s: float) -> None:
        """A group is begun."""
        self.begun_s = now_s

    def end(self) -> None:
        """It is over, durable or not."""
        self.begun_s = None

    def durable(self, took_s: float) -> None:
        """A group became durable; tells the log when they begin and cease to be late."""
        self._took_s.append(took_s)
        if (took_s > BEHIND_S) != self._behind:
            self._behind = took_s > BEHIND_S
            name = "record.behind" if self._behind else "record.caught_up"
            event(_log, logging.WARNING, name, group_s=round(took_s, 3))

    def busy_s(self, now_s: float) -> float:
        """How long the group under way has taken so far, 0 if none is; from any thread."""
        begun_s = self.begun_s
        return 0.0 if begun_s is None else now_s - begun_s

    @property
    def worst_s(self) -> float:
        """Longest of the last groups."""
        return max(list(self._took_s), default=0.0)

    @property
    def slow(self) -> bool:
        """Whether some of the last took longer than it takes for the next to come."""
        return sum(took_s > PART_S for took_s in list(self._took_s)[-_LATELY:]) >= _SLOW
