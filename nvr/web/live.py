"""Live pictures over WebSocket: one subscription and one frame a stream, however many look on.

A message is a 12-byte prefix (u8 key flag, three zero bytes, u64 little-endian UTC microseconds
of arrival) and one access unit as ``moof mdat``. Text announces the codec (``config``, then the
init segment as a binary message without prefix) and the camera's condition (``state``).

A slow viewer is one whose connection has not been empty for a second: it gets nothing more until
the next key frame that finds it empty. One that takes nothing for four seconds is cut. Both are
judged when a picture comes and twice a second, so no task and no timer exists for a viewer.
"""

import asyncio
import itertools
import logging
import struct
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

import msgspec
from aiohttp import web

from nvr.auth.audit import Entry
from nvr.auth.policy import unknown_camera
from nvr.auth.session import Session
from nvr.base.clock import Clock
from nvr.base.errors import Damaged, Rejected, Unavailable
from nvr.base.log import event
from nvr.base.transport import cut
from nvr.media.camera import CameraState, StreamState
from nvr.media.name import camera_of, stream_of
from nvr.media.part import Bytes, Fragment
from nvr.media.ports import Watched
from nvr.media.track import StreamConfig
from nvr.web import cover
from nvr.web.fragment import FOREIGN, Voice, renumbered, shown, without
from nvr.web.frame import SIGNED_OUT, TEXT, closing, frame
from nvr.web.parts import Caller, Parts, Route
from nvr.web.reply import which
from nvr.web.voiced import Voiced
from nvr.wire import fmp4

_log = logging.getLogger(__name__)

BEHIND_S = 1.0
STALLED_S = 4.0
CHECK_S = 0.5
MOST_GROUP_BYTES = 16 * 1024 * 1024
HEARTBEAT_S = 20.0
MOST_MESSAGE_BYTES = 1024
_PREFIX = struct.Struct("<B3xQ")


class ConfigMessage(msgspec.Struct, frozen=True, tag_field="type", tag="config"):
    """What the following init segment and fragments are."""

    mime: str
    width_px: int
    height_px: int
    codec: str


class StateMessage(msgspec.Struct, frozen=True, tag_field="type", tag="state"):
    """The camera's condition."""

    state: str
    since_us: int
    code: str


@dataclass(frozen=True, slots=True)
class Message:
    """A fragment as a WebSocket frame, shared by all who get it."""

    data: bytes
    key: bool


class Viewer:
    """One connection that shows one camera.

    Args:
        transport: Written to directly; frames of aiohttp's own never come in between because both
            sides write whole frames in one call.
        clock: Time source.
    """

    def __init__(self, transport: asyncio.Transport, clock: Clock) -> None:
        self._transport = transport
        self._clock = clock
        self._behind_since_s: float | None = None
        self._waiting_bytes = 0
        self._moved_s = 0.0
        self.skipping = False
        self.skipped = 0

    def push(self, messages: Sequence[Message], joined: bytes) -> None:
        """Send messages, or leave them out because this viewer is slow.

        Args:
            messages: What came.
            joined: All of it as one buffer.
        """
        if self._transport.is_closing() or not self.judge():
            return
        if not self.skipping:
            self._transport.write(joined)
            return
        if self._waiting_bytes == 0:
            for at, message in enumerate(messages):
                if message.key:
                    self.skipping = False
                    self.skipped += at
                    self._transport.write(b"".join(one.data for one in messages[at:]))
                    return
        self.skipped += len(messages)

    def tell(self, data: bytes) -> None:
        """Send what must not be left out."""
        if not self._transport.is_closing():
            self._transport.write(data)

    def judge(self) -> bool:
        """See how the connection does; False if it was cut."""
        waiting_bytes = self._transport.get_write_buffer_size()
        if waiting_bytes == 0:
            self._waiting_bytes = 0
            self._behind_since_s = None
            return True
        now_s = self._clock.monotonic_s()
        if self._behind_since_s is None:
            self._behind_since_s = self._moved_s = now_s
        elif waiting_bytes < self._waiting_bytes:
            self._moved_s = now_s
        self._waiting_bytes = waiting_bytes
        if now_s - self._behind_since_s > BEHIND_S:
            self.skipping = True
        if self.skipping and now_s - self._moved_s > STALLED_S:
            event(_log, logging.INFO, "page.viewer_stalled", waiting_bytes=waiting_bytes)
            cut(self._transport)
            return False
        return True


