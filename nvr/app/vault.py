"""One volume as the rest of the box sees it, there or not.

A missing, foreign or broken disk stops the recording on it and nothing else: pictures are live,
domes obey, the page says what is wrong, and the disk is tried again until it is right. One that
fails while it is recorded on is let go after some seconds: a file system that turned read-only, or
whose disk was pulled, comes back only once nobody holds its files any more. What came since it
failed waits in memory, as far as there is room, and is written once it is back, or to another
volume (see `nvr.app.volumes`).
"""

import asyncio
import logging
import threading
import uuid
from collections import deque
from collections.abc import Callable, Collection, Sequence
from pathlib import Path

from nvr.app.settings import write_size
from nvr.base.clock import Clock, beat
from nvr.base.errors import NvrError, Unavailable
from nvr.base.log import event
from nvr.config.load import edit
from nvr.config.model import Volume
from nvr.media.name import is_beside
from nvr.media.ports import Acknowledged
from nvr.playback.query import Archive
from nvr.record import resize
from nvr.record.lane import Run
from nvr.record.note import Note, stamped
from nvr.record.pace import WriterState
from nvr.record.queue import DropNewestGopQueue
from nvr.record.recording import Recording, Sealing
from nvr.record.remembered import Remembered
from nvr.record.resize import Change
from nvr.record.retention import TermsOf
from nvr.record.store import Store

_log = logging.getLogger(__name__)

RETRY_S = 5.0
WATCH_S = 1.0
FAILURES = 2
"""So many groups in a row that the disk refused, about a second apart, are no accident."""
GIVE_UP_S = 6.0
"""A volume that fails is let go after this, so that it can be mounted again."""
HUNG_S = 10.0
"""A group that takes longer than the worst flash card waits for a disk that may never answer."""
PROBE_S = 30.0
"""One that only stands by is written a few bytes so often: else nobody would know it is gone."""
MOST_NOTES = 512


