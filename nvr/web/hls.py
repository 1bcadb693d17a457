"""HTTP Live Streaming: live with low latency, and spans of recordings.

``/hls/{camera}/live/index.m3u8`` lists the camera's streams, ``main.m3u8`` and ``sub.m3u8`` are
theirs; ``/hls/{camera}/rec/main.m3u8?from_us=&to_us=`` is a span of what was recorded. People come
with their session, machines with HTTP's Basic, players that can do neither with a link
(`nvr.auth.link`): ``/link/{link}/{camera}/...``. Each request is asked about anew.
"""

import asyncio
import re
from collections import OrderedDict
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Annotated, Final, ParamSpec, TypeVar

from aiohttp import web
from msgspec import Meta, Struct

from nvr.auth.audit import Entry
from nvr.auth.link import MOST_S as LONGEST_LINK_S
from nvr.auth.policy import authorise, unknown_camera
from nvr.auth.user import Span
from nvr.base.errors import Rejected, Unavailable
from nvr.media.name import WHICH, Which, stream_of
from nvr.media.part import Bytes
from nvr.playback.track import Place
from nvr.web.gate import REASON, SPAN
from nvr.web.hls_live import Rolling
from nvr.web.hls_live import codecs as named
from nvr.web.hls_recorded import Asked, Spans
from nvr.web.parts import Caller, Parts, Route
from nvr.web.pieces import Pieces
from nvr.web.reply import answer, number, read_json
from nvr.wire import m3u8

P = ParamSpec("P")
T = TypeVar("T")

MOST_VIEWERS: Final = 64
MOST_OF_ONE: Final = 32
SEEN_S: Final = 30.0
"""Who has asked for nothing for so long does not look on any more."""
CHECK_S: Final = 1.0
_GUESS_BPS: Final = 8_000_000
_WHICH: Final = f"(?P<which>{'|'.join(WHICH)})"
_LIST: Final = re.compile(rf"{_WHICH}\.m3u8", re.ASCII)
_INIT: Final = re.compile(rf"{_WHICH}-(?P<n>\d{{1,15}})\.init\.mp4", re.ASCII)
_LIVE: Final = re.compile(rf"{_WHICH}-(?P<n>\d{{1,15}})(-(?P<part>\d{{1,4}}))?\.mp4", re.ASCII)
_RECORDED: Final = re.compile(
    rf"{_WHICH}-(?P<run>\d{{1,15}})\.(?P<tick>-?\d{{1,17}})-(?P<at>\d{{1,17}})-(?P<n>\d{{1,3}})\.mp4",
    re.ASCII,
)
_LIVE_KEY, _RECORDED_KEY = "/{camera}/live/{file}", "/{camera}/rec/{file}"


class LinkBody(Struct, frozen=True, forbid_unknown_fields=True):
    """Body of ``POST /api/camera/{name}/link``; without a span the link is to what is live."""

    hours: Annotated[float, Meta(gt=0, le=LONGEST_LINK_S / 3600)] = 24.0
    stream: Which = "main"
    from_us: Annotated[int, Meta(ge=0)] | None = None
    to_us: Annotated[int, Meta(ge=0)] | None = None


class LinkAnswer(Struct, frozen=True):
    """A new link.

    Attributes:
        path: Path and query of its playlist on this server.
        until_us: UTC microseconds at which it ends.
        rtsp_port: Where the RTSP server listens, for who has a credential.
    """

    path: str
    until_us: int
    rtsp_port: int


