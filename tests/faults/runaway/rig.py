"""The shipped recorder, the wires and people a scenario needs, and ways to break each of them."""

import asyncio
import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp
import msgpack

from nvr.sim.joystick import HandOnJoystick
from tests.bench.figures import ROOT
from tests.bench.recorder import Setup, claim_code, lasting_ports, scratch, set_up
from tests.faults.clock_live import library
from tests.faults.runaway.far import HEADS, NAME, PRESETS

PASSWORD = "a harness has no secrets"
RENEW_S = 0.15
START_S = 60.0
MAX_ON_S = 1.5
BOARD = f"""
[serial.ptz]
path = "{{path}}"
baud = 9600
direction = "none"

[dome]
name = "{NAME}"
rtsp_port = {{port}}

[gpio.wiper]
driver = "virtual"
kind = "wiper"
max_on_s = {MAX_ON_S}

[gpio.light]
driver = "virtual"
kind = "lamp"
on_crash = "on"
"""
CAMERA = """
[[camera]]
name = "c{number}"
url = "rtsp://127.0.0.1:9/none"
[camera.ptz]
bus = "ptz"
address = {number}
wiper = "wiper"
lamp = {{ aux = 2, max_on_s = {max_on_s} }}
presets = {{ 1 = "one", 2 = "two" }}
"""
TOUR = {
    "tours": [{"name": "round", "steps": [{"preset": n, "dwell_s": 1.0} for n in PRESETS]}],
    "resume_s": 600.0,
}


class FarProcess:
    """The process with heads and relays; see `far`."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process

    async def ask(self, do: str, **order: object) -> Any:
        """Give one order, and return the answer."""
        assert self._process.stdin
        assert self._process.stdout
        self._process.stdin.write(json.dumps({"do": do, **order}).encode() + b"\n")
        return json.loads(await self._process.stdout.readline())

    async def now(self) -> dict[str, bool]:
        """Return what moves and what is on."""
        answer = await self.ask("changed", since_s=time.monotonic())
        return dict(answer["now"])


@asynccontextmanager
async def far_process(link: Path, sim: Path, port: int) -> AsyncIterator[FarProcess]:
    """Have heads and relays until the block ends."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "tests.faults.runaway.far", str(link), str(sim), str(port)),
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        limit=1 << 24,
    )
    try:
        assert process.stdout
        await process.stdout.readline()
        yield FarProcess(process)
    finally:
        assert process.stdin
        process.stdin.close()
        await process.wait()


class Cable:
    """The network between one page and the recorder."""

    def __init__(self, port: int) -> None:
        self._to = port
        self._whole = asyncio.Event()
        self._whole.set()
        self._tasks: set[asyncio.Task[None]] = set()

    async def lay(self) -> int:
        """Return the port at this end."""
        self._server = await asyncio.start_server(self._accepted, "127.0.0.1", 0)
        return int(self._server.sockets[0].getsockname()[1])

    def cut(self) -> None:
        """Nothing passes any more, and neither end is told."""
        self._whole.clear()

    async def _accepted(self, near: asyncio.StreamReader, back: asyncio.StreamWriter) -> None:
        distant, forth = await asyncio.open_connection("127.0.0.1", self._to)
        for reader, writer in ((near, forth), (distant, back)):
            task = asyncio.create_task(self._carry(reader, writer))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError), contextlib.closing(writer):
            while data := await reader.read(65536):
                await self._whole.wait()
                writer.write(data)

    async def close(self) -> None:
        """Both ends are told, at last."""
        self._server.close()
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)


