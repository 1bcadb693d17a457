"""An MPEG program stream as GB/T 28181 wants it: every access unit is one pack.

``pack header | system header | program stream map | PES...`` where decoding can begin, elsewhere
``pack header | PES...``. A unit over 65,535 bytes takes several PES packets, of which the first has
the times. H.264 and H.265 go with start codes and with their parameter sets before each key frame,
AAC with ADTS headers, G.711 as it is.

Made for single access units as they come, so a file and a live sender share it; what one call
returns is one frame of RTP. A live sender for many cameras will want the same in the extension.

Source: GB/T 28181-2022 annex C; ISO/IEC 13818-1:2019, 2.4.3.6 and 2.5.3.
"""

from collections.abc import Iterator, Sequence

from nvr.wire import aac, h264, h265
from nvr.wire.fmp4 import Track

VIDEO_ID, AUDIO_ID = 0xE0, 0xC0
STREAM_TYPES = {"h264": 0x1B, "h265": 0x24, "aac": 0x0F, "pcma": 0x90, "pcmu": 0x91}
RATE_BPS = 50_000_000
"""More than any camera sends, for the fields that ask for a bound."""

_PACK, _SYSTEM, _MAP = (bytes((0, 0, 1, kind)) for kind in (0xBA, 0xBB, 0xBC))
_START_CODE = b"\0\0\0\1"
_CLOCK = (1 << 33) - 1
_MOST_PES = 0xFFFF
_H264_AUD, _H265_AUD = 9, 35
_ALIGNED, _GOES_ON = 0x84, 0x80


def carries(track: Track) -> bool:
    """Whether a program stream of GB/T 28181 has a place for `track`: not for Opus, G.726, L16."""
    try:
        return bool(_Carried(track))
    except ValueError:
        return False


