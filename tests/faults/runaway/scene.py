"""One scenario: what its seed says, what is done, and what the far process saw.

What moves the head is ended in one of the ways of `ENDINGS`, under `CIRCUMSTANCES` that may hold at
the same time. Whoever else has a hand on a stick goes on holding it.
"""

import asyncio
import contextlib
import functools
import random
import signal
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Literal

from nvr.sim.joystick import ABS_X, HandOnJoystick
from tests.faults.runaway.far import DECODER_S, HEADS
from tests.faults.runaway.rig import MAX_ON_S, Page, Rig

ENDINGS = (
    "page_closed", "page_frozen", "network_cut", "process_killed", "process_frozen",
    "stick_unplugged", "adapter_pulled",
)  # fmt: skip
CIRCUMSTANCES = ("two_operators", "tour_running", "bus_flooded", "clock_jumped")
KINDS = (*ENDINGS, *CIRCUMSTANCES)
RESTLESS_S = 0.02
WATCHED_S = 1.8
"""Long enough to see what begins again by itself: a held stick renews every 150 ms."""
LATE_S = 0.5
AWAY_S = (0.3, 1.0, 2.5, None, None)
CLOCK_S = (-86_400 * 40, -3600, -61, 61, 3600, 86_400 * 40)
_PATIENCE_S = 30.0
_PUSHES = 10
_LEFT = "c1"  # the head that is judged


@dataclass(frozen=True, slots=True)
class Scenario:
    """What happens.

    Attributes:
        seed: What it follows from.
        kinds: Its ending, unless that is a STOP, and its circumstances.
        ending: What happens to whoever moves the head, or ``stopped``: another presses STOP.
        others: What the second operator does.
        itself: The tour moves the head in the end, not a person.
        by_stick: A joystick at the box moves it, not a page.
        abruptly: The page goes without a close frame.
        away_s: After so long the adapter is back, None for never.
        dies: The recorder is killed while the adapter is out.
        pan: Speed.
        moving_s: So long the head moves before.
        outputs: What is on.
        clock_s: How far the wall clock is set off.
    """

    seed: int
    kinds: frozenset[str]
    ending: str
    others: Literal["", "takes", "stops", "beside"]
    itself: bool
    by_stick: bool
    abruptly: bool
    away_s: float | None
    dies: bool
    pan: float
    moving_s: float
    outputs: tuple[str, ...]
    clock_s: int

    @property
    def wired(self) -> bool:
        """A wire is left at the end."""
        return self.ending != "adapter_pulled" or self.away_s is not None

    @property
    def ends(self) -> bool:
        """The recorder is killed or frozen."""
        return self.dies or self.ending in {"process_killed", "process_frozen"}


def scenario(seed: int) -> Scenario:
    """Return the scenario of a seed; every kind comes first in its turn."""
    rng = random.Random(seed)
    first = KINDS[seed % len(KINDS)]
    ending = first if first in ENDINGS else rng.choice(ENDINGS)
    held = {one for one in CIRCUMSTANCES if one == first or rng.random() < 0.25}
    others: Literal["", "takes", "stops", "beside"] = ""
    if "two_operators" in held:
        others = rng.choice(("takes", "stops", "beside"))
        if others == "stops" and first in ENDINGS:
            others = "takes"
        elif others == "stops":
            ending = "stopped"
    itself = (
        "tour_running" in held
        and others in {"", "stops"}
        and ending in {"process_killed", "process_frozen", "adapter_pulled", "stopped"}
        and rng.random() < 0.6
    )
    by_stick = ending == "stick_unplugged" or (
        ending in {"process_killed", "process_frozen", "adapter_pulled", "stopped"}
        and not itself
        and rng.random() < 0.25
    )
    away_s = rng.choice(AWAY_S)
    dies = ending == "adapter_pulled" and away_s is None and rng.random() < 0.5
    kinds = held | ({ending} & set(ENDINGS)) | ({"process_killed"} if dies else set())
    return Scenario(
        seed, frozenset(kinds), ending, others, itself, by_stick,
        abruptly=rng.random() < 0.5,
        away_s=away_s,
        dies=dies,
        pan=rng.choice((-1, 1)) * rng.uniform(0.2, 1.0),
        moving_s=rng.uniform(0.35, 1.0),
        outputs=tuple(one for one in ("wiper", "lamp") if rng.random() < 0.6),
        clock_s=rng.choice(CLOCK_S),
    )  # fmt: skip


