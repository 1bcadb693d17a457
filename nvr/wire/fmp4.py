"""The head of a fragmented MP4: ``ftyp moov``, to be followed by ``moof mdat`` parts.

One ``trak`` per track, ids from 1 in order, empty sample tables, ``mvex`` with a ``trex`` each. All
durations are 0 and there is no ``mehd``: Chromium, told of a duration, buffers a live stream before
it plays. G.711 goes into the QuickTime sample entries ``alaw`` and ``ulaw``, L16 into ``twos``,
G.726 into ``ms`` with its number of Microsoft's list, JPEG into ``jpeg``, as players look for it.

Source: ISO/IEC 14496-12:2022 section 8, 14496-14:2020 section 5.6, 14496-15:2022 sections 5.4, 8.4;
"Encapsulation of Opus in ISO Base Media File Format", version 0.8.1, section 4.3, and of FLAC,
version 0.0.4.
"""

import functools
import struct
from collections.abc import Sequence
from typing import Protocol

from nvr.wire import aac, h264, h265

MATRIX = struct.pack(">9I", 0x10000, 0, 0, 0, 0x10000, 0, 0, 0, 0x40000000)
_MOVIE_HZ = 1000
_PICTURE = {"h264": (b"avc1", b"avcC"), "h265": (b"hvc1", b"hvcC"), "jpeg": (b"jpeg", b"")}
_SOUND = {
    "aac": b"mp4a",
    "pcma": b"alaw",
    "pcmu": b"ulaw",
    "opus": b"Opus",
    "g726": b"ms\x00\x45",
    "l16": b"twos",
    "flac": b"fLaC",
}
UNDETERMINED = 0x55C4
"""Language ``und``, three letters of five bits."""


class Track(Protocol):
    """What a sample entry needs; `nvr.media.track.TrackConfig` is one."""

    @property
    def kind(self) -> str:
        """``video`` or ``audio``."""

    @property
    def codec(self) -> str:
        """``h264``, ``h265``, ``jpeg``, ``aac``, ``pcma``, ``pcmu``, ``opus``, ``g726``, ..."""

    @property
    def clock_hz(self) -> int:
        """Timescale."""

    @property
    def config(self) -> bytes:
        """``avcC``, ``hvcC``, AudioSpecificConfig, bits of a sample of G.726, STREAMINFO."""

    @property
    def width_px(self) -> int:
        """Picture width, 0 for audio."""

    @property
    def height_px(self) -> int:
        """Picture height, 0 for audio."""

    @property
    def channels(self) -> int:
        """Audio channels, 0 for video."""


def box(kind: bytes, *payload: bytes) -> bytes:
    """Put `payload` into a box called `kind`."""
    body = b"".join(payload)
    return struct.pack(">I4s", 8 + len(body), kind) + body


def full(kind: bytes, version: int, flags: int, *payload: bytes) -> bytes:
    """Put `payload` into a box with version and flags."""
    return box(kind, struct.pack(">I", version << 24 | flags), *payload)


def _descriptor(tag: int, body: bytes) -> bytes:
    return bytes((tag, 0x80, 0x80, 0x80, len(body))) + body


def _esds(track: Track) -> bytes:
    specific = _descriptor(5, track.config)
    decoder = _descriptor(4, bytes((0x40, 0x15)) + bytes(11) + specific)
    return full(b"esds", 0, 0, _descriptor(3, b"\0\0\0" + decoder + _descriptor(6, b"\2")))


def pixel_aspect(track: Track) -> tuple[int, int]:
    """Width and height of a pixel of a video track, as its parameter sets say."""
    of = {"h264": h264.pixel_aspect, "h265": h265.pixel_aspect}.get(track.codec)
    return of(track.config) if of else (1, 1)


