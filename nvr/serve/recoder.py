"""The program in the sandbox that converts pictures for a viewer: small H.264, with masks over it.

Masks are laid before anything is made smaller, so that no scaling can carry what is under them over
an edge. What cannot be decoded is left out; pictures are left out, too, beyond the rate asked for.
With ``captions`` as its argument it also burns captions into what is made, at the size of that.
"""

import sys
from fractions import Fraction
from typing import TYPE_CHECKING, Any

import av
import msgspec
from av.video.reformatter import ColorRange, Colorspace

from nvr.base.clock import TICKS_PER_S
from nvr.codec.again import DECODERS, encodable, mp4_sample, pixel_aspect, prefixed
from nvr.codec.confined import serve
from nvr.codec.encode import X264, X265, Encoder, picture_of
from nvr.codec.still import jpeg
from nvr.media.camera import CaptionText
from nvr.media.encoder import AccessUnit, Settings
from nvr.media.mask import MASK_KINDS, Mask, Masks
from nvr.overlay.mask import Masker
from nvr.serve.recode_talk import (
    REQUESTS,
    Answer,
    Burned,
    Coded,
    Head,
    Made,
    Recoded,
    Still,
    Wanted,
)
from nvr.wire import h264, h265

if TYPE_CHECKING:
    from nvr.serve.recode_caption import Captions

_EVEN = 2


