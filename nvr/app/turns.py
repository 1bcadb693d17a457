"""Which volume was recorded on last, kept on the system's disk, and what volumes must be told.

A volume that is away cannot be told that another one is recorded on. It is once it is back, so that
it can say where that time is; and one that is taken to another box, too.
"""

import logging
from pathlib import Path

import msgspec

from nvr.base.errors import Unavailable
from nvr.base.log import event
from nvr.config import load as config
from nvr.record.note import ELSEWHERE, Note

_log = logging.getLogger(__name__)
_NAME = "volumes.json"
_MOST_TURNS = 16
_MOST_VOLUMES = 16
_MOST_ENDED = 1024


class Turn(msgspec.Struct, frozen=True):
    """Another volume was recorded on from then on.

    Attributes:
        since_us: UTC microseconds.
        by: UUID of that volume, and after a blank how it is called.
    """

    since_us: int
    by: str


class _Kept(msgspec.Struct):
    """What the file holds.

    Attributes:
        ring: UUID of the volume recorded on.
        names: How each volume is called that was ever open, by its UUID.
        untold: What each is still to be told, likewise.
        ended: Locks that were removed: camera, from, to and when they were made.
    """

    ring: str = ""
    names: dict[str, str] = {}
    untold: dict[str, list[Turn]] = {}
    ended: list[tuple[str, int, int, int]] = []


class Turns:
    """The file; of one thread at a time.

    Args:
        data: Data directory.
        several: There is more than one volume; of a single one nothing is written.
    """

    def __init__(self, data: Path, *, several: bool) -> None:
        self._path = data / _NAME
        try:
            self._kept = msgspec.json.decode(self._path.read_bytes(), type=_Kept)
            several = True
        except (OSError, msgspec.MsgspecError):
            self._kept = _Kept()
        self._several = several
        self._given: dict[str, int] = {}

    @property
    def ring(self) -> str:
        """UUID of the volume recorded on, empty if nobody knows."""
        return self._kept.ring

    @property
    def name(self) -> str:
        """How that is called."""
        return self._kept.names.get(self.ring, self.ring)

    def take(self, ring: str, now_us: int) -> list[Note]:
        """Return what a volume is still to be told; once, until `told`."""
        turns = self._kept.untold.get(ring, [])
        given, self._given[ring] = self._given.get(ring, 0), len(turns)
        return [
            Note("gap", now_us, cause=ELSEWHERE, by=turn.by, since_us=turn.since_us)
            for turn in turns[given:]
        ]

    def meet(self, ring: str, name: str, now_us: int) -> None:
        """A volume is open; if it never was before, it is told which one is recorded on."""
        names, known = self._kept.names, self._kept.names.get(ring)
        if known == name or not self._several:
            return
        names.pop(ring, None)
        names[ring] = name
        while len(names) > _MOST_VOLUMES:
            gone = next(iter(names))
            names.pop(gone)
            self._kept.untold.pop(gone, None)
        if known is None and self.ring not in {"", ring}:
            self._kept.untold[ring] = [Turn(now_us, self._said(self.ring))]
        self._save()

    def told(self, ring: str) -> None:
        """What was taken for a volume is durable on it."""
        given = self._given.pop(ring, 0)
        if given:
            del self._kept.untold[ring][:given]
            if not self._kept.untold[ring]:
                del self._kept.untold[ring]
            self._save()

    def goes_to(self, ring: str, now_us: int) -> None:
        """From now on another volume is recorded on; all others are to be told."""
        if not self._several:
            return
        self._kept.ring = ring
        for other in self._kept.names:
            if other != ring:
                turns = self._kept.untold.setdefault(other, [])
                turns.append(Turn(now_us, self._said(ring)))
                if len(turns) > _MOST_TURNS:
                    del turns[0]
                    self._given[other] = max(0, self._given.get(other, 0) - 1)
        self._save()

    def ended(self, lock: tuple[str, int, int, int]) -> bool:
        """Whether a lock was removed, though a volume that was away may still have it."""
        return lock in self._kept.ended

    def end(self, lock: tuple[str, int, int, int]) -> None:
        """A lock is removed."""
        if self._several:
            self._kept.ended.append(lock)
            del self._kept.ended[:-_MOST_ENDED]
            self._save()

    def _said(self, ring: str) -> str:
        return f"{ring} {self._kept.names.get(ring, '')}".rstrip()

    def _save(self) -> None:
        try:
            config.write(self._path, msgspec.json.encode(self._kept).decode())
        except Unavailable as err:
            event(_log, logging.WARNING, "record.turns_unsaved", error=str(err))
