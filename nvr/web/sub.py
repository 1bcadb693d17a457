"""Sub streams of cameras over HTTP."""

from typing import Annotated, Literal

from aiohttp import web
from msgspec import Meta, Struct, convert, structs

from nvr.auth.policy import unknown_camera
from nvr.media.camera import SubSettings
from nvr.web.gate import REASON
from nvr.web.parts import Caller, Parts, Route
from nvr.web.reply import answer, read_json

URL = r"rtsps?://[^@/\s]+(/\S*)?"


class SubBody(Struct, frozen=True, forbid_unknown_fields=True):
    """A sub stream's settings as JSON; the configuration's own checks come after."""

    url: Annotated[str, Meta(pattern=rf"^({URL})?\Z")] = ""
    record: bool = True
    retain_h: Annotated[int, Meta(ge=0, le=8784)] = 0
    guaranteed_h: Annotated[int, Meta(ge=0, le=8784)] = 0
    limit_h: Annotated[int, Meta(ge=0, le=87840)] = 0
    limit_gb: Annotated[float, Meta(ge=0, le=1_000_000)] = 0.0
    size: tuple[int, int] | None = None
    fps: Annotated[int, Meta(ge=0, le=60)] = 0
    kbit_s: Annotated[int, Meta(ge=0, le=100_000)] = 0
    codec: Literal["h264", "h265", ""] = ""

    def settings(self) -> SubSettings:
        """Return the same for the cameras."""
        return SubSettings(**structs.asdict(self))


class SubAnswer(Struct, frozen=True):
    """A camera's sub stream as JSON, null if it has none."""

    sub: SubBody | None


class SubPages:
    """Handlers of this module."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts

    def routes(self) -> list[Route]:
        """Every route of this module."""
        one = "/api/camera/{name}"
        return [
            Route(f"http GET {one}/sub", self.sub, "name"),
            Route(f"http PUT {one}/sub", self.write_sub, "name", "admin-setting"),
            Route(f"http DELETE {one}/sub", self.remove_sub, "name", "admin-setting"),
        ]

    async def sub(self, request: web.Request, caller: Caller) -> web.Response:  # noqa: ARG002 - a handler's shape
        """``GET /api/camera/{name}/sub``."""
        return self._answer_sub(self._name(request))

    async def write_sub(self, request: web.Request, caller: Caller) -> web.Response:
        """``PUT /api/camera/{name}/sub``."""
        name = self._name(request)
        body = await read_json(request, SubBody)
        request[REASON] = "recorded" if body.record else "not recorded"
        by = f"user {caller.subject.name}"
        await self._parts.cameras.write_sub(name, body.settings(), by)
        return self._answer_sub(name)

    async def remove_sub(self, request: web.Request, caller: Caller) -> web.Response:
        """``DELETE /api/camera/{name}/sub``."""
        name = self._name(request)
        await self._parts.cameras.write_sub(name, None, f"user {caller.subject.name}")
        return self._answer_sub(name)

    def _answer_sub(self, name: str) -> web.Response:
        sub = self._parts.cameras.sub(name)
        shown = None
        if sub is not None:
            shown = convert(sub, SubBody, from_attributes=True)
        return answer(SubAnswer(shown))

    def _name(self, request: web.Request) -> str:
        name = request.match_info["name"]
        if self._parts.cameras.find(name) is None:
            raise unknown_camera()
        return name
