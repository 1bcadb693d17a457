"""Looking at cameras' pictures over HTTP: settings, what is seen now, what happened, snapshots."""

import asyncio
import base64
from typing import Annotated, Literal

from aiohttp import web
from msgspec import Meta, Struct, field

from nvr.auth.policy import authorise, unknown_camera
from nvr.base.errors import Rejected, Unavailable
from nvr.media.analyse import AnalyseSettings, LookNow, ObjectSettings, ZoneSettings
from nvr.media.camera import CameraState
from nvr.media.happening import KINDS, TROUBLES, Happening, Kind, Trouble, is_object, word
from nvr.media.name import stream_of
from nvr.serve.recode_talk import Still
from nvr.web.cover import hidden_from
from nvr.web.gate import REASON, SPAN
from nvr.web.parts import Caller, Parts, Route
from nvr.web.reply import answer, number, read_json, which

MOST_HAPPENINGS = 2000
MOST_KINDS = 64
MOST_WIDTH = 8192
_DAY_S = 86400
_Permille = Annotated[int, Meta(ge=0, le=1000)]


class ZoneBody(Struct, frozen=True, forbid_unknown_fields=True):
    """A zone as JSON. See `nvr.media.analyse.ZoneSettings`."""

    name: Annotated[str, Meta(min_length=1, max_length=64)]
    points_permille: Annotated[list[tuple[_Permille, _Permille]], Meta(min_length=3, max_length=16)]
    sensitivity: Annotated[int, Meta(ge=0, le=10)] = 0
    ignore: bool = False


class ObjectsBody(Struct, frozen=True, forbid_unknown_fields=True):
    """Objects as JSON. See `nvr.media.analyse.ObjectSettings`."""

    purpose: Annotated[str, Meta(min_length=1, max_length=200)]
    who: Annotated[str, Meta(min_length=1, max_length=100)]
    until: Annotated[str, Meta(max_length=10)]
    classes: Annotated[list[Annotated[str, Meta(max_length=48)]], Meta(min_length=1, max_length=32)]
    on: bool = True
    sure_permille: Annotated[int, Meta(ge=100, le=950)] = 500
    every_keys: Annotated[int, Meta(ge=0, le=1000)] = 0

    def settings(self) -> ObjectSettings:
        """Return the same for the cameras."""
        return ObjectSettings(
            self.on, self.purpose, self.who, self.until, tuple(map(word, self.classes)),
            self.sure_permille, self.every_keys,
        )  # fmt: skip


class AnalyseBody(Struct, frozen=True, forbid_unknown_fields=True):
    """Body of ``PUT /api/camera/{name}/analyse``; the configuration's own checks come after."""

    on: bool = True
    purpose: Annotated[str, Meta(max_length=200)] = ""
    motion: bool = True
    sensitivity: Annotated[int, Meta(ge=1, le=10)] = 5
    zones: Annotated[list[ZoneBody], Meta(max_length=12)] = []
    health: list[Trouble] = field(default_factory=lambda: list(TROUBLES))
    record_on: list[
        Literal["motion", "object", "dark", "bright", "covered", "moved", "defocused", "frozen"]
    ] = field(default_factory=lambda: ["motion"])
    keep_h: Annotated[int, Meta(ge=0, le=8784)] = 0
    objects: ObjectsBody | None = None

    def settings(self) -> AnalyseSettings:
        """Return the same for the cameras."""
        zones = tuple(
            ZoneSettings(one.name, tuple(one.points_permille), one.sensitivity, one.ignore)
            for one in self.zones
        )
        return AnalyseSettings(
            self.on, self.purpose, self.motion, self.sensitivity, zones,
            tuple(self.health), tuple(self.record_on), self.keep_h,
            self.objects.settings() if self.objects else None,
        )  # fmt: skip


class DetectorView(Struct, frozen=True):
    """What finds objects, as JSON. See `nvr.media.analyse.DetectorState`."""

    code: str
    detail: str
    layout: str
    labels: tuple[str, ...]
    per_s: float
    cpu_percent: int


class AnalyseAnswer(Struct, frozen=True):
    """How a camera's pictures are looked at, null if they never were; and what finds objects."""

    analyse: AnalyseBody | None
    detector: DetectorView


class ZoneNowView(Struct, frozen=True):
    """A zone as it was seen last, as JSON."""

    name: str
    cells: int
    least: int


class NowView(Struct, frozen=True):
    """What was seen last, as JSON. `cells` are bits, row by row, in base64."""

    state: str
    code: str
    stream: str
    keys_only: bool
    slow: bool
    at_us: int
    grid: tuple[int, int]
    cells: str
    zones: list[ZoneNowView]
    on: list[str]
    luma: int
    sharp_permille: int
    like_permille: int
    cpu_permille: int


