"""The volume as the rest of the box sees it, there or not.

A missing, foreign or broken disk stops the recording and nothing else: pictures are live, domes
obey, the page says what is wrong, and the disk is tried again until it is right.
"""

import asyncio
import logging
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path

from nvr.base.clock import Clock
from nvr.base.errors import NvrError, Unavailable
from nvr.base.log import event
from nvr.config.model import Volume
from nvr.media.part import Part
from nvr.media.ports import Acknowledged
from nvr.media.track import StreamConfig
from nvr.playback.query import Archive, Gop, Ranges, VolumeState
from nvr.record.recording import Recording

_log = logging.getLogger(__name__)

RETRY_S = 10.0


class Vault:
    """A recording on a volume that may come later. Also what `nvr.web.parts.Archive` asks for.

    Args:
        directory: Data directory; a relative path of the volume starts there.
        volume: Which volume, as configured.
        clock: Time source.
        acknowledged: Told of what is durable.
        priority: Priority of a stream.
        died: Called when the writer ended by a fault of ours.
    """

    def __init__(
        self,
        directory: Path,
        volume: Volume,
        clock: Clock,
        *,
        acknowledged: Callable[[list[Acknowledged]], None],
        priority: Callable[[str], int],
        died: Callable[[], None],
    ) -> None:
        self._directory = directory / volume.path
        self._volume = volume
        self._clock = clock
        self._acknowledged = acknowledged
        self._priority = priority
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
                size_bytes=self._volume.size_mib << 20,
                ring_id=uuid.UUID(self._volume.uuid) if self._volume.uuid else None,
                acknowledged=self._acknowledged,
                priority=self._priority,
                died=self._died,
            )
        except NvrError as err:
            if self.fault is None or self.fault.code != err.code:
                event(_log, logging.ERROR, "record.stopped", error=str(err))
            self.fault = err
            return
        recording.start()
        self._archive = Archive(recording.store)
        self._recording = recording
        self.fault = None

    async def run(self) -> None:
        """Try again until the volume is open."""
        while self._recording is None:
            await self._clock.sleep(RETRY_S)
            await asyncio.to_thread(self.open)

    def close(self) -> None:
        """Write what waits and let the volume go; blocks."""
        if self._recording is not None:
            self._recording.stop()

    def submit(self, parts: list[Part]) -> None:
        """Queue parts; without a volume there is nowhere to put them. See `PartSink`."""
        if self._recording is not None:
            self._recording.submit(parts)

    def behind_s(self) -> float:
        """Seconds by which the disk lags, 0 if it keeps up."""
        return self._recording.state().behind_s if self._recording else 0.0

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

    def _open_archive(self) -> Archive:
        if self._archive is None:
            assert self.fault is not None
            raise type(self.fault)(self.fault.code, self.fault.detail, **self.fault.context)
        return self._archive
