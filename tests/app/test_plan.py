"""A recording plan on the shipped recorder, and an event from the console."""

import asyncio
import sys
import tomllib
from pathlib import Path
from typing import Any

from tests.app.box import NAME, PASSWORD, ROOT, running_box

RANGES = "/api/camera/dome/ranges?from_us=0&to_us=4102444800000000"


async def test_only_events_are_recorded_when_the_plan_says_so(tmp_path: Path) -> None:
    async with running_box(tmp_path) as box:
        await box.until("dome", "recorded_until_us", lambda us: us > 0)

        async def keys() -> int:
            health = await box.call("GET", "/api/camera/dome/health")
            return int(health["main"]["counters"]["keys"])

        path = "/api/camera/dome/plan"
        plan = {"mode": "event", "pre_s": 2, "post_s": 3, "week": [["00:00-24:00 event"]] * 7}
        wrong = {**plan, "week": [["18:00-08:00 off"]] * 7}
        refused = await box.call("PUT", path, wrong, status=409)
        assert "plan.every[0]" in refused["detail"]
        assert (await box.call("PUT", path, plan))["week"] == plan["week"]
        [camera] = tomllib.loads((box.data / "nvr.toml").read_text())["camera"]
        assert camera["plan"]["every"] == ["00:00-24:00 event"]
        # The week needs the hour: where nobody set this machine's clock, all is recorded.
        await box.call("PUT", path, {**plan, "week": [[]] * 7})
        camera = await box.until("dome", "not_recorded", lambda gap: gap and gap["cause"] == "plan")
        # What is recorded with an event begins with a key frame before it: let some go by, which
        # a dome that has little of the processor sends seldom, or the gap is closed from behind.
        seen = await keys()
        async with asyncio.timeout(60):
            while await keys() < seen + 3:
                await asyncio.sleep(0.5)
        await asyncio.sleep(3)
        before_us = (await box.camera("dome"))["recorded_until_us"]

        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "nvr", "event", "--data", box.data, "--camera", "dome"),
            *("--what", "门铃", "--user", NAME),
            cwd=ROOT,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        async with asyncio.timeout(40):
            out, err = await process.communicate(f"{PASSWORD}\n".encode())
        assert process.returncode == 0, err.decode()
        assert "is recorded until" in out.decode()
        await box.until("dome", "not_recorded", None)
        assert (await box.camera("dome"))["recorded_until_us"] > before_us + 2_000_000
        await box.until("dome", "not_recorded", lambda gap: gap and gap["cause"] == "plan")
        span: dict[str, Any] = {"gaps": []}
        async with asyncio.timeout(30):  # a gap is one once it is longer than writing takes
            while len(span["gaps"]) < 2:
                await asyncio.sleep(0.5)
                span = await box.call("GET", RANGES)
        assert [gap["cause"] for gap in span["gaps"]] == ["plan", "plan"]
        assert [gap["open"] for gap in span["gaps"]] == [False, True]
        assert len(span["runs"]) == 2
        recorded_s = (span["runs"][1]["to_us"] - span["runs"][1]["from_us"]) / 1e6
        assert 4 <= recorded_s <= 40, "two seconds and the key frame before it, three after"
        await box.call("PUT", path, {"mode": "off"})
        told = await box.call("POST", "/api/camera/dome/event", {}, status=409)
        assert told["code"] == "plan.off"
        await box.call("PUT", path, {"mode": "continuous"})
        await box.until("dome", "not_recorded", None)
