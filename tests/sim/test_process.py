"""The dome as a process: its terminal, its socket, its stream, and its life after ours."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from itertools import pairwise
from pathlib import Path

import av
import numpy as np
import pytest

from nvr.base.errors import Unavailable
from nvr.sim import launch
from nvr.wire import pelco_d
from nvr.wire.pelco_d import Frame, Op
from tests.ports import free_port

SMALL = ("--size=640x360", "--bitrate=1500000", "--zone=Asia/Shanghai")


class Running:
    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.port = free_port()
        self.url = launch.ensure_running(directory, self.port, arguments=SMALL)
        self.pid = launch.running(directory)

    def ask(self, **request: object) -> dict:
        return launch.ask(self.directory, request)

    def line(self) -> int:
        return os.open(self.directory / "dome0", os.O_RDWR | os.O_NOCTTY)

    def send(self, *frames: Frame) -> None:
        fd = self.line()
        try:
            os.write(fd, b"".join(frame.encode() for frame in frames))
        finally:
            os.close(fd)

    def rest(self) -> dict:
        """Its state once nothing moves."""
        for _ in range(200):
            state = self.ask(get=True)
            if not state["moving"]:
                return state
            time.sleep(0.02)
        raise AssertionError("it never rests")


@pytest.fixture(scope="module")
def dome(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    directory = tmp_path_factory.mktemp("d")
    running = Running(directory)
    yield running
    launch.stop(directory)


def lumas(url: str, count: int) -> list[np.ndarray]:
    options = {"rtsp_transport": "tcp", "probesize": "32768", "fpsprobesize": "0"}
    seen: list[np.ndarray] = []
    with av.open(url, options=options, timeout=10.0) as container:
        for frame in container.decode(video=0):
            seen.append(frame.to_ndarray()[: frame.height, : frame.width].copy())
            if len(seen) == count:
                break
    return seen


def test_it_leaves_when_its_last_user_has_gone(tmp_path: Path) -> None:
    arguments = (*SMALL, "--leave=0.5")
    with launch.used(tmp_path), launch.used(tmp_path):
        launch.ensure_running(tmp_path, free_port(), arguments=arguments)
        pid = launch.running(tmp_path)
        time.sleep(1.5)
        assert launch.running(tmp_path) == pid
    until_s = time.monotonic() + 20
    while launch.running(tmp_path) is not None:
        assert time.monotonic() < until_s
        time.sleep(0.05)
    assert "dome.left" in (tmp_path / launch.LOG).read_text()


def test_it_can_be_found_again_and_is_not_started_twice(dome: Running) -> None:
    again = launch.ensure_running(dome.directory, dome.port, arguments=SMALL)
    assert again == dome.url
    assert launch.running(dome.directory) == dome.pid
    assert dome.ask(get=True)["pid"] == dome.pid


def test_a_second_one_by_hand_is_refused(dome: Running) -> None:
    command = [sys.executable, "-m", "nvr.sim.dome", f"--dir={dome.directory}", "--rtsp=[::1]:0"]
    second = subprocess.run(command, check=False, capture_output=True, text=True, timeout=20)
    assert second.returncode == 1
    assert "dome.running" in second.stderr
    assert dome.ask(get=True)["pid"] == dome.pid


def test_bytes_on_the_terminal_turn_the_picture_that_is_served(dome: Running) -> None:
    dome.send(Frame(1, Op.CALL_PRESET, 0, 1))
    dome.rest()
    before = lumas(dome.url, 12)[-1].astype(int)
    start = dome.ask(get=True)["pan_deg"]
    dome.send(pelco_d.motion(1, pan=40))
    time.sleep(0.5)
    dome.send(pelco_d.motion(1))
    state = dome.rest()
    assert 8 < (state["pan_deg"] - start) % 360 < 60
    after = lumas(dome.url, 12)[-1].astype(int)
    dome.send(Frame(1, Op.CALL_PRESET, 0, 1))
    dome.rest()
    back = lumas(dome.url, 12)[-1].astype(int)
    assert np.abs(after - before).mean() > 2 * np.abs(back - before).mean()


def test_stop_on_the_terminal_stops_it(dome: Running) -> None:
    """That it stops within a picture is shown without a process, where time stands still."""
    dome.send(pelco_d.motion(1, pan=50))
    while not dome.ask(get=True)["moving"]:
        time.sleep(0.01)
    dome.send(pelco_d.motion(1))
    first = dome.rest()
    time.sleep(0.1)
    assert dome.ask(get=True)["pan_deg"] == first["pan_deg"]


def test_it_answers_where_it_points(dome: Running) -> None:
    dome.send(Frame(1, Op.CALL_PRESET, 0, 5))
    state = dome.rest()
    fd = dome.line()
    try:
        os.write(fd, Frame(1, Op.QUERY_PAN).encode())
        reply = b""
        os.set_blocking(fd, False)
        for _ in range(100):
            time.sleep(0.01)
            try:
                reply += os.read(fd, 64)
            except BlockingIOError:
                continue
            if len(reply) >= 7:
                break
    finally:
        os.close(fd)
    (answer,) = pelco_d.Decoder().feed(reply)
    assert isinstance(answer, Frame)
    assert answer.op == Op.PAN
    assert answer.value / 100 == pytest.approx(state["pan_deg"], abs=0.01)


def test_relays_and_captions_are_taken_on_the_socket(dome: Running) -> None:
    assert dome.ask(output="wiper", on=True) == {"ok": True}
    assert dome.ask(get=True)["wiper"] is True
    assert dome.ask(output="wiper", on=False) == {"ok": True}
    assert dome.ask(get=True)["wiper"] is False
    caption = {"lines": ["东门ก", "{time}"], "position_permille": [20, 30], "mode": "box"}
    assert dome.ask(caption=caption) == {"ok": True, "missing": ["ก"]}
    assert dome.ask(caption={"lines": ["字" * 40]})["code"] == "caption.invalid"
    assert dome.ask(output="heater", on=True) == {"ok": True}
    assert dome.ask(get=True)["relays"] == {"heater": True}
    for n in range(31):
        dome.ask(output=f"relay{n}", on=False)
    assert dome.ask(output="one-more", on=True)["code"] == "dome.no_output"
    assert dome.ask(output="wiper")["code"] == "dome.invalid"
    assert dome.ask(nonsense=1)["code"] == "dome.invalid"


def test_lines_that_are_no_requests_do_not_hurt_it(dome: Running) -> None:
    for line in (b"\n", b"\xff\xfe\n", b"{}\n", b"[1]\n", b'{"caption":7}\n'):
        with socket.socket(socket.AF_UNIX) as sock:
            sock.settimeout(2)
            sock.connect(str(dome.directory / "relay0"))
            sock.sendall(line)
            assert json.loads(sock.makefile("rb").readline())["code"] == "dome.invalid"
    with socket.socket(socket.AF_UNIX) as sock:
        sock.settimeout(2)
        sock.connect(str(dome.directory / "relay0"))
        with suppress(BrokenPipeError, ConnectionResetError):
            sock.sendall(b"x" * 200_000)
        assert sock.recv(100) == b"", "a line without an end is not read for ever"
    assert dome.ask(get=True)["ok"]


def test_a_reader_sees_a_key_frame_at_once_and_nobody_costs_nothing(dome: Running) -> None:
    time.sleep(0.5)

    def cpu_s() -> float:
        fields = Path(f"/proc/{dome.pid}/stat").read_text().rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    idle_s = cpu_s()
    time.sleep(1.0)
    assert cpu_s() - idle_s < 0.15
    options = {"rtsp_transport": "tcp", "probesize": "32768", "fpsprobesize": "0"}
    with av.open(dome.url, options=options, timeout=10.0) as container:
        first = next(iter(container.demux(video=0)))
        assert first.is_keyframe


def test_it_lives_on_without_whoever_started_it(dome: Running) -> None:
    assert dome.pid is not None
    assert os.getsid(dome.pid) == dome.pid
    assert os.getsid(dome.pid) != os.getsid(0)


def test_presets_and_caption_survive_a_kill(tmp_path: Path) -> None:
    first = Running(tmp_path)
    try:
        first.send(pelco_d.motion(1, pan=30))
        time.sleep(0.4)
        first.send(pelco_d.motion(1), Frame(1, Op.SET_PRESET, 0, 42))
        stored = first.rest()["pan_deg"]
        first.ask(caption={"lines": ["改过的字幕"]})
        assert first.pid
        os.kill(first.pid, signal.SIGKILL)
        for _ in range(100):
            if launch.running(tmp_path) is None:
                break
            time.sleep(0.02)
        assert launch.running(tmp_path) is None
        second = Running(tmp_path)
        assert second.pid != first.pid
        second.send(Frame(1, Op.CALL_PRESET, 0, 42))
        assert second.rest()["pan_deg"] == pytest.approx(stored, abs=0.01)
        assert "改过的字幕" in (tmp_path / "dome.json").read_text()
        moved = launch.ensure_running(tmp_path, port := free_port(), arguments=SMALL)
        assert moved == f"rtsp://127.0.0.1:{port}/dome"
        assert launch.running(tmp_path) != second.pid
    finally:
        assert launch.stop(tmp_path)
    assert not launch.stop(tmp_path)
    with pytest.raises(Unavailable):
        launch.ask(tmp_path, {"get": True})


def test_a_taken_port_is_said(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as sock, pytest.raises(Unavailable) as caught:
        launch.ensure_running(tmp_path, sock.getsockname()[1], arguments=SMALL)
    assert caught.value.code == "dome.not_started"
    assert "port is taken" in caught.value.detail


def test_pictures_are_stamped_on_an_even_grid(dome: Running) -> None:
    options = {"rtsp_transport": "tcp", "probesize": "32768", "fpsprobesize": "0"}
    with av.open(dome.url, options=options, timeout=10.0) as container:
        stamps = [p.pts for p, _ in zip(container.demux(video=0), range(30), strict=False)]
    steps = [b - a for a, b in pairwise(s for s in stamps if s is not None)]
    assert len(steps) > 20
    assert all(step > 0 and step % 3600 == 0 for step in steps)
