"""The Media2 service: the same profiles, with H.265, which the older service has no name for.

Source: ONVIF Media2 Service Specification 23.06; media2 of the specification's WSDL.
"""

from nvr.serve.onvif.channel import Channels, Profile
from nvr.serve.onvif.media import MULTICAST, size, snapshot_url, stream_url, video_source
from nvr.serve.onvif.osd import Osds
from nvr.serve.onvif.parts import Call, Operation, Parts, Service
from nvr.serve.onvif.ptz_words import configuration as ptz_configuration
from nvr.wire.soap import leaf, tag

_VIDEO = {"h264": "H264", "h265": "H265"}
_AUDIO = {"pcma": "PCMA", "pcmu": "PCMU", "g726": "G726", "aac": "MP4A-LATM"}


class Media2:
    """Handlers of this service."""

    def __init__(self, parts: Parts, channels: Channels) -> None:
        self._parts, self._channels = parts, channels

    def service(self) -> Service:
        """What there is of it."""
        about = self._channels.camera_in("ProfileToken")
        return Service(
            "media2", "tr2", "media2_service", (2, 60),
            {
                "GetServiceCapabilities": Operation(self.capabilities),
                "GetProfiles": Operation(self.profiles),
                "GetVideoSourceConfigurations": Operation(self.video_source_configurations),
                "GetVideoEncoderConfigurations": Operation(self.video_encoder_configurations),
                "GetAudioEncoderConfigurations": Operation(self.audio_encoder_configurations),
                "GetAudioOutputConfigurations": Operation(lambda _: ""),
                "GetAudioDecoderConfigurations": Operation(lambda _: ""),
                "GetMetadataConfigurations": Operation(lambda _: ""),
                "GetAnalyticsConfigurations": Operation(lambda _: ""),
                "GetMasks": Operation(lambda _: ""),
                "GetStreamUri": Operation(self.stream_uri, about),
                "GetSnapshotUri": Operation(self.snapshot_uri, about),
                "SetSynchronizationPoint": Operation(lambda _: "", about),
            }
            | Osds(self._parts, self._channels, "tr2").operations(),
            self.capabilities,
        )  # fmt: skip

    def capabilities(self, call: Call) -> str:
        """``GetServiceCapabilities``."""
        most = len(self._channels.profiles(call.subject)) or 1
        return tag(
            "tr2:Capabilities",
            tag(
                "tr2:ProfileCapabilities", MaximumNumberOfProfiles=most,
                ConfigurationsSupported="VideoSource VideoEncoder AudioEncoder PTZ",
            ),
            tag("tr2:StreamingCapabilities", RTSPStreaming=True, RTPMulticast=False,
                RTP_RTSP_TCP=True, NonAggregateControl=False),
            SnapshotUri=True, Rotation=False, OSD=True, Mask=False,
        )  # fmt: skip

    def profiles(self, call: Call) -> str:
        """``GetProfiles``: with the configurations that were asked for."""
        types = {one.text for one in call.body.children if one.name == "Type"}
        wanted = call.said("Token")
        shown = self._channels.profiles(call.subject)
        if wanted:
            shown = [self._channels.profile(call, "Token")]
        return "".join(_profile(one, types) for one in shown)

    def video_source_configurations(self, call: Call) -> str:
        """``GetVideoSourceConfigurations``."""
        shown = self._chosen(call)
        names = dict.fromkeys(one.camera.name for one in shown)
        firsts = [next(one for one in shown if one.camera.name == name) for name in names]
        return "".join(video_source("tr2:Configurations", one) for one in firsts)

    def video_encoder_configurations(self, call: Call) -> str:
        """``GetVideoEncoderConfigurations``."""
        return "".join(_video_encoder("tr2:Configurations", one) for one in self._chosen(call))

    def audio_encoder_configurations(self, call: Call) -> str:
        """``GetAudioEncoderConfigurations``."""
        return "".join(_audio_encoder("tr2:Configurations", one) for one in self._chosen(call))

    def stream_uri(self, call: Call) -> str:
        """``GetStreamUri``."""
        return leaf("tr2:Uri", stream_url(self._parts, call, self._channels.profile(call)))

    def snapshot_uri(self, call: Call) -> str:
        """``GetSnapshotUri``."""
        return leaf("tr2:Uri", snapshot_url(call, self._channels.profile(call)))

    def _chosen(self, call: Call) -> list[Profile]:
        wanted = {call.said("ConfigurationToken"), call.said("ProfileToken")} - {""}
        return [
            one
            for one in self._channels.profiles(call.subject)
            if not wanted or wanted & {one.token, one.camera.name}
        ]


def _profile(one: Profile, types: set[str]) -> str:
    def part(name: str, made: str) -> str:
        return made if types & {name, "All"} else ""

    inner = (
        part("VideoSource", video_source("tr2:VideoSource", one))
        + part("VideoEncoder", _video_encoder("tr2:VideoEncoder", one))
        + part("AudioEncoder", _audio_encoder("tr2:AudioEncoder", one))
        + part("PTZ", ptz_configuration("tr2:PTZ", one) if one.steered else "")
    )
    return tag(
        "tr2:Profiles", leaf("tr2:Name", one.title),
        tag("tr2:Configurations", inner) if inner else "",
        token=one.token, fixed=True,
    )  # fmt: skip


def _video_encoder(name: str, one: Profile) -> str:
    encoding, (width, height) = _VIDEO.get(one.stream.codec), one.size_px
    if encoding is None or not width or not height:
        return ""
    fps = max(1.0, round(one.stream.fps, 1))
    return tag(
        name, leaf("tt:Name", one.title), leaf("tt:UseCount", 1), leaf("tt:Encoding", encoding),
        size("tt:Resolution", one),
        tag(
            "tt:RateControl", leaf("tt:FrameRateLimit", fps),
            leaf("tt:BitrateLimit", max(1, one.stream.bitrate_bps // 1000)),
        ),
        MULTICAST, leaf("tt:Quality", 1.0),
        token=one.token, GovLength=round(fps * 2), Profile="Main",
    )  # fmt: skip


def _audio_encoder(name: str, one: Profile) -> str:
    encoding = _AUDIO.get(one.sound.codec) if one.sound else None
    if encoding is None or one.sound is None:
        return ""
    return tag(
        name, leaf("tt:Name", one.title), leaf("tt:UseCount", 1), leaf("tt:Encoding", encoding),
        MULTICAST, leaf("tt:Bitrate", 64),
        leaf("tt:SampleRate", max(1, round(one.sound.clock_hz / 1000))), token=one.token,
    )  # fmt: skip
