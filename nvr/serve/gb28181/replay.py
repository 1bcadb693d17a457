"""What is recorded, to one platform: playback that is steered, and downloads.

Groups of pictures come from the archive as they do for RTSP and go through a relay of their own,
paced here; asked about one by one, for a group may begin before what was asked for, and masks may
have lain over it then. Beyond four times as fast, and backwards, only key frames go, and no sound
unless it plays as it happened. A download keeps its times and is only sent faster. What was not
recorded is not waited for.
"""

import asyncio
import socket
from collections.abc import Callable, Iterator
from typing import Final, NamedTuple, Protocol

from nvr._native import Relay, RelayReader
from nvr.base.clock import TICKS_PER_S
from nvr.base.errors import Rejected
from nvr.media.fragment import pieces, samples
from nvr.media.track import StreamConfig
from nvr.playback.query import Gop, Ranges
from nvr.playback.track import Place
from nvr.serve.gb28181.ports import FINISHED
from nvr.serve.gb28181.program import program_relay
from nvr.serve.gb28181.sending import Call, Sending
from nvr.wire import mansrtsp

MOST_SCALE: Final = 64.0
EVERY_PICTURE: Final = 4.0
"""Up to so many times as fast all pictures are sent."""
AHEAD_BYTES: Final = 512 * 1024
"""So much may wait for the platform before the next picture is read."""
LOOK_S: Final = 0.005
PAUSED_S: Final = 0.1
LATE_S: Final = 1.0
_JOINED_US: Final = 200_000
_STEP_90K: Final = 3_600
_JUMP_90K: Final = 900_000
"""Key frames further apart than this, played fast, are not waited for as long as that."""
_NO_BOUND: Final = 1 << 34
"""Nothing is read that there is no room for."""


class Archive(Protocol):
    """What of the archive this needs; every call blocks. See `nvr.playback.query.Archive`."""

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


class Frame(NamedTuple):
    """An access unit on its way."""

    track: int
    data: bytes
    dts_90k: int
    pts_90k: int
    wall_us: int
    key: bool


