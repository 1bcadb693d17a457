"""What one head does by itself, as everybody's last in line: the guard position, and what runs.

Whoever has the head pauses what runs; it goes on `Program.resume_s` after a person's last command,
and the head returns to its guard position `Guard.idle_s` after that. A STOP ends what runs: it does
not begin again by itself before the week says something new. Time is an argument.
"""

import logging
import random
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, Protocol

from nvr.base.errors import NvrError, Rejected
from nvr.base.log import event
from nvr.media.ports import Operator, Position
from nvr.media.program import AUTOMATIC, AutoState
from nvr.media.week import at
from nvr.ptz.course import Course, Do, Go, Stay, Turn, course_of
from nvr.ptz.keep import KeepBook, Kept

_log = logging.getLogger(__name__)

TRAVEL_S = 4.0
"""A head that does not say where it points is given so long to a preset."""
TRAVEL_MAX_S = 20.0
STEADY_S = 2.0
"""It has come when it says the same for so long."""
RENEW_S = 0.2
LEASE_S = 0.7
RETRY_S = 5.0
SKIP_S = 10.0
LOOK_S = 0.5

Seen = Literal["move", "call", "stop", "take"]


@dataclass(frozen=True, slots=True)
class Hand:
    """Who has a head, as far as a pilot must know."""

    holder: Operator | None
    locked: bool
    position: Position | None


class Heads(Protocol):
    """What a pilot asks of the heads. `nvr.media.ports.Ptz` says more of each."""

    def hand(self, camera: str) -> Hand:
        """Who has it."""
        ...

    def move(
        self, camera: str, who: Operator, pan: float, tilt: float, zoom: float, lease_s: float = 0.5
    ) -> None:
        """Move; all zero is neutral."""
        ...

    def preset(
        self,
        camera: str,
        who: Operator,
        do: Literal["call", "set", "clear"],
        number: int,
        name: str = "",
    ) -> None:
        """Go to a preset."""
        ...

    def stop(self, camera: str, who: Operator) -> None:
        """Stop it."""
        ...

    def release(self, camera: str, who: Operator) -> None:
        """Give it up."""
        ...


