"""The box as an ONVIF device, asked by `onvif-zeep-async` and by who means harm."""

import asyncio
import base64
import contextlib
import hashlib
import re
import secrets
import time
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import aiohttp
import pytest
import pytest_asyncio
from onvif import ONVIFCamera
from zeep.exceptions import Fault

from tests.app.box import RunningBox, running_box
from tests.ports import free_port

pytestmark = pytest.mark.asyncio(loop_scope="module")
TDS = "http://www.onvif.org/ver10/device/wsdl"
EVENTS = "http://www.onvif.org/ver10/events/wsdl"
TPTZ = "http://www.onvif.org/ver20/ptz/wsdl"
P = {"ProfileToken": "dome.main"}


class Device:
    """A box that is an ONVIF device, and what hosts of it know."""

    def __init__(self, box: RunningBox, port: int) -> None:
        self.box, self.port = box, port
        self.secrets: dict[str, str] = {}
        self.tls_port = 0

    async def switch_on(self, **more: object) -> Any:
        body = {"on": True, "port": self.port, "discovery": False, **more}
        return await self.box.call("PUT", "/api/upstream/onvif", body)

    async def credential(self, name: str, *rights: str, outputs: tuple[str, ...] = ()) -> None:
        said = {"*": list(rights), **{f"@{one}": ["relay"] for one in outputs}}
        body = {"name": name, "rights": said, "tokens": True}
        self.secrets[name] = (await self.box.call("POST", "/api/machine", body, 201))["secret"]

    @contextlib.asynccontextmanager
    async def camera(self, name: str, secret: str = "") -> AsyncIterator[ONVIFCamera]:
        camera = ONVIFCamera("127.0.0.1", self.port, name, secret or self.secrets[name])
        try:
            await camera.update_xaddrs()
            yield camera
        finally:
            await camera.close()

    def signed(self, name: str, body: str) -> bytes:
        nonce, created = secrets.token_bytes(16), datetime.now(UTC).isoformat()
        made = hashlib.sha1(nonce + created.encode() + self.secrets[name].encode()).digest()
        wsse = (
            f"<Security><UsernameToken><Username>{name}</Username><Password Type='#PasswordDigest'>"
            f"{base64.b64encode(made).decode()}</Password><Nonce>{base64.b64encode(nonce).decode()}"
            f"</Nonce><Created>{created}</Created></UsernameToken></Security>"
        )
        return f"<Envelope><Header>{wsse}</Header><Body>{body}</Body></Envelope>".encode()

    async def post(
        self, data: bytes, path: str = "/onvif/device_service", **headers: str
    ) -> tuple[int, str, Any]:
        async with (
            aiohttp.ClientSession() as session,
            session.post(
                f"http://127.0.0.1:{self.port}{path}", data=data, headers=headers
            ) as answer,
        ):
            return answer.status, await answer.text(), answer.headers

    async def state(self) -> Any:
        return await self.box.call("GET", "/api/upstream/onvif")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def device(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Device]:
    directory: Path = tmp_path_factory.mktemp("box")
    async with running_box(directory) as box:
        device = Device(box, free_port())
        assert (await device.state())["on"] is False
        with pytest.raises(ConnectionRefusedError):
            await asyncio.open_connection("127.0.0.1", device.port)
        await device.switch_on()
        async with asyncio.timeout(60):
            while not (await device.state())["listening"]:
                await asyncio.sleep(0.05)
            await box.until("dome", "state", "live", 60)
        await device.credential("host", "live", "ptz", "relay", "unmasked")
        await device.credential("viewer", "live", "unmasked")
        await device.credential("other", "live", "ptz", "unmasked", outputs=("gate",))
        yield device


async def refused(asked: Any, *codes: str) -> None:
    with pytest.raises(Fault) as found:
        await asked
    told = [code.localname for code in found.value.subcodes]
    assert told == list(codes), (told, found.value.message)


