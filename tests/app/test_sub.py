"""Main and sub stream on the shipped recorder, GStreamer's server being the camera."""

import asyncio
import json
import sys
import tomllib
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import pytest

from tests.app.box import NAME, RunningBox, running_box
from tests.capture.test_source import gst_camera
from tests.serve.test_rtsp_peers import run

ALL = "from_us=0&to_us=4102444800000000"
SUB = "/api/camera/gate/sub"


def camera(main: int, sub: int, path: str = "camera", more: str = "") -> str:
    return (
        f'[[camera]]\nname = "gate"\nurl = "rtsp://127.0.0.1:{main}/camera"\nretain_h = 1\n'
        f'[camera.sub]\nurl = "rtsp://127.0.0.1:{sub}/{path}"\nretain_h = 3\n{more}'
    )


async def ranges(box: RunningBox, stream: str) -> dict[str, Any]:
    found: dict[str, Any] = await box.call("GET", f"/api/camera/gate/ranges?{ALL}&stream={stream}")
    return found


async def sub_until(box: RunningBox, key: str, value: object) -> dict[str, Any]:
    holds = value if callable(value) else lambda seen: seen == value
    seen = await box.until("gate", "sub", lambda sub: bool(sub) and holds(sub[key]))
    found: dict[str, Any] = seen["sub"]
    return found


async def recorded(box: RunningBox, least_us: int = 2_000_000) -> None:
    """Wait until so much more of both streams is on the disk."""
    now = await box.camera("gate")
    before = now["recorded_until_us"], now["sub"]["recorded_until_us"]
    await box.until("gate", "recorded_until_us", lambda us: us > before[0] + least_us)
    await sub_until(box, "recorded_until_us", lambda us: us > before[1] + least_us)


async def console(*words: object) -> str:
    code, out, err = await run(sys.executable, "-m", "nvr", *map(str, words))
    assert code in {0, 1}, err
    return out


@pytest.mark.needs("gst-rtsp-server")
async def test_a_sub_stream_that_dies_leaves_the_main_stream_alone(tmp_path: Path) -> None:
    async with AsyncExitStack() as main_life, AsyncExitStack() as sub_life:
        main = await main_life.enter_async_context(gst_camera("h264"))
        sub = await sub_life.enter_async_context(gst_camera("h264"))
        async with running_box(tmp_path, camera(main, sub)) as box:
            await recorded(box)
            await sub_life.aclose()  # killed
            lost = await sub_until(box, "not_recorded", lambda why: why is not None)
            assert lost["state"] == "lost"
            assert lost["not_recorded"]["cause"] == "camera"
            now = await box.camera("gate")
            assert (now["state"], now["not_recorded"], now["code"]) == ("live", None, "")
            await box.until(
                "gate",
                "recorded_until_us",
                lambda us: us > lost["not_recorded"]["since_us"] + 5_000_000,
            )
            found = await ranges(box, "main")
            assert (len(found["runs"]), found["gaps"]) == (1, [])
            assert found["streams"] == ["main", "sub"]
            (gap,) = (await ranges(box, "sub"))["gaps"]
            assert (gap["cause"], gap["open"]) == ("camera", True)
            rows = json.loads(await console("gaps", box.data, "--json"))
            assert [(row["camera"], row["cause"]) for row in rows if row["camera"] != "dome"] == [
                ("gate/sub", "camera")
            ]

            # The camera has another path for it: only the sub stream is connected anew.
            body = {"url": f"rtsp://127.0.0.1:{main}/sub", "retain_h": 3}
            await box.call("PUT", SUB, body)
            small = await sub_until(box, "width_px", 160)
            assert small["height_px"] == 90
            await recorded(box)
            assert len((await ranges(box, "main"))["runs"]) == 1
            assert [gap["cause"] for gap in (await ranges(box, "sub"))["gaps"]] == ["camera"]

            # A key frame of the sub stream is of its size.
            head, data = await box.take(f"/api/camera/gate/gop?t_us={small['since_us']}&stream=sub")
            init = (await box.take(f"/api/camera/gate/init?run={head['X-NVR-Run']}&stream=sub"))[1]
            (tmp_path / "gop.mp4").write_bytes(init + data)
            assert await width(tmp_path / "gop.mp4") == 160


