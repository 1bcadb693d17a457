"""Recorded pictures and sound over RTSP, as ONVIF's replay has it: ``/rec/<name>`` and ``.../sub``.

``PLAY`` with ``Range: clock=20260615T114900.440Z-`` begins at the key frame that shows that time,
and goes on over gaps to the end of what is recorded. ``Scale: -1`` goes back from there, group of
pictures by group, each in the order of decoding, without sound. ``Rate-Control: no`` sends as fast
as the peer takes it.

This is Python for each access unit, unlike live streams: it runs for who looks back.

Source: ONVIF Streaming Specification 23.06, section 6 (replay); RFC 2326, sections 3.7 and 12.29.
"""

import asyncio
import logging
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final, Protocol

from nvr.auth.user import Span
from nvr.base.clock import TICKS_PER_S, Clock
from nvr.base.errors import NvrError
from nvr.base.log import event
from nvr.media.track import StreamConfig
from nvr.playback.query import Gop, Ranges
from nvr.playback.track import Place
from nvr.serve.rtsp_login import Denied
from nvr.serve.rtsp_relay import describe, payload_type
from nvr.serve.rtsp_unit import Flags, Line, Packer, Unit, told, units
from nvr.serve.rtsp_wish import EVER_US, Wish
from nvr.wire.rtsp import Request
from nvr.wire.rtsp_replay import stamp
from nvr.wire.rtsp_session import Server

_log = logging.getLogger(__name__)

STUCK_S: Final = 10.0
REPORT_S: Final = 5.0
_JOINED_US: Final = 200_000
"""Two groups of pictures of one run that are no further apart follow each other."""


class Archive(Protocol):
    """What of the archive a replay needs; every call blocks. See `nvr.playback.query.Archive`."""

    def streams(self) -> tuple[str, ...]:
        """Names of all streams with something recorded."""
        ...

    def ranges(self, stream: str, from_us: int, to_us: int) -> Ranges:
        """What is recorded between two wall times."""
        ...

    def config(self, stream: str, run: int) -> StreamConfig:
        """Codecs of a run."""
        ...

    def gop(
        self, stream: str, t_us: int, place: Place | None = None, *, key_only: bool = False
    ) -> Gop | None:
        """Group of pictures that shows a time, or the next one."""
        ...


