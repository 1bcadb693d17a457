from pathlib import Path

import pytest

from nvr.app import data
from nvr.config import load
from nvr.encode.session import NAMES
from nvr.hal import board
from nvr.ptz import profile

FILES = sorted((Path(__file__).parent.parent / "board").glob("*.toml"))


HEADS = sorted((Path(__file__).parent.parent / "board" / "ptz").glob("*.toml"))


@pytest.mark.parametrize("path", HEADS, ids=lambda path: path.stem)
def test_a_shipped_head_is_whole(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    assert profile.check(text, path.stem) == []
    it = profile.library().profiles[path.stem]
    assert it.about
    assert it.about_zh
    assert it.proof is None or (path.parents[2] / it.proof).exists()
    for one in it.function:
        assert it.head(1).perform(one.name) is not None
    head = it.head(7, reports=True)
    assert all(1 <= number <= 255 for number in head.reserved)


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_a_shipped_board_is_whole(path: Path) -> None:
    loaded = board.load(path)
    assert loaded.id == path.stem
    assert loaded.proof is None or (path.parent.parent / loaded.proof).exists()
    assert {one.name for one in loaded.encoder} <= set(NAMES)
    assert load.check(loaded.start, board=data.has(loaded)) == []


def test_one_line_cannot_be_two_outputs() -> None:
    text = """
    schema = 1
    id = "x"
    title = "x"
    [gpio.wiper]
    chip = "pinctrl-bcm2711"
    line = 22
    [gpio.lamp]
    chip = "pinctrl-bcm2711"
    line = 22
    """
    assert [str(f) for f in board.check(text)] == [
        "$.gpio.lamp.line: pinctrl-bcm2711:22 is already wiper"
    ]
