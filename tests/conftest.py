"""What every test gets: no task outlives its test, and missing packages are named."""

import asyncio
import faulthandler
import os
import shutil
import subprocess
import sys
import threading
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

_STATUS = pytest.StashKey[int]()
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
    "dosfstools": lambda: _in_sbin("mkfs.vfat"),
    "exfat-fuse": lambda: _in_sbin("mkfs.exfat") and _in_sbin("mount.exfat-fuse"),
    "device-tree-compiler": lambda: shutil.which("fdtoverlay") is not None,
    "sip-tester": lambda: shutil.which("sipp") is not None,
    "kamailio": lambda: _in_sbin("kamailio"),
    "swtpm": lambda: shutil.which("swtpm") is not None,
    "tshark": lambda: shutil.which("tshark") is not None,
    "faketime": lambda: shutil.which("faketime") is not None,
    "gstreamer": lambda: shutil.which("gst-launch-1.0") is not None,
    "mosquitto": lambda: _in_sbin("mosquitto"),
    "rsyslog-gnutls": lambda: (
        _in_sbin("rsyslogd") and any(Path("/usr/lib").glob("*/rsyslog/lmnsd_gtls.so"))
    ),
    "gst-onvif": lambda: _runs("gst-inspect-1.0", "rtponvifparse"),
}


def _in_sbin(name: str) -> bool:
    return shutil.which(name, path=f"{os.environ['PATH']}:/usr/sbin:/sbin") is not None


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


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish(session: pytest.Session, exitstatus: int) -> None:
    session.config.stash[_STATUS] = int(exitstatus)


@pytest.hookimpl(trylast=True)
def pytest_unconfigure(config: pytest.Config) -> None:
    """What a failed test left running is named, and does not hold the run for ever."""
    if hasattr(config, "workerinput"):
        return  # has threads of its own, and is ended by the process that began it
    main = threading.main_thread()
    left = [it for it in threading.enumerate() if it is not main and not it.daemon]
    if left:
        print(f"threads left: {[it.name for it in left]}", flush=True)
        faulthandler.dump_traceback(all_threads=True)
        sys.stderr.flush()
        os._exit(config.stash.get(_STATUS, 0) or 1)


@pytest.fixture(autouse=True)
async def no_task_outlives_its_test() -> AsyncIterator[None]:
    before = asyncio.all_tasks()
    yield
    after = asyncio.all_tasks() - before - {asyncio.current_task()}
    assert not after, f"still running: {after}"
