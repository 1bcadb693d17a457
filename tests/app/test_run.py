"""The product from outside: `nvr run` on the simulated board, and everything it promises."""

import asyncio
import json
import re
import shutil
import signal
import ssl
import sys
from pathlib import Path

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


async def test_lamp_and_wiper_of_the_dome_itself_do_not_outlive_the_recorder(
    tmp_path: Path,
) -> None:
    async with running_box(tmp_path) as box:
        assert await box.end() == 0
        config = box.data / "nvr.toml"
        text = config.read_text(encoding="utf-8")
        text = re.sub('^wiper = "wiper"', "wiper = { aux = 1 }", text, flags=re.MULTILINE)
        text = re.sub(
            '^lamp = "lamp"', "lamp = { aux = 2 }\nturbo = 0x40", text, flags=re.MULTILINE
        )
        assert text.count("aux = 1 }\n") == text.count("turbo") == 1
        config.write_text(text, encoding="utf-8")
        assert "no faults" in await output(
            sys.executable, "-m", "nvr", "check", "--board", box.board, config
        )
        await box.start()
        await box.log_in()
        camera = await box.camera("dome")
        assert (camera["ptz"]["wiper"], camera["ptz"]["lamp"]) == (True, True)
        async with box.session.ws_connect(
            box.url.replace("https", "wss") + "/ws/control", origin=box.url
        ) as control:
            for name in ("lamp", "wiper"):
                switch = {"op": "output", "cam": "dome", "name": name, "on": True, "id": 7}
                await control.send_bytes(msgpack.packb(switch))
            move = {"op": "move", "cam": "dome", "n": 1, "v": [1.0, 0.0, 0.0]}
            await control.send_bytes(msgpack.packb(move))
            async with asyncio.timeout(5):
                while not all(map((await at(box)).get, ("lamp", "wiper", "moving"))):
                    await asyncio.sleep(0.02)
            await box.end(signal.SIGKILL)
        async with asyncio.timeout(3):
            while any(map((await at(box)).get, ("lamp", "wiper", "moving"))):
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
