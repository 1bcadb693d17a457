"""Opening a volume: find out what a stop, a kill or a power cut left, and make it whole again.

The log says which blocks are live, who has a lock and when nothing was recorded; the blocks say
what is in them: see `record.survey`.
"""

import logging
import random
import uuid
from array import array
from collections.abc import Callable
from dataclasses import replace

from nvr.base.clock import Clock
from nvr.base.errors import Misconfigured, Unavailable
from nvr.base.log import event
from nvr.hal.ports import Disk
from nvr.record import log, volume
from nvr.record.catalog import Catalog
from nvr.record.keys import Keys
from nvr.record.log import VolumeLog
from nvr.record.log_state import LogState, read_log
from nvr.record.retention import TermsOf, default_terms
from nvr.record.ring import Ring
from nvr.record.stock import MOST_ASIDE_SHARE
from nvr.record.store import Store
from nvr.record.survey import Survey
from nvr.record.volume import Identity

_log = logging.getLogger(__name__)

_RUNS_UNREAD = 1 << 20
"""Runs there may be in blocks not read yet, of which the log says nothing: it knows of each opening
and of each gap that was noticed. Numbers are 64 bits."""

OpenKeys = Callable[[Disk, Identity], Keys | None]


def open_store(
    disk: Disk,
    clock: Clock,
    rng: random.Random,
    *,
    size_bytes: int,
    ring_id: uuid.UUID | None = None,
    generation: int = 0,
    block_bytes: int = 0,
    known: Callable[[Identity], Catalog] | None = None,
    terms: TermsOf = default_terms,
    keys: OpenKeys | None = None,
    ring_type: Callable[..., Ring] = Ring,
    at_once: int = 0,
) -> Store:
    """Open the volume in `disk`, making it in an empty directory, and recover what it holds.

    Args:
        disk: The directory.
        clock: Time source.
        rng: Where a new volume's UUID comes from.
        size_bytes: Room a new volume takes; an existing one keeps its size.
        ring_id: The volume expected; None takes the one that is there, or makes one.
        generation: Generation it had when last seen; an older one is a copy.
        block_bytes: Size of a new volume's blocks; 0 for the usual one.
        known: Gives what is remembered from before; what of it still holds saves reading.
        terms: For how long each stream is kept; see `record.retention`.
        keys: Opens the table of keys; None is for a volume on which nothing is sealed.
        ring_type: Makes the ring; another one plants a bug for the power-cut harness.
        at_once: Of many blocks that nobody remembers, so many are read now; the rest is for whoever
            asks for this: see `record.rebuild`. 0 reads all.

    Raises:
        Unavailable: ``volume.busy``, ``volume.missing``, ``volume.full``, ``volume.unwritable``.
        Misconfigured: ``volume.foreign``, ``volume.clone``, ``volume.too_small``,
            ``volume.version``.
        Damaged: ``volume.damaged``.
    """
    try:
        disk.lock()
        identity = _identify(disk, clock, rng, size_bytes, ring_id, generation, block_bytes)
        volume.write(disk, identity)
    except OSError as err:
        raise volume.refusal(err) from err
    volume_log = VolumeLog(disk, log.size_for(identity.blocks))
    state = read_log(volume_log, identity)
    catalog = known(identity) if known else Catalog()
    survey = _survey(disk, identity, state, catalog, durable=True)
    survey.begin(at_once)
    unread_runs = _RUNS_UNREAD if survey.unread else 0
    known_serials = map(catalog.serial, range(identity.blocks))
    state.serials = array("Q", map(max, state.serials, known_serials))
    state.next_run = max(state.next_run, catalog.last_run() + 1) + unread_runs
    ring = ring_type(
        disk,
        identity,
        volume_log,
        catalog,
        state,
        refused=survey.refused,
        unread=survey.unread,
        clock=clock,
        terms=terms,
    )
    try:
        ring.begin()
        if len(survey.refused) <= identity.blocks // MOST_ASIDE_SHARE:
            ring.set_aside(survey.refused, "read")
        day_keys = keys(disk, identity) if keys else None
        if day_keys:
            # The power may have gone between the record and the wiping of the second copy.
            day_keys.destroy(each for record in state.destroyed for each in record["keys"])
    except OSError as err:
        raise volume.refusal(err) from err
    event(
        _log,
        logging.INFO,
        "record.volume_opened",
        ring=str(identity.ring_id),
        generation=identity.generation,
        blocks=identity.blocks,
        live=len(catalog),
        unread=len(survey.unread),
        clean=state.clean,
    )
    return Store(disk, clock, catalog, ring, day_keys, survey)


