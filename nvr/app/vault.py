"""The volume as the rest of the box sees it, there or not.

A missing, foreign or broken disk stops the recording and nothing else: pictures are live, domes
obey, the page says what is wrong, and the disk is tried again until it is right. One that fails
while it is recorded on is let go after some seconds: a file system that turned read-only, or whose
disk was pulled, comes back only once nobody holds its files any more.
"""

import asyncio
import logging
import threading
import uuid
from collections import deque
from collections.abc import Callable, Collection, Iterator
from pathlib import Path

from nvr.app.outage import Outage, forget, load, save
from nvr.base.clock import Clock
from nvr.base.errors import NvrError, Unavailable
from nvr.base.log import event
from nvr.config.model import Volume
from nvr.media.part import Part
from nvr.media.ports import Acknowledged
from nvr.media.track import StreamConfig
from nvr.playback.holding import Holding
from nvr.playback.query import Archive, Gop, Ranges, VolumeState
from nvr.record.note import Note, stamped
from nvr.record.recording import Recording
from nvr.record.retention import Promised
from nvr.record.watch import Reason

_log = logging.getLogger(__name__)

RETRY_S = 5.0
WATCH_S = 1.0
FAILURES = 2
"""So many groups in a row that the disk refused, about a second apart, are no accident."""
GIVE_UP_S = 6.0
"""What waits to be written is kept for so long; it is lost when the volume is let go."""
MOST_NOTES = 512
BEHIND_S = 1.0


