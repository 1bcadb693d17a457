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
        self._said: dict[str, str] = {}

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
        now = {
            each.stream: "retention.broken" if each.broken else "retention.short"
            for each in found
            if each.short
        }
        for each in sorted(found, key=lambda each: each.stream):
            name = now.get(each.stream)
            if name is None or name == self._said.get(each.stream):
                continue
            event(
                _log,
                logging.ERROR if name == "retention.broken" else logging.WARNING,
                name,
                stream=each.stream,
                promised_h=round(each.promised_s / 3600, 1),
                guaranteed_h=round(each.guaranteed_s / 3600, 1),
                holds_h=round(each.holds_s / 3600, 1),
            )
        for stream in sorted(self._said.keys() - now.keys()):
            event(_log, logging.INFO, "retention.kept", stream=stream)
        self._said = now
