"""The box as a device of upstream hosts, over HTTP: on or off, and who uses it."""

from typing import Annotated

from aiohttp import web
from msgspec import Meta, Struct

from nvr.media.upstream import Host, OnvifDeviceSettings
from nvr.web.gate import REASON
from nvr.web.parts import Caller, Parts, Route
from nvr.web.reply import FaultView, answer, read_json


class OnvifDeviceBody(Struct, frozen=True, forbid_unknown_fields=True):
    """Body of ``PUT /api/upstream/onvif``."""

    on: bool
    port: Annotated[int, Meta(ge=1, le=65535)] = 8000
    discovery: bool = True
    channels: dict[str, Annotated[int, Meta(ge=1, le=65535)]] = {}


class OnvifDeviceAnswer(Struct, frozen=True):
    """The device as JSON; `nvr.media.upstream` says what it means."""

    on: bool
    port: int
    discovery: bool
    channels: dict[str, int]
    listening: bool
    fault: FaultView | None
    answered: int
    hosts: list[Host]


class UpstreamPages:
    """Handlers of this module."""

    def __init__(self, parts: Parts) -> None:
        self._device = parts.onvif_device

    def routes(self) -> list[Route]:
        """Every route of this module."""
        path = "/api/upstream/onvif"
        return [
            Route(f"http GET {path}", self.onvif),
            Route(f"http PUT {path}", self.write_onvif, log="admin-setting"),
        ]

    async def onvif(self, request: web.Request, caller: Caller) -> web.Response:  # noqa: ARG002 - a handler's shape
        """``GET /api/upstream/onvif``."""
        now = self._device.state()
        fault = None if now.fault is None else FaultView(now.fault.code, now.fault.detail)
        settings = now.settings
        return answer(
            OnvifDeviceAnswer(
                settings.on, settings.port, settings.discovery, dict(settings.channels),
                now.listening, fault, now.answered, list(now.hosts),
            )
        )  # fmt: skip

    async def write_onvif(self, request: web.Request, caller: Caller) -> web.Response:
        """``PUT /api/upstream/onvif``."""
        body = await read_json(request, OnvifDeviceBody)
        request[REASON] = f"on, port {body.port}" if body.on else "off"
        await self._device.write(
            OnvifDeviceSettings(body.on, body.port, body.discovery, body.channels)
        )
        return await self.onvif(request, caller)
