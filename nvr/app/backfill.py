"""Fetches from a camera's own storage what could not be recorded while it, or the box, was away.

One camera at a time in turns, the oldest hole first, at a limited rate, and never while the disk
has trouble keeping up with what is live. What is still missing is found by looking at the archive,
so nothing is forgotten or done twice over a restart. What became of it is a note in the volume's
log: before the first picture comes, where from; and why, where nothing came.

See ``nvr/record/DESIGN.md``, "What was fetched".
"""

import asyncio
import logging
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, Final, Protocol

from nvr.app.cameras import CameraTable
from nvr.app.holes import Hole, holes
from nvr.base.clock import Clock
from nvr.base.errors import Misconfigured, NvrError, Rejected, Unavailable
from nvr.base.log import event
from nvr.capture.replay import Pace, fetch
from nvr.config import camera as written
from nvr.media.name import FETCHED, stream_of
from nvr.media.onvif import EdgeRecording
from nvr.media.onvif_wish import GetDevice, GetRecordings, GetReplayUri, Wish
from nvr.media.ports import Hub, Run, RunStats
from nvr.media.replay import Replay
from nvr.playback.joined import Joined
from nvr.record.note import FETCH, Note
from nvr.record.plan import Plan
from nvr.record.queue import DropNewestGopQueue
from nvr.wire.openmetrics import Family

_log = logging.getLogger(__name__)

LOOK_S: Final = 1.0
SETTLED_S: Final = 5.0
"""A camera that is back is left alone for so long: it may go again at once."""
SLICE_S: Final = 900.0
"""So much is fetched of a camera before it is another's turn."""
LOOK_AGAIN_S: Final = 600.0
"""A camera that was not lost may have a hole all the same; to look takes time."""
AGAIN_S: Final = 60.0
MOST_AGAIN_S: Final = 3600.0
_ALIVE_S: Final = 0.5
_MARGIN_US: Final = 1_000_000
"""More is asked for at both ends: two clocks are never the same, and what is there twice is shown
once."""
_AGREES_US: Final = 1_500_000
"""Its clock is taken for ours if it is no further off: then live pictures have its time too."""
_SHOWN_MS: Final = 1000
"""What ONVIF says of a clock has whole seconds."""
_DURABLE_S: Final = 30.0


class Volumes(Protocol):
    """What of the volumes is needed. See `nvr.app.volumes.Volumes`."""

    @property
    def queue(self) -> DropNewestGopQueue:
        """What waits to be written."""
        ...

    @property
    def ready(self) -> bool:
        """Whether a volume takes what comes."""
        ...

    def archive(self) -> Joined:
        """What is recorded."""
        ...

    def note(self, note: Note) -> None:
        """Keep a note."""
        ...


@dataclass(slots=True)
class Filling:
    """How a camera stands.

    Attributes:
        state: ``idle``; ``fetching``; ``waiting``: it failed and is tried again.
        code: Why it failed last, empty if it did not.
        missing_s: Seconds that are still to be fetched.
        filled_s: Seconds that were fetched since the start of the box.
        bytes: What came for them.
        failures: How often it failed since then, by code.
    """

    state: str = "idle"
    code: str = ""
    missing_s: float = 0.0
    filled_s: float = 0.0
    bytes: int = 0
    failures: Counter[str] = field(default_factory=Counter)
    tries: int = 0
    not_before_s: float = 0.0
    look_s: float = 0.0
    live_s: float | None = None


