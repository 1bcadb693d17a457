"""Which block must go although there is room: past its time, or of a camera that has too much.

How old something is, its wall time says, and that can be wrong: what was recorded before the clock
was set looks older than it is. So a wall time is corrected by the steps of the clock that the log
knows, and what remains in doubt is taken to be young: nothing is given up for good too soon.
"""

from collections.abc import Collection, Iterable, Sequence
from typing import NamedTuple

from nvr.media.name import camera_of
from nvr.record.catalog import Catalog, Oldest
from nvr.record.note import Note
from nvr.record.retention import TermsOf
from nvr.record.row import Row

_STEP_US = 3_600_000_000
"""A step of less than an hour makes no difference worth a correction."""


class Shift(NamedTuple):
    """Time by which wall times were too early, from an opening of the volume to a step.

    Attributes:
        from_run: First run after the opening.
        to_run: First run not yet used at the step.
        tick_90k: When the step was, on the clock of ticks.
        by_us: How much.
    """

    from_run: int
    to_run: int
    tick_90k: int
    by_us: int


def shifts(notes: Iterable[Note], least_us: int = _STEP_US) -> list[Shift]:
    """Return the steps forward, by more than `least_us`, that the log knows."""
    found, opened_run = [], 0
    for note in notes:
        if note.kind == "opened":
            opened_run = note.run
        elif note.kind == "clock" and (by_us := note.after_us - note.wall_us) > least_us:
            found.append(Shift(opened_run, note.run, note.tick_90k, by_us))
    return found


def begun_us(row: Row, known: Sequence[Shift]) -> int:
    """UTC microseconds of the oldest part of a block."""
    return min(
        (
            span.from_us
            + sum(
                shift.by_us
                for shift in known
                if shift.from_run <= span.run < shift.to_run and span.start_90k < shift.tick_90k
            )
            for span in row.spans
        ),
        default=0,
    )


def past_its_time(
    oldest: Iterable[Oldest], terms: TermsOf, now_us: int, known: Sequence[Shift]
) -> list[Row]:
    """Return which of the streams' oldest blocks hold something that must be gone by now.

    One that holds nothing is among them: what comes after it could not be seen behind it.
    """
    found = []
    for it in oldest:
        limit_s = terms(it.row.head.stream).limit_s
        if not limit_s:
            continue
        at_us = begun_us(it.row, known)
        if at_us > now_us:
            at_us = it.ended_us
        if now_us - at_us >= limit_s * 1e6:
            found.append(it.row)
    return found


def too_much(
    catalog: Catalog,
    oldest: Iterable[Oldest],
    terms: TermsOf,
    locked: Collection[int],
    block_bytes: int,
) -> Row | None:
    """Return the oldest block of a camera, or stream, that has more than it may, None for none.

    Args:
        catalog: What the volume holds.
        oldest: The streams' oldest blocks that can go.
        terms: The terms of a stream.
        locked: Blocks that are locked; they do not count.
        block_bytes: Size of a block.
    """

    def more_than(most_bytes: int, streams: Sequence[str]) -> bool:
        most = most_bytes // block_bytes
        if sum(ends.blocks for name in streams if (ends := catalog.ends(name))) <= most:
            return False  # with the locked ones, so without them too
        numbers = (number for name in streams for number in catalog.rows(name).blocks())
        return sum(number not in locked for number in numbers) > most

    cameras: dict[str, list[Oldest]] = {}
    for it in oldest:
        stream = it.row.head.stream
        of = terms(stream)
        if of.own_bytes and more_than(of.own_bytes, [stream]):
            return it.row
        if of.limit_bytes:
            cameras.setdefault(camera_of(stream), []).append(it)
    for camera, those in cameras.items():
        streams = [name for name in catalog.streams() if camera_of(name) == camera]
        if more_than(terms(those[0].row.head.stream).limit_bytes, streams):
            return min(those, key=lambda it: it.ended_us).row
    return None
