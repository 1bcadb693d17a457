"""Recorded pictures over RTSP, as ONVIF's replay has it: ``/rec/<name>`` and ``/rec/<name>/sub``.

``PLAY`` with ``Range: clock=20260615T114900.440Z-`` begins at the key frame that shows that time,
and goes on over gaps to the end of what is recorded. ``Rate-Control: no`` sends as fast as the peer
takes it. The first packet of each access unit says in its header extension when it was taken and
whether something is missing before or after it. Pictures only; no reverse.

This is Python for each access unit, unlike live streams: it runs for who looks back.

Source: ONVIF Streaming Specification 23.06, section 6 (replay); RFC 2326, sections 3.7 and 12.29.
"""

import asyncio
import logging
import re
import secrets
import struct
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final, Literal, Protocol

from nvr.auth.user import Span
from nvr.base.clock import Clock
from nvr.base.errors import NvrError
from nvr.base.log import event
from nvr.media.fragment import Sample, pieces, samples
from nvr.media.track import StreamConfig, TrackConfig
from nvr.playback.query import Gop, Ranges
from nvr.playback.track import Place
from nvr.serve.rtsp_login import Denied
from nvr.serve.rtsp_relay import describe
from nvr.wire import h264, h265
from nvr.wire.nal import nals as nals_of
from nvr.wire.rtp import H264Packetizer, H265Packetizer, interleave
from nvr.wire.rtsp import Request
from nvr.wire.rtsp_replay import stamp
from nvr.wire.rtsp_session import Server

_log = logging.getLogger(__name__)

STUCK_S: Final = 10.0
_JOINED_US: Final = 200_000
"""Two groups of pictures of one run that are no further apart follow each other."""
_NTP_EPOCH_S: Final = 2_208_988_800
_EVER_US: Final = 1 << 62
_STAMP = r"(\d{8}T\d{6}(?:\.\d{1,9})?Z)"
_RANGE = re.compile(rf"clock={_STAMP}?-{_STAMP}?")


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


@dataclass(frozen=True, slots=True)
class Wish:
    """What a PLAY asks for.

    Attributes:
        from_us: UTC microseconds; None to go on where it stands, or to begin with the oldest.
        to_us: Where to end, None for the end of what is recorded.
        paced: As it happened; else as fast as the peer takes it.
        scale: How much faster than it happened.
        intra: Key frames only.
        cseq: Low byte of the request's number.
    """

    from_us: int | None
    to_us: int | None
    paced: bool
    scale: float
    intra: bool
    cseq: int

    @property
    def span(self) -> tuple[int, int]:
        """The span that may come to be seen."""
        return self.from_us or 0, _EVER_US if self.to_us is None else self.to_us


def wish_of(request: Request) -> Wish:
    """Read a PLAY.

    Raises:
        Denied: 457: the range is none; 451: backwards, or faster than we play.
    """
    said, from_us, to_us = request.header("Range").strip(), None, None
    if found := _RANGE.fullmatch(said):
        from_us, to_us = (None if text is None else _us(text) for text in found.groups())
        if from_us is not None and to_us is not None and to_us <= from_us:
            raise Denied(457, ())  # also how a peer asks for reverse
    elif said and not said.startswith("npt="):
        raise Denied(457, ())
    try:
        scale = float(request.header("Scale") or 1)
    except ValueError:
        scale = 0.0
    if not 0.1 <= scale <= 64:
        raise Denied(451, ())
    paced = request.header("Rate-Control").strip().lower() != "no"
    intra = request.header("Frames").strip().lower().startswith("intra")
    number = re.search(r"[0-9]{1,9}\Z", request.header("CSeq"))
    cseq = int(number[0]) & 0xFF if number else 0
    return Wish(from_us, to_us, paced, scale, intra, cseq)


