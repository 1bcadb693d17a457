"""What a camera's head can be told beside motions and presets: menus, scans, restarts."""

from typing import Annotated

from aiohttp import web
from msgspec import Meta, Struct

from nvr.auth.policy import unknown_camera
from nvr.auth.user import Subject
from nvr.base.errors import Rejected
from nvr.media.ports import HeadFunction, Operator
from nvr.web.gate import REASON
from nvr.web.parts import Caller, Parts, Route
from nvr.web.reply import answer, read_json


class FunctionBody(Struct, frozen=True, forbid_unknown_fields=True):
    """Body of ``POST /api/camera/{name}/function``."""

    function: Annotated[str, Meta(max_length=32)]


class FunctionAnswer(Struct, frozen=True):
    """The functions of a head as JSON."""

    functions: tuple[HeadFunction, ...]


def perform(parts: Parts, subject: Subject, who: Operator, camera: str, function: str) -> None:
    """Have a head do one of its functions. Raises as `Ptz.perform`, and ``auth.denied``."""
    risky = {one.name for one in parts.ptz.functions(camera) if one.risk}
    if function in risky and "config" not in subject.may(camera):
        raise Rejected("auth.denied", "this function needs the right to change settings")
    parts.ptz.perform(camera, who, function)


class FunctionPages:
    """Handlers of this module."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts

    def routes(self) -> list[Route]:
        """Every route of this module."""
        one = "/api/camera/{name}/function"
        return [
            Route(f"http GET {one}", self.all, "name"),
            Route(f"http POST {one}", self.perform, "name", "event"),
        ]

    async def all(self, request: web.Request, caller: Caller) -> web.Response:  # noqa: ARG002 - a handler's shape
        """``GET /api/camera/{name}/function``."""
        return answer(FunctionAnswer(self._functions(self._name(request))))

    async def perform(self, request: web.Request, caller: Caller) -> web.Response:
        """``POST /api/camera/{name}/function``."""
        name = self._name(request)
        body = await read_json(request, FunctionBody)
        request[REASON] = body.function
        who = Operator(caller.subject.name, str(caller.subject.role), f"api/{caller.subject.name}")
        try:
            self._functions(name)
            perform(self._parts, caller.subject, who, name, body.function)
        finally:
            self._parts.ptz.release(name, who)  # there is no connection that could end
        return answer({})

    def _functions(self, name: str) -> tuple[HeadFunction, ...]:
        if name not in self._parts.ptz.cameras():
            raise Rejected("ptz.unknown_camera", "this camera has no head", camera=name)
        return self._parts.ptz.functions(name)

    def _name(self, request: web.Request) -> str:
        state = self._parts.cameras.find(request.match_info["name"])
        if state is None:
            raise unknown_camera()
        return state.name