class Backfill:
    """The fetching.

    Args:
        cameras: All of them: their settings, how they are reached, how they do.
        ask: Puts a question to a camera's ONVIF service.
        hub: Takes what comes.
        volumes: Where it is recorded.
        clock: Time source.
        busy: Work that can wait should.
    """

    def __init__(
        self,
        cameras: CameraTable,
        ask: Callable[[str, Wish[Any]], Any],
        hub: Hub,
        volumes: Volumes,
        clock: Clock,
        busy: Callable[[], bool],
    ) -> None:
        self._cameras = cameras.configured
        self._ask = ask
        self._caller = cameras.caller
        self._intake = cameras.intake
        self._hub = hub
        self._volumes = volumes
        self._clock = clock
        self._busy = busy
        self.standing: dict[str, Filling] = {}

    async def run(self) -> None:
        """Fetch for as long as the box runs."""
        while True:
            await self._clock.sleep(LOOK_S)
            await self.look()

    async def look(self) -> None:
        """Do what `run` does every second: fetch one hole of each camera that has some."""
        wanted = {one.name: one for one in self._cameras() if _on(one)}
        self.standing = {name: self.standing.get(name) or Filling() for name in wanted}
        for name, camera in wanted.items():
            it = self.standing[name]
            if not self._ready(name, it):
                continue
            try:
                found = await asyncio.to_thread(self._holes, camera)
            except NvrError:  # no volume; all will be found when there is one
                return
            it.missing_s = sum(hole.length_s for hole in found)
            if found:
                await self._fill(camera, it, found[0].first(SLICE_S))
            else:
                it.state, it.code, it.look_s = "idle", "", self._clock.monotonic_s() + LOOK_AGAIN_S

    def _ready(self, name: str, it: Filling) -> bool:
        now_s = self._clock.monotonic_s()
        if not self._live(name):
            # When it is back, all may be well.
            it.live_s, it.tries, it.not_before_s, it.look_s = None, 0, 0.0, 0.0
            return False
        it.live_s = now_s if it.live_s is None else it.live_s
        return (
            now_s - it.live_s >= SETTLED_S
            and now_s >= max(it.not_before_s, it.look_s)
            and self._volumes.ready
            and not self._busy()
        )

    def _live(self, name: str) -> bool:
        stream = stream_of(name)
        return self._intake.settings(stream) is not None and (
            self._intake.state(stream).state == "live"
        )

    def _holes(self, camera: written.Camera) -> list[Hole]:
        stream, backfill = stream_of(camera.name), _of(camera)
        terms, now_us = self._intake.terms(stream), self._clock.wall_us()
        back_s = min(backfill.back_h * 3600.0, terms.promised_s, terms.limit_s or terms.promised_s)
        archive, since_us = self._volumes.archive(), now_us - round(back_s * 1e6)
        gaps = archive.ranges(stream, since_us, now_us).gaps
        plan: Plan = self._intake.plan_of(stream)
        return holes(gaps, since_us, now_us, backfill.least_s, plan)

    async def _fill(self, camera: written.Camera, it: Filling, hole: Hole) -> None:
        """Fetch a hole, unless the camera is lost meanwhile; notes why, if it cannot be done."""
        it.state, source = "fetching", _source(camera, "")
        work = asyncio.ensure_future(self._fetch(camera, it, hole))
        watch = asyncio.ensure_future(self._until_lost(camera.name))
        try:
            await asyncio.wait([work, watch], return_when=asyncio.FIRST_COMPLETED)
            if not work.done():
                raise Unavailable("backfill.lost", "the camera was lost again")
            work.result()
        except NvrError as err:
            self._failed(camera, it, hole, err, source)
        else:
            it.state, it.code, it.tries = "idle", "", 0
        finally:
            for task in (work, watch):
                task.cancel()
            await asyncio.wait([work, watch])

    async def _until_lost(self, name: str) -> None:
        while self._live(name) and _on(next((c for c in self._cameras() if c.name == name), None)):
            await self._clock.sleep(_ALIVE_S)

    async def _fetch(self, camera: written.Camera, it: Filling, hole: Hole) -> None:
        name, backfill = camera.name, _of(camera)
        caller = self._caller(name)
        if caller is None:
            raise Misconfigured("backfill.unsupported", "only network cameras have such storage")
        ahead_us = await self._ahead_us(name)
        span = (hole.from_us - _MARGIN_US, hole.to_us + _MARGIN_US)
        recordings = await self._asked(name, GetRecordings())
        recording = chosen(recordings, camera, span[1] + ahead_us)
        url = await self._asked(name, GetReplayUri(recording.token))
        source = _source(camera, recording.token)
        uncertainty_ms = _SHOWN_MS if ahead_us else 0
        replay = Replay(span[0] + ahead_us, span[1], ahead_us, uncertainty_ms)
        stream = stream_of(name)
        into = self._hub.stream(stream + FETCHED)
        pace = Pace(backfill.mbit_s * 125_000, self._clock, self._busy)
        self._note(stream, hole, source)
        begun_s = self._clock.monotonic_s()
        length_s = round(hole.length_s, 1)
        event(_log, logging.INFO, "backfill.begun", camera=name, source=source, length_s=length_s)
        runs: list[Run] = []
        try:
            counted = await fetch(caller, url, into, replay, pace, self._clock, runs.append)
        finally:
            it.bytes += (came := sum(run.stats().bytes_in for run in runs))
            took_s = round(self._clock.monotonic_s() - begun_s, 2)
            event(_log, logging.INFO, "backfill.ended", camera=name, bytes=came, took_s=took_s)
            with suppress(NvrError):
                await self._durable(stream + FETCHED)
        await self._judge(camera, it, hole, counted, source)

    async def _judge(
        self, camera: written.Camera, it: Filling, hole: Hole, counted: RunStats, source: str
    ) -> None:
        """Say what came of it."""
        left = await asyncio.to_thread(self._holes, camera)
        left = [part for one in left if (part := one.within(hole)).length_s >= _of(camera).least_s]
        filled_s = max(0.0, hole.length_s - sum(one.length_s for one in left))
        it.filled_s = round(it.filled_s + filled_s, 3)
        event(
            _log, logging.INFO, "backfill.filled", camera=camera.name, length_s=round(filled_s, 1)
        )
        if not left:
            return
        if counted.frames and not counted.ntp_us:
            detail = "the camera does not say when its pictures were taken"
            raise Rejected("backfill.untimed", detail)
        # What it sent is all it has there.
        for one in left:
            self._note(stream_of(camera.name), one, source, "backfill.nothing")
        if not filled_s:
            raise Rejected("backfill.nothing", "the camera recorded nothing then")

    async def _durable(self, stream: str) -> None:
        """Wait until all that came can be seen in the archive."""
        until_s = self._clock.monotonic_s() + _DURABLE_S
        while self._clock.monotonic_s() < until_s:
            await self._clock.sleep(0.1)  # what is in the ingest thread comes to the queue first
            if not self._volumes.queue.held_of(stream):
                return

    async def _ahead_us(self, name: str) -> int:
        """The camera's clock minus ours, 0 if they agree."""
        rates = self._intake.report(stream_of(name)).rates
        if rates.clock_offset_ms is not None:
            ahead_us = round(rates.clock_offset_ms * 1000)
        else:
            offset_s = (await self._asked(name, GetDevice())).clock_offset_s
            ahead_us = round((offset_s or 0.0) * 1e6)
        return ahead_us if abs(ahead_us) > _AGREES_US else 0

    async def _asked(self, name: str, wish: Wish[Any]) -> Any:  # noqa: ANN401 - as the wish says
        try:
            return await self._ask(name, wish)
        except NvrError as err:
            if err.code == "onvif.unsupported":
                detail = "the camera has no recordings of its own to be fetched (ONVIF Profile G)"
                raise Misconfigured("backfill.unsupported", detail) from err
            raise

    def _failed(
        self, camera: written.Camera, it: Filling, hole: Hole, err: NvrError, source: str
    ) -> None:
        it.state, it.code = "waiting", err.code
        it.failures[err.code] += 1
        if err.code == "backfill.lost":  # it may be back before the next look
            it.live_s = None
        else:
            wait_s = min(MOST_AGAIN_S, AGAIN_S * (1 << it.tries))
            it.not_before_s = self._clock.monotonic_s() + wait_s
        it.tries = min(it.tries + 1, 10)
        level = logging.WARNING if it.tries == 1 else logging.DEBUG
        event(_log, level, "backfill.failed", camera=camera.name, code=err.code, detail=err.detail)
        if err.code not in {"backfill.nothing", "backfill.lost"} and hole.code != err.code:
            self._note(stream_of(camera.name), hole, source, err.code)

    def _note(self, stream: str, hole: Hole, source: str, code: str = "") -> None:
        now_us = self._clock.wall_us()
        self._volumes.note(
            Note(
                FETCH, now_us, stream=stream, code=code, by=source,
                since_us=hole.from_us, until_us=hole.to_us,
            )
        )  # fmt: skip


