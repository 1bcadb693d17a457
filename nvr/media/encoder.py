"""The port behind which every encoder stands: pictures in, coded pictures out.

Who captures and who encodes never meet: `app` gives a capture one of these. It may be libx264, a
driver's, or a program's of its own; which it was, `Encoder.name` says.
"""

from dataclasses import dataclass
from typing import Literal, Protocol

from nvr.media.picture import Picture
from nvr.media.track import VideoCodec

Profile = Literal["baseline", "main", "high"]
Latency = Literal["low", "normal"]


@dataclass(frozen=True, slots=True)
class Settings:
    """What an encoder is asked for. Pictures are BT.709, limited range; the stream says so.

    Attributes:
        size: ``(width, height)`` in pixels, both even.
        fps: Pictures a second the rate control plans for.
        bitrate_bps: Target, met over about a second.
        gop_s: Seconds from one key frame to the next.
        codec: ``h264`` or ``h265``.
        profile: Of H.264; H.265 is always Main.
        latency: ``low``: one picture in, one out, in the order in which they are shown. ``normal``:
            a few may be held back if that makes them smaller.
        preset: An encoder's own word for how much work it does; empty for its usual.
        aspect: ``(width, height)`` of a pixel; the stream says so if it is not square.
    """

    size: tuple[int, int]
    fps: int
    bitrate_bps: int
    gop_s: float = 2.0
    codec: VideoCodec = "h264"
    profile: Profile = "main"
    latency: Latency = "low"
    preset: str = ""
    aspect: tuple[int, int] = (1, 1)


@dataclass(frozen=True, slots=True)
class AccessUnit:
    """One coded picture.

    Attributes:
        nals: NAL units without start codes; a key frame begins with its parameter sets.
        pts_90k: The time the picture was given.
        key: Decoding can start here.
        dts_90k: When it is to be decoded; `pts_90k` where nothing is reordered.
    """

    nals: tuple[bytes, ...]
    pts_90k: int
    key: bool
    dts_90k: int

    def annex_b(self) -> bytes:
        """The picture as a byte stream with four-byte start codes."""
        return b"".join(b"\0\0\0\1" + nal for nal in self.nals)


class Encoder(Protocol):
    """A running encoder. Used by one thread, which may be any; its work lets others run."""

    @property
    def name(self) -> str:
        """Which it is: ``x264``, ``v4l2m2m``, ``gst-x264``."""
        ...

    @property
    def settings(self) -> Settings:
        """What the next picture is coded with."""
        ...

    @property
    def parameter_sets(self) -> tuple[bytes, ...]:
        """VPS (H.265), SPS and PPS without start codes; empty until the encoder has said them.

        They are in front of every key frame too, so nobody needs to wait for them.
        """
        ...

    def encode(self, picture: Picture) -> list[AccessUnit]:
        """Take one picture; its memory may be painted over as soon as this returns.

        Args:
            picture: Of the size in `settings`.

        Returns:
            What is ready now, in order of decoding: of an encoder that works at the same time as
            its caller, or in another process, the pictures before this one.

        Raises:
            Misconfigured: ``encoder.refused``: the settings of `retarget` do not work; the old
                ones stay in force, and the picture is lost.
            Unavailable: ``encoder.died``: it takes nothing any more; close it and open another.
        """
        ...

    def request_key(self) -> None:
        """Make the next picture a key frame."""
        ...

    def retarget(self, settings: Settings) -> None:
        """Code with other settings from the next picture on, which becomes a key frame.

        Bitrate, GOP and rate of pictures leave the parameter sets as they are where the encoder
        can; another size, codec or profile gives new ones.
        """
        ...

    def close(self) -> list[AccessUnit]:
        """End it, which takes at most seconds, whatever state it is in; twice is once.

        Returns:
            What was still inside and could be had.
        """
        ...


class CodedSource(Protocol):
    """A local camera that encodes its own pictures, which go on untouched. Used by one thread.

    Attributes:
        size: ``(width, height)`` in pixels.
        fps: Pictures a second, rounded up to whole ones.
        codec: Of its pictures.
    """

    size: tuple[int, int]
    fps: int
    codec: VideoCodec

    @property
    def late(self) -> int:
        """See `nvr.media.picture.PictureSource`."""
        ...

    @property
    def lack(self) -> str:
        """See `nvr.media.picture.PictureSource`."""
        ...

    def read_unit(self) -> AccessUnit | None:
        """Wait for the next coded picture. See `nvr.media.picture.PictureSource.read`."""
        ...

    def close(self) -> None:
        """Let go of the device."""
        ...
