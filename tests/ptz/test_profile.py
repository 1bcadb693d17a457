"""Kinds of heads: what their files may say, and what becomes of it."""

from pathlib import Path

import pytest

from nvr.app.data import heads
from nvr.base.errors import Misconfigured
from nvr.cli.main import main
from nvr.config import load
from nvr.config.head import Has
from nvr.ptz.pelco import Pelco, ranges
from nvr.ptz.profile import Library, check, library
from nvr.ptz.schedule import Motion
from nvr.wire.pelco_d import Frame, Op

PLAIN = """
schema = 1
id = "ours"
title = "Ours"
title_zh = "我们的"
protocol = "pelco-d"
"""
MENU = """
[[function]]
name = "menu"
title = "Menu"
title_zh = "菜单"
do = "call"
number = 95
"""


def own(data: Path, text: str, name: str = "ours") -> Library:
    (data / "ptz").mkdir(exist_ok=True)
    (data / "ptz" / f"{name}.toml").write_text(text, encoding="utf-8")
    return library(data)


def test_what_is_shipped_is_whole_and_has_a_plain_one_of_each_protocol() -> None:
    found = library()
    assert found.damaged == {}
    assert found.find("", None).id == "generic-pelco-d"
    assert found.find("", "pelco-p").id == "generic-pelco-p"
    assert {it.protocol for it in found.profiles.values()} == {"pelco-d", "pelco-p", "visca"}


def test_the_plain_ones_speak_as_a_head_without_a_profile() -> None:
    for protocol in ("pelco-d", "pelco-p"):
        motion = Motion(pan=-0.5, tilt=1, focus=1)
        head, plain = library().find("", protocol).head(3), Pelco(protocol, 3)
        assert head.encode(motion) == plain.encode(motion)
        assert head.reserved.keys() == plain.reserved.keys()
        assert head.preset("set", 9) == plain.preset("set", 9)


def test_an_own_file_takes_the_place_of_a_shipped_one(tmp_path: Path) -> None:
    text = PLAIN.replace("ours", "hikvision") + "[limits]\npreset = 40\n"
    found = own(tmp_path, text, "hikvision")
    assert found.own == {"hikvision"}
    assert found.find("hikvision", None).head(1).presets_max == 40


def test_everything_a_file_says_reaches_the_line(tmp_path: Path) -> None:
    text = (
        PLAIN.replace("pelco-d", "pelco-p")
        + 'ends = "menu"\n'
        + '[dialect]\nturbo = 0x40\nlens_bits = "d_style"\naddress_base = 1\nchecksum = "body"\n'
        + "[speed]\npan = [4, 32]\ntilt = [2, 16]\n[aux]\nlamp = 3\n"
        + MENU
    )
    head = own(tmp_path, text).find("ours", None).head(2, reports=True)
    # Full deflection is turbo; tilt is 16 at most; the focus bit is D's; body sum is the XOR.
    assert head.encode(Motion(pan=1, tilt=1, focus=1)).hex(" ") == "a0 02 00 8a 40 10 af d8"
    assert head.encode(Motion(pan=0.01)).hex(" ") == "a0 02 00 02 04 00 af 04"
    assert head.encode(Motion(pan=0.9)).hex(" ") == "a0 02 00 02 1d 00 af 1d"
    assert head.asked is not None
    assert head.reserved == {95: ("Menu", "菜单")}
    deed, end = head.perform("menu"), head.end()
    assert (deed.data.hex(" "), deed.moves) == ("a0 02 00 07 00 5f af 5a", True)
    assert (end.data, end.moves) == (deed.data, False), "it gets past a STOP"


@pytest.mark.parametrize(
    ("function", "frame"),
    [
        ('do = "set"\nnumber = 84', Frame(1, Op.SET_PRESET, 0, 84)),
        ('do = "pattern-run"\nnumber = 2', Frame(1, Op.PATTERN_RUN, 0, 2)),
        ('do = "auto-focus"\nnumber = 2', Frame(1, Op.AUTO_FOCUS, 0, 2)),
        ('do = "backlight"\nnumber = 1', Frame(1, Op.BACKLIGHT, 0, 1)),
        ('do = "go-pan"\nnumber = 9000', Frame(1, Op.SET_PAN, 0x23, 0x28)),
        ('do = "gain"\nnumber = 3\ndelta = true', Frame(1, 0x0100 | Op.GAIN, 0, 3)),
        ('do = "auto-scan"', Frame(1, 0x9000)),
        ('do = "camera-off"', Frame(1, 0x0800)),
        ('do = "reset"', Frame(1, Op.RESET)),
    ],
)
def test_a_function_is_the_frame_of_its_command(
    tmp_path: Path, function: str, frame: Frame
) -> None:
    text = PLAIN + MENU.replace('do = "call"\nnumber = 95', function)
    deed = own(tmp_path, text).find("ours", None).head(1).perform("menu")
    assert deed.data == frame.encode()


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        (PLAIN + "[", "$: not TOML"),
        (PLAIN + "colour = 1", "$.colour: unknown key"),
        (PLAIN.replace("pelco-d", "pelco-x"), "$.protocol: invalid enum value"),
        (PLAIN + "[dialect]\nturbo = 0x41", "$.dialect.turbo: invalid enum value"),
        (PLAIN + "[dialect]\naddress_base = 1", "$.dialect.address_base: is of Pelco-P only"),
        (
            PLAIN.replace("pelco-d", "pelco-p") + "[dialect]\nturbo = 0xff",
            "$.dialect.turbo: Pelco-P knows no turbo but 0x40",
        ),
        (PLAIN + "[speed]\npan = [9, 3]", "$.speed.pan: 9 is more than 3"),
        (PLAIN + "[speed]\ntilt = [0, 3]", "$.speed.tilt"),
        (PLAIN + "[speed]\ntilt = [1, 64]", "$.speed.tilt"),
        (PLAIN + 'reserved = ["99-65"]', "$.reserved[0]: 99 is more than 65"),
        (PLAIN + 'reserved = ["0"]', "$.reserved"),
        (PLAIN + "[aux]\nwiper = 1\nlamp = 1", "$.aux.lamp: 1 is already the wiper's"),
        (PLAIN + 'ends = "halt"' + MENU, "$.ends: there is no function halt"),
        (PLAIN + MENU + MENU, "$.function[1].name: menu is used twice"),
        (
            PLAIN + MENU.replace("call", "sing"),
            "$.function[0]: no head can sing; there is ack",
        ),
        (PLAIN + MENU.replace("95", "300"), "$.function[0]: call preset takes 1 to 255, not 300"),
        (
            PLAIN.replace("pelco-d", "pelco-p")
            + MENU.replace('"call"\nnumber = 95', '"manual-scan"'),
            "$.function[0]: no such command in Pelco-P: 0x1000",
        ),
        (PLAIN.replace('id = "ours"', 'id = "theirs"'), "$.id: theirs lies in a file that is"),
    ],
)
def test_a_fault_is_named_with_its_place(text: str, fault: str) -> None:
    found = [str(one) for one in check(text, "ours")]
    assert len(found) == 1
    assert found[0].startswith(fault)


