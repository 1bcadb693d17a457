"""The program in the sandbox that makes a small H.264 picture of an H.265 stream for a browser.

It is given the head of an MP4 and then fragments of it, and gives back coded pictures. What cannot
be decoded is left out; pictures are left out, too, beyond the rate asked for.
"""

import io
from fractions import Fraction
from typing import Any

import av

from nvr.base.clock import TICKS_PER_S
from nvr.codec.again import encodable, mp4_sample, prefixed
from nvr.codec.confined import serve
from nvr.codec.encode import X265, Encoder, picture_of
from nvr.encode.recode import Coded, Head, Recoded, Wanted, asked, said
from nvr.media.encoder import AccessUnit, Settings
from nvr.media.track import TrackConfig
from nvr.wire import fmp4, h265

_EVEN = 2


class Recoder:
    """One stream under way."""

    def __init__(self, wanted: Wanted) -> None:
        self._head = wanted.head
        self._fps, self._most_lines = wanted.fps, wanted.most_lines
        self._bitrate_bps = wanted.bitrate_bps
        decoder = av.CodecContext.create("hevc", "r")
        assert isinstance(decoder, av.VideoCodecContext)
        self._decoder = decoder
        self._decoder.extradata = wanted.config
        self._decoder.thread_count = 1
        self._aspect = h265.pixel_aspect(wanted.config)
        self._encoder: Encoder | None = None
        self._due_90k = -1
        self._last_90k = -1

    def add(self, coded: Coded) -> Recoded:
        """Return what came out of these fragments."""
        units: list[AccessUnit] = []
        with av.open(io.BytesIO(self._head + coded.fragments), "r", format="mov") as container:
            stream = container.streams.video[0]
            scale = (stream.time_base or Fraction(1, TICKS_PER_S)) * TICKS_PER_S
            for packet in container.demux(stream):
                if packet.size == 0 or packet.pts is None or packet.dts is None:
                    continue
                alone = av.Packet(bytes(packet))
                alone.pts = int(packet.pts * scale)
                alone.time_base = Fraction(1, TICKS_PER_S)
                units += self._decoded(alone)
        head = self._said(units)
        return Recoded(head, [(mp4_sample(unit), unit.pts_90k, unit.key) for unit in units])

    def _said(self, units: list[AccessUnit]) -> Head | None:
        if self._encoder is None or not any(unit.key for unit in units):
            return None
        sps, pps = self._encoder.parameter_sets
        return Head(sps, pps, self._encoder.settings.size)

    def _decoded(self, packet: "av.Packet[Any]") -> list[AccessUnit]:
        try:
            frames = self._decoder.decode(packet)
        except av.FFmpegError:
            return []
        units: list[AccessUnit] = []
        for frame in frames:
            at_90k = -1 if frame.pts is None else frame.pts
            if at_90k <= self._last_90k or at_90k < self._due_90k:
                continue
            # An eighth early is no more pictures, and keeps the rhythm of 25 halved.
            self._due_90k = at_90k + TICKS_PER_S * 7 // (self._fps * 8)
            self._last_90k = at_90k
            units += self._encoded(frame, at_90k)
        return units

    def _encoded(self, frame: av.VideoFrame, at_90k: int) -> list[AccessUnit]:
        lines = min(self._most_lines, frame.height) // _EVEN * _EVEN
        width = max(_EVEN, round(frame.width * lines / frame.height / _EVEN) * _EVEN)
        size = (width, max(_EVEN, lines))
        if self._encoder is None:
            settings = Settings(
                size, self._fps, self._bitrate_bps, preset="superfast", aspect=self._aspect
            )
            self._encoder = Encoder(settings)
        painted = encodable(frame, self._encoder.settings.size)
        return self._encoder.encode(picture_of(painted, at_90k))


def _warm() -> None:
    """Use everything once: what is loaded late could not be loaded any more."""
    size = (64, 64)
    frame = av.VideoFrame(*size, "yuv444p").reformat(format="yuv420p", threads=1)
    encoder = Encoder(Settings(size, 25, 100_000, codec="h265"), X265)
    sets = encoder.parameter_sets
    units = encoder.encode(picture_of(frame, 0)) + encoder.close()
    track = TrackConfig("video", "h265", TICKS_PER_S, h265.hvcc(sets), *size)
    nals = [nal for nal in units[0].nals if nal not in sets]
    sample = prefixed(nals)
    wanted = Wanted(fmp4.init_segment((track,)), track.config, 32, 25, 100_000)
    Recoder(wanted).add(Coded(fmp4.fragment(0, 3600, sample, key=True)))


def main() -> None:
    """Run in the sandbox."""
    av.logging.set_level(av.logging.PANIC)
    _warm()
    under_way: list[Recoder] = []

    def answer(message: bytes) -> bytes:
        request = asked(message)
        if isinstance(request, Wanted):
            under_way[:] = [Recoder(request)]
            return said(Recoded(None, []))
        return said(under_way[0].add(request))

    serve(answer)


if __name__ == "__main__":
    main()
