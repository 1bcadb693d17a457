"""An MPEG program stream as GB/T 28181 wants it: every access unit is one pack.

``pack header | system header | program stream map | PES...`` where decoding can begin, elsewhere
``pack header | PES...``. A unit over 65,535 bytes takes several PES packets, of which the first has
the times. H.264 and H.265 go with start codes and with their parameter sets before each key frame,
AAC with ADTS headers, G.711 as it is.

Made for single access units as they come, so a file and a live sender share it; what one call
returns is one frame of RTP. The bytes are made in ``native/ps.c``; this says of what.

Source: GB/T 28181-2022 annex C; ISO/IEC 13818-1:2019, 2.4.3.6 and 2.5.3.
"""

from collections.abc import Sequence

from nvr._native import PsMuxer
from nvr.wire import aac, h264, h265
from nvr.wire.fmp4 import Track

VIDEO_ID, AUDIO_ID = 0xE0, 0xC0
STREAM_TYPES = {"h264": 0x1B, "h265": 0x24, "aac": 0x0F, "pcma": 0x90, "pcmu": 0x91}
RATE_BPS = 50_000_000
"""More than any camera sends, for the fields that ask for a bound."""

_START_CODE = b"\0\0\0\1"
_LEFT_OUT, _SOUND, _AAC, _H264, _H265 = range(5)
_KINDS = {"h264": _H264, "h265": _H265, "aac": _AAC, "pcma": _SOUND, "pcmu": _SOUND}
_Row = tuple[int, int, int, bytes, bytes]


def carries(track: Track) -> bool:
    """Whether a program stream of GB/T 28181 has a place for `track`: not for Opus, G.726, L16."""
    try:
        return bool(_row(track, 0))
    except ValueError:
        return False


def muxer(
    config: Sequence[Track], *, rate_bps: int = RATE_BPS, lead_90k: int = 0, leave_out: bool = False
) -> PsMuxer:
    """Return what packs the access units of one stream, by ``pack(track, data, dts, pts, starts)``.

    It takes the track's index in `config`; data as MP4 has it (NAL units after their four-byte
    lengths, raw AAC, G.711); when it is decoded and when it is shown, in 90 kHz ticks that wrap in
    the stream; and whether decoding can begin here. Nothing comes back for a unit that is empty,
    or of a length that only damage makes.

    Args:
        config: Its tracks; a `nvr.media.track.StreamConfig`.
        rate_bps: Bound of its bit rate, all tracks and headers together.
        lead_90k: How long before its decode time a unit is sent: 0 live.
        leave_out: Leave out sound that has no place beside pictures instead of raising.

    Raises:
        ValueError: A codec that a program stream of GB/T 28181 cannot carry, or a configuration
            that is cut off.
    """
    rate = -(-rate_bps // 400)  # in 50 bytes a second
    if not 0 < rate < 1 << 22:
        raise ValueError(f"{rate_bps} bits a second is out of range")
    leave_out = leave_out and any(track.kind == "video" for track in config)
    rows: list[_Row] = []
    counts = {"video": 0, "audio": 0}
    for track in config:
        if leave_out and track.kind == "audio" and not carries(track):
            rows.append((_LEFT_OUT, 0, 0, b"", b""))
            continue
        rows.append(_row(track, counts[track.kind]))
        counts[track.kind] += 1
    return PsMuxer(tuple(rows), rate, lead_90k)


def _row(track: Track, number: int) -> _Row:
    """What the muxer needs of the `number`-th track of its kind."""
    kind = _KINDS.get(track.codec)
    if kind is None:
        raise ValueError(f"a program stream does not carry {track.codec}")
    header, sets = b"", b""
    if kind == _AAC:
        header = aac.adts(track.config).header(0)
    elif track.kind == "video":
        read = h264.parameter_sets if kind == _H264 else h265.parameter_sets
        sets = b"".join(_START_CODE + one for one in read(track.config))
    base = VIDEO_ID if track.kind == "video" else AUDIO_ID
    return kind, base + number, STREAM_TYPES[track.codec], header, sets