def _us(text: str) -> int:
    """UTC microseconds of a time of a range.

    Raises:
        Denied: 457.
    """
    whole, _, rest = text.removesuffix("Z").partition(".")
    try:
        at = datetime.strptime(whole, "%Y%m%dT%H%M%S").replace(tzinfo=UTC)
    except ValueError as err:
        raise Denied(457, ()) from err
    return round(at.timestamp()) * 1_000_000 + int(f"{rest:0<6}"[:6])


@dataclass(slots=True)
class _Frame:
    """A picture that waits to be sent until it is known what follows it."""

    nals: list[bytes]
    time_90k: int
    wall_us: int
    key: bool
    fresh: bool


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
        self._video: TrackConfig | None = None
        self._known: tuple[int, StreamConfig] | None = None
        self._packetizer: H264Packetizer | None = None
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
        ranges = await asyncio.to_thread(self._archive.ranges, self._stream, 0, _EVER_US)
        if not ranges.runs:
            raise Denied(404, (("X-NVR-Code", "archive.nothing"),))
        self._video = await self._codec(ranges.runs[-1].run)
        if self._video is None:
            raise Denied(404, (("X-NVR-Code", "archive.nothing"),))
        first_us = min(run.from_us for run in ranges.runs)
        last_us = max(run.to_us for run in ranges.runs)
        more = f"a=range:clock={stamp(first_us)}-{stamp(last_us)}\r\na=x-onvif-track:VIDEO001\r\n"
        return describe(name, (self._video,), own) + more.encode()

    async def set_up(self, request: Request) -> None:
        """Answer SETUP of its one track.

        Raises:
            Denied: 404.
        """
        if self._video is None:
            await self.describe("", "")
        self._server.set_up(request, 0)

    async def play(self, request: Request, wish: Wish) -> None:
        """Answer PLAY, and begin."""
        await self.close()
        begin_us = self._stands_us or 0 if wish.from_us is None else wish.from_us
        gop = await self._gop(begin_us, None, wish)
        headers = [("Rate-Control", "yes" if wish.paced else "no"), ("Scale", f"{wish.scale:g}")]
        if gop is not None:
            end = "" if wish.to_us is None else stamp(wish.to_us)
            headers.insert(0, ("Range", f"clock={stamp(max(begin_us, gop.from_us))}-{end}"))
        self._server.respond(request, 200, tuple(headers))
        self._output.write(self._server.to_send())
        self._task = asyncio.get_running_loop().create_task(self._run(gop, wish))

    async def _run(self, gop: Gop | None, wish: Wish) -> None:
        try:
            await self._send_all(gop, wish)
        except NvrError as err:
            event(_log, logging.WARNING, "rtsp.replay_ended", stream=self._stream, error=str(err))
        except OSError:
            pass  # the peer is gone

    async def _send_all(self, gop: Gop | None, wish: Wish) -> None:
        held: _Frame | None = None
        before: Gop | None = None
        anchor: tuple[float, int] | None = None
        while gop is not None and not (wish.to_us and gop.from_us >= wish.to_us):
            config = await self._config(gop.run)
            joined = before is not None and _follows(before, gop)
            fresh = not joined
            for frame in _frames(gop, config, fresh=fresh, intra=wish.intra):
                if wish.to_us is not None and frame.wall_us >= wish.to_us:
                    break
                if held is not None:
                    await self._send(held, wish, end=frame.fresh, last=False)
                if wish.paced:
                    anchor = await self._pace(anchor, frame, wish)
                held = frame
            before = gop
            gop = await self._gop(gop.next_us or 0, gop.following, wish) if gop.following else None
        if held is not None:
            await self._send(held, wish, end=True, last=True)

    async def _pace(
        self, anchor: tuple[float, int] | None, frame: _Frame, wish: Wish
    ) -> tuple[float, int]:
        """Wait until a picture is due; what was not recorded is not waited for."""
        now_s = self._clock.monotonic_s()
        if anchor is None or frame.fresh:
            return now_s, frame.wall_us
        due_s = anchor[0] + (frame.wall_us - anchor[1]) / 1e6 / wish.scale
        if due_s > now_s:
            await self._clock.sleep(due_s - now_s)
        return anchor

    async def _send(self, frame: _Frame, wish: Wish, *, end: bool, last: bool) -> None:
        if self._packetizer is None:
            kind = H264Packetizer if self._codec_name() == "h264" else H265Packetizer
            self._packetizer = kind(96, secrets.randbits(32), secrets.randbits(16))
        extension = _extension(frame, wish, end=end, last=last)
        packets = self._packetizer.packets(frame.nals, frame.time_90k, extension)
        channel = self._server.channels[0]
        data = b"".join(interleave(channel, one) for one in packets)
        self.sent_bytes += len(data)
        self._output.write(data)
        self._stands_us = frame.wall_us + 1
        self._waiting_s = self._clock.monotonic_s()
        await self._output.drain()
        self._waiting_s = None

    def _codec_name(self) -> Literal["h264", "h265"]:
        return "h265" if self._video is not None and self._video.codec == "h265" else "h264"

    async def _codec(self, run: int) -> TrackConfig | None:
        return next((one for one in await self._config(run) if one.kind == "video"), None)

    async def _config(self, run: int) -> StreamConfig:
        """Codecs of a run; most groups of pictures are of the same one as the last."""
        if self._known is None or self._known[0] != run:
            self._known = run, await asyncio.to_thread(self._archive.config, self._stream, run)
        return self._known[1]

    async def _gop(self, t_us: int, place: Place | None, wish: Wish) -> Gop | None:
        """The next group of pictures in the codec that was described.

        Raises:
            Rejected: It may not be seen.
        """
        gop = await asyncio.to_thread(
            self._archive.gop, self._stream, t_us, place, key_only=wish.intra
        )
        if gop is None or self._video is None:
            return None
        self._allow((gop.from_us, gop.to_us))
        found = await self._codec(gop.run)
        return gop if found is not None and found.codec == self._video.codec else None


