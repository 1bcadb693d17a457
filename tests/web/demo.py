"""The real page over a box in memory: two moving pictures, one lost camera, heads that log.

``python -m tests.web.demo --port 8443`` prints the address and the claim code.
"""

import argparse
import asyncio
import contextlib
import dataclasses
import random
import tempfile
import time
from pathlib import Path

import av
import msgspec
import numpy

from nvr.base.clock import SystemClock
from nvr.codec.encode import Encoder, picture_of
from nvr.media.camera import SubSettings
from nvr.media.encoder import Settings
from nvr.media.health import (
    Counters,
    Failure,
    History,
    Rates,
    Spell,
    StreamHealth,
    StreamReport,
    Why,
)
from nvr.media.ingest import Ingest
from nvr.media.track import RtpTrack
from nvr.record.keys import day_of
from nvr.wire.rtp import H264Packetizer, interleave
from tests.web.box import PASSWORD, Box, MemoryArchive, MemoryCameras, running, sealed_volume

FPS = 25
SIZE = (640, 360)
SMALL = (320, 180)


def picture(number: int, hue: int, pan: float, size: tuple[int, int] = SIZE) -> av.VideoFrame:
    """A ground that slides, a ball that bounces, and the frame number as sixteen bits."""
    width, height = size
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


async def camera(
    ingest: Ingest,
    box: Box,
    name: str,
    hue: int,
    stream: str = "",
    size: tuple[int, int] = SIZE,
) -> None:
    """Encode and feed one stream of a camera until cancelled."""
    encoder = Encoder(Settings(size, FPS, 600_000, 1.0))
    packetiser = H264Packetizer(96, hue)
    track = RtpTrack("video", "h264", 90_000, 96, 0, parameter_sets=encoder.parameter_sets)
    run = ingest.stream(stream or f"{name}/main").open_run([track])
    began_s, number, pan = time.monotonic(), 0, 0.0
    try:
        while True:
            await asyncio.sleep(max(0.0, began_s + number / FPS - time.monotonic()))
            moves = [one for one in box.parts.ptz.log[-1:] if one[0] == "move"]
            if moves and box.parts.ptz.status("gate").moving and name == "gate":
                pan += 12 * moves[0][3]
            frame = await asyncio.to_thread(picture, number, hue, pan + number, size)
            for unit in encoder.encode(picture_of(frame, number * 90_000 // FPS)):
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
            until_us, sub = archive.until_us(state.stream), state.sub
            if sub is not None:
                sub = dataclasses.replace(sub, recorded_until_us=archive.until_us(sub.stream))
            cameras.states[state.name] = dataclasses.replace(
                state, recorded_until_us=until_us, sub=sub
            )


def trouble(cameras: MemoryCameras, now_us: int) -> None:
    """What a technician may find: one camera on a bad wire, one that is gone."""
    rng = random.Random(4)
    ago_us = now_us - 214_000_000
    why = (Why("camera.loss", ago_us, 2.37, 0.5), Why("camera.gop_long", ago_us, 4.0, 2.1))
    degraded = StreamHealth("degraded", ago_us, why)
    cameras.set(dataclasses.replace(cameras.states["yard"], health=degraded))
    last = Failure("camera.lost", "no route to host", now_us - 2_000_000)
    lost = StreamHealth(
        "lost", now_us - 94_000_000, next_try_us=now_us + 2_400_000, failures=37, last=last
    )
    cameras.set(dataclasses.replace(cameras.states["bridge"], health=lost))
    well = StreamHealth("recording", now_us - 7_300_000_000)
    gate = cameras.states["gate"]
    sub = dataclasses.replace(gate.sub, health=well) if gate.sub else None
    cameras.set(dataclasses.replace(gate, health=well, sub=sub))
    counters = Counters(
        now_us - 86_400_000_000, now_us - 7_300_000_000, 41_287_000_000, 29_812_004, 1204, 12, 19,
        2_159_122, 388, 43_182, reconnects=3,
    )  # fmt: skip
    rates = Rates(25.0, 25.0, 4_112_000, 0.0, 2.0, 50, 1.1, 24.0, None, 18.2, 26.0, 412.0, True)
    spells = [
        Spell(
            "degraded", ("camera.loss",), now_us - h * 3_600_000_000, now_us - h * 3_500_000_000, s
        )
        for h, s in ((5, 18.0), (9, 214.0), (20, 61.0))
    ]

    def report(health: StreamHealth, bad: str, steps: int, measured: Rates) -> StreamReport:
        n = 360
        state = "r" * (n - steps) + bad * steps
        worse = [bad == "d" and place >= n - steps for place in range(n)]
        gone = [bad == "l" and place >= n - steps for place in range(n)]
        hour = History(
            10.0,
            now_us,
            tuple(0 if g else round(rng.gauss(4100, 260)) for g in gone),
            tuple(
                0.0 if g else round(rng.gauss(25 - 4 * w, 0.4), 1)
                for g, w in zip(gone, worse, strict=True)
            ),
            tuple(rng.randrange(40, 130) if w else 0 for w in worse),
            tuple(
                0 if g else round(abs(rng.gauss(160 if w else 24, 9)))
                for g, w in zip(gone, worse, strict=True)
            ),
            state,
        )
        day = "r" * 90 + "dd" + "r" * 60 + "l" + "r" * 90 + "d" + "r" * 40 + bad * 4
        many = History(
            300.0,
            now_us,
            *(tuple(x[:288]) for x in (hour.kbit_s, hour.fps, hour.lost, hour.jitter_ms)),
            day,
        )
        open_ = [
            Spell(
                health.state,
                tuple(w.code for w in health.why) or ("camera.lost",),
                health.since_us,
                0,
                (now_us - health.since_us) / 1e6,
            )
        ]
        told = (*(open_ if bad != "r" else []), *spells)
        return StreamReport(health, counters, measured, hour, many, told)

    cameras.reports["gate"] = report(well, "r", 0, rates)
    loss = msgspec.structs.replace(
        rates, loss_percent=2.37, fps=21.2, jitter_ms=163.0, gop_s=4.0, gop_frames=100
    )
    cameras.reports["yard"] = report(degraded, "d", 22, loss)
    cameras.reports["bridge"] = report(lost, "l", 9, Rates(usual_fps=25.0))
    cameras.reports["gate/sub"] = report(
        well, "r", 0, msgspec.structs.replace(rates, bitrate_bps=240_000)
    )


async def serve(host: str, port: int, directory: Path, claimed: bool) -> None:
    clock = SystemClock()
    archive = MemoryArchive()
    ingest = Ingest(archive.take, clock, lambda: 12)
    today = day_of(clock.wall_us())
    async with contextlib.AsyncExitStack() as stack:
        keys = stack.enter_context(sealed_volume(directory, [("gate/main", today)]))
        box = await stack.enter_async_context(
            running(
                directory, hub=ingest, archive=archive, host=host, port=port, clock=clock, keys=keys
            )
        )
        tasks = await stack.enter_async_context(asyncio.TaskGroup())
        cameras = box.parts.cameras
        cameras.put("gate", "东门")
        await cameras.write_sub("gate", SubSettings("rtsp://192.0.2.10/2"))
        cameras.put("yard", "后院 · Yard")
        cameras.put(
            "bridge",
            "大桥",
            state="lost",
            code="camera.lost",
            detail="no route to host",
            codec="",
        )
        trouble(cameras, clock.wall_us())
        if claimed and not box.parts.claim.claimed:
            await box.parts.claim.claim(box.parts.claim.code(), "admin", PASSWORD)
            await box.user("op", "operator", {"*": ["live", "playback", "ptz", "relay", "export"]})
            await box.user("viewer", "viewer", {"gate": ["live"]})
        print(f"page   {box.url}", flush=True)
        print(f"claim  {box.parts.claim.code() or 'done: admin, op, viewer / ' + PASSWORD}")
        tasks.create_task(ingest.run())
        tasks.create_task(camera(ingest, box, "gate", 150))
        tasks.create_task(camera(ingest, box, "gate", 150, "gate/sub", SMALL))
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
