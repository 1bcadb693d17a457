"""Tracks as the native session is told them, and the configuration it tells of what it found."""

import logging
import struct
from collections.abc import Sequence

from nvr.base.log import event
from nvr.media.track import RtpTrack, StreamConfig, TrackConfig
from nvr.wire import aac, h264, h265

_log = logging.getLogger(__name__)

_CODES = {
    "h264": 0,
    "h265": 1,
    "aac": 2,
    "pcma": 3,
    "pcmu": 3,
    "g726": 3,
    "l16": 3,
    "opus": 5,
    "jpeg": 6,
}
_LATM = 4
_SAMPLE_BITS = {"pcma": 8, "pcmu": 8, "l16": 16}
_TRACKS = 4


def taken(tracks: Sequence[RtpTrack], stream: str) -> list[RtpTrack]:
    """The tracks that can be taken: one of video first, then sound; what can't be is said."""
    found = [track for track in tracks if track.kind == "video"][:1]
    for track in tracks:
        if track.kind == "audio" and len(found) < _TRACKS:
            try:
                if track.codec == "aac":
                    aac.parse(track.config)
            except ValueError as err:
                event(_log, logging.WARNING, "ingest.track_left_out", stream=stream, why=str(err))
            else:
                found.append(track)
    return found


def setup(track: RtpTrack, floor: int, reorder: int) -> tuple[object, ...]:
    """A track as `nvr._native.Session` wants it; `floor` in the track's clock.

    Raises:
        ValueError: The configuration of AAC cannot be read.
    """
    code, channels, frame = _CODES[track.codec], track.channels or 1, 0
    if track.codec == "aac":
        told = aac.parse(track.config)
        code = _LATM if track.latm else code
        frame = told.frame_samples * track.clock_hz // told.rate_hz
    elif track.codec == "g726":
        frame = track.config[0]
    elif track.codec in _SAMPLE_BITS:
        frame = _SAMPLE_BITS[track.codec] * channels
    au = track.au
    header = (
        au.size_bits, au.index_bits, au.delta_bits, au.cts_bits, au.dts_bits, int(au.random),
        au.state_bits, au.auxiliary_bits, au.constant_bytes,
    )  # fmt: skip
    return (
        code, track.clock_hz, track.payload_type, track.channel, channels, frame, floor, reorder,
        track.order, header, track.mux,
    )  # fmt: skip


def config_of(tracks: Sequence[RtpTrack], blob: bytes) -> StreamConfig:
    """Tracks as a player needs them, with the parameter sets the session has found.

    Raises:
        ValueError: The parameter sets make no configuration.
    """
    found: dict[int, list[bytes]] = {}
    at = 0
    while at < len(blob):
        end = at + 3 + int.from_bytes(blob[at + 1 : at + 3], "big")
        found.setdefault(blob[at], []).append(blob[at + 3 : end])
        at = end
    made: list[TrackConfig] = []
    for index, track in enumerate(tracks):
        sets = found.get(index, [])
        record, width_px, height_px = track.config, 0, 0
        if track.codec == "h264":
            record = h264.avcc(sets)
            sps = h264.parse_sps(next(nal for nal in sets if h264.nal_type(nal) == h264.SPS))
            width_px, height_px = sps.width_px, sps.height_px
        elif track.codec == "h265":
            record = h265.hvcc(sets)
            tall = h265.parse_sps(next(nal for nal in sets if h265.nal_type(nal) == h265.SPS))
            width_px, height_px = tall.width_px, tall.height_px
        elif track.codec == "jpeg":
            width_px, height_px = struct.unpack(">HH", sets[0])
        elif track.latm and sets:
            record = sets[0]
        channels = (track.channels or 1) if track.kind == "audio" else 0
        if track.latm:
            channels = aac.parse(record).channels or channels
        made.append(
            TrackConfig(
                track.kind, track.codec, track.clock_hz, record, width_px, height_px, channels
            )
        )
    return tuple(made)
