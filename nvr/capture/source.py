"""Keeps one camera connected: tries again, says what is the matter, never ends by itself."""

import asyncio
import logging
import random
from collections.abc import Callable
from dataclasses import dataclass

from nvr.base.clock import Clock
from nvr.base.errors import NvrError, Unavailable
from nvr.base.log import event
from nvr.base.supervise import Backoff, first_end, supervise
from nvr.capture.rtsp import Caller, Line, failure, rtp_track
from nvr.capture.state import Connection, State
from nvr.media.ports import Run, RunStats, Stream
from nvr.wire.rtsp_session import Client, Failed, Playing

_log = logging.getLogger(__name__)

_FIRST_LOOK_S = 0.25

_UNREACHABLE = Backoff(first_s=1.0, cap_s=4.0, stable_s=30.0, jitter=0.5)
_REFUSED = Backoff(first_s=30.0, cap_s=30.0, stable_s=30.0, jitter=0.1)


@dataclass(frozen=True, slots=True)
class Patience:
    """How long to wait for what.

    Attributes:
        frozen_s: Without a picture, packets or not: ``frozen``.
        silent_s: Without any packet: the connection is given up.
        stuck_s: Without a picture although packets come: the same.
        look_s: Between two looks at this, once pictures come; each wakes the box for every camera.
        unreachable: Waits between attempts.
        refused: Waits after a refused account; cameras lock accounts that try often.
    """

    frozen_s: float = 3.0
    silent_s: float = 4.5
    stuck_s: float = 15.0
    look_s: float = 1.0
    unreachable: Backoff = _UNREACHABLE
    refused: Backoff = _REFUSED


