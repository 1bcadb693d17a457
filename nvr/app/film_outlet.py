"""One encoding of what is filmed: thinned out to its rate, burned, encoded and sent.

A film has one for its main stream, and may have a second one, of smaller pictures, beside it.
"""

import time
from typing import Final

import av
from av.video.reformatter import VideoReformatter

from nvr.app.film_sender import Sender
from nvr.base.clock import TICKS_PER_S
from nvr.codec.encode import copied, picture_of
from nvr.media.camera import CaptionText
from nvr.media.caption import MODES
from nvr.media.encoder import Encoder, Settings
from nvr.media.film import Wish, Work
from nvr.media.mask import Masks
from nvr.media.picture import Picture, PictureSource
from nvr.overlay import caption as burned
from nvr.overlay.burn import Burner
from nvr.overlay.font import Font

NOTICES: Final = {
    "camera.no_signal": "无信号 NO SIGNAL",
    "camera.no_power": "未供电 NO POWER",
}
"""What a picture says that stands for one there is not."""


def usual_bps(size: tuple[int, int], fps: int, codec: str) -> int:
    """Bits a second that look well enough for most: 4 Mbit/s for 1080p at 25 in H.264.

    Small pictures need more for each pixel, for what they show is smaller: the exponent.
    """
    rate: float = 4_000_000 * (size[0] * size[1] / (1920 * 1080)) ** 0.8 * (fps / 25) ** 0.7
    return round(rate * (0.65 if codec == "h265" else 1.0) / 10_000) * 10_000


def settings_of(wish: Wish, source: PictureSource, size: tuple[int, int] | None = None) -> Settings:
    """Return what an encoder is to be opened with; `size` is that of the source unless said."""
    fps = min(source.fps, wish.fps) if wish.fps else source.fps
    size = size or source.size
    return Settings(
        size,
        fps,
        wish.bitrate_bps or usual_bps(size, fps, wish.codec),
        wish.gop_s,
        wish.codec,
        wish.profile,
        wish.latency,
        wish.preset,
        source.aspect,
    )


class Outlet:
    """Used by one thread.

    Args:
        source: Whose pictures come.
        encoder: Opened for `settings_of`.
        sender: Where they go.
        font: For what is burned in.
    """

    def __init__(self, source: PictureSource, encoder: Encoder, sender: Sender, font: Font) -> None:
        self.encoder = encoder
        self.size = encoder.settings.size
        self.burner = Burner(font, self.size)
        self.pictures = 0
        self.burn_s = 0.0
        self.encode_s = 0.0
        self._source, self._sender = source, sender
        self._notice = Burner(font, self.size)
        self._next_90k: int | None = None
        self._keyed_90k: int | None = None

    def caption(self, text: CaptionText) -> tuple[str, ...]:
        """Burn another one; returns what the font lacks. Raises ``caption.invalid``."""
        mode = next((mode for mode in MODES if mode == text.mode), MODES[0])
        return self.burner.set(
            burned.Caption(text.lines, text.position_permille, text.size_permille, mode)
        )

    def hide(self, masks: Masks) -> None:
        """Hide other areas from the next picture on."""
        self.burner.mask(masks)

    def wanted(self, pts_90k: int) -> bool:
        """Whether a picture is one of those that make up the rate asked for; asked once of each."""
        fps = self.encoder.settings.fps
        if fps >= self._source.fps:
            return True
        step = TICKS_PER_S // fps
        if self._next_90k is None or pts_90k - self._next_90k > 4 * step:
            self._next_90k = pts_90k
        # Half a picture early is nearer than half a picture late.
        if pts_90k < self._next_90k - TICKS_PER_S // self._source.fps // 2:
            return False
        self._next_90k += step
        return True

    def put(self, picture: Picture, wall_us: int) -> None:
        """Burn into a picture, encode and send it.

        Raises:
            Misconfigured: Settings of a new wish do not work; the old ones stay in force.
            Unavailable: The encoder or the recorder gave up.
        """
        begun_s = time.thread_time()
        if self._source.lack:
            self._notice.set(notice(self._source.lack))
            self._notice.burn(picture.planes, wall_us)
        self.burner.burn(picture.planes, wall_us)
        burned_s = time.thread_time()
        self.burn_s += burned_s - begun_s
        self._look_for_key(picture)
        units = self.encoder.encode(picture)
        self.encode_s += time.thread_time() - burned_s
        self._keyed_90k = max((unit.pts_90k for unit in units if unit.key), default=self._keyed_90k)
        self._sender.send(units)
        self.pictures += 1

    def _look_for_key(self, picture: Picture) -> None:
        """Ask for a key frame when its time has come.

        Encoders count pictures, and of a source that is slower than it said, or a box that leaves
        some out, so many take longer.
        """
        if self._keyed_90k is None:
            return
        settings = self.encoder.settings
        half = TICKS_PER_S // settings.fps // 2
        if picture.pts_90k - self._keyed_90k >= round(settings.gop_s * TICKS_PER_S) - half:
            self.encoder.request_key()
            self._keyed_90k = picture.pts_90k


class SubOutlet(Outlet):
    """The second, smaller one: pictures are scaled before anything is burned into them.

    Attributes:
        number: Of its order.
    """

    def __init__(
        self, number: int, source: PictureSource, encoder: Encoder, sender: Sender, font: Font
    ) -> None:
        super().__init__(source, encoder, sender, font)
        self.number = number
        self._scaler = VideoReformatter()
        self._scale_s = 0.0

    def scaled(self, picture: Picture) -> Picture | None:
        """Return a small copy of a picture, None if it is not one of those that are wanted."""
        if not self.wanted(picture.pts_90k):
            return None
        begun_s = time.thread_time()
        owner = picture.owner
        whole = owner if isinstance(owner, av.VideoFrame) else copied(picture.planes)
        width, height = self.size
        # Every pixel of the large one counts: fewer taps would flicker on fences and blinds.
        small = self._scaler.reformat(
            whole, width, height, whole.format.name, interpolation="AREA", threads=1
        )
        if small is whole:
            small = copied(picture.planes)
        self._scale_s += time.thread_time() - begun_s
        return picture_of(small, picture.pts_90k)

    def work(self) -> Work:
        """What it has cost so far, of what the whole process has."""
        spent_s = self._scale_s + self.burn_s + self.encode_s
        return Work(self.pictures, 0, self._scale_s, self.burn_s, self.encode_s, spent_s)

    def close(self) -> None:
        """End it, whatever state it is in."""
        self.encoder.close()
        self._sender.close()


def notice(code: str) -> burned.Caption:
    """What stands in the middle of a picture that stands for one there is not."""
    return burned.Caption((NOTICES.get(code, code),), (320, 440), 90, "plain")
