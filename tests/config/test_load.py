import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nvr.base.errors import Misconfigured, Rejected
from nvr.config import load
from nvr.config.head import Has

GOOD = """
schema = 1
[[camera]]   # the gate
name = "gate"
url = "rtsp://192.0.2.10/stream1"
"""


def places(text: str, **more: Has) -> list[str]:
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


@pytest.mark.parametrize("network", ["192.0.2.0/24", "239.192.7.1/24", "224.0.0.0/3", "300.1.1.1"])
def test_streams_go_to_networks_of_groups_only(network: str) -> None:
    assert load.check(f'{GOOD}[rtsp]\nmulticast = "239.192.7.0/24"\n') == []
    assert places(f'{GOOD}[rtsp]\nmulticast = "{network}"\n') == ["$.rtsp.multicast"]


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


def test_two_volumes_cannot_be_the_same() -> None:
    text = 'schema = 1\n[volume]\npath = "/disk/nvr"\n'
    assert load.check(text + '[[spare]]\npath = "/card/nvr"\n') == []
    one = "0b6fd2c8-0d3e-4b1c-9a30-9e8f8a8f0001"
    text = f'schema = 1\n[volume]\npath = "/disk/nvr"\nuuid = "{one}"\n'
    text += f'[[spare]]\npath = "/disk//nvr"\nuuid = "{one}"\n'
    assert [fault.path for fault in load.check(text)] == ["$.spare[0].path", "$.spare[0].uuid"]


def test_outputs_are_relays_of_the_board_or_the_head_s_own() -> None:
    board = Has(frozenset({"ptz"}), frozenset({"relay-1"}))
    good = HEAD + 'wiper = "relay-1"\nwasher = { aux = 3 }\nlamp = { aux = 2, max_on_s = 600 }\n'
    assert load.check(GOOD + good, board=board) == []
    (fault,) = load.check(GOOD + HEAD + 'lamp = "relay-2"\n', board=board)
    assert str(fault) == ("$.camera[0].ptz.lamp: the board has no output relay-2 (it has relay-1)")
    (fault,) = load.check(GOOD + HEAD, board=Has(frozenset({"rs485"}), frozenset()))
    assert str(fault) == "$.camera[0].ptz.bus: the board has no serial line ptz (it has rs485)"


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
        ("wiper = { aux = 1 }\nwasher = { aux = 1 }", "washer.aux"),
        ('washer = { aux = "tt:Washer" }', "washer.aux"),
        ("turbo = 65", "turbo"),
        ('protocol = "pelco-p"\nturbo = 255', "turbo"),
    ],
)
def test_a_fault_of_an_output_has_its_place(lines: str, place: str) -> None:
    assert places(f"{GOOD}{HEAD}{lines}\n") == [f"$.camera[0].ptz.{place}"]


@pytest.mark.parametrize(
    ("lines", "wrong"),
    [
        ("retain_h = 24\nguaranteed_h = 24\nlimit_h = 25\nlimit_gb = 0.5", []),
        ("guaranteed_h = 169", ["guaranteed_h"]),
        ("limit_h = 168", ["limit_h"]),
        ("limit_gb = 0", ["limit_gb"]),
        ("retain_h = 5\nguaranteed_h = 6\nlimit_h = 5", ["guaranteed_h", "limit_h"]),
    ],
)
def test_what_is_promised_guaranteed_and_limited_must_fit(lines: str, wrong: list[str]) -> None:
    assert places(f"{GOOD}{lines}\n") == [f"$.camera[0].{name}" for name in wrong]


@pytest.mark.parametrize(
    ("lines", "wrong"),
    [
        ('mode = "event"\nevery = ["08:00-18:00 continuous", "18:00-24:00 off"]\nsun = []', []),
        ('mode = "sometimes"', ["mode"]),
        ('mon = ["8:00-18:00 off"]', ["mon[0]"]),
        ('mon = ["08:00-25:00 off"]', ["mon[0]"]),
        ('mon = ["18:00-08:00 off"]', ["mon[0]"]),
        ('mon = ["08:00-08:00 off"]', ["mon[0]"]),
        ('sat = ["08:00-12:00 off", "11:00-13:00 event"]', ["sat[1]"]),
        ("pre_s = 31", ["pre_s"]),
        ("every = [" + '"08:00-08:01 off", ' * 9 + "]", ["every"]),
    ],
)
def test_segments_of_a_plan_are_in_order_and_apart(lines: str, wrong: list[str]) -> None:
    found = places(f"{GOOD}[camera.plan]\n{lines}\n")
    assert found == [f"$.camera[0].plan.{name}" for name in wrong]


