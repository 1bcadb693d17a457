"""Finding cameras and making them the box's, over HTTP. See `nvr.media.find.Finder`."""

import re
from typing import Annotated, Literal

from aiohttp import web
from msgspec import Meta, Struct

from nvr.base.errors import Misconfigured, Rejected
from nvr.media.find import Examined, Finder, Finding, Login, Trial
from nvr.web.camera import camera_views
from nvr.web.gate import REASON
from nvr.web.parts import Caller, Parts, Route
from nvr.web.reply import answer, read_json

_NAME = re.compile(r"[a-z0-9][a-z0-9-]{0,31}")
Short = Annotated[str, Meta(max_length=64)]


class FindBody(Struct, frozen=True, forbid_unknown_fields=True):
    """Body of ``POST /api/find``."""

    where: Short = ""


class LoginBody(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Body of ``POST /api/find/examine``."""

    address: Annotated[str, Meta(min_length=1, max_length=256)]
    user: Short = ""
    password: Annotated[str, Meta(max_length=128)] = ""
    pin: Annotated[str, Meta(pattern=r"^([0-9a-f]{64})?$")] = ""
    main: Short = ""
    sub: Short = ""

    def login(self) -> Login:
        """Return the same as the rest of the box knows it."""
        return Login(self.address, self.user, self.password, self.pin, self.main, self.sub)


class CureBody(LoginBody, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Body of ``POST /api/find/cure``."""

    what: Literal["clock", "gop"]


class AdoptBody(LoginBody, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Body of ``POST /api/find/adopt``."""

    name: str
    title: Short = ""


class SeenView(Struct, frozen=True):
    """A camera that was found, as JSON."""

    address: str
    name: str
    hardware: str
    location: str
    via: str
    known: str


class SeenAnswer(Struct, frozen=True):
    """Answer of ``POST /api/find``."""

    found: list[SeenView]


class FindingView(Struct, frozen=True):
    """What is the matter, as JSON."""

    code: str
    weight: str
    detail: str
    cure: str
    values: dict[str, float]


class ProfileView(Struct, frozen=True):
    """A stream as the camera says it is, as JSON."""

    token: str
    name: str
    codec: str
    width_px: int
    height_px: int
    fps: float
    kbit_s: int
    gop_frames: int
    ptz: bool


class TrialView(Struct, frozen=True):
    """A stream as it was seen, as JSON."""

    token: str
    url: str
    code: str
    detail: str
    codec: str
    width_px: int
    height_px: int
    fps: float
    gop_s: float
    kbit_s: int
    audio: str
    transport: str


class ExaminedView(Struct, frozen=True):
    """A camera that was looked into, as JSON."""

    address: str
    maker: str
    model: str
    firmware: str
    serial: str
    clock_offset_s: float | None
    profiles: list[ProfileView]
    main: TrialView | None
    sub: TrialView | None
    findings: list[FindingView]
    name: str
    title: str
    known: str
    good: bool
    picture: bytes


def examined_view(found: Examined) -> ExaminedView:
    """Return what was found as JSON has it."""
    device = found.device
    return ExaminedView(
        found.address,
        device.maker if device else "",
        device.model if device else "",
        device.firmware if device else "",
        device.serial if device else "",
        device.clock_offset_s if device else None,
        [
            ProfileView(
                p.token,
                p.name,
                p.codec,
                p.width_px,
                p.height_px,
                p.fps,
                p.kbit_s,
                p.gop_frames,
                bool(p.ptz),
            )
            for p in found.profiles
        ],
        _trial(found.main),
        _trial(found.sub),
        [_finding(one) for one in found.findings],
        found.name,
        found.title,
        found.known,
        found.main is not None and all(one.weight != "alarm" for one in found.findings),
        next((one.picture for one in (found.sub, found.main) if one and one.picture), b""),
    )


def _trial(one: Trial | None) -> TrialView | None:
    if one is None:
        return None
    return TrialView(
        one.profile.token,
        one.url,
        one.code,
        one.detail,
        one.codec,
        one.width_px,
        one.height_px,
        one.fps,
        one.gop_s,
        one.kbit_s,
        one.audio,
        one.transport,
    )


def _finding(one: Finding) -> FindingView:
    return FindingView(one.code, one.weight, one.detail, one.cure, dict(one.values))


class FindPages:
    """Handlers of this module."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts

    def routes(self) -> list[Route]:
        """Every route of this module."""
        return [
            Route("http POST /api/find", self.find, log="admin-setting"),
            Route("http POST /api/find/examine", self.examine, log="admin-setting"),
            Route("http POST /api/find/cure", self.cure, log="admin-setting"),
            Route("http POST /api/find/adopt", self.adopt, log="admin-setting"),
        ]

    async def find(self, request: web.Request, caller: Caller) -> web.Response:  # noqa: ARG002 - a handler's shape
        """``POST /api/find``."""
        body = await read_json(request, FindBody)
        request[REASON] = f"looked for cameras {body.where}".strip()
        found = await self._finder().find(body.where)
        return answer(
            SeenAnswer(
                [
                    SeenView(
                        one.address,
                        one.sighting.name,
                        one.sighting.hardware,
                        one.sighting.location,
                        one.sighting.via,
                        one.known,
                    )
                    for one in found
                ]
            )
        )

    async def examine(self, request: web.Request, caller: Caller) -> web.Response:  # noqa: ARG002 - a handler's shape
        """``POST /api/find/examine``."""
        body = await read_json(request, LoginBody)
        request[REASON] = f"looked into {body.address}"
        return answer(examined_view(await self._finder().examine(body.login())))

    async def cure(self, request: web.Request, caller: Caller) -> web.Response:  # noqa: ARG002 - a handler's shape
        """``POST /api/find/cure``."""
        body = await read_json(request, CureBody)
        request[REASON] = f"set {body.what} of {body.address}"
        await self._finder().cure(body.login(), body.what)
        return answer({})

    async def adopt(self, request: web.Request, caller: Caller) -> web.Response:
        """``POST /api/find/adopt``."""
        body = await read_json(request, AdoptBody)
        if _NAME.fullmatch(body.name) is None:
            raise Rejected("body.invalid", "name: a-z, 0-9 and -, at most 32", field="name")
        request[REASON] = f"added {body.name}"
        await self._finder().adopt(body.login(), body.name, body.title or body.name)
        views = camera_views(self._parts, caller.subject)
        return answer(next(one for one in views if one.name == body.name), 201)

    def _finder(self) -> Finder:
        if self._parts.finder is None:
            raise Misconfigured("onvif.unsupported", "this box does not look for cameras")
        return self._parts.finder
