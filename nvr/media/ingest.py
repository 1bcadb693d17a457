"""The ingest thread: reads every camera's socket in ticks and makes parts of what they say.

Cameras are not read whenever a packet arrives. Every 80 ms (20 while somebody watches live, 100
when nobody takes anything live) one C call drains all sockets with the GIL released; Python sees
whole parts. Every half second, at the same tick for all streams, open parts close, so that the disk
is flushed once for all of them. Others talk to the thread through commands (a queue and an eventfd)
and hear of it through `Mailbox`; a stall of the event loop never stops ingest.
"""

import asyncio
import collections
import math
import os
import threading
from collections.abc import Callable
from typing import Any

from nvr._native import Engine
from nvr.base.clock import TICKS_PER_S, Clock
from nvr.base.errors import Damaged, Unavailable
from nvr.media.live import Mailbox
from nvr.media.part import Fragment, Part, Portion
from nvr.media.ports import PartSink
from nvr.media.replay import Replay
from nvr.media.source import IngestRun, IngestStream

_MESSAGE, _CLOSED, _CONFIG, _PART, _LIVE, _PORTION = range(6)
_SEQUENCE_OFFSET = 20
_PART_S = 0.5
_WATCHED_MS = 20
_RELAYED_MS = 80
_PROMPT_MS = 40
_IDLE_MS = 100
_CAMERA_CLOCK_US = 1_000_000
"""A camera's clock is believed if it puts a picture at most this long before its arrival."""
_DOUBTED_PARTS = 120
"""Once it has not, it must for about a minute, or at the edge the time would go back and forth."""

UNKNOWN_MS = 0xFFFFFFFF
"""Uncertainty of a wall clock that was never set."""


def _never_set() -> int:
    return UNKNOWN_MS