def test_a_serial_line_the_board_lacks_is_named() -> None:
    (fault,) = load.check(
        GOOD + '[camera.ptz]\nbus = "ptz2"\n',
        board=Has(frozenset({"ptz"}), frozenset({"relay-1"})),
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


SUB = (
    GOOD
    + """retain_h = 100
limit_h = 200
[camera.sub]
url = "rtsp://192.0.2.10/stream2"
"""
)


@pytest.mark.parametrize(
    ("more", "found"),
    [
        ("", []),
        ("retain_h = 150\nguaranteed_h = 150\nlimit_gb = 2.5\nrecord = false\n", []),
        ("retain_h = 250\nlimit_h = 300\n", []),
        ("retain_h = 250\n", ["$.camera[0].sub.retain_h"]),
        ("limit_h = 100\n", ["$.camera[0].sub.limit_h"]),
        ("guaranteed_h = 101\n", ["$.camera[0].sub.guaranteed_h"]),
        ("user = 'admin'\n", ["$.camera[0].sub.user"]),
        ("[camera.sub.plan]\nevery = ['10:00-09:00 event']\n", ["$.camera[0].sub.plan.every[0]"]),
    ],
)
def test_the_terms_of_a_sub_stream_must_fit_those_of_its_camera(
    more: str, found: list[str]
) -> None:
    assert places(SUB + more) == found


def test_a_sub_stream_is_not_the_main_stream() -> None:
    assert places(SUB.replace("stream2", "stream1")) == ["$.camera[0].sub.url"]
    assert places(SUB.replace("rtsp://192.0.2.10/stream2", "rtsp://u:p@192.0.2.10/stream2")) == [
        "$.camera[0].sub.url"
    ]


MADE = "[[camera]]\nname = 'east'\nurl = '{url}'\n{capture}[camera.sub]\n{sub}"
H264 = "[camera.capture]\nformat = 'h264'\n"


@pytest.mark.parametrize(
    ("url", "capture", "sub", "found"),
    [
        ("test:", "", "", []),
        ("test:", "", "size = [640, 360]\nfps = 10\nkbit_s = 300\ncodec = 'h265'\n", []),
        ("test:", "", "size = [64, 36]\n", ["$.camera[0].sub.size[0]", "$.camera[0].sub.size[1]"]),
        ("test:", "", "url = 'rtsp://192.0.2.10/2'\n", ["$.camera[0].sub.url"]),
        ("v4l2:/dev/video0", H264, "", []),
        ("v4l2:/dev/video0", H264, "codec = 'h265'\n", ["$.camera[0].sub.codec"]),
        ("rtsp://192.0.2.10/1", "", "", ["$.camera[0].sub.url"]),
        (
            "rtsp://192.0.2.10/1",
            "",
            "url = 'rtsp://192.0.2.10/2'\nfps = 5\nkbit_s = 99\n",
            ["$.camera[0].sub.fps", "$.camera[0].sub.kbit_s"],
        ),
    ],
)
def test_a_sub_stream_is_the_cameras_own_or_made_here(
    url: str, capture: str, sub: str, found: list[str]
) -> None:
    assert places(MADE.format(url=url, capture=capture, sub=sub)) == found


@pytest.mark.parametrize(
    ("capture", "found"),
    [
        ("aspect = '16:9'\n[camera.capture.controls]\nbrightness = 128\n", []),
        ("aspect = '5:4'\n", ["$.camera[0].capture.aspect"]),
        ("aspect = '4:3'\nformat = 'h264'\n", ["$.camera[0].capture.aspect"]),
        ("[camera.capture.controls]\n'a b' = 1\n", ["$.camera[0].capture.controls"]),
        ("[camera.capture.controls]\ngain = 1.5\n", ["$.camera[0].capture.controls.gain"]),
    ],
)
def test_what_may_be_said_of_a_device(capture: str, found: list[str]) -> None:
    head = "[[camera]]\nname = 'east'\nurl = 'v4l2:/dev/video0'\n[camera.capture]\n"
    assert places(head + capture) == found


@pytest.mark.parametrize(
    ("url", "more", "found"),
    [
        ("rtsp://", "transport = 'udp'\n", []),
        ("rtsp://", "transport = 'sctp'\n", ["$.camera[0].transport"]),
        ("rtsps://", "transport = 'http'\ntls_ca = 'ca.pem'\n", []),
        ("rtsps://", "transport = 'udp'\n", ["$.camera[0].transport"]),
        ("rtsps://", f"tls_pin = '{'Ab:' * 31}0F'\n", []),
        ("rtsps://", "tls_pin = 'abc'\n", ["$.camera[0].tls_pin"]),
        ("rtsp://", f"tls_pin = '{'ab' * 32}'\n", ["$.camera[0].tls_pin"]),
        ("rtsp://", "tls_ca = 'ca.pem'\n", ["$.camera[0].tls_ca"]),
    ],
)
def test_tls_is_asked_for_only_where_it_is(url: str, more: str, found: list[str]) -> None:
    assert places(GOOD.replace("rtsp://", url) + more) == found


STORE = {"endpoint": '"https://s.example"', "bucket": '"abc"', "key_id": '"k"'}


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("endpoint", '"https://s.example:99999"'),
        ("endpoint", '"https://s.example:0"'),
        ("endpoint", '"https://:9000"'),
        ("endpoint", '"https://[::1"'),
        ("endpoint", '"https://user@s.example"'),
        ("endpoint", '"ftp://s.example"'),
        ("bucket", '"../abc"'),
        ("prefix", '"/a"'),
        ("prefix", '"a//b"'),
        ("key_id", '"k\\r\\nx: y"'),
        ("region", '"eu/west"'),
        ("secret", '"it belongs into secrets.toml"'),
    ],
)
def test_a_store_that_cannot_be_one_is_named(key: str, value: str) -> None:
    def text(keys: dict[str, str]) -> str:
        return "[export.s3]\n" + "".join(f"{name} = {one}\n" for name, one in keys.items())

    assert load.check(text(STORE)) == []
    assert load.check(text({**STORE, "endpoint": '"http://[::1]:9000/"'})) == []
    assert len(load.check(text({**STORE, key: value}))) == 1
    (fault,) = load.check(text({**STORE, "endpoint": '"https://192.0.2.1"', "path_style": "false"}))
    assert fault.path == "$.export.s3.path_style"


