"""Watches whether the volume will keep what cameras are promised, and says so long before."""

import asyncio
import logging
from collections.abc import Callable

from nvr.base.clock import Clock
from nvr.base.errors import NvrError
from nvr.base.log import event
from nvr.playback.holding import Holding

_log = logging.getLogger(__name__)

LOOK_S = 60.0


class Promises:
    """The watch.

    Args:
        holdings: Looks at the volume; blocks.
        clock: Time source.
    """

    def __init__(self, holdings: Callable[[], list[Holding]], clock: Clock) -> None:
        self._holdings = holdings
        self._clock = clock
        self._short: frozenset[str] = frozenset()

    async def run(self) -> None:
        """Look once a minute until cancelled."""
        while True:
            await self._clock.sleep(LOOK_S)
            try:
                self.look(await asyncio.to_thread(self._holdings))
            except NvrError:
                continue  # there is no volume: that is said already

    def look(self, found: list[Holding]) -> None:
        """Tell the log what changed."""
        short = {each.stream: each for each in found if each.short}
        for stream in sorted(short.keys() - self._short):
            each = short[stream]
            event(
                _log,
                logging.WARNING,
                "retention.short",
                stream=stream,
                promised_h=round(each.promised_s / 3600, 1),
                holds_h=round(each.holds_s / 3600, 1),
            )
        for stream in sorted(self._short - short.keys()):
            event(_log, logging.INFO, "retention.kept", stream=stream)
        self._short = frozenset(short)
