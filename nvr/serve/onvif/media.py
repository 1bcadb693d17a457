"""The Media service: profiles, their configurations, where streams and snapshots are.

What is here cannot be changed over ONVIF: a camera's own settings are changed at the camera. Hosts
that begin by making a profile of their own are told that there is no room for one. H.265 has no
name in this service; such a profile has no encoder here, and is whole in Media2.

Source: ONVIF Media Service Specification 21.06; media.wsdl and onvif.xsd of 2023.
"""

from collections.abc import Iterable

from nvr.serve.onvif.channel import Channels, Profile
from nvr.serve.onvif.osd import Osds
from nvr.serve.onvif.parts import Call, Operation, Parts, Service
from nvr.serve.onvif.ptz_words import configuration as ptz_configuration
from nvr.wire.soap import Fault, leaf, tag

_VIDEO = {"h264": "H264"}
_AUDIO = {"pcma": "G711", "pcmu": "G711", "g726": "G726", "aac": "AAC"}
_AUDIO_KBIT_S = {"G711": 64, "G726": 32, "AAC": 64}
MULTICAST = tag(
    "tt:Multicast",
    tag("tt:Address", leaf("tt:Type", "IPv4"), leaf("tt:IPv4Address", "0.0.0.0")),  # noqa: S104 - none
    leaf("tt:Port", 0), leaf("tt:TTL", 0), leaf("tt:AutoStart", False),
)  # fmt: skip
"""We send none."""
_NO_MORE = "as many profiles as there can be are there"


