"""Sends what a local camera and its microphone give to the recorder, as a network camera would.

RTP in RTSP's interleaving over a socket pair; pictures on channel 0, sound on 2, and beside each
what the clocks say (RTCP sender reports), by which the recorder lays sound beside pictures.
"""

import secrets
import socket
import threading
from collections.abc import Iterable, Sequence
from typing import Final

from nvr.base.clock import TICKS_PER_S, Clock
from nvr.base.errors import Unavailable
from nvr.codec.sound import RATE_HZ, SoundUnit
from nvr.media.encoder import AccessUnit
from nvr.media.film import PAYLOAD_TYPE, SOUND_CHANNEL, SOUND_TYPE
from nvr.wire.rtp import AacPacketizer, H264Packetizer, H265Packetizer, interleave

_SYNC_S: Final = 2.0


class _Track:
    """One RTP stream and its reports."""

    def __init__(self, packets: H264Packetizer, channel: int, rate_hz: int, clock: Clock) -> None:
        self._packets, self._channel = packets, channel
        self._rate_hz, self._clock = rate_hz, clock
        self._synced_s = -_SYNC_S

    def packets(self, nals: Iterable[bytes], at: int) -> list[bytes]:
        """Return the packets of one unit, of that time, interleaved."""
        out: list[bytes] = []
        now_s = self._clock.monotonic_s()
        if now_s - self._synced_s >= _SYNC_S:
            self._synced_s = now_s
            since_us = round((now_s - at / self._rate_hz) * 1e6)
            report = self._packets.sender_report(self._clock.wall_us() - since_us, at)
            out.append(interleave(self._channel + 1, report))
        out += [interleave(self._channel, one) for one in self._packets.packets(nals, at)]
        return out


class Sender:
    """The recorder's end is a socket. Used by any thread.

    Args:
        sock: Where to; blocks, and fails once the recorder is gone.
        codec: ``h264`` or ``h265``.
        clock: Wall time.
    """

    def __init__(self, sock: socket.socket, codec: str, clock: Clock) -> None:
        self._sock = sock
        self._lock = threading.Lock()
        make = H264Packetizer if codec == "h264" else H265Packetizer
        self._pictures = _Track(_named(make, PAYLOAD_TYPE), 0, TICKS_PER_S, clock)
        self._sound = _Track(_named(AacPacketizer, SOUND_TYPE), SOUND_CHANNEL, RATE_HZ, clock)

    def send(self, units: Sequence[AccessUnit]) -> None:
        """Send units in order of decoding.

        Raises:
            Unavailable: ``film.unheard``: the recorder takes nothing any more.
        """
        out: list[bytes] = []
        for unit in units:
            out += self._pictures.packets(unit.nals, unit.pts_90k)
        self._put(out)

    def send_sound(self, units: Sequence[SoundUnit]) -> None:
        """Send frames of AAC.

        Raises:
            Unavailable: ``film.unheard``.
        """
        out: list[bytes] = []
        for unit in units:
            out += self._sound.packets([unit.data], unit.at)
        self._put(out)

    def close(self) -> None:
        """Let go of the socket."""
        self._sock.close()

    def _put(self, out: list[bytes]) -> None:
        try:
            if out:
                with self._lock:  # a packet is never split by another
                    self._sock.sendall(b"".join(out))
        except OSError as err:
            raise Unavailable("film.unheard", f"the recorder takes no pictures: {err}") from err


def _named(make: type[H264Packetizer], payload_type: int) -> H264Packetizer:
    return make(payload_type, secrets.randbits(32), secrets.randbits(16))
