"""Copies what is locked to a second volume, so that a disk that is lost does not take it along.

A copy is the parts as they were recorded, under a name of their own in the other volume's chain,
signed and, where that volume seals, sealed there; what was sealed is never copied to one that does
not. What is still to be copied is found by looking at both, so nothing is lost by a restart.

It also sees to it that a lock holds on every volume that has something of it, and on none once it
was removed, though some of them were away when it was made or removed.
"""

import asyncio
import logging
from collections.abc import Generator, Iterator, Sequence

from nvr.app import locks
from nvr.app.turns import Turns
from nvr.app.vault import Vault
from nvr.base.clock import Clock
from nvr.base.errors import Damaged, NvrError, Rejected
from nvr.base.log import event
from nvr.media.name import COPY, camera_of, is_copy
from nvr.media.part import Part
from nvr.playback.lock import CopyState
from nvr.playback.splice import patched
from nvr.playback.verbatim import chosen
from nvr.record.block import Entry
from nvr.record.lock import MOST_SHARE, Lock, blocks_of
from nvr.record.row import Row
from nvr.record.store import Store

_log = logging.getLogger(__name__)

LOOK_S = 2.0
BYTES_PER_S = 1 << 20
SURVEY_S = 30.0
AGAIN_S = 3600.0
"""A lock that is copied is looked at again: the volume may have been changed for another."""
_MOST_WAITING_BYTES = 8 << 20
_RUNS = 1 << 32


