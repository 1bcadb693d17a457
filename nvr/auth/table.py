"""The table of `nvr.auth.policy`: every action of every listener, and who may do it."""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal

from nvr.auth.user import Right, Role

Kind = Literal["nobody", "user", "machine"]


@dataclass(frozen=True, slots=True)
class Rule:
    """Who may do one thing.

    Attributes:
        kinds: Kinds of subject.
        roles: Roles of a user; empty is any.
        right: Right needed on the camera named; None if the action is not about one camera.
        unclaimed: Also before the box has an owner.
        pictures: It hands out pictures as the camera sent them: of a masked camera only to who has
            the right ``unmasked``.
        own: Of a user's rights the line for just this object counts, and no ``*``.
    """

    kinds: frozenset[Kind]
    roles: frozenset[Role] = frozenset()
    right: Right | None = None
    unclaimed: bool = False
    pictures: bool = False
    own: bool = False


_USER: frozenset[Kind] = frozenset(("user",))
_MACHINE: frozenset[Kind] = frozenset(("machine",))

_FIRST = Rule(frozenset(("nobody", "user", "machine")), unclaimed=True)
_ANYBODY = Rule(frozenset(("nobody", "user", "machine")))
_SIGNED_IN = Rule(_USER)
_SCRAPE = Rule(frozenset(("user", "machine")))
_ADMIN = Rule(_USER, frozenset(("admin",)))
_NEVER = Rule(frozenset())
_AUDIT = Rule(_USER, frozenset(("admin", "auditor")))


def _camera(right: Right) -> Rule:
    return Rule(_USER, right=right)


def _output(right: Right, *, own: bool = False) -> Rule:
    """What an output is asked for under its name with an ``@``, by people and by hosts."""
    return Rule(_USER | _MACHINE, right=right, own=own)


def _pictures(right: Right) -> Rule:
    return Rule(_USER, right=right, pictures=True)


def _shown(right: Right) -> Rule:
    return Rule(_USER | _MACHINE, right=right, pictures=True)


def _relay(right: Right) -> Rule:
    return Rule(_MACHINE, right=right, pictures=True)


def _host(right: Right | None = None) -> Rule:
    return Rule(_MACHINE, right=right)


def _onvif(service: str, rule: Rule, operations: str) -> dict[str, Rule]:
    return {f"onvif {service} {name}": rule for name in operations.split()}


def _gb(rule: Rule, commands: str) -> dict[str, Rule]:
    return {f"gb {name}": rule for name in commands.split()}


