"""Which board a machine is, from trees as the kernel lays them out; no board was tried."""

from pathlib import Path

import pytest

from nvr.base.errors import Misconfigured
from nvr.base.shipped import shipped
from nvr.cli.main import main
from nvr.hal import board, detect
from nvr.hal.detect import AUTO, Machine, locate, machine

# As Linux 6.12 has them, but for the last two of the Jetsons, which are their maker's system's.
BOARDS = {
    "rpi4": ["raspberrypi,4-model-b", "brcm,bcm2711"],
    "rpi-cm4": ["raspberrypi,4-compute-module", "brcm,bcm2711"],
    "rpi5": ["raspberrypi,5-model-b", "brcm,bcm2712"],
    "rpi-zero2w": ["raspberrypi,model-zero-2-w", "brcm,bcm2837"],
    "jetson": ["nvidia,p3768-0000+p3767-0000", "nvidia,p3767-0000", "nvidia,tegra234"],
    "jetson-orin-nano": ["nvidia,p3768-0000+p3767-0005", "nvidia,p3767-0005", "nvidia,tegra234"],
    "jetson-nano": [
        "nvidia,p3449-0000-b00+p3448-0000-b00",
        "nvidia,jetson-nano",
        "nvidia,tegra210",
    ],
    "generic-arm64": ["friendlyarm,nanopi-r4s", "rockchip,rk3399"],
}


def tree(place: Path, model: str, *compatible: str) -> Path:
    place.mkdir()
    (place / "model").write_bytes(model.encode() + b"\0")
    (place / "compatible").write_bytes(b"".join(name.encode() + b"\0" for name in compatible))
    return place


@pytest.mark.parametrize("name", BOARDS)
def test_each_board_is_known_by_its_device_tree(name: str, tmp_path: Path) -> None:
    made = tree(tmp_path / "tree", "A Board Rev 1.5", *BOARDS[name])
    it = machine(made)
    assert (it.model, it.compatible) == ("A Board Rev 1.5", tuple(BOARDS[name]))
    found = locate(AUTO, Machine("aarch64", it.model, it.compatible))
    assert found.path == shipped("board") / f"{name}.toml"
    assert "A Board Rev 1.5" in found.why


def test_a_machine_without_a_tree_is_known_by_its_kind(tmp_path: Path) -> None:
    assert machine(tmp_path).compatible == ()
    assert locate(AUTO, Machine("x86_64")).path.stem == "generic-amd64"
    assert locate(AUTO, Machine("aarch64")).path.stem == "generic-arm64"
    with pytest.raises(Misconfigured, match="riscv64") as caught:
        locate(AUTO, Machine("riscv64", "", ("raspberry", "")))
    assert caught.value.code == "board.unknown"


def test_bytes_that_are_no_text_are_no_board(tmp_path: Path) -> None:
    made = tree(tmp_path / "tree", "x")
    (made / "compatible").write_bytes(b"\xff\xfe\0\0raspberrypi,4-model-b")
    assert machine(made).compatible == ("��", "raspberrypi,4-model-b")


def test_the_owners_file_comes_before_the_machine(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    own = tmp_path / "board.toml"
    own.write_text('schema = 1\nid = "mine"\ntitle = "Mine"\n')
    monkeypatch.setattr(detect, "OWN", own)
    assert locate(AUTO, Machine("riscv64")).path == own
    assert main(["board"]) == 0
    assert capsys.readouterr().out.splitlines()[:2] == [
        "mine: Mine",
        f"  file    {own}: it is there",
    ]
    other = tmp_path / "other.toml"
    assert locate(other).path == other, "a file that is named is that file"


def test_no_two_boards_are_one_machine() -> None:
    boards = [board.load(path) for path in sorted(shipped("board").glob("*.toml"))]
    names = [name for one in boards for name in one.compatible]
    assert len(names) == len(set(names))
    kinds = [one.machine for one in boards if one.machine]
    assert sorted(kinds) == ["aarch64", "x86_64"]
