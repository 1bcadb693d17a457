"""What every test gets: no task outlives its test, and missing packages are named."""

import asyncio
import shutil
import subprocess
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

PROBES = {
    "ffmpeg": lambda: shutil.which("ffmpeg") is not None,
    "chromium": lambda: shutil.which("chromium") is not None,
    "gst-rtsp-server": lambda: _runs(
        "/usr/bin/python3",
        "-c",
        "import gi; gi.require_version('GstRtspServer', '1.0'); "
        "from gi.repository import GstRtspServer",
    ),
    "libssl-dev": lambda: Path("/usr/include/openssl/evp.h").exists(),
    "gstreamer": lambda: shutil.which("gst-launch-1.0") is not None,
}


def _runs(*command: str) -> bool:
    try:
        return subprocess.run(command, check=False, capture_output=True).returncode == 0
    except OSError:
        return False


def pytest_runtest_setup(item: pytest.Item) -> None:
    for mark in item.iter_markers("needs"):
        for package in mark.args:
            if not PROBES[package]():
                pytest.skip(f"needs the package {package} (tests/apt.txt)")


@pytest.fixture(autouse=True)
async def no_task_outlives_its_test() -> AsyncIterator[None]:
    before = asyncio.all_tasks()
    yield
    after = asyncio.all_tasks() - before - {asyncio.current_task()}
    assert not after, f"still running: {after}"
