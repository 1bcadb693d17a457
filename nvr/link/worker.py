"""The process that talks ONVIF, for all cameras of the box: `python -m nvr.link.worker`.

A process of its own, because the library takes half a second and 53 MiB to import on a fast
machine, holds the interpreter while it parses what cameras send, and parses that in C. It ends
when the recorder has no more use for it, or is gone; whatever it moved is stopped first.
"""

import asyncio
import contextlib
import json
import logging
import os
import resource
import signal
import sys
import time
from pathlib import Path
from typing import Any

import msgspec

from nvr.base.errors import NvrError
from nvr.base.log import event, set_up
from nvr.base.permit import Permit
from nvr.link import frame, trouble
from nvr.link.camera import Camera
from nvr.media.onvif import Target
from nvr.media.onvif_wish import Wish

_log = logging.getLogger(__name__)

MEMORY_BYTES = 512 << 20
MOST_AT_ONCE = 6
"""Questions that one camera is asked at once; more wait. Steering never does."""
IDLE_S = 75.0
"""A camera that nobody asks for so long is let go; one that is pulled from is asked more often."""
LEAVE_S = 6.0


class Worker:
    """Answers questions until there are no more.

    Args:
        permit: Whether an address and port may be connected to.
    """

    def __init__(self, permit: Permit) -> None:
        self._permit = permit
        self._cameras: dict[Target, Camera] = {}
        self._slots: dict[Target, asyncio.Semaphore] = {}
        self._used_s: dict[Target, float] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._out: asyncio.StreamWriter | None = None

    async def run(self, questions: asyncio.StreamReader, answers: asyncio.StreamWriter) -> None:
        """Serve until the recorder closes the line."""
        self._out = answers
        watching = asyncio.create_task(self._let_idle_go())
        try:
            while (data := await frame.read(questions)) is not None:
                question = msgspec.msgpack.decode(data, type=frame.Question)
                task = asyncio.create_task(self._answer(question))
                self._tasks.add(task)
                task.add_done_callback(self._tasks.discard)
        finally:
            watching.cancel()
            await self._leave()

    async def _leave(self) -> None:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(LEAVE_S):
                # Heads first, and while what else was asked still goes on.
                await asyncio.gather(
                    *(camera.close() for camera in self._cameras.values()), return_exceptions=True
                )
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _answer(self, question: frame.Question) -> None:
        try:
            answer = await self._answered(question)
            reply = frame.Reply(question.number, msgspec.Raw(msgspec.msgpack.encode(answer)))
        except NvrError as err:
            reply = frame.failed(question.number, err)
        except Exception as err:  # noqa: BLE001 - one camera's trouble is not another's
            event(_log, logging.ERROR, "onvif.bug", wish=question.wish, error=repr(err)[:300])
            reply = frame.failed(question.number, trouble.bug(err))
        assert self._out is not None
        with contextlib.suppress(OSError):
            self._out.write(frame.packed(reply))
            await self._out.drain()

    async def _answered(self, question: frame.Question) -> object:
        target = question.target
        if not question.wish:
            self._used_s.pop(target, None)
            self._slots.pop(target, None)
            camera = self._cameras.pop(target, None)
            if camera is not None:
                await camera.close()
            return None
        if target not in self._cameras:
            self._cameras[target] = Camera(target, self._permit)
            self._slots[target] = asyncio.Semaphore(MOST_AT_ONCE)
        camera, slots = self._cameras[target], self._slots[target]
        self._used_s[target] = time.monotonic()
        wish: Wish[Any] = frame.wished(question)
        if wish.steers:
            return await camera.ask(wish)
        async with slots:
            return await camera.ask(wish)

    async def _let_idle_go(self) -> None:
        while True:
            await asyncio.sleep(IDLE_S / 5)
            now_s = time.monotonic()
            for target, camera in list(self._cameras.items()):
                if now_s - self._used_s[target] > IDLE_S and not camera.moving():
                    del self._cameras[target], self._slots[target], self._used_s[target]
                    await camera.close()


async def _serve(exceptions: list[str], questions: int, answers: int) -> None:
    loop = asyncio.get_running_loop()
    reader = asyncio.StreamReader(limit=frame.MOST_BYTES)
    await loop.connect_read_pipe(
        lambda: asyncio.StreamReaderProtocol(reader), os.fdopen(questions, "rb")
    )
    transport, protocol = await loop.connect_write_pipe(
        lambda: asyncio.streams.FlowControlMixin(loop=loop), os.fdopen(answers, "wb")
    )
    writer = asyncio.StreamWriter(transport, protocol, None, loop)
    await Worker(Permit(exceptions)).run(reader, writer)


def main() -> None:
    """Serve on what were standard input and output, and keep both from everybody else."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)  # it ends with its recorder, when heads stand
    with contextlib.suppress(OSError):  # of all processes this one should go first
        Path("/proc/self/oom_score_adj").write_text("1000", encoding="ascii")
    for what, most in ((resource.RLIMIT_CORE, 0), (resource.RLIMIT_DATA, MEMORY_BYTES)):
        with contextlib.suppress(ValueError, OSError):
            resource.setrlimit(what, (most, most))
    set_up(logging.WARNING)  # the library has added a handler of its own, for everything
    logging.getLogger("onvif").setLevel(logging.CRITICAL)
    logging.getLogger("zeep").setLevel(logging.CRITICAL)
    questions, answers = os.dup(0), os.dup(1)
    os.dup2(2, 1)
    exceptions = json.loads(sys.argv[1]) if len(sys.argv) > 1 else []
    asyncio.run(_serve(exceptions, questions, answers))


if __name__ == "__main__":
    main()
