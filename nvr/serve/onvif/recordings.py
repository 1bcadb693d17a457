"""Search, recording control and replay: what the archive holds, as recordings.

A recording is a stream that is or was recorded; its token is its profile's, ``gate.main``, its one
track ``VIDEO001``. What was found is kept for who asked, for as long as he said, at most a minute.
Recorded pictures are fetched by RTSP at ``/rec/gate``. Jobs are the box's own plans.

Source: ONVIF Recording Search 21.12, Recording Control 22.06 and Replay Control 22.12
Specifications; onvif.xsd of 2023.
"""

import asyncio
import secrets
from collections import OrderedDict
from dataclasses import dataclass

from nvr.playback.query import Ranges
from nvr.serve.onvif.channel import Channels, Profile
from nvr.serve.onvif.jobs import Jobs, mode_of
from nvr.serve.onvif.parts import Call, Operation, Parts, Service, unsupported
from nvr.wire.soap import Fault, child, count, duration_s, instant, instant_us, leaf, tag

TRACK = "VIDEO001"
MOST_SEARCHES = 32
KEEP_S, LONGEST_S = 10.0, 60.0
MOST_RESULTS = 500
"""In one answer."""
_STATE = "RecordingHistory/Recording/State"
_TRACK_STATE = "RecordingHistory/Track/State"
_EVER_US = 1 << 62


@dataclass(slots=True)
class _Search:
    """What was found, and what of it was not fetched yet."""

    owner: str
    kind: str
    found: list[str]
    keep_s: float
    until_s: float
    end_us: int


