"""Cameras that are not there, not for us, or not cameras: each says so, the dome goes on."""

import asyncio
import io
import signal
import socket
import sys
import tomllib
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Any

import av
import pytest
import pytest_asyncio

from tests.app.box import ROOT, RunningBox, running_box
from tests.app.liar import liars
from tests.capture.test_secure import certificate
from tests.capture.test_source import gst_camera
from tests.ports import free_port

pytestmark = pytest.mark.asyncio(loop_scope="module")


INSIDE_PORT = free_port()


def camera_table(name: str, port: int) -> str:
    return f'[[camera]]\nname = "{name}"\nurl = "rtsp://127.0.0.1:{port}/camera"\n'


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def box(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[RunningBox]:
    # Bound and not listened to: nobody answers, and nobody else can be given the port.
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        async with liars() as ports:
            ports["nobody"] = taken.getsockname()[1]
            tables = "\n".join(camera_table(name, port) for name, port in ports.items())
            tables += (
                f'\n[[camera]]\nname = "inside-file"\nurl = "rtsp://127.0.0.2:{INSIDE_PORT}/"\n'
            )
            async with running_box(tmp_path_factory.mktemp("bad"), tables) as running:
                await running.until("dome", "recorded_until_us", lambda us: us > 0)
                yield running


async def dome_goes_on(box: RunningBox) -> None:
    """The dome is live, and what is on the disk of it grows."""
    before = await box.camera("dome")
    assert before["state"] == "live"
    until_us = before["recorded_until_us"]
    after = await box.until("dome", "recorded_until_us", lambda us: us > until_us + 500_000, 5)
    assert after["state"] == "live"
    assert after["since_us"] == before["since_us"], "the dome was interrupted"


@pytest.mark.parametrize(
    ("name", "state", "code"),
    [
        ("nobody", "lost", "camera.unreachable"),
        ("page", "lost", "camera.garbage"),
        ("noise", "lost", "camera.garbage"),
        ("hangs-up", "lost", "camera.lost"),
        ("mpeg4", "unsupported", "camera.unsupported"),
        ("odd", "unsupported", "camera.unsupported"),
        ("empty", "lost", "camera.protocol"),
        ("rot", "lost", "camera.garbage"),
        ("mute", "lost", "camera.silent"),  # last: it is given ten seconds to answer
    ],
)
async def test_a_camera_that_is_none_says_so_and_disturbs_nobody(
    box: RunningBox, name: str, state: str, code: str
) -> None:
    camera = await box.until(name, "code", code, 15)
    assert camera["state"] == state
    assert camera["detail"]
    assert camera["recorded_until_us"] == 0
    await dome_goes_on(box)


async def add(box: RunningBox, name: str, port: int, **more: str) -> Any:
    body = {"name": name, "url": f"rtsp://127.0.0.1:{port}/camera", **more}
    return await box.call("POST", "/api/camera", body, status=201)


@pytest.mark.parametrize("host", ["127.0.0.2", "0x7f.2", "[::1]", "169.254.169.254"])
async def test_the_page_cannot_make_the_box_call_itself(box: RunningBox, host: str) -> None:
    """The configuration lets 127.0.0.1 pass, and nothing else of the box."""
    body = {"name": "intruder", "url": f"rtsp://{host}:{box.page_port}/"}
    refused = await box.call("POST", "/api/camera", body, status=403)
    assert refused["code"] == "camera.forbidden"
    assert "local_cameras" in refused["detail"]
    await box.call("GET", "/api/camera/intruder", status=404)
    assert "intruder" not in (box.data / "nvr.toml").read_text(encoding="utf-8")


async def test_a_camera_inside_the_box_in_the_file_is_not_called(box: RunningBox) -> None:
    called: list[object] = []
    server = await asyncio.start_server(lambda *ends: called.append(ends), "127.0.0.2", INSIDE_PORT)
    async with server:
        camera = await box.until("inside-file", "code", "camera.forbidden", 15)
        assert camera["state"] == "lost"
        await asyncio.sleep(2.5)  # it is tried again after a second or two
    assert not called


@pytest.mark.needs("gst-rtsp-server")
async def test_a_wrong_password_is_a_state_of_its_own(box: RunningBox) -> None:
    async with gst_camera("h264", "--user", "admin", "--password", "right") as port:
        await add(box, "locked", port, user="admin", password="wrong")
        camera = await box.until("locked", "state", "refused", 10)
        assert (camera["code"], camera["recorded_until_us"]) == ("camera.refused", 0)
        await dome_goes_on(box)

        # Removed and added with the right one, without a restart.
        assert await box.call("DELETE", "/api/camera/locked") == {"left": 0}
        await add(box, "locked", port, user="admin", password="right")
        await box.until("locked", "state", "live", 10)
        assert await box.call("DELETE", "/api/camera/locked") == {"left": 0}
        await box.call("GET", "/api/camera/locked", status=404)
    assert "right" not in (box.data / "nvr.toml").read_text(encoding="utf-8")
    assert b"right" not in (box.data.parent / "log").read_bytes()


async def set_password(box: RunningBox, name: str, password: str) -> str:
    """As a person at the console does it, beside the recorder that runs."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "nvr", "user", "--data", box.data, "camera", name),
        cwd=ROOT,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
    )
    out, _ = await process.communicate(f"{password}\n".encode())
    assert process.returncode == 0
    return out.decode()


@pytest.mark.needs("gst-rtsp-server")
async def test_a_changed_password_needs_no_restart(box: RunningBox, tmp_path: Path) -> None:
    port, secure = free_port(), ("--certificate", certificate(tmp_path))

    def camera(password: str) -> AbstractAsyncContextManager[int]:
        user = ("--user", "admin", "--password", password)
        return gst_camera("h264", *secure, *user, port=port)

    async with camera("wren-1"):
        # Over TLS, as the shipped recorder has it; the page says the password.
        body = {"name": "moody", "url": f"rtsps://127.0.0.1:{port}/camera", "user": "admin"}
        await box.call("POST", "/api/camera", {**body, "password": "wrong"}, status=201)
        await box.until("moody", "state", "refused", 10)
        change = {"password": "wren-1", "title": "门"}
        changed = await box.call("PATCH", "/api/camera/moody", change)
        assert changed["title"] == "门"
        # Far sooner than the half minute that a refused account waits.
        await box.until("moody", "state", "live", 8)
        before = await box.until("moody", "recorded_until_us", lambda us: us > 0)

        # A log-in that works is not interrupted by another one.
        assert "half a minute" in await set_password(box, "moody", "wren-2")
        await asyncio.sleep(1.0)
        assert (await box.camera("moody"))["since_us"] == before["since_us"]
    await box.until("moody", "state", "lost", 10)
    async with camera("wren-2"):
        seen = await box.until("moody", "state", "live", 15)
        until_us = seen["recorded_until_us"]
        await box.until("moody", "recorded_until_us", lambda us: us > until_us)

        # Rights that let others read it are said, and are no reason to stop anything that runs.
        (box.data / "secrets.toml").chmod(0o644)
        assert (await box.camera("moody"))["state"] == "live"
    await box.until("moody", "code", "config.secrets_open", 10)
    (box.data / "secrets.toml").chmod(0o600)
    async with camera("wren-2"):
        await box.until("moody", "state", "live", 15)
    await box.call("DELETE", "/api/camera/moody")
    assert "wren" not in (box.data / "secrets.toml").read_text(encoding="utf-8")
    assert b"wren" not in (box.data.parent / "log").read_bytes()


async def gop(box: RunningBox, name: str, t_us: int) -> tuple[int, dict[str, int]]:
    """Where the group begins, and how many frames of what come out when it is decoded."""
    headers, data = await box.take(f"/api/camera/{name}/gop?t_us={t_us}")
    _, init = await box.take(f"/api/camera/{name}/init?run={headers['X-NVR-Run']}")
    frames = {"video": 0, "audio": 0}
    with av.open(io.BytesIO(init + data)) as film:
        for packet in film.demux():
            frames[packet.stream.type] += len(packet.decode())
    return int(headers["X-NVR-From-Us"]), frames


@pytest.mark.needs("gst-rtsp-server")
async def test_a_camera_added_while_running_is_recorded_and_outlives_a_restart(
    box: RunningBox,
) -> None:
    async with gst_camera("h264-aac") as port:
        await add(box, "gate", port, title="大门")
        camera = await box.until("gate", "state", "live", 10)
        assert (camera["title"], camera["codec"], camera["width_px"]) == ("大门", "h264", 320)
        camera = await box.until("gate", "recorded_until_us", lambda us: us > 0)
        first_us = camera["recorded_until_us"]
        await box.until("gate", "recorded_until_us", lambda us: us > first_us + 2_000_000)
        from_us, frames = await gop(box, "gate", first_us)
        assert from_us <= first_us
        assert frames["video"] == 25
        assert frames["audio"] > 35  # 1,024 samples each at 48 kHz, about a second of them
        await dome_goes_on(box)

        text = (box.data / "nvr.toml").read_text(encoding="utf-8")
        assert "# The recorder's configuration." in text
        assert "# A real camera is three lines" in text
        assert await box.end(signal.SIGTERM) == 0
        await box.start()
        await box.log_in()
        assert (await box.camera("gate"))["title"] == "大门"
        await box.until("gate", "recorded_until_us", lambda us: us > first_us + 2_000_000)
        assert await gop(box, "gate", first_us) == (from_us, frames)

    # Gone while it plays: said within seconds, and the dome does not notice.
    camera = await box.until("gate", "state", "lost", 10)
    assert camera["code"] in {"camera.lost", "camera.unreachable"}
    await dome_goes_on(box)

    await box.call("DELETE", "/api/camera/gate")
    text = (box.data / "nvr.toml").read_text(encoding="utf-8")
    assert "gate" not in {one["name"] for one in tomllib.loads(text)["camera"]}
    assert "# A real camera is three lines" in text


async def test_none_of_this_was_a_fault_of_ours(box: RunningBox) -> None:
    log = await asyncio.to_thread((box.data.parent / "log").read_text)
    assert "internal.bug" not in log
    assert "Traceback" not in log
