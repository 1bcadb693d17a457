"""Opens connections to where a camera may be: resolved once, permitted, and in TLS as agreed.

A dead network is noticed by the kernel (`TCP_USER_TIMEOUT` 5 s, keepalive 2 s + 3 x 1 s: measured
5.0 s, against never), a dead camera on a live network by the silence of its packets.
"""

import asyncio
import hashlib
import os
import socket
import ssl
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass

from nvr.base.errors import Rejected, Unavailable
from nvr.base.transport import cut
from nvr.capture.line import Line, PlainLine, TlsLine
from nvr.capture.permit import forbidden, resolve

CONNECT_S = 5.0
HANDSHAKE_S = 10.0
USER_TIMEOUT_MS = 5000
ADDRESSES = 3


def untrusting_tls() -> ssl.SSLContext:
    """A context that encrypts without knowing to whom: cameras sign their own certificates.

    Any certificate is taken: self-signed, expired, with another's name or a short key. TLS 1.2 at
    least. Who only listens learns nothing; who can answer in the camera's place is not noticed,
    unless `Dialer.pin` says which certificate it must be.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


@dataclass(frozen=True, slots=True)
class Dialer:
    """Opens connections to one camera.

    Attributes:
        permit: Whether an IP address and port may be connected to at all.
        tls: Context for TLS, which also says whose certificate is taken.
        pin: SHA-256 of the one certificate that is taken, hexadecimal, empty for any that `tls`
            takes.
        presented: Told the SHA-256 of the certificate that a camera shows.
    """

    permit: Callable[[str, int], bool]
    tls: ssl.SSLContext | None
    pin: str
    presented: Callable[[str], None]

    @asynccontextmanager
    async def open(self, host: str, port: int, *, name: str = "") -> AsyncIterator[Line]:
        """Connect; in TLS with whoever is `name` there, if that is given.

        Raises:
            Unavailable: ``camera.unreachable``, ``camera.tls``, ``camera.silent``, ``camera.lost``.
            Rejected: ``camera.forbidden``, ``camera.certificate``.
        """
        sock = await self._connect(host, port)
        try:
            if not name:
                yield PlainLine(sock)
                return
            streams = await self._greeted(sock, name)
            try:
                self._judge(streams[1])
                yield TlsLine(streams)
            finally:
                cut(streams[1].transport)
        except TimeoutError as err:
            raise Unavailable("camera.silent", "the camera does not answer any more") from err
        except ssl.SSLCertVerificationError as err:
            raise Rejected("camera.certificate", err.verify_message.lower()) from err
        except ssl.SSLError as err:
            reason = (err.reason or str(err)).lower().replace("_", " ")
            raise Unavailable("camera.tls", f"no TLS with the camera: {reason}") from err
        except OSError as err:
            raise Unavailable("camera.lost", sentence(err)) from err
        finally:
            sock.close()

    async def _greeted(
        self, sock: socket.socket, name: str
    ) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        try:
            async with asyncio.timeout(HANDSHAKE_S):
                return await asyncio.open_connection(
                    sock=sock, ssl=self.tls or untrusting_tls(), server_hostname=name
                )
        except TimeoutError as err:
            raise Unavailable("camera.silent", "the camera does not answer the TLS hello") from err

    def _judge(self, stream: asyncio.StreamWriter) -> None:
        """Look at the certificate before anything is said."""
        shown: ssl.SSLObject = stream.get_extra_info("ssl_object")
        found = hashlib.sha256(shown.getpeercert(binary_form=True) or b"").hexdigest()
        self.presented(found)
        if self.pin and found != self.pin:
            raise Rejected("camera.certificate", "its certificate is not the one that was pinned")

    async def _connect(self, host: str, port: int) -> socket.socket:
        """Connect to the first address of the name that answers, of those that are permitted."""
        found = await resolve(host, port)
        # Resolved once: what is checked here is what is connected to.
        allowed = [one for one in found if self.permit(str(one[4][0]), port)]
        if not allowed:
            raise forbidden()
        last: Unavailable | None = None
        for family, kind, protocol, _, address in allowed[:ADDRESSES]:
            try:
                return await _connected(socket.socket(family, kind, protocol), address)
            except Unavailable as err:
                last = err
        raise last or Unavailable("camera.unreachable", f"nobody knows the name {host}")


async def _connected(sock: socket.socket, address: object) -> socket.socket:
    try:
        sock.setblocking(False)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, USER_TIMEOUT_MS)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, 2)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, 1)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPCNT, 3)
        async with asyncio.timeout(CONNECT_S):
            await asyncio.get_running_loop().sock_connect(sock, address)  # type: ignore[arg-type]
    except (OSError, TimeoutError) as err:
        sock.close()
        raise Unavailable("camera.unreachable", sentence(err)) from err
    except BaseException:
        sock.close()
        raise
    return sock


def sentence(error: OSError) -> str:
    """What a person is told of a socket's error."""
    if isinstance(error, TimeoutError) or not error.errno:
        return "the camera does not answer" if isinstance(error, TimeoutError) else str(error)
    return os.strerror(error.errno).lower()  # asyncio puts the address into `strerror`
