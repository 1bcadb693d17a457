"""The product from outside: `nvr run` on the simulated board, and everything it promises."""

import asyncio
import json
import shutil
import signal
import ssl
import sys
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Any

import msgpack
import pytest

from nvr.sim import launch
from tests.app.box import ROOT, RunningBox, running_box


async def output(*command: object) -> str:
    process = await asyncio.create_subprocess_exec(
        *map(str, command), cwd=ROOT, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
    )
    async with asyncio.timeout(40):
        out, err = await process.communicate()
    assert process.returncode == 0, err.decode()
    return out.decode()


async def recorded(box: RunningBox) -> list[tuple[int, int]]:
    span = await box.call("GET", "/api/camera/dome/ranges?from_us=0&to_us=4102444800000000")
    return [(run["from_us"], run["to_us"]) for run in span["runs"]]


async def test_from_nothing_to_a_picture_a_recording_and_a_moving_dome(tmp_path: Path) -> None:
    async with running_box(tmp_path) as box:
        camera = await box.until("dome", "state", "live")
        assert (camera["codec"], camera["width_px"]) == ("h264", 1280)
        await box.until("dome", "recorded_until_us", lambda us: us > 0)

        # The head moves by its stick, and stands still when the page is gone.
        context = ssl.create_default_context()
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
        async with box.session.ws_connect(
            box.url.replace("https", "wss") + "/ws/control", origin=box.url
        ) as control:
            before = await asyncio.to_thread(head, box)
            for n in range(8):
                move = {"op": "move", "cam": "dome", "n": n, "v": [1.0, 0.0, 0.0]}
                await control.send_bytes(msgpack.packb(move))
                await asyncio.sleep(0.1)
            moving = await asyncio.to_thread(head, box)
            assert moving["moving"]
            assert moving["pan_deg"] != before["pan_deg"]
        async with asyncio.timeout(5):
            while (await asyncio.to_thread(head, box))["moving"]:
                await asyncio.sleep(0.02)

        # A second recorder on the same data is refused, in one sentence with its code.
        second = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "nvr", "run", "--board", box.board, "--data", box.data),
            cwd=ROOT,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        _, err = await second.communicate()
        assert second.returncode == 1
        assert b"data.busy" in err
        assert b"Traceback" not in err

        # What is recorded outlives a kill; the archive goes on after it.
        await box.end(signal.SIGKILL)
        await box.start()
        await box.log_in()
        await box.until("dome", "state", "live")
        async with asyncio.timeout(20):
            while len(spans := await recorded(box)) < 2:
                await asyncio.sleep(0.2)
        assert spans[0][1] - spans[0][0] > 1_000_000
        assert await box.end() == 0
        await box.start()


def head(box: RunningBox) -> dict:
    return launch.ask(box.data / "sim", {"get": True})


async def test_a_dome_set_up_on_the_page_obeys_at_once_and_does_not_outlive_the_recorder(
    tmp_path: Path,
) -> None:
    """Lamp and wiper on the dome's own auxiliaries: a killed recorder must not leave them on."""
    async with running_box(tmp_path) as box:
        path = "/api/camera/dome/ptz"
        assert (await box.call("GET", path))["outputs"] == ["lamp", "washer", "wiper"]
        assert (await box.call("DELETE", path))["ptz"] is None
        assert (await box.camera("dome"))["ptz"] is None
        own = {"bus": "ptz", "turbo": 64, "wiper": {"aux": 1}, "lamp": {"aux": 2, "max_on_s": 600}}
        wrong = await box.call("PUT", path, {**own, "bus": "ptz9"}, status=409)
        assert wrong["code"] == "config.refused"
        assert "ptz.bus" in wrong["detail"]
        assert (await box.call("PUT", path, own))["ptz"]["lamp"] == own["lamp"]
        assert "no faults" in await output(
            *(sys.executable, "-m", "nvr", "check", "--board", box.board, box.data / "nvr.toml")
        )
        camera = await box.camera("dome")
        assert (camera["ptz"]["wiper"], camera["ptz"]["lamp"]) == (True, True)
        async with control_of(box) as control:
            for name in ("lamp", "wiper"):
                switch = {"op": "output", "cam": "dome", "name": name, "on": True, "id": 7}
                await control.send_bytes(msgpack.packb(switch))
            last = await until_turning(box, control, ("lamp", "wiper"))

            # Set up anew while it turns: it stops and goes dark, and obeys again.
            await box.call("PUT", path, {**own, "protocol": "pelco-p", "wiper": "wiper"})
            await until_dome(box, lambda dome: not (dome["lamp"] or dome["wiper"]))
            await until_dome(box, lambda dome: not dome["moving"])
            switch = {"op": "output", "cam": "dome", "name": "lamp", "on": True}
            await control.send_bytes(msgpack.packb(switch))
            await until_turning(box, control, ("lamp",), last)
            await box.end(signal.SIGKILL)
        await until_dome(box, lambda dome: not (dome["lamp"] or dome["wiper"] or dome["moving"]))

        await box.start()
        await box.log_in()
        assert (await box.call("GET", path))["ptz"]["protocol"] == "pelco-p", "it was kept"
        async with control_of(box) as control:
            await until_turning(box, control)
            await box.call("DELETE", "/api/camera/dome")
            await until_dome(box, lambda dome: not dome["moving"])


