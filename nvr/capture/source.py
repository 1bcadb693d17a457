"""Keeps one camera connected: tries again, says what is the matter, never ends by itself."""

import asyncio
import logging
import random
from collections.abc import Callable
from dataclasses import dataclass

from nvr.base.clock import TICKS_PER_S, Clock, beat
from nvr.base.errors import Damaged, NvrError, Unavailable
from nvr.base.log import event
from nvr.base.supervise import Backoff, first_end, supervise
from nvr.capture.line import Line
from nvr.capture.lockout import REFUSED, Lockout
from nvr.capture.rtsp import Call, Caller, failure, rtp_track
from nvr.capture.state import Connection, State, Stated
from nvr.capture.tally import Tally
from nvr.media.ports import Run, RunStats, Stream
from nvr.media.transport import NOT_CARRIED
from nvr.wire.rtsp_client import Client, Failed, Moved, Playing

_log = logging.getLogger(__name__)

_FIRST_LOOK_S = 0.25
_KEYLESS_GROUPS = 4
_KEYLESS_MOST_S = 600.0

_UNREACHABLE = Backoff(first_s=1.0, cap_s=3.0, stable_s=30.0, jitter=0.5)
_CONFUSED = Backoff(first_s=1.0, cap_s=15.0, factor=1.5, stable_s=30.0, jitter=0.3)
_CONFUSING = frozenset(
    {
        "camera.certificate",
        "camera.forbidden",
        "camera.no_tcp",
        "camera.no_tunnel",
        "camera.not_found",
        "camera.unsupported",
    }
)
"""A camera that starts may say so for some seconds; one that goes on must be set up otherwise."""


@dataclass(frozen=True, slots=True)
class Patience:
    """How long to wait for what.

    Attributes:
        frozen_s: Without a picture, packets or not: ``frozen``.
        silent_s: Without any packet: the connection is given up.
        stuck_s: Without a picture although packets come: the same.
        setless_s: With key frames but never what is needed to decode them: the same.
        keyless_s: With pictures of which none is a key frame: the same. Some cameras make one
            twice a minute, and all but these send one when they are asked to play.
        ceased_s: Without a key frame where there were some, and without four groups of pictures:
            the same.
        look_s: Between two looks at this, once pictures come; each wakes the box for every camera.
        unreachable: Waits between attempts: short, so that a camera is back within five seconds of
            its return, and never shorter than half a second, so that one that fails is not stormed.
        confused: Waits between attempts at what has to be set up otherwise.
        refused: Waits after a refused account. See `Lockout`.
    """

    frozen_s: float = 3.0
    silent_s: float = 4.5
    stuck_s: float = 15.0
    setless_s: float = 8.0
    keyless_s: float = 60.0
    ceased_s: float = 11.0
    look_s: float = 1.0
    unreachable: Backoff = _UNREACHABLE
    confused: Backoff = _CONFUSED
    refused: Backoff = REFUSED


