"""How a camera's packets come, and what was learned of that: TCP first, then what it takes.

``auto`` begins with interleaved TCP, which loses nothing and passes every firewall; where the
server refuses it (461) datagrams follow on the same connection, then a multicast group; where it
refuses these too, or its RTSP port is closed, the tunnel through HTTP. What brought packets is
remembered and comes first from then on, for as long as the camera is configured; what brought none
is followed by the next.
"""

from dataclasses import dataclass, field
from typing import Final, Literal

from nvr.media.transport import Carried, Proof, Way, Why, Wish
from nvr.wire.rtsp_client import Delivery

_ORDER: Final[tuple[Way, ...]] = ("tcp", "udp", "multicast", "http")
_DOUBT: Final = 3
"""So many connections in a row that bring nothing, and what was remembered is forgotten."""


@dataclass(slots=True)
class Memory:
    """What was learned of one stream's server. It outlives connections, and callers.

    Attributes:
        unborne: RTSP methods at which the server hung up.
        moved_to: Where it sent us while it was playing; for the next connection only.
        fingerprint: SHA-256 of the certificate it showed last, empty if none.
    """

    unborne: set[str] = field(default_factory=set)
    moved_to: str = ""
    fingerprint: str = ""
    _proven: Way | None = None
    _first: int = 0
    _in_vain: int = 0
    _instead_of: Way | Literal[""] = ""
    _why: Why = ""

    def ways(self, wish: Wish, *, secure: bool) -> tuple[Way, ...]:
        """What to try on the next connection, in order; secure streams stay in their TLS."""
        if wish != "auto":
            return (wish,)
        order = self._order(secure=secure)
        return order[self._first % len(order) :]

    @staticmethod
    def _order(*, secure: bool) -> tuple[Way, ...]:
        return ("tcp", "http") if secure else _ORDER

    def carried(self, way: Way, refused: tuple[Way, ...], wish: Wish, proof: Proof = "") -> Carried:
        """Packets are to come by `way`, after others were refused; say so."""
        if refused:
            self._instead_of, self._why = refused[0], "refused"
        if wish != "auto" or way == self._instead_of:
            return Carried(way, proof=proof)
        return Carried(way, self._instead_of, self._why, proof)

    def worked(self, way: Way, *, secure: bool) -> None:
        """Packets came."""
        self._proven = way
        self._in_vain = 0
        order = self._order(secure=secure)
        self._first = order.index(way) if way in order else 0
        if self._first == 0:
            self._instead_of = self._why = ""

    @property
    def proven(self) -> bool:
        """Packets came by what is tried first."""
        return self._proven is not None

    @property
    def closed(self) -> bool:
        """The tunnel is tried because the RTSP port is closed."""
        return self._why == "unreachable"

    def failed(self, way: Way, why: Why, *, secure: bool, sure: bool = False) -> None:
        """Nothing came by `way`; the next connection begins behind it, once that is sure.

        What is ``refused`` or ``unreachable`` is so for all that the RTSP port offers.
        """
        self._in_vain += 1
        if self._proven is not None and self._in_vain < _DOUBT and not sure:
            return
        order = self._order(secure=secure)
        self._proven = None
        self._instead_of, self._why = way, why
        at = way if way in order else order[0]
        behind = order.index(at if why == "silent" or at == "http" else order[-2]) + 1
        self._first = behind % len(order)
        if self._first == 0:
            self._instead_of = self._why = ""

    def presented(self, fingerprint: str) -> None:
        """The server showed a certificate with this SHA-256."""
        self.fingerprint = fingerprint

    def hung_up(self, method: str) -> None:
        """The server closed the connection instead of an answer to `method`."""
        self.unborne.add(method)
        if self.unborne >= {"OPTIONS", "GET_PARAMETER"}:
            self.unborne.clear()  # then it was not for that


def deliveries(ways: tuple[Way, ...]) -> tuple[Delivery, ...]:
    """What one connection can ask for, of `ways` up to the tunnel; through that, TCP."""
    if ways[0] == "http":
        return ("tcp",)
    found: list[Delivery] = []
    for way in ways:
        if way == "http":
            break
        found.append(way)
    return tuple(found)
