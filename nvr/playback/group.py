"""Groups of pictures in a span of time: where each is and how long it lasts, without its bytes."""

from collections.abc import Iterator
from dataclasses import dataclass

from nvr.playback.track import Place, Track
from nvr.record.row import TOLERANCE_90K
from nvr.record.store import Store

_UNDER_WAY_US = 10_000_000


@dataclass(frozen=True, slots=True)
class Group:
    """From one key frame up to the next.

    Attributes:
        place: Its first part.
        from_us: UTC microseconds of the key frame.
        duration_90k: How long it lasts.
        fresh: It does not go on from the one before.
    """

    place: Place
    from_us: int
    duration_90k: int
    fresh: bool

    @property
    def run(self) -> int:
        """Run on the volume."""
        return self.place.run


def groups(store: Store, stream: str, from_us: int, to_us: int) -> Iterator[Group]:
    """Yield what a volume holds of a span, from the key frame before it, in order of recording.

    Where the clock was set back a span may come twice. The group under way is left out.

    Args:
        store: The volume.
        stream: Name of the stream.
        from_us: UTC microseconds.
        to_us: UTC microseconds.
    """
    track = Track(store, store.catalog.rows(stream))
    now_us = store.clock.wall_us()
    at: tuple[int, int] | None = (0, 0)
    end: tuple[int, int] | None = None  # run of the group before, and the tick after it
    while at is not None:
        needed = track.inside(at, from_us, to_us)
        at = track.key_at_or_before(needed) if needed is not None else None
        while needed is not None and at is not None:
            first = track.entry(at)
            if at > needed and not (first.end_us > from_us and first.wall_us < to_us):
                break
            ticks_90k, end_us, following = _length(track, at)
            if following is None and now_us - end_us < _UNDER_WAY_US:
                return
            fresh = end is None or end[0] != first.run
            fresh = fresh or (end is not None and abs(first.start_90k - end[1]) > TOLERANCE_90K)
            yield Group(track.place(at), first.wall_us, ticks_90k, fresh)
            end, at = (first.run, first.start_90k + ticks_90k), following


def _length(track: Track, key: tuple[int, int]) -> tuple[int, int, tuple[int, int] | None]:
    """Return how many ticks a group lasts, its end by the clock, and where the next one begins."""
    first = last = track.entry(key)
    before, whole = key, True
    at = track.after(key)
    while at is not None and not (entry := track.entry(at)).key:
        whole = whole and entry.run == first.run and track.joined(before, at)
        if whole:
            last, before = entry, at
        at = track.after(at)
    return last.start_90k + last.duration_90k - first.start_90k, last.end_us, at
