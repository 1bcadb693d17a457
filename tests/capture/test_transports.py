"""Cameras over UDP and multicast: GStreamer's RTSP server, our client and ingest, ffmpeg behind."""

import json
import sys

import pytest

from nvr.base.permit import Permit
from nvr.capture.rtsp import Account
from nvr.media.transport import Carried
from tests.capture.crooked import Path, crooked
from tests.capture.test_secure import certificate
from tests.capture.test_source import Watched, gst_camera, liar
from tests.capture.test_through import box, recorded_and_read, until
from tests.serve.test_rtsp_peers import run


@pytest.mark.needs("gst-rtsp-server")
@pytest.mark.parametrize(
    ("over", "carried"),
    [
        ("udp", Carried("udp", "tcp", "refused")),
    ],
)
async def test_a_camera_that_refuses_the_others_is_recorded_over_what_it_offers(over, carried):
    async with (
        gst_camera("h264-pcma", "--over", over) as camera_port,
        box(camera_port) as (_, port, parts, source),
    ):
        await recorded_and_read(["h264", "pcm_alaw"], port, parts, source)
        assert source.carried == carried
        stats = source.tally.stats()
        assert (stats.lost, stats.foreign, stats.overrun) == (0, 0, 0)
        assert stats.jitter_s > 0


@pytest.mark.needs("gst-rtsp-server")
async def test_rtsp_through_http_is_recorded():
    async with (
        gst_camera("h264-pcma") as camera_port,
        box(camera_port, transport="http") as (_, port, parts, source),
    ):
        await recorded_and_read(["h264", "pcm_alaw"], port, parts, source)
        assert source.carried == Carried("http")
        assert source.tally.stats().lost == 0


@pytest.mark.needs("gst-rtsp-server")
async def test_rtsp_through_https_is_recorded(tmp_path):
    async with (
        gst_camera("h264", "--certificate", certificate(tmp_path)) as camera_port,
        box(camera_port, "rtsps", transport="http") as (_, port, parts, source),
    ):
        await recorded_and_read(["h264"], port, parts, source)
        assert source.carried == Carried("http", proof="unverified")


@pytest.mark.needs("gst-rtsp-server")
async def test_a_password_is_asked_for_inside_the_tunnel():
    async with gst_camera("h264", "--user", "u", "--password", "p") as port:
        url = f"rtsp://127.0.0.1:{port}/camera"
        async with (
            Watched(url, Account("u", "p"), transport="http") as right,
            Watched(url, Account("u", "q"), transport="http") as wrong,
        ):
            await wrong.until("refused", "camera.refused")
            await right.until("live", "")


@pytest.mark.needs("gst-rtsp-server")
async def test_a_path_that_swaps_and_doubles_packets_costs_nothing():
    async with (
        gst_camera("h264-pcma", "--over", "udp") as camera_port,
        crooked(camera_port, Path(swap=0.1, double=0.05)) as path,
        box(path.port) as (_, port, parts, source),
    ):
        await recorded_and_read(["h264", "pcm_alaw"], port, parts, source)
        stats = source.tally.stats()
        assert path.swapped > 5
        assert (stats.lost, stats.damaged) == (0, 0)
        assert stats.restored > 0
        assert path.punched >= 1, "the way was opened"


@pytest.mark.needs("gst-rtsp-server")
async def test_a_path_that_loses_packets_is_counted_and_marks_pictures():
    async with (
        gst_camera("h264", "--over", "udp") as camera_port,
        crooked(camera_port, Path(drop=0.03, swap=0.05)) as path,
        box(path.port) as (_, _, parts, source),
    ):
        await until(lambda: path.dropped > 8, timeout_s=60)
        path.drop = path.swap = 0.0
        before = path.passed
        await until(lambda: path.passed > before + 60, timeout_s=60)
        await until(lambda: source.tally.stats().lost == path.dropped)
        stats = source.tally.stats()
        assert 1 <= stats.damaged <= 2 * path.dropped
        await until(lambda: sum(part.damaged for part in parts) == stats.damaged)
        assert sum(part.samples for part in parts) > stats.damaged
        assert source.tally.connections == 1


@pytest.mark.needs("gst-rtsp-server")
@pytest.mark.parametrize(
    "told",
    [
        "server_port=9-10;source=192.0.2.77",  # ports it does not send from, another's address
        "mode=play",  # none at all
    ],
)
async def test_a_camera_that_lies_about_where_it_sends_from_is_heard(told):
    async with (
        gst_camera("h264", "--over", "udp") as camera_port,
        crooked(camera_port, Path(), told=told) as path,
        box(path.port, permit=Permit(["127.0.0.1:*"])) as (_, _, parts, source),
    ):
        await until(lambda: source.state.state == "live" and parts, timeout_s=20)
        stats = source.tally.stats()
        assert (stats.lost, stats.foreign) == (0, 0)


@pytest.mark.needs("gst-rtsp-server")
async def test_a_multicast_camera_is_recorded_on_the_interface_it_is_reached_by():
    apart = ("unshare", "--user", "--map-root-user", "--net")
    code, _, err = await run(*apart, "ip", "link")
    if code:
        pytest.skip(f"no network namespaces here: {err}")
    code, out, err = await run(*apart, sys.executable, "-m", "tests.capture.apart", timeout_s=100)
    assert code == 0, err
    told = json.loads(out)
    assert told["carried"]["way"] == "multicast"
    stats = told["stats"]
    assert stats["frames"] >= 75
    assert stats["sound"] > 10
    assert (stats["lost"], stats["damaged"], stats["foreign"]) == (0, 0, 0)
    group = "01014DEF"  # 239.77.1.1, joined where the camera is and nowhere else
    found = [part.split()[0] for part in told["groups"].split("\n1\t")[-1].split("\n2\t")]
    assert found == ["lo", "cam0"]
    assert group not in told["groups"].partition("cam0")[0]
    assert group in told["groups"].partition("cam0")[2]


async def test_a_redirect_to_a_stranger_is_followed_without_our_password():
    heard = []

    async def stranger(reader, writer):
        while line := await reader.readline():
            heard.append(line)
            if line == b"\r\n":
                writer.write(b'RTSP/1.0 401 No\r\nWWW-Authenticate: Basic realm="x"\r\n\r\n')
        writer.close()

    async with liar(stranger) as there:
        location = there.replace("127.0.0.1", "localhost").encode()

        async def camera(reader, writer):
            await reader.readuntil(b"\r\n\r\n")
            writer.write(b"RTSP/1.0 302 Moved\r\nLocation: " + location + b"\r\n\r\n")
            await reader.read()
            writer.close()

        async with liar(camera) as url, Watched(url, Account("u", "secret")) as source:
            await source.until("lost", "camera.redirected")
        assert any(line.startswith(b"OPTIONS") for line in heard)
        assert not any(b"uthorization" in line for line in heard)
