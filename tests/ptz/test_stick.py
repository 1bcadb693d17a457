"""From how a joystick stands to how fast a head goes; and the files that say how."""

import json
from dataclasses import replace
from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nvr.base.errors import Rejected
from nvr.hal.joystick import Layout, Standing
from nvr.media.joystick import Axis, JoystickProfile, fault_of
from nvr.ptz.stick import STEPS, curve, guessed, lens_of, speeds_of
from nvr.ptz.stick_book import StickBook, read

VECTORS = json.loads((Path(__file__).parent / "joystick_vectors.json").read_text())
PLAIN = JoystickProfile(1, "0:0:plain", pan=Axis(0), tilt=Axis(1, invert=True), zoom=Axis(2))


@pytest.mark.parametrize("case", VECTORS, ids=lambda case: case["about"])
def test_the_vectors_that_the_page_holds_too(case: dict[str, object]) -> None:
    profile = msgspec.convert(case["profile"], JoystickProfile)
    assert fault_of(profile) == ""
    standing = Standing(tuple(case["axes"]), tuple(bool(value) for value in case["buttons"]))
    steps = [round(one * STEPS) for one in speeds_of(standing, profile, case["head_zoom"])]
    assert steps == case["steps"]
    assert list(lens_of(standing, profile)) == case["lens"]


@pytest.mark.parametrize(("share", "speed"), [(0.2, 0x04), (0.5, 0x11), (0.7, 0x1E), (1.0, 0x3F)])
def test_the_curve_is_the_one_of_the_facts(share: float, speed: int) -> None:
    assert round(curve(share, 0.1, 0.5) * STEPS) == speed


shares = st.floats(-1, 1)


@given(shares, shares, shares, st.floats(0, 1), st.floats(0, 1))
def test_speeds_keep_their_bounds_and_their_signs(
    x: float, y: float, twist: float, expo: float, zoom: float
) -> None:
    profile = replace(PLAIN, expo=expo)
    pan, tilt, drive = speeds_of(Standing((x, y, twist), ()), profile, zoom)
    assert all(-1 <= one <= 1 for one in (pan, tilt, drive))
    assert pan * x >= 0
    assert tilt * y <= 0
    assert drive * twist >= 0
    if max(abs(x), abs(y)) <= 0.07:
        assert (pan, tilt) == (0, 0)


@given(st.lists(st.floats(0, 1), min_size=2, max_size=2).map(sorted), st.floats(0, 1))
def test_further_is_never_slower(pair: list[float], expo: float) -> None:
    near, far = (curve(share, 0.1, expo) for share in pair)
    assert near <= far


def test_what_nobody_taught_is_guessed_from_the_kernels_codes() -> None:
    stick = guessed(Layout("a", 1, 2, dict.fromkeys((0, 1, 5, 6), (0, 9)), {0x120, 0x121}))
    assert (stick.pan, stick.tilt, stick.zoom) == (Axis(0), Axis(1, invert=True), Axis(2))
    assert stick.buttons == {"1": "stop"}
    pad = guessed(Layout("b", 1, 2, dict.fromkeys((0, 1, 2, 5), (0, 9)), {0x130, 0x131}))
    assert pad.zoom is None, "these are triggers, which rest at one end"
    assert guessed(Layout("c", 1, 2, {0: (0, 9), 1: (0, 9)}, {0x120})).buttons == {}


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"pan": Axis(0, centre=1.0)}, "centre must lie between"),
        ({"zoom": Axis(0)}, "the same axis"),
        ({"buttons": {"3": "preset 0"}}, "no action 'preset 0'"),
        ({"buttons": {"3": "reboot"}}, "no action 'reboot'"),
        ({"buttons": {"3": "camera ../x"}}, "no action"),
    ],
)
def test_a_profile_that_makes_no_sense_is_refused_in_a_sentence(
    tmp_path: Path, change: dict[str, object], said: str
) -> None:
    book = StickBook(tmp_path)
    with pytest.raises(Rejected, match=said) as caught:
        book.write(replace(PLAIN, **change))
    assert caught.value.code == "joystick.profile"
    assert not (tmp_path / "joystick").exists()


