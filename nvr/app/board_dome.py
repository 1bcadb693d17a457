"""The simulated dome of a virtual board: kept running, its captions and masks told to it."""

import asyncio
from functools import partial
from pathlib import Path

from nvr.app.cameras import Burner
from nvr.app.dome import dome_caption, dome_masks
from nvr.app.masks import Hider
from nvr.app.settings import caption_of, masks_of
from nvr.base.clock import Clock, beat
from nvr.base.supervise import Backoff, supervise
from nvr.config.model import Config
from nvr.hal.board import Dome
from nvr.sim import launch

_LOOK_S = 2.0
_LEAVE = ("--leave=60",)
"""It outlives a recorder that is killed, which must leave no dome moving, but not for ever."""


async def start_dome(
    dome: Dome | None, sim: Path, config: Config
) -> tuple[dict[str, Burner], dict[str, Hider]]:
    """Have a dome running in `sim`; returns, by camera, who burns its captions and its masks."""
    if dome is None:
        return {}, {}
    url = await asyncio.to_thread(_launch, dome, sim)
    burners: dict[str, Burner] = {}
    hiders: dict[str, Hider] = {}
    for camera in config.camera:
        if camera.url == url:
            burners[camera.name] = partial(dome_caption, sim)
            hiders[camera.name] = partial(dome_masks, sim)
            await asyncio.to_thread(dome_masks, sim, masks_of(camera))
            caption = caption_of(camera)
            if caption is not None:
                await asyncio.to_thread(dome_caption, sim, caption)
    return burners, hiders


async def keep_dome(dome: Dome, sim: Path, clock: Clock) -> None:
    """Start it again when its process ended; that is no fault of the recorder's."""

    async def once() -> None:
        while True:
            await beat(clock, _LOOK_S)
            if launch.running(sim) is None:
                await asyncio.to_thread(_launch, dome, sim)

    with launch.used(sim):
        await supervise("sim/dome", once, clock=clock, backoff=Backoff())


def _launch(dome: Dome, sim: Path) -> str:
    return launch.ensure_running(sim, dome.rtsp_port, name=dome.name, arguments=_LEAVE)
