"""The cameras, grabbers and microphones of the box itself, over HTTP."""

import asyncio

from aiohttp import web
from msgspec import Struct

from nvr.media.device import SoundDevice, VideoDevice
from nvr.web.parts import Caller, Parts, Route
from nvr.web.reply import answer


class DevicesView(Struct, frozen=True):
    """What the box sees and hears with, as JSON."""

    video: list[VideoDevice]
    sound: list[SoundDevice]


class DevicePages:
    """Handlers of this module."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts

    def routes(self) -> list[Route]:
        """Every route of this module."""
        return [Route("http GET /api/device", self.devices)]

    async def devices(self, request: web.Request, caller: Caller) -> web.Response:  # noqa: ARG002 - a handler's shape
        """``GET /api/device``: asked anew each time, in a thread, for drivers take their time."""
        video, sound = await asyncio.to_thread(self._parts.devices)
        return answer(DevicesView(list(video), list(sound)))
