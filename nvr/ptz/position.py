"""Where heads point: whom to ask when, and what their answers mean. Pure decisions.

Nobody is asked while a head on the line is driven: an answer that meets a STOP on a two-wire line
may drown it. A head is asked once its line is quiet after what it was told and, as a preset moves
it by itself, until two rounds agree. What is commanded meanwhile ends the query. Most heads are
deaf-mute: one that does not answer its first queries is left alone from then on. What is asked, and
what the answers are, each dialect says itself: `Asked`.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from math import inf
from typing import Protocol, TypeAlias

from nvr.media.ports import Position

QUIET_S = 0.25
"""Nothing is asked so soon after a command: whoever turns a stick sends several a second."""
FOLLOW_S = 0.5
FOLLOW_MAX_S = 20.0
"""No preset is further away; some heads' answers never come to rest."""
RETRY_S = 1.0
TRIES = 3
REPLY_S = 0.1
"""Time for a head to begin its answer, on top of what the frames take on the wire."""

Feed: TypeAlias = Callable[[bytes], tuple[int, ...] | None]
"""Takes bytes as they come, without echo; the numbers of the answer once they completed one."""


class Asked(Protocol):
    """How a head is asked where it points, in one round of queries."""

    @property
    def queries(self) -> Sequence[bytes]:
        """The frames of a round, in their order."""
        ...

    def answer(self, step: int) -> Feed:
        """Return what finds the answer to a query that goes out now.

        Args:
            step: Its index in `queries`.
        """
        ...

    def position(self, values: Sequence[tuple[int, ...]]) -> Position:
        """Return what the answers of a round mean."""
        ...


@dataclass(slots=True)
class _Head:
    asked: Asked
    due_s: float = inf
    told_s: float = -inf
    values: list[tuple[int, ...]] = field(default_factory=list)  # of the round under way
    misses: int = 0
    answered: bool = False
    mute: bool = False
    position: Position | None = None


@dataclass(slots=True)
class _Query:
    head: str
    feed: Feed
    until_s: float


class Locator:
    """The heads of one line that may be asked; belongs to the thread that owns the line.

    Args:
        frame_s: Time of a frame on the wire.
    """

    def __init__(self, frame_s: float = 0.0) -> None:
        self._reply_s = REPLY_S + 2 * frame_s
        self._heads: dict[str, _Head] = {}
        self._query: _Query | None = None
        self._quiet_s = 0.0

    def add(self, head: str, asked: Asked) -> None:
        """Let `head` be asked."""
        self._heads[head] = _Head(asked)

    def leave(self, head: str) -> None:
        """Forget `head`; no effect if it was not asked."""
        self._heads.pop(head, None)
        if self._query and self._query.head == head:
            self._query = None

    def told(self, head: str, now_s: float) -> None:
        """A command went out to `head`: where it points will change."""
        self._quiet_s = now_s + QUIET_S
        self._query = None  # its answer may have drowned
        it = self._heads.get(head)
        if it is None or it.mute:
            return
        it.values.clear()  # what it answered before belongs to another direction
        it.told_s = now_s
        it.due_s = now_s + QUIET_S

    def lost(self) -> None:
        """The line is gone: nothing is known any more."""
        self._query = None
        for it in self._heads.values():
            it.position, it.due_s, it.misses = None, inf, 0
            it.values.clear()

    def next(self, now_s: float) -> bytes | None:
        """Take the query that goes out now, None if nobody is to be asked."""
        if self._query or now_s < self._quiet_s:
            return None
        due_s, name = min(((it.due_s, name) for name, it in self._heads.items()), default=(inf, ""))
        if now_s < due_s:
            return None
        it = self._heads[name]
        step = len(it.values)
        self._query = _Query(name, it.asked.answer(step), now_s + self._reply_s)
        return it.asked.queries[step]

    def wake_at_s(self) -> float:
        """When `expire` or `next` will have something to do; infinity if never."""
        if self._query:
            return self._query.until_s
        return max(min((it.due_s for it in self._heads.values()), default=inf), self._quiet_s)

    def heard(self, data: bytes, now_s: float) -> bool:
        """Take bytes off the line, without echo; True if they ended the query under way."""
        query = self._query
        values = query.feed(data) if query else None
        if query is None or values is None:
            return False
        self._query = None
        self._answer(query.head, values, now_s)
        return True

    def expire(self, now_s: float) -> str:
        """Give up a query without an answer; names a head that will not be asked again."""
        query = self._query
        if query is None or now_s < query.until_s:
            return ""
        self._query = None
        it = self._heads[query.head]
        it.values.clear()
        it.due_s = now_s + RETRY_S
        it.misses += 1
        if it.misses < TRIES:
            return ""
        it.misses, it.due_s, it.position = 0, inf, None
        it.mute = not it.answered
        return query.head if it.mute else ""

    def positions(self) -> dict[str, Position | None]:
        """Where each head says it points, None if it does not say."""
        return {name: it.position for name, it in self._heads.items()}

    def _answer(self, head: str, values: tuple[int, ...], now_s: float) -> None:
        it = self._heads[head]
        it.answered, it.misses = True, 0
        it.values.append(values)
        if len(it.values) < len(it.asked.queries):
            it.due_s = now_s
            return
        position = it.asked.position(it.values)
        moved = position != it.position and now_s - it.told_s < FOLLOW_MAX_S
        it.position = position
        it.values.clear()
        it.due_s = now_s + FOLLOW_S if moved else inf
