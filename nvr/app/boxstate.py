"""What the box says of itself."""

from collections.abc import Callable

from nvr.app.health import Health
from nvr.app.volumes import Volumes
from nvr.app.walltime import WallTime
from nvr.base.errors import NvrError
from nvr.config.model import Config
from nvr.media.camera import ClockState


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
        return [*self._worse(), *self._wall.warnings(), *self._health.warnings()]
