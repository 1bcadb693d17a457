"""The recorder's end of `nvr-guard`: starts it, tells it what is at stake, hears what it did."""

import asyncio
import json
import os
import socket
import subprocess
import sys
import threading
from collections.abc import Sequence
from pathlib import Path

from nvr.base.clock import Clock
from nvr.base.errors import Unavailable
from nvr.hal.ports import Claim, Line, Way

ANSWER_S = 0.5
_ROOT = Path(__file__).parents[2]
_START_S = 10.0


class GuardLink:
    """A running guard. See `nvr.hal.ports.Guard`.

    What was registered is kept and told to a guard that replaces one that died.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._process: subprocess.Popen[bytes] | None = None
        self._sock: socket.socket | None = None
        self._registered: dict[tuple[str, str], tuple[dict[str, object], int]] = {}
        self._took: set[str] = set()
        self._asked = 0
        self._answered = 0
        self._waiting_since_s: float | None = None

    def start(self) -> subprocess.Popen[bytes]:
        """Start the guard and wait until it watches; blocks for some 100 ms.

        Returns:
            Its process.

        Raises:
            Unavailable: ``ptz.guard_gone``: it did not start.
        """
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with theirs:
            paths = [str(_ROOT), os.environ.get("PYTHONPATH", "")]
            process = subprocess.Popen(  # noqa: S603 - our own module
                [sys.executable, "-m", "nvr.ptz.guard", str(theirs.fileno())],
                pass_fds=[theirs.fileno()],
                env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, paths))},
                stdin=subprocess.DEVNULL,
                start_new_session=True,  # a Ctrl-C or a kill of our group is not for it
            )
        ours.settimeout(_START_S)
        try:
            ready = ours.recv(4096)
        except OSError:
            ready = b""
        if not ready:
            ours.close()
            process.kill()
            process.wait()
            raise Unavailable("ptz.guard_gone", "nvr-guard did not start")
        ours.setblocking(False)
        with self._lock:
            self._process = process
            self._sock = ours
            self._waiting_since_s = None
            for message, fd in self._registered.values():
                self._send(message, fd)
        return process

    @property
    def pid(self) -> int | None:
        """Process number of the running guard."""
        return self._process.pid if self._process else None

    async def run(self) -> None:
        """Start the guard unless it runs, and wait until it ends; for `supervise`.

        Raises:
            Unavailable: ``ptz.guard_gone``: always, at its end.
        """
        process = self._process
        if process is None or self._sock is None:
            process = await asyncio.to_thread(self.start)
        gone = asyncio.Event()
        pidfd = os.pidfd_open(process.pid)
        loop = asyncio.get_running_loop()
        loop.add_reader(pidfd, gone.set)
        try:
            await gone.wait()
        finally:
            loop.remove_reader(pidfd)
            os.close(pidfd)
        with self._lock:
            self._lost()
        code = process.wait()
        raise Unavailable("ptz.guard_gone", "nvr-guard ended", exit_code=code)

    def close(self) -> None:
        """Let the guard act for the last time and end; waits for it."""
        with self._lock:
            process = self._process
            self._process = None
            self._lost()
        if process is not None:
            process.wait()

    def serial(self, bus: str, fd: int, gap_s: float, *, rts: bool) -> None:  # noqa: D102 - see Guard
        message = {"do": "serial", "bus": bus, "gap_ms": round(gap_s * 1000), "rts": rts}
        self._register(("bus", bus), message, fd)

    def forget(self, bus: str) -> None:  # noqa: D102 - see Guard
        with self._lock:
            self._registered.pop(("bus", bus), None)
            self._send({"do": "forget", "bus": bus})

    def output(self, name: str, way: Way, *, safe: bool) -> None:  # noqa: D102 - see Guard
        if isinstance(way, Line):
            self._register(("output", name), {"do": "line", "output": name, "safe": safe}, way.fd)
        elif isinstance(way, Claim):
            message = {
                "do": "claim", "output": name, "chip": way.chip, "line": way.line, "safe": safe,
            }  # fmt: skip
            self._register(("output", name), message, -1)
        else:
            message = {
                "do": "relay", "output": name, "path": way.path, "name": way.name, "safe": safe,
            }  # fmt: skip
            self._register(("output", name), message, -1)

    def beat(  # noqa: D102 - see Guard
        self,
        who: str,
        stops: Sequence[bytes] = (),
        *,
        offs: Sequence[bytes] = (),
        on: bool = False,
    ) -> None:
        with self._lock:
            self._hear()
            self._asked += 1
            if self._waiting_since_s is None:
                self._waiting_since_s = self._clock.monotonic_s()
            self._send(
                {
                    "do": "beat",
                    "who": who,
                    "stops": [frame.hex() for frame in stops],
                    "offs": [frame.hex() for frame in offs],
                    "on": on,
                    "n": self._asked,
                }
            )

    def took_over(self, who: str) -> bool:  # noqa: D102 - see Guard
        with self._lock:
            self._hear()
            taken = who in self._took
            self._took.discard(who)
            return taken

    def ready(self) -> bool:  # noqa: D102 - see Guard
        with self._lock:
            self._hear()
            since_s = self._waiting_since_s
            return self._sock is not None and (
                since_s is None or self._clock.monotonic_s() - since_s < ANSWER_S
            )

    def _register(self, key: tuple[str, str], message: dict[str, object], fd: int) -> None:
        with self._lock:
            self._registered[key] = (message, fd)
            self._send(message, fd)

    def _send(self, message: dict[str, object], fd: int = -1) -> None:
        if self._sock is None:
            return
        try:
            socket.send_fds(self._sock, [json.dumps(message).encode()], [fd] if fd >= 0 else [])
        except BlockingIOError:
            # It stopped reading long ago. A dropped message would leave it with a wrong picture;
            # a new guard gets the whole one.
            if self._process is not None:
                self._process.kill()
            self._lost()
        except OSError:
            self._lost()

    def _hear(self) -> None:
        while self._sock is not None:
            try:
                data = self._sock.recv(4096)
            except BlockingIOError:
                return
            except OSError:
                data = b""
            if not data:
                self._lost()
                return
            said = json.loads(data)
            if said["did"] == "took":
                self._took.add(said["who"])
            elif said["did"] == "beat":
                self._answered = said["n"]
                if self._answered == self._asked:
                    self._waiting_since_s = None
                elif self._waiting_since_s is not None:
                    self._waiting_since_s = self._clock.monotonic_s()

    def _lost(self) -> None:
        if self._sock is not None:
            self._sock.close()
            self._sock = None
