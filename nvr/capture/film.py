"""Keeps one local camera filmed, by a process that captures, burns and encodes.

Its pictures come over a socket pair that the ingest thread reads as it reads a network camera's;
its reports come here. See `nvr.media.film` for what is said.
"""

import asyncio
import itertools
import logging
import socket
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Final

from nvr.base.clock import Clock
from nvr.base.errors import Damaged, NvrError, Rejected, Unavailable
from nvr.base.log import event
from nvr.base.program import Program
from nvr.base.supervise import Backoff, first_end, supervise
from nvr.capture.state import Connection, State
from nvr.capture.tally import Tally
from nvr.media.camera import CaptionText
from nvr.media.device import Capture
from nvr.media.film import (
    LINE_BYTES,
    PAYLOAD_TYPE,
    SOUND_CHANNEL,
    SOUND_TYPE,
    Began,
    Begin,
    Caption,
    Condition,
    Failed,
    Hide,
    Key,
    Lacking,
    Order,
    Refused,
    Report,
    Retarget,
    Wish,
    Work,
    line,
    report,
)
from nvr.media.mask import Masks
from nvr.media.ports import Run, Stream
from nvr.media.track import RtpTrack
from nvr.wire import aac

_log = logging.getLogger(__name__)

_START_S: Final = 30.0
_FROZEN_S: Final = 3.0
_SILENT_S: Final = 6.0
_LOOK_S: Final = 1.0
_FIRST_LOOK_S: Final = 0.1
_END_S: Final = 2.0
_ANSWER_S: Final = 5.0
_RETRY: Final = Backoff(first_s=0.5, cap_s=4.0, stable_s=30.0)
_LACKS: Final = {
    "camera.no_signal": "nothing comes in at its input",
    "camera.no_power": "its input has no power",
}


@dataclass(frozen=True, slots=True)
class Film:
    """What is filmed, and how it is to be done the next time it is begun.

    Attributes:
        url: The camera's address.
        wish: How to encode; asked at each start, and told with what error the last one ended, None
            the first time. May raise an `NvrError` if there is no encoder for it now.
        caption: What is burned in.
        module: The program.
        capture: How a device of this box is to be used.
        masks: What is hidden of its pictures.
        there: Waits until the device is worth opening, and raises nothing; the process is loaded
            meanwhile, and idle.
        began: Told of each beginning.
    """

    url: str
    wish: Callable[[NvrError | None], Awaitable[Wish]]
    caption: Callable[[], CaptionText | None] = lambda: None
    module: str = "nvr.app.film"
    capture: Callable[[], Capture] = Capture
    there: Callable[[Callable[[], None]], Awaitable[None]] | None = None
    began: Callable[[Began], None] = lambda _: None
    masks: Callable[[], Masks] = tuple


