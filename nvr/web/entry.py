"""The page itself, the box's face before log-in, claim, log-in and log-out."""

from aiohttp import web
from msgspec import Struct

from nvr import __version__
from nvr.auth.audit import Entry, State
from nvr.auth.user import Subject, User, plain
from nvr.base.errors import NvrError, Rejected, Unavailable
from nvr.web.assets import Asset, Assets
from nvr.web.gate import COOKIE
from nvr.web.parts import Caller, Parts, Route
from nvr.web.reply import FaultView, answer, read_json


class Credentials(Struct, frozen=True, forbid_unknown_fields=True):
    """Body of a log-in."""

    name: str
    password: str


class ClaimBody(Struct, frozen=True, forbid_unknown_fields=True):
    """Body of a claim."""

    code: str
    name: str
    password: str


class PasswordBody(Struct, frozen=True, forbid_unknown_fields=True):
    """Body of a change of one's own password."""

    old: str
    new: str


class ClockView(Struct, frozen=True):
    """The box's clock as JSON."""

    state: str
    uncertainty_ms: int


class UserView(Struct, frozen=True):
    """Who is signed in, as JSON."""

    name: str
    role: str
    rights: dict[str, list[str]]


class BoxView(Struct, frozen=True):
    """The box as JSON; `fault` and `warnings` are for who is signed in."""

    claimed: bool
    name: str
    version: str
    now_us: int
    clock: ClockView
    user: UserView | None
    fault: FaultView | None
    warnings: list[FaultView]
    certificate_sha256: str


def user_view(parts: Parts, subject: Subject) -> UserView | None:
    """What the signed-in account may do, camera by camera; cameras it must not know are absent."""
    if subject.role is None:
        return None
    rights = {one.name: plain(subject.may(one.name)) for one in parts.cameras.all()}
    return UserView(
        subject.name, subject.role, {name: found for name, found in rights.items() if found}
    )


def box_view(parts: Parts, subject: Subject, fingerprint: str) -> BoxView:
    """The box as `subject` sees it."""
    clock = parts.box.clock_state()
    fault = parts.box.fault() if subject.role else None
    warnings = parts.box.warnings() if subject.role else ()
    return BoxView(
        claimed=parts.claim.claimed,
        name=parts.box.name,
        version=__version__,
        now_us=parts.clock.wall_us(),
        clock=ClockView(clock.state, clock.uncertainty_ms),
        user=user_view(parts, subject),
        fault=FaultView(fault.code, fault.detail) if fault else None,
        warnings=[
            FaultView(one.code, one.detail, camera)
            for one in warnings
            if not (camera := str(one.context.get("camera", ""))) or subject.may(camera)
        ],
        certificate_sha256=fingerprint,
    )


class Entrance:
    """Handlers of this module."""

    def __init__(self, parts: Parts, assets: Assets, fingerprint: str) -> None:
        self._parts = parts
        self._assets = assets
        self._fingerprint = fingerprint

    def routes(self) -> list[Route]:
        """Every route of this module."""
        return [
            Route("http GET /", self.index),
            Route("http GET /ui/{hash}/{path}", self.asset),
            Route("http GET /api/box", self.box),
            Route("http POST /api/claim", self.claim),
            Route("http POST /api/login", self.login),
            Route("http POST /api/logout", self.logout),
            Route("http POST /api/password", self.password),
        ]

    async def index(self, request: web.Request, caller: Caller) -> web.Response:  # noqa: ARG002 - the same for all
        """``GET /``."""
        return _file(request, self._assets.index, "no-cache")

    async def asset(self, request: web.Request, caller: Caller) -> web.Response:  # noqa: ARG002 - the same for all
        """``GET /ui/<hash>/...``: a key of the table, or nothing."""
        found = self._assets.table.get(request.match_info["path"])
        if found is None or request.match_info["hash"] != self._assets.digest:
            raise Rejected("path.unknown", "there is nothing at this path")
        return _file(request, found, "public, max-age=31536000, immutable")

    async def box(self, request: web.Request, caller: Caller) -> web.Response:  # noqa: ARG002 - nothing to read
        """``GET /api/box``."""
        return answer(box_view(self._parts, caller.subject, self._fingerprint))

    async def claim(self, request: web.Request, caller: Caller) -> web.Response:
        """``POST /api/claim``."""
        body = await read_json(request, ClaimBody)
        self._parts.audit.check_room()
        try:
            user = await self._parts.claim.claim(body.code, body.name, body.password)
        except NvrError as err:
            self._note("box.claim", body.name, caller, err.code)
            raise
        self._note("box.claim", user.name, caller)
        return self._signed_in(user, caller)

    async def login(self, request: web.Request, caller: Caller) -> web.Response:
        """``POST /api/login``."""
        body = await read_json(request, Credentials)
        user = await self._checked(body.name, body.password, caller, "box.login")
        self._note("box.login", user.name, caller)
        return self._signed_in(user, caller)

    async def logout(self, request: web.Request, caller: Caller) -> web.Response:  # noqa: ARG002 - nothing to read
        """``POST /api/logout``."""
        if caller.session is not None:
            self._parts.sessions.close(caller.token)  # first: a full log must not keep one in
            self._note("box.logout", caller.subject.name, caller)
        response = answer({})
        response.del_cookie(COOKIE, path="/", secure=True, httponly=True, samesite="Strict")
        return response

    async def password(self, request: web.Request, caller: Caller) -> web.Response:
        """``POST /api/password``: one's own, which ends one's other sessions."""
        body = await read_json(request, PasswordBody)
        name = caller.subject.name
        await self._checked(name, body.old, caller, "user.password")
        user = await self._parts.users.change(name, password=body.new)
        self._note("user.password", name, caller)
        return self._signed_in(user, caller)

    async def _checked(self, name: str, password: str, caller: Caller, action: str) -> User:
        """The account, or one and the same refusal for every way to be wrong."""
        self._parts.audit.check_room()
        attempt = self._parts.throttle.enter(name[:64], caller.address)
        try:
            user = await self._parts.users.check(name, password)
        except Unavailable:
            self._parts.throttle.not_judged(attempt)
            raise
        if user is None:
            self._note(action, name, caller, "auth.wrong")
            raise Rejected("auth.wrong", "name or password is wrong")
        self._parts.throttle.right(attempt)
        return user

    def _signed_in(self, user: User, caller: Caller) -> web.Response:
        """A new session in place of the old one: a planted cookie is worth nothing after log-in."""
        if caller.token:
            self._parts.sessions.close(caller.token)
        token, session = self._parts.sessions.open(user, caller.address)
        view = user_view(self._parts, session.subject)
        response = answer({"user": view})
        response.set_cookie(COOKIE, token, path="/", secure=True, httponly=True, samesite="Strict")
        return response

    def _note(self, action: str, name: str, caller: Caller, code: str = "") -> None:
        state: State = "refused" if code else "ok"
        self._parts.audit.record(Entry("event", action, state, code, name[:64], caller.address))


def _file(request: web.Request, asset: Asset, cache: str) -> web.Response:
    headers = {"Cache-Control": cache, "Vary": "Accept-Encoding"}
    data = asset.data
    if asset.zipped and "gzip" in request.headers.get("Accept-Encoding", "").lower():
        headers["Content-Encoding"] = "gzip"
        data = asset.zipped
    charset = "utf-8" if asset.kind.startswith("text/") else None
    return web.Response(body=data, headers=headers, content_type=asset.kind, charset=charset)
