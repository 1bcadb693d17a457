import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nvr.base.errors import Misconfigured, Rejected
from nvr.config import load

GOOD = """
schema = 1
[[camera]]   # the gate
name = "gate"
url = "rtsp://192.0.2.10/stream1"
"""


def places(text: str, **more: load.Has) -> list[str]:
    return [fault.path for fault in load.check(text, **more)]


def test_three_lines_are_a_camera() -> None:
    assert load.check(GOOD) == []


def test_every_fault_is_named_at_once_with_its_place() -> None:
    text = """
    schema = 1
    colour = "red"
    [page]
    port = 0
    [[camera]]
    name = "gate"
    url = "rtsp://192.0.2.10/stream1"
    retain_h = 0
    [[camera]]
    url = "http://192.0.2.11/"
    [camera.ptz]
    bus = "ptz"
    adress = 3
    """
    assert places(text) == [
        "$.colour",
        "$.page.port",
        "$.camera[0].retain_h",
        "$.camera[1].name",
        "$.camera[1].url",
        "$.camera[1].ptz.adress",
    ]


def test_a_misspelt_key_is_answered_with_the_right_one() -> None:
    (fault,) = load.check(GOOD + "retain_hours = 3\n")
    assert fault.path == "$.camera[0].retain_hours"
    assert "did you mean retain_h" in fault.detail


def test_a_password_in_the_address_is_refused() -> None:
    assert places(GOOD.replace("192.0.2.10", "admin:1234@192.0.2.10")) == ["$.camera[0].url"]


def test_two_cameras_cannot_share_a_name_or_a_decoder() -> None:
    head = '[camera.ptz]\nbus = "ptz"\naddress = 2\n'
    assert places(GOOD + head + GOOD.replace("schema = 1", "") + head) == [
        "$.camera[0].name",
        "$.camera[0].ptz.address",
        "$.camera[1].name",
        "$.camera[1].ptz.address",
    ]


HEAD = '[camera.ptz]\nbus = "ptz"\n'


def test_outputs_are_relays_of_the_board_or_the_head_s_own() -> None:
    board = load.Has(frozenset({"ptz"}), frozenset({"relay-1"}))
    good = HEAD + 'wiper = "relay-1"\nlamp = { aux = 2, max_on_s = 600 }\nturbo = 0x40\n'
    assert load.check(GOOD + good, board=board) == []
    (fault,) = load.check(GOOD + HEAD + 'lamp = "relay-2"\n', board=board)
    assert str(fault) == ("$.camera[0].ptz.lamp: the board has no output relay-2 (it has relay-1)")


@pytest.mark.parametrize(
    ("lines", "place"),
    [
        ("wiper = { aux = 9 }", "wiper.aux"),
        ("wiper = { aux = 0 }", "wiper.aux"),
        ("wiper = { aux = 1, max_on = 5 }", "wiper.max_on"),
        ("wiper = { max_on_s = 5 }", "wiper.aux"),
        ("lamp = { aux = 2, max_on_s = 0 }", "lamp.max_on_s"),
        ("wiper = 1", "wiper"),
        ("wiper = { aux = 1 }\nlamp = { aux = 1 }", "lamp.aux"),
        ("turbo = 65", "turbo"),
        ('protocol = "pelco-p"\nturbo = 255', "turbo"),
    ],
)
def test_a_fault_of_an_output_has_its_place(lines: str, place: str) -> None:
    assert places(f"{GOOD}{HEAD}{lines}\n") == [f"$.camera[0].ptz.{place}"]


def test_a_serial_line_the_board_lacks_is_named() -> None:
    (fault,) = load.check(
        GOOD + '[camera.ptz]\nbus = "ptz2"\n',
        board=load.Has(frozenset({"ptz"}), frozenset({"relay-1"})),
    )
    assert "ptz2 (it has ptz)" in fault.detail


@given(st.text(max_size=200))
def test_no_text_raises(text: str) -> None:
    load.check(text)


def test_an_edit_keeps_the_installers_comments(tmp_path: Path) -> None:
    path = tmp_path / "nvr.toml"
    path.write_text(GOOD, encoding="utf-8")

    def change(document: dict) -> None:
        document["camera"][0]["title"] = "东门"

    assert load.edit(path, change).camera[0].title == "东门"
    assert "# the gate" in path.read_text(encoding="utf-8")
    assert load.read(path).camera[0].title == "东门"


def test_an_edit_that_would_break_the_file_changes_nothing(tmp_path: Path) -> None:
    path = tmp_path / "nvr.toml"
    path.write_text(GOOD, encoding="utf-8")

    def change(document: dict) -> None:
        document["camera"][0]["name"] = "Not A Name"

    with pytest.raises(Rejected) as caught:
        load.edit(path, change)
    assert caught.value.code == "config.refused"
    assert path.read_text(encoding="utf-8") == GOOD


def test_secrets_that_others_can_read_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "secrets.toml"
    assert load.edit_secrets(path, "gate", "s3cret").camera["gate"].password == "s3cret"
    assert path.stat().st_mode & 0o777 == 0o600
    path.chmod(0o644)
    with pytest.raises(Misconfigured) as caught:
        load.read_secrets(path)
    assert caught.value.code == "config.secrets_open"
    path.chmod(0o600)
    assert load.edit_secrets(path, "gate", None).camera == {}


def test_secrets_written_at_the_same_time_are_all_kept(tmp_path: Path) -> None:
    path = tmp_path / "secrets.toml"
    names = [f"cam-{n}" for n in range(24)]
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda name: load.edit_secrets(path, name, f"of {name}"), names))
    kept = load.read_secrets(path).camera
    assert {name: secret.password for name, secret in kept.items()} == {n: f"of {n}" for n in names}


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can write for somebody else")
def test_root_leaves_the_secrets_to_the_one_who_runs_the_recorder(tmp_path: Path) -> None:
    path = tmp_path / "secrets.toml"
    os.chown(tmp_path, 4242, 4343)
    for password in ("new", "changed"):
        load.edit_secrets(path, "gate", password)
        assert (path.stat().st_uid, path.stat().st_gid) == (4242, 4343)


def test_a_fault_in_the_secrets_never_prints_one(tmp_path: Path) -> None:
    path = tmp_path / "secrets.toml"
    path.write_text('[camera.gate]\npassword = 31337\npasword = "hunter2"\n', encoding="utf-8")
    path.chmod(0o600)
    with pytest.raises(Misconfigured) as caught:
        load.read_secrets(path)
    assert "31337" not in str(caught.value)
    assert "hunter2" not in str(caught.value)


def test_a_full_disk_leaves_the_old_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "nvr.toml"
    path.write_text(GOOD, encoding="utf-8")

    def full(_descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(Exception, match=r"config\.unwritable: No space left"):
        load.write(path, "schema = 1\n")
    assert path.read_text(encoding="utf-8") == GOOD
    assert [entry.name for entry in tmp_path.iterdir()] == ["nvr.toml"]


def test_an_exception_for_a_camera_inside_is_an_address_and_a_port() -> None:
    good = 'local_cameras = ["127.0.0.1:8554", "[::1]:*"]\n'
    assert load.check(good) == []
    bad = 'local_cameras = ["127.0.0.1", "localhost:1", "::1:5", "[127.0.0.1]:5", "127.0.0.1:0"]\n'
    assert places(bad) == [f"$.local_cameras[{n}]" for n in range(5)]
