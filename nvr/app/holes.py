"""Which gaps of a recording are worth fetching from the camera's own storage."""

import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from typing import Final

from nvr.playback.gap import Gap
from nvr.record.plan import Plan

CAUSES: Final = frozenset({"camera", "power", "behind", "disk", "volume", "unknown"})
"""What nobody wanted. Not what was stopped, planned, removed or destroyed: that stays unseen."""
LATE_US: Final = 3_600_000_000
"""A camera that says it has nothing is asked again for so long: it may write files of some minutes
that nobody can read before they are full."""
_FINAL: Final = frozenset({"backfill.nothing", "backfill.untimed"})
_FRESH_US: Final = 5_000_000
_MINUTE_US: Final = 60_000_000


@dataclass(frozen=True, slots=True)
class Hole:
    """A stretch to be fetched.

    Attributes:
        from_us: UTC microseconds of its begin.
        to_us: UTC microseconds of its end.
        code: Why it could not be fetched so far, empty if nobody tried.
    """

    from_us: int
    to_us: int
    code: str = ""

    @property
    def length_s(self) -> float:
        """How long it is."""
        return (self.to_us - self.from_us) / 1e6

    def first(self, most_s: float) -> "Hole":
        """Return as much of it from its begin."""
        return replace(self, to_us=min(self.to_us, self.from_us + round(most_s * 1e6)))

    def within(self, other: "Hole") -> "Hole":
        """Return what of it lies in another one; below zero long if nothing does."""
        from_us, to_us = max(self.from_us, other.from_us), min(self.to_us, other.to_us)
        return replace(self, from_us=from_us, to_us=to_us)


def holes(
    gaps: Iterable[Gap], since_us: int, now_us: int, least_s: float, plan: Plan
) -> list[Hole]:
    """Return what is to be fetched, the oldest first.

    Args:
        gaps: Of the stream.
        since_us: UTC microseconds; nothing before.
        now_us: UTC microseconds now.
        least_s: What is shorter is left.
        plan: When the stream is recorded; only what would have been in any case is fetched.
    """
    found = []
    for gap in gaps:
        if gap.cause not in CAUSES or gap.open or gap.to_us > now_us - _FRESH_US or _settled(gap):
            continue
        code = gap.fetch.code if gap.fetch else ""
        whole = Hole(max(gap.from_us, since_us), gap.to_us, code)
        found += [one for one in _planned(plan, whole) if one.length_s >= least_s]
    return sorted(found, key=lambda hole: hole.from_us)


def _settled(gap: Gap) -> bool:
    fetch = gap.fetch
    if fetch is None or fetch.code not in _FINAL:
        return False
    return fetch.code != "backfill.nothing" or fetch.at_us - gap.to_us >= LATE_US


def _planned(plan: Plan, hole: Hole) -> Iterator[Hole]:
    """Yield what of a hole lies in hours in which everything is recorded."""
    if not plan.by_the_clock:
        if plan.mode == "continuous":
            yield hole
        return
    begun_us: int | None = None
    at_us = hole.from_us
    while at_us < hole.to_us:
        here = time.localtime(at_us // 1_000_000)
        wanted = plan.at(here.tm_wday, here.tm_hour * 60 + here.tm_min) == "continuous"
        if wanted and begun_us is None:
            begun_us = at_us
        elif not wanted and begun_us is not None:
            yield replace(hole, from_us=begun_us, to_us=at_us)
            begun_us = None
        at_us = at_us // _MINUTE_US * _MINUTE_US + _MINUTE_US
    if begun_us is not None:
        yield replace(hole, from_us=begun_us)