class Vault:
    """A recording on a volume that may come later. Also what `nvr.web.parts.Archive` asks for.

    Args:
        directory: Data directory; a relative path of the volume starts there.
        volume: Which volume, as configured.
        clock: Time source.
        acknowledged: Told of what is durable.
        priority: Priority of a stream.
        promised_s: Seconds a stream is promised to be kept.
        died: Called when the writer ended by a fault of ours.
        streams: Which streams are to be recorded.
    """

    def __init__(
        self,
        directory: Path,
        volume: Volume,
        clock: Clock,
        *,
        acknowledged: Callable[[list[Acknowledged]], None],
        priority: Callable[[str], int],
        promised_s: Promised,
        died: Callable[[], None],
        streams: Callable[[], Collection[str]],
    ) -> None:
        self._data = directory
        self._streams = streams
        self._notes: deque[Note] = deque(maxlen=MOST_NOTES)
        self._writing = threading.Lock()
        self._saved: NvrError | None = None
        self.stopped_by = ""
        self._directory = directory / volume.path
        self._size_bytes = volume.size_mib << 20
        # Once open, it is this one that must come back, not what lies under a mount that is gone.
        self._ring_id = uuid.UUID(volume.uuid) if volume.uuid else None
        self._clock = clock
        self._acknowledged = acknowledged
        self._priority = priority
        self._promised_s = promised_s
        self._died = died
        self._recording: Recording | None = None
        self._archive: Archive | None = None
        self.fault: NvrError | None = Unavailable("volume.opening", "the volume is being opened")

    def open(self) -> None:
        """Open the volume and begin to record; blocks. What fails is kept in `fault`."""
        try:
            recording = Recording(
                self._directory,
                self._clock,
                size_bytes=self._size_bytes,
                ring_id=self._ring_id,
                acknowledged=self._acknowledged,
                priority=self._priority,
                promised_s=self._promised_s,
                died=self._died,
            )
        except NvrError as err:
            if self.fault is None or self.fault.code != err.code:
                event(_log, logging.ERROR, "record.stopped", error=str(err))
            self.fault = err
            self._save_outage()
            return
        self._explain(recording)
        recording.start()
        self._ring_id = recording.store.identity.ring_id
        self._archive = Archive(recording.store)
        self._recording = recording
        self.fault = self._saved = None

    def note(self, note: Note) -> None:
        """Keep a note in the volume's log, soon, or once there is a volume; from any thread."""
        self._notes.append(note)

    def reason(self) -> Reason | None:
        """What keeps everything from being recorded, None if nothing does."""
        fault = self.fault
        if fault is None:
            behind = self.behind_s() > BEHIND_S
            return Reason("behind", "record.behind") if behind else None
        cause = "disk" if fault.code == "volume.unwritable" else "volume"
        return Reason(cause, fault.code, sure=fault.code != "volume.opening")

    def _explain(self, recording: Recording) -> None:
        """Note why nothing was recorded while the volume was not there, and what no longer is."""
        outage = load(self._data)
        if outage is not None:
            self._notes.appendleft(outage.note(self._clock.wall_us()))
        wanted = set(self._streams())
        about: dict[str, str] = dict.fromkeys(recording.store.catalog.streams(), "")
        about |= {n.stream: n.cause for n in recording.store.ring.notes if n.stream}
        for stream, cause in about.items():
            if stream not in wanted and cause != "removed":
                now_us = self._clock.wall_us()
                gap = Note("gap", now_us, stream=stream, cause="removed", by="configuration")
                self._notes.append(gap)
        self._write_notes(recording)
        if not self._notes:
            forget(self._data)

    def _write_notes(self, recording: Recording) -> None:
        with self._writing:  # at the end a thread may still be at it
            notes = [self._notes.popleft() for _ in range(len(self._notes))]
            if not notes:
                return
            try:
                recording.note(
                    *(note if note.tick_90k else stamped(note, self._clock) for note in notes)
                )
            except OSError as err:
                event(_log, logging.DEBUG, "record.note_failed", error=str(err))
                self._notes.extendleft(reversed(notes))

    def _save_outage(self) -> None:
        """Keep on the system's disk that the volume takes nothing: it cannot say so itself."""
        fault, self._saved = self.fault, self.fault
        reason = self.reason()
        if fault is None or reason is None:
            forget(self._data)
        elif load(self._data) is None:
            save(self._data, Outage(self._clock.wall_us(), reason.cause, fault.code))

    async def run(self) -> None:
        """Open the volume when it can be, watch it while it is, let it go when it fails."""
        since_s: float | None = None
        while True:
            if self._recording is None:
                await self._clock.sleep(RETRY_S)
                await asyncio.to_thread(self.open)
                since_s = None
                continue
            await self._clock.sleep(WATCH_S)
            now_s = self._clock.monotonic_s()
            failing = self._fails(self._recording)
            if self.fault is not self._saved:
                await asyncio.to_thread(self._save_outage)
            if self._notes and not failing:
                await asyncio.to_thread(self._write_notes, self._recording)
            if not failing:
                since_s = None
            elif since_s is None:
                since_s = now_s
            elif now_s - since_s >= GIVE_UP_S:
                await asyncio.to_thread(self._let_go, "volume.unwritable")

    def _fails(self, recording: Recording) -> bool:
        failures = recording.state().failures
        if failures >= FAILURES and self.fault is None:
            self.fault = Unavailable(
                "volume.unwritable", "the disk does not take what is recorded any more"
            )
            event(_log, logging.ERROR, "record.stopped", error=str(self.fault))
        elif not failures:
            self.fault = None
        return failures > 0

    def _let_go(self, by: str) -> None:
        recording, self._recording, self._archive = self._recording, None, None
        if recording is not None:
            if not self.fault:
                self._write_notes(recording)
            recording.stop(by)

    def close(self) -> None:
        """Write what waits and let the volume go, as `stopped_by` wanted; blocks."""
        self._let_go(self.stopped_by)

    def submit(self, parts: list[Part]) -> None:
        """Queue parts; without a volume there is nowhere to put them. See `PartSink`."""
        recording = self._recording  # read once: another thread lets go of it
        if recording is not None:
            recording.submit(parts)

    def behind_s(self) -> float:
        """Seconds by which the disk lags, 0 if it keeps up."""
        recording = self._recording
        return recording.state().behind_s if recording else 0.0

    def ranges(self, stream: str, from_us: int, to_us: int) -> Ranges:
        """See `Archive`; each of these raises `fault` while there is no volume."""
        return self._open_archive().ranges(stream, from_us, to_us)

    def config(self, stream: str, run: int) -> StreamConfig:
        """See `Archive`."""
        return self._open_archive().config(stream, run)

    def gop(self, stream: str, t_us: int) -> Gop | None:
        """See `Archive`."""
        return self._open_archive().gop(stream, t_us)

    def export(self, stream: str, from_us: int, to_us: int) -> Iterator[bytes]:
        """See `Archive`."""
        return self._open_archive().export(stream, from_us, to_us)

    def volume(self) -> VolumeState:
        """See `Archive`."""
        return self._open_archive().volume()

    def holdings(self) -> list[Holding]:
        """See `Archive`."""
        return self._open_archive().holdings(self._promised_s, self._streams())

    def _open_archive(self) -> Archive:
        archive, fault = self._archive, self.fault
        if archive is not None:
            return archive
        if fault is None:  # it is being closed
            raise Unavailable("volume.opening", "the volume is not open")
        raise type(fault)(fault.code, fault.detail, **fault.context)
