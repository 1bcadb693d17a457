"""More of the box as an ONVIF device: notifications, captions, one device a camera, slow peers."""

import asyncio
import contextlib
import re
from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio
from aiohttp import web
from zeep.exceptions import Fault

from tests.app.box import browser, running_box
from tests.app.test_onvif_device import TDS, Device, P, refused
from tests.ports import free_port

pytestmark = pytest.mark.asyncio(loop_scope="module")
WSNT = "http://docs.oasis-open.org/wsn/b-2"
TR2 = "http://www.onvif.org/ver20/media/wsdl"
WSA = "http://www.w3.org/2005/08/addressing"


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def device(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Device]:
    tls_port = free_port()
    async with running_box(
        tmp_path_factory.mktemp("box"), f"[onvif]\ntls_port = {tls_port}\n"
    ) as box:
        device = Device(box, free_port())
        device.tls_port = tls_port
        await put(device)
        await box.until("dome", "state", "live", 60)
        await device.credential("host", "live", "ptz", "relay", "config", "unmasked")
        await device.credential("viewer", "live", "unmasked")
        yield device


async def put(device: Device, **channels: int) -> Any:
    told = await device.switch_on(channels=channels)
    async with asyncio.timeout(60):
        while not (await device.state())["listening"]:
            await asyncio.sleep(0.05)
    return told


@contextlib.asynccontextmanager
async def consumer(answer: int = 200) -> AsyncIterator[tuple[str, list[str]]]:
    came: list[str] = []

    async def take(request: web.Request) -> web.Response:
        came.append((await request.read()).decode())
        return web.Response(status=answer, headers={"Location": "http://127.0.0.1:1/"})

    app, port = web.Application(), free_port()
    app.router.add_route("*", "/{path:.*}", take)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", port).start()
    try:
        yield f"http://127.0.0.1:{port}/told", came
    finally:
        await runner.cleanup()


def subscription(url: str, more: str = "") -> str:
    where = f"<ConsumerReference><a:Address>{url}</a:Address></ConsumerReference>"
    return f"<Subscribe xmlns='{WSNT}' xmlns:a='{WSA}'>{where}{more}</Subscribe>"


async def until(holds: Any) -> None:
    async with asyncio.timeout(60):
        while not holds():
            await asyncio.sleep(0.05)


async def test_a_hosts_own_server_is_told_until_it_wants_no_more(device: Device) -> None:
    cabinet = device.box.data / "sim/input/cabinet"
    cabinet.write_text("1")
    async with consumer() as (url, came):
        made = subscription(url, "<InitialTerminationTime>PT60S</InitialTerminationTime>")
        status, text, _ = await device.post(device.signed("host", made), "/onvif/event_service")
        assert status == 200, text
        found = re.search(rf":{device.port}(/onvif/subscription/[\w-]+)<", text)
        assert found is not None, text
        await until(lambda: "DigitalInput" in "".join(came))
        assert "<wsnt:Notify>" in came[0]
        assert "Initialized" in came[0]
        cabinet.write_text("2")
        await until(lambda: 'Value="true"' in "".join(came))
        renew = f"<Renew xmlns='{WSNT}'><TerminationTime>PT30S</TerminationTime></Renew>"
        assert (await device.post(device.signed("host", renew), found[1]))[0] == 200
        assert (await device.post(device.signed("viewer", renew), found[1]))[0] == 400
        end = f"<Unsubscribe xmlns='{WSNT}'/>"
        assert (await device.post(device.signed("host", end), found[1]))[0] == 200
        count = len(came)
        cabinet.write_text("1")
        await asyncio.sleep(1.0)
        assert len(came) == count


async def test_nobody_has_us_call_anybody_else(device: Device) -> None:
    async with consumer() as (url, came):
        port = url.rpartition(":")[2].partition("/")[0]
        for other in (
            f"http://192.0.2.1:{port}/", f"http://localhost:{port}/", f"http://127.0.0.2:{port}/",
            f"http://0x7f.1:{port}/", f"http://[::1]:{port}/", f"http://user:pw@127.0.0.1:{port}/",
            f"https://127.0.0.1:{port}/", "file:///etc/passwd", "http://169.254.169.254/",
            "http://[::ffff:127.0.0.1]/", "", "http://127.0.0.1:99999/",
        ):  # fmt: skip
            made = subscription(other.replace("&", "&amp;"))
            status, text, _ = await device.post(device.signed("host", made))
            assert (status, "InvalidArgVal" in text) == (400, True), (other, text)
        assert came == []
    async with consumer(302) as (url, came):  # and who is told is not followed elsewhere
        status, text, _ = await device.post(device.signed("host", subscription(url)))
        assert status == 200
        await until(lambda: len(came) >= 2)
        assert came[0] == came[1]  # it was not taken


