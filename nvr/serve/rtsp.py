"""The RTSP server: ``rtsp://box:8554/cam/<name>`` and ``/cam/<name>/sub``; ``/rec/`` for recorded.

On TCP, as datagrams, over TLS, and through HTTP or HTTPS on the same ports.

Limits keep a stranger from taking the box's descriptors or memory: connections in all, from one
address, and not yet logged in; a time for each head and each silence.
"""

import asyncio
import logging
import secrets
import socket
import ssl
from collections import Counter as Tally
from collections.abc import Callable
from dataclasses import dataclass

from nvr.base.clock import Clock, beat
from nvr.base.errors import Unavailable
from nvr.base.log import event
from nvr.media.ports import RelaySource
from nvr.serve.rtsp_connection import Connection
from nvr.serve.rtsp_house import House, Watch
from nvr.serve.rtsp_login import Access, Doorkeeper
from nvr.serve.rtsp_multicast import Casting, Groups
from nvr.serve.rtsp_relay import Variants
from nvr.serve.rtsp_replay import Archive
from nvr.serve.rtsp_room import Room
from nvr.serve.rtsp_tunnel import Begun, Tunnel, opening
from nvr.wire.rtsp import Malformed
from nvr.wire.rtsp_session import METHODS
from nvr.wire.rtsp_tunnel import answer

_log = logging.getLogger(__name__)

ACTIONS = tuple(
    f"rtsp {method} {what}/{{name}}"
    for what in ("cam", "rec")
    for method in METHODS
    if method != "OPTIONS"
)
"""Every right the server may ask `Access.authorise` about; the policy must know them all."""

SWEEP_S = 0.5

_USUAL = frozenset(("left", "the camera's format changed"))
"""Ends of connections that are nobody's fault."""
_Pair = tuple[str, bool, bytes]
"""Address, over TLS, cookie: what the halves of a tunnel have in common."""


@dataclass(frozen=True, slots=True)
class Limits:
    """How much readers may take.

    Attributes:
        per_address: Connections from one IP address; a tunnel takes two.
        in_all: Connections in all.
        unproven: Connections from one IP address that have not logged in yet.
        head_s: For a request to arrive whole, for the log-in, and for a tunnel's second half.
        idle_s: Silence of a connection that does not play.
        send_bytes: SO_SNDBUF of a reader: without it the kernel hides megabytes for each slow one.
        backlog_s: Age of unsent pictures beyond which a reader skips to the next key frame.
        backlog_bytes: Size of unsent pictures, the same.
        stuck_s: Without any progress the reader is closed.
        config_wait_s: How long DESCRIBE waits for a camera that is just starting.
        watching: Who may watch what is live at once, in all; more get 453.
        watching_of_one: From one address.
    """

    per_address: int = 32
    in_all: int = 256
    unproven: int = 16
    head_s: float = 10.0
    idle_s: float = 60.0
    send_bytes: int = 256 * 1024
    backlog_s: float = 2.0
    backlog_bytes: int = 2 << 20
    stuck_s: float = 10.0
    config_wait_s: float = 5.0
    watching: int = 256
    watching_of_one: int = 256