class Replay(Sending):
    """Sends a recording.

    Args:
        call: What was asked for.
        gone: Told once when its place is free again.
        archive: What is recorded.
        stream: Which of it.
        size_bytes: About how much a download is.
        peak_bytes_s: Peak rate over UDP.
    """

    def __init__(
        self,
        call: Call,
        gone: Callable[[], None],
        archive: Archive,
        stream: str,
        *,
        size_bytes: int = 0,
        peak_bytes_s: float = 0.0,
    ) -> None:
        super().__init__(call, gone)
        self._archive, self._stream = archive, stream
        self._size_bytes, self._peak_bytes_s = size_bytes, peak_bytes_s
        self._from_us = call.offer.from_s * 1_000_000
        self._to_us = call.offer.to_s * 1_000_000
        self._download = call.offer.session == "Download"
        self._scale = 1.0
        self._paused = False
        self._stands_us = self._from_us
        self._done: tuple[int, int] | None = None
        """Run and decode time up to which the platform has every picture."""
        self._turn = 0
        self._relay: Relay | None = None
        self._reader: RelayReader | None = None
        self._carried: StreamConfig = ()
        self._line = _Line()

    @property
    def size_bytes(self) -> int:
        """See `Sending.size_bytes`."""
        return self._size_bytes if self._download else 0

    def steer(self, command: mansrtsp.Command) -> str:
        """See `Sending.steer`."""
        scale = self._scale if command.scale is None else command.scale
        if command.method == "PAUSE":
            self._paused = True
            return mansrtsp.respond(command)
        if abs(scale) > MOST_SCALE or abs(scale) < 1 / MOST_SCALE:
            return mansrtsp.respond(command, 451)
        place_us = None if command.at_s is None else self._from_us + round(command.at_s * 1e6)
        if place_us is not None and place_us >= self._to_us:
            return mansrtsp.respond(command, 457)
        if place_us is not None:
            self._stands_us, self._done = place_us, None
        self._scale, self._paused = scale, False
        self._turn += 1
        return mansrtsp.respond(command, at_s=(self._stands_us - self._from_us) / 1e6)

    async def send(self, sock: socket.socket) -> str:
        """See `Sending.send`."""
        while not (why := await self._play(sock, self._turn, self._scale)):
            pass
        return why

    def release(self) -> None:
        """See `Sending.release`."""
        reader, self._reader, self._relay = self._reader, None, None
        if reader is not None:
            reader.close()

    async def _play(self, sock: socket.socket, turn: int, scale: float) -> str:
        """Send from where it stands until it is steered; empty, or why it is over."""
        intra = scale < 0 or scale > EVERY_PICTURE
        resume, self._done = None if intra else self._done, None
        line = self._line
        line.turn(1.0 if self._download else abs(scale), goes_on=resume is not None)
        speed = self.call.offer.speed * abs(scale) if self._download else 1.0
        pace = _Pace(self.call.clock.monotonic_s(), line.at_90k, speed)
        gop, before = await self._first(scale, intra=intra), None
        while gop is not None and self._inside(gop, scale):
            if not self.call.allowed((gop.from_us, gop.to_us)):
                return "denied"
            config = await asyncio.to_thread(self._archive.config, self._stream, gop.run)
            if why := await self._carry(sock, config, turn):
                return why
            goes_on = resume is not None and resume[0] == gop.run
            fresh = not (goes_on if before is None else _follows(before, gop))
            for frame in _frames(gop, config, intra=intra, sound=scale == 1.0 or self._download):
                if resume and resume[0] == gop.run and frame.dts_90k <= resume[1]:
                    continue
                if scale > 0 and frame.wall_us >= self._to_us:
                    break
                times = line.backwards(frame) if scale < 0 else line.placed(frame, fresh=fresh)
                if why := await self._wait(turn, pace, times[0]):
                    return why
                if self._turn != turn:
                    return ""
                self._send(frame, times)
                self._stands_us = frame.wall_us
                self._done = None if intra else (gop.run, frame.dts_90k)
                fresh = False
            before, gop = gop, await self._next(gop, scale, intra=intra)
        why = await self._room(turn, 0)
        return why or (FINISHED if self._turn == turn else "")

    def _inside(self, gop: Gop, scale: float) -> bool:
        if scale < 0:
            return gop.to_us > self._from_us
        return gop.from_us < self._to_us

    async def _first(self, scale: float, *, intra: bool) -> Gop | None:
        gop = await self._gop(self._stands_us, None, intra=intra)
        if scale < 0 and (gop is None or gop.from_us > self._stands_us):
            return await self._earlier(self._stands_us, intra=intra)
        return gop

    async def _next(self, gop: Gop, scale: float, *, intra: bool) -> Gop | None:
        if scale < 0:
            return await self._earlier(gop.from_us, intra=intra)
        if gop.following is None:
            return None
        return await self._gop(gop.next_us or 0, gop.following, intra=intra)

    async def _earlier(self, t_us: int, *, intra: bool) -> Gop | None:
        """The last group that begins before a time."""
        found = await asyncio.to_thread(self._archive.ranges, self._stream, self._from_us, t_us - 1)
        ends = [min(one.to_us, t_us) for one in found.runs if one.from_us < t_us]
        if not ends:
            return None
        gop = await self._gop(max(ends) - 1, None, intra=intra)
        return gop if gop is not None and gop.from_us < t_us else None

    async def _gop(self, t_us: int, place: Place | None, *, intra: bool) -> Gop | None:
        return await asyncio.to_thread(self._archive.gop, self._stream, t_us, place, key_only=intra)

    async def _carry(self, sock: socket.socket, config: StreamConfig, turn: int) -> str:
        """Send what has these codecs from now on; empty, or why it is over.

        Raises:
            Rejected: ``gb.unsupported``.
        """
        if self._relay is not None and config == self._carried:
            return ""
        if self._relay is not None and (why := await self._room(turn, 0)):
            return why
        self.release()
        try:
            relay = program_relay(
                config, self.call.payload_type, self._peak_bytes_s, backlog_bytes=_NO_BOUND
            )
        except ValueError as err:
            raise Rejected("gb.unsupported", str(err), camera=self.call.camera) from err
        self._relay, self._carried = relay, config
        self._reader = relay.add(sock.fileno(), b"", self.ssrc)
        self._reader.play()
        return ""

    def _send(self, frame: Frame, times: tuple[int, int]) -> None:
        assert self._relay is not None
        self._relay.unit(frame.track, frame.data, *times, frame.key)
        self._relay.flush()

    async def _wait(self, turn: int, pace: "_Pace", at_90k: int) -> str:
        """Wait until a picture is due, there is room for it, and it is not paused."""
        if why := await self._room(turn):
            return why
        clock = self.call.clock
        while self._turn == turn and (early_s := pace.early_s(clock.monotonic_s(), at_90k)) > 0:
            await clock.sleep(min(early_s, LOOK_S if self._pumped() else PAUSED_S))
        return ""

    async def _room(self, turn: int, most_bytes: int = AHEAD_BYTES) -> str:
        """Wait until the platform has taken enough and it is not paused; empty, or why it ends."""
        while self._turn == turn:
            waiting = self._pumped()
            assert self._reader is not None
            state, end = self._reader.stats()[:2]
            if state == "closed":
                return "stuck" if end == "stuck" else "lost"
            if waiting > most_bytes:
                await self.call.clock.sleep(LOOK_S)
            elif self._paused and most_bytes:
                await self.call.clock.sleep(PAUSED_S)
            else:
                return ""
        return ""

    def _pumped(self) -> int:
        """Send what is left over; how many bytes still wait."""
        if self._relay is None or self._reader is None:
            return 0
        self._relay.pump()
        return self._reader.stats()[5]


