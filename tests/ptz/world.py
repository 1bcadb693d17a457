"""A bench whose time others wait for, and what its virtual dome sees, painted by its own scene."""

import asyncio
import datetime
from pathlib import Path

import av
import numpy as np
from numpy.typing import NDArray

from nvr.base.clock import FakeClock
from nvr.overlay.burn import planes_of
from nvr.overlay.font import Font
from nvr.ptz.aim import Aimer
from nvr.ptz.sight import Sight
from nvr.sim.scene import Optics, Scene
from tests.ptz.bench import Bench

SIZE = (320, 180)
NOON = datetime.datetime(2026, 6, 1, 12, tzinfo=datetime.UTC)


class SteppedClock(FakeClock):
    """Whoever sleeps waits until somebody lets the time pass."""

    async def sleep(self, delay_s: float) -> None:
        end_s = self.now_s + delay_s
        while self.now_s < end_s - 1e-9:
            await asyncio.sleep(0)


class World:
    """Camera ``gate`` with what aims it."""

    def __init__(self, place: Path, *, reports: bool, sight: Sight | None = None) -> None:
        self.clock = SteppedClock()
        self.box = Bench(place, reports=reports, clock=self.clock)
        self.dome, self.ptz, self.book = self.box.dome, self.box.ptz, self.box.book
        self.aimer = Aimer(self.ptz, self.book, self.clock)
        if sight is not None:
            self.book.change("gate", sight=sight)

        def seen(camera, who, what, motion):
            self.aimer.seen(camera)
            self.box.pilot.seen(camera, who, what, motion)

        self.ptz.watch, self.ptz.left = seen, self.aimer.left
        self._scene: Scene | None = None

    async def live(self, for_s: float) -> None:
        """Let time pass, for everything in the loop too."""
        end_s = self.clock.now_s + for_s
        while self.clock.now_s < end_s:
            self.box.run(0.02)
            for _ in range(4):
                await asyncio.sleep(0)

    def picture(self) -> NDArray[np.uint8]:
        """Luma of what it sees now."""
        self._scene = self._scene or Scene(SIZE, Font())
        frame = av.VideoFrame(*SIZE, "yuv420p")
        self._scene.paint(planes_of(frame), self.dome.view, Optics(), self.clock.now_s, NOON)
        plane = frame.planes[0]
        rows = np.frombuffer(plane, np.uint8).reshape(-1, plane.line_size)
        return rows[: SIZE[1], : SIZE[0]].copy()