class Cover:
    """Lays masks over decoded pictures."""

    def __init__(self) -> None:
        self._size = (0, 0)
        self._masker: Masker | None = None

    def laid(self, frame: av.VideoFrame, masks: Masks) -> av.VideoFrame:
        """Return a picture with the masks over it; itself if there are none."""
        if not masks:
            return frame
        size = (frame.width // _EVEN * _EVEN, frame.height // _EVEN * _EVEN)
        if self._masker is None or size != self._size:
            self._masker, self._size = Masker(size), size
        self._masker.set(masks)
        whole = encodable(frame, size)
        whole.make_writable()  # it is the decoder's own where there was nothing to convert
        whole.colorspace, whole.color_range = Colorspace.ITU709, ColorRange.MPEG
        self._masker.lay(picture_of(whole, 0).planes)
        return whole


class Recoder:
    """One stream, or one group of pictures, under way.

    Args:
        wanted: What is to be made.
        captions: Who burns captions, None if nobody does.
    """

    def __init__(self, wanted: Wanted, captions: "Captions | None" = None) -> None:
        self._wanted, self._captions = wanted, captions
        self._burned: Burned | None = None
        self._decoder = _decoder(wanted.codec, wanted.config)
        self._cover = Cover()
        self._encoder: Encoder | None = None
        self._due_90k = -1
        self._last_90k = -1

    def add(self, coded: Coded) -> Recoded:
        """Return what came out of these pictures, and of those before."""
        units: list[AccessUnit] = []
        self._burned = coded.burned
        for data, pts_90k in coded.units:
            packet = av.Packet(data)
            packet.pts = pts_90k
            packet.time_base = Fraction(1, TICKS_PER_S)
            units += self._decoded(packet, coded.masks)
        if coded.last:
            units += self._decoded(None, coded.masks)
            units += self._encoder.close() if self._encoder else []
        head = self._said(units)
        return Recoded(head, [(mp4_sample(unit), unit.pts_90k, unit.key) for unit in units])

    def _said(self, units: list[AccessUnit]) -> Head | None:
        if self._encoder is None or not any(unit.key for unit in units):
            return None
        sps, pps = self._encoder.parameter_sets
        return Head(sps, pps, self._encoder.settings.size)

    def _decoded(self, packet: "av.Packet[Any] | None", masks: Masks) -> list[AccessUnit]:
        try:
            frames = self._decoder.decode(packet)
        except av.FFmpegError:
            return []
        units: list[AccessUnit] = []
        for frame in frames:
            at_90k = -1 if frame.pts is None else frame.pts
            early = not self._wanted.every and at_90k < self._due_90k
            if at_90k <= self._last_90k or early:
                continue
            # An eighth early is no more pictures, and keeps the rhythm of 25 halved.
            self._due_90k = at_90k + TICKS_PER_S * 7 // (self._wanted.fps * 8)
            self._last_90k = at_90k
            units += self._encoded(self._cover.laid(frame, masks), at_90k)
        return units

    def _encoded(self, frame: av.VideoFrame, at_90k: int) -> list[AccessUnit]:
        lines = min(self._wanted.most_lines, frame.height) // _EVEN * _EVEN
        width = max(_EVEN, round(frame.width * lines / frame.height / _EVEN) * _EVEN)
        size = (width, max(_EVEN, lines))
        if self._encoder is None:
            wanted = self._wanted
            aspect = pixel_aspect(wanted.codec, wanted.config)
            settings = Settings(
                size, wanted.fps, wanted.bitrate_bps, preset="superfast", aspect=aspect
            )
            self._encoder = Encoder(settings)
        painted = encodable(frame, self._encoder.settings.size)
        if self._burned is not None and self._captions is not None:
            self._captions.burn(painted, at_90k, self._burned)
        return self._encoder.encode(picture_of(painted, at_90k))


def still(asked: Still) -> Made:
    """Make a JPEG with the masks over it; empty if it is no picture."""
    try:
        decoder = _decoder(asked.codec, asked.config)
        frames = [*decoder.decode(av.Packet(asked.unit)), *decoder.decode(None)]
        return Made(jpeg(Cover().laid(frames[0], asked.masks), asked.width) if frames else b"")
    except av.FFmpegError:
        return Made(b"")


def _decoder(codec: str, config: bytes) -> av.VideoCodecContext:
    decoder = av.CodecContext.create(DECODERS[codec], "r")
    assert isinstance(decoder, av.VideoCodecContext)
    if config:
        decoder.extradata = config
    decoder.thread_count = 1
    return decoder


def _warm(captions: "Captions | None") -> None:
    """Use everything once: what is loaded late could not be loaded any more."""
    size = (66, 66)
    frame = av.VideoFrame(*size, "yuv444p").reformat(format="yuv420p", threads=1)
    masks = tuple(Mask(((0, 0), (500, 0), (0, 500)), kind) for kind in MASK_KINDS)
    caption = CaptionText(("字{time}",), (0, 0), 250, "box")
    burned, made = Burned(caption, "", 0), Made(b"")
    for codec, library in (("h264", X264), ("h265", X265)):
        encoder = Encoder(Settings(size, 25, 100_000, codec=codec), library)  # type: ignore[arg-type]  # of two words
        sets = encoder.parameter_sets
        units = encoder.encode(picture_of(frame, 0)) + encoder.close()
        record = h264.avcc(sets) if codec == "h264" else h265.hvcc(sets)
        unit = prefixed(nal for nal in units[0].nals if nal not in sets)
        for laid in ((), masks):
            wanted = Wanted(codec, record, 32, 25, 100_000)
            Recoder(wanted, captions).add(Coded([(unit, 0)], laid, last=True, burned=burned))
        made = still(Still(codec, record, unit, 32, masks))
    still(Still("jpeg", b"", made.jpeg, 0, masks))


def main() -> None:
    """Run in the sandbox."""
    av.logging.set_level(av.logging.PANIC)
    captions = None
    if "captions" in sys.argv[1:]:
        # It brings NumPy and FreeType, which most conversions do without.
        from nvr.serve.recode_caption import Captions  # noqa: PLC0415

        captions = Captions()
    _warm(captions)
    under_way: list[Recoder] = []

    def answer(message: bytes) -> bytes:
        return msgspec.msgpack.encode(_done(under_way, message, captions))

    serve(answer)


def _done(under_way: list[Recoder], message: bytes, captions: "Captions | None") -> Answer:
    request = REQUESTS.decode(message)
    if isinstance(request, Still):
        return still(request)
    if isinstance(request, Wanted):
        under_way[:] = [Recoder(request, captions)]
        return Recoded(None, [])
    return under_way[0].add(request)


if __name__ == "__main__":
    main()
