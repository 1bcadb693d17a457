"""A head that is steered over ONVIF: moved while a lease is renewed, stopped by itself when not.

This runs beside the connection, in the worker's process, so that neither a frozen recorder nor a
dead one leaves a head turning: whoever has the connection ends the motion. The camera's own
time-out is the second wall, where its range allows one; cameras are known that ignore it.
"""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Final

from nvr.base.errors import NvrError

TIMEOUT_S: Final = 3.0
"""Sent with a motion, or what of the camera's range is nearest; it is sent again well before."""
AGAIN_S: Final = 1.0
"""A motion that is held is sent again after so long: a lost one would stay lost."""
STOP_TRIES: Final = 5
STOP_AGAIN_S: Final = 0.4
LATE_S: Final = 3.0
"""So long may a motion that was under way when the head was stopped still arrive."""


@dataclass(frozen=True, slots=True)
class Speeds:
    """-1 to 1 each; all zero is standing still."""

    pan: float
    tilt: float
    zoom: float

    @property
    def zero(self) -> bool:
        """Nothing moves."""
        return not (self.pan or self.tilt or self.zoom)


class Head:
    """One head. What is wanted is state: the newest counts, what came before is never sent late.

    Args:
        drive: Sends a motion, with the time-out to go with it.
        stop: Sends what stops it.
        timeout_s: Range of time-outs the camera takes, None if none is to be sent.
    """

    def __init__(
        self,
        drive: Callable[[Speeds, float | None], Awaitable[None]],
        stop: Callable[[], Awaitable[None]],
        timeout_s: tuple[float, float] | None,
    ) -> None:
        self._drive = drive
        self._halt = stop
        low, high = timeout_s or (0.0, 0.0)
        self._timeout_s = None if timeout_s is None else min(max(TIMEOUT_S, low), high)
        self._wanted: Speeds | None = None
        self._until_s = 0.0
        self._task: asyncio.Task[None] | None = None
        self._news = asyncio.Event()
        self._failure: NvrError | None = None
        self._late: asyncio.Future[None] | None = None

    @property
    def moving(self) -> bool:
        """It was told to move and not yet to stop."""
        return self._task is not None and not self._task.done()

    async def move(self, speeds: Speeds, lease_s: float) -> None:
        """Move from now on until the lease ends.

        Returns at once; a motion that could not be sent is told at the next move.

        Raises:
            NvrError: The last motion could not be sent. Nothing moves.
        """
        if speeds.zero:
            await self.stop()
            return
        failure, self._failure = self._failure, None
        if failure is not None:
            raise failure
        self._wanted = speeds
        self._until_s = asyncio.get_running_loop().time() + lease_s
        self._news.set()
        if not self.moving:
            self._task = asyncio.create_task(self._run())

    async def stop(self) -> None:
        """Stop it now; what waits to be sent is dropped.

        Raises:
            NvrError: It could not be told.
        """
        self._wanted = None
        self._news.set()
        if self.moving:
            assert self._task is not None
            await asyncio.shield(self._task)
            failure, self._failure = self._failure, None
            if failure is not None:
                raise failure
        else:
            await self._halt()

    async def close(self) -> None:
        """Stop it if it moves, and wait for that."""
        if self.moving:
            with contextlib.suppress(NvrError):
                await self.stop()

    async def _run(self) -> None:
        """Send what is wanted until nothing is, then stop; never raises for a camera's sake."""
        loop = asyncio.get_running_loop()
        sent: Speeds | None = None
        sent_s = 0.0
        failure: NvrError | None = None
        while (wanted := self._wanted) is not None and loop.time() < self._until_s:
            self._news.clear()
            if wanted != sent or loop.time() - sent_s >= AGAIN_S:
                try:
                    await self._send(wanted)
                except NvrError as err:
                    failure = err
                    break
                sent, sent_s = wanted, loop.time()
                continue
            wait_s = min(self._until_s, sent_s + AGAIN_S) - loop.time()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(max(0.0, wait_s)):
                    await self._news.wait()
        self._wanted = None
        stopped = await self._stop_surely()
        self._failure = failure or stopped

    async def _send(self, wanted: Speeds) -> None:
        """Send a motion; waited for no longer when the head is to stop, or its lease ends."""
        sending = asyncio.ensure_future(self._drive(wanted, self._timeout_s))
        loop = asyncio.get_running_loop()
        try:
            while not sending.done():
                left_s = self._until_s - loop.time()
                if self._wanted is None or left_s <= 0:
                    self._late = sending
                    return
                self._news.clear()
                news = asyncio.ensure_future(self._news.wait())
                await asyncio.wait(
                    {sending, news}, timeout=left_s, return_when=asyncio.FIRST_COMPLETED
                )
                news.cancel()
            self._news.set()  # what came meanwhile is looked at
            sending.result()
        except asyncio.CancelledError:
            sending.cancel()
            raise

    async def _stop_surely(self) -> NvrError | None:
        """Stop it at once, and again when a motion that was under way can no longer arrive."""
        failure = await self._stop_soon()
        late, self._late = self._late, None
        if late is not None:
            await asyncio.wait({late}, timeout=LATE_S)
            late.cancel()
            await asyncio.gather(late, return_exceptions=True)
            failure = await self._stop_soon()
        return failure

    async def _stop_soon(self) -> NvrError | None:
        failure: NvrError | None = None
        for attempt in range(STOP_TRIES):
            if attempt:
                await asyncio.sleep(STOP_AGAIN_S * attempt)
            try:
                await self._halt()
            except NvrError as err:
                failure = err
            else:
                return None
        return failure
