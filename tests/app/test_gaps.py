"""A real box says why it did not record, at once and afterwards."""

import asyncio
import json
import re
import signal
import sys
from pathlib import Path
from typing import Any

from nvr.sim import launch
from tests.app.box import ROOT, RunningBox, running_box
from tests.ports import free_port

ALL = "from_us=0&to_us=4102444800000000"


async def gaps(box: RunningBox, camera: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = (await box.call("GET", f"/api/camera/{camera}/ranges?{ALL}"))[
        "gaps"
    ]
    return found


async def nvr_gaps(box: RunningBox) -> tuple[int | None, list[dict[str, Any]]]:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "nvr", "gaps", box.data, "--json"),
        cwd=ROOT,
        stdout=asyncio.subprocess.PIPE,
    )
    out, _ = await process.communicate()
    return process.returncode, json.loads(out)


async def recorded(box: RunningBox) -> None:
    await box.until("dome", "not_recorded", None)
    before = (await box.camera("dome"))["recorded_until_us"]
    await box.until("dome", "recorded_until_us", lambda us: us > before + 1_000_000)


async def test_stops_cuts_losses_and_removals_have_their_causes(tmp_path: Path) -> None:
    nowhere = f'[[camera]]\nname = "gate"\nurl = "rtsp://127.0.0.1:{free_port()}/nothing"\n'
    async with running_box(tmp_path, nowhere) as box:
        await recorded(box)
        lost = await box.until("gate", "not_recorded", lambda why: why is not None, 8)
        assert lost["not_recorded"]["cause"] == "camera"
        assert await box.end(signal.SIGTERM) == 0
        await asyncio.sleep(1.5)
        await box.start()
        await box.log_in()
        await recorded(box)
        await box.end(signal.SIGKILL)
        await asyncio.sleep(1.5)
        await box.start()
        await box.log_in()
        await recorded(box)
        await box.until("gate", "not_recorded", lambda why: why is not None, 8)
        await asyncio.sleep(2)

        by_cause = [(gap["cause"], gap["by"], gap["open"]) for gap in await gaps(box, "dome")]
        assert by_cause == [("stopped", "signal SIGTERM", False), ("power", "", False)]
        never = await gaps(box, "gate")
        assert {gap["cause"] for gap in never} == {"camera", "stopped", "power"}
        assert never[-1]["cause"] == "camera"
        assert never[-1]["open"]

        await box.call("DELETE", "/api/camera/gate")
        await box.call("DELETE", "/api/camera/dome")
        await asyncio.sleep(2.5)
        status, found = await nvr_gaps(box)
        assert status == 0
        last = {gap["camera"]: gap for gap in found}
        for camera in ("dome", "gate"):
            seen = last[camera]["cause"], last[camera]["by"], last[camera]["open"]
            assert seen == ("removed", "user admin", True)
        log = (tmp_path / "log").read_text()
        assert 'record.camera_stopped stream="gate/main" cause="camera"' in log
        assert 'record.camera_removed stream="dome/main" by="user admin"' in log


async def test_a_camera_that_goes_is_told_at_once_and_so_is_its_return(tmp_path: Path) -> None:
    async with running_box(tmp_path) as box:
        await recorded(box)
        assert await asyncio.to_thread(launch.stop, box.data / "sim")
        gone = await box.until("dome", "not_recorded", lambda why: why is not None, 8)
        assert gone["not_recorded"]["cause"] == "camera"
        assert gone["not_recorded"]["code"].startswith("camera.")
        await recorded(box)
        (gap,) = await gaps(box, "dome")
        assert (gap["cause"], gap["open"]) == ("camera", False)
        assert abs(gap["from_us"] - gone["not_recorded"]["since_us"]) < 1_500_000
        log = (tmp_path / "log").read_text()
        lasted = re.search(r'record.camera_resumed stream="dome/main" .*lasted_s=([0-9.]+)', log)
        assert lasted
        assert abs(float(lasted[1]) - (gap["to_us"] - gap["from_us"]) / 1e6) < 2


async def test_a_box_that_is_off_is_explained_by_its_disk_alone(tmp_path: Path) -> None:
    async with running_box(tmp_path) as box:
        await recorded(box)
        await box.end(signal.SIGINT)
        await asyncio.sleep(1)
        by = "signal SIGINT"
        status, found = await nvr_gaps(box)
        assert status == 0
        assert [(gap["cause"], gap["by"], gap["open"]) for gap in found] == [("stopped", by, True)]
        assert 0.9 < found[0]["length_s"] < 20
