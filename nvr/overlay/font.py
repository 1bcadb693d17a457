"""Glyphs of the caption font as coverage masks and as outlines, each made once and kept.

HarfBuzz shapes the text (kerning, combining marks, the right form for each neighbour), FreeType
rasterises. A character the font does not have is named to the caller and drawn as U+3013, the
mark Chinese printers set for a missing sort: never an anonymous box.

Source: HarfBuzz and FreeType manuals; Noto Sans SC covers GB 2312, U+4E00-9FA5 and Extension A.
"""

import unicodedata
from collections import OrderedDict
from dataclasses import dataclass
from pathlib import Path

import freetype
import numpy as np
import uharfbuzz
from numpy.typing import NDArray
from pylopdf_fonts_zh_cn import sans_path

GETA = "\u3013"
"""Stands in a picture for a character the font does not have."""

_INVISIBLE = frozenset(("Cf", "Mn", "Zl", "Zp"))
_MOST_GLYPHS = 4096


@dataclass(frozen=True, slots=True)
class Glyph:
    """One rasterised glyph.

    Attributes:
        left: Pixels from the pen to the first column.
        top: Pixels from the base line up to the first row.
        cover: Coverage, shape ``(rows, columns)``, 0 clear to 255 opaque.
    """

    left: int
    top: int
    cover: NDArray[np.uint8]


@dataclass(frozen=True, slots=True)
class Shaped:
    """A line of text as glyphs.

    Attributes:
        glyphs: ``(glyph index, pen x, pen y)``, pixels, y upwards from the base line.
        width_px: Advance of the whole line.
        missing: Characters the font does not have, in order, each once.
    """

    glyphs: tuple[tuple[int, int, int], ...]
    width_px: int
    missing: tuple[str, ...]


