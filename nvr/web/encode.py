"""Encoders of the box, and how local cameras are encoded, over HTTP."""

from typing import Annotated, Literal

from aiohttp import web
from msgspec import Meta, Struct, structs

from nvr.auth.policy import unknown_camera
from nvr.auth.user import plain
from nvr.base.errors import Rejected
from nvr.media.encoding import EncoderState, EncodeSettings
from nvr.media.name import camera_of
from nvr.web.gate import REASON
from nvr.web.parts import Caller, Parts, Route
from nvr.web.reply import answer, read_json


class EncodeBody(Struct, frozen=True, forbid_unknown_fields=True):
    """How a local camera is encoded, as JSON; the configuration's own checks come after."""

    encoder: Annotated[str, Meta(pattern=r"^[a-z0-9-]{1,32}\Z")] = "auto"
    codec: Literal["h264", "h265"] = "h264"
    kbit_s: Annotated[int, Meta(ge=0, le=100_000)] = 0
    gop_s: Annotated[float, Meta(ge=0.2, le=10)] = 2.0
    fps: Annotated[int, Meta(ge=0, le=60)] = 0
    profile: Literal["baseline", "main", "high"] = "main"
    latency: Literal["low", "normal"] = "low"


class Encoders:
    """Handlers of this module."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts

    def routes(self) -> list[Route]:
        """Every route of this module."""
        one = "/api/camera/{name}/encode"
        return [
            Route("http GET /api/encoder", self.encoders),
            Route(f"http GET {one}", self.settings, "name"),
            Route(f"http PUT {one}", self.write, "name", "admin-setting"),
        ]

    async def encoders(self, request: web.Request, caller: Caller) -> web.Response:  # noqa: ARG002 - a handler's shape
        """``GET /api/encoder``: with the streams of those cameras that the caller may know."""
        report = self._parts.encoding.encoding()
        known = {
            each.name for each in self._parts.cameras.all() if plain(caller.subject.may(each.name))
        }
        return answer(
            {
                "encoders": [self._view(each) for each in report.encoders],
                "streams": [each for each in report.streams if camera_of(each.stream) in known],
                "cores": report.cores,
                "used_cores": report.used_cores,
            }
        )

    async def settings(self, request: web.Request, caller: Caller) -> web.Response:  # noqa: ARG002 - a handler's shape
        """``GET /api/camera/{name}/encode``."""
        name = request.match_info["name"]
        if self._parts.cameras.find(name) is None:
            raise unknown_camera()
        return answer({"encode": self._parts.encoding.encode(name)})

    async def write(self, request: web.Request, caller: Caller) -> web.Response:
        """``PUT /api/camera/{name}/encode``."""
        name = request.match_info["name"]
        if self._parts.encoding.encode(name) is None:
            raise Rejected("encode.unsupported", "this camera encodes its own picture")
        body = await read_json(request, EncodeBody)
        request[REASON] = f"{body.encoder} {body.codec}, {body.kbit_s} kbit/s, {body.gop_s:g} s"
        await self._parts.encoding.write_encode(name, EncodeSettings(**structs.asdict(body)))
        return await self.settings(request, caller)

    def _view(self, state: EncoderState) -> dict[str, object]:
        names = [name for name in EncoderState.__slots__ if name != "costs"]
        costs = [{"preset": preset, "cpu_s": cost} for preset, cost in state.costs]
        return {name: getattr(state, name) for name in names} | {"costs": costs}
