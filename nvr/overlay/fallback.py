"""Fonts of the system, for scripts that the caption font lacks.

No fontconfig: the directories it would look into are walked once, when the first character is
missing. A board image needs nothing more than ``apt install`` of a font.
"""

import os
from collections.abc import Iterator
from pathlib import Path

DIRECTORIES = (Path("/usr/local/share/fonts"), Path("/usr/share/fonts"))
MOST_FONTS = 64
"""More are not opened: each costs memory and a millisecond."""

_MOST_FILES = 20_000
_ENDINGS = (".ttf", ".otf", ".ttc", ".otc")
# What a caption is not written in, as long as there is something else; the worst last.
_UNLIKE = (
    "light", "thin", "medium", "condensed", "bold", "black", "serif", "mono", "italic", "oblique",
    "emoji",
)  # fmt: skip


def system_fonts(directories: tuple[Path, ...] = DIRECTORIES) -> list[Path]:
    """Return the font files of the system, upright sans serifs first."""
    found = sorted(_files(directories), key=lambda path: (_rank(path.name.lower()), str(path)))
    return found[:MOST_FONTS]


def _rank(name: str) -> int:
    # "SansSerif" is no serif.
    name = name.replace("sansserif", "").replace("sans-serif", "")
    return sum(1 << n for n, word in enumerate(_UNLIKE) if word in name)


def _files(directories: tuple[Path, ...]) -> Iterator[Path]:
    left = _MOST_FILES
    for directory in directories:
        for base, _, names in os.walk(directory):
            for name in names:
                left -= 1
                if left < 0:
                    return
                if name.lower().endswith(_ENDINGS):
                    yield Path(base, name)
