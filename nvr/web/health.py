"""How a camera does, in full, and connecting it anew, over HTTP."""

from typing import Annotated

from aiohttp import web
from msgspec import Meta, Struct

from nvr.auth.policy import unknown_camera
from nvr.media.camera import CameraState
from nvr.media.health import StreamReport
from nvr.web.gate import REASON
from nvr.web.parts import Caller, Parts, Route
from nvr.web.reply import answer, read_json


class HealthAnswer(Struct, frozen=True, kw_only=True):
    """All there is to say of a camera's streams, as JSON; `nvr.media.health` says what it means."""

    name: str
    title: str
    now_us: int
    main: StreamReport
    sub: StreamReport | None


class TolerateBody(Struct, frozen=True, forbid_unknown_fields=True):
    """Body of ``PUT /api/camera/{name}/tolerate``."""

    codes: Annotated[list[Annotated[str, Meta(max_length=40)]], Meta(max_length=8)]


class HealthPages:
    """Handlers of this module."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts

    def routes(self) -> list[Route]:
        """Every route of this module."""
        one = "/api/camera/{name}"
        return [
            Route(f"http GET {one}/health", self.health, "name"),
            Route(f"http POST {one}/reconnect", self.reconnect, "name", "function-setting"),
            Route(f"http PUT {one}/tolerate", self.tolerate, "name", "admin-setting"),
        ]

    async def health(self, request: web.Request, caller: Caller) -> web.Response:  # noqa: ARG002 - a handler's shape
        """``GET /api/camera/{name}/health``."""
        state = self._find(request)
        report = self._parts.cameras.report(state.name)
        return answer(
            HealthAnswer(
                name=state.name,
                title=state.title,
                now_us=self._parts.clock.wall_us(),
                main=report["main"],
                sub=report.get("sub"),
            )
        )

    async def reconnect(self, request: web.Request, caller: Caller) -> web.Response:  # noqa: ARG002 - a handler's shape
        """``POST /api/camera/{name}/reconnect``."""
        await self._parts.cameras.reconnect(self._find(request).name)
        return answer({})

    async def tolerate(self, request: web.Request, caller: Caller) -> web.Response:  # noqa: ARG002 - a handler's shape
        """``PUT /api/camera/{name}/tolerate``."""
        name = self._find(request).name
        body = await read_json(request, TolerateBody)
        request[REASON] = " ".join(body.codes)
        await self._parts.cameras.tolerate(name, body.codes)
        return answer({})

    def _find(self, request: web.Request) -> CameraState:
        state = self._parts.cameras.find(request.match_info["name"])
        if state is None:
            raise unknown_camera()
        return state
