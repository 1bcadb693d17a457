"""Locks as a person asks for them: checked, begun at a key frame, and with the room they take."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from nvr.base.errors import Rejected
from nvr.media.name import camera_of
from nvr.playback.holding import rate
from nvr.playback.query import Archive
from nvr.record.lock import KINDS, Kind, Lock, blocks_of
from nvr.record.store import Store

MOST_AHEAD_US = 86_400_000_000
"""A lock may take in the day to come: what is still happening is locked before it has ended."""
LEAD_US = 20_000_000
"""Kept before a stretch of which nothing is recorded yet: its key frame will be somewhere there."""
MOST_WHY = 200
MOST_BY = 64


@dataclass(frozen=True, slots=True)
class Wanted:
    """A lock that somebody asks for.

    Attributes:
        kind: ``alarm``, ``evidence`` or ``legal``.
        camera: Name of the camera.
        from_us: UTC microseconds of the first picture to be kept.
        to_us: UTC microseconds after the last.
        until_us: UTC microseconds at which it ends by itself, 0 for never: a legal hold.
        by: Who asks.
        why: Why, in words.
    """

    kind: str
    camera: str
    from_us: int
    to_us: int
    until_us: int
    by: str
    why: str


CopyState = Literal["none", "waiting", "copied", "full", "unsealed"]
"""How far something is copied to a second volume: there is none; it will be; it is; there is no
room on it; it is sealed, and would not be there."""


@dataclass(frozen=True, slots=True)
class Locked:
    """A lock and what it holds.

    Attributes:
        lock: The lock.
        used_bytes: Room of the blocks it holds; locks of one stretch may share them.
        copy: How far it is copied to a second volume.
    """

    lock: Lock
    used_bytes: int
    copy: CopyState = "none"


def add(store: Store, wanted: Wanted, number: int = 0, made_us: int = 0) -> Locked:
    """Lock a stretch of all streams of a camera, durably.

    Args:
        store: The volume.
        wanted: What is to be locked.
        number: Least number of the lock, to have the same one on several volumes.
        made_us: UTC microseconds now, likewise; 0 to look.

    Raises:
        Rejected: ``lock.invalid`` with the field; ``lock.nothing``: nothing is recorded there;
            ``lock.too_much``, ``lock.too_many``.
        OSError: The disk refuses; nothing is locked.
    """
    now_us = made_us or store.clock.wall_us()
    kind = _check(wanted, now_us)
    archive, streams = Archive(store), []
    key_us, coming_s = wanted.from_us - (LEAD_US if wanted.from_us >= now_us - LEAD_US else 0), 0.0
    for stream in archive.streams():
        if camera_of(stream) != wanted.camera:
            continue
        streams.append(stream)
        found_us = archive.key_us(stream, wanted.from_us)
        key_us = key_us if found_us is None else min(key_us, found_us)
        coming_s += max(0, wanted.to_us - now_us) / 1e6 * rate(store, stream)
    lock = Lock(
        number, kind, wanted.camera, wanted.from_us, wanted.to_us, key_us, wanted.until_us,
        wanted.by, wanted.why.strip(), now_us,
    )  # fmt: skip
    if not streams or (wanted.to_us <= now_us and not blocks_of([lock], store.catalog)[number]):
        raise Rejected("lock.nothing", "nothing is recorded there", camera=wanted.camera)
    coming = round(coming_s / store.identity.block_bytes + 0.5) if coming_s else 0
    made = store.ring.lock(lock, coming)
    return Locked(made, _bytes(store, [made])[made.number])


def remove(store: Store, number: int, by: str, camera: str | None = None) -> Lock:
    """End a lock, durably.

    Args:
        store: The volume.
        number: Of the lock.
        by: Who wants it.
        camera: Only if it is of this camera; None for whichever it is of.

    Raises:
        Rejected: ``lock.unknown``.
        OSError: The disk refuses; it is still locked.
    """
    numbers = {lock.number for lock in store.ring.locks if camera in {None, lock.camera}}
    return store.ring.unlock(number if number in numbers else 0, by[:MOST_BY])


def locked(store: Store) -> list[Locked]:
    """Return all locks in force with what they hold, the newest first."""
    locks = store.ring.locks
    used = _bytes(store, locks)
    return [Locked(lock, used[lock.number]) for lock in reversed(locks)]


def _bytes(store: Store, locks: Sequence[Lock]) -> dict[int, int]:
    size = store.identity.block_bytes
    return {number: len(found) * size for number, found in blocks_of(locks, store.catalog).items()}


def _check(wanted: Wanted, now_us: int) -> Kind:
    kind = next((each for each in KINDS if each == wanted.kind), None)
    if kind is None:
        raise _invalid("kind", f"a lock is one of {', '.join(KINDS)}")
    if not 0 <= wanted.from_us < wanted.to_us:
        raise _invalid("to_us", "it must end after it begins")
    if wanted.to_us > now_us + MOST_AHEAD_US:
        raise _invalid("to_us", "it may reach a day ahead, not more")
    if not 1 <= len(wanted.why.strip()) <= MOST_WHY:
        raise _invalid("why", f"say why, in at most {MOST_WHY} characters")
    if not 1 <= len(wanted.by) <= MOST_BY:
        raise _invalid("by", f"a name has 1 to {MOST_BY} characters")
    if kind == "legal" and wanted.until_us:
        raise _invalid("until_us", "a legal hold has no end: it is removed when it is over")
    if kind != "legal" and wanted.until_us <= now_us:
        raise _invalid("until_us", "say until when; only a legal hold has no end")
    return kind


def _invalid(field: str, detail: str) -> Rejected:
    return Rejected("lock.invalid", detail, field=field)
