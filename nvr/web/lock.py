"""Locks over HTTP: what must stay, for whom, why and until when."""

import asyncio

from aiohttp import web
from msgspec import Struct

from nvr.auth.policy import authorise
from nvr.base.errors import Rejected
from nvr.playback.lock import Locked, Wanted
from nvr.web.gate import REASON
from nvr.web.parts import Caller, Parts, Route
from nvr.web.reply import answer, read_json

_ADD = "http POST /api/camera/{name}/lock"


class NewLock(Struct, frozen=True, forbid_unknown_fields=True):
    """Body of ``POST /api/camera/{name}/lock``."""

    kind: str
    from_us: int
    to_us: int
    why: str
    until_us: int | None = None


class LockView(Struct, frozen=True):
    """A lock as JSON."""

    number: int
    camera: str
    kind: str
    from_us: int
    to_us: int
    until_us: int | None
    by: str
    why: str
    made_us: int
    used_bytes: int
    copy: str


class LockPages:
    """Handlers of this module."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts

    def routes(self) -> list[Route]:
        """Every route of this module."""
        return [
            Route("http GET /api/lock", self.all),
            Route(_ADD, self.add, "name", "function-setting"),
            Route(
                "http DELETE /api/camera/{name}/lock/{number}",
                self.remove,
                "name",
                "function-setting",
            ),
        ]

    async def all(self, request: web.Request, caller: Caller) -> web.Response:  # noqa: ARG002 - nothing to read
        """``GET /api/lock``."""
        found = await asyncio.to_thread(self._parts.archive.locked)
        may = caller.subject.may
        return answer([_view(one) for one in found if "playback" in may(one.lock.camera)])

    async def add(self, request: web.Request, caller: Caller) -> web.Response:
        """``POST /api/camera/{name}/lock``."""
        camera = request.match_info["name"]
        body = await read_json(request, NewLock)
        authorise(caller.subject, _ADD, camera, (body.from_us, body.to_us))
        wanted = Wanted(
            body.kind,
            camera,
            body.from_us,
            body.to_us,
            body.until_us or 0,
            caller.subject.name,
            body.why,
        )
        made = await asyncio.to_thread(self._parts.archive.lock, wanted)
        request[REASON] = _said(made)
        return answer(_view(made), 201)

    async def remove(self, request: web.Request, caller: Caller) -> web.Response:
        """``DELETE /api/camera/{name}/lock/{number}``."""
        camera, text = request.match_info["name"], request.match_info["number"]
        if not (text.isascii() and text.isdigit() and len(text) <= 18):
            raise Rejected("lock.unknown", "there is no such lock, or it has ended")
        by = caller.subject.name
        gone = await asyncio.to_thread(self._parts.archive.unlock, camera, int(text), by)
        request[REASON] = _said(Locked(gone, 0))
        return answer({})


def _said(one: Locked) -> str:
    lock = one.lock
    return f"{lock.kind} {lock.number}: {lock.from_us} to {lock.to_us}: {lock.why}"


def _view(one: Locked) -> LockView:
    lock = one.lock
    return LockView(
        lock.number,
        lock.camera,
        lock.kind,
        lock.from_us,
        lock.to_us,
        lock.until_us or None,
        lock.by,
        lock.why,
        lock.made_us,
        one.used_bytes,
        one.copy,
    )
