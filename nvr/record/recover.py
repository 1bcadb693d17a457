"""Opening a volume: find out what a stop, a kill or a power cut left, and make it whole again.

The blocks say it all: a block is live if its head is intact and its serial is not older than the
one the log gave it. A closed block has an index; an open one is followed part by part, and ends
where the chain of headers and checksums ends. Rows remembered from before only save reading.
"""

import logging
import random
import uuid
from array import array
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace

from nvr.base.clock import Clock
from nvr.base.errors import Damaged, Misconfigured, Unavailable
from nvr.base.log import event
from nvr.hal.ports import Disk
from nvr.record import block, log, volume
from nvr.record.block import BlockHeader
from nvr.record.catalog import Catalog, Row, spans_of
from nvr.record.header import NO_LINK
from nvr.record.log import Record, VolumeLog
from nvr.record.note import Note, note_of
from nvr.record.retention import Promised, default_promise
from nvr.record.ring import Ring
from nvr.record.store import Store, reader
from nvr.record.volume import Identity

_log = logging.getLogger(__name__)


@dataclass(slots=True)
class LogState:
    """What the log says, folded.

    Attributes:
        serials: For each block, the serial of its last grant.
        written: Blocks whose every page was durably written once.
        next_run: First run number not yet used when the log was last begun.
        clean: The volume was closed properly last time.
        intact: At least one copy could be read.
        notes: What it says of time not recorded, in the order of writing.
    """

    serials: list[int]
    written: set[int]
    next_run: int
    clean: bool
    intact: bool
    notes: list[Note] = field(default_factory=list)


