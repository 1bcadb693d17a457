# ruff: noqa: ARG002 - ports have arguments that memory does not need
"""A whole box in memory: every port the page talks to, and the real page in front of it."""

import asyncio
import contextlib
import dataclasses
import functools
import random
import ssl
import threading
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from pathlib import Path
from typing import NoReturn, Self

import aiohttp
from yarl import URL

from nvr.app.backup import back_up
from nvr.app.capturing import unoffered
from nvr.app.exporter import arrived
from nvr.app.keydesk import KeyDesk
from nvr.app.keyring import Keyring
from nvr.auth.audit import Audit
from nvr.auth.claim import Claim
from nvr.auth.link import Links, link_key
from nvr.auth.machine import Machines
from nvr.auth.password import Hasher
from nvr.auth.session import Sessions
from nvr.auth.state import open_state
from nvr.auth.throttle import Throttle
from nvr.auth.user import Users, rights_of
from nvr.base.clock import Clock, SystemClock
from nvr.base.errors import NvrError, Rejected, Unavailable
from nvr.export.jobs import Jobs
from nvr.export.order import Make, Wanted
from nvr.export.target import AllTargets
from nvr.hal.linux_disk import LinuxDisk
from nvr.hal.ports import Sticks
from nvr.media.aim import Area, How, Measured, Measuring, What
from nvr.media.analyse import AnalyseSettings, DetectorState, LookNow
from nvr.media.backfill import BackfillSettings
from nvr.media.camera import (
    CameraState,
    CaptionText,
    ClockState,
    PlanSettings,
    Sockets,
    StreamState,
    SubSettings,
)
from nvr.media.desk import NoSerialLines, SerialLines
from nvr.media.device import (
    Capture,
    SoundDevice,
    VideoControl,
    VideoDevice,
    VideoFormat,
    VideoInput,
    VideoSize,
)
from nvr.media.drawn import Burn
from nvr.media.gpio import Lines, NoLines
from nvr.media.happening import Happening, Kind
from nvr.media.head import HeadKind, HeadSettings
from nvr.media.health import Counters, History, Rates, StreamReport
from nvr.media.ingest import Ingest
from nvr.media.joystick import Joysticks, NoJoysticks
from nvr.media.mask import Masks, fault_of
from nvr.media.name import Which
from nvr.media.owner import PtzLock
from nvr.media.part import Fragment, Part, Portion
from nvr.media.ports import HeadFunction, Holder, Operator, Preset, PtzStatus
from nvr.media.program import AutoState, Guard, Program
from nvr.media.program import fault_of as fault_of_program
from nvr.media.talk import Talks
from nvr.media.track import StreamConfig
from nvr.media.transport import Reached, ReachSettings
from nvr.playback.gap import Fetch, Gap
from nvr.playback.group import Group
from nvr.playback.holding import Holding
from nvr.playback.lock import Locked
from nvr.playback.lock import Wanted as WantedLock
from nvr.playback.query import Gop, Ranges, Recorded, VolumeState
from nvr.playback.track import Place
from nvr.playback.trust import NOT_NOTED
from nvr.record.lock import Lock
from nvr.record.recover import open_store
from nvr.record.remembered import Remembered
from nvr.record.resize import Change, Loss
from nvr.record.wear import DiskWear
from nvr.web.parts import Parts, VolumeLook, no_metrics
from nvr.web.server import Page
from nvr.web.tls import load_tls
from nvr.wire.fmp4 import init_segment
from nvr.wire.openmetrics import Family
from tests.media import clip, wire
from tests.web.finder import MemoryFinder

PASSWORD = "correct horse"
DISKS = (
    DiskWear(
        name="mmcblk0",
        uses=("volume", "system"),
        kind="emmc",
        model="DG4032",
        maker="0x000045",
        made="07/2021",
        size_bytes=31_268_536_320,
        written_bytes=7 * 10**11,
        watched_s=500_000.0,
        bytes_a_day=1.2e11,
        recorded_a_day=None,
        amplification=1.5,
        disk_writes_a_year=1400.0,
        life_percent=40,
        pre_eol="warning",
        days_left=550.0,
        celsius=None,
    ),
)