async def width(path: Path | str, *options: str) -> int:
    code, out, err = await run(
        *("ffprobe", "-v", "error", *options, "-select_streams", "v", "-of", "csv=p=0"),
        *("-show_entries", "stream=width", str(path)),
    )
    assert code == 0, err
    return int(out.strip().strip(","))


@pytest.mark.needs("gst-rtsp-server", "ffmpeg")
async def test_both_streams_are_served_exported_locked_and_planned(tmp_path: Path) -> None:
    async with AsyncExitStack() as stack:
        port = await stack.enter_async_context(gst_camera("h264"))
        box = await stack.enter_async_context(running_box(tmp_path, camera(port, port, "sub")))
        await recorded(box)
        made = await box.call(
            "POST", "/api/machine", {"name": "hall", "rights": {"gate": ["live"]}}, status=201
        )
        base = f"rtsp://hall:{made['secret']}@127.0.0.1:{box.rtsp_port}/cam/gate"
        tcp = ("-rtsp_transport", "tcp")
        assert [await width(base, *tcp), await width(f"{base}/sub", *tcp)] == [320, 160]
        for url in (base, f"{base}/sub"):
            code, _, err = await run(
                *("ffmpeg", "-v", "error", *tcp, "-i", url, "-t", "2", "-f", "null", "-")
            )
            assert (code, err) == (0, "")
        code, _, err = await run("ffprobe", "-v", "error", *tcp, f"{base}/third")
        assert "404" in err
        rows = (await box.call("GET", "/api/audit"))["rows"]
        watched = {(r["target"], r["reason"]) for r in rows if "PLAY" in r["action"]}
        assert {("gate", ""), ("gate", "sub")} <= watched

        until_us = (await box.camera("gate"))["recorded_until_us"]
        span = {"from_us": until_us - 1_500_000, "to_us": until_us}
        lock = await box.call(
            "POST",
            "/api/camera/gate/lock",
            {"kind": "legal", "why": "court", **span},
            status=201,
        )
        ring = await box.call("GET", "/api/ring")
        held = {one["stream"]: one for one in ring["streams"] if one["camera"] == "gate"}
        assert held.keys() == {"main", "sub"}
        assert all(one["locked_bytes"] > 0 for one in held.values())
        assert lock["used_bytes"] == sum(one["locked_bytes"] for one in held.values())
        assert [held["main"]["promised_h"], held["sub"]["promised_h"]] == [1, 3]
        plan = await console("plan", "--data", box.data)
        assert "gate/main" in plan
        assert "gate/sub" in plan

        for streams, widths in (("main", [320]), ("sub", [160]), ("both", [320, 160])):
            body = {"cameras": ["gate"], "streams": streams, **span}
            number = (await box.call("POST", "/api/export", body, status=201))["number"]
            files = await finished(box, number)
            found = []
            for name in files:
                data = (await box.take(f"/api/export/{number}/{name}"))[1]
                (tmp_path / "one.mp4").write_bytes(data)
                found.append(await width(tmp_path / "one.mp4"))
            assert found == widths, streams
        body = {"cameras": ["gate"], "streams": "both", "form": "evidence", **span}
        number = (await box.call("POST", "/api/export", body, status=201))["number"]
        (name,) = await finished(box, number)
        proof = tmp_path / "proof.zip"
        proof.write_bytes((await box.take(f"/api/export/{number}/{name}"))[1])
        told = await console("verify", proof)
        assert "gate/main" in told
        assert "gate/sub" in told

        times = [f"{us / 1e6:.0f}" for us in (until_us - 4_000_000, until_us)]
        begin, end = [await clock(second) for second in times]
        out = tmp_path / "console.mp4"
        words = ("--camera", "gate", "--from", begin, "--to", end)
        await console("export", "--data", box.data, *words, "--stream", "both", out)
        assert await width(out) == 320
        assert await width(tmp_path / "console-sub.mp4") == 160


