"""Playlists of HTTP Live Streaming: one of streams, one that goes on, and one that is complete.

Segments and their parts are fragmented MP4. Times are in seconds, dates in UTC microseconds.

Source: RFC 8216; draft-ietf-hls-rfc8216bis-17, sections 4.4 and 6.2.5 (Low-Latency HLS).
"""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

MIME = "application/vnd.apple.mpegurl"
_VERSION = 9
_HOLD_BACK_PARTS = 3
_HOLD_BACK_TARGETS = 3


@dataclass(frozen=True, slots=True)
class Part:
    """A piece of a segment that is told before the segment is complete.

    Attributes:
        uri: Where it is, relative to the playlist.
        duration_s: How long it lasts.
        independent: Holds a key frame.
    """

    uri: str
    duration_s: float
    independent: bool


@dataclass(frozen=True, slots=True)
class Segment:
    """A stretch of a stream.

    Attributes:
        uri: Where it is, relative to the playlist; empty while it is not complete.
        duration_s: How long it lasts.
        at_us: When its first picture was taken.
        init: Where ``ftyp moov`` for it is.
        parts: Pieces of it, if they are to be told.
        fresh: Its times do not go on from those of the segment before.
    """

    uri: str
    duration_s: float
    at_us: int
    init: str
    parts: Sequence[Part] = ()
    fresh: bool = False


@dataclass(frozen=True, slots=True)
class Live:
    """A playlist that goes on.

    Attributes:
        first: Media sequence number of the first segment.
        discontinuities: Segments with `Segment.fresh` that are not listed any more, and the first.
        target_s: No segment lasts longer, rounded to whole seconds.
        part_s: No part lasts longer.
        segments: The last may be incomplete.
        hint: Where the next part will be.
        independent: Each segment begins with a key frame.
    """

    first: int
    discontinuities: int
    target_s: int
    part_s: float
    segments: Sequence[Segment]
    hint: str
    independent: bool


@dataclass(frozen=True, slots=True)
class Variant:
    """A stream to choose.

    Attributes:
        uri: Its playlist.
        peak_bps: Most bits a second.
        codecs: As RFC 6381 names them, joined by commas; empty if they are not known.
        size_px: Width and height, zeros if not known.
        fps: Pictures a second, 0 if not known.
    """

    uri: str
    peak_bps: int
    codecs: str = ""
    size_px: tuple[int, int] = (0, 0)
    fps: float = 0.0


def variants(of: Iterable[Variant]) -> str:
    """Write the playlist of streams of the same scene, the one to begin with first."""
    lines = ["#EXTM3U", f"#EXT-X-VERSION:{_VERSION}"]
    for one in of:
        said = [f"BANDWIDTH={max(1, one.peak_bps)}"]
        said += [f'CODECS="{one.codecs}"'] if one.codecs else []
        said += [f"RESOLUTION={one.size_px[0]}x{one.size_px[1]}"] if all(one.size_px) else []
        said += [f"FRAME-RATE={one.fps:.3f}"] if one.fps > 0 else []
        lines += [f"#EXT-X-STREAM-INF:{','.join(said)}", one.uri]
    return _text(lines)


def live(of: Live) -> str:
    """Write a playlist that goes on, for players with low latency and without."""
    hold_s = of.part_s * _HOLD_BACK_PARTS
    control = f"CAN-BLOCK-RELOAD=YES,PART-HOLD-BACK={hold_s:.3f}"
    lines = [
        *_head(of.target_s, independent=of.independent),
        f"#EXT-X-SERVER-CONTROL:{control},HOLD-BACK={of.target_s * _HOLD_BACK_TARGETS:.1f}",
        f"#EXT-X-PART-INF:PART-TARGET={of.part_s:.5f}",
        f"#EXT-X-MEDIA-SEQUENCE:{of.first}",
        f"#EXT-X-DISCONTINUITY-SEQUENCE:{of.discontinuities}",
    ]
    init = ""
    for place, one in enumerate(of.segments):
        lines += _opening(one, init, dated=True, told=place > 0)
        init = one.init
        lines += [_part(part) for part in one.parts]
        lines += _whole(one) if one.uri else []
    if of.hint:
        lines.append(f'#EXT-X-PRELOAD-HINT:TYPE=PART,URI="{of.hint}"')
    return _text(lines)


def recorded(segments: Sequence[Segment]) -> str:
    """Write a complete playlist; each segment begins with a key frame."""
    longest_s = max((one.duration_s for one in segments), default=1.0)
    lines = [
        *_head(max(1, math.ceil(longest_s)), independent=True),
        "#EXT-X-PLAYLIST-TYPE:VOD",
        "#EXT-X-MEDIA-SEQUENCE:0",
    ]
    init = ""
    for place, one in enumerate(segments):
        lines += _opening(one, init, dated=place == 0 or one.fresh, told=place > 0)
        init = one.init
        lines += _whole(one)
    return _text([*lines, "#EXT-X-ENDLIST"])


def _head(target_s: int, *, independent: bool) -> list[str]:
    lines = ["#EXTM3U", f"#EXT-X-VERSION:{_VERSION}", f"#EXT-X-TARGETDURATION:{target_s}"]
    return [*lines, "#EXT-X-INDEPENDENT-SEGMENTS"] if independent else lines


def _opening(one: Segment, init: str, *, dated: bool, told: bool) -> list[str]:
    lines = ["#EXT-X-DISCONTINUITY"] if one.fresh and told else []
    if one.init != init:
        lines.append(f'#EXT-X-MAP:URI="{one.init}"')
    if dated:
        at = datetime.fromtimestamp(one.at_us // 1_000_000, UTC)
        rest_ms = one.at_us // 1000 % 1000
        lines.append(f"#EXT-X-PROGRAM-DATE-TIME:{at:%Y-%m-%dT%H:%M:%S}.{rest_ms:03}Z")
    return lines


def _part(one: Part) -> str:
    key = ",INDEPENDENT=YES" if one.independent else ""
    return f'#EXT-X-PART:DURATION={one.duration_s:.5f},URI="{one.uri}"{key}'


def _whole(one: Segment) -> list[str]:
    return [f"#EXTINF:{one.duration_s:.5f},", one.uri]


def _text(lines: Iterable[str]) -> str:
    return "\n".join(lines) + "\n"
