"""A volume on a Linux directory with everything that keeps it: what `app` starts and stops."""

import logging
import random
import threading
import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

from nvr.base.clock import Clock
from nvr.base.errors import NvrError, Rejected
from nvr.base.log import event
from nvr.hal.linux_disk import LinuxDisk
from nvr.hal.ports import Disk
from nvr.media.part import Part
from nvr.media.ports import Acknowledged
from nvr.record.catalog import Catalog
from nvr.record.destroy import forget_unused
from nvr.record.index import NAME, Index
from nvr.record.key_table import KeyTable, Publics, present
from nvr.record.keys import Keys
from nvr.record.lane import Run
from nvr.record.note import Note
from nvr.record.pace import WriterState
from nvr.record.queue import DropNewestGopQueue
from nvr.record.readback import ReadBack
from nvr.record.rebuild import AT_ONCE, Rebuild
from nvr.record.recover import open_store
from nvr.record.resize import resize
from nvr.record.retention import TermsOf, default_terms
from nvr.record.seal import Sealer
from nvr.record.volume import Identity, refusal
from nvr.record.writer import Writer
from nvr.seal.sign import Signer
from nvr.seal.suite import quickest

_log = logging.getLogger(__name__)
_TIDY_S = 3600.0
_BUSY_S = 1.5
"""Reading back waits while a part waits for so long to be written; half a second is usual."""
_READER_S = 2.0


@dataclass(frozen=True, slots=True)
class Sealing:
    """How a box seals and signs what it records.

    Attributes:
        seal: Seal from now on; without it, what was sealed before can still be read.
        publics: Whom day keys are wrapped to.
        privates: The box's root keys, the present one first; none while they are locked away.
        signer: The box's signing key.
    """

    seal: bool
    publics: Publics
    privates: Sequence[bytes]
    signer: Signer

    def open_keys(self, disk: Disk, identity: Identity) -> Keys | None:
        """Open a volume's table of keys to record, made if it is wanted; None if it has none.

        Raises:
            OSError: The disk refuses.
        """
        if not (self.seal or present(disk)):
            return None
        keys = Keys(KeyTable(disk, identity), self.publics, self.privates, quickest())
        keys.open()
        return keys


