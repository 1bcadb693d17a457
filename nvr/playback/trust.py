"""How far the wall times of a recording can be trusted, by what the notes say of the clock.

Within a run the wall time goes on like the ticks until the clock is stepped, so what is known of
the clock once holds for all of the stretch: one that began before the first answer of a time
server, and needed no step when it came, had been right. What was recorded before the clock was set
is off by as much as it was set by.
"""

from bisect import bisect_right
from collections.abc import Iterable
from dataclasses import dataclass, field

from nvr.base.clock import TICKS_PER_S
from nvr.record.expire import shifts
from nvr.record.note import UNKNOWN_MS, Note


@dataclass(frozen=True, slots=True)
class Trust:
    """How a stretch's wall times came about.

    Attributes:
        clock: ``ntp``, ``gb28181``, ``rtc`` or ``unsynced``; empty if nothing was noted of it.
        uncertainty_ms: How far they may be off; 0xFFFFFFFF if nobody knows.
        behind_us: How far they turned out to be too early, when the clock was set later.
    """

    clock: str = ""
    uncertainty_ms: int = UNKNOWN_MS
    behind_us: int = 0


NOT_NOTED = Trust()
_NOTICED_90K = 2 * TICKS_PER_S
"""A step of the clock is noticed so late at most, and ends a stretch before."""


@dataclass(slots=True)
class _Opening:
    """What was noted from an opening of the volume to the next."""

    run: int
    tick_90k: int
    said: list[Note] = field(default_factory=list)


class Trusts:
    """What the notes of a volume say of its clock.

    Args:
        notes: In the order of writing.
    """

    def __init__(self, notes: Iterable[Note]) -> None:
        notes = list(notes)
        self._openings = [_Opening(0, 0)]
        for note in notes:
            last = self._openings[-1]
            if note.kind == "opened":
                made = _Opening(note.run, note.tick_90k)
                if last.said and last.said[-1].tick_90k <= note.tick_90k:
                    made.said.append(last.said[-1])  # let go of and opened again meanwhile
                self._openings.append(made)
            elif note.kind == "trust":
                last.said.append(note)
        self._runs = [opening.run for opening in self._openings]
        self._shifts = shifts(
            (note for note in notes if note.kind == "opened" or note.unset), least_us=0
        )

    def of(self, run: int, start_90k: int, end_90k: int) -> Trust:
        """Return how far a stretch of a run can be trusted.

        Args:
            run: Run on the volume.
            start_90k: Its first tick.
            end_90k: The tick after its last.
        """
        behind_us = sum(
            shift.by_us
            for shift in self._shifts
            if shift.from_run <= run < shift.to_run
            and start_90k < shift.tick_90k
            and end_90k <= shift.tick_90k + _NOTICED_90K
        )
        said = self._openings[max(0, bisect_right(self._runs, run) - 1)].said
        if not said:
            return Trust(behind_us=behind_us)
        known = [note for note in said if note.tick_90k <= end_90k] or said[:1]
        at_end = known[-1]
        worst_ms = at_end.uncertainty_ms
        for note in reversed(known):
            if note.uncertainty_ms < UNKNOWN_MS:
                worst_ms = max(worst_ms, note.uncertainty_ms)
            if note.tick_90k <= start_90k:
                break
        return Trust(at_end.state, worst_ms, behind_us)
