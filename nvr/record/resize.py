"""What making a volume larger or smaller would cost, said beforehand, and doing it."""

from collections.abc import Container, Iterator
from dataclasses import dataclass

from nvr.base.errors import NvrError, Rejected
from nvr.record.catalog import Oldest
from nvr.record.lock import MOST_SHARE
from nvr.record.retention import TermsOf, guaranteed, next_to_go
from nvr.record.rows import Rows
from nvr.record.store import Store
from nvr.record.volume import MIN_BLOCKS, SPARE_BYTES


@dataclass(frozen=True, slots=True)
class Loss:
    """What a smaller volume would lose of a stream.

    Attributes:
        stream: ``camera/main``.
        used_bytes: Room of its blocks that go.
        from_us: UTC microseconds of the first part in them.
        to_us: Of the end of the last.
    """

    stream: str
    used_bytes: int
    from_us: int
    to_us: int


@dataclass(frozen=True, slots=True)
class Change:
    """A change of a volume's size.

    Attributes:
        now_bytes: Room its blocks take.
        wanted_bytes: Room they are to take, as it was decided last.
        asked_bytes: Room they would take, in whole blocks.
        free_bytes: Room on the disk for more.
        lost: What would be lost at once, the oldest recordings of each stream concerned.
        refused: Why it cannot be, None if it can.
    """

    now_bytes: int
    wanted_bytes: int
    asked_bytes: int
    free_bytes: int
    lost: tuple[Loss, ...]
    refused: NvrError | None


def planned(store: Store, terms: TermsOf, size_mib: int) -> Change:
    """Return what a change to `size_mib` would do; nothing is changed.

    Raises:
        OSError: The disk does not say how much room there is.
    """
    ring, size = store.ring, store.identity.block_bytes
    have, blocks = ring.blocks, (size_mib << 20) // size
    free_bytes = max(0, store.disk.free_bytes() - SPARE_BYTES)
    lost: tuple[Loss, ...] = ()
    refused: NvrError | None = None
    locked = len(ring.locked)
    if blocks < MIN_BLOCKS:
        least_mib = MIN_BLOCKS * size >> 20
        detail = f"a volume of blocks of {size >> 20} MiB needs {least_mib} MiB at least"
        refused = Rejected("size.too_small", detail, least_mib=least_mib)
    elif blocks > have and (blocks - have) * size > free_bytes:
        refused = Rejected(
            "size.no_room",
            "the disk has too little room for a volume of that size",
            needs_mib=(blocks - have) * size >> 20,
            free_mib=free_bytes >> 20,
        )
    elif blocks < have and ring.unread:
        detail = "the disk is still being looked through: what would be lost is not known yet"
        refused = Rejected("size.unread", detail)
    elif blocks < have and locked > blocks * MOST_SHARE:
        refused = Rejected(
            "size.locked",
            "so much is locked that too little would be left to record on",
            locked_mib=locked * size >> 20,
            least_mib=-(-round(locked / MOST_SHARE) * size >> 20),
        )
    elif blocks < have:
        lost, refused = _lost(store, terms, have - blocks)
    return Change(have * size, ring.wanted * size, blocks * size, free_bytes, lost, refused)


def resize(store: Store, terms: TermsOf, size_mib: int, by: str) -> Change:
    """Have the volume grow or shrink to `size_mib`, durably decided when it returns.

    Raises:
        Rejected: ``size.too_small``, ``size.no_room``, ``size.locked``, ``size.guaranteed``,
            ``size.unread``.
        OSError: The disk refuses; nothing changed.
    """
    change = planned(store, terms, size_mib)
    if change.refused is not None:
        raise change.refused
    store.ring.resize(change.asked_bytes // store.identity.block_bytes, by)
    return change


def _lost(store: Store, terms: TermsOf, count: int) -> tuple[tuple[Loss, ...], NvrError | None]:
    """What goes if so many blocks do: free ones first, then as if room were needed."""
    free, kept = store.ring.standing()
    now_us = store.clock.wall_us()
    rest = {name: _going(store.catalog.rows(name), kept) for name in store.catalog.streams()}
    oldest = {name: first for name, those in rest.items() if (first := next(those, None))}
    found: dict[str, Loss] = {}
    for _ in range(count - free):
        chosen = next_to_go(oldest.values(), terms, now_us)
        if chosen is None or guaranteed(chosen, terms, now_us):
            detail = "recordings that are locked, guaranteed or being made would be lost"
            return tuple(found.values()), Rejected("size.guaranteed", detail)
        row = chosen.row
        name = row.head.stream
        before = found.get(name, Loss(name, 0, row.first_us, row.first_us))
        used_bytes = before.used_bytes + row.head.block_bytes
        found[name] = Loss(name, used_bytes, before.from_us, row.last_us)
        following = next(rest[name], None)
        if following is None:
            del oldest[name]
        else:
            oldest[name] = following
    return tuple(found.values()), None


def _going(rows: Rows, kept: Container[int]) -> Iterator[Oldest]:
    return (Oldest(row, row.last_us) for row in rows if row.head.block not in kept)
