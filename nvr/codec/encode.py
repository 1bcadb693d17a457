"""H.264 encoding for live streams: no look-ahead, no B-frames, one picture in, one out.

libx264 through PyAV. Every picture is one slice group of whole macroblock rows coded at once
(``tune=zerolatency``), so what goes in comes out by the same call.

Source: libavcodec/libx264.c for the options; ITU-T H.264 annex B for the byte stream.
"""

from dataclasses import dataclass
from fractions import Fraction

import av
from av.codec.context import Flags
from av.video.frame import PictureType

from nvr.base.errors import Misconfigured

TICKS_PER_S = 90_000
_IDR = 5
_SPS, _PPS = 7, 8


@dataclass(frozen=True, slots=True)
class Settings:
    """What a live encoder is asked for. Pictures are BT.709, limited range; the stream says so.

    Attributes:
        size: ``(width, height)`` in pixels, both even.
        fps: Pictures a second the rate control plans for.
        bitrate_bps: Target, met over about a second.
        gop_s: Seconds from one key frame to the next.
        preset: libx264's speed preset.
    """

    size: tuple[int, int]
    fps: int
    bitrate_bps: int
    gop_s: float = 2.0
    preset: str = "superfast"


@dataclass(frozen=True, slots=True)
class AccessUnit:
    """One coded picture.

    Attributes:
        nals: NAL units without start codes; a key frame begins with its SPS and PPS.
        pts_90k: The time the picture was given.
        key: Decoding can start here.
    """

    nals: tuple[bytes, ...]
    pts_90k: int
    key: bool

    def annex_b(self) -> bytes:
        """The picture as a byte stream with four-byte start codes."""
        return b"".join(b"\0\0\0\1" + nal for nal in self.nals)


class Encoder:
    """A running encoder. Used by one thread; PyAV lets others run while it works.

    Args:
        settings: Size, rate and speed.

    Raises:
        Misconfigured: ``encoder.refused``: libx264 does not take these settings.
    """

    def __init__(self, settings: Settings) -> None:
        self._key_wanted = False
        self._context = _open(settings)
        self._settings = settings
        self._wanted = settings

    @property
    def settings(self) -> Settings:
        """What the next picture is coded with."""
        return self._wanted

    @property
    def parameter_sets(self) -> tuple[bytes, bytes]:
        """SPS and PPS of the stream, without start codes."""
        nals = split(bytes(self._context.extradata or b""))
        sets = {nal[0] & 31: nal for nal in nals if nal}
        return sets[_SPS], sets[_PPS]

    def request_key(self) -> None:
        """Make the next picture a key frame."""
        self._key_wanted = True

    def retarget(self, settings: Settings) -> None:
        """Code with other settings from the next picture on, which becomes a key frame.

        A changed rate leaves the parameter sets as they are, so players do not notice; a
        changed size gives new ones, in band.
        """
        self._wanted = settings

    def encode(self, frame: av.VideoFrame, pts_90k: int) -> list[AccessUnit]:
        """Encode one picture; `frame` may be painted over as soon as this returns.

        Args:
            frame: yuv420p of the size in `settings`.
            pts_90k: Its time, greater than the last one's.

        Returns:
            The coded picture; empty only if libx264 held it back.

        Raises:
            Misconfigured: ``encoder.refused``: the settings of `retarget` do not work; the old
                ones stay in force.
        """
        if self._wanted != self._settings:
            wanted, self._wanted = self._wanted, self._settings
            # PyAV cannot set the rate limit of an open encoder, so it is replaced; with
            # zerolatency nothing is inside the old one.
            self._context = _open(wanted)
            self._settings = self._wanted = wanted
        frame.pts = pts_90k
        frame.time_base = Fraction(1, TICKS_PER_S)
        frame.pict_type = PictureType.I if self._key_wanted else PictureType.NONE
        self._key_wanted = False
        return [
            self._unit(bytes(packet), packet.pts or 0) for packet in self._context.encode(frame)
        ]

    def close(self) -> list[AccessUnit]:
        """End the stream; returns what was still inside."""
        return [self._unit(bytes(packet), packet.pts or 0) for packet in self._context.encode(None)]

    def _unit(self, coded: bytes, pts_90k: int) -> AccessUnit:
        nals = split(coded)
        key = any(nal[0] & 31 == _IDR for nal in nals)
        if key:
            nals = [*self.parameter_sets, *nals]
        return AccessUnit(tuple(nals), pts_90k, key)


def _open(settings: Settings) -> av.VideoCodecContext:
    try:
        context = av.CodecContext.create("libx264", "w")
        context.width, context.height = settings.size
        context.pix_fmt = "yuv420p"
        context.time_base = Fraction(1, TICKS_PER_S)
        context.framerate = Fraction(settings.fps, 1)
        context.gop_size = max(1, round(settings.gop_s * settings.fps))
        context.max_b_frames = 0
        context.bit_rate = settings.bitrate_bps
        # Threads cost more in hand-over than they gain at these sizes, and slices cost bits.
        context.thread_count = 1
        # Gives the parameter sets before the first picture, which SDP needs; `Encoder` puts
        # them back in front of every key frame.
        context.flags |= Flags.global_header
        context.options = {
            "preset": settings.preset,
            "tune": "zerolatency",
            "profile": "main",
            "forced-idr": "1",
            # Named, or it would follow the rate and make every new target a new stream.
            "level": "4.1" if settings.size[0] * settings.size[1] <= 1920 * 1088 else "5.2",
            # One second at the target: a key frame may be several times the average, but the
            # stream never runs away from what the network was promised.
            "maxrate": str(settings.bitrate_bps),
            "bufsize": str(settings.bitrate_bps),
            "x264-params": "scenecut=0:sliced-threads=0:force-cfr=1:colorprim=bt709"
            ":transfer=bt709:colormatrix=bt709:fullrange=off",
        }
        context.open()
    except (av.FFmpegError, ValueError, OverflowError) as err:
        raise Misconfigured("encoder.refused", str(err), size=settings.size) from err
    return context


def split(stream: bytes) -> list[bytes]:
    """Cut an annex B byte stream into NAL units, without start codes; empty ones are left out.

    Only what follows a start code counts; zero bytes before the next one belong to neither.
    """
    nals = []
    at = stream.find(b"\0\0\1")
    while at >= 0:
        start = at + 3
        at = stream.find(b"\0\0\1", start)
        nal = stream[start : at if at >= 0 else len(stream)].rstrip(b"\0")
        if nal:
            nals.append(nal)
    return nals
