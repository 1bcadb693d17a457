"""Recordings converted for a viewer over a WebSocket, whose end frees the converter at once.

The client sends ``{"op": "gop", "n", "t_us", "key"?, "sound"?}``, and ``{"op": "drop", "n"}`` for
one that it wants no more. Each is answered by one binary message: u32 little-endian size of a JSON
head, the head, and the init segment and ``moof mdat ...``; or by a text message with what was
wrong. What needs no converting goes out as it is; sound follows the pictures, telephone sound as
FLAC. After half a minute without a question the converter is free for others; the next question
takes it again.
"""

import asyncio
import collections
import contextlib
import logging
import struct
from collections.abc import Iterable
from typing import Final

import msgspec
from aiohttp import WSMsgType, web

from nvr.auth.policy import authorise, unknown_camera
from nvr.base.errors import Damaged, NvrError, Rejected, Unavailable
from nvr.base.log import event
from nvr.media.mask import Masks
from nvr.media.name import camera_of, stream_of
from nvr.media.part import Bytes
from nvr.media.track import StreamConfig
from nvr.playback.query import Gop
from nvr.serve.recodes import Place
from nvr.serve.regroup import Regroup
from nvr.web import cover
from nvr.web.fragment import FOREIGN, Voice, renumbered, shown, without
from nvr.web.frame import SIGNED_OUT
from nvr.web.looked import Looked
from nvr.web.parts import Caller, Parts, Route
from nvr.web.reply import which
from nvr.wire import fmp4

_log = logging.getLogger(__name__)

HEARTBEAT_S: Final = 20.0
IDLE_S: Final = 30.0
MOST_MESSAGE_BYTES: Final = 1024
MOST_DROPPED: Final = 64
_MOST_WAITING: Final = 8
_SIZE: Final = struct.Struct("<I")
_KEY: Final = "ws /ws/playback/{camera}"


class Ask(msgspec.Struct, frozen=True, tag_field="op", tag="gop", forbid_unknown_fields=True):
    """The group of pictures of a time is wanted; `key`: of it the key frame only, and no sound."""

    n: int
    t_us: int
    key: bool = False
    sound: bool = True


class Drop(msgspec.Struct, frozen=True, tag_field="op", tag="drop", forbid_unknown_fields=True):
    """What was asked under this number is not wanted any more."""

    n: int


class Head(msgspec.Struct, frozen=True):
    """What follows.

    Attributes:
        n: Number of the question.
        from_us: See `nvr.playback.query.Gop`, also of the next two.
        to_us: As above.
        next_us: As above.
        run: Name of its run and how it was made.
        mime: Of the init segment.
        init: Size of that; the rest is ``moof mdat ...``.
        converted: It is not as it was recorded.
        speed: So many times as fast as it was recorded it was converted, 0 if it was not.
    """

    n: int
    from_us: int
    to_us: int
    next_us: int | None
    run: str
    mime: str
    init: int
    converted: bool
    speed: float


class Wrong(msgspec.Struct, frozen=True):
    """What kept a question from being answered."""

    n: int
    refused: cover.Refused


_ASKED: Final = msgspec.json.Decoder(Ask | Drop)


class Replays:
    """``WS /ws/playback/{camera}``, with ``?stream=sub`` of their sub streams."""

    def __init__(self, parts: Parts, looked: Looked) -> None:
        self._parts, self._looked = parts, looked

    def routes(self) -> list[Route]:
        """Every route of this module."""
        return [Route(_KEY, self.replay, "camera", covers=True)]

    async def replay(self, request: web.Request, caller: Caller) -> web.StreamResponse:
        """Serve one viewer until it goes."""
        camera, stream = request.match_info["camera"], which(request)
        if self._parts.cameras.find(camera) is None:
            raise unknown_camera()
        socket = web.WebSocketResponse(
            compress=False, heartbeat=HEARTBEAT_S, max_msg_size=MOST_MESSAGE_BYTES
        )
        await socket.prepare(request)
        viewer = _Viewer(self._parts, self._looked, caller, socket, stream_of(camera, stream))
        try:
            async with asyncio.TaskGroup() as group:
                working = group.create_task(viewer.work())
                async for message in socket:
                    if message.type is not WSMsgType.TEXT or not viewer.take(message.data):
                        break
                viewer.free()
                working.cancel()
        finally:
            viewer.free()
        await socket.close()
        return socket


