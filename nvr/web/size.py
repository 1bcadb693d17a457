"""The volume's size over HTTP: what a change would cost, and making it."""

import asyncio
from typing import Annotated

from aiohttp import web
from msgspec import Meta, Struct

from nvr.base.errors import Rejected
from nvr.media.name import camera_of, which_of
from nvr.record.resize import Change
from nvr.web.gate import REASON
from nvr.web.parts import Caller, Parts, Route
from nvr.web.reply import answer, number, read_json

_LEAST_MIB, _MOST_MIB = 64, 64 << 20


class NewSize(Struct, frozen=True, forbid_unknown_fields=True):
    """Body of ``POST /api/ring/size``."""

    size_mib: Annotated[int, Meta(ge=_LEAST_MIB, le=_MOST_MIB)]
    give_up: bool = False
    volume: str = ""


class LossView(Struct, frozen=True):
    """What would be lost of a camera, as JSON."""

    camera: str
    stream: str
    used_bytes: int
    from_us: int
    to_us: int


class RefusalView(Struct, frozen=True):
    """Why it cannot be."""

    code: str
    detail: str


class ChangeView(Struct, frozen=True):
    """A change of the size as JSON."""

    now_bytes: int
    wanted_bytes: int
    asked_bytes: int
    free_bytes: int
    lost: tuple[LossView, ...]
    refused: RefusalView | None


class SizePages:
    """Handlers of this module."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts

    def routes(self) -> list[Route]:
        """Every route of this module."""
        return [
            Route("http GET /api/ring/size", self.plan),
            Route("http POST /api/ring/size", self.change, log="admin-setting"),
        ]

    async def plan(self, request: web.Request, caller: Caller) -> web.Response:  # noqa: ARG002 - a handler's shape
        """``GET /api/ring/size?size_mib=&volume=``."""
        size_mib = number(request, "size_mib")
        if not _LEAST_MIB <= size_mib <= _MOST_MIB:
            raise Rejected("body.invalid", f"size_mib is outside {_LEAST_MIB}-{_MOST_MIB}")
        volume = request.query.get("volume", "")
        return answer(view(await asyncio.to_thread(self._parts.archive.size, size_mib, volume)))

    async def change(self, request: web.Request, caller: Caller) -> web.Response:
        """``POST /api/ring/size``."""
        body = await read_json(request, NewSize)
        archive = self._parts.archive
        planned = await asyncio.to_thread(archive.size, body.size_mib, body.volume)
        if planned.lost and not body.give_up:
            raise Rejected("size.unconfirmed", "recordings would be lost, and nobody agreed to it")
        by = caller.subject.name
        made = await asyncio.to_thread(archive.resize, body.size_mib, by, body.volume)
        lost = ", ".join(f"{one.stream} to {one.to_us}" for one in made.lost)
        request[REASON] = f"{made.now_bytes} to {made.asked_bytes} bytes, lost: {lost or 'nothing'}"
        return answer(view(made))


def view(change: Change) -> ChangeView:
    """Return a change as the API gives it."""
    refused = change.refused
    return ChangeView(
        change.now_bytes,
        change.wanted_bytes,
        change.asked_bytes,
        change.free_bytes,
        tuple(
            LossView(
                camera_of(one.stream), which_of(one.stream), one.used_bytes, one.from_us, one.to_us
            )
            for one in change.lost
        ),
        RefusalView(refused.code, refused.detail) if refused else None,
    )