@dataclass
class Page:
    """A page of a person, with a stick on it that may be held."""

    socket: aiohttp.ClientWebSocketResponse
    cable: Cable
    held: dict[str, float] = field(default_factory=dict)
    refused: list[dict[str, Any]] = field(default_factory=list)
    _n: int = 0
    _tasks: list["asyncio.Task[None]"] = field(default_factory=list)

    def open(self) -> None:
        """Begin to listen and to renew."""
        self._tasks = [asyncio.create_task(self._read()), asyncio.create_task(self._renew())]

    async def say(self, op: str, **more: object) -> None:
        """Send one operation; into the void if nobody is there."""
        with contextlib.suppress(ConnectionError):
            await self.socket.send_bytes(msgpack.packb({"op": op, **more}))

    async def move(self, camera: str, pan: float) -> None:
        """Set the stick, and hold it there unless it is centred."""
        self.held.pop(camera, None)
        if pan:
            self.held[camera] = pan
        await self._move(camera, pan)

    async def _move(self, camera: str, pan: float) -> None:
        self._n += 1
        await self.say("move", cam=camera, n=self._n, v=[pan, 0.0, 0.0])

    async def _renew(self) -> None:
        while True:
            await asyncio.sleep(RENEW_S)
            for camera, pan in list(self.held.items()):
                await self._move(camera, pan)

    async def _read(self) -> None:
        async for message in self.socket:
            said = msgpack.unpackb(message.data)
            if said["op"] == "error":
                self.refused.append(said)

    def freeze(self) -> None:
        """Neither renew nor listen any more; the connection stays."""
        for task in self._tasks:
            task.cancel()

    async def close(self, *, abruptly: bool = False) -> None:
        """Close it, by a close frame or as a killed browser does."""
        self.freeze()
        if abruptly:
            await self.cable.close()
        with contextlib.suppress(asyncio.TimeoutError):
            await asyncio.wait_for(self.socket.close(), 2.0)
        await self.cable.close()


class Rig:
    """One recorder with everything around it.

    Args:
        setup: How it is started.
        far: Heads and relays.
        program: `nvr`, or what plants a mistake in it.
        wall: Where libfaketime is told the time; None to leave the clock alone.
    """

    def __init__(
        self, setup: Setup, far: FarProcess, program: Sequence[str], wall: Path | None
    ) -> None:
        self.far = far
        self._setup = setup
        self._program = program
        self._wall = wall
        self._process: subprocess.Popen[str] | None = None
        self._people: dict[str, aiohttp.ClientSession] = {}

    async def start(self) -> None:
        """Start it, claim it if it is new, and have both people sign in."""
        new = not self._setup.data.joinpath("nvr.toml").exists()
        self._process = self._setup.spawn(self._program)
        claim = ""
        if new:
            claim = await asyncio.to_thread(claim_code, self._process, self._setup.log)
        admin, operator = self._person(), self._person()
        self._people = {"admin": admin, "operator": operator}
        credentials = {"name": "admin", "password": PASSWORD}
        if new:
            await self._post(admin, "/api/claim", {"code": claim, **credentials})
            await self._post(
                admin,
                "/api/user",
                {
                    "name": "operator",
                    "role": "operator",
                    "password": PASSWORD,
                    "rights": {"*": ["live", "ptz", "relay"]},
                },
            )
            for number in range(1, HEADS + 1):
                await self._post(admin, f"/api/camera/c{number}/program", TOUR, "PUT")
        else:
            await self._post(admin, "/api/login", credentials)
        await self._post(operator, "/api/login", {"name": "operator", "password": PASSWORD})

    def _person(self) -> aiohttp.ClientSession:
        return aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(ssl=False),
            cookie_jar=aiohttp.CookieJar(unsafe=True),
        )

    async def _post(
        self, person: aiohttp.ClientSession, path: str, body: object, method: str = "POST"
    ) -> None:
        address = f"https://127.0.0.1:{self._setup.page_port}"
        end_s = time.monotonic() + START_S
        while True:
            try:
                async with person.request(
                    method, address + path, json=body, headers={"X-NVR": "1", "Origin": address}
                ) as answer:
                    if answer.status >= 300:
                        raise RuntimeError(f"{path}: {await answer.text()}")
                    return
            except aiohttp.ClientConnectorError:
                assert self._process
                if time.monotonic() > end_s or self._process.poll() is not None:
                    tail = self._setup.log.read_text(errors="replace")[-2000:]
                    raise RuntimeError(f"nvr run does not answer: {tail}") from None
                await asyncio.sleep(0.05)

    async def page(self, person: str = "admin") -> Page:
        """Open a page."""
        cable = Cable(self._setup.page_port)
        address = f"https://127.0.0.1:{await cable.lay()}"
        socket = await self._people[person].ws_connect(
            address + "/ws/control", headers={"X-NVR": "1", "Origin": address}, compress=0
        )
        page = Page(socket, cable)
        page.open()
        return page

    async def joystick(self, name: str) -> HandOnJoystick:
        """Plug a joystick into the box; returns when the box has it."""
        before = self._plugged()
        hand = HandOnJoystick(self._setup.data / "sim/joystick", name)
        end_s = time.monotonic() + START_S
        while self._plugged() == before:
            if time.monotonic() > end_s:
                hand.pull()
                raise TimeoutError("the joystick is not seen")
            await asyncio.sleep(0.02)
        return hand

    def _plugged(self) -> int:
        return self._setup.log.read_bytes().count(b"joystick.plugged")

    def signal(self, number: int) -> None:
        """Signal the recorder alone."""
        assert self._process
        os.kill(self._process.pid, number)

    def set_clock(self, off_s: float) -> None:
        """Have the wall clock of the recorder be so far off, within a second."""
        assert self._wall
        fresh = self._wall.with_suffix(".new")
        fresh.write_text(f"{off_s:+.0f}\n")
        fresh.replace(self._wall)

    async def end(self) -> None:
        """Have the recorder ended, killed or not."""
        process, self._process = self._process, None
        for person in self._people.values():
            await person.close()
        if process is None:
            return
        with contextlib.suppress(ProcessLookupError):
            os.kill(process.pid, signal.SIGCONT)
        process.terminate()
        try:
            await asyncio.to_thread(process.wait, 20)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        if process.stdout:
            process.stdout.close()

    async def again(self) -> None:
        """Start it again."""
        await self.end()
        await self.start()


