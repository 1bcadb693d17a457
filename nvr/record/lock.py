"""Locks: stretches of a camera's recordings that stay, whatever else must go.

A lock is of a camera and a stretch of wall time, and holds every block in which anything of that
stretch is recorded, of all the camera's streams, recorded before the lock or after it. It says who
wanted it, why, and until when; a legal hold has no end. It is durable in both logs before it is
answered, and each summary carries it on.

Source: ``FORMAT.md`` version 1, kinds ``lock`` and ``unlock``.
"""

from bisect import bisect_right
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Literal, get_args

import msgpack

from nvr.base.errors import Rejected
from nvr.media.name import camera_of
from nvr.record.catalog import Catalog
from nvr.record.log import Record, counted
from nvr.record.row import Row
from nvr.record.rows import Rows

Kind = Literal["alarm", "evidence", "legal"]
KINDS: tuple[Kind, ...] = get_args(Kind)
MOST_BYTES = 256 << 10
"""Room of the locks in a summary; each copy of the log has at least 1 MiB."""
MOST_SHARE = 0.8
"""Of a volume's blocks; the rest is for what is recorded next."""


@dataclass(frozen=True, slots=True)
class Lock:
    """One lock.

    Attributes:
        number: Counts up over the life of the volume; 0 until the volume has given one.
        kind: One of `KINDS`.
        camera: Name of the camera.
        from_us: UTC microseconds of the first picture to be kept.
        to_us: UTC microseconds after the last.
        key_us: Where what is kept begins: at the key frame that the first picture hangs on.
        until_us: UTC microseconds at which it ends by itself; 0 for never.
        by: Who wanted it.
        why: Why, in that person's words.
        made_us: UTC microseconds when it was made.
    """

    number: int
    kind: Kind
    camera: str
    from_us: int
    to_us: int
    key_us: int
    until_us: int
    by: str
    why: str
    made_us: int

    def record(self) -> Record:
        """Return it as a record of the log."""
        return {
            "kind": "lock",
            "number": self.number,
            "what": self.kind,
            "camera": self.camera,
            "from_us": self.from_us,
            "to_us": self.to_us,
            "key_us": self.key_us,
            "until_us": self.until_us,
            "by": self.by,
            "why": self.why,
            "wall_us": self.made_us,
        }

    def ended(self, now_us: int) -> bool:
        """Whether its time is over."""
        return 0 < self.until_us <= now_us


def lock_of(record: Record) -> Lock | None:
    """Return the lock in a record, None if it is not what we know."""
    kind, names = record.get("what"), ("camera", "by", "why")
    numbers = ("number", "from_us", "to_us", "key_us", "until_us", "wall_us")
    if kind not in KINDS or not all(isinstance(record.get(name), int) for name in numbers):
        return None
    if not all(isinstance(record.get(name), str) for name in names):
        return None
    number, from_us, to_us, key_us, until_us, made_us = (record[name] for name in numbers)
    camera, by, why = (record[name] for name in names)
    return Lock(number, kind, camera, from_us, to_us, key_us, until_us, by, why, made_us)


class _Stretches:
    """The stretches of one camera's locks, merged, so that a thousand cost no more than one."""

    def __init__(self, locks: Iterable[Lock]) -> None:
        self._starts: list[int] = []
        self._ends: list[int] = []
        for start, end in sorted((lock.key_us, lock.to_us) for lock in locks):
            if self._ends and start <= self._ends[-1]:
                self._ends[-1] = max(self._ends[-1], end)
            else:
                self._starts.append(start)
                self._ends.append(end)

    def blocks(self, rows: Rows) -> set[int]:
        """Return the numbers of the blocks held."""
        both = zip(self._starts, self._ends, strict=True)
        return set().union(*(rows.blocks_touching(start, end) for start, end in both))

    def hold(self, row: Row) -> bool:
        for span in row.spans:
            at = bisect_right(self._ends, span.from_us)
            if at < len(self._ends) and self._starts[at] < span.to_us:
                return True
        return False


