"""Keeps one local camera filmed, by a process that captures, burns and encodes.

Its pictures come over a socket pair that the ingest thread reads as it reads a network camera's;
its reports come here. See `nvr.media.film` for what is said.
"""

import asyncio
import itertools
import socket
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Final, TypeAlias

from nvr.base.clock import Clock
from nvr.base.errors import Damaged, NvrError, Rejected, Unavailable
from nvr.base.program import Program
from nvr.base.supervise import first_end
from nvr.capture.filming import Filming
from nvr.capture.state import Connection
from nvr.media.camera import CaptionText
from nvr.media.device import Capture, Controls
from nvr.media.film import (
    LINE_BYTES,
    Began,
    Begin,
    Caption,
    Condition,
    Failed,
    Hide,
    Key,
    Lacking,
    OfSub,
    Order,
    Refused,
    Report,
    Retarget,
    Sub,
    SubEnd,
    SubRetarget,
    Turn,
    Wish,
    Work,
    line,
    report,
)
from nvr.media.mask import Masks
from nvr.media.ports import Stream

_START_S: Final = 30.0
_END_S: Final = 2.0
_ANSWER_S: Final = 5.0

Hear: TypeAlias = Callable[[Began | Work | Failed | Refused], None]
"""Told what is reported of a sub stream."""


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


class FilmSource(Filming):
    """The main stream of a local camera, and the process that makes it and its sub stream.

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
        super().__init__(name, stream, clock, changed)
        self._film = film
        self._program: Program | None = None
        self._handover: socket.socket | None = None
        self._numbers = itertools.count(1)
        self._asked: dict[int, asyncio.Future[Lacking]] = {}
        self._last: Failed | None = None
        self._seen: Condition | None = None
        self._subs: dict[int, Hear] = {}
        self._filming = asyncio.Event()

    @property
    def pid(self) -> int | None:
        """The process that films, None while there is none."""
        return self._program.pid if self._program else None

    @property
    def condition(self) -> Condition | None:
        """What its source lacks."""
        return self._seen

    async def filming(self) -> None:
        """Wait until pictures are made."""
        await self._filming.wait()

    def begin_sub(self, wish: Wish, box: tuple[int, int], sock: socket.socket, hear: Hear) -> int:
        """Have a sub stream made into a socket, of which the process gets a descriptor of its own.

        Args:
            wish: How it is encoded.
            box: Most ``(width, height)`` in pixels.
            sock: Where it goes.
            hear: Told what becomes of it, `Failed` last.

        Returns:
            What it is called by.

        Raises:
            Unavailable: ``film.silent``: nothing is filmed now, or the process takes nothing.
        """
        number = next(self._numbers)
        if self.began is None or self._handover is None:
            raise Unavailable("film.silent", "nothing is filmed now")
        try:
            socket.send_fds(self._handover, [b"%d" % number], [sock.fileno()])
        except OSError as err:
            raise Unavailable("film.silent", "the process that films takes nothing") from err
        self._subs[number] = hear
        self._order(Sub(number, wish, box))
        return number

    def retarget_sub(self, number: int, wish: Wish) -> None:
        """Encode a sub stream otherwise from its next picture on."""
        self._order(SubRetarget(number, wish))

    def end_sub(self, number: int) -> None:
        """Have it made no more, if it still is."""
        if self._subs.pop(number, None) is not None:
            self._order(SubEnd(number))

    def retarget(self, wish: Wish) -> None:  # noqa: D102 - see Filming
        if self.began is not None:
            self.wish = wish
            self._order(Retarget(wish))

    def hide(self, masks: Masks) -> None:
        """Hide other areas from the next picture on, if it is filmed now."""
        self._order(Hide(masks))

    def turn(self, controls: Controls) -> None:
        """Set the device's controls otherwise, if it is filmed now."""
        self._order(Turn(controls))

    def request_key(self) -> None:
        """Make the next picture a key frame."""
        self._order(Key())

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

    async def _attempt(self) -> NvrError:
        ours, theirs = socket.socketpair()
        handover, taken = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        handover.setblocking(False)
        self._handover = handover
        try:
            with theirs, taken:
                # With no device to wait for, what keeps us from filming is known before this.
                wish = await self._film.wish(self._error) if self._film.there is None else None
                fds = theirs.fileno(), taken.fileno()
                program = await Program.start(
                    self._film.module, pass_fds=fds, line_bytes=LINE_BYTES
                )
            return await self._with(program, fds, wish, ours)
        except NvrError as err:
            return err
        except OSError as err:
            return Unavailable("film.died", f"no process to film with: {err}")
        finally:
            self._handover = None
            handover.close()
            ours.close()

    async def _with(
        self, program: Program, fds: tuple[int, int], wish: Wish | None, ours: socket.socket
    ) -> NvrError:
        """Film with a process that was started; ends it."""
        self._program = program
        error: NvrError = Unavailable("film.changed", "its main stream begins anew")
        try:
            if self._film.there is not None:
                # What it loads takes seconds on a small board: that is done when the device comes.
                await self._film.there(self._say_missing)
            self.wish = wish or await self._film.wish(self._error)
            self._order(self._begin(fds, self.wish))
            self._order(Hide(self._film.masks()))  # what was hidden while it started
            await self._take(program, ours)
            error = await self._ended(program)
        except NvrError as err:
            # What broke the line is known to the process, if to anybody.
            error = err if err.code != "camera.lost" else await self._ended(program)
        except OSError as err:
            error = Unavailable("film.died", str(err))
        finally:
            self._program = self.began = self.work = self.wish = None
            self._filming.clear()
            subs, self._subs = self._subs, {}
            for hear in subs.values():
                hear(Failed(type(error).__name__, error.code, error.detail))
            await program.end(_END_S)
        return error

    def _begin(self, fds: tuple[int, int], wish: Wish) -> Begin:
        film = self._film
        caption, masks = film.caption(), film.masks()
        return Begin(film.url, fds[0], wish, caption, film.capture(), masks, fds[1])

    def _condition(self) -> Condition | None:
        return self._seen

    async def _ended(self, program: Program) -> NvrError:
        """Why a process that closed its lines is gone."""
        if self._last is not None:
            return self._last.error()
        return Unavailable("film.died", f"the process that films ended {await program.how(_END_S)}")

    async def _take(self, program: Program, ours: socket.socket) -> None:
        """Take reports and watch until either ends it."""
        self._last = self._seen = None
        began: asyncio.Future[Began] = asyncio.get_running_loop().create_future()
        await first_end(self._listen(program.lines, began), self._watch(began, ours), self._told())

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
                self._refused(found)
            case Condition():
                self._seen = found
            case OfSub():
                self._hear_sub(found)
            case Failed():
                self._last = found

    def _hear_sub(self, found: OfSub) -> None:
        over = isinstance(found.said, Failed)
        hear = self._subs.pop(found.number, None) if over else self._subs.get(found.number)
        if hear is not None:
            hear(found.said)

    async def _watch(self, began: "asyncio.Future[Began]", ours: socket.socket) -> None:
        try:
            async with asyncio.timeout(_START_S):
                self.began = await asyncio.shield(began)
        except TimeoutError as err:
            raise Unavailable("film.silent", "the process that films does not begin") from err
        self._film.began(self.began)
        self._filming.set()
        await self._carry(self.began, ours)

    def _say_missing(self) -> None:
        self._say("lost", "device.missing", "it is not plugged in")

    def _order(self, order: Order) -> None:
        if self._program is not None:
            self._program.write(line(order))
