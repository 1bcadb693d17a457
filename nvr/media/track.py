"""Codec configuration of a stream, as a player or an MP4 sample entry needs it."""

from dataclasses import dataclass
from typing import Literal

VideoCodec = Literal["h264", "h265"]
AudioCodec = Literal["aac", "pcma", "pcmu"]


@dataclass(frozen=True, slots=True)
class TrackConfig:
    """One track of a stream.

    Attributes:
        kind: ``video`` or ``audio``.
        codec: The codec's short name.
        clock_hz: RTP clock and MP4 timescale: 90000 for video, the sample rate for audio.
        config: ``avcC`` or ``hvcC`` record without its box header, AudioSpecificConfig for AAC,
            empty for G.711.
        width_px: Picture width, 0 for audio.
        height_px: Picture height, 0 for audio.
        channels: Audio channels, 0 for video.
    """

    kind: Literal["video", "audio"]
    codec: VideoCodec | AudioCodec
    clock_hz: int
    config: bytes
    width_px: int = 0
    height_px: int = 0
    channels: int = 0


StreamConfig = tuple[TrackConfig, ...]


@dataclass(frozen=True, slots=True)
class RtpTrack:
    """One track as a camera's SDP announces it and SETUP negotiated it.

    Attributes:
        kind: ``video`` or ``audio``.
        codec: The codec's short name.
        clock_hz: RTP clock.
        payload_type: RTP payload type, 0-127.
        channel: Interleaved channel of RTP; RTCP is on the next one.
        channels: Audio channels, 0 for video.
        parameter_sets: NAL units from ``sprop-*``, in order (VPS, SPS, PPS), without start
            codes; may be empty when the camera sends them only in band.
        aac_config: AudioSpecificConfig from ``config=``.
        aac_size_bits: RFC 3640 ``sizelength``.
        aac_index_bits: RFC 3640 ``indexlength`` (and ``indexdeltalength``).
    """

    kind: Literal["video", "audio"]
    codec: VideoCodec | AudioCodec
    clock_hz: int
    payload_type: int
    channel: int
    channels: int = 0
    parameter_sets: tuple[bytes, ...] = ()
    aac_config: bytes = b""
    aac_size_bits: int = 13
    aac_index_bits: int = 3