@dataclass
class Outcome:
    """What was seen; None where it does not apply.

    Attributes:
        scenario: What happened.
        still_s: From the ending, or the adapter's return, until all was still for good.
        relay_s: From the recorder's end until every relay was safe.
        over_s: By how much a relay, or the head's own lamp, was on for longer than it may.
        lamp_s: From the recorder's end or the adapter's return until the head's own lamp was off.
        void: Nothing moved when it was to end, or the far process was away itself, so nothing was
            shown.
        replayed: So often it was void before.
        said: For a person.
        story: What began and ended at the far end, in seconds from the ending.
    """

    scenario: Scenario
    still_s: float | None = None
    relay_s: float | None = None
    over_s: float | None = None
    lamp_s: float | None = None
    void: bool = False
    replayed: int = 0
    said: list[str] = field(default_factory=list)
    story: list[tuple[float, str, bool]] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Story:
    """What began and ended at the far end."""

    changes: list[tuple[float, str, bool]]
    until_s: float

    def at(self, what: str, at_s: float) -> bool:
        """Whether something was so then; all was off at first."""
        before = [is_so for when_s, name, is_so in self.changes if name == what and when_s <= at_s]
        return before[-1] if before else False

    def over_s(
        self, what: str, since_s: float, *, is_so: bool = False, first: bool = False
    ) -> float:
        """After how many seconds something was over for good, or at first; infinity for never."""
        if self.at(what, since_s) == is_so and (first or self.quiet(what, since_s)):
            return 0.0
        times = [
            when_s - since_s
            for when_s, name, so in self.changes
            if name == what and so == is_so and when_s > since_s
        ]
        if not times or (not first and self.at(what, self.until_s) != is_so):
            return float("inf")
        return times[0] if first else times[-1]

    def quiet(self, what: str, since_s: float) -> bool:
        """Whether nothing changed since."""
        return not any(name == what and when_s > since_s for when_s, name, _ in self.changes)

    def longest_s(self, what: str) -> float:
        """Return how long something was on at most."""
        longest_s, on_s = 0.0, None
        for when_s, name, is_so in [*self.changes, (self.until_s, what, False)]:
            if name == what and is_so and on_s is None:
                on_s = when_s
            elif name == what and not is_so and on_s is not None:
                longest_s, on_s = max(longest_s, when_s - on_s), None
        return longest_s


