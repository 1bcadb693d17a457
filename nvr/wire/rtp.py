"""RTP as a sender makes it: packets of a picture or of sound, reports, interleaving.

RTP header: ``V=2 P X CC | M PT | sequence(16) | timestamp(32) | SSRC(32)``. A NAL unit that
fits goes as it is; a longer one as FU-A: ``F NRI 28 | S E R type | piece``. The marker bit is
set on the last packet of a picture. Interleaved: ``$ | channel | length(16) | packet``.

Source: RFC 3550 sections 5.1 and 6.4.1, RFC 6184 sections 5.6 and 5.8, RFC 2326 section 10.12.
"""

import struct
from collections.abc import Iterable

_VERSION = 0x80
_EXTENDED = 0x10
_MARKER = 0x80
_FU_A = 28
_FU = 49
_SENDER_REPORT = 200
_HEADER_BYTES = 12
_NTP_EPOCH_S = 2_208_988_800
"""Seconds from 1900, where NTP counts from, to 1970."""


class H264Packetizer:
    """Numbers and cuts the pictures of one stream.

    Args:
        payload_type: Type of the SDP, 0-127.
        ssrc: Source, 32 bits.
        sequence: First sequence number, 16 bits.
        packet_bytes: Longest RTP packet, header included; 1460 fits TCP's segment on Ethernet
            together with the four bytes of interleaving.

    Raises:
        ValueError: A number is out of range.
    """

    def __init__(
        self, payload_type: int, ssrc: int, sequence: int = 0, packet_bytes: int = 1456
    ) -> None:
        if not 0 <= payload_type <= 127:
            raise ValueError(f"payload type {payload_type} is outside 0-127")
        if not 0 <= ssrc < 1 << 32 or not 0 <= sequence < 1 << 16:
            raise ValueError("SSRC or sequence number out of range")
        if not _HEADER_BYTES + 3 <= packet_bytes <= 65535:
            raise ValueError(f"packets of {packet_bytes} bytes are outside 15-65535")
        self._payload_type = payload_type
        self._ssrc = ssrc
        self._sequence = sequence
        self._room = packet_bytes - _HEADER_BYTES
        self._packets = 0
        self._octets = 0

    def packets(self, nals: Iterable[bytes], timestamp: int, extension: bytes = b"") -> list[bytes]:
        """Cut one picture into RTP packets.

        Args:
            nals: Its NAL units in order, without start codes, none empty.
            timestamp: 90 kHz time; cut to 32 bits.
            extension: Header extension of the first packet, its own head included; it makes that
                one longer by as much.
        """
        payloads: list[bytes] = []
        for nal in nals:
            payloads += self._payloads(nal)
        last = len(payloads) - 1
        return [
            self._packet(p, timestamp, b"" if i else extension, marker=i == last)
            for i, p in enumerate(payloads)
        ]

    def sender_report(self, wall_us: int, timestamp: int) -> bytes:
        """RTCP sender report: at `wall_us` (UTC since 1970) the stream's time is `timestamp`."""
        seconds, rest_us = divmod(wall_us, 1_000_000)
        return struct.pack(
            ">BBHIIIIII",
            _VERSION,
            _SENDER_REPORT,
            6,
            self._ssrc,
            (seconds + _NTP_EPOCH_S) & 0xFFFFFFFF,
            (rest_us << 32) // 1_000_000,
            timestamp & 0xFFFFFFFF,
            self._packets & 0xFFFFFFFF,
            self._octets & 0xFFFFFFFF,
        )

    def _payloads(self, nal: bytes) -> list[bytes]:
        if not nal:
            raise ValueError("an empty NAL unit")
        if len(nal) <= self._room:
            return [nal]
        indicator, kind = nal[0] & 0xE0 | _FU_A, nal[0] & 0x1F
        size = self._room - 2
        cuts = range(1, len(nal), size)
        return [
            bytes((indicator, (0x80 if at == 1 else 0) | (0x40 if at == cuts[-1] else 0) | kind))
            + nal[at : at + size]
            for at in cuts
        ]

    def _packet(self, payload: bytes, timestamp: int, extension: bytes, *, marker: bool) -> bytes:
        head = struct.pack(
            ">BBHII",
            _VERSION | (_EXTENDED if extension else 0),
            (_MARKER if marker else 0) | self._payload_type,
            self._sequence,
            timestamp & 0xFFFFFFFF,
            self._ssrc,
        )
        self._sequence = (self._sequence + 1) & 0xFFFF
        self._packets += 1
        self._octets += len(payload)
        return head + extension + payload


class H265Packetizer(H264Packetizer):
    """The same for H.265: fragments are FUs, whose NAL header has two bytes.

    ``F type(6) layer(6) TID(3)`` with type 49, then ``S E type(6)`` and the piece.

    Source: RFC 7798 section 4.4.3.
    """

    def _payloads(self, nal: bytes) -> list[bytes]:
        if len(nal) < 2:
            raise ValueError("a NAL unit without a whole header")
        if len(nal) <= self._room:
            return [nal]
        first, kind = nal[0] & 0x81 | _FU << 1, nal[0] >> 1 & 0x3F
        size = self._room - 3
        cuts = range(2, len(nal), size)
        return [
            bytes(
                (first, nal[1], (0x80 if at == 2 else 0) | (0x40 if at == cuts[-1] else 0) | kind)
            )
            + nal[at : at + size]
            for at in cuts
        ]


class AacPacketizer(H264Packetizer):
    """The same for AAC in its high bit rate mode: one frame a packet, its size in front.

    ``16`` (bits of headers that follow), then ``size(13) index(3)``, then the frame.

    Source: RFC 3640 section 3.3.6.
    """

    def _payloads(self, nal: bytes) -> list[bytes]:
        if not 0 < len(nal) < 1 << 13:
            raise ValueError(f"a frame of {len(nal)} bytes is outside 1-8191")
        return [struct.pack(">HH", 16, len(nal) << 3) + nal]


class SoundPacketizer(H264Packetizer):
    """The same for sound of which a packet holds so much as it is given: G.711, Opus.

    The marker would begin a talkspurt; there are none.

    Source: RFC 3551 section 4.1, RFC 7587 section 4.2.
    """

    def packets(self, nals: Iterable[bytes], timestamp: int, extension: bytes = b"") -> list[bytes]:
        """See `H264Packetizer.packets`."""
        return [self._packet(one, timestamp, extension, marker=False) for one in nals]


def interleave(channel: int, packet: bytes) -> bytes:
    """Frame one RTP or RTCP packet for an RTSP connection.

    Raises:
        ValueError: The channel is outside 0-255, or the packet is longer than 65535 bytes.
    """
    if not 0 <= channel <= 255 or len(packet) > 65535:
        raise ValueError("channel or packet out of range")
    return struct.pack(">cBH", b"$", channel, len(packet)) + packet