def shown_size(track: Track) -> bytes:
    """The size a track is shown at, as ``tkhd`` has it: in square pixels, 16.16 fixed point."""
    wide, high = pixel_aspect(track)
    width = min(track.width_px * wide * 0x10000 // high, 0xFFFFFFFF)
    return struct.pack(">II", width, track.height_px << 16)


def sample_entry(track: Track) -> bytes:
    """Build the sample entry of a track, such as ``avc1`` with its ``avcC``."""
    head = bytes(6) + struct.pack(">H", 1)
    if track.kind == "video":
        name, record = _PICTURE[track.codec]
        size = struct.pack(">HH", track.width_px, track.height_px)
        dpi = struct.pack(">IIIH", 72 << 16, 72 << 16, 0, 1)
        tail = bytes(32) + struct.pack(">Hh", 24, -1)
        wide, high = pixel_aspect(track)
        # Square ones are what players expect.
        shape = box(b"pasp", struct.pack(">II", wide, high)) if wide != high else b""
        known = box(record, track.config) if record else b""
        return box(name, head, bytes(16), size, dpi, tail, known, shape)
    # The rate is 16.16 fixed point here; a rate that does not fit is left to the AAC config.
    rate_hz = track.clock_hz if track.clock_hz < 1 << 16 else 0
    bits = track.config[0] if track.codec == "g726" else 16
    sound = struct.pack(">8xHHHHI", track.channels or 1, bits, 0, 0, rate_hz << 16)
    more = {"aac": _esds, "opus": _dops, "flac": _dfla}.get(track.codec)
    return box(_SOUND[track.codec], head, sound, more(track) if more else b"")


def _dfla(track: Track) -> bytes:
    return full(b"dfLa", 0, 0, struct.pack(">I", 0x80 << 24 | len(track.config)), track.config)


def _dops(track: Track) -> bytes:
    # No samples to skip: a live stream was cut into anywhere.
    return box(b"dOps", struct.pack(">BBHIhB", 0, track.channels or 1, 0, track.clock_hz, 0, 0))


def _trak(track: Track, number: int) -> bytes:
    video = track.kind == "video"
    volume = 0 if video else 0x100
    size = shown_size(track)
    tkhd = struct.pack(">IIIIIQHHHH", 0, 0, number, 0, 0, 0, 0, 0 if video else 1, volume, 0)
    mdhd = struct.pack(">IIIIHH", 0, 0, track.clock_hz, 0, UNDETERMINED, 0)
    hdlr = struct.pack(">I4s12x", 0, b"vide" if video else b"soun") + b"nvr\0"
    media = full(b"vmhd", 0, 1, bytes(8)) if video else full(b"smhd", 0, 0, bytes(4))
    dref = full(b"dref", 0, 0, struct.pack(">I", 1), full(b"url ", 0, 1))
    table = box(
        b"stbl",
        full(b"stsd", 0, 0, struct.pack(">I", 1), sample_entry(track)),
        full(b"stts", 0, 0, bytes(4)),
        full(b"stsc", 0, 0, bytes(4)),
        full(b"stsz", 0, 0, bytes(8)),
        full(b"stco", 0, 0, bytes(4)),
    )
    return box(
        b"trak",
        full(b"tkhd", 0, 3, tkhd, MATRIX, size),
        box(
            b"mdia",
            full(b"mdhd", 0, 0, mdhd),
            full(b"hdlr", 0, 0, hdlr),
            box(b"minf", media, box(b"dinf", dref), table),
        ),
    )


@functools.lru_cache(maxsize=64)
def init_segment(config: Sequence[Track]) -> bytes:
    """Build ``ftyp moov`` for the tracks of a stream.

    Args:
        config: Tracks in order; a `nvr.media.track.StreamConfig`.

    Raises:
        ValueError: A codec is unknown.
    """
    for track in config:
        if track.codec not in {*_PICTURE, *_SOUND}:
            raise ValueError(f"codec {track.codec} has no sample entry")
    mvhd = struct.pack(">IIIIIH10x", 0, 0, _MOVIE_HZ, 0, 0x10000, 0x100)
    traks = [_trak(track, number) for number, track in enumerate(config, 1)]
    extends = [
        full(b"trex", 0, 0, struct.pack(">IIIII", number, 1, 0, 0, 0))
        for number in range(1, len(config) + 1)
    ]
    return box(b"ftyp", b"iso6", struct.pack(">I", 0x200), b"iso6", b"mp41") + box(
        b"moov",
        full(b"mvhd", 0, 0, mvhd, MATRIX, bytes(24), struct.pack(">I", len(config) + 1)),
        *traks,
        box(b"mvex", *extends),
    )


def mime(config: Sequence[Track]) -> str:
    """MIME type for Media Source Extensions, such as ``video/mp4; codecs="avc1.42c01f,mp4a.40.2"``.

    Raises:
        ValueError: A track has no such type (browsers take no telephone sound in MP4).
    """
    names: list[str] = []
    for track in config:
        if track.codec == "h264":
            names.append(h264.codec_string(track.config))
        elif track.codec == "h265":
            names.append(h265.codec_string(track.config))
        elif track.codec in {"opus", "flac", "jpeg"}:  # the last one no browser knows, and says so
            names.append(track.codec)
        elif track.codec == "aac":
            names.append(aac.codec_string(track.config))
        else:
            raise ValueError(f"browsers do not play {track.codec} from MP4")
    container = "video" if any(track.kind == "video" for track in config) else "audio"
    return f'{container}/mp4; codecs="{",".join(names)}"'


def fragment(at: int, duration: int, sample: bytes, *, key: bool) -> bytes:
    """Build ``moof mdat`` of one sample of track 1, shown when it is decoded.

    Args:
        at: Decode time in the track's timescale.
        duration: In the same.
        sample: A picture as MP4 has it.
        key: Decoding can start here.
    """
    flags = 0x02000000 if key else 0x01010000
    tfhd = full(b"tfhd", 0, 0x020000, struct.pack(">I", 1))
    tfdt = full(b"tfdt", 1, 0, struct.pack(">Q", at))

    def moof(offset: int) -> bytes:
        run = struct.pack(">IiIII", 1, offset, duration, len(sample), flags)
        traf = box(b"traf", tfhd, tfdt, full(b"trun", 0, 0x000701, run))
        return box(b"moof", full(b"mfhd", 0, 0, struct.pack(">I", 0)), traf)

    return moof(len(moof(0)) + 8) + box(b"mdat", sample)
