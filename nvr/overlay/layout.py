"""From lines of text to stamps: masks with their grey levels, ready to be blended.

A caption is a block of lines, left-aligned, its corner placed in thousandths of the picture and
pushed inside where it would stick out. Sizes are thousandths of the picture's height, an em a
line. ``{time}`` in a line becomes the wall time with weekday and zone, as
``2026-11-23 星期一 14:32:07 +08:00``.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta, tzinfo
from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray

from nvr.base.errors import Rejected
from nvr.overlay.font import Font

Mode = Literal["plain", "outline", "box", "blink", "inverse", "scroll"]
MODES: tuple[Mode, ...] = get_args(Mode)
MOST_LINES = 8
MOST_CHARACTERS = 32
TIME = "{time}"

WHITE, BLACK = 235, 16
"""Limited-range luma of the text and of what sets it off."""

_WEEKDAYS = "一二三四五六日"
_EPOCH = datetime.fromisoformat("1970-01-01T00:00:00+00:00")


@dataclass(frozen=True, slots=True)
class Caption:
    """What to write into the picture, and how.

    Attributes:
        lines: Up to 8 lines of up to 32 characters; ``{time}`` stands for the wall time.
        position_permille: Left and top of the block, 0-1000 of the picture's width and height.
        size_permille: Height of an em, 15-250 thousandths of the picture's height.
        mode: ``plain`` white; ``outline`` white with a dark edge; ``box`` white on a dark,
            ``inverse`` dark on a light ground; ``blink`` outline, on and off by the half
            second; ``scroll`` outline, moving from right to left.
    """

    lines: tuple[str, ...]
    position_permille: tuple[int, int] = (20, 30)
    size_permille: int = 42
    mode: Mode = "outline"

    def __post_init__(self) -> None:
        _check(len(self.lines) <= MOST_LINES, "lines", f"a caption has at most {MOST_LINES} lines")
        for line in self.lines:
            _check(
                len(line.replace(TIME, "")) <= MOST_CHARACTERS,
                "lines",
                f"a line has at most {MOST_CHARACTERS} characters",
            )
            _check(
                all(c.isprintable() or c == "\u3000" for c in line),
                "lines",
                "a line has no line breaks or control characters",
            )
        _check(
            all(0 <= p <= 1000 for p in self.position_permille),
            "position_permille",
            "the position is two numbers from 0 to 1000",
        )
        _check(15 <= self.size_permille <= 250, "size_permille", "the size is from 15 to 250")
        _check(self.mode in MODES, "mode", f"the mode is one of {', '.join(MODES)}")


def _check(good: bool, field: str, rule: str) -> None:
    if not good:
        raise Rejected("caption.invalid", rule, field=field)


@dataclass(frozen=True, slots=True)
class Stamp:
    """One line as pixels, for a luma plane and the two chroma planes of half its size.

    Attributes:
        size: ``(width, height)`` in luma pixels, both even.
        cover: Luma coverage, shape ``(height, width)``.
        grey: Luma of each pixel, same shape.
        spans: First covered column and the one after the last of each row, int32 pairs.
        chroma_cover: Chroma coverage, shape ``(height / 2, width / 2)``.
        chroma_spans: As `spans`, of `chroma_cover`.
    """

    size: tuple[int, int]
    cover: NDArray[np.uint8]
    grey: NDArray[np.uint8]
    spans: NDArray[np.int32]
    chroma_cover: NDArray[np.uint8]
    chroma_spans: NDArray[np.int32]


def spans_of(cover: NDArray[np.uint8]) -> NDArray[np.int32]:
    """First column with coverage and the one after the last, for each row; 0, 0 if none."""
    rows, columns = cover.shape
    if not columns:
        return np.zeros((rows, 2), np.int32)
    some = cover > 0
    spans = np.zeros((rows, 2), np.int32)
    spans[:, 0] = np.argmax(some, axis=1)
    spans[:, 1] = columns - np.argmax(some[:, ::-1], axis=1)
    spans[~some.any(axis=1)] = 0
    return spans


def time_text(wall_us: int, zone: tzinfo | None) -> str:
    """Wall time for a caption, to the second; `zone` None is the box's own."""
    at = (_EPOCH + timedelta(seconds=wall_us // 1_000_000)).astimezone(zone)
    day = f"星期{_WEEKDAYS[at.weekday()]}"
    return f"{at:%Y-%m-%d} {day} {at:%H:%M:%S} {at.isoformat()[-6:]}"


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
        The stamp, and the characters the font does not have.
    """
    look = _LOOKS[mode]
    edge_64 = max(64, size_px * 64 // 12) if look.edged else 0
    margin = size_px // 4 if look.ground is not None else (edge_64 + 127) // 64
    shaped = font.shape(text, size_px)
    above, below = font.height_px(size_px)
    width = (shaped.width_px + 2 * margin + 1) // 2 * 2
    pad = margin // 2 if look.ground is not None else margin
    height = (above + below + 2 * pad + 1) // 2 * 2
    layers: list[tuple[NDArray[np.uint8], int]] = []
    if look.ground is not None and shaped.width_px:
        layers.append((np.full((height, width), look.ground_cover, np.uint8), look.ground))
    for stroke_64, luma in ((edge_64, BLACK), (0, look.ink)):
        if luma == look.ink or stroke_64:
            ink = np.zeros((height, width), np.uint8)
            for index, x, y in shaped.glyphs:
                glyph = font.glyph(index, size_px, stroke_64)
                _lay(ink, glyph.cover, margin + x + glyph.left, pad + above - y - glyph.top)
            layers.append((ink, luma))
    return _flatten(layers, width, height), shaped.missing


def _lay(canvas: NDArray[np.uint8], cover: NDArray[np.uint8], x: int, y: int) -> None:
    """Put `cover` on `canvas` where it is denser, cut off at the edges."""
    rows, columns = canvas.shape
    x0, y0 = max(x, 0), max(y, 0)
    x1, y1 = min(x + cover.shape[1], columns), min(y + cover.shape[0], rows)
    if x0 < x1 and y0 < y1:
        target = canvas[y0:y1, x0:x1]
        np.maximum(target, cover[y0 - y : y1 - y, x0 - x : x1 - x], out=target)


def _flatten(layers: Sequence[tuple[NDArray[np.uint8], int]], width: int, height: int) -> Stamp:
    """Compose layers, lowest first, into one mask with a grey level for each pixel."""
    one, full = np.float32(1), np.float32(255)
    clear = np.ones((height, width), np.float32)
    light = np.zeros((height, width), np.float32)
    for cover, luma in layers:
        a = cover.astype(np.float32) / full
        light *= one - a
        light += a * np.float32(luma)
        clear *= one - a
    alpha = 1 - clear
    cover = np.rint(alpha * 255).astype(np.uint8)
    grey = np.rint(light / np.maximum(alpha, 1e-6)).clip(0, 255).astype(np.uint8)
    blocks = cover.reshape(height // 2, 2, width // 2, 2).astype(np.uint16)
    chroma = ((blocks.sum(axis=(1, 3)) + 2) // 4).astype(np.uint8)
    return Stamp((width, height), cover, grey, spans_of(cover), chroma, spans_of(chroma))
