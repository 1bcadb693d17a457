"""Films the virtual dome: one thread that paints, encodes and feeds the RTSP server's relays.

While nobody watches it waits and costs nothing. Whoever comes gets a key frame at once.
"""

import logging
import secrets
import threading
import time
from dataclasses import dataclass

import av

from nvr._native import Relay
from nvr.base.clock import TICKS_PER_S, Clock
from nvr.base.log import event
from nvr.codec.encode import Encoder, picture_of
from nvr.media.encoder import Settings
from nvr.media.track import RtpTrack, StreamConfig, TrackConfig
from nvr.sim.camera import Camera
from nvr.wire.h264 import avcc
from nvr.wire.rtp import H264Packetizer

_log = logging.getLogger(__name__)

_NTP_EPOCH_S = 2_208_988_800
_REPORT_S = 600.0


@dataclass(frozen=True, slots=True)
class Filmed:
    """What the studio has done so far.

    Attributes:
        pictures: Encoded.
        late: Left out because painting or encoding took too long.
        painting_s: Processor seconds of painting, caption included.
        encoding_s: Processor seconds of encoding.
    """

    pictures: int
    late: int
    painting_s: float
    encoding_s: float


class Studio:
    """The thread and what it feeds. See `nvr.media.ports.RelaySource`.

    Args:
        camera: What is filmed.
        settings: How it is encoded.
        clock: Monotonic time for the pictures, wall time for captions.
    """

    def __init__(self, camera: Camera, settings: Settings, clock: Clock) -> None:
        self._camera = camera
        self._clock = clock
        self._settings = settings
        self._encoder = Encoder(settings)
        width, height = settings.size
        self._track = TrackConfig(
            "video", "h264", TICKS_PER_S, avcc(self._encoder.parameter_sets), width, height
        )
        self._packets = H264Packetizer(96, secrets.randbits(32))
        self._frame = av.VideoFrame(width, height, "yuv420p")
        self._wake = threading.Condition()
        self._relays: tuple[Relay, ...] = ()
        self._stopped = False
        self._key_wanted = True
        self._filmed = Filmed(0, 0, 0.0, 0.0)

    @property
    def config(self) -> StreamConfig:
        """The one video track."""
        return (self._track,)

    @property
    def tracks(self) -> tuple[RtpTrack, ...]:
        """Packets are as usual."""
        return ()

    @property
    def filmed(self) -> Filmed:
        """Counters since the start."""
        return self._filmed

    def add_relay(self, relay: Relay) -> None:
        """Feed `relay` from the next picture on, a key frame; the first reader's comes at once."""
        with self._wake:
            self._relays = (*self._relays, relay)
            self._key_wanted = True
            self._wake.notify()

    def remove_relay(self, relay: Relay) -> None:
        """Feed it no more."""
        with self._wake:
            self._relays = tuple(r for r in self._relays if r is not relay)

    def request_key(self) -> None:
        """Make the next picture a key frame."""
        with self._wake:
            self._key_wanted = True

    def stop(self) -> None:
        """Make `run` return after the picture in hand."""
        with self._wake:
            self._stopped = True
            self._wake.notify()

    def run(self) -> None:
        """Film until stopped; call in a thread of its own."""
        period_s = 1.0 / self._settings.fps
        began_s = next_s = self._clock.monotonic_s()
        synced_s = 0.0
        reported_s = began_s
        while True:
            with self._wake:
                while not self._stopped and not self._relays:
                    self._wake.wait()
                    next_s = self._clock.monotonic_s()
                if self._stopped:
                    return
                wait_s = next_s - self._clock.monotonic_s()
                if wait_s > 0:
                    self._wake.wait(wait_s)
                    continue
                relays, key = self._relays, self._key_wanted
                self._key_wanted = False
            # Stamped and painted for the time it is due, not for when the thread woke up: players
            # are told of an even rhythm, and things move evenly.
            now_s = next_s
            timestamp = round((now_s - began_s) * TICKS_PER_S)
            if now_s - synced_s >= 1.0 or key:
                synced_s = now_s
                late_us = round((self._clock.monotonic_s() - now_s) * 1e6)
                ntp = _ntp(self._clock.wall_us() - late_us)
                for relay in relays:
                    relay.sync(0, timestamp & 0xFFFFFFFF, ntp)
            self._film(relays, now_s, timestamp, key=key)
            missed = max(0, int((self._clock.monotonic_s() - next_s) / period_s))
            next_s += period_s * (1 + missed)
            self._count(missed)
            if now_s - reported_s >= _REPORT_S:
                reported_s = now_s
                self._report()

    def _film(self, relays: tuple[Relay, ...], now_s: float, timestamp: int, *, key: bool) -> None:
        spent_s = [time.thread_time()]
        self._camera.paint(self._frame, now_s, self._clock.wall_us())
        spent_s.append(time.thread_time())
        if key:
            self._encoder.request_key()
        for unit in self._encoder.encode(picture_of(self._frame, timestamp)):
            starts = unit.key
            for packet in self._packets.packets(unit.nals, unit.pts_90k):
                for relay in relays:
                    relay.packet(0, packet, starts)
                starts = False
        for relay in relays:
            relay.flush()
        spent_s.append(time.thread_time())
        done = self._filmed
        self._filmed = Filmed(
            done.pictures + 1,
            done.late,
            done.painting_s + spent_s[1] - spent_s[0],
            done.encoding_s + spent_s[2] - spent_s[1],
        )

    def _count(self, missed: int) -> None:
        done = self._filmed
        self._filmed = Filmed(done.pictures, done.late + missed, done.painting_s, done.encoding_s)

    def _report(self) -> None:
        done = self._filmed
        event(
            _log,
            logging.INFO,
            "dome.filmed",
            pictures=done.pictures,
            late=done.late,
            painting_ms=round(done.painting_s * 1000 / done.pictures, 2),
            encoding_ms=round(done.encoding_s * 1000 / done.pictures, 2),
        )


def _ntp(wall_us: int) -> int:
    """UTC microseconds since 1970 as a 64-bit NTP time."""
    seconds, rest_us = divmod(wall_us, 1_000_000)
    return (seconds + _NTP_EPOCH_S) << 32 | (rest_us << 32) // 1_000_000
