"""How packages that never import each other meet: `app` passes these in.

Source side: `capture` and `sim` bring bytes in. Reader side: `serve` and `web` take streams
out. Action side: control, for whoever may command it.
"""

import socket
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

import msgspec

from nvr._native import Relay
from nvr.media.datagram import Datagrams
from nvr.media.owner import Operator as Operator  # noqa: PLC0414 - has its home here for others
from nvr.media.owner import PtzLock, Reserved
from nvr.media.part import Fragment, Part, Portion
from nvr.media.program import AutoState
from nvr.media.replay import Replay
from nvr.media.track import RtpTrack, StreamConfig


class RunStats(msgspec.Struct, frozen=True):
    """Counters of one run, since it began.

    Attributes:
        bytes_in: Bytes read from the camera.
        packets: RTP packets taken.
        lost: RTP packets missing by sequence number.
        damaged: Access units with missing packets.
        frames: Access units of the video track.
        keys: Key frames.
        last_packet_s: Monotonic seconds of the last RTP packet, 0 if none yet.
        last_key_s: Monotonic seconds of the last key frame, 0 if none yet.
        gop_90k: Ticks between the last two key frames by the camera's time, 0 if unknown.
        gop_frames: Pictures from the one to the other, 0 if unknown.
        other: Packets that were left aside: not of a track, malformed, doubled or too late.
        reordered: Of these, packets that came after later ones.
        sound: RTP packets of sound among `packets`.
        anchors: How often the camera's time began anew: once, and at each jump of it.
        late_s: Within two seconds, how much later than the earliest pictures the latest came, by
            the camera's own time; no finer than the ticks in which sockets are read.
        lead_s: By how much the camera's time led arrival, the largest value of ten seconds; as
            it grows or shrinks, so do the two clocks drift apart.
        lead_at_s: Monotonic seconds of the end of these ten, 0 before the first.
        ntp_us: The camera's wall clock in its last sender report, UTC microseconds, 0 if it sent
            none or has no clock.
        ntp_at_s: Monotonic seconds at which that came, 0 if none.
        keyless: Pictures passed over because no key frame had come yet.
        setless: Key frames passed over because parameter sets are missing.
        restored: Datagrams that came after later ones, and were put back into order in time.
        foreign: Datagrams that were refused because they came from another address.
        overrun: Datagrams that the kernel dropped because its buffer for them was full.
        jitter_s: How unevenly the datagrams of the first track come (RFC 3550, 6.4.1), 0 over TCP.
        fields: JPEGs passed over because each is every other line of a picture.
        replayed: A replay said that it ends here.
    """

    bytes_in: int
    packets: int
    lost: int
    damaged: int
    frames: int
    keys: int
    last_packet_s: float
    last_key_s: float
    gop_90k: int
    gop_frames: int = 0
    other: int = 0
    reordered: int = 0
    sound: int = 0
    anchors: int = 0
    late_s: float = 0.0
    lead_s: float = 0.0
    lead_at_s: float = 0.0
    ntp_us: int = 0
    ntp_at_s: float = 0.0
    keyless: int = 0
    setless: int = 0
    restored: int = 0
    foreign: int = 0
    overrun: int = 0
    jitter_s: float = 0.0
    fields: int = 0
    replayed: bool = False


NO_DATAGRAMS: Mapping[int, Datagrams] = {}
NOTHING_YET = RunStats(0, 0, 0, 0, 0, 0, 0.0, 0.0, 0)


class Run(Protocol):
    """One uninterrupted connection of a source to its stream."""

    async def message(self) -> bytes:
        """Wait for the next RTSP message (head and body) the peer sent between packets.

        Raises:
            Unavailable: ``camera.lost``: the peer closed, or the socket failed.
            Damaged: ``camera.garbage``: what came is neither RTSP nor interleaved RTP.
        """
        ...

    def send(self, data: bytes) -> None:
        """Queue a whole RTSP message for the peer; never splits an interleaved frame."""
        ...

    def feed(self, data: bytes) -> None:
        """Take interleaved bytes that did not come from a socket of ours (TLS, encoders)."""
        ...

    def stats(self) -> RunStats:
        """Counters up to the last tick."""
        ...

    async def close(self) -> None:
        """End the run: the open part is cut and delivered, the socket is closed."""
        ...


class Reader(Protocol):
    """One RTSP peer that receives the relay."""

    def send(self, data: bytes) -> None:
        """Queue an RTSP message between interleaved frames."""
        ...

    def close(self) -> None:
        """Stop sending; the socket itself is closed by whoever opened it."""
        ...


class Watched(Protocol):
    """What can be watched: a `Stream`, or what is made of one."""

    @property
    def config(self) -> StreamConfig | None:
        """Codec configuration; None until one is known."""
        ...

    def watch(self, deliver: Callable[[StreamConfig, list[Fragment]], None]) -> Callable[[], None]:
        """See `Stream`."""
        ...


