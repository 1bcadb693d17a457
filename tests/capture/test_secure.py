"""Cameras behind ``rtsps://``: GStreamer's server with TLS, and what only pretends to be one."""

import ssl
from datetime import UTC, datetime, timedelta

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from nvr.capture.rtsp import Account, untrusting_tls
from tests.capture.test_source import Watched, gst_camera, liar
from tests.capture.test_through import box, recorded_and_read, until
from tests.ports import free_port

pytestmark = pytest.mark.needs("gst-rtsp-server")

# What cameras in the field have: none of these proves who the camera is.
KINDS = ["its own", "another's name", "expired", "a short key"]


def certificate(directory, kind="its own"):
    """A self-signed certificate and its key in one file."""
    short = kind == "a short key"
    key = (
        rsa.generate_private_key(65537, 1024) if short else ec.generate_private_key(ec.SECP256R1())
    )
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "ipcam")])
    now = datetime.now(UTC)
    age = timedelta(days=4000 if kind == "expired" else 1)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - age)
        .not_valid_after(now - age + timedelta(days=30))
    )
    if kind == "another's name":
        other = x509.SubjectAlternativeName([x509.DNSName("somebody-else.example")])
        made = made.add_extension(other, critical=False)
    pem = serialization.Encoding.PEM
    pkcs8, plain = serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    path = directory / f"{kind}.pem"
    path.write_bytes(
        made.sign(key, hashes.SHA256()).public_bytes(pem) + key.private_bytes(pem, pkcs8, plain)
    )
    return str(path)


@pytest.mark.parametrize(("kind", "codecs"), [("h264-aac", ["h264", "aac"]), ("h265", ["hevc"])])
async def test_what_comes_over_tls_is_recorded_and_read(tmp_path, kind, codecs):
    async with (
        gst_camera(kind, "--certificate", certificate(tmp_path)) as camera_port,
        box(camera_port, "rtsps") as (_, port, parts, source),
    ):
        await recorded_and_read(codecs, port, parts, source)


async def test_a_camera_that_reboots_with_a_new_certificate_is_recorded_again(tmp_path):
    port = free_port()
    async with box(port, "rtsps") as (_, _, parts, source):
        async with gst_camera("h264", "--certificate", certificate(tmp_path), port=port):
            await until(lambda: parts)
        await until(lambda: source.state.state == "lost")
        async with gst_camera("h264", "--certificate", certificate(tmp_path), port=port):
            await until(lambda: source.state.state == "live")
            await until(lambda: len({part.run for part in parts}) == 2)


@pytest.mark.parametrize("kind", KINDS)
async def test_a_certificate_that_proves_nothing_is_taken(tmp_path, kind):
    async with gst_camera(
        "h264", "--certificate", certificate(tmp_path, kind), "--user", "u", "--password", "p"
    ) as port:
        url = f"rtsps://127.0.0.1:{port}/camera"
        async with Watched(url, Account("u", "p")) as camera:
            await camera.until("live", "")
        async with Watched(url, Account("u", "q")) as camera:
            await camera.until("refused", "camera.refused")


async def test_who_asks_for_a_proof_gets_none_from_a_camera(tmp_path):
    """The other side of the table: the context decides, nothing else looks at certificates."""
    proving = ssl.create_default_context()
    async with gst_camera("h264", "--certificate", certificate(tmp_path)) as port:
        async with Watched(f"rtsps://127.0.0.1:{port}/camera", tls=proving) as camera:
            await camera.until("lost", "camera.certificate")
            assert "self" in camera.source.state.detail
        assert untrusting_tls().verify_mode is ssl.CERT_NONE


def fingerprint(path):
    with open(path, "rb") as file:
        shown = x509.load_pem_x509_certificate(file.read())
    return shown.fingerprint(hashes.SHA256()).hex()


async def test_a_pinned_certificate_is_the_only_one_that_hears_a_word(tmp_path):
    mine, other = certificate(tmp_path), certificate(tmp_path, "another's name")
    async with gst_camera("h264", "--certificate", mine, "--user", "u", "--password", "p") as port:
        url, who = f"rtsps://127.0.0.1:{port}/camera", Account("u", "p")
        async with (
            Watched(url, who, pin=fingerprint(mine)) as right,
            Watched(url, who, pin=fingerprint(other)) as wrong,
        ):
            await right.until("live", "")
            await wrong.until("lost", "camera.certificate")
            seen = wrong.caller.memory.fingerprint
        assert seen == fingerprint(mine), "what a person may pin is what the camera shows"


async def test_a_certificate_of_one_s_own_ca_is_taken_and_no_other(tmp_path):
    mine = certificate(tmp_path)
    async with gst_camera("h264", "--certificate", mine) as port:
        for name, outcome in (("ipcam", ("live", "")), ("", ("lost", "camera.certificate"))):
            trusting = ssl.create_default_context(cafile=mine)
            trusting.check_hostname = name == ""
            url = f"rtsps://127.0.0.1:{port}/camera"
            async with Watched(url, tls=trusting) as camera:
                await camera.until(*outcome)


async def test_plain_rtsp_where_tls_should_be_says_so():
    async with gst_camera("h264") as port, Watched(f"rtsps://127.0.0.1:{port}/camera") as camera:
        await camera.until("lost", "camera.tls")
        assert "TLS" in camera.source.state.detail


async def test_tls_where_plain_rtsp_should_be_is_no_video(tmp_path):
    async with (
        gst_camera("h264", "--certificate", certificate(tmp_path)) as port,
        Watched(f"rtsp://127.0.0.1:{port}/camera") as camera,
    ):
        await until(lambda: camera.states)
        assert camera.states[-1][0] == "lost"


async def test_a_hello_nobody_answers_is_silence(monkeypatch):
    monkeypatch.setattr("nvr.capture.dial.HANDSHAKE_S", 0.5)

    async def mute(reader, writer):
        await reader.read()
        writer.close()

    async with liar(mute) as url, Watched(url.replace("rtsp:", "rtsps:")) as camera:
        await camera.until("lost", "camera.silent")
        assert "TLS" in camera.source.state.detail


async def test_garbage_after_the_hello_ends_the_attempt_and_not_the_source(tmp_path):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate(tmp_path))

    async def talk(reader, writer):
        await reader.read(100)
        writer.write(bytes(range(256)) * 300)
        writer.transport.abort()

    async with (
        liar(talk, context) as url,
        Watched(url.replace("rtsp:", "rtsps:")) as camera,
    ):
        await camera.until("lost", "camera.garbage")