class Pilot:
    """One head.

    Args:
        camera: Its name.
        heads: What moves it.
        book: What it is to do, kept.
        now_s: When it was switched on, as far as is known.
        tell: Told what begins and ends: ``begun``, ``ended``, ``home``, with what and who.
        chance: For tours without an order.
    """

    def __init__(
        self,
        camera: str,
        heads: Heads,
        book: KeepBook,
        now_s: float,
        tell: Callable[[str, str, str], None],
        chance: random.Random,
    ) -> None:
        self._camera, self._heads, self._book = camera, heads, book
        self._tell, self._chance = tell, chance
        self._human_s = now_s
        self._away = True
        self._me = Operator("home", "guard", f"auto/{camera}")
        self._what = ""  # whose course it is
        self._course: Course | None = None
        self._since_go: list[Do] = []
        self._once_more: list[Do] = []
        self._do: Do | None = None
        self._fresh = False  # a person began it, and nobody touched the head since
        self._began_s = self._end_s = 0.0
        self._turning = False
        self._again_s = 0.0
        self._steady: tuple[Position | None, float] = (None, 0.0)
        self.state: AutoState | None = None
        self.until_s = 0.0

    @property
    def preset(self) -> int:
        """Where it is, or is on its way to; 0 for nowhere."""
        return next((do.preset for do in self._since_go if isinstance(do, Go)), 0)

    def seen(self, who: Operator, what: Seen, now_s: float) -> None:
        """Note what a head was told, by whomever."""
        if who.source == self._me.source:
            return
        if what == "stop":
            self._drop()
            self._end(who.name)
        if what != "take":
            self._away = True
            self._turning = False
            self._interrupt()
        if who.role not in AUTOMATIC:
            self._human_s, self._fresh = now_s, False

    def start(self, what: str, by: str) -> None:
        """Run something from now on; by nobody means by the week."""
        self._halt()
        self._fresh = bool(by)
        self._tell("begun", what, by)
        self._book.change(self._camera, running=what, by=by)

    def end(self, by: str, now_s: float) -> None:
        """Run nothing any more; what moves is stopped."""
        self._halt()
        self._human_s = now_s
        self._end(by)

    def anew(self) -> None:
        """Begin anew: the program is another."""
        self._halt()

    def _end(self, by: str) -> None:
        running = self._book.of(self._camera).running
        if running:
            self._book.change(self._camera, running="", by="")
            self._tell("ended", running, by)

    def _halt(self) -> None:
        if isinstance(self._do, Go | Turn):
            self._heads.stop(self._camera, self._me)
        self._drop()

    def tick(self, now_s: float, local: tuple[int, int] | None) -> float:
        """Do what is due; returns after how many seconds to look again."""
        self._follow(local)
        kept = self._book.of(self._camera)
        what = kept.running or ("home" if self._returns(now_s) else "")
        if what != self._what:
            self._become(what)
        if not what:
            return self._rest(now_s)
        return self._pilot(now_s, kept)

    def _pilot(self, now_s: float, kept: Kept) -> float:
        hand = self._heads.hand(self._camera)
        waits = kept.running and not self._fresh
        free_s = self._human_s + kept.program.resume_s if waits else 0.0
        if hand.locked:
            return self._pause("waiting", 0.0)
        if hand.holder is not None and hand.holder != self._me:
            return self._pause("paused", 0.0 if free_s < now_s else free_s)
        if now_s < max(free_s, self._again_s):
            return self._pause("paused" if now_s < free_s else "waiting", free_s)
        try:
            return self._run(now_s, hand.position)
        except Rejected as err:
            return self._refused(err, now_s)
        except NvrError:
            return self._later(now_s, RETRY_S)

    def _become(self, what: str) -> None:
        self._quiet()
        self._drop()
        self._heads.release(self._camera, self._me)
        kept = self._book.of(self._camera)
        role = "guard" if not kept.running else "tour" if kept.by else "schedule"
        self._me = Operator(what or "home", role, self._me.source)
        self._what = what

    def _returns(self, now_s: float) -> bool:
        guard = self._book.of(self._camera).program.guard
        due = self._away and now_s >= self._human_s + guard.idle_s
        return guard.on and guard.preset > 0 and due

    def _rest(self, now_s: float) -> float:
        guard = self._book.of(self._camera).program.guard
        self.state, self.until_s = None, 0.0
        if guard.preset and (self._away or not guard.on):
            waits = guard.on and self._away
            self.state = AutoState("home", "waiting" if waits else "paused", 0, guard.preset)
            self.until_s = self._human_s + guard.idle_s if waits else 0.0
        return LOOK_S if self.until_s <= now_s else min(LOOK_S, self.until_s - now_s)

    def _follow(self, local: tuple[int, int] | None) -> None:
        """Begin or end what the week says, when it says something new."""
        kept = self._book.of(self._camera)
        if local is None or (not any(kept.program.week) and not kept.week):
            return
        says = at(kept.program.week, *local)
        if says == (kept.week or ""):
            return
        self._book.change(self._camera, week=says)
        if says:
            self.start(says, "")
        elif not kept.by:
            self._halt()
            self._end("")

    def _run(self, now_s: float, position: Position | None) -> float:
        kept = self._book.of(self._camera)
        if self._course is None:
            self._course = course_of(kept.program, self._what, self._where, self._chance)
            if self._course is None:
                self._end("")
                return LOOK_S
            self._heads.move(self._camera, self._me, 0.0, 0.0, 0.0)
        while True:
            if self._do is None:
                do = self._once_more.pop(0) if self._once_more else next(self._course, None)
                if do is None:
                    return self._finished(now_s)
                self._begin(do, now_s)
            left_s = self._left(now_s, position)
            if left_s > 0:
                self._shown("running")
                return left_s
            self._do = None

    def _where(self) -> Position | None:
        return self._heads.hand(self._camera).position

    def _begin(self, do: Do, now_s: float) -> None:
        if isinstance(do, Go):
            self._since_go = []
            self._heads.preset(self._camera, self._me, "call", do.preset)
            self._turning = False
            self._steady = (None, now_s)
        else:
            if isinstance(do, Stay):
                self._quiet()
            # From where the last one was to end, or what is late would add up over a lap.
            on_time = 0 <= now_s - self._end_s < LOOK_S
            self._end_s = (self._end_s if on_time else now_s) + do.for_s
            self._turning = isinstance(do, Turn)
        self._do, self._began_s = do, now_s
        self._since_go.append(do)

    def _left(self, now_s: float, position: Position | None) -> float:
        do = self._do
        if isinstance(do, Go):
            self._end_s = now_s
            return 0.0 if self._arrived(now_s, position) else LOOK_S
        left_s = self._end_s - now_s
        if isinstance(do, Turn) and left_s > 0:
            self._heads.move(self._camera, self._me, do.pan, do.tilt, do.zoom, LEASE_S)
            return min(left_s, RENEW_S)
        return min(left_s, LOOK_S)

    def _arrived(self, now_s: float, position: Position | None) -> bool:
        since_s = now_s - self._began_s
        if position is None:
            return since_s >= TRAVEL_S
        if position != self._steady[0]:
            self._steady = (position, now_s)
        return now_s - self._steady[1] >= STEADY_S or since_s >= TRAVEL_MAX_S

    def _finished(self, now_s: float) -> float:
        """A position was reached, and nothing more is to be done there."""
        self._quiet()
        if self._what == "home" and not self._book.of(self._camera).running:
            self._away = False
            self._tell("home", self._what, "")
            self._drop()
            self._what = ""
            return self._rest(now_s)
        self._course = iter(())  # it stays there
        self._shown("running")
        return LOOK_S

    def _refused(self, err: Rejected, now_s: float) -> float:
        if err.code in {"ptz.held", "ptz.taken", "ptz.locked"}:
            return self._pause("paused", 0.0)
        if err.code in {"ptz.rearm", "ptz.busy"}:
            self._heads.move(self._camera, self._me, 0.0, 0.0, 0.0)
            return self._later(now_s, LOOK_S)
        event(
            _log, logging.WARNING, "ptz.program_refused",
            camera=self._camera, what=self._what, error=str(err),
        )  # fmt: skip
        if self._what.startswith("tour "):
            self._do, self._end_s = Stay(SKIP_S), now_s + SKIP_S  # the next position, then
            return LOOK_S
        self._end("")
        self._drop()
        self._away = False
        return LOOK_S

    def _later(self, now_s: float, wait_s: float) -> float:
        self._again_s = now_s + wait_s
        return self._pause("waiting", 0.0)

    def _pause(self, state: Literal["paused", "waiting"], until_s: float) -> float:
        """Let go of the head; a tour goes on where it was, what else runs begins anew."""
        self._quiet()
        self._interrupt()
        self._shown(state, until_s)
        return LOOK_S

    def _interrupt(self) -> None:
        if not self._what.startswith("tour "):
            self._drop()
        elif self._do is not None:
            self._once_more = [*self._since_go, *self._once_more]
            self._do, self._since_go = None, []

    def _quiet(self) -> None:
        if self._turning:
            self._turning = False
            self._heads.move(self._camera, self._me, 0.0, 0.0, 0.0)

    def _drop(self) -> None:
        self._course, self._do, self._turning = None, None, False
        self._since_go, self._once_more = [], []

    def _shown(self, state: Literal["running", "paused", "waiting"], until_s: float = 0.0) -> None:
        by = self._book.of(self._camera).by
        self.state, self.until_s = AutoState(self._what, state, 0, self.preset, by), until_s
