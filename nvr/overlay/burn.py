"""Burns a caption into the planes of a picture, in place, between painting and encoding.

Luma is blended towards the text's grey, chroma towards neutral, so that text over a red car is
white and not pink. Lines are drawn once and kept; only the line with the clock is drawn anew,
once a second.
"""

from dataclasses import dataclass
from datetime import tzinfo

import numpy as np

from nvr._native import blend
from nvr.overlay.font import Font
from nvr.overlay.layout import TIME, Caption, Stamp, stamp, time_text

NEUTRAL = 128
_SCROLL_PERMILLE_S = 90


@dataclass(frozen=True, slots=True)
class Planes:
    """A yuv420p or NV12 picture's memory.

    Attributes:
        size: ``(width, height)`` in luma pixels, both even.
        y: Writable luma rows, `y_stride` bytes apart.
        y_stride: Bytes from one luma row to the next.
        chroma: The two chroma planes, or NV12's one of interleaved pairs.
        chroma_stride: Bytes from one chroma row to the next.
    """

    size: tuple[int, int]
    y: memoryview
    y_stride: int
    chroma: tuple[memoryview, ...]
    chroma_stride: int


def burn(planes: Planes, line: Stamp, at: tuple[int, int]) -> None:
    """Blend one line into a picture, in place; what sticks out of the picture is cut off.

    Args:
        planes: The picture.
        line: The line as `stamp` drew it.
        at: ``(x, y)`` of its corner in luma pixels, rounded down to even.

    Raises:
        ValueError: A buffer is too small for its shape.
        BufferError: A plane is read-only.

    Source:
        Rounded division by 255 after Blinn, "Three Wrongs Make a Right" (1995).
    """
    x, y = at[0] // 2 * 2, at[1] // 2 * 2
    width, height = planes.size
    cover, grey = line.cover.data, line.grey.data
    blend(planes.y, planes.y_stride, planes.size, cover, grey, line.spans.data, line.size, (x, y))
    half = (line.size[0] // 2, line.size[1] // 2)
    chroma, spans = line.chroma_cover, line.chroma_spans
    plane_size, corner = (width // 2, height // 2), (x // 2, y // 2)
    if len(planes.chroma) == 1:
        # One plane of pairs: the same mask, each column twice.
        chroma, spans = np.repeat(chroma, 2, axis=1), spans * np.int32(2)
        half, plane_size, corner = (half[0] * 2, half[1]), (width, height // 2), (x, y // 2)
    neutral = np.full_like(chroma, NEUTRAL)
    for plane in planes.chroma:
        stride = planes.chroma_stride
        blend(plane, stride, plane_size, chroma.data, neutral.data, spans.data, half, corner)


class Burner:
    """Keeps one caption's stamps for pictures of one size.

    Args:
        font: The font.
        size: ``(width, height)`` of the pictures, pixels.
        zone: Time zone of ``{time}``; None is the box's own.
    """

    def __init__(self, font: Font, size: tuple[int, int], zone: tzinfo | None = None) -> None:
        self._font = font
        self._size = size
        self._zone = zone
        self._caption = Caption(())
        self._stamps: list[Stamp] = []
        self._second = -1

    @property
    def caption(self) -> Caption:
        """The caption being burned."""
        return self._caption

    def set(self, caption: Caption) -> tuple[str, ...]:
        """Write `caption` from the next picture on.

        Returns:
            The characters the font does not have, each once.
        """
        size_px = self._size_px(caption)
        made = [
            stamp(self._font, _expand(t, 0, None), size_px, caption.mode) for t in caption.lines
        ]
        self._caption = caption
        self._stamps = [line for line, _ in made]
        self._second = -1
        return tuple(dict.fromkeys(c for _, missing in made for c in missing))

    def burn(self, planes: Planes, wall_us: int) -> None:
        """Burn the caption as it looks at `wall_us` into `planes`, in place."""
        second = wall_us // 1_000_000
        if second != self._second:
            self._second = second
            for i, text in enumerate(self._caption.lines):
                if TIME in text:
                    now = _expand(text, wall_us, self._zone)
                    size_px = self._size_px(self._caption)
                    self._stamps[i], _ = stamp(self._font, now, size_px, self._caption.mode)
        if self._caption.mode == "blink" and wall_us // 500_000 % 2:
            return
        for line, at in self.placed(wall_us):
            burn(planes, line, at)

    def placed(self, wall_us: int) -> list[tuple[Stamp, tuple[int, int]]]:
        """Each line with the pixel its corner lies on at `wall_us`."""
        width, height = self._size
        block = (
            max((line.size[0] for line in self._stamps), default=0),
            sum(line.size[1] for line in self._stamps),
        )
        x = min(self._caption.position_permille[0] * width // 1000, max(0, width - block[0]))
        y = min(self._caption.position_permille[1] * height // 1000, max(0, height - block[1]))
        if self._caption.mode == "scroll":
            gone = wall_us * _SCROLL_PERMILLE_S * width // 1_000_000_000
            x = width - gone % (width + block[0])
        placed = []
        for line in self._stamps:
            placed.append((line, (x // 2 * 2, y // 2 * 2)))
            y += line.size[1]
        return placed

    def _size_px(self, caption: Caption) -> int:
        return max(8, caption.size_permille * self._size[1] // 1000)


def _expand(text: str, wall_us: int, zone: tzinfo | None) -> str:
    return text.replace(TIME, time_text(wall_us, zone)) if TIME in text else text
