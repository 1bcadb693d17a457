"""The two sockets of a track that goes to its reader as datagrams: RTP, and RTCP both ways.

They are connected, so nothing but what the reader's own address sends from those ports is heard,
and nothing is ever sent to another address than the one that logged in.
"""

import asyncio
import contextlib
import socket
from collections.abc import Callable

from nvr.wire.rtsp import Pair

_TRIES = 32
_RECEIVE_BYTES = 8192
"""What a reader sends is a report now and then, and what opens firewalls."""


class Datagrams:
    """One track's sockets.

    Args:
        own: Our address as the reader knows it.
        peer: The reader's address.
        ports: The reader's ports.
        send_bytes: SO_SNDBUF.
        heard: Told of each report of the reader's.

    Raises:
        OSError: There are no two free ports, or no descriptors.
    """

    def __init__(
        self, own: str, peer: str, ports: Pair, send_bytes: int, heard: Callable[[], None]
    ) -> None:
        self.rtp, self.rtcp = _pair(own)
        self._heard = heard
        try:
            for sock, port in ((self.rtp, ports[0]), (self.rtcp, ports[1])):
                sock.setblocking(False)
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, send_bytes)
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _RECEIVE_BYTES)
                sock.connect((peer, port))
            asyncio.get_running_loop().add_reader(self.rtcp, self._read)
        except OSError:
            self.rtp.close()
            self.rtcp.close()
            raise

    @property
    def ports(self) -> Pair:
        """Ours."""
        return int(self.rtp.getsockname()[1]), int(self.rtcp.getsockname()[1])

    def close(self) -> None:
        """Close both."""
        asyncio.get_running_loop().remove_reader(self.rtcp)
        self.rtp.close()
        self.rtcp.close()

    def _read(self) -> None:
        with contextlib.suppress(OSError):  # nobody listens there: the relay finds out as well
            if self.rtcp.recv(2048):
                self._heard()


def _pair(own: str) -> tuple[socket.socket, socket.socket]:
    """Two sockets on an even port and the next one, as RTP has it."""
    family = socket.AF_INET6 if ":" in own else socket.AF_INET
    for _ in range(_TRIES):
        one, other = (socket.socket(family, socket.SOCK_DGRAM) for _ in range(2))
        try:
            one.bind((own, 0))
            port = one.getsockname()[1]
            if port % 2 == 0:
                other.bind((own, port + 1))
                return one, other
        except OSError:
            pass
        one.close()
        other.close()
    raise OSError("no two ports that follow each other are free")