class Mirror:
    """The copying.

    Args:
        vaults: The volumes, in the order in which they are to be used.
        turns: Which locks were removed.
        clock: Time source.
    """

    def __init__(self, vaults: Sequence[Vault], turns: Turns, clock: Clock) -> None:
        self._vaults = vaults
        self._turns = turns
        self._clock = clock
        self._states: dict[locks.Key, CopyState] = {}
        self._steps: Iterator[int] | None = None
        self._surveyed_s = -SURVEY_S
        self._sure_s: dict[locks.Key, float] = {}
        self._unreadable: set[tuple[bytes, int, int]] = set()

    def state(self, lock: Lock) -> CopyState:
        """Return how far a lock is copied."""
        if len(self._vaults) < 2:
            return "none"
        return self._states.get(locks.key(lock), "waiting")

    async def run(self) -> None:
        """Copy for as long as the box runs."""
        while len(self._vaults) > 1:
            await self._clock.sleep(LOOK_S)
            await asyncio.to_thread(self.look)

    def look(self) -> None:
        """Do what `run` does every two seconds; blocks."""
        now_s = self._clock.monotonic_s()
        if self._steps is None:
            if now_s - self._surveyed_s < SURVEY_S:
                return
            self._surveyed_s = now_s
            self._steps = self._survey()
        left = round(BYTES_PER_S * LOOK_S)
        try:
            for size in self._steps:
                left -= size
                if left <= 0:
                    return
        except (NvrError, OSError) as err:  # a volume is away, or its key: it is looked at again
            event(_log, logging.DEBUG, "mirror.interrupted", error=str(err))
        self._steps = None

    def _survey(self) -> Iterator[int]:
        """Copy what is missing; yields the size of each part that is on its way."""
        there = [vault for vault in self._vaults if vault.healthy]
        self._spread([vault.store() for vault in there])
        found = {locks.key(lock): lock for vault in there for lock in vault.store().ring.locks}
        self._states = {key: self._states[key] for key in found if key in self._states}
        self._sure_s = {key: self._sure_s[key] for key in found if key in self._sure_s}
        for key in sorted(found, reverse=True):
            before = self._states.setdefault(key, "waiting")
            now_s = self._clock.monotonic_s()
            state: CopyState = "copied"
            if before == state and now_s - self._sure_s.get(key, -AGAIN_S) < AGAIN_S:
                continue
            for source in there:
                for stream in source.archive().streams():
                    if camera_of(stream) == found[key].camera and not is_copy(stream):
                        worse = yield from self._stream(found[key], stream, source, there)
                        state = state if worse == "copied" else worse
            if len(there) == len(self._vaults):
                self._sure_s[key] = now_s
            elif state == "copied":
                state = before  # of what is on a volume that is away nobody can tell
            self._states[key] = state

    def _spread(self, stores: Sequence[Store]) -> None:
        """Have the locks of each volume on the others that hold something of them."""
        for store in stores:
            for lock in store.ring.locks:
                if self._turns.ended(locks.key(lock)):
                    store.ring.unlock(lock.number, lock.by)
                    continue
                for other in stores:
                    if blocks_of([lock], other.catalog)[lock.number]:
                        _reserve(other, lock, 0)

    def _stream(
        self, lock: Lock, stream: str, source: Vault, there: Sequence[Vault]
    ) -> Generator[int, None, CopyState]:
        others = [vault for vault in there if vault is not source]
        missing = self._missing(lock, stream, source, others)
        if not missing:
            return "copied" if lock.to_us <= self._clock.wall_us() else "waiting"
        if not others:
            return "waiting"
        size = sum(entry.part_bytes for _, entry in missing)
        if not _reserve(others[0].store(), lock, size):
            return "full"
        return (yield from self._send(missing, source, others[0]))

    def _missing(
        self, lock: Lock, stream: str, source: Vault, others: Sequence[Vault]
    ) -> list[tuple[Row, Entry]]:
        """Return the parts of a lock on one volume that no other has."""
        held = [
            span
            for other in others
            for name in (stream, stream + COPY)
            for span in _spans(other.store(), name, lock.key_us, lock.to_us)
        ]
        return [
            (row, entry)
            for row, entry in chosen(source.store(), stream, lock.key_us, lock.to_us)
            if _ident(row, entry) not in self._unreadable
            and not any(begin <= (entry.wall_us + entry.end_us) // 2 < end for begin, end in held)
        ]

    def _send(
        self, missing: Sequence[tuple[Row, Entry]], source: Vault, target: Vault
    ) -> Generator[int, None, CopyState]:
        for row, entry in missing:
            while target.queue.held_bytes > _MOST_WAITING_BYTES:
                yield _MOST_WAITING_BYTES
            if not target.healthy:
                break
            try:
                part = _copy(source.store(), row, entry, seals=target.seals)
            except Damaged:  # the rest of the lock is worth as much
                self._unreadable.add(_ident(row, entry))
            except OSError:
                yield entry.part_bytes
            except NvrError:  # its key is not here
                break
            else:
                if part is None:
                    return "unsealed"
                target.queue.put([part], self._clock.monotonic_s())
                yield entry.part_bytes
        return "waiting"


def _copy(store: Store, row: Row, entry: Entry, *, seals: bool) -> Part | None:
    """Return a recorded part as it came from the camera, named as a copy.

    None if it is sealed and would not be where it is to go.

    Raises:
        Damaged: ``part.damaged``, ``key.destroyed``.
        Unavailable: ``key.none``, ``key.locked``, ``key.foreign``.
        OSError: The disk refuses.
    """
    header, payload = store.part(row, entry)
    if header.suite and not seals:
        return None
    data = patched(header, payload, row, 0, 0)
    return Part(
        stream=row.head.stream + COPY,
        run=_RUNS + entry.run,
        config=row.head.config,
        moof=data[: header.moof_bytes],
        mdat=memoryview(data)[header.moof_bytes :],
        tfdt_offsets=header.tfdt_offsets[: len(row.head.config)],
        sequence_offset=header.sequence_offset,
        start_90k=header.start_90k,
        duration_90k=header.duration_90k,
        wall_us=header.wall_us,
        uncertainty_ms=header.uncertainty_ms,
        key=header.key,
        samples=header.samples,
        damaged=header.damaged,
    )


def _reserve(store: Store, lock: Lock, size: int) -> bool:
    """Have a lock on a volume that is to take so much of it; whether there is room."""
    identity = store.identity
    coming = size // identity.block_bytes + 2
    if len(store.ring.locked) + coming > identity.blocks * MOST_SHARE:
        return False
    if locks.key(lock) not in map(locks.key, store.ring.locks):
        try:
            store.ring.lock(lock, coming)
        except Rejected as err:
            event(_log, logging.WARNING, "mirror.not_locked", error=str(err))
            return False
    return True


def _spans(store: Store, stream: str, from_us: int, to_us: int) -> Iterator[tuple[int, int]]:
    for row in store.catalog.rows(stream).touching(from_us, to_us):
        for span in row.spans:
            yield span.from_us, span.to_us


def _ident(row: Row, entry: Entry) -> tuple[bytes, int, int]:
    return row.head.ring_id, row.head.serial, entry.offset