def test_a_damaged_file_takes_no_other_s_place_quietly(tmp_path: Path) -> None:
    found = own(tmp_path, PLAIN + "speed = 1", "hikvision")
    with pytest.raises(Misconfigured, check=lambda err: err.code == "ptz.profile_damaged"):
        found.find("hikvision", None)
    with pytest.raises(Misconfigured, check=lambda err: err.code == "ptz.profile_unknown"):
        found.find("nobody", None)
    assert heads(tmp_path)["hikvision"] is None


CAMERA = """schema = 1
[[camera]]
name = "gate"
url = "rtsp://192.0.2.10/1"
[camera.ptz]
bus = "ptz"
"""


@pytest.mark.parametrize(
    ("lines", "fault"),
    [
        ('profile = "hikvision"', None),
        ('profile = "hikvision"\nprotocol = "pelco-d"', None),
        ('profile = "hikvison"', "$.camera[0].ptz.profile: there is no profile hikvison; nvr ptz"),
        (
            'profile = "hikvision"\nprotocol = "pelco-p"',
            "$.camera[0].ptz.protocol: hikvision speaks pelco-d, not pelco-p",
        ),
        (
            'profile = "small"\naddress = 9',
            "$.camera[0].ptz.address: small knows addresses up to 8",
        ),
        ('profile = "harrier-p"\nturbo = 0xff', "$.camera[0].ptz.turbo: Pelco-P knows no turbo"),
        ('profile = "broken"', None),
        ('protocol = "visca"', None),
        ('protocol = "visca"\naddress = 8', "$.camera[0].ptz.address: a VISCA chain has 1 to 7"),
        ('protocol = "visca"\nlamp = { aux = 2 }', "$.camera[0].ptz.lamp: with VISCA only an"),
    ],
)
def test_a_camera_names_a_kind_that_there_is(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], lines: str, fault: str | None
) -> None:
    own(tmp_path, PLAIN.replace("ours", "small") + "[limits]\naddress = 8\n", "small")
    own(tmp_path, "what", "broken")
    file = tmp_path / "nvr.toml"
    file.write_text(CAMERA + lines, encoding="utf-8")
    assert main(["check", str(file)]) == (0 if fault is None else 1)
    assert capsys.readouterr().out.startswith(fault or f"{file}: no faults")
    has = Has(frozenset({"ptz"}), frozenset(), heads=heads(tmp_path))
    found = load.check(CAMERA + lines, board=has)
    assert [str(one) for one in found[:1]] == ([] if fault is None else [str(found[0])])
    assert (found == []) == (fault is None)


def test_the_console_lists_the_kinds_and_says_what_one_means(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    own(tmp_path, PLAIN + MENU)
    assert main(["ptz", "profiles", "--data", str(tmp_path)]) == 0
    said = capsys.readouterr().out
    assert "ours               pelco-d  untested, own file: Ours\n" in said
    assert "hikvision          pelco-d  untested: Hikvision dome\n" in said
    assert main(["ptz", "profile", "hikvision", "--data", str(tmp_path)]) == 0
    said = capsys.readouterr().out
    assert "reserved  presets 33-45, 92-108, 130-132, 200\n" in said
    assert "function  reboot: Restart the dome, call 94 (risky)\n" in said
    assert main(["ptz", "profile", "body-sum-p", "--data", str(tmp_path)]) == 0
    assert "address 1 is 1 on the wire; checksum over what is between" in capsys.readouterr().out
    assert main(["ptz", "profile", "nobody", "--data", str(tmp_path)]) == 1
    assert "ptz.profile_unknown: there is no profile nobody" in capsys.readouterr().err
    own(tmp_path, "what", "broken")
    assert main(["ptz", "profiles", "--data", str(tmp_path)]) == 1
    assert "broken             damaged: $: not TOML" in capsys.readouterr().out


def test_a_head_file_is_checked_like_any_other(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    own(tmp_path, PLAIN + "speeds = 1")
    assert main(["check", str(tmp_path / "ptz" / "ours.toml")]) == 1
    assert "$.speeds: unknown key, did you mean speed" in capsys.readouterr().out


def test_numbers_are_written_as_people_write_them() -> None:
    assert ranges([200, 33, 34, 35, 37]) == "33-35, 37, 200"
    assert ranges([]) == ""