class HappeningView(Struct, frozen=True):
    """Something that happened, as JSON."""

    number: int
    kind: str
    zone: str
    from_us: int
    to_us: int | None
    strength: int
    picture: bool
    source: str


class HappeningsAnswer(Struct, frozen=True):
    """What happened, in order; `more`: there was more, before that."""

    happenings: list[HappeningView]
    more: bool


class AnalysePages:
    """Handlers of this module."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts

    def routes(self) -> list[Route]:
        """Every route of this module."""
        one = "/api/camera/{name}"
        return [
            Route(f"http GET {one}/analyse", self.settings, "name"),
            Route(f"http PUT {one}/analyse", self.write, "name", "admin-setting"),
            Route(f"http DELETE {one}/analyse", self.remove, "name", "admin-setting"),
            Route(f"http GET {one}/analyse/now", self.now, "name"),
            Route(f"http POST {one}/analyse/accept", self.accept, "name", "function-setting"),
            Route(f"http GET {one}/event", self.happenings, "name"),
            Route(
                f"http GET {one}/event/{{number}}/picture.jpg", self.picture, "name", covers=True
            ),
            Route(f"http GET {one}/snapshot.jpg", self.snapshot, "name", machine=True, covers=True),
        ]

    async def settings(self, request: web.Request, caller: Caller) -> web.Response:  # noqa: ARG002 - a handler's shape
        """``GET /api/camera/{name}/analyse``."""
        return await self._answer(self._find(request).name)

    async def write(self, request: web.Request, caller: Caller) -> web.Response:  # noqa: ARG002 - a handler's shape
        """``PUT /api/camera/{name}/analyse``."""
        name = self._find(request).name
        body = await read_json(request, AnalyseBody)
        request[REASON] = _reason(body)
        await self._check(body)
        await self._parts.cameras.write_analyse(name, body.settings())
        return await self._answer(name)

    async def remove(self, request: web.Request, caller: Caller) -> web.Response:  # noqa: ARG002 - a handler's shape
        """``DELETE /api/camera/{name}/analyse``."""
        name = self._find(request).name
        await self._parts.cameras.write_analyse(name, None)
        return await self._answer(name)

    async def now(self, request: web.Request, caller: Caller) -> web.Response:  # noqa: ARG002 - a handler's shape
        """``GET /api/camera/{name}/analyse/now``."""
        return answer(_now(self._parts.looks.now(self._find(request).name)))

    async def accept(self, request: web.Request, caller: Caller) -> web.Response:  # noqa: ARG002 - a handler's shape
        """``POST /api/camera/{name}/analyse/accept``."""
        self._parts.looks.accept(self._find(request).name)
        return answer({})

    async def happenings(self, request: web.Request, caller: Caller) -> web.Response:  # noqa: ARG002 - a handler's shape
        """``GET /api/camera/{name}/event``."""
        name, span = self._find(request).name, request.get(SPAN)
        if span is None:
            raise Rejected("body.invalid", "say which time: from_us and to_us")
        most = number(request, "most") if "most" in request.query else MOST_HAPPENINGS
        most = max(1, min(MOST_HAPPENINGS, most))
        found = await asyncio.to_thread(
            self._parts.happenings.between, name, span[0], span[1], _kinds(request), most + 1
        )
        shown = [_view(one) for one in found[-most:]]
        return answer(HappeningsAnswer(shown, len(found) > most))

    async def picture(self, request: web.Request, caller: Caller) -> web.Response:
        """``GET /api/camera/{name}/event/{number}/picture.jpg``."""
        name, text = self._find(request).name, request.match_info["number"]
        found = None
        if text.isascii() and text.isdigit() and len(text) < 19:
            found = await asyncio.to_thread(self._parts.happenings.picture, name, int(text))
        if found is None:
            raise Rejected("event.no_picture", "there is no such picture, or not any more")
        jpeg, at_us = found
        # Of its own time: what is open to them, and what was masked then.
        key = "http GET /api/camera/{name}/event/{number}/picture.jpg"
        masked = self._parts.cameras.masked
        span = (at_us, at_us + 1)
        authorise(caller.subject, key, name, span, masked=masked, shown="masked")
        jpeg = await self._covered(jpeg, caller, name, span)
        return _jpeg(jpeg, f"private, max-age={_DAY_S}")

    async def snapshot(self, request: web.Request, caller: Caller) -> web.Response:
        """``GET /api/camera/{name}/snapshot.jpg``: the newest key frame."""
        state, stream = self._find(request), which(request)
        if stream != "main" and state.sub is None:
            raise Rejected("camera.no_sub", "this camera has no sub stream", camera=state.name)
        width = number(request, "width") if "width" in request.query else 0
        if not 0 <= width <= MOST_WIDTH:
            raise Rejected("body.invalid", f"width: 0 to {MOST_WIDTH} pixels", field="width")
        now_us = self._parts.clock.wall_us()
        masks = hidden_from(self._parts, caller.subject, state.name, (now_us, now_us))
        jpeg, at_us = await self._parts.looks.snapshot(
            state.name, stream_of(state.name, stream), 0 if masks else width
        )
        span = (at_us, max(at_us, self._parts.clock.wall_us()))
        jpeg = await self._covered(jpeg, caller, state.name, span, width)
        return _jpeg(jpeg, "private, no-store", {"X-NVR-At-Us": str(at_us)})

    async def _covered(
        self, jpeg: bytes, caller: Caller, camera: str, span: tuple[int, int], width: int = 0
    ) -> bytes:
        """Return a picture with what this person may not see under its masks."""
        masks = hidden_from(self._parts, caller.subject, camera, span)
        if not masks:
            return jpeg
        made = await self._parts.recodes.still(Still("jpeg", b"", jpeg, width, masks))
        if not made:
            raise Unavailable("snapshot.none", "no picture came of it", camera=camera)
        return made

    async def _check(self, body: AnalyseBody) -> None:
        """Refuse classes that the model does not know."""
        if body.objects is None or not body.objects.on:
            return
        labels = (await asyncio.to_thread(self._parts.looks.detector)).labels
        strange = [one for one in map(word, body.objects.classes) if labels and one not in labels]
        if strange:
            classes = ", ".join(strange)
            raise Rejected("objects.no_class", f"the model knows no {classes}", classes=classes)

    async def _answer(self, name: str) -> web.Response:
        found = self._parts.cameras.analyse(name)
        has = await asyncio.to_thread(self._parts.looks.detector)
        shown = DetectorView(
            has.code, has.detail, has.layout, has.labels, has.per_s, has.cpu_percent
        )
        return answer(AnalyseAnswer(_body(found) if found else None, shown))

    def _find(self, request: web.Request) -> CameraState:
        state = self._parts.cameras.find(request.match_info["name"])
        if state is None:
            raise unknown_camera()
        return state


def _jpeg(data: bytes, cached: str, more: dict[str, str] | None = None) -> web.Response:
    headers = {"Cache-Control": cached, **(more or {})}
    return web.Response(body=data, headers=headers, content_type="image/jpeg")


def _kinds(request: web.Request) -> tuple[Kind, ...]:
    """The kinds asked for with ``?kind=motion,covered``; none for all."""
    words = request.query.get("kind", "")
    kinds = tuple(dict.fromkeys(words.split(","))) if words else ()
    if len(kinds) > MOST_KINDS or not all(one in KINDS or is_object(one) for one in kinds):
        known = f"kind: of {', '.join(KINDS)}, object, object.LABEL"
        raise Rejected("body.invalid", known, field="kind")
    return kinds


def _reason(body: AnalyseBody) -> str:
    """What the log says of a change: what pictures are looked at for, and for whom."""
    said = [f"{'on' if body.on else 'off'}, {body.purpose}"]
    if (one := body.objects) is not None:
        said.append(
            f"objects {'on' if one.on else 'off'}, {', '.join(one.classes)}: {one.purpose}; "
            f"{one.who}; {one.until}"
        )
    return "; ".join(said)[:300]


def _body(found: AnalyseSettings) -> AnalyseBody:
    zones = [
        ZoneBody(one.name, list(one.points_permille), one.sensitivity, one.ignore)
        for one in found.zones
    ]
    record_on = [one for one in found.record_on if one not in {"reported", "signal"}]
    objects = None
    if (one := found.objects) is not None:
        objects = ObjectsBody(
            one.purpose, one.who, one.until, list(one.classes), one.on, one.sure_permille,
            one.every_keys,
        )  # fmt: skip
    return AnalyseBody(
        found.on, found.purpose, found.motion, found.sensitivity, zones,
        list(found.health), record_on, found.keep_h, objects,  # type: ignore[arg-type]  # just narrowed
    )  # fmt: skip


def _now(now: LookNow) -> NowView:
    bits = int("".join("1" if cell else "0" for cell in now.cells), 2) if now.cells else 0
    packed = bits.to_bytes(len(now.cells) // 8, "big")
    zones = [ZoneNowView(one.name, one.cells, one.least) for one in now.zones]
    cells = base64.b64encode(packed).decode()
    return NowView(
        now.state, now.code, now.stream, now.keys_only, now.slow, now.at_us, now.grid, cells, zones,
        list(now.on), now.luma, now.sharp_permille, now.like_permille, now.cpu_permille,
    )  # fmt: skip


def _view(one: Happening) -> HappeningView:
    return HappeningView(
        one.number, one.kind, one.zone, one.from_us, one.to_us, one.strength, one.picture,
        one.source,
    )  # fmt: skip
