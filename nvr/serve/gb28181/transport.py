"""Sockets of the signalling: datagrams, or one connection that carries everything.

Over TCP we call and are never called: what the platform wants comes down the connection that we
registered on, which also passes through a router. A platform that opens one of its own is not
heard.
"""

import asyncio
import socket
from collections.abc import Callable
from typing import Protocol, cast

from nvr.base.errors import Unavailable
from nvr.base.transport import cut
from nvr.wire.sip import Malformed, Splitter
from nvr.wire.sip_transaction import Peer

CONNECT_S = 10.0
MOST_WAITING_BYTES = 1 << 20
"""A platform that takes nothing more is given up."""

Received = Callable[[bytes, Peer], None]


class Wire(Protocol):
    """Where messages go out and come in.

    Attributes:
        reliable: What is sent arrives, or the wire is lost.
        local: Our address and port.
        remote: Those of the platform.
    """

    reliable: bool
    local: Peer
    remote: Peer

    def send(self, data: bytes, peer: Peer) -> None:
        """Send one message; what cannot be sent is lost, as on any network."""
        ...

    async def lost(self) -> None:
        """Wait until it carries nothing more; raises `Unavailable` then."""
        ...

    def close(self) -> None:
        """End it."""
        ...


async def open_wire(
    transport: str, host: str, port: int, local_port: int, received: Received
) -> Wire:
    """Open the way to a platform.

    Args:
        transport: ``udp`` or ``tcp``.
        host: Its address or name.
        port: Its port.
        local_port: Ours, 0 for any; datagrams only.
        received: Told each message that comes, in the loop.

    Raises:
        Unavailable: ``gb.unreachable``.
    """
    try:
        async with asyncio.timeout(CONNECT_S):
            if transport == "tcp":
                reader, writer = await asyncio.open_connection(host, port)
                return _Stream(reader, writer, received)
            return await _datagrams(host, port, local_port, received)
    except (OSError, TimeoutError, UnicodeError) as err:
        why = str(err) or "it did not answer"
        raise Unavailable("gb.unreachable", why, host=host, port=port) from err


async def _datagrams(host: str, port: int, local_port: int, received: Received) -> "_Datagrams":
    loop = asyncio.get_running_loop()
    found = await loop.getaddrinfo(host, port, type=socket.SOCK_DGRAM)
    family, _, _, _, place = found[0]
    remote = str(place[0]), int(place[1])
    with socket.socket(family, socket.SOCK_DGRAM) as probe:
        probe.connect(remote)  # sends nothing; says from where we would
        local = probe.getsockname()[0]
    _, protocol = await loop.create_datagram_endpoint(
        lambda: _Datagrams(remote[0], received), local_addr=(local, local_port)
    )
    bound = protocol.transport.get_extra_info("sockname")
    protocol.local, protocol.remote = (bound[0], bound[1]), remote
    return protocol


class _Datagrams(asyncio.DatagramProtocol):
    """See `Wire`. Only what comes from the platform's address is taken."""

    reliable = False

    def __init__(self, address: str, received: Received) -> None:
        self._address, self._received = address, received
        self.transport: asyncio.DatagramTransport
        self.local: Peer = ("", 0)
        self.remote: Peer = ("", 0)
        self.foreign = 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.DatagramTransport, transport)

    def datagram_received(self, data: bytes, address: tuple[str, int]) -> None:
        if address[0] != self._address:
            self.foreign += 1
        elif data.strip(b"\r\n\0"):
            self._received(data, (address[0], address[1]))

    def error_received(self, exc: Exception) -> None:
        """Nobody listens there now: the transaction gives up in its own time."""

    def send(self, data: bytes, peer: Peer) -> None:
        if not self.transport.is_closing():
            self.transport.sendto(data, peer)

    async def lost(self) -> None:
        await asyncio.get_running_loop().create_future()

    def close(self) -> None:
        self.transport.close()


class _Stream:
    """See `Wire`."""

    reliable = True

    def __init__(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, received: Received
    ) -> None:
        self._reader, self._writer, self._received = reader, writer, received
        self._splitter = Splitter()  # outlives who waits: a message may have come in part
        own, peer = writer.get_extra_info("sockname"), writer.get_extra_info("peername")
        self.local: Peer = (own[0], own[1])
        self.remote: Peer = (peer[0], peer[1])

    def send(self, data: bytes, peer: Peer) -> None:  # noqa: ARG002 - there is one
        transport = self._writer.transport
        if transport.get_write_buffer_size() > MOST_WAITING_BYTES:
            cut(transport)
        elif not transport.is_closing():
            self._writer.write(data)

    async def lost(self) -> None:
        try:
            while data := await self._reader.read(65536):
                for one in self._splitter.feed(data):
                    self._received(one, self.remote)
        except (OSError, Malformed) as err:
            raise Unavailable("gb.lost", f"the connection ended: {err}") from err
        raise Unavailable("gb.lost", "the platform closed the connection")

    def close(self) -> None:
        self._writer.close()
