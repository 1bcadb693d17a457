"""A back-up of the box over HTTP."""

import asyncio

from aiohttp import web
from msgspec import Struct

from nvr.web.parts import Caller, Parts, Route
from nvr.web.reply import read_json


class BackupBody(Struct, frozen=True, forbid_unknown_fields=True):
    """Body of ``POST /api/backup``."""

    passphrase: str


class BackupPages:
    """Handlers of this module."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts

    def routes(self) -> list[Route]:
        """Every route of this module."""
        return [Route("http POST /api/backup", self.back_up, log="admin-setting")]

    async def back_up(self, request: web.Request, caller: Caller) -> web.Response:  # noqa: ARG002 - for every administrator
        """``POST /api/backup``."""
        body = await read_json(request, BackupBody)
        blob = await asyncio.to_thread(self._parts.back_up, body.passphrase)
        return web.Response(
            body=blob,
            content_type="application/octet-stream",
            headers={"Content-Disposition": "attachment", "Cache-Control": "private, no-store"},
        )
