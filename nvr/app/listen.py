"""Cameras' own events: motion, tampering, inputs and lines are kept, and have a camera recorded.

Every camera with ``[camera.onvif]`` is listened to, unless that says ``events = false``: it costs
the client's worker, which is then never idle. What a camera tells is kept with its begin and end
(`nvr.media.happening`, source ``camera``). Where its plan records only events at some time it is
recorded: what goes on is told again until it is over. What ends and begins again within `HOLD_S`
is one: cameras tell of a motion in many pieces.
"""

import asyncio
import logging
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Final, Protocol

from nvr.app.services import Services
from nvr.base.clock import Clock
from nvr.base.errors import NvrError, Rejected
from nvr.base.log import event
from nvr.base.supervise import Backoff
from nvr.config import camera as written
from nvr.link.meaning import Meant, meant
from nvr.media.happening import Happening, Kind, Source
from nvr.media.onvif_wish import Pull, Unsubscribe

_log = logging.getLogger(__name__)

WAIT_S: Final = 8.0
"""A pull lasts so long; a motion that goes on is told again after it."""
MOST_ACTIVE: Final = 32
LONGEST_S: Final = 3600.0
"""A motion whose end was never told is over after so long."""
HOLD_S: Final = 5.0
_LOOK_S: Final = 5.0
_BACKOFF: Final = Backoff(first_s=15.0, cap_s=600.0, stable_s=60.0)
"""The floor keeps accounts from being locked by a camera that forgets its subscriptions."""


class Kept(Protocol):
    """Keeps what happened; blocks. See `nvr.analyse.store.Store`."""

    def begin(
        self, camera: str, kind: Kind, zone: str, at_us: int, *, source: Source = ""
    ) -> Happening | None:
        """Note that something begins."""
        ...

    def end(
        self, camera: str, kind: Kind, zone: str, at_us: int, *, source: Source = ""
    ) -> Happening | None:
        """Note that it is over."""
        ...


@dataclass(slots=True)
class _Active:
    one: Meant
    since_s: float
    over_s: float | None = None
    over_us: int = 0


class Listener:
    """Listens to all cameras that are to be.

    Args:
        services: Asks them.
        cameras: The settings of all, as they are now.
        happened: Told the camera at which something happens, again while it goes on.
        clock: Time source.
        kept: Where it is written down.
        tell: Told the camera of which something began or ended.
        began: Told the camera, the sort and the zone of what begins.
    """

    def __init__(
        self,
        services: Services,
        cameras: Callable[[], Iterable[written.Camera]],
        happened: Callable[[str], object],
        clock: Clock,
        kept: Kept,
        tell: Callable[[str], object] = lambda _: None,
        began: Callable[[str, str, str], None] = lambda _camera, _sort, _zone: None,
    ) -> None:
        self._began = began
        self._kept = kept
        self._tell = tell
        self._services = services
        self._cameras = cameras
        self._happened = happened
        self._clock = clock
        self._recorded: set[str] = set()
        self._tasks: dict[tuple[str, str], asyncio.Task[None]] = {}

    async def run(self) -> None:
        """Follow the settings until cancelled; then give every subscription back."""
        try:
            while True:
                self._follow()
                await self._clock.sleep(_LOOK_S)
        finally:
            tasks = list(self._tasks.values())
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    def _follow(self) -> None:
        wanted = {
            (one.name, one.onvif.address)
            for one in self._cameras()
            if one.onvif is not None and one.onvif.events
        }
        self._recorded = {one.name for one in self._cameras() if by_events(one)}
        for key in self._tasks.keys() - wanted:
            self._tasks.pop(key).cancel()
        for key in wanted - self._tasks.keys():
            self._tasks[key] = asyncio.create_task(self._listen(key[0]))

    async def _listen(self, camera: str) -> None:
        failures = 0
        active: dict[str, _Active] = {}
        try:
            while True:
                started_s = self._clock.monotonic_s()
                try:
                    while True:
                        await self._once(camera, active)
                except NvrError as err:
                    ran_s = self._clock.monotonic_s() - started_s
                    failures = 1 if ran_s >= _BACKOFF.stable_s else failures + 1
                    await self._all_over(camera, active)
                    wait_s = _BACKOFF.wait_s(failures)
                    level = logging.WARNING if failures == 1 else logging.DEBUG
                    event(
                        _log,
                        level,
                        "camera.unheard",
                        camera=camera,
                        error=str(err),
                        wait_s=wait_s,
                    )
                    await self._clock.sleep(wait_s)
        finally:
            await asyncio.shield(self._all_over(camera, active))
            await asyncio.shield(self._give_back(camera))

    async def _give_back(self, camera: str) -> None:
        try:
            await self._services.ask(camera, Unsubscribe())
        except NvrError as err:
            event(_log, logging.DEBUG, "camera.unheard", camera=camera, error=str(err))

    async def _once(self, camera: str, active: dict[str, _Active]) -> None:
        found = await self._services.ask(camera, Pull(WAIT_S))
        now_s, now_us = self._clock.monotonic_s(), self._clock.wall_us()
        tell = False
        for one in map(meant, found):
            if one is None:
                continue
            if one.active:
                tell = True
                await self._begin(camera, active, one, now_s, now_us)
            elif (known := active.get(one.source)) is not None and known.over_s is None:
                known.over_s, known.over_us = now_s, now_us
        for source, known in list(active.items()):
            if now_s - known.since_s > LONGEST_S and known.over_s is None:
                known.over_s, known.over_us = now_s, now_us
            if known.over_s is not None and now_s - known.over_s >= HOLD_S:
                del active[source]
                await self._end(camera, known)
        going = any(known.over_s is None for known in active.values())
        if (tell or going) and camera in self._recorded:
            try:
                self._happened(camera)
            except Rejected as err:
                event(_log, logging.DEBUG, "camera.told", camera=camera, error=str(err))

    async def _begin(
        self, camera: str, active: dict[str, _Active], one: Meant, now_s: float, now_us: int
    ) -> None:
        known = active.get(one.source)
        if known is None:
            if len(active) >= MOST_ACTIVE:
                return
            event(
                _log, logging.INFO, "camera.told",
                camera=camera, what=one.sort, source=one.source,
            )  # fmt: skip
            known = active[one.source] = _Active(one, now_s)
            await asyncio.to_thread(
                self._kept.begin, camera, one.sort, one.name, now_us, source="camera"
            )
            self._tell(camera)
            self._began(camera, one.sort, one.name)
        known.over_s, known.over_us = (None, 0) if one.lasting else (now_s, now_us)

    async def _end(self, camera: str, known: _Active) -> None:
        one = known.one
        await asyncio.to_thread(
            self._kept.end, camera, one.sort, one.name, known.over_us, source="camera"
        )
        self._tell(camera)

    async def _all_over(self, camera: str, active: dict[str, _Active]) -> None:
        """Nobody hears of its end any more."""
        for known in active.values():
            known.over_us = known.over_us or self._clock.wall_us()
            await self._end(camera, known)
        active.clear()


def by_events(camera: written.Camera) -> bool:
    """Whether one of its streams is recorded by events at some time."""
    plans = [camera.plan, camera.sub.plan if camera.sub else None]
    return any(plan is not None and _has_events(plan) for plan in plans)


def _has_events(plan: written.Plan) -> bool:
    days = (plan.every, plan.mon, plan.tue, plan.wed, plan.thu, plan.fri, plan.sat, plan.sun)
    segments = [one for day in days if day for one in day]
    return plan.mode == "event" or any(one.endswith(" event") for one in segments)