@asynccontextmanager
async def rig(*, faked: bool = False, plant: str = "") -> AsyncIterator[Rig]:
    """Have a recorder until the block ends.

    Args:
        faked: Its wall clock can be set.
        plant: Mistake built in, see `tests.faults.planted`.
    """
    with scratch() as directory:
        sim = directory / "data" / "sim"
        sim.mkdir(parents=True)
        link, wall = directory / "dome0", directory / "wall"
        port, *ports = lasting_ports(4)
        environment = _faked(directory, wall) if faked else {}
        setup = set_up(
            [],
            directory,
            ports,
            size_mib=64,
            board_tables=BOARD.format(path=link, port=port),
            camera_tables="".join(
                CAMERA.format(number=number, max_on_s=MAX_ON_S) for number in range(1, HEADS + 1)
            ),
            environment=environment,
        )
        program = ("tests.faults.planted", plant) if plant else ("nvr",)
        async with far_process(link, sim, port) as far:
            it = Rig(setup, far, program, wall if faked else None)
            try:
                await it.start()
                yield it
            finally:
                await it.end()


def _faked(directory: Path, wall: Path) -> dict[str, str]:
    """What `tests.faults.clock_live` sets: the recorder's wall clock alone, not its guard's."""
    site = directory / "site"
    site.mkdir()
    (site / "sitecustomize.py").write_text("import os\nos.environ.pop('LD_PRELOAD', None)\n")
    wall.write_text("+0\n")
    return {
        "LD_PRELOAD": str(library()),
        "PYTHONPATH": os.pathsep.join((str(site), str(ROOT))),
        "FAKETIME_TIMESTAMP_FILE": str(wall),
        "FAKETIME_CACHE_DURATION": "1",
        "FAKETIME_DONT_FAKE_MONOTONIC": "1",
    }
