"""What the volume's log says of time that was not recorded: openings, stops, losses, clock steps.

A note names the run that comes next, so that it has its place among what is recorded even where
the wall clock was set back. Notes outlive the log's epochs: each summary carries them on.

Source: ``FORMAT.md`` version 1, kinds ``opened``, ``stopped``, ``gap``, ``clock`` and ``alive``.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import msgpack

from nvr.base.clock import TICKS_PER_S, Clock
from nvr.record.log import Record

KINDS = frozenset({"opened", "stopped", "gap", "clock", "alive"})
RECORDED = "none"
"""The cause of a ``gap`` that is over."""
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
        stream: Stream that a ``gap`` is about, empty for all of them.
        cause: Why a ``gap`` is, `RECORDED` if it is over.
        code: Error code to go with the cause.
        by: Who stopped the recorder or removed the camera.
        since_us: UTC microseconds since when a ``gap`` is.
        after_us: UTC microseconds after the step of a ``clock``.
        clean: For ``opened``: the volume had been closed properly.
        unset: For ``clock``: it had not been set since the box was switched on.
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
    after_us: int = 0
    clean: bool = False
    unset: bool = False

    def record(self) -> Record:
        """Return it as a record of the log, without what it leaves empty."""
        fields = {name: getattr(self, name) for name in self.__slots__}
        return {name: value for name, value in fields.items() if value}


def stamped(note: Note, clock: Clock) -> Note:
    """Return `note` with the monotonic time at which it is made."""
    return replace(note, tick_90k=int(clock.monotonic_s() * TICKS_PER_S))


_FIELDS: dict[str, type] = {
    "kind": str, "wall_us": int, "tick_90k": int, "run": int, "stream": str, "cause": str,
    "code": str, "by": str, "since_us": int, "after_us": int, "clean": bool, "unset": bool,
}  # fmt: skip


def note_of(record: Record) -> Note | None:
    """Return the note in a record, None if it is another kind or not what we know."""
    if record.get("kind") not in KINDS:
        return None
    fields: dict[str, Any] = {"wall_us": 0}
    for name, kind in _FIELDS.items():
        value = record.get(name)
        if value is not None:
            if not isinstance(value, kind):
                return None
            fields[name] = value
    return Note(**fields)


def carried(notes: Sequence[Note], most_bytes: int = MOST_BYTES) -> list[Record]:
    """Return the newest notes as records, as many as there is room for."""
    pack: Callable[[Record], bytes] = msgpack.packb
    kept: list[Record] = []
    for note in reversed(notes):
        record = note.record()
        most_bytes -= len(pack(record))
        if most_bytes < 0:
            break
        kept.append(record)
    return kept[::-1]
