"""The one task that does what heads do by themselves. See `nvr.media.program.Programs`."""

import asyncio
import random
from collections.abc import Callable
from dataclasses import replace

from nvr.base.clock import Clock
from nvr.base.errors import Rejected
from nvr.media.ports import Operator
from nvr.media.program import AutoState, Pattern, Program, fault_of
from nvr.ptz.keep import KeepBook
from nvr.ptz.pilot import Heads, Pilot, Seen
from nvr.ptz.schedule import Motion
from nvr.ptz.taking import Taking

_IDLE_S = 2.0


class Autopilot:
    """All heads. See `Programs`.

    Args:
        heads: Moves them.
        cameras: Returns which there are.
        book: What is kept of them.
        clock: Time source.
        local: Returns weekday and minute of the day here; None while nobody knows, and then nothing
            begins or ends by the week.
        audit: Told ``ptz.program_begun``, ``ptz.program_ended``, ``ptz.home`` and of whom.
        changed: Told of the camera of which what is shown has changed.
        chance: For tours without an order.
    """

    def __init__(
        self,
        heads: Heads,
        cameras: Callable[[], tuple[str, ...]],
        book: KeepBook,
        *,
        clock: Clock,
        local: Callable[[], tuple[int, int] | None],
        audit: Callable[[str, Operator, str, str], None],
        changed: Callable[[str], None] = lambda _: None,
        chance: random.Random | None = None,
    ) -> None:
        self._heads, self._cameras, self._book = heads, cameras, book
        self._clock, self._local = clock, local
        self._audit, self._changed = audit, changed
        self._chance = chance or random.Random()  # noqa: S311 - an order, not a secret
        self._pilots: dict[str, Pilot] = {}
        self._takings: dict[str, Taking] = {}
        self._shown: dict[str, AutoState | None] = {}

    def program(self, camera: str) -> Program:  # noqa: D102 - see Programs
        self._find(camera)
        return self._book.of(camera).program

    def write(self, camera: str, program: Program) -> None:  # noqa: D102 - see Programs
        pilot = self._find(camera)
        if fault := fault_of(program):
            raise Rejected("ptz.program_invalid", fault, camera=camera)
        if program != self._book.of(camera).program:
            self._book.change(camera, program=program)
            pilot.anew()
        self._show(camera)

    def start(self, camera: str, what: str, by: str) -> None:  # noqa: D102 - see Programs
        pilot = self._find(camera)
        if not self._book.of(camera).program.has(what):
            raise Rejected("ptz.unknown_program", f"{what[:48]} is not there", camera=camera)
        self._takings.pop(camera, None)
        pilot.start(what, by)
        self._show(camera)

    def end(self, camera: str, by: str) -> None:  # noqa: D102 - see Programs
        self._find(camera).end(by, self._clock.monotonic_s())
        self._show(camera)

    def guard(self, camera: str, *, on: bool) -> None:
        """See `Programs.guard`."""
        program = self.program(camera)
        self.write(camera, replace(program, guard=replace(program.guard, on=on)))

    def take_down(self, camera: str, who: Operator, name: str, preset: int) -> None:
        """See `Programs.take_down`."""
        self._find(camera)
        fault = fault_of(Program(patterns=(Pattern(name, preset, (), 1.0),)))
        if fault:
            raise Rejected("ptz.program_invalid", fault, camera=camera)
        self._heads.preset(camera, who, "call", preset)
        self.end(camera, who.name)
        self._takings[camera] = Taking(name, preset, who, self._clock.monotonic_s())
        self._show(camera)

    def taken(self, camera: str, who: Operator, *, keep: bool) -> None:
        """See `Programs.taken`."""
        self._find(camera)
        taking = self._takings.pop(camera, None)
        if taking is None:
            raise Rejected("ptz.unknown_program", "no pattern is taken down", camera=camera)
        self._heads.stop(camera, who)
        if keep:
            pattern = taking.pattern(self._clock.monotonic_s())
            if pattern is None:
                raise Rejected("ptz.program_invalid", "nothing was moved", camera=camera)
            program = self._book.of(camera).program
            others = tuple(one for one in program.patterns if one.name != pattern.name)
            self.write(camera, replace(program, patterns=(*others, pattern)))
        self._show(camera)

    def seen(self, camera: str, who: Operator, what: Seen, motion: Motion) -> None:
        """Note what a head was told, by whomever."""
        now_s = self._clock.monotonic_s()
        taking = self._takings.get(camera)
        if taking is not None and not taking.seen(who, what, motion, now_s):
            del self._takings[camera]  # the head is somebody else's now
        self._find(camera).seen(who, what, now_s)

    def state(self, camera: str) -> AutoState | None:
        """What a head does by itself, for all to see."""
        return self._shown.get(camera)

    async def run(self) -> None:
        """Do what is due, for as long as the box runs."""
        while True:
            wait_s = self.tick()
            await asyncio.sleep(wait_s)

    def tick(self) -> float:
        """Do what is due now; returns after how many seconds to look again."""
        wait_s, local = _IDLE_S, self._local()
        now_s = self._clock.monotonic_s()
        there = self._cameras()
        for camera in [camera for camera in self._pilots if camera not in there]:
            del self._pilots[camera]
            self._takings.pop(camera, None)
        for camera in there:
            pilot = self._find(camera)
            if camera not in self._takings:
                wait_s = min(wait_s, pilot.tick(now_s, local))
            elif self._takings[camera].over(now_s):
                self.taken(camera, self._takings[camera].who, keep=True)
            self._show(camera)
        return max(wait_s, 0.01)

    def _find(self, camera: str) -> Pilot:
        if camera not in self._cameras():
            raise Rejected("ptz.unknown_camera", "this camera has no head", camera=camera)
        if camera not in self._pilots:

            def tell(what: str, name: str, by: str) -> None:
                who = Operator(by or name, "tour", f"auto/{camera}")
                self._audit(_ACTIONS[what], who, camera, name)

            self._pilots[camera] = Pilot(
                camera, self._heads, self._book, self._clock.monotonic_s(), tell, self._chance
            )
        return self._pilots[camera]

    def _show(self, camera: str) -> None:
        pilot, now_s = self._pilots[camera], self._clock.monotonic_s()
        taking = self._takings.get(camera)
        state, until_s = pilot.state, pilot.until_s
        if taking is not None:
            state = AutoState(f"pattern {taking.name}", "recording", 0, taking.preset)
            until_s = taking.ready_s if now_s < taking.ready_s else 0.0
        before = self._shown.get(camera)
        until_us = 0
        if state is not None and until_s > now_s:
            until_us = self._clock.wall_us() + round((until_s - now_s) * 1e6)
            if before is not None and abs(before.until_us - until_us) < _SAME_US:
                until_us = before.until_us
        shown = state and replace(state, until_us=until_us)
        if shown != before:
            self._shown[camera] = shown
            self._changed(camera)


_ACTIONS = {"begun": "ptz.program_begun", "ended": "ptz.program_ended", "home": "ptz.home"}
_SAME_US = 300_000
"""What is shown of a moment to come is not told anew for less."""