class Feed:
    """One stream's fragments, made into frames once, for all its viewers.

    Watches the stream while anybody looks on, and keeps the group of pictures so far, so that a
    viewer who comes later starts at once.
    """

    def __init__(self, stream: Watched, clock: Clock, *, sound: bool = True) -> None:
        self._stream = stream
        self._sound = sound
        self._voice = Voice()
        self._clock = clock
        self._viewers: set[Viewer] = set()
        self._config: StreamConfig | None = None
        self._head = b""
        self._group: list[Message] = []
        self._group_bytes = 0
        self._end: Callable[[], None] | None = None

    @property
    def viewers(self) -> frozenset[Viewer]:
        """Who looks on."""
        return frozenset(self._viewers)

    def join(self, viewer: Viewer) -> None:
        """Show `viewer` the group so far, and all that comes."""
        if self._head:
            viewer.tell(self._head)
        if self._group:
            viewer.push(self._group, b"".join(one.data for one in self._group))
        else:
            viewer.skipping = True  # until a key frame comes
        self._viewers.add(viewer)
        if self._end is None:
            self._end = self._stream.watch(self._deliver)

    def leave(self, viewer: Viewer) -> None:
        """Show it nothing more; the last one to leave ends the watching."""
        self._viewers.discard(viewer)
        if not self._viewers and self._end is not None:
            self._end()
            self._end = None
            self._config, self._head, self._group, self._group_bytes = None, b"", [], 0

    def _deliver(self, config: StreamConfig, fragments: list[Fragment]) -> None:
        if config != self._config:
            self._begin(config)
        offset_us = self._clock.wall_us() - round(self._clock.monotonic_s() * 1e6)
        messages: list[Message] = []
        for fragment in fragments:
            data = self._shown(fragment)
            if not data:
                continue
            wall_us = offset_us + round(fragment.arrived_s * 1e6)
            prefix = _PREFIX.pack(fragment.key, max(0, wall_us))
            message = Message(frame(data, prefix=prefix), fragment.key)
            messages.append(message)
            self._keep(message)
        if messages:
            joined = b"".join(one.data for one in messages) if messages[1:] else messages[0].data
            for viewer in self._viewers:
                viewer.push(messages, joined)

    def _shown(self, fragment: Fragment) -> Bytes:
        """What of a fragment goes out; nothing if it, or what it belongs to, cannot be read."""
        if not self._head or self._config is None:
            return b""
        try:
            if self._sound:
                if fragment.track >= 0 and self._config[fragment.track].kind == "video":
                    return fragment.data
                return self._voice.turn(fragment.data, self._config)
            return without(fragment.data, renumbered(self._config))
        except Damaged as err:
            event(_log, logging.DEBUG, "page.fragment_left_out", error=str(err))
            return b""

    def _begin(self, config: StreamConfig) -> None:
        self._config = config
        self._group, self._group_bytes = [], 0
        self._voice = Voice()
        try:
            self._head = _head(shown(config, sound=self._sound))
        except ValueError as err:
            # Recorded as it is; a browser has no name for it, and this runs beside other feeds.
            event(_log, logging.WARNING, "page.codec_unknown", error=str(err))
            self._head = b""
        for viewer in self._viewers:
            viewer.tell(self._head)
            viewer.skipping = True

    def _keep(self, message: Message) -> None:
        if message.key:
            self._group, self._group_bytes = [], 0
        elif not self._group:
            return
        self._group_bytes += len(message.data)
        if self._group_bytes > MOST_GROUP_BYTES:
            self._group = []  # a camera without key frames: who comes now waits for one
        else:
            self._group.append(message)


def _head(tracks: StreamConfig) -> bytes:
    """The codec's announcement and the init segment, as two frames.

    Raises:
        ValueError: A track has no name that browsers know.
    """
    video = next((track for track in tracks if track.kind == "video"), None)
    message = ConfigMessage(
        fmp4.mime(tracks),
        video.width_px if video else 0,
        video.height_px if video else 0,
        video.codec if video else "",
    )
    return frame(msgspec.json.encode(message), TEXT) + frame(fmp4.init_segment(tracks))