def control_of(box: RunningBox) -> AbstractAsyncContextManager[Any]:
    url = box.url.replace("https", "wss") + "/ws/control"
    return box.session.ws_connect(url, origin=box.url)


async def push(control: Any, n: int = 1) -> None:
    move = {"op": "move", "cam": "dome", "n": n, "v": [1.0, 0.0, 0.0]}
    await control.send_bytes(msgpack.packb(move))


async def until_turning(
    box: RunningBox, control: Any, lit: tuple[str, ...] = (), n: int = 0
) -> int:
    """Push the stick as a hand does, again and again, until it is seen; returns the last number."""
    async with asyncio.timeout(15):
        while True:
            n += 1
            await push(control, n)
            dome = await at(box)
            if dome["moving"] and all(dome[name] for name in lit):
                return n
            await asyncio.sleep(0.1)


async def until_dome(box: RunningBox, holds: Callable[[dict[str, Any]], bool]) -> None:
    """Wait for what the dome itself says; far less than the 15 s after which it stops anyway."""
    async with asyncio.timeout(5):
        while not holds(await at(box)):
            await asyncio.sleep(0.02)


async def at(box: RunningBox) -> dict:
    return await asyncio.to_thread(head, box)


@pytest.mark.needs("ffmpeg")
async def test_ffmpeg_pulls_the_stream_with_a_machines_credentials(tmp_path: Path) -> None:
    async with running_box(tmp_path) as box:
        await box.until("dome", "state", "live")
        made = await box.call(
            "POST", "/api/machine", {"name": "hall", "rights": {"dome": ["live"]}}, status=201
        )
        url = f"rtsp://hall:{made['secret']}@127.0.0.1:{box.rtsp_port}/cam/dome"
        probe = json.loads(
            await output(
                *("ffprobe", "-v", "error", "-rtsp_transport", "tcp", "-of", "json"),
                *("-read_intervals", "%+2", "-count_packets", "-show_streams", url),
            )
        )
        (video,) = probe["streams"]
        assert (video["codec_name"], video["width"]) == ("h264", 1280)
        assert int(video["nb_read_packets"]) >= 20

        # Blocks copied off the volume while it is being written are films already.
        await box.until("dome", "recorded_until_us", lambda us: us > 0)
        block = tmp_path / "copy.mp4"
        shutil.copy(sorted((box.data / "ring").glob("block-*.mp4"))[0], block)
        frames = await output(
            *("ffprobe", "-v", "error", "-count_frames", "-of", "csv=p=0"),
            *("-show_entries", "stream=nb_read_frames", block),
        )
        assert int(frames.strip().strip(",")) >= 10


async def test_a_foreign_disk_stops_the_recording_and_nothing_else(tmp_path: Path) -> None:
    ring = tmp_path / "data" / "ring"
    ring.mkdir(parents=True)
    (ring / "holiday.jpg").write_bytes(b"somebody else's")
    async with running_box(tmp_path) as box:
        camera = await box.until("dome", "state", "live")
        assert camera["recorded_until_us"] == 0
        assert (await box.call("GET", "/api/box"))["fault"]["code"] == "volume.foreign"
        answer = await box.call("GET", "/api/ring", status=409)
        assert answer["code"] == "volume.foreign"
        assert {path.name for path in ring.iterdir()} == {"holiday.jpg", "volume.lock"}