class MemoryArchive:
    """What came out of ingest, kept as long as it fits. See `Archive`."""

    def __init__(self, most_bytes: int = 64 << 20) -> None:
        self._parts: list[Part] = []
        self._bytes = 0
        self._most_bytes = most_bytes
        self.locks: list[Locked] = []
        self.read_back = Remembered("")
        self.others: list[VolumeLook] = []
        self.trust = NOT_NOTED
        self.fetch: Fetch | None = None
        self.wanted_bytes = most_bytes

    def take(self, parts: list[Part]) -> None:
        for part in parts:
            self._parts.append(part)
            self._bytes += len(part.moof) + len(part.mdat)
        while self._bytes > self._most_bytes:
            gone = self._parts.pop(0)
            self._bytes -= len(gone.moof) + len(gone.mdat)

    def _of(self, stream: str) -> list[Part]:
        return [part for part in list(self._parts) if part.stream == stream]

    def volumes(self) -> list[VolumeLook]:
        state = self.volume()
        newest = max((_end_us(part) for part in self._parts), default=0)
        first = VolumeLook("ring", str(state.ring_id), "recording", None, state, newest)
        return [first, *self.others]

    def readback(self) -> Remembered:
        return self.read_back

    def until_us(self, stream: str) -> int:
        return max((_end_us(part) for part in self._of(stream)), default=0)

    def streams(self) -> tuple[str, ...]:
        return tuple({part.stream: None for part in list(self._parts)})

    def ranges(self, stream: str, from_us: int, to_us: int) -> Ranges:
        runs: list[Recorded] = []
        gaps: list[Gap] = []
        for part in self._of(stream):
            if runs and runs[-1].run == part.run and part.wall_us - runs[-1].to_us < 300_000:
                runs[-1] = dataclasses.replace(runs[-1], to_us=_end_us(part))
                continue
            if runs:
                gaps.append(Gap(runs[-1].to_us, part.wall_us, "camera"))
            run = Recorded(part.run, part.wall_us, _end_us(part), trust=self.trust)
            runs.append(dataclasses.replace(run, fetch=self.fetch))
        inside = [one for one in runs if one.to_us > from_us and one.from_us < to_us]
        return Ranges(tuple(inside), tuple(gaps), self.until_us(stream))

    def config(self, stream: str, run: int) -> StreamConfig:
        for part in self._of(stream):
            if part.run == run:
                return part.config
        raise Rejected("archive.no_run", "there is no such run", run=run)

    def gop(
        self, stream: str, t_us: int, place: object = None, *, key_only: bool = False
    ) -> Gop | None:
        parts = self._of(stream)
        keys = [n for n, part in enumerate(parts) if part.key]
        at = max((n for n in keys if parts[n].wall_us <= t_us), default=keys[0] if keys else -1)
        there = [n for n in keys if (parts[n].run, parts[n].start_90k) == place]
        if there:
            at = there[0]
        elif at < 0 or t_us >= _end_us(parts[-1]):
            return None
        end = next((n for n in keys if n > at), len(parts))
        group = parts[at:end]
        return Gop(
            b"".join(part.moof + bytes(part.mdat) for part in (group[:1] if key_only else group)),
            group[0].start_90k,
            group[0].wall_us,
            _end_us(group[-1]),
            group[0].run,
            parts[end].wall_us if end < len(parts) else None,
            Place(parts[end].run, parts[end].start_90k) if end < len(parts) else None,
        )

    def groups(self, stream: str, from_us: int, to_us: int) -> list[Group]:
        found: list[Group] = []
        for part in self._of(stream):
            if part.key:
                place = Place(part.run, part.start_90k)
                fresh = not found or found[-1].run != part.run
                found.append(Group(place, part.wall_us, part.duration_90k, fresh))
            elif found:
                long_90k = found[-1].duration_90k + part.duration_90k
                found[-1] = dataclasses.replace(found[-1], duration_90k=long_90k)
        ends = [one.from_us + one.duration_90k * 100 // 9 for one in found]
        both = zip(found, ends, strict=True)
        return [one for one, end_us in both if end_us > from_us and one.from_us < to_us]

    def export(self, stream: str, from_us: int, to_us: int) -> Iterator[bytes]:
        inside = [p for p in self._of(stream) if _end_us(p) > from_us and p.wall_us < to_us]
        if not inside:
            raise Rejected("export.nothing", "nothing is recorded there", stream=stream)
        yield init_segment(inside[0].config)
        for part in inside:
            yield part.moof + bytes(part.mdat)

    def volume(self) -> VolumeState:
        oldest = min((part.wall_us for part in list(self._parts)), default=0)
        return VolumeState(
            uuid.UUID(int=7),
            self._most_bytes,
            self._bytes,
            oldest,
            0,
            wanted_bytes=self.wanted_bytes,
        )

    def size(self, size_mib: int, name: str = "") -> Change:
        if name not in {"", "ring"}:
            raise Rejected("volume.unknown", "there is no volume of that name", volume=name)
        asked, refused = size_mib << 20, None
        lost: tuple[Loss, ...] = ()
        if asked > 1 << 40:
            refused = Rejected("size.no_room", "the disk has too little room", free_mib=1 << 20)
        elif asked < self.wanted_bytes:
            begun_us = 1_700_000_000_000_000
            lost = (Loss("gate/main", 1 << 30, begun_us, begun_us + 3_600_000_000),)
        return Change(self._most_bytes, self.wanted_bytes, asked, 1 << 40, lost, refused)

    def resize(self, size_mib: int, by: str, name: str = "") -> Change:
        change = self.size(size_mib)
        if change.refused:
            raise change.refused
        self.wanted_bytes = change.asked_bytes
        return change

    def holdings(self) -> list[Holding]:
        return [
            Holding(
                "gate/main",
                3 << 30,
                1_700_000_000_000_000,
                1_700_007_200_000_000,
                5e5,
                6e5,
                5e5,
                1 << 30,
                172_800.0,
                0.0,
                500_000_000_000,
            )
        ]

    def locked(self) -> list[Locked]:
        return self.locks[::-1]

    def lock(self, wanted: WantedLock) -> Locked:
        if not wanted.why:
            raise Rejected("lock.invalid", "say why, in at most 200 characters", field="why")
        lock = Lock(
            len(self.locks) + 1, wanted.kind, wanted.camera, wanted.from_us, wanted.to_us,
            wanted.from_us, wanted.until_us, wanted.by, wanted.why, 1_700_000_000_000_000,
        )  # fmt: skip
        self.locks.append(Locked(lock, 64 << 20))
        return self.locks[-1]

    def unlock(self, camera: str, number: int, by: str) -> Lock:
        for one in self.locks:
            if (one.lock.camera, one.lock.number) == (camera, number):
                self.locks.remove(one)
                return one.lock
        raise Rejected("lock.unknown", "there is no such lock, or it has ended", number=number)


def _end_us(part: Part) -> int:
    return part.wall_us + part.duration_90k * 100 // 9


class MemoryStream:
    """Fragments pushed by a test. See `Stream`."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.config: StreamConfig | None = None
        self.watchers: list[Callable[[StreamConfig, list[Fragment]], None]] = []
        self.takers: list[Callable[[StreamConfig, list[Portion]], None]] = []
        self._group: list[Fragment] = []

    def watch(self, deliver: Callable[[StreamConfig, list[Fragment]], None]) -> Callable[[], None]:
        self.watchers.append(deliver)
        if self._group and self.config:
            deliver(self.config, list(self._group))
        return lambda: self.watchers.remove(deliver)

    def portions(
        self, deliver: Callable[[StreamConfig, list[Portion]], None]
    ) -> Callable[[], None]:
        self.takers.append(deliver)
        return lambda: self.takers.remove(deliver)

    def push(self, config: StreamConfig, fragments: list[Fragment]) -> None:
        self.config = config
        for fragment in fragments:
            self._group = [fragment] if fragment.key else [*self._group, fragment]
        for deliver in list(self.watchers):
            deliver(config, fragments)


class MemoryHub:
    """See `Hub`."""

    def __init__(self) -> None:
        self.streams: dict[str, MemoryStream] = {}

    def stream(self, name: str) -> MemoryStream:
        return self.streams.setdefault(name, MemoryStream(name))

    def names(self) -> tuple[str, ...]:
        return tuple(self.streams)


def report_of(state: StreamState) -> StreamReport:
    rates = Rates(fps=state.fps, bitrate_bps=state.bitrate_bps)
    history = History(10.0, 0)
    return StreamReport(state.health, Counters(), rates, history, history)


DEVICES = (
    [
        VideoDevice(
            "/dev/v4l/by-id/usb-Maker_HD_Webcam_0001-video-index0",
            "/dev/video0",
            "HD Webcam",
            "uvcvideo",
            stable=True,
            inputs=(VideoInput(0, "Camera 1", signal="present"),),
            formats=(
                VideoFormat(
                    "MJPG", "Motion-JPEG", compressed=True, sizes=(VideoSize(1920, 1080, (30.0,)),)
                ),
                VideoFormat(
                    "YUYV", "YUYV 4:2:2", compressed=False, sizes=(VideoSize(640, 480, (30.0,)),)
                ),
            ),
            controls=(
                VideoControl("Brightness", -64, 64, 0, "brightness"),
                VideoControl(
                    "Auto Exposure",
                    0,
                    3,
                    3,
                    "auto_exposure",
                    "menu",
                    value=3,
                    choices=((1, "Manual Mode"), (3, "Aperture Priority Mode")),
                ),
            ),
        ),
        VideoDevice(
            "/dev/v4l/by-path/platform-grabber-video-index0",
            "/dev/video2",
            "USB 2.0 grabber",
            "em28xx",
            stable=True,
            inputs=(
                VideoInput(0, "Composite", ("PAL", "NTSC"), signal="none"),
                VideoInput(1, "S-Video", ("PAL", "NTSC")),
            ),
            standard="PAL",
            formats=(
                VideoFormat("UYVY", "UYVY 4:2:2", compressed=False, sizes=(VideoSize(720, 576),)),
            ),
        ),
        VideoDevice("/dev/video9", "/dev/video9", "video9", "", stable=False, fault="device.busy"),
    ],
    [SoundDevice("CARD=Webcam,DEV=0", "HD Webcam: USB Audio")],
)


class MemoryCameras:
    """See `Cameras`."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self.states: dict[str, CameraState] = {}
        self.captures: dict[str, Capture | None] = {}
        self.heads: dict[str, HeadSettings] = {}
        self.reaches: dict[str, ReachSettings] = {}
        self.backfills: dict[str, BackfillSettings] = {}
        self.plans: dict[tuple[str, str], PlanSettings] = {}
        self.looked: dict[str, AnalyseSettings] = {}
        self.stood: dict[str, list[tuple[int, CaptionText]]] = {}
        self.subs: dict[str, SubSettings] = {}
        self.events: list[tuple[str, float | None]] = []
        self.reports: dict[str, StreamReport] = {}
        self.reconnected: list[str] = []
        self.tolerated: dict[str, list[str]] = {}
        self.logins: dict[str, tuple[str | None, str | None]] = {}
        self._listeners: list[Callable[[CameraState], None]] = []

    def put(self, name: str, title: str, **values: object) -> CameraState:
        state = CameraState(
            name=name,
            title=title,
            stream=f"{name}/main",
            state="live",
            since_us=self._clock.wall_us(),
            code="",
            detail="",
            codec="h264",
            width_px=640,
            height_px=360,
            fps=25.0,
            bitrate_bps=600_000,
            recorded_until_us=0,
            record_behind=False,
            retain_h=168,
            caption=CaptionText((title,), (20, 30), 45, "outline"),
        )
        return self.set(dataclasses.replace(state, **values))

    def set(self, state: CameraState) -> CameraState:
        self.states[state.name] = state
        for changed in list(self._listeners):
            changed(state)
        return state

    def all(self) -> tuple[CameraState, ...]:
        return tuple(self.states.values())

    def find(self, name: str) -> CameraState | None:
        return self.states.get(name)

    def has(self, name: str) -> bool:
        return name in self.states

    def report(self, name: str) -> dict[Which, StreamReport]:
        found: dict[Which, StreamReport] = {
            "main": self.reports.get(name, report_of(self.states[name]))
        }
        if (sub := self.states[name].sub) is not None:
            found["sub"] = self.reports.get(f"{name}/sub", report_of(sub))
        return found

    async def tolerate(self, name: str, codes: Sequence[str]) -> None:
        self.tolerated[name] = list(codes)

    async def reconnect(self, name: str) -> None:
        self.reconnected.append(name)

    def subscribe(self, changed: Callable[[CameraState], None]) -> Callable[[], None]:
        self._listeners.append(changed)
        return lambda: self._listeners.remove(changed)

    async def add(
        self,
        name: str,
        title: str,
        url: str,
        user: str,
        password: str,
        sub: SubSettings | None = None,
        *,
        capture: Capture | None = None,
    ) -> CameraState:
        if name in self.states:
            raise Rejected("config.refused", f"{name} is used twice")
        state = self.put(name, title, state="connecting", codec="", caption_burned=False)
        self.captures[name] = capture
        if sub:
            await self.write_sub(name, sub)
        return state

    async def change(
        self,
        name: str,
        *,
        title: str | None = None,
        user: str | None = None,
        password: str | None = None,
        retain_h: int | None = None,
        guaranteed_h: int | None = None,
        limit_h: int | None = None,
        limit_gb: float | None = None,
    ) -> CameraState:
        self.logins[name] = (user, password)
        state = self.states[name]
        if limit_h and limit_h <= (retain_h or state.retain_h):
            raise Rejected("config.refused", "$.camera[0].limit_h: must be above retain_h")
        given = {
            "title": title, "retain_h": retain_h, "guaranteed_h": guaranteed_h,
            "limit_h": limit_h, "limit_gb": limit_gb,
        }  # fmt: skip
        return self.set(
            dataclasses.replace(state, **{k: v for k, v in given.items() if v is not None})
        )

    left = 0

    async def remove(self, name: str, by: str = "") -> int:
        del self.states[name]
        return self.left

    def head(self, name: str) -> HeadSettings | None:
        return self.heads.get(name)

    def sockets(self) -> Sockets:
        kinds = tuple(
            HeadKind(
                f"generic-{protocol}",
                protocol,
                protocol,
                f"{protocol}（通用）",
                "As the manual has it.",
                "按手册。",
                proven=False,
                own=False,
            )
            for protocol in ("pelco-d", "pelco-p")
        )
        return Sockets(("ptz", "yard"), ("relay-1",), kinds)

    async def write_head(self, name: str, head: HeadSettings | None) -> None:
        if head is None:
            del self.heads[name]
        elif head.bus not in self.sockets().buses:
            raise Rejected("config.refused", f"$.camera[0].ptz.bus: {head.bus}")
        else:
            self.heads[name] = head

    def sub(self, name: str) -> SubSettings | None:
        return self.subs.get(name)

    async def write_sub(self, name: str, sub: SubSettings | None, by: str = "") -> None:
        if sub is None:
            self.subs.pop(name, None)
            self.set(dataclasses.replace(self.states[name], sub=None))
            return
        if sub.guaranteed_h > (sub.retain_h or self.states[name].retain_h):
            raise Rejected("config.refused", "$.camera[0].sub.guaranteed_h: more than retain_h")
        self.subs[name] = sub
        state = StreamState(
            stream=f"{name}/sub",
            state="live",
            since_us=self._clock.wall_us(),
            code="",
            detail="",
            codec="h264",
            width_px=320,
            height_px=180,
            fps=25.0,
            bitrate_bps=150_000,
            recorded_until_us=0,
            recorded=sub.record,
        )
        self.set(dataclasses.replace(self.states[name], sub=state))

    def reach(self, name: str) -> tuple[ReachSettings, dict[str, Reached]]:
        found = {"main": Reached(self.states[name].carried, "ab" * 32)}
        if sub := self.states[name].sub:
            found["sub"] = Reached(sub.carried, "")
        return self.reaches.get(name, ReachSettings()), found

    async def write_reach(self, name: str, wanted: ReachSettings) -> None:
        self.reaches[name] = wanted

    def backfill(self, name: str) -> BackfillSettings:
        return self.backfills.get(name, BackfillSettings())

    async def write_backfill(self, name: str, wanted: BackfillSettings) -> None:
        self.backfills[name] = wanted

    def plan(self, name: str, which: str = "main") -> PlanSettings:
        if which == "sub" and name not in self.subs:
            raise Rejected("camera.no_sub", "this camera has no sub stream", camera=name)
        return self.plans.get((name, which), PlanSettings())

    async def write_plan(self, name: str, plan: PlanSettings, which: str = "main") -> None:
        self.plan(name, which)
        if plan.mode not in {"continuous", "event", "off"}:
            raise Rejected("config.refused", "$.camera[0].plan.mode: Invalid enum value")
        self.plans[name, which] = plan

    def analyse(self, name: str) -> AnalyseSettings | None:
        return self.looked.get(name)

    async def write_analyse(self, name: str, wanted: AnalyseSettings | None) -> None:
        if wanted is None:
            self.looked.pop(name, None)
        else:
            self.looked[name] = wanted

    def event(self, name: str, post_s: float | None = None) -> int:
        if self.plan(name).mode == "off":
            raise Rejected("plan.off", "by its plan it is not recorded now")
        self.events.append((name, post_s))
        return self._clock.wall_us() + round((post_s or 30) * 1e6)

    async def write_masks(self, name: str, masks: Masks, burn: Burn | None = None) -> None:
        if fault := fault_of(masks):
            raise Rejected("mask.invalid", fault)
        state = self.states[name]
        self.set(dataclasses.replace(state, masks=masks, mask_burn=burn or state.mask_burn))

    def masked(self, name: str, span: tuple[int, int] | None) -> bool:
        state = self.states.get(name)
        return state is not None and bool(state.masks) and not state.masks_burned

    def masks_over(self, name: str, span: tuple[int, int] | None) -> Masks:
        return self.states[name].masks if self.masked(name, span) else ()

    def captions_over(self, name: str, span: tuple[int, int]) -> list[tuple[int, CaptionText]]:
        return [one for one in self.stood.get(name, []) if one[0] < span[1]]

    async def write_caption(
        self, name: str, caption: CaptionText, burn: Burn | None = None
    ) -> tuple[str, ...]:
        state = self.states[name]
        if state.caption is None:
            raise Rejected("caption.unsupported", "this camera cannot have a caption")
        burn = burn or state.caption_burn
        self.set(dataclasses.replace(state, caption=caption, caption_burn=burn))
        return tuple(sorted({c for line in caption.lines for c in line if ord(c) > 0x1F000}))


class MemoryCaptures:
    """Whose camera the first of `DEVICES` is, the test says. See `Captures`."""

    def __init__(self) -> None:
        self.now = Capture()
        self.camera = ""

    def capture(self, name: str) -> Capture | None:
        return self.now if name == self.camera else None

    async def offered(self, name: str) -> tuple[VideoDevice | None, list[SoundDevice]]:
        return DEVICES[0][0], DEVICES[1]

    async def write_capture(self, name: str, wanted: Capture) -> None:
        lacking = unoffered(wanted, DEVICES[0][0], DEVICES[1], self.now)
        if lacking is not None:
            what, has = lacking
            raise Rejected("capture.refused", f"not {what}", what=what, has=has)
        self.now = wanted


class LogPtz:
    """Heads that write down what they are told. See `Ptz`."""

    def __init__(self, cameras: tuple[str, ...], clock: Clock) -> None:
        self._clock = clock
        self.log: list[tuple[object, ...]] = []
        self._status = {
            name: PtzStatus(
                camera=name,
                online=True,
                holder=None,
                moving=False,
                rearm=False,
                position=None,
                outputs=(("wiper", False), ("lamp", False)),
                presets=(Preset(1, "大门"),),
                stop_sent_ms=None,
            )
            for name in cameras
        }
        self._listeners: list[Callable[[PtzStatus], None]] = []
        self.refuse: Rejected | None = None

    def cameras(self) -> tuple[str, ...]:
        return tuple(self._status)

    def move(
        self,
        camera: str,
        who: Operator,
        pan: float,
        tilt: float,
        zoom: float,
        lease_s: float = 0.5,
    ) -> None:
        if self.refuse:
            raise self.refuse
        self.log.append(("move", camera, who.name, pan, tilt, zoom))
        now_us = self._clock.wall_us()
        holder = Holder(who, now_us, now_us + 500_000, False)
        self._change(camera, holder=holder, moving=any((pan, tilt, zoom)))

    def lens(self, camera: str, who: Operator, focus: int, iris: int, lease_s: float = 0.5) -> None:
        self.log.append(("lens", camera, who.name, focus, iris))

    def stop(self, camera: str, who: Operator) -> None:
        self.log.append(("stop", camera, who.name))
        self._change(camera, moving=False, stop_sent_ms=None)
        self._change(camera, stop_sent_ms=2.5)

    def stop_all(self, who: Operator) -> None:
        self.log.append(("stop_all", who.name))
        for camera in self._status:
            self._change(camera, moving=False)

    def take(self, camera: str, who: Operator) -> None:
        self.log.append(("take", camera, who.name))
        now_us = self._clock.wall_us()
        self._change(camera, holder=Holder(who, now_us, now_us + 60_000_000, True))

    def release(self, camera: str, who: Operator) -> None:
        self.log.append(("release", camera, who.name))
        self._change(camera, holder=None, moving=False)

    def gone(self, who: Operator) -> None:
        self.log.append(("gone", who.name))
        for camera, status in self._status.items():
            if status.holder and status.holder.operator == who:
                self._change(camera, holder=None, moving=False)

    def preset(self, camera: str, who: Operator, do: str, number: int, name: str = "") -> None:
        self.log.append(("preset", camera, who.name, do, number, name))
        presets = tuple(one for one in self._status[camera].presets if one.number != number)
        if do == "set":
            presets = (*presets, Preset(number, name))
        elif do == "call":
            presets = self._status[camera].presets
        self._change(camera, presets=presets)

    def functions(self, camera: str) -> tuple[HeadFunction, ...]:
        return (
            HeadFunction("menu", "Menu", "菜单", preset=95),
            *(
                HeadFunction(f"scan_{n}", f"Scan between limits {n}", f"限位扫描{n}")
                for n in range(5)
            ),
            HeadFunction("reboot", "Restart", "重启", risk=True, preset=94),
        )

    def perform(self, camera: str, who: Operator, function: str) -> None:
        if function not in {one.name for one in self.functions(camera)}:
            raise Rejected("ptz.unknown_function", f"no {function}", camera=camera)
        self.log.append(("perform", camera, who.name, function))

    def lock(self, camera: str, who: Operator, lasts_s: float, reason: str) -> None:
        self.log.append(("lock", camera, who.name, lasts_s, reason))
        now_us = self._clock.wall_us()
        lock = PtzLock(who.name, who.role, now_us, now_us + round(lasts_s * 1e6), reason)
        self._change(camera, lock=lock)

    def unlock(self, camera: str, who: Operator) -> None:
        self.log.append(("unlock", camera, who.name))
        self._change(camera, lock=None)

    def arrange(self, camera: str, who: Operator, presets: Sequence[tuple[int, str, int]]) -> None:
        self.log.append(("arrange", camera, who.name, list(presets)))
        self._change(camera, presets=tuple(Preset(n, name, 0, d) for n, name, d in presets))

    def call_up(
        self, camera: str, preset: int, priority: int | None, hold_s: float, cause: str = "alarm"
    ) -> None:
        self.log.append(("call_up", camera, cause, preset, hold_s))

    def output(self, camera: str, who: Operator, name: str, on: bool) -> None:
        self.log.append(("output", camera, who.name, name, on))
        outputs = dict(self._status[camera].outputs)
        if name not in outputs:
            raise Rejected("ptz.unknown_output", f"there is no {name}", camera=camera)
        outputs[name] = on
        self._change(camera, outputs=tuple(outputs.items()))

    def status(self, camera: str) -> PtzStatus:
        return self._status[camera]

    def subscribe(self, callback: Callable[[PtzStatus], None]) -> Callable[[], None]:
        self._listeners.append(callback)
        return lambda: self._listeners.remove(callback)

    def show(self, camera: str, **values: object) -> None:
        self._change(camera, **values)

    def _change(self, camera: str, **values: object) -> None:
        self._status[camera] = dataclasses.replace(self._status[camera], **values)
        for callback in list(self._listeners):
            callback(self._status[camera])


class LogPrograms:
    """Programs that are kept, and write down what is to run. See `Programs`."""

    def __init__(self, ptz: LogPtz) -> None:
        self._ptz = ptz
        self.kept: dict[str, Program] = {}

    def program(self, camera: str) -> Program:
        return self.kept.get(camera, Program(guard=Guard(1)))

    def write(self, camera: str, program: Program) -> None:
        if fault := fault_of_program(program):
            raise Rejected("ptz.program_invalid", fault, camera=camera)
        self.kept[camera] = program

    def start(self, camera: str, what: str, by: str) -> None:
        if not self.program(camera).has(what):
            raise Rejected("ptz.unknown_program", f"{what} is not there", camera=camera)
        self._ptz.log.append(("start", camera, what, by))
        self._ptz.show(camera, auto=AutoState(what, "running", 0, 1, by))

    def end(self, camera: str, by: str) -> None:
        self._ptz.log.append(("end", camera, by))
        self._ptz.show(camera, auto=None)

    def guard(self, camera: str, *, on: bool) -> None:
        program = self.program(camera)
        self.write(
            camera, dataclasses.replace(program, guard=dataclasses.replace(program.guard, on=on))
        )

    def take_down(self, camera: str, who: Operator, name: str, preset: int) -> None:
        self._ptz.log.append(("take_down", camera, who.name, name, preset))
        self._ptz.show(camera, auto=AutoState(f"pattern {name}", "recording", 0, preset))

    def taken(self, camera: str, who: Operator, *, keep: bool) -> None:
        self._ptz.log.append(("taken", camera, who.name, keep))
        self._ptz.show(camera, auto=None)


class LogAims:
    """Every head that is there can be told where to. See `Aims`."""

    def __init__(self, ptz: LogPtz) -> None:
        self._ptz = ptz

    def how(self, camera: str) -> How:
        return "absolute"

    def aim(self, camera: str, who: Operator, area: Area) -> How:
        area.check()
        self._ptz.log.append(
            ("aim", camera, who.name, *(round(one, 3) for one in dataclasses.astuple(area)))
        )
        return "absolute"


class MemoryMeasures:
    """What was found is what the test says. See `Measures`."""

    def __init__(self, ptz: LogPtz) -> None:
        self._ptz = ptz
        self.now = Measured(None, (), False, 0, ())

    def measured(self, camera: str) -> Measured:
        return self.now

    def measure(self, camera: str, who: Operator, what: What) -> None:
        self._ptz.log.append(("measure", camera, who.name, what))
        self.now = dataclasses.replace(self.now, measuring=Measuring(what, 1, 4))

    def end(self, camera: str, who: Operator) -> None:
        self._ptz.log.append(("measured", camera, who.name))
        self.now = dataclasses.replace(self.now, measuring=None)


class Pieces:
    """Exports made of nothing, piece by piece as they are let through. See `Make`."""

    def __init__(self) -> None:
        self.go = threading.Semaphore(0)
        self.pieces = 0
        self.asked: list[Wanted] = []

    def size_bytes(self, wanted: Wanted) -> int:
        return 0 if wanted.from_us < 10 else 1000 * len(wanted.cameras)

    def missing(self, wanted: Wanted) -> str:
        return "ก" if wanted.captions else ""

    def files(self, wanted: Wanted) -> Iterator[tuple[str, Iterator[tuple[bytes, float]]]]:
        self.asked.append(wanted)

        def one(camera: str, before: int) -> Iterator[tuple[bytes, float]]:
            for n in range(self.pieces):
                while not self.go.acquire(timeout=0.05):
                    yield b"", (before + n / self.pieces) / len(wanted.cameras)
                yield bytes([65 + n]) * 10, (before + (n + 1) / self.pieces) / len(wanted.cameras)

        for n, camera in enumerate(wanted.cameras):
            yield f"{camera}.mp4", one(camera, n)


class BoxFace:
    """See `BoxState`."""

    name = "测试盒"

    def clock_state(self) -> ClockState:
        return ClockState("ntp", 12)

    def __init__(self) -> None:
        self.wrong: list[NvrError] = []

    def fault(self) -> NvrError | None:
        return None

    def warnings(self) -> list[NvrError]:
        return self.wrong

    def behind_s(self) -> float:
        return 0.2


@dataclasses.dataclass
class Box:
    """A running page and everything behind it."""

    parts: Parts
    page: Page
    tls: bool

    @property
    def url(self) -> str:
        return f"{'https' if self.tls else 'http'}://127.0.0.1:{self.page.port}"

    async def user(self, name: str, role: str, rights: dict[str, list[str]]) -> None:
        await self.parts.users.add(name, role, PASSWORD, rights_of(rights))  # type: ignore[arg-type]

    def client(self) -> "Client":
        return Client(self.url)


def insecure() -> ssl.SSLContext:
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


class Client:
    """A browser's manners: cookie, origin and `X-NVR`."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(ssl=insecure(), limit=0),
            cookie_jar=aiohttp.DummyCookieJar(),
        )
        self.cookie = ""

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *exc: object) -> None:
        await self.session.close()

    def _headers(self, headers: dict[str, str | None] | None) -> dict[str, str]:
        usual = {"Origin": self.url, "X-NVR": "1", **(headers or {})}
        if self.cookie:
            usual.setdefault("Cookie", f"__Host-nvr={self.cookie}")
        return {key: value for key, value in usual.items() if value is not None}

    async def ask(
        self,
        method: str,
        path: str,
        body: object = None,
        headers: dict[str, str | None] | None = None,
    ) -> tuple[int, object, aiohttp.ClientResponse]:
        async with self.session.request(
            method,
            URL(self.url + path, encoded=True),
            json=body,
            headers=self._headers(headers),
            allow_redirects=False,
        ) as response:
            raw = await response.read()
            kind = response.content_type
            return response.status, await response.json() if "json" in kind else raw, response

    async def log_in(self, name: str, password: str = PASSWORD) -> int:
        status, _, response = await self.ask(
            "POST", "/api/login", {"name": name, "password": password}
        )
        if status == 200:
            self.cookie = response.cookies["__Host-nvr"].value
        return status

    def socket(self, path: str, headers: dict[str, str | None] | None = None, **options: object):
        url = self.url.replace("http", "ws", 1) + path
        return self.session.ws_connect(url, headers=self._headers(headers), **options)


class MemoryLooks:
    """Looks at nothing. See `nvr.media.analyse.Looks`."""

    def __init__(self) -> None:
        self.accepted: list[str] = []
        self.reports: list[str] = []
        self.look = LookNow("off")
        self.has = DetectorState("objects.no_model")
        self.jpeg = b""

    def now(self, camera: str) -> LookNow:
        return self.look

    def detector(self) -> DetectorState:
        return self.has

    def accept(self, camera: str) -> None:
        self.accepted.append(camera)

    def reported(self, camera: str, until_us: int) -> None:
        self.reports.append(camera)

    async def snapshot(self, camera: str, stream: str, width: int) -> tuple[bytes, int]:
        made = self.jpeg or b"\xff\xd8" + f"{stream} {width}".encode()
        return made, 1_700_000_000_000_000


class MemoryHappenings:
    """What a test puts there. See `nvr.media.happening.Happenings`."""

    def __init__(self) -> None:
        self.all: list[Happening] = []
        self.jpeg = b"\xff\xd8"

    def between(
        self, camera: str, from_us: int, to_us: int, kinds: Sequence[Kind] = (), most: int = 1000
    ) -> list[Happening]:
        return [
            one
            for one in self.all
            if one.camera == camera
            and one.from_us < to_us
            and (one.to_us is None or one.to_us >= from_us)
            and (not kinds or one.kind in kinds)
        ][-most:]

    def picture(self, camera: str, number: int) -> tuple[bytes, int] | None:
        found = [one for one in self.all if one.camera == camera and one.number == number]
        return (self.jpeg, found[0].from_us) if found and found[0].picture else None

    def open(self, camera: str) -> tuple[Happening, ...]:
        return tuple(one for one in self.all if one.camera == camera and one.to_us is None)


def no_volume(*, every: bool = False) -> NoReturn:
    raise Unavailable("volume.missing", "the volume is not there")


@contextlib.contextmanager
def sealed_volume(directory: Path, days: list[tuple[str, int]]) -> Iterator[KeyDesk]:
    """The keys of a real volume on which these streams and days are sealed."""
    keyring = Keyring(directory, make=True)
    disk = LinuxDisk(directory / "ring")
    try:
        store = open_store(
            disk, SystemClock(), random.Random(1), size_bytes=40 << 20,
            keys=keyring.sealing(seal=True).open_keys,
        )  # fmt: skip
        store.keys.prepare(days)
        yield KeyDesk(keyring, lambda **_: [store], SystemClock(), seals=True)
    finally:
        disk.close()


@contextlib.asynccontextmanager
async def running(
    directory: Path,
    *,
    tls: bool = True,
    clock: Clock | None = None,
    hub: object = None,
    archive: object = None,
    keys: KeyDesk | None = None,
    hasher: Hasher | None = None,
    make: Make | None = None,
    host: str = "127.0.0.1",
    port: int = 0,
    heads: tuple[str, ...] = ("gate",),
    sticks: Sequence[Sticks] = (),
    metrics: Callable[[Callable[[str], bool]], Awaitable[Sequence[Family]]] = no_metrics,
    talks: Talks | None = None,
    lines: Lines | None = None,
    serial: SerialLines | None = None,
    joysticks: Joysticks | None = None,
) -> AsyncIterator[Box]:
    """Start a page over ports in memory; close everything afterwards."""
    clock = clock or SystemClock()
    db = open_state(directory / "state.db")
    hasher = hasher or Hasher(memory_kib=64, passes=1)
    users = Users(db, hasher, clock)
    audit = Audit(directory / "state.db", clock, "box-1")
    exports = Jobs(
        directory / "export", make or Pieces(), clock, keep_s=3600.0,
        targets=AllTargets(sticks), ended=functools.partial(arrived, audit),
    )  # fmt: skip
    cameras, machines = MemoryCameras(clock), Machines(db, clock)
    parts = Parts(
        clock,
        hub or MemoryHub(),  # type: ignore[arg-type]
        archive or MemoryArchive(),
        keys or KeyDesk(Keyring(directory, make=True), no_volume, clock, seals=False),
        exports,
        ptz := LogPtz(heads, clock),
        LogPrograms(ptz),
        LogAims(ptz),
        MemoryMeasures(ptz),
        MemoryLooks(),
        MemoryHappenings(),
        cameras,
        BoxFace(),
        users,
        machines,
        Sessions(clock),
        Claim(db, users, clock),
        Throttle(clock),
        audit,
        lambda phrase: back_up(directory, phrase, clock.wall_us()),
        lambda: DISKS,
        metrics=metrics,
        finder=MemoryFinder(cameras),
        talks=talks,
        lines=lines or NoLines(),
        devices=lambda: DEVICES,
        captures=MemoryCaptures(),
        serial=serial or NoSerialLines(),
        joysticks=joysticks or NoJoysticks(),
        links=Links(link_key(db), users, machines, clock),
    )
    page = Page(parts, load_tls(directory) if tls else None, ["nvr.example"])
    await page.start(host, port)
    try:
        yield Box(parts, page, tls)
    finally:
        await page.stop()
        exports.close()
        audit.close()
        hasher.close()
        db.close()


async def fragments_of(*clips: clip.Clip) -> tuple[StreamConfig, list[Fragment], list[Part]]:
    """Real fragments and parts: the clips as packets through the real ingest."""
    parts: list[Part] = []
    taken: list[Fragment] = []
    configs: list[StreamConfig] = []
    ingest = Ingest(parts.extend, SystemClock())
    task = asyncio.create_task(ingest.run())

    def deliver(config: StreamConfig, fragments: list[Fragment]) -> None:
        configs.append(config)
        taken.extend(fragments)

    stream = ingest.stream("x/main")
    end = stream.watch(deliver)
    run = stream.open_run([one.track for one in clips])
    packets = sorted(
        (pts / one.track.clock_hz, one.track.channel, packet)
        for one in clips
        for pts, packet in wire.packets(one)
    )
    # As a camera sends it: one picture at a time, or it is one burst that ingest may cut anywhere.
    for _, channel, packet in packets:
        run.feed(wire.frame(channel, packet))
    wanted = sum(len(one.units) for one in clips if one.track.kind == "video")
    for _ in range(200):
        await asyncio.sleep(0.02)
        if len(taken) >= wanted - 1:
            break
    await asyncio.sleep(0.1)
    await run.close()
    end()
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await task
    return configs[0], taken, parts
