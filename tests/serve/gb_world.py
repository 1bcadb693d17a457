"""A box in memory for one GB/T 28181 platform, and a loop whose time jumps to what is next."""

import asyncio
import random
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Any, Protocol, cast

from nvr._native import Relay
from nvr.app.walltime import WallTime
from nvr.auth.audit import Audit
from nvr.base.errors import NvrError, Unavailable
from nvr.hal.linux_clock import UNKNOWN_MS
from nvr.media.camera import CameraState, ClockState, ClockWord
from nvr.media.gb28181 import PlatformChannel, PlatformInput, PlatformSettings
from nvr.media.gpio import InputView, NoLines
from nvr.media.track import StreamConfig
from nvr.playback.query import Ranges, Recorded
from nvr.serve.gb28181.media import Limits, MediaDesk
from nvr.serve.gb28181.parts import Disk, Parts
from nvr.serve.gb28181.platform import Platform as Device
from nvr.serve.gb28181.ports import NoMedia
from nvr.serve.gb28181.transport import Received, Wire
from nvr.wire.sip_transaction import Peer
from tests.ports import free_port
from tests.record import synthetic
from tests.serve.gb_platform import DEVICE, PASSWORD, SERVER, Platform

START_US = 1_796_036_400_000_000
LOCAL, REMOTE = ("127.0.0.1", 5060), ("192.0.2.2", 5060)  # ours has real ports for media


class JumpingLoop(asyncio.SelectorEventLoop):
    """Nothing waits: when there is nothing to do, it is as late as the next timer says."""

    now_s = 0.0

    def time(self) -> float:
        return self.now_s

    def _run_once(self) -> None:
        inner = cast(Any, self)
        if not inner._ready and inner._scheduled:
            self.now_s = max(self.now_s, inner._scheduled[0]._when)
        inner.__class__.__mro__[1]._run_once(self)