async def test_a_host_learns_what_there_is(device: Device) -> None:
    async with device.camera("host") as camera:
        assert camera.xaddrs[TDS] == f"http://127.0.0.1:{device.port}/onvif/device_service"
        management = await camera.create_devicemgmt_service()
        told = await management.GetDeviceInformation()
        assert (told.Manufacturer, told.Model) == ("nvr", "nvr")
        now = (await management.GetSystemDateAndTime()).UTCDateTime
        seen = datetime(now.Date.Year, now.Date.Month, now.Date.Day, now.Time.Hour,
                        now.Time.Minute, now.Time.Second, tzinfo=UTC)  # fmt: skip
        assert abs(seen.timestamp() - time.time()) < 60
        for name in [
            "GetScopes",
            "GetHostname",
            "GetNetworkInterfaces",
            "GetNetworkProtocols",
            "GetUsers",
            "GetDNS",
            "GetNTP",
            "GetNetworkDefaultGateway",
            "GetDiscoveryMode",
            "GetServiceCapabilities",
            "GetWsdlUrl",
            "GetEndpointReference",
            "GetRelayOutputs",
            "GetCapabilities",
        ]:
            await getattr(management, name)()
        services = await management.GetServices({"IncludeCapability": True})
        assert {one.Namespace for one in services} >= {TDS, TPTZ}
        scopes = [one.ScopeItem for one in await management.GetScopes()]
        assert not [one for one in scopes if "/Profile/" in one]
        old = await management.GetCapabilities({"Category": "Media"})
        assert old.Media.XAddr == f"http://127.0.0.1:{device.port}/onvif/media_service"
        assert old.PTZ is None
        await refused(management.SystemReboot(), "ActionNotSupported")


@pytest.mark.needs("ffmpeg")
async def test_a_host_finds_stream_and_picture_of_a_profile(device: Device) -> None:
    async with device.camera("host") as camera:
        media = await camera.create_media_service()
        (profile,) = await media.GetProfiles()
        assert (profile.token, profile.Name) == ("dome.main", "临江路口")
        assert profile.VideoEncoderConfiguration.Encoding == "H264"
        size = profile.VideoEncoderConfiguration.Resolution
        assert (size.Width, size.Height) == (1280, 720)
        assert profile.PTZConfiguration.NodeToken == "dome"
        assert (await media.GetProfile(P)).token == "dome.main"
        for name in [
            "GetServiceCapabilities",
            "GetVideoSources",
            "GetAudioSources",
            "GetVideoSourceConfigurations",
            "GetVideoEncoderConfigurations",
            "GetVideoEncoderConfigurationOptions",
            "GetVideoSourceConfigurationOptions",
            "GetAudioSourceConfigurations",
            "GetAudioEncoderConfigurations",
            "GetMetadataConfigurations",
            "GetAudioOutputs",
        ]:
            await getattr(media, name)()
        setup = {"Stream": "RTP-Unicast", "Transport": {"Protocol": "RTSP"}}
        uri = (await media.GetStreamUri({"StreamSetup": setup, **P})).Uri
        assert uri == f"rtsp://127.0.0.1:{device.box.rtsp_port}/cam/dome"
        assert await described(uri, "host", device.secrets["host"]) == 200
        jpeg = await camera.get_snapshot("dome.main", basic_auth=False)
        assert jpeg is not None
        assert jpeg[:2] == b"\xff\xd8"
        await refused(media.GetProfile({"ProfileToken": "none"}), "InvalidArgVal", "NoProfile")
        await refused(media.CreateProfile({"Name": "SynoProfile"}), "Action", "MaxNVTProfiles")
        fixed = media.DeleteProfile(P)
        await refused(fixed, "Action", "DeletionOfFixedProfile")


async def described(uri: str, user: str, secret: str) -> int:
    """Ask for a stream's description as ffprobe would; returns the status."""
    process = await asyncio.create_subprocess_exec(
        "ffprobe", "-v", "error", "-rtsp_transport", "tcp", "-show_entries", "stream=codec_name",
        uri.replace("rtsp://", f"rtsp://{user}:{secret}@"),
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT,
    )  # fmt: skip
    out, _ = await process.communicate()
    assert b"h264" in out, out
    return 200


