"""SIP transactions without I/O: what is sent again, what came twice, and what nobody answered.

A request of ours is repeated over UDP after 0.5, 1, 2, 4, 4, ... s and given up after 32 s; over
TCP it is only given up. A request that came twice gets the answer that it got, and nobody sees it
again. A final answer to an INVITE is repeated until its ACK, for at most 32 s. An INVITE of ours is
repeated until somebody says that he heard it; a refusal is acknowledged here, a grant by who asked,
and whenever it comes again.

The shape is that of the other protocols: `receive`, `next_event`, `to_send`, `wake_at`, with the
time as an argument. Where a message goes is whatever its owner calls a peer.

Source: RFC 3261 sections 9, 13.2.2.4, 13.3.1.4, 17.1 and 17.2, tables of timers in annex A.
"""

from collections import OrderedDict, deque
from collections.abc import Hashable
from dataclasses import dataclass
from typing import Final

from nvr.wire.sip import MAGIC, Request, Response, arrived, reply, tag_of

T1_S: Final = 0.5
T2_S: Final = 4.0
GIVEN_UP_S: Final = 64 * T1_S
MOST_SENT: Final = 256
"""Requests of ours that wait for an answer at a time."""
MOST_ANSWERED: Final = 1024
"""Requests of others that are remembered. Beyond them the oldest answered ones are forgotten."""

Peer = tuple[str, int]
Key = Hashable


@dataclass(frozen=True, slots=True)
class Asked:
    """Somebody wants something: it is answered by `Transactions.answer` with this key."""

    key: Key
    request: Request
    peer: Peer


@dataclass(frozen=True, slots=True)
class Answered:
    """A request of ours has its final answer; None if there will be none."""

    branch: str
    response: Response | None


@dataclass(frozen=True, slots=True)
class Acknowledged:
    """The ACK of an INVITE that we granted came."""

    call_id: str


@dataclass(frozen=True, slots=True)
class Unacknowledged:
    """It never came."""

    call_id: str


Event = Asked | Answered | Acknowledged | Unacknowledged


@dataclass(slots=True)
class _Sent:
    """A request of ours."""

    request: Request
    data: bytes
    peer: Peer
    again_s: float | None
    every_s: float
    until_s: float


@dataclass(frozen=True, slots=True)
class _Acknowledged:
    """The ACK of an INVITE of ours: it goes out again whenever the answer comes again."""

    ack: bytes
    peer: Peer
    until_s: float


@dataclass(slots=True)
class _Heard:
    """A request of somebody else."""

    request: Request
    peer: Peer
    until_s: float
    answer: bytes = b""
    status: int = 0
    again_s: float | None = None
    every_s: float = T1_S
    acknowledged: bool = False