def test_profiles_survive_and_can_be_copied_from_box_to_box(tmp_path: Path) -> None:
    here, there = tmp_path / "here", tmp_path / "there"
    book = StickBook(here)
    here.mkdir()
    mine = replace(PLAIN, device="046d:c215:球机/摇杆", buttons={"0": "preset 255"})
    book.write(mine)
    book.write(replace(PLAIN, dead=0.2))
    book.write(replace(PLAIN, dead=0.3))
    files = sorted((here / "joystick").iterdir())
    assert len(files) == 2
    (there / "joystick").mkdir(parents=True)
    for number, file in enumerate(files):
        (there / f"joystick/{number}.json").write_bytes(file.read_bytes())
    copied = StickBook(there)
    assert copied.profiles == {"046d:c215:球机/摇杆": mine, PLAIN.device: replace(PLAIN, dead=0.3)}
    copied.write(replace(PLAIN, dead=0.4))
    copied.drop(mine.device)
    copied.drop("unheard of")
    assert StickBook(there).profiles == {PLAIN.device: replace(PLAIN, dead=0.4)}


@pytest.mark.parametrize(
    "text",
    ["", "{", "[]", '{"schema": 2, "device": "a"}', '{"schema": 1, "device": "a", "dead": 0.9}',
     '{"schema": 1, "device": "a", "pan": {"axis": 64}}',
     '{"schema": 1, "device": "a", "buttons": {"x": "stop"}}',
     '{"schema": 1, "device": "a", "buttons": {"1": "fly"}}', "[" * 50000, "\udcff"],
)  # fmt: skip
def test_a_damaged_file_is_left_alone(tmp_path: Path, text: str) -> None:
    (tmp_path / "joystick").mkdir()
    path = tmp_path / "joystick/a.json"
    path.write_text(text, errors="surrogateescape")
    assert StickBook(tmp_path).profiles == {}
    with pytest.raises(Rejected, match=r"joystick\.profile"):
        read(path)
    assert path.exists()


def test_a_file_that_was_changed_is_read_again_and_a_broken_one_counts_as_it_was(
    tmp_path: Path,
) -> None:
    book = StickBook(tmp_path)
    book.write(PLAIN)
    assert book.look() == []
    (path,) = (tmp_path / "joystick").iterdir()
    told = json.loads(path.read_text())
    path.write_text(json.dumps({**told, "dead": 0.25}))
    assert book.look() == [PLAIN.device]
    assert book.profiles[PLAIN.device].dead == 0.25
    path.write_text('{"schema": 1, "device": ')
    assert book.look() == []
    assert book.profiles[PLAIN.device].dead == 0.25
    (name, fault), = book.damaged.items()  # fmt: skip
    assert (name, "truncated" in fault) == (path.name, True)
    path.write_text(json.dumps({**told, "dead": 0.3}))
    assert book.look() == [PLAIN.device]
    assert book.damaged == {}
    other = tmp_path / "joystick/zz.json"
    other.write_text(json.dumps({**told, "dead": 0.4}))
    assert (book.look(), book.profiles[PLAIN.device].dead) == ([PLAIN.device], 0.4)
    other.unlink()
    assert (book.look(), book.profiles[PLAIN.device].dead) == ([PLAIN.device], 0.3)
    path.unlink()
    assert (book.look(), dict(book.profiles)) == ([PLAIN.device], {})


def test_there_is_an_end_of_profiles(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("nvr.ptz.stick_book.MOST", 2)
    book = StickBook(tmp_path)
    for name in "ab":
        book.write(replace(PLAIN, device=name))
    book.write(replace(PLAIN, device="a", dead=0.3))
    with pytest.raises(Rejected, match="drop one first"):
        book.write(replace(PLAIN, device="c"))
