"""From an address to a camera that is recorded; what is wrong with it is said on the way."""

import asyncio
import base64
import subprocess
import sys
import tomllib
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from nvr.app.diagnosis import findings, suggested
from nvr.app.onboard import Examiner
from nvr.base.clock import SystemClock
from nvr.base.errors import NvrError, Rejected
from nvr.base.permit import Permit
from nvr.link.address import target_of, written
from nvr.link.camera import Camera
from nvr.media.find import Login, Trial
from nvr.media.onvif import Device, Profile, Target
from tests.app.box import running_box
from tests.capture.test_source import gst_camera
from tests.link.test_camera import ipycam
from tests.peers.odd_onvif import odd_device

MAIN = Profile("m", "main", "src", "h264", 1920, 1080, 25.0, 4096, 50, "", "e0", "")
SUB = replace(MAIN, token="s", width_px=640, height_px=360, encoder="e1")
DEVICE = Device("Odd", "1", "2", "3", 0.1, ("media",))
SEEN = Trial(MAIN, "rtsp://x/1", codec="h264", width_px=1920, height_px=1080, fps=25.0, gop_s=2.0)


class Here:
    """Asks in this process: the worker's start would be most of the test."""

    def __init__(self) -> None:
        self.cameras: dict[Target, Camera] = {}

    async def ask(self, target, wish):
        camera = self.cameras.setdefault(target, Camera(target, Permit(["127.0.0.1:*"])))
        return await camera.ask(wish)

    async def close(self) -> None:
        for camera in self.cameras.values():
            await camera.close()


@asynccontextmanager
async def examiner(known=None):
    here = Here()
    try:
        yield Examiner(here, Permit(["127.0.0.1:*"]), SystemClock(), lambda: known or {})
    finally:
        await here.close()


@pytest.mark.parametrize(
    ("text", "host", "port", "tls"),
    [
        ("192.0.2.10", "192.0.2.10", 80, False),
        ("192.0.2.10:8080", "192.0.2.10", 8080, False),
        ("https://gate.example", "gate.example", 443, True),
        ("[2001:db8::1]:8000", "2001:db8::1", 8000, False),
    ],
)
def test_addresses_are_read_as_people_write_them(text, host, port, tls) -> None:
    target = target_of(Login(text, "u", "p"))
    assert (target.host, target.port, target.tls) == (host, port, tls)
    assert target_of(Login(written(host, port, tls=tls), "u", "p")) == target
    assert "p'" not in repr(Login(text, "u", "p"))


@pytest.mark.parametrize("text", ["", "x:y", "rtsp://h", "http://u:p@h/", "1.2.3.4:99999"])
def test_what_is_no_address_is_refused(text) -> None:
    with pytest.raises(Rejected, match=r"camera\.search"):
        target_of(Login(text))


def test_the_largest_stream_is_recorded_and_the_largest_small_one_watched() -> None:
    jpeg = replace(MAIN, token="j", codec="jpeg", width_px=4000)
    other = replace(SUB, token="o", source="another picture")
    tiny = replace(SUB, token="t", width_px=320, height_px=180)
    offered = (jpeg, tiny, SUB, MAIN, other)
    assert [p.token for p in suggested(offered)] == ["m", "s"]
    assert [p.token if p else None for p in suggested(offered, "m", "-")] == ["m", None]
    assert [p.token for p in suggested(offered, "s", "t")] == ["s", "t"]
    # JPEG only where there is nothing better.
    assert [p.token if p else None for p in suggested((jpeg,))] == ["j", None]
    assert suggested((replace(MAIN, codec="mpeg4"),)) == (None, None)
    # A second stream as large as the first is no sub stream.
    assert suggested((MAIN, replace(MAIN, token="m2")))[1] is None


def codes(*, device=DEVICE, main=SEEN, sub=SEEN, err=None, login=None) -> list[tuple[str, str]]:
    found = findings(device, main, sub, err, login or Login("x", "admin", "Secret7!"), "")
    return [(one.code, one.cure) for one in found]


def test_each_thing_that_is_wrong_has_its_code_and_its_cure() -> None:
    assert codes() == []
    assert codes(device=replace(DEVICE, clock_offset_s=-38.0)) == [("onvif.clock_off", "clock")]
    assert codes(device=replace(DEVICE, clock_offset_s=1.5)) == []
    assert codes(main=replace(SEEN, gop_s=4.0)) == [("camera.gop_long", "gop")]
    assert codes(main=replace(SEEN, codec="jpeg", gop_s=0.04)) == [("camera.jpeg", "")]
    assert codes(main=replace(SEEN, gop_s=0.0)) == [("camera.gop_long", "gop")]
    assert codes(sub=replace(SEEN, gop_s=10.0)) == [("camera.gop_long", "gop")]
    assert codes(sub=None) == [("onvif.no_sub", "")]
    assert codes(sub=Trial(SUB, "", "camera.silent", "nothing")) == [("camera.sub_missing", "")]
    assert codes(main=None, sub=None) == [("onvif.no_stream", "")]
    assert codes(main=Trial(MAIN, "", "camera.unreachable", "closed"), sub=None)[0] == (
        "camera.unreachable", "",
    )  # fmt: skip
    assert codes(main=Trial(MAIN, "", "camera.refused", "no"))[0] == ("camera.refused", "login")
    refused = Rejected("onvif.refused", "no", tries=2)
    found = findings(None, None, None, refused, Login("x"), "gate")
    assert [(one.code, one.weight, dict(one.values)) for one in found] == [
        ("onvif.refused", "alarm", {"tries": 2.0}),
        ("camera.known", "note", {}),
    ]
    factory = Login("x", "admin", "12345")
    assert codes(login=factory) == [("camera.factory_password", "")]


