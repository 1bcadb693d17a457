"""A real `nvr run` in a process of its own, for tests that use the product from outside."""

import asyncio
import json
import os
import signal
import socket
import ssl
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp

from nvr.sim import launch

ROOT = Path(__file__).parents[2]
NAME, PASSWORD = "admin", "correct horse battery"


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class RunningBox:
    """Starts, claims, asks, kills."""

    def __init__(self, data: Path, more: str = "") -> None:
        self.data = data
        self.page_port, self.rtsp_port, self.dome_port = free_port(), free_port(), free_port()
        self.board = data.with_suffix(".board.toml")
        self.process: asyncio.subprocess.Process | None = None
        self.log = (data.parent / "log").open("ab")
        self.said: dict[str, str] = {}
        self.session: aiohttp.ClientSession
        text = (ROOT / "board/virtual.toml").read_text(encoding="utf-8")
        text = text.replace("8654", str(self.dome_port))
        text = text.replace("size_mib = 2048", "size_mib = 256")
        listeners = (
            f'[page]\nhost = "127.0.0.1"\nport = {self.page_port}\n'
            f'[rtsp]\nhost = "127.0.0.1"\nport = {self.rtsp_port}\ntls_port = {free_port()}\n{more}'
        )
        text = text.replace("[volume]", listeners + "[volume]")
        self.board.write_text(text, encoding="utf-8")

    @property
    def url(self) -> str:
        return f"https://127.0.0.1:{self.page_port}"

    async def start(self) -> None:
        self.process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "nvr", "run", "--board", self.board, "--data", self.data),
            cwd=ROOT,
            stdout=asyncio.subprocess.PIPE,
            stderr=self.log,
            env={**os.environ, "PYTHONUNBUFFERED": "1"},
        )
        assert self.process.stdout is not None
        wanted = {"page"} if self.said else {"page", "claim"}
        self.said = {}
        async with asyncio.timeout(60):
            while wanted - self.said.keys():
                line = (await self.process.stdout.readline()).decode()
                assert line, (self.data.parent / "log").read_text()
                key, _, value = line.strip().partition(" ")
                self.said[key] = value.strip()

    async def end(self, number: signal.Signals = signal.SIGTERM) -> int:
        assert self.process is not None
        if self.process.returncode is None:
            self.process.send_signal(number)
        async with asyncio.timeout(30):
            code = await self.process.wait()
        assert self.process.stdout is not None
        await self.process.stdout.read()
        return code

    async def call(self, method: str, path: str, body: object = None, status: int = 200) -> Any:
        async with self.session.request(
            method, self.url + path, json=body, headers={"X-NVR": "1", "Origin": self.url}
        ) as reply:
            text = await reply.text()
            assert reply.status == status, (reply.status, text)
            return json.loads(text) if text else None

    async def claim(self) -> None:
        body = {"code": self.said["claim"], "name": NAME, "password": PASSWORD}
        await self.call("POST", "/api/claim", body)

    async def log_in(self) -> None:
        await self.call("POST", "/api/login", {"name": NAME, "password": PASSWORD})

    async def camera(self, name: str) -> dict[str, Any]:
        found: dict[str, Any] = await self.call("GET", f"/api/camera/{name}")
        return found

    async def until(self, name: str, key: str, value: object, timeout_s: float = 30) -> Any:
        """Wait until a field of a camera has a value; a callable decides for itself."""
        holds = value if callable(value) else lambda seen: seen == value
        async with asyncio.timeout(timeout_s):
            while not holds((camera := await self.camera(name))[key]):
                await asyncio.sleep(0.1)
        return camera


@asynccontextmanager
async def running_box(directory: Path, more: str = "") -> AsyncIterator[RunningBox]:
    box = RunningBox(directory / "data", more)
    insecure = ssl.create_default_context()
    insecure.check_hostname = False
    insecure.verify_mode = ssl.CERT_NONE
    jar = aiohttp.CookieJar(unsafe=True)
    try:
        async with aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(ssl=insecure), cookie_jar=jar
        ) as session:
            box.session = session
            await box.start()
            await box.claim()
            yield box
    finally:
        if box.process is not None:
            await box.end()
        box.log.close()
        await asyncio.to_thread(launch.stop, box.data / "sim")
