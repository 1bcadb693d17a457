"""The outputs and alarm inputs of the box over HTTP, and wiper programs of both kinds of wiper."""

import asyncio
import itertools
from typing import Annotated, Literal

from aiohttp import web
from msgspec import Meta, Struct

from nvr.auth.audit import Entry
from nvr.auth.policy import authorise, require
from nvr.auth.user import Subject
from nvr.base.errors import Rejected
from nvr.media.gpio import (
    OUTPUT_PREFIX,
    InputCall,
    InputView,
    OutputView,
    Program,
    WipeWish,
    unknown_output,
)
from nvr.media.happening import BOX, LINES
from nvr.media.ports import Operator
from nvr.web.gate import REASON, SPAN
from nvr.web.parts import Caller, Parts, Route
from nvr.web.reply import answer, read_json

MOST_HAPPENINGS = 500
Camera = Annotated[str, Meta(pattern=r"^[a-z0-9][a-z0-9-]{0,31}\Z")]
ACTIONS = (
    "output on", "output off", "output pulse", "output wipe", "output door on", "output door pulse",
)  # fmt: skip
"""Keys that are asked for here beside those of the routes."""


class SwitchBody(Struct, frozen=True, forbid_unknown_fields=True):
    """Body of ``POST /api/output/{output}``."""

    do: Literal["on", "off", "pulse"]


class CallBody(Struct, frozen=True, forbid_unknown_fields=True):
    """A preset that an alarm sends a head to."""

    camera: Camera
    preset: Annotated[int, Meta(ge=1, le=255)]


class InputBody(Struct, frozen=True, forbid_unknown_fields=True):
    """Body of ``PUT /api/input/{input}``: what follows it."""

    cameras: Annotated[list[Camera], Meta(max_length=64)] = []
    call: Annotated[list[CallBody], Meta(max_length=16)] = []


class WipeBody(Struct, frozen=True, forbid_unknown_fields=True):
    """Body of a wipe; what is possible the wiper says itself."""

    program: Program = "single"
    strokes: Annotated[int, Meta(ge=0, le=100)] = 1
    every_s: Annotated[float, Meta(ge=0, le=3600)] = 10.0
    wash_s: Annotated[float, Meta(ge=0, le=60)] = 2.0

    def wish(self) -> WipeWish:
        """Return the same for the lines."""
        return WipeWish(self.program, self.strokes, self.every_s, self.wash_s)


class OutputAnswer(Struct, frozen=True):
    """An output with what the caller may do to it, as JSON."""

    output: OutputView
    may: list[str]


class LinesAnswer(Struct, frozen=True):
    """What the caller may know, as JSON; `nvr.media.gpio` says what it means."""

    now_us: int
    outputs: list[OutputAnswer]
    inputs: list[InputView]


class LineHappening(Struct, frozen=True):
    """Something that happened at a line, as JSON."""

    number: int
    kind: str
    name: str
    from_us: int
    to_us: int | None


