"""The program in the sandbox: decodes pictures, burns the caption in, and encodes them again.

What cannot be decoded is left out, and what the decoder makes of a damaged picture is taken as it
is. See `nvr.export.burned` for who feeds it.
"""

from fractions import Fraction
from typing import Any

import av
import msgspec

from nvr.base.clock import TICKS_PER_S
from nvr.codec.again import DECODERS, encodable, mp4_sample, pixel_aspect
from nvr.codec.confined import serve
from nvr.codec.encode import Encoder, picture_of
from nvr.export.picture import Begin, Begun, Look, Pictures, Request, Units
from nvr.media.caption import MODES
from nvr.media.encoder import AccessUnit, Settings
from nvr.media.mask import MASK_KINDS, Mask
from nvr.overlay.burn import Burner, planes_of
from nvr.overlay.caption import Caption
from nvr.overlay.font import Font
from nvr.wire import h264

_REQUESTS = msgspec.msgpack.Decoder(Request)
_MOST_WAITING = 64


class Film:
    """One film under way.

    Args:
        font: Of the caption.
        begin: What is to be made.
    """

    def __init__(self, font: Font, begin: Begin) -> None:
        decoder = av.CodecContext.create(DECODERS[begin.codec], "r")
        assert isinstance(decoder, av.VideoCodecContext)
        self._decoder = decoder
        self._decoder.extradata = begin.config
        self._decoder.thread_count = 1
        self._size = begin.size
        aspect = pixel_aspect(begin.codec, begin.config)
        settings = Settings(begin.size, begin.fps, begin.bitrate_bps, aspect=aspect)
        self._encoder = Encoder(settings)
        self._burner = Burner(font, begin.size)
        self._burner.mask(begin.masks)
        self.sps, self.pps = self._encoder.parameter_sets
        self._walls: dict[int, int] = {}
        self._last_90k = -1

    def add(self, units: Units) -> Pictures:
        """Return what came out of these, and of those before."""
        out: list[AccessUnit] = []
        missing = self._set(units.look) if units.look else ""
        for data, pts_90k, wall_us in units.units:
            self._walls[pts_90k] = wall_us
            packet = av.Packet(data)
            packet.pts = pts_90k
            packet.time_base = Fraction(1, TICKS_PER_S)
            out += self._decoded(packet)
        if units.last:
            out += self._decoded(None)
            out += self._encoder.close()
        return Pictures([(mp4_sample(one), one.pts_90k, one.key) for one in out], missing)

    def _set(self, look: Look) -> str:
        mode = next(mode for mode in MODES if mode == look.mode)
        caption = Caption(look.lines, look.position_permille, look.size_permille, mode)
        return "".join(self._burner.set(caption))

    def _decoded(self, packet: "av.Packet[Any] | None") -> list[AccessUnit]:
        try:
            frames = self._decoder.decode(packet)
        except av.FFmpegError:
            return []
        out: list[AccessUnit] = []
        for frame in frames:
            pts_90k = -1 if frame.pts is None else frame.pts
            wall_us = self._walls.pop(pts_90k, None)
            if wall_us is None or pts_90k <= self._last_90k:
                continue  # a damaged stream may say anything
            self._last_90k = pts_90k
            painted = encodable(frame, self._size)
            painted.make_writable()  # it is the decoder's own where there was nothing to convert
            self._burner.burn(planes_of(painted), wall_us)
            out += self._encoder.encode(picture_of(painted, pts_90k))
        while len(self._walls) > _MOST_WAITING:
            self._walls.pop(next(iter(self._walls)))
        return out


def main() -> None:
    """Run in the sandbox."""
    av.logging.set_level(av.logging.PANIC)
    font = Font()
    font.open_all()
    _warm(font)
    films: list[Film] = []

    def answer(message: bytes) -> bytes:
        request = _REQUESTS.decode(message)
        if isinstance(request, Begin):
            films[:] = [Film(font, request)]
            made = films[0]
            return msgspec.msgpack.encode(Begun(made.sps, made.pps))
        return msgspec.msgpack.encode(films[0].add(request))

    serve(answer)


def _warm(font: Font) -> None:
    """Use everything once: what is loaded late could not be loaded any more."""
    frame = av.VideoFrame(64, 64, "yuv444p").reformat(format="yuv420p", threads=1)
    units = Encoder(Settings((64, 64), 25, 100_000)).encode(picture_of(frame, 0))
    config = h264.avcc(units[0].nals)
    for codec in DECODERS:
        record = config if codec == "h264" else b""
        look = Look(("字{time}",), (0, 0), 100, "box")
        masks = tuple(Mask(((0, 0), (500, 0), (0, 500)), kind) for kind in MASK_KINDS)
        made = Film(font, Begin(codec, record, (64, 64), 25, 100_000, masks))
        made.add(Units([(mp4_sample(units[0]), 0, 0)], look, last=True))


if __name__ == "__main__":
    main()