def test_the_secret_of_a_store_is_kept_beside_those_of_cameras(tmp_path: Path) -> None:
    path = tmp_path / "secrets.toml"
    load.edit_secrets(path, "gate", "one")
    kept = load.edit_store_secret(path, "two")
    assert kept.camera["gate"].password == "one"
    assert kept.export.s3
    assert kept.export.s3.secret == "two"
    assert load.edit_secrets(path, "gate", None).export == kept.export
    for wrong in ("", "x" * 257):
        with pytest.raises(Misconfigured, match=r"s3\.no_secret"):
            load.edit_store_secret(path, wrong)


OBJECTS = """
[camera.analyse]
motion = false
[camera.analyse.objects]
purpose = "count lorries"
who = "guards"
until = "2030-01-31"
classes = ["truck"]
"""


def test_objects_need_a_model_a_purpose_somebody_and_a_last_day() -> None:
    at = "$.camera[0].analyse.objects"
    assert places(GOOD + OBJECTS + '[objects]\nmodel = "m.onnx"\n') == []
    assert places(GOOD + OBJECTS) == [at]
    assert places(GOOD + OBJECTS.replace("purpose", "on = false\npurpose")) == []
    lines = OBJECTS.splitlines()
    for key in ("purpose", "who", "until", "classes"):
        less = "\n".join(line for line in lines if not line.startswith(f"{key} ="))
        assert places(GOOD + less) == [f"{at}.{key}"]
    for wrong in (
        'purpose = " "', 'until = "2030-02-31"', 'until = "9999-12-31"', "classes = []",
    ):  # fmt: skip
        key = wrong.split()[0]
        text = "\n".join(wrong if line.startswith(f"{key} =") else line for line in lines)
        assert f"{at}.{key}" in places(GOOD + text)
