"""A head as pages and programs see it, over HTTP and the control channel."""

import asyncio
from collections.abc import Callable
from typing import Annotated, Literal

import msgspec
from aiohttp import web
from msgspec import Meta, Struct, field

from nvr.auth.policy import unknown_camera
from nvr.base.errors import Rejected
from nvr.media.aim import Accuracy, Area, Measuring
from nvr.media.ports import Operator, PtzStatus
from nvr.media.program import AutoState, Guard, Pattern, Program, Scan, Tour
from nvr.web.gate import REASON
from nvr.web.parts import Caller, Parts, Route
from nvr.web.reply import answer, read_json


class HolderView(msgspec.Struct, frozen=True):
    """Who owns a camera, as a page sees it."""

    name: str
    source: str
    since_us: int
    until_us: int
    mine: bool
    taken: bool


class PositionView(msgspec.Struct, frozen=True):
    """Where a head points."""

    pan_deg: float
    tilt_deg: float
    zoom: float


class LockView(msgspec.Struct, frozen=True):
    """Who keeps everybody off, as a page sees it."""

    name: str
    since_us: int
    until_us: int
    reason: str
    mine: bool


class PtzMessage(msgspec.Struct, frozen=True, tag_field="op", tag="ptz"):
    """State of one head."""

    cam: str
    online: bool
    holder: HolderView | None
    moving: bool
    rearm: bool
    position: PositionView | None
    outputs: dict[str, bool]
    lock: LockView | None
    asked: str
    auto: AutoState | None
    aim: str


class PresetNow(Struct, frozen=True):
    """A preset, as JSON."""

    number: int
    name: str
    pictured_us: int
    device: int


class PresetWanted(Struct, frozen=True, forbid_unknown_fields=True):
    """A preset in the body of ``PUT /api/camera/{name}/preset``, which is in order."""

    number: Annotated[int, Meta(ge=1, le=255)]
    name: Annotated[str, Meta(max_length=64)] = ""
    device: Annotated[int, Meta(ge=0, le=255)] = 0


class HeadNow(Struct, frozen=True):
    """Answer of ``GET /api/camera/{name}/control``."""

    online: bool
    moving: bool
    holder: HolderView | None
    lock: LockView | None
    asked: str
    auto: AutoState | None
    position: PositionView | None
    outputs: dict[str, bool]
    presets: list[PresetNow]
    aim: str


class ControlBody(Struct, frozen=True, forbid_unknown_fields=True):
    """Body of ``POST /api/camera/{name}/control``: what a page says, but motions."""

    do: Literal[
        "stop", "take", "release", "lock", "unlock", "run", "preset", "call_up", "guard", "output",
        "aim",
    ]  # fmt: skip
    what: Annotated[str, Meta(max_length=64)] = ""
    preset: Annotated[int, Meta(ge=0, le=255)] = 0
    on: bool = True
    lasts_s: Annotated[float, Meta(ge=0, le=1_000_000)] = 3600.0
    reason: Annotated[str, Meta(max_length=400)] = ""
    x: float = 0.5
    y: float = 0.5
    width: float = 0.0
    height: float = 0.0
    aspect: float = 16 / 9


class SightNow(Struct, frozen=True):
    """Answer of ``GET /api/camera/{name}/sight``. See `nvr.media.aim.Measured`."""

    aim: str
    measuring: Measuring | None
    angles: tuple[tuple[float, float], ...]
    timed: bool
    at_us: int
    presets: tuple[Accuracy, ...]


class MeasureBody(Struct, frozen=True, forbid_unknown_fields=True):
    """Body of ``POST /api/camera/{name}/sight``."""

    do: Literal["sight", "presets", "end"]


