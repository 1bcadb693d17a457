"""Recordings over HTTP: what there is, groups of pictures, and files to take away.

Reads block on the disk, so they run in three threads of their own; two exports at most run at a
time, which leaves one thread to whoever scrubs.
"""

import asyncio
from collections import OrderedDict
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import ParamSpec, TypeVar

from aiohttp import web
from msgspec import Struct

from nvr.auth.audit import Entry
from nvr.auth.policy import authorise, unknown_camera
from nvr.base.errors import Rejected, Unavailable
from nvr.playback.holding import Holding
from nvr.playback.query import Gop
from nvr.web.fragment import playable, renumbered, without
from nvr.web.gate import SPAN
from nvr.web.parts import Caller, Parts, Route
from nvr.web.reply import answer, number
from nvr.wire import fmp4

P = ParamSpec("P")
T = TypeVar("T")

MOST_EXPORTS = 2
WRITE_S = 30.0
NOTED_US = 3600_000_000
MOST_NOTED = 4096


class RunView(Struct, frozen=True):
    """A stretch that is recorded, as JSON."""

    run: int
    from_us: int
    to_us: int


class GapView(Struct, frozen=True):
    """A hole in a recording, as JSON."""

    from_us: int
    to_us: int
    cause: str
    code: str
    by: str
    open: bool


class RangesView(Struct, frozen=True):
    """What is recorded, as JSON."""

    runs: list[RunView]
    gaps: list[GapView]
    recorded_until_us: int


class HoldingView(Struct, frozen=True):
    """What is held of a stream as JSON. See `nvr.playback.holding.Holding`."""

    camera: str
    used_bytes: int
    from_us: int
    to_us: int
    bits_per_s: int
    promised_h: float
    holds_h: float | None
    short: bool


class RingView(Struct, frozen=True):
    """The volume as JSON."""

    size_bytes: int
    used_bytes: int
    oldest_us: int
    behind_s: float
    uuid: str
    condemned: int
    streams: tuple[HoldingView, ...]


class Playback:
    """Handlers of this module."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts
        self._pool = ThreadPoolExecutor(3, "archive")
        self._exports = 0
        # What the audit log has already: one row for each session, camera and hour looked at.
        self._noted: OrderedDict[tuple[int, str, int], None] = OrderedDict()

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
        return answer(
            RangesView(
                [RunView(one.run, one.from_us, one.to_us) for one in found.runs],
                [
                    GapView(one.from_us, one.to_us, one.cause, one.code, one.by, one.open)
                    for one in found.gaps
                ],
                found.recorded_until_us,
            )
        )

    async def init(self, request: web.Request, caller: Caller) -> web.Response:  # noqa: ARG002 - a handler's shape
        """``GET /api/camera/{name}/init``: only tracks that browsers play."""
        stream, run = self._stream(request), number(request, "run")
        config = playable(await self._beside(self._parts.archive.config, stream, run))
        headers = {"X-NVR-Mime": fmp4.mime(config), "Cache-Control": "private, no-store"}
        return web.Response(
            body=fmp4.init_segment(config), headers=headers, content_type="video/mp4"
        )

    async def gop(self, request: web.Request, caller: Caller) -> web.Response:
        """``GET /api/camera/{name}/gop``."""
        stream, (t_us, _) = self._stream(request), _span(request)
        camera = request.match_info["name"]
        self._note(caller, camera, t_us)
        found, data = await self._beside(self._read_gop, stream, t_us)
        if found is None:
            raise Rejected("archive.nothing", "nothing is recorded then or later", next_us=None)
        if caller.subject.recorded is not None:
            key = "http GET /api/camera/{name}/gop"
            authorise(caller.subject, key, camera, (found.from_us, found.to_us))
        headers = {
            "X-NVR-From-Us": str(found.from_us),
            "X-NVR-To-Us": str(found.to_us),
            "X-NVR-Run": str(found.run),
            "X-NVR-Next-Us": "" if found.next_us is None else str(found.next_us),
            "Cache-Control": "private, no-store",
        }
        return web.Response(body=data, headers=headers, content_type="video/mp4")

    def _read_gop(self, stream: str, t_us: int) -> tuple[Gop | None, bytes]:
        found = self._parts.archive.gop(stream, t_us)
        if found is None:
            return None, b""
        ids = renumbered(self._parts.archive.config(stream, found.run))
        return found, without(found.data, ids) if ids is not None else found.data

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
            self._record(caller, camera, "export", f"{from_us} to {to_us}")
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
            if request.transport is not None:
                request.transport.abort()  # a short file must not look like a whole one
            raise Unavailable("export.stalled", "the receiver stopped reading") from err
        finally:
            self._exports -= 1
        return response

    async def ring(self, request: web.Request, caller: Caller) -> web.Response:  # noqa: ARG002 - a handler's shape
        """``GET /api/ring``; of cameras, those the caller may know."""
        volume = await self._beside(self._parts.archive.volume)
        held = await self._beside(self._parts.archive.holdings)
        return answer(
            RingView(
                volume.size_bytes,
                volume.used_bytes,
                volume.oldest_us,
                self._parts.box.behind_s(),
                str(volume.ring_id),
                volume.condemned,
                tuple(view for view in map(_holding, held) if caller.subject.may(view.camera)),
            )
        )

    def _stream(self, request: web.Request) -> str:
        state = self._parts.cameras.find(request.match_info["name"])
        if state is None:
            raise unknown_camera()
        return state.stream

    def _note(self, caller: Caller, camera: str, t_us: int) -> None:
        """Scrubbing fetches ten groups a second: the log says which hours were looked at."""
        if caller.session is None:
            return
        key = (caller.session.number, camera, t_us // NOTED_US)
        if key in self._noted:
            return
        self._record(caller, camera, "gop", f"at {t_us}")
        self._noted[key] = None
        if len(self._noted) > MOST_NOTED:
            self._noted.popitem(last=False)

    def _record(self, caller: Caller, camera: str, what: str, reason: str) -> None:
        """Written before the first byte goes out, so that breaking off does not hide it."""
        self._parts.audit.record(
            Entry(
                "event",
                f"http GET /api/camera/{{name}}/{what}",
                "ok",
                reason,
                caller.subject.name,
                caller.address,
                camera,
                f"camera:{camera}",
            )
        )

    async def _beside(self, call: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._pool, lambda: call(*args, **kwargs))


def _span(request: web.Request) -> tuple[int, int]:
    span = request.get(SPAN)
    if span is None:
        raise Rejected("body.invalid", "say which time: from_us and to_us, or t_us")
    from_us, to_us = span
    return from_us, to_us


def _holding(held: Holding) -> HoldingView:
    return HoldingView(
        held.stream.partition("/")[0],
        held.used_bytes,
        held.from_us,
        held.to_us,
        round(held.bytes_per_s * 8),
        round(held.promised_s / 3600, 1),
        round(held.holds_s / 3600, 1) if held.holds_s else None,
        held.short,
    )
