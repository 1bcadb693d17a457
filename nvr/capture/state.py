"""What a camera's connection is doing, as the page and the log say it."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from nvr.base.clock import Clock

State = Literal["connecting", "live", "frozen", "lost", "refused", "unsupported"]


@dataclass(frozen=True, slots=True)
class Connection:
    """One state of one camera.

    Attributes:
        state: ``connecting`` until the first answer; ``live`` while pictures come; ``frozen`` when
            they stop on an open connection; ``lost`` from then until they come again; ``refused``
            when the account is; ``unsupported`` when the picture's codec cannot be carried.
        since_us: UTC microseconds when `state` began; a new code does not change it.
        code: Stable error code, empty if all is well.
        detail: A sentence for a person, empty if all is well.
    """

    state: State
    since_us: int
    code: str = ""
    detail: str = ""

    def then(self, state: State, code: str, detail: str, now_us: int) -> "Connection | None":
        """Return what it is from now on, None if that is what it is already."""
        same = state == self.state
        if same and code == self.code:
            return None
        return Connection(state, self.since_us if same else now_us, code, detail)


class Stated:
    """What has a connection, and tells what it is doing.

    Args:
        clock: Time source.
        changed: Told of every new state, in the event loop.

    Attributes:
        state: What it does.
    """

    def __init__(self, clock: Clock, changed: Callable[[Connection], None] | None) -> None:
        self._clock = clock
        self._changed = changed
        self.state = Connection("connecting", clock.wall_us())

    def _say(self, state: State, code: str, detail: str) -> None:
        new = self.state.then(state, code, detail, self._clock.wall_us())
        if new is None:
            return
        self.state = new
        if self._changed:
            self._changed(self.state)