class Ingest:
    """The thread and its streams. See `Hub`.

    Args:
        sink: Takes the parts of each tick, in the ingest thread.
        clock: Monotonic time for the ticks, wall time for the stamps.
        uncertainty_ms: How far the wall clock may be off now.

    Made inside the running event loop that `Run.message` and watchers are served in.
    """

    def __init__(
        self,
        sink: PartSink,
        clock: Clock,
        uncertainty_ms: Callable[[], int] = _never_set,
    ) -> None:
        self._sink = sink
        self._clock = clock
        self._uncertainty_ms = uncertainty_ms
        self._loop = asyncio.get_running_loop()
        self.mailbox = Mailbox(self._loop)
        self._streams: dict[str, IngestStream] = {}
        self._runs: list[IngestRun] = []
        self._commands: collections.deque[Callable[[], None]] = collections.deque()
        self._wake_fd = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
        self.engine = Engine(self._wake_fd)
        self._tick_ms = -1
        self._ending: collections.deque[IngestRun] = collections.deque()
        self._lock = threading.Lock()
        self._ended = False
        self._stopping = False
        self._done = False
        self._parts: list[Part] = []
        self.now_s = clock.monotonic_s()

    @property
    def prompt(self) -> bool:
        """Sockets are read when they are readable, not at the next tick."""
        return self._tick_ms == 0

    @property
    def now_90k(self) -> int:
        """Monotonic time of the current tick."""
        return int(self.now_s * TICKS_PER_S)

    def stream(self, name: str) -> IngestStream:  # noqa: D102 - see Hub
        if name not in self._streams:
            # Readers in the ingest thread see the old or the new dict, never one that changes.
            self._streams = {**self._streams, name: IngestStream(self, name)}
        return self._streams[name]

    def names(self) -> tuple[str, ...]:  # noqa: D102 - see Hub
        return tuple(self._streams)

    def set_tick(self, tick_ms: int) -> None:
        """Fix the tick; -1 chooses it by who watches, 0 reads sockets once readable."""
        self.command(lambda: self._set_tick(tick_ms))

    def command(self, call: Callable[[], None]) -> None:
        """Run `call` in the ingest thread soon; at once if that has ended. From any thread."""
        with self._lock:
            if not self._done:
                self._commands.append(call)
                os.eventfd_write(self._wake_fd, 1)
                return
        call()
        self._hand_over()

    async def run(self) -> None:
        """Run the thread until cancelled; then every open part is cut and delivered.

        Raises:
            Exception: What ended the thread, which is a bug.
        """
        ended: asyncio.Future[BaseException | None] = self._loop.create_future()
        thread = threading.Thread(target=self._thread, args=(ended,), name="ingest")
        thread.start()
        try:
            failure = await asyncio.shield(ended)
        finally:
            self._stopping = True
            os.eventfd_write(self._wake_fd, 1)
            thread.join()
            with self._lock:
                self._done = True
                os.close(self._wake_fd)
            self._obey()
            self._hand_over()
        if failure is not None:
            raise failure

    # The ingest thread.

    def _thread(self, ended: "asyncio.Future[BaseException | None]") -> None:
        failure: BaseException | None = None
        try:
            self._loop_ticks()
        except BaseException as err:  # noqa: BLE001 - carried to run(), which raises it
            failure = err
        self.mailbox.flush()
        if not self._loop.is_closed():
            self._loop.call_soon_threadsafe(
                lambda: None if ended.done() else ended.set_result(failure)
            )

    def _loop_ticks(self) -> None:
        next_s = cut_s = 0.0
        while not self._stopping:
            done, next_s = self._sleep(next_s, cut_s)
            self.now_s = now_s = self._clock.monotonic_s()
            self._obey()
            tick_s = self._current_tick_s()
            next_s = min(next_s, now_s + tick_s)
            if now_s >= next_s:
                # On multiples of the tick, so that parts close in step and wake-ups are shared.
                next_s = (math.floor(now_s / tick_s) + 1) * tick_s
                for run in self._runs:
                    if run.sock is None:
                        run.take_fed()
                cut = now_s >= cut_s
                if cut:
                    cut_s = (math.floor(now_s / _PART_S) + 1) * _PART_S
                self._tick(read=True, cut=cut)
            elif done:
                self.collect()
            self._hand_over()
        for run in list(self._runs):
            run.end()
        self._hand_over()

    def _sleep(self, next_s: float, cut_s: float) -> tuple[bool, float]:
        """Sleep and tick without Python until there is something for it, at the latest `cut_s`."""
        fed = any(run.sock is None for run in self._runs)
        tick_s = 0.0 if fed else self._current_tick_s()
        return self.engine.wait(self._clock.monotonic_s(), next_s, tick_s, cut_s)

    def _obey(self) -> None:
        while self._commands:
            self._commands.popleft()()

    def _current_tick_s(self) -> float:
        if self._tick_ms > 0:
            return self._tick_ms / 1000
        tick_ms = _IDLE_MS if self._tick_ms else _PROMPT_MS
        if any(run.hasty for run in self._runs):
            return _WATCHED_MS / 1000
        for stream in self._streams.values():
            if stream.watchers:
                return _WATCHED_MS / 1000
            if stream.relays or stream.takers:
                tick_ms = min(tick_ms, _RELAYED_MS)
        return tick_ms / 1000

    def _set_tick(self, tick_ms: int) -> None:
        self._tick_ms = tick_ms
        for run in self._runs:
            if run.session:
                self.engine.prompt(run.session, self.prompt)

    def opened(self, run: IngestRun) -> None:
        """Take `run` into the ticks."""
        self._runs.append(run)
        if run.session:
            self.engine.prompt(run.session, self.prompt)

    def end_soon(self, run: IngestRun) -> None:
        """End `run` when what it has completed so far is taken."""
        self._ending.append(run)

    def placed(self, replay: Replay) -> tuple[int, int]:
        """Return a time by the clock of a replay, and the tick at which it was."""
        ago_us = self._clock.wall_us() + replay.ahead_us - replay.from_us
        return replay.from_us, self.now_90k - ago_us * TICKS_PER_S // 1_000_000

    def forget(self, run: IngestRun) -> None:
        """Take `run`, which has ended, out of the ticks."""
        self._ended = True
        if run.session is not None:
            self.engine.remove(run.session)

    def collect(self) -> None:
        """Take what sessions have completed without reading any socket."""
        self._tick(read=False, cut=False)

    def _tick(self, *, read: bool, cut: bool) -> None:
        found = self.engine.tick(self.now_90k, read, cut)
        has_parts = any(item[0] == _PART for item in found)
        uncertainty_ms = self._uncertainty_ms() if has_parts else UNKNOWN_MS
        touched: dict[IngestRun, None] = {}
        for item in found:
            run: IngestRun = item[1]
            kind = item[0]
            if kind == _PART:
                self._take_part(run, item, uncertainty_ms)
            elif kind == _LIVE:
                _, _, data, key, start_90k, track = item
                run.stream.take_live(Fragment(data, bool(key), start_90k, self.now_s, track))
                touched[run] = None
            elif kind == _PORTION:
                self._take_portion(run, item)
            elif kind == _MESSAGE:
                run.take_message(item[2])
            elif kind == _CONFIG:
                run.stream.take_config(run, item[2])
            else:
                self._take_end(run, item[2])
        for run in touched:
            run.stream.deliver(run)

    def _take_part(self, run: IngestRun, item: tuple[Any, ...], uncertainty_ms: int) -> None:
        (_, _, moof, mdat, offsets, start_90k, duration_90k, lead_90k, camera_us) = item[:9]
        key, ends_gop, samples, damaged = item[9:]
        if run.config is None:
            return
        wall_us = self._arrived_us(start_90k, lead_90k)
        if run.replay is not None:
            taken_us = run.replay.ours(camera_us)
            if taken_us is None:
                return
            wall_us = taken_us
            uncertainty_ms = max(uncertainty_ms, run.replay.uncertainty_ms)
        elif camera_us and not 0 <= wall_us - camera_us <= _CAMERA_CLOCK_US:
            run.doubted_parts = _DOUBTED_PARTS
        elif camera_us and run.doubted_parts:
            run.doubted_parts -= 1
        elif camera_us:
            wall_us = camera_us
        part = Part(
            run.stream.name, run.number, run.config, moof, mdat, offsets, _SEQUENCE_OFFSET,
            start_90k, duration_90k, wall_us, uncertainty_ms, bool(key), samples, damaged,
        )  # fmt: skip
        run.stream.take_part(part, bool(ends_gop))
        self._parts.append(part)

    def _arrived_us(self, start_90k: int, lead_90k: int) -> int:
        """When what is at a place of the line came; that lies `lead` ahead of its own arrival."""
        since_us = (start_90k - lead_90k - self.now_90k) * 1_000_000 // TICKS_PER_S
        return self._clock.wall_us() + since_us

    def _take_portion(self, run: IngestRun, item: tuple[Any, ...]) -> None:
        _, _, data, start_90k, duration_90k, lead_90k, camera_us, key, ends = item
        wall_us = self._arrived_us(start_90k, lead_90k)
        if not run.doubted_parts and 0 <= wall_us - camera_us <= _CAMERA_CLOCK_US:
            wall_us = camera_us
        portion = Portion(run.number, data, start_90k, duration_90k, wall_us, bool(key), bool(ends))
        run.stream.take_portion(run, portion)

    def _take_end(self, run: IngestRun, error: int) -> None:
        name = run.stream.name
        if error < 0:
            run.fail(Damaged("camera.garbage", "neither RTSP nor RTP came", stream=name))
        elif error:
            run.fail(Unavailable("camera.lost", os.strerror(error), stream=name))
        else:
            run.fail(Unavailable("camera.lost", "the peer closed the connection", stream=name))

    def _hand_over(self) -> None:
        while self._ending:
            self._ending.popleft().end()
        if self._ended:
            self._ended = False
            self._runs = [run for run in self._runs if not run.ended]
        if self._parts:
            parts, self._parts = self._parts, []
            self._sink(parts)
        self.mailbox.flush()
