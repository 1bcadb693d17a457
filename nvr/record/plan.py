"""When a stream is recorded: always, when something happens, or not at all, hour by hour.

Between the ingest thread and the writer stands a `Gate`. In the hours in which only events count it
keeps the last seconds in memory, from a key frame on; an event lets them through, and all that
follows until some seconds after it. What comes first after something was left out says so, and
begins with a key frame.
"""

import threading
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Literal, get_args

from nvr.base.clock import TICKS_PER_S, Clock
from nvr.base.errors import Rejected
from nvr.media.part import Part

Mode = Literal["continuous", "event", "off"]
MODES: tuple[Mode, ...] = get_args(Mode)
DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
DAY_MIN = 24 * 60
_LATE_S = 1.0
"""A part comes when it has ended."""
MOST_WAITING_BYTES = 16 << 20
"""What is kept of one stream for an event to come; less than `pre_s` at a very high bit rate."""


@dataclass(frozen=True, slots=True)
class Segment:
    """A stretch of a day.

    Attributes:
        from_min: Minute of the day at which it begins.
        to_min: Minute after its last, at most 1440.
        mode: How is recorded then.
    """

    from_min: int
    to_min: int
    mode: Mode


@dataclass(frozen=True, slots=True)
class Plan:
    """When a camera is recorded.

    Attributes:
        mode: How is recorded outside of all segments.
        week: The segments of Monday to Sunday.
        pre_s: Seconds before an event that are recorded with it.
        post_s: Seconds after it.
    """

    mode: Mode = "continuous"
    week: tuple[tuple[Segment, ...], ...] = ((),) * 7
    pre_s: float = 5.0
    post_s: float = 30.0

    def at(self, weekday: int, minute: int) -> Mode:
        """Return how is recorded on a weekday, Monday being 0, at a minute of the day."""
        for segment in self.week[weekday]:
            if segment.from_min <= minute < segment.to_min:
                return segment.mode
        return self.mode

    @property
    def by_the_clock(self) -> bool:
        """Whether the time of day matters."""
        return any(self.week)


ALWAYS = Plan()
PlanOf = Callable[[str], Plan]
"""The plan of a stream, ``camera/main``."""


class _Flow:
    """One stream at the gate."""

    def __init__(self) -> None:
        self.waiting: deque[Part] = deque()
        self.waiting_bytes = 0
        self.left_out = False  # something was not recorded since the last part that was
        self.until_s = -1e9  # an event lasts till then

    def let(self, part: Part) -> Part | None:
        """Return `part` to be recorded; None while it hangs on something that was left out."""
        if not self.left_out:
            return part
        if not part.key:
            return None
        self.left_out = False
        return replace(part, skipped=True)

    def hold(self, part: Part, pre_s: float) -> None:
        """Keep a part for an event to come, and no more than is wanted."""
        if self.left_out and not self.waiting and not part.key:
            return
        self.waiting.append(part)
        self.waiting_bytes += _size(part)
        while self.waiting:
            follows = next((n for n, one in enumerate(self.waiting) if n and one.key), 0)
            enough = follows and self._span_s(follows) >= pre_s
            if not enough and self.waiting_bytes <= MOST_WAITING_BYTES:
                return
            for _ in range(follows or len(self.waiting)):
                self.waiting_bytes -= _size(self.waiting.popleft())
            self.left_out = True

    def _span_s(self, first: int) -> float:
        last, begun = self.waiting[-1], self.waiting[first]
        return (last.start_90k + last.duration_90k - begun.start_90k) / TICKS_PER_S

    def release(self) -> list[Part]:
        """Return what was kept, to be recorded."""
        parts = [found for part in self.waiting if (found := self.let(part)) is not None]
        self.waiting.clear()
        self.waiting_bytes = 0
        return parts

    def drop(self) -> None:
        """Leave out what was kept."""
        self.waiting.clear()
        self.waiting_bytes = 0
        self.left_out = True


def _size(part: Part) -> int:
    return len(part.moof) + len(part.mdat)


class Gate:
    """Lets parts through as the plans say. Safe for several threads.

    Args:
        sink: Takes what is to be recorded.
        plan_of: The plan of a stream; asked anew each time.
        clock: Time source.
        local: Returns weekday and minute of the day here; None while the clock is not set, and
            then plans that go by the clock are not followed: all is recorded.
    """

    def __init__(
        self,
        sink: Callable[[list[Part]], None],
        plan_of: PlanOf,
        clock: Clock,
        local: Callable[[], tuple[int, int] | None],
    ) -> None:
        self._sink = sink
        self._plan_of = plan_of
        self._clock = clock
        self._local = local
        self._guard = threading.Lock()
        self._flows: dict[str, _Flow] = {}

    def submit(self, parts: Sequence[Part]) -> None:
        """Take parts. See `nvr.media.ports.PartSink`."""
        through: list[Part] = []
        with self._guard:
            for part in parts:
                through += self._pass(part)
            if through:
                self._sink(through)

    def _pass(self, part: Part) -> list[Part]:
        plan = self._plan_of(part.stream)
        flow = self._flows.get(part.stream)
        if flow is None:
            if plan is ALWAYS:
                return [part]
            flow = self._flows[part.stream] = _Flow()
        if self._wanted(plan, flow):
            parts = flow.release()
            now = flow.let(part)
            return parts if now is None else [*parts, now]
        if self._mode(plan) == "event":
            flow.hold(part, plan.pre_s)
        else:
            flow.drop()
        return []

    def _wanted(self, plan: Plan, flow: _Flow | None) -> bool:
        mode = self._mode(plan)
        if mode != "event":
            return mode == "continuous"
        return flow is not None and self._clock.monotonic_s() < flow.until_s

    def _mode(self, plan: Plan) -> Mode:
        if not plan.by_the_clock:
            return plan.mode
        local = self._local()
        return "continuous" if local is None else plan.at(*local)

    def forget(self, stream: str) -> None:
        """Let go of what is kept of a stream that comes no more."""
        with self._guard:
            self._flows.pop(stream, None)

    def wanted(self, stream: str) -> bool:
        """Whether a stream is to be recorded now."""
        with self._guard:
            return self._wanted(self._plan_of(stream), self._flows.get(stream))

    def event(self, stream: str, post_s: float | None = None) -> float:
        """Something happens: record what was just before it, and what comes.

        Args:
            stream: Where.
            post_s: Seconds to go on for; None for what the plan says. Never shorter than what an
                earlier event asked for.

        Returns:
            Monotonic seconds until which is recorded, if nothing else happens.

        Raises:
            Rejected: ``plan.off``: it is not to be recorded now, whatever happens.
        """
        with self._guard:
            plan, flow = self._plan_of(stream), self._flows.setdefault(stream, _Flow())
            if self._mode(plan) == "off":
                raise Rejected("plan.off", "by its plan it is not recorded now", stream=stream)
            until_s = self._clock.monotonic_s() + (plan.post_s if post_s is None else post_s)
            flow.until_s = max(flow.until_s, until_s + _LATE_S)
            if self._wanted(plan, flow) and (parts := flow.release()):
                self._sink(parts)  # in here, or what comes next could overtake it
            return flow.until_s - _LATE_S