def open_reading(
    disk: Disk,
    clock: Clock,
    keys: OpenKeys | None = None,
    known: Callable[[Identity], Catalog] | None = None,
) -> Store:
    """Open a volume to read it, beside a recorder or without one; nothing is written.

    Beside a recorder it shows what was durable or about to be when it was opened, and a block
    that is used anew meanwhile simply reads as gone.

    Args:
        disk: Its directory.
        clock: Time source.
        keys: Opens the table of keys; None is for a volume on which nothing is sealed.
        known: As for `open_store`.

    Raises:
        Unavailable: ``volume.missing``.
        Misconfigured: ``volume.foreign``, ``volume.version``.
        Damaged: ``volume.damaged``.
    """
    try:
        identity = volume.read(disk)
    except OSError as err:
        raise Unavailable("volume.missing", f"there is no volume to read: {err}") from err
    if identity is None or not identity.ready:
        raise Unavailable("volume.missing", "there is no volume to read")
    volume_log = VolumeLog(disk, log.size_for(identity.blocks))
    state = read_log(volume_log, identity)
    catalog = known(identity) if known else Catalog()
    survey = _survey(disk, identity, state, catalog, durable=False)
    survey.begin()
    ring = Ring(disk, identity, volume_log, catalog, state, refused=survey.refused, clock=clock)
    day_keys = keys(disk, identity) if keys else None
    return Store(disk, clock, catalog, ring, day_keys)


def open_editing(
    disk: Disk,
    clock: Clock,
    keys: OpenKeys | None = None,
    known: Callable[[Identity], Catalog] | None = None,
) -> Store:
    """Open a volume that no recorder has open, to change what its log says; nothing is recorded.

    Args:
        disk: Its directory.
        clock: Time source.
        keys: As for `open_reading`.
        known: As for `open_store`.

    Raises:
        Unavailable: ``volume.busy``, ``volume.missing``, ``volume.unwritable``.
        Misconfigured: ``volume.foreign``, ``volume.version``.
        Damaged: ``volume.damaged``, ``volume.log_damaged``.
    """
    disk.lock()
    store = open_reading(disk, clock, keys, known)
    # What is lost with both copies must not be written down as if it had never been.
    VolumeLog(disk, log.size_for(store.identity.blocks)).read()
    try:
        store.ring.resume()
    except OSError as err:
        raise Unavailable("volume.unwritable", f"the volume cannot be changed: {err}") from err
    return store


def _survey(
    disk: Disk, identity: Identity, state: LogState, catalog: Catalog, *, durable: bool
) -> Survey:
    lost = not state.intact
    return Survey(
        disk, identity, state.serials, catalog, state.absent, all_blocks=lost, durable=durable
    )


def _identify(
    disk: Disk,
    clock: Clock,
    rng: random.Random,
    size_bytes: int,
    ring_id: uuid.UUID | None,
    generation: int,
    block_bytes: int,
) -> Identity:
    found = volume.read(disk)
    if ring_id is not None:
        if found is None:
            raise Unavailable(
                "volume.missing", "the volume is not there: the disk may be unplugged", ring=ring_id
            )
        if found.ring_id != ring_id:
            raise Misconfigured(
                "volume.foreign",
                "the directory holds another volume",
                expected=ring_id,
                found=found.ring_id,
            )
        if found.generation < generation:
            raise Misconfigured(
                "volume.clone",
                "the volume is an older copy of the one expected",
                expected=generation,
                found=found.generation,
            )
    if found is None or not found.ready:
        found = volume.make(
            disk,
            rng,
            size_bytes=size_bytes,
            wall_us=clock.wall_us(),
            block_bytes=block_bytes,
            begun=found,
        )
    return replace(found, generation=found.generation + 1)
