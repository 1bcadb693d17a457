"""Cameras and their captions over HTTP, and how a camera looks as JSON."""

import re
from typing import Annotated, Any

from aiohttp import web
from msgspec import Meta, Struct

from nvr.auth.policy import unknown_camera
from nvr.auth.user import Subject, plain
from nvr.base.errors import Rejected
from nvr.media.camera import CameraState, CaptionText, NotRecorded, StreamState
from nvr.media.drawn import Burn, Drawn
from nvr.media.head import HeadKind, HeadSettings, OwnOutput
from nvr.media.health import StreamHealth
from nvr.media.transport import Carried
from nvr.web.device import CaptureBody
from nvr.web.gate import REASON
from nvr.web.mask import MaskBody, bodies
from nvr.web.parts import Caller, Parts, Route
from nvr.web.reply import answer, read_json
from nvr.web.sub import URL, SubBody

_NAME = re.compile(r"[a-z0-9][a-z0-9-]{0,31}")
_URL = re.compile(rf"{URL}|test:\S{{0,12}}|v4l2:/dev/\S{{1,200}}")
"""Whether a test picture's size is right, the configuration says."""


class NewCamera(Struct, frozen=True, forbid_unknown_fields=True):
    """Body of ``POST /api/camera``."""

    name: str
    url: str
    title: str = ""
    user: str = ""
    password: str = ""
    sub: SubBody | None = None
    capture: CaptureBody | None = None


class CameraChange(Struct, frozen=True, forbid_unknown_fields=True):
    """Body of ``PATCH /api/camera/{name}``; what is left out stays."""

    title: str | None = None
    user: str | None = None
    password: str | None = None
    retain_h: Annotated[int, Meta(ge=1, le=8784)] | None = None
    guaranteed_h: Annotated[int, Meta(ge=0, le=8784)] | None = None
    limit_h: Annotated[int, Meta(ge=0, le=87840)] | None = None
    limit_gb: Annotated[float, Meta(ge=0, le=1_000_000)] | None = None

    def keeping(self) -> dict[str, float]:
        """What is said of how long it is kept."""
        names = ("retain_h", "guaranteed_h", "limit_h", "limit_gb")
        return {name: value for name in names if (value := getattr(self, name)) is not None}


