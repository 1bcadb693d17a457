"""Transport and certificate of a camera on the shipped recorder, GStreamer's server the camera."""

from pathlib import Path

import pytest

from tests.app.box import running_box
from tests.capture.test_secure import certificate, fingerprint
from tests.capture.test_source import gst_camera

PATH = "/api/camera/gate/reach"


@pytest.mark.needs("gst-rtsp-server")
async def test_how_a_camera_is_reached_is_seen_and_changed_at_once(tmp_path: Path) -> None:
    mine, other = certificate(tmp_path), certificate(tmp_path, "another's name")
    pin = fingerprint(mine)
    async with gst_camera("h264", "--certificate", mine) as port:
        text = f'[[camera]]\nname = "gate"\nurl = "rtsps://127.0.0.1:{port}/camera"\n'
        async with running_box(tmp_path, text) as box:
            await box.until("gate", "state", "live")
            seen = await box.call("GET", PATH)
            tcp = {"way": "tcp", "instead_of": "", "why": "", "proof": "unverified"}
            assert seen["main"] == {"carried": tcp, "certificate_sha256": pin}
            assert seen["sub"] is None

            await box.call("PUT", PATH, {"transport": "http", "tls_pin": pin})
            tunnel = {**tcp, "way": "http", "proof": "pinned"}
            await box.until("gate", "carried", tunnel)
            refused = await box.call("PUT", PATH, {"transport": "udp"}, 409)
            assert refused["code"] == "config.refused"

            await box.call("PUT", PATH, {"tls_pin": fingerprint(other)})
            await box.until("gate", "code", "camera.certificate")
            text = (box.data / "nvr.toml").read_text(encoding="utf-8")
            assert 'transport = "http"' in text
            await box.call("PUT", PATH, {"audio": False})
            assert "audio = false" in (box.data / "nvr.toml").read_text(encoding="utf-8")
            await box.call("PUT", PATH, {"transport": "auto", "tls_pin": "", "audio": True})
            await box.until("gate", "carried", tcp)
            assert "audio" not in (box.data / "nvr.toml").read_text(encoding="utf-8")
            assert "transport" not in (box.data / "nvr.toml").read_text(encoding="utf-8")
