"""A keyboard in our hands, the recorder's control stack as `nvr run` builds it, and real heads."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable
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
from nvr.media.desk import LineState
from nvr.wire.pelco_d import Frame
from tests.peers.odd_onvif import odd_device
from tests.ptz.line import FarEnd

BOARD = """
schema = 1
id = "bench"
title = "Bench"
[serial.ptz]
driver = "virtual"
path = "dome0"
baud = 9600
[serial.desk]
driver = "virtual"
path = "desk0"
role = "keyboard"
[serial.old]
driver = "virtual"
path = "old0"
role = "tap"
[dome]
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
hold_s = 2.0
"""


class Rig:
    """The recorder's control stack as `nvr run` builds it, with a keyboard in our hands."""

    def __init__(self, control: Control, desk: Desk, far: dict[str, FarEnd], audit: list) -> None:
        self.control, self.desk, self.far, self.audit = control, desk, far, audit

    def line(self, name: str = "desk") -> LineState:
        return next(one for one in self.desk.lines() if one.name == name)

    async def key(self, frame: Frame, name: str = "desk") -> None:
        self.far[name].say(frame.encode())
        await asyncio.sleep(0.06)

    async def until(self, true: Callable[[], object], within_s: float = 15.0) -> None:
        ends_s = time.monotonic() + within_s
        while not true():
            assert time.monotonic() < ends_s, self.desk.lines()
            await asyncio.sleep(0.01)

    async def settled(self, name: str = "desk") -> None:
        ends_s = time.monotonic() + 15.0
        while self.line(name).state != "open":
            assert time.monotonic() < ends_s, self.line(name)
            await self.key(Frame(1), name)

    def dome(self) -> list[Frame]:
        return [one.frame for one in self.far["ptz"].heard]

    def dome_moves(self) -> bool:
        heard = self.dome()
        return bool(heard) and heard[-1].command != 0


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
            tasks = [asyncio.ensure_future(one()) for one in (desk.run, control.ptz.run)]
            try:
                yield Rig(control, desk, far, audit), device
            finally:
                desk.close()
                for task in tasks:
                    task.cancel()
                await asyncio.gather(*tasks, return_exceptions=True)
                await control.leave()
                await services.link.close()
                control.close()
                for end in far.values():
                    end.close()