async def test_a_head_moves_for_its_time_and_stops_when_told(device: Device) -> None:
    async with device.camera("host") as camera:
        ptz = await camera.create_ptz_service()
        (node,) = await ptz.GetNodes()
        assert node.AuxiliaryCommands[:2] == ["tt:Wiper|On", "tt:Wiper|Off"]
        for name, argument in (
            ("GetNode", {"NodeToken": "dome"}), ("GetConfigurations", None),
            ("GetServiceCapabilities", None),
            ("GetConfigurationOptions", {"ConfigurationToken": "dome"}),
            ("GetConfiguration", {"PTZConfigurationToken": "dome"}),
            ("GetCompatibleConfigurations", P),
        ):  # fmt: skip
            await getattr(ptz, name)(*([argument] if argument else []))

        async def until(word: str) -> None:
            async with asyncio.timeout(60):
                while (await ptz.GetStatus(P)).MoveStatus.PanTilt != word:
                    await asyncio.sleep(0.05)

        await ptz.ContinuousMove({**P, "Velocity": {"PanTilt": {"x": 0.5, "y": 0}}})
        await until("MOVING")
        await ptz.Stop({**P, "PanTilt": True, "Zoom": True})
        await until("IDLE")
        # The next one is not refused, as it would be after a lease that lapsed; twice in a row.
        for _ in range(2):
            move = {**P, "Velocity": {"PanTilt": {"x": -0.5, "y": 0.2}}, "Timeout": "PT0.5S"}
            await ptz.ContinuousMove(move)
            await until("MOVING")
            await until("IDLE")
        long = {**P, "Velocity": {"Zoom": {"x": 0.1}}, "Timeout": "PT60S"}
        await refused(ptz.ContinuousMove(long), "InvalidArgVal", "TimeoutNotSupported")
        fast = {**P, "Velocity": {"Zoom": {"x": 1.5}}}
        await refused(ptz.ContinuousMove(fast), "InvalidArgVal", "InvalidVelocity")


async def test_one_axis_is_stopped_and_the_other_goes_on(device: Device) -> None:
    async with device.camera("host") as camera:
        ptz = await camera.create_ptz_service()
        both = {"PanTilt": {"x": 0.5, "y": 0}, "Zoom": {"x": 0.2}}
        await ptz.ContinuousMove({**P, "Velocity": both, "Timeout": "PT9S"})
        await ptz.Stop({**P, "PanTilt": False, "Zoom": True})
        assert (await ptz.GetStatus(P)).MoveStatus.PanTilt == "MOVING"
        await ptz.Stop({**P, "PanTilt": True, "Zoom": False})
        assert (await ptz.GetStatus(P)).MoveStatus.PanTilt == "IDLE"


async def test_presets_are_those_of_the_page(device: Device) -> None:
    async with device.camera("host") as camera:
        ptz = await camera.create_ptz_service()
        before = {one.token: one.Name for one in await ptz.GetPresets(P)}
        assert before["2"] == "斑马线"
        token = await ptz.SetPreset({**P, "PresetName": "雨棚"})
        assert token not in before
        told = await device.box.call("GET", "/api/camera/dome/control")
        assert {"number": int(token), "name": "雨棚"}.items() <= next(
            one for one in told["presets"] if one["number"] == int(token)
        ).items()
        await ptz.GotoPreset({**P, "PresetToken": token})
        await ptz.RemovePreset({**P, "PresetToken": token})
        gone = ptz.GotoPreset({**P, "PresetToken": token})
        await refused(gone, "InvalidArgVal", "NoToken")
        for wrong in ("0", "256", "x", "²"):
            bad = ptz.GotoPreset({**P, "PresetToken": wrong})
            await refused(bad, "InvalidArgVal", "NoToken")


