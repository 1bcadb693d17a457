"""Plans of recording over HTTP, with ``?stream=sub`` of sub streams, and events to be recorded."""

from typing import Annotated

from aiohttp import web
from msgspec import Meta, Struct, field

from nvr.auth.policy import unknown_camera
from nvr.media.camera import PlanSettings
from nvr.web.gate import REASON
from nvr.web.parts import Caller, Parts, Route
from nvr.web.reply import answer, read_json, which


class PlanBody(Struct, frozen=True, forbid_unknown_fields=True):
    """A plan as JSON; the configuration's own checks come after."""

    mode: str
    pre_s: float = 5.0
    post_s: float = 30.0
    week: Annotated[list[list[str]], Meta(min_length=7, max_length=7)] = field(
        default_factory=lambda: [[] for _ in range(7)]
    )


class EventBody(Struct, frozen=True, forbid_unknown_fields=True):
    """Body of ``POST /api/camera/{name}/event``."""

    what: Annotated[str, Meta(max_length=200)] = ""
    post_s: Annotated[float, Meta(ge=1, le=3600)] | None = None


class EventAnswer(Struct, frozen=True):
    """Until when is recorded, if nothing else happens."""

    until_us: int


class PlanPages:
    """Handlers of this module."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts

    def routes(self) -> list[Route]:
        """Every route of this module."""
        one = "/api/camera/{name}"
        return [
            Route(f"http GET {one}/plan", self.plan, "name"),
            Route(f"http PUT {one}/plan", self.write, "name", "admin-setting"),
            Route(f"http POST {one}/event", self.event, "name", "event"),
        ]

    async def plan(self, request: web.Request, caller: Caller) -> web.Response:  # noqa: ARG002 - a handler's shape
        """``GET /api/camera/{name}/plan``."""
        plan = self._parts.cameras.plan(self._name(request), which(request))
        week = [list(day) for day in plan.week]
        return answer(PlanBody(plan.mode, plan.pre_s, plan.post_s, week))

    async def write(self, request: web.Request, caller: Caller) -> web.Response:
        """``PUT /api/camera/{name}/plan``."""
        name, stream = self._name(request), which(request)
        body = await read_json(request, PlanBody)
        segments = sum(map(len, body.week))
        of = "" if stream == "main" else f"{stream}: "
        request[REASON] = f"{of}{body.mode[:16]}, {segments} segments"
        week = tuple(map(tuple, body.week))
        plan = PlanSettings(body.mode, body.pre_s, body.post_s, week)
        await self._parts.cameras.write_plan(name, plan, stream)
        return await self.plan(request, caller)

    async def event(self, request: web.Request, caller: Caller) -> web.Response:  # noqa: ARG002 - a handler's shape
        """``POST /api/camera/{name}/event``."""
        name = self._name(request)
        body = await read_json(request, EventBody)
        request[REASON] = body.what
        until_us = self._parts.cameras.event(name, body.post_s)
        self._parts.looks.reported(name, until_us)
        return answer(EventAnswer(until_us))

    def _name(self, request: web.Request) -> str:
        name = request.match_info["name"]
        if self._parts.cameras.find(name) is None:
            raise unknown_camera()
        return name
