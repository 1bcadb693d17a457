"""The shipped `nvr run` as a bench starts it: a fresh data directory, everything on."""

import contextlib
import http.client
import json
import os
import random
import re
import shutil
import signal
import socket
import ssl
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.bench.camera import Missing
from tests.bench.content import CACHE
from tests.bench.figures import ROOT
from tests.ports import free_port

START_S = 60
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


def lasting_ports(count: int) -> list[int]:
    """Return ports nobody listens on, for a recorder that is away now and then.

    They lie where the system takes none for connections, or one of those could take ours
    meanwhile.
    """
    begin = int(Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split()[0])
    found: list[int] = []
    for port in random.sample(range(begin // 2, begin), 200):
        with contextlib.suppress(OSError), socket.socket() as probe:
            probe.bind(("127.0.0.1", port))
            found.append(port)
        if len(found) == count:
            return found
    raise Missing("no free ports below those the system gives out")


@dataclass(frozen=True, slots=True)
class Setup:
    """What a recorder is started with, as often as one likes.

    Attributes:
        board: The board file, which also says what the first start is to write down.
        data: The data directory.
        log: What it writes to standard error goes here, one start after the other.
        page_port: HTTPS.
        rtsp_port: RTSP.
        rtsps_port: RTSP over TLS.
        environment: Variables it gets besides ours.
    """

    board: Path
    data: Path
    log: Path
    page_port: int
    rtsp_port: int
    rtsps_port: int
    environment: dict[str, str] = field(default_factory=dict)

    def spawn(self, program: Sequence[str] = ("nvr",)) -> "subprocess.Popen[str]":
        """Start it: `nvr run`, or another module that does as `nvr` does."""
        words = [sys.executable, "-m", *program, "run"]
        with self.log.open("ab") as errors:
            return subprocess.Popen(
                [*words, "--board", str(self.board), "--data", str(self.data)],
                cwd=ROOT,
                stdout=subprocess.PIPE,
                stderr=errors,
                text=True,
                # A bench measures what is shipped, not Python's development mode.
                env={key: value for key, value in os.environ.items() if key != "PYTHONDEVMODE"}
                | self.environment,
            )


def set_up(
    urls: Sequence[str],
    directory: Path,
    ports: Sequence[int],
    *,
    rtsp_mode: str = "batched",
    size_mib: int = 2048,
    board_tables: str = "",
    camera_tables: str = "",
    volume_lines: str = "",
    ring: str = "ring",
    environment: Mapping[str, str] | None = None,
) -> Setup:
    """Write the board file of a recorder with one camera for each of `urls`: ``c0``, ``c1``, ...

    Args:
        urls: Of the cameras.
        directory: Where all of it goes.
        ports: Of the page, RTSP and RTSPS.
        rtsp_mode: How it serves.
        size_mib: Of its volume.
        board_tables: TOML added to the board file.
        camera_tables: TOML added to the last camera.
        volume_lines: TOML added to the volume.
        ring: Path of the volume, from the data directory.
        environment: Variables it gets besides ours.
    """
    page, rtsp, rtsps = ports
    lines = [
        "schema = 1",
        'name = "bench"',
        'local_cameras = ["127.0.0.1:*"]',
        f"[page]\nport = {page}",
        f'[rtsp]\nport = {rtsp}\ntls_port = {rtsps}\nmode = "{rtsp_mode}"\nper_address = 1024',
        f'[volume]\npath = "{ring}"\nsize_mib = {size_mib}\n{volume_lines}',
    ]
    lines += [f'[[camera]]\nname = "c{n}"\nurl = "{url}"' for n, url in enumerate(urls)]
    board = directory / "board.toml"
    start = "\n".join([*lines, camera_tables])
    head = 'schema = 1\nid = "bench"\ntitle = "Bench"'
    board.write_text(f"{head}\nstart = '''\n{start}\n'''\n{board_tables}\n")
    data, log = directory / "data", directory / "log"
    return Setup(board, data, log, page, rtsp, rtsps, dict(environment or {}))


@contextmanager
def recorder(urls: Sequence[str], directory: Path, **more: Any) -> Iterator[Recorder]:
    """Run `nvr run` until the block ends; for the arguments see `set_up`."""
    setup = set_up(urls, directory, [free_port() for _ in range(3)], **more)
    with setup.spawn() as process:
        try:
            claim = claim_code(process, setup.log)
            yield Recorder(
                process.pid, setup.data, setup.page_port, setup.rtsp_port, setup.rtsps_port,
                claim, setup.log,
            )  # fmt: skip
        finally:
            process.send_signal(signal.SIGTERM)
            try:
                process.wait(STOP_S)
            except subprocess.TimeoutExpired:
                process.kill()


def claim_code(process: subprocess.Popen[str], log: Path) -> str:
    """Read the two lines a new recorder prints, and return the claim code.

    Raises:
        RuntimeError: It ended before that, or took too long.
    """
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

    Args:
        port: Of the page.
        claim: The claim code of a new recorder; one that is claimed is logged in at.
    """

    def __init__(self, port: int, claim: str = "") -> None:
        context = ssl.create_default_context()
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
        self._connection = http.client.HTTPSConnection(
            "127.0.0.1", port, context=context, timeout=30
        )
        self._origin = f"https://127.0.0.1:{port}"
        self._cookie = ""
        who = {"name": "bench", "password": PASSWORD}
        if claim:
            self.call("POST", "/api/claim", {"code": claim, **who})
        else:
            self.call("POST", "/api/login", who)

    def call(self, method: str, path: str, body: object = None) -> Any:
        """Make one request and return its JSON.

        Raises:
            RuntimeError: The recorder refused.
        """
        _, answer = self.fetch(method, path, body)
        return json.loads(answer) if answer else None

    def fetch(
        self, method: str, path: str, body: object = None
    ) -> tuple[http.client.HTTPResponse, bytes]:
        """Make one request and return its answer.

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
        return response, answer

    def machine(self, name: str) -> str:
        """Make a machine credential that may see every camera, and return its secret."""
        made = self.call("POST", "/api/machine", {"name": name, "rights": {"*": ["live"]}})
        return str(made["secret"])

    def close(self) -> None:
        """Close the connection."""
        self._connection.close()
