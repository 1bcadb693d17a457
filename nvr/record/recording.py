"""A volume on a Linux directory with everything that keeps it: what `app` starts and stops."""

import random
import uuid
from collections.abc import Callable
from pathlib import Path

from nvr.base.clock import Clock
from nvr.base.errors import NvrError, Unavailable
from nvr.hal.linux_disk import LinuxDisk
from nvr.media.part import Part
from nvr.media.ports import Acknowledged
from nvr.record.catalog import Row
from nvr.record.index import NAME, Index
from nvr.record.note import Note
from nvr.record.recover import open_store
from nvr.record.retention import Promised, default_promise
from nvr.record.volume import Identity
from nvr.record.writer import Writer, WriterState


class Recording:
    """An open volume, its writer and its remembered rows.

    Args:
        directory: Of the volume; made if it is not there.
        clock: Time source.
        size_bytes: Room a new volume takes; an existing one keeps its size.
        ring_id: The volume expected; None takes the one that is there, or makes one.
        generation: Generation it had when last seen; an older one is a copy.
        acknowledged: Told, in the writing thread, of the end of what is durable per stream.
        priority: Priority of a stream; lower ones are dropped first when the disk is behind.
        promised_s: Seconds each stream is promised to be kept.
        died: Called when a thread ends by a fault; nothing is recorded any more.

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
        priority: Callable[[str], int] | None = None,
        promised_s: Promised = default_promise,
        died: Callable[[], None] | None = None,
    ) -> None:
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
                promised_s=promised_s,
            )
        except NvrError:
            self._close_index()
            disk.close()
            raise
        self._writer = Writer(
            self.store,
            acknowledged=acknowledged,
            priority=priority,
            remember=self._remember,
            died=died,
        )

    def _known(self, identity: Identity) -> dict[int, Row]:
        self._index = Index(self._directory / NAME, identity)
        return self._index.load()

    def _remember(self) -> None:
        if self._index is not None:
            self._index.save(self.store.catalog)

    def _close_index(self) -> None:
        if self._index is not None:
            self._index.close()

    def start(self) -> None:
        """Start writing."""
        self._writer.start()

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

    def stop(self, by: str = "") -> None:
        """Write what still waits, note the stop, and let go of the volume.

        Args:
            by: Who stopped it.
        """
        self._writer.stop(by=by)
        self._close_index()
        self.store.disk.close()


def open_directory(directory: Path, *, read_only: bool = False) -> LinuxDisk:
    """Return the directory of a volume as a disk.

    Raises:
        Unavailable: ``volume.unwritable``: it cannot be made or opened.
    """
    try:
        return LinuxDisk(directory, read_only=read_only)
    except OSError as err:
        raise Unavailable("volume.unwritable", f"the volume cannot be opened: {err}") from err
