"""Recordings over HTTP: what there is, groups of pictures, and files to take away.

Reads block on the disk, so they run in three threads of their own; two exports at most run at a
time, which leaves one thread to whoever scrubs.
"""

import asyncio
import re
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import ParamSpec, TypeVar

from aiohttp import web
from msgspec import Struct

from nvr.auth.policy import authorise, unknown_camera
from nvr.base.errors import Rejected, Unavailable
from nvr.base.transport import cut
from nvr.media.name import camera_of, stream_of, which_of
from nvr.media.part import Bytes
from nvr.playback.gap import Fetch, Gap
from nvr.playback.holding import Holding
from nvr.playback.query import Gop, Recorded
from nvr.playback.track import Place
from nvr.record.remembered import Damage, Round
from nvr.web.fragment import Voice, renumbered, shown, without
from nvr.web.gate import SPAN
from nvr.web.looked import Looked
from nvr.web.parts import Caller, Parts, Route, VolumeLook
from nvr.web.reply import answer, number, which
from nvr.wire import fmp4

P = ParamSpec("P")
T = TypeVar("T")

MOST_EXPORTS = 2
WRITE_S = 30.0
_PLACE = re.compile(r"[0-9]{1,18}\.-?[0-9]{1,18}", re.ASCII)


class FetchView(Struct, frozen=True):
    """What became of fetching from the camera's own storage. See `nvr.playback.gap.Fetch`."""

    at_us: int
    source: str
    code: str


class RunView(Struct, frozen=True):
    """A stretch that is recorded, as JSON."""

    run: int
    from_us: int
    to_us: int
    place: str
    clock: str
    uncertainty_ms: int
    behind_us: int
    fetch: FetchView | None


class GapView(Struct, frozen=True):
    """A hole in a recording, as JSON."""

    from_us: int
    to_us: int
    cause: str
    code: str
    by: str
    open: bool
    fetch: FetchView | None


class CaptionView(Struct, frozen=True):
    """What was to be drawn over pictures since a time, as JSON."""

    from_us: int
    lines: tuple[str, ...]
    position_permille: tuple[int, int]
    size_permille: int
    mode: str


class RangesView(Struct, frozen=True):
    """What is recorded, as JSON."""

    runs: list[RunView]
    gaps: list[GapView]
    recorded_until_us: int
    streams: list[str]
    captions: list[CaptionView]


class HoldingView(Struct, frozen=True):
    """What is held of a stream as JSON. See `nvr.playback.holding.Holding`."""

    camera: str
    stream: str
    used_bytes: int
    from_us: int
    to_us: int
    bits_per_s: int
    promised_h: float
    holds_h: float | None
    short: bool
    guaranteed_h: float
    broken: bool
    limit_h: float
    limit_gb: float
    own_gb: float
    locked_bytes: int


class DamageView(Struct, frozen=True):
    """A damaged block as JSON. See `nvr.record.remembered.Damage`."""

    camera: str
    stream: str
    block: int
    from_us: int
    to_us: int
    parts: int
    refused: bool
    detail: str
    found_us: int


class ReadBackView(Struct, frozen=True):
    """What reading back has verified and found, as JSON."""

    last: Round
    now: Round
    damages: tuple[DamageView, ...]
    avoided: tuple[int, ...]


class VolumeView(Struct, frozen=True):
    """One volume as JSON. See `nvr.web.parts.VolumeLook`."""

    name: str
    uuid: str
    role: str
    code: str
    detail: str
    size_bytes: int
    wanted_bytes: int
    used_bytes: int
    locked_bytes: int
    from_us: int
    to_us: int


class RingView(Struct, frozen=True):
    """All volumes together as JSON, and each."""

    size_bytes: int
    used_bytes: int
    oldest_us: int
    behind_s: float
    uuid: str
    condemned: int
    locked_bytes: int
    unread_bytes: int
    streams: tuple[HoldingView, ...]
    readback: ReadBackView
    wanted_bytes: int
    volumes: tuple[VolumeView, ...]


