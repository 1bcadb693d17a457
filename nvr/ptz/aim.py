"""Points heads by their pictures: told where to, or moved for a measured time.

A timed move is one of whoever asked for it: with its lease, so that the bus, the guard and the
camera end it if this process does not; ended by our own timer before that; and given up as soon as
the head is told anything else, a STOP first of all.
"""

import asyncio
import contextlib
import logging
from collections.abc import Iterator
from typing import Final

from nvr.base.clock import Clock
from nvr.base.errors import NvrError, Rejected
from nvr.base.log import event
from nvr.media.aim import Area, How
from nvr.media.ports import Operator
from nvr.ptz.controller import Controller
from nvr.ptz.keep import KeepBook
from nvr.ptz.line import Glide
from nvr.ptz.sight import Angles, Leg, Sight, known, legs, nearer, target

_log = logging.getLogger(__name__)

SLACK_S: Final = 0.3
"""So much longer than it takes is the lease of a timed move."""
GLIDE_S: Final = 2.0
"""A head that is told a share of its picture is given so long before it zooms."""


class Aimer:
    """All heads. See `nvr.media.aim.Aims`.

    Args:
        heads: What moves them.
        book: What was measured of them.
        clock: Time source.
    """

    def __init__(self, heads: Controller, book: KeepBook, clock: Clock) -> None:
        self._heads, self._book, self._clock = heads, book, clock
        self._going: dict[str, tuple[Operator, asyncio.Task[None]]] = {}
        self._ours = False

    def how(self, camera: str) -> How:  # noqa: D102 - see Aims
        with contextlib.suppress(Rejected):
            it = self._heads.reach(camera)
            if it.points and it.position is not None:
                return "absolute" if known(self._angles(camera), it.position.zoom) else ""
            if it.glides:
                return "fov"
            sight = self._sight(camera)
            if sight.pan is not None and sight.tilt is not None:
                return "timed"
        return ""

    def aim(self, camera: str, who: Operator, area: Area) -> How:  # noqa: D102 - see Aims
        area.check()
        position = self._heads.reach(camera).position  # raises where there is no head
        how = self.how(camera)
        if how == "absolute":
            assert position is not None
            self._heads.point(camera, who, target(self._angles(camera), position, area))
        elif how == "fov":
            with self._by_us():
                self._heads.point(camera, who, Glide(2 * area.x - 1, 1 - 2 * area.y))
            if later := nearer(self._sight(camera), area):
                self._start(camera, who, [Leg(0.0, 0.0, 0.0, GLIDE_S), *later])
        elif how == "timed":
            self._start(camera, who, legs(self._sight(camera), area))
        else:
            raise Rejected(
                "ptz.unaimed",
                "what this head sees, or how fast it turns, is not known: have it measured",
                camera=camera,
            )
        return how

    def seen(self, camera: str) -> None:
        """A head was told something: if not by us, whatever goes on is given up."""
        if not self._ours and (going := self._going.pop(camera, None)):
            going[1].cancel()

    def left(self, who: Operator) -> None:
        """Somebody has gone: what they began ends, though nothing moves just now."""
        for camera, (by, _) in list(self._going.items()):
            if by == who:
                self.seen(camera)

    def close(self) -> None:
        """Give up everything that goes on; the leases end what moves."""
        for camera in list(self._going):
            self.seen(camera)

    async def drive(self, camera: str, who: Operator, course: list[Leg]) -> None:
        """Make timed moves one after the other, and stop.

        Raises:
            NvrError: The head was refused, by as much as was not yet driven.
        """
        for leg in course:
            self._set_off(camera, who, leg)
            await self._clock.sleep(leg.for_s)
        with self._by_us():
            self._heads.move(camera, who, 0.0, 0.0, 0.0)

    def _start(self, camera: str, who: Operator, course: list[Leg]) -> None:
        self.seen(camera)
        if not course:
            return
        self._set_off(camera, who, course[0])  # whoever asked hears why not
        task = asyncio.create_task(self._go_on(camera, who, course))
        self._going[camera] = who, task
        task.add_done_callback(lambda _: self._ended(camera, task))

    def _ended(self, camera: str, task: asyncio.Task[None]) -> None:
        if self._going.get(camera, (None, None))[1] is task:
            del self._going[camera]

    async def _go_on(self, camera: str, who: Operator, course: list[Leg]) -> None:
        try:
            await self._clock.sleep(course[0].for_s)
            await self.drive(camera, who, course[1:])
        except NvrError as err:
            event(_log, logging.INFO, "ptz.aim_ended", camera=camera, error=str(err))

    def _set_off(self, camera: str, who: Operator, leg: Leg) -> None:
        if leg.pan or leg.tilt or leg.zoom:
            with self._by_us():
                self._heads.move(
                    camera, who, leg.pan, leg.tilt, leg.zoom, lease_s=leg.for_s + SLACK_S
                )

    @contextlib.contextmanager
    def _by_us(self) -> Iterator[None]:
        """What the head is told in here is told by us."""
        self._ours = True
        try:
            yield
        finally:
            self._ours = False

    def _sight(self, camera: str) -> Sight:
        return self._book.of(camera).sight

    def _angles(self, camera: str) -> Angles:
        return self._sight(camera).angles or self._heads.reach(camera).angles
