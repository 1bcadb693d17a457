"""`nvr ptz scan` and `nvr ptz monitor` as a technician types them."""

import json
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from nvr.app.data import DataDirectory
from nvr.cli.main import main
from nvr.sim import launch
from nvr.wire import pelco_d
from nvr.wire.pelco_d import Frame, Op
from tests.ports import free_port
from tests.ptz.line import BENCH, FarEnd

ROOT = Path(__file__).parents[2]
LEFT = pelco_d.motion(3, pan=-32)


def said(capsys: pytest.CaptureFixture[str], *words: str) -> tuple[int, str, str]:
    code = main(["ptz", *words])
    out, err = capsys.readouterr()
    return code, out, err


@pytest.fixture
def place(tmp_path: Path) -> Path:
    (tmp_path / "board.toml").write_text(BENCH)
    return tmp_path


@pytest.fixture
def dome(place: Path) -> Iterator[str]:
    sim = place / "data/sim"
    yield launch.ensure_running(sim, free_port(), arguments=("--size=640x360",))
    launch.stop(sim)


def test_the_dome_is_found_by_its_answer_and_by_its_picture(
    place: Path, dome: str, capsys: pytest.CaptureFixture[str]
) -> None:
    data = str(place / "data")
    line = ["--board", str(place / "board.toml"), "--data", data, "--protocol", "pelco-d"]
    code, out, _ = said(capsys, "scan", *line, "--addresses", "1-2", "--json")
    assert code == 0
    one = {"address": 1, "baud": 9600, "protocol": "pelco-d"}
    assert json.loads(out) == [{**one, "by": "reply"}]
    (place / "data/nvr.toml").write_text(
        f'local_cameras = ["127.0.0.1:*"]\n[[camera]]\nname = "gate"\nurl = "{dome}"\n'
    )
    watch = [*line, "--addresses", "1", "--camera", "gate"]
    code, out, _ = said(capsys, "scan", *watch, "--yes")
    assert (code, out) == (0, "address 1, 9600 baud, pelco-d (by picture)\n")
    assert launch.ask(place / "data/sim", {"get": True})["moving"] is False


def test_nothing_moves_unasked_nor_beside_the_recorder(
    place: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    far = FarEnd(place / "line")
    data = place / "data"
    try:
        line = ["--path", far.path, "--baud", "9600", "--data", str(data), "--addresses", "1"]
        code, out, _ = said(capsys, "scan", *line)
        assert code == 1
        assert "nobody answers" in out
        assert not any(one.frame.command and one.frame.op is None for one in far.heard)
        far.clear()
        with DataDirectory(data):
            assert "serial.owned" in said(capsys, "scan", *line)[2]
        camera = '[[camera]]\nname = "gate"\nurl = "rtsp://127.0.0.1:1/gate"\n'
        (data / "nvr.toml").write_text(camera)
        (place / "no").write_text("no\n")
        with (place / "no").open() as typed:
            monkeypatch.setattr(sys, "stdin", typed)
            assert "scan.declined" in said(capsys, "scan", *line, "--camera", "gate")[2]
        assert "camera.unknown" in said(capsys, "scan", *line, "--camera", "x", "--yes")[2]
        assert far.heard == []
    finally:
        far.close()
    assert "serial.unnamed" in said(capsys, "scan")[2]
    board = str(place / "board.toml")
    assert "serial.unknown" in said(capsys, "scan", "--board", board, "--line", "x")[2]


def test_a_line_is_listened_to_and_never_written_to(place: Path) -> None:
    far = FarEnd(place / "line")
    command = ["-m", "nvr", "ptz", "monitor", "--path", far.path, "--data", str(place / "data")]
    child = subprocess.Popen(
        [sys.executable, *command, "--baud", "9600"],
        cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert child.stdout is not None
    assert child.stderr is not None
    try:
        assert child.stderr.readline() == "listening at 9600 baud\n"
        for frame in (LEFT, Frame(3), Frame(3, Op.CALL_PRESET, 0, 7)):
            far.say(frame.encode())
            time.sleep(0.06)
        lines = [child.stdout.readline().split("  ", 2)[2].strip() for _ in range(3)]
        assert lines == [
            "FF 03 00 04 20 00 27     D address 3: left 32",
            "FF 03 00 00 00 00 03     D address 3: stop",
            "FF 03 00 07 00 07 11     D address 3: preset call 7",
        ]
        child.send_signal(signal.SIGINT)
        out, err = child.communicate(timeout=20)
        assert (child.returncode, out) == (0, "")
        assert err == "9600 baud, pelco-d\n"
        assert far.heard == []
    finally:
        child.kill()
        child.communicate()
        far.close()