def _follows(before: Gop, gop: Gop) -> bool:
    return before.run == gop.run and abs(gop.from_us - before.to_us) <= _JOINED_US


def _frames(gop: Gop, config: StreamConfig, *, fresh: bool, intra: bool) -> list[_Frame]:
    """The pictures of a group, in the order of decoding.

    Raises:
        Damaged: ``fragment.damaged``.
    """
    index = next(n for n, track in enumerate(config) if track.kind == "video")
    found = [
        one
        for piece in pieces(gop.data)
        for one in samples(piece, config)
        if one.track == index and (one.key or not intra)
    ]
    return [_frame(one, found[0], gop, config[index], fresh=fresh and n == 0)
            for n, one in enumerate(found)]  # fmt: skip


def _frame(one: Sample, first: Sample, gop: Gop, track: TrackConfig, *, fresh: bool) -> _Frame:
    nals = list(nals_of(one.data))
    if one.key:
        read = h264.parameter_sets if track.codec == "h264" else h265.parameter_sets
        nals = [*(one for one in read(track.config) if one not in nals), *nals]
    wall_us = gop.from_us + (one.pts_90k - first.pts_90k) * 100 // 9
    return _Frame(nals, one.pts_90k, wall_us, one.key, fresh)


def _extension(frame: _Frame, wish: Wish, *, end: bool, last: bool) -> bytes:
    """``0xABAC | 3 | NTP time(64) | C E D T 0000 | low byte of CSeq | padding(16)``."""
    seconds, rest_us = divmod(frame.wall_us, 1_000_000)
    flags = frame.key << 7 | end << 6 | frame.fresh << 5 | last << 4
    return struct.pack(
        ">HHIIBBH", 0xABAC, 3, (seconds + _NTP_EPOCH_S) & 0xFFFFFFFF,
        (rest_us << 32) // 1_000_000, flags, wish.cseq, 0,
    )  # fmt: skip