class LinePages:
    """Handlers of this module."""

    def __init__(self, parts: Parts) -> None:
        require(ACTIONS)
        self._parts = parts
        self._numbers = itertools.count(1)

    def routes(self) -> list[Route]:
        """Every route of this module."""
        wipe = "/api/camera/{name}/wipe"
        return [
            Route("http GET /api/line", self.all),
            Route("http GET /api/line/event", self.happenings),
            Route("http PUT /api/input/{input}", self.follow, log="admin-setting"),
            Route("http POST /api/output/{output}", self.switch),
            Route("http POST /api/output/{output}/wipe", self.wipe),
            Route(f"http POST {wipe}", self.wipe_camera, "name"),
            Route(f"http DELETE {wipe}", self.rest_camera, "name"),
        ]

    async def all(self, request: web.Request, caller: Caller) -> web.Response:  # noqa: ARG002 - a handler's shape
        """``GET /api/line``: state of every output and input the caller may know."""
        subject, lines = caller.subject, self._parts.lines
        outputs = [
            OutputAnswer(one, _may(subject, one))
            for one in lines.outputs()
            if _known(subject, one.name)
        ]
        inputs = [one for one in lines.inputs() if _known(subject, one.name)]
        return answer(LinesAnswer(self._parts.clock.wall_us(), outputs, inputs))

    async def happenings(self, request: web.Request, caller: Caller) -> web.Response:
        """``GET /api/line/event?from_us=&to_us=``: what happened at them, in order."""
        span = request.get(SPAN)
        if span is None:
            raise Rejected("body.invalid", "say which time: from_us and to_us")
        found = await asyncio.to_thread(
            self._parts.happenings.between, BOX, span[0], span[1], LINES, MOST_HAPPENINGS
        )
        shown = [
            LineHappening(one.number, one.kind, one.zone, one.from_us, one.to_us)
            for one in found
            if _known(caller.subject, one.zone)
        ]
        return answer({"happenings": shown})

    async def follow(self, request: web.Request, caller: Caller) -> web.Response:
        """``PUT /api/input/{input}``: which cameras record it, and which heads look there."""
        name = request.match_info["input"]
        body = await read_json(request, InputBody)
        request[REASON] = f"{name}: {' '.join(body.cameras)}"[:300]
        call = tuple(InputCall(one.camera, one.preset) for one in body.call)
        await self._parts.lines.follow(name, tuple(body.cameras), call)
        return await self.all(request, caller)

    async def switch(self, request: web.Request, caller: Caller) -> web.Response:
        """``POST /api/output/{output}``: on, off or one pulse."""
        one = self._find(request, caller)
        body = await read_json(request, SwitchBody)
        self._authorise(caller, _action(one, body.do), one.name)
        self._parts.lines.switch(one.name, body.do, caller.subject.name, caller.address)
        return answer({})

    async def wipe(self, request: web.Request, caller: Caller) -> web.Response:
        """``POST /api/output/{output}/wipe``: begin a program."""
        one = self._find(request, caller)
        body = await read_json(request, WipeBody)
        self._authorise(caller, "output wipe", one.name)
        self._parts.lines.wipe(one.name, body.wish(), caller.subject.name, caller.address)
        return answer({})

    async def wipe_camera(self, request: web.Request, caller: Caller) -> web.Response:
        """``POST /api/camera/{name}/wipe``: begin a program of its own wiper."""
        body = await read_json(request, WipeBody)
        who = self._operator(caller)
        self._parts.lines.wipe_camera(request.match_info["name"], body.wish(), who)
        return answer({})

    async def rest_camera(self, request: web.Request, caller: Caller) -> web.Response:
        """``DELETE /api/camera/{name}/wipe``: end it."""
        self._parts.lines.rest_camera(request.match_info["name"], self._operator(caller))
        return answer({})

    def _authorise(self, caller: Caller, action: str, name: str) -> None:
        """Ask the policy; who reaches for what is not theirs leaves a row."""
        try:
            authorise(caller.subject, action, OUTPUT_PREFIX + name)
        except Rejected as err:
            self._parts.audit.record(
                Entry(
                    "event", action, "refused", err.code, caller.subject.name, caller.address,
                    hardware_no=f"output:{name}",
                )
            )  # fmt: skip
            raise

    def _operator(self, caller: Caller) -> Operator:
        source = f"request/{next(self._numbers)}"
        return Operator(caller.subject.name, str(caller.subject.role), source)

    def _find(self, request: web.Request, caller: Caller) -> OutputView:
        name = request.match_info["output"]
        found = next((one for one in self._parts.lines.outputs() if one.name == name), None)
        if found is None or not _known(caller.subject, name):
            raise unknown_output(name)
        return found


def _known(subject: Subject, name: str) -> bool:
    return bool(subject.may(OUTPUT_PREFIX + name))


def _action(one: OutputView, do: str) -> str:
    opens = one.kind == "door" and do != "off"
    return f"output door {do}" if opens else f"output {do}"


def _may(subject: Subject, one: OutputView) -> list[str]:
    found = []
    for do in ("on", "off", "pulse", "wipe"):
        if do == "wipe" and one.kind != "wiper":
            continue
        try:
            authorise(subject, _action(one, do), OUTPUT_PREFIX + one.name)
        except Rejected:
            continue
        found.append(do)
    return found
