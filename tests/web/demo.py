"""The real page over a box in memory: two moving pictures, one lost camera, heads that log.

``python -m tests.web.demo --port 8443`` prints the address and the claim code.
"""

import argparse
import asyncio
import contextlib
import dataclasses
import tempfile
import time
from pathlib import Path

import av
import numpy

from nvr.base.clock import SystemClock
from nvr.codec.encode import Encoder, Settings
from nvr.media.ingest import Ingest
from nvr.media.track import RtpTrack
from nvr.wire.rtp import H264Packetizer, interleave
from tests.web.box import PASSWORD, Box, MemoryArchive, running

FPS = 25
SIZE = (640, 360)


def picture(number: int, hue: int, pan: float) -> av.VideoFrame:
    """A ground that slides, a ball that bounces, and the frame number as sixteen bits."""
    width, height = SIZE
    y = numpy.empty((height * 3 // 2, width), numpy.uint8)
    x = numpy.arange(width)
    y[:height] = 60 + 40 * numpy.sin((x + pan) / 40)[None, :] + numpy.arange(height)[:, None] / 6
    y[height:] = 128
    y[height : height * 5 // 4] = hue
    at = abs((number * 4) % (2 * (width - 60)) - (width - 60))
    top = int(abs(numpy.sin(number / 12)) * (height - 120)) + 30
    y[top : top + 60, at : at + 60] = 220
    for bit in range(16):
        y[height - 24 : height - 8, 16 + 16 * bit : 30 + 16 * bit] = (
            235 if number >> bit & 1 else 16
        )
    return av.VideoFrame.from_ndarray(y, "yuv420p")


async def camera(ingest: Ingest, box: Box, name: str, hue: int) -> None:
    """Encode and feed one camera until cancelled."""
    encoder = Encoder(Settings(SIZE, FPS, 600_000, 1.0))
    packetiser = H264Packetizer(96, hue)
    track = RtpTrack("video", "h264", 90_000, 96, 0, parameter_sets=encoder.parameter_sets)
    run = ingest.stream(f"{name}/main").open_run([track])
    began_s, number, pan = time.monotonic(), 0, 0.0
    try:
        while True:
            await asyncio.sleep(max(0.0, began_s + number / FPS - time.monotonic()))
            moves = [one for one in box.parts.ptz.log[-1:] if one[0] == "move"]
            if moves and box.parts.ptz.status("gate").moving and name == "gate":
                pan += 12 * moves[0][3]
            frame = await asyncio.to_thread(picture, number, hue, pan + number)
            for unit in encoder.encode(frame, number * 90_000 // FPS):
                packets = packetiser.packets(unit.nals, unit.pts_90k)
                run.feed(b"".join(interleave(0, packet) for packet in packets))
            number += 1
    finally:
        await run.close()


async def refresh(box: Box, archive: MemoryArchive) -> None:
    """Keep 'recorded until' true."""
    cameras = box.parts.cameras
    while True:
        await asyncio.sleep(0.5)
        for state in cameras.all():
            until_us = archive.until_us(state.stream)
            cameras.states[state.name] = dataclasses.replace(state, recorded_until_us=until_us)


async def serve(host: str, port: int, directory: Path, claimed: bool) -> None:
    clock = SystemClock()
    archive = MemoryArchive()
    ingest = Ingest(archive.take, clock, lambda: 12)
    async with (
        running(directory, hub=ingest, archive=archive, host=host, port=port, clock=clock) as box,
        asyncio.TaskGroup() as tasks,
    ):
        cameras = box.parts.cameras
        cameras.put("gate", "东门")
        cameras.put("yard", "后院 · Yard")
        cameras.put(
            "bridge",
            "大桥",
            state="lost",
            code="camera.lost",
            detail="no route to host",
            caption=None,
            codec="",
        )
        if claimed and not box.parts.claim.claimed:
            await box.parts.claim.claim(box.parts.claim.code(), "admin", PASSWORD)
            await box.user("op", "operator", {"*": ["live", "playback", "ptz", "relay", "export"]})
            await box.user("viewer", "viewer", {"gate": ["live"]})
        print(f"page   {box.url}", flush=True)
        print(f"claim  {box.parts.claim.code() or 'done: admin, op, viewer / ' + PASSWORD}")
        tasks.create_task(ingest.run())
        tasks.create_task(camera(ingest, box, "gate", 150))
        tasks.create_task(camera(ingest, box, "yard", 100))
        tasks.create_task(refresh(box, archive))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=8443)
    parser.add_argument("--data", type=Path, help="keep users and certificate here")
    parser.add_argument("--claimed", action="store_true", help=f"make users, password {PASSWORD!r}")
    chosen = parser.parse_args()
    with contextlib.ExitStack() as stack:
        data = chosen.data or Path(stack.enter_context(tempfile.TemporaryDirectory()))
        with contextlib.suppress(KeyboardInterrupt):
            asyncio.run(serve(chosen.host, chosen.port, data, chosen.claimed))


if __name__ == "__main__":
    main()
