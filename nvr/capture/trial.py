"""One look at a stream that is not recorded: opened for real, watched for some seconds, let go.

It goes the way of every recorded stream, up to the parts, which nobody takes: what is measured here
is what would be recorded. The ingest thread is its own, so that nothing else waits for it.
"""

import asyncio
import contextlib
from dataclasses import dataclass, replace
from typing import Final

from nvr.base.clock import TICKS_PER_S, Clock
from nvr.capture.rtsp import Caller
from nvr.capture.source import Source
from nvr.media.ingest import Ingest
from nvr.media.part import Part
from nvr.media.ports import RunStats
from nvr.media.track import StreamConfig

WATCH_S: Final = 12.0
"""Long enough for two key frames, ten seconds apart."""
LEAST_S: Final = 2.0
"""Pictures are counted over so much, at least."""
_LOOK_S: Final = 0.1


@dataclass(frozen=True, slots=True)
class Tried:
    """What was seen of a stream.

    Attributes:
        code: Stable error code if it does not come as it should, else empty.
        detail: A sentence to go with it.
        codec: Of its pictures, empty if none came.
        width_px: Of its pictures, 0 if not known.
        height_px: The same.
        fps: Pictures per second, measured; 0 if too few came.
        gop_s: Seconds between the last two key frames, 0 if there were not two.
        kbit_s: Measured.
        audio: Codec of its sound, empty if it has none.
        transport: How packets came: ``tcp``, ``udp``, ``multicast``.
        lost: Packets missing.
        watched_s: For how long it was watched.
        key: The last part that begins with a key frame, None if there was none.
    """

    code: str = ""
    detail: str = ""
    codec: str = ""
    width_px: int = 0
    height_px: int = 0
    fps: float = 0.0
    gop_s: float = 0.0
    kbit_s: int = 0
    audio: str = ""
    transport: str = ""
    lost: int = 0
    watched_s: float = 0.0
    key: Part | None = None


async def try_stream(caller: Caller, clock: Clock, *, watch_s: float = WATCH_S) -> Tried:
    """Open a stream and watch it until two key frames came, or `watch_s` are over."""
    last: list[Part] = []

    def take(parts: list[Part]) -> None:  # in the ingest thread
        last[:] = [one for one in parts if one.key][-1:] or last

    ingest = Ingest(take, clock)
    stream = ingest.stream("trial/main")
    source = Source("trial", caller, stream, clock=clock)
    running = asyncio.ensure_future(ingest.run())
    capturing = asyncio.ensure_future(source.run())
    try:
        seen, watched_s = await _watched(source, clock, watch_s)
        way = source.carried.way or ""
        judged = _judged(source, stream.config or (), seen, watched_s, way)
        return replace(judged, key=last[0] if last else None)
    finally:
        for task in (capturing, running):
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task


async def _watched(source: Source, clock: Clock, watch_s: float) -> tuple[RunStats | None, float]:
    """Wait for what can be seen; the counters, and over how much time."""
    ends_s = clock.monotonic_s() + watch_s
    first_s = 0.0
    while (now_s := clock.monotonic_s()) < ends_s:
        await clock.sleep(_LOOK_S)
        stats = source.tally.stats()
        if source.state.state in {"lost", "refused", "unsupported"}:
            return None, 0.0
        if stats is None or not stats.frames:
            continue
        first_s = first_s or now_s
        if stats.gop_90k and now_s - first_s >= LEAST_S:
            break
    stats = source.tally.stats()
    return stats, clock.monotonic_s() - first_s if first_s else 0.0


def _judged(
    source: Source, config: StreamConfig, seen: RunStats | None, watched_s: float, way: str
) -> Tried:
    state = source.state
    if seen is None:
        code, detail = state.code or "camera.silent", state.detail or "no picture came"
        return Tried(code, detail, transport=way)
    video = next((track for track in config if track.kind == "video"), None)
    audio = next((track for track in config if track.kind == "audio"), None)
    code, detail = state.code, state.detail
    if not seen.frames and not code:
        code, detail = "camera.frozen", "packets come, and no picture that can be recorded"
    return Tried(
        code,
        detail,
        video.codec if video else "",
        video.width_px if video else 0,
        video.height_px if video else 0,
        _fps(seen, watched_s),
        round(seen.gop_90k / TICKS_PER_S, 2),
        round(seen.bytes_in * 8 / 1000 / watched_s) if watched_s >= 1.0 else 0,
        audio.codec if audio else "",
        way,
        seen.lost,
        round(watched_s, 1),
    )


def _fps(seen: RunStats, watched_s: float) -> float:
    """By the camera's own time where a whole group was seen: a busy box counts unevenly."""
    if seen.gop_90k and seen.gop_frames:
        return round(seen.gop_frames * TICKS_PER_S / seen.gop_90k, 1)
    return round(seen.frames / watched_s, 1) if watched_s >= LEAST_S else 0.0