class Font:
    """One font file. Not for use by two threads at once.

    Args:
        path: An OpenType file; None takes the one that comes with the install.
    """

    def __init__(self, path: Path | None = None) -> None:
        file = str(path or sans_path())
        self._face = freetype.Face(file)
        self._shaper = uharfbuzz.Font(uharfbuzz.Face(uharfbuzz.Blob.from_file_path(file)))
        self._stroker = freetype.Stroker()
        self._glyphs: OrderedDict[tuple[int, int, int], Glyph] = OrderedDict()

    def has(self, character: str) -> bool:
        """True if `character` can be drawn, or is rightly invisible."""
        return (
            self._face.get_char_index(character) != 0
            or unicodedata.category(character) in _INVISIBLE
        )

    def shape(self, text: str, size_px: int) -> Shaped:
        """Turn one line into glyphs at `size_px` pixels an em."""
        missing = tuple(dict.fromkeys(c for c in text if not self.has(c)))
        for character in missing:
            text = text.replace(character, GETA)
        buffer = uharfbuzz.Buffer()
        buffer.add_str(text)
        buffer.guess_segment_properties()
        self._shaper.scale = (size_px * 64, size_px * 64)
        uharfbuzz.shape(self._shaper, buffer)
        pen_x = pen_y = 0
        glyphs = []
        # Both lists are None, not empty, when there is no text.
        places = zip(buffer.glyph_infos or (), buffer.glyph_positions or (), strict=True)
        for info, position in places:
            x, y = pen_x + position.x_offset, pen_y + position.y_offset
            glyphs.append((info.codepoint, (x + 32) // 64, (y + 32) // 64))
            pen_x += position.x_advance
            pen_y += position.y_advance
        return Shaped(tuple(glyphs), (pen_x + 63) // 64, missing)

    def glyph(self, index: int, size_px: int, stroke_64: int = 0) -> Glyph:
        """Return the mask of a glyph, grown by `stroke_64` 64ths of a pixel on every side."""
        key = (index, size_px, stroke_64)
        found = self._glyphs.get(key)
        if found is None:
            found = self._glyphs[key] = self._rasterise(index, size_px, stroke_64)
            if len(self._glyphs) > _MOST_GLYPHS:
                self._glyphs.popitem(last=False)
        else:
            self._glyphs.move_to_end(key)
        return found

    def height_px(self, size_px: int) -> tuple[int, int]:
        """Rows above and below the base line that a line of Chinese needs at `size_px`."""
        # An ideograph fills its em box, 0.88 em above the base line and 0.12 below in this
        # font; 0.05 more on each side keeps Latin descenders and accents inside.
        return (size_px * 93 + 99) // 100, (size_px * 22 + 99) // 100

    def outlines(self, text: str, steps: int = 4) -> tuple[list[NDArray[np.float32]], float]:
        """Give `text` as closed polygons.

        Args:
            text: One line.
            steps: Straight pieces for each curve.

        Returns:
            Contours of shape ``(points, 2)`` in ems, y upwards from the base line, holes
            running the other way round; and the width in ems.
        """
        em = self._face.units_per_EM
        contours = []
        shaped = self.shape(text, em)
        self._face.set_pixel_sizes(0, em)
        for index, x, y in shaped.glyphs:
            self._face.load_glyph(index, freetype.FT_LOAD_NO_HINTING | freetype.FT_LOAD_NO_BITMAP)
            pen = _Pen(steps)
            self._face.glyph.outline.decompose(
                pen,
                move_to=_Pen.move_to,
                line_to=_Pen.line_to,
                conic_to=_Pen.conic_to,
                cubic_to=_Pen.cubic_to,
            )
            for contour in pen.contours:
                points = np.array(contour, np.float32) / 64 + np.array((x, y), np.float32)
                contours.append((points / em).astype(np.float32))
        return contours, shaped.width_px / em

    def _rasterise(self, index: int, size_px: int, stroke_64: int) -> Glyph:
        self._face.set_pixel_sizes(0, size_px)
        self._face.load_glyph(index, freetype.FT_LOAD_NO_HINTING | freetype.FT_LOAD_NO_BITMAP)
        outline = self._face.glyph.get_glyph()
        if stroke_64:
            self._stroker.set(
                stroke_64,
                freetype.FT_STROKER_LINECAP_ROUND,
                freetype.FT_STROKER_LINEJOIN_ROUND,
                0,
            )
            outline.stroke(self._stroker, True)
        drawn = outline.to_bitmap(freetype.FT_RENDER_MODE_NORMAL, freetype.Vector(0, 0), True)
        rows, columns, pitch = drawn.bitmap.rows, drawn.bitmap.width, drawn.bitmap.pitch
        buffer = np.array(drawn.bitmap.buffer, np.uint8)
        cover = buffer.reshape(rows, pitch)[:, :columns] if rows else np.zeros((0, 0), np.uint8)
        return Glyph(drawn.left, drawn.top, np.ascontiguousarray(cover))


class _Pen:
    """Collects the contours of one glyph, curves cut into `steps` straight pieces."""

    def __init__(self, steps: int) -> None:
        self.steps = steps
        self.contours: list[list[tuple[float, float]]] = []

    @staticmethod
    def move_to(to: freetype.Vector, pen: "_Pen") -> None:
        pen.contours.append([(to.x, to.y)])

    @staticmethod
    def line_to(to: freetype.Vector, pen: "_Pen") -> None:
        pen.contours[-1].append((to.x, to.y))

    @staticmethod
    def conic_to(control: freetype.Vector, to: freetype.Vector, pen: "_Pen") -> None:
        x, y = pen.contours[-1][-1]
        for step in range(1, pen.steps + 1):
            t = step / pen.steps
            a, b, c = (1 - t) ** 2, 2 * t * (1 - t), t * t
            pen.contours[-1].append(
                (a * x + b * control.x + c * to.x, a * y + b * control.y + c * to.y)
            )

    @staticmethod
    def cubic_to(
        first: freetype.Vector, second: freetype.Vector, to: freetype.Vector, pen: "_Pen"
    ) -> None:
        x, y = pen.contours[-1][-1]
        for step in range(1, pen.steps + 1):
            t = step / pen.steps
            a, b, c, d = (1 - t) ** 3, 3 * t * (1 - t) ** 2, 3 * t * t * (1 - t), t**3
            pen.contours[-1].append(
                (
                    a * x + b * first.x + c * second.x + d * to.x,
                    a * y + b * first.y + c * second.y + d * to.y,
                )
            )