async def test_relays_and_the_wiper_are_switched_and_a_door_by_its_own_right(
    device: Device,
) -> None:
    async def until(name: str, on: bool) -> None:
        async with asyncio.timeout(60):
            while True:
                lines = (await device.box.call("GET", "/api/line"))["outputs"]
                if any((o["output"]["name"], o["output"]["on"]) == (name, on) for o in lines):
                    return
                await asyncio.sleep(0.05)

    async with device.camera("host") as camera:
        management = await camera.create_devicemgmt_service()
        lamp = {"RelayOutputToken": "lamp"}
        await management.SetRelayOutputState({**lamp, "LogicalState": "active"})
        await until("lamp", True)
        await management.SetRelayOutputState({**lamp, "LogicalState": "inactive"})
        await until("lamp", False)
        gate = {"RelayOutputToken": "gate", "LogicalState": "active"}
        await refused(management.SetRelayOutputState(gate), "OperationProhibited")
        ptz = await camera.create_ptz_service()
        for word, state in (("On", True), ("Off", False)):
            await ptz.SendAuxiliaryCommand({**P, "AuxiliaryData": f"tt:Wiper|{word}"})
            await until("wiper", state)
        io = await camera.create_deviceio_service()
        assert [one.token for one in await io.GetDigitalInputs()] == ["fence", "cabinet"]
        kinds = {one.token: one.Properties.Mode for one in await io.GetRelayOutputs()}
        assert (kinds["lamp"], kinds["gate"]) == ("Bistable", "Monostable")
        await io.GetRelayOutputOptions()
        await io.GetServiceCapabilities()
    async with device.camera("other") as camera:
        management = await camera.create_devicemgmt_service()
        assert [one.token for one in await management.GetRelayOutputs()] == ["gate"]
        await management.SetRelayOutputState(gate)
        lamp = {"RelayOutputToken": "lamp", "LogicalState": "active"}
        await refused(management.SetRelayOutputState(lamp), "InvalidArgVal", "RelayToken")


def told(messages: Any) -> dict[tuple[str, str], tuple[str, str]]:
    """Topic and source to what is said of it, and how."""
    found = {}
    for one in messages:
        message = one.Message._value_1
        source, data = message.Source.SimpleItem[0], message.Data.SimpleItem[0]
        topic = re.search(r"tns1:[\w/]+/(\w+)", str(one.Topic))
        assert topic is not None, one.Topic
        found[topic[1], source.Value] = (data.Value, message.PropertyOperation)
    return found


async def test_a_host_hears_of_inputs_and_relays_and_only_of_what_it_may(device: Device) -> None:
    cabinet = device.box.data / "sim/input/cabinet"
    async with device.camera("host") as camera:
        manager = await camera.create_pullpoint_manager(timedelta(seconds=60), lambda: None)
        service = manager.get_service()

        async def pull(wait: str = "PT1S") -> dict[tuple[str, str], tuple[str, str]]:
            answer = await service.PullMessages({"Timeout": wait, "MessageLimit": 100})
            return told(answer.NotificationMessage)

        async def until(key: tuple[str, str], said: tuple[str, str]) -> None:
            async with asyncio.timeout(60):
                while (await pull()).get(key) != said:
                    pass

        first = await pull()
        assert first["DigitalInput", "cabinet"] == ("false", "Initialized")
        assert first["Relay", "lamp"] == ("inactive", "Initialized")
        assert ("MotionAlarm", "dome") in first
        async with asyncio.timeout(60):
            while await pull("PT1S"):
                pass  # a pulse of a test before
        cabinet.write_text("2")  # nothing follows it, as the fence is by the head
        await until(("DigitalInput", "cabinet"), ("true", "Changed"))
        cabinet.write_text("1")
        await until(("DigitalInput", "cabinet"), ("false", "Changed"))
        await manager.set_synchronization_point()
        assert (await pull())["DigitalInput", "cabinet"] == ("false", "Initialized")
        events = await camera.create_events_service()
        assert (await events.GetEventProperties()).FixedTopicSet is True
        await events.GetServiceCapabilities()
        where = camera.xaddrs[f"{EVENTS}/PullPointSubscription"]
        # Another host cannot ask at its address, though it knows it.
        ask = f"<PullMessages xmlns='{EVENTS}'><Timeout>PT0S</Timeout></PullMessages>"
        path = where.partition(str(device.port))[2]
        for name, status in (("other", 400), ("host", 200)):
            assert (await device.post(device.signed(name, ask), path))[0] == status
        await manager.shutdown()
        assert (await device.post(device.signed("host", ask), path))[0] == 400
    made = f"<CreatePullPointSubscription xmlns='{EVENTS}'>{{}}</CreatePullPointSubscription>"
    wanted = (
        "<Filter><TopicExpression Dialect='x'>tns1:Device/Trigger//.</TopicExpression></Filter>"
    )
    status, text, _ = await device.post(device.signed("viewer", made.format(wanted)))
    assert status == 200
    path = text.partition(f":{device.port}")[2].partition("<")[0]
    _, text, _ = await device.post(device.signed("viewer", ask), path)
    assert "Device/Trigger/DigitalInput" in text
    assert "Device/Trigger/Relay" not in text  # it may switch none
    assert "MotionAlarm" not in text  # that was not asked for
    contents = made.format("<Filter><MessageContent>x</MessageContent></Filter>")
    assert (await device.post(device.signed("viewer", contents)))[0] == 400


