"""The shipped recorder between an old keyboard, a page, a dome and a camera over ONVIF.

The keyboard is a pseudo-terminal; the dome obeys the bytes on another one in a process of its own;
the camera is a device from a package, nobody's here. What moves is asked of those two.
"""

import asyncio
import signal
import subprocess
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import msgpack
import pytest

from nvr.config import load
from nvr.sim import launch
from nvr.wire import pelco_d
from nvr.wire.pelco_d import Frame
from tests.app.box import RunningBox, running_box
from tests.link.test_camera import ipycam
from tests.ptz.line import FarEnd

BOARD = """
[serial.desk]
driver = "virtual"
path = "desk0"
role = "keyboard"
"""
GATE = """
[[camera]]
name = "gate"
number = 7
url = "rtsp://127.0.0.1:1/gate"
user = "admin"
[camera.onvif]
address = "127.0.0.1:{port}"
events = false
[camera.ptz]
protocol = "onvif"
"""
WITHIN_S = 60.0
CENTRE, LEFT, RIGHT = [0.0, 0.0, 0.0], [-1.0, 0.0, 0.0], [1.0, 0.0, 0.0]


class Stick:
    """A stick on the page, pushed as `speeds` say and renewed as the page does."""

    def __init__(self) -> None:
        self.speeds = self._sent = CENTRE
        self.refusals: list[dict[str, Any]] = []

    async def let_go(self) -> None:
        self.speeds = CENTRE
        async with asyncio.timeout(WITHIN_S):
            while any(self._sent):
                await asyncio.sleep(0.02)

    async def push(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        n = 0
        while True:
            speeds = self.speeds
            if any(speeds) or any(self._sent):
                n += 1
                move = {"op": "move", "cam": "dome", "n": n, "v": speeds}
                await socket.send_bytes(msgpack.packb(move))
                self._sent = speeds
            await asyncio.sleep(0.15)

    async def listen(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        async for message in socket:
            told = msgpack.unpackb(message.data)
            if told["op"] == "error":
                self.refusals.append(told)

    async def refused(self, code: str, holder: str = "") -> None:
        """Wait until it is refused, and told why and who has the head."""
        async with asyncio.timeout(WITHIN_S):
            while not self.refusals or self.refusals[-1]["code"] != code:
                await asyncio.sleep(0.02)
        assert self.refusals[-1]["context"].get("holder", "") == holder


@asynccontextmanager
async def stick(box: RunningBox, session: aiohttp.ClientSession) -> AsyncIterator[Stick]:
    it = Stick()
    url = box.url.replace("https", "wss") + "/ws/control"
    async with session.ws_connect(url, origin=box.url) as socket:
        tasks = [asyncio.ensure_future(one(socket)) for one in (it.push, it.listen)]
        try:
            yield it
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)


class Place:
    """The box, with its keyboard in our hands."""

    def __init__(self, box: RunningBox, keyboard: FarEnd, camera: subprocess.Popen) -> None:
        self.box, self.keyboard, self.camera = box, keyboard, camera

    def say(self, frame: Frame) -> None:
        self.keyboard.say(frame.encode())

    async def key(self, frame: Frame) -> None:
        """Say something, and again as people do where the recorder was too busy to take it."""
        late = True
        while late:
            before = last = (await self.desk())["keyboard"]["last"]
            self.say(frame)
            async with asyncio.timeout(WITHIN_S):
                while last == before:
                    await asyncio.sleep(0.05)
                    last = (await self.desk())["keyboard"]["last"]
            late = last["code"] == "keyboard.late"

    async def desk(self) -> dict[str, Any]:
        lines = (await self.box.call("GET", "/api/serial"))["lines"]
        return next(one for one in lines if one["name"] == "desk")

    async def refused(self) -> str:
        """Why the keyboard was refused last."""
        refused = (await self.desk())["keyboard"]["refused"]
        return refused["code"] if refused else ""

    async def understood(self) -> None:
        """Have rate and protocol found."""
        async with asyncio.timeout(WITHIN_S):
            while (await self.desk())["state"] != "open":
                self.say(Frame(1))
                await asyncio.sleep(0.06)

    async def online(self, camera: str) -> None:
        path = f"/api/camera/{camera}/control"
        async with asyncio.timeout(WITHIN_S):
            while not (await self.box.call("GET", path))["online"]:
                await asyncio.sleep(0.1)

    async def dome_turns(self, way: int) -> None:
        """Wait until the dome turns to the right, 1, the left, -1, or stands, 0."""
        async with asyncio.timeout(WITHIN_S):
            while True:
                before = await self._dome()
                await asyncio.sleep(0.1)
                now = await self._dome()
                gone = (now["pan_deg"] - before["pan_deg"] + 180) % 360 - 180
                if (gone > 0) - (gone < 0) == way and now["moving"] == bool(way):
                    return

    async def _dome(self) -> dict[str, Any]:
        return await asyncio.to_thread(launch.ask, self.box.data / "sim", {"get": True})

    async def camera_was_told(self, wanted: str) -> None:
        """Read on in what the camera was told, up to this."""
        assert self.camera.stdout is not None
        async with asyncio.timeout(WITHIN_S):
            while (line := await asyncio.to_thread(self.camera.stdout.readline)).strip() != wanted:
                assert line, "the camera is gone"


@asynccontextmanager
async def place(directory: Path) -> AsyncIterator[Place]:
    async with AsyncExitStack() as stack:
        port, camera = await stack.enter_async_context(ipycam())
        (directory / "data/sim").mkdir(parents=True)
        load.edit_secrets(directory / "data/secrets.toml", "gate", "right")
        keyboard = FarEnd(directory / "data/sim/desk0")
        stack.callback(keyboard.close)
        volume = 'path = "ring"\nsize_mib = 256'
        box = await stack.enter_async_context(
            running_box(directory, GATE.format(port=port), volume, BOARD)
        )
        it = Place(box, keyboard, camera)
        await it.understood()
        await it.online("dome")
        await it.online("gate")
        yield it


@pytest.mark.timeout(300)
async def test_a_keyboard_drives_onvif_while_a_page_drives_a_dome_and_then_takes_it(
    tmp_path: Path,
) -> None:
    async with place(tmp_path) as it, it.box.person("anne", "operator") as session:
        # Both at once, each its own: the page's end is not the keyboard's.
        await it.key(pelco_d.motion(7, pan=63))
        await it.camera_was_told("move 1.0 0.0 0.0")
        async with stick(it.box, session) as anne:
            anne.speeds = RIGHT
            await it.dome_turns(1)
        await it.dome_turns(0)
        assert (await it.box.call("GET", "/api/camera/gate/control"))["moving"]
        await it.key(Frame(7))
        await it.camera_was_told("stop")

        # The same dome: whoever is at the box has it, the page is told who, and gets it back.
        async with stick(it.box, session) as anne:
            anne.speeds = RIGHT
            await it.dome_turns(1)
            await it.key(pelco_d.motion(1, pan=-63))
            await it.dome_turns(-1)
            await anne.refused("ptz.rearm")
            await anne.let_go()
            anne.speeds = RIGHT
            await anne.refused("ptz.held", "keyboard desk")
            await it.dome_turns(-1)
            await it.key(Frame(1))
            await it.dome_turns(1)

            # Who ranks above both takes it from the page, and the keyboard moves nothing.
            async with stick(it.box, it.box.session) as chief:
                chief.speeds = LEFT
                await it.dome_turns(-1)
                await it.key(pelco_d.motion(1, pan=63))
                async with asyncio.timeout(WITHIN_S):
                    while await it.refused() != "ptz.held":
                        await asyncio.sleep(0.05)
                await it.dome_turns(-1)
                await it.key(Frame(1))
                await it.dome_turns(-1)
        rows = (await it.box.call("GET", "/api/audit"))["rows"]
        did = {(row["action"], row["who"], row["target"]) for row in rows}
        assert ("ptz.move", "keyboard desk", "gate") in did, did


async def test_a_recorder_that_is_killed_leaves_no_key_pressed(tmp_path: Path) -> None:
    async with place(tmp_path) as it:
        await it.key(pelco_d.motion(1, pan=-63))
        await it.dome_turns(-1)
        await it.box.end(signal.SIGKILL)
        await it.dome_turns(0)
        # The key is held on: the next recorder waits for it to be let go.
        await it.box.start()
        await it.box.log_in()
        async with asyncio.timeout(WITHIN_S):
            while await it.refused() != "ptz.rearm":
                it.say(pelco_d.motion(1, pan=-63))
                await asyncio.sleep(0.2)
        await it.dome_turns(0)
        await it.key(Frame(1))
        await it.online("dome")
        await it.key(pelco_d.motion(1, pan=-63))
        await it.dome_turns(-1)
        await it.key(Frame(1))
