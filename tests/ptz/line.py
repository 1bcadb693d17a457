"""The far end of a serial line, and a box of relays, as other processes would be them."""

import contextlib
import json
import os
import select
import socket
import threading
import time
import tty
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

from nvr.wire.pelco_d import Decoder, Frame

BENCH = """
schema = 1
id = "bench"
title = "Bench"
[serial.ptz]
driver = "virtual"
path = "dome0"
baud = 9600
[dome]
"""
"""A board with one serial line, to a simulated dome."""


@dataclass(frozen=True)
class Heard:
    """One frame off the wire.

    Attributes:
        at_s: When its last byte was read (`time.monotonic`).
        first_s: When its first byte was read.
        frame: The frame.
    """

    at_s: float
    first_s: float
    frame: Frame

    @property
    def still(self) -> bool:
        return self.frame.command == 0


class FarEnd:
    """The master of a pseudo-terminal, read by a thread of its own. With `echo`, a two-wire
    adapter whose receiver stays on. `answer` is the head: bytes in, bytes out."""

    def __init__(
        self,
        link: Path | None = None,
        *,
        echo: bool = False,
        answer: Callable[[bytes], bytes] = lambda _data: b"",
    ) -> None:
        self.master, self._slave = os.openpty()
        tty.setraw(self.master)
        tty.setraw(self._slave)
        os.set_blocking(self.master, False)
        self.path = os.ttyname(self._slave)
        self.link = link
        if link is not None:
            fresh = link.with_suffix(".new")
            fresh.symlink_to(self.path)
            fresh.replace(link)
            self.path = str(link)
        self._echo = echo
        self._answer = answer
        self._decoder = Decoder()
        self._heard: list[Heard] = []
        self._news = threading.Condition()
        self._end_r, self._end_w = os.pipe()
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def _run(self) -> None:
        first_s = 0.0
        while True:
            ready = select.select([self.master, self._end_r], [], [])[0]
            now_s = time.monotonic()
            if self._end_r in ready:
                return
            try:
                data = os.read(self.master, 4096)
            except OSError:
                continue
            if self._echo:
                os.write(self.master, data)
            if answer := self._answer(data):
                os.write(self.master, answer)
            first_s = first_s or now_s
            found = [
                Heard(now_s, first_s, piece)
                for piece in self._decoder.feed(data)
                if isinstance(piece, Frame)
            ]
            if found:
                first_s = 0.0
                with self._news:
                    self._heard += found
                    self._news.notify_all()

    @property
    def heard(self) -> list[Heard]:
        with self._news:
            return list(self._heard)

    def clear(self) -> None:
        with self._news:
            self._heard.clear()

    def wait(self, enough, timeout_s: float = 10.0) -> list[Heard]:
        """Wait until `enough(heard)`; returns what was heard."""
        with self._news:
            assert self._news.wait_for(lambda: enough(self._heard), timeout_s), self._heard
            return list(self._heard)

    def wait_count(self, count: int) -> list[Heard]:
        return self.wait(lambda heard: len(heard) >= count)

    def say(self, data: bytes) -> None:
        os.write(self.master, data)

    def close(self) -> None:
        os.write(self._end_w, b"x")
        self._thread.join()
        for fd in (self.master, self._slave, self._end_r, self._end_w):
            os.close(fd)


class RelayBox:
    """Relays that keep their state when whoever switched them dies; `said` is in every answer."""

    def __init__(self, path: Path, said: Mapping[str, object] = MappingProxyType({})) -> None:
        self.path = str(path)
        self._answer = json.dumps({"ok": True, **said}) + "\n"
        self.state: dict[str, bool] = {"wiper": False, "lamp": False}
        self.changed_s: dict[str, float] = {}
        self.changes: list[tuple[str, bool, float]] = []
        self._ending = False
        self._sock = socket.socket(socket.AF_UNIX)
        self._sock.bind(self.path)
        self._sock.listen(16)
        self._threads: list[threading.Thread] = []
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def _run(self) -> None:
        while True:
            conn, _ = self._sock.accept()
            if self._ending:
                conn.close()
                return
            thread = threading.Thread(target=self._serve, args=(conn,))
            thread.start()
            self._threads.append(thread)

    def _serve(self, conn: socket.socket) -> None:
        with contextlib.suppress(OSError), conn, conn.makefile("rw") as lines:
            for line in lines:
                request = json.loads(line)
                if "output" in request:
                    name, on, at_s = request["output"], request["on"], time.monotonic()
                    self.changed_s[name] = at_s
                    self.changes.append((name, on, at_s))
                    self.state[name] = on
                lines.write(self._answer)
                lines.flush()

    def wait(self, name: str, on: bool, timeout_s: float = 10.0) -> float:
        end_s = time.monotonic() + timeout_s
        while self.state[name] != on:
            assert time.monotonic() < end_s, f"{name} is still {not on}"
            time.sleep(0.002)
        return self.changed_s[name]

    def first(self, name: str, on: bool, after_s: float, timeout_s: float = 10.0) -> float:
        """When `name` was first told `on` after `after_s`, however short that lasted."""
        end_s = time.monotonic() + timeout_s
        while True:
            for told, level, at_s in list(self.changes):
                if (told, level) == (name, on) and at_s > after_s:
                    return at_s
            assert time.monotonic() < end_s, f"{name} was never {on}: {self.changes}"
            time.sleep(0.002)

    def close(self) -> None:
        self._ending = True
        with socket.socket(socket.AF_UNIX) as sock:
            sock.connect(self.path)
        self._thread.join()
        for thread in self._threads:
            thread.join()
        self._sock.close()
        os.unlink(self.path)


class PaperGuard:
    """Writes down what it is told; says what it is made to say."""

    def __init__(self) -> None:
        self.here = True
        self.took = False
        self.log: list[tuple[object, ...]] = []

    def serial(self, bus: str, _fd: int, gap_s: float, *, rts: bool) -> None:
        self.log.append(("serial", bus, gap_s, rts))

    def forget(self, bus: str) -> None:
        self.log.append(("forget", bus))

    def output(self, name: str, _way: object, *, safe: bool) -> None:
        self.log.append(("output", name, safe))

    def beat(self, who: str, stops: object = (), *, offs: object = (), on: bool = False) -> None:
        self.log.append(("beat", who, (*stops, *offs), on))

    def took_over(self, _who: str) -> bool:
        took, self.took = self.took, False
        return took

    def ready(self) -> bool:
        return self.here


class Switches:
    """Outputs of the board that only remember. See `nvr.ptz.heads.Switches`."""

    def __init__(self, *names: str) -> None:
        self.on = dict.fromkeys(names, False)

    def set(self, name: str, on: bool) -> None:
        self.on[name] = on

    def rest(self, name: str) -> None:
        self.on[name] = False

    def get(self, name: str) -> bool:
        return self.on.get(name, False)
