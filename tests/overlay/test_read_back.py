"""What was burned is read back from decoded pictures: text, place, mode, layout and size.

Each glyph is looked for by correlation, among characters that are easily taken for one another. An
optical reader from elsewhere does the same in `tests.overlay.ocr`.
"""

import functools
from collections.abc import Iterator
from datetime import timedelta, timezone
from fractions import Fraction

import av
import numpy as np
import pytest

from nvr.media.caption import MODES, expand
from nvr.overlay.burn import Burner, planes_of
from nvr.overlay.caption import Caption
from nvr.overlay.font import Font

BEIJING = timezone(timedelta(hours=8))
AT_US = 1_795_501_927_000_000
LINES = ("临江路与东门街", "末班车 07 号", "{weekday} {hms}")
CONFUSED = "东车乐末未本己已巳土士干千于日曰目门闩问街衔路洛江汇0123456789:"
SIZES = ((352, 288), (1920, 1080))
POSITION = (60, 250)
SIZE_PERMILLE = 84


@pytest.fixture(autouse=True, scope="module")
def nothing_is_kept() -> Iterator[None]:
    yield
    for kept in (the_font, cell, shown):
        kept.cache_clear()


def ground(size: tuple[int, int]) -> np.ndarray:
    """A yuv420p picture with soft shapes and noise."""
    width, height = size
    x, y = np.arange(width)[None, :], np.arange(height)[:, None]
    rng = np.random.default_rng(3)
    luma = 105 + 20 * np.sin(x / 61) * np.cos(y / 47) + rng.integers(-6, 7, (height, width))
    made = np.full((height * 3 // 2, width), 128, np.uint8)
    made[:height] = luma.astype(np.uint8)
    return made


@functools.cache
def shown(size: tuple[int, int], layout: str, mode: str, after_us: int = 0) -> np.ndarray:
    """Luma of a picture that was burned into, encoded and decoded again."""
    frame = av.VideoFrame.from_ndarray(ground(size), "yuv420p").reformat(format=layout)
    burner = Burner(the_font(), size, BEIJING)
    if mode:
        burner.set(Caption(LINES, POSITION, SIZE_PERMILLE, mode))
        burner.burn(planes_of(frame), AT_US + after_us)
    encoder = av.CodecContext.create("libx264", "w")
    encoder.width, encoder.height, encoder.pix_fmt = *size, "yuv420p"
    encoder.time_base = Fraction(1, 25)
    encoder.options = {"preset": "superfast", "crf": "26", "tune": "zerolatency"}
    coded = frame.reformat(format="yuv420p")
    coded.pts = 0
    packets = [*encoder.encode(coded), *encoder.encode(None)]
    decoder = av.CodecContext.create("h264", "r")
    pictures = [one for packet in [*packets, None] for one in decoder.decode(packet)]
    return pictures[0].to_ndarray()[: size[1]].astype(np.float64)


@functools.cache
def the_font() -> Font:
    return Font(fallback=())


@functools.cache
def cell(text: str, size_px: int) -> np.ndarray:
    """The ink of one character where it stands in a line, in a cell of an em and a half."""
    font = the_font()
    above, below = font.height_px(size_px)
    made = np.zeros((above + below, size_px * 3 // 2), np.float64)
    for face, index, x, y in font.shape(text, size_px).glyphs:
        glyph = font.glyph(face, index, size_px)
        rows, columns = glyph.cover.shape
        top, left = max(0, above - y - glyph.top), max(0, x + glyph.left)
        part = made[top : top + rows, left : left + columns]
        np.maximum(part, glyph.cover[: part.shape[0], : part.shape[1]], out=part)
    return made


def likeness(seen: np.ndarray, drawn: np.ndarray) -> float:
    a, b = seen - seen.mean(), drawn - drawn.mean()
    return float((a * b).sum() / (np.sqrt((a * a).sum() * (b * b).sum()) or 1))


def read(luma: np.ndarray, text: str, at: tuple[int, int], size_px: int, mode: str) -> str:
    """Read the line that should be `text` and begin at `at`, one character after the other."""
    font, sign = the_font(), -1 if mode == "inverse" else 1
    said = ""
    for n, character in enumerate(text):
        if character == " ":
            said += " "
            continue
        left = at[0] + font.shape(text[:n], size_px).width_px
        width = max(2, font.shape(character, size_px).width_px)
        scores = {}
        for one in dict.fromkeys(character + CONFUSED):
            drawn = cell(one, size_px)[:, :width]
            # Where a glyph begins was rounded to whole pixels, perhaps otherwise than here.
            scores[one] = max(
                sign * likeness(seen, drawn[: seen.shape[0], : seen.shape[1]])
                for x in (left - 1, left, left + 1)
                if (seen := luma[at[1] : at[1] + drawn.shape[0], x : x + width]).size
            )
        said += max(scores, key=scores.__getitem__)
    return said


def begin_of(
    luma: np.ndarray, character: str, near: tuple[int, int], size_px: int, mode: str
) -> tuple[int, int]:
    """Where the first character of a line stands, around some place."""
    first = cell(character, size_px)[:, : the_font().shape(character, size_px).width_px]
    rows, columns = first.shape
    sign = -1 if mode == "inverse" else 1

    def alike(at: tuple[int, int]) -> float:
        seen = luma[at[1] : at[1] + rows, at[0] : at[0] + columns]
        return sign * likeness(seen, first) if seen.shape == first.shape else -2

    step = max(1, size_px // 24)
    x, y = near
    coarse = max(
        (
            (x + dx, max(0, y + dy))
            for dx in range(0, size_px // 2, step)
            for dy in range(-size_px // 4, size_px // 2, step)
        ),
        key=alike,
    )
    around = range(-step, step + 1)
    return max(((coarse[0] + dx, coarse[1] + dy) for dx in around for dy in around), key=alike)


def place(luma: np.ndarray, bare: np.ndarray) -> tuple[int, int, int, int]:
    """Left, top, right and bottom of what differs."""
    rows, columns = np.nonzero(np.abs(luma - bare) > 45)
    return columns.min(), rows.min(), columns.max(), rows.max()


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("layout", ["yuv420p", "nv12"])
@pytest.mark.parametrize("mode", [mode for mode in MODES if mode != "scroll"])
def test_what_was_burned_is_read_at_the_place_that_was_asked_for(
    size: tuple[int, int], layout: str, mode: str
) -> None:
    luma, bare = shown(size, layout, mode), shown(size, layout, "")
    width, height = size
    size_px = SIZE_PERMILLE * height // 1000
    x, y = POSITION[0] * width // 1000, POSITION[1] * height // 1000
    left, top, right, bottom = place(luma, bare)
    assert x - 3 <= left <= x + size_px // 2
    assert y - 3 <= top <= y + size_px // 2
    assert right < width - 1
    assert bottom <= y + 5 * size_px
    texts = [expand(line, AT_US, BEIJING) for line in LINES]
    # The lines are one below the other, as high as each other; where the ink begins is found.
    pitch = (bottom - top) / 3
    found = []
    for n, text in enumerate(texts):
        found.append(begin_of(luma, text[0], (x, y + round(n * pitch)), size_px, mode))
        assert read(luma, text, found[-1], size_px, mode) == text
    assert max(at[0] for at in found) - min(at[0] for at in found) <= 1, "aligned on the left"


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("layout", ["yuv420p", "nv12"])
def test_a_blinking_caption_is_away_in_the_other_half_of_the_second(
    size: tuple[int, int], layout: str
) -> None:
    bare = shown(size, layout, "")
    away = shown(size, layout, "blink", 500_000)
    assert np.abs(away - bare).max() < 45
    assert np.abs(shown(size, layout, "blink") - bare).max() > 60


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("layout", ["yuv420p", "nv12"])
def test_a_scrolling_caption_goes_on_to_the_left(size: tuple[int, int], layout: str) -> None:
    bare, width = shown(size, layout, ""), size[0]
    burner = Burner(the_font(), size, BEIJING)
    burner.set(Caption(LINES, POSITION, SIZE_PERMILLE, "scroll"))
    begun_us = next(
        n * 100_000
        for n in range(600)
        if 0.3 < burner.placed(AT_US + n * 100_000)[0][1][0] / width < 0.5
    )
    lefts = []
    for after_us in (begun_us, begun_us + 400_000):
        left, top, *_ = place(shown(size, layout, "scroll", after_us), bare)
        lefts.append(left)
        assert abs(top - POSITION[1] * size[1] // 1000) < size[1] // 10
    assert abs(lefts[0] - lefts[1] - 0.09 * 0.4 * width) <= 4