async def test_subscriptions_have_an_end(device: Device) -> None:
    made = f"<CreatePullPointSubscription xmlns='{EVENTS}'/>"
    statuses = [(await device.post(device.signed("other", made)))[0] for _ in range(9)]
    assert statuses == [200] * 8 + [500]


async def test_a_host_has_the_rights_of_its_credential_and_no_more(device: Device) -> None:
    async with device.camera("viewer") as camera:
        media = await camera.create_media_service()
        (profile,) = await media.GetProfiles()
        assert profile.PTZConfiguration is None
        ptz = await camera.create_ptz_service()
        move = {**P, "Velocity": {"Zoom": {"x": 0.1}}}
        await refused(ptz.ContinuousMove(move), "InvalidArgVal", "NoPTZProfile")
        assert await ptz.GetNodes() in (None, [])
        management = await camera.create_devicemgmt_service()
        assert await management.GetRelayOutputs() in (None, [])
    async with device.camera("host") as one, device.camera("other") as two:
        first, second = await one.create_ptz_service(), await two.create_ptz_service()
        await first.ContinuousMove({**P, "Velocity": {"PanTilt": {"x": 0.1, "y": 0}}})
        # It is in use: refused by the arbiter; to stop it everybody may.
        await refused(second.ContinuousMove(move), "OperationProhibited")
        await second.Stop(P)
        assert (await first.GetStatus(P)).MoveStatus.PanTilt == "IDLE"


async def test_what_needs_a_log_in_gets_a_challenge_and_what_needs_none_an_answer(
    device: Device,
) -> None:
    ask = "<Envelope><Body><{} xmlns='" + TDS + "'/></Body></Envelope>"
    for name in (
        "GetSystemDateAndTime", "GetCapabilities", "GetServices", "GetHostname", "GetWsdlUrl",
        "GetServiceCapabilities", "GetEndpointReference",
    ):  # fmt: skip
        status, text, _ = await device.post(ask.format(name).encode())
        assert (status, f"{name}Response" in text) == (200, True), text
    for name in ("GetDeviceInformation", "GetUsers", "GetRelayOutputs"):
        status, text, headers = await device.post(ask.format(name).encode())
        assert (status, "ter:NotAuthorized" in text) == (401, True)
        assert [one.split()[0] for one in headers.getall("WWW-Authenticate")] == ["Digest"] * 2
    status, text, _ = await device.post(ask.format("SystemReboot").encode())
    assert (status, "ter:ActionNotSupported" in text) == (500, True)
    async with aiohttp.ClientSession() as session:
        url = f"http://127.0.0.1:{device.port}/onvif/snapshot/dome"
        assert (await session.get(url)).status == 401


async def test_a_replayed_request_is_refused_counted_and_written_down(device: Device) -> None:
    data = device.signed("viewer", f"<GetUsers xmlns='{TDS}'/>")
    assert (await device.post(data))[0] == 200
    for _ in range(3):
        status, text, _ = await device.post(data)
        assert (status, "used before" in text) == (401, True)
    told = await device.state()
    (seen,) = [one for one in told["hosts"] if one["name"] == "viewer"]
    assert (seen["refused"], seen["why"], seen["how"]) == (3, "this token was used before", "token")
    rows = (await device.box.call("GET", "/api/audit"))["rows"]
    noted = [r for r in rows if (r["action"], r["outcome"]) == ("onvif", "refused")]
    assert len([one for one in noted if one["who"] == "viewer"]) == 1