class Replay:
    """What one connection is shown of one recording.

    Args:
        archive: What is recorded.
        stream: Which of it.
        server: The connection's conversation.
        output: Where it goes: whole messages and whole packets in turn.
        clock: Time source.
        allow: Asked about each span that is about to be shown: a group of pictures may begin before
            what was asked for.
    """

    def __init__(
        self,
        archive: Archive,
        stream: str,
        server: Server,
        output: asyncio.StreamWriter,
        clock: Clock,
        allow: Callable[[Span], None],
    ) -> None:
        self._archive, self._stream, self._server = archive, stream, server
        self._allow = allow
        self._output, self._clock = output, clock
        self._described: StreamConfig = ()
        self._known: tuple[int, StreamConfig] | None = None
        self._packers: dict[int, Packer] = {}
        self._taken: tuple[int, int] | None = None
        self._task: asyncio.Task[None] | None = None
        self._stands_us: int | None = None
        self._waiting_s: float | None = None
        self.sent_bytes = 0

    @property
    def playing(self) -> bool:
        """Pictures are on their way."""
        return self._task is not None and not self._task.done()

    def stuck(self) -> bool:
        """Whether the peer has taken nothing for too long."""
        since_s = self._waiting_s
        return since_s is not None and self._clock.monotonic_s() - since_s > STUCK_S

    async def close(self) -> None:
        """Send no more."""
        task, self._task = self._task, None
        if task is not None:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    async def describe(self, name: str, own: str) -> bytes:
        """Return its SDP.

        Raises:
            Denied: 404: nothing is recorded, or no pictures that can be sent.
        """
        ranges = await asyncio.to_thread(self._archive.ranges, self._stream, 0, EVER_US)
        described = told(await self._config(ranges.runs[-1].run)) if ranges.runs else ()
        if not described or described[0].kind != "video":
            raise Denied(404, (("X-NVR-Code", "archive.nothing"),))
        if not self._server.channels:
            self._described = described
        text = describe(name, self._described, own).decode()
        for index, track in enumerate(self._described):
            control = f"a=control:track={index}\r\n"
            text = text.replace(control, f"{control}a=x-onvif-track:{track.kind.upper()}001\r\n")
        first_us = min(run.from_us for run in ranges.runs)
        last_us = max(run.to_us for run in ranges.runs)
        return f"{text}a=range:clock={stamp(first_us)}-{stamp(last_us)}\r\n".encode()

    async def set_up(self, request: Request, track: int) -> None:
        """Answer SETUP of a track; -1 is the only one there is.

        Raises:
            Denied: 404, 459.
        """
        if not self._described:
            await self.describe("", "")
        if track < 0 and len(self._described) > 1:
            raise Denied(459, ())
        if track >= len(self._described):
            raise Denied(404, ())
        self._server.set_up(request, max(track, 0))

    async def play(self, request: Request, wish: Wish) -> None:
        """Answer PLAY, and begin."""
        await self.close()
        begin_us = wish.from_us if wish.from_us is not None else self._stands_us
        if begin_us is None:
            begin_us = EVER_US if wish.backwards else 0
        gop = await self._first(begin_us, wish)
        headers = [("Rate-Control", "yes" if wish.paced else "no"), ("Scale", f"{wish.scale:g}")]
        if gop is not None:
            at_us = min(begin_us, gop.to_us) if wish.backwards else max(begin_us, gop.from_us)
            end = "" if wish.to_us is None else stamp(wish.to_us)
            headers.insert(0, ("Range", f"clock={stamp(at_us)}-{end}"))
        self._server.respond(request, 200, tuple(headers))
        self._output.write(self._server.to_send())
        playing = _Playing(wish, begin_us, self._clock.monotonic_s(), Line(wish.scale))
        self._task = asyncio.get_running_loop().create_task(self._run(gop, playing))

    async def _run(self, gop: Gop | None, playing: "_Playing") -> None:
        try:
            await self._send_all(gop, playing)
        except NvrError as err:
            event(_log, logging.WARNING, "rtsp.replay_ended", stream=self._stream, error=str(err))
        except OSError:
            pass  # the peer is gone

    async def _send_all(self, gop: Gop | None, playing: "_Playing") -> None:
        wish, before = playing.wish, None
        while gop is not None:
            config = await self._config(gop.run)
            wanted = playing.wanted(units(gop, config, self._described, intra=wish.intra))
            pictures = [one for one in wanted if one.track == 0]
            fresh = before is None or not _adjoin(before, gop, wish)
            playing.enter(pictures, fresh=fresh)
            silent = {n for n in range(len(self._described)) if fresh or wish.backwards}
            after: Gop | None = None
            for unit in wanted:
                end = last = False
                if unit is pictures[-1]:
                    # Only now, so that the first picture does not wait for it.
                    after = await self._next(gop, wish)
                    last = after is None
                    end = after is None or not _adjoin(gop, after, wish)
                flags = Flags(end, unit.track in silent, last)
                silent.discard(unit.track)
                await self._send(unit, gop.run, playing, flags)
            if not pictures:
                after = await self._next(gop, wish)
            before, gop = gop, after

    async def _send(self, unit: Unit, run: int, playing: "_Playing", flags: Flags) -> None:
        packer, data, wish = self._packer(unit.track), b"", playing.wish
        if packer is None:
            return  # it was not set up
        if wish.paced:
            at_90k = playing.line.at_90k(unit)
            due_90k = playing.group_90k if wish.backwards else at_90k
            data = await self._until_due(playing, due_90k, unit.track, packer)
        else:
            at_90k = self._taken_90k(unit, run)
        data += packer.pack(unit, at_90k, flags, wish.cseq)
        self.sent_bytes += len(data)
        self._output.write(data)
        if unit.track == 0:
            self._stands_us = playing.group_us - 1 if wish.backwards else unit.wall_us + 1
        self._waiting_s = self._clock.monotonic_s()
        await self._output.drain()
        self._waiting_s = None

    async def _until_due(
        self, playing: "_Playing", due_90k: int, track: int, packer: Packer
    ) -> bytes:
        """Wait until then; returns the report that goes with it, or nothing."""
        early_s = playing.began_s + due_90k / TICKS_PER_S - self._clock.monotonic_s()
        if early_s > 0:
            await self._clock.sleep(early_s)
        now_s = self._clock.monotonic_s()
        if now_s - playing.reported_s.get(track, -REPORT_S) < REPORT_S:
            return b""
        playing.reported_s[track] = now_s
        now_90k = round((now_s - playing.began_s) * TICKS_PER_S)
        return packer.report(self._clock.wall_us(), now_90k)

    def _taken_90k(self, unit: Unit, run: int) -> int:
        """When it was taken; within a run by the camera's clock, which has no steps."""
        if self._taken is None or self._taken[0] != run:
            self._taken = run, unit.wall_us * 9 // 100 - unit.pts_90k
        return self._taken[1] + unit.pts_90k

    def _packer(self, track: int) -> Packer | None:
        channel = self._server.channels.get(track)
        if channel is not None and track not in self._packers:
            one = self._described[track]
            self._packers[track] = Packer(one, payload_type(one, track), channel)
        return self._packers.get(track)

    async def _config(self, run: int) -> StreamConfig:
        """Codecs of a run; most groups of pictures are of the same one as the last."""
        if self._known is None or self._known[0] != run:
            self._known = run, await asyncio.to_thread(self._archive.config, self._stream, run)
        return self._known[1]

    async def _first(self, t_us: int, wish: Wish) -> Gop | None:
        """The group that shows a time; in a gap the next one, backwards the one before."""
        gop = await self._gop(t_us, None, wish)
        if wish.backwards and (gop is None or gop.from_us > t_us):
            gop = await self._earlier(t_us, wish)
        return self._inside(gop, wish)

    async def _next(self, gop: Gop, wish: Wish) -> Gop | None:
        if wish.backwards:
            return self._inside(await self._earlier(gop.from_us, wish), wish)
        if gop.following is None:
            return None
        return self._inside(await self._gop(gop.next_us or 0, gop.following, wish), wish)

    def _inside(self, gop: Gop | None, wish: Wish) -> Gop | None:
        if gop is None or wish.to_us is None:
            return gop
        outside = gop.to_us <= wish.to_us if wish.backwards else gop.from_us >= wish.to_us
        return None if outside else gop

    async def _earlier(self, t_us: int, wish: Wish) -> Gop | None:
        """The last group that begins before a time."""
        gop = await self._gop(t_us - 1, None, wish)
        if gop is not None and gop.from_us < t_us:
            return gop
        found = await asyncio.to_thread(self._archive.ranges, self._stream, 0, t_us)
        ends = [min(one.to_us, t_us) for one in found.runs if one.from_us < t_us]
        gop = await self._gop(max(ends) - 1, None, wish) if ends else None
        return gop if gop is not None and gop.from_us < t_us else None

    async def _gop(self, t_us: int, place: Place | None, wish: Wish) -> Gop | None:
        """The next group of pictures in the codec that was described.

        Raises:
            Rejected: It may not be seen.
        """
        gop = await asyncio.to_thread(
            self._archive.gop, self._stream, t_us, place, key_only=wish.intra
        )
        if gop is None or not self._described:
            return None
        self._allow((gop.from_us, gop.to_us))
        codecs = {one.codec for one in await self._config(gop.run) if one.kind == "video"}
        return gop if self._described[0].codec in codecs else None


