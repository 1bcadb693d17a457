"""An ONVIF device of ours for what packaged ones never do: each knob is one camera of the field."""

import asyncio
import base64
import hashlib
import re
import time
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from aiohttp import web

from tests.peers.odd_drawing import Drawing, Refused

DEVICE = "http://www.onvif.org/ver10/device/wsdl"
SPACES = {
    "device": DEVICE,
    "media": "http://www.onvif.org/ver10/media/wsdl",
    "media2": "http://www.onvif.org/ver20/media/wsdl",
    "ptz": "http://www.onvif.org/ver20/ptz/wsdl",
    "events": "http://www.onvif.org/ver10/events/wsdl",
    "deviceio": "http://www.onvif.org/ver10/deviceIO/wsdl",
    "imaging": "http://www.onvif.org/ver20/imaging/wsdl",
    "search": "http://www.onvif.org/ver10/search/wsdl",
    "replay": "http://www.onvif.org/ver10/replay/wsdl",
}
ENVELOPE = (
    '<?xml version="1.0"?><s:Envelope xmlns:s="http://www.w3.org/2003/05/soap-envelope" '
    'xmlns:tt="http://www.onvif.org/ver10/schema" xmlns:wsa="http://www.w3.org/2005/08/addressing" '
    'xmlns:wsnt="http://docs.oasis-open.org/wsn/b-2" xmlns:ter="http://www.onvif.org/ver10/error" '
    'xmlns:tns1="http://www.onvif.org/ver10/topics" '
    + " ".join(f'xmlns:{name}="{space}"' for name, space in SPACES.items())
    + "><s:Body>%s</s:Body></s:Envelope>"
)
FAULT = (
    "<s:Fault><s:Code><s:Value>s:Sender</s:Value><s:Subcode><s:Value>%s</s:Value></s:Subcode>"
    '</s:Code><s:Reason><s:Text xml:lang="en">%s</s:Text></s:Reason></s:Fault>'
)
BOMB = b"""<?xml version="1.0"?><!DOCTYPE lolz [<!ENTITY a "ha"><!ENTITY b "&a;&a;&a;&a;&a;&a;">
<!ENTITY c "&b;&b;&b;&b;&b;&b;"><!ENTITY x SYSTEM "file:///etc/passwd">]><r>&c;&x;</r>"""


FOV = "http://www.onvif.org/ver10/tptz/PanTiltSpaces/TranslationSpaceFov"