async def test_captions_are_texts_that_a_host_with_the_right_may_set(device: Device) -> None:
    source = {"ConfigurationToken": "dome"}
    async with device.camera("host") as camera:
        media = await camera.create_media_service()
        (osd,) = await media.GetOSDs()
        assert (osd.token, osd.Type) == ("dome.caption", "Text")
        assert osd.VideoSourceConfigurationToken._value_1 == "dome"
        options = await media.GetOSDOptions(source)
        assert options.OSDOptions.MaximumNumberOfOSDs.Total == 1
        old = await camera.create_media_service()
        (osd,) = await old.GetOSDs(source)
        osd.TextString.PlainText = "东门\nsecond"
        osd.Position.Pos.x, osd.Position.Pos.y = -0.5, 0.5
        await old.SetOSD({"OSD": osd})
        caption = (await device.box.camera("dome"))["caption"]
        assert caption["lines"] == ["东门", "second"]
        assert caption["position_permille"] == [250, 250]
        assert (await old.GetOSD({"OSDToken": "dome.caption"})).OSD.TextString.PlainText == (
            "东门\nsecond"
        )
        for wrong in ("x" * 33, "\n".join("abcdefghi")):
            osd.TextString.PlainText = wrong
            await refused(old.SetOSD({"OSD": osd}), "InvalidArgVal", "ConfigModify")
        with pytest.raises(Fault):
            await old.DeleteOSD({"OSDToken": "dome.caption"})
    # The new Media service has the same.
    ask = f"<GetOSDs xmlns='{TR2}'><OSDToken>dome.caption</OSDToken></GetOSDs>"
    _, text, _ = await device.post(device.signed("host", ask))
    assert "<tt:PlainText>东门\nsecond</tt:PlainText>" in text
    said = "<TextString><Type>Plain</Type><PlainText>新</PlainText></TextString>"
    ask = f"<SetOSD xmlns='{TR2}'><OSD token='dome.caption'>{said}</OSD></SetOSD>"
    status, text, _ = await device.post(device.signed("host", ask))
    assert status == 200, text
    assert (await device.box.camera("dome"))["caption"]["lines"] == ["新"]
    async with device.camera("viewer") as camera:
        media = await camera.create_media_service()
        (osd,) = await media.GetOSDs()
        osd.TextString.PlainText = "not mine"
        await refused(media.SetOSD({"OSD": osd}), "OperationProhibited")
    rows = (await device.box.call("GET", "/api/audit"))["rows"]
    assert any(row["action"] == "onvif media SetOSD" and row["who"] == "host" for row in rows)


async def test_a_camera_can_be_a_device_of_its_own(device: Device) -> None:
    port = free_port()
    told = await put(device, dome=port)
    assert told["channels"] == {"dome": port}
    own = Device(device.box, port)
    own.secrets = device.secrets
    async with asyncio.timeout(60):
        while True:
            try:
                _, writer = await asyncio.open_connection("127.0.0.1", port)
            except OSError:
                await asyncio.sleep(0.05)
            else:
                writer.close()
                break

    async def identity(it: Device) -> tuple[Any, ...]:
        async with it.camera("host") as camera:
            management = await camera.create_devicemgmt_service()
            info = await management.GetDeviceInformation()
            nets = await management.GetNetworkInterfaces()
            relays = await management.GetRelayOutputs() or []
            media = await camera.create_media_service()
            profiles = [one.token for one in await media.GetProfiles()]
            ptz = await camera.create_ptz_service()
            await ptz.GetStatus(P)
            endpoint = await management.GetEndpointReference()
            where = camera.xaddrs[TDS]
            return (
                info.SerialNumber, str(endpoint), nets[0].Info.HwAddress, info.Model, where,
                profiles, len(relays),
            )  # fmt: skip

    box, camera = await identity(device), await identity(own)
    assert not set(map(str, box[:5])) & set(map(str, camera[:5]))
    assert camera[3:] == (
        "临江路口", f"http://127.0.0.1:{port}/onvif/device_service", ["dome.main"], 0,
    )  # fmt: skip
    assert box[6] > 0
    assert [one["name"] for one in (await device.state())["hosts"]].count("host") == 2
    text = (device.box.data / "nvr.toml").read_text(encoding="utf-8")
    assert f"dome = {port}" in text
    await put(device)
    with pytest.raises(ConnectionRefusedError):
        await asyncio.open_connection("127.0.0.1", port)
    assert "channels" not in (device.box.data / "nvr.toml").read_text(encoding="utf-8")


async def test_many_who_send_slowly_keep_nobody_else_from_being_served(device: Device) -> None:
    """Slowloris: a head that never ends, a body that never comes."""
    slow = []
    heads = (
        b"POST / HTTP/1.1\r\nHost: x\r\nX-A",
        b"POST / HTTP/1.1\r\nContent-Length: 99\r\n\r\n<",
    )
    try:
        for n in range(100):
            with contextlib.suppress(OSError):
                _, writer = await asyncio.open_connection("127.0.0.1", device.port)
                writer.write(heads[n % 2])
                slow.append(writer)
        ask = f"<GetUsers xmlns='{TDS}'/>"
        got = 0
        async with asyncio.timeout(60):
            while got < 3:  # their address is full, until the first of them are cut
                for writer in slow:
                    writer.write(b"a")
                with contextlib.suppress(Exception):
                    status, _, _ = await device.post(device.signed("viewer", ask))
                    got += status == 200
                await asyncio.sleep(0.2)
        assert (await device.box.camera("dome"))["state"] == "live"
    finally:
        for writer in slow:
            writer.close()