class Playback:
    """Handlers of this module."""

    def __init__(self, parts: Parts, looked: Looked) -> None:
        self._parts = parts
        self._pool = ThreadPoolExecutor(3, "archive")
        self._exports = 0
        self._voice, self._voice_lock = Voice(), threading.Lock()
        self._looked = looked

    def routes(self) -> list[Route]:
        """Every route of this module."""
        one = "http GET /api/camera/{name}"
        return [
            Route(f"{one}/ranges", self.ranges, "name"),
            Route(f"{one}/init", self.init, "name"),
            Route(f"{one}/gop", self.gop, "name"),
            Route(f"{one}/export", self.export, "name"),
            Route("http GET /api/ring", self.ring),
        ]

    def close(self) -> None:
        """End the threads."""
        self._pool.shutdown(cancel_futures=True)

    async def ranges(self, request: web.Request, caller: Caller) -> web.Response:  # noqa: ARG002 - a handler's shape
        """``GET /api/camera/{name}/ranges``."""
        stream = self._stream(request)
        from_us, to_us = _span(request)
        found = await self._beside(self._parts.archive.ranges, stream, from_us, to_us)
        held = await self._beside(self._parts.archive.streams)
        camera = camera_of(stream)
        captions = await self._beside(self._parts.cameras.captions_over, camera, (from_us, to_us))
        return answer(
            RangesView(
                list(map(_run, found.runs)),
                list(map(_gap, found.gaps)),
                found.recorded_until_us,
                [which_of(name) for name in sorted(held) if camera_of(name) == camera],
                [
                    CaptionView(at, one.lines, one.position_permille, one.size_permille, one.mode)
                    for at, one in captions
                ],
            )
        )

    async def init(self, request: web.Request, caller: Caller) -> web.Response:  # noqa: ARG002 - a handler's shape
        """``GET /api/camera/{name}/init``: tracks as browsers play them."""
        stream, run = self._stream(request), number(request, "run")
        kept = await self._beside(self._parts.archive.config, stream, run)
        config = shown(kept, sound=_with_sound(request))
        headers = {"X-NVR-Mime": fmp4.mime(config), "Cache-Control": "private, no-store"}
        return web.Response(
            body=fmp4.init_segment(config), headers=headers, content_type="video/mp4"
        )

    async def gop(self, request: web.Request, caller: Caller) -> web.Response:
        """``GET /api/camera/{name}/gop``."""
        stream, (t_us, _) = self._stream(request), _span(request)
        camera = request.match_info["name"]
        self._looked.note(caller, camera, t_us)
        key_only = request.query.get("key") == "1"
        found, data = await self._beside(
            self._read_gop, stream, t_us, _place(request), key_only, _with_sound(request)
        )
        if found is None:
            raise Rejected("archive.nothing", "nothing is recorded then or later", next_us=None)
        # It may be of another time than was asked for.
        key, span = "http GET /api/camera/{name}/gop", (found.from_us, found.to_us)
        authorise(caller.subject, key, camera, span, masked=self._parts.cameras.masked)
        headers = {
            "X-NVR-From-Us": str(found.from_us),
            "X-NVR-To-Us": str(found.to_us),
            "X-NVR-Run": str(found.run),
            "X-NVR-Next-Us": "" if found.next_us is None else str(found.next_us),
            "X-NVR-Next": _text(found.following),
            "Cache-Control": "private, no-store",
        }
        return web.Response(body=data, headers=headers, content_type="video/mp4")

    def _read_gop(
        self, stream: str, t_us: int, place: Place | None, key_only: bool, sound: bool
    ) -> tuple[Gop | None, Bytes]:
        found = self._parts.archive.gop(stream, t_us, place, key_only=key_only)
        if found is None:
            return None, b""
        config = self._parts.archive.config(stream, found.run)
        if not sound:
            return found, without(found.data, renumbered(config))
        with self._voice_lock:
            return found, self._voice.turn(found.data, config, (stream, found.run))

    async def export(self, request: web.Request, caller: Caller) -> web.StreamResponse:
        """``GET /api/camera/{name}/export``: streamed as it is read."""
        stream, (from_us, to_us) = self._stream(request), _span(request)
        if self._exports >= MOST_EXPORTS:
            raise Unavailable("export.busy", "two exports are running, wait for one to end")
        self._exports += 1
        try:
            pieces = await self._beside(self._parts.archive.export, stream, from_us, to_us)
            first = await self._beside(next, pieces, None)
            if first is None:
                raise Rejected("export.nothing", "nothing is recorded there")
            camera = request.match_info["name"]
            of = "" if which(request) == "main" else f"{which(request)}: "
            self._looked.record(caller, camera, "export", f"{of}{from_us} to {to_us}")
            response = web.StreamResponse(
                headers={
                    # A name here would override the page's: title and local time.
                    "Content-Disposition": "attachment",
                    "Cache-Control": "private, no-store",
                }
            )
            response.content_type = "video/mp4"
            await response.prepare(request)
            piece: bytes | None = first
            while piece is not None:
                async with asyncio.timeout(WRITE_S):
                    await response.write(piece)
                piece = await self._beside(next, pieces, None)
            await response.write_eof()
        except TimeoutError as err:
            cut(request.transport)  # a short file must not look like a whole one
            raise Unavailable("export.stalled", "the receiver stopped reading") from err
        finally:
            self._exports -= 1
        return response

    async def ring(self, request: web.Request, caller: Caller) -> web.Response:  # noqa: ARG002 - a handler's shape
        """``GET /api/ring``; of cameras, those the caller may know."""
        volume = await self._beside(self._parts.archive.volume)
        held = await self._beside(self._parts.archive.holdings)
        each = await self._beside(self._parts.archive.volumes)
        read = self._parts.archive.readback()
        return answer(
            RingView(
                volume.size_bytes,
                volume.used_bytes,
                volume.oldest_us,
                self._parts.box.behind_s(),
                str(volume.ring_id),
                volume.condemned,
                volume.locked_bytes,
                volume.unread_bytes,
                tuple(view for view in map(_holding, held) if caller.subject.may(view.camera)),
                ReadBackView(
                    read.last,
                    read.now,
                    tuple(v for v in map(_damage, read.damages) if caller.subject.may(v.camera)),
                    read.avoided,
                ),
                volume.wanted_bytes,
                tuple(map(_volume, each)),
            )
        )

    def _stream(self, request: web.Request) -> str:
        """The stream meant; what was recorded of one that the camera has no more is still there."""
        name = request.match_info["name"]
        if self._parts.cameras.find(name) is None:
            raise unknown_camera()
        return stream_of(name, which(request))

    async def _beside(self, call: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._pool, lambda: call(*args, **kwargs))


