"""Burns a caption into the planes of a picture, in place, between painting and encoding.

Luma is blended towards the text's grey, chroma towards neutral, so that text over a red car is
white and not pink. Lines are drawn once and kept; of one with the time only the digits that change
are drawn anew, once a second. All of it is one strip a plane.
"""

from collections.abc import Callable
from datetime import tzinfo

import av

from nvr import _native as native
from nvr.media.caption import expand, moves
from nvr.media.mask import Masks
from nvr.media.picture import Planes
from nvr.overlay.caption import Caption
from nvr.overlay.font import Font
from nvr.overlay.layout import Line, Patch, Stamp
from nvr.overlay.mask import Masker
from nvr.overlay.strip import Strip, stacked

_SCROLL_PERMILLE_S = 90


def planes_of(frame: av.VideoFrame) -> Planes:
    """The memory of a yuv420p or NV12 frame of PyAV, to be painted into."""
    y, *chroma = frame.planes
    return Planes(
        (frame.width, frame.height),
        memoryview(y),
        y.line_size,
        tuple(map(memoryview, chroma)),
        chroma[0].line_size,
    )


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
    colour = line.pairs() if len(planes.chroma) == 1 else line.chroma
    native.burn(
        planes.y, planes.y_stride, planes.size, planes.chroma, planes.chroma_stride,
        (line.luma.parts(),), (colour.parts(),), (at[0] // 2 * 2, at[1] // 2 * 2),
    )  # fmt: skip


_Parts = tuple[tuple[memoryview, memoryview, memoryview], ...]


class _Drawn:
    """A caption drawn at one size, as it is for one second.

    Attributes:
        caption: What is drawn.
        lines: Its lines.
        size: ``(width, height)`` of the whole block, pixels.
        second: For which it is drawn, -1 for none.
        corner: Where it lies, pixels, both even; None until that is known, or if it moves.
    """

    def __init__(self, caption: Caption, lines: list[Line]) -> None:
        self.caption = caption
        self.lines = lines
        self.second = -1
        self._moving = [
            (line, text) for line, text in zip(lines, caption.lines, strict=True) if moves(text)
        ]
        self._shown: list[tuple[Stamp, Patch | None]] = []
        self._strips: dict[bool, tuple[_Parts, _Parts]] = {}
        self.size = (0, 0)
        self.corner: tuple[int, int] | None = None
        self._measure()

    def redraw(self, second: int, text_of: Callable[[str], str]) -> None:
        """Draw what is another than in the second before."""
        self.second = second
        for line, text in self._moving:
            line.write(text_of(text))
        self._measure()

    def _measure(self) -> None:
        shown = [(line.still, line.moving) for line in self.lines]
        if shown != self._shown:  # else what moves was written into what is there
            sizes = [line.size for line in self.lines]
            width = max((width for width, _ in sizes), default=0)
            self.size = width, sum(high for _, high in sizes)
            self._shown, self.corner = shown, None
            self._strips.clear()

    def strips(self, *, paired: bool) -> tuple[_Parts, _Parts]:
        """All of it for luma and chroma; `paired` for NV12's one plane."""
        found = self._strips.get(paired)
        if found is None:
            # What stands still is one strip.
            at, luma, chroma = 0, [], []
            moving: list[tuple[Strip, Strip]] = []
            for line in self.lines:
                luma.append((line.still.luma, at))
                chroma.append((line.still.pairs() if paired else line.still.chroma, at // 2))
                if (patch := line.moving) is not None:
                    x = patch.first if paired else patch.first // 2
                    colour = patch.pairs if paired else patch.chroma
                    moving.append((patch.luma.moved(patch.first, at), colour.moved(x, at // 2)))
                at += line.size[1]
            both = [(stacked(luma), stacked(chroma)), *moving]
            found = self._strips[paired] = (
                tuple(one.parts() for one, _ in both),
                tuple(one.parts() for _, one in both),
            )
        return found


class Burner:
    """Keeps one caption's stamps for pictures of one size.

    One thread burns; another may set captions meanwhile, and holds it up for no longer than it
    takes to draw one glyph.

    Args:
        font: The font.
        size: ``(width, height)`` of the pictures, pixels.
        zone: Time zone of the fields; None is the box's own.

    Attributes:
        clock: What ``{clock}`` stands for. See `nvr.media.caption.clock_text`.
    """

    def __init__(self, font: Font, size: tuple[int, int], zone: tzinfo | None = None) -> None:
        self._font = font
        self._size = size
        self._zone = zone
        self._drawn = _Drawn(Caption(()), [])
        self._masker = Masker(size)
        self.clock = ""

    @property
    def caption(self) -> Caption:
        """The caption being burned."""
        return self._drawn.caption

    def set(self, caption: Caption) -> tuple[str, ...]:
        """Write `caption` from the next picture on.

        Returns:
            The characters that no font has, each once.
        """
        size_px = max(8, caption.size_permille * self._size[1] // 1000)
        lines = [Line(self._font, size_px, caption.mode) for _ in caption.lines]
        missing = [
            line.write(expand(text, 0, None, self.clock))
            for line, text in zip(lines, caption.lines, strict=True)
        ]
        for line, text in zip(lines, caption.lines, strict=True):
            if moves(text):
                line.warm()
        self._drawn = _Drawn(caption, lines)
        return tuple(dict.fromkeys(c for some in missing for c in some))

    @property
    def masks(self) -> Masks:
        """What is hidden."""
        return self._masker.masks

    def mask(self, masks: Masks) -> None:
        """Hide these areas from the next picture on; captions lie over them."""
        self._masker.set(masks)

    def burn(self, planes: Planes, wall_us: int) -> None:
        """Hide what is masked and burn the caption as it looks at `wall_us`, in place."""
        # Few steps: between two pictures an encoder has thrown all of this out of every cache.
        if self._masker.masks:
            self._masker.lay(planes)
        drawn = self._drawn
        if (second := wall_us // 1_000_000) != drawn.second:
            at_us = second * 1_000_000
            drawn.redraw(second, lambda text: expand(text, at_us, self._zone, self.clock))
        if drawn.caption.mode == "blink" and wall_us // 500_000 % 2:
            return
        if drawn.lines:
            luma, colour = drawn.strips(paired=len(planes.chroma) == 1)
            native.burn(
                planes.y, planes.y_stride, planes.size, planes.chroma, planes.chroma_stride,
                luma, colour, self._corner(drawn, wall_us),
            )  # fmt: skip

    def placed(self, wall_us: int) -> list[tuple[tuple[int, int], tuple[int, int]]]:
        """The size of each line, and the pixel its corner lies on at `wall_us`."""
        drawn = self._drawn
        x, y = self._corner(drawn, wall_us)
        placed = []
        for line in drawn.lines:
            placed.append((line.size, (x, y)))
            y += line.size[1]
        return placed

    def _corner(self, drawn: _Drawn, wall_us: int) -> tuple[int, int]:
        if drawn.corner is not None:
            return drawn.corner
        (width, height), (block_px, rows_px) = self._size, drawn.size
        x_permille, y_permille = drawn.caption.position_permille
        x = min(x_permille * width // 1000, max(0, width - block_px))
        y = min(y_permille * height // 1000, max(0, height - rows_px))
        if drawn.caption.mode == "scroll":
            gone = wall_us * _SCROLL_PERMILLE_S * width // 1_000_000_000
            return (width - gone % (width + block_px)) // 2 * 2, y // 2 * 2
        drawn.corner = x // 2 * 2, y // 2 * 2
        return drawn.corner
