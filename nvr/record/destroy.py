"""Destroying what was recorded, for good: by wiping the keys that it was sealed with.

The record in ``volume.log`` goes first, signed by the box: what was destroyed, by whom and why.
"""

from collections.abc import Sequence

import msgpack

from nvr.base.clock import Clock
from nvr.media.name import is_beside
from nvr.record.key_table import Slot
from nvr.record.keys import Keys, day_of, unused
from nvr.record.log import Record
from nvr.record.ring import Ring
from nvr.record.store import Store
from nvr.seal import sign

RETENTION = "retention"
_TITLE = b"nvr destroyed 1\0"


def destroy(
    ring: Ring,
    keys: Keys,
    slots: Sequence[Slot],
    *,
    by: str,
    why: str,
    clock: Clock,
    signer: sign.Signer | None,
) -> None:
    """Destroy keys, and note it.

    Args:
        ring: Of the volume.
        keys: Of the volume.
        slots: Which ones.
        by: Who wants it.
        why: In words.
        clock: Time source.
        signer: The box's signing key.

    Raises:
        OSError: The disk refuses; what is noted is destroyed at the next start at the latest.
    """
    if not slots:
        return
    record: Record = {
        "kind": "destroyed",
        "wall_us": clock.wall_us(),
        "by": by,
        "why": why,
        "keys": [slot.key_id for slot in slots],
        "of": [[slot.stream, slot.day] for slot in slots],
    }
    if signer:
        record |= {"signature": signer.sign(_message(record)), "public": signer.public}
    ring.destroyed(record)
    keys.destroy(slot.key_id for slot in slots)


def forget_unused(store: Store, signer: sign.Signer | None) -> int:
    """Destroy the keys of days of which nothing is left; returns how many.

    Raises:
        OSError: The disk refuses.
    """
    if store.keys is None or store.ring.unread:
        return 0  # nobody knows what is left
    live: dict[str, int] = {}
    for stream in store.catalog.streams():
        first_us = store.catalog.rows(stream).first_us()
        if first_us is not None:
            live[stream] = day_of(first_us)
    today = day_of(store.clock.wall_us())
    over = [
        slot for slot in unused(store.keys.slots(), live, today) if not _awaited(store.keys, slot)
    ]
    destroy(store.ring, store.keys, over, by="", why=RETENTION, clock=store.clock, signer=signer)
    return len(over)


def _awaited(keys: Keys, slot: Slot) -> bool:
    """Whether it may be about to seal: of a day that is over that is only what is fetched."""
    return is_beside(slot.stream) and keys.wanted(slot.key_id)


def genuine(record: Record) -> bool:
    """Whether the box whose key a record names really signed it."""
    signature, public = record.get("signature", b""), record.get("public", b"")
    return sign.valid(public, signature, _message(record))


def _message(record: Record) -> bytes:
    bare = {name: record[name] for name in sorted(record.keys() - {"signature", "public"})}
    packed: bytes = msgpack.packb(bare)
    return _TITLE + packed
