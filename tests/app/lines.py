"""Outputs and inputs of a board as `nvr run` puts them together, without the rest of it."""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator
from pathlib import Path

import msgspec

from nvr.analyse.store import Store
from nvr.app.edit import Change
from nvr.app.lines import BoardLines
from nvr.app.wiring import wirings
from nvr.auth.audit import Audit
from nvr.base.clock import SystemClock
from nvr.config import load
from nvr.config.model import Call, Config, InputAction
from nvr.gpio.output import Outputs
from nvr.hal import board
from nvr.hal.board import Board
from nvr.media.ports import Ptz
from tests.ptz.line import PaperGuard, RelayBox

BOARD = """
schema = 1
id = "bench"
title = "bench"
[dome]
[gpio.wiper]
driver = "virtual"
kind = "wiper"
title = "雨刷"
max_on_s = 60
stroke_s = 0.2
washer = "washer"
[gpio.washer]
driver = "virtual"
kind = "washer"
max_on_s = 5
[gpio.siren]
driver = "virtual"
kind = "siren"
max_on_s = 0.3
interlock = "loud"
[gpio.horn]
driver = "virtual"
interlock = "loud"
[gpio.door]
driver = "virtual"
kind = "door"
pulse_ms = 200
[input.fence]
driver = "virtual"
contact = "nc"
debounce_ms = 10
[input.cabinet]
driver = "virtual"
contact = "eol"
debounce_ms = 10
"""
CONFIG = Config(
    input={"fence": InputAction(record=("gate", "yard"), call=(Call(camera="gate", preset=3),))}
)


class Bench:
    """All of it.

    Attributes:
        recorded: Cameras that were to record an event, in order.
        told: Cameras of which something changed.
    """

    def __init__(self, place: Path, ptz: Ptz) -> None:
        self.sim = place / "sim"
        self.sim.mkdir()
        self.toml = place / "nvr.toml"
        self.toml.write_text('# mine\nschema = 1\n[input.fence]\nrecord = ["gate"]  # why\n')
        self.relays = RelayBox(self.sim / "relay0")
        parsed: Board = msgspec.toml.decode(BOARD, type=Board)
        assert board.check(BOARD) == []
        clock = SystemClock()
        self.audit = Audit(place / "audit.db", clock, "bench")
        self.store = Store(place / "event.db", lambda _camera: 1 << 50)
        self.recorded: list[str] = []
        self.told: list[str] = []
        self.outputs = Outputs(
            wirings(parsed.gpio, self.sim), clock=clock, guard=PaperGuard(), tell=self._switched
        )
        self.lines = BoardLines(
            parsed, CONFIG, self.sim, self.outputs, ptz, clock, self.audit, self.store,
            self.recorded.append, self.told.append, {"gate": 1, "yard": 1}.get,
            self._write,
        )  # fmt: skip
        self.outputs.start()

    async def _write(self, change: Change) -> None:
        await asyncio.to_thread(load.edit, self.toml, change, board=None)

    def _switched(self, name: str, on: bool, why: str) -> None:
        self.lines._loop.call_soon_threadsafe(self.lines.switched, name, on, why)

    def move(self, name: str, level: int) -> None:
        (self.sim / "input" / name).write_text(f"{level}\n")

    def rows(self) -> list[tuple[str, str, str, str]]:
        rows, bad = self.audit.rows()
        assert bad is None
        found = [row.entry for row in reversed(rows)]
        return [(one.action, one.reason, one.who, one.hardware_no) for one in found]

    def happened(self, camera: str = "") -> list[tuple[str, str, bool]]:
        now_us = time.time_ns() // 1000
        found = self.store.between(camera, 0, now_us + 10**7)
        return [(one.kind, one.zone, one.to_us is None) for one in found]

    def close(self) -> None:
        self.outputs.close()
        self.lines.close()
        self.store.close()
        self.audit.close()
        self.relays.close()


@contextlib.asynccontextmanager
async def bench(place: Path, ptz: Ptz) -> AsyncIterator[Bench]:
    made = Bench(place, ptz)
    try:
        yield made
    finally:
        made.close()
