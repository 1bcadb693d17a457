"""What ``volume.log`` says, its records folded in their order. Source: ``FORMAT.md`` version 1."""

import logging
from array import array
from collections.abc import Iterable
from dataclasses import dataclass, field

from nvr.base.errors import Damaged
from nvr.base.log import event
from nvr.hal.ports import Disk
from nvr.record import log, volume
from nvr.record.bits import BlockSet
from nvr.record.lock import Locks
from nvr.record.log import Record, VolumeLog
from nvr.record.note import Note, note_of
from nvr.record.volume import Identity

_log = logging.getLogger(__name__)


@dataclass(slots=True)
class LogState:
    """What the log says, folded.

    Attributes:
        serials: For each block, the serial of its last grant.
        written: Blocks whose every page was durably written once.
        aside: Blocks that the disk refused, and that are not used any more.
        absent: Blocks whose files are not there.
        next_run: First run number not yet used when the log was last begun.
        clean: The volume was closed properly last time.
        intact: At least one copy could be read.
        notes: What it says of time not recorded, in the order of writing.
        locks: What must stay.
        erase: Blocks that were given up and must be zeroed before their next use.
        wanted: How many blocks there are to be; 0 for as many as there are.
        destroyed: What it says of keys that were destroyed, likewise.
    """

    serials: "array[int]"
    written: BlockSet
    aside: BlockSet
    absent: BlockSet
    next_run: int
    clean: bool
    intact: bool
    notes: list[Note] = field(default_factory=list)
    locks: Locks = field(default_factory=Locks)
    erase: set[int] = field(default_factory=set)
    destroyed: list[Record] = field(default_factory=list)
    wanted: int = 0


def read_log(volume_log: VolumeLog, identity: Identity) -> LogState:
    """Fold the log's records; a lost log is an empty one, since the blocks name their serials."""
    try:
        state = _empty(identity)
        for record in volume_log.read():
            _fold(state, record, identity)
    except Damaged as err:
        if identity.generation > 1:
            event(_log, logging.WARNING, "record.log_lost", error=str(err))
    except (ArithmeticError, AttributeError, LookupError, TypeError, ValueError) as err:
        # Every sum is right and the records are not ours: a disk that somebody made up.
        event(_log, logging.WARNING, "record.log_lost", error=repr(err))
    else:
        state.intact = True
        return state
    return _empty(identity)


def _empty(identity: Identity) -> LogState:
    blocks = identity.blocks
    serials = array("Q", bytes(8 * blocks))
    written, aside, absent = (BlockSet(blocks) for _ in range(3))
    return LogState(serials, written, aside, absent, 1, clean=False, intact=False)


def _fold(state: LogState, record: Record, identity: Identity) -> None:
    kind = record["kind"]
    if kind == "summary" and record["ring"] == identity.ring_id.bytes:
        _fold_summary(state, record, identity.blocks)
    elif kind == "destroyed":
        state.destroyed.append(record)
    elif kind in {"grant", "erased", "aside", "use_again"}:
        _fold_use(state, record)
    elif kind in {"absent", "present", "size"}:
        _fold_size(state, record)
    elif kind in {"lock", "unlock"}:
        state.locks.fold(record)
    else:
        _fold_notes(state, (record,))


def _fold_summary(state: LogState, record: Record, blocks: int) -> None:
    serials = array("Q")
    serials.frombytes(record["serials"])
    serials.byteswap()
    state.written = BlockSet(blocks, record["written"])
    state.aside = BlockSet(blocks, record.get("aside", b""))
    state.absent = BlockSet(blocks, record.get("absent", b""))
    state.absent.update(range(len(serials), blocks))  # they came after the summary
    serials.extend([0] * (blocks - len(serials)))
    state.serials = serials[:blocks]
    state.wanted = log.counted(record.get("wanted", 0))
    state.next_run = log.counted(record["next_run"])
    state.locks.fold(record)
    state.erase = set(record.get("erase", ()))
    _fold_notes(state, record.get("notes", ()))
    state.destroyed += record.get("destroyed", ())


def _fold_use(state: LogState, record: Record) -> None:
    """Fold what was done with blocks."""
    match record["kind"]:
        case "grant":
            for number, serial in record["blocks"]:
                if number < len(state.serials):
                    state.serials[number] = serial
            state.written.update(record["written"])
            state.erase.update(record.get("erase", ()))
            state.clean = False
        case "erased":
            state.written.update(record["blocks"])
            state.erase.difference_update(record["blocks"])
        case "aside":
            state.aside.update(record["blocks"])
        case "use_again":
            state.aside.difference_update(record["blocks"])


def _fold_size(state: LogState, record: Record) -> None:
    """Fold which blocks came and went, and how many there are to be."""
    if record["kind"] == "size":
        state.wanted = log.counted(record["blocks"])
        return
    for begin, end in record["ranges"]:
        numbers = range(begin, min(end, len(state.serials)))
        if record["kind"] == "absent":
            state.absent.update(numbers)
            state.written.difference_update(numbers)
        else:
            state.absent.difference_update(numbers)


def _fold_notes(state: LogState, records: Iterable[Record]) -> None:
    for record in records:
        note = note_of(record)
        if note is None:
            continue
        state.notes.append(note)
        # A run that no part of reached the disk would be given out again, behind notes about it.
        state.next_run = max(state.next_run, note.run)
        if note.kind in {"opened", "stopped"}:
            state.clean = note.kind == "stopped"


def aside_on(disk: Disk) -> int:
    """How many blocks of the volume in `disk` are set aside, 0 without a volume.

    Raises:
        NvrError: It cannot be told.
        OSError: The disk refuses.
    """
    identity = volume.read(disk)
    if identity is None:
        return 0
    return len(read_log(VolumeLog(disk, log.size_for(identity.blocks)), identity).aside)
