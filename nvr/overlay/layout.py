"""From lines of text to stamps: masks with their grey levels, ready to be blended.

A caption is a block of lines, left-aligned, its corner placed in thousandths of the picture and
pushed inside where it would stick out. Sizes are thousandths of the picture's height, an em a
line.
"""

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from nvr.media.caption import Mode
from nvr.overlay.font import Font
from nvr.overlay.strip import Strip, pack, whole

WHITE, BLACK = 235, 16
"""Limited-range luma of the text and of what sets it off."""
NEUTRAL = 128

_Placed = tuple[tuple[int, int, int, int], ...]
"""Font, glyph, pen x and pen y of each glyph. See `nvr.overlay.font.Shaped`."""
_DIGITS = "0123456789"


@dataclass(frozen=True, slots=True, eq=False)
class Stamp:
    """One line as pixels, for a luma plane and the two chroma planes of half its size.

    Attributes:
        size: ``(width, height)`` in luma pixels, both even.
        cover: Luma coverage, shape ``(height, width)``.
        grey: Luma of each pixel, same shape.
        chroma_cover: Chroma coverage, shape ``(height / 2, width / 2)``.
        luma: What is blended into the luma plane.
        chroma: The same for each of two chroma planes.
    """

    size: tuple[int, int]
    cover: NDArray[np.uint8]
    grey: NDArray[np.uint8]
    chroma_cover: NDArray[np.uint8]
    luma: Strip
    chroma: Strip

    def pairs(self) -> Strip:
        """What is blended into NV12's one plane of interleaved pairs."""
        return pack(np.repeat(self.chroma_cover, 2, axis=1), NEUTRAL)