class Vault:
    """A recording on a volume that may come later.

    Args:
        directory: Data directory; a relative path of the volume starts there.
        volume: Which volume, as configured.
        clock: Time source.
        queue: What is to be written on it.
        acknowledged: Told of what is durable.
        terms: For how long a stream is kept.
        sealing: How what is recorded is sealed and signed.
        died: Called when the writer ended by a fault of ours.
        streams: Which streams are to be recorded.
        told: What is to be noted on the volume of that UUID before anything is written.
    """

    def __init__(
        self,
        directory: Path,
        volume: Volume,
        clock: Clock,
        *,
        queue: DropNewestGopQueue,
        acknowledged: Callable[[list[Acknowledged]], None],
        terms: TermsOf,
        sealing: Callable[[], Sealing | None],
        died: Callable[[], None],
        streams: Callable[[], Collection[str]],
        told: Callable[[str], Sequence[Note]] = lambda _: (),
    ) -> None:
        self._streams = streams
        self._told = told
        self._notes: deque[Note] = deque(maxlen=MOST_NOTES)
        self._writing = threading.Lock()
        self._data = directory
        self.name = volume.path
        self.seals = volume.seal
        self.directory = directory / volume.path
        self._size_bytes = volume.size_mib << 20
        self._readback_bytes_per_s = volume.readback_mib_s * (1 << 20)
        # Once open, it is this one that must come back, not what lies under a mount that is gone.
        self._ring_id = uuid.UUID(volume.uuid) if volume.uuid else None
        self._clock = clock
        self._acknowledged = acknowledged
        self._refused = (0, "")
        self._recorded_bytes = 0
        self.queue = queue
        self._runs: dict[str, Run] = {}
        self._terms = terms
        self._sealing = sealing
        self._died = died
        self._recording: Recording | None = None
        self._archive: Archive | None = None
        self._tried_s = clock.monotonic_s()
        self._failing_s: float | None = None
        self._probed_s = clock.monotonic_s()
        self._deaf = False
        self.stands_by = False
        """Nothing is recorded on it now: it is looked at whether it could be."""
        self.fault: NvrError | None = Unavailable("volume.opening", "the volume is being opened")

    def open(self) -> None:
        """Open the volume and begin to record; blocks. What fails is kept in `fault`."""
        self._tried_s = self._clock.monotonic_s()
        try:
            recording = Recording(
                self.directory,
                self._clock,
                size_bytes=self._size_bytes,
                ring_id=self._ring_id,
                acknowledged=self._acknowledged,
                queue=self.queue,
                runs=self._runs,
                terms=self._terms,
                sealing=self._sealing(),
                died=self._died,
                readback_bytes_per_s=self._readback_bytes_per_s,
            )
        except NvrError as err:
            if self.fault is None or self.fault.code != err.code:
                event(_log, logging.ERROR, "record.stopped", error=str(err), volume=self.name)
            self.fault = err
            return
        self._ring_id = recording.store.identity.ring_id
        self._explain(recording)
        self._archive = Archive(recording.store)
        self._recording = recording
        self._probed_s = self._clock.monotonic_s()
        self.fault = None
        recording.start()  # last: nobody is told of what is recorded while there is a fault

    @property
    def ring(self) -> str:
        """UUID of the volume, empty if it is not known yet."""
        return str(self._ring_id) if self._ring_id else ""

    @property
    def there(self) -> bool:
        """Whether it is open."""
        return self._recording is not None

    @property
    def healthy(self) -> bool:
        """Whether it can be recorded on."""
        return self._recording is not None and not self.fault and not self.hangs

    @property
    def hangs(self) -> bool:
        """Whether the disk has not answered for long; who asks it anything waits as well."""
        state = self.state()
        return state is not None and state.busy_s >= HUNG_S

    def state(self) -> WriterState | None:
        """How the writer is doing, None if the volume is not open."""
        recording = self._recording
        return recording.state() if recording else None

    def note(self, *notes: Note) -> None:
        """Keep notes in the volume's log, soon, or once there is a volume; from any thread."""
        self._notes.extend(notes)

    @property
    def noted(self) -> bool:
        """Whether no note waits."""
        return not self._notes

    def write_notes(self, *notes: Note) -> bool:
        """Keep the notes that wait, and these, now; blocks. Returns whether they are durable.

        If they are not, only those that waited are tried again.
        """
        recording = self._recording
        return recording is not None and self._write_notes(recording, notes)

    def _explain(self, recording: Recording) -> None:
        """Note why nothing was recorded while the volume was not there, and what no longer is."""
        self._notes.extendleft(reversed(self._told(self.ring)))
        wanted = set(self._streams())
        about: dict[str, str] = dict.fromkeys(recording.store.catalog.streams(), "")
        about |= {n.stream: n.cause for n in recording.store.ring.notes if n.stream}
        for stream, cause in about.items():
            if stream not in wanted and cause != "removed" and not is_beside(stream):
                now_us = self._clock.wall_us()
                gap = Note("gap", now_us, stream=stream, cause="removed", by="configuration")
                self._notes.append(gap)
        self._write_notes(recording)

    def _write_notes(self, recording: Recording, more: Sequence[Note] = ()) -> bool:
        with self._writing:  # at the end a thread may still be at it
            waited = [self._notes.popleft() for _ in range(len(self._notes))]
            notes = [n if n.tick_90k else stamped(n, self._clock) for n in (*waited, *more)]
            if not notes:
                return True
            try:
                recording.note(*notes)
            except OSError as err:
                event(_log, logging.DEBUG, "record.note_failed", error=str(err))
                self._notes.extendleft(reversed(waited))
                return False
            return True

    async def run(self) -> None:
        """Open the volume when it can be, watch it while it is, let it go when it fails."""
        while True:
            await beat(self._clock, WATCH_S)
            await asyncio.to_thread(self.look)

    def look(self) -> None:
        """Do what `run` does once a second; blocks."""
        now_s = self._clock.monotonic_s()
        if self._recording is None:
            if now_s - self._tried_s >= RETRY_S:
                self.open()
            return
        if self.stands_by and (self._deaf or now_s - self._probed_s >= PROBE_S):
            self._probed_s = now_s
            alive = Note("alive", self._clock.wall_us())
            self._deaf = not self._write_notes(self._recording, [alive])
        failing = self._fails(self._recording)
        if not failing:
            self._failing_s = None
            self._write_notes(self._recording)
        elif self._failing_s is None:
            self._failing_s = now_s
        elif now_s - self._failing_s >= GIVE_UP_S:
            self._let_go("volume.unwritable", None)

    def _fails(self, recording: Recording) -> bool:
        failures, now_s = recording.state().failures, self._clock.monotonic_s()
        self._deaf = self._deaf and self.stands_by
        lasts = self._failing_s is not None and now_s - self._failing_s >= GIVE_UP_S
        if (failures >= FAILURES or self._deaf or (failures and lasts)) and self.fault is None:
            self.fault = Unavailable(
                "volume.unwritable", "the disk does not take what is recorded any more"
            )
            event(_log, logging.ERROR, "record.stopped", error=str(self.fault), volume=self.name)
        elif not (failures or self._deaf):
            self.fault = None
        return failures > 0 or self._deaf

    def _let_go(self, by: str, timeout_s: float | None = 10.0) -> None:
        recording, self._recording, self._archive = self._recording, None, None
        if recording is not None:
            if not self.fault:
                self._write_notes(recording)
            self._runs = recording.stop(by, timeout_s)
            self._refused = _added(self._refused, recording)
            self._recorded_bytes += recording.state().part_bytes
        self._failing_s, self._deaf = None, False
        self._tried_s = self._clock.monotonic_s()

    def close(self, by: str) -> None:
        """Write what waits and let the volume go, as `by` wanted; blocks."""
        self._let_go(by)

    @property
    def refused(self) -> tuple[int, str]:
        """How often the disk refused something since the box was started, and what it said last."""
        return _added(self._refused, self._recording)

    @property
    def recorded_bytes(self) -> int:
        """What was written of recordings since the box was started."""
        recording = self._recording
        return self._recorded_bytes + (recording.state().part_bytes if recording else 0)

    @property
    def damaged(self) -> int:
        """Parts that were found with wrong bytes since the volume was opened."""
        recording = self._recording
        return len(recording.store.damaged) if recording else 0

    @property
    def unread(self) -> tuple[int, int]:
        """Blocks that are still to be looked through, and how many there are."""
        recording = self._recording
        if recording is None:
            return 0, 0
        return recording.store.ring.unread, recording.store.identity.blocks

    @property
    def aside(self) -> int:
        """Blocks that the disk refused, and that are not used any more."""
        recording = self._recording
        return len(recording.store.ring.aside) if recording else 0

    def size(self, size_mib: int) -> Change:
        """Return what a size would do.

        Raises:
            NvrError: `fault`, while there is no volume.
        """
        try:
            return resize.planned(self.store(), self._terms, size_mib)
        except OSError as err:
            raise Unavailable("volume.unreadable", f"the disk does not answer: {err}") from err

    def resize(self, size_mib: int, by: str) -> Change:
        """Make it that large; the configuration says the same from then on.

        Raises:
            NvrError: What refuses it.
        """
        change = self.size(size_mib)
        if change.refused is not None:
            raise change.refused
        # First: made smaller in the log alone, it would be made larger again at the next start.
        edit(self._data / "nvr.toml", lambda document: write_size(document, self.name, size_mib))
        self._size_bytes = size_mib << 20
        try:
            return resize.resize(self.store(), self._terms, size_mib, by)
        except OSError as err:
            raise Unavailable("volume.unwritable", f"the size stays as it is: {err}") from err

    def size_warning(self) -> NvrError | None:
        """Why the volume has not the size that the configuration asks for, None if it has."""
        recording = self._recording
        if recording is None:
            return None
        ring = recording.store.ring
        size = recording.store.identity.block_bytes
        asked = self._size_bytes // size
        if ring.stuck is not None or asked == ring.wanted:
            return ring.stuck
        if asked > ring.wanted:
            return Unavailable(
                "volume.no_room",
                "the disk has too little room to make the volume as large as size_mib asks",
                has_mib=ring.wanted * size >> 20,
                size_mib=self._size_bytes >> 20,
                volume=self.name,
            )
        return Unavailable(
            "volume.larger",
            "the volume is larger than size_mib says, and stays so until somebody gives up what "
            "would be lost",
            has_mib=ring.wanted * size >> 20,
            size_mib=self._size_bytes >> 20,
            volume=self.name,
        )

    def archive(self) -> Archive:
        """Return what is recorded on the open volume.

        Raises:
            NvrError: `fault`, while there is none.
        """
        archive = self._archive
        if archive is not None:
            return archive
        raise self.closed()

    def store(self) -> Store:
        """Return the open volume.

        Raises:
            NvrError: `fault`, while there is none.
        """
        return self.archive().store

    def readback(self) -> Remembered:
        """Return what reading back has verified and found.

        Raises:
            NvrError: `fault`, while there is no volume.
        """
        recording = self._recording
        if recording is not None:
            return recording.readback.remembered
        raise self.closed()

    def closed(self) -> NvrError:
        """Return why it is not open, as an error to be raised."""
        fault = self.fault
        if fault is None:  # it is being closed
            return Unavailable("volume.opening", "the volume is not open")
        return type(fault)(fault.code, fault.detail, **fault.context)


def _added(refused: tuple[int, str], recording: Recording | None) -> tuple[int, str]:
    times, last = recording.store.disk.refused() if recording else (0, "")
    return refused[0] + times, last or refused[1]
