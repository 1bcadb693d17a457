"""Fetching what was missed from a camera's own storage, over HTTP: how it is set."""

from typing import Annotated

from aiohttp import web
from msgspec import Meta, Struct

from nvr.auth.policy import unknown_camera
from nvr.media.backfill import BackfillSettings
from nvr.web.gate import REASON
from nvr.web.parts import Caller, Parts, Route
from nvr.web.reply import answer, read_json


class BackfillBody(Struct, frozen=True, forbid_unknown_fields=True):
    """Body of ``PUT /api/camera/{name}/backfill``; what is left out is as usual."""

    on: bool
    mbit_s: Annotated[float, Meta(ge=0.1, le=1000)] = 8.0
    back_h: Annotated[int, Meta(ge=1, le=720)] = 24
    least_s: Annotated[float, Meta(ge=1, le=3600)] = 5.0
    recording: Annotated[str, Meta(max_length=64)] = ""


class BackfillPages:
    """Handlers of this module."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts

    def routes(self) -> list[Route]:
        """Every route of this module."""
        one = "/api/camera/{name}/backfill"
        return [
            Route(f"http GET {one}", self.read, "name"),
            Route(f"http PUT {one}", self.write, "name", "admin-setting"),
        ]

    async def read(self, request: web.Request, caller: Caller) -> web.Response:  # noqa: ARG002 - a handler's shape
        """``GET /api/camera/{name}/backfill``."""
        return answer(self._parts.cameras.backfill(self._name(request)))

    async def write(self, request: web.Request, caller: Caller) -> web.Response:  # noqa: ARG002 - a handler's shape
        """``PUT /api/camera/{name}/backfill``."""
        name = self._name(request)
        body = await read_json(request, BackfillBody)
        request[REASON] = f"{'on' if body.on else 'off'}, {body.mbit_s:g} Mbit/s, {body.back_h} h"
        wanted = BackfillSettings(body.on, body.mbit_s, body.back_h, body.least_s, body.recording)
        await self._parts.cameras.write_backfill(name, wanted)
        return answer(self._parts.cameras.backfill(name))

    def _name(self, request: web.Request) -> str:
        name = request.match_info["name"]
        if self._parts.cameras.find(name) is None:
            raise unknown_camera()
        return name
