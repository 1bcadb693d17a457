"""A keyboard in our hands, the recorder's control stack as `nvr run` builds it, and real heads."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from pathlib import Path

import msgspec

from nvr.app.cameras import CameraTable
from nvr.app.control import Control
from nvr.app.data import DataDirectory, has
from nvr.app.desk import Desk
from nvr.app.services import Services, exceptions
from nvr.base.clock import SystemClock
from nvr.config import load
from nvr.hal import board
from nvr.hal.board import Board
from nvr.link.link import Link
from nvr.media.desk import LineState, Pressed
from nvr.media.ingest import Ingest
from nvr.record.plan import Gate
from nvr.wire.pelco_d import QUERIES, Frame
from tests.peers.odd_onvif import odd_device
from tests.ptz.line import BENCH, FarEnd

BOARD = f"""{BENCH}[serial.desk]
driver = "virtual"
path = "desk0"
role = "keyboard"
[serial.old]
driver = "virtual"
path = "old0"
role = "tap"
"""
CONFIG = """
local_cameras = ["127.0.0.1:*"]
[[camera]]
name = "dome"
url = "rtsp://127.0.0.1:1/dome"
[camera.ptz]
bus = "ptz"
address = 1
[[camera]]
name = "gate"
number = 7
url = "rtsp://127.0.0.1:1/gate"
user = "admin"
[camera.onvif]
address = "127.0.0.1:PORT"
[camera.ptz]
protocol = "onvif"
[[keyboard]]
port = "desk"
map = { 1 = "dome", 2 = "gate" }
"""


class Rig:
    """The recorder's control stack as `nvr run` builds it, with a keyboard in our hands."""

    def __init__(self, control: Control, desk: Desk, far: dict[str, FarEnd], audit: list) -> None:
        self.control, self.desk, self.far, self.audit = control, desk, far, audit

    def line(self, name: str = "desk") -> LineState:
        return next(one for one in self.desk.lines() if one.name == name)

    def last(self, name: str) -> Pressed | None:
        keyboard = self.line(name).keyboard
        assert keyboard is not None
        return keyboard.last

    async def key(self, frame: Frame, name: str = "desk") -> None:
        """Say something on a line whose protocol is known, and have it obeyed or refused.

        Where we were too busy to take it in time, it is said again as people do.
        """
        before = self.last(name)
        self.far[name].say(frame.encode())
        await self.until(lambda: self.last(name) is not before)
        last = self.last(name)
        if last is not None and last.code == "keyboard.late":
            await self.key(frame, name)

    async def until(self, true: Callable[[], object], within_s: float = 60.0) -> None:
        ends_s = time.monotonic() + within_s
        while not true():
            assert time.monotonic() < ends_s, self.desk.lines()
            await asyncio.sleep(0.01)

    async def settled(self, name: str = "desk") -> None:
        """Have rate and protocol found."""
        ends_s = time.monotonic() + 60.0
        while self.line(name).state != "open":
            assert time.monotonic() < ends_s, self.line(name)
            self.far[name].say(Frame(1).encode())
            await asyncio.sleep(0.06)

    async def ready(self, camera: str) -> None:
        """Have the keyboard understood, and a camera's head there."""
        await self.settled()
        await self.until(lambda: self.control.ptz.status(camera).online)

    def dome(self) -> list[Frame]:
        """What it was told; where it points is asked now and then as well."""
        told = (one.frame for one in self.far["ptz"].heard)
        return [frame for frame in told if frame.op not in QUERIES]

    def dome_moves(self) -> bool:
        heard = self.dome()
        return bool(heard) and heard[-1].command != 0


async def _run(cameras: CameraTable, *parts: Callable[[], Coroutine[None, None, None]]) -> None:
    async with asyncio.TaskGroup() as group:
        cameras.start(group)
        for part in parts:
            group.create_task(part())


@asynccontextmanager
async def rig(tmp_path: Path) -> AsyncIterator[tuple[Rig, object]]:
    sim = tmp_path / "sim"
    sim.mkdir()
    far = {
        name: FarEnd(sim / path)
        for name, path in (("ptz", "dome0"), ("desk", "desk0"), ("old", "old0"))
    }
    assert board.check(BOARD) == []
    has_all = msgspec.toml.decode(BOARD, type=Board)
    async with odd_device() as device:
        with DataDirectory(tmp_path / "data") as data:
            text = CONFIG.replace("PORT", str(device.port))
            load.write(data.config_path, text)
            config = load.read(data.config_path, board=has(has_all))
            load.edit_secrets(data.secrets_path, "gate", "right")
            clock, audit = SystemClock(), []
            services = Services(
                Link(exceptions(config, has_all)),
                data,
                {one.name: one for one in config.camera}.get,
            )
            control = Control(
                has_all, config, sim, data.path, clock,
                lambda action, who, camera, _: audit.append((action, who.name, camera)), services,
            )  # fmt: skip
            cameras = CameraTable(config, data, has_all, {}, clock, control.mount)
            desk = Desk(has_all, control, cameras, sim, clock, lambda: None)
            ingest = Ingest(lambda _: None, clock)
            gate = Gate(lambda _: None, cameras.intake.plan_of, clock, lambda: None)
            cameras.intake.attach(ingest, gate, lambda: None, lambda _: None, lambda: False)
            task = asyncio.ensure_future(_run(cameras, ingest.run, desk.run, control.ptz.run))
            try:
                yield Rig(control, desk, far, audit), device
            finally:
                desk.close()
                task.cancel()
                await asyncio.gather(task, return_exceptions=True)
                await control.leave()
                await services.link.close()
                control.close()
                for end in far.values():
                    end.close()