class Recordings:
    """Handlers of the three services."""

    def __init__(self, parts: Parts, channels: Channels) -> None:
        self._parts, self._channels = parts, channels
        self._searches: OrderedDict[str, _Search] = OrderedDict()
        self._jobs = Jobs(parts, self._recording, self._job)

    def services(self) -> tuple[Service, Service, Service]:
        """What there is of them."""
        about, one = self._about, Operation
        search = {
            "GetServiceCapabilities": one(self.search_capabilities),
            "GetRecordingSummary": one(self.summary),
            "FindRecordings": one(self.find_recordings),
            "FindEvents": one(self.find_events),
            "GetRecordingSearchResults": one(lambda call: self.results(call, "recordings")),
            "GetEventSearchResults": one(lambda call: self.results(call, "events")),
            "GetSearchState": one(self.state),
            "EndSearch": one(self.end),
            "GetMediaAttributes": one(self.media_attributes),
            "GetRecordingInformation": one(self.information, about),
        }
        control = {
            "GetServiceCapabilities": one(self.control_capabilities),
            "GetRecordings": one(self.recordings),
            "GetRecordingJobs": one(self.jobs),
            "GetRecordingConfiguration": one(self.configuration, about),
            "GetTrackConfiguration": one(self.track_configuration, about),
            "GetRecordingJobConfiguration": one(self.job_configuration, about),
            "GetRecordingJobState": one(self.job_state, about),
            **self._jobs.operations(),
        }
        replay = {
            "GetServiceCapabilities": one(self.replay_capabilities),
            "GetReplayConfiguration": one(
                lambda _: tag("trp:Configuration", leaf("tt:SessionTimeout", "PT60S"))
            ),
            "GetReplayUri": one(self.replay_uri, about),
        }
        return (
            Service("search", "tse", "search_service", (2, 60), search, self.search_capabilities),
            Service(
                "recording", "trc", "recording_service", (2, 60), control,
                self.control_capabilities,
            ),
            Service("replay", "trp", "replay_service", (2, 60), replay, self.replay_capabilities),
        )  # fmt: skip

    def search_capabilities(self, call: Call) -> str:  # noqa: ARG002 - a handler's shape
        """``GetServiceCapabilities`` of search."""
        return tag("tse:Capabilities", MetadataSearch=False, GeneralStartEvents=False)

    def control_capabilities(self, call: Call) -> str:  # noqa: ARG002 - a handler's shape
        """``GetServiceCapabilities`` of recording control."""
        return tag("trc:Capabilities", DynamicRecordings=False, DynamicTracks=False, Options=False)

    def replay_capabilities(self, call: Call) -> str:  # noqa: ARG002 - a handler's shape
        """``GetServiceCapabilities`` of replay."""
        return tag(
            "trp:Capabilities", ReversePlayback=True, SessionTimeoutRange="60 60",
            RTP_RTSP_TCP=True,
        )  # fmt: skip

    async def summary(self, call: Call) -> str:
        """``GetRecordingSummary``."""
        spans = [await self._span(one) for one in self._shown(call)]
        known = [span for span in spans if span[1]]
        now_us = self._parts.clock.wall_us()
        return tag(
            "tse:Summary",
            leaf("tt:DataFrom", instant(min((a for a, _ in known), default=now_us))),
            leaf("tt:DataUntil", instant(max((b for _, b in known), default=now_us))),
            leaf("tt:NumberRecordings", len(spans)),
        )

    async def information(self, call: Call) -> str:
        """``GetRecordingInformation``."""
        return await self._information("tse:RecordingInformation", self._recording(call))

    async def media_attributes(self, call: Call) -> str:
        """``GetMediaAttributes``: what the recordings that are named hold around a time."""
        wanted = {one.text for one in call.body.children if one.name == "RecordingTokens"}
        at_us = instant_us(call.said("Time"))
        if at_us is None:
            raise Fault("that is no time", "ter:InvalidArgVal")
        told = []
        for one in self._shown(call):
            if wanted and one.token not in wanted:
                continue
            found = await self._ranges(one, at_us, at_us + 1)
            if found.runs:
                run = found.runs[-1]
                told.append(
                    tag(
                        "tse:MediaAttributes", leaf("tt:RecordingToken", one.token),
                        tag("tt:TrackAttributes",
                            _track("tt:TrackInformation", one, run.from_us, run.to_us),
                            _video(one)),
                        leaf("tt:From", instant(run.from_us)), leaf("tt:Until", instant(run.to_us)),
                    )
                )  # fmt: skip
        return "".join(told)

    async def find_recordings(self, call: Call) -> str:
        """``FindRecordings``: by recording or source; a filter by contents is not done."""
        found = [
            await self._information("tt:RecordingInformation", one) for one in self._scoped(call)
        ]
        return self._begin(call, "recordings", found[: _most(call, "MaxMatches")])

    async def find_events(self, call: Call) -> str:
        """``FindEvents``: where recording began and ended, in order of time."""
        begin_us = instant_us(call.said("StartPoint"))
        end_us = self._parts.clock.wall_us()
        if said := call.said("EndPoint"):
            end_us = instant_us(said) or -1
        if begin_us is None or end_us < 0:
            raise Fault("that is no time", "ter:InvalidArgVal")
        low_us, high_us = min(begin_us, end_us), max(begin_us, end_us)
        state_too = call.said("IncludeStartState").lower() in {"true", "1"}
        found: list[tuple[int, str]] = []
        for one in self._scoped(call):
            runs = (await self._ranges(one, low_us, high_us)).runs
            if state_too:
                on = any(run.from_us < low_us < run.to_us for run in runs)
                found += [(low_us, text) for text in _events(one, low_us, on=on, start=True)]
            for run in runs:
                for at_us, on in ((run.from_us, True), (run.to_us, False)):
                    if low_us <= at_us <= high_us:
                        found += [(at_us, text) for text in _events(one, at_us, on=on)]
        found.sort(key=lambda event: event[0], reverse=begin_us > end_us)
        most = _most(call, "MaxMatches")
        return self._begin(call, "events", [text for _, text in found][:most], end_us)

    def results(self, call: Call, kind: str) -> str:
        """``GetRecordingSearchResults``, ``GetEventSearchResults``: the next of what was found."""
        one = self._search(call, kind)
        most = min(_most(call, "MaxResults"), MOST_RESULTS)
        told, one.found = one.found[:most], one.found[most:]
        one.until_s = self._parts.clock.monotonic_s() + one.keep_s
        state = "Queued" if one.found else "Completed"
        return tag("tse:ResultList", leaf("tt:SearchState", state), *told)

    def state(self, call: Call) -> str:
        """``GetSearchState``."""
        one = self._search(call, "")
        return leaf("tse:State", "Queued" if one.found else "Completed")

    def end(self, call: Call) -> str:
        """``EndSearch``."""
        one = self._search(call, "")
        del self._searches[call.said("SearchToken")]
        return leaf("tse:Endpoint", instant(one.end_us))

    def recordings(self, call: Call) -> str:
        """``GetRecordings``."""
        return "".join(
            tag(
                "trc:RecordingItem", leaf("tt:RecordingToken", one.token),
                _configuration("tt:Configuration", one),
                tag("tt:Tracks", tag("tt:Track", leaf("tt:TrackToken", TRACK),
                                     _track_configuration("tt:Configuration"))),
            )
            for one in self._shown(call)
        )  # fmt: skip

    def configuration(self, call: Call) -> str:
        """``GetRecordingConfiguration``."""
        return _configuration("trc:RecordingConfiguration", self._recording(call))

    def track_configuration(self, call: Call) -> str:
        """``GetTrackConfiguration``."""
        self._recording(call)
        if call.said("TrackToken") != TRACK:
            raise Fault("there is no such track", "ter:InvalidArgVal", "ter:NoTrack")
        return _track_configuration("trc:TrackConfiguration")

    def jobs(self, call: Call) -> str:
        """``GetRecordingJobs``."""
        return "".join(
            tag(
                "trc:JobItem", leaf("tt:JobToken", one.token), self._job("tt:JobConfiguration", one)
            )
            for one in self._shown(call)
        )

    def job_configuration(self, call: Call) -> str:
        """``GetRecordingJobConfiguration``."""
        return self._job("trc:JobConfiguration", self._recording(call))

    def job_state(self, call: Call) -> str:
        """``GetRecordingJobState``."""
        one = self._recording(call)
        state = _state(one)
        track = tag(
            "tt:Track", leaf("tt:SourceTag", one.token), leaf("tt:Destination", TRACK),
            leaf("tt:State", state),
        )  # fmt: skip
        return tag(
            "trc:State", leaf("tt:RecordingToken", one.token), leaf("tt:State", state),
            tag("tt:Sources", leaf("tt:SourceToken", one.token), leaf("tt:State", state),
                tag("tt:Tracks", track)),
        )  # fmt: skip

    def replay_uri(self, call: Call) -> str:
        """``GetReplayUri``."""
        one = self._recording(call)
        tail = "" if one.which == "main" else f"/{one.which}"
        where = f"rtsp://{call.host}:{self._parts.rtsp_port}/rec/{one.camera.name}{tail}"
        return leaf("trp:Uri", where)

    # Small things.

    def _shown(self, call: Call) -> list[Profile]:
        """Streams of which something is recorded, or is to be, for who may play them back."""
        subject, there = call.subject, set(self._parts.archive.streams())
        return [
            one
            for one in self._channels.all(subject, "playback")
            if one.stream.stream in there or one.stream.recorded
        ]

    def _recording(self, call: Call) -> Profile:
        wanted = call.said("RecordingToken") or call.said("JobToken")
        found = next((one for one in self._shown(call) if one.token == wanted), None)
        if found is None:
            raise Fault("there is no such recording", "ter:InvalidArgVal", "ter:NoRecording")
        return found

    def _about(self, call: Call) -> str:
        return self._recording(call).camera.name

    def _job(self, name: str, one: Profile) -> str:
        source = tag(
            "tt:Source",
            tag("tt:SourceToken", leaf("tt:Token", one.token),
                Type="http://www.onvif.org/ver10/schema/Profile"),
            tag("tt:Tracks", leaf("tt:SourceTag", one.token), leaf("tt:Destination", TRACK)),
        )  # fmt: skip
        mode = mode_of(self._parts, one)
        return tag(name, leaf("tt:RecordingToken", one.token), leaf("tt:Mode", mode),
                   leaf("tt:Priority", 1), source)  # fmt: skip

    def _scoped(self, call: Call) -> list[Profile]:
        scope = child(call.body, "Scope")
        if scope is None:
            return self._shown(call)
        if scope.said("RecordingInformationFilter"):
            raise unsupported("filters by contents")
        tokens = {one.text for one in scope.children if one.name == "IncludedRecordings"}
        sources = {one.said("Token") for one in scope.children if one.name == "IncludedSources"}
        return [
            one
            for one in self._shown(call)
            if (not tokens or one.token in tokens)
            and (not sources or sources & {one.camera.name, one.token})
        ]

    def _begin(self, call: Call, kind: str, found: list[str], end_us: int | None = None) -> str:
        now_s = self._parts.clock.monotonic_s()
        for token, one in list(self._searches.items()):
            if one.until_s <= now_s:
                del self._searches[token]
        keep_s = min(max(duration_s(call.said("KeepAliveTime")) or KEEP_S, 1.0), LONGEST_S)
        token = secrets.token_urlsafe(12)
        self._searches[token] = _Search(
            call.subject.name, kind, found, keep_s, now_s + keep_s,
            self._parts.clock.wall_us() if end_us is None else end_us,
        )  # fmt: skip
        if len(self._searches) > MOST_SEARCHES:
            self._searches.popitem(last=False)
        return leaf("tse:SearchToken", token)

    def _search(self, call: Call, kind: str) -> _Search:
        one = self._searches.get(call.said("SearchToken"))
        now_s = self._parts.clock.monotonic_s()
        if (
            one is None
            or one.owner != call.subject.name
            or one.until_s <= now_s
            or kind not in {"", one.kind}
        ):
            raise Fault("there is no such search", "ter:InvalidArgVal", "ter:InvalidToken")
        return one

    async def _ranges(self, one: Profile, from_us: int, to_us: int) -> Ranges:
        return await asyncio.to_thread(
            self._parts.archive.ranges, one.stream.stream, from_us, to_us
        )

    async def _span(self, one: Profile) -> tuple[int, int]:
        """UTC microseconds of the oldest and the newest that is recorded; 0 if nothing is."""
        found = await self._ranges(one, 0, _EVER_US)
        if not found.runs:
            return 0, 0
        return min(run.from_us for run in found.runs), max(run.to_us for run in found.runs)

    async def _information(self, name: str, one: Profile) -> str:
        from_us, to_us = await self._span(one)
        times = track = ""
        if to_us:
            track = _track("tt:Track", one, from_us, to_us)
            times = leaf("tt:EarliestRecording", instant(from_us))
            times += leaf("tt:LatestRecording", instant(to_us))
        return tag(
            name, leaf("tt:RecordingToken", one.token), _source(one), times,
            leaf("tt:Content", one.title), track,
            leaf("tt:RecordingStatus", "Recording" if _state(one) == "Active" else "Stopped"),
        )  # fmt: skip


