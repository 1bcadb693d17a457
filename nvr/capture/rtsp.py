"""One RTSP connection to a camera: opened, negotiated and handed to the ingest thread.

A dead network is noticed by the kernel (`TCP_USER_TIMEOUT` 5 s, keepalive 2 s + 3 x 1 s: measured
5.0 s, against never), a dead camera on a live network by the silence of its packets.
"""

import asyncio
import os
import secrets
import socket
import ssl
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Protocol

from nvr.base.clock import Clock
from nvr.base.errors import Damaged, Misconfigured, NvrError, Rejected, Unavailable
from nvr.capture.permit import forbidden, host_and_port, resolve
from nvr.media.track import AudioCodec, RtpTrack, VideoCodec
from nvr.wire.digest import Login
from nvr.wire.rtsp_session import Client, Failed, Moved, Playing, Track

CONNECT_S = 5.0
HANDSHAKE_S = 10.0
USER_TIMEOUT_MS = 5000
REDIRECTS = 2
READ_BYTES = 256 * 1024

_CODECS: dict[str, VideoCodec | AudioCodec] = {
    "h264": "h264",
    "h265": "h265",
    "aac": "aac",
    "pcma": "pcma",
    "pcmu": "pcmu",
}


@dataclass(frozen=True, slots=True)
class Account:
    """A user on a camera; the password shows in no representation."""

    user: str
    password: str = field(repr=False)


class Line(Protocol):
    """A connection during the handshake."""

    @property
    def sock(self) -> socket.socket | None:
        """The bare socket, for the ingest thread; None if bytes must be fed."""
        ...

    async def read(self) -> bytes:
        """Next bytes, empty at the end."""
        ...

    async def write(self, data: bytes) -> None:
        """Send all of `data`."""
        ...


class PlainLine:
    """A TCP socket. See `Line`."""

    def __init__(self, sock: socket.socket) -> None:
        self.sock: socket.socket | None = sock
        self._sock = sock

    async def read(self) -> bytes:  # noqa: D102 - see Line
        return await asyncio.get_running_loop().sock_recv(self._sock, READ_BYTES)

    async def write(self, data: bytes) -> None:  # noqa: D102 - see Line
        await asyncio.get_running_loop().sock_sendall(self._sock, data)


class TlsLine:
    """TLS over asyncio. See `Line`."""

    sock = None

    def __init__(self, streams: tuple[asyncio.StreamReader, asyncio.StreamWriter]) -> None:
        self._input, self._output = streams

    async def read(self) -> bytes:  # noqa: D102 - see Line
        return await self._input.read(READ_BYTES)

    async def write(self, data: bytes) -> None:  # noqa: D102 - see Line
        self._output.write(data)
        await self._output.drain()