class Media:
    """Handlers of this service."""

    def __init__(self, parts: Parts, channels: Channels) -> None:
        self._parts, self._channels = parts, channels

    def service(self) -> Service:
        """What there is of it."""
        about = self._channels.camera_in("ProfileToken")
        gets = {
            "GetServiceCapabilities": self.capabilities,
            "GetProfiles": self.profiles,
            "GetVideoSources": self.video_sources,
            "GetAudioSources": self.audio_sources,
            "GetAudioOutputs": lambda _: "",
            "GetVideoSourceConfigurations": self.video_source_configurations,
            "GetVideoSourceConfiguration": self.video_source_configuration,
            "GetVideoSourceConfigurationOptions": self.video_source_options,
            "GetCompatibleVideoSourceConfigurations": self.video_source_configurations,
            "GetVideoEncoderConfigurations": self.video_encoder_configurations,
            "GetVideoEncoderConfiguration": self.video_encoder_configuration,
            "GetVideoEncoderConfigurationOptions": self.video_encoder_options,
            "GetCompatibleVideoEncoderConfigurations": self.video_encoder_configurations,
            "GetGuaranteedNumberOfVideoEncoderInstances": self.instances,
            "GetAudioSourceConfigurations": self.audio_source_configurations,
            "GetAudioEncoderConfigurations": self.audio_encoder_configurations,
            "GetMetadataConfigurations": lambda _: "",
            "GetVideoAnalyticsConfigurations": lambda _: "",
            "GetAudioOutputConfigurations": lambda _: "",
            "GetAudioDecoderConfigurations": lambda _: "",
            "CreateProfile": self.create_profile,
            "DeleteProfile": self.delete_profile,
        }
        return Service(
            "media", "trt", "media_service", (2, 60),
            {name: Operation(do) for name, do in gets.items()}
            | {
                "GetProfile": Operation(self.profile, about),
                "GetStreamUri": Operation(self.stream_uri, about),
                "GetSnapshotUri": Operation(self.snapshot_uri, about),
                "SetSynchronizationPoint": Operation(lambda _: "", about),
            }
            | Osds(self._parts, self._channels, "trt").operations(),
            self.capabilities,
        )  # fmt: skip

    def capabilities(self, call: Call) -> str:
        """``GetServiceCapabilities``."""
        most = len(self._channels.profiles(call.subject)) or 1
        return tag(
            "trt:Capabilities",
            tag("trt:ProfileCapabilities", MaximumNumberOfProfiles=most),
            tag("trt:StreamingCapabilities", RTPMulticast=False, RTP_TCP=False, RTP_RTSP_TCP=True),
            SnapshotUri=True, Rotation=False, OSD=True,
        )  # fmt: skip

    def profiles(self, call: Call) -> str:
        """``GetProfiles``."""
        return "".join(_profile("trt:Profiles", one) for one in self._all(call))

    def profile(self, call: Call) -> str:
        """``GetProfile``."""
        return _profile("trt:Profile", self._channels.profile(call))

    def video_sources(self, call: Call) -> str:
        """``GetVideoSources``."""
        return "".join(
            tag(
                "trt:VideoSources", leaf("tt:Framerate", one.stream.fps or 25.0),
                size("tt:Resolution", one), token=one.camera.name,
            )
            for one in self._mains(call)
        )  # fmt: skip

    def audio_sources(self, call: Call) -> str:
        """``GetAudioSources``."""
        return "".join(
            tag("trt:AudioSources", leaf("tt:Channels", one.sound.channels), token=one.camera.name)
            for one in self._mains(call)
            if one.sound is not None
        )

    def video_source_configurations(self, call: Call) -> str:
        """``GetVideoSourceConfigurations``."""
        return "".join(video_source("trt:Configurations", one) for one in self._mains(call))

    def video_source_configuration(self, call: Call) -> str:
        """``GetVideoSourceConfiguration``."""
        wanted = call.said("ConfigurationToken")
        found = [one for one in self._mains(call) if one.camera.name == wanted]
        return video_source("trt:Configuration", _only(found))

    def video_source_options(self, call: Call) -> str:
        """``GetVideoSourceConfigurationOptions``."""
        mains = list(self._mains(call))
        width = max((one.size_px[0] for one in mains), default=0)
        height = max((one.size_px[1] for one in mains), default=0)
        spans = (("XRange", 0, 0), ("YRange", 0, 0), ("WidthRange", 0, width),
                 ("HeightRange", 0, height))  # fmt: skip
        return tag(
            "trt:Options",
            tag("tt:BoundsRange", *(span(f"tt:{name}", a, b) for name, a, b in spans)),
            *(leaf("tt:VideoSourceTokensAvailable", one.camera.name) for one in mains),
        )

    def video_encoder_configurations(self, call: Call) -> str:
        """``GetVideoEncoderConfigurations``."""
        return "".join(_video_encoder("trt:Configurations", one) for one in self._all(call))

    def video_encoder_configuration(self, call: Call) -> str:
        """``GetVideoEncoderConfiguration``."""
        wanted = call.said("ConfigurationToken")
        found = [one for one in self._all(call) if one.token == wanted]
        return _video_encoder("trt:Configuration", _only(found))

    def video_encoder_options(self, call: Call) -> str:
        """``GetVideoEncoderConfigurationOptions``: what is so, as the only choice."""
        wanted = {call.said("ConfigurationToken"), call.said("ProfileToken")} - {""}
        shown = [
            one
            for one in self._all(call)
            if (not wanted or one.token in wanted) and one.stream.codec in _VIDEO
        ]
        sizes = sorted({one.size_px for one in shown}, reverse=True)
        fps = max((round(one.stream.fps) for one in shown), default=25) or 25
        h264 = tag(
            "tt:H264",
            *(
                tag("tt:ResolutionsAvailable", leaf("tt:Width", w), leaf("tt:Height", h))
                for w, h in sizes
            ),
            span("tt:GovLengthRange", 1, 250), span("tt:FrameRateRange", 1, fps),
            span("tt:EncodingIntervalRange", 1, 1),
            *(leaf("tt:H264ProfilesSupported", name) for name in ("Baseline", "Main", "High")),
        )  # fmt: skip
        return tag("trt:Options", span("tt:QualityRange", 1, 1), h264 if shown else "")

    def instances(self, call: Call) -> str:
        """``GetGuaranteedNumberOfVideoEncoderInstances``."""
        wanted = call.said("ConfigurationToken")
        found = [one for one in self._all(call) if one.camera.name == wanted]
        if not found:
            _only(found)
        return leaf("trt:TotalNumber", len(found))

    def audio_source_configurations(self, call: Call) -> str:
        """``GetAudioSourceConfigurations``."""
        return "".join(
            _audio_source("trt:Configurations", one)
            for one in self._mains(call)
            if one.sound is not None
        )

    def audio_encoder_configurations(self, call: Call) -> str:
        """``GetAudioEncoderConfigurations``."""
        return "".join(_audio_encoder("trt:Configurations", one) for one in self._all(call))

    def stream_uri(self, call: Call) -> str:
        """``GetStreamUri``: whatever was asked for, our server says itself what it does not do."""
        one = self._channels.profile(call)
        return _uri("trt:MediaUri", stream_url(self._parts, call, one))

    def snapshot_uri(self, call: Call) -> str:
        """``GetSnapshotUri``."""
        return _uri("trt:MediaUri", snapshot_url(call, self._channels.profile(call)))

    def create_profile(self, call: Call) -> str:  # noqa: ARG002 - a handler's shape
        """``CreateProfile``: Synology's first question."""
        raise Fault(_NO_MORE, "ter:Action", "ter:MaxNVTProfiles", receiver=True)

    def delete_profile(self, call: Call) -> str:
        """``DeleteProfile``: all are fixed."""
        self._channels.profile(call)
        raise Fault("this profile is fixed", "ter:Action", "ter:DeletionOfFixedProfile")

    def _all(self, call: Call) -> list[Profile]:
        return self._channels.profiles(call.subject)

    def _mains(self, call: Call) -> Iterable[Profile]:
        return (one for one in self._all(call) if one.which == "main")


