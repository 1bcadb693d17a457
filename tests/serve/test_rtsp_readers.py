"""Everybody's reader in every way there is: ffmpeg, GStreamer, PyAV, aiortsp and our own client.

All at a time, four at once, from one server with a log-in; each row of the table is one test. VLC
is not among them: Debian's build cannot play RTSP.
"""

import asyncio
import json
import sys
from collections.abc import AsyncIterator
from dataclasses import dataclass

import av
import pytest
import pytest_asyncio

from nvr.base.clock import SystemClock
from nvr.capture.rtsp import Account, Caller
from nvr.capture.source import Source
from nvr.media.ingest import Ingest
from tests.serve.source import Camera, listening, running, serving
from tests.serve.test_rtsp_peers import SECRET, USER, access, made_certificate, run

pytestmark = pytest.mark.asyncio(loop_scope="module")
PICTURES = 40
FAULTS = ("error while decoding", "missed", "concealing", "non-existing", "non monoton")
FFMPEG = {"tcp": "tcp", "udp": "udp", "tls": "tcp", "http": "http", "https": "https"}
GSTREAMER = {"tcp": "rtspt", "udp": "rtspu", "tls": "rtspst", "http": "rtsph", "https": "rtspsh"}
AIORTSP = {"tcp": "rtspt", "udp": "rtsp", "tls": "rtsps"}


@dataclass(frozen=True)
class Ports:
    plain: int
    tls: int

    def url(self, way: str, scheme: str = "", *, login: bool = True) -> str:
        secure = way in {"tls", "https"}
        who = f"{USER}:{SECRET}@" if login else ""
        port = self.tls if secure else self.plain
        return f"{scheme or ('rtsps' if secure else 'rtsp')}://{who}127.0.0.1:{port}/cam/gate"


async def ffmpeg(ports: Ports, way: str) -> None:
    code, out, err = await run(
        "ffmpeg", "-hide_banner", "-rtsp_transport", FFMPEG[way], "-i", ports.url(way),
        "-map", "0:v", "-frames:v", str(PICTURES), "-f", "framehash", "-hash", "CRC32", "-",
        timeout_s=60,
    )  # fmt: skip
    assert code == 0, err
    assert not [fault for fault in FAULTS if fault in err.lower()], err
    assert len([line for line in out.splitlines() if line and line[0] != "#"]) == PICTURES


async def gstreamer(ports: Ports, way: str) -> None:
    url = ports.url(way, GSTREAMER[way], login=False)
    code, out, err = await run(
        "gst-launch-1.0", "-q", "rtspsrc", f"location={url}",
        f"user-id={USER}", f"user-pw={SECRET}",
        "tls-validation-flags=0", "!", "rtph264depay", "!", "h264parse", "!", "avdec_h264", "!",
        "identity", f"eos-after={PICTURES}", "!", "fakesink", timeout_s=60,
    )  # fmt: skip
    assert code == 0, out + err


async def pyav(ports: Ports, way: str) -> None:
    def read() -> int:
        options = {"rtsp_transport": FFMPEG[way]}
        with av.open(ports.url(way), options=options, timeout=30) as stream:
            return sum(1 for _ in zip(stream.decode(video=0), range(PICTURES), strict=False))

    assert await asyncio.to_thread(read) == PICTURES


async def aiortsp(ports: Ports, way: str) -> None:
    code, out, err = await run(
        sys.executable, "tests/peers/aiortsp_reader.py", ports.url(way, AIORTSP[way]),
        str(PICTURES), timeout_s=60,
    )  # fmt: skip
    assert code == 0, err
    assert json.loads(out) == {"pictures": PICTURES, "missed": 0}


async def ours(ports: Ports, way: str) -> None:
    """The recorder's own client and ingest."""
    clock, parts = SystemClock(), []
    ingest = Ingest(parts.extend, clock)
    transport = {"tls": "tcp", "https": "http"}.get(way, way)
    caller = Caller(
        ports.url(way, login=False), lambda: Account(USER, SECRET), clock, transport=transport
    )
    source = Source("gate", caller, ingest.stream("gate/main"), clock=clock)
    async with running(ingest.run()), running(source.run()):
        async with asyncio.timeout(60):
            while len(parts) < 4:
                await asyncio.sleep(0.05)
        assert (source.carried.way, source.carried.instead_of) == (transport, "")
        assert source.tally.stats().lost == 0


READERS = {
    "ffmpeg": (ffmpeg, FFMPEG),
    "gstreamer": (gstreamer, GSTREAMER),
    "pyav": (pyav, FFMPEG),
    "aiortsp": (aiortsp, AIORTSP),
    "ours": (ours, FFMPEG),
}
NEEDS = {"ffmpeg": "ffmpeg", "gstreamer": "gst-rtsp-server"}
TABLE = [(name, way) for name, (_, ways) in READERS.items() for way in ways]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def shown(tmp_path_factory) -> AsyncIterator[dict[tuple[str, str], asyncio.Task[None]]]:
    """What became of each reader."""
    camera, tls = Camera(), made_certificate(tmp_path_factory.mktemp("tls"))
    four = asyncio.Semaphore(4)

    async def read(ports: Ports, name: str, way: str) -> None:
        async with four:
            await READERS[name][0](ports, way)

    async with (
        serving({"gate": camera}, access(), datagrams=True) as (_, plain),
        listening({"gate": camera}, access(), tls) as (_, secure),
    ):
        ports = Ports(plain, secure)
        tasks = {row: asyncio.create_task(read(ports, *row)) for row in TABLE}
        await asyncio.wait(tasks.values())
        yield tasks


@pytest.mark.parametrize(
    ("name", "way"),
    [
        pytest.param(name, way, marks=[pytest.mark.needs(NEEDS[name])] if name in NEEDS else [])
        for name, way in TABLE
    ],
)
async def test_a_reader_gets_the_pictures(shown, name, way):
    await shown[name, way]