class Stream(Protocol):
    """A named stream: exists as long as it is configured, whether or not its camera is there."""

    name: str

    @property
    def config(self) -> StreamConfig | None:
        """Codec configuration of the current or last run; None until one is known."""
        ...

    def open_run(
        self,
        tracks: Sequence[RtpTrack],
        sock: socket.socket | None = None,
        first: bytes = b"",
        datagrams: Mapping[int, Datagrams] = NO_DATAGRAMS,
        *,
        writes: bool = True,
        replay: Replay | None = None,
    ) -> Run:
        """Begin a run. `sock` (non-blocking) is read and written by the ingest thread alone from
        here on; None means `Run.feed` brings the bytes. `first` was read before the hand-over.

        `datagrams`, by the channel of their track, are read beside `sock` and closed with the run.
        With `writes` off `sock` is only read, as of a tunnel whose way back is another one. A
        `replay` comes faster or slower than it happened, and says itself when it did.
        """  # noqa: D205 - one thought
        ...

    def watch(self, deliver: Callable[[StreamConfig, list[Fragment]], None]) -> Callable[[], None]:
        """Deliver every access unit of the stream from now on, in the event loop's thread.

        The first delivery begins with a key frame: the current group of pictures as far as it
        has come. A change of configuration shows as a different `StreamConfig`.

        Returns:
            A function that ends the delivery.
        """
        ...

    def portions(
        self, deliver: Callable[[StreamConfig, list[Portion]], None]
    ) -> Callable[[], None]:
        """Deliver the stream in portions from now on, in the event loop's thread; see `watch`."""
        ...

    def add_relay(self, relay: Relay) -> None:
        """See `RelaySource`."""
        ...

    def remove_relay(self, relay: Relay) -> None:
        """See `RelaySource`."""
        ...


class RelaySource(Protocol):
    """What the RTSP server serves: a `Stream`, or anything that feeds relays itself."""

    @property
    def config(self) -> StreamConfig | None:
        """Codec configuration; None until one is known."""
        ...

    @property
    def tracks(self) -> Sequence[RtpTrack]:
        """How its packets are made, for each track of `config`; empty: as is usual."""
        ...

    def add_relay(self, relay: Relay) -> None:
        """Feed `relay` every RTP packet from now on; its tracks are those of `config`.

        Raises:
            Rejected: ``relay.too_many``: as many variants as the stream can feed are in use.
        """
        ...

    def remove_relay(self, relay: Relay) -> None:
        """Feed it no more; unknown relays are ignored."""
        ...


class Hub(Protocol):
    """All streams of the box."""

    def stream(self, name: str) -> Stream:
        """Return the stream called `name`, made on first use."""
        ...

    def names(self) -> tuple[str, ...]:
        """Names of all streams."""
        ...


class PartSink(Protocol):
    """Takes parts as they close; called in the ingest thread, must not block."""

    def __call__(self, parts: list[Part]) -> None:
        """Queue `parts`; what cannot be queued is dropped and counted by the sink."""
        ...


@dataclass(frozen=True, slots=True)
class Acknowledged:
    """A part that a power cut can no longer take.

    Attributes:
        stream: Stream name.
        until_us: UTC microseconds of the end of the part.
        at_s: Monotonic seconds when the flush returned.
    """

    stream: str
    until_us: int
    at_s: float


@dataclass(frozen=True, slots=True)
class Holder:
    """Who owns a camera's motion now.

    Attributes:
        operator: The owner.
        since_us: UTC microseconds when it became owner.
        until_us: UTC microseconds when the ownership ends unless it commands again.
        taken: It asked for the camera with `Ptz.take`, and keeps it while idle.
    """

    operator: Operator
    since_us: int
    until_us: int
    taken: bool


@dataclass(frozen=True, slots=True)
class Position:
    """Where a head says it points.

    Attributes:
        pan_deg: 0 to 360, clockwise.
        tilt_deg: Below the horizon is negative.
        zoom: 0 wide to 1 tele, of the head's own range; it does not say the factor.
    """

    pan_deg: float
    tilt_deg: float
    zoom: float


@dataclass(frozen=True, slots=True)
class Preset:
    """A stored position; the name is kept by us, the position by the head.

    Attributes:
        number: As people know it, 1-255.
        name: As people call it.
        pictured_us: UTC microseconds of the picture that is kept of it, 0 if there is none.
        device: Number under which the head knows it, 0 for the same.
    """

    number: int
    name: str
    pictured_us: int = 0
    device: int = 0


@dataclass(frozen=True, slots=True)
class PtzStatus:
    """State of one camera's head.

    Attributes:
        camera: Camera name.
        online: The bus or the head can be reached.
        holder: Owner, None if anybody may take it.
        moving: A motion is commanded now.
        rearm: The owner was stopped and must send a neutral command before it moves again.
        position: Where the head points, None unless it answers queries.
        outputs: ``(name, on)`` of each output: wiper, lamp, washer.
        presets: Presets by number.
        stop_sent_ms: From the last request to stop until the first STOP was on the wire; None
            while that is still to come, or if there was none.
        lock: Who keeps everybody off.
        asked: Name of who asked the holder for the head a short while ago, empty if nobody did.
        auto: What it does by itself.
        aim: How it can be aimed by its picture: ``absolute``, ``fov``, ``timed``, else empty.
    """

    camera: str
    online: bool
    holder: Holder | None
    moving: bool
    rearm: bool
    position: Position | None
    outputs: tuple[tuple[str, bool], ...]
    presets: tuple[Preset, ...]
    stop_sent_ms: float | None
    lock: PtzLock | None = None
    asked: str = ""
    auto: AutoState | None = None
    aim: str = ""


