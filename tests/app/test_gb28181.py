"""The box as a GB/T 28181 device, from outside: a platform registers it, asks and commands."""

import asyncio
import socket
from collections.abc import AsyncIterator
from functools import partial

import pytest
import pytest_asyncio

from nvr.wire.gb_ptz import build
from tests.app.box import RunningBox, running_box
from tests.app.gb import PATH, channel, state, until
from tests.app.gb import registered as gb_registered
from tests.app.gb import wanted as gb_wanted
from tests.serve.gb_platform import (
    DEVICE,
    REALM,
    SERVER,
    Platform,
    items,
    serve_udp,
)

pytestmark = pytest.mark.asyncio(loop_scope="module")
DOME = "34020000001320000001"
INPUT = "34020000001340000001"
RIGHTS = ["live", "playback", "export", "ptz", "relay"]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def box(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[RunningBox]:
    async with running_box(tmp_path_factory.mktemp("box")) as running:
        yield running


CHANNELS = [channel(DOME, "dome", *RIGHTS)]
registered = partial(gb_registered, channels=CHANNELS)
wanted = partial(gb_wanted, channels=CHANNELS)


@pytest.mark.parametrize("how", ["udp", "tcp"])
async def test_it_registers_lives_and_leaves(box: RunningBox, how: str) -> None:
    async with registered(box, how, Platform(date=lambda: "2030-01-01T00:00:00.000")) as platform:
        first = platform.registered[0]
        assert first.get("X-GB-Ver") == "3.0"
        assert first.get("Expires") == "86400"
        assert first.uri == f"sip:{SERVER}@{REALM}"
        (alive, *_) = await platform.told("Keepalive")
        assert (alive.kind, alive.device, alive.said("Status")) == ("Notify", DEVICE, "OK")
        now = await until(box, state="registered")
        assert now["since_us"] > 0
        assert now["spoken"] == "2022"
        assert now["clock_off_ms"] > 0
        assert now["fault"] is None
        assert "password" not in now
        await box.call("PUT", f"{PATH}/city", wanted(platform, transport=how, on=False))
        await platform.until(lambda: platform.left)


async def test_it_takes_a_proxys_challenge_and_the_older_edition(box: RunningBox) -> None:
    async with registered(box, platform=Platform(proxy=True, version="2.0")) as platform:
        assert (await until(box, state="registered"))["spoken"] == "2016"
        platform.query("Catalog", 7)
        (found,) = await platform.told("Catalog", "7")
        assert items([found], "Owner") == ["nvr"]


@pytest.mark.parametrize("algorithm", ["SM3", "SHA-256"])
async def test_it_answers_the_hash_that_is_asked_for(box: RunningBox, algorithm: str) -> None:
    async with registered(box, platform=Platform(algorithm=algorithm)) as platform:
        assert f"algorithm={algorithm}" in platform.registered[0].get("Authorization")


async def test_a_wrong_password_and_a_refusal_are_said(box: RunningBox) -> None:
    platform = Platform(status=403)
    server = await serve_udp(platform)
    try:
        await box.call("PUT", f"{PATH}/city", wanted(platform))
        now = await until(box, state="waiting")
        assert now["fault"]["code"] == "gb.refused"
        assert "403" in now["fault"]["detail"]
        await box.call("PUT", f"{PATH}/city", wanted(platform, password="wrong"))
        async with asyncio.timeout(60):
            while (fault := (await state(box))["fault"]) is None or fault["code"] != "gb.password":
                await asyncio.sleep(0.1)
        await box.call("PUT", f"{PATH}/city", wanted(platform, on=False))
        assert (await state(box))["state"] == "off"
    finally:
        await box.call("DELETE", f"{PATH}/city")
        server.close()
    await box.call("DELETE", f"{PATH}/city", status=403)


async def test_it_is_sent_to_another_server_and_comes_back(box: RunningBox) -> None:
    other = Platform()
    there = await serve_udp(other)
    first = Platform(contact=f"<sip:34020000002000000002@127.0.0.1:{other.port}>")
    here = await serve_udp(first)
    try:
        await box.call("PUT", f"{PATH}/city", wanted(first))
        await other.until(lambda: other.registered)
        assert other.registered[0].uri.startswith("sip:34020000002000000002@")
        assert (await until(box, state="registered"))["at"] == f"127.0.0.1:{other.port}"
        other.status, other.keepalive, first.contact = 403, 403, ""
        await first.until(lambda: first.registered)
        assert (await until(box, state="registered"))["at"] == f"127.0.0.1:{first.port}"
    finally:
        await box.call("DELETE", f"{PATH}/city")
        there.close()
        here.close()


async def test_a_platform_that_went_silent_is_registered_with_anew(box: RunningBox) -> None:
    async with registered(box, misses=1, keepalive_s=5) as platform:
        platform.keepalive = 403
        await platform.until(lambda: len(platform.registered) == 2)
        assert (await state(box))["fault"]["code"] == "gb.forgotten"
        platform.keepalive = 200
        await until(box, state="registered")


async def test_it_says_what_it_is(box: RunningBox) -> None:
    async with registered(box) as platform:
        assert (await platform.answer(platform.query("Catalog", 1))).status == 200
        (found,) = await platform.told("Catalog", "1")
        assert found.said("SumNum") == "1"
        assert items([found]) == [DOME]
        assert items([found], "ParentID") == [DEVICE]
        assert found.root.said("Item", "Info", "PTZType") == "1"
        platform.query("DeviceInfo", 2)
        (info,) = await platform.told("DeviceInfo", "2")
        assert (info.kind, info.said("Result"), info.said("Channel")) == ("Response", "OK", "1")
        platform.query("DeviceStatus", 3)
        (status,) = await platform.told("DeviceStatus", "3")
        assert status.said("Online") == "ONLINE"
        platform.query("ConfigDownload", 4, DEVICE, "<ConfigType>BasicParam/SVAC</ConfigType>")
        both = await platform.told("ConfigDownload", "4", 2)
        assert sorted(one.said("Result") for one in both) == ["ERROR", "OK"]
        platform.query("PresetQuery", 5, DOME)
        await platform.told("PresetQuery", "5")
        platform.query("NobodyKnows", 6)
        (unknown,) = await platform.told("NobodyKnows", "6")
        assert unknown.said("Result") == "ERROR"
        answer = await platform.answer(platform.query("DeviceInfo", 7, "34020000001320000999"))
        assert answer.status == 404
        assert (await platform.answer(platform.ask("OPTIONS"))).status == 200
        assert (await platform.answer(platform.ask("REFER"))).status == 405


async def test_recordings_are_listed(box: RunningBox) -> None:
    async with registered(box) as platform:
        time = "<StartTime>2020-01-01T00:00:00</StartTime><EndTime>2038-01-01T00:00:00</EndTime>"
        number = 100
        async with asyncio.timeout(60):
            while True:
                number += 1
                platform.query("RecordInfo", number, DOME, time)
                (found,) = await platform.told("RecordInfo", str(number))
                if found.said("SumNum") != "0":
                    break
                await asyncio.sleep(0.5)
        assert items([found])[0] == DOME
        assert items([found], "Type")[0] == "time"
        begin, end = items([found], "StartTime")[0], items([found], "EndTime")[0]
        assert begin < end
        platform.query("RecordInfo", 90, DOME, "<StartTime>x</StartTime>")
        (wrong,) = await platform.told("RecordInfo", "90")
        assert wrong.said("Result") == "ERROR"


async def test_a_head_is_steered(box: RunningBox) -> None:
    async with registered(box) as platform:

        async def command(code: str, device: str = DOME) -> int:
            inner = f"<PTZCmd>{code}</PTZCmd><Info><ControlPriority>5</ControlPriority></Info>"
            return (await platform.answer(platform.control(1, device, inner))).status

        async def moving(word: bool) -> None:
            async with asyncio.timeout(60):
                while (await box.call("GET", "/api/camera/dome/control"))["moving"] != word:
                    await asyncio.sleep(0.05)

        assert await command("A50F01015F000015") == 200
        await moving(True)
        assert await command("A50F0100000000B5") == 200
        await moving(False)
        assert await command(build(0x02, 0x40)) == 200  # at once again: it was let go, not cut
        await moving(True)
        assert await command(build(0x00)) == 200
        await moving(False)
        assert await command("A50F01015F000016") == 400
        assert await command("A50F01015F000015", DEVICE) == 404
        assert await command(build(0x81, 0, 7)) == 200
        platform.query("PresetQuery", 9, DOME)
        (presets,) = await platform.told("PresetQuery", "9")
        assert "7" in items([presets], "PresetID")
        assert await command(build(0x82, 0, 7)) == 200
        for n in (7, 8):
            assert await command(build(0x84, 3, 7)) == 200, n
        assert await command(build(0x87, 3, 5)) == 200
        platform.query("CruiseTrackListQuery", 10, DOME)
        (tours,) = await platform.told("CruiseTrackListQuery", "10")
        assert tours.root.said("CruiseTrack", "Name") == "GB 3"
        assert await command(build(0x88, 3)) == 200
        assert await command(build(0x00)) == 200
        assert await command(build(0x85, 3, 0)) == 200
        assert await command(build(0x8C, 1)) == 200
        async with asyncio.timeout(60):
            while not (await box.call("GET", "/api/camera/dome/control"))["outputs"]["wiper"]:
                await asyncio.sleep(0.05)
        assert await command(build(0x8D, 1)) == 200
        assert await command(build(0x8C, 9)) == 404
        assert await command(build(0x83, 0, 7)) == 200


PRECISE = "<PTZPreciseCtrl><Pan>{}</Pan><Tilt>{}</Tilt><Zoom>{}</Zoom></PTZPreciseCtrl>"
HOME = (
    "<HomePosition><Enabled>{}</Enabled><ResetTime>60</ResetTime><PresetIndex>{}</PresetIndex>"
    "</HomePosition>"
)
DRAG = "<DragZoomIn>" + "".join(f"<{n}>{v}</{n}>" for n, v in zip(
    ("Length", "Width", "MidPointX", "MidPointY", "LengthX", "LengthY"),
    (1280, 720, 640, 360, 320, 180), strict=True,
)) + "</DragZoomIn>"  # fmt: skip


async def test_a_head_goes_to_angles_and_guards_a_position(box: RunningBox) -> None:
    async with registered(box) as platform:

        async def position() -> list[float]:
            platform.number += 1
            platform.query("PTZPosition", platform.number, DOME)
            (found,) = await platform.told("PTZPosition", str(platform.number - 1))
            return [float(found.said(one)) for one in ("Pan", "Tilt", "Zoom")]

        asked = platform.control(1, DOME, PRECISE.format(100, 10, 1.5))
        assert (await platform.answer(asked)).status == 200
        async with asyncio.timeout(60):
            while await position() != [100, 10, 1.5]:
                await asyncio.sleep(0.1)
        refused = (
            (PRECISE.format(400, 10, 1), 400), (PRECISE.format(1, 91, 1), 400),
            (PRECISE.format(1, 1, 0), 400), (DRAG, 403),  # nobody measured the lens
            (DRAG.replace("1280", "0"), 400), ("<TargetTrack>Auto</TargetTrack>", 403),
            ("<FormatSDCard>0</FormatSDCard>", 403), ("<TeleBoot>Boot</TeleBoot>", 403),
            ("<Unheard>1</Unheard>", 501), (f"<PTZCmd>{build(0x86, 1, 9)}</PTZCmd>", 501),
            (f"<PTZCmd>{build(0x89, 9)}</PTZCmd>", 404),
        )  # fmt: skip
        for inner, status in refused:
            answer = await platform.answer(platform.control(1, DOME, inner))
            assert answer.status == status, inner
        stored = platform.control(1, DOME, f"<PTZCmd>{build(0x81, 0, 6)}</PTZCmd>")
        assert (await platform.answer(stored)).status == 200
        results = (
            (HOME.format(1, 6), "OK"), (HOME.format(1, 99), "ERROR"), (HOME.format(0, 0), "OK"),
            ("<RecordCmd>Perhaps</RecordCmd>", "ERROR"), ("<GuardCmd>Perhaps</GuardCmd>", "ERROR"),
            ("<AlarmCmd>Perhaps</AlarmCmd>", "ERROR"), ("<DeviceUpgrade/>", "ERROR"),
        )  # fmt: skip
        for number, (inner, result) in enumerate(results, 40):
            platform.control(number, DOME, inner)
            (answer,) = await platform.told("DeviceControl", str(number))
            assert answer.said("Result") == result, inner
        platform.query("HomePositionQuery", 50, DOME)
        (home,) = await platform.told("HomePositionQuery", "50")
        said = [home.root.said("HomePosition", n) for n in ("Enabled", "ResetTime", "PresetIndex")]
        assert said == ["0", "60", "6"]


async def test_rights_are_asked_for_each_thing(box: RunningBox) -> None:
    only = [channel(DOME, "dome", "live")]
    async with registered(box, channels=only) as platform:
        for inner in ("<PTZCmd>A50F01015F000015</PTZCmd>", "<TeleBoot>Boot</TeleBoot>"):
            answer = await platform.answer(platform.control(1, DOME, inner))
            assert answer.status == 403, inner
        stop = platform.control(1, DOME, "<PTZCmd>A50F0100000000B5</PTZCmd>")
        assert (await platform.answer(stop)).status == 200
        for name in ("IFameCmd", "IFrameCmd"):
            asked = platform.control(1, DOME, f"<{name}>Send</{name}>")
            assert (await platform.answer(asked)).status == 200
        platform.control(20, DOME, "<RecordCmd>Record</RecordCmd>")
        (refused,) = await platform.told("DeviceControl", "20")
        assert refused.said("Result") == "ERROR"
        platform.control(21, DOME, "<DeviceUpgrade><Firmware>1</Firmware></DeviceUpgrade>")
        (refused,) = await platform.told("DeviceControl", "21")
        assert refused.said("Result") == "ERROR"
        platform.control(22, DEVICE, "<GuardCmd>ResetGuard</GuardCmd>")
        (granted,) = await platform.told("DeviceControl", "22")
        assert granted.said("Result") == "OK"
        offer = f"v=0\r\no={SERVER} 0 0 IN IP4 127.0.0.1\r\ns=Playback\r\nu={DOME}:0\r\n"
        offer += "c=IN IP4 127.0.0.1\r\nt=1 2\r\nm=video 30000 RTP/AVP 96\r\na=recvonly\r\n"
        asked = platform.ask("INVITE", offer, "application/sdp", to=DOME)
        assert (await platform.answer(asked)).status == 403
        asked = platform.ask("INVITE", "nothing", "application/sdp", to=DOME)
        assert (await platform.answer(asked)).status == 488
        assert (await platform.answer(platform.ask("BYE"))).status == 481
        assert (await state(box))["refused"] >= 5


async def test_malformed_messages_disturb_nothing(box: RunningBox) -> None:
    async with registered(box) as platform:
        for data in (b"", b"\0" * 9, b"MESSAGE sip:a SIP/2.0\r\n\r\n", b"SIP/2.0 200 OK\r\n\r\n",
                     b"INVITE sip:a SIP/2.0\r\nContent-Length: 999\r\n\r\n"):  # fmt: skip
            platform.send(data)
        for body in (b"<a", b"\xff\xfe\xfd", b"<Query><CmdType>Catalog</CmdType></Query>"):
            assert (await platform.answer(platform.ask("MESSAGE", body))).status == 400
        bomb = b'<!DOCTYPE a [<!ENTITY b "c">]><Query>&b;</Query>'
        assert (await platform.answer(platform.ask("MESSAGE", bomb))).status == 400
        platform.query("DeviceInfo", 2)
        await platform.told("DeviceInfo", "2")
        assert (await state(box))["damaged"] >= 3


async def test_what_is_repeated_is_done_once(box: RunningBox) -> None:
    async with registered(box) as platform:
        sent: list[bytes] = []
        way = platform.send
        platform.send = sent.append
        call = platform.query("DeviceInfo", 3)
        platform.send = way
        for _ in range(3):
            platform.send(sent[0])
        await platform.until(lambda: sum(one.call_id == call for one in platform.answers) == 3)
        await platform.told("DeviceInfo", "3")
        assert len([one for one in platform.bodies if one.number == "3"]) == 1


async def test_changes_of_the_catalogue_are_told(box: RunningBox) -> None:
    two = [{"id": DOME, "camera": "dome", "rights": RIGHTS},
           {"id": DOME[:-1] + "2", "camera": "later", "rights": ["live"]}]  # fmt: skip
    async with registered(box, channels=two) as platform:
        body = f"<Query><CmdType>Catalog</CmdType><SN>1</SN><DeviceID>{DEVICE}</DeviceID></Query>"
        more = (("Event", "Catalog;id=1"), ("Expires", "600"))
        call = platform.ask("SUBSCRIBE", body, "Application/MANSCDP+xml", *more)
        answer = await platform.answer(call)
        assert (answer.status, answer.get("Expires")) == (200, "600")
        await platform.until(lambda: platform.others)
        first = platform.others[0]
        assert (first.method, first.call_id) == ("NOTIFY", call)
        assert first.get("Subscription-State").startswith("active")
        assert b"<Event>OFF</Event>" in first.body
        assert (await state(box))["subscriptions"] == ["Catalog"]
        wrong = body.replace("Catalog", "MobilePosition")
        asked = platform.ask("SUBSCRIBE", wrong, "Application/MANSCDP+xml", *more)
        assert (await platform.answer(asked)).status == 489
        tag = answer.get("To").partition("tag=")[2]
        end = ("Expires", "0")
        platform.ask("SUBSCRIBE", b"", "", more[0], end, call_id=call, tag=tag)
        await platform.until(
            lambda: any("terminated" in one.get("Subscription-State") for one in platform.others)
        )
        assert (await state(box))["subscriptions"] == []


async def test_pictures_come_and_end(box: RunningBox) -> None:
    media = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    media.bind(("127.0.0.1", 0))
    media.setblocking(False)
    loop = asyncio.get_running_loop()
    try:
        async with registered(box) as platform:
            offer = (
                f"v=0\r\no={SERVER} 0 0 IN IP4 127.0.0.1\r\ns=Play\r\nc=IN IP4 127.0.0.1\r\n"
                f"t=0 0\r\nm=video {media.getsockname()[1]} RTP/AVP 96\r\na=recvonly\r\n"
                "a=rtpmap:96 PS/90000\r\ny=0200000001\r\n"
            )
            subject = ("Subject", f"{DOME}:0,{SERVER}:0")
            call = platform.ask("INVITE", offer, "application/sdp", subject, to=DOME)
            answer = await platform.answer(call)
            assert answer.status == 200, answer
            assert b"y=0200000001" in answer.body
            tag = answer.get("To").partition("tag=")[2]
            platform.ask("ACK", to=DOME, call_id=call, tag=tag)
            async with asyncio.timeout(60):
                data = await loop.sock_recv(media, 2048)
            assert data[1] & 0x7F == 96
            assert data[8:12] == (200000001).to_bytes(4, "big")
            assert data[12:16] == b"\x00\x00\x01\xba"
            assert (await state(box))["sessions"] == 1
            bye = platform.ask("BYE", to=DOME, call_id=call, tag=tag)
            await platform.until(
                lambda: any(o.cseq[1] == "BYE" and o.call_id == bye for o in platform.answers)
            )
            assert (await state(box))["sessions"] == 0
    finally:
        media.close()


async def test_settings_are_read_and_what_there_is_not_is_an_error(box: RunningBox) -> None:
    async with registered(box) as platform:
        types = "VideoParamOpt/VideoParamAttribute/VideoAlarmRecord/AlarmReport/OSDConfig/"
        found = await platform.settings(
            DOME, 60, types + "PictureMask/FrameMirror/VideoRecordPlan/Other"
        )
        assert sum(name.startswith("error") for name in found) == 3
        stream = found["VideoParamAttribute"].root
        assert stream.said("Item", "Resolution") == "1280x720"
        assert stream.said("Item", "VideoFormat") == "2"
        assert found["PictureMask"].root.said("PictureMask", "On") == "0"
        assert found["AlarmReport"].root.said("AlarmReport", "MotionDetection") == "1"
        assert [*await platform.settings(DEVICE, 61, "BasicParam")] == ["BasicParam"]
        assert [*await platform.settings(DEVICE, 62, "OSDConfig")] == ["error 0"]
        platform.query("SDCardStatus", 63)
        (disks,) = await platform.told("SDCardStatus", "63")
        assert (disks.said("SumNum"), items([disks], "Status")) == ("1", ["ok"])
        assert 200 <= int(items([disks], "Capacity")[0]) <= 300
        platform.query("SDCardStatus", 64, DOME)
        (none,) = await platform.told("SDCardStatus", "64")
        assert none.said("Result") == "ERROR"


TEXT = (
    "<OSDConfig><Length>1280</Length><Width>720</Width><TimeX>128</TimeX><TimeY>72</TimeY>"
    "<TimeEnable>1</TimeEnable><TextEnable>1</TextEnable><SumNum>1</SumNum>"
    "<Item><Text>临江 北</Text><X>128</X><Y>144</Y></Item></OSDConfig>"
)
MASK = (
    "<PictureMask><On>1</On><SumNum>1</SumNum><RegionList Num='1'><Item><Seq>1</Seq>"
    "<Point>128,72,640,360</Point></Item></RegionList></PictureMask>"
)


async def test_caption_and_masks_are_set_by_who_may(box: RunningBox) -> None:
    async with registered(box) as platform:
        assert await platform.configure(DOME, 70, TEXT) == "ERROR", "it has no right to"
    rights = [*RIGHTS, "config"]
    async with registered(box, channels=[channel(DOME, "dome", *rights)]) as platform:
        assert await platform.configure(DOME, 71, TEXT) == "OK"
        caption = (await box.call("GET", "/api/camera/dome"))["caption"]
        assert caption["lines"] == ["{date} {hms}", "临江 北"]
        assert caption["position_permille"] == [100, 100]
        found = (await platform.settings(DOME, 72, "OSDConfig"))["OSDConfig"].root
        assert [found.said("OSDConfig", one) for one in ("TimeEnable", "TimeX", "TimeY")] == [
            "1", "128", "72",
        ]  # fmt: skip
        assert found.said("Item", "Text") == "临江 北"
        for number, wrong in enumerate((
            "<FrameMirror>1</FrameMirror>", "<BasicParam><Name>x</Name></BasicParam>", "",
            TEXT.replace("临江 北", "x" * 33), TEXT.replace("1280", "0"), TEXT.replace("144", "a"),
            TEXT.replace("临江 北", "other") + "<FrameMirror>1</FrameMirror>", MASK,
        ), 73):  # fmt: skip
            assert await platform.configure(DOME, number, wrong) == "ERROR", wrong
        now = (await box.call("GET", "/api/camera/dome"))["caption"]
        assert now == caption, "of several all or none"
        report = "<AlarmReport><MotionDetection>0</MotionDetection></AlarmReport>"
        assert await platform.configure(DOME, 82, report) == "OK"
        found = (await platform.settings(DOME, 83, "AlarmReport"))["AlarmReport"].root
        assert found.said("AlarmReport", "MotionDetection") == "0"
        assert found.said("AlarmReport", "FieldDetection") == "1"
    everything = [channel(DOME, "dome", *rights, "unmasked")]
    async with registered(box, channels=everything) as platform:
        assert await platform.configure(DOME, 84, MASK) == "OK"
        found = (await platform.settings(DOME, 85, "PictureMask"))["PictureMask"].root
        assert found.said("PictureMask", "On") == "1"
        assert found.said("Item", "Point") == "128,72,640,360"
        for number, wrong in enumerate((
            MASK.replace("640", "100"), MASK.replace(",360", ""), MASK.replace("Item", "Other"),
        ), 86):  # fmt: skip
            assert await platform.configure(DOME, number, wrong) == "ERROR", wrong
        assert await platform.configure(DOME, 90, "<PictureMask><On>0</On></PictureMask>") == "OK"
        found = (await platform.settings(DOME, 91, "PictureMask"))["PictureMask"].root
        assert found.said("PictureMask", "On") == "0"
