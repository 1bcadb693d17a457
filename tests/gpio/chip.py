"""A GPIO chip of paper: the kernel's v2 ABI on a directory, for libgpiod in other processes."""

import os
import subprocess
from collections.abc import Sequence
from pathlib import Path

import pytest

SOURCE = Path(__file__).parent / "native/gpiochip.c"
ROOT = Path(__file__).parents[2]
REQUEST_BYTES = 592
CHIP = "paper-chip"


class PaperChip:
    """Lines that keep their level when whoever held them dies."""

    def __init__(self, place: Path, library: Path) -> None:
        self.place = place
        self._library = library
        place.mkdir()
        (place / "gpiochip0").touch()

    @property
    def env(self) -> dict[str, str]:
        return {**os.environ, "NVR_GPIO_DIR": str(self.place), "LD_PRELOAD": str(self._library)}

    def level(self, line: int) -> int:
        return int((self.place / f"line-{line}").read_text()[0])

    def put(self, line: int, level: int) -> None:
        (self.place / f"line-{line}").write_text(str(level))

    def levels(self, line: int) -> list[tuple[int, float]]:
        """Electrical levels driven so far, with their monotonic seconds."""
        text = (self.place / "levels").read_text()
        rows = [row.split() for row in text.splitlines()]
        return [(int(level), float(at_s)) for one, level, at_s in rows if int(one) == line]

    def requests(self) -> list[bytes]:
        """What the kernel was given to request lines."""
        data = (self.place / "requests").read_bytes()
        return [data[at : at + REQUEST_BYTES] for at in range(0, len(data), REQUEST_BYTES)]

    def run(self, words: Sequence[str]) -> subprocess.CompletedProcess[str]:
        """Run Python in a process that has the chip."""
        return subprocess.run(
            words, env=self.env, cwd=ROOT, capture_output=True, text=True, timeout=30, check=False
        )


@pytest.fixture(scope="session")
def paper_library(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("gpiochip") / "gpiochip.so"
    words = ["gcc", "-shared", "-fPIC", "-O1", "-Wall", "-Werror", "-o", made, SOURCE, "-ldl"]
    subprocess.run(words, check=True)
    return made


@pytest.fixture
def chip(tmp_path: Path, paper_library: Path) -> PaperChip:
    return PaperChip(tmp_path / "chip", paper_library)
