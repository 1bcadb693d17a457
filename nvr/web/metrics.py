"""``GET /metrics``: what the box counts, for a Prometheus server."""

from aiohttp import web

from nvr.web.parts import Caller, Parts, Route
from nvr.wire.openmetrics import CONTENT_TYPE, encode


class MetricsPage:
    """Handler of this module."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts

    def routes(self) -> list[Route]:
        """Every route of this module."""
        return [Route("http GET /metrics", self.metrics, machine=True)]

    async def metrics(self, request: web.Request, caller: Caller) -> web.Response:  # noqa: ARG002 - a handler's shape
        """``GET /metrics``; of cameras, those the caller may see live."""
        subject = caller.subject
        families = await self._parts.metrics(lambda camera: "live" in subject.may(camera))
        return web.Response(
            body=encode(families).encode(),
            headers={"Content-Type": CONTENT_TYPE, "Cache-Control": "no-store"},
        )
