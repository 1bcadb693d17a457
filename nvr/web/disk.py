"""The disks of the box over HTTP: what they are, and how fast they are worn."""

from aiohttp import web

from nvr.web.parts import Caller, Parts, Route
from nvr.web.reply import answer


class Disks:
    """Handlers of this module."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts

    def routes(self) -> list[Route]:
        """Every route of this module."""
        return [Route("http GET /api/disk", self.disks)]

    async def disks(self, request: web.Request, caller: Caller) -> web.Response:  # noqa: ARG002 - a handler's shape
        """``GET /api/disk``: as last looked at, so nothing blocks."""
        return answer(self._parts.disks())
