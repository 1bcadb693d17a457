"""The control channel: one msgpack WebSocket a page, for every camera.

STOP is obeyed before anything is asked except whether the caller may see the camera, and a page
that goes, goes with a stop. Moves are merged: at most one in 20 ms for a camera is passed on, the
newest, and a neutral one at once. Once a second the state of all cameras goes out.
"""

import asyncio
import contextlib
import itertools
import logging
from collections.abc import Callable
from typing import Any

import msgspec
from aiohttp import WSMsgType, web

from nvr.auth.audit import Entry
from nvr.auth.policy import authorise, unknown_camera
from nvr.auth.session import Session
from nvr.base.errors import NvrError, Rejected
from nvr.base.log import event
from nvr.base.transport import cut
from nvr.media.aim import Area
from nvr.media.ports import Operator, PtzStatus
from nvr.web.camera import CameraView, camera_views
from nvr.web.entry import BoxView, box_view
from nvr.web.frame import SIGNED_OUT, closing, frame
from nvr.web.function import perform
from nvr.web.head import message_of, run
from nvr.web.operation import (
    OPERATIONS,
    Aim,
    FunctionOp,
    GuardOp,
    Lens,
    LockOp,
    Move,
    Operation,
    Output,
    Pattern,
    Ping,
    PresetOp,
    Release,
    Run,
    Stop,
    StopAll,
    Take,
    Unlock,
    Vector,
)
from nvr.web.parts import Caller, Parts, Route

_log = logging.getLogger(__name__)

STATE_S = 1.0
MERGE_S = 0.02
HEARTBEAT_S = 10.0
MOST_MESSAGE_BYTES = 4096
MOST_UNSENT_BYTES = 512 * 1024
_NEUTRAL: Vector = (0.0, 0.0, 0.0)


class Done(msgspec.Struct, frozen=True, tag_field="op", tag="ok"):
    """An operation with an id was accepted."""

    id: Any
    cam: str


class Failed(msgspec.Struct, frozen=True, tag_field="op", tag="error"):
    """An operation was refused."""

    id: Any
    cam: str
    code: str
    detail: str
    context: dict[str, Any]


class Pong(msgspec.Struct, frozen=True, tag_field="op", tag="pong"):
    """Answer to a ping."""

    t: Any


class StateMessage(msgspec.Struct, frozen=True, tag_field="op", tag="state"):
    """Everything this page may know, once a second."""

    cameras: list[CameraView]
    box: BoxView


class Stopped(msgspec.Struct, frozen=True, tag_field="op", tag="stopped"):
    """A STOP is on the wire."""

    cam: str
    sent_ms: float