class Recording:
    """An open volume, its writer and its remembered rows.

    Args:
        directory: Of the volume; made if it is not there.
        clock: Time source.
        size_bytes: Room the volume takes; a smaller one is made larger. A larger one keeps its
            size, since recordings would be lost: see `record.resize`.
        ring_id: The volume expected; None takes the one that is there, or makes one.
        generation: Generation it had when last seen; an older one is a copy.
        acknowledged: Told, in the writing thread, of the end of what is durable per stream.
        queue: Where parts wait; they outlive the recording in it. None for one of its own.
        runs: What an earlier `Recording` of this process and volume gave from `stop`.
        terms: For how long each stream is kept.
        sealing: How parts are sealed and signed; None does neither.
        died: Called when a thread ends by a fault; nothing is recorded any more.
        readback_bytes_per_s: How fast closed blocks are read back and verified; 0: not at all.

    Raises:
        Unavailable: ``volume.busy``, ``volume.missing``, ``volume.full``, ``volume.unwritable``.
        Misconfigured: ``volume.foreign``, ``volume.clone``, ``volume.too_small``,
            ``volume.version``.
        Damaged: ``volume.damaged``.
    """

    def __init__(
        self,
        directory: Path,
        clock: Clock,
        *,
        size_bytes: int,
        ring_id: uuid.UUID | None = None,
        generation: int = 0,
        acknowledged: Callable[[list[Acknowledged]], None] | None = None,
        queue: DropNewestGopQueue | None = None,
        runs: Mapping[str, Run] = MappingProxyType({}),
        terms: TermsOf = default_terms,
        sealing: Sealing | None = None,
        died: Callable[[], None] | None = None,
        readback_bytes_per_s: float = 0.0,
    ) -> None:
        self._sealing = sealing
        self._tidied_s = clock.monotonic_s()
        self._index: Index | None = None
        self._directory = directory
        disk = open_directory(directory)
        try:
            self.store = open_store(
                disk,
                clock,
                random.SystemRandom(),
                size_bytes=size_bytes,
                ring_id=ring_id,
                generation=generation,
                known=self._known,
                terms=terms,
                keys=sealing.open_keys if sealing else None,
                at_once=AT_ONCE,
            )
        except NvrError:
            self._close_index()
            disk.close()
            raise
        self._grow(terms, size_bytes >> 20)
        self._writer = Writer(
            self.store,
            acknowledged=acknowledged,
            queue=queue,
            runs=runs,
            sealer=self._sealer(),
            remember=self._remember,
            died=died,
        )
        self._stopping = threading.Event()
        self.readback = ReadBack(self.store, bytes_per_s=readback_bytes_per_s, busy=self._busy)
        # Apart from the keeper, which must not wait for a sector that a dying disk tries for a
        # minute. A fault of ours ends it, not the recording.
        self._reader = threading.Thread(target=self._read, name="disk-reader", daemon=True)

    def _busy(self) -> bool:
        return self._writer.state().behind_s > _BUSY_S

    def _read(self) -> None:
        Rebuild(self.store, self._busy).run(self._stopping)
        self.readback.run(self._stopping)

    def _grow(self, terms: TermsOf, size_mib: int) -> None:
        """Have a volume that is too small become larger, if the disk has the room."""
        ring, size = self.store.ring, self.store.identity.block_bytes
        if (size_mib << 20) // size <= ring.wanted:
            return
        try:
            resize(self.store, terms, size_mib, "configuration")
        except (OSError, Rejected) as err:  # it records as it is
            event(_log, logging.WARNING, "record.resize_waits", error=str(err))

    def _sealer(self) -> Sealer:
        if self._sealing is None:
            return Sealer()
        return Sealer(
            self.store.keys if self._sealing.seal else None,
            self._sealing.signer,
            self.store.identity.ring_id.bytes,
        )

    def _known(self, identity: Identity) -> Catalog:
        self._index = Index(self._directory / NAME, identity)
        return self._index.load()

    def _remember(self) -> None:
        if self._index is not None:
            self._index.save(self.store.catalog)
        now_s = self.store.clock.monotonic_s()
        if self._sealing and now_s - self._tidied_s >= _TIDY_S:
            self._tidied_s = now_s
            try:
                forget_unused(self.store, self._sealing.signer)
            except OSError as err:
                event(_log, logging.WARNING, "seal.not_wiped", error=str(err))

    def _close_index(self) -> None:
        if self._index is not None:
            self._index.close()

    def start(self) -> None:
        """Start writing, and reading back."""
        self._writer.start()
        self._reader.start()

    def submit(self, parts: list[Part]) -> None:
        """Queue parts. See `nvr.media.ports.PartSink`."""
        self._writer.submit(parts)

    def state(self) -> WriterState:
        """How the writer is doing; callable from any thread."""
        return self._writer.state()

    def note(self, *notes: Note) -> None:
        """Keep notes in the volume's log, durably; blocks.

        Raises:
            OSError: The disk refuses.
        """
        self.store.ring.note(*notes)

    def stop(self, by: str = "", timeout_s: float | None = 10.0) -> dict[str, Run]:
        """Write what still waits, note the stop, and let go of the volume.

        Args:
            by: Who stopped it.
            timeout_s: How long the writer is waited for if it hangs in the disk. Whoever goes on
                after it must not open the volume again: the writer would wake up and write.

        Returns:
            What was being recorded, by stream.
        """
        self._stopping.set()
        self._writer.stop(timeout_s, by=by)
        if self._reader.is_alive():
            self._reader.join(_READER_S)
        if not self._reader.is_alive():
            self.readback.close()
        self._close_index()
        self.store.disk.close()
        return self._writer.runs()


def remembered(directory: Path) -> Callable[[Identity], Catalog]:
    """Return what a recorder remembered of a volume, for one who only reads: it saves minutes."""

    def load(identity: Identity) -> Catalog:
        index = Index(directory / NAME, identity, read_only=True)
        try:
            return index.load()
        finally:
            index.close()

    return load


def open_directory(directory: Path, *, read_only: bool = False) -> LinuxDisk:
    """Return the directory of a volume as a disk.

    Raises:
        Unavailable: ``volume.full``, ``volume.unwritable``: it cannot be made or opened.
    """
    try:
        return LinuxDisk(directory, read_only=read_only)
    except OSError as err:
        raise refusal(err) from err