class Live:
    """``WS /ws/live/{camera}`` for all cameras, with ``?stream=sub`` their sub streams.

    ``?sound=no`` leaves out sound, for a browser that does not take the kind of it. ``?video=h264``
    makes a small H.264 picture of one in H.265 or JPEG, of one stream at a time; of a masked camera
    whoever may not see under the masks gets such a one, with them burned in, whatever was asked
    for. Sound goes with it. Whoever is refused that is told why (``refused``) before the connection
    is closed; ``?first=1`` gives up for it what the same session has converted.
    """

    def __init__(self, parts: Parts) -> None:
        self._parts = parts
        self._feeds: dict[_Key, Feed] = {}
        self._begun: dict[_Key, asyncio.Lock] = {}
        self._open: dict[int, _Open] = {}
        self._numbers = itertools.count()

    def routes(self) -> list[Route]:
        """Every route of this module."""
        return [Route("ws /ws/live/{camera}", self.live, "camera", covers=True)]

    async def check(self) -> None:
        """Twice a second: cut who stalls, sign out whose session is over. Runs until cancelled."""
        while True:
            await asyncio.sleep(CHECK_S)
            for one in list(self._open.values()):
                one.check(self._parts)

    async def live(self, request: web.Request, caller: Caller) -> web.StreamResponse:
        """Serve one viewer until it goes."""
        camera, stream = request.match_info["camera"], which(request)
        state = self._parts.cameras.find(camera)
        if state is None:
            raise unknown_camera()
        name = stream_of(camera, stream)
        if _seen(state, name) is None:
            raise Rejected("camera.no_sub", "this camera has no sub stream", camera=camera)
        self._parts.audit.record(
            Entry(
                "event",
                "ws /ws/live/{camera}",
                who=caller.subject.name,
                source=caller.address,
                camera=camera,
                hardware_no=f"camera:{camera}",
            )
        )
        socket = web.WebSocketResponse(
            compress=False, heartbeat=HEARTBEAT_S, max_msg_size=MOST_MESSAGE_BYTES
        )
        await socket.prepare(request)
        transport = request.transport
        if transport is None or caller.session is None:
            return socket
        viewer = Viewer(transport, self._parts.clock)
        source: Watched = self._parts.hub.stream(name)
        may = "unmasked" in caller.subject.may(camera)
        covered = not may and bool(cover.hidden_now(self._parts, camera))
        small = covered or (request.query.get("video") == "h264" and _foreign(source.config))
        key = (name, request.query.get("sound") != "no", small, covered)
        try:
            feed = await self._feed(key, caller, first=request.query.get("first") == "1")
        except Unavailable as err:
            said = cover.refusal(err, self._parts.cameras)
            viewer.tell(frame(msgspec.json.encode(said), TEXT))
            await socket.close()
            return socket
        shown = _Open(viewer, transport, caller.session, key)
        number = next(self._numbers)
        self._open[number] = shown
        end = self._parts.cameras.subscribe(shown.changed)
        try:
            # As it is now: something may have been hidden while the converter was waited for.
            shown.changed(self._parts.cameras.find(camera) or state)
            feed.join(viewer)
            async for _ in socket:  # nothing is expected; reading is what notices that it went
                pass
        finally:
            end()
            del self._open[number]
            feed.leave(viewer)
            if not feed.viewers and self._feeds.get(key) is feed:
                del self._feeds[key]
        return socket

    async def _feed(self, key: "_Key", caller: Caller, *, first: bool) -> Feed:
        """Return what makes frames of a stream, as it is or converted.

        Raises:
            Unavailable: ``recode.busy``, ``recode.behind``.
        """
        name, sound, small, covered = key
        clock, stream = self._parts.clock, self._parts.hub.stream(name)
        if not small:
            return self._feeds.setdefault(key, Feed(stream, clock, sound=sound))
        async with self._begun.setdefault(key, asyncio.Lock()):
            feed = self._feeds.get(key)
            if feed is None:
                camera = camera_of(name)
                place = await cover.take(self._parts, caller, camera, first=first)
                place.given_up = partial(self._give_up, key, place.use.session)
                masks = partial(cover.hidden_now, self._parts, camera) if covered else tuple
                made = self._parts.recodes.live(stream, place, masks)
                with_sound = Voiced(made, stream) if sound else made
                feed = self._feeds[key] = Feed(with_sound, clock, sound=sound)
            return feed

    def _give_up(self, key: "_Key", session: int) -> None:
        """The same person wants another picture converted more; unless others look on, too."""
        viewers = [one for one in self._open.values() if one.key == key]
        if all(one.session.number == session for one in viewers):
            for one in viewers:
                one.give_up()


def _foreign(config: StreamConfig | None) -> bool:
    return any(track.codec in FOREIGN for track in config or ())


def _seen(state: CameraState, stream: str) -> StreamState | None:
    """Return how a stream does, None if it is not one of this camera's."""
    both = (state, state.sub)
    return next((one for one in both if one is not None and one.stream == stream), None)


_Key = tuple[str, bool, bool, bool]
"""A stream: with its sound or not, made small or not, with its masks burned in or not."""


class _Open:
    """A viewer with its session."""

    def __init__(
        self, viewer: Viewer, transport: asyncio.Transport, session: Session, key: _Key
    ) -> None:
        self._viewer = viewer
        self._transport = transport
        self.session = session
        self.key = key

    def changed(self, state: CameraState) -> None:
        """Pass the stream's condition on; cut who may not see what was hidden just now."""
        stream, _, _, covered = self.key
        hidden = bool(state.masks) and not state.masks_burned and not covered
        if hidden and "unmasked" not in self.session.subject.may(state.name):
            self._transport.close()
            return
        seen = _seen(state, stream)
        if seen is not None:
            message = StateMessage(seen.state, seen.since_us, seen.code)
            self._viewer.tell(frame(msgspec.json.encode(message), TEXT))

    def give_up(self) -> None:
        """Say that it is not converted any more, and why."""
        said = cover.Refused("recode.given_up", "the same person has another one converted", {})
        self._viewer.tell(frame(msgspec.json.encode(said), TEXT))
        self._transport.close()

    def check(self, parts: Parts) -> None:
        """Cut what has stalled or whose session is over; watching is using."""
        parts.sessions.use(self.session)
        stream, _, _, covered = self.key
        if not parts.sessions.alive(self.session):
            self._viewer.tell(closing(SIGNED_OUT))
            self._transport.close()
        elif covered and not cover.hidden_now(parts, camera_of(stream)):
            self._transport.close()  # nothing is hidden any more: as it is it costs nothing
        else:
            self._viewer.judge()