class ProgramBody(Struct, frozen=True, forbid_unknown_fields=True):
    """A program as JSON. See `nvr.media.program.Program`."""

    guard: Guard = Guard()
    tours: Annotated[list[Tour], Meta(max_length=16)] = []
    patterns: Annotated[list[Pattern], Meta(max_length=16)] = []
    scans: Annotated[list[Scan], Meta(max_length=16)] = []
    week: Annotated[list[list[str]], Meta(min_length=7, max_length=7)] = field(
        default_factory=lambda: [[] for _ in range(7)]
    )
    resume_s: float = 60.0

    def program(self) -> Program:
        """Return the same for the heads."""
        return Program(
            self.guard, tuple(self.tours), tuple(self.patterns), tuple(self.scans),
            tuple(map(tuple, self.week)), self.resume_s,
        )  # fmt: skip


def body_of(it: Program) -> ProgramBody:
    """Return a program as JSON."""
    return ProgramBody(
        it.guard, list(it.tours), list(it.patterns), list(it.scans), list(map(list, it.week)),
        it.resume_s,
    )  # fmt: skip


def message_of(status: PtzStatus, who: Operator) -> PtzMessage:
    """Return what a page is told of a head."""
    holder, position, lock = status.holder, status.position, status.lock
    return PtzMessage(
        cam=status.camera,
        online=status.online,
        holder=HolderView(
            holder.operator.name,
            holder.operator.source,
            holder.since_us,
            holder.until_us,
            holder.operator == who,
            holder.taken,
        )
        if holder
        else None,
        moving=status.moving,
        rearm=status.rearm,
        position=PositionView(position.pan_deg, position.tilt_deg, position.zoom)
        if position
        else None,
        outputs=dict(status.outputs),
        lock=LockView(
            lock.name,
            lock.since_us,
            lock.until_us,
            lock.reason,
            (lock.name, lock.role) == (who.name, who.role),
        )
        if lock
        else None,
        asked=status.asked,
        auto=status.auto,
        aim=status.aim,
    )


def run(parts: Parts, camera: str, who: Operator, what: str) -> None:
    """Have something run on a head, at once, or nothing any more."""
    if what:
        parts.programs.start(camera, what, who.name)
        parts.ptz.release(camera, who)  # or it would wait for this hand to rest
    else:
        parts.programs.end(camera, who.name)