class Page:
    """One open page.

    Args:
        parts: What the page is built from.
        transport: Written to directly, in whole frames.
        session: Its session.
        who: The operator that heads know it as.
    """

    def __init__(
        self, parts: Parts, transport: asyncio.Transport, session: Session, who: Operator
    ) -> None:
        self._parts = parts
        self._transport = transport
        self.session = session
        self.who = who
        self._newest: dict[str, int] = {}
        self._later: dict[str, Move | None] = {}
        self._timers: dict[str, asyncio.TimerHandle] = {}
        self._sent_ms: dict[str, float | None] = {}
        self._do: dict[type[Operation], Callable[[Any], None]] = {
            Move: self._move,
            Lens: self._lens,
            Aim: self._aim,
            Stop: self._stop,
            StopAll: self._stop_all,
            Take: lambda op: parts.ptz.take(op.cam, who),
            Release: self._release,
            LockOp: lambda op: parts.ptz.lock(op.cam, who, op.lasts_s, op.reason),
            Unlock: lambda op: parts.ptz.unlock(op.cam, who),
            Run: self._run,
            GuardOp: lambda op: parts.programs.guard(op.cam, on=op.on),
            Pattern: self._pattern,
            PresetOp: lambda op: parts.ptz.preset(op.cam, who, op.do, op.number, op.name),
            FunctionOp: lambda op: perform(parts, session.subject, who, op.cam, op.function),
            Output: lambda op: parts.ptz.output(op.cam, who, op.name, op.on),
            Ping: lambda op: self.send(Pong(op.t)),
        }

    def send(self, message: msgspec.Struct) -> None:
        """Send one message; a page that takes none is cut, which stops what it moves."""
        self.send_packed(msgspec.msgpack.encode(message))

    def send_packed(self, data: bytes) -> None:
        """Send a message that is packed already."""
        if self._transport.is_closing():
            return
        if self._transport.get_write_buffer_size() > MOST_UNSENT_BYTES:
            cut(self._transport)
            return
        self._transport.write(frame(data))

    def receive(self, data: bytes) -> None:
        """Do what one message asks."""
        try:
            op = msgspec.msgpack.decode(data, type=OPERATIONS)
        except (msgspec.DecodeError, UnicodeDecodeError, OverflowError) as err:
            self.send(Failed(None, "", "body.invalid", str(err), {}))
            return
        camera: str = getattr(op, "cam", "")
        try:
            self._perform(op, camera)
        except NvrError as err:
            # msgpack has no type for most of what a context may hold; the page shows text.
            context = {
                key: value if isinstance(value, str | int | float | None) else str(value)
                for key, value in err.context.items()
            }
            self.send(Failed(op.id, camera, err.code, err.detail, context))
        else:
            if op.id is not None:
                self.send(Done(op.id, camera))

    def changed(self, status: PtzStatus) -> None:
        """Tell the page of a head it may know."""
        if not self.session.subject.may(status.camera):
            return
        before = self._sent_ms.get(status.camera)
        self._sent_ms[status.camera] = status.stop_sent_ms
        if status.stop_sent_ms is not None and status.stop_sent_ms != before:
            self.send(Stopped(status.camera, round(status.stop_sent_ms, 1)))
        self.send(message_of(status, self.who))

    def close(self) -> None:
        """Stop and give back everything it holds."""
        for timer in self._timers.values():
            timer.cancel()
        self._parts.ptz.gone(self.who)

    def sign_out(self) -> None:
        """Its session is over: stop what it moves and tell it."""
        self._parts.ptz.gone(self.who)
        if not self._transport.is_closing():
            self._transport.write(closing(SIGNED_OUT))
            self._transport.close()

    def greet(self) -> None:
        """The state of every head, for a page just opened."""
        for camera in self._parts.ptz.cameras():
            status = self._parts.ptz.status(camera)
            self._sent_ms[camera] = status.stop_sent_ms
            if self.session.subject.may(camera):
                self.send(message_of(status, self.who))

    def _perform(self, op: Operation, camera: str) -> None:
        parts = self._parts
        if not parts.sessions.alive(self.session):
            raise Rejected("auth.needed", "sign in first")
        try:
            authorise(self.session.subject, op.action(), camera or None)
        except Rejected as err:
            self._note_refusal(op, camera, err)
            raise
        if not isinstance(op, Ping):
            parts.sessions.use(self.session)
            if camera and camera not in parts.ptz.cameras():
                raise (
                    unknown_camera()
                    if parts.cameras.find(camera) is None
                    else Rejected("ptz.unknown_camera", "this camera has no head", camera=camera)
                )
        if not isinstance(op, Ping | Stop | StopAll | Release):
            parts.audit.check_room()
        self._do[type(op)](op)

    def _note_refusal(self, op: Operation, camera: str, err: Rejected) -> None:
        subject = self.session.subject
        self._parts.audit.record(
            Entry(
                "event",
                op.action(),
                "refused",
                err.code,
                subject.name,
                self.who.source,
                camera[:32],
            ),
            stop=isinstance(op, Stop),
        )

    def _move(self, op: Move) -> None:
        if op.n <= self._newest.get(op.cam, -1):
            return  # overtaken by one that is newer
        self._newest[op.cam] = op.n
        if op.cam in self._timers and op.v != _NEUTRAL:
            self._later[op.cam] = op
            return
        self._later[op.cam] = None
        self._apply(op)
        if op.cam not in self._timers:
            self._arm(op.cam)

    def _apply(self, op: Move) -> None:
        pan, tilt, zoom = op.v
        self._parts.ptz.move(op.cam, self.who, pan, tilt, zoom)

    def _arm(self, camera: str) -> None:
        loop = asyncio.get_running_loop()
        self._timers[camera] = loop.call_later(MERGE_S, self._due, camera)

    def _due(self, camera: str) -> None:
        del self._timers[camera]
        op = self._later.pop(camera, None)
        if op is None:
            return
        try:
            self._apply(op)
        except NvrError as err:
            self.send(Failed(op.id, camera, err.code, err.detail, {}))
        self._arm(camera)

    def _lens(self, op: Lens) -> None:
        self._parts.ptz.lens(op.cam, self.who, op.focus, op.iris)

    def _aim(self, op: Aim) -> None:
        area = Area(op.x, op.y, op.width, op.height, op.aspect)
        self._parts.aims.aim(op.cam, self.who, area)

    def _stop(self, op: Stop) -> None:
        self._later[op.cam] = None
        self._parts.ptz.stop(op.cam, self.who)

    def _stop_all(self, op: StopAll) -> None:  # noqa: ARG002 - it has nothing to say
        """Every head this page may see."""
        self._later.clear()
        heads = self._parts.ptz.cameras()
        seen = [camera for camera in heads if "live" in self.session.subject.may(camera)]
        if len(seen) == len(heads):
            self._parts.ptz.stop_all(self.who)
            return
        for camera in seen:
            self._parts.ptz.stop(camera, self.who)

    def _release(self, op: Release) -> None:
        self._later[op.cam] = None
        self._parts.ptz.release(op.cam, self.who)

    def _run(self, op: Run) -> None:
        run(self._parts, op.cam, self.who, op.what)

    def _pattern(self, op: Pattern) -> None:
        if op.act == "begin":
            self._parts.programs.take_down(op.cam, self.who, op.name, op.preset)
        else:
            self._parts.programs.taken(op.cam, self.who, keep=op.act == "keep")