BOMB = b'<!DOCTYPE l [<!ENTITY a "ha"><!ENTITY b "&a;&a;&a;&a;&a;&a;&a;&a;">]><l>&b;</l>'


@pytest.mark.parametrize(
    ("data", "status"),
    [
        (b"", 400),
        (BOMB, 400),
        (b"<Envelope><Body><a>" + b"a" * 70_000, 400),
        (b"<a>" * 20_000, 400),
        (bytes(range(256)), 400),
        (b"<Envelope><Body><GetServices/></Body></Envelope>", 200),
        (b"<Envelope><Body><GetServices xmlns='x'/></Body></Envelope>", 500),
    ],
)
async def test_nonsense_is_refused_and_nothing_else_is_disturbed(
    device: Device, data: bytes, status: int
) -> None:
    assert (await device.post(data))[0] == status
    assert (await device.post(data, "/elsewhere"))[0] in {status, 500}
    assert (await device.state())["listening"]


async def test_a_header_that_is_no_text_harms_nobody(device: Device) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", device.port)
    ask = f"<Envelope><Body><GetUsers xmlns='{TDS}'/></Body></Envelope>".encode()
    head = f"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: {len(ask)}\r\nAuthorization: Digest "
    writer.write(head.encode() + b'username="\xff\xfe", nonce="a", uri="/\xff", response="b"')
    writer.write(b"\r\n\r\n" + ask)
    assert b" 401 " in await reader.readline()
    writer.close()
    assert (await device.state())["listening"]


async def test_who_says_nothing_is_cut_and_a_strange_host_header_is_nobody_elses(
    device: Device,
) -> None:
    ask = f"<Envelope><Body><GetServices xmlns='{TDS}'/></Body></Envelope>".encode()
    _, text, _ = await device.post(ask, Host="nvr.example:81")
    assert "http://nvr.example:81/onvif/media_service" in text
    _, text, _ = await device.post(ask, Host="<x>&/../")
    assert f"http://127.0.0.1:{device.port}/onvif/" in text
    reader, writer = await asyncio.open_connection("127.0.0.1", device.port)
    writer.write(b"POST /onvif/device_service HTTP/1.1\r\nHost: x\r\n")
    async with asyncio.timeout(60):
        assert await reader.read() == b""
    writer.close()


async def test_a_revoked_credential_is_out_at_once(device: Device) -> None:
    await device.credential("brief", "live", "ptz", "unmasked")
    async with device.camera("brief") as camera:
        ptz = await camera.create_ptz_service()
        await ptz.ContinuousMove({**P, "Velocity": {"PanTilt": {"x": 0.1, "y": 0}}})
        await device.box.call("DELETE", "/api/machine/brief")
        control = await device.box.call("GET", "/api/camera/dome/control")
        assert control["moving"] is False
        with pytest.raises(Fault):
            await ptz.GetStatus(P)


async def test_off_is_off_and_a_taken_port_is_said(device: Device) -> None:
    async def put(port: int, *, on: bool) -> None:
        body = {"on": on, "port": port, "discovery": False}
        await device.box.call("PUT", "/api/upstream/onvif", body)

    await put(device.box.rtsp_port, on=True)
    async with asyncio.timeout(60):
        while (fault := (await device.state())["fault"]) is None:
            await asyncio.sleep(0.05)
    assert fault["code"] == "onvif.port"
    await put(device.port, on=False)
    async with asyncio.timeout(60):
        while True:
            try:
                _, writer = await asyncio.open_connection("127.0.0.1", device.port)
            except OSError:
                break
            writer.close()
            await asyncio.sleep(0.05)
    text = (device.box.data / "nvr.toml").read_text(encoding="utf-8")
    assert f"[onvif]\non = false\nport = {device.port}" in text
    await put(device.port, on=True)
    async with asyncio.timeout(60):
        while not (await device.state())["listening"]:
            await asyncio.sleep(0.05)