def _most(call: Call, name: str) -> int:
    return max(1, count(call.said(name), 1 << 30))


def _state(one: Profile) -> str:
    return "Active" if one.stream.recorded and one.stream.not_recorded is None else "Idle"


def _source(one: Profile) -> str:
    return tag(
        "tt:Source", leaf("tt:SourceId", f"urn:nvr:{one.camera.name}"),
        leaf("tt:Name", one.camera.name), leaf("tt:Location", ""),
        leaf("tt:Description", one.title),
        leaf("tt:Address", f"urn:nvr:{one.camera.name}:{one.which}"),
    )  # fmt: skip


def _track(name: str, one: Profile, from_us: int, to_us: int) -> str:
    return tag(
        name, leaf("tt:TrackToken", TRACK), leaf("tt:TrackType", "Video"),
        leaf("tt:Description", one.title), leaf("tt:DataFrom", instant(from_us)),
        leaf("tt:DataTo", instant(to_us)),
    )  # fmt: skip


def _video(one: Profile) -> str:
    """Attributes of its pictures as they are now; H.265 has no name in this service."""
    width, height = one.size_px
    if one.stream.codec != "h264":
        return ""
    return tag(
        "tt:VideoAttributes", leaf("tt:Bitrate", one.stream.bitrate_bps // 1000),
        leaf("tt:Width", width), leaf("tt:Height", height), leaf("tt:Encoding", "H264"),
        leaf("tt:Framerate", one.stream.fps),
    )  # fmt: skip


def _configuration(name: str, one: Profile) -> str:
    hours = one.camera.limit_h
    return tag(
        name, _source(one), leaf("tt:Content", one.title),
        leaf("tt:MaximumRetentionTime", f"PT{hours}H"),
    )  # fmt: skip


def _track_configuration(name: str) -> str:
    return tag(name, leaf("tt:TrackType", "Video"), leaf("tt:Description", ""))


def _events(one: Profile, at_us: int, *, on: bool, start: bool = False) -> list[str]:
    """That a recording, and its track, begins or ends."""
    when = instant(at_us)
    told = []
    for topic, item, more in (
        (_STATE, "IsRecording", ()),
        (_TRACK_STATE, "IsDataPresent", (tag("tt:SimpleItem", Name="Track", Value=TRACK),)),
    ):
        message = tag(
            "tt:Message",
            tag("tt:Source", tag("tt:SimpleItem", Name="RecordingToken", Value=one.token), *more),
            tag("tt:Data", tag("tt:SimpleItem", Name=item, Value=on)),
            UtcTime=when, PropertyOperation="Initialized" if start else "Changed",
        )  # fmt: skip
        event = tag(
            "tt:Event",
            leaf("wsnt:Topic", f"tns1:{topic}",
                 Dialect="http://www.onvif.org/ver10/tev/topicExpression/ConcreteSet"),
            tag("wsnt:Message", message),
        )  # fmt: skip
        told.append(
            tag(
                "tt:Result", leaf("tt:RecordingToken", one.token), leaf("tt:TrackToken", TRACK),
                leaf("tt:Time", when), event, leaf("tt:StartStateEvent", start),
            )
        )  # fmt: skip
    return told