def chosen(
    recordings: Sequence[EdgeRecording], camera: written.Camera, until_us: int
) -> EdgeRecording:
    """Return which of a camera's recordings is its main stream's.

    Args:
        recordings: What it has.
        camera: Its settings, which may name one.
        until_us: UTC microseconds, by the camera's clock, up to which it is wanted.

    Raises:
        Misconfigured: ``backfill.which``: nobody can tell; ``backfill.unsupported``: there is none.
        Rejected: ``backfill.nothing``: it begins later.
    """
    video = [one for one in recordings if any(track.startswith("video") for track in one.tracks)]
    video = video or [one for one in recordings if not one.tracks]
    if not video:
        raise Misconfigured("backfill.unsupported", "the camera has no recording with pictures")
    profile = camera.onvif.profile if camera.onvif else None
    names = [_of(camera).recording] if _of(camera).recording else [profile or ""]
    found = [one for one in video if one.token in names]
    if not found and len(video) == 1 and not _of(camera).recording:
        found = video
    if not found:
        tokens = ", ".join(one.token for one in video)
        detail = "the camera has several recordings: name one in [camera.backfill] recording"
        raise Misconfigured("backfill.which", detail, recordings=tokens[:200])
    if found[0].from_us > until_us:
        raise Rejected("backfill.nothing", "the camera's recordings begin later")
    return found[0]


def fetching(standing: Mapping[str, Filling]) -> list[Family]:
    """Return what is counted of it."""
    filled = Family("nvr_backfill_filled_seconds", "counter", "Fetched from the camera.", "seconds")
    missing = Family("nvr_backfill_missing_seconds", "gauge", "Still to be fetched.", "seconds")
    taken = Family("nvr_backfill_bytes", "counter", "What came for that.", "bytes")
    state = Family("nvr_backfill_state", "gauge", "1 for the state it is in.")
    failures = Family("nvr_backfill_failures", "counter", "How often it failed, by code.")
    for camera, it in standing.items():
        filled.add(it.filled_s, camera=camera)
        missing.add(it.missing_s, camera=camera)
        taken.add(it.bytes, camera=camera)
        state.add(1, camera=camera, state=it.state)
        for code, times in it.failures.items():
            failures.add(times, camera=camera, code=code)
    return [filled, missing, taken, state, failures] if standing else []


def _on(camera: written.Camera | None) -> bool:
    return camera is not None and camera.backfill is not None and camera.backfill.on


def _of(camera: written.Camera) -> written.Backfill:
    return camera.backfill or written.Backfill()


def _source(camera: written.Camera, token: str) -> str:
    return f"{camera.onvif.address if camera.onvif else ''} {token}".strip()
