"""What the volume's log says of time that was not recorded: openings, stops, losses, clock steps.

A note names the run that comes next, so that it has its place among what is recorded even where
the wall clock was set back. Notes outlive the log's epochs: each summary carries them on.

Source: ``FORMAT.md`` version 1, kinds ``opened``, ``stopped``, ``gap``, ``clock``, ``trust``,
``alive`` and ``fetch``.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import msgpack

from nvr.base.clock import TICKS_PER_S, Clock
from nvr.record.log import Record

FETCH = "fetch"
"""The kind of a note that says what became of fetching a gap from the camera's own storage."""
KINDS = frozenset({"opened", "stopped", "gap", "clock", "trust", "alive", FETCH})
UNKNOWN_MS = 0xFFFFFFFF
"""Uncertainty of a wall clock that was never set."""
RECORDED = "none"
"""The cause of a ``gap`` that is over."""
PLANNED = "plan"
"""The cause of one in which nothing is to be recorded."""
ELSEWHERE = "elsewhere"
"""The cause of a ``gap`` of all streams that is none: another volume is recorded on, named `by`."""
HERE = "here"
"""The cause of a ``gap`` that ends that: this volume is the one recorded on."""
MOST_BYTES = 384 << 10
"""Room of the notes in a summary; each copy of the log has at least 1 MiB."""


@dataclass(frozen=True, slots=True)
class Note:
    """One note.

    Attributes:
        kind: One of `KINDS`.
        wall_us: UTC microseconds when it was made; before the step for ``clock``.
        tick_90k: The same on the monotonic clock, 0 if not known.
        run: First run not yet used when it was made, 0 if not known.
        stream: Stream that a ``gap`` or ``fetch`` is about, empty for all of them.
        cause: Why a ``gap`` is, `RECORDED` if it is over.
        code: Error code to go with the cause; for ``fetch`` why it could not be had, empty if it
            was.
        by: Who stopped the recorder or removed the camera; with `ELSEWHERE` the UUID of the
            volume, and after a blank how it is called; for ``fetch`` where it was fetched from.
        since_us: UTC microseconds since when a ``gap`` is, or of the first that was asked for.
        until_us: For ``fetch``: UTC microseconds after the last.
        after_us: UTC microseconds after the step of a ``clock``.
        clean: For ``opened``: the volume had been closed properly.
        unset: For ``clock``: it had not been set since the box was switched on.
        state: For ``trust``: ``ntp``, ``gb28181``, ``rtc`` or ``unsynced``.
        uncertainty_ms: For ``trust``: how far the wall clock may be off; `UNKNOWN_MS` if nobody
            knows.
    """

    kind: str
    wall_us: int
    tick_90k: int = 0
    run: int = 0
    stream: str = ""
    cause: str = ""
    code: str = ""
    by: str = ""
    since_us: int = 0
    until_us: int = 0
    after_us: int = 0
    clean: bool = False
    unset: bool = False
    state: str = ""
    uncertainty_ms: int = 0

    def record(self) -> Record:
        """Return it as a record of the log, without what it leaves empty."""
        fields = {name: getattr(self, name) for name in self.__slots__}
        return {name: value for name, value in fields.items() if value}


def stamped(note: Note, clock: Clock) -> Note:
    """Return `note` with the monotonic time at which it is made."""
    return replace(note, tick_90k=int(clock.monotonic_s() * TICKS_PER_S))


_FIELDS: dict[str, type] = {
    "kind": str, "wall_us": int, "tick_90k": int, "run": int, "stream": str, "cause": str,
    "code": str, "by": str, "since_us": int, "until_us": int, "after_us": int,
    "clean": bool, "unset": bool, "state": str, "uncertainty_ms": int,
}  # fmt: skip


def note_of(record: Record) -> Note | None:
    """Return the note in a record, None if it is another kind or not what we know."""
    kind = record.get("kind")
    if not isinstance(kind, str) or kind not in KINDS:
        return None
    fields: dict[str, Any] = {"wall_us": 0}
    for name, of in _FIELDS.items():
        value = record.get(name)
        if value is not None:
            if not isinstance(value, of):
                return None
            fields[name] = value
    return Note(**fields)


def keep(notes: list[Note], note: Note) -> None:
    """Add a note, and drop the one it makes needless, or there would be no room for others.

    Of signs of life only the last of an opening counts. Of times that were not to be recorded the
    parts that end them tell; a note is needed for the one that lasts.
    """
    ended = -1
    for n in range(len(notes) - 1, -1, -1):
        old = notes[n]
        if old.kind == "opened" or (note.cause != PLANNED and note.kind != "alive"):
            break
        if note.kind == "alive":
            if old.kind == "alive":
                del notes[n]
                break
        elif old.kind == "gap" and old.stream == note.stream:
            if old.cause == RECORDED and ended < 0:
                ended = n
                continue
            # The first of an opening tells where what was before it ended.
            if old.cause == PLANNED and _has(notes, n, old.stream):
                if ended >= 0:
                    del notes[ended]
                del notes[n]
            break
    notes.append(note)


def _has(notes: list[Note], before: int, stream: str) -> bool:
    """Whether there is a note of a stream before a place, in the same opening."""
    for n in range(before - 1, -1, -1):
        if notes[n].kind == "opened":
            return False
        if notes[n].stream == stream:
            return True
    return False


def newest(records: Sequence[Record], most_bytes: int = MOST_BYTES) -> list[Record]:
    """Return the newest records, as many as there is room for."""
    pack: Callable[[Record], bytes] = msgpack.packb
    kept: list[Record] = []
    for record in reversed(records):
        most_bytes -= len(pack(record))
        if most_bytes < 0:
            break
        kept.append(record)
    return kept[::-1]
