"""The box as the time server of its cameras, over HTTP: on or off, and who asks it."""

from aiohttp import web
from msgspec import Struct

from nvr.media.ntp import TimeAsker
from nvr.web.gate import REASON
from nvr.web.parts import Caller, Parts, Route
from nvr.web.reply import FaultView, answer, read_json

_PATH = "/api/ntp"


class TimeServerBody(Struct, frozen=True, forbid_unknown_fields=True):
    """Body of ``PUT /api/ntp``."""

    on: bool


class TimeServerAnswer(Struct, frozen=True):
    """The server as JSON; `nvr.media.ntp` says what it means."""

    on: bool
    port: int
    listening: bool
    stratum: int
    fault: FaultView | None
    askers: list[TimeAsker]


class TimePages:
    """Handlers of this module."""

    def __init__(self, parts: Parts) -> None:
        self._server = parts.time_server

    def routes(self) -> list[Route]:
        """Every route of this module."""
        return [
            Route(f"http GET {_PATH}", self.look),
            Route(f"http PUT {_PATH}", self.write, log="admin-setting"),
        ]

    async def look(self, request: web.Request, caller: Caller) -> web.Response:  # noqa: ARG002 - a handler's shape
        """``GET /api/ntp``."""
        now = self._server.state()
        fault = None if now.fault is None else FaultView(now.fault.code, now.fault.detail)
        return answer(
            TimeServerAnswer(now.on, now.port, now.listening, now.stratum, fault, list(now.askers))
        )

    async def write(self, request: web.Request, caller: Caller) -> web.Response:
        """``PUT /api/ntp``."""
        body = await read_json(request, TimeServerBody)
        request[REASON] = "on" if body.on else "off"
        await self._server.write(on=body.on)
        return await self.look(request, caller)
