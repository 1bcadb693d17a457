"""The wall clock: how far it can be trusted, and who may set it.

The network's time (NTP) is the kernel's own business and always better. Where there is none, a
GB/T 28181 platform that `sets_clock` says the time at each registration::

    cannot be right, or jumped -> refused; the same jump said twice is believed
    NTP keeps the clock        -> left alone
    off by little              -> the clock is right; how well is known from now on
    off by more                -> the kernel's clock is set, which needs CAP_SYS_TIME; without it
                                  the time is known but not set, and a warning says so

A clock that was set is stepped at once: who records notes the step and goes on without a gap, as
with any other step (`nvr.record.watch`).
"""

import logging
import time
from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import Final, Protocol

from nvr import __date__
from nvr.base.clock import Clock
from nvr.base.errors import NvrError, Rejected, Unavailable
from nvr.base.log import event
from nvr.hal.linux_clock import UNKNOWN_MS, KernelClock
from nvr.media.camera import ClockState, ClockWord
from nvr.media.gb28181 import ClockUse

_log = logging.getLogger(__name__)

LEAST_MS: Final = 2000
"""A clock that is no further off is not stepped: what SIP says has whole seconds."""
JUMP_MS: Final = 10_000
"""A platform whose time goes on otherwise than ours, by more than this, has jumped."""
DRIFT_PPM: Final = 100
"""A cheap quartz: what was known once is known so much worse as time goes by."""
_YEARS: Final = 20
"""No box runs the same version for longer."""


class Kernel(Protocol):
    """See `KernelClock`."""

    def state(self) -> ClockWord:
        """How the kernel's clock was set."""
        ...

    def uncertainty_ms(self) -> int:
        """How far it may be off."""
        ...

    def set(self, wall_us: int) -> None:
        """Set it."""
        ...


@dataclass(frozen=True, slots=True)
class _Said:
    """What a platform said: UTC microseconds, at which monotonic second, how far that may be off.

    A clock that is set goes by the monotonic one, so that a step by somebody else is seen.
    """

    who: str
    wall_us: int
    at_s: float
    uncertainty_ms: int

    def now_us(self, now_s: float) -> int:
        """What it would say now."""
        return self.wall_us + round((now_s - self.at_s) * 1e6)