class _Line:
    """The times that a platform is told: they go on over gaps, turns and changes of speed."""

    def __init__(self) -> None:
        self.at_90k = 0
        self._scale = 1.0
        self._anchor: tuple[int, int] | None = None
        self._last = 0, 0
        self._before_us: int | None = None

    def turn(self, scale: float, *, goes_on: bool) -> None:
        """Go on as fast as that, where it stands or elsewhere."""
        self._scale = scale
        self._anchor = self._last if goes_on else None
        self._before_us = None

    def placed(self, frame: Frame, *, fresh: bool) -> tuple[int, int]:
        """Decode and presentation time of the next access unit; `fresh`: something is missing."""
        if self._anchor is None or fresh:
            self._anchor = frame.dts_90k, self.at_90k + _STEP_90K
        since_90k = frame.dts_90k - self._anchor[0]
        dts_90k = self._anchor[1] + round(since_90k / self._scale)
        self._last = frame.dts_90k, dts_90k
        self.at_90k = max(self.at_90k, dts_90k)
        return dts_90k, dts_90k + round((frame.pts_90k - frame.dts_90k) / self._scale)

    def backwards(self, frame: Frame) -> tuple[int, int]:
        """The same of a key frame that was taken before the last one."""
        before_us, self._before_us = self._before_us, frame.wall_us
        apart_90k = _STEP_90K if before_us is None else (before_us - frame.wall_us) * 9 // 100
        self.at_90k += max(1, round(min(apart_90k, _JUMP_90K) / self._scale))
        return self.at_90k, self.at_90k


class _Pace:
    """When what is told to be at a time is sent; who is late is not hurried after."""

    def __init__(self, now_s: float, at_90k: int, speed: float) -> None:
        self._now_s, self._at_90k, self._speed = now_s, at_90k, speed

    def early_s(self, now_s: float, at_90k: int) -> float:
        """How long it is too early."""
        early_s = self._now_s + (at_90k - self._at_90k) / TICKS_PER_S / self._speed - now_s
        if early_s < -LATE_S:
            self._now_s, self._at_90k = now_s, at_90k
        return early_s


def _follows(before: Gop, gop: Gop) -> bool:
    return before.run == gop.run and abs(gop.from_us - before.to_us) <= _JOINED_US


def _frames(gop: Gop, config: StreamConfig, *, intra: bool, sound: bool) -> Iterator[Frame]:
    """The access units of a group that are wanted, in the order of decoding.

    Raises:
        Damaged: ``fragment.damaged``.
    """
    video = next((n for n, track in enumerate(config) if track.kind == "video"), None)
    found = [one for piece in pieces(gop.data) for one in samples(piece, config)]
    leads = (one.pts_90k for one in found if one.track == (video or 0))
    first_90k = next(leads, 0)
    for one in found:
        pictured = one.track == video
        if not (pictured or video is None or sound) or (intra and not one.key):
            continue
        wall_us = gop.from_us + (one.pts_90k - first_90k) * 100 // 9
        yield Frame(one.track, one.data, one.dts_90k, one.pts_90k, wall_us, one.key and pictured)