class LoopClock:
    """The loop's time. See `nvr.base.clock.Clock`."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self.offset_us = START_US

    def monotonic_s(self) -> float:
        return self._loop.time()

    def wall_us(self) -> int:
        return self.offset_us + round(self.monotonic_s() * 1e6)

    async def sleep(self, delay_s: float) -> None:
        await asyncio.sleep(delay_s)


@dataclass
class Cameras:
    """Cameras by their names; `change` is what a test does to one."""

    states: dict[str, CameraState] = field(default_factory=dict)
    told: list[Callable[[CameraState], None]] = field(default_factory=list)
    events: list[str] = field(default_factory=list)

    def all(self) -> tuple[CameraState, ...]:
        return tuple(self.states.values())

    def find(self, name: str) -> CameraState | None:
        return self.states.get(name)

    def subscribe(self, changed: Callable[[CameraState], None]) -> Callable[[], None]:
        self.told.append(changed)
        return lambda: self.told.remove(changed)

    def event(self, name: str, post_s: float | None = None) -> int:  # noqa: ARG002 - see Cameras
        self.events.append(name)
        return 0

    def change(self, state: CameraState) -> None:
        self.states[state.name] = state
        for one in self.told:
            one(state)


def camera(name: str, title: str = "", state: str = "live") -> CameraState:
    return CameraState(
        stream=f"{name}/main", state=cast(Any, state), since_us=0, code="", detail="",
        codec="h264", width_px=1920, height_px=1080, fps=25.0, bitrate_bps=4_000_000,
        recorded_until_us=0, name=name, title=title, record_behind=False, retain_h=1,
        caption=None,
    )  # fmt: skip


class Lines(NoLines):
    """Inputs that a test sets."""

    def __init__(self) -> None:
        self.views: list[InputView] = []

    def inputs(self) -> list[InputView]:
        return self.views


class Box:
    """A box without faults."""

    name = "测试"

    def clock_state(self) -> ClockState:
        return ClockState("ntp", 1)

    def fault(self) -> NvrError | None:
        return None

    def warnings(self) -> Sequence[NvrError]:
        return ()

    def behind_s(self) -> float:
        return 0.0


class NoHeads:
    """No camera has a head."""

    def cameras(self) -> tuple[str, ...]:
        return ()


class Archive:
    """Stretches of ten seconds, each a minute."""

    def __init__(self, many: int) -> None:
        self.runs = tuple(
            Recorded(n, START_US + n * 60_000_000, START_US + n * 60_000_000 + 10_000_000)
            for n in range(many)
        )

    def ranges(self, stream: str, from_us: int, to_us: int) -> Ranges:  # noqa: ARG002 - one camera
        found = tuple(one for one in self.runs if one.to_us > from_us and one.from_us < to_us)
        return Ranges(found, (), 0)


class Still:
    """A camera that sends no picture. See `nvr.media.ports.RelaySource`."""

    def __init__(self) -> None:
        video, _ = synthetic.video(160, 120, seconds=1)
        self.config: StreamConfig | None = (video,)
        self.tracks = ()
        self.relays: list[Relay] = []

    def add_relay(self, relay: Relay) -> None:
        self.relays.append(relay)

    def remove_relay(self, relay: Relay) -> None:
        self.relays.remove(relay)


class Loudspeakers:
    """Cameras that listen and say nothing. See `nvr.media.talk.Talks`."""

    def __init__(self) -> None:
        self.listening = 0

    async def takes(self, camera: str) -> bool:  # noqa: ARG002 - they all do
        return True

    def talker(self, camera: str) -> None:  # noqa: ARG002 - see Talks
        return None

    @asynccontextmanager
    async def speak(self, camera: str, who: str, source: str) -> AsyncIterator[Any]:  # noqa: ARG002 - see Talks
        self.listening += 1
        try:
            yield self
        finally:
            self.listening -= 1

    async def lasts(self) -> None:
        await asyncio.get_running_loop().create_future()


@dataclass
class Media:
    """A real desk over cameras in memory."""

    still: Still = field(default_factory=Still)
    talks: Loudspeakers = field(default_factory=Loudspeakers)

    def __post_init__(self) -> None:
        first = free_port()
        self.desk = MediaDesk(
            lambda _camera, _sub: self.still, cast(Any, None), LoopClock(),
            Limits(first, first + 21), talks=cast(Any, self.talks),
        )  # fmt: skip


class MemoryWire:
    """A way in memory that loses what `loss` says."""

    def __init__(self, platform: Platform, received: Received, loss: float, seed: int) -> None:
        self.reliable, self.local, self.remote = loss == 0, LOCAL, REMOTE
        self._platform, self._received, self._loss = platform, received, loss
        self._random = random.Random(seed)
        self._gone = asyncio.get_running_loop().create_future()
        self.closed = False

    def _carry(self, to: Callable[..., None], data: bytes, *what: Any) -> None:
        # What the platform asks is not lost: it does not ask again.
        asks = to == self._arrive and not data.startswith(b"SIP/2.0")
        if not self.closed and (asks or self._random.random() >= self._loss):
            asyncio.get_running_loop().call_later(0.01, to, data, *what)

    def send(self, data: bytes, peer: Peer) -> None:  # noqa: ARG002 - there is one
        self._carry(self._platform.take, data, self._back)

    def _back(self, data: bytes) -> None:
        self._carry(self._arrive, data)

    def _arrive(self, data: bytes) -> None:
        if not self.closed:
            self._received(data, REMOTE)

    async def lost(self) -> None:
        await asyncio.shield(self._gone)  # who waits may give up

    def break_off(self, error: NvrError) -> None:
        self._gone.set_exception(error)

    def close(self) -> None:
        self.closed = True
        self._gone.cancel()


class Settable(Protocol):
    """A clock whose wall time a test moves."""

    offset_us: int

    def wall_us(self) -> int: ...


class Kernel:
    """A kernel that nobody set the clock of yet. See `nvr.hal.linux_clock.KernelClock`.

    Args:
        clock: Its clock.
        may: We may set it.
    """

    def __init__(self, clock: Settable, *, may: bool = True) -> None:
        self.clock, self.may = clock, may
        self.ntp = False
        self.set_to: list[int] = []

    def state(self) -> ClockWord:
        return "ntp" if self.ntp else "unsynced"

    def uncertainty_ms(self) -> int:
        return 20 if self.ntp else UNKNOWN_MS

    def set(self, wall_us: int) -> None:
        if not self.may:
            raise Unavailable("clock.denied", "the clock cannot be set: Operation not permitted")
        self.set_to.append(wall_us)
        self.clock.offset_us += wall_us - self.clock.wall_us()


@dataclass
class World:
    """All of it."""

    platform: Platform
    cameras: Cameras
    lines: Lines
    device: Device
    wires: list[MemoryWire]
    audit: Audit
    media: Media | None
    clock: LoopClock
    kernel: Kernel
    wall: WallTime


def world(
    directory: Path,
    *,
    channels: int = 2,
    loss: float = 0.0,
    records: int = 0,
    sends: bool = False,
    of: Mapping[int, str] = MappingProxyType({}),
    **other: Any,
) -> World:
    """Make one; its cameras are ``c1`` and so on, `of` the box of each, and its input ``door``."""
    media = Media() if sends else None
    platform, cameras, lines = Platform(port=5060), Cameras(), Lines()
    ids = [f"34020000001320{n:06}" for n in range(1, channels + 1)]
    for n in range(1, channels + 1):
        cameras.states[f"c{n}"] = camera(f"c{n}", f"东门{n}")
    settings = PlatformSettings(
        "city", on=True, host=REMOTE[0], port=5060, server=SERVER, device=DEVICE,
        transport="udp" if loss else "tcp",
        channels=tuple(
            PlatformChannel(one, f"c{n}", ("live", "playback", "relay"), box=of.get(n, ""))
            for n, one in enumerate(ids, 1)
        ),
        inputs=(PlatformInput("34020000001340000001", "door"),),
        **other,
    )  # fmt: skip
    audit = Audit(directory / "state.db", LoopClock(), hardware_no="box")
    clock = LoopClock()
    kernel = Kernel(clock)
    wall = WallTime(clock, kernel)
    parts = Parts(
        clock=clock, ptz=cast(Any, NoHeads()), programs=cast(Any, None),
        aims=cast(Any, None), point=cast(Any, None), cameras=cast(Any, cameras),
        archive=cast(Any, Archive(records)), lines=lines, box=Box(),
        audit=audit, masked=lambda _camera, _span: False,
        media=media.desk if media else NoMedia(), time=wall, version="1", snapshot=cast(Any, None),
        disks=lambda: [Disk("ring", True, 64_000_000_000, 16_000_000_000)],
    )  # fmt: skip
    wires: list[MemoryWire] = []

    async def opens(
        transport: str,
        host: str,
        port: int,
        local_port: int,
        received: Received,
    ) -> Wire:
        wires.append(MemoryWire(platform, received, loss, len(wires)))
        return wires[-1]

    device = Device(parts, settings, PASSWORD, opens)
    return World(platform, cameras, lines, device, wires, audit, media, clock, kernel, wall)