class RtspServer:
    """Listens, admits, sweeps; `Connection` does the talking.

    Args:
        find: The stream behind ``gate`` or ``gate/sub``, None if there is none.
        access: Rights and credentials; None serves everybody (the virtual dome, on loopback).
        clock: Time source.
        limits: See `Limits`.
        prefix: Path before the name.
        watched: Told when somebody begins and stops watching.
        archive: What is recorded, None to serve what is live only.
        datagrams: Live streams also go as datagrams; a server over TLS never does that.
        casting: Where they go as multicast, None: they do not.
    """

    def __init__(
        self,
        find: Callable[[str], RelaySource | None],
        access: Access | None,
        *,
        clock: Clock,
        limits: Limits | None = None,
        prefix: str = "cam/",
        watched: Callable[[Watch], None] | None = None,
        archive: Archive | None = None,
        datagrams: bool = False,
        casting: Casting | None = None,
    ) -> None:
        self._limits = limits or Limits()
        self._clock = clock
        variants = Variants(
            backlog_s=self._limits.backlog_s,
            backlog_bytes=self._limits.backlog_bytes,
            stuck_s=self._limits.stuck_s,
        )
        self._house = House(
            find,
            Doorkeeper(access, clock) if access else None,
            variants,
            clock,
            prefix,
            self._limits.config_wait_s,
            watched,
            archive,
            Room(self._limits.watching, self._limits.watching_of_one),
            self._limits.send_bytes if datagrams else 0,
            Groups(casting, variants, self._limits.send_bytes) if casting else None,
        )
        self._listeners: list[tuple[socket.socket, ssl.SSLContext | None]] = []
        self._open: set[Connection] = set()
        self._addresses: Tally[str] = Tally()
        self._tunnels: dict[_Pair, tuple[Tunnel, Connection]] = {}
        self._halves: Tally[str] = Tally()
        self._cut: Tally[str] = Tally()
        self._refused = 0

    def listen(self, host: str, port: int, tls: ssl.SSLContext | None = None) -> int:
        """Open a listening socket; call before `run`.

        Returns:
            The port, of interest when 0 was asked for.

        Raises:
            Unavailable: ``rtsp.port``: the address cannot be had.
        """
        try:
            family = socket.AF_INET6 if ":" in host else socket.AF_INET
            listener = socket.create_server((host, port), family=family, backlog=64)
        except OSError as err:
            raise Unavailable(
                "rtsp.port", f"cannot listen: {err.strerror}", host=host, port=port
            ) from err
        listener.setblocking(False)
        self._listeners.append((listener, tls))
        return int(listener.getsockname()[1])

    async def run(self) -> None:
        """Serve until cancelled."""
        try:
            async with asyncio.TaskGroup() as group:
                for listener, tls in self._listeners:
                    group.create_task(self._accept(listener, tls, group))
                group.create_task(self._sweep())
        finally:
            for listener, _ in self._listeners:
                listener.close()

    def readers(self) -> tuple[tuple[str, str], ...]:
        """User and address of everybody connected."""
        return tuple((connection.user, connection.address) for connection in self._open)

    def refusals(self) -> dict[str, int]:
        """How often a request was refused, by its status, and a connection refused or ended."""
        return {str(status): count for status, count in self._house.refusals.items()} | self._cut

    def revoke(self, user: str) -> None:
        """A credential ended: so do its connections."""
        for connection in self._open:
            if connection.user == user:
                connection.end()

    async def _accept(
        self, listener: socket.socket, tls: ssl.SSLContext | None, group: asyncio.TaskGroup
    ) -> None:
        loop = asyncio.get_running_loop()
        while True:
            try:
                sock, peer = await loop.sock_accept(listener)
            except OSError as err:  # out of descriptors: the backlog waits until some are free
                event(_log, logging.WARNING, "rtsp.accept_failed", error=str(err))
                await self._clock.sleep(1.0)
                continue
            address = str(peer[0])
            if not self._room(address):
                self._refused += 1
                self._cut["no room"] += 1
                sock.close()
                continue
            self._addresses[address] += 1
            group.create_task(self._serve(sock, address, tls))

    def _room(self, address: str) -> bool:
        """Whether one more may come from there.

        Who has not logged in is counted by address, or one stranger who never does would keep
        everybody out.
        """
        its = [one for one in self._open if one.address == address]
        arriving = self._addresses[address] - len(its) - self._halves[address]
        unproven = sum(not one.proven for one in its) + arriving
        return (
            self._addresses.total() < self._limits.in_all
            and self._addresses[address] < self._limits.per_address
            and unproven < self._limits.unproven
        )

    async def _serve(self, sock: socket.socket, address: str, tls: ssl.SSLContext | None) -> None:
        try:
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, self._limits.send_bytes)
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, 10)
            await self._talk(sock, address, tls)
        except OSError as err:  # includes ssl.SSLError: a hello that is none
            event(_log, logging.DEBUG, "rtsp.peer_lost", address=address, error=str(err))
        except Exception as err:  # noqa: BLE001 - a bug in one connection must not end the others
            _log.error("rtsp.bug", exc_info=err)
        finally:
            sock.close()
            self._addresses[address] -= 1
            if not self._addresses[address]:
                del self._addresses[address]

    async def _talk(self, sock: socket.socket, address: str, tls: ssl.SSLContext | None) -> None:
        loop = asyncio.get_running_loop()
        incoming = asyncio.StreamReader(limit=64 * 1024)
        protocol = asyncio.StreamReaderProtocol(incoming)
        transport, _ = await loop.connect_accepted_socket(
            lambda: protocol,
            sock,
            ssl=tls,
            ssl_handshake_timeout=self._limits.head_s if tls else None,
            ssl_shutdown_timeout=1.0 if tls else None,
        )
        outgoing = asyncio.StreamWriter(transport, protocol, incoming, loop)
        try:
            async with asyncio.timeout(self._limits.head_s):
                leg, rest = await opening(incoming)
            begun = Begun(rest, incoming)
            if leg is None:
                streams = begun, outgoing
                await self._converse(
                    Connection(
                        self._house, streams, address, tls=tls is not None, session=_session()
                    )
                )
            elif leg.down:
                await self._down((address, tls is not None, leg.cookie), incoming, outgoing)
            else:
                await self._up((address, tls is not None, leg.cookie), begun, outgoing)
        except TimeoutError:
            self._cut["said nothing"] += 1
            event(_log, logging.DEBUG, "rtsp.peer_lost", address=address, error="it says nothing")
        except Malformed as err:
            self._refuse(outgoing, err.status)
        finally:
            outgoing.close()

    def _refuse(self, outgoing: asyncio.StreamWriter, status: int) -> None:
        self._refused += 1
        self._cut["no tunnel"] += 1
        outgoing.write(answer(status))

    async def _converse(self, connection: Connection) -> None:
        self._open.add(connection)
        try:
            await connection.run()
        finally:
            self._open.discard(connection)

    async def _down(
        self, pair: _Pair, incoming: asyncio.StreamReader, outgoing: asyncio.StreamWriter
    ) -> None:
        """Serve the GET of a tunnel: it is the connection, and says nothing itself."""
        if pair in self._tunnels:
            self._refuse(outgoing, 409)
            return
        outgoing.write(answer(200))
        address, tls, _ = pair
        tunnel = Tunnel()
        connection = Connection(
            self._house, (tunnel, outgoing), address, tls=tls, session=_session(), tunnel=True
        )
        self._tunnels[pair] = tunnel, connection
        try:
            async with asyncio.TaskGroup() as group:
                waiting = group.create_task(tunnel.until_gone(incoming))
                await self._converse(connection)
                waiting.cancel()
        finally:
            tunnel.end()
            del self._tunnels[pair]

    async def _up(self, pair: _Pair, begun: Begun, outgoing: asyncio.StreamWriter) -> None:
        """Take the POST of a tunnel."""
        found = self._tunnels.get(pair)
        if found is None or found[0].taken:
            self._refuse(outgoing, 404 if found is None else 409)
            return
        tunnel, connection = found
        self._halves[pair[0]] += 1
        try:
            await tunnel.carry(begun, outgoing)
        except Malformed:
            connection.end()
            raise
        finally:
            self._halves[pair[0]] -= 1
            if not self._halves[pair[0]]:
                del self._halves[pair[0]]

    async def _sweep(self) -> None:
        while True:
            await beat(self._clock, SWEEP_S)
            self._house.variants.pump()
            now_s = self._clock.monotonic_s()
            half = {one for tunnel, one in self._tunnels.values() if tunnel.half}
            for connection in list(self._open):
                why = connection.overdue(now_s, self._limits.head_s, self._limits.idle_s)
                if connection in half and now_s - connection.began_s > self._limits.head_s:
                    why = "half a tunnel"
                if why:
                    self._cut[why] += why not in _USUAL
                    event(
                        _log,
                        logging.INFO,
                        "rtsp.connection_ended",
                        address=connection.address,
                        user=connection.user,
                        why=why,
                    )
                    connection.end()
            if self._refused:
                event(_log, logging.WARNING, "rtsp.refused", connections=self._refused)
                self._refused = 0


def _session() -> str:
    """An unguessable identifier."""
    return secrets.token_hex(12)
