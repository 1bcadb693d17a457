"""A box fetches what it missed from a camera's own storage: our own device, and the wire is cut.

No other device of ONVIF Profile G was at hand; that ours is one is proven by others' clients.
"""

import asyncio
import hashlib
import itertools
import re
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from signal import SIGKILL
from typing import Any

import pytest
import pytest_asyncio

from nvr.capture.line import READ_BYTES
from nvr.media.fragment import pieces, samples
from nvr.media.track import TrackConfig
from tests.app.box import RunningBox, running_box
from tests.app.test_onvif_device import Device
from tests.capture.test_source import gst_camera
from tests.faults.proxy import Proxy, proxy
from tests.ports import free_port

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.needs("gst-rtsp-server")]
GATE = '[[camera]]\nname = "gate"\nurl = "rtsp://127.0.0.1:{port}/camera"\n'
TRACKS = (
    TrackConfig("video", "h264", 90_000, b"", 320, 180),
    TrackConfig("audio", "flac", 8000, b"", channels=1),  # G.711, as a browser takes it
)
MBIT_S = 2
"""A little faster than the camera sends: slow enough to be killed at it."""
LEAST_S = 3
EVER = f"from_us=0&to_us={10**16}"


@dataclass
class Scene:
    """A recorder, the camera that it records, and the wire between them."""

    device: Device
    wire: Proxy
    directory: Path

    @asynccontextmanager
    async def recorder(self, backfill: str, name: str = "far") -> AsyncIterator[RunningBox]:
        directory = self.directory / f"{name}-{time.monotonic_ns()}"
        (directory / "data").mkdir(parents=True)
        secrets = directory / "data" / "secrets.toml"
        secrets.write_text(f'[camera.{name}]\npassword = "{self.device.secrets["host"]}"\n')
        secrets.chmod(0o600)
        more = (
            f'[[camera]]\nname = "{name}"\nurl = "{self.wire.url("cam/gate")}"\nuser = "host"\n'
            f'[camera.onvif]\naddress = "127.0.0.1:{self.device.port}"\nevents = false\n'
            f"[camera.backfill]\n{backfill}\n"
        )
        async with running_box(directory, more) as box:
            await box.until(name, "state", "live", 60)
            yield box


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def scene(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Scene]:
    directory: Path = tmp_path_factory.mktemp("camera")
    async with (
        gst_camera("h264-pcma") as port,
        running_box(directory, GATE.format(port=port)) as box,
    ):
        device = Device(box, free_port())
        await device.switch_on()
        rights = {"gate": ["live", "playback", "unmasked"]}  # so that it is offered one recording
        body = {"name": "host", "rights": rights, "tokens": True}
        device.secrets["host"] = (await box.call("POST", "/api/machine", body, 201))["secret"]
        await box.until("gate", "state", "live", 60)
        with proxy(box.rtsp_port) as wire:
            yield Scene(device, wire, tmp_path_factory.mktemp("recorders"))


async def ranges(box: RunningBox, camera: str) -> Any:
    return await box.call("GET", f"/api/camera/{camera}/ranges?{EVER}")


async def recorded(box: RunningBox, camera: str, seconds: float) -> None:
    """Wait until so much more is durable."""
    until_us = time.time_ns() // 1000 + seconds * 1e6
    async with asyncio.timeout(60 + seconds):
        while (await box.camera(camera))["recorded_until_us"] < until_us:
            await asyncio.sleep(0.2)


async def cut(scene: Scene, box: RunningBox, camera: str, seconds: float) -> None:
    """Pull the cable for a while."""
    scene.wire.close_listener()
    await box.until(camera, "state", lambda state: state != "live", 60)
    await asyncio.sleep(seconds)
    scene.wire.open_listener()
    await box.until(camera, "state", "live", 60)


async def filled(box: RunningBox, camera: str, least_s: float, timeout_s: float = 120) -> Any:
    """Wait until no gap is left that is long enough to be fetched, and the fetching rests."""
    async with asyncio.timeout(timeout_s):
        while True:
            found = await ranges(box, camera)
            long = [it for it in found["gaps"] if it["to_us"] - it["from_us"] > least_s * 1e6]
            # What came is seen before the box has judged it.
            _, body = await box.take("/metrics")
            rests = f'nvr_backfill_state{{camera="{camera}",state="idle"}} 1'.encode() in body
            if rests and not long and any(run["fetch"] for run in found["runs"]):
                return found
            await asyncio.sleep(0.5)


async def lost_gap(box: RunningBox, camera: str, least_s: float) -> Any:
    """Wait until a gap that the camera caused is over and told."""
    async with asyncio.timeout(60):
        while True:
            for gap in (await ranges(box, camera))["gaps"]:
                long = gap["to_us"] - gap["from_us"] > least_s * 1e6
                if gap["cause"] == "camera" and long and not gap["open"]:
                    return gap
            await asyncio.sleep(0.2)


async def units(box: RunningBox, camera: str, from_us: int, to_us: int) -> tuple[list[str], float]:
    """Hashes of the access units of a stretch, and seconds of sound, as the page is given them."""
    at_us, place, found, heard_90k = from_us, "", [], 0
    while at_us is not None and at_us < to_us:
        path = f"/api/camera/{camera}/gop?t_us={at_us}{place}"
        headers, data = await box.take(path)
        of = [one for piece in pieces(data) for one in samples(piece, TRACKS)]
        found += [hashlib.sha256(slices(one.data)).hexdigest() for one in of if one.track == 0]
        heard_90k += sum(one.duration_90k for one in of if one.track == 1)
        following = headers["X-NVR-Next-Us"]
        at_us = int(following) if following else None
        place = f"&place={headers['X-NVR-Next']}"
    return found, heard_90k / 90_000