def _span(request: web.Request) -> tuple[int, int]:
    span = request.get(SPAN)
    if span is None:
        raise Rejected("body.invalid", "say which time: from_us and to_us, or t_us")
    from_us, to_us = span
    return from_us, to_us


def _with_sound(request: web.Request) -> bool:
    """Whether sound is wanted; ``sound=no`` where a browser does not take the kind of it."""
    return request.query.get("sound") != "no"


def _place(request: web.Request) -> Place | None:
    text = request.query.get("place")
    if text is None:
        return None
    if not _PLACE.fullmatch(text):
        raise Rejected("body.invalid", "place is what X-NVR-Next said")
    run, tick = text.split(".")
    return Place(int(run), int(tick))


def _run(one: Recorded) -> RunView:
    return RunView(
        one.run,
        one.from_us,
        one.to_us,
        _text(one.place),
        one.trust.clock,
        one.trust.uncertainty_ms,
        one.trust.behind_us,
        _fetch(one.fetch),
    )


def _gap(one: Gap) -> GapView:
    fetch = _fetch(one.fetch)
    return GapView(one.from_us, one.to_us, one.cause, one.code, one.by, one.open, fetch)


def _fetch(one: Fetch | None) -> FetchView | None:
    return None if one is None else FetchView(one.at_us, one.source, one.code)


def _text(place: Place | None) -> str:
    return f"{place.run}.{place.start_90k}" if place else ""


def _volume(one: VolumeLook) -> VolumeView:
    fault, state = one.fault, one.state
    return VolumeView(
        one.name,
        one.uuid,
        one.role,
        fault.code if fault else "",
        fault.detail if fault else "",
        state.size_bytes if state else 0,
        state.wanted_bytes if state else 0,
        state.used_bytes if state else 0,
        state.locked_bytes if state else 0,
        state.oldest_us if state else 0,
        one.to_us,
    )


def _damage(found: Damage) -> DamageView:
    return DamageView(
        camera_of(found.stream),
        which_of(found.stream),
        found.block,
        found.from_us,
        found.to_us,
        found.parts,
        found.refused,
        found.detail,
        found.found_us,
    )


def _holding(held: Holding) -> HoldingView:
    return HoldingView(
        camera_of(held.stream),
        which_of(held.stream),
        held.used_bytes,
        held.from_us,
        held.to_us,
        round(held.bytes_per_s * 8),
        round(held.promised_s / 3600, 1),
        round(held.holds_s / 3600, 1) if held.holds_s else None,
        held.short,
        round(held.guaranteed_s / 3600, 1),
        held.broken,
        round(held.limit_s / 3600, 1),
        held.limit_bytes / 1e9,
        held.own_bytes / 1e9,
        held.locked_bytes,
    )
