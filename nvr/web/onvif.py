"""Where a camera's own services are, over HTTP."""

from typing import Annotated

from aiohttp import web
from msgspec import Meta, Struct

from nvr.auth.policy import unknown_camera
from nvr.base.errors import Misconfigured
from nvr.media.camera import OnvifSettings
from nvr.media.find import Finder
from nvr.web.gate import REASON
from nvr.web.parts import Caller, Parts, Route
from nvr.web.reply import answer, read_json


class OnvifBody(Struct, frozen=True, forbid_unknown_fields=True):
    """A camera's ONVIF as JSON; the configuration's own checks come after."""

    address: Annotated[str, Meta(min_length=1, max_length=256)]
    pin: Annotated[str, Meta(pattern=r"^([0-9a-f]{64})?$")] = ""
    profile: Annotated[str, Meta(max_length=64)] = ""
    events: bool = True


class OnvifAnswer(Struct, frozen=True):
    """The same, null if it has none; and where it would be looked for."""

    onvif: OnvifBody | None
    suggested: str


class OnvifPages:
    """Handlers of this module."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts

    def routes(self) -> list[Route]:
        """Every route of this module."""
        one = "/api/camera/{name}"
        return [
            Route(f"http GET {one}/onvif", self.onvif, "name"),
            Route(f"http PUT {one}/onvif", self.write_onvif, "name", "admin-setting"),
            Route(f"http DELETE {one}/onvif", self.remove_onvif, "name", "admin-setting"),
        ]

    async def onvif(self, request: web.Request, caller: Caller) -> web.Response:  # noqa: ARG002 - a handler's shape
        """``GET /api/camera/{name}/onvif``."""
        return self._answer(self._find(request))

    async def write_onvif(self, request: web.Request, caller: Caller) -> web.Response:  # noqa: ARG002 - a handler's shape
        """``PUT /api/camera/{name}/onvif``."""
        name = self._find(request)
        body = await read_json(request, OnvifBody)
        request[REASON] = f"ONVIF at {body.address}"
        settings = OnvifSettings(body.address.strip(), body.pin, body.profile, body.events)
        await self._finder().move(name, settings)
        return self._answer(name)

    async def remove_onvif(self, request: web.Request, caller: Caller) -> web.Response:  # noqa: ARG002 - a handler's shape
        """``DELETE /api/camera/{name}/onvif``."""
        name = self._find(request)
        request[REASON] = "ONVIF removed"
        await self._finder().move(name, None)
        return self._answer(name)

    def _answer(self, name: str) -> web.Response:
        found, suggested = self._finder().place(name)
        shown = None
        if found is not None:
            shown = OnvifBody(found.address, found.pin, found.profile, found.events)
        return answer(OnvifAnswer(shown, suggested))

    def _finder(self) -> Finder:
        if self._parts.finder is None:
            raise Misconfigured("onvif.unsupported", "this box does not look for cameras")
        return self._parts.finder

    def _find(self, request: web.Request) -> str:
        state = self._parts.cameras.find(request.match_info["name"])
        if state is None:
            raise unknown_camera()
        return state.name
