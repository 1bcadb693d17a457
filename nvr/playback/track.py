"""All parts of a stream as one list, in the order of recording: what is where, and what follows.

Wall times are no order: a clock that is set back has some of them twice. So a part is found by its
wall time, the newest recording first, or by its `Place`, of which there is only one.
"""

from collections.abc import Sequence
from typing import NamedTuple

from nvr.record.block import Entries, Entry
from nvr.record.row import Row, Span
from nvr.record.rows import Rows
from nvr.record.store import Store


class Place(NamedTuple):
    """Where a part is among everything a volume ever recorded of a stream.

    Attributes:
        run: Run on the volume.
        start_90k: First tick of the part.
    """

    run: int
    start_90k: int


class Track:
    """All parts of a stream, each by its block and its number there; looked into when needed.

    Args:
        store: The volume.
        rows: The stream's blocks.
    """

    def __init__(self, store: Store, rows: Rows) -> None:
        self._store = store
        self._all = rows
        self._rows: dict[int, Row] = {}
        self._entries: dict[int, Sequence[Entry]] = {}

    def row(self, n: int) -> Row:
        """Return a block."""
        if n not in self._rows:
            self._rows[n] = self._all[n]
        return self._rows[n]

    def entries(self, row: int) -> Sequence[Entry]:
        """Return the parts of a block."""
        if row not in self._entries:
            try:
                self._entries[row] = self._store.entries(self.row(row))
            except OSError:
                self._entries[row] = ()  # its index cannot be read: fsck tells, playback goes on
        return self._entries[row]

    def entry(self, at: tuple[int, int]) -> Entry:
        """Return a part."""
        return self.entries(at[0])[at[1]]

    def after(self, at: tuple[int, int]) -> tuple[int, int] | None:
        """Return the part recorded next."""
        row, part = at[0], at[1] + 1
        while row < len(self._all):
            if part < len(self.entries(row)):
                return row, part
            row, part = row + 1, 0
        return None

    def before(self, at: tuple[int, int]) -> tuple[int, int] | None:
        """Return the part recorded before."""
        row, part = at[0], at[1] - 1
        while part < 0:
            row -= 1
            if row < 0:
                return None
            part = len(self.entries(row)) - 1
        return row, part

    def joined(self, one: tuple[int, int], two: tuple[int, int]) -> bool:
        """Whether no block between two parts, the first being the older, was overwritten."""
        between = range(one[0] + 1, two[0] + 1)
        return all(self.row(n).head.sequence <= self.row(n - 1).sequence for n in between)

    def find(self, t_us: int) -> tuple[int, int] | None:
        """Return the part that holds `t_us`, else the first that begins later."""
        for row, span in self._all.holding(t_us):
            found = self._in_span(row, span, t_us)
            if found is not None:
                return found
        later = self._all.following(t_us)
        return self._in_span(*later, later[1].from_us) if later else None

    def _in_span(self, row: int, span: Span, t_us: int) -> tuple[int, int] | None:
        entries = self.entries(row)
        if isinstance(entries, Entries):
            times = [(raw[2], raw[3], raw[4]) for raw in entries.raw()]
        else:
            times = [(entry.run, entry.start_90k, entry.wall_us) for entry in entries]
        for part in range(len(times) - 1, -1, -1):
            run, start_90k, wall_us = times[part]
            if run == span.run and span.start_90k <= start_90k < span.end_90k and wall_us <= t_us:
                return row, part
        return None

    def key_at_or_before(self, at: tuple[int, int]) -> tuple[int, int] | None:
        """Return the key part that `at` depends on, else the next key part."""
        run = self.entry(at).run
        back: tuple[int, int] | None = at
        while back is not None and self.entry(back).run == run:
            if self.entry(back).key:
                return back
            last, back = back, self.before(back)
            if back is not None and not self.joined(back, last):
                break
        forward: tuple[int, int] | None = at
        while forward is not None and not self.entry(forward).key:
            forward = self.after(forward)
        return forward

    def at_place(self, place: Place) -> tuple[int, int] | None:
        """Return the part at a place, None if it is not there any more."""
        found = self._all.recorded_at(*place)
        if found is None:
            return None
        entries = self.entries(found)
        for part in range(len(entries)):
            entry = entries[part]
            if (entry.run, entry.start_90k) == place:
                return found, part
        return None

    def place(self, at: tuple[int, int]) -> Place:
        """Return the place of a part."""
        entry = self.entry(at)
        return Place(entry.run, entry.start_90k)

    def inside(self, begin: tuple[int, int], from_us: int, to_us: int) -> tuple[int, int] | None:
        """Return the first part recorded at `begin` or later that lies between two wall times."""
        for row in self._all.places_touching(from_us, to_us):
            if row < begin[0]:
                continue
            entries = self.entries(row)
            first = begin[1] if row == begin[0] else 0
            for part in range(first, len(entries)):
                if entries[part].end_us > from_us and entries[part].wall_us < to_us:
                    return row, part
        return None