@dataclass(frozen=True, slots=True)
class HeadFunction:
    """Something that a head can be told beside motions, presets and outputs.

    Attributes:
        name: Name in the API.
        title: For people, in English.
        title_zh: For people, in Chinese.
        risk: It interrupts or changes what the head does for everybody: a restart, a limit.
        runs: It goes on until a stop.
        preset: The preset number that it takes, 0 if it is no preset.
    """

    name: str
    title: str
    title_zh: str
    risk: bool = False
    runs: bool = False
    preset: int = 0


class Ptz(Reserved, Protocol):
    """Commands to heads and their outputs.

    Every method is called in the event loop's thread and returns at once. A command is either
    accepted or raises; all of them may raise ``ptz.unknown_camera`` (Rejected). Rights are the
    caller's business: whoever calls has already asked the policy.
    """

    def cameras(self) -> tuple[str, ...]:
        """Names of the cameras that have a head or outputs."""
        ...

    def move(
        self,
        camera: str,
        who: Operator,
        pan: float,
        tilt: float,
        zoom: float,
        lease_s: float = 0.5,
    ) -> None:
        """Move with these speeds until `lease_s` from now, unless renewed; all zero is neutral.

        Renew every 150 ms while not neutral. A lapsed lease stops the head.

        Args:
            camera: Camera name.
            who: The operator.
            pan: -1 left to 1 right.
            tilt: -1 down to 1 up.
            zoom: -1 wide to 1 tele.
            lease_s: Seconds until the dead-man stops the head, at most 10.

        Raises:
            Rejected: ``ptz.held``, ``ptz.locked``: somebody else owns it; the context has
                ``holder`` and ``until_us``; ``ptz.taken``. ``ptz.rearm``: send a neutral command
                first.
                ``ptz.range``: a number is out of range.
            Unavailable: ``ptz.bus_down``, ``ptz.guard_gone``.
        """
        ...

    def lens(self, camera: str, who: Operator, focus: int, iris: int, lease_s: float = 0.5) -> None:
        """Drive focus (-1 near, 1 far) and iris (-1 close, 1 open); renewed like `move`.

        Raises:
            Rejected: As `move`.
            Unavailable: As `move`.
        """
        ...

    def stop(self, camera: str, who: Operator) -> None:
        """Stop the head now. Passes every lock: anybody may stop.

        Whoever was moving it, `who` included, must let go before it moves again: by a neutral
        command, or by sending no move for 1.5 s.
        """
        ...

    def stop_all(self, who: Operator) -> None:
        """Stop every head, as `stop`."""
        ...

    def take(self, camera: str, who: Operator) -> None:
        """Become owner and stay it while idle.

        Raises:
            Rejected: ``ptz.held``, ``ptz.locked``.
        """
        ...

    def release(self, camera: str, who: Operator) -> None:
        """Give the camera up; stops what `who` is moving. No effect if `who` is not owner."""
        ...

    def gone(self, who: Operator) -> None:
        """Stop and release everything `who` holds: its connection closed."""
        ...

    def preset(
        self,
        camera: str,
        who: Operator,
        do: Literal["call", "set", "clear"],
        number: int,
        name: str = "",
    ) -> None:
        """Go to, store or clear a preset. `name` is kept with a stored one.

        Raises:
            Rejected: As `move`, and ``ptz.reserved``: the head gives that number another meaning,
                which the context has as ``what`` and ``what_zh``; see `perform`.
                ``ptz.unknown_preset``. ``ptz.busy``: too many commands wait for the bus.
            Unavailable: As `move`.
        """
        ...

    def functions(self, camera: str) -> tuple[HeadFunction, ...]:
        """What the head of a camera can be told by `perform`."""
        ...

    def perform(self, camera: str, who: Operator, function: str) -> None:
        """Do one of `functions`. One that runs on ends with a stop, or with a motion.

        Raises:
            Rejected: As `move`, and ``ptz.unknown_function``, ``ptz.busy``.
            Unavailable: As `move`.
        """
        ...

    def output(self, camera: str, who: Operator, name: str, on: bool) -> None:
        """Switch the wiper or the lamp. Its own time limit turns it off again.

        Raises:
            Rejected: ``ptz.unknown_output``; ``ptz.locked``.
            Unavailable: ``gpio.gone``, ``gpio.guard_gone`` for one of the board's;
                ``ptz.bus_down``, ``ptz.guard_gone`` for one of the head's, when it is to go on.
        """
        ...

    def status(self, camera: str) -> PtzStatus:
        """Present state of one camera."""
        ...

    def subscribe(self, callback: Callable[[PtzStatus], None]) -> Callable[[], None]:
        """Tell `callback`, in the event loop's thread, of each change.

        Returns:
            A function that ends it.
        """
        ...
