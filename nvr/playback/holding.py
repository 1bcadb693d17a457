"""What a volume holds of each stream, and what it will hold once it is full.

Once it is, every stream holds the same share of its promise (see `record.retention`), but for what
is guaranteed, which is not shortened, and for limits, which are not exceeded. With rates r and
what is held at a share x, min(limit, max(guaranteed, x * promise)), that share is where
sum(r * held) is the size. So a promise that will be broken is known long before.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from math import inf

from nvr.base.clock import TICKS_PER_S
from nvr.media.name import camera_of
from nvr.record.retention import Terms, TermsOf
from nvr.record.row import Row
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
        from_us: UTC microseconds of its oldest part that is not locked, if there is one.
        to_us: UTC microseconds of the end of its newest.
        bytes_per_s: Room it takes for a second recorded; 0 if too little is recorded to tell.
        promised_s: What it is promised.
        holds_s: What it will hold if all goes on as it is; 0 if that cannot be told.
        locked_bytes: Room of those of its blocks that are locked.
        guaranteed_s: What of the promise goes only when nothing else is left, 0 for none.
        limit_s: After what time it is gone, 0 for no such limit.
        limit_bytes: Most room of all streams of its camera, 0 for no limit.
        own_bytes: Most room of the stream alone, 0 for no limit.
    """

    stream: str
    used_bytes: int
    from_us: int
    to_us: int
    bytes_per_s: float
    promised_s: float
    holds_s: float
    locked_bytes: int = 0
    guaranteed_s: float = 0.0
    limit_s: float = 0.0
    limit_bytes: int = 0
    own_bytes: int = 0

    @property
    def short(self) -> bool:
        """Its promise will be broken."""
        return 0 < self.holds_s < self.promised_s

    @property
    def broken(self) -> bool:
        """Even what is guaranteed will not be held."""
        return 0 < self.holds_s < self.guaranteed_s


def holdings(store: Store, terms: TermsOf, recording: Iterable[str]) -> list[Holding]:
    """Look at every stream of a volume.

    Args:
        store: The volume.
        terms: For how long each stream is kept.
        recording: Streams that are recorded now: only they will need room.
    """
    identity, catalog = store.identity, store.catalog
    rates = {stream: rate(store, stream) for stream in catalog.streams()}
    needed = {s: rates[s] for s in recording if rates.get(s)}
    locked = store.ring.locked
    # Of what is free only half is, on average, and a whole block of a stream goes at once.
    blocks = store.ring.wanted - len(locked) - store.ring.condemned
    blocks -= store.ring.spare // 2 + len(needed)
    will_s = _will_hold(needed, terms, max(0, blocks) * identity.block_bytes, identity.block_bytes)
    # What is locked stays far longer than the rest: it says nothing of how long that is held.
    now_us = store.clock.wall_us()
    oldest = {found.row.head.stream: found.row for found in catalog.oldest(locked, now_us)}
    found = []
    for stream, bytes_per_s in rates.items():
        if ends := catalog.ends(stream):
            of = terms(stream)
            held = sum(map(locked.__contains__, catalog.rows(stream).blocks())) if locked else 0
            found.append(
                Holding(
                    stream,
                    ends.blocks * identity.block_bytes,
                    oldest.get(stream, ends.first).first_us,
                    ends.last.last_us,
                    bytes_per_s,
                    of.promised_s,
                    will_s.get(stream, 0.0),
                    held * identity.block_bytes,
                    of.guaranteed_s,
                    of.limit_s,
                    of.limit_bytes,
                    of.own_bytes,
                )
            )
    return found


def _will_hold(
    rates: Mapping[str, float], terms: TermsOf, size_bytes: float, block_bytes: int
) -> dict[str, float]:
    """Seconds that each stream will be held on a full volume.

    Args:
        rates: Bytes a second, above 0, of what is recorded.
        terms: For how long each stream is kept.
        size_bytes: Room for all of them.
        block_bytes: Size of a block: it goes when the first part in it is past its time.
    """
    cameras: dict[str, float] = {}
    for stream, each in rates.items():
        cameras[camera_of(stream)] = cameras.get(camera_of(stream), 0.0) + each

    def cap_s(stream: str, of: Terms) -> float:
        by_age_s = max(1.0, of.limit_s - block_bytes / rates[stream]) if of.limit_s else inf
        by_size_s = of.limit_bytes / cameras[camera_of(stream)] if of.limit_bytes else inf
        by_own_s = of.own_bytes / rates[stream] if of.own_bytes else inf
        return min(by_age_s, by_size_s, by_own_s)

    those = {stream: (terms(stream), cap_s(stream, terms(stream))) for stream in rates}

    def held(share: float) -> dict[str, float]:
        return {
            s: min(cap, max(of.guaranteed_s, share * of.promised_s))
            for s, (of, cap) in those.items()
        }

    def room(found: Mapping[str, float]) -> float:
        return sum(rates[s] * held_s for s, held_s in found.items())

    least = room(held(0.0))
    if least > size_bytes:  # nothing but what is guaranteed, and of that all the same share
        return {s: max(1.0, held_s * size_bytes / least) for s, held_s in held(0.0).items()}
    low, high = (
        0.0,
        max((size_bytes / (rates[s] * of.promised_s) for s, (of, _) in those.items()), default=0.0),
    )
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (middle, high) if room(held(middle)) <= size_bytes else (low, middle)
    return held(low)


def rate(store: Store, stream: str) -> float:
    """Bytes of blocks a recorded second takes, over the last day of recording."""
    full, rows, ticks_90k = store.catalog.rows(stream).lately(round(RATE_OVER_S * TICKS_PER_S))
    taken = full * store.identity.block_bytes + sum(_taken_bytes(row) for row in rows)
    seconds = ticks_90k / TICKS_PER_S
    return taken / seconds if seconds >= LEAST_S else 0.0


def _taken_bytes(row: Row) -> float:
    """Room a block's parts take; an open one's as if it went on like that to its end."""
    head = row.head
    if row.closed:
        return head.block_bytes
    room = head.block_bytes - head.first_offset
    return (row.tail - head.first_offset) * head.block_bytes / room
