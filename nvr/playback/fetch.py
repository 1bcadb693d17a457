"""What the notes say of gaps that were to be fetched from a camera's own storage."""

from collections.abc import Iterable
from dataclasses import replace

from nvr.media.replay import BEFORE_US
from nvr.playback.gap import Fetch, Gap
from nvr.record.note import FETCH, Note


class Fetches:
    """The notes about one stream.

    Args:
        stream: Its name.
        notes: Of all volumes.
    """

    def __init__(self, stream: str, notes: Iterable[Note]) -> None:
        mine = (note for note in notes if note.kind == FETCH and note.stream == stream)
        self._notes = sorted(mine, key=lambda note: note.wall_us, reverse=True)

    def brought(self, from_us: int, to_us: int) -> Fetch:
        """Return when, and where from, most of a stretch was fetched.

        What came with it from before belongs to it: the key frame that its first picture hangs on.
        """
        done = [note for note in self._notes if not note.code]
        best = max(done, key=lambda note: _shared(note, from_us, to_us), default=None)
        if best is None or _shared(best, from_us, to_us) < -BEFORE_US:
            return Fetch()
        return Fetch(best.wall_us, best.by)

    def explained(self, gap: Gap) -> Gap:
        """Return a gap with what became of fetching it: what was noted last of most of it."""
        for note in self._notes:
            if note.code and 2 * _shared(note, gap.from_us, gap.to_us) > gap.to_us - gap.from_us:
                return replace(gap, fetch=Fetch(note.wall_us, note.by, note.code))
        return gap


def _shared(note: Note, from_us: int, to_us: int) -> int:
    return min(note.until_us, to_us) - max(note.since_us, from_us)
