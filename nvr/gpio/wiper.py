"""Wiper programs: single, intermittent and wash, as steps in time; stopped at any of them.

A wiper on a relay wipes for as long as it is on: so many strokes of so many seconds. The steps are
carried out by `Wipers`; limits are kept by whatever switches, so that a program which dies leaves
nothing on.
"""

import asyncio
import logging
from collections.abc import Callable
from dataclasses import dataclass

from nvr.base.clock import Clock
from nvr.base.errors import NvrError, Rejected
from nvr.base.log import event
from nvr.media.gpio import WipeWish

_log = logging.getLogger(__name__)

STROKES = (1, 20)
EVERY_S = (3.0, 600.0)
WASH_S = (0.5, 15.0)
_REST_S = 0.2
"""At least so long a wiper is off between two wipes."""


@dataclass(frozen=True, slots=True)
class Blade:
    """One wiper.

    Attributes:
        wiper: Switches it.
        washer: Switches what sprays, None if nothing does.
        stroke_s: Seconds of one stroke.
        limit_s: Longest time on.
        washer_limit_s: Of the washer.
        min_off_s: Once off it stays off for so long.
    """

    wiper: Callable[[bool], None]
    washer: Callable[[bool], None] | None = None
    stroke_s: float = 1.5
    limit_s: float = float("inf")
    washer_limit_s: float = float("inf")
    min_off_s: float = 0.0


def check(wish: WipeWish, blade: Blade) -> None:
    """Refuse what `blade` cannot do.

    Raises:
        Rejected: ``gpio.range``, ``gpio.no_washer``.
    """
    on_s = wish.strokes * blade.stroke_s
    if not STROKES[0] <= wish.strokes <= STROKES[1]:
        raise _range(f"strokes are {STROKES[0]} to {STROKES[1]}")
    if on_s > blade.limit_s:
        raise _range(
            f"{wish.strokes} strokes take {on_s:g} s, over its limit of {blade.limit_s:g} s"
        )
    if wish.program == "intermittent":
        if not EVERY_S[0] <= wish.every_s <= EVERY_S[1]:
            raise _range(f"every_s is {EVERY_S[0]:g} to {EVERY_S[1]:g}")
        least_s = on_s + max(_REST_S, blade.min_off_s)
        if wish.every_s < least_s:
            raise _range(f"{wish.strokes} strokes and the rest after them take {least_s:g} s")
    if wish.program == "wash":
        if blade.washer is None:
            raise Rejected("gpio.no_washer", "this wiper has no washer")
        if not WASH_S[0] <= wish.wash_s <= WASH_S[1]:
            raise _range(f"wash_s is {WASH_S[0]:g} to {WASH_S[1]:g}")
        if wish.wash_s > blade.washer_limit_s:
            raise _range(f"the limit of its washer is {blade.washer_limit_s:g} s")


def _range(why: str) -> Rejected:
    return Rejected("gpio.range", why)


class Wiping:
    """One program under way; pure, its times are arguments.

    Args:
        wish: What is wanted, as `check` let it pass.
        stroke_s: Seconds of one stroke.
        now_s: Monotonic seconds of its begin.
    """

    def __init__(self, wish: WipeWish, stroke_s: float, now_s: float) -> None:
        self.program = wish.program
        self._again_s = wish.every_s if wish.program == "intermittent" else None
        self._on_s = wish.strokes * stroke_s
        self._steps: list[tuple[float, str, bool]] = []
        at_s = now_s
        if wish.program == "wash":
            self._steps += [(at_s, "washer", True), (at_s + wish.wash_s, "washer", False)]
            at_s += wish.wash_s
        self._wipe(at_s)

    @property
    def over(self) -> bool:
        """Whether nothing more comes."""
        return not self._steps

    def wake_at_s(self) -> float:
        """When the next step is."""
        return self._steps[0][0] if self._steps else float("inf")

    def due(self, now_s: float) -> list[tuple[str, bool]]:
        """Steps whose time has come: ``wiper`` or ``washer``, and whether on."""
        found: list[tuple[str, bool]] = []
        while self._steps and self._steps[0][0] <= now_s:
            at_s, what, on = self._steps.pop(0)
            found.append((what, on))
            if on and now_s > at_s:  # begun late, it ends as much later
                late_s = now_s - at_s
                self._steps = [(one + late_s, which, to) for one, which, to in self._steps]
            if not self._steps and self._again_s is not None:
                begun_s = at_s - self._on_s
                # Whoever was held up starts afresh: no wipes are made up for.
                self._wipe(max(begun_s + self._again_s, now_s))
                break
        return found

    def _wipe(self, at_s: float) -> None:
        self._steps += [(at_s, "wiper", True), (at_s + self._on_s, "wiper", False)]


class Wipers:
    """Programs of all wipers, by whatever names them.

    Args:
        clock: Time source.
        ended: Told the key and why a program ended: empty if it came to its end, else a code.
    """

    def __init__(self, clock: Clock, ended: Callable[[str, str], None]) -> None:
        self._clock = clock
        self._ended = ended
        self._going: dict[str, tuple[Wiping, Blade]] = {}
        self._changed = asyncio.Event()

    def begin(self, key: str, wish: WipeWish, blade: Blade) -> None:
        """Begin a program, in place of one that goes on; its first step is done at once.

        Raises:
            Rejected: As `check`, or as the switch refuses.
            Unavailable: As the switch.
        """
        check(wish, blade)
        self.stop(key)
        now_s = self._clock.monotonic_s()
        wiping = Wiping(wish, blade.stroke_s, now_s)
        self._step(wiping, blade, now_s)
        self._going[key] = (wiping, blade)
        self._changed.set()

    def stop(self, key: str) -> bool:
        """End a program and switch off what it may have on; returns whether there was one."""
        going = self._going.pop(key, None)
        if going is None:
            return False
        _off(going[1], key)
        return True

    def stop_all(self) -> None:
        """End all of them."""
        for key in list(self._going):
            self.stop(key)

    def going(self, key: str) -> str:
        """Program that goes on, empty if none."""
        found = self._going.get(key)
        return found[0].program if found else ""

    def turn(self, now_s: float) -> float:
        """Do what is due; returns when the next step is."""
        for key, (wiping, blade) in list(self._going.items()):
            why = ""
            try:
                self._step(wiping, blade, now_s)
            except NvrError as err:
                why = err.code
                _off(blade, key)
            if why or wiping.over:
                self._going.pop(key, None)
                self._ended(key, why)
        return min((one.wake_at_s() for one, _ in self._going.values()), default=float("inf"))

    async def run(self) -> None:
        """Carry programs out until cancelled; then end all."""
        try:
            while True:
                now_s = self._clock.monotonic_s()
                wake_s = self.turn(now_s)
                self._changed.clear()
                if wake_s == float("inf"):
                    await self._changed.wait()
                else:
                    await self._clock.sleep(max(0.01, min(0.5, wake_s - now_s)))
        finally:
            self.stop_all()

    @staticmethod
    def _step(wiping: Wiping, blade: Blade, now_s: float) -> None:
        for what, on in wiping.due(now_s):
            switch = blade.washer if what == "washer" else blade.wiper
            assert switch is not None
            switch(on)


def _off(blade: Blade, key: str) -> None:
    for switch in (blade.wiper, blade.washer):
        if switch is None:
            continue
        try:
            switch(False)
        except NvrError as err:
            event(_log, logging.WARNING, "gpio.wiper_not_off", wiper=key, error=str(err))
