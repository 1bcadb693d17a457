"""The streams of the box: each connected in a task of its own, measured, planned and watched.

One stream never waits for another, and what becomes of one changes nothing of the others, those
of the same camera included.
"""

import asyncio
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

from nvr.app.settings import StreamSettings
from nvr.base.clock import Clock, beat
from nvr.base.errors import Rejected
from nvr.capture.film import Film, FilmSource
from nvr.capture.film_sub import SubFilm, SubSource
from nvr.capture.filming import Filming
from nvr.capture.health import Seen
from nvr.capture.lockout import Lockout
from nvr.capture.pulse import Pulse
from nvr.capture.rtsp import Caller
from nvr.capture.source import Source
from nvr.capture.state import Connection
from nvr.media.camera import NotRecorded, StreamState
from nvr.media.health import Counters, Rates, Spell, StreamHealth, StreamReport
from nvr.media.name import camera_of, stream_of, which_of
from nvr.media.ports import Acknowledged, Hub, RunStats
from nvr.media.transport import NOT_CARRIED, Carried
from nvr.record.note import PLANNED, Note
from nvr.record.plan import ALWAYS, Gate, Plan
from nvr.record.retention import DEFAULT, Terms
from nvr.record.watch import Reason, Watch

Way = Caller | Film | SubFilm
"""How a stream is come by: a network camera is called, a local one filmed."""

_MEASURE_S = 2.0
_LOOK_S = 1.0


@dataclass(slots=True)
class _Stream:
    name: str
    settings: StreamSettings
    source: Source | Filming
    task: asyncio.Task[None]
    pulse: Pulse
    recorded_until_us: int = 0


@dataclass(frozen=True, slots=True)
class StreamCount:
    """What is counted of a stream.

    Attributes:
        stream: ``camera/main``.
        live: Pictures come.
        recorded: It is recorded now.
        recorded_until_us: UTC microseconds of the end of its last durable part, 0 if none.
        stats: Of its connection, None without one.
        connections: How often it was connected.
        gaps: How often recording stopped, by cause.
        health: Its state.
        counters: What was counted over all connections.
        rates: What is measured.
    """

    stream: str
    live: bool
    recorded: bool
    recorded_until_us: int
    stats: RunStats | None
    connections: int
    gaps: Mapping[str, int]
    health: StreamHealth
    counters: Counters
    rates: Rates


