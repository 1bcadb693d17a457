"""The state of cameras as the shipped recorder tells it: API, metrics and `nvr camera`."""

import asyncio
import json
import sys
from pathlib import Path
from typing import Any

from tests.app.box import NAME, PASSWORD, ROOT, RunningBox, running_box


async def command(box: RunningBox, *words: str) -> tuple[int | None, str]:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "nvr", "camera", "--data", box.data, "--user", NAME, *words),
        cwd=ROOT,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
    )
    out, _ = await process.communicate(f"{PASSWORD}\n".encode())
    return process.returncode, out.decode()


def comes(health: dict[str, Any]) -> bool:
    return health["state"] in {"recording", "degraded"}


async def test_a_good_and_a_lost_camera_say_how_they_do(tmp_path: Path) -> None:
    lost = '[[camera]]\nname = "gone"\nurl = "rtsp://127.0.0.1:9/x"\n'
    async with running_box(tmp_path, lost) as box:
        # Simulated by a busy machine its frame rate may fall, which is said.
        await box.until("dome", "health", comes)
        await box.until("dome", "fps", lambda fps: fps > 0)
        gone = (await box.until("gone", "health", lambda it: it["failures"] > 1))["health"]
        assert gone["state"] == "lost"
        assert gone["last"]["code"] == "camera.unreachable"
        assert gone["since_us"] <= gone["last"]["at_us"]

        dome = await box.call("GET", "/api/camera/dome/health")
        counters, rates = dome["main"]["counters"], dome["main"]["rates"]
        assert counters["frames"] >= counters["keys"] > 0
        assert counters["connected_us"] >= counters["since_us"] > 0
        assert (counters["lost"], counters["damaged"], counters["reconnects"]) == (0, 0, 0)
        assert rates["bitrate_bps"] > 0
        assert all(spell["state"] == "degraded" for spell in dome["main"]["spells"])
        assert set(dome["main"]["hour"]["state"]) <= set("crd")
        assert dome["sub"] is None
        spell = (await box.call("GET", "/api/camera/gone/health"))["main"]["spells"][0]
        assert (spell["state"], spell["codes"]) == ("lost", ["camera.unreachable"])
        await box.call("GET", "/api/camera/nobody/health", status=404)

        code, text = await command(box)
        assert code == 1, "one is lost"
        dome_line, gone_line = text.splitlines()
        assert dome_line.split()[0] == "dome"
        assert dome_line.split()[1] in {"recording", "degraded"}
        assert gone_line.split()[:2] == ["gone", "lost"]
        assert "camera.unreachable" in gone_line
        code, text = await command(box, "dome")
        assert code == int("degraded" in text)
        assert "0 lost" in text
        code, text = await command(box, "--json", "gone")
        assert json.loads(text)["main"]["health"]["state"] == "lost"

        await box.call("PUT", "/api/camera/dome/tolerate", {"codes": ["camera.gop_long"]})
        assert 'tolerate = ["camera.gop_long"]' in (box.data / "nvr.toml").read_text()
        await box.call("PUT", "/api/camera/dome/tolerate", {"codes": ["camera.lost"]}, 409)
        await box.call("PUT", "/api/camera/dome/tolerate", {"codes": []})
        assert "tolerate" not in (box.data / "nvr.toml").read_text()

        code, text = await command(box, "dome", "--reconnect")
        assert (code, text) == (0, "dome is connected anew\n")
        await box.until("dome", "health", comes)
        seen = (await box.call("GET", "/api/camera/dome/health"))["main"]["counters"]
        assert seen["frames"] >= counters["frames"], "what was counted goes on being counted"
        audit = (await box.call("GET", "/api/audit"))["rows"]
        assert any("reconnect" in row["action"] and row["target"] == "dome" for row in audit)