def slices(data: bytes) -> bytes:
    """An access unit without its parameter sets, which may come in band or not."""
    out, at = [], 0
    while at < len(data):
        size = int.from_bytes(data[at : at + 4], "big")
        nal = data[at + 4 : at + 4 + size]
        if nal[0] & 31 not in {7, 8, 9}:
            out.append(nal)
        at += 4 + size
    return b"".join(out)


def all_there(mine: list[str], known: list[str]) -> bool:
    """Whether `mine` are the pictures of `known` from the first to the last of them.

    Where two stretches meet a group of pictures may be given twice, from its key frame on.
    """
    places = [known.index(one) for one in mine if one in known]
    return len(places) == len(mine) and set(places) == set(range(min(places), max(places) + 1))


async def same_pictures(scene: Scene, box: RunningBox, from_us: int, to_us: int) -> None:
    """Picture for picture what the camera recorded, over both ends of the gap, and its sound."""
    mine, heard_s = await units(box, "far", from_us, to_us)
    device = scene.device.box
    known, _ = await units(device, "gate", from_us - 30_000_000, to_us + 30_000_000)
    assert len(mine) > 5 * (to_us - from_us) / 1e6
    assert all_there(mine, known)
    assert abs(heard_s - len(mine) / 25) < 1


def told(box: RunningBox, event: str) -> list[dict[str, str]]:
    """What the log says with an event."""
    lines = (box.data.parent / "log").read_text(encoding="utf-8").splitlines()
    found = [line.partition(f" {event} ")[2] for line in lines if f" {event} " in line]
    return [dict(re.findall(r'(\w+)="?([^" ]*)', line)) for line in found]


async def until_told(box: RunningBox, event: str, times: int) -> list[dict[str, str]]:
    async with asyncio.timeout(120):
        while len(found := told(box, event)) < times:
            await asyncio.sleep(0.1)
    return found


@pytest.mark.timeout(400)
async def test_what_was_missed_is_fetched_over_a_kill_and_a_loss_and_says_so(scene: Scene) -> None:
    async with scene.recorder(f"mbit_s = {MBIT_S}\nleast_s = {LEAST_S}") as box:
        await recorded(box, "far", 2)
        await cut(scene, box, "far", 8)
        gap = await lost_gap(box, "far", LEAST_S)
        (whole,) = await until_told(box, "backfill.begun", 1)
        left_s = whole_s = float(whole["length_s"])
        async with asyncio.timeout(120):
            while left_s > whole_s - 1:  # until some of it is durable
                await asyncio.sleep(0.1)
                gaps = (await ranges(box, "far"))["gaps"]
                left_s = max(gap["to_us"] - gap["from_us"] for gap in gaps) / 1e6
        await box.end(SIGKILL)
        await box.start()
        await box.log_in()
        _, rest = await until_told(box, "backfill.begun", 2)
        assert float(rest["length_s"]) < left_s + 0.5
        scene.wire.close_listener()
        lost = await until_told(box, "backfill.failed", 1)
        assert lost[0]["code"] == "backfill.lost"
        scene.wire.open_listener()
        runs = (await filled(box, "far", LEAST_S, 300))["runs"]
        assert all(one["to_us"] <= two["from_us"] for one, two in itertools.pairwise(runs))
        fetched = [run for run in runs if run["fetch"]]
        assert abs(fetched[0]["from_us"] - gap["from_us"]) < 1_000_000
        source = f"127.0.0.1:{scene.device.port} gate.main"
        for run in fetched:
            assert (run["fetch"]["source"], run["fetch"]["code"]) == (source, "")
            assert run["fetch"]["at_us"] > gap["to_us"]
        await same_pictures(scene, box, fetched[0]["from_us"], fetched[-1]["to_us"])
        for one in told(box, "backfill.ended"):
            took_s, size = float(one["took_s"]), int(one["bytes"])
            # What is read first is not waited for: at most as much as one read brings.
            assert size * 8 <= MBIT_S * 1e6 * took_s * 1.05 + READ_BYTES * 8
        assert sum(int(one["bytes"]) for one in told(box, "backfill.ended")) > 100_000
        _, body = await box.take("/metrics")
        counted = re.search(rb"nvr_backfill_filled_seconds_total\S* (\S+)", body)
        assert counted is not None
        assert float(counted[1]) > LEAST_S
        listed = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "nvr", "gaps", str(box.data), "--camera", "far",
            stdout=asyncio.subprocess.PIPE,
        )  # fmt: skip
        out, _ = await listed.communicate()
        assert f"fetched from {source} at " in out.decode()
        await set_otherwise(box)


async def set_otherwise(box: RunningBox) -> None:
    """It is switched off and on again over the API, for good."""
    path = "/api/camera/far/backfill"
    now = await box.call("GET", path)
    usual = {"back_h": 24, "recording": ""}
    assert now == {"on": True, "mbit_s": MBIT_S, "least_s": LEAST_S, **usual}
    off = await box.call("PUT", path, {"on": False, "mbit_s": 20})
    assert off == {"on": False, "mbit_s": 20, "least_s": 5, **usual}
    _, body = await box.take("/metrics")
    async with asyncio.timeout(60):
        while b'nvr_backfill_state{camera="far"' in body:
            await asyncio.sleep(0.2)
            _, body = await box.take("/metrics")
    on = await box.call("PUT", path, {"on": True})
    assert on == {"on": True, "mbit_s": 8, "least_s": 5, **usual}
    assert (await box.call("PUT", path.replace("far", "dome"), now, 409))["code"] == (
        "config.refused"
    )
