"""The ONVIF device's own HTTP port: SOAP in, SOAP out, and snapshots.

Plain HTTP on a port of its own. Hosts look for devices there, do not take certificates that a box
signs itself, and neither of their log-ins shows a secret. The same over TLS on another, if the
settings say so. It never touches the page's port, whose
gate is made for browsers.

Limits: connections as `nvr.serve.door` says, 64 KiB, 32 deep and 2000 elements a request, 10 s for
one to arrive, `AT_ONCE` snapshots made at a time.
"""

import asyncio
import inspect
import logging
import socket
import ssl
from urllib.parse import urlsplit

from aiohttp import web

from nvr.auth.audit import Entry
from nvr.auth.policy import authorise, require
from nvr.auth.table import TABLE
from nvr.auth.user import NOBODY, Subject
from nvr.base.errors import NvrError, Rejected
from nvr.base.log import event
from nvr.media.name import WHICH, Which, stream_of
from nvr.serve.door import Door, listen, protocol
from nvr.serve.onvif.channel import Channels
from nvr.serve.onvif.clients import Client, Clients
from nvr.serve.onvif.device import Device
from nvr.serve.onvif.event import EventService
from nvr.serve.onvif.login import Credential, Denied, Login, throttled
from nvr.serve.onvif.media import Media
from nvr.serve.onvif.media2 import Media2
from nvr.serve.onvif.outputs import DeviceIo, Outputs
from nvr.serve.onvif.parts import Call, Operation, Parts, Service, fault_of, unsupported
from nvr.serve.onvif.ptz import PtzService
from nvr.serve.onvif.recordings import Recordings
from nvr.wire import soap
from nvr.wire.digest import Answer
from nvr.wire.soap import Fault
from nvr.wire.xml import Element, Malformed

_log = logging.getLogger(__name__)

AT_ONCE = 16
BODY_S = 10.0
IDLE_S = 30.0
MOST_LINE_BYTES = 4 * 1024
_SNAPSHOT = "onvif snapshot"
_TYPE = "application/soap+xml"


