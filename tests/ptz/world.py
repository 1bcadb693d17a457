"""A bench whose time others wait for, and what its virtual dome sees, painted by its own scene."""

import asyncio
import datetime
from pathlib import Path

import av
import numpy as np
from numpy.typing import NDArray

from nvr.base.clock import FakeClock
from nvr.media.aim import Grey
from nvr.overlay.burn import planes_of
from nvr.overlay.font import Font
from nvr.ptz.aim import Aimer
from nvr.ptz.measure import Measurer
from nvr.ptz.registration import compare
from nvr.ptz.sight import Sight
from nvr.sim.scene import Optics, Scene
from tests.ptz.bench import Bench

SIZE = (320, 180)
NOON = datetime.datetime(2026, 6, 1, 12, tzinfo=datetime.UTC)


async def compared(*pictures, **how):
    """At once: in a thread it would take so long as time passes here meanwhile."""
    return compare(*pictures, **how)


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
            self.measurer.seen(camera, who)
            self.box.pilot.seen(camera, who, what, motion)

        self.ptz.watch, self.ptz.left = seen, self.aimer.left
        self.ptz.how = self.aimer.how
        self._scene: Scene | None = None
        self.pictures = 0

        self.measurer = Measurer(self.ptz, self.aimer, self.book, self.look, self.clock, compared)

    async def look(self, _camera: str) -> tuple[Grey, int]:
        self.pictures += 1
        seen = self.picture()
        return Grey(seen.shape[1], seen.shape[0], seen.tobytes()), self.clock.wall_us()

    async def done(self, within_s: float = 900.0) -> None:
        """Let time pass until what is measured is."""
        end_s = self.clock.now_s + within_s
        while self.measurer._jobs:
            assert self.clock.now_s < end_s
            await self.live(0.2)
            await asyncio.sleep(0.001)

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
