"""A box that takes joysticks, a controller before a virtual dome, and hands that plug them in."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from nvr.app.joysticks import BoxJoysticks
from nvr.sim.joystick import HandOnJoystick
from tests.ptz.bench import Bench
from tests.web.box import PASSWORD, Box, running

DEVICE = "1209:0001:Simulated joystick"


@dataclass(frozen=True)
class Rig:
    """The camera ``gate`` has the dome; the bench's clock moves only when told to."""

    box: Box
    bench: Bench
    sticks: BoxJoysticks
    place: Path

    async def until(self, holds: Callable[[], object]) -> None:
        async with asyncio.timeout(60):
            while not holds():
                await asyncio.sleep(0.02)

    async def plugged(self) -> HandOnJoystick:
        """Plug one in; returns when the box has it."""
        had = len(self.sticks.joysticks())
        names = (self.place / "sim/joystick").glob("*")
        hand = HandOnJoystick(self.place / "sim/joystick", f"n{len(list(names))}")
        await self.until(lambda: len(self.sticks.joysticks()) > had)
        return hand

    @property
    def profiles(self) -> Path:
        """Where profiles are files."""
        return self.place / "kept/joystick"

    def kept(self) -> dict[str, dict[str, Any]]:
        """What they hold, by device."""
        found = [json.loads(file.read_text()) for file in self.profiles.glob("*.json")]
        return {one["device"]: one for one in found}


@asynccontextmanager
async def rig(place: Path) -> AsyncIterator[Rig]:
    """Have it, claimed by ``admin``, until the block ends."""
    (place / "sim/joystick").mkdir(parents=True)
    (place / "kept").mkdir()
    bench = Bench(place)
    sticks = BoxJoysticks(
        place / "kept", place / "sim", bench.ptz, bench.clock, lambda: None,
        input_directory=place / "none",
    )  # fmt: skip
    task = asyncio.ensure_future(sticks.run())
    try:
        async with running(place, joysticks=sticks) as box:
            box.parts.cameras.put("gate", "大门")
            await box.parts.claim.claim(box.parts.claim.code(), "admin", PASSWORD)
            yield Rig(box, bench, sticks, place)
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
