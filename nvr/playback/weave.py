"""Stretches of one stream on several volumes, put into one order."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from nvr.playback.query import Recorded
from nvr.playback.track import Place

SHORT_US = 333_333
"""See `nvr.record.row.TOLERANCE_90K`."""
_AGREE_US = 500_000


@dataclass(frozen=True, slots=True)
class Stretch:
    """A recorded stretch, or what of it is not on another volume as well."""

    slot: int
    number: int
    of: Recorded
    from_us: int
    to_us: int

    @property
    def place(self) -> Place:
        """Of its first part."""
        return self.of.place or Place(self.of.run, 0)

    def holds(self, run: int, from_us: int, to_us: int) -> bool:
        """Whether something of a run, between two wall times, is of it."""
        return run == self.of.run and from_us < self.to_us and to_us > self.from_us


def woven(recorded: Mapping[int, Sequence[Recorded]]) -> list[Stretch]:
    """Put the stretches of all volumes into one order, and leave out what is there twice."""
    if len(recorded) == 1:
        ((slot, its),) = recorded.items()
        return [Stretch(slot, n, one, one.from_us, one.to_us) for n, one in enumerate(its)]
    at = dict.fromkeys(recorded, 0)
    found: list[Stretch] = []
    while heads := {s: its[at[s]] for s, its in recorded.items() if at[s] < len(its)}:
        slot = min(heads, key=lambda s: (heads[s].from_us, s))
        one = heads[slot]
        at[slot] += 1
        last = found[-1] if found else None
        found.append(Stretch(slot, at[slot] - 1, one, one.from_us, one.to_us))
        if last is None or last.slot == slot or not _twice(last, one):
            continue
        found[-2:-1] = [replace(last, to_us=one.from_us)] if last.from_us < one.from_us else []
        if one.to_us < last.to_us:
            found.append(replace(last, from_us=one.to_us))
    return found


def left(pieces: Sequence[Stretch], from_us: int, to_us: int) -> list[tuple[int, int]]:
    """Return what of a span none of the pieces holds."""
    rest = [(from_us, to_us)]
    for piece in pieces:
        rest = [
            part
            for begin_us, end_us in rest
            for part in (
                (begin_us, min(end_us, piece.from_us)),
                (max(begin_us, piece.to_us), end_us),
            )
            if part[1] - part[0] > SHORT_US
        ]
    return rest


def _twice(last: Stretch, one: Recorded) -> bool:
    """Whether `one` begins with what is in `last` as well: at the same time by both clocks."""
    if one.from_us >= last.to_us or one.place is None:
        return False
    by_wall_us = one.from_us - last.of.to_us
    by_tick_us = (one.place.start_90k - last.of.end_90k) * 100 // 9
    return abs(by_wall_us - by_tick_us) <= _AGREE_US


def found_in(pieces: Sequence[Stretch], t_us: int, slot: int | None, place: Place | None) -> int:
    """Return which piece holds a place, else a time, the newest recording first, else the next."""
    if place is not None:
        for n in range(len(pieces) - 1, -1, -1):
            piece = pieces[n]
            begun_90k = piece.place.start_90k
            if (
                piece.slot == slot
                and piece.of.run == place.run
                and (begun_90k <= place.start_90k < piece.of.end_90k)
            ):
                at_us = piece.of.from_us + (place.start_90k - begun_90k) * 100 // 9
                if piece.from_us - _AGREE_US <= at_us < piece.to_us:
                    return n
    for n in range(len(pieces) - 1, -1, -1):
        if pieces[n].from_us <= t_us < pieces[n].to_us:
            return n
    later = [n for n in range(len(pieces)) if pieces[n].from_us > t_us]
    return min(later, key=lambda n: pieces[n].from_us, default=len(pieces))
