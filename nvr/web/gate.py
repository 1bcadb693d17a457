"""What every request passes before a handler sees it, and what every answer carries.

Host name (against DNS rebinding), origin and ``X-NVR`` (against other sites), session, policy,
room in the audit log: in this order, in one place, whichever the handler.
"""

import base64
import hashlib
import ipaddress
import logging
import socket
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import replace
from urllib.parse import urlsplit

from aiohttp import web

from nvr.auth.audit import Entry
from nvr.auth.policy import authorise, require
from nvr.auth.user import NOBODY, Span, Subject
from nvr.base.errors import NvrError, Rejected
from nvr.base.log import event
from nvr.serve.door import Door
from nvr.web.parts import Caller, Parts, Route
from nvr.web.reply import number, refusal

_log = logging.getLogger(__name__)

COOKIE = "__Host-nvr"
SIGNED_S = 60.0
"""So long a machine is known by what it sent, from where it did: players ask all the time."""
_MOST_SIGNED = 256
_MOST_NAMED = 64
SPAN: web.RequestKey[Span] = web.RequestKey("span", tuple)
REASON: web.RequestKey[str] = web.RequestKey("reason", str)
_ASKED: web.RequestKey[bool] = web.RequestKey("asked", bool)

HEADERS = {
    "Content-Security-Policy": (
        "default-src 'self'; media-src 'self' blob:; connect-src 'self'; object-src 'none'; "
        "base-uri 'none'; form-action 'self'; frame-ancestors 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), microphone=(self), geolocation=()",
    "Server": "nvr",
}
"""``connect-src 'self'`` covers ``wss:`` to the same host in every browser since 2022."""

_Next = Callable[[web.Request], Awaitable[web.StreamResponse]]


def host_of(value: str) -> str:
    """Host name without its port, lower case; empty if it is none."""
    try:
        return (urlsplit(f"//{value}").hostname or "").rstrip(".")
    except ValueError:
        return ""


class Gate:
    """Checks requests.

    Args:
        parts: What the page is built from.
        names: Further host names the box goes by.
    """

    def __init__(self, parts: Parts, names: Iterable[str] = ()) -> None:
        self._parts = parts
        self._hosts = {"localhost", socket.gethostname().lower(), *(n.lower() for n in names)}
        self._named: set[str] = set()
        self._signed: OrderedDict[tuple[bytes, str], tuple[Subject, float]] = OrderedDict()
        parts.machines.subscribe(self._revoked)
        self.door: Door | None = None

    def add(self, app: web.Application, routes: Iterable[Route]) -> None:
        """Put handlers behind the gate.

        Raises:
            Misconfigured: ``policy.missing``: one has no rule; none was added.
        """
        found = list(routes)
        require(route.key for route in found)
        for route in found:
            app.router.add_route(
                route.method, route.path.replace("{path}", "{path:.+}"), self._guarded(route)
            )

    @web.middleware
    async def middleware(self, request: web.Request, handler: _Next) -> web.StreamResponse:
        """Turn errors into answers; routes, and paths that are none, alike."""
        if self.door is not None:
            self.door.heard(request.transport)
        try:
            self._check_host(request)
            return await handler(request)
        except NvrError as err:
            response = refusal(err)
            if request.get(_ASKED):
                response.headers["WWW-Authenticate"] = 'Basic realm="nvr", charset="UTF-8"'
            return response
        except web.HTTPException as err:
            if err.status in {404, 405}:
                return refusal(Rejected("path.unknown", "there is nothing at this path"))
            return refusal(Rejected("body.invalid", err.reason, status=err.status))

    async def headers(self, request: web.Request, response: web.StreamResponse) -> None:
        """Put the safety headers on every answer."""
        response.headers.update(HEADERS)
        if request.path.startswith("/link/"):
            # Whoever has the link may see it, also a player on another site's page.
            response.headers["Access-Control-Allow-Origin"] = "*"
            response.headers["Cross-Origin-Resource-Policy"] = "cross-origin"

    def caller(self, request: web.Request) -> Caller:
        """Who sent `request`."""
        token = request.cookies.get(COOKIE, "")
        session = self._parts.sessions.find(token) if token else None
        subject = session.subject if session else NOBODY
        return Caller(subject, session, request.remote or "", token)

    def _machine(self, request: web.Request) -> Caller | None:
        """The machine that sent a request with HTTP's Basic, None without that.

        Raises:
            Rejected: ``auth.wrong``, ``auth.throttled``.
        """
        given = request.headers.get("Authorization", "")
        if not given:
            return None
        address, now_s = request.remote or "", self._parts.clock.monotonic_s()
        seal = hashlib.sha256(given.encode(errors="surrogateescape")).digest(), address
        known, until_s = self._signed.get(seal, (None, 0.0))
        if known is not None and now_s < until_s:
            return Caller(known, None, address, "")
        scheme, _, coded = given.partition(" ")
        try:
            name, _, secret = base64.b64decode(coded, validate=True).decode().partition(":")
        except ValueError as err:
            raise Rejected("auth.wrong", "name and secret do not fit") from err
        if scheme.lower() != "basic":
            raise Rejected("auth.wrong", "a machine signs in with Basic")
        attempt = self._parts.throttle.enter(name, address)
        subject = self._parts.machines.check(name, secret)
        if subject is None:
            raise Rejected("auth.wrong", "name and secret do not fit")
        self._parts.throttle.right(attempt)
        self._signed[seal] = subject, now_s + SIGNED_S
        self._signed.move_to_end(seal)
        if len(self._signed) > _MOST_SIGNED:
            self._signed.popitem(last=False)
        return Caller(subject, None, address, "")

    def _revoked(self, name: str) -> None:
        for seal in [one for one, (subject, _) in self._signed.items() if subject.name == name]:
            del self._signed[seal]

    def _linked(self, route: Route, request: web.Request) -> Caller:
        """Whoever comes with a link.

        Raises:
            Rejected: ``link.invalid``.
        """
        if self._parts.links is None:
            raise Rejected("link.invalid", "this box makes no links")
        text, camera = request.match_info["link"], request.match_info[route.camera]
        subject = self._parts.links.read(text, camera, None, live=route.link == "live")
        return Caller(subject, None, request.remote or "", "")

    def _who(self, route: Route, request: web.Request) -> Caller:
        if route.link:
            return self._linked(route, request)
        try:
            return (route.machine and self._machine(request)) or self.caller(request)
        except Rejected as err:
            if route.asks and err.code == "auth.wrong":
                request[_ASKED] = True
            raise

    def _guarded(self, route: Route) -> _Next:
        async def handle(request: web.Request) -> web.StreamResponse:
            caller = self._who(route, request)
            if route.key.startswith("ws "):
                self._check_origin(request, needed=True)
            elif route.method != "GET":
                self._check_origin(request, needed=False)
                if request.headers.get("X-NVR") != "1":
                    raise Rejected("origin.foreign", "the request lacks X-NVR: 1")
            camera = request.match_info[route.camera] if route.camera else ""
            try:
                span = _span(request)
                authorise(
                    caller.subject,
                    route.key,
                    camera or None,
                    span,
                    claimed=self._parts.claim.claimed,
                    masked=self._parts.cameras.masked,
                    shown="masked" if route.covers else "as it is",
                )
            except Rejected as err:
                self._note_refusal(route, caller, camera, err)
                if route.asks and err.code == "auth.needed":
                    request[_ASKED] = True
                raise
            if span is not None:
                request[SPAN] = span
            return await self._logged(route, request, caller, camera)

        return handle

    async def _logged(
        self, route: Route, request: web.Request, caller: Caller, camera: str
    ) -> web.StreamResponse:
        if route.log is None:
            return await route.handler(request, caller)
        audit = self._parts.audit
        audit.check_room()
        entry = Entry(
            route.log,
            route.key,
            who=caller.subject.name,
            source=caller.address,
            camera=camera,
            hardware_no=f"camera:{camera}" if camera else "",
        )
        try:
            response = await route.handler(request, caller)
        except NvrError as err:
            audit.record(replace(entry, state="refused", reason=err.code))
            raise
        audit.record(replace(entry, reason=request.get(REASON, "")))
        return response

    def _note_refusal(self, route: Route, caller: Caller, camera: str, err: Rejected) -> None:
        """A signed-in account reached for what is not its own; strangers are not worth a row."""
        if caller.session is None:
            event(_log, logging.DEBUG, "page.refused", code=err.code, peer=caller.address)
            return
        self._parts.audit.record(
            Entry(
                "event",
                route.key,
                "refused",
                err.code,
                caller.subject.name,
                caller.address,
                camera[:32],
            )
        )

    def _check_host(self, request: web.Request) -> None:
        said = request.headers.get("Host", "")
        if said in self._named:
            return
        host = host_of(said)
        if host not in self._hosts and not host.endswith((".local", ".localhost")):
            try:
                ipaddress.ip_address(host)
            except ValueError:
                raise Rejected("host.unknown", "this box does not go by that name") from None
        if len(self._named) < _MOST_NAMED:
            self._named.add(said)

    def _check_origin(self, request: web.Request, *, needed: bool) -> None:
        """Refuse what another site's page sent; a tool need not send `Origin` with `X-NVR`."""
        origin = request.headers.get("Origin")
        if origin is None and not needed:
            site = request.headers.get("Sec-Fetch-Site", "same-origin")
            if site == "same-origin":
                return
        elif origin is not None:
            scheme = "https" if request.secure else "http"
            if origin.lower() == f"{scheme}://{request.headers.get('Host', '')}".lower():
                return
        raise Rejected("origin.foreign", "the request comes from another site")


def _span(request: web.Request) -> Span | None:
    """Stretch of recordings a request is about, from its query."""
    query = request.query
    if "t_us" in query:
        t_us = number(request, "t_us")
        return t_us, t_us
    if "from_us" in query or "to_us" in query:
        from_us, to_us = number(request, "from_us"), number(request, "to_us")
        if from_us > to_us:
            raise Rejected("body.invalid", "from_us is after to_us", field="from_us")
        return from_us, to_us
    return None
