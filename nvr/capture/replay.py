"""Fetches a stretch of what a camera recorded by itself, at a limited rate.

The camera sends as fast as it is read, so reading slowly is what limits it: TCP does the rest. What
is read goes the same way as live pictures do, through a session of the ingest thread.
"""

import asyncio
from collections.abc import Callable
from contextlib import suppress

from nvr.base.clock import Clock
from nvr.base.errors import NvrError, Unavailable
from nvr.base.supervise import first_end
from nvr.capture.line import Line
from nvr.capture.rtsp import Caller, failure, rtp_track
from nvr.media.ports import Run, RunStats, Stream
from nvr.media.replay import Replay
from nvr.wire.rtsp_client import Client, Failed

SILENT_S = 15.0
LOOK_S = 0.25
SEND_S = 10.0
_BUSY_S = 0.5


class Pace:
    """How fast may be read.

    Args:
        bytes_per_s: At most, over time.
        clock: Time source.
        busy: Something more important needs the disk: nothing is read meanwhile.
    """

    def __init__(self, bytes_per_s: float, clock: Clock, busy: Callable[[], bool]) -> None:
        self._bytes_per_s = bytes_per_s
        self._clock = clock
        self._busy = busy
        self._next_s = clock.monotonic_s()

    async def turn(self) -> None:
        """Wait until more may be read."""
        while self._busy():
            await self._clock.sleep(_BUSY_S)
        now_s = self._clock.monotonic_s()
        if self._next_s > now_s:
            await self._clock.sleep(self._next_s - now_s)

    def spend(self, size: int) -> None:
        """Note that `size` bytes were read; what was not used before is not saved up."""
        now_s = self._clock.monotonic_s()
        self._next_s = max(self._next_s, now_s) + size / self._bytes_per_s


class _Fetch:
    def __init__(self, line: Line, client: Client, run: Run, pace: Pace, clock: Clock) -> None:
        self._line = line
        self._client = client
        self._run = run
        self._pace = pace
        self._clock = clock

    async def carry(self, to_us: int) -> None:
        """Carry until the camera has sent what it has, up to a time, or says nothing more."""
        await first_end(self._feed(), self._converse(), self._watch(to_us))

    async def _feed(self) -> None:
        while True:
            await self._pace.turn()
            try:
                async with asyncio.timeout(SILENT_S):
                    data = await self._line.read()
            except TimeoutError:
                return
            except OSError as err:
                raise Unavailable("camera.lost", str(err)) from err
            if not data:
                raise Unavailable("camera.lost", "the camera closed the connection")
            self._pace.spend(len(data))
            self._run.feed(data)

    async def _converse(self) -> None:
        while True:
            self._client.receive(await self._run.message(), self._clock.monotonic_s())
            while found := self._client.next_event():
                if isinstance(found, Failed):
                    raise failure(found)
            await self._send()

    async def _watch(self, to_us: int) -> None:
        """Keep the session alive, and end when the camera has sent what was asked for."""
        while True:
            await self._clock.sleep(LOOK_S)
            self._client.wake(self._clock.monotonic_s())
            await self._send()
            stats = self._run.stats()
            if stats.replayed or stats.ntp_us >= to_us:
                return

    async def _send(self) -> None:
        if data := self._client.to_send():
            try:
                async with asyncio.timeout(SEND_S):
                    await self._line.write(data)
            except (OSError, TimeoutError) as err:
                raise Unavailable("camera.lost", "the camera takes nothing any more") from err

    async def bye(self) -> None:
        """Tell the camera that it is over, if it still listens."""
        self._client.close()
        with suppress(NvrError):
            await self._send()


async def fetch(
    caller: Caller,
    url: str,
    stream: Stream,
    replay: Replay,
    pace: Pace,
    clock: Clock,
    begun: Callable[[Run], None] = lambda _: None,
) -> RunStats:
    """Fetch a stretch; what comes is recorded as `stream`.

    Args:
        caller: Reaches the camera.
        url: Where it said that recording can be had.
        stream: Takes it.
        replay: Which stretch.
        pace: How fast.
        clock: Time source.
        begun: Told of the run, to look at what it counts.

    Returns:
        What was counted; all that the camera has of it came.

    Raises:
        NvrError: As `Caller.replay`; ``camera.lost``: it broke off.
    """
    to_us = replay.to_us + replay.ahead_us
    async with caller.replay(url, (replay.from_us, to_us)) as (line, client, playing):
        tracks = [rtp_track(track) for track in playing.tracks]
        run = stream.open_run(tracks, None, playing.rest, replay=replay)
        begun(run)
        at_it = _Fetch(line, client, run, pace, clock)
        try:
            await at_it.carry(to_us)
            return run.stats()
        finally:
            try:
                await at_it.bye()
            finally:
                await run.close()