class _Viewer:
    """One viewer of one stream.

    Args:
        parts: What the page is built from.
        looked: Told of what is looked at.
        caller: Who it is.
        socket: To them.
        stream: Name of the stream.
    """

    def __init__(
        self, parts: Parts, looked: Looked, caller: Caller, socket: web.WebSocketResponse,
        stream: str,
    ) -> None:  # fmt: skip
        self._parts, self._looked, self._caller = parts, looked, caller
        self._socket, self._stream = socket, stream
        self._camera = camera_of(stream)
        self._waiting: collections.deque[Ask] = collections.deque()
        self._dropped: set[int] = set()
        self._came = asyncio.Event()
        self._place: Place | None = None
        self._made: Regroup | None = None
        self._voice = Voice()

    def take(self, text: str) -> bool:
        """Take a message; False if it is none."""
        try:
            message = _ASKED.decode(text)
        except (msgspec.DecodeError, RecursionError):
            return False
        if isinstance(message, Ask):
            self._waiting.append(message)
            if len(self._waiting) > _MOST_WAITING:
                return False
            self._came.set()
        elif len(self._dropped) < MOST_DROPPED:
            self._dropped.add(message.n)
        return True

    def free(self) -> None:
        """Let go of the converter; what it is at ends."""
        place, self._place = self._place, None
        made, self._made = self._made, None
        if made is not None:
            made.end()
        if place is not None:
            place.free()

    async def work(self) -> None:
        """Answer one question after the other. Runs until cancelled, or the session is over."""
        while True:
            try:
                async with asyncio.timeout(IDLE_S if self._place else None):
                    await self._came.wait()
            except TimeoutError:
                self.free()
                continue
            self._came.clear()
            while self._waiting:
                ask = self._waiting.popleft()
                if not await self._answered(ask):
                    return
                self._dropped.discard(ask.n)
            self._dropped.clear()

    async def _answered(self, ask: Ask) -> bool:
        """Answer a question; False once the session is over."""
        session, sessions = self._caller.session, self._parts.sessions
        if session is None or not sessions.alive(session):
            await self._socket.close(code=SIGNED_OUT)
            return False
        sessions.use(session)
        try:
            found = await self._found(ask)
        except NvrError as err:
            refused = cover.refusal(err, self._parts.cameras)
            said = msgspec.json.encode(Wrong(ask.n, refused)).decode()
            with contextlib.suppress(ConnectionError):  # it is going
                await self._socket.send_str(said)
            return True
        if found is not None:
            with contextlib.suppress(ConnectionError):
                await self._socket.send_bytes(found)
        return True

    async def _found(self, ask: Ask) -> bytes | None:
        if ask.n in self._dropped:
            return None
        self._allow((ask.t_us, ask.t_us))
        self._looked.note(self._caller, self._camera, ask.t_us)
        gop, config = await asyncio.to_thread(self._read, ask)
        if gop is None:
            raise Rejected("archive.nothing", "nothing is recorded then or later")
        span = (gop.from_us, gop.to_us)
        self._allow(span)  # it may be of another time than was asked for
        masks = cover.hidden_from(self._parts, self._caller.subject, self._camera, span)
        if not masks and not any(track.codec in FOREIGN for track in config):
            plain = await asyncio.to_thread(without, gop.data, renumbered(config))
            return await self._said(ask, gop, config, shown(config, sound=False), plain, None)
        return await self._converted(ask, gop, config, masks)

    async def _converted(
        self, ask: Ask, gop: Gop, config: StreamConfig, masks: Masks
    ) -> bytes | None:
        if self._place is None:
            place = await cover.take(self._parts, self._caller, self._camera, first=True)
            place.given_up = self.free
            self._place, self._made = place, self._parts.recodes.groups()
        made = self._made
        assert made is not None
        try:
            found = await asyncio.to_thread(
                made.convert, config, gop.data, masks,
                key_only=ask.key, dropped=lambda: ask.n in self._dropped,
            )  # fmt: skip
        except Damaged:
            if self._made is made:
                raise
            raise Unavailable(
                "recode.given_up", "the same person has another one converted"
            ) from None
        if found is None:
            return None
        speed = found.span_s / max(found.took_s, 0.001)
        return await self._said(ask, gop, config, found.config, found.data, speed)

    async def _said(
        self, ask: Ask, gop: Gop, recorded: StreamConfig, config: StreamConfig, data: Bytes,
        speed: float | None,
    ) -> bytes:  # fmt: skip
        """A message of pictures, with the sound that was recorded beside them after them."""
        heard = {n: track for n, track in enumerate(recorded, 1) if track.kind == "audio"}
        if not ask.sound or not heard:
            return _message(ask, gop, config, data, speed)
        # The tracks are the same without the sound: an init segment is for all of a run.
        if not ask.key:
            data = bytes(data) + await asyncio.to_thread(self._sound, gop, recorded, heard)
        return _message(ask, gop, (*config, *shown(tuple(heard.values()))), data, speed)

    def _sound(self, gop: Gop, config: StreamConfig, ids: Iterable[int]) -> bytes:
        """The sound of a group as browsers play it; none if it cannot be read."""
        try:
            turned = self._voice.turn(gop.data, config, gop.run)
            return without(turned, {old: new for new, old in enumerate(ids, 2)})
        except Damaged as err:
            event(_log, logging.DEBUG, "page.fragment_left_out", error=str(err))
            return b""

    def _allow(self, span: tuple[int, int]) -> None:
        """Refuse what this account may not play back."""
        authorise(
            self._caller.subject, _KEY, self._camera, span,
            masked=self._parts.cameras.masked, shown="masked",
        )  # fmt: skip

    def _read(self, ask: Ask) -> tuple[Gop | None, StreamConfig]:
        archive = self._parts.archive
        gop = archive.gop(self._stream, ask.t_us, key_only=ask.key)
        return gop, archive.config(self._stream, gop.run) if gop else ()


def _message(ask: Ask, gop: Gop, config: StreamConfig, data: Bytes, speed: float | None) -> bytes:
    init = fmp4.init_segment(config)
    converted = speed is not None
    run = f"{gop.run}{'c' if converted else ''}"
    head = msgspec.json.encode(
        Head(
            ask.n, gop.from_us, gop.to_us, gop.next_us, run, fmp4.mime(config), len(init),
            converted, round(speed or 0.0, 2),
        )
    )  # fmt: skip
    return b"".join((_SIZE.pack(len(head)), head, init, data))