async def test_a_head_that_says_where_it_points_is_sent_to_a_place_and_home(
    device: Device,
) -> None:
    async with device.camera("host") as camera:
        ptz = await camera.create_ptz_service()
        (node,) = await ptz.GetNodes()
        assert len(node.SupportedPTZSpaces.AbsolutePanTiltPositionSpace) == 1
        assert len(node.SupportedPTZSpaces.RelativeZoomTranslationSpace) == 1
        media = await camera.create_media_service()
        (profile,) = await media.GetProfiles()
        assert profile.PTZConfiguration.DefaultAbsolutePantTiltPositionSpace is not None

        async def stands(pan: float, tilt: float) -> None:
            async with asyncio.timeout(60):
                while True:
                    at = (await ptz.GetStatus(P)).Position.PanTilt
                    if abs(at.x - pan) < 0.01 and abs(at.y - tilt) < 0.02:
                        return
                    await asyncio.sleep(0.1)

        await ptz.AbsoluteMove({**P, "Position": {"PanTilt": {"x": 0.25, "y": -0.2}}})
        await stands(0.25, -0.2)
        await ptz.RelativeMove({**P, "Translation": {"PanTilt": {"x": -0.1, "y": 0.1}}})
        await stands(0.15, -0.1)
        far = {**P, "Position": {"PanTilt": {"x": 1.5, "y": 0}}}
        await refused(ptz.AbsoluteMove(far), "InvalidArgVal", "InvalidPosition")
        other = {"x": 0, "y": 0, "space": "http://elsewhere"}
        strange = {**P, "Translation": {"PanTilt": other}}
        await refused(ptz.RelativeMove(strange), "InvalidArgVal", "SpaceNotSupported")
        presets = {one.token for one in await ptz.GetPresets(P)}
        if "1" not in presets:
            await ptz.SetPreset({**P, "PresetToken": "1", "PresetName": "home"})
        await ptz.GotoHomePosition(P)
        await refused(ptz.SetHomePosition(P), "Action", "CannotOverwriteHome")
    async with device.camera("viewer") as camera:
        ptz = await camera.create_ptz_service()
        await refused(ptz.GotoHomePosition(P), "InvalidArgVal", "NoPTZProfile")


async def test_the_same_is_there_over_tls(device: Device) -> None:
    ask = f"<GetServices xmlns='{TDS}'/>"
    url = f"https://127.0.0.1:{device.tls_port}/onvif/device_service"
    async with browser() as session:
        async with session.post(url, data=device.signed("viewer", ask)) as answer:
            assert answer.status == 200
            assert f"<tds:XAddr>{url}<" in await answer.text()
        data = device.signed("viewer", f"<GetNetworkProtocols xmlns='{TDS}'/>")
        async with session.post(url, data=data) as answer:
            text = await answer.text()
            for name, port in (("HTTP", device.port), ("HTTPS", device.tls_port)):
                said = f"<tt:Name>{name}</tt:Name><tt:Enabled>true</tt:Enabled>"
                assert f"{said}<tt:Port>{port}</tt:Port>" in text
        async with session.post(url, data=data) as answer:
            assert answer.status == 401  # a token counts once, whichever door it came by
    assert "\ntls_port" in (device.box.data / "nvr.toml").read_text(encoding="utf-8")


async def test_a_host_with_the_right_switches_a_recording_job(device: Device) -> None:
    await device.credential("keeper", "live", "playback", "config", "unmasked")
    await device.credential("looker", "live", "playback", "unmasked")
    job = {"JobToken": "dome.main"}

    async def plan() -> str:
        return str((await device.box.call("GET", "/api/camera/dome/plan"))["mode"])

    async with device.camera("keeper") as camera:
        control = await camera.create_recording_service()
        before = await plan()
        assert before != "off"
        await control.SetRecordingJobMode({**job, "Mode": "Idle"})
        assert await plan() == "off"
        (told,) = await control.GetRecordingJobs()
        assert told.JobConfiguration.Mode == "Idle"
        configuration = await control.GetRecordingJobConfiguration(job)
        configuration.Mode = "Active"
        said = await control.SetRecordingJobConfiguration(
            {**job, "JobConfiguration": configuration}
        )
        assert said.Mode == "Active"
        assert await plan() == before
        with pytest.raises(Fault):
            await control.SetRecordingJobMode({**job, "Mode": "Perhaps"})
        with pytest.raises(Fault):
            await control.DeleteRecordingJob("dome.main")
        await control.SetRecordingJobMode({**job, "Mode": "Active"})  # as it is
    async with device.camera("looker") as camera:
        control = await camera.create_recording_service()
        await refused(control.SetRecordingJobMode({**job, "Mode": "Idle"}), "OperationProhibited")
    assert await plan() == before
    rows = (await device.box.call("GET", "/api/audit"))["rows"]
    noted = [row["who"] for row in rows if row["action"] == "onvif recording SetRecordingJobMode"]
    assert noted.count("keeper") == 2
