"""The server end of an RTSP conversation, without sockets or clocks; the other: `rtsp_client`.

It checks what every request must have, and keeps the state between requests; what a request is
*for* its caller decides.

Source: RFC 2326; session time-outs 12.37, interleaving 10.12, aggregate control C.1.1.
"""

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from nvr.wire.rtsp import (
    AGENT,
    SESSION_TIMEOUT_S,
    Headers,
    Malformed,
    Pair,
    Parser,
    Request,
    Response,
    parse_transport,
)


@dataclass(frozen=True, slots=True)
class Ended:
    """The server end is through with this connection; send what is left and close."""

    detail: str


@dataclass(frozen=True, slots=True)
class Group:
    """Where a track goes as multicast.

    Attributes:
        address: Of the group.
        source: Ours.
        ports: Of RTP and RTCP.
        ttl: How many routers pass it on, and one.
    """

    address: str
    source: str
    ports: Pair
    ttl: int


METHODS: Final = (
    "OPTIONS",
    "DESCRIBE",
    "SETUP",
    "PLAY",
    "PAUSE",
    "TEARDOWN",
    "GET_PARAMETER",
    "SET_PARAMETER",
)


class Server:
    """The server end of one connection.

    Args:
        session: The session's identifier, unguessable.
        features: What a peer may require.
        refusals: How often each status from 400 on was answered; counted on.
    """

    def __init__(
        self,
        session: str,
        features: frozenset[str] = frozenset(),
        refusals: Counter[int] | None = None,
    ) -> None:
        self.session = session
        self._features = features
        self._refusals = Counter() if refusals is None else refusals
        self.channels: dict[int, int] = {}
        self.datagrams: set[int] = set()
        """Tracks that go as datagrams; their channels are twice their numbers."""
        self.multicast: set[int] = set()
        """Tracks that go to a group; the same."""
        self._parser = Parser()
        self._out = bytearray()
        self._ended = False

    def to_send(self) -> bytes:
        """Hand over what is to be sent now."""
        data = bytes(self._out)
        self._out.clear()
        return data

    def receive(self, data: bytes) -> None:
        """Take bytes from the peer."""
        self._parser.feed(data)

    def partial(self) -> bool:
        """Whether a request has begun and not yet ended."""
        return self._parser.pending()

    def next_event(self) -> Request | Ended | None:
        """Return the next request that deserves an answer by the caller, or the end.

        Requests that break the rules are answered here. Interleaved frames (receiver reports)
        and responses are taken and forgotten.
        """
        while not self._ended:
            try:
                item = self._parser.next()
            except Malformed as err:
                self._refusals[err.status] += 1
                self._out += Response(err.status).encode()
                self._ended = True
                return Ended(str(err))
            if item is None:
                return None
            if isinstance(item, Request) and self._proper(item):
                return item
        return None

    def _proper(self, request: Request) -> bool:
        if not request.header("CSeq").isdigit():
            self._refusals[400] += 1
            self._out += Response(400).encode()
            return False
        status = 200
        unknown = request.header("Require") or request.header("Proxy-Require")
        if {one.strip() for one in unknown.split(",")} - self._features - {""}:
            self.respond(request, 551, (("Unsupported", unknown),))
            return False
        if request.method not in METHODS:
            status = 501
        elif self.named(request) not in {"", self.session} or (
            request.method in {"PLAY", "PAUSE", "TEARDOWN"} and not self.named(request)
        ):
            status = 454
        elif request.method in {"PLAY", "PAUSE"} and not self.channels:
            status = 455
        if status != 200:
            self.respond(request, status)
        return status == 200

    def named(self, request: Request) -> str:
        """The session a request names, empty if none."""
        return request.header("Session").partition(";")[0].strip()

    def respond(
        self,
        request: Request,
        status: int,
        headers: Headers = (),
        body: bytes = b"",
        reason: str = "",
    ) -> None:
        """Queue the answer to `request`."""
        self._out += self.answer(request, status, headers, body, reason)

    def answer(
        self,
        request: Request,
        status: int,
        headers: Headers = (),
        body: bytes = b"",
        reason: str = "",
    ) -> bytes:
        """Encode the answer to `request`, for a caller that sends it another way."""
        if status >= 400:
            self._refusals[status] += 1
        sent: list[tuple[str, str]] = [("CSeq", request.header("CSeq")), ("Server", AGENT)]
        if self.channels and status < 400:
            sent.append(("Session", f"{self.session};timeout={SESSION_TIMEOUT_S:.0f}"))
        return Response(status, (*sent, *headers), body, reason).encode()

    def set_up(
        self,
        request: Request,
        track: int,
        ports: Callable[[Pair], Pair | None] | None = None,
        group: Group | None = None,
    ) -> None:
        """Answer SETUP of `track`: the first alternative that can be had, else 461.

        Args:
            request: The SETUP.
            track: Which track.
            ports: Opens ours for the client's two; None where all is to be interleaved. All tracks
                of a session go the same way.
            group: Where it goes as multicast, None if it does not. What else a client asks for of
                a group, address or port, is ours to say.
        """
        for choice in parse_transport(request.header("Transport")):
            if choice.datagrams and choice.multicast and group:
                if self.channels.keys() - {track} - self.multicast:
                    continue
                self.multicast.add(track)
                self.channels[track] = 2 * track
                low, high = group.ports
                transport = (
                    f"RTP/AVP;multicast;destination={group.address};source={group.source}"
                    f";port={low}-{high};ttl={group.ttl}"
                )
                self.respond(request, 200, (("Transport", transport),))
                return
            wanted = choice.client_port
            if choice.datagrams and not choice.multicast and wanted and ports:
                others = self.channels.keys() - {track}
                ours = ports(wanted) if others <= self.datagrams else None
                if ours is None:
                    continue
                self.datagrams.add(track)
                self.channels[track] = 2 * track
                transport = (
                    f"RTP/AVP;unicast;client_port={wanted[0]}-{wanted[1]}"
                    f";server_port={ours[0]}-{ours[1]}"
                )
                self.respond(request, 200, (("Transport", transport),))
                return
            if not choice.interleaved or self.datagrams or self.multicast:
                continue
            others = {low for index, low in self.channels.items() if index != track}
            low = choice.channels[0] if choice.channels else 2 * track
            if low > 254 or any(abs(low - other) < 2 for other in others):
                continue
            self.channels[track] = low
            transport = f"RTP/AVP/TCP;unicast;interleaved={low}-{low + 1}"
            self.respond(request, 200, (("Transport", transport),))
            return
        self.respond(request, 461)
