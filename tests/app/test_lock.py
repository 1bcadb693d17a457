"""Locks and limits on the shipped recorder: by its API, and by `nvr lock` beside it."""

import asyncio
import json
import sys
import tomllib
from pathlib import Path

from tests.app.box import NAME, PASSWORD, ROOT, running_box


async def console(*command: object, words: str = "", status: int = 0) -> str:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "nvr", "lock", *map(str, command)),
        cwd=ROOT,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    async with asyncio.timeout(40):
        out, err = await process.communicate(words.encode())
    assert process.returncode == status, err.decode()
    return (out + err).decode()


async def test_a_lock_made_beside_the_running_recorder_is_there_after_a_restart(
    tmp_path: Path,
) -> None:
    async with running_box(tmp_path) as box:
        camera = await box.until("dome", "recorded_until_us", lambda us: us > 0)
        now_us = camera["recorded_until_us"]
        body = {"kind": "legal", "from_us": now_us - 1_000_000, "to_us": now_us, "why": "court"}
        made = await box.call("POST", "/api/camera/dome/lock", body, status=201)
        assert made["used_bytes"] > 0
        assert (await box.call("GET", "/api/ring"))["locked_bytes"] == made["used_bytes"]
        here = ("--data", box.data)
        span = ("--camera", "dome", "--from", "2020-01-01", "--to", "2099-01-01")
        word = ("--why", "all of it")
        told = await console("add", *here, *span, *word, words=f"{NAME}\nwrong\n", status=1)
        assert "auth.wrong" in told
        words = f"{PASSWORD}\n"
        told = await console("add", *here, *span, *word, "--user", NAME, words=words, status=1)
        assert "lock.invalid" in told, "a century ahead"
        span = (*span[:-1], "2024-01-01")
        told = await console("add", *here, *span, *word, "--user", NAME, words=words, status=1)
        assert "lock.nothing" in told
        shown = json.loads(await console("list", *here, "--json"))
        assert [(one["number"], one["by"]) for one in shown] == [(1, NAME)]

        assert await box.end() == 0, (tmp_path / "log").read_text()[-3000:]
        await box.start()
        await box.log_in()
        assert await box.call("GET", "/api/lock") == [made]
        told = await console("remove", "1", *here, "--user", NAME, words=words)
        assert "removed" in told
        assert await box.call("GET", "/api/lock") == []
        rows = (await box.call("GET", "/api/audit"))["rows"]
        assert "legal 1" in next(r["reason"] for r in rows if "DELETE" in r["action"])


async def test_limits_are_set_live_kept_in_the_file_and_erase_at_once(tmp_path: Path) -> None:
    async with running_box(tmp_path) as box:
        path = "/api/camera/dome"
        wrong = await box.call("PATCH", path, {"limit_h": 2}, status=409)
        assert "limit_h" in wrong["detail"]
        keeping = {"retain_h": 24, "guaranteed_h": 12, "limit_h": 48, "limit_gb": 0.009}
        assert keeping.items() <= (await box.call("PATCH", path, keeping)).items()
        [camera] = tomllib.loads((box.data / "nvr.toml").read_text())["camera"]
        assert keeping.items() <= camera.items()

        async def used_bytes() -> int:
            ring = await box.call("GET", "/api/ring")
            return sum(one["used_bytes"] for one in ring["streams"])

        most = 2 * (4 << 20)
        await box.call("PATCH", path, {"limit_gb": 0})
        async with asyncio.timeout(150):
            while await used_bytes() <= most:
                await asyncio.sleep(1)
        await box.call("PATCH", path, {"limit_gb": 0.009, "limit_h": 0})
        async with asyncio.timeout(30):
            while await used_bytes() > most:
                await asyncio.sleep(0.5)
        [camera] = tomllib.loads((box.data / "nvr.toml").read_text())["camera"]
        assert "limit_h" not in camera
        assert camera["limit_gb"] == 0.009
