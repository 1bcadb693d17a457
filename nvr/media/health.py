"""How a camera's stream does: what state it is in and why, what is counted, what was before.

`nvr.capture.health` decides, `app` gathers, page, API, metrics and `nvr camera` show.
"""

from dataclasses import dataclass, field
from typing import Literal

import msgspec

Condition = Literal["connecting", "recording", "watched", "degraded", "lost", "off"]
"""``connecting``: never live since it was opened. ``recording``: all is well. ``watched``: all is
well, and it is not to be recorded. ``degraded``: it comes, with something to see to. ``lost``: it
does not come. ``off``: it comes, and by its plan it is not recorded now."""


@dataclass(frozen=True, slots=True)
class Why:
    """One reason for which a stream is degraded.

    Attributes:
        code: Stable, listed in ``errors.md``.
        since_us: UTC microseconds since when.
        value: What was measured last, in the unit of `limit`; 0 where there is nothing to measure.
        limit: What it should keep to: percent, seconds, ppm, frames per second or packets.
    """

    code: str
    since_us: int
    value: float = 0.0
    limit: float = 0.0


@dataclass(frozen=True, slots=True)
class Failure:
    """Why a connection, or an attempt at one, ended last.

    Attributes:
        code: Stable error code.
        detail: A sentence for a person.
        at_us: UTC microseconds.
    """

    code: str
    detail: str
    at_us: int


@dataclass(frozen=True, slots=True)
class StreamHealth:
    """State of a stream.

    Attributes:
        state: See `Condition`.
        since_us: UTC microseconds since when.
        why: What is the matter, the worst first; also while it is ``off``.
        tolerated: What is the matter too, and is put up with by the camera's settings.
        next_try_us: UTC microseconds of the next attempt to connect, 0 if it is connected or an
            attempt is under way.
        failures: Attempts that failed in a row.
        last: Why a connection ended last, None if none did.
    """

    state: Condition
    since_us: int
    why: tuple[Why, ...] = ()
    tolerated: tuple[Why, ...] = ()
    next_try_us: int = 0
    failures: int = 0
    last: Failure | None = None


@dataclass(frozen=True, slots=True)
class Counters:
    """What was counted of a stream over all its connections.

    Attributes:
        since_us: UTC microseconds since when: the box was started, or the camera added.
        connected_us: UTC microseconds since when the connection stands, 0 without one.
        bytes_in: Bytes read from the camera.
        packets: RTP packets taken.
        lost: Packets missing by sequence number.
        reordered: Packets that came after later ones, too late to be used.
        other: Packets left aside, `reordered` among them.
        frames: Pictures.
        damaged: Of these not whole.
        keys: Of these key frames.
        restored: Datagrams put back into order in time.
        overrun: Datagrams that the box's kernel dropped, which read them too late.
        foreign: Datagrams refused since they came from another address.
        reconnects: How often it was connected again.
    """

    since_us: int = 0
    connected_us: int = 0
    bytes_in: int = 0
    packets: int = 0
    lost: int = 0
    reordered: int = 0
    other: int = 0
    frames: int = 0
    damaged: int = 0
    keys: int = 0
    restored: int = 0
    overrun: int = 0
    foreign: int = 0
    reconnects: int = 0


class Rates(msgspec.Struct, frozen=True):
    """What is measured of a stream; None is not known, as long as it is not connected all of it.

    Attributes:
        fps: Pictures per second, over the last seconds.
        usual_fps: What it usually has.
        bitrate_bps: Bits per second, over the last seconds.
        loss_percent: Packets missing, of half a minute.
        gop_s: Seconds from one key frame to the next, by the camera's time.
        gop_frames: Pictures from the one to the other.
        key_age_s: Seconds since the last key frame.
        jitter_ms: Within two seconds, how much later than the earliest pictures the latest came;
            no finer than the 20 to 100 ms in which sockets are read.
        datagram_jitter_ms: How unevenly datagrams come (RFC 3550, 6.4.1), by the kernel's time of
            each.
        drift_ppm: By how much the camera's clock runs fast against ours, parts per million.
        drift_error_ppm: How far that may be off.
        clock_offset_ms: The camera's wall clock minus ours, by its last sender report.
        sound: Sound comes; None if the camera has none.
    """

    fps: float | None = None
    usual_fps: float | None = None
    bitrate_bps: int | None = None
    loss_percent: float | None = None
    gop_s: float | None = None
    gop_frames: int | None = None
    key_age_s: float | None = None
    jitter_ms: float | None = None
    datagram_jitter_ms: float | None = None
    drift_ppm: float | None = None
    drift_error_ppm: float | None = None
    clock_offset_ms: float | None = None
    sound: bool | None = None


@dataclass(frozen=True, slots=True)
class Spell:
    """A time for which a stream was degraded or lost.

    Attributes:
        state: ``degraded`` or ``lost``.
        codes: What was the matter, in the order in which it came.
        from_us: UTC microseconds of its begin.
        to_us: UTC microseconds of its end, 0 while it lasts.
        duration_s: How long it was or is, by the monotonic clock.
    """

    state: Condition
    codes: tuple[str, ...]
    from_us: int
    to_us: int
    duration_s: float


@dataclass(frozen=True, slots=True)
class History:
    """What a stream did, in steps of equal length, the oldest first.

    Attributes:
        step_s: Length of a step.
        until_us: UTC microseconds of the end of the last step, which may still go on.
        kbit_s: Kilobits per second.
        fps: Pictures per second.
        lost: Packets missing.
        jitter_ms: The worst `Rates.jitter_ms`.
        state: A letter a step, the worst of it: ``r`` recording, ``w`` watched, ``o`` off,
            ``c`` connecting, ``d`` degraded, ``l`` lost, space for before.
    """

    step_s: float
    until_us: int
    kbit_s: tuple[int, ...] = ()
    fps: tuple[float, ...] = ()
    lost: tuple[int, ...] = ()
    jitter_ms: tuple[int, ...] = ()
    state: str = ""


@dataclass(frozen=True, slots=True)
class StreamReport:
    """All there is to say of a stream.

    Attributes:
        health: Its state.
        counters: What was counted.
        rates: What is measured.
        hour: Its last hour.
        day: Its last day.
        spells: When it was degraded or lost, the newest first.
    """

    health: StreamHealth
    counters: Counters
    rates: Rates
    hour: History
    day: History
    spells: tuple[Spell, ...] = field(default=())