class Hls:
    """Handlers of this module."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts
        self._rolling: dict[str, Rolling] = {}
        self._spans = Spans(parts.archive)
        self._pool = ThreadPoolExecutor(2, "hls")
        self._viewers: OrderedDict[tuple[str, str, str], float] = OrderedDict()

    def routes(self) -> list[Route]:
        """Every route of this module."""
        live, recorded = self.live, self.recorded
        return [
            Route(f"http GET /hls{_LIVE_KEY}", live, "camera", machine=True, asks=True),
            Route(f"http GET /hls{_RECORDED_KEY}", recorded, "camera", machine=True, asks=True),
            Route(f"http GET /link/{{link}}{_LIVE_KEY}", live, "camera", link="live"),
            Route(f"http GET /link/{{link}}{_RECORDED_KEY}", recorded, "camera", link="recorded"),
            Route("http POST /api/camera/{name}/link", self.link, "name", log="event"),
        ]

    async def check(self) -> None:
        """Let go of streams that nobody asks for any more. Runs until cancelled."""
        while True:
            await asyncio.sleep(CHECK_S)
            now_s = self._parts.clock.monotonic_s()
            for name in [n for n, one in self._rolling.items() if one.idle(now_s)]:
                self._rolling.pop(name).close()
            while self._viewers and next(iter(self._viewers.values())) < now_s - SEEN_S:
                self._viewers.popitem(last=False)

    def close(self) -> None:
        """End the threads, and what is gathered."""
        for one in self._rolling.values():
            one.close()
        self._rolling.clear()
        self._pool.shutdown(cancel_futures=True)

    async def live(self, request: web.Request, caller: Caller) -> web.StreamResponse:
        """``GET /hls/{camera}/live/{file}``."""
        camera, file = request.match_info["camera"], request.match_info["file"]
        if not self._parts.cameras.has(camera):
            raise unknown_camera()
        allow = partial(self._allow, caller, f"http GET /hls{_LIVE_KEY}", camera)
        self._seen(caller, camera, "live")
        if file == "index.m3u8":
            return _text(self._variants(camera).encode())
        if found := _LIST.fullmatch(file):
            wanted = [_count(request, key) for key in ("_HLS_msn", "_HLS_part")]
            text = await self._of(camera, found["which"]).playlist(*wanted)
            allow(None)
            return _text(text)
        if found := _INIT.fullmatch(file):
            return _media(request, [self._of(camera, found["which"]).init(int(found["n"]))])
        if found := _LIVE.fullmatch(file):
            of = self._of(camera, found["which"])
            if found["part"] is None:
                pieces = await of.segment(int(found["n"]))
            else:
                pieces = [await of.part(int(found["n"]), int(found["part"]))]
            allow(None)
            return _media(request, pieces)
        raise Rejected("path.unknown", "there is nothing at this path")

    async def recorded(self, request: web.Request, caller: Caller) -> web.StreamResponse:
        """``GET /hls/{camera}/rec/{file}``."""
        camera, file = request.match_info["camera"], request.match_info["file"]
        if not self._parts.cameras.has(camera):
            raise unknown_camera()
        allow = partial(self._allow, caller, f"http GET /hls{_RECORDED_KEY}", camera)
        if found := _LIST.fullmatch(file):
            span = request.get(SPAN)
            if span is None:
                raise Rejected("body.invalid", "say which time: from_us and to_us")
            self._seen(caller, camera, f"{span[0]} to {span[1]}")
            stream = stream_of(camera, _which(found["which"]))
            text = await self._beside(self._spans.playlist, stream, found["which"], span)
            return _text(text.encode())
        if found := _INIT.fullmatch(file):
            stream = stream_of(camera, _which(found["which"]))
            init = await self._beside(self._spans.init, stream, int(found["n"]))
            return _media(request, [init])
        if found := _RECORDED.fullmatch(file):
            self._seen(caller, camera, "")
            stream = stream_of(camera, _which(found["which"]))
            place = Place(int(found["run"]), int(found["tick"]))
            asked = Asked(place, int(found["at"]), int(found["n"]))
            allow((asked.from_us, asked.from_us))
            pieces = await self._beside(self._spans.segment, stream, asked, allow)
            return _media(request, pieces)
        raise Rejected("path.unknown", "there is nothing at this path")

    async def link(self, request: web.Request, caller: Caller) -> web.Response:
        """``POST /api/camera/{name}/link``: whoever may take pictures away may show them."""
        camera, body = request.match_info["name"], await read_json(request, LinkBody)
        links = self._parts.links
        if self._parts.cameras.find(camera) is None:
            raise unknown_camera()
        if links is None:
            raise Unavailable("link.invalid", "this box makes no links")
        key, span, query = _LIVE_KEY, None, ""
        if body.from_us is not None and body.to_us is not None:
            key, asked = _RECORDED_KEY, (body.from_us, body.to_us)
            self._allow(caller, f"http GET /hls{key}", camera, asked)
            stream = stream_of(camera, body.stream)
            found = await self._beside(self._parts.archive.groups, stream, *asked)
            if not found:
                raise Rejected("archive.nothing", "nothing is recorded then")
            # Groups of pictures are shown whole, also the one that begins before the span.
            ends = max(one.from_us + one.duration_90k * 100 // 9 for one in found)
            span = min(asked[0], *(one.from_us for one in found)), max(asked[1], ends)
            query = f"?from_us={asked[0]}&to_us={asked[1]}"
        else:
            self._allow(caller, f"http GET /hls{key}", camera, None)
        made = links.make(caller.subject, camera, round(body.hours * 3600), span)
        file = f"{body.stream}.m3u8" if span or body.stream != "main" else "index.m3u8"
        request[REASON] = f"{body.stream} {span[0]} to {span[1]}" if span else body.stream
        until_us = self._parts.clock.wall_us() + round(body.hours * 3600) * 1_000_000
        path = key.format(camera=camera, file=file)
        return answer(LinkAnswer(f"/link/{made}{path}{query}", until_us, self._parts.rtsp_port))

    def _allow(self, caller: Caller, key: str, camera: str, span: Span | None) -> None:
        """Ask anew: masks and rights may have changed while something was waited for."""
        authorise(caller.subject, key, camera, span, masked=self._parts.cameras.masked)

    def _of(self, camera: str, which: str) -> Rolling:
        name = stream_of(camera, _which(which))
        found = self._rolling.get(name)
        if found is None:
            state = self._parts.cameras.find(camera)
            if state is None or (which == "sub" and state.sub is None):
                raise Rejected("camera.no_sub", "this camera has no sub stream", camera=camera)
            stream = self._parts.hub.stream(name)
            found = self._rolling[name] = Rolling(stream, which, self._parts.clock)
        return found

    def _variants(self, camera: str) -> str:
        state = self._parts.cameras.find(camera)
        if state is None:
            raise unknown_camera()
        listed: list[m3u8.Variant] = []
        for which, seen in (("main", state), ("sub", state.sub)):
            if seen is None:
                continue
            of = self._of(camera, which) if which == "main" else self._rolling.get(seen.stream)
            config = self._parts.hub.stream(seen.stream).config
            peak_bps = (of.peak_bps if of else 0) or seen.bitrate_bps * 3 // 2 or _GUESS_BPS
            size = (seen.width_px, seen.height_px)
            try:
                codecs = named(config) if config else ""
            except ValueError:
                continue
            listed.append(m3u8.Variant(f"{which}.m3u8", peak_bps, codecs, size, seen.fps))
        if not listed:
            raise Rejected("hls.codec", "players of HLS know no such pictures")
        return m3u8.variants(listed)

    def _seen(self, caller: Caller, camera: str, what: str) -> None:
        """Count who looks on, and write down who begins to.

        Raises:
            Unavailable: ``hls.full``.
        """
        now_s = self._parts.clock.monotonic_s()
        key = (
            caller.subject.name,
            caller.address,
            f"{camera} {'live' if what == 'live' else 'rec'}",
        )
        known = self._viewers.get(key, -SEEN_S) > now_s - SEEN_S
        if not known:
            here = [one for one, at_s in self._viewers.items() if at_s > now_s - SEEN_S]
            of_one = sum(one[1] == caller.address for one in here)
            if len(here) >= MOST_VIEWERS or of_one >= MOST_OF_ONE:
                raise Unavailable("hls.full", "as many look on as can be served", retry_after_s=10)
        if not known or what not in {"live", ""}:
            self._parts.audit.record(
                Entry(
                    "event", f"hls {'live' if what == 'live' else 'rec'}", "ok",
                    "" if what == "live" else what, caller.subject.name, caller.address, camera,
                    f"camera:{camera}",
                )
            )  # fmt: skip
        self._viewers[key] = now_s
        self._viewers.move_to_end(key)

    async def _beside(self, call: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._pool, lambda: call(*args, **kwargs))


def _which(text: str) -> Which:
    return "sub" if text == "sub" else "main"


def _count(request: web.Request, key: str) -> int | None:
    return number(request, key) if key in request.query else None


def _text(text: bytes) -> web.Response:
    headers = {"Cache-Control": "no-store"}
    return web.Response(body=text, content_type=m3u8.MIME, headers=headers)


def _media(request: web.Request, pieces: Sequence[Bytes]) -> web.Response:
    headers = {"Cache-Control": "private, no-store"}
    return web.Response(body=Pieces(pieces, request, "video/mp4"), headers=headers)
