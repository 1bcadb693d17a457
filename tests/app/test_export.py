"""Evidence out of a box that records: asked for over the API, checked with the file inside."""

import asyncio
import io
import json
import subprocess
import sys
import time
import zipfile
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from tests.app.box import running_box
from tests.export.rclone import Server


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    made = Server(tmp_path)
    yield made
    made.close()


async def nvr(*words: object, given: str = "") -> tuple[int | None, str]:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "nvr", *map(str, words)),
        stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )  # fmt: skip
    async with asyncio.timeout(60):
        out, _ = await process.communicate(given.encode())
    return process.returncode, out.decode()


async def test_a_box_sends_exports_onto_a_stick_and_into_a_store(
    tmp_path: Path, server: Server
) -> None:
    store = f"""
[export.s3]
endpoint = "http://127.0.0.1:{server.port}"
bucket = "evidence"
prefix = "box/7"
key_id = "nvr"
"""
    async with running_box(tmp_path, store) as box:
        begun_us = time.time_ns() // 1000
        to = "--data", box.data
        assert (await nvr("target", "--check", *to))[1].startswith("nvr: s3.no_secret")
        assert (await nvr("target", "--secret", *to, given="wrong\n"))[0] == 0
        assert (await nvr("target", "--check", *to))[1].startswith("nvr: s3.denied")
        assert (await nvr("target", "--secret", *to, given="correct\n"))[0] == 0
        assert (box.data / "secrets.toml").stat().st_mode & 0o777 == 0o600
        assert await nvr("target", "--check", *to) == (0, "s3://evidence/box/7/ takes uploads\n")
        code, listed = await nvr("target", *to)
        assert (code, [line.split()[0] for line in listed.splitlines()]) == (
            0, ["usb:sim-stick", "s3"],
        )  # fmt: skip
        await box.until("dome", "recorded_until_us", lambda us: us > begun_us + 6_000_000, 60)
        targets = await box.call("GET", "/api/export/target")
        assert [one["name"] for one in targets] == ["", "usb:sim-stick", "s3"]
        span = {"from_us": begun_us, "to_us": begun_us + 4_000_000}
        for target, form in (("s3", "evidence"), ("usb:sim-stick", "mp4")):
            body = {"cameras": ["dome"], "form": form, "target": target, **span}
            await box.call("POST", "/api/export", body, status=201)
        jobs = [{"state": "queued"}]
        async with asyncio.timeout(60):
            while any(job["state"] != "done" for job in jobs):
                await asyncio.sleep(0.1)
                jobs = await box.call("GET", "/api/export")
                assert all(job["state"] != "failed" for job in jobs), jobs
        assert [job["safe"] for job in jobs] == [True, None]
        begin, end = (
            datetime.fromtimestamp(us / 1e6, UTC).isoformat() for us in (begun_us, begun_us + 10**6)
        )
        code, said = await nvr(
            "export", "--store", *to, "--camera", "dome", "--from", begin, "--to", end, "x.mp4"
        )
        assert (code, len(said.splitlines())) == (0, 1), said
        address = said.split()[0].removeprefix("s3://evidence/")
        assert server.object(address)[4:8] == b"ftyp"
        stick = box.data / "sim/usb/.stick"
        (video,) = stick.rglob("*.mp4")
        assert video.stat().st_size == jobs[0]["files"][0]["size_bytes"]
        (name,) = (name for name in server.names() if name.endswith(".zip"))
        assert f"s3://evidence/{name.rpartition('/')[0]}" == jobs[1]["place"]
        path = tmp_path / "e.zip"
        path.write_bytes(server.object(name))
        assert (await nvr("verify", path))[0] == 0
        rows = (await box.call("GET", "/api/audit"))["rows"]
        said = [row["reason"] for row in rows if row["action"] == "export.ended"]
        assert [text.rpartition(" to ")[2] for text in said] == [job["place"] for job in jobs]


async def test_evidence_of_a_running_box_proves_itself(tmp_path: Path) -> None:
    async with running_box(tmp_path) as box:
        begun_us = time.time_ns() // 1000
        await box.until("dome", "recorded_until_us", lambda us: us > begun_us + 8_000_000, 60)
        span = {"from_us": begun_us, "to_us": begun_us + 6_000_000}
        body = {"cameras": ["dome"], "form": "evidence", **span}
        job = await box.call("POST", "/api/export", body, status=201)
        async with asyncio.timeout(30):
            while job["state"] != "done":
                assert job["state"] != "failed", job
                await asyncio.sleep(0.1)
                (job,) = await box.call("GET", "/api/export")
        _, data = await box.take(f"/api/export/1/{job['files'][0]['name']}")
        path = tmp_path / "e.zip"
        path.write_bytes(data)
        archive = zipfile.ZipFile(io.BytesIO(data))
        manifest = json.loads(archive.read("manifest.json"))
        assert manifest["streams"][0]["copies"] == ["video/dome-main.mp4"]
        (tmp_path / "verify.py").write_bytes(archive.read("verify.py"))
        check = [sys.executable, "-I", "-S", str(tmp_path / "verify.py"), str(path)]
        key = (await box.call("GET", "/api/key"))["signs"]
        said = await asyncio.to_thread(
            subprocess.run, [*check, "--key", key], check=False, capture_output=True, text=True
        )
        assert said.returncode == 0, said.stdout
        assert key in said.stdout
