"""Measures heads by their pictures: what they see, how fast they turn, how well they find a preset.

It has the head as whoever asked for it, and begins only while no person has it. It moves the head,
compares the picture with the one before (`nvr.ptz.registration`) and ends with the head where it
was. As soon as anybody else says anything to the head, a STOP first of all, it gives up.
"""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from dataclasses import replace
from math import atan, cos, degrees, hypot, log, radians, sin, tan
from typing import TYPE_CHECKING, Final, Protocol

from nvr.base.clock import Clock
from nvr.base.errors import NvrError, Rejected, Unavailable
from nvr.media.aim import Accuracy, Grey, Measured, Measuring, What
from nvr.media.ports import Operator, Position
from nvr.media.program import AUTOMATIC
from nvr.ptz.aim import Aimer
from nvr.ptz.controller import Controller
from nvr.ptz.keep import KeepBook
from nvr.ptz.pilot import STEADY_S, TRAVEL_MAX_S
from nvr.ptz.sight import SPEED, Angles, Leg, Rate, angle_deg

if TYPE_CHECKING:
    from nvr.ptz.registration import Shift

TRAVEL_S: Final = 8.0
"""A head that does not say where it points is given so long to a place."""
SETTLE_S: Final = 1.0
"""Before a picture counts: brakes, focus, and the way of the picture to us."""
PICTURE_S: Final = 20.0
LOOK_S: Final = 0.5
AWAY: Final = (0.5, 0.6)
"""Speed and seconds of going away from a preset, to either side: a worn gear shows from one."""
ZOOMS: Final = (0.0, 1 / 64, 1 / 32, 1 / 16, 1 / 8, 1 / 4, 1 / 2, 1.0)
_FIRST_S: Final = 0.25
_STEP: Final = 0.08
"""Of the picture: so far the head is turned to see how much it sees."""
_LEAST, _MOST = 0.02, 0.3
_TRIES: Final = 7
_UNMOVED: Final = 0.004

Look = Callable[[str], Awaitable[tuple[Grey, int]]]
"""Newest picture of a camera and its UTC microseconds."""


class Compare(Protocol):
    """Compares two pictures."""

    async def __call__(
        self, before: Grey, after: Grey, elsewhere: Grey | None = None, *, zoomed: bool = False
    ) -> "Shift | None":
        """See `nvr.ptz.registration.compare`, which holds up no loop."""
        ...


async def compared(
    before: Grey, after: Grey, elsewhere: Grey | None = None, *, zoomed: bool = False
) -> "Shift | None":
    """See `Compare`."""
    from nvr.ptz.registration import compare  # noqa: PLC0415 - numpy is a tenth of our memory

    return await asyncio.to_thread(compare, before, after, elsewhere, zoomed=zoomed)