class FilmSource:
    """One local camera. Meets its owner as `nvr.capture.source.Source` does.

    Args:
        name: Camera name, for the log.
        film: What is filmed.
        stream: Where its packets go.
        clock: Time source.
        changed: Told of every new state, in the event loop.
    """

    def __init__(
        self,
        name: str,
        film: Film,
        stream: Stream,
        *,
        clock: Clock,
        changed: Callable[[Connection], None] | None = None,
    ) -> None:
        self.name = name
        self._film = film
        self._stream = stream
        self._clock = clock
        self._changed = changed
        self._program: Program | None = None
        self._error: NvrError | None = None
        self._again = asyncio.Event()
        self._numbers = itertools.count(1)
        self._asked: dict[int, asyncio.Future[Lacking]] = {}
        self._last: Failed | None = None
        self._condition: Condition | None = None
        self.state = Connection("connecting", clock.wall_us())
        self.tally = Tally(clock)
        self.loop: asyncio.AbstractEventLoop | None = None
        self.began: Began | None = None
        self.wish: Wish | None = None
        self.work: Work | None = None

    @property
    def pid(self) -> int | None:
        """The process that films, None while there is none."""
        return self._program.pid if self._program else None

    def retarget(self, wish: Wish) -> None:
        """Encode otherwise from the next picture on, if it is filmed now."""
        if self.began is not None:
            self.wish = wish
            self._order(Retarget(wish))

    def hide(self, masks: Masks) -> None:
        """Hide other areas from the next picture on, if it is filmed now."""
        self._order(Hide(masks))

    def request_key(self) -> None:
        """Make the next picture a key frame."""
        self._order(Key())

    def again(self) -> None:
        """Begin anew, with what is to be wished for then."""
        self._again.set()

    async def caption(self, text: CaptionText) -> tuple[str, ...]:
        """Burn another caption within a picture; returns the characters the font does not have.

        While it is not filmed nothing is known of them; it is burned when it is again.

        Raises:
            Rejected: ``caption.invalid``.
            Unavailable: ``film.silent``: no answer.
        """
        if self.began is None:
            return ()
        number = next(self._numbers)
        answer: asyncio.Future[Lacking] = asyncio.get_running_loop().create_future()
        self._asked[number] = answer
        try:
            self._order(Caption(number, text))
            async with asyncio.timeout(_ANSWER_S):
                found = await answer
        except TimeoutError as err:
            raise Unavailable("film.silent", "the process that films does not answer") from err
        finally:
            del self._asked[number]
        if found.code:
            raise Rejected(found.code, found.detail)
        return found.characters

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

    async def _attempt(self) -> NvrError:
        """Film until it ends; returns why it did."""
        ours, theirs = socket.socketpair()
        try:
            with theirs:
                # With no device to wait for, what keeps us from filming is known before this.
                wish = await self._film.wish(self._error) if self._film.there is None else None
                fd = theirs.fileno()
                program = await Program.start(
                    self._film.module, pass_fds=[fd], line_bytes=LINE_BYTES
                )
            return await self._with(program, fd, wish, ours)
        except NvrError as err:
            return err
        except OSError as err:
            return Unavailable("film.died", f"no process to film with: {err}")
        finally:
            ours.close()

    async def _with(
        self, program: Program, fd: int, wish: Wish | None, ours: socket.socket
    ) -> NvrError:
        """Film with a process that was started; ends it."""
        self._program = program
        try:
            if self._film.there is not None:
                # What it loads takes seconds on a small board: that is done when the device comes.
                await self._film.there(self._say_missing)
            self.wish = wish or await self._film.wish(self._error)
            self._order(self._begin(fd, self.wish))
            self._order(Hide(self._film.masks()))  # what was hidden while it started
            await self._carry(program, ours)
            error = await self._ended(program)
        except NvrError as err:
            # What broke the line is known to the process, if to anybody.
            error = err if err.code != "camera.lost" else await self._ended(program)
        except OSError as err:
            error = Unavailable("film.died", str(err))
        finally:
            self._program = self.began = self.work = self.wish = None
            await program.end(_END_S)
        return error

    def _begin(self, fd: int, wish: Wish) -> Begin:
        film = self._film
        return Begin(film.url, fd, wish, film.caption(), film.capture(), film.masks())

    async def _ended(self, program: Program) -> NvrError:
        """Why a process that closed its lines is gone."""
        if self._last is not None:
            return self._last.error()
        return Unavailable("film.died", f"the process that films ended {await program.how(_END_S)}")

    async def _carry(self, program: Program, ours: socket.socket) -> None:
        """Take reports and watch until either ends it."""
        self._last = self._condition = None
        began: asyncio.Future[Began] = asyncio.get_running_loop().create_future()
        await first_end(self._listen(program.lines, began), self._watch(began, ours), self._told())

    async def _told(self) -> None:
        self._again.clear()
        await self._again.wait()
        raise Unavailable("film.changed", "it begins anew with another encoder")

    async def _listen(self, lines: asyncio.StreamReader, began: "asyncio.Future[Began]") -> None:
        while True:
            try:
                text = await lines.readline()
            except ValueError as err:
                raise Damaged("film.garbage", "the process that films says nonsense") from err
            if not text:
                return
            self._hear(report(text), began)

    def _hear(self, found: Report, began: "asyncio.Future[Began]") -> None:
        match found:
            case Began() if not began.done():
                began.set_result(found)
            case Work():
                self.work = found
            case Lacking():
                asked = self._asked.get(found.number)
                if asked is not None and not asked.done():
                    asked.set_result(found)
            case Refused():
                event(
                    _log,
                    logging.WARNING,
                    "film.refused",
                    camera=self.name,
                    code=found.code,
                    detail=found.detail,
                )
            case Condition():
                self._condition = found
            case Failed():
                self._last = found

    async def _watch(self, began: "asyncio.Future[Began]", ours: socket.socket) -> None:
        try:
            async with asyncio.timeout(_START_S):
                self.began = await asyncio.shield(began)
        except TimeoutError as err:
            raise Unavailable("film.silent", "the process that films does not begin") from err
        self._film.began(self.began)
        sets = tuple(map(bytes.fromhex, self.began.parameter_sets))
        codec = self.began.codec
        tracks = [RtpTrack("video", codec, 90_000, PAYLOAD_TYPE, 0, parameter_sets=sets)]
        if self.began.sound:
            config = bytes.fromhex(self.began.sound)
            heard = aac.parse(config)
            tracks.append(
                RtpTrack(
                    "audio", "aac", heard.rate_hz, SOUND_TYPE, SOUND_CHANNEL,
                    channels=heard.channels, config=config,
                )
            )  # fmt: skip
        ours.setblocking(False)
        run = self._stream.open_run(tracks, ours)
        self.tally.begins(run, has_sound=bool(self.began.sound or self.began.sound_code))
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

    def _say_missing(self) -> None:
        self._say("lost", "device.missing", "it is not plugged in")

    async def _gone(self, run: Run) -> None:
        """Raise what ends the run; the process has nothing to say on that line."""
        while True:
            await run.message()

    async def _look(self, run: Run) -> None:
        moved_s = self._clock.monotonic_s()
        frames = 0
        while True:
            await self._clock.sleep(_LOOK_S if frames else _FIRST_LOOK_S)
            now_s = self._clock.monotonic_s()
            seen = run.stats().frames
            lack = self._condition.code if self._condition else ""
            if lack and self._condition and not self._condition.pictures:
                moved_s = now_s
                self._say("frozen", lack, _LACKS.get(lack, ""))
            elif seen != frames:
                frames, moved_s = seen, now_s
                self._say("live", lack or self._deaf(), _LACKS.get(lack, ""))
            elif now_s - moved_s >= _SILENT_S:
                raise Unavailable("camera.silent", "no picture comes any more")
            elif frames and now_s - moved_s >= _FROZEN_S:
                self._say("frozen", "camera.frozen", "no picture since the last one")

    def _order(self, order: Order) -> None:
        if self._program is not None:
            self._program.write(line(order))

    def _say(self, state: State, code: str, detail: str) -> None:
        new = self.state.then(state, code, detail, self._clock.wall_us())
        if new is None:
            return
        self.state = new
        if self._changed:
            self._changed(self.state)
