"""The shipped recorder looks at cameras: motion, a lost signal, plans, pictures, a decoder shot."""

import asyncio
import os
import re
import signal
import time
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import av
import pytest

from tests.app.box import RunningBox, running_box
from tests.bench.figures import family
from tests.capture.test_source import gst_camera

ALL = "from_us=0&to_us=4102444800000000"
LOOKED = '\n[camera.analyse]\npurpose = "guard the gate"\nhealth = ["signal"]\n'


def camera(main: int, more: str = "") -> str:
    return f'[[camera]]\nname = "gate"\nurl = "rtsp://127.0.0.1:{main}/camera"\n{more}'


async def events(box: RunningBox, kind: str = "motion") -> list[dict[str, Any]]:
    found = await box.call("GET", f"/api/camera/gate/event?{ALL}&kind={kind}")
    return list(found["happenings"])


async def some(box: RunningBox, kind: str, holds: Any = bool) -> dict[str, Any]:
    until_s = time.monotonic() + 60
    while not (found := [one for one in await events(box, kind) if holds(one)]):
        assert time.monotonic() < until_s, await box.call("GET", "/api/camera/gate/analyse/now")
        await asyncio.sleep(0.3)
    return found[0]


def size(jpeg: bytes) -> tuple[int, int]:
    (frame,) = av.CodecContext.create("mjpeg", "r").decode(av.Packet(jpeg))
    return frame.width, frame.height


def eyes(box: RunningBox) -> list[int]:
    assert box.process is not None
    found = []
    for pid in family(box.process.pid):
        words = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
        if b"nvr.analyse.eye" in words:
            found.append(pid)
    return found


@pytest.mark.needs("gst-rtsp-server")
async def test_what_moves_is_told_shown_recorded_and_survives_the_decoder(tmp_path: Path) -> None:
    async with AsyncExitStack() as stack, AsyncExitStack() as life:
        port = await life.enter_async_context(gst_camera("h264"))
        plan = '[camera.plan]\nmode = "event"\npost_s = 5\n'
        sub = f'[camera.sub]\nurl = "rtsp://127.0.0.1:{port}/sub"\nrecord = false\n'
        box = await stack.enter_async_context(
            running_box(tmp_path, camera(port, plan + sub + LOOKED))
        )
        one = await some(box, "motion", lambda one: one["picture"])
        assert one["zone"] == ""
        assert one["strength"] > 3
        _, jpeg = await box.take(f"/api/camera/gate/event/{one['number']}/picture.jpg")
        assert size(jpeg) == (160, 90)  # of the sub stream
        seen = await box.until("gate", "happening", bool)
        assert seen["happening"][0]["kind"] == "motion"
        # By its plan only events are recorded, and there is one.
        await box.until("gate", "recorded_until_us", lambda us: us > one["from_us"])
        ranges = await box.call("GET", f"/api/camera/gate/ranges?{ALL}")
        assert ranges["runs"][0]["from_us"] < one["from_us"] + 5_000_000

        head, jpeg = await box.take("/api/camera/gate/snapshot.jpg?width=100")
        assert size(jpeg) == (100, 56)
        assert abs(int(head["X-NVR-At-Us"]) / 1e6 - time.time()) < 30
        _, jpeg = await box.take("/api/camera/gate/snapshot.jpg")
        assert size(jpeg) == (320, 180)

        now = await box.call("GET", "/api/camera/gate/analyse/now")
        assert now["stream"] == "gate/sub"
        assert not now["keys_only"]

        # The decoder is shot: looked at again, and the recording knows nothing of it.
        (eye,) = eyes(box)
        os.kill(eye, signal.SIGKILL)
        # A new event needs the old one to end, so the pictures that are looked at say it.
        until_s = time.monotonic() + 60
        while not (found := eyes(box)) or found == [eye]:
            assert time.monotonic() < until_s
            await asyncio.sleep(0.2)
        after_us = time.time_ns() // 1000
        await box.until("gate", "recorded_until_us", lambda us: us > after_us)
        ranges = await box.call("GET", f"/api/camera/gate/ranges?{ALL}")
        assert len(ranges["runs"]) == 1
        log = (tmp_path / "log").read_text()
        assert re.search(r'analyse\.died camera="gate" .*sandbox\.died', log)
        _, text = await box.take("/metrics")
        assert b"nvr_looked_deaths_total 1" in text

        await life.aclose()  # the camera is gone
        lost = await some(box, "signal")
        assert lost["to_us"] is None
        rows = await box.call("GET", "/api/audit")
        assert "picture.signal" in str(rows)


@pytest.mark.needs("gst-rtsp-server")
async def test_settings_are_changed_while_it_runs_and_kept(tmp_path: Path) -> None:
    async with gst_camera("h264") as port, running_box(tmp_path, camera(port)) as box:
        base = "/api/camera/gate/analyse"
        assert (await box.call("GET", base))["analyse"] is None
        assert (await box.call("GET", f"{base}/now"))["state"] == "off"
        assert eyes(box) == []
        await box.call("PUT", base, {"on": True}, status=409)
        zone = {"name": "门", "points_permille": [[0, 0], [1000, 0], [1000, 1000], [0, 1000]]}
        body = {"purpose": "guard the gate", "zones": [zone], "health": ["covered", "moved"]}
        made = (await box.call("PUT", base, body))["analyse"]
        assert made["zones"] == [{**zone, "sensitivity": 0, "ignore": False}]
        one = await some(box, "motion")
        assert one["zone"] == "门"
        until_s = time.monotonic() + 30
        while not (now := await box.call("GET", f"{base}/now"))["cells"]:
            assert time.monotonic() < until_s
            await asyncio.sleep(0.3)
        assert now["keys_only"]  # it has no sub stream
        assert now["stream"] == "gate/main"
        text = (box.data / "nvr.toml").read_text()
        assert "[camera.analyse]" in text
        assert 'purpose = "guard the gate"' in text
        await box.call("DELETE", base)
        assert "analyse" not in (box.data / "nvr.toml").read_text()
        ended = await some(box, "motion", lambda one: one["to_us"] is not None)
        assert ended["to_us"] >= ended["from_us"]