def stream_url(parts: Parts, call: Call, one: Profile) -> str:
    """Where a profile is streamed."""
    tail = "" if one.which == "main" else f"/{one.which}"
    return f"rtsp://{call.host}:{parts.rtsp_port}/cam/{one.camera.name}{tail}"


def snapshot_url(call: Call, one: Profile) -> str:
    """Where a picture of a profile is."""
    tail = "" if one.which == "main" else f"/{one.which}"
    return f"{call.base}/onvif/snapshot/{one.camera.name}{tail}"


def span(name: str, low: float, high: float) -> str:
    """A range."""
    return tag(name, leaf("tt:Min", low), leaf("tt:Max", high))


def video_source(name: str, one: Profile) -> str:
    """A video source's one configuration: all of its picture."""
    width, height = one.size_px
    return tag(
        name, leaf("tt:Name", one.camera.title or one.camera.name),
        leaf("tt:UseCount", 1 if one.camera.sub is None else 2),
        leaf("tt:SourceToken", one.camera.name),
        tag("tt:Bounds", x=0, y=0, width=width, height=height),
        token=one.camera.name,
    )  # fmt: skip


def size(name: str, one: Profile) -> str:
    """The size of a picture, as an element."""
    width, height = one.size_px
    return tag(name, leaf("tt:Width", width), leaf("tt:Height", height))


def _only(found: list[Profile]) -> Profile:
    if not found:
        raise Fault("there is no such configuration", "ter:InvalidArgVal", "ter:NoConfig")
    return found[0]


def _uri(name: str, url: str) -> str:
    return tag(
        name, leaf("tt:Uri", url), leaf("tt:InvalidAfterConnect", False),
        leaf("tt:InvalidAfterReboot", False), leaf("tt:Timeout", "PT0S"),
    )  # fmt: skip


def _profile(name: str, one: Profile) -> str:
    sound = "" if one.sound is None else _audio_source("tt:AudioSourceConfiguration", one)
    return tag(
        name, leaf("tt:Name", one.title),
        video_source("tt:VideoSourceConfiguration", one),
        sound,
        _video_encoder("tt:VideoEncoderConfiguration", one),
        _audio_encoder("tt:AudioEncoderConfiguration", one),
        ptz_configuration("tt:PTZConfiguration", one) if one.steered else "",
        token=one.token, fixed=True,
    )  # fmt: skip


def _video_encoder(name: str, one: Profile) -> str:
    encoding, (width, height) = _VIDEO.get(one.stream.codec), one.size_px
    if encoding is None or not width or not height:
        return ""
    fps = max(1, round(one.stream.fps))
    return tag(
        name, leaf("tt:Name", one.title), leaf("tt:UseCount", 1), leaf("tt:Encoding", encoding),
        size("tt:Resolution", one), leaf("tt:Quality", 1.0),
        tag(
            "tt:RateControl", leaf("tt:FrameRateLimit", fps), leaf("tt:EncodingInterval", 1),
            leaf("tt:BitrateLimit", max(1, one.stream.bitrate_bps // 1000)),
        ),
        tag("tt:H264", leaf("tt:GovLength", fps * 2), leaf("tt:H264Profile", "Main")),
        MULTICAST, leaf("tt:SessionTimeout", "PT60S"),
        token=one.token,
    )  # fmt: skip


def _audio_source(name: str, one: Profile) -> str:
    return tag(
        name, leaf("tt:Name", one.camera.title or one.camera.name), leaf("tt:UseCount", 1),
        leaf("tt:SourceToken", one.camera.name), token=one.camera.name,
    )  # fmt: skip


def _audio_encoder(name: str, one: Profile) -> str:
    encoding = _AUDIO.get(one.sound.codec) if one.sound else None
    if encoding is None or one.sound is None:
        return ""
    return tag(
        name, leaf("tt:Name", one.title), leaf("tt:UseCount", 1), leaf("tt:Encoding", encoding),
        leaf("tt:Bitrate", _AUDIO_KBIT_S[encoding]),
        leaf("tt:SampleRate", max(1, round(one.sound.clock_hz / 1000))),
        MULTICAST, leaf("tt:SessionTimeout", "PT60S"), token=one.token,
    )  # fmt: skip