class Control:
    """``WS /ws/control`` for all pages."""

    def __init__(self, parts: Parts, fingerprint: str) -> None:
        self._parts = parts
        self._fingerprint = fingerprint
        self._pages: dict[int, Page] = {}
        self._numbers = itertools.count(1)

    def routes(self) -> list[Route]:
        """Every route of this module."""
        return [Route("ws /ws/control", self.control)]

    async def push(self) -> None:
        """Once a second: the state of everything to every page. Runs until cancelled."""
        while True:
            await asyncio.sleep(STATE_S)
            for page in list(self._pages.values()):
                if self._parts.sessions.alive(page.session):
                    page.send(self._state(page))
                else:
                    page.sign_out()

    async def control(self, request: web.Request, caller: Caller) -> web.StreamResponse:
        """Serve one page until it goes."""
        socket = web.WebSocketResponse(
            compress=False, heartbeat=HEARTBEAT_S, max_msg_size=MOST_MESSAGE_BYTES
        )
        await socket.prepare(request)
        transport, session = request.transport, caller.session
        if transport is None or session is None:
            return socket
        number = next(self._numbers)
        who = Operator(caller.subject.name, str(caller.subject.role), f"page/{number}")
        page = Page(self._parts, transport, session, who)
        self._pages[number] = page
        event(_log, logging.DEBUG, "page.opened", page=number, peer=caller.address)
        with contextlib.ExitStack() as stack:
            stack.callback(page.close)
            stack.callback(self._pages.pop, number)
            stack.callback(self._parts.ptz.subscribe(page.changed))
            page.send(self._state(page))
            page.greet()
            async for message in socket:
                if message.type is WSMsgType.BINARY:
                    page.receive(message.data)
        return socket

    def _state(self, page: Page) -> StateMessage:
        subject = page.session.subject
        return StateMessage(
            camera_views(self._parts, subject), box_view(self._parts, subject, self._fingerprint)
        )
