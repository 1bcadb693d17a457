"""Glyphs of the caption fonts as coverage masks and as outlines, each made once and kept.

HarfBuzz shapes the text (kerning, combining marks, the right form for each neighbour), FreeType
rasterises. What the font of the install lacks is taken from a font of the system; a character that
none has is named to the caller and drawn as U+3013, the mark Chinese printers set for a missing
sort: never an anonymous box.

Source: HarfBuzz and FreeType manuals; Noto Sans SC covers GB 2312, U+4E00-9FEF and Extension A,
which is all ideographs of the basic plane in GB 18030 but U+9FF0 and later. UAX #9 for what runs
from right to left, as far as one line of text on a left-to-right picture needs it.
"""

import threading
import unicodedata
from collections import OrderedDict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import freetype
import numpy as np
import uharfbuzz
from numpy.typing import NDArray
from pylopdf_fonts_zh_cn import sans_path

from nvr.overlay.fallback import system_fonts

GETA = "\u3013"
"""Stands in a picture for a character the font does not have."""

_INVISIBLE = frozenset(("Cf", "Mn", "Zl", "Zp"))
_JOINED = frozenset(("Cf", "Mn", "Mc", "Me"))
"""Belongs to the character before it, and to its font."""
_BACKWARDS = frozenset(("R", "AL"))
_NUMBERS = frozenset(("EN", "AN"))
_FORWARDS = "L"
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
        glyphs: ``(font, glyph index, pen x, pen y)``, pixels, y upwards from the base line; the
            fonts are counted in the order in which they were opened.
        width_px: Advance of the whole line.
        missing: Characters that no font has, in order, each once.
        plain: Each character is one glyph, in the order of the text.
    """

    glyphs: tuple[tuple[int, int, int, int], ...]
    width_px: int
    missing: tuple[str, ...]
    plain: bool = False


class _Face:
    """One font file, mapped into memory."""

    def __init__(self, path: Path) -> None:
        self.face = freetype.Face(str(path))
        self.shaper = uharfbuzz.Font(uharfbuzz.Face(uharfbuzz.Blob.from_file_path(str(path))))

    def has(self, character: str) -> bool:
        return bool(self.face.get_char_index(character) != 0)


class Font:
    """The font of captions, with those of the system behind it. From any thread.

    Args:
        path: An OpenType file; None takes the one that comes with the install.
        fallback: Files to look for what it lacks, None for the system's own; each is opened when
            a character has been found in none of those before.
    """

    def __init__(self, path: Path | None = None, fallback: Sequence[Path] | None = None) -> None:
        self._lock = threading.RLock()
        self._faces = [_Face(Path(path or sans_path()))]
        self._given = fallback
        self._unopened: list[Path] | None = None
        self._numbers: dict[str, int | None] = {}
        self._stroker = freetype.Stroker()
        self._glyphs: OrderedDict[tuple[int, int, int, int], Glyph] = OrderedDict()

    def open_all(self) -> None:
        """Open every font now: later there is no way to any file, in a sandbox."""
        with self._lock:
            while self._open_next():
                pass

    def has(self, character: str) -> bool:
        """True if `character` can be drawn, or is rightly invisible."""
        return unicodedata.category(character) in _INVISIBLE or self._face_of(character) is not None

    def missing(self, text: str) -> str:
        """Return the characters of `text` that cannot be drawn, each once."""
        return "".join(dict.fromkeys(one for one in text if not self.has(one)))

    def shape(self, text: str, size_px: int) -> Shaped:
        """Turn one line into glyphs at `size_px` pixels an em."""
        with self._lock:
            missing = tuple(self.missing(text))
            for character in missing:
                text = text.replace(character, GETA)
            pen_x = pen_y = 0
            glyphs, plain = [], True
            for number, piece, backwards in self._runs(text):
                shaper = self._faces[number].shaper
                buffer = uharfbuzz.Buffer()
                buffer.add_str(piece)
                buffer.guess_segment_properties()
                buffer.direction = "rtl" if backwards else "ltr"
                shaper.scale = (size_px * 64, size_px * 64)
                uharfbuzz.shape(shaper, buffer)
                # Both lists are None, not empty, when there is no text.
                infos, places = buffer.glyph_infos or (), buffer.glyph_positions or ()
                plain &= [info.cluster for info in infos] == list(range(len(piece)))
                for info, place in zip(infos, places, strict=True):
                    x, y = pen_x + place.x_offset, pen_y + place.y_offset
                    glyphs.append((number, info.codepoint, (x + 32) // 64, (y + 32) // 64))
                    pen_x += place.x_advance
                    pen_y += place.y_advance
        return Shaped(tuple(glyphs), (pen_x + 63) // 64, missing, plain)

    def digits(self, size_px: int) -> tuple[tuple[int, int], ...]:
        """Font and glyph of each digit; nothing if one digit cannot stand in another's place."""
        each = [self.shape(digit, size_px) for digit in "0123456789"]
        if len({one.width_px for one in each}) > 1 or not all(one.plain for one in each):
            return ()
        return tuple(one.glyphs[0][:2] for one in each)

    def glyph(self, face: int, index: int, size_px: int, stroke_64: int = 0) -> Glyph:
        """Return the mask of a glyph, grown by `stroke_64` 64ths of a pixel on every side."""
        key = (face, index, size_px, stroke_64)
        with self._lock:
            found = self._glyphs.get(key)
            if found is None:
                found = self._glyphs[key] = self._rasterise(*key)
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
        with self._lock:
            em = self._faces[0].face.units_per_EM
            contours = []
            shaped = self.shape(text, em)
            for number, index, x, y in shaped.glyphs:
                face = self._faces[number].face
                face.set_pixel_sizes(0, em)
                face.load_glyph(index, freetype.FT_LOAD_NO_HINTING | freetype.FT_LOAD_NO_BITMAP)
                pen = _Pen(steps)
                face.glyph.outline.decompose(
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

    def _face_of(self, character: str) -> int | None:
        """Return the number of the first font that has `character`."""
        with self._lock:
            if character not in self._numbers:
                if len(self._numbers) >= _MOST_GLYPHS:
                    self._numbers.clear()
                self._numbers[character] = self._look_up(character)
            return self._numbers[character]

    def _look_up(self, character: str) -> int | None:
        for number, face in enumerate(self._faces):
            if face.has(character):
                return number
        while self._open_next():
            if self._faces[-1].has(character):
                return len(self._faces) - 1
        return None

    def _open_next(self) -> bool:
        """Open one more font; False if there is none left."""
        if self._unopened is None:
            self._unopened = list(system_fonts() if self._given is None else self._given)
        while self._unopened:
            try:
                self._faces.append(_Face(self._unopened.pop(0)))
            except (freetype.FT_Exception, uharfbuzz.HarfBuzzError, OSError):
                continue  # whatever else lies in that directory
            return True
        return False

    def _runs(self, text: str) -> Iterator[tuple[int, str, bool]]:
        """Yield font, text and direction of what is shaped at once, from left to right."""
        for piece, backwards in _directions(text):
            runs: list[tuple[int, str, bool]] = []
            for character in piece:
                before = runs[-1] if runs else None
                # A number in a word that runs backwards still runs forwards.
                turned = backwards and unicodedata.bidirectional(character) not in _NUMBERS
                joined = before is not None and unicodedata.category(character) in _JOINED
                if before and joined and self._shares(before[0], character):
                    runs[-1] = (before[0], before[1] + character, before[2])
                    continue
                number = self._face_of(character) or 0
                if before and (number, turned) == (before[0], before[2]):
                    runs[-1] = (number, before[1] + character, turned)
                else:
                    runs.append((number, character, turned))
            yield from reversed(runs) if backwards else runs

    def _shares(self, number: int, character: str) -> bool:
        return unicodedata.category(character) == "Cf" or self._faces[number].has(character)

    def _rasterise(self, number: int, index: int, size_px: int, stroke_64: int) -> Glyph:
        face = self._faces[number].face
        try:
            face.set_pixel_sizes(0, size_px)
            face.load_glyph(index, freetype.FT_LOAD_NO_HINTING | freetype.FT_LOAD_NO_BITMAP)
            outline = face.glyph.get_glyph()
        except freetype.FT_Exception:  # a font with pictures only, or one that is damaged
            return Glyph(0, 0, np.zeros((0, 0), np.uint8))
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


def _directions(text: str) -> Iterator[tuple[str, bool]]:
    """Cut a line that runs to the right where words begin that run to the left, and end."""
    kinds = [unicodedata.bidirectional(character) for character in text]
    begin = 0
    while begin < len(text):
        if kinds[begin] not in _BACKWARDS:
            end = next((n for n in range(begin, len(text)) if kinds[n] in _BACKWARDS), len(text))
            yield text[begin:end], False
        else:
            stop = next((n for n in range(begin, len(text)) if kinds[n] == _FORWARDS), len(text))
            # What stands between two such words belongs to them, what follows the last does not.
            end = max(n for n in range(begin, stop) if kinds[n] in _BACKWARDS) + 1
            while end < stop and kinds[end] in {"NSM", "BN"}:
                end += 1
            yield text[begin:end], True
        begin = end


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
