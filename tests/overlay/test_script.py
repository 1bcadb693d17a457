"""Scripts that the caption font lacks, and what HarfBuzz does to those that need it."""

from pathlib import Path

import numpy as np
import pytest

from nvr.overlay.fallback import system_fonts
from nvr.overlay.font import GETA, Font
from nvr.overlay.layout import stamp

DEJAVU = Path("/usr/share/fonts/truetype/dejavu/DejaVuSans.ttf")
needs_dejavu = pytest.mark.skipif(not DEJAVU.exists(), reason="no DejaVu Sans")


def test_every_ideograph_of_gb18030_in_the_basic_plane_is_there_or_named() -> None:
    font = Font(fallback=())
    ideographs = [*range(0x3400, 0x4DB6), *range(0x4E00, 0xA000)]
    held = [one for one in ideographs if chr(one).encode("gb18030")]
    assert len(held) == len(ideographs)
    lacking = font.missing("".join(map(chr, held)))
    assert lacking == "".join(map(chr, range(0x9FF0, 0xA000)))
    assert font.shape(f"东{lacking[0]}", 40).missing == (lacking[0],)


@needs_dejavu
def test_a_script_of_another_font_is_drawn_from_it() -> None:
    font, plain = Font(fallback=(DEJAVU,)), Font(fallback=())
    for text in ("Ġużepp", "שלום", "مرحبا", "Հայերեն", "ქართული"):
        assert plain.missing(text)
        assert font.missing(text) == ""
        shaped = font.shape(f"东门 {text} 7", 40)
        assert not shaped.missing
        assert {number for number, *_ in shaped.glyphs} == {0, 1}
        mixed, alone = stamp(font, text, 40, "plain")[0], stamp(plain, text, 40, "plain")[0]
        assert mixed.cover.shape != alone.cover.shape or (mixed.cover != alone.cover).any()
    # What the first font has stays the first font's.
    assert np.array_equal(
        stamp(font, "东门 01", 40, "box")[0].cover, stamp(plain, "东门 01", 40, "box")[0].cover
    )


@needs_dejavu
def test_arabic_letters_join_and_run_from_right_to_left() -> None:
    font = Font(fallback=(DEJAVU,))
    joined = font.shape("سلام", 40)
    apart = [font.shape(letter, 40) for letter in "سلام"]
    assert joined.width_px < sum(one.width_px for one in apart)
    first, last = font.shape("שת", 40), (font.shape("ש", 40), font.shape("ת", 40))
    assert [index for _, index, *_ in first.glyphs] == [
        last[1].glyphs[0][1], last[0].glyphs[0][1],
    ]  # fmt: skip
    # A number inside runs forwards, what is Chinese around it stays where it is.
    line = font.shape("东שלום 12 שלום门", 40)
    numbers = [index for number, index, *_ in line.glyphs if number == 0]
    assert numbers[0] == font.shape("东", 40).glyphs[0][1]
    assert numbers[-1] == font.shape("门", 40).glyphs[0][1]
    one, two = (font.shape(digit, 40).glyphs[0][1] for digit in "12")
    assert [index for index in numbers if index in {one, two}] == [one, two]


def test_what_no_font_has_is_the_mark_for_a_missing_sort() -> None:
    font = Font(fallback=())
    drawn, missing = stamp(font, "ก东", 40, "outline")
    assert missing == ("ก",)
    assert np.array_equal(drawn.cover, stamp(font, f"{GETA}东", 40, "outline")[0].cover)


def test_what_is_no_font_is_passed_over(tmp_path: Path) -> None:
    for name, content in (("a.ttf", b""), ("b.otf", b"\0" * 5000), ("c.ttc", b"ttcf\xff" * 99)):
        (tmp_path / name).write_bytes(content)
    (tmp_path / "not-a-font.txt").write_text("x")
    found = system_fonts((tmp_path, tmp_path / "none"))
    assert [path.name for path in found] == ["a.ttf", "b.otf", "c.ttc"]
    font = Font(fallback=found)
    assert font.missing("ก") == "ก"
    font.open_all()
    assert font.shape("东门", 40).missing == ()


def test_upright_sans_serifs_come_first(tmp_path: Path) -> None:
    names = (
        "Z-Sans-Regular.ttf",
        "A-Sans-Bold.ttf",
        "A-Serif.otf",
        "A-SansSerif.ttf",
        "M-Mono.ttc",
    )
    for name in names:
        (tmp_path / name).touch()
    found = [path.name for path in system_fonts((tmp_path,))]
    assert found[:2] == ["A-SansSerif.ttf", "Z-Sans-Regular.ttf"]
    assert set(found) == set(names)