class Measurer:
    """All heads. See `nvr.media.aim.Measures`.

    Args:
        heads: What moves them.
        aimer: Makes timed moves.
        book: Where what was measured is kept.
        look: Takes pictures.
        clock: Time source.
        compare: Registers two pictures, beside the loop.
    """

    def __init__(
        self,
        heads: Controller,
        aimer: Aimer,
        book: KeepBook,
        look: Look,
        clock: Clock,
        compare: Compare = compared,
    ) -> None:
        self._heads, self._aimer, self._book = heads, aimer, book
        self._look, self._clock, self._compare = look, clock, compare
        self._jobs: dict[str, tuple[Operator, asyncio.Task[None]]] = {}
        self._states: dict[str, Measuring] = {}

    def measured(self, camera: str) -> Measured:  # noqa: D102 - see Measures
        kept = self._book.of(camera)
        sight = kept.sight
        timed = sight.pan is not None and sight.tilt is not None
        return Measured(self._states.get(camera), sight.angles, timed, sight.at_us, kept.accuracy)

    def measure(self, camera: str, who: Operator, what: What) -> None:  # noqa: D102 - see Measures
        hand = self._heads.hand(camera)
        holder = hand.holder
        if holder is not None and holder.role not in AUTOMATIC:
            raise Rejected(
                "ptz.held",
                f"{holder.name} is using this camera",
                camera=camera,
                holder=holder.name,
                source=holder.source,
            )
        me = Operator(who.name, who.role, f"measure/{camera}")
        self._heads.take(camera, me)
        self._states[camera] = Measuring(what, 0, 0)
        task = asyncio.create_task(self._run(camera, me, what))
        self._jobs[camera] = me, task

    def end(self, camera: str, who: Operator) -> None:  # noqa: D102 - see Measures
        if camera in self._jobs:
            self._heads.stop(camera, who)

    def seen(self, camera: str, who: Operator) -> None:
        """A head was told something: if not by us, what goes on is given up."""
        job = self._jobs.get(camera)
        if job is not None and job[0] != who:
            job[1].cancel()

    async def aclose(self) -> None:
        """Give up everything."""
        tasks = [task for _, task in self._jobs.values()]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _run(self, camera: str, me: Operator, what: What) -> None:
        code = ""
        try:
            back = self._leave(camera, me)
            try:
                await (self._sight if what == "sight" else self._presets)(camera, me)
            except NvrError as err:
                code = err.code
            if self._heads.hand(camera).holder == me:  # a stop leaves it where it stands
                await back()
        except NvrError as err:
            code = err.code
        except asyncio.CancelledError:
            code = "ptz.measure_ended"  # by another hand, or because the box ends
            raise
        finally:
            del self._jobs[camera]
            self._states[camera] = replace(self._states[camera], done=True, code=code)
            with contextlib.suppress(NvrError):
                self._heads.release(camera, me)

    def _step(self, camera: str, step: int, of: int) -> None:
        self._states[camera] = replace(self._states[camera], step=step, of=of)

    def _leave(self, camera: str, me: Operator) -> Callable[[], Awaitable[None]]:
        """Remember where the head is; returns what brings it back."""
        reach = self._heads.reach(camera)
        at = reach.position
        if reach.points and at is not None:

            async def told() -> None:
                self._heads.point(camera, me, at)
                await self._arrive(camera)

            return told
        number = self._heads.spare(camera)
        self._heads.preset(camera, me, "set", number)

        async def called() -> None:
            self._heads.preset(camera, me, "call", number)
            await self._arrive(camera)
            self._heads.preset(camera, me, "clear", number)

        return called

    async def _arrive(self, camera: str) -> None:
        """Wait until it stands where it was sent."""
        began_s = steady_s = self._clock.monotonic_s()
        before: Position | None = None
        while True:
            await self._clock.sleep(LOOK_S)
            now_s = self._clock.monotonic_s()
            position = self._heads.hand(camera).position
            if position is None:
                if now_s - began_s >= TRAVEL_S:
                    return
                continue
            if position != before:
                before, steady_s = position, now_s
            if now_s - steady_s >= STEADY_S or now_s - began_s >= TRAVEL_MAX_S:
                return

    async def _picture(self, camera: str) -> Grey:
        """Take a picture of now, with the head at rest."""
        since_us = self._clock.wall_us() + round(SETTLE_S * 1e6)
        end_s = self._clock.monotonic_s() + PICTURE_S
        while self._clock.monotonic_s() < end_s:
            luma, at_us = await self._look(camera)
            if at_us >= since_us:
                return luma
            await self._clock.sleep(LOOK_S)
        raise Unavailable("snapshot.none", "no picture came of it", camera=camera)

    # How well presets are found again.

    async def _presets(self, camera: str, me: Operator) -> None:
        numbers = [one.number for one in self._heads.status(camera).presets]
        for n, number in enumerate(numbers):
            self._step(camera, n, len(numbers))
            found = await self._preset(camera, me, number)
            others = [one for one in self._book.of(camera).accuracy if one.number in numbers]
            kept = [one for one in others if one.number != number]
            self._book.change(camera, accuracy=(*kept, found))

    async def _preset(self, camera: str, me: Operator, number: int) -> Accuracy:
        async def go() -> Grey:
            self._heads.preset(camera, me, "call", number)
            await self._arrive(camera)
            return await self._picture(camera)

        there = await go()
        sees_deg = self._sees_deg(camera)
        away, shifts = None, []
        for way in (1.0, -1.0):
            speed, for_s = AWAY
            await self._aimer.drive(camera, me, [Leg(way * speed, 0.0, 0.0, for_s)])
            if away is None:
                away = await self._picture(camera)
                moved = await self._compare(there, away, away)
                if moved is not None and hypot(moved.x, moved.y) < _UNMOVED:
                    return Accuracy(number, self._clock.wall_us(), said="unmoved")
            back = await go()
            shifts.append(await self._compare(there, back, away, zoomed=True))
        now_us = self._clock.wall_us()
        known = [one for one in shifts if one is not None]
        if len(known) < len(shifts):
            return Accuracy(number, now_us, said="unseen")
        tall = there.height / there.width
        worst = max(known, key=lambda one: hypot(one.x, one.y * tall))
        off = hypot(worst.x, worst.y * tall)
        zoom = max((one.scale for one in known), key=lambda scale: abs(log(scale)))
        return Accuracy(
            number,
            now_us,
            round(100 * off, 2),
            round(degrees(atan(2 * off * tan(radians(sees_deg / 2)))), 3) if sees_deg else None,
            round(100 * (zoom - 1), 1),
        )

    def _sees_deg(self, camera: str) -> float | None:
        reach = self._heads.reach(camera)
        angles = self._book.of(camera).sight.angles or reach.angles
        return angle_deg(angles, reach.position.zoom) if angles and reach.position else None

    # What it sees, and how fast it turns.

    async def _sight(self, camera: str, me: Operator) -> None:
        reach = self._heads.reach(camera)
        sight = self._book.of(camera).sight
        if reach.points and reach.position is not None:
            sight = replace(sight, angles=await self._angles(camera, me, reach.position))
        else:
            self._step(camera, 0, 3)
            pan = await self._rate(camera, me, Leg(SPEED, 0.0, 0.0, 0.0), lambda it: it.x)
            self._step(camera, 1, 3)
            tilt = await self._rate(camera, me, Leg(0.0, -SPEED, 0.0, 0.0), lambda it: it.y)
            self._step(camera, 2, 3)
            zoom = await self._rate(camera, me, Leg(0.0, 0.0, 1.0, 0.0), lambda it: log(it.scale))
            sight = replace(sight, pan=pan, tilt=tilt, zoom=zoom)
        self._book.change(camera, sight=replace(sight, at_us=self._clock.wall_us()))
        self._heads.refresh(camera)

    async def _angles(self, camera: str, me: Operator, at: Position) -> Angles:
        tilt_deg = max(at.tilt_deg, -30.0)  # looking down, a turn is little but a twist
        found: list[tuple[float, float]] = []
        sees_deg = 60.0
        for n, zoom in enumerate(ZOOMS):
            self._step(camera, n, len(ZOOMS))
            one = await self._seen_from(camera, me, Position(at.pan_deg, tilt_deg, zoom))
            turn_deg = _STEP * sees_deg / cos(radians(tilt_deg))
            to = Position((at.pan_deg + turn_deg) % 360, tilt_deg, zoom)
            other = await self._seen_from(camera, me, to)
            angle = await self._angle(one, other)
            if angle is not None and (not found or found[-1][1] * 0.35 < angle < found[-1][1]):
                found.append((zoom, round(angle, 3)))
                sees_deg = angle
        if len(found) < 2:
            raise _unseen(camera)
        return tuple(found)

    async def _angle(
        self, one: tuple[Position, Grey], other: tuple[Position, Grey]
    ) -> float | None:
        """Horizontal angle in degrees, of how far a known turn moves the picture."""
        (here, before), (there, after) = one, other
        found = await self._compare(before, after, after)
        turn = radians((there.pan_deg - here.pan_deg + 180) % 360 - 180)
        if found is None or abs(found.x) < _LEAST or not turn:
            return None
        tilt = radians(here.tilt_deg)
        aside, ahead = sin(turn) * cos(tilt), cos(tilt) ** 2 * cos(turn) + sin(tilt) ** 2
        return 2 * degrees(atan(abs(aside / ahead) / (2 * abs(found.x))))

    async def _seen_from(self, camera: str, me: Operator, place: Position) -> tuple[Position, Grey]:
        self._heads.point(camera, me, place)
        await self._arrive(camera)
        picture = await self._picture(camera)
        return self._heads.hand(camera).position or place, picture

    async def _rate(
        self, camera: str, me: Operator, leg: Leg, way: Callable[["Shift"], float]
    ) -> Rate:
        """Move there and back for two times, and see how far each goes."""
        points: list[tuple[float, float]] = []
        for_s, sign = _FIRST_S, 1
        for _ in range(_TRIES):
            before = await self._picture(camera)
            signed = Leg(sign * leg.pan, sign * leg.tilt, sign * leg.zoom, for_s)
            await self._aimer.drive(camera, me, [signed])
            after = await self._picture(camera)
            sign = -sign
            found = await self._compare(before, after, after, zoomed=bool(leg.zoom))
            far = abs(way(found)) if found is not None else None
            if far is None:
                for_s /= 2  # gone too far, or nothing to be seen
            elif far < _LEAST:
                for_s *= 2.5
            else:
                points.append((for_s, far))
                for_s *= 1.8 if far < _MOST / 2 else 0.5
            if len(points) == 2:
                return _fitted(*sorted(points))
        raise _unseen(camera)


def _fitted(one: tuple[float, float], other: tuple[float, float]) -> Rate:
    """The line through two moves: how fast, and what of the time nothing came of."""
    (short_s, near), (long_s, far) = one, other
    per_s = (far - near) / (long_s - short_s)
    if per_s <= 0:
        return Rate(far / long_s)
    return Rate(per_s, min(max(short_s - near / per_s, 0.0), 0.9 * short_s))


def _unseen(camera: str) -> Rejected:
    return Rejected(
        "ptz.unseen",
        "its pictures do not show how far it moved: too dark, or nothing to hold on to",
        camera=camera,
    )
