"""What is switched on at a camera, kept in the worker: it is told off when nobody else can.

As with motions (`nvr.link.head`): a recorder that is killed closes the pipe, one that is frozen
says nothing more, and either way what is on is told off here, at the end of its time at the latest.
Nothing is left that could when this process is killed too, or the wire is cut: the camera's own
time, if it has one, is the last.
"""

import asyncio
import contextlib
import time
from collections.abc import Awaitable, Callable
from typing import Final

from nvr.base.errors import NvrError

TRIES: Final = 5
AGAIN_S: Final = 0.5
KEEP_S: Final = 10.0
"""What could not be told off is told again so often."""

Send = Callable[[str, str], Awaitable[None]]
"""Sends a profile an auxiliary command."""


class Lit:
    """The switched outputs of one camera.

    Args:
        send: How they are told.
    """

    def __init__(self, send: Send) -> None:
        self._send = send
        self._ends: dict[tuple[str, str], float] = {}
        self._keeper: asyncio.Task[None] | None = None

    @property
    def any(self) -> bool:
        """Whether something is on, or may be."""
        return bool(self._ends)

    async def on(self, profile: str, command: str, off: str, within_s: float) -> None:
        """Switch something on, and off again with `off` after `within_s` at most.

        Raises:
            NvrError: It may be on all the same; it is told off.
        """
        key = profile, off
        self._ends.setdefault(key, time.monotonic() + within_s)
        if self._keeper is None or self._keeper.done():
            self._keeper = asyncio.create_task(self._keep())
        try:
            await self._send(profile, command)
        except NvrError:
            self._ends[key] = time.monotonic()
            raise

    async def off(self, profile: str, command: str) -> None:
        """Switch something off.

        Raises:
            NvrError: It is tried on.
        """
        await self._send(profile, command)
        self._ends.pop((profile, command), None)

    async def close(self) -> None:
        """Switch everything off, as well as that can be done."""
        if self._keeper is not None:
            self._keeper.cancel()
            await asyncio.gather(self._keeper, return_exceptions=True)
        await asyncio.gather(*(self._surely(*key) for key in self._ends))

    async def _keep(self) -> None:
        """End what is over until nothing is on."""
        while self._ends:
            now_s = time.monotonic()
            for key in [key for key, end_s in self._ends.items() if end_s <= now_s]:
                await self._surely(*key)
                if key in self._ends:
                    self._ends[key] = time.monotonic() + KEEP_S
            await asyncio.sleep(0.1)

    async def _surely(self, profile: str, command: str) -> None:
        for attempt in range(TRIES):
            if attempt:
                await asyncio.sleep(AGAIN_S * attempt)
            with contextlib.suppress(NvrError):
                await self.off(profile, command)
                return
