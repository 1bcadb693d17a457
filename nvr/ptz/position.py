"""Where heads point: whom to ask when, and what their answers mean. Pure decisions.

Nobody is asked while a head on the line is driven: an answer that meets a STOP on a two-wire line
may drown it. A head is asked once its line is quiet after what it was told and, as a preset moves
it by itself, until two rounds agree. What is commanded meanwhile ends the query. Most heads are
deaf-mute: one that does not answer its first queries is left alone from then on.

Source: Pelco "D" Protocol Manual TF-0002 (2003): queries 51, 53, 55, answers 59, 5B, 5D.
"""

from dataclasses import dataclass, field
from math import inf
from typing import Literal

from nvr.media.ports import Position
from nvr.wire.pelco_d import Frame, Op, ReplyDecoder

QUIET_S = 0.25
"""Nothing is asked so soon after a command: whoever turns a stick sends several a second."""
FOLLOW_S = 0.5
FOLLOW_MAX_S = 20.0
"""No preset is further away; some heads' answers never come to rest."""
RETRY_S = 1.0
TRIES = 3
REPLY_S = 0.1
"""Time for a head to begin its answer, on top of what the frames take on the wire."""
ZOOM_UNITS = 0xFFFF

_ROUND = ((Op.QUERY_PAN, Op.PAN), (Op.QUERY_TILT, Op.TILT), (Op.QUERY_ZOOM, Op.ZOOM))


@dataclass(frozen=True, slots=True)
class Asked:
    """A head that may be asked.

    Attributes:
        address: Its address.
        tilt_reply: Below the horizon its answer ``falls`` from 360 degrees or ``rises`` from 0.
    """

    address: int
    tilt_reply: Literal["falls", "rises"] = "falls"


@dataclass(slots=True)
class _Head:
    asked: Asked
    due_s: float = inf
    told_s: float = -inf
    values: list[int] = field(default_factory=list)  # of the round under way
    misses: int = 0
    answered: bool = False
    mute: bool = False
    position: Position | None = None


@dataclass(slots=True)
class _Query:
    head: str
    answer: Op
    until_s: float


class Locator:
    """The heads of one line that may be asked; belongs to the thread that owns the line.

    Args:
        frame_s: Time of a frame on the wire.
    """

    def __init__(self, frame_s: float = 0.0) -> None:
        self._reply_s = REPLY_S + 2 * frame_s
        self._heads: dict[str, _Head] = {}
        self._replies = ReplyDecoder()
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

    def next(self, now_s: float) -> Frame | None:
        """Take the query that goes out now, None if nobody is to be asked."""
        if self._query or now_s < self._quiet_s:
            return None
        due_s, name = min(((it.due_s, name) for name, it in self._heads.items()), default=(inf, ""))
        if now_s < due_s:
            return None
        it = self._heads[name]
        op, answer = _ROUND[len(it.values)]
        frame = Frame(it.asked.address, op)
        self._query = _Query(name, answer, now_s + self._reply_s)
        self._replies.sent(frame)
        return frame

    def wake_at_s(self) -> float:
        """When `expire` or `next` will have something to do; infinity if never."""
        if self._query:
            return self._query.until_s
        return max(min((it.due_s for it in self._heads.values()), default=inf), self._quiet_s)

    def heard(self, data: bytes, now_s: float) -> bool:
        """Take bytes off the line, without echo; True if they ended the query under way."""
        for reply in self._replies.feed(data) if self._query else ():
            query = self._query
            if query and isinstance(reply, Frame) and reply.op is query.answer:
                self._query = None
                self._answer(query.head, reply.value, now_s)
                return True
        return False

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

    def _answer(self, head: str, value: int, now_s: float) -> None:
        it = self._heads[head]
        it.answered, it.misses = True, 0
        it.values.append(value)
        if len(it.values) < len(_ROUND):
            it.due_s = now_s
            return
        position = _position(it.asked, *it.values)
        moved = position != it.position and now_s - it.told_s < FOLLOW_MAX_S
        it.position = position
        it.values.clear()
        it.due_s = now_s + FOLLOW_S if moved else inf


def _position(asked: Asked, pan: int, tilt: int, zoom: int) -> Position:
    tilt_deg = (tilt / 100 + 180) % 360 - 180
    if asked.tilt_reply == "rises":
        tilt_deg = -tilt_deg
    return Position(pan / 100 % 360, tilt_deg, zoom / ZOOM_UNITS)
