"""ffmpeg and GStreamer as readers of our server."""

import asyncio
import hashlib
import json
import ssl
from datetime import UTC, datetime, timedelta
from itertools import pairwise

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from nvr.base.errors import Rejected
from nvr.serve.rtsp import ACTIONS, Limits
from nvr.serve.rtsp_login import Access
from tests.serve.source import Camera, serving

USER, SECRET = "upstream", "k7w2"


def access(asked=None, algorithms=("SHA-256", "MD5")):
    def lookup(user, algorithm):
        if user != USER or algorithm not in algorithms:
            return None
        hasher = hashlib.md5 if algorithm == "MD5" else hashlib.sha256
        return hasher(f"{USER}:nvr:{SECRET}".encode()).hexdigest()

    def authorise(user, action, camera, span):
        assert span is None
        assert action in ACTIONS
        if asked is not None:
            asked.append((user, action, camera))
        if camera != "gate":
            raise Rejected("auth.denied", "no right to this camera", camera=camera)

    return Access(lookup, authorise, lambda _user, _address: None, lambda _attempt: None)


async def run(*command, timeout_s=30):
    process = await asyncio.create_subprocess_exec(
        *command, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
    )
    try:
        out, err = await asyncio.wait_for(process.communicate(), timeout_s)
    except TimeoutError:
        process.kill()
        out, err = await process.communicate()
        pytest.fail(f"{command[0]} did not end: {err.decode(errors='replace')[-2000:]}")
    return process.returncode, out.decode(), err.decode(errors="replace")


@pytest.fixture
def certificate(tmp_path):
    return made_certificate(tmp_path)


def made_certificate(directory):
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "box")])
    now = datetime.now(UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .sign(key, hashes.SHA256())
    )
    path = directory / "box.pem"
    path.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
        + made.public_bytes(serialization.Encoding.PEM)
    )
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(path)
    return context


async def watched(camera):
    async with asyncio.timeout(10):
        while not camera.relays:
            await asyncio.sleep(0.01)


def ffmpeg(url, seconds=2):
    return (
        "ffmpeg", "-hide_banner", "-rtsp_transport", "tcp", "-i", url, "-t", str(seconds),
        "-f", "framehash", "-hash", "CRC32", "-",
    )  # fmt: skip


def stamps(framehash, stream):
    rows = [line.split(",") for line in framehash.splitlines() if line and line[0] != "#"]
    return [int(row[2]) for row in rows if int(row[0]) == stream]


@pytest.mark.needs("ffmpeg")
async def test_ffprobe_sees_both_tracks_with_digest():
    asked = []
    async with serving({"gate": Camera()}, access(asked)) as (_, port):
        code, out, err = await run(
            "ffprobe", "-v", "error", "-rtsp_transport", "tcp", "-show_streams", "-of", "json",
            f"rtsp://{USER}:{SECRET}@127.0.0.1:{port}/cam/gate",
        )  # fmt: skip
    assert code == 0, err
    video, audio = json.loads(out)["streams"]
    assert (video["codec_name"], video["width"], video["height"]) == ("h264", 320, 180)
    assert video["r_frame_rate"] == "25/1"
    assert (audio["codec_name"], audio["sample_rate"]) == ("pcm_alaw", "8000")
    assert [action.split()[1] for _, action, _ in asked][:4] == [
        "DESCRIBE",
        "SETUP",
        "SETUP",
        "PLAY",
    ]
    assert {user for user, _, _ in asked} == {USER}


@pytest.mark.needs("ffmpeg")
async def test_a_wrong_password_or_another_camera_gets_nothing():
    async with serving({"gate": Camera(), "yard": Camera()}, access()) as (_, port):
        for who, name, expected in (
            (f"{USER}:wrong@", "gate", "401"),
            ("", "gate", "401"),
            (f"{USER}:{SECRET}@", "yard", "403"),
        ):
            code, _, err = await run(*ffmpeg(f"rtsp://{who}127.0.0.1:{port}/cam/{name}"))
            assert code != 0
            assert expected in err


@pytest.mark.needs("ffmpeg")
async def test_ffmpeg_decodes_without_a_fault_and_through_a_reconnect():
    camera = Camera()
    async with serving({"gate": camera}) as (_, port):
        reader = asyncio.create_task(run(*ffmpeg(f"rtsp://127.0.0.1:{port}/cam/gate", 5)))
        await watched(camera)
        await asyncio.sleep(2.2)
        camera.present = False
        await asyncio.sleep(0.7)
        camera.present = True
        code, out, err = await reader
    assert code == 0, err
    for fault in ("error while decoding", "missed", "non-existing", "concealing", "non monoton"):
        assert fault not in err.lower(), err
    # Before the cut, 0.7 s of nothing, after the cut: time went on for both tracks.
    video = stamps(out, 0)
    assert all(later > earlier for earlier, later in pairwise(video))
    assert len(video) > 60


async def gstreamer(port, *, seconds, secret=SECRET):
    code, out, err = await run(
        "/usr/bin/python3", "tests/peers/gst_reader.py", f"rtsp://127.0.0.1:{port}/cam/gate",
        str(seconds), "--user", USER, "--password", secret,
    )  # fmt: skip
    assert code == 0, err
    return json.loads(out)


@pytest.mark.needs("gst-rtsp-server")
async def test_gstreamer_plays_with_digest_and_through_a_reconnect():
    camera = Camera()
    async with serving({"gate": camera}, access()) as (_, port):
        reader = asyncio.create_task(gstreamer(port, seconds=6))
        await watched(camera)
        await asyncio.sleep(1.5)
        camera.present = False
        await asyncio.sleep(0.7)
        camera.present = True
        seen = await reader
    assert seen["error"] == ""
    assert seen["caps"] == {"video": "H264", "audio": "PCMA"}
    video = seen["video_pts_s"]
    assert seen["frames"] > 75
    assert all(later > earlier for earlier, later in pairwise(video))
    gaps = [later - earlier for earlier, later in pairwise(video)]
    assert [gap for gap in gaps if gap > 0.3] == [pytest.approx(0.7, abs=0.3)]
    # Sound and picture left the camera together and are shown together.
    assert abs(video[-1] - seen["audio_pts_s"][-1]) < 0.2


@pytest.mark.needs("gst-rtsp-server")
async def test_gstreamer_with_a_wrong_password_is_refused():
    async with serving({"gate": Camera()}, access()) as (_, port):
        seen = await gstreamer(port, seconds=10, secret="wrong")
    assert "nauthorized" in seen["error"]
    assert seen["frames"] == 0


@pytest.mark.needs("ffmpeg")
async def test_a_changed_format_ends_the_reader_cleanly():
    camera = Camera(sound=False)
    async with serving({"gate": camera}, limits=Limits(config_wait_s=1.0)) as (server, port):
        reader = asyncio.create_task(run(*ffmpeg(f"rtsp://127.0.0.1:{port}/cam/gate", 20)))
        await watched(camera)
        await asyncio.sleep(1.5)
        camera.config = Camera(sound=False, size=(160, 96)).config
        await asyncio.wait_for(reader, 10)
        assert server.readers() == ()
        assert camera.relays == []
