"""The sockets on which one track's datagrams come, from who opened them to who reads them."""

import socket
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from nvr.media.track import RtpTrack

ENOUGH_BYTES = 2 << 20
"""Of a receive buffer, for what comes at line rate in the longest tick."""
End = tuple[str, int]
"""Numeric IP address and port."""


@dataclass(frozen=True, slots=True)
class Datagrams:
    """The sockets of one track; whoever holds this closes them.

    Attributes:
        rtp: Bound, non-blocking.
        rtcp: The same for RTCP, None if there is none.
        senders: One or two numeric addresses that are taken from, whatever the port.
        punch: Where the peer sends from, as it says; a packet now and then keeps the way through
            a NAT or firewall open. None: unknown, or not wanted.
        report: Where receiver reports go until a sender report came; None: to where that is from.
    """

    rtp: socket.socket
    rtcp: socket.socket | None
    senders: tuple[str, ...]
    punch: End | None = None
    report: End | None = None

    @property
    def hasty(self) -> bool:
        """The system gave so small a buffer that it must be read more often."""
        return self.rtp.getsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF) < ENOUGH_BYTES

    def close(self) -> None:
        """Close the sockets."""
        self.rtp.close()
        if self.rtcp is not None:
            self.rtcp.close()


Native = tuple[int, int, int, tuple[bytes, ...], tuple[bytes, int] | None, tuple[bytes, int] | None]


def _packed(address: str) -> bytes:
    bare = address.partition("%")[0]
    return socket.inet_pton(socket.AF_INET6 if ":" in bare else socket.AF_INET, bare)


def native(tracks: Sequence[RtpTrack], datagrams: Mapping[int, Datagrams]) -> tuple[Native, ...]:
    """`datagrams`, by channel of their track, as `Session.set_datagrams` takes them."""
    made = []
    for index, track in enumerate(tracks):
        one = datagrams.get(track.channel)
        if one is None:
            continue
        punch, report = (
            (_packed(end[0]), end[1]) if end is not None else None
            for end in (one.punch, one.report)
        )
        senders = tuple(_packed(address) for address in one.senders)
        rtcp = one.rtcp.fileno() if one.rtcp is not None else -1
        made.append((index, one.rtp.fileno(), rtcp, senders, punch, report))
    return tuple(made)
