"""Locks of a box with several volumes: one number, on each volume that holds something of it."""

from collections.abc import Sequence
from dataclasses import replace

from nvr.base.errors import NvrError, Rejected, Unavailable
from nvr.playback import lock
from nvr.playback.lock import Locked, Wanted
from nvr.record.lock import Lock
from nvr.record.store import Store

Key = tuple[str, int, int, int]


def key(lock: Lock) -> Key:
    """Return what a lock is known by on every volume: camera, from, to and when it was made."""
    return lock.camera, lock.from_us, lock.to_us, lock.made_us


def locked(stores: Sequence[Store]) -> list[Locked]:
    """Return all locks in force with what they hold on all volumes, the newest first."""
    found: dict[Key, Locked] = {}
    for store in stores:
        for one in lock.locked(store):
            before = found.get(key(one.lock), replace(one, used_bytes=0))
            found[key(one.lock)] = replace(before, used_bytes=before.used_bytes + one.used_bytes)
    return sorted(found.values(), key=lambda one: (-one.lock.made_us, -one.lock.number))


def add(stores: Sequence[Store], wanted: Wanted) -> Locked:
    """Lock a stretch of a camera wherever something of it is, durably.

    Args:
        stores: The volumes, the one recorded on first.
        wanted: What is to be locked.

    Raises:
        Rejected: See `nvr.playback.lock.add`; if one volume refuses, nothing is locked.
        Unavailable: ``volume.unwritable``.
    """
    number = max(store.ring.next_lock for store in stores)
    now_us = stores[0].clock.wall_us()
    made: list[tuple[Store, Locked]] = []
    nothing: NvrError | None = None
    for store in stores:
        try:
            made.append((store, lock.add(store, wanted, number, now_us)))
        except Rejected as err:
            if err.code == "lock.nothing":
                nothing = nothing or err
                continue
            _take_back(made, wanted.by)
            raise
        except OSError as err:
            _take_back(made, wanted.by)
            raise Unavailable("volume.unwritable", f"the lock could not be kept: {err}") from err
    if nothing and not made:
        raise nothing
    return replace(made[0][1], used_bytes=sum(one.used_bytes for _, one in made))


def _take_back(made: Sequence[tuple[Store, Locked]], by: str) -> None:
    for store, one in made:
        try:
            lock.remove(store, one.lock.number, by)
        except OSError:
            continue  # rather too much locked than an answer that does not say what is wrong


def remove(stores: Sequence[Store], number: int, by: str, camera: str | None = None) -> Lock:
    """End a lock on every volume that has it, durably.

    Raises:
        Rejected: ``lock.unknown``.
        Unavailable: ``volume.unwritable``: it may still be there.
    """
    has = [one for store in stores for one in store.ring.locks if one.number == number]
    gone = next((one for one in has if camera in {None, one.camera}), None)
    if gone is None:
        raise Rejected("lock.unknown", "there is no such lock, or it has ended", number=number)
    for store in stores:
        for one in store.ring.locks:
            if key(one) == key(gone):
                try:
                    lock.remove(store, one.number, by)
                except OSError as err:
                    detail = f"the lock is still there: {err}"
                    raise Unavailable("volume.unwritable", detail) from err
    return gone
