"""What main and sub stream of a local camera have in common: tried for ever, watched, measured.

Both come from one process, over a socket each; which ends what, `nvr.capture.film` and
`nvr.capture.film_sub` say.
"""

import asyncio
import logging
import socket
from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Final

from nvr.base.clock import Clock, beat
from nvr.base.errors import NvrError, Unavailable
from nvr.base.log import event
from nvr.base.supervise import Backoff, first_end, supervise
from nvr.capture.state import Connection, State, Stated
from nvr.capture.tally import Tally
from nvr.media.film import (
    PAYLOAD_TYPE,
    SOUND_CHANNEL,
    SOUND_TYPE,
    Began,
    Condition,
    Refused,
    Wish,
    Work,
)
from nvr.media.ports import Run, Stream
from nvr.media.track import RtpTrack
from nvr.wire import aac

_log = logging.getLogger(__name__)

_FROZEN_S: Final = 3.0
_SILENT_S: Final = 6.0
_LOOK_S: Final = 1.0
_FIRST_LOOK_S: Final = 0.1
_RETRY: Final = Backoff(first_s=0.5, cap_s=4.0, stable_s=30.0)
_LACKS: Final = {
    "camera.no_signal": "nothing comes in at its input",
    "camera.no_power": "its input has no power",
}


class Filming(Stated, ABC):
    """One stream of a local camera. Meets its owner as `nvr.capture.source.Source` does.

    Args:
        name: Name for the log: the camera's, or the stream's.
        stream: Where its packets go.
        clock: Time source.
        changed: Told of every new state, in the event loop.

    Attributes:
        tally: What it carried.
        loop: Where it runs.
        began: What is made, None while nothing is.
        wish: How.
        work: What that has cost so far.
    """

    def __init__(
        self,
        name: str,
        stream: Stream,
        clock: Clock,
        changed: Callable[[Connection], None] | None = None,
    ) -> None:
        super().__init__(clock, changed)
        self.name = name
        self._stream = stream
        self._error: NvrError | None = None
        self._again = asyncio.Event()
        self.tally = Tally(clock)
        self.loop: asyncio.AbstractEventLoop | None = None
        self.began: Began | None = None
        self.wish: Wish | None = None
        self.work: Work | None = None

    @abstractmethod
    async def _attempt(self) -> NvrError:
        """Film until it ends; returns why it did."""

    @abstractmethod
    def retarget(self, wish: Wish) -> None:
        """Encode otherwise from the next picture on, if it is filmed now."""

    @abstractmethod
    def _condition(self) -> Condition | None:
        """What the source lacks."""

    def again(self) -> None:
        """Begin anew, with what is to be wished for then."""
        self._again.set()

    async def run(self) -> None:
        """Film until cancelled; nothing a device or a driver does ends this."""
        self.loop = asyncio.get_running_loop()
        await supervise(
            f"capture/{self.name}",
            self._try_for_ever,
            clock=self._clock,
            backoff=_RETRY,
            failed=lambda error, _wait_s: self._say("lost", error.code, error.detail),
        )

    async def _try_for_ever(self) -> None:
        failures = 0
        while True:
            started_s = self._clock.monotonic_s()
            self.tally.tries()
            self._error = await self._attempt()
            ran_s = self._clock.monotonic_s() - started_s
            failures = 1 if ran_s >= _RETRY.stable_s else failures + 1
            wait_s = _RETRY.wait_s(failures)
            event(
                _log,
                logging.INFO if failures == 1 else logging.DEBUG,
                "camera.failed",
                camera=self.name,
                code=self._error.code,
                detail=self._error.detail,
                ran_s=round(ran_s, 3),
                wait_s=round(wait_s, 3),
            )
            self.tally.waits(failures, wait_s)
            unsupported = self._error.code == "camera.unsupported"
            state: State = "unsupported" if unsupported else "lost"
            self._say(state, self._error.code, self._error.detail)
            await self._clock.sleep(wait_s)

    async def _told(self) -> None:
        self._again.clear()
        await self._again.wait()
        raise Unavailable("film.changed", "it begins anew with another encoder")

    async def _carry(self, began: Began, ours: socket.socket) -> None:
        """Take pictures until they end. Raises what ended them."""
        sets = tuple(map(bytes.fromhex, began.parameter_sets))
        tracks = [RtpTrack("video", began.codec, 90_000, PAYLOAD_TYPE, 0, parameter_sets=sets)]
        if began.sound:
            config = bytes.fromhex(began.sound)
            heard = aac.parse(config)
            tracks.append(
                RtpTrack(
                    "audio", "aac", heard.rate_hz, SOUND_TYPE, SOUND_CHANNEL,
                    channels=heard.channels, config=config,
                )
            )  # fmt: skip
        ours.setblocking(False)
        run = self._stream.open_run(tracks, ours)
        self.tally.begins(run, has_sound=bool(began.sound or began.sound_code))
        try:
            await first_end(self._gone(run), self._look(run))
        finally:
            try:
                await run.close()
            finally:
                self.tally.ends()

    def _deaf(self) -> str:
        """Code that goes with pictures whose sound is missing."""
        return "camera.sound_missing" if self.began and self.began.sound_code else ""

    def _refused(self, found: Refused) -> None:
        event(
            _log,
            logging.WARNING,
            "film.refused",
            camera=self.name,
            code=found.code,
            detail=found.detail,
        )

    async def _gone(self, run: Run) -> None:
        """Raise what ends the run; the process has nothing to say on that line."""
        while True:
            await run.message()

    async def _look(self, run: Run) -> None:
        moved_s = self._clock.monotonic_s()
        frames = 0
        while True:
            await beat(self._clock, _LOOK_S if frames else _FIRST_LOOK_S)
            now_s = self._clock.monotonic_s()
            seen = run.stats().frames
            condition = self._condition()
            lack = condition.code if condition else ""
            if lack and condition and not condition.pictures:
                moved_s = now_s
                self._say("frozen", lack, _LACKS.get(lack, ""))
            elif seen != frames:
                frames, moved_s = seen, now_s
                self._say("live", lack or self._deaf(), _LACKS.get(lack, ""))
            elif now_s - moved_s >= _SILENT_S:
                raise Unavailable("camera.silent", "no picture comes any more")
            elif frames and now_s - moved_s >= _FROZEN_S:
                self._say("frozen", "camera.frozen", "no picture since the last one")
