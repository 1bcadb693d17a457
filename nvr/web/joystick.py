"""Joysticks at the box, and the profiles that it keeps of those at pages too, over HTTP."""

from dataclasses import replace

from aiohttp import web
from msgspec import Struct

from nvr.auth.user import Subject
from nvr.base.errors import Rejected
from nvr.media.joystick import JoystickProfile, JoystickState, unknown_joystick
from nvr.web.gate import REASON
from nvr.web.parts import Caller, Parts, Route
from nvr.web.reply import answer, read_json

MOST_DEVICE = 200


class AimBody(Struct, frozen=True, forbid_unknown_fields=True):
    """Body of ``PUT /api/camera/{name}/joystick``."""

    number: int


class DamagedView(Struct, frozen=True):
    """A file that makes no sense, and why, as JSON."""

    file: str
    detail: str


class JoysticksView(Struct, frozen=True):
    """What the caller may know, as JSON."""

    joysticks: list[JoystickState]
    profiles: list[JoystickProfile]
    damaged: list[DamagedView]


class JoystickPages:
    """Handlers of this module."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts

    def routes(self) -> list[Route]:
        """Every route of this module."""
        return [
            Route("http GET /api/joystick", self.all),
            Route("http POST /api/joystick/{number}/learn", self.learn),
            Route("http PUT /api/camera/{name}/joystick", self.aim, "name", "function-setting"),
            Route("http PUT /api/joystick/profile", self.write, log="admin-setting"),
            Route("http DELETE /api/joystick/profile", self.drop, log="admin-setting"),
        ]

    async def all(self, request: web.Request, caller: Caller) -> web.Response:  # noqa: ARG002 - a handler's shape
        """``GET /api/joystick``: cameras only that the caller may know."""
        return answer(self._view(caller.subject))

    async def learn(self, request: web.Request, caller: Caller) -> web.Response:
        """``POST /api/joystick/{number}/learn``: asked again and again while it is taught."""
        state = self._parts.joysticks.learn(_number(request.match_info["number"]))
        return answer(_state(state, caller.subject))

    async def aim(self, request: web.Request, caller: Caller) -> web.Response:
        """``PUT /api/camera/{name}/joystick``."""
        body = await read_json(request, AimBody)
        request[REASON] = f"joystick {body.number}"
        self._parts.joysticks.aim(body.number, request.match_info["name"])
        return answer(self._view(caller.subject))

    async def write(self, request: web.Request, caller: Caller) -> web.Response:
        """``PUT /api/joystick/profile``."""
        profile = await read_json(request, JoystickProfile)
        request[REASON] = profile.device
        await self._parts.joysticks.write_profile(profile)
        return answer(self._view(caller.subject))

    async def drop(self, request: web.Request, caller: Caller) -> web.Response:
        """``DELETE /api/joystick/profile?device=``."""
        device = request.query.get("device", "")
        if not device or len(device) > MOST_DEVICE:
            raise Rejected("body.invalid", "device: which joystick the profile is for")
        request[REASON] = device
        await self._parts.joysticks.drop_profile(device)
        return answer(self._view(caller.subject))

    def _view(self, who: Subject) -> JoysticksView:
        joysticks = self._parts.joysticks
        return JoysticksView(
            [_state(one, who) for one in joysticks.joysticks()],
            [_profile(one, who) for one in joysticks.profiles().values()],
            [DamagedView(*one) for one in joysticks.damaged().items() if who.role == "admin"],
        )


def _number(text: str) -> int:
    if not text.isdecimal() or len(text) > 4:
        raise unknown_joystick(0)
    return int(text)


def _state(it: JoystickState, who: Subject) -> JoystickState:
    it = replace(it, profile=_profile(it.profile, who))
    return it if not it.camera or who.may(it.camera) else replace(it, camera="", detail="")


def _profile(it: JoystickProfile, who: Subject) -> JoystickProfile:
    """Leave out the cameras that the caller may not know."""

    def known(action: str) -> bool:
        verb, _, camera = action.partition(" ")
        return verb != "camera" or bool(who.may(camera))

    buttons = {number: action for number, action in it.buttons.items() if known(action)}
    camera = it.camera if it.camera and who.may(it.camera) else ""
    return replace(it, buttons=buttons, camera=camera)