@dataclass(slots=True)
class _Playing:
    """What came of one PLAY.

    Attributes:
        wish: What was asked for.
        begin_us: Where it began.
        began_s: When, monotonic.
        line: When what is played.
        reported_s: When the last report of each track went.
        group_90k: When the first picture of the group is played. Backwards all of it goes then.
        group_us: When its key frame was taken.
    """

    wish: Wish
    begin_us: int
    began_s: float
    line: Line
    reported_s: dict[int, float] = field(default_factory=dict)
    group_90k: int = 0
    group_us: int = 0

    def enter(self, pictures: list[Unit], *, fresh: bool) -> None:
        """Go on to a group; `fresh`: it does not adjoin the one before."""
        if pictures:
            if fresh:
                self.line.turn(pictures)
            self.group_90k = min(self.line.at_90k(one) for one in pictures)
            self.group_us = pictures[0].wall_us

    def wanted(self, found: list[Unit]) -> list[Unit]:
        """What of a group is sent, in the order of decoding."""
        wish = self.wish
        found = [one for one in found if one.track == 0 or wish.sound]
        if not wish.backwards:
            return [one for one in found if wish.to_us is None or one.wall_us < wish.to_us]
        # What a picture hangs on goes with it, though it may have been taken later.
        until = [n for n, one in enumerate(found) if one.wall_us <= self.begin_us]
        return found[: until[-1] + 1] if until else []


def _adjoin(one: Gop, two: Gop, wish: Wish) -> bool:
    """Whether nothing is missing between two groups that are sent one after the other."""
    before, gop = (two, one) if wish.backwards else (one, two)
    return before.run == gop.run and abs(gop.from_us - before.to_us) <= _JOINED_US