async def clock(second: str) -> str:
    code, out, err = await run("date", "-u", "-d", f"@{second}", "+%Y-%m-%dT%H:%M:%SZ")
    assert code == 0, err
    return out.strip()


async def finished(box: RunningBox, number: int) -> list[str]:
    async with asyncio.timeout(30):
        while True:
            jobs = await box.call("GET", "/api/export")
            job = next(one for one in jobs if one["number"] == number)
            assert job["state"] != "failed", job
            if job["state"] == "done":
                return [file["name"] for file in job["files"]]
            await asyncio.sleep(0.1)


@pytest.mark.needs("gst-rtsp-server")
async def test_main_with_events_and_sub_always_and_the_other_way_round(tmp_path: Path) -> None:
    async with gst_camera("h264", "--user", "admin", "--password", "right") as port:
        more = '[camera.plan]\nmode = "event"\npre_s = 1\npost_s = 2\n'
        text = camera(port, port, "sub", more).replace("retain_h = 1", 'user = "admin"')
        async with running_box(tmp_path, text) as box:
            refused = await sub_until(box, "state", "refused")
            assert refused["code"] == "camera.refused"
            await box.call("PATCH", "/api/camera/gate", {"password": "right"})
            # One log-in for both.
            seen = await sub_until(box, "recorded_until_us", lambda us: us > 0)
            begun_us = seen["recorded_until_us"]
            await sub_until(box, "recorded_until_us", lambda us: us > begun_us + 4_000_000)
            await box.until("gate", "not_recorded", lambda gap: gap and gap["cause"] == "plan")
            assert (await box.camera("gate"))["recorded_until_us"] == 0
            await box.call("POST", "/api/camera/gate/event", {"post_s": 4})
            await box.until("gate", "not_recorded", None)
            await box.until("gate", "not_recorded", lambda gap: gap and gap["cause"] == "plan")
            held = await ranges(box, "main")
            assert held["gaps"][-1]["cause"] == "plan"
            sub = await ranges(box, "sub")
            assert len(sub["runs"]) == 1
            assert sub["runs"][0]["from_us"] < held["runs"][0]["from_us"]
            ended_us = held["recorded_until_us"]
            await sub_until(box, "recorded_until_us", lambda us: us > ended_us + 1_000_000)

            # A choice each, without a restart.
            path = "/api/camera/gate/plan"
            await box.call("PUT", path, {"mode": "continuous"})
            await box.call("PUT", f"{path}?stream=sub", {"mode": "off"})
            await box.until("gate", "not_recorded", None)
            await sub_until(box, "not_recorded", lambda gap: gap and gap["cause"] == "plan")
            [gate] = [
                one
                for one in tomllib.loads((box.data / "nvr.toml").read_text())["camera"]
                if one["name"] == "gate"
            ]
            assert (gate["plan"]["mode"], gate["sub"]["plan"]["mode"]) == ("continuous", "off")

            # Only watched: no gap grows, and what was recorded can still be played.
            await box.call("PUT", SUB, {"url": f"rtsp://127.0.0.1:{port}/sub", "record": False})
            seen = await sub_until(box, "recorded", False)
            assert seen["not_recorded"] is None
            await asyncio.sleep(1.5)  # notes are written once a second
            (gap,) = [one for one in (await ranges(box, "sub"))["gaps"] if one["open"]]
            assert (gap["cause"], gap["by"]) == ("removed", f"user {NAME}")
            await box.call("DELETE", SUB)
            assert (await box.camera("gate"))["sub"] is None
            assert await box.end() == 0
            await box.start()
            await box.log_in()
            await box.until("gate", "not_recorded", None)
            gaps = (await ranges(box, "sub"))["gaps"]
            assert gaps[-1]["cause"] == "removed"
            assert (await ranges(box, "main"))["gaps"][-1]["cause"] == "stopped"
