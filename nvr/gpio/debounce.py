"""From the levels that an input shows to the changes that are believed.

A level counts once it has stayed for the debounce time, and is dated by the edge that brought it.
An input that chatters is a storm: with more edges within a second, or more changes within a minute,
than it may have, nothing of it is believed until there was no edge for `QUIET_S`; then its level
counts as any other. So the busiest line costs two events, however long it chatters.
"""

from collections import deque
from dataclasses import dataclass
from typing import Literal

EDGES_WINDOW_S = 1.0
CHANGES_WINDOW_S = 60.0
QUIET_S = 10.0


@dataclass(frozen=True, slots=True)
class Settled:
    """Something that is believed.

    Attributes:
        what: ``change`` to `level`; ``storm``: it begins; ``calm``: it is over.
        level: Level that counts now.
        at_s: Monotonic seconds when it began.
        edges: Edges since the one before.
    """

    what: Literal["change", "storm", "calm"]
    level: int
    at_s: float
    edges: int


class Debounce:
    """One input; pure, its times are arguments.

    Args:
        level: Level at the begin, believed at once.
        now_s: Monotonic seconds of that.
        settle_s: How long a level must stay.
        most_per_min: Changes a minute that are believed.
        most_edges_per_s: Edges a second that are.
    """

    def __init__(
        self, level: int, now_s: float, *, settle_s: float, most_per_min: int, most_edges_per_s: int
    ) -> None:
        self._settle_s = settle_s
        self._most_edges = most_edges_per_s
        self._seen, self._seen_s = level, now_s
        self._edge_s = now_s
        self._second_s, self._second_edges = now_s, 0
        self._changes: deque[float] = deque(maxlen=most_per_min)
        self._told_edges = 0
        self.level = level
        self.storm = False
        self.edges = 0
        self.changes = 0
        self.storms = 0

    def edge(self, level: int, at_s: float, missed: int = 0) -> Settled | None:
        """Take an edge, in order of time; returns a storm if one begins with it.

        Args:
            level: Level after it.
            at_s: Monotonic seconds of it; one before the last counts as that.
            missed: Edges before it of which nothing is known but their number.
        """
        at_s = max(at_s, self._edge_s)
        count = 1 + missed
        self.edges += count
        self._edge_s = at_s
        if level != self._seen or missed:
            self._seen, self._seen_s = level, at_s
        if at_s - self._second_s >= EDGES_WINDOW_S:
            self._second_s, self._second_edges = at_s, 0
        self._second_edges += count
        if self._second_edges > self._most_edges:
            return self._storm(at_s)
        return None

    def due(self, now_s: float) -> Settled | None:
        """What is believed since, one at a time; None if nothing more is."""
        if self.storm:
            if now_s - self._edge_s < QUIET_S:
                return None
            self.storm = False
            self._changes.clear()
            self._second_edges = 0
            return self._tell("calm", self._edge_s)
        if self._seen == self.level or now_s - self._seen_s < self._settle_s:
            return None
        full = len(self._changes) == self._changes.maxlen
        if full and self._seen_s - self._changes[0] < CHANGES_WINDOW_S:
            return self._storm(self._seen_s)
        self._changes.append(self._seen_s)
        self.level = self._seen
        self.changes += 1
        return self._tell("change", self._seen_s)

    def wake_at_s(self) -> float:
        """Monotonic seconds when `due` may have something to say, infinity if nothing is on."""
        if self.storm:
            return self._edge_s + QUIET_S
        if self._seen != self.level:
            return self._seen_s + self._settle_s
        return float("inf")

    def _storm(self, at_s: float) -> Settled | None:
        if self.storm:
            return None
        self.storm = True
        self.storms += 1
        return self._tell("storm", at_s)

    def _tell(self, what: Literal["change", "storm", "calm"], at_s: float) -> Settled:
        edges, self._told_edges = self.edges - self._told_edges, self.edges
        return Settled(what, self.level, at_s, edges)