class Locks:
    """All locks of a volume; not safe for several threads (the ring's guard covers it)."""

    def __init__(self) -> None:
        self._locks: dict[int, Lock] = {}
        self._next = 1
        self._stretches: dict[str, _Stretches] = {}
        self._ends_us = 0

    def fold(self, record: Record) -> None:
        """Take a record of the kinds ``summary``, ``lock`` and ``unlock`` from the log."""
        kind = record["kind"]
        if kind == "summary":
            self._locks.clear()
            self._next = counted(record.get("next_lock", 1))
            for each in record.get("locks", ()):
                self._take(each)
        elif kind == "lock":
            self._take(record)
        elif kind == "unlock":
            self._locks.pop(record.get("number", 0), None)
        self._sort()

    def _take(self, record: Record) -> None:
        lock = lock_of(record)
        if lock is not None:
            self._locks[lock.number] = lock
            self._next = max(self._next, lock.number + 1)

    def _sort(self) -> None:
        cameras: dict[str, list[Lock]] = {}
        for lock in self._locks.values():
            cameras.setdefault(lock.camera, []).append(lock)
        self._stretches = {camera: _Stretches(locks) for camera, locks in cameras.items()}
        self._ends_us = min(
            (lock.until_us for lock in self._locks.values() if lock.until_us), default=0
        )

    def summary(self) -> Record:
        """Return what a summary carries of them."""
        return {"locks": [lock.record() for lock in self._locks.values()], "next_lock": self._next}

    @property
    def next_number(self) -> int:
        """Number of the next lock."""
        return self._next

    def all(self) -> tuple[Lock, ...]:
        """Return every lock, in the order in which they were made."""
        return tuple(self._locks.values())

    def numbered(self, lock: Lock) -> Lock:
        """Return `lock` with the number it gets when it is added, its own if that is not used yet.

        Raises:
            Rejected: ``lock.too_many``: the log has no room for it.
        """
        made = replace(lock, number=max(lock.number, self._next))
        pack: Callable[[Record], bytes] = msgpack.packb
        if sum(len(pack(each.record())) for each in (*self._locks.values(), made)) > MOST_BYTES:
            raise Rejected(
                "lock.too_many", "there is no room for another lock", locks=len(self._locks)
            )
        return made

    def add(self, lock: Lock) -> None:
        """Add what `numbered` returned; it is in the log."""
        self.fold(lock.record())

    def get(self, number: int) -> Lock:
        """Return the lock of that number.

        Raises:
            Rejected: ``lock.unknown``.
        """
        lock = self._locks.get(number)
        if lock is None:
            raise Rejected("lock.unknown", "there is no such lock, or it has ended", number=number)
        return lock

    def remove(self, number: int) -> None:
        """Remove a lock; that it ends is in the log."""
        self._locks.pop(number, None)
        self._sort()

    def expire(self, now_us: int) -> list[Lock]:
        """Drop the locks whose time is over, and return them."""
        if not 0 < self._ends_us <= now_us:
            return []
        over = [lock for lock in self._locks.values() if lock.ended(now_us)]
        for lock in over:
            del self._locks[lock.number]
        self._sort()
        return over

    def hold(self, row: Row) -> bool:
        """Whether a block must stay."""
        stretches = self._stretches.get(camera_of(row.head.stream))
        return stretches is not None and stretches.hold(row)

    def blocks(self, catalog: Catalog) -> set[int]:
        """Return every block that must stay now."""
        return {
            number
            for stream in catalog.streams()
            if (stretches := self._stretches.get(camera_of(stream)))
            for number in stretches.blocks(catalog.rows(stream))
        }


def blocks_of(locks: Sequence[Lock], catalog: Catalog) -> dict[int, set[int]]:
    """Return, by number of each lock, the blocks it holds."""
    found: dict[int, set[int]] = {}
    rows: dict[str, list[Rows]] = {}
    for stream in catalog.streams():
        rows.setdefault(camera_of(stream), []).append(catalog.rows(stream))
    for lock in locks:
        stretch = _Stretches([lock])
        found[lock.number] = set().union(*map(stretch.blocks, rows.get(lock.camera, ())))
    return found
