"""GStreamer as camera, our client, ingest and server, ffmpeg and GStreamer as readers."""

import asyncio
import json
from contextlib import asynccontextmanager, suppress
from itertools import pairwise

import pytest

from nvr.base.clock import SystemClock
from nvr.capture.rtsp import Caller, nobody
from nvr.capture.source import Source
from nvr.media.ingest import Ingest
from nvr.serve.rtsp import RtspServer
from tests.capture.test_source import gst_camera
from tests.ports import free_port
from tests.serve.test_rtsp_peers import ffmpeg, run, stamps

FAULTS = ("error while decoding", "non-existing", "concealing", "non monoton", "invalid nal")


@asynccontextmanager
async def box(camera_port, scheme="rtsp", **options):
    """A recorder with one camera: its stream, its server's port, its parts, its source."""
    clock = SystemClock()
    parts = []
    ingest = Ingest(parts.extend, clock)
    stream = ingest.stream("gate/main")
    source = Source(
        "gate",
        Caller(f"{scheme}://127.0.0.1:{camera_port}/camera", nobody, clock, **options),
        stream,
        clock=clock,
    )
    server = RtspServer({"gate": stream}.get, None, clock=clock)
    port = server.listen("127.0.0.1", 0)
    ingest_task = asyncio.create_task(ingest.run())
    tasks = [asyncio.create_task(source.run()), asyncio.create_task(server.run())]
    try:
        yield stream, port, parts, source
    finally:
        for task in (*tasks, ingest_task):
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task


async def until(true, timeout_s=10.0):
    async with asyncio.timeout(timeout_s):
        while not true():
            await asyncio.sleep(0.05)


async def recorded_and_read(codecs, port, parts, source):
    """What ffmpeg makes of `codecs` behind our server, and what ingest made of the camera."""
    url = f"rtsp://127.0.0.1:{port}/cam/gate"
    code, out, err = await run(
        "ffprobe", "-v", "error", "-rtsp_transport", "tcp", "-show_streams", "-of", "json", url
    )
    assert code == 0, err
    assert [s["codec_name"] for s in json.loads(out)["streams"]] == codecs
    code, out, err = await run(*ffmpeg(url, 2))
    assert code == 0, err
    for fault in FAULTS:
        assert fault not in err.lower(), err
    video = stamps(out, 0)
    assert len(video) > 35
    assert all(later > earlier for earlier, later in pairwise(video))
    assert source.state.state == "live"
    assert sum(part.damaged for part in parts) == 0
    assert len(parts) > 3


@pytest.mark.needs("gst-rtsp-server")
@pytest.mark.parametrize(
    ("kind", "codecs"),
    [
        ("h264-aac", ["h264", "aac"]),
        ("h265", ["hevc"]),
        ("h264-b", ["h264"]),
        ("h264-pcmu", ["h264", "pcm_mulaw"]),
        ("h264-sdp-only", ["h264"]),
        ("h264-latm", ["h264", "aac"]),
        ("jpeg-pcma", ["mjpeg", "pcm_alaw"]),
        ("jpeg-quality", ["mjpeg"]),
    ],
)
async def test_what_the_camera_sends_is_recorded_and_read(kind, codecs):
    async with gst_camera(kind) as camera_port, box(camera_port) as (_, port, parts, source):
        await recorded_and_read(codecs, port, parts, source)


@pytest.mark.needs("gst-rtsp-server")
async def test_gstreamer_reads_jpeg_too_large_for_its_packets():
    async with gst_camera("jpeg-large") as camera_port, box(camera_port) as (_, port, _, source):
        await until(lambda: source.state.state == "live")
        url = f"rtsp://127.0.0.1:{port}/cam/gate"
        _, said, _ = await run(
            "/usr/bin/python3", "tests/peers/gst_reader.py", url, "3", timeout_s=40
        )
    seen = json.loads(said)
    assert seen["error"] == ""
    assert seen["caps"] == {"video": "JPEG"}
    assert seen["frames"] > 30


@pytest.mark.needs("gst-rtsp-server")
async def test_readers_survive_the_camera_s_reboot():
    camera_port = free_port()
    async with box(camera_port) as (_, port, parts, source):
        url = f"rtsp://127.0.0.1:{port}/cam/gate"
        async with gst_camera("h264-pcma", port=camera_port):
            await until(lambda: source.state.state == "live")
            reader = asyncio.create_task(run(*ffmpeg(url, 9), timeout_s=40))
            gst = asyncio.create_task(
                run("/usr/bin/python3", "tests/peers/gst_reader.py", url, "11", timeout_s=40)
            )
            await asyncio.sleep(3)
        await until(lambda: source.state.state == "lost")
        async with gst_camera("h264-pcma", port=camera_port):
            await until(lambda: source.state.state == "live")
            code, out, err = await reader
            seen = json.loads((await gst)[1])
    assert code == 0, err
    for fault in FAULTS:
        assert fault not in err.lower(), err
    video = stamps(out, 0)
    assert all(later > earlier for earlier, later in pairwise(video))
    assert max(later - earlier for earlier, later in pairwise(video)) > 25, "it was away"
    assert len(video) > 90
    assert seen["error"] == ""
    shown = seen["video_pts_s"]
    assert max(later - earlier for earlier, later in pairwise(shown)) > 1.0
    assert abs(shown[-1] - seen["audio_pts_s"][-1]) < 0.3, "sound and picture drifted apart"
    assert len({part.run for part in parts}) == 2
