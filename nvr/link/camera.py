"""What `nvr.media.onvif_wish` asks, as calls to a camera's services."""

import asyncio
import contextlib
import time
from collections.abc import Awaitable, Callable
from datetime import timedelta
from ipaddress import ip_address
from typing import Any, Final

from lxml import etree

from nvr.base.errors import Misconfigured, NvrError, Rejected
from nvr.link import reading, trouble
from nvr.link.drawing import Drawing
from nvr.link.head import Head, Speeds
from nvr.link.letter import Letter, utc_parts
from nvr.link.lit import Lit
from nvr.link.pull import PullPoint
from nvr.link.reading import each, get, text
from nvr.link.soap import Soap
from nvr.media import onvif_wish as wish
from nvr.media.onvif import (
    CameraEvent,
    CameraPreset,
    Device,
    EdgeRecording,
    HeadStatus,
    Imaging,
    Node,
    Profile,
    Relay,
    Target,
)
from nvr.wire.xml import escape

MOST_PROFILES: Final = 64
SEARCH_S: Final = 45.0
_RTSP: Final = ("rtsp", "rtsps")
_HTTP: Final = ("http", "https")


class Camera:
    """One camera's services. See `nvr.media.onvif_wish.OnvifClient`.

    Args:
        target: Where it is and who we are there.
        permit: Whether an address and port may be connected to.
    """

    def __init__(self, target: Target, permit: Callable[[str, int], bool]) -> None:
        self._soap = Soap(target, permit)
        self._heads: dict[str, Head] = {}
        self._nodes: dict[str, Node] = {}
        self._lit = Lit(self._send_auxiliary)
        self._pull = PullPoint(self._soap)
        self._answers: dict[type[Any], Callable[[Any], Awaitable[Any]]] = {
            wish.GetDevice: self._device,
            wish.GetProfiles: self._profiles,
            wish.GetStreamUri: self._stream_uri,
            wish.GetSnapshotUri: self._snapshot_uri,
            wish.SetClock: self._set_clock,
            wish.SetNtp: self._set_ntp,
            wish.SetGop: self._set_gop,
            wish.GetNode: self._node,
            wish.Move: self._move,
            wish.Halt: self._halt,
            wish.GetHeadStatus: self._head_status,
            wish.GoTo: self._go_to,
            wish.GetPresets: self._presets,
            wish.DoPreset: self._preset,
            wish.Auxiliary: self._auxiliary,
            wish.GetImaging: self._imaging,
            wish.SetImaging: self._set_imaging,
            wish.Focus: self._focus,
            wish.GetRelays: self._relays,
            wish.SetRelay: self._set_relay,
            wish.GetInputs: self._inputs,
            wish.GetRecordings: self._recordings,
            wish.GetReplayUri: self._replay_uri,
            wish.Pull: self._pulled,
            wish.Unsubscribe: self._unsubscribe,
        }
        self._answers |= Drawing(self._soap).answers

    async def ask(self, asked: wish.Wish[wish.Answer]) -> wish.Answer:  # noqa: D102 - see OnvifClient
        try:
            async with asyncio.timeout(asked.within_s):
                answer: wish.Answer = await self._answers[type(asked)](asked)
                return answer
        except TimeoutError as err:
            raise trouble.silent() from err

    async def close(self) -> None:
        """Stop what moves, switch off what is on, end the subscription, close the connections."""
        for head in self._heads.values():
            await head.close()
        await self._lit.close()
        await self._pull.close()
        with contextlib.suppress(NvrError):
            await self._soap.close()

    def moving(self) -> bool:
        """Whether a head of it was told to move, or something is on."""
        return self._lit.any or any(head.moving for head in self._heads.values())

    async def _device(self, _: wish.GetDevice) -> Device:
        services = await self._soap.services()
        said = await self._soap.call("device", "GetDeviceInformation")
        with contextlib.suppress(NvrError):
            await self._soap.measure_clock()
        return Device(
            text(get(said, "Manufacturer")),
            text(get(said, "Model")),
            text(get(said, "FirmwareVersion")),
            text(get(said, "SerialNumber")),
            self._soap.clock_offset_s,
            services,
        )

    async def _profiles(self, _: wish.GetProfiles) -> tuple[Profile, ...]:
        if "media2" in await self._soap.services():
            with contextlib.suppress(NvrError):
                body = "".join(
                    f"<t:Type>{kind}</t:Type>"
                    for kind in ("VideoSource", "VideoEncoder", "AudioEncoder", "PTZ")
                )
                answer = await self._soap.raw(Letter("media2", "GetProfiles", body))
                found = [reading.profile2(one) for one in answer.all("Profiles")]
                if any(one.codec for one in found):
                    return tuple(found[:MOST_PROFILES])
        answer = await self._soap.call("media", "GetProfiles")
        return tuple([reading.profile(one) for one in each(answer)][:MOST_PROFILES])

    async def _stream_uri(self, asked: wish.GetStreamUri) -> str:
        if asked.media2:
            protocol = "RtspMulticast" if asked.multicast else "RTSP"
            body = (
                f"<t:Protocol>{protocol}</t:Protocol>"
                f"<t:ProfileToken>{escape(asked.profile)}</t:ProfileToken>"
            )
            answer = await self._soap.raw(Letter("media2", "GetStreamUri", body))
            said = answer.said("Uri")
        else:
            stream = "RTP-Multicast" if asked.multicast else "RTP-Unicast"
            answer = await self._soap.call(
                "media",
                "GetStreamUri",
                {
                    "StreamSetup": {"Stream": stream, "Transport": {"Protocol": "RTSP"}},
                    "ProfileToken": asked.profile,
                },
            )
            said = str(get(answer, "Uri") or "")
        return self._named(said, _RTSP)

    async def _snapshot_uri(self, asked: wish.GetSnapshotUri) -> str:
        if asked.media2:
            body = f"<t:ProfileToken>{escape(asked.profile)}</t:ProfileToken>"
            answer = await self._soap.raw(Letter("media2", "GetSnapshotUri", body))
            return self._named(answer.said("Uri"), _HTTP)
        said = await self._soap.call("media", "GetSnapshotUri", {"ProfileToken": asked.profile})
        return self._named(str(get(said, "Uri") or ""), _HTTP)

    def _named(self, said: str, schemes: tuple[str, ...]) -> str:
        url = self._soap.own_url(said, *schemes)
        if not url:
            raise trouble.garbage("it names no address")
        return url

    async def _set_clock(self, asked: wish.SetClock) -> None:
        await self._write_clock("Manual", utc_parts(asked.utc_us))

    async def _set_ntp(self, asked: wish.SetNtp) -> None:
        try:
            version = ip_address(asked.server).version
            server = {"Type": f"IPv{version}", f"IPv{version}Address": asked.server}
        except ValueError:
            server = {"Type": "DNS", "DNSname": asked.server}
        await self._soap.call("device", "SetNTP", {"FromDHCP": False, "NTPManual": [server]})
        await self._write_clock("NTP", None)

    async def _write_clock(self, kind: str, utc: dict[str, Any] | None) -> None:
        now = await self._soap.call("device", "GetSystemDateAndTime")
        zone = text(get(now, "TimeZone", "TZ"), 64)
        params = {"DateTimeType": kind, "DaylightSavings": bool(get(now, "DaylightSavings"))}
        await self._soap.call(
            "device",
            "SetSystemDateAndTime",
            params
            | ({"TimeZone": {"TZ": zone}} if zone else {})
            | ({"UTCDateTime": utc} if utc else {}),
        )
        await self._soap.measure_clock()

    async def _set_gop(self, asked: wish.SetGop) -> None:
        """Send its own configuration back, changed in one place: it may hold what nobody knows."""
        if not 1 <= asked.frames <= 1000:
            raise trouble.fault("a group of pictures has 1 to 1000")
        service = "media2" if asked.media2 else "media"
        plural = "s" if asked.media2 else ""
        body = f"<t:ConfigurationToken>{escape(asked.encoder)}</t:ConfigurationToken>"
        tree = await self._soap.tree(Letter(service, f"GetVideoEncoderConfiguration{plural}", body))
        found = [one for one in tree.iter(f"{{*}}Configuration{plural}") if one.get("token")]
        config = next((one for one in found if one.get("token") == asked.encoder), None)
        if config is None:
            raise trouble.fault("it has no such encoder")
        lengths = list(config.iter("{*}GovLength"))
        if asked.media2:
            config.set("GovLength", str(asked.frames))
        elif lengths:
            lengths[0].text = str(asked.frames)
        else:
            raise trouble.unsupported("that for its codec")
        config.tag = f"{{{etree.QName(config).namespace}}}Configuration"
        sent = etree.tostring(config, encoding="unicode", with_tail=False)
        if not asked.media2:
            sent += "<t:ForcePersistence>true</t:ForcePersistence>"
        await self._soap.raw(Letter(service, "SetVideoEncoderConfiguration", sent))

    async def _node(self, asked: wish.GetNode) -> Node:
        if asked.profile not in self._nodes:
            config = await self._ptz_configuration(asked.profile)
            nodes = list(each(await self._soap.call("ptz", "GetNodes")))
            wanted = text(get(config, "NodeToken"), 64)
            fitting = [n for n in nodes if text(get(n, "token"), 64) == wanted] or nodes
            if not fitting:
                raise trouble.unsupported("PTZ")
            timeout = None
            with contextlib.suppress(NvrError):
                options = await self._soap.call(
                    "ptz",
                    "GetConfigurationOptions",
                    {"ConfigurationToken": text(get(config, "token"), 64)},
                )
                timeout = get(options, "PTZTimeout")
            self._nodes[asked.profile] = reading.node(fitting[0], timeout)
        return self._nodes[asked.profile]

    async def _ptz_configuration(self, profile: str) -> Any:  # noqa: ANN401 - the library's
        """The profile's configuration of the head; None if the camera does not tell."""
        with contextlib.suppress(NvrError):
            said = await self._soap.call("media", "GetProfile", {"ProfileToken": profile})
            if config := get(said, "PTZConfiguration"):
                return config
        with contextlib.suppress(NvrError):
            return next(each(await self._soap.call("ptz", "GetConfigurations")), None)
        return None

    async def _move(self, asked: wish.Move) -> None:
        head = self._heads.get(asked.profile)
        if head is None:
            node = await self._node(wish.GetNode(asked.profile))
            head = self._heads.setdefault(
                asked.profile,
                Head(lambda speeds, s: self._drive(asked.profile, node, speeds, s),
                     lambda: self._stop(asked.profile, node), node.timeout_s),
            )  # fmt: skip
        await head.move(Speeds(asked.pan, asked.tilt, asked.zoom), asked.lease_s)

    async def _halt(self, asked: wish.Halt) -> None:
        head = self._heads.get(asked.profile)
        if head is None:
            await self._stop(asked.profile, None)
        else:
            await head.stop()

    async def _drive(
        self, profile: str, node: Node, speeds: Speeds, timeout_s: float | None
    ) -> None:
        velocity: dict[str, Any] = {}
        if node.continuous or not node.zoom:
            velocity["PanTilt"] = {"x": speeds.pan, "y": speeds.tilt}
        if node.zoom:
            velocity["Zoom"] = {"x": speeds.zoom}
        params: dict[str, Any] = {"ProfileToken": profile, "Velocity": velocity}
        if timeout_s is not None:
            params["Timeout"] = timedelta(seconds=timeout_s)
        await self._soap.call("ptz", "ContinuousMove", params)

    async def _stop(self, profile: str, node: Node | None) -> None:
        """Stop, then a motion of zero: some cameras mishandle the one, some the other."""
        failed: NvrError | None = None
        try:
            await self._soap.call(
                "ptz", "Stop", {"ProfileToken": profile, "PanTilt": True, "Zoom": True}
            )
            status = None
            with contextlib.suppress(NvrError):
                status = await self._head_status(wish.GetHeadStatus(profile))
            if status is not None and status.moving is False:
                return
        except NvrError as err:
            failed = err
        zero_node = node or Node(True, True, False, False, 0, False, (), None)
        try:
            await self._drive(profile, zero_node, Speeds(0.0, 0.0, 0.0), None)
        except NvrError:
            if failed is not None:
                raise failed from None

    async def _head_status(self, asked: wish.GetHeadStatus) -> HeadStatus:
        return reading.head_status(
            await self._soap.call("ptz", "GetStatus", {"ProfileToken": asked.profile})
        )

    async def _go_to(self, asked: wish.GoTo) -> None:
        place: dict[str, Any] = {"PanTilt": {"x": asked.pan, "y": asked.tilt}}
        if asked.fov:
            place["PanTilt"]["space"] = reading.FOV_SPACE
        if asked.zoom is not None:
            place["Zoom"] = {"x": asked.zoom}
        how, key = (
            ("RelativeMove", "Translation") if asked.relative else ("AbsoluteMove", "Position")
        )
        await self._soap.call("ptz", how, {"ProfileToken": asked.profile, key: place})

    async def _presets(self, asked: wish.GetPresets) -> tuple[CameraPreset, ...]:
        found = await self._soap.call("ptz", "GetPresets", {"ProfileToken": asked.profile})
        return tuple(reading.preset(one) for one in each(found))

    async def _preset(self, asked: wish.DoPreset) -> str:
        params: dict[str, Any] = {"ProfileToken": asked.profile}
        match asked.do:
            case "home":
                await self._soap.call("ptz", "GotoHomePosition", params)
            case "set-home":
                await self._soap.call("ptz", "SetHomePosition", params)
            case "call":
                await self._soap.call("ptz", "GotoPreset", params | {"PresetToken": asked.token})
            case "clear":
                await self._soap.call("ptz", "RemovePreset", params | {"PresetToken": asked.token})
            case "set":
                token = {"PresetToken": asked.token} if asked.token else {}
                name = {"PresetName": asked.name} if asked.name else {}
                said = await self._soap.call("ptz", "SetPreset", params | token | name)
                return text(said, 64) or asked.token
        return asked.token

    async def _auxiliary(self, asked: wish.Auxiliary) -> None:
        if asked.off:
            await self._lit.on(asked.profile, asked.command, asked.off, asked.lease_s)
        else:
            await self._lit.off(asked.profile, asked.command)

    async def _send_auxiliary(self, profile: str, command: str) -> None:
        """Send it to the head, if that lists it, else to the device."""
        listed: tuple[str, ...] = ()
        with contextlib.suppress(Misconfigured):
            listed = (await self._node(wish.GetNode(profile))).auxiliary
        # What is left to the camera, where it knows that, is better than what is off for good.
        asked = (command, command.removesuffix("|Auto") + "|Off")[: 1 + command.endswith("|Auto")]
        known = next((n for one in asked for n in listed if n.lower() == one.lower()), "")
        if known:
            sent = {"ProfileToken": profile, "AuxiliaryData": known}
            await self._soap.call("ptz", "SendAuxiliaryCommand", sent)
            return
        for one in asked:
            with contextlib.suppress(Misconfigured):
                try:
                    sent = {"AuxiliaryCommand": one}
                    await self._soap.call("device", "SendAuxiliaryCommand", sent)
                except Rejected as err:
                    if err.code != "onvif.fault":
                        raise
                else:
                    return
        raise trouble.unsupported(f"the command {command[:40]}")

    async def _imaging(self, asked: wish.GetImaging) -> Imaging:
        return reading.imaging(
            await self._soap.call(
                "imaging", "GetImagingSettings", {"VideoSourceToken": asked.source}
            )
        )

    async def _set_imaging(self, asked: wish.SetImaging) -> None:
        wanted = {
            "Brightness": asked.settings.brightness,
            "Contrast": asked.settings.contrast,
            "ColorSaturation": asked.settings.saturation,
            "Sharpness": asked.settings.sharpness,
            "IrCutFilter": asked.settings.infrared or None,
        }
        await self._soap.call(
            "imaging",
            "SetImagingSettings",
            {
                "VideoSourceToken": asked.source,
                "ImagingSettings": {k: v for k, v in wanted.items() if v is not None},
                "ForcePersistence": True,
            },
        )

    async def _focus(self, asked: wish.Focus) -> None:
        source = {"VideoSourceToken": asked.source}
        if asked.speed:
            move = {"Focus": {"Continuous": {"Speed": asked.speed}}}
            await self._soap.call("imaging", "Move", source | move)
        else:
            await self._soap.call("imaging", "Stop", source)

    async def _relays(self, _: wish.GetRelays) -> tuple[Relay, ...]:
        found = await self._soap.call("device", "GetRelayOutputs")
        return tuple(reading.relay(one) for one in each(found))

    async def _set_relay(self, asked: wish.SetRelay) -> None:
        state = "active" if asked.on else "inactive"
        await self._soap.call(
            "device",
            "SetRelayOutputState",
            {"RelayOutputToken": asked.token, "LogicalState": state},
        )

    async def _inputs(self, _: wish.GetInputs) -> tuple[str, ...]:
        found = await self._soap.call("deviceio", "GetDigitalInputs")
        return tuple(text(get(one, "token"), 64) for one in each(found))

    async def _recordings(self, _: wish.GetRecordings) -> tuple[EdgeRecording, ...]:
        search = await self._soap.call(
            "search", "FindRecordings", {"Scope": {}, "KeepAliveTime": timedelta(seconds=30)}
        )
        token = text(search, 64)
        found: list[EdgeRecording] = []
        ends_s = time.monotonic() + SEARCH_S
        try:
            while time.monotonic() < ends_s and len(found) < reading.MOST_LISTED:
                said = await self._soap.call(
                    "search",
                    "GetRecordingSearchResults",
                    {"SearchToken": token, "WaitTime": timedelta(seconds=5)},
                )
                new = [reading.recording(one) for one in each(get(said, "RecordingInformation"))]
                found += new
                if text(get(said, "SearchState")) == "Completed":
                    break
                if not new:
                    await asyncio.sleep(0.5)
        finally:
            with contextlib.suppress(NvrError):
                await self._soap.call("search", "EndSearch", {"SearchToken": token})
        return tuple(found[: reading.MOST_LISTED])

    async def _replay_uri(self, asked: wish.GetReplayUri) -> str:
        said = await self._soap.call(
            "replay",
            "GetReplayUri",
            {
                "StreamSetup": {"Stream": "RTP-Unicast", "Transport": {"Protocol": "RTSP"}},
                "RecordingToken": asked.recording,
            },
        )
        return self._named(str(said or ""), _RTSP)

    async def _pulled(self, asked: wish.Pull) -> tuple[CameraEvent, ...]:
        return await self._pull.pull(asked.wait_s)

    async def _unsubscribe(self, _: wish.Unsubscribe) -> None:
        await self._pull.close()