class OwnOutputBody(Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """An auxiliary output of a head as JSON."""

    aux: int | str
    max_on_s: float | None = None


Place = str | OwnOutputBody | None


class HeadBody(Struct, frozen=True, forbid_unknown_fields=True):
    """Body of ``PUT /api/camera/{name}/ptz``; the configuration's own checks come after."""

    bus: str
    address: int = 1
    protocol: str = "pelco-d"
    turbo: int | None = None
    tilt_reply: str | None = None
    wiper: Place = None
    lamp: Place = None
    profile: str = ""
    washer: Place = None


class HeadAnswer(Struct, frozen=True):
    """A head's settings as JSON, and what it could hang on."""

    ptz: HeadBody | None
    buses: tuple[str, ...]
    outputs: tuple[str, ...]
    kinds: tuple[HeadKind, ...]


class CaptionBody(Struct, frozen=True, forbid_unknown_fields=True):
    """A caption as JSON."""

    lines: list[str]
    position_permille: tuple[int, int]
    size_permille: int
    mode: str
    burn: Burn | None = None


class CaptionAnswer(Struct, frozen=True):
    """A caption as JSON, with what the font lacks."""

    lines: tuple[str, ...]
    position_permille: tuple[int, int]
    size_permille: int
    mode: str
    missing: tuple[str, ...] = ()
    burn: Burn = "auto"


class PresetView(Struct, frozen=True):
    """A preset as JSON."""

    number: int
    name: str
    pictured_us: int = 0
    device: int = 0


class HeadView(Struct, frozen=True):
    """What a camera's head can do, as JSON."""

    presets: list[PresetView]
    wiper: bool
    lamp: bool
    functions: bool
    washer: bool = False


class NotRecordedView(Struct, frozen=True):
    """Why a camera is not recorded, as JSON."""

    since_us: int
    cause: str
    code: str


class StreamView(Struct, frozen=True, kw_only=True):
    """What is said of a stream as JSON."""

    state: str
    since_us: int
    code: str
    detail: str
    codec: str
    width_px: int
    height_px: int
    fps: float
    bitrate_bps: int
    recorded_until_us: int
    not_recorded: NotRecordedView | None
    health: StreamHealth
    carried: Carried


class SubView(StreamView, frozen=True, kw_only=True):
    """A sub stream as JSON."""

    recorded: bool
    caption_burned: bool


class HappeningNow(Struct, frozen=True):
    """What goes on in a camera's picture, as JSON."""

    kind: str
    zone: str
    since_us: int
    source: str


class CameraView(StreamView, frozen=True, kw_only=True):
    """A camera as JSON; what is said of a stream is of its main stream."""

    name: str
    title: str
    record_behind: bool
    retain_h: int
    guaranteed_h: int
    limit_h: int
    limit_gb: float
    sub: SubView | None
    ptz: HeadView | None
    caption: CaptionAnswer | None
    caption_burned: bool
    caption_drawn: Drawn | None
    masks: tuple[MaskBody, ...]
    masks_burned: bool
    mask_burn: Burn
    masks_drawn: Drawn | None
    rights: list[str]
    happening: list[HappeningNow]
    looked_at: bool


def _sub(state: CameraState, sub: StreamState) -> SubView:
    burned = state.caption_burned or state.sub_captioned
    return SubView(**_stream(sub), recorded=sub.recorded, caption_burned=burned)


def camera_views(parts: Parts, subject: Subject) -> list[CameraView]:
    """Every camera that `subject` may know."""
    heads = parts.ptz.cameras()
    return [
        _view(parts, state, rights, state.name in heads)
        for state in parts.cameras.all()
        if (rights := plain(subject.may(state.name)))
    ]


def _view(parts: Parts, state: CameraState, rights: list[str], head: bool) -> CameraView:
    return CameraView(
        **_stream(state),
        name=state.name,
        title=state.title,
        record_behind=state.record_behind,
        retain_h=state.retain_h,
        guaranteed_h=state.guaranteed_h,
        limit_h=state.limit_h,
        limit_gb=state.limit_gb,
        sub=_sub(state, state.sub) if state.sub else None,
        ptz=_head(parts, state.name) if head else None,
        caption=_caption(state.caption, state.caption_burn) if state.caption else None,
        caption_burned=state.caption_burned,
        caption_drawn=state.caption_drawn,
        masks=bodies(state.masks),
        masks_burned=state.masks_burned,
        mask_burn=state.mask_burn,
        masks_drawn=state.masks_drawn,
        rights=rights,
        happening=[
            HappeningNow(one.kind, one.zone, one.from_us, one.source) for one in state.happening
        ],
        looked_at=state.looked_at,
    )


def _stream(state: StreamState) -> dict[str, Any]:
    return {
        "state": state.state,
        "since_us": state.since_us,
        "code": state.code,
        "detail": state.detail,
        "codec": state.codec,
        "width_px": state.width_px,
        "height_px": state.height_px,
        "fps": round(state.fps, 1),
        "bitrate_bps": state.bitrate_bps,
        "recorded_until_us": state.recorded_until_us,
        "not_recorded": _gap(state.not_recorded),
        "health": state.health,
        "carried": state.carried,
    }


def _gap(gap: NotRecorded | None) -> NotRecordedView | None:
    return NotRecordedView(gap.since_us, gap.cause, gap.code) if gap else None


def _head(parts: Parts, camera: str) -> HeadView:
    status = parts.ptz.status(camera)
    outputs = {name for name, _ in status.outputs}
    presets = [
        PresetView(one.number, one.name, one.pictured_us, one.device) for one in status.presets
    ]
    functions = bool(parts.ptz.functions(camera))
    return HeadView(presets, "wiper" in outputs, "lamp" in outputs, functions, "washer" in outputs)


def _caption(caption: CaptionText, burn: Burn, missing: tuple[str, ...] = ()) -> CaptionAnswer:
    return CaptionAnswer(
        caption.lines, caption.position_permille, caption.size_permille, caption.mode, missing, burn
    )


class CameraPages:
    """Handlers of this module."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts

    def routes(self) -> list[Route]:
        """Every route of this module."""
        one = "/api/camera/{name}"
        return [
            Route("http GET /api/camera", self.all),
            Route("http POST /api/camera", self.add, log="admin-setting"),
            Route(f"http GET {one}", self.one, "name"),
            Route(f"http PATCH {one}", self.change, "name", "admin-setting"),
            Route(f"http DELETE {one}", self.remove, "name", "admin-setting"),
            Route(f"http GET {one}/ptz", self.head, "name"),
            Route(f"http PUT {one}/ptz", self.write_head, "name", "admin-setting"),
            Route(f"http DELETE {one}/ptz", self.remove_head, "name", "admin-setting"),
            Route(f"http GET {one}/caption", self.caption, "name"),
            Route(f"http PUT {one}/caption", self.write_caption, "name", "function-setting"),
        ]

    async def all(self, request: web.Request, caller: Caller) -> web.Response:  # noqa: ARG002 - nothing to read
        """``GET /api/camera``."""
        return answer(camera_views(self._parts, caller.subject))

    async def one(self, request: web.Request, caller: Caller) -> web.Response:
        """``GET /api/camera/{name}``."""
        return self._answer(self._find(request), caller)

    async def add(self, request: web.Request, caller: Caller) -> web.Response:
        """``POST /api/camera``."""
        body = await read_json(request, NewCamera)
        _check(_NAME.fullmatch(body.name) is not None, "name", "a-z, 0-9 and -, at most 32")
        _check(_URL.fullmatch(body.url) is not None, "url", "rtsp://host/path, no password in it")
        _check(len(body.title) <= 64, "title", "at most 64 characters")
        _check(len(body.user) <= 64 and len(body.password) <= 128, "user", "too long")
        request[REASON] = f"added {body.name}"
        state = await self._parts.cameras.add(
            body.name,
            body.title or body.name,
            body.url,
            body.user,
            body.password,
            body.sub.settings() if body.sub else None,
            capture=body.capture.settings() if body.capture else None,
        )
        return self._answer(state, caller, 201)

    async def change(self, request: web.Request, caller: Caller) -> web.Response:
        """``PATCH /api/camera/{name}``."""
        name = self._find(request).name
        body = await read_json(request, CameraChange)
        login = (body.user, body.password)
        keeping = body.keeping()
        unchanged = (body.title, *login) == (None,) * 3
        _check(not unchanged or bool(keeping), "title", "nothing to change")
        _check(body.title is None or 1 <= len(body.title) <= 64, "title", "1 to 64 characters")
        _check(len(body.user or "") <= 64 and len(body.password or "") <= 128, "user", "too long")
        said = [] if body.title is None else [f"title {body.title}"]
        if login != (None, None):
            said.append("log-in")
        said += [f"{key} {value:g}" for key, value in keeping.items()]
        request[REASON] = ", ".join(said)
        state = await self._parts.cameras.change(
            name,
            title=body.title,
            user=body.user,
            password=body.password,
            retain_h=body.retain_h,
            guaranteed_h=body.guaranteed_h,
            limit_h=body.limit_h,
            limit_gb=body.limit_gb,
        )
        return self._answer(state, caller)

    async def remove(self, request: web.Request, caller: Caller) -> web.Response:
        """``DELETE /api/camera/{name}``."""
        name = self._find(request).name
        left = await self._parts.cameras.remove(name, f"user {caller.subject.name}")
        return answer({"left": left})

    async def head(self, request: web.Request, caller: Caller) -> web.Response:  # noqa: ARG002 - a handler's shape
        """``GET /api/camera/{name}/ptz``."""
        return self._answer_head(self._find(request).name)

    async def write_head(self, request: web.Request, caller: Caller) -> web.Response:  # noqa: ARG002 - a handler's shape
        """``PUT /api/camera/{name}/ptz``."""
        name = self._find(request).name
        body = await read_json(request, HeadBody)
        said = f"{body.profile or body.protocol} {body.address} on {body.bus or 'ONVIF'}"
        request[REASON] = said[:300]
        head = HeadSettings(
            body.bus,
            body.address,
            body.protocol,
            body.turbo,
            body.tilt_reply,
            _own(body.wiper),
            _own(body.lamp),
            body.profile,
            _own(body.washer),
        )
        await self._parts.cameras.write_head(name, head)
        return self._answer_head(name)

    async def remove_head(self, request: web.Request, caller: Caller) -> web.Response:  # noqa: ARG002 - a handler's shape
        """``DELETE /api/camera/{name}/ptz``."""
        name = self._find(request).name
        await self._parts.cameras.write_head(name, None)
        return self._answer_head(name)

    def _answer_head(self, name: str) -> web.Response:
        head = self._parts.cameras.head(name)
        has = self._parts.cameras.sockets()
        shown = None
        if head is not None:
            shown = HeadBody(
                head.bus,
                head.address,
                head.protocol,
                head.turbo,
                head.tilt_reply,
                _place(head.wiper),
                _place(head.lamp),
                head.profile,
                _place(head.washer),
            )
        return answer(HeadAnswer(shown, has.buses, has.outputs, has.kinds))

    async def caption(self, request: web.Request, caller: Caller) -> web.Response:  # noqa: ARG002 - a handler's shape
        """``GET /api/camera/{name}/caption``."""
        state = self._find(request)
        if state.caption is None:
            raise Rejected("caption.unsupported", "this camera cannot have a caption")
        return answer(_caption(state.caption, state.caption_burn))

    async def write_caption(self, request: web.Request, caller: Caller) -> web.Response:  # noqa: ARG002 - a handler's shape
        """``PUT /api/camera/{name}/caption``."""
        name = self._find(request).name
        body = await read_json(request, CaptionBody)
        caption = CaptionText(
            tuple(body.lines), body.position_permille, body.size_permille, body.mode
        )
        missing = await self._parts.cameras.write_caption(name, caption, body.burn)
        request[REASON] = " / ".join(caption.lines)[:300]
        return answer(_caption(caption, self._find(request).caption_burn, missing))

    def _find(self, request: web.Request) -> CameraState:
        state = self._parts.cameras.find(request.match_info["name"])
        if state is None:
            raise unknown_camera()
        return state

    def _answer(self, state: CameraState, caller: Caller, status: int = 200) -> web.Response:
        head = state.name in self._parts.ptz.cameras()
        rights = plain(caller.subject.may(state.name))
        return answer(_view(self._parts, state, rights, head), status)


def _own(place: Place) -> str | OwnOutput | None:
    return OwnOutput(place.aux, place.max_on_s) if isinstance(place, OwnOutputBody) else place


def _place(place: str | OwnOutput | None) -> Place:
    return OwnOutputBody(place.aux, place.max_on_s) if isinstance(place, OwnOutput) else place


def _check(good: bool, field: str, rule: str) -> None:
    if not good:
        raise Rejected("body.invalid", f"{field}: {rule}", field=field)