class Patch:
    """Some columns of a line, drawn anew in place as often as its text changes there.

    Args:
        first: The column it begins at, even.
        size: ``(width, height)`` in luma pixels, both even.

    Attributes:
        first: As above.
        luma: What is blended into the luma plane.
        chroma: The same for each of two chroma planes.
        pairs: The same for NV12's one.
    """

    def __init__(self, first: int, size: tuple[int, int]) -> None:
        width, height = size
        self.first = first
        self.luma = whole(size)
        self.chroma = whole((width // 2, height // 2), NEUTRAL)
        self.pairs = whole((width, height // 2), NEUTRAL)

    def write(self, first: int, cover: NDArray[np.uint8], grey: NDArray[np.uint8]) -> None:
        """Write columns from `first` of the line on; both even, and within it."""
        at, half = first - self.first, _quartered(cover)
        for strip, mask, begin in (
            (self.luma.cover, cover, at),
            (self.luma.grey, grey, at),
            (self.chroma.cover, half, at // 2),
            (self.pairs.cover, np.repeat(half, 2, axis=1), at),
        ):
            rows = strip.reshape(len(mask), -1)
            rows[:, begin : begin + mask.shape[1]] = mask


@dataclass(frozen=True, slots=True)
class _Look:
    """How a mode dresses a line: edge and ground around the text."""

    ink: int
    edged: bool
    ground: int | None
    ground_cover: int = 0


_LOOKS: dict[Mode, _Look] = {
    "plain": _Look(WHITE, edged=False, ground=None),
    "outline": _Look(WHITE, edged=True, ground=None),
    "blink": _Look(WHITE, edged=True, ground=None),
    "scroll": _Look(WHITE, edged=True, ground=None),
    "box": _Look(WHITE, edged=False, ground=BLACK, ground_cover=190),
    "inverse": _Look(BLACK, edged=False, ground=WHITE, ground_cover=225),
}


def stamp(font: Font, text: str, size_px: int, mode: Mode) -> tuple[Stamp, tuple[str, ...]]:
    """Draw one line.

    Returns:
        The stamp, and the characters that no font has.
    """
    line = Line(font, size_px, mode)
    missing = line.write(text)
    return line.still, missing


class Line:
    """One line of a caption, drawn; of a text with the time in it, only what changes is again.

    Args:
        font: The font.
        size_px: Pixels of an em.
        mode: How it is dressed.

    Attributes:
        still: The line, without what changed last.
        moving: What changed last; None before anything did.
    """

    def __init__(self, font: Font, size_px: int, mode: Mode) -> None:
        self._font = font
        self._size_px = size_px
        self._look = _LOOKS[mode]
        edge_64 = max(64, size_px * 64 // 12) if self._look.edged else 0
        self._edge_64 = edge_64
        grounded = self._look.ground is not None
        self._margin = size_px // 4 if grounded else (edge_64 + 127) // 64
        self._pad = self._margin // 2 if grounded else self._margin
        self._text, self._plain = "", False
        self._digits = font.digits(size_px)
        self._placed: _Placed = ()
        self._box = (0, 0, 0)
        self._under = self._over = np.zeros((0, 0), np.uint8)
        self._changing = (0, 0)
        self._reach_of: dict[tuple[int, int], tuple[int, int]] = {}
        self._reaches: list[tuple[int, int]] = []
        self.still = _cut(*self._composed(0, 0))
        self.moving: Patch | None = None

    @property
    def size(self) -> tuple[int, int]:
        """``(width, height)`` in luma pixels, both even."""
        height, width = self._over.shape
        return width, height

    def write(self, text: str) -> tuple[str, ...]:
        """Draw another text; returns the characters that no font has."""
        if (ticked := self._ticked(text)) is not None:
            self._turn(ticked)
            self._text = text
            return ()
        shaped = self._font.shape(text, self._size_px)
        placed = shaped.glyphs
        above, below = self._font.height_px(self._size_px)
        # Scripts that stack marks need more room than Chinese does.
        for number, index, _, y in placed:
            ink = self._font.glyph(number, index, self._size_px)
            above = max(above, y + ink.top)
            below = max(below, ink.cover.shape[0] - ink.top - y)
        box = shaped.width_px, above, below
        if box != self._box or len(self._placed) != len(placed):
            self._begin(box, placed)
        elif placed != self._placed:
            self._turn(placed)
        self._text, self._plain = text, shaped.plain and not shaped.missing
        return shaped.missing

    def warm(self) -> None:
        """Have every digit drawn, so that none holds up a picture later."""
        for number, index in self._digits:
            self._reach((number, index, 0, 0))
            self._font.glyph(number, index, self._size_px)

    def _ticked(self, text: str) -> _Placed | None:
        """The glyphs of a text that has other digits than the last one, and nothing else.

        What is shaped anew costs more than all the rest, and a clock would do it every second.
        """
        if not self._plain or not self._digits or len(text) != len(self._text):
            return None
        placed = list(self._placed)
        for at, (old, new) in enumerate(zip(self._text, text, strict=True)):
            if old != new:
                if old not in _DIGITS or new not in _DIGITS:
                    return None
                placed[at] = (*self._digits[_DIGITS.index(new)], *placed[at][2:])
        return tuple(placed)

    def _turn(self, placed: _Placed) -> None:
        """Draw what stands in its place in another form."""
        pairs = enumerate(zip(self._placed, placed, strict=True))
        reach = []
        for at, (old, new) in pairs:
            if old != new:
                reach += [self._reaches[at], self._reach(new)]
                self._reaches[at] = reach[-1]
        if reach:
            first = max(0, min(left for left, _ in reach)) // 2 * 2
            last = min(self.size[0], (max(right for _, right in reach) + 1) // 2 * 2)
            self._change(placed, first, last)

    def _begin(self, box: tuple[int, int, int], placed: _Placed) -> None:
        width_px, above, below = box
        width = (width_px + 2 * self._margin + 1) // 2 * 2
        height = (above + below + 2 * self._pad + 1) // 2 * 2
        self._box, self._placed = box, placed
        self._reaches = [self._reach(one) for one in placed]
        self._under = np.zeros((height, width), np.uint8)
        self._over = np.zeros((height, width), np.uint8)
        self._draw(placed, 0, width)
        self._changing = (0, 0)
        self.still, self.moving = _cut(*self._composed(0, width)), None

    def _change(self, placed: _Placed, first: int, last: int) -> None:
        self._placed = placed
        begin, end = self._changing
        if not begin <= first < last <= end:
            # Further than what changed before: that stands still from now on. A digit that comes
            # next may be a little wider than these.
            more = self._size_px // 4
            first, last = max(0, first - more) // 2 * 2, min(self.size[0], (last + more) // 2 * 2)
            self._draw(placed, min(first, begin or first), max(last, end))
            self._changing = first, last
            cover, grey = self._composed(0, self.size[0])
            cover[:, first:last] = 0
            self.still = _cut(cover, grey)
            self.moving = Patch(first, (last - first, self.size[1]))
        else:
            self._draw(placed, first, last)
        assert self.moving is not None
        self.moving.write(first, *self._composed(first, last))

    def _draw(self, placed: _Placed, first: int, last: int) -> None:
        """Draw the glyphs that reach into some columns, into these columns."""
        under, over = self._under[:, first:last], self._over[:, first:last]
        grounded = self._look.ground is not None and self._box[0]
        under[:] = self._look.ground_cover if grounded else 0
        over[:] = 0
        base = self._pad + self._box[1]
        for (number, index, x, y), (left, right) in zip(placed, self._reaches, strict=True):
            if right <= first or left >= last:
                continue
            ink = self._font.glyph(number, index, self._size_px)
            at = self._margin + x - first
            _lay(over, ink.cover, at + ink.left, base - y - ink.top)
            if self._edge_64:
                edge = self._font.glyph(number, index, self._size_px, self._edge_64)
                _lay(under, edge.cover, at + edge.left, base - y - edge.top)

    def _reach(self, glyph: tuple[int, int, int, int]) -> tuple[int, int]:
        """The first column that a glyph, or its edge, can cover, and the one after the last."""
        number, index, x, _ = glyph
        found = self._reach_of.get((number, index))
        if found is None:
            drawn = self._font.glyph(number, index, self._size_px, self._edge_64)
            found = drawn.left, drawn.left + drawn.cover.shape[1]
            self._reach_of[number, index] = found
        return self._margin + x + found[0], self._margin + x + found[1]

    def _composed(self, first: int, last: int) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
        """Coverage and grey of some columns."""
        ground, ink = self._look.ground, self._look.ink
        table = _composed(BLACK if ground is None else ground, ink)
        under = self._under[:, first:last].astype(np.uint16)
        both = table[under << 8 | self._over[:, first:last]]
        return both.astype(np.uint8), (both >> 8).astype(np.uint8)


def _cut(cover: NDArray[np.uint8], grey: NDArray[np.uint8]) -> Stamp:
    height, width = cover.shape
    chroma = _quartered(cover)
    return Stamp((width, height), cover, grey, chroma, pack(cover, grey), pack(chroma, NEUTRAL))


def _quartered(cover: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Coverage of chroma: the mean of each two by two."""
    wide = cover.astype(np.uint16)
    rows = wide[::2] + wide[1::2]
    return (rows[:, ::2] + rows[:, 1::2] + 2 >> 2).astype(np.uint8)


def _lay(canvas: NDArray[np.uint8], cover: NDArray[np.uint8], x: int, y: int) -> None:
    """Put `cover` on `canvas` where it is denser, cut off at the edges."""
    rows, columns = canvas.shape
    x0, y0 = max(x, 0), max(y, 0)
    x1, y1 = min(x + cover.shape[1], columns), min(y + cover.shape[0], rows)
    if x0 < x1 and y0 < y1:
        target = canvas[y0:y1, x0:x1]
        np.maximum(target, cover[y0 - y : y1 - y, x0 - x : x1 - x], out=target)


@lru_cache(maxsize=4)
def _composed(below: int, above: int) -> NDArray[np.uint16]:
    """Coverage (low byte) and grey (high) of two layers, by their own coverage.

    Args:
        below: Luma of the lower one, whose coverage is the high byte of the place.
        above: Luma of the one over it, whose coverage is the low byte.
    """
    lower, upper = np.divmod(np.arange(65_536, dtype=np.uint16), 256)
    a, b = lower.astype(np.float32) / 255, upper.astype(np.float32) / 255
    if above < below:
        b = 1 - (1 - b) ** 2  # dark strokes on a light ground look thinner than they are
    alpha = 1 - (1 - a) * (1 - b)
    light = a * below * (1 - b) + b * above
    cover = np.rint(alpha * 255).astype(np.uint16)
    grey = np.rint(light / np.maximum(alpha, 1e-6)).clip(0, 255).astype(np.uint16)
    return (cover | grey << 8).astype(np.uint16)
