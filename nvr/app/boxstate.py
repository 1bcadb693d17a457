"""What the box says of itself, and of the time it goes by."""

import time
from collections.abc import Callable

from nvr.app.health import Health
from nvr.app.volumes import Volumes
from nvr.base.clock import Clock
from nvr.base.errors import NvrError
from nvr.config.model import Config
from nvr.hal.linux_clock import KernelClock
from nvr.media.camera import ClockState


class WallTime:
    """The wall clock, and how far it can be trusted."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._kernel = KernelClock()

    def uncertainty_ms(self) -> int:
        """By how many milliseconds it may be off."""
        return self._kernel.uncertainty_ms()

    def state(self) -> ClockState:
        """How it is set, and by how much it may be off."""
        return ClockState(self._kernel.state(), self._kernel.uncertainty_ms())

    def trust(self) -> tuple[str, int]:
        """How it is set, and by how many milliseconds it may be off, as the ring notes it."""
        return self._kernel.state(), self._kernel.uncertainty_ms()

    def unset(self) -> bool:
        """Whether it was not set yet since the box was switched on."""
        return self._kernel.state() == "unsynced"

    def local(self) -> tuple[int, int] | None:
        """Weekday and minute of the day here, None while nobody knows."""
        if self.unset():
            return None
        here = time.localtime(self._clock.wall_us() / 1e6)
        return here.tm_wday, here.tm_hour * 60 + here.tm_min


class BoxState:
    """See `nvr.media.camera.BoxState`.

    Args:
        config: Its name.
        wall: Its clock.
        volumes: Its volumes.
        health: Knows what will go wrong.
        worse: What is worse than that.
    """

    def __init__(
        self,
        config: Config,
        wall: WallTime,
        volumes: Volumes,
        health: Health,
        worse: Callable[[], list[NvrError]] = list,
    ) -> None:
        self._worse = worse
        self._config = config
        self._wall = wall
        self._volumes = volumes
        self._health = health

    @property
    def name(self) -> str:
        """What its owner calls it."""
        return self._config.name

    def clock_state(self) -> ClockState:
        """How its clock is set."""
        return self._wall.state()

    def behind_s(self) -> float:
        """By how many seconds the disk lags behind what is recorded."""
        return self._volumes.behind_s()

    def fault(self) -> NvrError | None:
        """Why nothing is recorded."""
        return self._volumes.fault

    def warnings(self) -> list[NvrError]:
        """What will go wrong if nobody looks after it."""
        return [*self._worse(), *self._health.warnings()]
