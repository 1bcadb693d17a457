"""A child process for foreign bytes: what is wrong with them ends it, and nothing else.

Decoders are large and written for speed; a camera, or whoever sits between it and us, chooses what
they are fed. So they run where nothing can be opened, sent or started (`nvr.codec.confined`), with
the lowest priority, little memory, and an end to how long an answer may take. What it answers is
foreign too: bounded here, checked by whoever asked.
"""

import contextlib
import os
import select
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Self

from nvr.base.errors import Damaged, Unavailable
from nvr.codec.confined import MOST_BYTES

_ROOT = Path(__file__).parents[2]
_LOOK_S = 0.25
_START_S = 60.0
_TAIL_BYTES = 2000
_PIECE_BYTES = 1 << 20


class Sandbox:
    """One such process, asked one thing at a time. Used by one thread, which outlives it.

    Args:
        module: What it runs; calls `nvr.codec.confined.serve`.
        answer_cpu_s: Seconds of a processor an answer may take.
        answer_s: Seconds an answer may take: long, for a busy box gives it little time.
        nice: How far it steps back behind the rest, 19 the furthest.
        words: Arguments for it.

    Raises:
        Unavailable: ``sandbox.failed``: it did not start, or this kernel cannot confine it.
    """

    def __init__(
        self,
        module: str,
        *,
        answer_cpu_s: float = 30.0,
        answer_s: float = 600.0,
        nice: int = 19,
        words: Sequence[str] = (),
    ) -> None:
        self._cpu_s, self._answer_s = answer_cpu_s, answer_s
        self._stderr = b""
        paths = [str(_ROOT), *filter(None, os.environ.get("PYTHONPATH", "").split(os.pathsep))]
        self._process = subprocess.Popen(  # noqa: S603 - our own module
            [sys.executable, "-P", "-m", module, *words],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            bufsize=0,
            cwd="/",
            env={
                "PYTHONPATH": os.pathsep.join(paths),
                "OPENBLAS_NUM_THREADS": "1",
                # Named, it is read once; else at each use, which the child no longer can.
                "TZ": os.environ.get("TZ", ":/etc/localtime"),
            },
        )
        with contextlib.suppress(ProcessLookupError):  # from its first import on
            os.setpriority(os.PRIO_PROCESS, self._process.pid, nice)
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        assert self._process.stderr is not None
        self._in = self._process.stdin.fileno()
        self._out = self._process.stdout.fileno()
        self._errs = {self._process.stderr.fileno()}  # until it is closed
        for fd in (self._in, self._out, *self._errs):
            os.set_blocking(fd, False)
        self._received = bytearray()
        try:
            self._exchange(b"", _START_S, _START_S)
        except Damaged as err:
            self.close()
            raise Unavailable(
                "sandbox.failed", f"the sandbox for decoding did not start: {self._said()}"
            ) from err

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def pid(self) -> int:
        """Its process number."""
        return self._process.pid

    def ask(self, message: bytes) -> bytes:
        """Return the answer to a message.

        Raises:
            Damaged: ``sandbox.died``: what it was given made it crash, hang, or answer nonsense. It
                is gone then.
        """
        head = len(message).to_bytes(4, "big")
        return self._exchange(head + message, self._answer_s, self._cpu_s)

    def kill(self) -> None:
        """End it from any thread: whoever asks it something is told ``sandbox.died``."""
        self._process.kill()

    def close(self) -> None:
        """End it."""
        self._process.kill()
        self._process.wait()
        for pipe in (self._process.stdin, self._process.stdout, self._process.stderr):
            if pipe is not None:
                pipe.close()

    def _exchange(self, request: bytes, within_s: float, within_cpu_s: float) -> bytes:
        left = memoryview(request)
        begun_s, begun_cpu_s = time.monotonic(), self.spent_s()
        while True:
            left = self._move(left)
            size = int.from_bytes(self._received[:4], "big")
            if size > MOST_BYTES:
                raise self._died("it answered nonsense")
            if not left and len(self._received) >= 4 + size:
                answer = bytes(self._received[4 : 4 + size])
                del self._received[: 4 + size]
                return answer
            spent_s = self.spent_s() - begun_cpu_s
            if time.monotonic() - begun_s > within_s or spent_s > within_cpu_s:
                raise self._died("it hung")

    def _move(self, left: memoryview) -> memoryview:
        """Send and receive what can be at once, after a wait for it."""
        # Not select(), which knows only the first 1024 descriptors of a process.
        poll = select.poll()
        for fd in (self._out, *self._errs):
            poll.register(fd, select.POLLIN)
        if left:
            poll.register(self._in, select.POLLOUT)
        ready = {fd for fd, _ in poll.poll(_LOOK_S * 1000)}
        try:
            if self._in in ready:
                left = left[os.write(self._in, left[:_PIECE_BYTES]) :]
            for fd in self._errs & ready:
                said = os.read(fd, 4096)
                self._stderr = (self._stderr + said)[-_TAIL_BYTES:]
                self._errs = self._errs if said else set()
            if self._out in ready:
                piece = os.read(self._out, _PIECE_BYTES)
                if not piece:
                    raise self._died(self._how())
                self._received += piece
        except BlockingIOError:
            pass
        except OSError as err:
            raise self._died(self._how()) from err
        return left

    def spent_s(self) -> float:
        """Seconds of a processor it has had. See clock_getcpuclockid(3)."""
        try:
            return time.clock_gettime(~self._process.pid << 3 | 2)
        except OSError:
            return 0.0

    def _how(self) -> str:
        try:
            code = self._process.wait(5.0)
        except subprocess.TimeoutExpired:
            return "it closed the line"
        return f"it ended by signal {-code}" if code < 0 else f"it ended with {code}"

    def _died(self, how: str) -> Damaged:
        self._process.kill()
        said = self._said()
        return Damaged("sandbox.died", f"the decoder could not bear it: {how}", said=said)

    def _said(self) -> str:
        """Return the last line it wrote."""
        for fd in self._errs:
            with contextlib.suppress(OSError):
                self._stderr += os.read(fd, _TAIL_BYTES)
        lines = self._stderr.decode("utf-8", "replace").strip().splitlines()
        return "".join(one for one in lines[-1] if one.isprintable())[:200] if lines else ""