class Play:
    """A scenario being played on a rig."""

    def __init__(self, it: Scenario, rig: Rig) -> None:
        self._it = it
        self._rig = rig
        self._rng = random.Random(it.seed)
        self._pages: list[Page] = []
        self._stick: HandOnJoystick | None = None
        self._flooding: asyncio.Task[None] | None = None
        self._ended_s = self._from_s = self._thawed_s = 0.0

    async def run(self) -> Outcome:
        """Play it and say what came of it; afterwards the rig is as before."""
        began_s = time.monotonic()
        try:
            await self._set_out()
            await self._end()
            await self._watch()
            answer = await self._rig.far.ask("changed", since_s=began_s)
            until_s = self._thawed_s or time.monotonic()
            outcome = self._judge(Story([tuple(one) for one in answer["changes"]], until_s))
            outcome.story = [
                (at_s - self._ended_s, what, is_so) for at_s, what, is_so in answer["changes"]
            ]
            if answer["away_s"]:
                outcome.void = True
                outcome.said.append(f"the far process was away for {answer['away_s']:.2f} s")
            for page in self._pages:
                outcome.said += [str(one) for one in page.refused[:1]]
            return outcome
        finally:
            await self._tidy()

    async def _page(self, person: str = "admin") -> Page:
        page = await self._rig.page(person)
        self._pages.append(page)
        return page

    async def _set_out(self) -> None:
        it = self._it
        self._hand = await self._page(
            "operator" if it.others else self._rng.choice(("admin", "operator"))
        )
        self._other = await self._page()
        if "bus_flooded" in it.kinds:
            self._flooding = asyncio.create_task(self._flood(await self._page()))
            await self._rig.far.ask("babble", on=True)
        if "tour_running" in it.kinds:
            await self._other.say("run", cam=_LEFT, what="tour round")
            await self._until(lambda now: now.get("head 1", False))
        if it.by_stick:
            self._stick = await self._rig.joystick(f"stick{it.seed}")
        if not it.itself and (it.others == "takes" or not it.by_stick):
            await self._push(functools.partial(self._hand.move, _LEFT), it.pan)
        if it.others == "takes":
            await asyncio.sleep(0.3)
            if not it.by_stick:
                await self._other.move(_LEFT, -it.pan)
                self._hand, self._other = self._other, self._hand
        if self._stick is not None:
            await self._push(self._lean, -it.pan)
        if it.others == "beside":
            await self._other.move("c2", it.pan)
        for name in it.outputs:
            await self._hand.say("output", cam=_LEFT, name=name, on=True)
        if "clock_jumped" in it.kinds:
            self._rig.set_clock(it.clock_s)
        await asyncio.sleep(it.moving_s)

    async def _lean(self, pan: float) -> None:
        assert self._stick is not None
        self._stick.move({ABS_X: pan})

    async def _push(self, move: Callable[[float], Awaitable[None]], pan: float) -> None:
        """Move, and let go and try again as people do where it was stopped before it began.

        A recorder that was too busy for as long as a lease wants it to be let go first.
        """
        for again in range(_PUSHES):
            await move(pan)
            try:
                await self._until(lambda now: now.get("head 1", False), _PATIENCE_S / _PUSHES)
            except TimeoutError:
                if again + 1 == _PUSHES:
                    raise
                await move(0.0)
                await asyncio.sleep(0.5)
            else:
                return

    async def _flood(self, page: Page) -> None:
        """Restless sticks and presets on the other heads, more than the line carries."""
        while True:
            camera = f"c{self._rng.randint(3, HEADS)}"
            if self._rng.random() < 0.1:
                await page.say("preset", cam=camera, do="call", number=self._rng.choice((1, 2)))
            else:
                await page.move(camera, self._rng.choice((0, -1, 1)) * self._rng.random())
            await asyncio.sleep(RESTLESS_S)

    async def _end(self) -> None:
        it, rig = self._it, self._rig
        self._ended_s = self._from_s = time.monotonic()
        if it.ending == "page_closed":
            await self._hand.close(abruptly=it.abruptly)
        elif it.ending == "page_frozen":
            self._hand.freeze()
        elif it.ending == "network_cut":
            self._hand.cable.cut()
        elif it.ending == "stick_unplugged":
            self._pull_stick()
        elif it.ending == "stopped":
            await self._other.say("stop", cam=_LEFT)
        elif it.ending == "process_killed":
            rig.signal(signal.SIGKILL)
        elif it.ending == "process_frozen":
            rig.signal(signal.SIGSTOP)
        elif it.ending == "adapter_pulled":
            await rig.far.ask("pull")

    def _pull_stick(self) -> None:
        if self._stick is not None:
            self._stick.pull()
            self._stick = None

    async def _watch(self) -> None:
        it, rig = self._it, self._rig
        if it.dies:
            await asyncio.sleep(0.2)
            self._ended_s = time.monotonic()
            rig.signal(signal.SIGKILL)
        if not it.wired:
            await asyncio.sleep(self._from_s + DECODER_S + WATCHED_S - time.monotonic())
            return
        if it.away_s is not None and it.ending == "adapter_pulled":
            await asyncio.sleep(it.away_s)
            self._from_s = time.monotonic()
            await rig.far.ask("plug")
        await asyncio.sleep(max(WATCHED_S, MAX_ON_S + 2 * LATE_S))
        if it.ending == "process_frozen":
            if it.itself:
                self._thawed_s = time.monotonic()  # a tour goes on with its next step
            rig.signal(signal.SIGCONT)
            await asyncio.sleep(WATCHED_S / 2)

    def _judge(self, story: Story) -> Outcome:
        it = self._it
        outcome = Outcome(it)
        outcome.void = not story.at("head 1", self._ended_s if not it.dies else self._from_s - 0.01)
        heads = [1]
        if it.ends and not it.dies:
            heads = list(range(1, HEADS + 1))
        if "bus_flooded" in it.kinds and it.ending == "process_frozen":
            # Thawed, the flood goes on where it may; only what the guard did is judged of it.
            heads = [1]
        outcome.still_s = max(
            story.over_s(f"head {number}", self._from_s, first=it.itself) for number in heads
        )
        if it.ends:
            outcome.relay_s = max(
                story.over_s("relay wiper", self._ended_s, first=True),
                story.over_s("relay light", self._ended_s, is_so=True, first=True),
            )
        longest_s = story.longest_s("relay wiper")
        if it.wired and (it.ends or it.ending == "adapter_pulled"):
            outcome.lamp_s = story.over_s("lamp 1", self._from_s)
        elif it.wired:
            longest_s = max(longest_s, story.longest_s("lamp 1"))
        outcome.over_s = max(0.0, longest_s - MAX_ON_S)
        return outcome

    async def _tidy(self) -> None:
        rig = self._rig
        if self._flooding is not None:
            self._flooding.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._flooding
        self._pull_stick()
        for page in self._pages:
            await page.close()
        await rig.far.ask("babble", on=False)
        await rig.far.ask("plug")
        if "clock_jumped" in self._it.kinds:
            rig.set_clock(0)
        if self._it.dies or self._it.ending == "process_killed":
            await rig.again()
        page = await rig.page()
        await page.say("run", cam=_LEFT, what="")
        await page.say("stop_all")
        for name in ("wiper", "lamp"):
            await page.say("output", cam=_LEFT, name=name, on=False)
        await self._until(lambda now: not any(now.values()))
        await page.close()

    async def _until(
        self, met: Callable[[dict[str, bool]], bool], within_s: float = _PATIENCE_S
    ) -> None:
        end_s = time.monotonic() + within_s
        while not met(now := await self._rig.far.now()):
            if time.monotonic() > end_s:
                raise TimeoutError(f"seed {self._it.seed}: {now}")
            await asyncio.sleep(0.02)
