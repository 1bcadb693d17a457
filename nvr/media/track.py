"""Codec configuration of a stream, as a player or an MP4 sample entry needs it."""

from dataclasses import dataclass
from typing import Literal

from nvr.wire.sdp import HBR, AuHeader

VideoCodec = Literal["h264", "h265"]
"""What pictures are encoded with here."""
PictureCodec = VideoCodec | Literal["jpeg"]
"""What they are recorded in: a camera's JPEGs are kept as they come, each a key frame."""
AudioCodec = Literal["aac", "pcma", "pcmu", "opus", "g726", "l16", "flac"]
"""FLAC is for browsers only: it is made while somebody listens, and never recorded."""


@dataclass(frozen=True, slots=True)
class TrackConfig:
    """One track of a stream.

    Attributes:
        kind: ``video`` or ``audio``.
        codec: The codec's short name.
        clock_hz: RTP clock and MP4 timescale: 90000 for video, the sample rate for audio.
        config: ``avcC`` or ``hvcC`` record without its box header, AudioSpecificConfig for AAC,
            for G.726 a byte (bits a sample, of which the first has a byte's high bits), STREAMINFO
            for FLAC, else empty.
        width_px: Picture width, 0 for audio.
        height_px: Picture height, 0 for audio.
        channels: Audio channels, 0 for video.
    """

    kind: Literal["video", "audio"]
    codec: PictureCodec | AudioCodec
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
            codes; may be empty when the camera sends them only in band. Of JPEG one of four bytes
            at most: width(16), height(16), for packets that have no room for them.
        config: As of `TrackConfig`, for sound; that of LATM is only likely until it was read.
        latm: AAC comes as LATM.
        mux: StreamMuxConfig of LATM, empty if it is in band.
        au: Headers of AAC's access units where it does not.
        order: H.265 packets hold decoding order numbers; the first sample of G.726 has a byte's
            low bits in the packets.
        encoding: As the camera calls it, empty if nothing needs it.
    """

    kind: Literal["video", "audio"]
    codec: PictureCodec | AudioCodec
    clock_hz: int
    payload_type: int
    channel: int
    channels: int = 0
    parameter_sets: tuple[bytes, ...] = ()
    config: bytes = b""
    latm: bool = False
    mux: bytes = b""
    au: AuHeader = HBR
    order: bool = False
    encoding: str = ""