def untrusting_tls() -> ssl.SSLContext:
    """A context that encrypts without knowing to whom: cameras sign their own certificates.

    Any certificate is taken: self-signed, expired, with another's name or a short key. TLS 1.2 at
    least. Who only listens learns nothing; who can answer in the camera's place is not noticed.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


def nobody() -> None:
    """No account: a camera that asks for none."""


def _anywhere(_address: str, _port: int) -> bool:
    return True


@dataclass(frozen=True, slots=True)
class Caller:
    """Opens connections to one camera.

    Attributes:
        url: ``rtsp://`` or ``rtsps://`` without credentials.
        account: Who we are there, None if nobody. Asked for each connection, in a thread: it may
            read a file, and raise an `NvrError` if that is not as it should be.
        clock: Time source.
        permit: Whether an IP address and port may be connected to at all.
        tls: Context for ``rtsps://``.
    """

    url: str
    account: Callable[[], Account | None]
    clock: Clock
    permit: Callable[[str, int], bool] = _anywhere
    tls: ssl.SSLContext | None = None

    @asynccontextmanager
    async def call(self) -> AsyncIterator[tuple[Line, Client, Playing]]:
        """Connect and negotiate, up to the moment when packets flow.

        The socket is closed on the way out unless its new owner detached it.

        Raises:
            Unavailable: The camera does not answer: ``camera.unreachable``, ``camera.silent``,
                ``camera.lost``, ``camera.tls``.
            Rejected: ``camera.refused``, ``camera.forbidden``, ``camera.redirected``.
            Damaged: ``camera.garbage``, ``camera.protocol``.
            Misconfigured: ``camera.unsupported``, ``camera.not_found``, ``camera.no_tcp``.
            NvrError: What `account` raises.
        """
        url = self.url
        account = await asyncio.to_thread(self.account)
        for _ in range(REDIRECTS + 1):
            async with self._open(url) as line:
                login = Login(account.user, account.password) if account else None
                client = Client(url, login, cnonce=lambda: secrets.token_hex(8))
                found = await self._negotiate(line, client)
                if isinstance(found, Playing):
                    yield line, client, found
                    return
                url = found.url
        raise Damaged("camera.protocol", "the camera sends us in circles")

    @asynccontextmanager
    async def _open(self, url: str) -> AsyncIterator[Line]:
        secure = url.startswith("rtsps:")
        host, port = host_and_port(url)
        sock = await self._connect(host, port)
        try:
            if not secure:
                yield PlainLine(sock)
                return
            async with asyncio.timeout(HANDSHAKE_S):
                streams = await asyncio.open_connection(
                    sock=sock, ssl=self.tls or untrusting_tls(), server_hostname=host
                )
            try:
                yield TlsLine(streams)
            finally:
                streams[1].transport.abort()
        except TimeoutError as err:
            raise Unavailable("camera.silent", "the camera does not answer the TLS hello") from err
        except ssl.SSLError as err:
            reason = (err.reason or str(err)).lower().replace("_", " ")
            raise Unavailable("camera.tls", f"no TLS with the camera: {reason}") from err
        except OSError as err:
            raise Unavailable("camera.lost", _sentence(err)) from err
        finally:
            sock.close()

    async def _connect(self, host: str, port: int) -> socket.socket:
        loop = asyncio.get_running_loop()
        found = await resolve(host, port)
        # Resolved once: what is checked here is what is connected to.
        family, kind, protocol, _, address = found[0]
        if not self.permit(str(address[0]), port):
            raise forbidden()
        sock = socket.socket(family, kind, protocol)
        try:
            sock.setblocking(False)
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, USER_TIMEOUT_MS)
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, 2)
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, 1)
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPCNT, 3)
            async with asyncio.timeout(CONNECT_S):
                await loop.sock_connect(sock, address)
        except (OSError, TimeoutError) as err:
            sock.close()
            raise Unavailable("camera.unreachable", _sentence(err)) from err
        except BaseException:
            sock.close()
            raise
        return sock

    async def _negotiate(self, line: Line, client: Client) -> Playing | Moved:
        client.start()
        try:
            async with asyncio.timeout(HANDSHAKE_S):
                while True:
                    await line.write(client.to_send())
                    data = await line.read()
                    if not data:
                        raise Unavailable("camera.lost", "the camera closed the connection")
                    client.receive(data, self.clock.monotonic_s())
                    found = client.next_event()
                    if isinstance(found, Failed):
                        raise failure(found)
                    if found:
                        return found
        except TimeoutError as err:
            raise Unavailable("camera.silent", "the camera does not answer") from err


def _sentence(error: OSError) -> str:
    if isinstance(error, TimeoutError) or not error.errno:
        return "the camera does not answer" if isinstance(error, TimeoutError) else str(error)
    return os.strerror(error.errno).lower()  # asyncio puts the address into `strerror`


def failure(failed: Failed) -> NvrError:  # noqa: PLR0911 - a table of codes and kinds
    """The error kind of what the conversation ended with."""
    match failed.code:
        case "camera.refused":
            return Rejected("camera.refused", failed.detail)
        case "camera.redirected":
            return Rejected("camera.redirected", failed.detail)
        case "camera.unsupported":
            return Misconfigured("camera.unsupported", failed.detail)
        case "camera.not_found":
            return Misconfigured("camera.not_found", failed.detail)
        case "camera.no_tcp":
            return Misconfigured("camera.no_tcp", failed.detail)
        case "camera.garbage":
            return Damaged("camera.garbage", failed.detail)
        case "camera.lost":
            return Unavailable("camera.lost", failed.detail)
    return Damaged("camera.protocol", failed.detail)


def rtp_track(track: Track) -> RtpTrack:
    """What the ingest thread needs to know of a track that was set up."""
    media = track.media
    return RtpTrack(
        "video" if media.kind == "video" else "audio",
        _CODECS[media.codec],
        media.clock_hz,
        media.payload_type,
        track.channel,
        media.channels,
        media.parameter_sets,
        media.aac_config,
        media.aac_size_bits,
        media.aac_index_bits,
    )
