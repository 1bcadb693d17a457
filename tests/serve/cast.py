"""A multicast server behind a network of its own, and readers on the other side of the cable.

    unshare --user --map-root-user --net python -m tests.serve.cast

Prints as JSON what ffmpeg, GStreamer and our own client got, all at once, and what was sent for it.
"""

import asyncio
import contextlib
import json
import os
import signal
import subprocess
import sys
from ipaddress import IPv4Network

from nvr.base.clock import SystemClock
from nvr.capture.rtsp import Caller, nobody
from nvr.capture.source import Source
from nvr.media.ingest import Ingest
from nvr.serve.rtsp_multicast import Casting
from tests.capture.apart import ip
from tests.serve.source import Camera, running, serving
from tests.serve.test_rtsp_peers import run

HOST, READER = "10.78.0.1", "10.78.0.2"
CASTING = Casting(IPv4Network("239.192.7.0/24"), 20_000, 3)
PICTURES = 40


async def read(url: str) -> None:
    """Our own client, for as many pictures."""
    clock, parts = SystemClock(), []
    ingest = Ingest(parts.extend, clock)
    caller = Caller(url, nobody, clock, transport="multicast")
    source = Source("gate", caller, ingest.stream("gate/main"), clock=clock)
    async with running(ingest.run()), running(source.run()), asyncio.timeout(60):
        while not (stats := source.tally.stats()) or stats.frames < PICTURES:
            await asyncio.sleep(0.05)
        print(json.dumps([source.carried.way, stats.lost, stats.sound > 10]))


async def serve(there: int) -> dict[str, object]:
    camera = Camera()
    most: list[int] = []

    async def watch() -> None:
        while True:
            most.append(sum(relay.readers() for relay in camera.relays))
            await asyncio.sleep(0.02)

    async with (
        serving({"gate": camera}, host=HOST, casting=CASTING) as (server, port),
        running(watch()),
    ):
        url = f"rtsp://{HOST}:{port}/cam/gate"
        inside = ("nsenter", "-t", str(there), "-n")
        found = await asyncio.gather(
            run(
                *inside, "ffmpeg", "-hide_banner", "-rtsp_transport", "udp_multicast", "-i", url,
                "-map", "0:v", "-frames:v", str(PICTURES), "-f", "framehash", "-hash", "CRC32",
                "-", timeout_s=60,
            ),
            run(
                *inside, "gst-launch-1.0", "-q", "rtspsrc", f"location={url}",
                "protocols=udp-mcast", "!", "rtph264depay", "!", "h264parse", "!", "avdec_h264",
                "!", "identity", f"eos-after={PICTURES}", "!", "fakesink", timeout_s=60,
            ),
            run(*inside, sys.executable, "-m", "tests.serve.cast", url, timeout_s=80),
        )  # fmt: skip
        async with asyncio.timeout(20):
            while server.readers() or camera.relays:
                await asyncio.sleep(0.05)
    names = ("ffmpeg", "gstreamer", "ours")
    return {"senders": max(most), **dict(zip(names, found, strict=True))}


def main() -> None:
    other = subprocess.Popen(["unshare", "--net", "sleep", "120"])
    try:
        while os.readlink(f"/proc/{other.pid}/ns/net") == os.readlink("/proc/self/ns/net"):
            pass
        ip("link", "set", "lo", "up")
        ip("link", "add", "near", "type", "veth", "peer", "name", "far", "netns", str(other.pid))
        ip("address", "add", f"{HOST}/24", "dev", "near")
        ip("link", "set", "near", "up")
        ip("link", "set", "lo", "up", inside=other.pid)
        ip("address", "add", f"{READER}/24", "dev", "far", inside=other.pid)
        ip("link", "set", "far", "up", inside=other.pid)
        ip("route", "add", "default", "dev", "far", inside=other.pid)
        json.dump(asyncio.run(serve(other.pid)), sys.stdout)
    finally:
        with contextlib.suppress(ProcessLookupError):
            other.send_signal(signal.SIGKILL)
        other.wait()


if __name__ == "__main__":
    if len(sys.argv) > 1:
        asyncio.run(read(sys.argv[1]))
    else:
        main()
