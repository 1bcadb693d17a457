"""The GB/T 28181 platforms that the box is a device of, over HTTP."""

from typing import Annotated, Literal

from aiohttp import web
from msgspec import Meta, Struct, field

from nvr.media.gb28181 import (
    PlatformBox,
    PlatformChannel,
    PlatformInput,
    PlatformSettings,
    PlatformState,
)
from nvr.web.gate import REASON
from nvr.web.parts import Caller, Parts, Route
from nvr.web.reply import FaultView, answer, read_json

_Text = Annotated[str, Meta(max_length=253)]
_Password = Annotated[str, Meta(max_length=128)]
_Number = Annotated[int, Meta(ge=0, le=1_000_000)]


class ChannelBody(Struct, frozen=True, forbid_unknown_fields=True):
    """A camera, as the platform is to know it."""

    id: _Text
    camera: _Text
    rights: Annotated[tuple[_Text, ...], Meta(max_length=7)] = ("live",)
    speaker: _Text = ""
    box: _Text = ""


class BoxBody(Struct, frozen=True, forbid_unknown_fields=True):
    """A device below us, as it is to know that."""

    id: _Text
    title: _Text


class InputBody(Struct, frozen=True, forbid_unknown_fields=True):
    """An alarm input, as it is to know that."""

    id: _Text
    input: _Text


class PlatformBody(Struct, frozen=True, forbid_unknown_fields=True):
    """Body of ``PUT /api/upstream/gb28181/{name}``: all of it; what is left out is as usual."""

    host: _Text
    server: _Text
    device: _Text
    on: bool = True
    port: _Number = 5060
    domain: _Text = ""
    user: _Text = ""
    password: _Password | None = None
    transport: Literal["udp", "tcp"] = "udp"
    local_port: _Number = 0
    edition: Literal["2016", "2022"] = "2022"
    expires_s: _Number = 86_400
    keepalive_s: _Number = 60
    misses: _Number = 3
    retry_s: _Number = 60
    sets_clock: bool = False
    channels: Annotated[list[ChannelBody], Meta(max_length=256)] = []
    inputs: Annotated[list[InputBody], Meta(max_length=256)] = []
    aux: Annotated[dict[str, _Text], Meta(max_length=255)] = field(
        default_factory=lambda: {"1": "wiper", "2": "lamp"}
    )
    boxes: Annotated[list[BoxBody], Meta(max_length=64)] = []


class PlatformView(Struct, frozen=True):
    """A platform as JSON; `nvr.media.gb28181` says what it means."""

    name: str
    on: bool
    host: str
    port: int
    server: str
    device: str
    domain: str
    user: str
    transport: str
    local_port: int
    edition: str
    expires_s: int
    keepalive_s: int
    misses: int
    retry_s: int
    sets_clock: bool
    channels: list[PlatformChannel]
    inputs: list[PlatformInput]
    aux: dict[str, str]
    boxes: list[PlatformBox]
    state: str
    since_us: int
    fault: FaultView | None
    fault_us: int
    at: str
    spoken: str
    answered_us: int
    clock_off_ms: int | None
    clock_use: str
    asked: int
    refused: int
    damaged: int
    repeated: int
    alarms: int
    sessions: int
    subscriptions: list[str]


class PlatformsAnswer(Struct, frozen=True):
    """All of them."""

    platforms: list[PlatformView]


class PlatformPages:
    """Handlers of this module."""

    def __init__(self, parts: Parts) -> None:
        self._platforms = parts.platforms

    def routes(self) -> list[Route]:
        """Every route of this module."""
        path = "/api/upstream/gb28181"
        return [
            Route(f"http GET {path}", self.all),
            Route(f"http PUT {path}/{{name}}", self.write, log="admin-setting"),
            Route(f"http DELETE {path}/{{name}}", self.remove, log="admin-setting"),
        ]

    async def all(self, request: web.Request, caller: Caller) -> web.Response:  # noqa: ARG002 - a handler's shape
        """``GET /api/upstream/gb28181``."""
        return answer(PlatformsAnswer([_view(one) for one in self._platforms.states()]))

    async def write(self, request: web.Request, caller: Caller) -> web.Response:
        """``PUT /api/upstream/gb28181/{name}``."""
        body = await read_json(request, PlatformBody)
        name = request.match_info["name"]
        request[REASON] = f"{name}: {body.host}:{body.port}" if body.on else f"{name}: off"
        wanted = PlatformSettings(
            name, body.on, body.host, body.port, body.server, body.device, body.domain, body.user,
            body.transport, body.local_port, body.edition, body.expires_s, body.keepalive_s,
            body.misses, body.retry_s, body.sets_clock,
            tuple(
                PlatformChannel(it.id, it.camera, it.rights, it.speaker, it.box)
                for it in body.channels
            ),
            tuple(PlatformInput(it.id, it.input) for it in body.inputs),
            tuple(sorted((int(k), v) for k, v in body.aux.items() if k.isdecimal())),
            tuple(PlatformBox(it.id, it.title) for it in body.boxes),
        )  # fmt: skip
        await self._platforms.write(wanted, body.password)
        return await self.all(request, caller)

    async def remove(self, request: web.Request, caller: Caller) -> web.Response:
        """``DELETE /api/upstream/gb28181/{name}``."""
        await self._platforms.remove(request.match_info["name"])
        return await self.all(request, caller)


def _view(now: PlatformState) -> PlatformView:
    one = now.settings
    return PlatformView(
        one.name, one.on, one.host, one.port, one.server, one.device, one.domain, one.user,
        one.transport, one.local_port, one.edition, one.expires_s, one.keepalive_s, one.misses,
        one.retry_s, one.sets_clock, list(one.channels), list(one.inputs),
        {str(n): it for n, it in one.aux}, list(one.boxes),
        now.state, now.since_us,
        None if now.fault is None else FaultView(now.fault.code, now.fault.detail), now.fault_us,
        now.server, now.edition, now.answered_us, now.clock_off_ms, now.clock_use, now.asked,
        now.refused, now.damaged, now.repeated, now.alarms, now.sessions, list(now.subscriptions),
    )  # fmt: skip