@dataclass
class Odd:
    """A device.

    Attributes:
        clock_offset_s: Its clock minus ours.
        auth: ``wsse``, ``digest``, ``both`` or ``none``.
        window_s: How far a token's time may be from its clock.
        answer: In place of every answer: ``bomb``, ``huge``, ``deep``, ``many``, ``drip``,
            ``binary``, ``redirect``, ``empty``, ``hang``, ``reset``, ``wrong-root``.
        lies: Host it names in every URL.
        gop: Of its encoder, in pictures.
        events: To be pulled; each a notification's inner XML.
        timeouts: Range of PTZ time-outs it takes, None for none.
        ignores_stop: It does not obey Stop.
        fov: It goes by shares of what it sees.
        locked: It answers 401 with the words of a locked account.
        tells_clock: Whether it shows its clock to strangers.
        serial: Serial number.
        lists: Auxiliary commands of its head; device_lists: of the device.
        refuses_off: It takes no command that switches off.
        drawing: What it draws into its picture.
    """

    clock_offset_s: float = 0.0
    auth: str = "both"
    window_s: float = 5.0
    answer: str = ""
    lies: str = ""
    gop: int = 50
    codec: str = "H264"
    media2: bool = False
    profiles: int = 2
    rtsp: str = "rtsp://HOST:554/stream%d"
    uris: tuple[str, ...] = ()
    events: list[str] = field(default_factory=list)
    timeouts: tuple[str, str] | None = ("PT1S", "PT10S")
    ignores_stop: bool = False
    fov: bool = False
    locked: bool = False
    tells_clock: bool = True
    sub_width: int = 640
    parameters: str = ""
    lease_s: int = 60
    knows_renew: bool = True
    serve_s: float = 0.0
    moving: bool = False
    log: list[str] = field(default_factory=list)
    motions: list[tuple[float, str]] = field(default_factory=list)
    wrong: int = 0
    subscriptions: int = 0
    port: int = 0
    set_clock: str = ""
    serial: str = "42"
    lists: tuple[str, ...] = ("tt:Wiper|On", "tt:Wiper|Off")
    device_lists: tuple[str, ...] = ()
    refuses_off: bool = False
    drawing: Drawing = field(default_factory=Drawing)

    # Who is asked.

    async def post(self, request: web.Request) -> web.StreamResponse:
        body = (await request.read()).decode()
        name = re.search(r"<(?:[\w-]+:)?Body[^>]*>\s*<(?:([\w-]+):)?(\w+)", body)
        assert name, body
        operation = name.group(2)
        self.log.append(operation)
        odd = await self._odd(request)
        if odd is not None:
            return odd
        open_to_all = operation == "GetSystemDateAndTime" and self.tells_clock
        if not open_to_all and (refused := self._refuse(request, body)):
            return refused
        await asyncio.sleep(self.serve_s)
        try:
            drawn = self.drawing.answer(operation, body, request.path)
        except Refused as err:
            return self._fault(*err.args)
        except ConnectionResetError:
            assert request.transport
            request.transport.abort()
            return web.Response(status=500)
        if drawn is not None:
            return self._xml(drawn)
        method = getattr(self, f"_{operation}", None)
        if method is None:
            return self._fault("ter:ActionNotSupported", "no such thing")
        made = method(body, request.path)
        if asyncio.iscoroutine(made):
            made = await made
        if isinstance(made, web.StreamResponse):
            return made
        return self._xml(made)

    def _xml(self, body: str, status: int = 200) -> web.Response:
        host = self.lies or f"127.0.0.1:{self.port}"
        text = (ENVELOPE % body).replace("XADDR", f"http://{host}")
        text = text.replace("HOST", host.partition(":")[0])
        return web.Response(body=text.encode(), status=status, content_type="application/soap+xml")

    def _fault(self, code: str, words: str, status: int = 400) -> web.Response:
        return self._xml(FAULT % (code, words), status)

    async def _odd(self, request: web.Request) -> web.StreamResponse | None:
        match self.answer:
            case "":
                return None
            case "bomb":
                return web.Response(body=BOMB)
            case "huge":
                stream = web.StreamResponse()
                await stream.prepare(request)
                for _ in range(64):
                    await stream.write(b"<a/>" * 64 * 1024)
                return stream
            case "deep":
                return web.Response(body=b"<a>" * 100_000 + b"</a>" * 100_000)
            case "many":
                return web.Response(body=b"<r>" + b"<a/>" * 100_000 + b"</r>")
            case "drip":
                stream = web.StreamResponse()
                await stream.prepare(request)
                for _ in range(600):
                    await stream.write(b"<")
                    await asyncio.sleep(0.2)
                return stream
            case "binary":
                return web.Response(body=bytes(range(256)) * 40)
            case "redirect":
                raise web.HTTPFound("http://192.0.2.99/onvif/device_service")
            case "empty":
                return web.Response(body=b"")
            case "hang":
                await asyncio.sleep(600)
            case "reset":
                assert request.transport
                request.transport.abort()
            case "wrong-root":
                return web.Response(
                    body=b"<html><body>hello</body></html>", content_type="text/html"
                )
        return web.Response(status=500)

    def _refuse(self, request: web.Request, body: str) -> web.Response | None:
        if self.locked:
            said = "<userCheck><statusString>userLocked</statusString><unlockTime>1800</unlockTime></userCheck>"
            return web.Response(status=401, text=said)
        if self.auth == "none":
            return None
        if self.auth in {"wsse", "both"} and "UsernameToken" in body:
            if self._token_right(body):
                return None
            if self.auth == "wsse":
                self.wrong += 1
        given = request.headers.get("Authorization", "")
        if self.auth in {"digest", "both"}:
            if given.startswith("Digest") and self._digest_right(given, request.method):
                return None
            self.wrong += given.startswith("Digest")
            realm = 'Digest realm="odd", nonce="abc", qop="auth", algorithm=MD5'
            return web.Response(status=401, headers={"WWW-Authenticate": realm})
        return self._fault("ter:NotAuthorized", "Sender not authorized")

    def _token_right(self, body: str) -> bool:
        def said(tag: str) -> str:
            found = re.search(rf"<(?:[\w-]+:)?{tag}(?:\s[^>]*)?>([^<]*)<", body)
            return found.group(1) if found else ""

        created = said("Created")
        try:
            at = datetime.fromisoformat(created)
        except ValueError:
            return False
        there = datetime.now(UTC) + timedelta(seconds=self.clock_offset_s)
        near = abs((at - there).total_seconds()) <= self.window_s
        nonce = base64.b64decode(said("Nonce"))
        right = base64.b64encode(hashlib.sha1(nonce + created.encode() + b"right").digest())
        return near and said("Username") == "admin" and said("Password") == right.decode()

    def _digest_right(self, given: str, method: str) -> bool:
        p = dict(re.findall(r'(\w+)="?([^",]*)"?', given))
        h = lambda t: hashlib.md5(t.encode()).hexdigest()  # noqa: E731
        ha1, ha2 = h("admin:odd:right"), h(f"{method}:{p.get('uri')}")
        right = h(f"{ha1}:{p.get('nonce')}:{p.get('nc')}:{p.get('cnonce')}:{p.get('qop')}:{ha2}")
        return p.get("username") == "admin" and p.get("response") == right

    # What it answers.

    def _GetSystemDateAndTime(self, *_):
        at = datetime.now(UTC) + timedelta(seconds=self.clock_offset_s)
        return (
            "<device:GetSystemDateAndTimeResponse><device:SystemDateAndTime>"
            "<tt:DateTimeType>Manual</tt:DateTimeType><tt:DaylightSavings>false</tt:DaylightSavings>"
            "<tt:TimeZone><tt:TZ>CST-8</tt:TZ></tt:TimeZone><tt:UTCDateTime>"
            f"<tt:Time><tt:Hour>{at.hour}</tt:Hour><tt:Minute>{at.minute}</tt:Minute>"
            f"<tt:Second>{at.second}</tt:Second></tt:Time><tt:Date><tt:Year>{at.year}</tt:Year>"
            f"<tt:Month>{at.month}</tt:Month><tt:Day>{at.day}</tt:Day></tt:Date></tt:UTCDateTime>"
            "</device:SystemDateAndTime></device:GetSystemDateAndTimeResponse>"
        )

    def _SetSystemDateAndTime(self, body, _):
        n = {
            k: int(v)
            for k, v in re.findall(r"<[\w]+:(Year|Month|Day|Hour|Minute|Second)>(\d+)<", body)
        }
        self.set_clock = re.search(r"DateTimeType>(\w+)<", body).group(1)
        if n:
            at = datetime(
                n["Year"], n["Month"], n["Day"], n["Hour"], n["Minute"], n["Second"], tzinfo=UTC
            )
            self.clock_offset_s = at.timestamp() - time.time()
        return "<device:SetSystemDateAndTimeResponse/>"

    def _SetNTP(self, body, _):
        self.set_clock = re.search(r"(?:IPv4Address|DNSname)[^>]*>([^<]+)<", body).group(1)
        return "<device:SetNTPResponse/>"

    def _GetServices(self, *_):
        kept = [s for s in SPACES if s != "media2" or self.media2]
        return "<device:GetServicesResponse>%s</device:GetServicesResponse>" % "".join(
            f"<device:Service><device:Namespace>{SPACES[s]}</device:Namespace><device:XAddr>XADDR/onvif/{s}"
            "</device:XAddr><device:Version><tt:Major>2</tt:Major><tt:Minor>0</tt:Minor>"
            "</device:Version></device:Service>"
            for s in kept
        )

    def _GetDeviceInformation(self, *_):
        return (
            "<device:GetDeviceInformationResponse><device:Manufacturer>Odd</device:Manufacturer>"
            "<device:Model>一号</device:Model><device:FirmwareVersion>1</device:FirmwareVersion>"
            f"<device:SerialNumber>{self.serial}</device:SerialNumber><device:HardwareId>x</device:HardwareId>"
            "</device:GetDeviceInformationResponse>"
        )

    def _encoder(self, index, tag):
        width, height = ((1920, 1080), (self.sub_width, 360))[index % 2]
        if tag.startswith("media2"):
            return (
                f'<{tag} token="e{index}" GovLength="{self.gop}" Profile="Main"><tt:Name>e</tt:Name>'
                f"<tt:UseCount>1</tt:UseCount><tt:Encoding>H265</tt:Encoding><tt:Resolution><tt:Width>{width}"
                f"</tt:Width><tt:Height>{height}</tt:Height></tt:Resolution><tt:RateControl>"
                "<tt:FrameRateLimit>25</tt:FrameRateLimit><tt:BitrateLimit>2048</tt:BitrateLimit>"
                f"</tt:RateControl><tt:Quality>5</tt:Quality></{tag}>"
            )
        return (
            f'<{tag} token="e{index}"><tt:Name>e</tt:Name><tt:UseCount>1</tt:UseCount>'
            f"<tt:Encoding>{self.codec}</tt:Encoding><tt:Resolution><tt:Width>{width}</tt:Width>"
            f"<tt:Height>{height}</tt:Height></tt:Resolution><tt:Quality>5</tt:Quality>"
            "<tt:RateControl><tt:FrameRateLimit>25</tt:FrameRateLimit><tt:EncodingInterval>1"
            "</tt:EncodingInterval><tt:BitrateLimit>4096</tt:BitrateLimit></tt:RateControl>"
            f"<tt:H264><tt:GovLength>{self.gop}</tt:GovLength><tt:H264Profile>Main</tt:H264Profile>"
            f"</tt:H264><tt:SessionTimeout>PT60S</tt:SessionTimeout></{tag}>"
        )

    def _GetProfiles(self, _, path):
        if path.endswith("media2"):
            return "<media2:GetProfilesResponse>%s</media2:GetProfilesResponse>" % "".join(
                f'<media2:Profiles token="p{i}" fixed="true"><media2:Name>p{i}</media2:Name>'
                '<media2:Configurations><media2:VideoSource token="v"><tt:SourceToken>src</tt:SourceToken>'
                f"</media2:VideoSource>{self._encoder(i, 'media2:VideoEncoder')}"
                "</media2:Configurations></media2:Profiles>"
                for i in range(self.profiles)
            )
        return "<media:GetProfilesResponse>%s</media:GetProfilesResponse>" % "".join(
            f'<media:Profiles token="p{i}" fixed="true"><tt:Name>p{i}</tt:Name>'
            '<tt:VideoSourceConfiguration token="v"><tt:Name>v</tt:Name><tt:UseCount>2</tt:UseCount>'
            '<tt:SourceToken>src</tt:SourceToken><tt:Bounds x="0" y="0" width="1920" height="1080"/>'
            f"</tt:VideoSourceConfiguration>{self._encoder(i, 'tt:VideoEncoderConfiguration')}"
            '<tt:PTZConfiguration token="z"><tt:Name>z</tt:Name><tt:UseCount>1</tt:UseCount>'
            "<tt:NodeToken>n</tt:NodeToken></tt:PTZConfiguration></media:Profiles>"
            for i in range(self.profiles)
        )

    def _GetVideoEncoderConfiguration(self, body, _):
        found = re.search(r"ConfigurationToken>e(\d)<", body)
        index = int(found.group(1)) if found else 0
        return (
            "<media:GetVideoEncoderConfigurationResponse>"
            f"{self._encoder(index, 'media:Configuration')}</media:GetVideoEncoderConfigurationResponse>"
        )

    def _GetVideoEncoderConfigurations(self, *_):
        return (
            "<media2:GetVideoEncoderConfigurationsResponse>"
            f"{self._encoder(0, 'media2:Configurations')}{self._encoder(1, 'media2:Configurations')}"
            "</media2:GetVideoEncoderConfigurationsResponse>"
        )

    def _SetVideoEncoderConfiguration(self, body, path):
        found = re.search(r'GovLength(?:="|>)(\d+)', body)
        self.gop = int(found.group(1))
        part = "media2" if path.endswith("media2") else "media"
        return f"<{part}:SetVideoEncoderConfigurationResponse/>"

    def _GetStreamUri(self, body, path):
        index = int(re.search(r"ProfileToken>p(\d)", body).group(1))
        uri = self.uris[index] if self.uris else self.rtsp % (index + 1)
        if path.endswith("media2"):
            return f"<media2:GetStreamUriResponse><media2:Uri>{uri}</media2:Uri></media2:GetStreamUriResponse>"
        return (
            f"<media:GetStreamUriResponse><media:MediaUri><tt:Uri>{uri}</tt:Uri>"
            "<tt:InvalidAfterConnect>false</tt:InvalidAfterConnect><tt:InvalidAfterReboot>false"
            "</tt:InvalidAfterReboot><tt:Timeout>PT0S</tt:Timeout></media:MediaUri></media:GetStreamUriResponse>"
        )

    def _GetProfile(self, body, path):
        token = re.search(r"ProfileToken>(p\d)", body).group(1)
        one = re.search(rf'<media:Profiles token="{token}".*?</media:Profiles>', self._GetProfiles(body, path))
        return f"<media:GetProfileResponse>{one.group().replace('media:Profiles', 'media:Profile')}</media:GetProfileResponse>"

    def _GetNodes(self, *_):
        space = "<tt:XRange><tt:Min>-1</tt:Min><tt:Max>1</tt:Max></tt:XRange>"
        relative = "".join(
            f"<tt:RelativePanTiltTranslationSpace><tt:URI>{name}</tt:URI>{space}"
            "<tt:YRange><tt:Min>-1</tt:Min><tt:Max>1</tt:Max></tt:YRange></tt:RelativePanTiltTranslationSpace>"
            for name in ("http://www.onvif.org/ver10/tptz/PanTiltSpaces/TranslationGenericSpace", FOV)
            if self.fov
        )
        return (
            '<ptz:GetNodesResponse><ptz:PTZNode token="n"><tt:Name>n</tt:Name><tt:SupportedPTZSpaces>'
            f"{relative}<tt:ContinuousPanTiltVelocitySpace><tt:URI>u</tt:URI>{space}"
            "<tt:YRange><tt:Min>-1</tt:Min><tt:Max>1</tt:Max></tt:YRange></tt:ContinuousPanTiltVelocitySpace>"
            f"<tt:ContinuousZoomVelocitySpace><tt:URI>u</tt:URI>{space}</tt:ContinuousZoomVelocitySpace>"
            "</tt:SupportedPTZSpaces><tt:MaximumNumberOfPresets>100</tt:MaximumNumberOfPresets>"
            "<tt:HomeSupported>true</tt:HomeSupported>"
            + "".join(f"<tt:AuxiliaryCommands>{one}</tt:AuxiliaryCommands>" for one in self.lists)
            + "</ptz:PTZNode></ptz:GetNodesResponse>"
        )

    def _GetConfigurationOptions(self, *_):
        if self.timeouts is None:
            return self._fault("ter:ActionNotSupported", "none")
        low, high = self.timeouts
        return (
            "<ptz:GetConfigurationOptionsResponse><ptz:PTZConfigurationOptions><tt:Spaces/><tt:PTZTimeout>"
            f"<tt:Min>{low}</tt:Min><tt:Max>{high}</tt:Max></tt:PTZTimeout></ptz:PTZConfigurationOptions>"
            "</ptz:GetConfigurationOptionsResponse>"
        )

    def _ContinuousMove(self, body, _):
        pan = re.search(r'PanTilt[^>]* x="([^"]+)"', body)
        zoom = re.search(r'Zoom[^>]* x="([^"]+)"', body)
        timeout = re.search(r"Timeout>([^<]+)<", body)
        word = f"move {float(pan.group(1)):g} {float(zoom.group(1)):g} {timeout.group(1) if timeout else '-'}"
        self.moving = not (float(pan.group(1)) == 0 and float(zoom.group(1)) == 0)
        self.motions.append((time.monotonic(), word))
        return "<ptz:ContinuousMoveResponse/>"

    def _RelativeMove(self, body, _):
        x, y, space = (re.search(rf'PanTilt[^>]* {key}="([^"]+)"', body).group(1) for key in ("x", "y", "space"))
        self.motions.append((time.monotonic(), f"by {float(x):g} {float(y):g} {space.rpartition('/')[2]}"))
        return "<ptz:RelativeMoveResponse/>"

    def _Stop(self, *_):
        self.motions.append((time.monotonic(), "stop"))
        self.moving = self.moving and self.ignores_stop
        return "<ptz:StopResponse/>"

    def _GetStatus(self, *_):
        word = "MOVING" if self.moving else "IDLE"
        return (
            "<ptz:GetStatusResponse><ptz:PTZStatus><tt:MoveStatus>"
            f"<tt:PanTilt>{word}</tt:PanTilt><tt:Zoom>IDLE</tt:Zoom></tt:MoveStatus>"
            "<tt:UtcTime>2026-01-01T00:00:00Z</tt:UtcTime></ptz:PTZStatus></ptz:GetStatusResponse>"
        )

    def _SendAuxiliaryCommand(self, body, _):
        data = re.search(r"Auxiliary(?:Data|Command)[^>]*>([^<]+)<", body).group(1)
        head = "ProfileToken" in body
        if data not in (self.lists if head else self.device_lists):
            return self._fault("ter:InvalidArgVal", "no such command")
        if self.refuses_off and data.endswith("Off"):
            return self._fault("ter:Action", "not now")
        self.motions.append((time.monotonic(), data))
        space = "ptz" if head else "device"
        return f"<{space}:SendAuxiliaryCommandResponse/>"

    def _GetPresets(self, *_):
        return (
            '<ptz:GetPresetsResponse><ptz:Preset token="1"><tt:Name>Gate</tt:Name></ptz:Preset>'
            '<ptz:Preset token="Preset_7"><tt:Name>北门</tt:Name></ptz:Preset></ptz:GetPresetsResponse>'
        )

    def _GotoPreset(self, body, _):
        self.motions.append(
            (time.monotonic(), "preset " + re.search(r"PresetToken>([^<]+)<", body).group(1))
        )
        return "<ptz:GotoPresetResponse/>"

    def _SetPreset(self, body, _):
        found = re.search(r"PresetToken>([^<]+)<", body)
        return (
            f"<ptz:SetPresetResponse><ptz:PresetToken>{found.group(1) if found else '9'}</ptz:PresetToken>"
            "</ptz:SetPresetResponse>"
        )

    def _GetRelayOutputs(self, *_):
        return (
            '<device:GetRelayOutputsResponse><device:RelayOutputs token="r1"><tt:Properties>'
            "<tt:Mode>Monostable</tt:Mode><tt:DelayTime>PT2S</tt:DelayTime><tt:IdleState>open</tt:IdleState>"
            "</tt:Properties></device:RelayOutputs></device:GetRelayOutputsResponse>"
        )

    def _SetRelayOutputState(self, body, _):
        self.motions.append((time.monotonic(), re.search(r"LogicalState>([^<]+)<", body).group(1)))
        return "<device:SetRelayOutputStateResponse/>"

    def _GetDigitalInputs(self, *_):
        return '<deviceio:GetDigitalInputsResponse><deviceio:DigitalInputs token="i1"/></deviceio:GetDigitalInputsResponse>'

    def _GetImagingSettings(self, *_):
        return (
            "<imaging:GetImagingSettingsResponse><imaging:ImagingSettings><tt:Brightness>50</tt:Brightness>"
            "<tt:IrCutFilter>AUTO</tt:IrCutFilter></imaging:ImagingSettings></imaging:GetImagingSettingsResponse>"
        )

    def _FindRecordings(self, *_):
        return "<search:FindRecordingsResponse><search:SearchToken>s1</search:SearchToken></search:FindRecordingsResponse>"

    def _GetRecordingSearchResults(self, *_):
        return (
            "<search:GetRecordingSearchResultsResponse><search:ResultList><tt:SearchState>Completed"
            "</tt:SearchState><tt:RecordingInformation><tt:RecordingToken>rec1</tt:RecordingToken><tt:Source>"
            "<tt:SourceId>x</tt:SourceId><tt:Name>card</tt:Name><tt:Location>l</tt:Location><tt:Description>d"
            "</tt:Description><tt:Address>a</tt:Address></tt:Source>"
            "<tt:EarliestRecording>2026-01-01T00:00:00Z</tt:EarliestRecording>"
            "<tt:LatestRecording>2026-01-02T00:00:00Z</tt:LatestRecording><tt:Content>c</tt:Content>"
            "<tt:Track><tt:TrackToken>t1</tt:TrackToken><tt:TrackType>Video</tt:TrackType>"
            "<tt:Description>d</tt:Description><tt:DataFrom>2026-01-01T00:00:00Z</tt:DataFrom>"
            "<tt:DataTo>2026-01-02T00:00:00Z</tt:DataTo></tt:Track>"
            "<tt:RecordingStatus>Recording</tt:RecordingStatus></tt:RecordingInformation>"
            "</search:ResultList></search:GetRecordingSearchResultsResponse>"
        )

    def _EndSearch(self, *_):
        return "<search:EndSearchResponse><search:Endpoint>2026-01-01T00:00:00Z</search:Endpoint></search:EndSearchResponse>"

    def _GetReplayUri(self, *_):
        return "<replay:GetReplayUriResponse><replay:Uri>rtsp://10.1.1.1:554/replay</replay:Uri></replay:GetReplayUriResponse>"

    def _CreatePullPointSubscription(self, body, _):
        assert re.search(r"InitialTerminationTime>PT\d+S<", body)
        self.subscriptions += 1
        now = datetime.now(UTC)
        reference = (
            f"<wsa:ReferenceParameters>{self.parameters}</wsa:ReferenceParameters>"
            if self.parameters
            else ""
        )
        return (
            "<events:CreatePullPointSubscriptionResponse><events:SubscriptionReference><wsa:Address>"
            f"XADDR/onvif/sub{self.subscriptions}</wsa:Address>{reference}</events:SubscriptionReference>"
            f"<wsnt:CurrentTime>{now.isoformat()}</wsnt:CurrentTime><wsnt:TerminationTime>"
            f"{(now + timedelta(seconds=self.lease_s)).isoformat()}</wsnt:TerminationTime>"
            "</events:CreatePullPointSubscriptionResponse>"
        )

    async def _PullMessages(self, body, path):
        if self.parameters and ">7<" not in body.partition("Body")[0]:
            return self._fault("ter:InvalidArgVal", "which subscription?")
        if path != f"/onvif/sub{self.subscriptions}":
            return self._fault("ter:InvalidArgVal", "no such subscription")
        for _ in range(10):
            if self.events:
                break
            await asyncio.sleep(0.1)
        taken, self.events = self.events, []
        return (
            "<events:PullMessagesResponse><events:CurrentTime>2026-01-01T00:00:00Z</events:CurrentTime>"
            "<events:TerminationTime>2026-01-01T00:01:00Z</events:TerminationTime>"
            + "".join(
                f"<wsnt:NotificationMessage>{one}</wsnt:NotificationMessage>" for one in taken
            )
            + "</events:PullMessagesResponse>"
        )

    def _Renew(self, *_):
        if not self.knows_renew:
            return self._fault("ter:ActionNotSupported", "Renew")
        return "<wsnt:RenewResponse><wsnt:TerminationTime>2026-01-01T00:01:00Z</wsnt:TerminationTime></wsnt:RenewResponse>"

    def _SetSynchronizationPoint(self, *_):
        return "<events:SetSynchronizationPointResponse/>"

    def _Unsubscribe(self, *_):
        return "<wsnt:UnsubscribeResponse/>"


def event(topic: str, source: str, name: str, value: str, operation: str = "Changed") -> str:
    """A notification's inner XML."""
    return (
        f'<wsnt:Topic Dialect="d">tns1:{topic}</wsnt:Topic><wsnt:Message><tt:Message '
        f'UtcTime="2026-03-01T08:00:00Z" PropertyOperation="{operation}"><tt:Source><tt:SimpleItem '
        f'Name="{source}" Value="1"/></tt:Source><tt:Data><tt:SimpleItem Name="{name}" '
        f'Value="{value}"/></tt:Data></tt:Message></wsnt:Message>'
    )


@asynccontextmanager
async def odd_device(**knobs):
    """Serve one on 127.0.0.1."""
    device = Odd(**knobs)
    app = web.Application(client_max_size=1 << 20)
    app.router.add_post("/onvif/{name}", device.post)
    runner = web.AppRunner(app, shutdown_timeout=0.1, handler_cancellation=True)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    device.port = runner.addresses[0][1]
    try:
        yield device
    finally:
        await runner.cleanup()
