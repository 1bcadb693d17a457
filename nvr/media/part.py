"""A part: about half a second of one stream, ready to be stored and served.

The ingest thread makes parts, the ring stores them, playback gives them back. A part is
``moof mdat`` of fragmented MP4 (ISO 14496-12), cut at an access-unit boundary, and always
starts a new one at a key frame.
"""

from dataclasses import dataclass
from typing import TypeAlias

from nvr.media.track import StreamConfig

Bytes: TypeAlias = bytes | bytearray | memoryview
"""What holds samples; memory of the extension is handed over as a read-only view."""

PORTION_90K = 47_000
"""Most a `Portion` lasts, unless one picture is shown longer: 13 pictures at 25 a second, 15 at 30,
of which groups of two seconds are made without a crumb at their end."""
PART_HEADER_BYTES = 512
"""Room the ring keeps before ``moof`` for its own header box."""


@dataclass(frozen=True, slots=True)
class Part:
    """One part as made by the ingest thread. Immutable: buffers are shared by all readers.

    Attributes:
        stream: Stream name, ``camera/main`` or ``camera/sub``.
        run: Number of the uninterrupted run this belongs to, counted up in this process.
        config: Codec configuration of the samples.
        moof: The ``moof`` box; sequence number 0, each ``tfdt`` holding the track's own
            ticks on the stream's time line.
        mdat: The ``mdat`` box: the samples of the first track, then of the next.
        tfdt_offsets: For each track of `config`, in order: offset in `moof` of its 64-bit
            ``baseMediaDecodeTime``, or -1 if the part has no sample of that track.
        sequence_offset: Offset in `moof` of the 32-bit ``mfhd`` sequence number.
        start_90k: Decode time of the first video sample (first sample if no video), 90 kHz
            ticks on the stream's time line, which grows monotonically over reconnects.
        duration_90k: Length, 90 kHz ticks.
        wall_us: UTC microseconds of `start_90k`.
        uncertainty_ms: How far `wall_us` may be off; 0xFFFFFFFF when the clock was never set.
        key: The first video sample is a key frame; always true of a stream without video.
        samples: Number of video samples (audio samples if no video).
        damaged: Number of access units with missing packets.
        skipped: What came just before it is not to be recorded.
    """

    stream: str
    run: int
    config: StreamConfig
    moof: bytes
    mdat: Bytes
    tfdt_offsets: tuple[int, ...]
    sequence_offset: int
    start_90k: int
    duration_90k: int
    wall_us: int
    uncertainty_ms: int
    key: bool
    samples: int
    damaged: int
    skipped: bool = False


@dataclass(frozen=True, slots=True)
class Portion:
    """A piece of a stream for live playlists, cut by media time rather than by arrival.

    Each lasts at most `PORTION_90K`, and a key frame always begins a new one. What is delivered
    first, of the group of pictures under way, is cut otherwise.

    Attributes:
        run: See `Part`.
        data: ``moof mdat``.
        start_90k: See `Part`.
        duration_90k: Length, 90 kHz ticks.
        wall_us: UTC microseconds of `start_90k`.
        key: Begins with a key frame; always true of a stream without video.
        ends: The next one is known to begin with a key frame.
    """

    run: int
    data: bytes
    start_90k: int
    duration_90k: int
    wall_us: int
    key: bool
    ends: bool = False


@dataclass(frozen=True, slots=True)
class Fragment:
    """``moof mdat`` for live viewers: an access unit of video, or the sound of one tick.

    The first delivery to a viewer also holds longer ones, with samples of all tracks.

    Attributes:
        data: The two boxes.
        key: Starts with a key frame of the video track; always true of a stream without video.
        start_90k: Decode time on the stream's time line.
        arrived_s: Monotonic seconds when its last packet was read.
        track: Index of the track in the `StreamConfig`, -1 if samples of several are inside.
    """

    data: bytes
    key: bool
    start_90k: int
    arrived_s: float
    track: int = 0
