"""A local camera on the shipped recorder: filmed, recorded, served, captioned."""

import asyncio
import os
import signal
from pathlib import Path

import numpy as np
import pytest

from nvr.sim.pattern import CELLS
from tests.app.box import running_box
from tests.serve.test_rtsp_peers import run

CAMERA = '[[camera]]\nname = "east"\nurl = "test:320x240@25"\nretain_h = 1\n'
SIZE = (320, 240)


def count(luma: np.ndarray) -> int:
    """The number of a test picture, as `nvr.sim.pattern` writes it."""
    cell = SIZE[0] // 2 // CELLS
    row = luma[-3, cell // 2 : cell * CELLS : cell]
    return int("".join("1" if value > 128 else "0" for value in row), 2)


def filming(parent: int) -> list[int]:
    """Processes that film for a recorder."""
    children = Path(f"/proc/{parent}/task/{parent}/children").read_text().split()
    return [
        int(pid) for pid in children if b"nvr.app.film" in Path(f"/proc/{pid}/cmdline").read_bytes()
    ]


@pytest.mark.needs("ffmpeg")
@pytest.mark.timeout(240)
async def test_a_local_camera_is_recorded_served_captioned_and_filmed_again(tmp_path: Path) -> None:
    async with running_box(tmp_path, CAMERA) as box:
        made = await box.call(
            "POST", "/api/machine", {"name": "hall", "rights": {"east": ["live"]}}, status=201
        )
        await box.until("east", "state", "live", 90)
        await box.until("east", "recorded_until_us", lambda until_us: until_us > 0)
        url = f"rtsp://hall:{made['secret']}@127.0.0.1:{box.rtsp_port}/cam/east"

        async def watched(path: Path) -> np.ndarray:
            code, _, err = await run(
                *("ffmpeg", "-v", "error", "-rtsp_transport", "tcp", "-i", url, "-t", "1.2"),
                *("-fps_mode", "passthrough", "-f", "rawvideo", "-pix_fmt", "gray", str(path)),
            )
            assert (code, err) == (0, "")
            return np.fromfile(path, np.uint8).reshape(-1, SIZE[1], SIZE[0])

        plain = await watched(tmp_path / "plain")
        counts = [count(picture) for picture in plain]
        assert counts == sorted(set(counts))

        caption = {
            "lines": ["东门一号"], "position_permille": [100, 100], "size_permille": 150,
            "mode": "box",
        }  # fmt: skip
        said = await box.call("PUT", "/api/camera/east/caption", caption)
        assert said["missing"] == []
        burned = await watched(tmp_path / "burned")
        change = np.abs(burned[-1].astype(int) - plain[-1]) > 40
        assert change[20:80, 30:200].mean() > 0.2
        assert change[90:170].mean() < 0.01, "nothing else was touched"

        report = await box.call("GET", "/api/encoder")
        [stream] = report["streams"]
        assert (stream["stream"], stream["encoder"]) == ("east/main", "x264")
        assert [one["name"] for one in report["encoders"]] == ["x264", "x265"]
        assert report["encoders"][0]["state"] == "works"
        _, metrics = await box.take("/metrics")
        assert b'nvr_encoder_works{encoder="x264",codec="h264"} 1' in metrics
        assert b'nvr_encoded_pictures_total{camera="east",stream="main",encoder="x264"}' in metrics
        encode = (await box.call("GET", "/api/camera/east/encode"))["encode"]
        assert encode["kbit_s"] == 0
        assert (await box.call("GET", "/api/camera/dome/encode")) == {"encode": None}
        changed = {**encode, "kbit_s": 700, "fps": 10}
        assert await box.call("PUT", "/api/camera/east/encode", changed) == {"encode": changed}
        await box.until("east", "fps", lambda fps: 8 < fps < 12)
        assert "kbit_s = 700" in (box.data / "nvr.toml").read_text(encoding="utf-8")
        wrong = {**changed, "encoder": "no-such"}
        refused = await box.call("PUT", "/api/camera/east/encode", wrong, status=409)
        assert refused["code"] == "config.refused"
        await box.call("PUT", "/api/camera/dome/encode", changed, status=409)

        small = await box.call(
            "PUT", "/api/camera/east/sub", {"size": [160, 160], "fps": 5, "retain_h": 1}
        )
        assert small["sub"]["size"] == [160, 160]
        assert "[camera.sub]" in (box.data / "nvr.toml").read_text(encoding="utf-8")
        await box.until("east", "sub", lambda sub: sub["recorded_until_us"] > 0)
        sub = (await box.camera("east"))["sub"]
        assert (sub["state"], sub["width_px"], sub["height_px"]) == ("live", 160, 120)
        streams = (await box.call("GET", "/api/encoder"))["streams"]
        assert [one["stream"] for one in streams] == ["east/main", "east/sub"]
        assert streams[1]["mpixel_s"] == round(160 * 120 * 5 / 1e6, 2)
        other = {"url": "rtsp://192.0.2.1/2"}
        refused = await box.call("PUT", "/api/camera/east/sub", other, status=409)
        assert "made of its own pictures" in refused["detail"]

        assert box.process is not None
        [pid] = await asyncio.to_thread(filming, box.process.pid)
        os.kill(pid, signal.SIGKILL)
        await box.until("east", "state", lambda state: state != "live")
        await box.until("east", "state", "live")
        await box.until("east", "not_recorded", None)
        await box.until("east", "sub", lambda sub: sub["state"] == "live")
        await box.call("DELETE", "/api/camera/east/sub")
        streams = (await box.call("GET", "/api/encoder"))["streams"]
        assert [one["stream"] for one in streams] == ["east/main"]
        await box.call("PUT", "/api/camera/east/caption", {**caption, "lines": []})

        gaps = await box.call("GET", "/api/camera/east/ranges?from_us=0&to_us=4102444800000000")
        assert any(gap["cause"] == "camera" for gap in gaps["gaps"]), gaps
