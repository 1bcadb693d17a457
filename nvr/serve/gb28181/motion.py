"""What a platform has heads do: motions that end by themselves, should its stop never come.

A platform sends a motion once, when a button goes down, and a stop when it comes up. A motion that
it does not repeat ends after `LASTS_S` by a neutral command in its name. The lease behind it is a
little longer and ends it should we be gone.
"""

import asyncio
import contextlib
from collections.abc import Callable

from nvr.base.errors import NvrError
from nvr.media.owner import Operator
from nvr.media.ports import Ptz

LASTS_S = 9.5
_LEASE_S = 10.0


class Motions:
    """Motions and lenses that one platform drives."""

    def __init__(self, ptz: Ptz) -> None:
        self._ptz = ptz
        self._ends: dict[tuple[str, str], tuple[asyncio.TimerHandle, Callable[[], None]]] = {}

    def move(self, camera: str, who: Operator, pan: float, tilt: float, zoom: float) -> None:
        """Move a head. Raises as `Ptz.move`."""
        self._ptz.move(camera, who, pan, tilt, zoom, _LEASE_S)
        self._keep(camera, "move", lambda: self._ptz.move(camera, who, 0.0, 0.0, 0.0))

    def lens(self, camera: str, who: Operator, focus: int, iris: int) -> None:
        """Drive a lens; both zero ends that. Raises as `Ptz.lens`."""
        self._ptz.lens(camera, who, focus, iris, _LEASE_S)
        self._forget(camera, "lens")
        if focus or iris:
            self._keep(camera, "lens", lambda: self._ptz.lens(camera, who, 0, 0))

    def end(self, camera: str) -> None:
        """End what a camera's head does here; letting go is no command that could be refused."""
        for what in ("move", "lens"):
            self._end((camera, what))

    def close(self) -> None:
        """End everything."""
        for key in list(self._ends):
            self._end(key)

    def _keep(self, camera: str, what: str, end: Callable[[], None]) -> None:
        self._forget(camera, what)
        timer = asyncio.get_running_loop().call_later(LASTS_S, self._end, (camera, what))
        self._ends[camera, what] = timer, end

    def _end(self, key: tuple[str, str]) -> None:
        end = self._forget(*key)
        if end is not None:
            with contextlib.suppress(NvrError):  # the head, or its camera, is gone
                end()

    def _forget(self, camera: str, what: str) -> Callable[[], None] | None:
        timer, end = self._ends.pop((camera, what), (None, None))
        if timer is not None:
            timer.cancel()
        return end
