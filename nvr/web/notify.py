"""Upstream systems that are told what happens, over HTTP: brokers, webhooks, syslog servers."""

from typing import Annotated

import msgspec
from aiohttp import web
from msgspec import Meta, Struct

from nvr.base.errors import NvrError
from nvr.media.notify import (
    NOTIFY_KINDS,
    NotifyKind,
    NotifySettings,
    NotifyState,
    Standing,
    unknown_notifier,
)
from nvr.web.gate import REASON
from nvr.web.parts import Caller, Parts, Route
from nvr.web.reply import FaultView, answer, read_json

Text = Annotated[str, Meta(max_length=512)]


class NotifyBody(Struct, frozen=True, forbid_unknown_fields=True):
    """Body of ``PUT /api/upstream/notify/{kind}/{name}``; the configuration's checks come after."""

    url: Text
    on: bool = True
    ca: Text = ""
    pin: Text = ""
    events: Annotated[tuple[Text, ...], Meta(max_length=32)] = ()
    cameras: Annotated[tuple[Text, ...], Meta(max_length=64)] = ()
    user: Text = ""
    topic: Text = ""
    credential: Text = ""
    commands: bool = False
    discovery: bool = False
    audit: bool = True
    secret: Annotated[str, Meta(max_length=256)] | None = None


class NotifyAnswer(Struct, frozen=True):
    """One of them as JSON; `nvr.media.notify` says what it means."""

    settings: NotifySettings
    standing: Standing
    since_us: int
    error: FaultView | None
    error_us: int
    sent: int
    sent_us: int
    failed: int
    dropped: int
    waiting: int
    commands: int
    refused: int
    has_secret: bool


class NotifyPages:
    """Handlers of this module."""

    def __init__(self, parts: Parts) -> None:
        self._notifiers = parts.notifiers

    def routes(self) -> list[Route]:
        """Every route of this module."""
        one = "/api/upstream/notify/{kind}/{name}"
        return [
            Route("http GET /api/upstream/notify", self.all),
            Route(f"http PUT {one}", self.write, log="admin-setting"),
            Route(f"http DELETE {one}", self.remove, log="admin-setting"),
            Route(f"http POST {one}/test", self.test, log="function-setting"),
        ]

    async def all(self, request: web.Request, caller: Caller) -> web.Response:  # noqa: ARG002 - a handler's shape
        """``GET /api/upstream/notify``."""
        return answer([_answer(one) for one in self._notifiers.all()])

    async def write(self, request: web.Request, caller: Caller) -> web.Response:
        """``PUT /api/upstream/notify/{kind}/{name}``."""
        kind, name = _which(request)
        body = await read_json(request, NotifyBody)
        # Whoever reads the log need not know what stands behind the host of a webhook.
        place = body.url.partition("://")[2].partition("/")[0].rpartition("@")[2]
        request[REASON] = f"{kind} {name}: {'on' if body.on else 'off'}, {place}"[:300]
        values = msgspec.structs.asdict(body)
        secret = values.pop("secret")
        await self._notifiers.write(NotifySettings(kind=kind, name=name, **values), secret)
        return await self.all(request, caller)

    async def remove(self, request: web.Request, caller: Caller) -> web.Response:
        """``DELETE /api/upstream/notify/{kind}/{name}``."""
        kind, name = _which(request)
        request[REASON] = f"{kind} {name} removed"
        await self._notifiers.remove(kind, name)
        return await self.all(request, caller)

    async def test(self, request: web.Request, caller: Caller) -> web.Response:  # noqa: ARG002 - a handler's shape
        """``POST /api/upstream/notify/{kind}/{name}/test``."""
        kind, name = _which(request)
        request[REASON] = f"{kind} {name}"
        took_s = await self._notifiers.test(kind, name)
        return answer({"took_s": round(took_s, 3)})


def _which(request: web.Request) -> tuple[NotifyKind, str]:
    kind, name = request.match_info["kind"], request.match_info["name"]
    if kind not in NOTIFY_KINDS:
        raise unknown_notifier(kind, name)
    return kind, name


def _answer(one: NotifyState) -> NotifyAnswer:
    return NotifyAnswer(
        one.settings, one.standing, one.since_us, _fault(one.error), one.error_us, one.sent,
        one.sent_us, one.failed, one.dropped, one.waiting, one.commands, one.refused,
        one.has_secret,
    )  # fmt: skip


def _fault(error: NvrError | None) -> FaultView | None:
    return None if error is None else FaultView(error.code, error.detail)
