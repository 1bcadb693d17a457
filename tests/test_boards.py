"""Every board file, head file and device-tree overlay that is shipped is a test input."""

from pathlib import Path

import pytest

from hil import device_tree
from hil.device_tree import Tree
from nvr.app import data
from nvr.cli.main import parser
from nvr.config import load
from nvr.encode.session import NAMES
from nvr.hal import board
from nvr.ptz import profile

BOARD = Path(__file__).parent.parent / "board"
FILES = sorted(BOARD.glob("*.toml"))
HEADS = sorted((BOARD / "ptz").glob("*.toml"))
OVERLAYS = sorted((BOARD / "overlays").glob("*.dts"))
BASE = Path(__file__).parent / "hal" / "raspberry.dts"


def whole(text: str, name: str) -> board.Board:
    """Check a board as the recorder does, and what is asked of shipped ones beyond that."""
    assert board.check(text) == []
    loaded = board.parse(text)
    assert loaded.id == name
    assert loaded.proof is None or (BOARD.parent / loaded.proof).exists()
    assert {one.name for one in loaded.encoder} <= set(NAMES)
    assert load.check(loaded.start, board=data.has(loaded)) == []
    assert not [out for out, it in loaded.gpio.items() if it.safe == "on" or it.crash], (
        "safe is off"
    )
    wanted = {port.overlay for port in loaded.port.values() if port.overlay}
    assert wanted <= {path.stem for path in OVERLAYS}
    return loaded


def filled(text: str) -> str:
    """The same file with its example of what may hang on its pins taken in."""
    head, _, example = text.partition("# What hangs on its pins")
    lines = example.partition("away:\n")[2].splitlines()
    assert lines, "there is no example"
    return head + "\n".join(line.removeprefix("#").removeprefix(" ") for line in lines)


def raspberry(place: Path) -> Tree:
    """As the kernel's own, `soc` has ranges and no address."""
    return Tree(device_tree.compiled(BASE, place, "-Wno-unit_address_vs_reg"))


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
    whole(path.read_text(encoding="utf-8"), path.stem)


@pytest.mark.parametrize(
    "path", [path for path in FILES if path.stem != "virtual"], ids=lambda path: path.stem
)
def test_the_example_in_a_board_file_is_one(path: Path) -> None:
    """What an installer takes the # from is whole, uses a port of the board, and ends by itself."""
    text = path.read_text(encoding="utf-8")
    loaded = whole(filled(text), path.stem)
    assert loaded.watchdog
    assert loaded.gpio
    assert loaded.input
    assert all(it.max_on_s or it.pulse_ms for it in loaded.gpio.values())
    ports = {port.path for port in loaded.port.values()}
    for line in loaded.serial.values():
        assert line.path in ports or line.path.startswith("/dev/serial/by-id/")
    said = "Untested: no report of a bench run"
    assert (said in text) == (loaded.proof is None), "and says whether it was ever run"


def test_the_service_makes_outputs_safe_before_and_after_whatever_ended_it() -> None:
    said = [line.partition("=") for line in (BOARD / "nvr.service").read_text().splitlines()]
    found = {key: value.removeprefix("-").split() for key, _, value in said if value}
    words = parser("run").parse_args(found["ExecStart"][1:])
    assert found["ExecStartPre"] == found["ExecStopPost"]
    safe = parser("safe").parse_args(found["ExecStopPost"][1:])
    assert (str(safe.file), safe.data) == (str(words.board), words.data), "of the same board"
    assert found["KillMode"] == ["mixed"], "nvr-guard acts after the recorder was told to end"
    assert found["Restart"] == ["always"]


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


def test_a_pin_of_a_serial_port_in_use_is_no_output() -> None:
    text = (BOARD / "rpi4.toml").read_text(encoding="utf-8")
    lamp = '\n[gpio.lamp]\nchip = "pinctrl-bcm2711"\nline = 17\n'
    assert board.check(text + lamp) == [], "free while nothing hangs on the port"
    line = '\n[serial.ptz]\npath = "/dev/ttyAMA0"\n'
    assert [str(f) for f in board.check(text + lamp + line)] == [
        "$.gpio.lamp.line: pinctrl-bcm2711:17 is already port header"
    ]
    assert [str(f) for f in board.check(text + line + 'direction = "rts"\n')] == [
        "$.serial.ptz.direction: port header can do auto or kernel"
    ]


@pytest.mark.needs("device-tree-compiler")
@pytest.mark.parametrize("path", OVERLAYS, ids=lambda path: path.stem)
def test_an_overlay_is_applied(path: Path, tmp_path: Path) -> None:
    """To a tree with the nodes of Linux 6.12's for the Pi 4; `hil.device_tree` has the real ones.

    The lines that a board file says a port takes are those that its overlay gives it.
    """
    tree = device_tree.lay(raspberry(tmp_path), path, tmp_path)
    for board_file in FILES:
        for port in board.load(board_file).port.values():
            if port.overlay == path.stem:
                node = tree.label("uart3" if "uart3" in path.stem else "uart0")
                assert device_tree.pins(tree, node) == sorted(port.pins)


@pytest.mark.needs("device-tree-compiler")
@pytest.mark.parametrize(
    ("was", "made", "fault"),
    [
        ("&uart0 {", "&uart9 {", "FDT_ERR_NOTFOUND"),
        ("linux,rs485-enabled-at-boot-time;", "", "has no RS-485"),
        ('&uart1 {\n\tstatus = "disabled"', '&uart1 {\n\tstatus = "okay"', "two ports"),
        ("bluetooth {", "wireless {", "Bluetooth is on"),
        ("&gpio {", "&gpio ", "syntax error"),
    ],
)
def test_an_overlay_that_does_less_is_found(
    was: str, made: str, fault: str, tmp_path: Path
) -> None:
    text = (BOARD / "overlays/rpi-rs485-uart0.dts").read_text(encoding="utf-8")
    assert was in text
    planted = tmp_path / "rpi-rs485-uart0.dts"
    planted.write_text(text.replace(was, made))
    base = raspberry(tmp_path)
    with pytest.raises(device_tree.Wrong, match=fault):
        device_tree.lay(base, planted, tmp_path)