class WallTime:
    """The wall clock, and how far it can be trusted. See `nvr.media.gb28181.TakesTime`.

    Args:
        clock: Time source.
        kernel: Whose wall clock it is.
        no_earlier: No right clock says an earlier day.
    """

    def __init__(
        self, clock: Clock, kernel: Kernel | None = None, no_earlier: str = __date__
    ) -> None:
        self._clock = clock
        self._kernel = KernelClock() if kernel is None else kernel
        self._earliest = date.fromisoformat(no_earlier)
        self._said: _Said | None = None  # what is believed
        self._doubted: _Said | None = None
        self._right = False
        self._fault: NvrError | None = None

    def uncertainty_ms(self) -> int:
        """By how many milliseconds it may be off."""
        return self.state().uncertainty_ms

    def state(self) -> ClockState:
        """How it is set, and by how much it may be off."""
        state, uncertainty_ms = self._kernel.state(), self._kernel.uncertainty_ms()
        told_ms = self._told_ms() if state != "ntp" else None
        return ClockState(state, uncertainty_ms) if told_ms is None else told(told_ms)

    def trust(self) -> tuple[str, int]:
        """How it is set, and by how many milliseconds it may be off, as the ring notes it."""
        now = self.state()
        return now.state, now.uncertainty_ms

    def unset(self) -> bool:
        """Whether it was not set yet since the box was switched on."""
        return self.state().state == "unsynced"

    def local(self) -> tuple[int, int] | None:
        """Weekday and minute of the day here, None while nobody knows."""
        if self.unset():
            return None
        here = time.localtime(self._clock.wall_us() / 1e6)
        return here.tm_wday, here.tm_hour * 60 + here.tm_min

    def warnings(self) -> list[NvrError]:
        """What is the matter with the time that a platform says."""
        return [] if self._fault is None or self._kernel.state() == "ntp" else [self._fault]

    def offer(self, who: str, wall_us: int, uncertainty_ms: int) -> ClockUse:  # noqa: D102 - see TakesTime
        said = _Said(who, wall_us, self._clock.monotonic_s(), uncertainty_ms)
        fault = self._refusal(said)
        if fault is not None:
            self._fault = fault
            event(_log, logging.WARNING, "clock.refused", platform=who, code=fault.code,
                  said=_utc(wall_us), why=fault.detail)  # fmt: skip
            return "refused"
        self._said, self._doubted, self._fault = said, None, None
        if self._kernel.state() == "ntp":
            return "better"
        off_us = wall_us - self._clock.wall_us()
        self._right = abs(off_us) <= max(LEAST_MS, uncertainty_ms) * 1000
        if not self._right:
            self._set(said, off_us)
        return "set" if self._right else "denied"

    def forget(self, who: str) -> None:  # noqa: D102 - see TakesTime
        if self._said is not None and self._said.who == who:
            self._said, self._right = None, False
        if self._doubted is None or self._doubted.who == who:
            self._doubted = self._fault = None

    def _set(self, said: _Said, off_us: int) -> None:
        try:
            self._kernel.set(said.wall_us)
        except NvrError as err:
            detail = f"the platform {said.who} says the time, but it is not set: {err.detail}"
            self._fault = Unavailable("clock.denied", detail)
            event(_log, logging.WARNING, "clock.denied", platform=said.who,
                  by_s=round(off_us / 1e6, 1), error=str(err))  # fmt: skip
        else:
            self._right = True
            event(_log, logging.WARNING, "clock.set", platform=said.who,
                  by_s=round(off_us / 1e6, 1))  # fmt: skip

    def _refusal(self, said: _Said) -> NvrError | None:
        """Return why a time is not believed."""
        try:
            day = datetime.fromtimestamp(said.wall_us / 1e6, UTC).date()
        except (ValueError, OverflowError, OSError):
            return Rejected("clock.implausible", f"the platform {said.who} says no time at all")
        if not self._earliest <= day < self._earliest.replace(year=self._earliest.year + _YEARS):
            detail = f"the platform {said.who} says that it is {day}, which cannot be"
            return Rejected("clock.implausible", detail)
        if self._said is None or _agree(said, self._said):
            return None
        if self._doubted is not None and _agree(said, self._doubted):
            return None
        off_s = (said.wall_us - self._said.now_us(said.at_s)) / 1e6
        self._doubted = said
        detail = f"the time of the platform {said.who} jumped by {off_s:+.1f} s"
        return Rejected("clock.jumped", detail)

    def _told_ms(self) -> int | None:
        """How far the clock may be off by what a platform said, None if it does not go by it."""
        said = self._said
        if said is None or not self._right:
            return None
        now_s = self._clock.monotonic_s()
        off_us = abs(self._clock.wall_us() - said.now_us(now_s))
        if off_us > max(LEAST_MS, said.uncertainty_ms) * 1000:  # somebody else set it since
            return None
        drift_ms = (now_s - said.at_s) * DRIFT_PPM / 1000
        return min(UNKNOWN_MS - 1, round(said.uncertainty_ms + off_us / 1000 + drift_ms))


def told(uncertainty_ms: int) -> ClockState:
    """Return the state of a clock that goes by a platform."""
    return ClockState("gb28181", uncertainty_ms)


def _agree(one: _Said, other: _Said) -> bool:
    off_ms = abs(one.wall_us - other.now_us(one.at_s)) / 1000
    between_ms = (one.at_s - other.at_s) * DRIFT_PPM / 1000
    return off_ms <= JUMP_MS + between_ms + one.uncertainty_ms + other.uncertainty_ms


def _utc(wall_us: int) -> str:
    try:
        return datetime.fromtimestamp(wall_us / 1e6, UTC).isoformat(timespec="seconds")
    except (ValueError, OverflowError, OSError):
        return str(wall_us)
