"""Time as an argument: everything that waits or stamps takes a `Clock`.

Inside the box time is monotonic seconds (float) or 90 kHz ticks (int); wall time is UTC
microseconds since 1970 and appears only at the edges.
"""

import asyncio
import time
from typing import Protocol

TICKS_PER_S = 90_000


class Clock(Protocol):
    """What the rest of the code may know of time."""

    def monotonic_s(self) -> float:
        """Seconds since some fixed start; never steps."""
        ...

    def wall_us(self) -> int:
        """UTC microseconds since 1970; may step in either direction."""
        ...

    async def sleep(self, delay_s: float) -> None:
        """Wait `delay_s` seconds of monotonic time."""
        ...


class SystemClock:
    """The kernel's clocks. See `Clock`."""

    def monotonic_s(self) -> float:  # noqa: D102 - see Clock
        return time.monotonic()

    def wall_us(self) -> int:  # noqa: D102 - see Clock
        return time.time_ns() // 1000

    async def sleep(self, delay_s: float) -> None:  # noqa: D102 - see Clock
        await asyncio.sleep(delay_s)


async def beat(clock: Clock, every_s: float) -> None:
    """Wait for the next whole multiple of `every_s` on the monotonic clock.

    For whoever looks at something now and then: all of them look in one wake-up of the processor,
    where each in a time of its own wakes it as often as there are cameras.
    """
    await clock.sleep(every_s - clock.monotonic_s() % every_s)


class FakeClock:
    """A clock that moves only when told to, or when somebody sleeps on it. See `Clock`."""

    def __init__(self, wall_us: int = 1_800_000_000_000_000) -> None:
        self.now_s = 1000.0
        self.offset_us = wall_us - 1_000_000_000
        self.slept_s: list[float] = []

    def monotonic_s(self) -> float:  # noqa: D102 - see Clock
        return self.now_s

    def wall_us(self) -> int:  # noqa: D102 - see Clock
        return round(self.now_s * 1e6) + self.offset_us

    def advance(self, delay_s: float) -> None:
        """Let `delay_s` seconds pass at once."""
        self.now_s += delay_s

    async def sleep(self, delay_s: float) -> None:  # noqa: D102 - see Clock
        self.slept_s.append(delay_s)
        self.now_s += delay_s
        await asyncio.sleep(0)