class Transactions:
    """All transactions with one peer.

    Args:
        reliable: Nothing is repeated: what carries the messages sees to that.
    """

    def __init__(self, *, reliable: bool) -> None:
        self._reliable = reliable
        self._sent: dict[str, _Sent] = {}
        self._heard: OrderedDict[Key, _Heard] = OrderedDict()
        self._acks: dict[str, _Acknowledged] = {}
        self._events: deque[Event] = deque()
        self._out: deque[tuple[bytes, Peer]] = deque()
        self.repeated = 0
        """Messages of ours that were sent again."""

    def __len__(self) -> int:
        return len(self._sent) + len(self._heard) + len(self._acks)

    @property
    def waiting(self) -> int:
        """Requests of ours without a final answer."""
        return len(self._sent)

    def send(self, request: Request, peer: Peer, now_s: float) -> str:
        """Send a request; returns its branch, under which it is `Answered`.

        Raises:
            OverflowError: `MOST_SENT` wait already.
        """
        if len(self._sent) >= MOST_SENT:
            raise OverflowError(f"{MOST_SENT} requests wait for an answer already")
        via = request.via
        assert via is not None
        data = request.encode()
        again_s = None if self._reliable else now_s + T1_S
        self._sent[via.branch] = _Sent(request, data, peer, again_s, T1_S, now_s + GIVEN_UP_S)
        self._out.append((data, peer))
        return via.branch

    def forget(self, branch: str) -> None:
        """Wait no more for the answer to a request."""
        self._sent.pop(branch, None)

    def acknowledge(self, branch: str, ack: Request, peer: Peer, now_s: float) -> None:
        """Send the ACK of an INVITE of ours; `branch` is the INVITE's."""
        one = _Acknowledged(ack.encode(), peer, now_s + GIVEN_UP_S)
        self._acks[branch] = one
        self._out.append((one.ack, peer))

    def receive(self, message: Request | Response, peer: Peer, now_s: float) -> None:
        """Take a message that has all that each must have (`nvr.wire.sip.fault`)."""
        if isinstance(message, Response):
            self._answered(message, now_s)
        elif message.method == "ACK":
            self._acknowledged(message, now_s)
        else:
            self._asked(message, peer, now_s)

    def answer(self, key: Key, response: Response, now_s: float) -> None:
        """Answer what was `Asked`; ignored once it is forgotten, or has its final answer."""
        one = self._heard.get(key)
        if one is None or one.status >= 200:
            return
        one.answer, one.status = response.encode(), response.status
        self._out.append((one.answer, one.peer))
        if response.status < 200:
            return
        one.until_s = now_s + GIVEN_UP_S
        granted = response.status < 300
        # A grant goes from end to end: it is repeated over TCP too (RFC 3261, 13.3.1.4).
        if one.request.method == "INVITE" and (granted or not self._reliable):
            one.again_s = now_s + T1_S

    def find_invite(self, cancel: Request) -> Asked | None:
        """Return the INVITE that a CANCEL is of."""
        key = _key(cancel, "INVITE")
        one = self._heard.get(key)
        return Asked(key, one.request, one.peer) if one else None

    def next_event(self) -> Event | None:
        """What happened since."""
        return self._events.popleft() if self._events else None

    def to_send(self, now_s: float) -> list[tuple[bytes, Peer]]:
        """What has to go out by now."""
        for branch, one in list(self._sent.items()):
            if now_s >= one.until_s:
                del self._sent[branch]
                self._events.append(Answered(branch, None))
            elif one.again_s is not None and now_s >= one.again_s:
                one.every_s = min(2 * one.every_s, T2_S)
                one.again_s = now_s + one.every_s
                self._repeat(one.data, one.peer)
        for branch, ack in list(self._acks.items()):
            if now_s >= ack.until_s:
                del self._acks[branch]
        for key, heard in list(self._heard.items()):
            if heard.status >= 200 and now_s >= heard.until_s:
                del self._heard[key]
                if heard.again_s is not None and heard.status < 300:
                    self._events.append(Unacknowledged(heard.request.call_id))
            elif heard.again_s is not None and now_s >= heard.again_s:
                heard.every_s = min(2 * heard.every_s, T2_S)
                heard.again_s = now_s + heard.every_s
                self._repeat(heard.answer, heard.peer)
        out = list(self._out)
        self._out.clear()
        return out

    def wake_at(self) -> float | None:
        """When `to_send` has to be asked next, at the latest."""
        times = [min(one.until_s, one.again_s or one.until_s) for one in self._sent.values()]
        times += [one.until_s for one in self._acks.values()]
        times += [
            min(one.until_s, one.again_s or one.until_s)
            for one in self._heard.values()
            if one.status >= 200
        ]
        return min(times, default=None)

    def _repeat(self, data: bytes, peer: Peer) -> None:
        self.repeated += 1
        self._out.append((data, peer))

    def _answered(self, response: Response, now_s: float) -> None:
        via = response.via
        one = self._sent.get(via.branch) if via else None
        known = self._acks.get(via.branch) if via else None
        if known is not None and response.status >= 200:
            self._repeat(known.ack, known.peer)
        if via is None or one is None:
            return  # an answer to nothing, or one that came twice
        invited = one.request.method == "INVITE"
        if response.status < 200:
            one.every_s = T2_S
            one.again_s = None if invited or one.again_s is None else now_s + T2_S
            return
        del self._sent[via.branch]
        if invited and response.status >= 300:
            self.acknowledge(via.branch, _refusal_heard(one.request, response), one.peer, now_s)
        self._events.append(Answered(via.branch, response))

    def _asked(self, request: Request, peer: Peer, now_s: float) -> None:
        key = _key(request, request.method)
        known = self._heard.get(key)
        if known is not None:
            if known.answer:
                self._repeat(known.answer, known.peer)
            return
        self._make_room()
        request = arrived(request, *peer)
        self._heard[key] = _Heard(request, peer, now_s + GIVEN_UP_S)
        if len(self._heard) > MOST_ANSWERED:
            # Nothing that is answered could be forgotten: whoever floods us is told so.
            self.answer(key, reply(request, 503, "Service Unavailable"), now_s)
            del self._heard[key]
            return
        self._events.append(Asked(key, request, peer))

    def _make_room(self) -> None:
        if len(self._heard) < MOST_ANSWERED:
            return
        for key, one in self._heard.items():
            if one.status >= 200 and one.again_s is None:
                del self._heard[key]
                return

    def _acknowledged(self, ack: Request, now_s: float) -> None:
        """Find the INVITE; the ACK of a grant has a branch of its own (RFC 3261, 17.1.1.3)."""
        for one in self._heard.values():
            of_it = one.request.call_id == ack.call_id and one.request.cseq[0] == ack.cseq[0]
            same = tag_of(one.request.get("from")) == tag_of(ack.get("from"))
            if one.request.method != "INVITE" or not of_it or not same:
                continue
            one.again_s = None
            if not one.acknowledged and 200 <= one.status < 300:
                self._events.append(Acknowledged(ack.call_id))
            one.acknowledged = True
            one.until_s = min(one.until_s, now_s + GIVEN_UP_S)
            return


def _key(request: Request, method: str) -> Key:
    """What tells one transaction from another (RFC 3261, 17.2.3)."""
    via = request.via
    assert via is not None
    where = (via.host.lower(), via.port)
    if via.branch.startswith(MAGIC):
        return via.branch, where, method
    return request.call_id, request.cseq[0], tag_of(request.get("from")), where, method


def _refusal_heard(invite: Request, refusal: Response) -> Request:
    """The ACK of a refusal, which is of the INVITE's own transaction (RFC 3261, 17.1.1.3)."""
    copied = [(name, invite.get(name)) for name in ("Via", "From")]
    headers = (
        *copied, ("To", refusal.get("To")), ("Call-ID", invite.call_id),
        ("CSeq", f"{invite.cseq[0]} ACK"), ("Max-Forwards", "70"),
    )  # fmt: skip
    return Request(headers, b"", "ACK", invite.uri)
