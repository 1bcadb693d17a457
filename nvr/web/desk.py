"""Serial lines, keyboards and what goes over the wires, over HTTP."""

from typing import Annotated, Literal

from aiohttp import web
from msgspec import Meta, Struct

from nvr.auth.user import Subject
from nvr.media.desk import KeyboardSettings, KeyboardState, LineState, Overheard, Pressed
from nvr.web.gate import REASON
from nvr.web.parts import Caller, Parts, Route
from nvr.web.reply import answer, number, read_json

Number = Annotated[str, Meta(pattern=r"^[1-9][0-9]{0,2}\Z")]


class KeyboardBody(Struct, frozen=True, forbid_unknown_fields=True):
    """What is done with a keyboard, as JSON; the configuration's own checks come after."""

    cameras: (
        Annotated[
            dict[Number, Annotated[str, Meta(min_length=1, max_length=64)]], Meta(max_length=254)
        ]
        | None
    ) = None
    aux: Annotated[dict[Number, Literal["wiper", "lamp"]], Meta(max_length=32)] | None = None
    profile: Literal["auto", "repeats", "latched"] = "auto"
    hold_s: Annotated[float, Meta(ge=0, le=60)] = 0.0
    shared: bool = False
    answer: bool = False


class DeskPages:
    """Handlers of this module."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts

    def routes(self) -> list[Route]:
        """Every route of this module."""
        return [
            Route("http GET /api/serial", self.lines),
            Route("http GET /api/serial/{line}/monitor", self.monitor),
            Route("http PUT /api/serial/{line}/keyboard", self.write_keyboard, log="admin-setting"),
        ]

    async def lines(self, request: web.Request, caller: Caller) -> web.Response:  # noqa: ARG002 - a handler's shape
        """``GET /api/serial``: with the cameras that the caller may know."""
        return answer({"lines": [_line(it, caller.subject) for it in self._parts.serial.lines()]})

    async def monitor(self, request: web.Request, caller: Caller) -> web.Response:  # noqa: ARG002 - a handler's shape
        """``GET /api/serial/{line}/monitor``."""
        after = number(request, "after")
        found = self._parts.serial.overheard(request.match_info["line"], after)
        return answer({"heard": list(map(_heard, found))})

    async def write_keyboard(self, request: web.Request, caller: Caller) -> web.Response:
        """``PUT /api/serial/{line}/keyboard``."""
        name = request.match_info["line"]
        body = await read_json(request, KeyboardBody)
        usual = KeyboardSettings()
        settings = KeyboardSettings(
            None if body.cameras is None else _by_number(body.cameras),
            usual.aux if body.aux is None else {int(n): to for n, to in body.aux.items()},
            body.profile,
            body.hold_s,
            body.shared,
            body.answer,
        )
        request[REASON] = f"{name} {body.profile}"
        await self._parts.serial.write_keyboard(name, settings)
        return await self.lines(request, caller)


def _by_number(cameras: dict[str, str]) -> dict[int, str]:
    return {int(n): camera for n, camera in sorted(cameras.items(), key=lambda one: int(one[0]))}


def _line(it: LineState, who: Subject) -> dict[str, object]:
    return {
        "name": it.name,
        "role": it.role,
        "path": it.path,
        "baud": it.baud,
        "state": it.state,
        "since_us": it.since_us,
        "detail": it.detail,
        "heads": [
            {"camera": head.camera, "address": head.address, "protocol": head.protocol}
            for head in it.heads
            if who.may(head.camera)
        ],
        "keyboard": _keyboard(it.keyboard, who) if it.keyboard else None,
    }


def _keyboard(it: KeyboardState, who: Subject) -> dict[str, object]:
    settings = it.settings
    return {
        "cameras": {str(n): camera for n, camera in it.cameras.items() if who.may(camera)},
        "own_map": settings.cameras is not None,
        "aux": {str(n): output for n, output in settings.aux.items()},
        "profile": settings.profile,
        "hold_s": settings.hold_s,
        "shared": settings.shared,
        "answer": settings.answer,
        "protocol": it.protocol,
        "frames": it.frames,
        "noise_bytes": it.noise_bytes,
        "repeats": it.repeats,
        "held_s": round(it.hold_s, 2),
        "moving": [camera for camera in it.moving if who.may(camera)],
        "last": _pressed(it.last, who),
        "refused": _pressed(it.refused, who),
    }


def _pressed(it: Pressed | None, who: Subject) -> dict[str, object] | None:
    if it is None or (it.camera and not who.may(it.camera)):
        return None
    return {
        "at_us": it.at_us,
        "address": it.address,
        "words": it.words,
        "hex": it.data.hex(" "),
        "camera": it.camera,
        "code": it.code,
        "detail": it.detail,
    }


def _heard(it: Overheard) -> dict[str, object]:
    return {
        "number": it.number,
        "at_us": it.at_us,
        "way": it.way,
        "hex": it.data.hex(" "),
        "protocol": it.protocol,
        "address": it.address,
        "words": it.words,
    }
