"""Cameras that nobody here wrote, and all that one of ours can do wrong, asked in this process.

The worker's process, which is where they are asked in a box, is `test_link.py`'s.
"""

import asyncio
import subprocess
import sys
import time
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from nvr.base.errors import NvrError
from nvr.base.permit import Permit
from nvr.link.camera import Camera
from nvr.media import onvif_wish as wish
from nvr.media.onvif import Mask, Osd, Target
from tests.peers.odd_drawing import Drawing
from tests.peers.odd_onvif import event, odd_device

PEER = Path(__file__).parents[1] / "peers/ipycam_device.py"


@asynccontextmanager
async def asked(port: int, password: str = "right", user: str = "admin", host: str = "127.0.0.1"):
    camera = Camera(Target(host, port, user, password), Permit(["127.0.0.1:*"]))
    try:
        yield camera
    finally:
        await camera.close()


@asynccontextmanager
async def ipycam(*options: str):
    process = subprocess.Popen(  # noqa: ASYNC220 - a test may wait
        [sys.executable, str(PEER), "--user", "admin", "--password", "right", *options],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        port = int((await asyncio.to_thread(process.stdout.readline)).split()[1])
        yield port, process
    finally:
        process.stdin.close()
        process.wait()
        process.stdout.close()


async def code_of(question) -> str:
    with pytest.raises(NvrError) as caught:
        await question
    return caught.value.code


async def test_a_device_from_a_package_tells_what_it_is_and_where_its_streams_are() -> None:
    async with ipycam("--rtsp-port", "9554") as (port, _), asked(port) as camera:
        device = await camera.ask(wish.GetDevice())
        assert (device.maker, device.model) == ("PythonCam", "VirtualCam-1")
        assert device.services == ("device", "media", "ptz")
        # It wants a log-in for its clock, against the standard.
        assert device.clock_offset_s is not None
        assert abs(device.clock_offset_s) < 2
        main, sub = await camera.ask(wish.GetProfiles())
        assert (main.codec, main.width_px, main.height_px, main.fps) == ("h264", 1920, 1080, 30.0)
        assert (sub.width_px, sub.source) == (640, main.source)
        url = await camera.ask(wish.GetStreamUri(main.token))
        assert url == "rtsp://127.0.0.1:9554/camera"
        assert (await camera.ask(wish.GetSnapshotUri(main.token))).startswith("http://127.0.0.1:")


async def test_a_device_from_a_package_is_steered_and_stopped() -> None:
    """Its PTZ answers use prefixes that they never declare."""
    async with ipycam() as (port, process), asked(port) as camera:
        token = (await camera.ask(wish.GetProfiles()))[0].token
        node = await camera.ask(wish.GetNode(token))
        assert (node.continuous, node.zoom, node.presets, node.home) == (True, True, 10, True)
        await camera.ask(wish.Move(token, 0.5, -0.25, 0.0, 5.0))
        assert await asyncio.to_thread(process.stdout.readline) == "move 0.5 -0.25 0.0\n"
        await camera.ask(wish.Halt(token))
        assert await asyncio.to_thread(process.stdout.readline) == "stop\n"
        stored = await camera.ask(wish.DoPreset(token, "set", name="gate"))
        presets = await camera.ask(wish.GetPresets(token))
        assert [p.name for p in presets if p.token == stored] == ["gate"]


async def test_a_wrong_password_is_said_and_not_tried_again_at_once() -> None:
    async with odd_device() as device, asked(device.port, "wrong") as camera:
        assert await code_of(camera.ask(wish.GetDevice())) == "onvif.refused"
        before = device.wrong
        assert 1 <= before <= 2
        for _ in range(5):
            assert await code_of(camera.ask(wish.GetDevice())) == "onvif.refused"
        assert device.wrong == before


@pytest.mark.parametrize("auth", ["wsse", "digest", "both", "none"])
async def test_every_way_to_log_in_is_known(auth: str) -> None:
    async with odd_device(auth=auth) as device, asked(device.port) as camera:
        assert (await camera.ask(wish.GetDevice())).model == "一号"
        assert len(await camera.ask(wish.GetProfiles())) == 2
        assert device.wrong == 0


@pytest.mark.parametrize("offset_s", [3600.0, -86400.0 * 365, 6.0])
async def test_a_camera_whose_clock_is_off_is_understood_and_told_of(offset_s: float) -> None:
    odd = odd_device(auth="wsse", clock_offset_s=offset_s)
    async with odd as device, asked(device.port) as camera:
        found = await camera.ask(wish.GetDevice())
        assert found.clock_offset_s == pytest.approx(offset_s, abs=1.5)
        await camera.ask(wish.SetClock(time.time_ns() // 1000))
        assert device.set_clock == "Manual"
        assert abs(device.clock_offset_s) < 1.5
        # The token's time follows its clock.
        assert abs((await camera.ask(wish.GetDevice())).clock_offset_s or 99) < 1.5


async def test_a_clock_that_jumps_later_is_measured_again_but_not_all_the_time(monkeypatch) -> None:
    async with odd_device(auth="wsse") as device, asked(device.port) as camera:
        await camera.ask(wish.GetProfiles())
        device.clock_offset_s = 7200.0
        assert await code_of(camera.ask(wish.GetProfiles())) == "onvif.refused"
        asked_before = device.log.count("GetSystemDateAndTime")
        monkeypatch.setattr("nvr.link.trouble.REFUSED_S", 0.0)
        assert await code_of(camera.ask(wish.GetProfiles())) == "onvif.refused"
        assert device.log.count("GetSystemDateAndTime") == asked_before
        monkeypatch.setattr("nvr.link.soap.CLOCK_AGAIN_S", 0.0)
        assert len(await camera.ask(wish.GetProfiles())) == 2


async def test_a_locked_account_is_told_from_a_wrong_password() -> None:
    async with odd_device(locked=True) as device, asked(device.port) as camera:
        with pytest.raises(NvrError) as caught:
            await camera.ask(wish.GetDevice())
        assert (caught.value.code, caught.value.context["locked_s"]) == ("onvif.locked", 1800)


async def test_a_camera_that_names_another_host_is_still_asked_where_it_is() -> None:
    async with odd_device(lies="198.51.100.7:8899") as device, asked(device.port) as camera:
        assert len(await camera.ask(wish.GetProfiles())) == 2
        assert await camera.ask(wish.GetStreamUri("p0")) == "rtsp://127.0.0.1:554/stream1"
        device.events.append(
            event("Device/Trigger/DigitalInput", "InputToken", "LogicalState", "1")
        )
        assert len(await camera.ask(wish.Pull(1.0))) == 1
        assert await camera.ask(wish.GetReplayUri("rec1")) == "rtsp://127.0.0.1:554/replay"


@pytest.mark.parametrize(
    ("answer", "code"),
    [
        ("bomb", "onvif.garbage"),
        ("huge", "onvif.garbage"),
        ("deep", "onvif.garbage"),
        ("many", "onvif.garbage"),
        ("binary", "onvif.garbage"),
        ("empty", "onvif.garbage"),
        ("wrong-root", "onvif.garbage"),
        ("redirect", "onvif.redirected"),
        ("reset", "onvif.unreachable"),
    ],
)
async def test_nonsense_is_one_error_of_ours(answer: str, code: str) -> None:
    async with odd_device() as device, asked(device.port) as camera:
        device.answer = answer
        assert await code_of(camera.ask(wish.GetDevice())) == code
        device.answer = ""
        assert (await camera.ask(wish.GetDevice())).maker == "Odd"
        device.answer = answer
        for question in (wish.GetProfiles(), wish.GetNode("p0"), wish.Pull(1.0)):
            assert await code_of(camera.ask(question)) == code


@pytest.mark.parametrize("answer", ["hang", "drip"])
async def test_a_camera_that_never_ends_its_answer_is_given_up(answer: str, monkeypatch) -> None:
    monkeypatch.setattr(wish.GetDevice, "within_s", 1.5)
    async with odd_device(answer=answer) as device, asked(device.port) as camera:
        assert await code_of(camera.ask(wish.GetDevice())) == "onvif.silent"


@pytest.mark.parametrize(
    "host", ["127.0.0.1", "localhost", "::1", "0x7f.1", "169.254.169.254", "::ffff:127.0.0.1"]
)
async def test_addresses_that_are_no_cameras_are_not_asked(host: str) -> None:
    async with odd_device() as device:
        camera = Camera(Target(host, device.port, "admin", "right"), Permit())
        assert await code_of(camera.ask(wish.GetDevice())) == "onvif.forbidden"
        assert device.log == []
        await camera.close()


async def test_every_socket_is_judged_as_it_is_made() -> None:
    """The second wall: it holds although the first one was passed."""
    judged: list[tuple[str, int]] = []

    def first_only(host: str, port: int) -> bool:
        judged.append((host, port))
        return len(judged) == 1

    async with odd_device() as device:
        camera = Camera(Target("127.0.0.1", device.port, "admin", "right"), first_only)
        assert await code_of(camera.ask(wish.GetDevice())) == "onvif.forbidden"
        assert device.log == []
        await camera.close()


async def test_h265_streams_are_found_and_set_through_media2() -> None:
    async with odd_device(media2=True) as device, asked(device.port) as camera:
        main = (await camera.ask(wish.GetProfiles()))[0]
        assert (main.codec, main.gop_frames, main.media2) == ("h265", 50, True)
        assert (await camera.ask(wish.GetStreamUri(main.token, media2=True))).endswith("/stream1")
        await camera.ask(wish.SetGop(main.encoder, 25, media2=True))
        assert device.gop == 25


async def test_a_group_of_pictures_is_set_and_the_rest_of_the_encoder_left() -> None:
    async with odd_device(gop=100) as device, asked(device.port) as camera:
        main = (await camera.ask(wish.GetProfiles()))[0]
        await camera.ask(wish.SetGop(main.encoder, 50))
        assert device.gop == 50
        assert await code_of(camera.ask(wish.SetGop("another", 50))) == "onvif.fault"


async def test_events_are_pulled_renewed_and_unsubscribed(monkeypatch) -> None:
    parameters = '<x:Id xmlns:x="urn:x">7</x:Id>'
    async with odd_device(parameters=parameters, lease_s=5) as device:
        async with asked(device.port) as camera:
            device.events.append(
                event("RuleEngine/CellMotionDetector/Motion", "Source", "IsMotion", "true")
            )
            (found,) = await camera.ask(wish.Pull(1.0))
            assert found.topic == "RuleEngine/CellMotionDetector/Motion"
            assert (found.data, found.operation) == ({"IsMotion": "true"}, "Changed")
            assert found.at_us == 1_772_352_000_000_000
            assert "Renew" not in device.log
            ends_s = time.monotonic() + 30
            while "Renew" not in device.log and time.monotonic() < ends_s:
                await camera.ask(wish.Pull(1.0))
            assert device.subscriptions == 1
        assert device.log[-1] == "Unsubscribe"


async def test_lost_subscriptions_are_not_made_anew_in_a_loop() -> None:
    async with odd_device() as device, asked(device.port) as camera:
        await camera.ask(wish.Pull(1.0))
        device.subscriptions += 1  # it has forgotten ours
        assert await code_of(camera.ask(wish.Pull(1.0))) == "onvif.fault"
        for _ in range(5):
            assert await code_of(camera.ask(wish.Pull(1.0))) == "onvif.busy"
        assert device.log.count("CreatePullPointSubscription") == 1


async def test_the_rest_of_the_calls() -> None:
    async with odd_device() as device, asked(device.port) as camera:
        (relay,) = await camera.ask(wish.GetRelays())
        assert (relay.token, relay.monostable, relay.delay_s) == ("r1", True, 2.0)
        await camera.ask(wish.SetRelay("r1", True))
        assert device.motions[-1][1] == "active"
        assert await camera.ask(wish.GetInputs()) == ("i1",)
        assert (await camera.ask(wish.GetImaging("src"))).infrared == "AUTO"
        (recording,) = await camera.ask(wish.GetRecordings())
        assert (recording.token, recording.source, recording.tracks) == (
            "rec1", "card", ("video:t1",),
        )  # fmt: skip
        assert recording.to_us - recording.from_us == 86_400_000_000
        assert device.log[-1] == "EndSearch"
        await camera.ask(wish.Auxiliary("p0", "tt:Wiper|On"))
        assert device.motions[-1][1] == "tt:Wiper|On"
        assert (
            await code_of(camera.ask(wish.Auxiliary("p0", "tt:Wiper|Twice"))) == "onvif.unsupported"
        )
        assert await code_of(camera.ask(wish.DeleteOsd("o9"))) == "onvif.fault"
        assert await code_of(camera.ask(wish.GetMaskOptions("v"))) == "onvif.unsupported"
        await camera.ask(wish.SetNtp("192.0.2.1"))
        assert device.set_clock == "NTP"


@pytest.mark.parametrize("services", [("media",), ("media2",), ("media", "media2")])
async def test_texts_of_the_camera_itself(services: tuple[str, ...]) -> None:
    drawing = Drawing(services, cut=3, dates=("yyyy-MM-dd",))
    async with odd_device(media2=True, drawing=drawing) as device, asked(device.port) as camera:
        options = await camera.ask(wish.GetOsdOptions("v"))
        assert (options.most, options.sizes, options.dates) == (8, (16, 64), ("yyyy-MM-dd",))
        assert "Custom" in options.places
        (text,) = await camera.ask(wish.GetOsds("v"))
        assert (text.token, text.source, text.text, text.x, text.y) == (
            "o1", "v", "东门", -0.5, 0.9,
        )  # fmt: skip
        token = await camera.ask(wish.SetOsd(Osd("", "v", "西门 & <1>", 0.0, 0.0, size=20)))
        when = Osd("", "v", "", kind="DateAndTime", date="yyyy-MM-dd", time="HH:mm:ss")
        await camera.ask(wish.SetOsd(when))
        _, cut, clock = await camera.ask(wish.GetOsds())
        assert (cut.token, cut.text, cut.size, cut.place) == (token, "西门", 20, "Custom")
        assert (clock.kind, clock.date, clock.time) == ("DateAndTime", "yyyy-MM-dd", "HH:mm:ss")
        await camera.ask(wish.SetOsd(Osd(token, "v", "北门", place="UpperRight")))
        assert (await camera.ask(wish.GetOsds()))[1].place == "UpperRight"
        await camera.ask(wish.DeleteOsd(token))
        assert await code_of(camera.ask(wish.SetOsd(cut))) == "onvif.fault"


async def test_a_camera_without_texts_says_so() -> None:
    async with (
        odd_device(media2=True, drawing=Drawing(())) as device,
        asked(device.port) as camera,
    ):
        assert await code_of(camera.ask(wish.GetOsdOptions("v"))) == "onvif.unsupported"


async def test_masks_of_the_camera_itself() -> None:
    async with odd_device(media2=True) as device, asked(device.port) as camera:
        options = await camera.ask(wish.GetMaskOptions("v"))
        assert (options.most, options.corners, options.rectangles) == (4, 8, False)
        assert options.kinds == ("Color", "Pixelated")
        colour = (16.0, 128.0, 128.0, "http://www.onvif.org/ver10/colorspace/YCbCr")
        made = Mask("", "v", ((0.0, 0.0), (1.0, 0.0), (1.0, 1.0)), colour=colour)
        token = await camera.ask(wish.SetMask(made))
        (mask,) = await camera.ask(wish.GetMasks())
        assert (mask.token, mask.points, mask.on) == (token, made.points, True)
        device.drawing.off = True
        assert not (await camera.ask(wish.GetMasks()))[0].on
        await camera.ask(wish.DeleteMask(token))
        assert await camera.ask(wish.GetMasks()) == ()
        profile = (await camera.ask(wish.GetProfiles()))[0]
        assert profile.video == "v"


async def test_what_is_switched_on_goes_off_by_itself_and_with_us(monkeypatch) -> None:
    lists = ("tt:Wiper|On", "tt:Wiper|Off", "tt:IRLamp|On", "tt:IRLamp|Auto", "tt:IRLamp|Off")
    async with odd_device(lists=lists[:2], device_lists=lists[2:]) as device:
        async with asked(device.port) as camera:
            await camera.ask(wish.Auxiliary("p0", "tt:wiper|on", "tt:Wiper|Off", 0.3))
            assert camera.moving()
            async with asyncio.timeout(20):
                while camera.moving():
                    await asyncio.sleep(0.05)
            assert [word for _, word in device.motions] == ["tt:Wiper|On", "tt:Wiper|Off"]
            await camera.ask(wish.Auxiliary("p0", "tt:IRLamp|On", "tt:IRLamp|Auto", 60.0))
        assert [word for _, word in device.motions][2:] == ["tt:IRLamp|On", "tt:IRLamp|Auto"]


async def test_a_lamp_that_knows_no_auto_is_switched_off() -> None:
    async with (
        odd_device(lists=("tt:IRLamp|On", "tt:IRLamp|Off")) as device,
        asked(device.port) as camera,
    ):
        await camera.ask(wish.Auxiliary("p0", "tt:IRLamp|Auto"))
        assert device.motions[-1][1] == "tt:IRLamp|Off"


async def until(true, within_s: float = 30.0) -> None:
    ends_s = time.monotonic() + within_s
    while not true():
        assert time.monotonic() < ends_s
        await asyncio.sleep(0.02)


def told(device) -> list[str]:
    return [word for _, word in device.motions]


async def test_a_held_motion_goes_on_and_a_lapsed_one_is_stopped() -> None:
    async with odd_device() as device, asked(device.port) as camera:
        for _ in range(12):
            await camera.ask(wish.Move("p0", 0.5, 0.0, 0.0, 0.6))
            await asyncio.sleep(0.15)
        assert "stop" not in told(device)
        # Held, it is sent again once a second, not with every renewal.
        assert 2 <= told(device).count("move 0.5 0 PT3S") <= 4
        await until(lambda: "stop" in told(device))
        assert told(device)[-1] == "stop"


async def test_a_head_that_ignores_stop_is_told_zero() -> None:
    async with odd_device(ignores_stop=True) as device, asked(device.port) as camera:
        await camera.ask(wish.Move("p0", 0.5, 0.0, 0.0, 5.0))
        await until(lambda: device.motions)
        await camera.ask(wish.Halt("p0"))
        assert told(device)[-2:] == ["stop", "move 0 0 -"]
        assert not device.moving


@pytest.mark.parametrize(("takes", "sent"), [(("PT5S", "PT60S"), "PT5S"), (None, "-")])
async def test_a_timeout_is_sent_only_in_the_range_of_the_camera(takes, sent: str) -> None:
    async with odd_device(timeouts=takes) as device, asked(device.port) as camera:
        await camera.ask(wish.Move("p0", 1.0, 0.0, 0.0, 5.0))
        await until(lambda: device.motions)
        assert told(device) == [f"move 1 0 {sent}"]
