"""Recorded access units, and the packets that carry them in ONVIF's replay.

The first packet of each says in its header extension when it was taken and what is missing beside
it::

    0xABAC(16) 3(16) | NTP time(64) | C E D T 0000 | low byte of CSeq | padding(16)

``C`` it hangs on no other, ``E`` something is missing after it, ``D`` before it, ``T`` it is the
last. RTP times are those of playing it; where the peer sets the pace, those of taking it.

Source: ONVIF Streaming Specification 23.06, section 6; RFC 2326, appendix B.
"""

import secrets
import struct
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from nvr.base.clock import TICKS_PER_S
from nvr.media.fragment import Sample, pieces, samples
from nvr.media.track import StreamConfig, TrackConfig
from nvr.playback.query import Gop
from nvr.wire import h264, h265
from nvr.wire.nal import nals as nals_of
from nvr.wire.rtp import (
    AacPacketizer,
    H264Packetizer,
    H265Packetizer,
    SoundPacketizer,
    interleave,
)

_NTP_EPOCH_S: Final = 2_208_988_800
_G711_BYTES: Final = 1400
_PACKETIZERS: Final = {
    "h264": H264Packetizer,
    "h265": H265Packetizer,
    "aac": AacPacketizer,
    "pcma": SoundPacketizer,
    "pcmu": SoundPacketizer,
    "opus": SoundPacketizer,
}


def told(config: StreamConfig) -> StreamConfig:
    """The tracks of a recording that can be sent: its picture, and its sound if it has one."""
    able = [track for track in config if track.codec in _PACKETIZERS]
    pictures = [track for track in able if track.kind == "video"][:1]
    return (*pictures, *[track for track in able if track.kind == "audio"][:1])


@dataclass(frozen=True, slots=True)
class Unit:
    """An access unit.

    Attributes:
        track: Index of its track in what was described.
        parts: NAL units; of sound one frame, or a stretch of samples.
        pts_90k: When it is shown, on the line of its run.
        wall_us: When it was taken.
        key: It depends on no other.
    """

    track: int
    parts: tuple[bytes, ...]
    pts_90k: int
    wall_us: int
    key: bool


def units(gop: Gop, config: StreamConfig, described: StreamConfig, *, intra: bool) -> list[Unit]:
    """The access units of a group of pictures, in the order of decoding.

    Args:
        gop: The group.
        config: Its codecs.
        described: Those that are wanted; what came in another codec is left out.
        intra: Key frames only.

    Raises:
        Damaged: ``fragment.damaged``.
    """
    wanted: dict[int, int] = {}
    for number, track in enumerate(described):
        for index, its in enumerate(config):
            if (its.kind, its.codec, its.clock_hz) == (track.kind, track.codec, track.clock_hz):
                wanted.setdefault(index, number)
                break
    found = [
        one
        for piece in pieces(gop.data)
        for one in samples(piece, config)
        if one.track in wanted and (not intra or (one.key and config[one.track].kind == "video"))
    ]
    lead = next((one.pts_90k for one in found if config[one.track].kind == "video"), 0)
    made: list[Unit] = []
    for one in found:
        wall_us = gop.from_us + (one.pts_90k - lead) * 100 // 9
        made += _made(one, wanted[one.track], config[one.track], wall_us)
    return made


def _made(one: Sample, number: int, track: TrackConfig, wall_us: int) -> list[Unit]:
    if track.kind == "video":
        nals = list(nals_of(one.data))
        if one.key:
            read = h264.parameter_sets if track.codec == "h264" else h265.parameter_sets
            nals = [*(each for each in read(track.config) if each not in nals), *nals]
        return [Unit(number, tuple(nals), one.pts_90k, wall_us, one.key)]
    if track.codec not in {"pcma", "pcmu"}:
        return [Unit(number, (one.data,), one.pts_90k, wall_us, True)]
    bytes_s = track.clock_hz * track.channels
    return [
        Unit(
            number,
            (one.data[at : at + _G711_BYTES],),
            one.pts_90k + at * TICKS_PER_S // bytes_s,
            wall_us + at * 1_000_000 // bytes_s,
            True,
        )
        for at in range(0, len(one.data), _G711_BYTES)
    ]


@dataclass(frozen=True, slots=True)
class Flags:
    """What is said of an access unit: something is missing after it, before it; it is the last."""

    end: bool = False
    fresh: bool = False
    last: bool = False


class Packer:
    """Makes the packets of one track.

    Args:
        track: Its codec.
        payload_type: Of the description.
        channel: Interleaved channel of RTP.
    """

    def __init__(self, track: TrackConfig, payload_type: int, channel: int) -> None:
        kind = _PACKETIZERS[track.codec]
        self._packets = kind(payload_type, secrets.randbits(32), secrets.randbits(16))
        self._clock_hz = track.clock_hz
        self._base = secrets.randbits(32)
        self._channel = channel

    def pack(self, unit: Unit, time_90k: int, flags: Flags, cseq: int) -> bytes:
        """Return the packets of an access unit, interleaved.

        Args:
            unit: What is sent.
            time_90k: Of playing or taking it; the line of all tracks.
            flags: What is missing beside it.
            cseq: Low byte of the number of the request.
        """
        seconds, rest_us = divmod(unit.wall_us, 1_000_000)
        bits = unit.key << 7 | flags.end << 6 | flags.fresh << 5 | flags.last << 4
        extension = struct.pack(
            ">HHIIBBH", 0xABAC, 3, (seconds + _NTP_EPOCH_S) & 0xFFFFFFFF,
            (rest_us << 32) // 1_000_000, bits, cseq, 0,
        )  # fmt: skip
        packets = self._packets.packets(unit.parts, self._ticks(time_90k), extension)
        return b"".join(interleave(self._channel, one) for one in packets)

    def report(self, wall_us: int, time_90k: int) -> bytes:
        """Return a sender report, interleaved: what plays now is what was at `time_90k`."""
        report = self._packets.sender_report(wall_us, self._ticks(time_90k))
        return interleave(self._channel + 1, report)

    def _ticks(self, time_90k: int) -> int:
        return self._base + time_90k * self._clock_hz // TICKS_PER_S


class Line:
    """When what is replayed is played, from its first picture on: gaps are not waited for.

    Args:
        scale: How much faster than it happened, below 0 backwards.
    """

    def __init__(self, scale: float) -> None:
        self._scale = scale
        self._anchor = 0, 0
        self._end_90k = 0

    def turn(self, pictures: Sequence[Unit]) -> None:
        """What follows begins right after what was before: with the first of these pictures."""
        first = max if self._scale < 0 else min
        self._anchor = first(one.pts_90k for one in pictures), self._end_90k

    def at_90k(self, unit: Unit) -> int:
        """When a unit is to be played."""
        at = self._anchor[1] + round((unit.pts_90k - self._anchor[0]) / self._scale)
        self._end_90k = max(self._end_90k, at + TICKS_PER_S // 25)
        return at