class Source(Stated):
    """One camera: connects, watches, reconnects.

    Args:
        name: Camera name, for the log.
        caller: Opens its connections.
        stream: Where its packets go.
        clock: Time source.
        changed: Told of every new state, in the event loop.
        patience: See `Patience`.
        lockout: Of the account; all streams of a camera share one.
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
        lockout: Lockout | None = None,
    ) -> None:
        super().__init__(clock, changed)
        self.name = name
        self._caller = caller
        self._stream = stream
        self._patience = patience or Patience()
        self._lockout = lockout or Lockout(clock, self._patience.refused)
        self.tally = Tally(clock)
        self._codecs: list[str] = []
        self._longest_s = 0.0  # from one key frame to the next, of these codecs
        self._ceased_s = self._patience.ceased_s
        self.carried = NOT_CARRIED
        """How packets come, or came last."""

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
            await self._lockout.turn()
            started_s = self._clock.monotonic_s()
            self.tally.tries()
            error = await self._attempt()
            ran_s = self._clock.monotonic_s() - started_s
            failures = 1 if ran_s >= self._patience.unreachable.stable_s else failures + 1
            wait_s = self._wait_s(error, failures)
            event(
                _log,
                logging.INFO if failures == 1 else logging.DEBUG,
                "camera.failed",
                camera=self.name,
                code=error.code,
                detail=error.detail,
                ran_s=round(ran_s, 3),
                wait_s=round(wait_s, 3),
            )
            self.tally.waits(failures, wait_s)
            self._say(_state_of(error), error.code, _said(error, wait_s))
            if error.code != "camera.refused":
                await self._clock.sleep(wait_s)

    def _wait_s(self, error: NvrError, failures: int) -> float:
        if error.code == "camera.refused":
            return self._lockout.refused()
        confused = error.code in _CONFUSING
        backoff = self._patience.confused if confused else self._patience.unreachable
        # Jitter shortens: the cap is a promise, and cameras that went together come back apart.
        return backoff.wait_s(failures) * (1 - random.random() * backoff.jitter)  # noqa: S311 - spread

    async def _attempt(self) -> NvrError:
        """Connect and carry until it ends; returns why it did."""
        try:
            async with self._caller.call() as call:
                self._lockout.accepted()
                run = self._open_run(call)
                self.carried = call.carried
                has_sound = any(track.media.kind == "audio" for track in call.playing.tracks)
                self.tally.begins(run, has_sound=has_sound)
                try:
                    ended = await self._carry(call, run)
                    self._learn(call, run)
                    return ended
                finally:
                    try:
                        await run.close()
                    finally:
                        self.tally.ends()
        except NvrError as err:
            return err

    def _open_run(self, call: Call) -> Run:
        tracks = [rtp_track(track) for track in call.playing.tracks]
        codecs = [str(track.codec) for track in tracks]
        if codecs != self._codecs:
            self._codecs, self._ceased_s, self._longest_s = codecs, self._patience.ceased_s, 0.0
        line = call.line
        try:
            return self._stream.open_run(
                tracks, line.sock, call.playing.rest, call.datagrams, writes=line.writes
            )
        except NvrError:
            for sockets in call.datagrams.values():
                sockets.close()
            raise

    def _learn(self, call: Call, run: Run) -> None:
        """Remember how packets came, or that none did."""
        memory, way = self._caller.memory, call.carried.way
        if not way:
            return
        if run.stats().packets:
            memory.worked(way, secure=self._caller.secure)
        else:
            memory.failed(way, "silent", secure=self._caller.secure)

    async def _carry(self, call: Call, run: Run) -> NvrError:
        line, client = call.line, call.client
        bodies = [self._converse(line, client, run), self._watch(client, line, call.playing, run)]
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
        if ended.code == "camera.lost" and client.unanswered:
            self._caller.memory.hung_up(client.unanswered)
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
                if isinstance(found, Moved):
                    self._caller.memory.moved_to = found.url
                    raise Unavailable("camera.lost", "the camera sends us to another address")
            await self._send(line, run, client.to_send())

    async def _send(self, line: Line, run: Run, data: bytes) -> None:
        if data and line.writes:
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
        began_s = moved_s = self._clock.monotonic_s()
        packets_s = moved_s
        pictures = packets = 0
        has_video = any(track.media.kind == "video" for track in playing.tracks)
        while True:
            await beat(self._clock, self._patience.look_s if pictures else _FIRST_LOOK_S)
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
            self._keys_cease(stats, now_s)
            passed_over = stats.keyless + stats.setless + stats.fields > 0
            passed_over = passed_over and has_video and not pictures
            if passed_over:
                self._not_begun(stats, now_s - began_s)
            elif now_s - moved_s >= self._patience.stuck_s:
                raise Unavailable("camera.frozen", "the camera sends no pictures any more")
            if pictures and now_s - moved_s >= self._patience.frozen_s:
                self._say("frozen", "camera.frozen", "no picture since the last one")

    def _keys_cease(self, stats: RunStats, now_s: float) -> None:
        """Another codec under the same connection still looks like pictures, but for key frames.

        So do those of a camera that makes its groups longer where nothing moves: each time that was
        not the reason we wait three times as long for the next.
        """
        self._longest_s = max(self._longest_s, stats.gop_90k / TICKS_PER_S)
        most_s = max(self._ceased_s, _KEYLESS_GROUPS * self._longest_s)
        if stats.keys > 1 and now_s - stats.last_key_s >= most_s:
            self._ceased_s = min(_KEYLESS_MOST_S, 3 * self._ceased_s)
            raise Unavailable("camera.no_key_frames", "the camera sends no key frames any more")

    def _not_begun(self, stats: RunStats, for_s: float) -> None:
        """Pictures come, and recording cannot begin with any of them."""
        if stats.fields:
            why = "its JPEGs are fields, every other line of a picture, which nothing here joins"
            raise Damaged("camera.interlaced", why)
        if stats.setless and for_s >= self._patience.setless_s:
            why = "it never sends what decoding needs (SPS and PPS, or tables of JPEG)"
            raise Damaged("camera.no_parameter_sets", why)
        if for_s >= self._patience.keyless_s:
            raise Unavailable("camera.frozen", "the camera sends no key frames")
        if for_s >= self._patience.frozen_s:
            self._say("connecting", "camera.no_key_frames", "no key frame came yet")

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


def _said(error: NvrError, wait_s: float) -> str:
    if error.code != "camera.refused" or wait_s < 60:
        return error.detail
    return f"{error.detail}; tried again in {wait_s / 60:.0f} min, lest the camera lock us out"


def _state_of(error: NvrError) -> State:
    match error.code:
        case "camera.refused":
            return "refused"
        case "camera.unsupported" | "camera.interlaced":
            return "unsupported"
    return "lost"