TABLE: Mapping[str, Rule] = MappingProxyType(
    {
        "http GET /": _FIRST,
        "http GET /ui/{hash}/{path}": _FIRST,
        "http GET /api/box": _FIRST,
        "http POST /api/claim": _FIRST,
        "http POST /api/login": _ANYBODY,
        "http POST /api/logout": _ANYBODY,
        "http POST /api/password": _SIGNED_IN,
        "http GET /api/camera": _SIGNED_IN,  # shows the cameras the subject may know
        "http POST /api/camera": _ADMIN,
        "http GET /api/device": _ADMIN,
        "http GET /api/serial": _SIGNED_IN,  # with the cameras the subject may know
        "http GET /api/serial/{line}/monitor": _ADMIN,
        "http PUT /api/serial/{line}/keyboard": _ADMIN,
        "http GET /api/joystick": _SIGNED_IN,  # with the cameras the subject may know
        "http POST /api/joystick/{number}/learn": _ADMIN,
        "http PUT /api/joystick/profile": _ADMIN,
        "http DELETE /api/joystick/profile": _ADMIN,
        "http PUT /api/camera/{name}/joystick": _camera("ptz"),
        "http POST /api/find": _ADMIN,
        "http POST /api/find/examine": _ADMIN,
        "http POST /api/find/cure": _ADMIN,
        "http POST /api/find/adopt": _ADMIN,
        "http GET /api/camera/{name}": _camera("live"),
        "http GET /api/camera/{name}/health": _camera("live"),
        "http POST /api/camera/{name}/reconnect": _camera("config"),
        "http PUT /api/camera/{name}/tolerate": _camera("config"),
        "http PATCH /api/camera/{name}": _camera("config"),
        "http DELETE /api/camera/{name}": _camera("config"),
        "http PUT /api/camera/{name}/mask": _camera("config"),
        "http GET /api/camera/{name}/caption": _camera("live"),
        "http PUT /api/camera/{name}/caption": _camera("config"),
        "http GET /api/camera/{name}/backfill": _camera("config"),
        "http PUT /api/camera/{name}/backfill": _camera("config"),
        "http GET /api/camera/{name}/reach": _camera("config"),
        "http PUT /api/camera/{name}/reach": _camera("config"),
        "http GET /api/camera/{name}/sub": _camera("config"),
        "http PUT /api/camera/{name}/sub": _camera("config"),
        "http DELETE /api/camera/{name}/sub": _camera("config"),
        "http GET /api/camera/{name}/onvif": _camera("config"),
        "http PUT /api/camera/{name}/onvif": _camera("config"),
        "http DELETE /api/camera/{name}/onvif": _camera("config"),
        "http GET /api/camera/{name}/ptz": _camera("config"),
        "http PUT /api/camera/{name}/ptz": _camera("config"),
        "http DELETE /api/camera/{name}/ptz": _camera("config"),
        "http GET /api/camera/{name}/control": _camera("live"),
        "http POST /api/camera/{name}/control": _camera("ptz"),
        "http GET /api/camera/{name}/sight": _camera("live"),
        "http POST /api/camera/{name}/sight": _camera("config"),
        "http PUT /api/camera/{name}/preset": _camera("ptz"),
        "http GET /api/camera/{name}/preset/{number}/picture.jpg": _pictures("live"),
        "http GET /api/camera/{name}/program": _camera("live"),
        "http PUT /api/camera/{name}/program": _camera("config"),
        "http GET /api/camera/{name}/ranges": _camera("playback"),
        "http GET /api/camera/{name}/init": _camera("playback"),
        "http GET /api/camera/{name}/gop": _pictures("playback"),
        "http GET /api/camera/{name}/export": _pictures("export"),
        "http GET /api/camera/{name}/plan": _camera("config"),
        "http PUT /api/camera/{name}/plan": _camera("config"),
        "http POST /api/camera/{name}/event": _camera("relay"),
        "http GET /api/camera/{name}/event": _camera("playback"),
        "http GET /api/camera/{name}/function": _camera("ptz"),
        "http POST /api/camera/{name}/function": _camera("ptz"),  # "config" too where it is risky
        "http GET /api/camera/{name}/event/{number}/picture.jpg": _pictures("playback"),
        "http GET /api/camera/{name}/snapshot.jpg": _shown("live"),
        "http POST /api/camera/{name}/link": _camera("export"),  # and what it is a link to
        "http GET /hls/{camera}/live/{file}": _shown("live"),
        "http GET /hls/{camera}/rec/{file}": _shown("playback"),
        "http GET /link/{link}/{camera}/live/{file}": _relay("live"),
        "http GET /link/{link}/{camera}/rec/{file}": _relay("playback"),
        "http GET /api/camera/{name}/analyse": _camera("config"),
        "http PUT /api/camera/{name}/analyse": _camera("config"),
        "http DELETE /api/camera/{name}/analyse": _camera("config"),
        "http GET /api/camera/{name}/analyse/now": _camera("live"),
        "http POST /api/camera/{name}/analyse/accept": _camera("config"),
        "http GET /api/camera/{name}/talk": _camera("relay"),
        "http POST /api/camera/{name}/lock": _camera(
            "export"
        ),  # whoever may take it away may keep it
        "http DELETE /api/camera/{name}/lock/{number}": _camera("config"),
        "http GET /api/lock": _SIGNED_IN,  # shows those of cameras the subject may play back
        "http GET /api/export": _SIGNED_IN,  # these look at the cameras of each export
        "http GET /api/export/target": _SIGNED_IN,  # for those who may export something
        "http POST /api/export": _SIGNED_IN,
        "http POST /api/export/{number}/pause": _SIGNED_IN,
        "http POST /api/export/{number}/resume": _SIGNED_IN,
        "http DELETE /api/export/{number}": _SIGNED_IN,
        "http GET /api/export/{number}/{file}": _SIGNED_IN,
        "http GET /api/ring": _SIGNED_IN,
        "http GET /api/ring/size": _ADMIN,
        "http POST /api/ring/size": _ADMIN,
        "http GET /api/disk": _SIGNED_IN,
        "http GET /api/encoder": _SIGNED_IN,  # shows streams of cameras the subject may know
        "http GET /api/camera/{name}/encode": _camera("config"),
        "http PUT /api/camera/{name}/encode": _camera("config"),
        "http GET /api/camera/{name}/capture": _camera("config"),
        "http PUT /api/camera/{name}/capture": _camera("config"),
        "http GET /metrics": _SCRAPE,  # shows the cameras the subject may see live
        "http GET /api/key": _ADMIN,
        "http POST /api/key/recovery": _ADMIN,
        "http POST /api/key/unlock": _ADMIN,
        "http PUT /api/key/passphrase": _ADMIN,
        "http PUT /api/key/tpm": _ADMIN,
        "http POST /api/key/rotate": _ADMIN,
        "http POST /api/key/adopt": _ADMIN,
        "http POST /api/key/destroy": _ADMIN,
        "http POST /api/backup": _ADMIN,
        "http GET /api/user": _ADMIN,
        "http POST /api/user": _ADMIN,
        "http PATCH /api/user/{name}": _ADMIN,
        "http DELETE /api/user/{name}": _ADMIN,
        "http GET /api/machine": _ADMIN,
        "http POST /api/machine": _ADMIN,
        "http DELETE /api/machine/{name}": _ADMIN,
        "http GET /api/audit": _AUDIT,
        "http GET /api/line": _SIGNED_IN,  # shows the lines the subject may know
        "http GET /api/line/event": _SIGNED_IN,  # of these
        "http PUT /api/input/{input}": _ADMIN,
        "http POST /api/output/{output}": _SIGNED_IN,  # these look at the output and what is done
        "http POST /api/output/{output}/wipe": _SIGNED_IN,
        "http POST /api/camera/{name}/wipe": _camera("relay"),
        "http DELETE /api/camera/{name}/wipe": _camera("relay"),
        "http GET /api/ntp": _ADMIN,
        "http PUT /api/ntp": _ADMIN,
        "http GET /api/upstream/onvif": _ADMIN,
        "http PUT /api/upstream/onvif": _ADMIN,
        "http GET /api/upstream/notify": _ADMIN,
        "http PUT /api/upstream/notify/{kind}/{name}": _ADMIN,
        "http DELETE /api/upstream/notify/{kind}/{name}": _ADMIN,
        "http POST /api/upstream/notify/{kind}/{name}/test": _ADMIN,
        # What a broker is told, and may have done, by the rights of its credential.
        "mqtt box": _host(),
        "mqtt volume": _host(),
        "mqtt input": _host(),
        "mqtt camera": _host("live"),
        "mqtt output": _host("relay"),
        "mqtt output set": _host("relay"),  # and as `output on` and so on have it
        "mqtt preset": _host("ptz"),
        "mqtt stop": _host("live"),  # whoever sees it move may stop it
        "mqtt stop_all": _host(),
        "mqtt caption": _host("config"),
        "mqtt record": _host("relay"),
        "http GET /api/upstream/gb28181": _ADMIN,
        "http PUT /api/upstream/gb28181/{name}": _ADMIN,
        "http DELETE /api/upstream/gb28181/{name}": _ADMIN,
        "output on": _output("relay"),
        "output off": _output("relay"),
        "output pulse": _output("relay"),
        "output wipe": _output("relay"),
        "output door on": _output("relay", own=True),  # a door is opened by who may open this one
        "output door pulse": _output("relay", own=True),
        "ws /ws/live/{camera}": _pictures("live"),
        "ws /ws/playback/{camera}": _pictures("playback"),
        "ws /ws/talk/{camera}": _camera("relay"),  # its loudspeaker is switched like its lamp
        "ws /ws/control": _SIGNED_IN,
        "control ping": _SIGNED_IN,
        "control move": _camera("ptz"),
        "control aim": _camera("ptz"),
        "control lens": _camera("ptz"),
        "control take": _camera("ptz"),
        "control release": _camera("ptz"),
        "control lock": _camera("ptz"),
        "control unlock": _camera("ptz"),
        "control run": _camera("ptz"),
        "control guard": _camera("ptz"),
        "control pattern": _camera("ptz"),
        "control preset call": _camera("ptz"),
        "control preset set": _camera("ptz"),
        "control preset clear": _camera("ptz"),
        "control function": _camera("ptz"),  # "config" too where it is risky
        "control output": _camera("relay"),
        "control stop": _camera("live"),  # whoever sees it move may stop it
        "control stop_all": _SIGNED_IN,
        "rtsp OPTIONS cam/{name}": _ANYBODY,
        "rtsp DESCRIBE cam/{name}": _relay("live"),
        "rtsp SETUP cam/{name}": _relay("live"),
        "rtsp PLAY cam/{name}": _relay("live"),
        "rtsp PAUSE cam/{name}": _relay("live"),
        "rtsp GET_PARAMETER cam/{name}": _relay("live"),
        "rtsp SET_PARAMETER cam/{name}": _relay("live"),
        "rtsp TEARDOWN cam/{name}": _relay("live"),
        **{
            f"rtsp {method} rec/{{name}}": _relay("playback")
            for method in (
                "DESCRIBE",
                "SETUP",
                "PLAY",
                "PAUSE",
                "GET_PARAMETER",
                "SET_PARAMETER",
                "TEARDOWN",
            )
        },
        # What a host asks before it signs in, as ONVIF's access class PRE_AUTH has it.
        **_onvif(
            "device",
            _ANYBODY,
            "GetWsdlUrl GetServices GetServiceCapabilities GetCapabilities GetHostname "
            "GetSystemDateAndTime GetEndpointReference",
        ),
        # These show a host the cameras, outputs and inputs that it may know.
        **_onvif(
            "device",
            _host(),
            "GetDeviceInformation GetScopes GetDiscoveryMode GetNetworkInterfaces GetUsers "
            "GetNetworkProtocols GetNetworkDefaultGateway GetDNS GetNTP GetRelayOutputs",
        ),
        **_onvif("device", _host("relay"), "SetRelayOutputState SetRelayOutputSettings"),
        **_onvif("io", _ANYBODY, "GetServiceCapabilities"),
        **_onvif(
            "io",
            _host(),
            "GetRelayOutputOptions GetDigitalInputs GetVideoOutputs GetSerialPorts",
        ),
        **_onvif("io", _host("relay"), "SetRelayOutputSettings"),
        **_onvif("media", _ANYBODY, "GetServiceCapabilities"),
        **_onvif(
            "media",
            _host(),
            "GetProfiles GetVideoSources GetAudioSources GetAudioOutputs "
            "GetVideoSourceConfigurations GetVideoSourceConfiguration "
            "GetVideoSourceConfigurationOptions GetCompatibleVideoSourceConfigurations "
            "GetVideoEncoderConfigurations GetVideoEncoderConfiguration "
            "GetVideoEncoderConfigurationOptions GetCompatibleVideoEncoderConfigurations "
            "GetGuaranteedNumberOfVideoEncoderInstances GetAudioSourceConfigurations "
            "GetAudioEncoderConfigurations GetMetadataConfigurations "
            "GetVideoAnalyticsConfigurations GetAudioOutputConfigurations "
            "GetAudioDecoderConfigurations GetOSDs CreateProfile DeleteProfile",
        ),
        **_onvif(
            "media",
            _host("live"),
            "GetProfile GetStreamUri GetSnapshotUri SetSynchronizationPoint",
        ),
        **_onvif("media2", _ANYBODY, "GetServiceCapabilities"),
        **_onvif(
            "media2",
            _host(),
            "GetProfiles GetVideoSourceConfigurations GetVideoEncoderConfigurations "
            "GetAudioEncoderConfigurations GetAudioOutputConfigurations "
            "GetAudioDecoderConfigurations GetMetadataConfigurations GetAnalyticsConfigurations "
            "GetOSDs GetMasks",
        ),
        **_onvif("media", _host("live"), "GetOSD GetOSDOptions"),
        **_onvif("media", _host("config"), "SetOSD CreateOSD DeleteOSD"),
        **_onvif("media2", _host("live"), "GetOSDOptions"),
        **_onvif("media2", _host("config"), "SetOSD CreateOSD DeleteOSD"),
        **_onvif("media2", _host("live"), "GetStreamUri GetSnapshotUri SetSynchronizationPoint"),
        "onvif snapshot": _relay("live"),
        **_onvif("ptz", _ANYBODY, "GetServiceCapabilities"),
        **_onvif(
            "ptz",
            _host(),
            "GetNodes GetNode GetConfigurations GetConfiguration GetConfigurationOptions "
            "GetCompatibleConfigurations",
        ),
        **_onvif(
            "ptz",
            _host("ptz"),
            "GetStatus ContinuousMove Stop GetPresets SetPreset GotoPreset RemovePreset "
            "AbsoluteMove RelativeMove GotoHomePosition SetHomePosition",
        ),
        **_onvif("ptz", _host("relay"), "SendAuxiliaryCommand"),
        **_onvif("event", _ANYBODY, "GetServiceCapabilities"),
        **_onvif(  # a subscription tells of what its owner may know, and answers nobody else
            "event",
            _host(),
            "CreatePullPointSubscription GetEventProperties PullMessages SetSynchronizationPoint",
        ),
        **_onvif("subscription", _host(), "Subscribe Renew Unsubscribe"),
        # Recordings: these show the cameras that the host may play back.
        **_onvif("search", _ANYBODY, "GetServiceCapabilities"),
        **_onvif("recording", _ANYBODY, "GetServiceCapabilities"),
        **_onvif("replay", _ANYBODY, "GetServiceCapabilities"),
        **_onvif(
            "search",
            _host(),
            "GetRecordingSummary FindRecordings FindEvents GetRecordingSearchResults "
            "GetEventSearchResults GetSearchState EndSearch GetMediaAttributes",
        ),
        **_onvif("search", _host("playback"), "GetRecordingInformation"),
        **_onvif("recording", _host(), "GetRecordings GetRecordingJobs"),
        **_onvif(
            "recording",
            _host("playback"),
            "GetRecordingConfiguration GetTrackConfiguration GetRecordingJobConfiguration "
            "GetRecordingJobState",
        ),
        **_onvif("recording", _host(), "CreateRecordingJob"),  # there is no other than there are
        **_onvif(
            "recording",
            _host("config"),
            "SetRecordingJobMode SetRecordingJobConfiguration DeleteRecordingJob",
        ),
        **_gb(_host(), "Catalog DeviceInfo DeviceStatus ConfigDownload DeviceControl DeviceConfig"),
        **_gb(_host(), "SDCardStatus"),
        # These change what the platform itself is told, and nothing else.
        **_gb(_host(), "GuardCmd AlarmCmd AlarmReport"),
        **_gb(_host("config"), "OSDConfig PictureMask"),
        **_gb(_relay("live"), "SnapShotConfig"),
        "gb SUBSCRIBE Catalog": _host(),
        "gb SUBSCRIBE Alarm": _host(),
        **_gb(_host("playback"), "RecordInfo"),
        **_gb(_host("ptz"), "PresetQuery HomePositionQuery CruiseTrackListQuery CruiseTrackQuery"),
        **_gb(
            _host("ptz"), "PTZPosition PTZCmd DragZoomIn DragZoomOut PTZPreciseCtrl HomePosition"
        ),
        "gb PTZCmd stop": _host("live"),  # whoever sees it move may stop it
        "gb PTZCmd aux": _host("relay"),
        **_gb(_host("relay"), "RecordCmd"),
        **_gb(_host("live"), "IFameCmd"),
        **_gb(_NEVER, "TeleBoot DeviceUpgrade FormatSDCard TargetTrack"),
        "gb INVITE Play": _relay("live"),
        "gb INVITE Playback": _relay("playback"),
        "gb INVITE Download": _relay("export"),
        "gb INVITE Talk": _host("relay"),
        "gb Broadcast": _host("relay"),
        **_onvif("replay", _host(), "GetReplayConfiguration"),
        **_onvif("replay", _host("playback"), "GetReplayUri"),
    }
)