class HeadPages:
    """Handlers of this module."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts

    def routes(self) -> list[Route]:
        """Every route of this module."""
        one = "/api/camera/{name}"
        return [
            Route(f"http GET {one}/control", self.now, "name"),
            Route(f"http POST {one}/control", self.act, "name"),
            Route(f"http GET {one}/sight", self.sight, "name"),
            Route(f"http POST {one}/sight", self.measure, "name"),
            Route(f"http PUT {one}/preset", self.arrange, "name"),
            Route(f"http GET {one}/preset/{{number}}/picture.jpg", self.picture, "name"),
            Route(f"http GET {one}/program", self.program, "name"),
            Route(f"http PUT {one}/program", self.write, "name", "function-setting"),
        ]

    async def now(self, request: web.Request, caller: Caller) -> web.Response:
        """``GET /api/camera/{name}/control``."""
        return self._now(self._name(request), _operator(caller))

    async def act(self, request: web.Request, caller: Caller) -> web.Response:
        """``POST /api/camera/{name}/control``; the head's own log says what became of it."""
        camera, who = self._name(request), _operator(caller)
        body = await read_json(request, ControlBody)
        ptz = self._parts.ptz
        if body.do != "stop":
            self._parts.audit.check_room()
        if body.do == "output" and "relay" not in caller.subject.may(camera):
            raise Rejected("auth.denied", "you have no right to relay on this camera")
        acts: dict[str, Callable[[], object]] = {
            "stop": lambda: ptz.stop(camera, who),
            "take": lambda: ptz.take(camera, who),
            "release": lambda: ptz.release(camera, who),
            "lock": lambda: ptz.lock(camera, who, body.lasts_s, body.reason),
            "unlock": lambda: ptz.unlock(camera, who),
            "run": lambda: run(self._parts, camera, who, body.what),
            "preset": lambda: ptz.preset(camera, who, "call", body.preset),
            "call_up": lambda: ptz.call_up(camera, body.preset, None, body.lasts_s, who.name),
            "guard": lambda: self._parts.programs.guard(camera, on=body.on),
            "output": lambda: ptz.output(camera, who, body.what, body.on),
            "aim": lambda: self._parts.aims.aim(
                camera, who, Area(body.x, body.y, body.width, body.height, body.aspect)
            ),
        }
        acts[body.do]()
        return self._now(camera, who)

    async def sight(self, request: web.Request, caller: Caller) -> web.Response:  # noqa: ARG002 - a handler's shape
        """``GET /api/camera/{name}/sight``: what was measured by its pictures."""
        camera = self._name(request)
        how = self._parts.ptz.status(camera).aim  # raises where there is no head
        found = self._parts.measures.measured(camera)
        return answer(
            SightNow(how, found.measuring, found.angles, found.timed, found.at_us, found.presets)
        )

    async def measure(self, request: web.Request, caller: Caller) -> web.Response:
        """``POST /api/camera/{name}/sight``: begin to measure, or give up."""
        camera, who = self._name(request), _operator(caller)
        body = await read_json(request, MeasureBody)
        if body.do == "end":
            self._parts.measures.end(camera, who)
        else:
            self._parts.audit.check_room()
            self._parts.measures.measure(camera, who, body.do)
        return await self.sight(request, caller)

    async def arrange(self, request: web.Request, caller: Caller) -> web.Response:
        """``PUT /api/camera/{name}/preset``: names, order, and the head's own numbers."""
        camera, who = self._name(request), _operator(caller)
        body = await read_json(request, list[PresetWanted])
        self._parts.audit.check_room()
        wanted = [(one.number, one.name.strip(), one.device) for one in body]
        self._parts.ptz.arrange(camera, who, wanted)
        return self._now(camera, who)

    async def picture(self, request: web.Request, caller: Caller) -> web.Response:  # noqa: ARG002 - a handler's shape
        """``GET /api/camera/{name}/preset/{number}/picture.jpg``."""
        camera, text = self._name(request), request.match_info["number"]
        jpeg = None
        if text.isascii() and text.isdigit() and len(text) <= 3:
            jpeg = await asyncio.to_thread(self._parts.preset_picture, camera, int(text))
        if jpeg is None:
            raise Rejected("ptz.no_picture", "this preset was not pictured yet", camera=camera)
        headers = {"Cache-Control": "private, max-age=86400"}
        return web.Response(body=jpeg, headers=headers, content_type="image/jpeg")

    async def program(self, request: web.Request, caller: Caller) -> web.Response:  # noqa: ARG002 - a handler's shape
        """``GET /api/camera/{name}/program``."""
        return answer(body_of(self._parts.programs.program(self._name(request))))

    async def write(self, request: web.Request, caller: Caller) -> web.Response:
        """``PUT /api/camera/{name}/program``."""
        camera = self._name(request)
        body = await read_json(request, ProgramBody)
        names = ", ".join(body.program().names)
        request[REASON] = f"guard {body.guard.preset}, {names}"[:300]
        self._parts.programs.write(camera, body.program())
        return await self.program(request, caller)

    def _now(self, camera: str, who: Operator) -> web.Response:
        status = self._parts.ptz.status(camera)
        said = message_of(status, who)
        presets = [
            PresetNow(one.number, one.name, one.pictured_us, one.device) for one in status.presets
        ]
        now = HeadNow(
            said.online, said.moving, said.holder, said.lock, said.asked, said.auto, said.position,
            said.outputs, presets, said.aim,
        )  # fmt: skip
        return answer(now)

    def _name(self, request: web.Request) -> str:
        name = request.match_info["name"]
        if self._parts.cameras.find(name) is None:
            raise unknown_camera()
        return name


def _operator(caller: Caller) -> Operator:
    return Operator(caller.subject.name, str(caller.subject.role), f"api/{caller.address}")
