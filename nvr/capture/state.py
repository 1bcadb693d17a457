"""What a camera's connection is doing, as the page and the log say it."""

from dataclasses import dataclass
from typing import Literal

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
