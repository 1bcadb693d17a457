"""A camera behind a network of its own: two namespaces and a cable, for what a loopback cannot do.

    unshare --user --map-root-user --net python -m tests.capture.apart

Prints as JSON how GStreamer's server, which offers multicast only, was recorded for three seconds.
"""

import asyncio
import contextlib
import dataclasses
import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import msgspec

from nvr.base.clock import SystemClock
from nvr.capture.rtsp import Caller, nobody
from nvr.capture.source import Source
from nvr.media.ingest import Ingest

OURS, THEIRS = "10.77.0.1", "10.77.0.2"


def ip(*words: str, inside: int = 0) -> None:
    enter = ["nsenter", "-t", str(inside), "-n"] if inside else []
    subprocess.run([*enter, "ip", *words], check=True)


async def record(port: int) -> dict[str, object]:
    clock = SystemClock()
    parts: list[object] = []
    ingest = Ingest(parts.extend, clock)
    url = f"rtsp://{THEIRS}:{port}/camera"
    stream = ingest.stream("gate/main")
    source = Source("gate", Caller(url, nobody, clock), stream, clock=clock)
    tasks = [asyncio.create_task(ingest.run()), asyncio.create_task(source.run())]
    try:
        async with asyncio.timeout(40):
            while source.state.state != "live" or source.tally.stats().frames < 75:
                await asyncio.sleep(0.1)
        return {
            "carried": dataclasses.asdict(source.carried),
            "stats": msgspec.structs.asdict(source.tally.stats()),
            "groups": await asyncio.to_thread(Path("/proc/net/igmp").read_text, "ascii"),
        }
    finally:
        for task in reversed(tasks):
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task


def main() -> None:
    other = subprocess.Popen(["unshare", "--net", "sleep", "120"])
    try:
        while os.readlink(f"/proc/{other.pid}/ns/net") == os.readlink("/proc/self/ns/net"):
            pass
        ip("link", "set", "lo", "up")
        ip("link", "add", "cam0", "type", "veth", "peer", "name", "cam1", "netns", str(other.pid))
        ip("address", "add", f"{OURS}/24", "dev", "cam0")
        ip("link", "set", "cam0", "up")
        ip("address", "add", f"{THEIRS}/24", "dev", "cam1", inside=other.pid)
        ip("link", "set", "cam1", "up", inside=other.pid)
        camera = subprocess.Popen(
            [
                "nsenter", "-t", str(other.pid), "-n", "/usr/bin/python3",
                "tests/peers/gst_camera.py", "h264-pcma", "--over", "multicast",
                "--host", THEIRS, "--interface", "cam1",
            ],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE,
        )  # fmt: skip
        try:
            assert camera.stdout
            port = int(camera.stdout.readline().split()[1])
            json.dump(asyncio.run(record(port)), sys.stdout)
        finally:
            camera.kill()
            camera.communicate()
    finally:
        other.send_signal(signal.SIGKILL)
        other.wait()


if __name__ == "__main__":
    main()
