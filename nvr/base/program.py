"""A child process of ours in the event loop: orders in, lines out, an end that always comes.

Not asyncio's own: there `wait` hangs until all pipes are closed, which a pipe that nobody reads any
more, or a grandchild that holds it, never is; and until Python 3.12 it costs a thread a process.

Source: pidfd_open(2), Linux 5.3.
"""

import asyncio
import contextlib
import os
import subprocess
import sys
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Final, Self

_ROOT: Final = Path(__file__).parents[2]
_TAIL_BYTES: Final = 2000


class Program:
    """One running module of ours; made by `start`, and ended by `end`, which must be called.

    Attributes:
        pid: Its process number.
        lines: What it prints.
    """

    def __init__(
        self,
        process: "subprocess.Popen[bytes]",
        orders: asyncio.WriteTransport,
        lines: asyncio.StreamReader,
        outputs: Sequence[asyncio.ReadTransport],
        tail: "asyncio.Task[bytes]",
    ) -> None:
        self.pid = process.pid
        self.lines = lines
        self._process, self._orders, self._outputs, self._tail = process, orders, outputs, tail

    @classmethod
    async def start(
        cls, module: str, *, pass_fds: Sequence[int] = (), line_bytes: int = 1 << 16
    ) -> Self:
        """Start ``python -m module``; its environment is ours.

        Args:
            module: What is run.
            pass_fds: Descriptors that it gets, under the same numbers.
            line_bytes: Longest line that `lines` takes; of a longer one it raises ``ValueError``.

        Raises:
            OSError: There is no more memory, or no more processes.
        """
        paths = [str(_ROOT), *filter(None, os.environ.get("PYTHONPATH", "").split(os.pathsep))]
        process = subprocess.Popen(  # noqa: ASYNC220, S603 - our own module; a fork takes 2 ms
            [sys.executable, "-P", "-m", module],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            bufsize=0,
            pass_fds=pass_fds,
            env={
                **os.environ,
                "PYTHONPATH": os.pathsep.join(paths),
                "OPENBLAS_NUM_THREADS": "1",
            },
        )
        loop = asyncio.get_running_loop()
        orders, _ = await loop.connect_write_pipe(asyncio.Protocol, process.stdin)
        lines, errors = asyncio.StreamReader(line_bytes), asyncio.StreamReader()
        outputs: list[asyncio.ReadTransport] = []
        for reader, pipe in ((lines, process.stdout), (errors, process.stderr)):
            protocol = asyncio.StreamReaderProtocol(reader)
            transport, _ = await loop.connect_read_pipe(partial(_same, protocol), pipe)
            outputs.append(transport)
        return cls(process, orders, lines, outputs, asyncio.ensure_future(_last(errors)))

    def write(self, data: bytes) -> None:
        """Give it an order; what it does not take, because it is gone or hangs, is lost."""
        if not self._orders.is_closing() and self._orders.get_write_buffer_size() < 1 << 20:
            self._orders.write(data)

    async def wait(self) -> int:
        """Wait for its end; returns its exit status, a signal's number negative."""
        if self._process.poll() is None:
            loop, ended = asyncio.get_running_loop(), asyncio.Event()
            fd = os.pidfd_open(self.pid)
            try:
                loop.add_reader(fd, ended.set)
                await ended.wait()
            finally:
                loop.remove_reader(fd)
                os.close(fd)
        return self._process.wait()

    async def how(self, within_s: float) -> str:
        """Say how it ended, ``by signal 11`` or ``with 1: `` and its last line, if it has."""
        try:
            async with asyncio.timeout(within_s):
                code = await self.wait()
                said = await asyncio.shield(self._tail)
        except TimeoutError:
            return "and still runs"
        how = f"by signal {-code}" if code < 0 else f"with {code}"
        lines = said.decode("utf-8", "replace").strip().splitlines()
        last = "".join(one for one in lines[-1] if one.isprintable())[:200] if lines else ""
        return f"{how}: {last}" if last else how

    async def end(self, within_s: float) -> None:
        """Have it end: asked by closing its input; killed if it does not, or we are cancelled."""
        self._orders.close()
        try:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(within_s):
                    await self.wait()
        finally:
            if self._process.poll() is None:
                self._process.kill()
                self._process.wait()  # a killed process is gone at once, but for one in a driver
            self._tail.cancel()
            for each in self._outputs:
                each.close()


def _same(protocol: asyncio.StreamReaderProtocol) -> asyncio.StreamReaderProtocol:
    return protocol


async def _last(lines: asyncio.StreamReader) -> bytes:
    """The end of what it writes; read on, so that it never waits for us."""
    kept = b""
    while piece := await lines.read(4096):
        kept = (kept + piece)[-_TAIL_BYTES:]
    return kept