def open_store(
    disk: Disk,
    clock: Clock,
    rng: random.Random,
    *,
    size_bytes: int,
    ring_id: uuid.UUID | None = None,
    generation: int = 0,
    block_bytes: int = 0,
    known: Callable[[Identity], Mapping[int, Row]] | None = None,
    promised_s: Promised = default_promise,
    ring_type: Callable[..., Ring] = Ring,
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
        known: Gives rows remembered from before, by block; those that still hold save reading.
        promised_s: What each stream is promised; see `record.retention`.
        ring_type: Makes the ring; another one plants a bug for the power-cut harness.

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
        raise Unavailable("volume.unwritable", f"the volume cannot be opened: {err}") from err
    volume_log = VolumeLog(disk, log.size_for(identity.blocks))
    state = read_log(volume_log, identity)
    known_rows = known(identity) if known else {}
    rows, refused = read_rows(disk, identity, state, known_rows, durable=True)
    catalog = Catalog()
    for row in rows:
        catalog.add(row)
    serials = list(state.serials)
    for row in rows:
        serials[row.head.block] = max(serials[row.head.block], row.head.serial)
    runs = [span.run for row in rows for span in row.spans]
    ring = ring_type(
        disk,
        identity,
        volume_log,
        catalog,
        serials=serials,
        written=state.written,
        next_run=max([state.next_run, *(run + 1 for run in runs)]),
        clean=state.clean,
        refused=refused,
        notes=state.notes,
        clock=clock,
        promised_s=promised_s,
    )
    try:
        ring.begin()
    except OSError as err:
        raise Unavailable("volume.unwritable", f"the volume cannot be opened: {err}") from err
    event(
        _log,
        logging.INFO,
        "record.volume_opened",
        ring=str(identity.ring_id),
        generation=identity.generation,
        blocks=identity.blocks,
        live=len(rows),
        clean=state.clean,
    )
    return Store(disk, clock, identity, catalog, ring)


def open_reading(disk: Disk, clock: Clock) -> Store:
    """Open a volume to read it, beside a recorder or without one; nothing is written.

    Beside a recorder it shows what was durable or about to be when it was opened, and a block
    that is used anew meanwhile simply reads as gone.

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
    rows, refused = read_rows(disk, identity, state, {}, durable=False)
    catalog = Catalog()
    for row in rows:
        catalog.add(row)
    ring = Ring(
        disk,
        identity,
        volume_log,
        catalog,
        serials=state.serials,
        written=state.written,
        next_run=state.next_run,
        clean=state.clean,
        refused=refused,
        notes=state.notes,
        clock=clock,
    )
    return Store(disk, clock, identity, catalog, ring)


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


def read_log(volume_log: VolumeLog, identity: Identity) -> LogState:
    """Fold the log's records; a lost log is an empty one, since the blocks name their serials."""
    state = LogState([0] * identity.blocks, set(), 1, clean=False, intact=False)
    try:
        records = volume_log.read()
    except Damaged as err:
        if identity.generation > 1:
            event(_log, logging.WARNING, "record.log_lost", error=str(err))
        return state
    for record in records:
        _fold(state, record, identity)
    state.intact = True
    return state


def _fold(state: LogState, record: Record, identity: Identity) -> None:
    kind = record["kind"]
    if kind == "summary" and record["ring"] == identity.ring_id.bytes:
        serials = array("Q")
        serials.frombytes(record["serials"])
        serials.byteswap()
        state.serials = list(serials)
        bits = record["written"]
        state.written = {n for n in range(identity.blocks) if bits[n // 8] >> n % 8 & 1}
        state.next_run = record["next_run"]
        for carried in record.get("notes", ()):
            _fold_note(state, carried)
    elif kind == "grant":
        for number, serial in record["blocks"]:
            state.serials[number] = serial
        state.written.update(record["written"])
        state.clean = False
    else:
        _fold_note(state, record)


def _fold_note(state: LogState, record: Record) -> None:
    note = note_of(record)
    if note is None:
        return
    state.notes.append(note)
    # A run that no part of reached the disk would be given out again, behind the notes about it.
    state.next_run = max(state.next_run, note.run)
    if note.kind in {"opened", "stopped"}:
        state.clean = note.kind == "stopped"


def read_rows(
    disk: Disk,
    identity: Identity,
    state: LogState,
    known: Mapping[int, Row],
    *,
    durable: bool,
) -> tuple[list[Row], set[int]]:
    """Find every live block, by serial; the last of each stream is left open if it may go on.

    Args:
        disk: The volume's files.
        identity: Of the volume.
        state: What its log says.
        known: Rows remembered from before.
        durable: Flush open blocks and forget their cached pages first, so that nothing is taken
            for acknowledged that only a page cache holds. Needs a writable disk.

    Returns:
        The rows, and the blocks whose heads the disk refused to read: nobody knows what they
        hold, so they must not be used.
    """
    rows: list[Row] = []
    refused: set[int] = set()
    for number in range(identity.blocks):
        old = known.get(number)
        if old and old.closed and old.head.serial == state.serials[number]:
            rows.append(old)
            continue
        if state.intact and not state.serials[number]:
            continue  # never granted
        try:
            row = _read_row(disk, identity, number, state, old, durable=durable)
        except OSError as err:
            event(_log, logging.ERROR, "record.block_unreadable", block=number, error=str(err))
            refused.add(number)
            continue
        if row is not None:
            rows.append(row)
    rows.sort(key=lambda row: row.head.serial)
    return _settle(rows), refused


def _read_row(
    disk: Disk,
    identity: Identity,
    number: int,
    state: LogState,
    old: Row | None,
    *,
    durable: bool,
) -> Row | None:
    read = reader(disk, number)
    try:
        head, _ = block.decode_head(read)
    except Damaged:
        return None
    if (
        head.ring_id != identity.ring_id.bytes
        or head.block != number
        or head.serial < state.serials[number]
        or head.block_bytes != identity.block_bytes
    ):
        return None
    row = _read_closed(read, head)
    if row is None:
        if durable:
            path = block.name(number)
            disk.flush([(path, 0, head.block_bytes)], written_before=False)
            disk.drop_cache(path)
        row = read_open(read, head, old.tail if old and old.head.serial == head.serial else 0)
    return row


def _read_closed(read: block.Read, head: BlockHeader) -> Row | None:
    try:
        entries = block.decode_index(read, head)
    except (Damaged, OSError):  # the parts themselves say the same, at more expense
        return None
    tail, link, sequence = head.first_offset, head.previous, head.sequence
    if entries:
        tail = entries[-1].offset + entries[-1].part_bytes
        try:
            last = block.read_header(read, head, entries[-1].offset)
            link, sequence = last.link, last.sequence + 1
        except (Damaged, OSError):
            # The chain begins anew, and a verifier will say where it broke.
            link, sequence = NO_LINK, head.sequence + len(entries)
    return Row(
        head=head,
        spans=spans_of(entries),
        tail=tail,
        count=len(entries),
        sequence=sequence,
        link=link,
        closed=True,
        entries=None,
    )


def read_open(read: block.Read, head: BlockHeader, trusted: int = 0) -> Row:
    """Follow an open block's parts and return its row."""
    found = block.scan(read, head, trusted=trusted)
    return Row(
        head=head,
        spans=spans_of(found.entries),
        tail=found.tail,
        count=len(found.entries),
        sequence=found.sequence,
        link=found.link,
        closed=found.refused,
        entries=tuple(found.entries),
        doubtful=found.refused,
    )


def _settle(rows: list[Row]) -> list[Row]:
    """Close every open block but the last of its stream, and drop what a later block repeats.

    A part is in two blocks when the flush of the first one failed, and it was written again.
    """
    following: dict[str, Row] = {}
    settled: list[Row] = []
    for row in reversed(rows):
        after = following.get(row.head.stream)
        if row.spans:
            following[row.head.stream] = row
        if after is not None and row.entries is not None:
            begin = after.spans[0].start_90k, after.spans[0].from_us
            repeated = [n for n, e in enumerate(row.entries) if (e.start_90k, e.wall_us) == begin]
            entries = row.entries[: repeated[0]] if repeated else row.entries
            settled.append(
                replace(
                    row,
                    closed=True,
                    entries=entries,
                    spans=spans_of(entries),
                    count=len(entries),
                )
            )
        else:
            settled.append(row)
    return settled[::-1]