class OnvifServer:
    """Serves one device: every camera that a host may see is a channel of it, or one is all.

    Args:
        parts: What it talks to; outlives it.

    Raises:
        Misconfigured: ``policy.missing``.
    """

    def __init__(self, parts: Parts) -> None:
        self._parts = parts
        channels, outputs = Channels(parts), Outputs(parts)
        self._ptz = PtzService(parts, channels)
        self._events = EventService(parts, channels, outputs)
        services = [
            Device(parts, channels, outputs, lambda: self.services).service(),
            Media(parts, channels).service(),
            Media2(parts, channels).service(),
            self._ptz.service(),
            DeviceIo(parts, channels, outputs).service(),
            *self._events.services(),
            *Recordings(parts, channels).services(),
        ]
        self.services: tuple[Service, ...] = tuple(services)
        require([_SNAPSHOT, *(one.key(name) for one in services for name in one.operations)])
        self._by_space = {soap.SPACES[one.prefix]: one for one in services}
        self._by_path = {one.path: one for one in services}
        self._login = Login(parts.machines, parts.throttle, parts.clock, parts.window_s)
        self._clients = Clients(parts.clock.wall_us)
        self._slots = asyncio.Semaphore(AT_ONCE)
        self._doors: list[Door] = []
        self.port = 0

    def clients(self) -> list[Client]:
        """Who used it of late."""
        return self._clients.all()

    def revoke(self, name: str) -> None:
        """End what a credential that is no more still has heads do."""
        self._ptz.close(name)

    async def serve(
        self,
        host: str,
        port: int,
        ready: asyncio.Event | None = None,
        tls: tuple[int, ssl.SSLContext] | None = None,
    ) -> None:
        """Serve until cancelled.

        Args:
            host: Address to listen on.
            port: TCP port, 0 for any; `port` holds the one in use once `ready` is set.
            ready: Set when connections are taken.
            tls: Port and certificate of the same over TLS, None for none.

        Raises:
            Unavailable: ``onvif.port``.
        """
        sockets = listen(host, port, "onvif.port")
        self.port = sockets[0].getsockname()[1]
        listening: list[tuple[list[socket.socket], ssl.SSLContext | None]] = [(sockets, None)]
        if tls is not None:
            try:
                listening.append((listen(host, tls[0], "onvif.port"), tls[1]))
            except NvrError:
                for sock in sockets:
                    sock.close()
                raise
        app = web.Application(client_max_size=soap.MOST_BYTES)
        app.router.add_get("/onvif/snapshot/{camera}", self._snapshot)
        app.router.add_get("/onvif/snapshot/{camera}/{which}", self._snapshot)
        app.router.add_post("/{path:.*}", self._post)
        runner, server = await protocol(app, idle_s=IDLE_S, most_line_bytes=MOST_LINE_BYTES)
        doors = [(Door(server, context), found) for found, context in listening]
        self._doors = [door for door, _ in doors]
        event(_log, logging.INFO, "onvif.listening", host=host, port=self.port)
        try:
            async with asyncio.TaskGroup() as tasks:
                for door, found in doors:
                    tasks.create_task(door.serve(found))
                tasks.create_task(self._events.run())
                if ready is not None:
                    ready.set()
        finally:
            self._ptz.close()
            await runner.cleanup()

    async def _post(self, request: web.Request) -> web.Response:
        self._heard(request)
        relates, action = "", ""
        try:
            async with asyncio.timeout(BODY_S):
                data = await request.read()
            asked = soap.read(data)
            relates, action = asked.message_id, f"{asked.space}/{asked.operation}Response"
            body = await self._answer(request, asked)
        except (Malformed, web.HTTPRequestEntityTooLarge) as err:
            refusal = Fault(f"this is no request: {err}", "ter:WellFormed")
            return _answer(soap.fault(refusal), 400)
        except TimeoutError:
            return _answer(soap.fault(Fault("the request took too long")), 408)
        except Denied as err:
            refusal = Fault(err.why, "ter:NotAuthorized")
            answer = _answer(soap.fault(refusal), 401, relates)
            for one in err.challenges:
                answer.headers.add("WWW-Authenticate", one)
            return answer
        except Fault as err:
            return _answer(soap.fault(err), 500 if err.receiver else 400, relates)
        return _answer(body, 200, relates, action)

    async def _answer(self, request: web.Request, asked: soap.Request) -> str:
        service, name, operation = self._find(request.path, asked)
        key = service.key(name)
        subject = NOBODY
        if "nobody" not in TABLE[key].kinds or asked.token or "Authorization" in request.headers:
            subject = self._identify(request, asked.token, name, TABLE[key].kinds)
        call = self._call(request, subject, asked.body)
        about = operation.about(call) if operation.about else None
        try:
            authorise(subject, key, about, masked=self._parts.masked)
        except Rejected as err:
            self._refused(call, key, err, about or "")
            raise fault_of(err) from err
        try:
            made = operation.do(call)
            inner = await made if inspect.isawaitable(made) else made
        except NvrError as err:
            raise fault_of(err) from err
        return soap.tag(f"{service.prefix}:{name}Response", inner)

    def _find(self, path: str, asked: soap.Request) -> tuple[Service, str, Operation]:
        """Return what was asked: by its name space, by the path where that was never declared."""
        service = self._by_space.get(asked.space)
        if service is None and not asked.space:
            service = self._by_path.get(path.rpartition("/")[2])
        operation = service.operations.get(asked.operation) if service else None
        if service is None or operation is None:
            raise unsupported(asked.operation[:64])
        return service, asked.operation, operation

    def _identify(
        self, request: web.Request, token: soap.Token | None, did: str, kinds: frozenset[str]
    ) -> Subject:
        """Return who asks; a wrong log-in is no matter where none is needed."""
        header = request.headers.get("Authorization", "")
        header = header if header.isascii() else ""  # no name of ours is written with others
        address = request.remote or ""
        given = Credential(request.method, request.path_qs, header, token, address)
        answer = Answer.parse(header) if header else None
        name = answer.user if answer else token.user if token else ""
        name = "".join(c for c in name if c.isprintable())
        try:
            subject, how = self._login.identify(given)
        except (Denied, Rejected) as err:
            if "nobody" in kinds:
                return NOBODY
            denied = err if isinstance(err, Denied) else throttled(err)
            if (name or token) and self._clients.refused(name[:32], address, did, denied.why):
                entry = Entry("event", "onvif", "refused", denied.why, name[:32], address)
                self._parts.audit.record(entry, stop=True)
            raise denied from err
        if self._clients.served(name, address, did, how):
            self._parts.audit.record(Entry("event", "onvif", reason=how, who=name, source=address))
        return subject

    def _call(self, request: web.Request, subject: Subject, body: Element) -> Call:
        host, port = _place(request)
        base = f"{request.scheme}://{host}:{port}"
        return Call(subject, body, host, base, request.remote or "", request.path)

    def _refused(self, call: Call, key: str, err: Rejected, camera: str) -> None:
        name, address = call.subject.name, call.address
        if self._clients.refused(name, address, key.rpartition(" ")[2], err.code):
            entry = Entry("event", key, "refused", err.code, name, address, camera=camera)
            self._parts.audit.record(entry, stop=True)

    async def _snapshot(self, request: web.Request) -> web.Response:
        """A JPEG of the newest key frame."""
        self._heard(request)
        try:
            subject = self._identify(request, None, "snapshot", frozenset())
            name, which = request.match_info["camera"], _which(request)
            authorise(subject, _SNAPSHOT, name, masked=self._parts.masked)
            state = self._parts.cameras.find(name)
            if self._parts.only not in {"", name}:
                state = None
            if state is None or (which == "sub" and state.sub is None):
                return web.Response(status=404)
            async with self._slots:
                jpeg, _ = await self._parts.snapshot(name, stream_of(name, which), 0)
        except Denied as err:
            answer = web.Response(status=401)
            for one in err.challenges:
                answer.headers.add("WWW-Authenticate", one)
            return answer
        except NvrError as err:
            status = 403 if err.code in {"auth.denied", "auth.masked"} else 404
            status = status if isinstance(err, Rejected) else 503
            return web.Response(status=status, headers={"X-NVR-Code": err.code})
        return web.Response(
            body=jpeg, content_type="image/jpeg", headers={"Cache-Control": "no-store"}
        )

    def _heard(self, request: web.Request) -> None:
        for door in self._doors:
            door.heard(request.transport)


def _which(request: web.Request) -> Which:
    wanted = request.match_info.get("which", "main")
    for one in WHICH:
        if one == wanted:
            return one
    raise Rejected("camera.no_sub", "a camera has a main and a sub stream", stream=wanted[:16])


def _place(request: web.Request) -> tuple[str, int]:
    """Our name and port as the peer called us; else where its connection came in.

    A name behind a router or in a name server is one that only the peer knows. It stands in
    nobody's answer but its own.
    """
    transport = request.transport
    own = transport.get_extra_info("sockname") if transport is not None else None
    host, port = str(own[0]) if own else "127.0.0.1", int(own[1]) if own else 80
    try:
        said = urlsplit(f"//{request.headers.get('Host', '')}")
        if said.hostname and all(c.isalnum() or c in ".-:" for c in said.hostname):
            host, port = said.hostname, said.port or (443 if request.scheme == "https" else 80)
    except ValueError:
        pass
    return (f"[{host}]" if ":" in host else host), port


def _answer(body: str, status: int, relates: str = "", action: str = "") -> web.Response:
    data = soap.envelope(body, relates, action)
    return web.Response(body=data, status=status, content_type=_TYPE, charset="utf-8")
