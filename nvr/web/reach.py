"""How a camera is reached, over HTTP: transport and TLS, as they are to be and as they are."""

from typing import Annotated, Literal

from aiohttp import web
from msgspec import UNSET, Meta, Struct, UnsetType

from nvr.auth.policy import unknown_camera
from nvr.media.transport import Carried, ReachSettings
from nvr.web.gate import REASON
from nvr.web.parts import Caller, Parts, Route
from nvr.web.reply import answer, read_json

_PIN = r"^(([0-9a-fA-F]{2}:?){31}[0-9a-fA-F]{2})?\Z"


class ReachBody(Struct, frozen=True, forbid_unknown_fields=True):
    """Body of ``PUT /api/camera/{name}/reach``; what is left out stays."""

    transport: Literal["auto", "tcp", "udp", "multicast", "http"] | UnsetType = UNSET
    tls_pin: Annotated[str, Meta(pattern=_PIN)] | UnsetType = UNSET
    audio: bool | UnsetType = UNSET


class StreamReach(Struct, frozen=True):
    """How one stream is reached, as JSON."""

    carried: Carried
    certificate_sha256: str


class ReachAnswer(Struct, frozen=True):
    """How a camera is reached, as JSON."""

    transport: str
    tls_pin: str
    tls_ca: str
    audio: bool
    main: StreamReach
    sub: StreamReach | None


class ReachPages:
    """Handlers of this module."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts

    def routes(self) -> list[Route]:
        """Every route of this module."""
        one = "/api/camera/{name}"
        return [
            Route(f"http GET {one}/reach", self.reach, "name"),
            Route(f"http PUT {one}/reach", self.write_reach, "name", "admin-setting"),
        ]

    async def reach(self, request: web.Request, caller: Caller) -> web.Response:  # noqa: ARG002 - a handler's shape
        """``GET /api/camera/{name}/reach``."""
        return self._answer(self._name(request))

    async def write_reach(self, request: web.Request, caller: Caller) -> web.Response:  # noqa: ARG002 - a handler's shape
        """``PUT /api/camera/{name}/reach``."""
        name = self._name(request)
        body = await read_json(request, ReachBody)
        before, _ = self._parts.cameras.reach(name)
        transport = before.transport if body.transport is UNSET else body.transport
        pin = before.tls_pin if body.tls_pin is UNSET else body.tls_pin
        audio = before.audio if body.audio is UNSET else body.audio
        proof = "pinned" if pin else "CA" if before.tls_ca else "certificate not verified"
        request[REASON] = f"{transport}, {proof}{'' if audio else ', without sound'}"
        wanted = ReachSettings(transport, pin, before.tls_ca, audio)
        await self._parts.cameras.write_reach(name, wanted)
        return self._answer(name)

    def _answer(self, name: str) -> web.Response:
        wanted, found = self._parts.cameras.reach(name)
        main, sub = (
            StreamReach(found[which].carried, found[which].fingerprint) if which in found else None
            for which in ("main", "sub")
        )
        assert main is not None
        return answer(
            ReachAnswer(wanted.transport, wanted.tls_pin, wanted.tls_ca, wanted.audio, main, sub)
        )

    def _name(self, request: web.Request) -> str:
        name = request.match_info["name"]
        if self._parts.cameras.find(name) is None:
            raise unknown_camera()
        return name
