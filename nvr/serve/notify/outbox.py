"""What waits to be told, bounded: when it is full the oldest goes, and that is counted and said."""

import asyncio
import logging
from collections import deque

from nvr.base.clock import Clock
from nvr.base.errors import Unavailable
from nvr.base.log import event
from nvr.media.news import DROPPED, News

_log = logging.getLogger(__name__)

MOST = 1000
TELL_S = 10.0


class Outbox:
    """News on their way to one upstream system. In the event loop's thread.

    Args:
        name: For the log: ``mqtt/plant``.
        most: So many wait.

    Attributes:
        dropped: Gone for want of room, since the start.
    """

    def __init__(self, name: str, most: int = MOST) -> None:
        self._name, self._most = name, most
        self._news: deque[News] = deque()
        self._came = asyncio.Event()
        self._gone = 0
        self._awaited: dict[str, asyncio.Future[None]] = {}
        self.dropped = 0

    def __len__(self) -> int:
        return len(self._news)

    def put(self, news: News) -> None:
        """Have it told."""
        self._news.append(news)
        if len(self._news) > self._most:
            self._news.popleft()
            if not self._gone:
                event(_log, logging.WARNING, "notify.dropping", to=self._name, most=self._most)
            self._gone += 1
            self.dropped += 1
        self._came.set()

    async def next(self) -> News:
        """Wait for the oldest; it stays until `done`. What was dropped is told first."""
        while not self._news:
            self._came.clear()
            await self._came.wait()
        first = self._news[0]
        if self._gone:
            event(_log, logging.WARNING, "notify.dropped", to=self._name, news=self._gone)
            said = f"{self._gone} older messages are lost: too many waited"
            first = News(
                f"{first.id}-lost", first.at_us, DROPPED, severity="warning",
                code="notify.dropped", detail=said,
            )  # fmt: skip
            self._news.appendleft(first)
            self._gone = 0
        return first

    def done(self, news: News) -> None:
        """It was taken; nothing happens if it was dropped meanwhile."""
        if self._news and self._news[0] is news:
            self._news.popleft()
        told = self._awaited.get(news.id)
        if told is not None and not told.done():
            told.set_result(None)

    async def tell(self, news: News, clock: Clock) -> float:
        """Put it, and wait until it was taken; returns how many seconds that took.

        Raises:
            Unavailable: ``notify.waiting``: not within ten seconds.
        """
        began_s = clock.monotonic_s()
        told = self._awaited[news.id] = asyncio.get_running_loop().create_future()
        self.put(news)
        try:
            async with asyncio.timeout(TELL_S):
                await told
        except TimeoutError as err:
            raise Unavailable("notify.waiting", "it waits: there is no connection") from err
        finally:
            del self._awaited[news.id]
        return clock.monotonic_s() - began_s