class Intake:
    """All streams of the box.

    Args:
        clock: Time source.
        changed: Told the camera of which a stream changed, in the event loop's thread.
        past: What was the matter with a stream before the start, the oldest first.
    """

    def __init__(
        self,
        clock: Clock,
        changed: Callable[[str], None],
        past: Callable[[str], Iterable[Spell]] = lambda _: (),
    ) -> None:
        self._past = past
        self._clock = clock
        self._tell = changed
        self._hub: Hub | None = None
        self._gate: Gate | None = None
        self._unrecorded: Callable[[], Reason | None] = lambda: None
        self._watch: Watch | None = None
        self._streams: dict[str, _Stream] = {}
        self._lockouts: dict[str, Lockout] = {}
        self._group: asyncio.TaskGroup | None = None

    def attach(
        self,
        hub: Hub,
        gate: Gate,
        unrecorded: Callable[[], Reason | None],
        note: Callable[[Note], None],
        clock_unset: Callable[[], bool],
        trust: Callable[[], tuple[str, int] | None] = lambda: None,
    ) -> None:
        """Say where the streams are and what they pass, what may be amiss, who notes it; once."""
        self._hub = hub
        self._gate = gate
        self._unrecorded = unrecorded
        self._watch = Watch(self._clock, note, clock_unset, trust)

    def start(self, group: asyncio.TaskGroup) -> None:
        """Measure and watch, in tasks of `group`'s, and connect what is opened from now on."""
        self._group = group
        group.create_task(self._measure())
        group.create_task(self._look())

    def open(self, name: str, way: Way, settings: StreamSettings) -> None:
        """Connect a stream, and stay connected."""
        if self._watch is not None and settings.recorded:
            self._watch.begin(name)
        source = self._source(name, way)
        pulse = Pulse(source, self._clock, self._past(name))
        self._streams[name] = _Stream(name, settings, source, self._start(source), pulse)

    def close(self, name: str, by: str) -> None:
        """Let go of a stream that is not wanted any more."""
        stream = self._streams.pop(name)
        stream.task.cancel()
        if not any(camera_of(other) == camera_of(name) for other in self._streams):
            self._lockouts.pop(camera_of(name), None)
        if self._gate is not None:
            self._gate.forget(name)
        if self._watch is not None and stream.settings.recorded:
            self._watch.end(name, by)

    async def retry(self, name: str, way: Way) -> None:
        """Try again now what would wait, up to half a minute after a refused log-in."""
        stream = self._streams.get(name)
        if stream is not None and stream.source.state.state not in {"live", "frozen"}:
            await self.reconnect(name, way)
        elif stream is not None:
            self._lockout(name).reset()

    async def reconnect(self, name: str, way: Way) -> None:
        """Give up a connection for another one, to wherever `way` goes."""
        stream = self._streams[name]
        self._lockout(name).reset()
        task = stream.task
        task.cancel()
        await asyncio.wait([task])
        # Meanwhile it may have been closed, or opened again by another change.
        if self._streams.get(name) is stream and stream.task is task:
            stream.source = self._source(name, way)
            stream.task = self._start(stream.source)
            stream.pulse.moved(stream.source)

    def set(self, name: str, settings: StreamSettings, by: str = "") -> None:
        """Follow other settings from now on, as `by` wants."""
        stream = self._streams[name]
        before, stream.settings = stream.settings, settings
        if self._watch is None or before.recorded == settings.recorded:
            return
        if settings.recorded:
            self._watch.begin(name)
        else:
            self._watch.end(name, by)

    def settings(self, name: str) -> StreamSettings | None:
        """How a stream is recorded and kept, None if it is not open; from any thread."""
        stream = self._streams.get(name)
        return stream.settings if stream else None

    def priority(self, name: str) -> int:
        """Priority of a stream when the disk is behind, higher is kept longer; from any thread."""
        settings = self.settings(name)
        return settings.priority if settings else 0

    def terms(self, name: str) -> Terms:
        """For how long a stream is kept, as the settings say now; from any thread."""
        # One that a camera has no more is kept as its main stream is.
        settings = self.settings(name) or self.settings(stream_of(camera_of(name)))
        return settings.terms if settings else DEFAULT

    def plan_of(self, name: str) -> Plan:
        """When a stream is recorded, as the settings say now; from any thread."""
        settings = self.settings(name)
        return settings.plan if settings else ALWAYS

    def acknowledged(self, done: list[Acknowledged]) -> None:
        """Take what a power cut can no longer take; from any thread."""
        for one in done:
            stream = self._streams.get(one.stream)
            if stream:
                stream.recorded_until_us = one.until_us
        if self._watch is not None:
            self._watch.acknowledged(done)

    def event(self, camera: str, post_s: float | None) -> int:
        """Record what was just before, and what comes, of each stream of a camera.

        Returns:
            UTC microseconds until when.

        Raises:
            Rejected: ``plan.off``: none of them is to be recorded now.
        """
        assert self._gate is not None
        until_s: list[float] = []
        refused: list[Rejected] = []
        for name in self._streams:
            if camera_of(name) == camera:
                try:
                    until_s.append(self._gate.event(name, post_s))
                except Rejected as err:
                    refused.append(err)
        if not until_s:
            raise refused[0]
        return self._clock.wall_us() + round((max(until_s) - self._clock.monotonic_s()) * 1e6)

    def filmed(self, name: str) -> Filming | None:
        """Return who films a stream, None if nobody does."""
        stream = self._streams.get(name)
        source = stream.source if stream else None
        return source if isinstance(source, Filming) else None

    def counts(self) -> list[StreamCount]:
        """Return what is counted of every stream."""
        watch = self._watch
        return [
            StreamCount(
                name,
                it.source.state.state == "live",
                it.settings.recorded and watch is not None and watch.stopped(name) is None,
                it.recorded_until_us,
                it.source.tally.stats(),
                it.pulse.connections(),
                watch.gaps(name) if watch is not None else {},
                it.pulse.health,
                it.pulse.counters(),
                it.pulse.rates,
            )
            for name, it in self._streams.items()
        ]

    def behind(self) -> bool:
        """Whether the disk does not keep up."""
        unrecorded = self._unrecorded()
        return bool(unrecorded and unrecorded.cause == "behind")

    def spells(self) -> dict[str, tuple[Spell, ...]]:
        """Return what was the matter with each stream, the newest first."""
        return {name: stream.pulse.spells() for name, stream in self._streams.items()}

    def carried(self, name: str) -> Carried:
        """How a stream's packets come, or came last."""
        source = self._streams[name].source
        return source.carried if isinstance(source, Source) else NOT_CARRIED

    def report(self, name: str) -> StreamReport:
        """Return all there is to say of a stream that is open."""
        return self._streams[name].pulse.report()

    def state(self, name: str) -> StreamState:
        """Return how a stream that is open does."""
        stream = self._streams[name]
        seen = stream.source.state
        assert self._hub is not None
        tracks = self._hub.stream(name).config or ()
        video = next((track for track in tracks if track.kind == "video"), None)
        live = seen.state in {"live", "frozen"}
        gap = self._watch.stopped(name) if self._watch else None
        rates = stream.pulse.rates
        return StreamState(
            stream=name,
            state=seen.state,
            since_us=seen.since_us,
            code=seen.code,
            detail=seen.detail,
            codec=video.codec if video else "",
            width_px=video.width_px if video else 0,
            height_px=video.height_px if video else 0,
            fps=(rates.fps or 0.0) if live else 0.0,
            bitrate_bps=(rates.bitrate_bps or 0) if live else 0,
            recorded_until_us=stream.recorded_until_us,
            not_recorded=NotRecorded(gap.since_us, gap.reason.cause, gap.reason.code)
            if gap
            else None,
            recorded=stream.settings.recorded,
            health=stream.pulse.health,
            carried=self.carried(name) if live else NOT_CARRIED,
        )

    def look_at(self, name: str) -> None:
        """Notice at once what a change makes of the recording."""
        stream = self._streams.get(name)
        if stream is not None:
            self._look_at([stream])
            self._judge(stream, behind=self.behind())
            self._tell(camera_of(name))

    def _lockout(self, name: str) -> Lockout:
        return self._lockouts.setdefault(camera_of(name), Lockout(self._clock))

    def _start(self, source: Source | Filming) -> asyncio.Task[None]:
        assert self._group is not None
        return self._group.create_task(source.run())

    def _source(self, name: str, way: Way) -> Source | Filming:
        assert self._hub is not None
        called = camera_of(name) if which_of(name) == "main" else name
        stream, clock = self._hub.stream(name), self._clock

        def changed(_: Connection) -> None:
            self.look_at(name)

        if isinstance(way, Film):
            return FilmSource(called, way, stream, clock=clock, changed=changed)
        if isinstance(way, SubFilm):
            return SubSource(called, way, stream, clock=clock, changed=changed)
        lockout = self._lockout(name)
        return Source(called, way, stream, clock=clock, changed=changed, lockout=lockout)

    async def _look(self) -> None:
        """Notice which streams are no longer recorded, or are again."""
        while True:
            await beat(self._clock, _LOOK_S)
            for camera in dict.fromkeys(map(camera_of, self._look_at(self._streams.values()))):
                self._tell(camera)

    def _look_at(self, streams: Iterable[_Stream]) -> list[str]:
        if self._watch is None:
            return []
        unrecorded = self._unrecorded()
        return self._watch.look(
            {
                stream.name: self._planned(stream) or unrecorded or _reason(stream.source.state)
                for stream in streams
            }
        )

    def _planned(self, stream: _Stream) -> Reason | None:
        """A reason that is none to worry about."""
        wanted = self._gate is None or self._gate.wanted(stream.name)
        return None if wanted else Reason(PLANNED, sure=True)

    async def _measure(self) -> None:
        """Take every stream's counters, and judge by them."""
        while True:
            await beat(self._clock, _MEASURE_S)
            changed: dict[str, None] = {}
            behind = self.behind()
            for stream in self._streams.values():
                stream.pulse.measure(shape=self._shape(stream.name))
                if self._judge(stream, behind=behind):
                    changed[camera_of(stream.name)] = None
            for camera in changed:
                self._tell(camera)

    def _shape(self, name: str) -> object:
        """What the usual frame rate belongs to."""
        assert self._hub is not None
        tracks = self._hub.stream(name).config or ()
        return [(track.codec, track.width_px, track.height_px) for track in tracks[:1]]

    def _judge(self, stream: _Stream, *, behind: bool) -> bool:
        gap = self._watch.stopped(stream.name) if self._watch else None
        ours = gap is not None and gap.reason.cause not in {"camera", PLANNED}
        sub = self._streams.get(stream_of(camera_of(stream.name), "sub"))
        return stream.pulse.look(
            Seen(
                stream.source.state,
                planned=self._planned(stream) is None,
                recorded=stream.settings.recorded,
                stopped=(gap.reason.code or gap.reason.cause) if gap and ours else "",
                behind=behind and stream.settings.recorded,
                tolerate=stream.settings.tolerate,
                sub_lost=sub is not None
                and sub is not stream
                and sub.pulse.health.state in {"connecting", "lost"},
            )
        )


def _reason(seen: Connection) -> Reason | None:
    """What the camera lacks: while it is frozen, or cannot be carried whole, some may come."""
    if seen.state == "live":
        return None
    return Reason("camera", seen.code, sure=seen.state in {"lost", "refused"})
