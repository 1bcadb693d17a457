"""Starts the virtual dome's process where none runs, and ends it.

The process holds a lock on ``dome.pid`` in its directory for as long as it lives, so a stale
number never counts: who can take the lock knows that nobody is there.
"""

import fcntl
import json
import logging
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from nvr import __version__
from nvr.base.errors import Unavailable
from nvr.base.log import event

_log = logging.getLogger(__name__)

LOCK = "dome.pid"
LOG = "dome.log"
USERS = "dome.used"
"""Locked, shared, by everybody who wants the dome in that directory to stay."""
_START_S = 20.0
_END_S = 5.0
_ANSWER_S = 2.0
_MOST_LOG_BYTES = 1 << 20


def running(directory: Path) -> int | None:
    """Process id of the dome that runs in `directory`, None if none does."""
    try:
        with (directory / LOCK).open() as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
            except BlockingIOError:
                text = lock.read().strip()
                return int(text) if text.isdecimal() else 0
    except (FileNotFoundError, NotADirectoryError):
        pass
    return None


@contextmanager
def used(directory: Path) -> Iterator[None]:
    """Keep the dome in `directory` from leaving; whoever is killed lets go, too."""
    with (directory / USERS).open("a") as file:
        fcntl.flock(file, fcntl.LOCK_SH)
        yield


def forsaken(directory: Path) -> bool:
    """Whether nobody is in `used` there."""
    with (directory / USERS).open("a") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
    return True


def ask(directory: Path, request: dict[str, Any]) -> dict[str, Any]:
    """Put one request to the dome's socket; see `nvr.sim.dome`. Blocks up to 2 s.

    Raises:
        Unavailable: ``dome.silent``: nobody answers.
    """
    try:
        with socket.socket(socket.AF_UNIX) as sock:
            sock.settimeout(_ANSWER_S)
            sock.connect(str(directory / "relay0"))
            sock.sendall(json.dumps(request, ensure_ascii=False).encode() + b"\n")
            with sock.makefile("rb") as lines:
                answer = json.loads(lines.readline() or b"null")
    except (OSError, ValueError) as err:
        raise Unavailable("dome.silent", str(err), dir=directory) from err
    if not isinstance(answer, dict):
        raise Unavailable("dome.silent", "the dome closed the line", dir=directory)
    return answer


def ensure_running(
    directory: Path, rtsp_port: int, *, name: str = "dome", arguments: tuple[str, ...] = ()
) -> str:
    """Have a dome in `directory`: the one that runs there, or a new one. Blocks up to 20 s.

    One of another version, port or name is replaced, for it is not the one that is meant.

    Args:
        directory: Where its terminal ``dome0`` and socket ``relay0`` are.
        rtsp_port: Port on 127.0.0.1.
        name: Name of its stream.
        arguments: Further ones for `nvr.sim.dome`, such as ``--size 640x360``.

    Returns:
        The address of its stream.

    Raises:
        Unavailable: ``dome.not_started``: it ended at once, or did not answer in time.
    """
    directory.mkdir(parents=True, exist_ok=True)
    wanted = {"version": __version__, "rtsp": f"127.0.0.1:{rtsp_port}", "name": name}
    if running(directory) is not None:
        answer = _state(directory)
        if answer is not None and all(answer.get(key) == value for key, value in wanted.items()):
            return f"rtsp://{wanted['rtsp']}/{name}"
        event(_log, logging.INFO, "dome.replaced", dir=str(directory), was=answer)
        stop(directory)
    said = _start(directory, [f"--rtsp={wanted['rtsp']}", f"--name={name}", *arguments])
    if said is not None and "rtsp.port" in said:
        said = "its port is taken: the dome of another directory ends a minute after its recorder"
    if said is not None:
        raise Unavailable("dome.not_started", said, dir=directory, port=rtsp_port)
    event(_log, logging.INFO, "dome.launched", dir=str(directory), pid=running(directory))
    return f"rtsp://{wanted['rtsp']}/{name}"


def stop(directory: Path) -> bool:
    """End the dome in `directory` and wait until it is gone; False if there was none.

    Raises:
        Unavailable: ``dome.stuck``: it does not end, even when killed.
    """
    for number in (signal.SIGTERM, signal.SIGKILL):
        pid = running(directory)
        if not pid:
            return number != signal.SIGTERM
        try:
            os.kill(pid, number)
        except ProcessLookupError:
            continue
        until_s = time.monotonic() + _END_S
        while time.monotonic() < until_s:
            if running(directory) is None:
                return True
            time.sleep(0.02)
    raise Unavailable("dome.stuck", "the dome does not end", dir=directory)


def _start(directory: Path, arguments: list[str]) -> str | None:
    """Start the process and wait until it can be reached; what it said if it cannot be."""
    log = directory / LOG
    if log.exists() and log.stat().st_size > _MOST_LOG_BYTES:
        log.replace(log.with_suffix(".old"))
    with log.open("ab") as out:
        command = [sys.executable, "-m", "nvr.sim.dome", f"--dir={directory}", "--background"]
        try:
            done = subprocess.run(  # noqa: S603 - our own module, arguments are ours
                [*command, *arguments],
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=out,
                timeout=_START_S,
                check=False,
            )
        except subprocess.TimeoutExpired:
            return "it did not answer in time"
    if done.returncode == 0:
        return None
    lines = log.read_text(errors="replace").strip().splitlines()
    return lines[-1] if lines else "it ended at once"


def _state(directory: Path) -> dict[str, Any] | None:
    """State of the dome that runs, which may just be starting; None if it ends instead."""
    until_s = time.monotonic() + _START_S
    while time.monotonic() < until_s:
        try:
            return ask(directory, {"get": True})
        except Unavailable:
            if running(directory) is None:
                return None
            time.sleep(0.02)
    return None
