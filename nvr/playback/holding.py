"""What a volume holds of each stream, and what it will hold once it is full.

Once it is, every stream holds the same share of its promise (see `record.retention`). With rates r
and promises p that share is size / sum(r * p), so a promise that will be broken is known long
before.
"""

from collections.abc import Iterable
from dataclasses import dataclass

from nvr.record.catalog import Row
from nvr.record.retention import Promised
from nvr.record.store import Store

RATE_OVER_S = 86_400.0
"""Bit rates differ by day and by night, so a whole day of recording tells a stream's rate."""
LEAST_S = 60.0
"""Nothing is foretold from less."""


@dataclass(frozen=True, slots=True)
class Holding:
    """What a volume holds of a stream, and will hold once it is full.

    Attributes:
        stream: ``camera/main``.
        used_bytes: Room its blocks take.
        from_us: UTC microseconds of its oldest part.
        to_us: UTC microseconds of the end of its newest.
        bytes_per_s: Room it takes for a second recorded; 0 if too little is recorded to tell.
        promised_s: What it is promised.
        holds_s: What it will hold if all goes on as it is; 0 if that cannot be told.
    """

    stream: str
    used_bytes: int
    from_us: int
    to_us: int
    bytes_per_s: float
    promised_s: float
    holds_s: float

    @property
    def short(self) -> bool:
        """Its promise will be broken."""
        return 0 < self.holds_s < self.promised_s


def holdings(store: Store, promised_s: Promised, recording: Iterable[str]) -> list[Holding]:
    """Look at every stream of a volume.

    Args:
        store: The volume.
        promised_s: What each stream is promised.
        recording: Streams that are recorded now: only they will need room.
    """
    identity, catalog = store.identity, store.catalog
    rates = {stream: _rate(store, stream) for stream in catalog.streams()}
    needed = {s: rates[s] * promised_s(s) for s in recording if rates.get(s)}
    # Of what is free only half is, on average, and a whole block of a stream goes at once.
    blocks = identity.blocks - store.ring.condemned - store.ring.spare // 2 - len(needed)
    share = max(0, blocks) * identity.block_bytes / sum(needed.values()) if needed else 0.0
    found = []
    for stream, rate in rates.items():
        if ends := catalog.ends(stream):
            found.append(
                Holding(
                    stream,
                    ends.blocks * identity.block_bytes,
                    ends.first.first_us,
                    ends.last.last_us,
                    rate,
                    promised_s(stream),
                    share * promised_s(stream) if stream in needed else 0.0,
                )
            )
    return found


def _rate(store: Store, stream: str) -> float:
    """Bytes of blocks a recorded second takes, over the last day of recording."""
    rows = store.catalog.recent(stream, RATE_OVER_S)
    taken = sum(_taken_bytes(row) for row in rows)
    seconds = sum(row.recorded_s for row in rows)
    return taken / seconds if seconds >= LEAST_S else 0.0


def _taken_bytes(row: Row) -> float:
    """Room a block's parts take; an open one's as if it went on like that to its end."""
    head = row.head
    if row.closed:
        return head.block_bytes
    room = head.block_bytes - head.first_offset
    return (row.tail - head.first_offset) * head.block_bytes / room
