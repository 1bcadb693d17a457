"""A real `nvr run` in a process of its own, for tests that use the product from outside."""

import asyncio
import json
import os
import re
import signal
import ssl
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
from multidict import CIMultiDictProxy

from nvr.sim import launch
from tests.ports import free_port

ROOT = Path(__file__).parents[2]
NAME, PASSWORD = "admin", "correct horse battery"


class RunningBox:
    """Starts, claims, asks, kills.

    Args:
        data: Its data directory.
        more: Further tables of its configuration, such as ``[[camera]]``.
        volume: Keys of ``[volume]`` instead of the board's.
        board: Further tables of the board, such as ``[serial.desk]``.
    """

    def __init__(
        self,
        data: Path,
        more: str = "",
        volume: str = 'path = "ring"\nsize_mib = 256',
        board: str = "",
    ) -> None:
        self.data = data
        self.page_port, self.rtsp_port, self.dome_port = free_port(), free_port(), free_port()
        self.board = data.with_suffix(".board.toml")
        self.process: asyncio.subprocess.Process | None = None
        self.log = (data.parent / "log").open("ab")
        self.said: dict[str, str] = {}
        self.session: aiohttp.ClientSession
        text = (ROOT / "board/virtual.toml").read_text(encoding="utf-8")
        text = text.replace("8654", str(self.dome_port))
        text = re.sub(r"path = \"ring\".*\nsize_mib = 2048", volume, text)
        listeners = (
            'local_upstream = ["127.0.0.1:*"]\n'
            + ('local_cameras = ["127.0.0.1:*"]\n' if more else "")  # the dome needs no leave
            + f'[page]\nhost = "127.0.0.1"\nport = {self.page_port}\n'
            f'[rtsp]\nhost = "127.0.0.1"\nport = {self.rtsp_port}\ntls_port = {free_port()}\n'
        )
        text = text.replace("[volume]", listeners + "[volume]")
        text = text.replace("# A real camera is three", f"{more}\n# A real camera is three")
        self.board.write_text(f"{text}\n{board}", encoding="utf-8")

    @property
    def url(self) -> str:
        return f"https://127.0.0.1:{self.page_port}"

    async def _run(self) -> asyncio.subprocess.Process:
        return await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "nvr", "run", "--board", self.board, "--data", self.data),
            cwd=ROOT,
            stdout=asyncio.subprocess.PIPE,
            stderr=self.log,
            env={**os.environ, "PYTHONUNBUFFERED": "1"},
        )

    async def run_to_its_end(self) -> tuple[int | None, str]:
        """Run a box that ends by itself; its exit status and what it said."""
        process = await self._run()
        try:
            async with asyncio.timeout(30):
                out, _ = await process.communicate()
        finally:
            if process.returncode is None:
                process.kill()
                await process.communicate()
        return process.returncode, out.decode()

    async def start(self) -> None:
        self.process = await self._run()
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

    async def take(self, path: str) -> tuple[CIMultiDictProxy[str], bytes]:
        """Get what is not JSON."""
        async with self.session.get(self.url + path) as reply:
            body = await reply.read()
            assert reply.status == 200, (reply.status, body)
            return reply.headers, body

    async def claim(self) -> None:
        body = {"code": self.said["claim"], "name": NAME, "password": PASSWORD}
        await self.call("POST", "/api/claim", body)

    async def log_in(self) -> None:
        await self.call("POST", "/api/login", {"name": NAME, "password": PASSWORD})

    @asynccontextmanager
    async def person(self, name: str, role: str) -> AsyncIterator[aiohttp.ClientSession]:
        """Give somebody an account, and log in as that one."""
        account = {
            "name": name,
            "role": role,
            "password": PASSWORD,
            "rights": {"*": ["live", "ptz"]},
        }
        await self.call("POST", "/api/user", account, 201)
        own = {"X-NVR": "1", "Origin": self.url}
        async with browser() as session:
            login = {"name": name, "password": PASSWORD}
            async with session.post(f"{self.url}/api/login", json=login, headers=own) as reply:
                assert reply.status == 200, await reply.text()
            yield session

    async def camera(self, name: str) -> dict[str, Any]:
        found: dict[str, Any] = await self.call("GET", f"/api/camera/{name}")
        return found

    async def until(self, name: str, key: str, value: object, timeout_s: float = 30) -> Any:
        """Wait until a field of a camera has a value; a callable decides for itself."""
        holds = value if callable(value) else lambda seen: seen == value
        until_s = time.monotonic() + timeout_s
        while not holds((camera := await self.camera(name))[key]):
            assert time.monotonic() < until_s, camera
            await asyncio.sleep(0.1)
        return camera


@asynccontextmanager
async def browser() -> AsyncIterator[aiohttp.ClientSession]:
    """Somebody's browser, which trusts every box."""
    insecure = ssl.create_default_context()
    insecure.check_hostname = False
    insecure.verify_mode = ssl.CERT_NONE
    async with aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(ssl=insecure), cookie_jar=aiohttp.CookieJar(unsafe=True)
    ) as session:
        yield session


@asynccontextmanager
async def running_box(directory: Path, *extra: str) -> AsyncIterator[RunningBox]:
    box = RunningBox(directory / "data", *extra)
    try:
        async with browser() as session:
            box.session = session
            await box.start()
            await box.claim()
            yield box
    finally:
        if box.process is not None:
            await box.end()
        box.log.close()
        await asyncio.to_thread(launch.stop, box.data / "sim")