class Muxer:
    """Packs the access units of one stream.

    Args:
        config: Its tracks; a `nvr.media.track.StreamConfig`.
        rate_bps: Bound of its bit rate, all tracks and headers together.
        lead_90k: How long before its decode time a unit is sent: 0 live.

    Raises:
        ValueError: A codec that a program stream of GB/T 28181 cannot carry, or a configuration
            that is cut off.
    """

    def __init__(
        self, config: Sequence[Track], *, rate_bps: int = RATE_BPS, lead_90k: int = 0
    ) -> None:
        self._tracks = [_Carried(track) for track in config]
        counts = {VIDEO_ID: 0, AUDIO_ID: 0}
        for track in self._tracks:
            track.stream_id += counts[track.stream_id]
            counts[track.stream_id & 0xE0] += 1
        rate = -(-rate_bps // 400)  # in 50 bytes a second
        if not 0 < rate < 1 << 22:
            raise ValueError(f"{rate_bps} bits a second is out of range")
        self._rate = (rate << 2 | 3).to_bytes(3, "big") + b"\xf8"
        self._lead_90k = lead_90k
        self._sent_90k = 0
        self._front = _system_header(self._tracks, rate) + _map(self._tracks)

    def pack(self, track: int, data: bytes, dts_90k: int, pts_90k: int, *, starts: bool) -> bytes:
        """Return one access unit as a pack.

        Args:
            track: Index in the configuration.
            data: As MP4 has it: NAL units after their four-byte lengths, raw AAC, G.711.
            dts_90k: When it is decoded; those of all tracks rise, and wrap in the stream.
            pts_90k: When it is shown.
            starts: Decoding can begin here: a key frame, or of a stream without video now and
                then a unit.

        Returns:
            The pack; nothing for an empty unit and for one that only damage makes that long.
        """
        carried = self._tracks[track]
        payload = carried.payload(data, starts=starts)
        if not payload:
            return b""
        # Sound that comes a little late must not turn the clock back.
        self._sent_90k = max(self._sent_90k, dts_90k - self._lead_90k)
        pieces = [_PACK, _scr(self._sent_90k), self._rate]
        if starts:
            pieces.append(self._front)
        times = _times(pts_90k, dts_90k)
        pieces.extend(_pes(carried.stream_id, times, payload))
        return b"".join(pieces)


class _Carried:
    """A track and what it needs in a program stream."""

    def __init__(self, track: Track) -> None:
        kind = STREAM_TYPES.get(track.codec)
        if kind is None:
            raise ValueError(f"a program stream does not carry {track.codec}")
        self.stream_type = kind
        self.stream_id = VIDEO_ID if track.kind == "video" else AUDIO_ID
        self._codec = track.codec
        self._adts = aac.adts(track.config) if track.codec == "aac" else None
        self._video = track.kind == "video"
        self._sets: tuple[bytes, ...] = ()
        if self._video:
            wire = h264 if track.codec == "h264" else h265
            self._sets = wire.parameter_sets(track.config)

    def payload(self, data: bytes, *, starts: bool) -> bytes:
        if self._adts is not None:
            header = self._adts.header(len(data)) if data else b""
            return header + data if header else b""
        if not self._video:
            return data
        nals = list(_nals(data))
        if starts and nals:
            self._complete(nals)
        return b"".join(piece for nal in nals for piece in (_START_CODE, nal))

    def _complete(self, nals: list[bytes]) -> None:
        """Put the parameter sets before a key frame unless it brings its own."""
        wire = h264 if self._codec == "h264" else h265
        aud = _H264_AUD if self._codec == "h264" else _H265_AUD
        if {wire.nal_type(nal) for nal in self._sets} <= {wire.nal_type(nal) for nal in nals}:
            return
        at = 1 if wire.nal_type(nals[0]) == aud else 0
        nals[at:at] = self._sets


def _nals(data: bytes) -> Iterator[bytes]:
    """Yield the NAL units of a sample; one whose length is wrong ends it."""
    at = 0
    while at + 4 < len(data):
        size = int.from_bytes(data[at : at + 4], "big")
        if size > len(data) - at - 4:
            return
        if size:
            yield data[at + 4 : at + 4 + size]
        at += 4 + size


def _scr(at_90k: int) -> bytes:
    at = at_90k & _CLOCK
    bits = 1 << 46 | (at >> 30) << 43 | 1 << 42 | (at >> 15 & 0x7FFF) << 27
    return (bits | 1 << 26 | (at & 0x7FFF) << 11 | 1 << 10 | 1).to_bytes(6, "big")


def _system_header(tracks: Sequence[_Carried], rate: int) -> bytes:
    sound = [t.stream_id for t in tracks if t.stream_id < VIDEO_ID]
    pictures = [t.stream_id for t in tracks if t.stream_id >= VIDEO_ID]
    body = (1 << 23 | rate << 1 | 1).to_bytes(3, "big")
    body += bytes((len(sound) << 2, 0xE0 | len(pictures), 0x7F))
    # Room that a decoder needs: 4 KiB for sound, 128 KiB for pictures.
    body += b"".join(bytes((one, 0xC0, 0x20)) for one in sound)
    body += b"".join(bytes((one, 0xE0, 0x80)) for one in pictures)
    return _SYSTEM + len(body).to_bytes(2, "big") + body


def _map(tracks: Sequence[_Carried]) -> bytes:
    order = sorted(tracks, key=lambda one: -one.stream_id)
    rows = b"".join(bytes((one.stream_type, one.stream_id, 0, 0)) for one in order)
    body = b"\xe0\xff\0\0" + len(rows).to_bytes(2, "big") + rows
    found = _MAP + (len(body) + 4).to_bytes(2, "big") + body
    return found + crc32(found).to_bytes(4, "big")


def crc32(data: bytes) -> int:
    """CRC of program stream maps: polynomial 04C11DB7, not reflected, begins with ones."""
    crc = 0xFFFFFFFF
    for byte in data:
        crc ^= byte << 24
        for _ in range(8):
            crc = (crc << 1 ^ 0x04C11DB7 if crc >> 31 else crc << 1) & 0xFFFFFFFF
    return crc


def _times(pts_90k: int, dts_90k: int) -> bytes:
    """Return a PES header's flags, length and times; what is shown at once needs only one."""
    if pts_90k <= dts_90k:
        return b"\x80\x05" + _stamp(2, pts_90k)
    return b"\xc0\x0a" + _stamp(3, pts_90k) + _stamp(1, dts_90k)


def _stamp(mark: int, at_90k: int) -> bytes:
    at = at_90k & _CLOCK
    bits = mark << 36 | (at >> 30) << 33 | 1 << 32 | (at >> 15 & 0x7FFF) << 17
    return (bits | 1 << 16 | (at & 0x7FFF) << 1 | 1).to_bytes(5, "big")


def _pes(stream_id: int, times: bytes, payload: bytes) -> Iterator[bytes]:
    at, flags = 0, _ALIGNED
    while at < len(payload):
        room = _MOST_PES - 1 - len(times)
        size = min(room, len(payload) - at)
        yield bytes((0, 0, 1, stream_id)) + (1 + len(times) + size).to_bytes(2, "big")
        yield bytes((flags,)) + times
        yield payload[at : at + size]
        at, flags, times = at + size, _GOES_ON, b"\0\0"