@pytest.mark.needs("gst-rtsp-server")
async def test_a_camera_is_looked_into_and_cured() -> None:
    async with AsyncExitStack() as stack:
        port = await stack.enter_async_context(gst_camera("h264-pcma"))
        uris = tuple(f"rtsp://HOST:{port}/{path}" for path in ("camera", "sub"))
        device = await stack.enter_async_context(
            odd_device(uris=uris, clock_offset_s=38.0, gop=100)
        )
        look = await stack.enter_async_context(examiner({"cam-1": "192.0.2.1"}))
        login = Login(f"127.0.0.1:{device.port}", "admin", "right")
        found = await look.examine(login)
        assert [(one.code, one.cure) for one in found.findings] == [("onvif.clock_off", "clock")]
        assert dict(found.findings[0].values)["off_s"] == pytest.approx(38.0, abs=2.0)
        assert found.main is not None
        assert found.sub is not None
        seen = (found.main.codec, found.main.width_px, found.main.audio, found.main.transport)
        assert seen == ("h264", 320, "pcma", "tcp")
        assert (found.main.gop_s, found.main.fps) == (1.0, 25.0)
        assert (found.sub.codec, found.sub.width_px) == ("h264", 160)
        assert (found.name, found.title) == ("cam-1-2", "Odd 一号")
        await look.cure(login, "clock")
        assert abs(device.clock_offset_s) < 1.5
        await look.cure(login, "gop")
        assert device.gop == 50
        wrong = await look.examine(replace_password(login, "wrong"))
        assert [(one.code, one.cure) for one in wrong.findings] == [("onvif.refused", "login")]
        assert (wrong.device, wrong.main) == (None, None)
        with pytest.raises(NvrError):
            await look.cure(login, "login")


def replace_password(login: Login, password: str) -> Login:
    return replace(login, password=password)


@pytest.mark.needs("gst-rtsp-server")
async def test_a_device_from_a_package_becomes_a_camera_that_is_recorded(tmp_path: Path) -> None:
    """Through the shipped recorder's page, its worker and its file."""
    async with AsyncExitStack() as stack:
        rtsp = await stack.enter_async_context(gst_camera("h264"))
        port, _ = await stack.enter_async_context(ipycam("--rtsp-port", str(rtsp)))
        box = await stack.enter_async_context(running_box(tmp_path, "\n"))
        login = {"address": f"127.0.0.1:{port}", "user": "admin", "password": "right"}
        (seen,) = (await box.call("POST", "/api/find", {"where": login["address"]}))["found"]
        assert (seen["address"], seen["known"]) == (login["address"], "dome")
        refused = await box.call("POST", "/api/find/examine", login | {"password": "wrong"})
        assert (refused["findings"][0]["code"], refused["good"]) == ("onvif.refused", False)
        found = await box.call("POST", "/api/find/examine", login)
        assert (found["maker"], found["good"]) == ("PythonCam", True)
        assert (found["main"]["width_px"], found["sub"]["width_px"]) == (320, 160)
        jpeg = base64.b64decode(found["picture"])
        assert jpeg.startswith(b"\xff\xd8")
        assert len(jpeg) > 500
        added = await box.call(
            "POST", "/api/find/adopt", login | {"name": "gate", "title": "东门"}, 201
        )
        assert (added["name"], added["title"]) == ("gate", "东门")
        taken = login | {"name": "gate"}
        assert (await box.call("POST", "/api/find/adopt", taken, 409))["code"] == (
            "camera.name_taken"
        )
        before = (await box.camera("gate"))["recorded_until_us"]
        await box.until("gate", "recorded_until_us", lambda us: us > before)
        written_down = tomllib.loads((box.data / "nvr.toml").read_text(encoding="utf-8"))
        camera = next(one for one in written_down["camera"] if one["name"] == "gate")
        assert camera["url"] == f"rtsp://127.0.0.1:{rtsp}/camera"
        assert camera["sub"] == {"url": f"rtsp://127.0.0.1:{rtsp}/sub"}
        assert camera["ptz"] == {"protocol": "onvif"}
        assert camera["onvif"] == {"address": login["address"], "profile": "Profile_Main"}
        assert "right" not in (box.data / "nvr.toml").read_text(encoding="utf-8")
        # Its own head answers, with the preset that it keeps.
        seen = await box.until("gate", "ptz", lambda head: bool(head and head["presets"]))
        assert [one["name"] for one in seen["ptz"]["presets"]] == ["Home"]
        # Where its services are may be changed, and not taken away while it is steered by them.
        own = "/api/camera/gate/onvif"
        assert (await box.call("GET", own))["onvif"]["address"] == login["address"]
        assert (await box.call("DELETE", own, status=409))["code"] == "config.refused"
        assert (await box.call("PUT", own, {"address": "x y"}, 400))["code"] == "camera.search"
        elsewhere = {"address": login["address"], "events": False}
        assert not (await box.call("PUT", own, elsewhere))["onvif"]["events"]
        await box.call("DELETE", "/api/camera/gate/ptz")
        assert (await box.call("DELETE", own))["onvif"] is None
        check = await asyncio.to_thread(
            subprocess.run,
            [sys.executable, "-m", "nvr", "check", str(box.data / "nvr.toml")],
            check=False,
        )
        assert check.returncode == 0
