"""The cameras, grabbers and microphones of the box itself, and how each is used, over HTTP."""

import asyncio
from typing import Annotated

from aiohttp import web
from msgspec import Meta, Struct, convert

from nvr.auth.policy import unknown_camera
from nvr.base.errors import Rejected
from nvr.media.device import Capture, SoundDevice, VideoDevice
from nvr.web.gate import REASON
from nvr.web.parts import Caller, Parts, Route
from nvr.web.reply import answer, read_json


class CaptureBody(Struct, frozen=True, forbid_unknown_fields=True):
    """How a device of this box is used, as JSON; the configuration's own checks come after."""

    format: str = "auto"
    size: tuple[int, int] | None = None
    rate_fps: float = 0.0
    input: str = ""
    standard: str = "auto"
    deinterlace: str = "auto"
    no_signal: str = "picture"
    alsa: str = ""
    aspect: str = "auto"
    controls: Annotated[dict[str, int], Meta(max_length=32)] = {}

    def settings(self) -> Capture:
        """Return the same for the cameras."""
        return Capture(
            self.format, self.size, self.rate_fps, self.input, self.standard, self.deinterlace,
            self.no_signal, self.alsa, self.aspect, tuple(self.controls.items()),
        )  # fmt: skip


def capture_body(capture: Capture) -> CaptureBody:
    """Return the same as JSON."""
    values = {name: getattr(capture, name) for name in Capture.__slots__}
    return convert(values | {"controls": dict(capture.controls)}, CaptureBody)


class DevicesView(Struct, frozen=True):
    """What the box sees and hears with, as JSON."""

    video: list[VideoDevice]
    sound: list[SoundDevice]


class CaptureView(Struct, frozen=True):
    """How a camera's device is used, null if it is none of this box; and what it offers.

    `device` is null while it is not plugged in.
    """

    capture: CaptureBody | None
    device: VideoDevice | None = None
    sound: tuple[SoundDevice, ...] = ()


class DevicePages:
    """Handlers of this module."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts

    def routes(self) -> list[Route]:
        """Every route of this module."""
        one = "/api/camera/{name}/capture"
        return [
            Route("http GET /api/device", self.devices),
            Route(f"http GET {one}", self.capture, "name"),
            Route(f"http PUT {one}", self.write_capture, "name", "admin-setting"),
        ]

    async def devices(self, request: web.Request, caller: Caller) -> web.Response:  # noqa: ARG002 - a handler's shape
        """``GET /api/device``: asked anew each time, in a thread, for drivers take their time."""
        video, sound = await asyncio.to_thread(self._parts.devices)
        return answer(DevicesView(list(video), list(sound)))

    async def capture(self, request: web.Request, caller: Caller) -> web.Response:  # noqa: ARG002 - a handler's shape
        """``GET /api/camera/{name}/capture``."""
        return answer(await self._view(self._name(request)))

    async def write_capture(self, request: web.Request, caller: Caller) -> web.Response:  # noqa: ARG002 - a handler's shape
        """``PUT /api/camera/{name}/capture``."""
        name = self._name(request)
        body = await read_json(request, CaptureBody)
        if self._parts.captures.capture(name) is None:
            raise Rejected("capture.refused", "it is no device of this box")
        said = [f"{key} {value}" for key, value in body.controls.items()]
        request[REASON] = ", ".join([body.format, body.input, body.standard, *said])[:300]
        await self._parts.captures.write_capture(name, body.settings())
        return answer(await self._view(name))

    async def _view(self, name: str) -> CaptureView:
        capture = self._parts.captures.capture(name)
        if capture is None:
            return CaptureView(None)
        device, sound = await self._parts.captures.offered(name)
        return CaptureView(capture_body(capture), device, tuple(sound))

    def _name(self, request: web.Request) -> str:
        name = request.match_info["name"]
        if self._parts.cameras.find(name) is None:
            raise unknown_camera()
        return name