class Source:
    """One camera: connects, watches, reconnects.

    Args:
        name: Camera name, for the log.
        caller: Opens its connections.
        stream: Where its packets go.
        clock: Time source.
        changed: Told of every new state, in the event loop.
        patience: See `Patience`.
    """

    def __init__(
        self,
        name: str,
        caller: Caller,
        stream: Stream,
        *,
        clock: Clock,
        changed: Callable[[Connection], None] | None = None,
        patience: Patience | None = None,
    ) -> None:
        self.name = name
        self._caller = caller
        self._stream = stream
        self._clock = clock
        self._changed = changed
        self._patience = patience or Patience()
        self._run: Run | None = None
        self.state = Connection("connecting", clock.wall_us())

    def stats(self) -> RunStats | None:
        """Counters of the run now open, None if there is none."""
        return self._run.stats() if self._run else None

    async def run(self) -> None:
        """Stay connected until cancelled; nothing a camera does ends this."""
        await supervise(
            f"capture/{self.name}",
            self._try_for_ever,
            clock=self._clock,
            backoff=self._patience.unreachable,
            failed=lambda error, _wait_s: self._say("lost", error.code, error.detail),
        )

    async def _try_for_ever(self) -> None:
        failures = 0
        while True:
            started_s = self._clock.monotonic_s()
            error = await self._attempt()
            ran_s = self._clock.monotonic_s() - started_s
            failures = 1 if ran_s >= self._patience.unreachable.stable_s else failures + 1
            wait_s = self._wait_s(error, failures)
            event(
                _log,
                logging.WARNING if failures == 1 else logging.DEBUG,
                "camera.failed",
                camera=self.name,
                code=error.code,
                detail=error.detail,
                ran_s=round(ran_s, 3),
                wait_s=round(wait_s, 3),
            )
            self._say(_state_of(error), error.code, error.detail)
            await self._clock.sleep(wait_s)

    def _wait_s(self, error: NvrError, failures: int) -> float:
        refused = error.code == "camera.refused"
        backoff = self._patience.refused if refused else self._patience.unreachable
        # Jitter shortens: the cap is a promise, and cameras that went together come back apart.
        return backoff.wait_s(failures) * (1 - random.random() * backoff.jitter)  # noqa: S311 - spread

    async def _attempt(self) -> NvrError:
        """Connect and carry until it ends; returns why it did."""
        try:
            async with self._caller.call() as (line, client, playing):
                tracks = [rtp_track(track) for track in playing.tracks]
                run = self._stream.open_run(tracks, line.sock, playing.rest)
                self._run = run
                try:
                    return await self._carry(line, client, playing, run)
                finally:
                    self._run = None
                    await run.close()
        except NvrError as err:
            return err

    async def _carry(self, line: Line, client: Client, playing: Playing, run: Run) -> NvrError:
        bodies = [self._converse(line, client, run), self._watch(client, line, playing, run)]
        if line.sock is None:
            bodies.append(self._feed(line, run))
        try:
            await first_end(*bodies)
        except NvrError as err:
            ended = err
        except OSError as err:
            ended = Unavailable("camera.lost", str(err))
        else:
            ended = Unavailable("camera.lost", "the connection ended")
        client.close()
        if goodbye := client.to_send():
            await self._send(line, run, goodbye)
        return ended

    async def _converse(self, line: Line, client: Client, run: Run) -> None:
        """Answer what the camera says between its packets."""
        while True:
            client.receive(await run.message(), self._clock.monotonic_s())
            while found := client.next_event():
                if isinstance(found, Failed):
                    raise failure(found)
            await self._send(line, run, client.to_send())

    async def _send(self, line: Line, run: Run, data: bytes) -> None:
        if data and line.sock is not None:
            run.send(data)
        elif data:
            try:
                async with asyncio.timeout(self._patience.silent_s):
                    await line.write(data)
            except (OSError, TimeoutError) as err:
                raise Unavailable("camera.lost", "the camera takes nothing any more") from err

    async def _feed(self, line: Line, run: Run) -> None:
        while data := await line.read():
            run.feed(data)
        raise Unavailable("camera.lost", "the camera closed the connection")

    async def _watch(self, client: Client, line: Line, playing: Playing, run: Run) -> None:
        """Keep the session alive, notice silence, say what is the matter."""
        moved_s = self._clock.monotonic_s()
        packets_s = moved_s
        pictures = packets = 0
        has_video = any(track.media.kind == "video" for track in playing.tracks)
        while True:
            await self._clock.sleep(self._patience.look_s if pictures else _FIRST_LOOK_S)
            now_s = self._clock.monotonic_s()
            client.wake(now_s)
            await self._send(line, run, client.to_send())
            stats = run.stats()
            if stats.packets != packets:
                packets, packets_s = stats.packets, now_s
            seen = stats.frames if has_video else stats.packets
            if seen != pictures:
                pictures, moved_s = seen, now_s
                self._say_playing(playing)
            if now_s - packets_s >= self._patience.silent_s:
                raise Unavailable("camera.silent", "the camera sends nothing any more")
            if now_s - moved_s >= self._patience.stuck_s:
                raise Unavailable("camera.frozen", "the camera sends no pictures any more")
            if pictures and now_s - moved_s >= self._patience.frozen_s:
                self._say("frozen", "camera.frozen", "no picture since the last one")

    def _say_playing(self, playing: Playing) -> None:
        kinds = {track.media.kind for track in playing.tracks}
        skipped = ", ".join(playing.skipped)
        if "video" not in kinds and skipped:
            detail = f"the camera's {skipped} cannot be carried, only its sound is recorded"
            self._say("unsupported", "camera.unsupported", detail)
        elif skipped:
            self._say("live", "camera.sound_unsupported", f"the sound ({skipped}) is left out")
        else:
            self._say("live", "", "")

    def _say(self, state: State, code: str, detail: str) -> None:
        same = state == self.state.state
        if same and code == self.state.code:
            return
        since_us = self.state.since_us if same else self._clock.wall_us()
        self.state = Connection(state, since_us, code, detail)
        if self._changed:
            self._changed(self.state)


def _state_of(error: NvrError) -> State:
    match error.code:
        case "camera.refused":
            return "refused"
        case "camera.unsupported":
            return "unsupported"
    return "lost"
