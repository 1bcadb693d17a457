"""The shipped `nvr run` as a bench starts it: a fresh data directory, everything on."""

import contextlib
import http.client
import json
import os
import re
import shutil
import signal
import socket
import ssl
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.bench.camera import Missing
from tests.bench.content import CACHE
from tests.bench.figures import ROOT

START_S = 30
STOP_S = 20
PASSWORD = "correct horse battery staple"


@dataclass(frozen=True)
class Recorder:
    """A running recorder.

    Attributes:
        pid: Of `nvr run`; its family includes the guard.
        data: The data directory.
        page_port: HTTPS.
        rtsp_port: RTSP.
        rtsps_port: RTSP over TLS.
        claim: The claim code of the page.
        log: What it wrote to standard error.
    """

    pid: int
    data: Path
    page_port: int
    rtsp_port: int
    rtsps_port: int
    claim: str
    log: Path


def free_ports(count: int) -> list[int]:
    """Return ports nobody listens on at this moment."""
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for each in sockets:
            each.bind(("127.0.0.1", 0))
        return [each.getsockname()[1] for each in sockets]


@contextmanager
def scratch() -> Iterator[Path]:
    """A directory on a disk, not in memory: what is flushed must cost what it costs.

    Raises:
        Missing: Every candidate is a memory file system.
    """
    CACHE.mkdir(parents=True, exist_ok=True)
    for parent in (CACHE, Path("/var/tmp")):
        kind = subprocess.run(
            ["stat", "-f", "-c", "%T", parent], capture_output=True, text=True, check=True
        ).stdout.strip()
        if kind not in {"tmpfs", "ramfs", "overlayfs"}:
            directory = Path(tempfile.mkdtemp(prefix="run-", dir=parent))
            try:
                yield directory
            finally:
                shutil.rmtree(directory, ignore_errors=True)
            return
    raise Missing("no directory on a real disk: neither the checkout nor /var/tmp is on one")


@contextmanager
def recorder(
    urls: Sequence[str],
    directory: Path,
    *,
    rtsp_mode: str = "batched",
    size_mib: int = 2048,
    board_tables: str = "",
    camera_tables: str = "",
) -> Iterator[Recorder]:
    """Run `nvr run` with one camera for each of `urls`, named ``c0``, ``c1`` and so on.

    `board_tables` is TOML added to the board file; `camera_tables` to the last camera.
    """
    page, rtsp, rtsps = free_ports(3)
    lines = [
        "schema = 1",
        'name = "bench"',
        'local_cameras = ["127.0.0.1:*"]',
        f"[page]\nport = {page}",
        f'[rtsp]\nport = {rtsp}\ntls_port = {rtsps}\nmode = "{rtsp_mode}"\nper_address = 1024',
        f'[volume]\npath = "ring"\nsize_mib = {size_mib}',
    ]
    lines += [f'[[camera]]\nname = "c{n}"\nurl = "{url}"' for n, url in enumerate(urls)]
    board = directory / "board.toml"
    start = "\n".join([*lines, camera_tables])
    head = 'schema = 1\nid = "bench"\ntitle = "Bench"'
    board.write_text(f"{head}\nstart = '''\n{start}\n'''\n{board_tables}\n")
    data = directory / "data"
    log = directory / "log"
    with (
        log.open("wb") as errors,
        subprocess.Popen(
            [sys.executable, "-m", "nvr", "run", "--board", board, "--data", data],
            cwd=ROOT,
            stdout=subprocess.PIPE,
            stderr=errors,
            text=True,
            # A bench measures what is shipped, not Python's development mode.
            env={key: value for key, value in os.environ.items() if key != "PYTHONDEVMODE"},
        ) as process,
    ):
        try:
            yield Recorder(process.pid, data, page, rtsp, rtsps, _claim(process, log), log)
        finally:
            process.send_signal(signal.SIGTERM)
            try:
                process.wait(STOP_S)
            except subprocess.TimeoutExpired:
                process.kill()


def _claim(process: subprocess.Popen[str], log: Path) -> str:
    """Read the two lines a new recorder prints, and return the claim code."""
    assert process.stdout
    deadline = time.monotonic() + START_S
    said = []
    while time.monotonic() < deadline:
        line = process.stdout.readline()
        if not line:
            break
        said.append(line)
        if found := re.match(r"claim\s+(\S+)", line):
            return found[1]
    tail = "".join(log.read_text(errors="replace").splitlines(keepends=True)[-20:])
    raise RuntimeError(f"nvr run did not start: {''.join(said)}{tail}")


class Page:
    """The page's API as a bench needs it: claim the box, make a machine credential, ask.

    The certificate is the recorder's own, made at its first start, so it is not verified.
    """

    def __init__(self, ours: Recorder) -> None:
        context = ssl.create_default_context()
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
        self._connection = http.client.HTTPSConnection(
            "127.0.0.1", ours.page_port, context=context, timeout=30
        )
        self._origin = f"https://127.0.0.1:{ours.page_port}"
        self._cookie = ""
        self.call("POST", "/api/claim", {"code": ours.claim, "name": "bench", "password": PASSWORD})

    def call(self, method: str, path: str, body: object = None) -> Any:
        """Make one request and return its JSON.

        Raises:
            RuntimeError: The recorder refused.
        """
        headers = {"X-NVR": "1", "Origin": self._origin, "Content-Type": "application/json"}
        if self._cookie:
            headers["Cookie"] = self._cookie
        text = None if body is None else json.dumps(body)
        self._connection.request(method, path, text, headers)
        response = self._connection.getresponse()
        answer = response.read()
        if response.status >= 300:
            raise RuntimeError(f"{method} {path}: {response.status} {answer.decode()}")
        if cookie := response.getheader("Set-Cookie"):
            self._cookie = cookie.split(";")[0]
        return json.loads(answer) if answer else None

    def machine(self, name: str) -> str:
        """Make a machine credential that may see every camera, and return its secret."""
        made = self.call("POST", "/api/machine", {"name": name, "rights": {"*": ["live"]}})
        return str(made["secret"])

    def close(self) -> None:
        """Close the connection."""
        self._connection.close()
