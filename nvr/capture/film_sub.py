"""The sub stream of a local camera: a second, smaller encoding of what its main stream is made of.

It is captured and decoded once, by the process of the main stream; that this one cannot be encoded
or dies costs the main stream nothing, and without the main stream there is none.
"""

import asyncio
import contextlib
import socket
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Final

from nvr.base.clock import Clock
from nvr.base.errors import NvrError, Unavailable
from nvr.base.supervise import first_end
from nvr.capture.film import FilmSource
from nvr.capture.filming import Filming
from nvr.capture.state import Connection
from nvr.media.film import Began, Condition, Failed, Refused, Wish, Work
from nvr.media.ports import Stream

_START_S: Final = 45.0
"""Where a sandbox must be loaded first, on a small board, it takes a while."""
_LOOK_S: Final = 0.5
_WHY_S: Final = 3.0
"""So long may it take until it is known what ended a line that broke."""


@dataclass(frozen=True, slots=True)
class SubFilm:
    """What is made beside a main stream.

    Attributes:
        main: Who films the main stream now, None if nobody does.
        wish: As of `nvr.capture.film.Film`.
        box: Most ``(width, height)`` in pixels.
        began: Told of each beginning.
    """

    main: Callable[[], FilmSource | None]
    wish: Callable[[NvrError | None], Awaitable[Wish]]
    box: Callable[[], tuple[int, int]]
    began: Callable[[Began], None] = lambda _: None


class SubSource(Filming):
    """One sub stream. See `Filming`.

    Args:
        name: Name of the stream, for the log.
        film: What is made.
        stream: Where its packets go.
        clock: Time source.
        changed: Told of every new state, in the event loop.

    Attributes:
        box: Into which its pictures fit, as it was asked for last.
    """

    def __init__(
        self,
        name: str,
        film: SubFilm,
        stream: Stream,
        *,
        clock: Clock,
        changed: Callable[[Connection], None] | None = None,
    ) -> None:
        super().__init__(name, stream, clock, changed)
        self._film = film
        self._main: FilmSource | None = None
        self._number = 0
        self.box = film.box()
        self._begun: asyncio.Future[Began] | None = None
        self._ended: asyncio.Future[NvrError] | None = None

    def retarget(self, wish: Wish) -> None:  # noqa: D102 - see Filming
        if self.began is not None and self._main is not None:
            self.wish = wish
            self._main.retarget_sub(self._number, wish)

    async def _attempt(self) -> NvrError:
        main = await self._filming_main()
        ours, theirs = socket.socketpair()
        try:
            with theirs:
                self.wish = await self._film.wish(self._error)
                loop = asyncio.get_running_loop()
                self._begun, self._ended = loop.create_future(), loop.create_future()
                self.box = self._film.box()
                self._number = main.begin_sub(self.wish, self.box, theirs, self._hear)
            self._main = main
            await first_end(self._watch(self._begun, ours), self._over(self._ended), self._told())
        except NvrError as err:
            return await self._why(err)
        finally:
            ours.close()
            main.end_sub(self._number)
            self._main = self.began = self.work = self.wish = None
        return Unavailable("film.died", "it ended")

    async def _filming_main(self) -> FilmSource:
        """Wait until the main stream is made; till then what ails that is said of this one."""
        while True:
            main = self._film.main()
            if main is None:
                await self._clock.sleep(_LOOK_S)
                continue
            if main.began is not None:
                return main
            if main.state.state != "live":
                self._say(main.state.state, main.state.code, main.state.detail)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_LOOK_S):
                    await main.filming()

    async def _why(self, err: NvrError) -> NvrError:
        """What broke the line is known to the process, if to anybody."""
        if err.code == "camera.lost" and self._ended is not None:
            await asyncio.wait([self._ended], timeout=_WHY_S)
            if self._ended.done():
                return self._ended.result()
        return err

    async def _watch(self, begun: "asyncio.Future[Began]", ours: socket.socket) -> None:
        try:
            async with asyncio.timeout(_START_S):
                self.began = await asyncio.shield(begun)
        except TimeoutError as err:
            raise Unavailable("film.silent", "the process that films does not begin it") from err
        self._film.began(self.began)
        await self._carry(self.began, ours)

    async def _over(self, ended: "asyncio.Future[NvrError]") -> None:
        raise await asyncio.shield(ended)

    def _hear(self, found: Began | Work | Failed | Refused) -> None:
        match found:
            case Began():
                if self._begun is not None and not self._begun.done():
                    self._begun.set_result(found)
            case Work():
                self.work = found
            case Refused():
                self._refused(found)
            case Failed():
                if self._ended is not None and not self._ended.done():
                    self._ended.set_result(found.error())

    def _condition(self) -> Condition | None:
        return self._main.condition if self._main else None
