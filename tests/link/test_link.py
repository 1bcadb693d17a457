"""The worker's process: there while there are questions, ended else, and never trusted."""

import asyncio
import contextlib
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from nvr.base.errors import NvrError
from nvr.link.head import Head, Speeds
from nvr.link.link import Link
from nvr.media import onvif_wish as wish
from nvr.media.onvif import Target
from tests.peers.odd_onvif import odd_device

EVERYWHERE = ["127.0.0.1:*"]
ROOT = Path(__file__).parents[2]


def target(device, password: str = "right") -> Target:
    return Target("127.0.0.1", device.port, "admin", password)


async def until(true, within_s: float = 30.0) -> None:
    ends_s = time.monotonic() + within_s
    while not true():
        assert time.monotonic() < ends_s
        await asyncio.sleep(0.02)


def told(device) -> list[str]:
    return [word for _, word in device.motions]


@pytest.fixture
async def link():
    made = Link(EVERYWHERE)
    yield made
    await made.close()


async def test_answers_come_through_the_pipe_and_one_that_hangs_holds_up_no_other(
    link: Link,
) -> None:
    async with odd_device() as device, odd_device(answer="hang") as hung:
        camera = link.camera(target(device))
        assert link.pid is None
        found = await camera.ask(wish.GetDevice())
        assert (found.model, found.services[0]) == ("一号", "device")
        assert [p.token for p in await camera.ask(wish.GetProfiles())] == ["p0", "p1"]
        assert (await camera.ask(wish.GetNode("p0"))).timeout_s == (1.0, 10.0)
        with pytest.raises(NvrError) as caught:
            await link.camera(target(device, "wrong")).ask(wish.GetDevice())
        assert (caught.value.code, caught.value.http_status) == ("onvif.refused", 403)
        with pytest.raises(NvrError) as caught:
            await camera.ask(wish.Auxiliary("p0", "no"))
        assert (caught.value.code, caught.value.http_status) == ("onvif.unsupported", 409)
        asking = [
            asyncio.ensure_future(link.ask(target(hung), wish.GetProfiles())) for _ in range(20)
        ]
        await asyncio.sleep(0.2)
        async with asyncio.timeout(10):
            assert len(await camera.ask(wish.GetProfiles())) == 2
        for one in asking:
            one.cancel()
        await asyncio.gather(*asking, return_exceptions=True)


async def test_a_worker_that_dies_or_freezes_is_an_error_and_another_one_answers(
    monkeypatch,
) -> None:
    link = Link(EVERYWHERE, idle_s=0.5)
    async with odd_device() as device:
        await link.ask(target(device), wish.GetProfiles())
        device.answer = "hang"
        asking = asyncio.ensure_future(link.ask(target(device), wish.GetProfiles()))
        await asyncio.sleep(0.2)
        os.kill(link.pid, signal.SIGKILL)
        with pytest.raises(NvrError, match=r"onvif\.worker"):
            await asking
        device.answer = ""
        assert len(await link.ask(target(device), wish.GetProfiles())) == 2
        first = link.pid
        monkeypatch.setattr("nvr.link.link.GRACE_S", 0.5)
        monkeypatch.setattr(wish.GetProfiles, "within_s", 0.5)
        os.kill(first, signal.SIGSTOP)
        with pytest.raises(NvrError, match=r"onvif\.worker"):
            await link.ask(target(device), wish.GetProfiles())
        monkeypatch.setattr(wish.GetProfiles, "within_s", 30.0)
        assert len(await link.ask(target(device), wish.GetProfiles())) == 2
        assert link.pid != first
        await until(lambda: link.pid is None)  # nobody asks
    await link.close()


RECORDER = """
import asyncio, sys
from nvr.link.link import Link
from nvr.media.onvif import Target
from nvr.media.onvif_wish import Move

async def main():
    link = Link(["127.0.0.1:*"])
    camera = link.camera(Target("127.0.0.1", int(sys.argv[1]), "admin", "right"))
    await camera.ask(Move("p0", 1.0, 0.0, 0.0, float(sys.argv[2])))
    print("moving", link.pid, flush=True)
    await asyncio.sleep(600)

asyncio.run(main())
"""


@pytest.mark.parametrize(("number", "lease_s"), [(signal.SIGKILL, 300.0), (signal.SIGSTOP, 1.0)])
async def test_no_head_goes_on_turning_when_the_recorder_dies_or_freezes(number, lease_s) -> None:
    async with odd_device() as device:
        recorder = subprocess.Popen(  # noqa: ASYNC220 - a test may wait
            [sys.executable, "-c", RECORDER, str(device.port), str(lease_s)],
            cwd=ROOT,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )
        try:
            worker = int((await asyncio.to_thread(recorder.stdout.readline)).split()[1])
            await until(lambda: device.moving)
            recorder.send_signal(number)
            await until(lambda: not device.moving, 15.0)
            assert told(device)[-1] in {"stop", "move 0 0 -"}
        finally:
            recorder.kill()
            recorder.wait()
            recorder.stdout.close()
        with contextlib.suppress(ProcessLookupError):
            await until(lambda: os.kill(worker, 0) or False)


async def test_a_stop_that_overtakes_a_motion_is_repeated_after_it() -> None:
    """The motion was under way: it may arrive behind the stop."""
    sent: list[str] = []
    arrived = asyncio.Event()

    async def drive(_speeds: Speeds, _timeout_s: float | None) -> None:
        await arrived.wait()
        sent.append("move")

    async def stop() -> None:
        sent.append("stop")

    head = Head(drive, stop, None)
    await head.move(Speeds(1.0, 0.0, 0.0), 5.0)
    await asyncio.sleep(0.05)
    stopping = asyncio.ensure_future(head.stop())
    await asyncio.sleep(0.05)
    assert sent == ["stop"]
    arrived.set()
    await stopping
    assert sent == ["stop", "move", "stop"]


async def test_of_motions_that_come_faster_than_they_are_sent_the_newest_is_sent() -> None:
    sent: list[float] = []

    async def drive(speeds: Speeds, _timeout_s: float | None) -> None:
        sent.append(speeds.pan)
        await asyncio.sleep(0.05)

    async def stop() -> None:
        sent.append(0.0)

    head = Head(drive, stop, None)
    for step in range(1, 101):
        await head.move(Speeds(step / 100, 0.0, 0.0), 5.0)
        await asyncio.sleep(0.001)
    await until(lambda: sent[-1] == 1.0)
    await head.stop()
    assert len(sent) < 20
    moved = [pan for pan in sent if pan]
    assert moved == sorted(moved)
    assert sent[-1] == 0.0
