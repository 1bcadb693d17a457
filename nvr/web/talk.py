"""Speaking through a camera from the page: press to talk.

``WS /ws/talk/{camera}``: the box says ``ready`` with the codec once the camera listens, or
``error``; from then on each binary message is G.711 samples of 8 kHz. The page sends while the key
is held, silence too: one that sends nothing for a second has let go, whatever became of it. One
person speaks at a time; who, when and for how long is in the audit log.
"""

import asyncio

import msgspec
from aiohttp import WSMessage, WSMsgType, web

from nvr.auth.audit import Entry, State
from nvr.auth.policy import unknown_camera
from nvr.base.errors import NvrError, Rejected
from nvr.media.talk import MOST_SAMPLES, Voice
from nvr.web.parts import Caller, Parts, Route
from nvr.web.reply import answer

SILENT_S = 1.0
MOST_S = 300.0
HEARTBEAT_S = 5.0


class TalkView(msgspec.Struct, frozen=True):
    """Whether a camera can be spoken through."""

    available: bool
    by: str


class Ready(msgspec.Struct, frozen=True, tag_field="type", tag="ready"):
    """The camera listens."""

    codec: str


class Ended(msgspec.Struct, frozen=True, tag_field="type", tag="error"):
    """It does not, or no more."""

    code: str
    detail: str
    by: str


class TalkPages:
    """Handlers of this module."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts

    def routes(self) -> list[Route]:
        """Every route of this module."""
        return [
            Route("http GET /api/camera/{name}/talk", self.look, "name"),
            Route("ws /ws/talk/{camera}", self.talk, "camera"),
        ]

    async def look(self, request: web.Request, caller: Caller) -> web.Response:  # noqa: ARG002 - a handler's shape
        """``GET /api/camera/{name}/talk``."""
        camera, talks = request.match_info["name"], self._parts.talks
        if self._parts.cameras.find(camera) is None:
            raise unknown_camera()
        if talks is None:
            return answer(TalkView(available=False, by=""))
        talker = talks.talker(camera)
        return answer(TalkView(await talks.takes(camera), talker.name if talker else ""))

    async def talk(self, request: web.Request, caller: Caller) -> web.StreamResponse:
        """Serve one person for as long as they speak."""
        camera, talks = request.match_info["camera"], self._parts.talks
        if self._parts.cameras.find(camera) is None:
            raise unknown_camera()
        # Written before a word is said, so that breaking off does not hide it.
        self._note(caller, camera, "ws /ws/talk/{camera}", "ok", "")
        socket = web.WebSocketResponse(
            compress=False, heartbeat=HEARTBEAT_S, max_msg_size=2 * MOST_SAMPLES
        )
        await socket.prepare(request)
        began_s = self._parts.clock.monotonic_s()
        said = 0
        state: State = "ok"
        try:
            if talks is None:
                raise Rejected("talk.unsupported", "nothing can be spoken through here")
            async with talks.speak(camera, caller.subject.name, caller.address) as voice:
                await _tell(socket, Ready(voice.codec))
                said = await self._carry(socket, voice, caller)
        except NvrError as err:
            state = "refused" if isinstance(err, Rejected) else "failed"
            await _tell(socket, Ended(err.code, err.detail, str(err.context.get("by", ""))))
        finally:
            lasted_s = self._parts.clock.monotonic_s() - began_s
            reason = f"{lasted_s:.1f} s, {said} packets"
            self._note(caller, camera, "talk.ended", state, reason)
        await socket.close()
        return socket

    def _note(self, caller: Caller, camera: str, action: str, state: State, reason: str) -> None:
        self._parts.audit.record(
            Entry(
                "event",
                action,
                state,
                reason,
                caller.subject.name,
                caller.address,
                camera,
                f"camera:{camera}",
            )
        )

    async def _carry(self, socket: web.WebSocketResponse, voice: Voice, caller: Caller) -> int:
        """Pass on what is said until either end goes; returns how many packets."""
        listening = asyncio.ensure_future(voice.lasts())
        end_s = self._parts.clock.monotonic_s() + MOST_S
        said = 0
        try:
            while self._parts.clock.monotonic_s() < end_s:
                message = await _next(socket)
                if message is None or message.type is not WSMsgType.BINARY or listening.done():
                    break
                if caller.session is None or not self._parts.sessions.alive(caller.session):
                    break
                await voice.say(message.data)
                said += 1
        finally:
            if not listening.done():
                listening.cancel()
            (ended,) = await asyncio.gather(listening, return_exceptions=True)
        if isinstance(ended, NvrError):
            raise ended
        return said


async def _next(socket: web.WebSocketResponse) -> WSMessage | None:
    try:
        return await socket.receive(timeout=SILENT_S)
    except TimeoutError:
        return None


async def _tell(socket: web.WebSocketResponse, message: msgspec.Struct) -> None:
    if not socket.closed:
        await socket.send_str(msgspec.json.encode(message).decode())
