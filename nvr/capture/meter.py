"""Rates of a stream out of the counters of its session, looked at every two seconds.

Nothing here runs per packet or per picture: the session counts in C, and this subtracts.

Drift. Each ten seconds the session tells by how much the camera's time led arrival at most, that is
with the packet that waited least on its way. A line through these points has the drift as its
slope. Sockets are read in ticks, which blurs each point by up to `TICK_S`; that and the scatter
around the line are the error told with it.
"""

import math
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field

from nvr.media.health import Rates
from nvr.media.ports import RunStats

LOSS_S = 30.0
"""Over so many seconds loss is measured."""
SOON_S = 4.0
"""Over so many seconds pictures and bits are."""
STEADY_S = 20.0
"""The usual frame rate is learned from so many seconds without a break."""
NEW_USUAL_S = 900.0
"""A lower one that lasts so long is the usual one from then on."""
DRIFT_POINTS = 90
DRIFT_LEAST = 6
TICK_S = 0.04


@dataclass(frozen=True, slots=True)
class _Sample:
    at_s: float
    bytes_in: int
    packets: int
    lost: int
    frames: int
    damaged: int
    sound: int


@dataclass(slots=True)
class _Drift:
    anchors: int = 0
    points: deque[tuple[float, float]] = field(default_factory=lambda: deque(maxlen=DRIFT_POINTS))
    ppm: tuple[float, float] | None = None  # the drift and its error, once there are enough points

    def take(self, stats: RunStats) -> None:
        if stats.anchors != self.anchors:
            self.anchors = stats.anchors
            self.points.clear()
            self.ppm = None
        if stats.lead_at_s and (not self.points or self.points[-1][0] != stats.lead_at_s):
            self.points.append((stats.lead_at_s, stats.lead_s))
            if len(self.points) >= DRIFT_LEAST:
                self.ppm = slope_ppm(self.points)


def slope_ppm(points: Sequence[tuple[float, float]]) -> tuple[float, float]:
    """Return the slope of a line through points of (s, s), and how far it may be off, in ppm."""
    n = len(points)
    mean_x = sum(x for x, _ in points) / n
    mean_y = sum(y for _, y in points) / n
    spread = sum((x - mean_x) ** 2 for x, _ in points)
    slope = sum((x - mean_x) * (y - mean_y) for x, y in points) / spread
    rest = sum((y - mean_y - slope * (x - mean_x)) ** 2 for x, y in points)
    scatter = math.sqrt(rest / max(1, n - 2) / spread)
    blurred = TICK_S / (points[-1][0] - points[0][0])
    return slope * 1e6, max(2 * scatter, blurred) * 1e6


class Meter:
    """Measures one stream.

    Attributes:
        rates: As of the last look.
        damaged_percent: Pictures of `LOSS_S` that are not whole.
        silent_s: Seconds since sound came, where the camera has any.
    """

    def __init__(self) -> None:
        self.rates = Rates()
        self.damaged_percent = 0.0
        self.silent_s = 0.0
        self._samples: deque[_Sample] = deque()
        self._drift = _Drift()
        self._began_s = 0.0
        self._heard_s = 0.0
        self._usual_fps: float | None = None
        self._lower_s: float | None = None
        self._shape: object = None

    def nothing(self) -> None:
        """There is no connection."""
        if self._samples:
            self._samples.clear()
            self._drift = _Drift()
            self._lower_s = None
        self.damaged_percent = self.silent_s = 0.0
        self.rates = Rates(usual_fps=self._usual_fps)

    def look(
        self, now_s: float, wall_us: int, stats: RunStats, *, sound: bool, shape: object
    ) -> None:
        """Take the counters of the connection.

        Args:
            now_s: Monotonic seconds.
            wall_us: UTC microseconds, the same moment.
            stats: As of now, since the connection began.
            sound: The camera offers sound that can be carried.
            shape: Codec and size of the picture; another one has another usual frame rate.
        """
        if self._samples and stats.bytes_in < self._samples[-1].bytes_in:
            self.nothing()  # another connection, made since the last look
        if not self._samples:
            self._began_s = self._heard_s = now_s
        if shape != self._shape:
            self._shape, self._usual_fps, self._lower_s = shape, None, None
        if self._samples and stats.sound > self._samples[-1].sound:
            self._heard_s = now_s
        self.silent_s = now_s - self._heard_s if sound else 0.0
        self._samples.append(
            _Sample(
                now_s, stats.bytes_in, stats.packets, stats.lost, stats.frames, stats.damaged,
                stats.sound,
            )
        )  # fmt: skip
        while len(self._samples) > 1 and now_s - self._samples[0].at_s > LOSS_S + 0.5:
            self._samples.popleft()
        self._drift.take(stats)
        self.rates = self._rates(now_s, wall_us, stats, sound=sound)

    def _rates(self, now_s: float, wall_us: int, stats: RunStats, *, sound: bool) -> Rates:
        first, last = self._samples[0], self._samples[-1]
        soon = next(s for s in self._samples if now_s - s.at_s <= SOON_S + 0.5)
        span_s = last.at_s - soon.at_s
        lost, packets = last.lost - first.lost, last.packets - first.packets
        frames = last.frames - first.frames
        self.damaged_percent = min(100.0, 100 * (last.damaged - first.damaged) / max(1, frames))
        self._learn(now_s)
        drift = self._drift.ppm
        return Rates(
            fps=round((last.frames - soon.frames) / span_s, 2) if span_s else None,
            usual_fps=self._usual_fps,
            bitrate_bps=round((last.bytes_in - soon.bytes_in) * 8 / span_s) if span_s else None,
            loss_percent=round(100 * lost / (lost + packets), 3) if lost + packets else 0.0,
            gop_s=round(stats.gop_90k / 90_000, 3) if stats.gop_90k else None,
            gop_frames=stats.gop_frames or None,
            key_age_s=round(max(0.0, now_s - (stats.last_key_s or self._began_s)), 1),
            jitter_ms=round(stats.late_s * 1000, 1) if stats.frames else None,
            datagram_jitter_ms=round(stats.jitter_s * 1000, 1) if stats.jitter_s else None,
            drift_ppm=round(drift[0], 1) if drift else None,
            drift_error_ppm=round(drift[1], 1) if drift else None,
            clock_offset_ms=_offset_ms(now_s, wall_us, stats),
            sound=self.silent_s < SOON_S + 0.5 if sound else None,
        )

    def _learn(self, now_s: float) -> None:
        """Learn what frame rate is usual: rises are, falls only once they last."""
        if now_s - self._began_s < STEADY_S:
            return
        old = next(s for s in self._samples if now_s - s.at_s <= STEADY_S + 0.5)
        span_s = now_s - old.at_s
        if span_s < STEADY_S / 2:
            return
        fps = round((self._samples[-1].frames - old.frames) / span_s, 2)
        if self._usual_fps is None or fps > self._usual_fps * 1.05:
            self._usual_fps, self._lower_s = fps or None, None
        elif fps > self._usual_fps * 0.9:
            self._lower_s = None
        elif self._lower_s is None:
            self._lower_s = now_s
        elif now_s - self._lower_s >= NEW_USUAL_S and fps:
            self._usual_fps, self._lower_s = fps, None


def _offset_ms(now_s: float, wall_us: int, stats: RunStats) -> float | None:
    if not stats.ntp_us:
        return None
    then_us = wall_us - (now_s - stats.ntp_at_s) * 1e6
    return round((stats.ntp_us - then_us) / 1000, 1)
