"""Cameras' own events: motion, tampering and digital inputs have a camera recorded.

A camera is listened to where its plan records only events at some time: it costs the client's
worker, which is then never idle. What goes on is told again until it is over.
"""

import asyncio
import logging
from collections.abc import Callable, Iterable
from typing import Final

from nvr.app.services import Services
from nvr.base.clock import Clock
from nvr.base.errors import NvrError, Rejected
from nvr.base.log import event
from nvr.base.supervise import Backoff
from nvr.config import camera as written
from nvr.link.meaning import meant
from nvr.media.onvif_wish import Pull, Unsubscribe

_log = logging.getLogger(__name__)

WAIT_S: Final = 8.0
"""A pull lasts so long; a motion that goes on is told again after it."""
MOST_ACTIVE: Final = 32
LONGEST_S: Final = 3600.0
"""A motion whose end was never told is over after so long."""
_LOOK_S: Final = 5.0
_BACKOFF: Final = Backoff(first_s=15.0, cap_s=600.0, stable_s=60.0)
"""The floor keeps accounts from being locked by a camera that forgets its subscriptions."""


class Listener:
    """Listens to all cameras that are to be.

    Args:
        services: Asks them.
        cameras: The settings of all, as they are now.
        happened: Told the camera at which something happens, again while it goes on.
        clock: Time source.
    """

    def __init__(
        self,
        services: Services,
        cameras: Callable[[], Iterable[written.Camera]],
        happened: Callable[[str], object],
        clock: Clock,
    ) -> None:
        self._services = services
        self._cameras = cameras
        self._happened = happened
        self._clock = clock
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
            if one.onvif is not None and one.onvif.events and by_events(one)
        }
        for key in self._tasks.keys() - wanted:
            self._tasks.pop(key).cancel()
        for key in wanted - self._tasks.keys():
            self._tasks[key] = asyncio.create_task(self._listen(key[0]))

    async def _listen(self, camera: str) -> None:
        failures = 0
        active: dict[str, float] = {}
        try:
            while True:
                started_s = self._clock.monotonic_s()
                try:
                    while True:
                        await self._once(camera, active)
                except NvrError as err:
                    ran_s = self._clock.monotonic_s() - started_s
                    failures = 1 if ran_s >= _BACKOFF.stable_s else failures + 1
                    active.clear()
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
            await asyncio.shield(self._give_back(camera))

    async def _give_back(self, camera: str) -> None:
        try:
            await self._services.ask(camera, Unsubscribe())
        except NvrError as err:
            event(_log, logging.DEBUG, "camera.unheard", camera=camera, error=str(err))

    async def _once(self, camera: str, active: dict[str, float]) -> None:
        found = await self._services.ask(camera, Pull(WAIT_S))
        now_s = self._clock.monotonic_s()
        tell = False
        for one in map(meant, found):
            if one is None:
                continue
            if not one.active:
                active.pop(one.source, None)
                continue
            if one.source not in active:
                event(
                    _log,
                    logging.INFO,
                    "camera.told",
                    camera=camera,
                    what=one.sort,
                    source=one.source,
                )
            tell = True
            if one.lasting and len(active) < MOST_ACTIVE:
                active.setdefault(one.source, now_s)
        for source, since_s in list(active.items()):
            if now_s - since_s > LONGEST_S:
                del active[source]
        if tell or active:
            try:
                self._happened(camera)
            except Rejected as err:
                event(_log, logging.DEBUG, "camera.told", camera=camera, error=str(err))


def by_events(camera: written.Camera) -> bool:
    """Whether one of its streams is recorded by events at some time."""
    plans = [camera.plan, camera.sub.plan if camera.sub else None]
    return any(plan is not None and _has_events(plan) for plan in plans)


def _has_events(plan: written.Plan) -> bool:
    days = (plan.every, plan.mon, plan.tue, plan.wed, plan.thu, plan.fri, plan.sat, plan.sun)
    segments = [one for day in days if day for one in day]
    return plan.mode == "event" or any(one.endswith(" event") for one in segments)
