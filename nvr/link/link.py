"""ONVIF for the rest of the box: questions go to a worker that is started when there is one.

Measured (`tests/reports/onvif.json`): with the library in the recorder's own process the first
camera stops the event loop for a second and takes 38 MiB for good; through the worker it is 75 ms
and 0.2 MiB, and a question that is warm costs no more. The worker ends after `IDLE_S` without a
question; who steers a head or listens to events keeps it.
"""

import asyncio
import contextlib
import json
import logging
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import msgspec

from nvr.base.errors import NvrError, Unavailable
from nvr.base.log import event
from nvr.base.supervise import first_end
from nvr.link import frame
from nvr.media.onvif import Target
from nvr.media.onvif_wish import Answer, Wish

_log = logging.getLogger(__name__)
_ROOT: Final = Path(__file__).parents[2]

IDLE_S: Final = 30.0
MOST_WAITING: Final = 256
START_S: Final = 30.0
"""Until the worker has read its first question, on a slow board."""
GRACE_S: Final = 5.0
"""A worker that is so much later than a question allows hangs, and is ended."""
LEAVE_S: Final = 8.0


class Link:
    """All cameras' services. One for the box; used in one event loop.

    Args:
        exceptions: What `nvr.base.permit.Permit` allows all the same.
        idle_s: Without a question for so long, the worker ends.
    """

    def __init__(self, exceptions: Sequence[str] = (), *, idle_s: float = IDLE_S) -> None:
        self._exceptions = list(exceptions)
        self._idle_s = idle_s
        self._process: asyncio.subprocess.Process | None = None
        self._running: asyncio.Task[None] | None = None
        self._starting = asyncio.Lock()
        self._waiting: dict[int, asyncio.Future[frame.Reply]] = {}
        self._number = 0
        self._used_s = 0.0

    def camera(self, target: Target) -> "Remote":
        """Return the client of one camera. See `nvr.media.onvif_wish.OnvifClient`."""
        return Remote(self, target)

    @property
    def pid(self) -> int | None:
        """Process number of the worker, None if there is none."""
        return self._process.pid if self._process is not None else None

    async def ask(self, target: Target, wish: Wish[Answer]) -> Answer:
        """Put a question to a camera. See `nvr.media.onvif_wish.OnvifClient`."""
        started = self._process is None
        reply = await self._exchange(
            frame.asked(self._next(), target, wish), wish.within_s + (START_S if started else 0.0)
        )
        answer: Answer = msgspec.msgpack.decode(reply.answer, type=wish.answer)
        return answer

    async def let_go(self, target: Target) -> None:
        """Stop what moves at a camera, unsubscribe, and close its connections; never raises."""
        if self._process is None:
            return
        with contextlib.suppress(NvrError):
            await self._exchange(frame.Question(self._next(), target), LEAVE_S)

    async def close(self) -> None:
        """End the worker, after it has stopped whatever it moves."""
        async with self._starting:
            running, self._running = self._running, None
            if running is not None:
                running.cancel()
                await asyncio.gather(running, return_exceptions=True)

    def _next(self) -> int:
        self._number += 1
        return self._number

    async def _exchange(self, question: frame.Question, within_s: float) -> frame.Reply:
        if len(self._waiting) >= MOST_WAITING:
            raise Unavailable("onvif.busy", "too many questions to cameras wait already")
        process = await self._started()
        loop = asyncio.get_running_loop()
        self._used_s = loop.time()
        waiting: asyncio.Future[frame.Reply] = loop.create_future()
        self._waiting[question.number] = waiting
        try:
            assert process.stdin is not None
            process.stdin.write(frame.packed(question))
            async with asyncio.timeout(within_s + GRACE_S):
                reply = await waiting
        except TimeoutError as err:
            event(_log, logging.WARNING, "onvif.worker_hung", wish=question.wish)
            await self._kill(process)
            raise _worker_died() from err
        finally:
            self._waiting.pop(question.number, None)
            self._used_s = loop.time()
        if reply.kind:
            raise frame.error(reply)
        return reply

    async def _kill(self, process: asyncio.subprocess.Process) -> None:
        """End a worker that hangs, and wait until that is known here: the next one is another."""
        running = self._running if self._process is process else None
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        if running is not None:
            await asyncio.wait({running})

    async def _started(self) -> asyncio.subprocess.Process:
        async with self._starting:
            if self._process is not None:
                return self._process
            paths = [str(_ROOT), *filter(None, os.environ.get("PYTHONPATH", "").split(os.pathsep))]
            try:
                process = await asyncio.create_subprocess_exec(
                    sys.executable,
                    "-P",
                    "-m",
                    "nvr.link.worker",
                    json.dumps(self._exceptions),
                    stdin=asyncio.subprocess.PIPE,
                    stdout=asyncio.subprocess.PIPE,
                    cwd="/",
                    env={"PYTHONPATH": os.pathsep.join(paths), "HOME": "/nonexistent"},
                    start_new_session=True,
                    limit=frame.MOST_BYTES,
                )
            except OSError as err:
                raise Unavailable(
                    "onvif.worker", f"the process for ONVIF does not start: {err.strerror}"
                ) from err
            self._process = process
            self._running = asyncio.create_task(self._run(process))
            return process

    async def _run(self, process: asyncio.subprocess.Process) -> None:
        """Take answers until the worker ends, or is no longer needed; then see it out."""
        try:
            await first_end(self._take(process), self._idle())
        finally:
            self._process = None
            for waiting in self._waiting.values():
                if not waiting.done():
                    waiting.set_exception(_worker_died())
            await _end(process)

    async def _take(self, process: asyncio.subprocess.Process) -> None:
        assert process.stdout is not None
        while (data := await frame.read(process.stdout)) is not None:
            try:
                reply = msgspec.msgpack.decode(data, type=frame.Reply)
            except msgspec.DecodeError:
                break
            waiting = self._waiting.get(reply.number)
            if waiting is not None and not waiting.done():
                waiting.set_result(reply)
        event(_log, logging.WARNING, "onvif.worker_died", pid=process.pid)

    async def _idle(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            left_s = self._used_s + self._idle_s - loop.time()
            if left_s <= 0 and not self._waiting:
                return
            await asyncio.sleep(max(left_s, 0.2))


class Remote:
    """One camera, asked through the worker. See `nvr.media.onvif_wish.OnvifClient`."""

    def __init__(self, link: Link, target: Target) -> None:
        self._link = link
        self.target = target

    async def ask(self, wish: Wish[Answer]) -> Answer:  # noqa: D102 - see OnvifClient
        return await self._link.ask(self.target, wish)

    async def let_go(self) -> None:
        """Stop what moves, unsubscribe, close the connections; never raises."""
        await self._link.let_go(self.target)


def _worker_died() -> Unavailable:
    return Unavailable("onvif.worker", "the process that talks ONVIF ended; it is started again")


async def _end(process: asyncio.subprocess.Process) -> None:
    """Close the line, which has it stop what moves; kill it if it doesn't end."""
    assert process.stdin is not None
    process.stdin.close()
    try:
        async with asyncio.timeout(LEAVE_S):
            await process.wait()
    except TimeoutError:
        event(_log, logging.WARNING, "onvif.worker_hung", pid=process.pid)
    finally:
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        await process.wait()
        _close_pipe(process)


def _close_pipe(process: Any) -> None:  # noqa: ANN401 - asyncio keeps the transport to itself
    process._transport.close()  # noqa: SLF001 - else it is closed by the collector, which warns
