"""What keeps a box from starting, or keeps it from recording: said in one sentence."""

import asyncio
import os
import socket
import subprocess
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from nvr.sim import launch
from tests.app.box import RunningBox, running_box


@asynccontextmanager
async def box_that_does_not_start(data: Path) -> AsyncIterator[RunningBox]:
    box = RunningBox(data)
    try:
        yield box
    finally:
        box.log.close()
        await asyncio.to_thread(launch.stop, data / "sim")


async def refusal(box: RunningBox) -> str:
    """What it says when it does not start: the last line of its log."""
    code, out = await box.run_to_its_end()
    log = (box.data.parent / "log").read_text(encoding="utf-8")
    assert code == 1, log
    assert not out, "it said it was ready"
    assert "Traceback" not in log, log
    return log.strip().splitlines()[-1]


async def test_passwords_that_others_can_read_stop_the_start(tmp_path: Path) -> None:
    data = tmp_path / "data"
    data.mkdir()
    (data / "secrets.toml").write_text('[camera.dome]\npassword = "hush"\n', encoding="utf-8")
    (data / "secrets.toml").chmod(0o640)
    async with box_that_does_not_start(data) as box:
        said = await refusal(box)
    assert said.startswith("nvr: config.secrets_open: ")
    assert "chmod 600" in said
    assert "hush" not in said


@pytest.mark.parametrize(("listener", "code"), [("page", "page.port"), ("rtsp", "rtsp.port")])
async def test_a_port_that_is_taken_stops_the_start(
    tmp_path: Path, listener: str, code: str
) -> None:
    async with box_that_does_not_start(tmp_path / "data") as box:
        port = box.page_port if listener == "page" else box.rtsp_port
        with socket.create_server(("127.0.0.1", port)):
            said = await refusal(box)
    assert said.startswith(f"nvr: {code}: ")
    assert str(port) in said


async def test_the_domes_port_taken_by_a_stranger_is_said(tmp_path: Path) -> None:
    async with box_that_does_not_start(tmp_path / "data") as box:
        with socket.create_server(("127.0.0.1", box.dome_port)):
            said = await refusal(box)
    assert said.startswith("nvr: dome.not_started: ")
    assert str(box.dome_port) in said


async def test_a_broken_configuration_names_every_fault(tmp_path: Path) -> None:
    data = tmp_path / "data"
    data.mkdir()
    (data / "nvr.toml").write_text(
        'schema = 1\n[[camera]]\nname = "Gate"\nurl = "http://x"\nretain = 3\n', encoding="utf-8"
    )
    async with box_that_does_not_start(data) as box:
        said = await refusal(box)
    assert said.startswith("nvr: config.invalid: ")
    for place in ("$.camera[0].name", "$.camera[0].url", "retain"):
        assert place in said


async def test_a_file_where_the_data_directory_should_be_is_said(tmp_path: Path) -> None:
    (tmp_path / "data").write_bytes(b"")
    async with box_that_does_not_start(tmp_path / "data") as box:
        assert (await refusal(box)).startswith("nvr: data.unwritable: ")


async def live_without_recording(box: RunningBox, code: str) -> None:
    """The dome is live, nothing is recorded, and the box says why."""
    camera = await box.until("dome", "state", "live")
    assert camera["recorded_until_us"] == 0
    assert (await box.call("GET", "/api/box"))["fault"]["code"] == code
    assert (await box.call("GET", "/api/ring", status=503))["code"] == code


async def test_a_disk_without_room_for_the_volume_is_said(tmp_path: Path) -> None:
    async with running_box(tmp_path, "", 'path = "ring"\nsize_mib = 33554432') as box:
        await live_without_recording(box, "volume.full")


@pytest.mark.skipif(os.geteuid() != 0, reason="mounts")
async def test_a_disk_that_cannot_be_written_is_recorded_on_once_it_can(tmp_path: Path) -> None:
    disk = tmp_path / "disk"
    disk.mkdir()
    mount = ("mount", "-t", "tmpfs", "-o", "size=512m,ro", "tmpfs", disk)
    if subprocess.run(mount, check=False, capture_output=True).returncode:  # noqa: ASYNC221 - short
        pytest.skip("mounting is not allowed here")
    try:
        async with running_box(tmp_path, "", f'path = "{disk}"\nsize_mib = 256') as box:
            await live_without_recording(box, "volume.unwritable")
            subprocess.run(("mount", "-o", "remount,rw", disk), check=True)  # noqa: ASYNC221 - short
            await box.until("dome", "recorded_until_us", lambda us: us > 0, 20)
            assert (await box.call("GET", "/api/box"))["fault"] is None
    finally:
        subprocess.run(("umount", disk), check=True)  # noqa: ASYNC221 - short
