"""Connections to upstream systems: a name is resolved once, and judged by where it leads.

As of cameras, this box itself, the local link and metadata services are out of reach; private
networks are not, for that is where brokers and log servers stand. See `nvr.base.permit`.
"""

import asyncio
import hashlib
import os
import socket
import ssl
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from nvr.base.errors import Misconfigured, NvrError, Rejected, Unavailable

CONNECT_S = 10.0
Permit = Callable[[str, int], bool]
PORTS = {"mqtt": 1883, "mqtts": 8883, "http": 80, "https": 443, "udp": 514, "tcp": 601, "tls": 6514}
"""Where a server of a scheme is, unless its address says it."""


def place_of(url: str) -> tuple[str, int]:
    """Host and port of an address that the configuration took."""
    parts = urlsplit(url)
    return parts.hostname or "", parts.port or PORTS[parts.scheme]


async def resolve(host: str, port: int, permit: Permit) -> str:
    """Return the numeric address to connect to.

    Raises:
        Unavailable: ``notify.unreachable``.
        Rejected: ``notify.forbidden``.
    """
    try:
        async with asyncio.timeout(CONNECT_S):
            found = await asyncio.get_running_loop().getaddrinfo(
                host, port, type=socket.SOCK_STREAM
            )
    except (OSError, TimeoutError, UnicodeError) as err:  # UnicodeError: a label is too long
        raise Unavailable("notify.unreachable", f"nobody knows the name {host}") from err
    allowed = [address for one in found if permit(address := str(one[4][0]), port)]
    if not allowed:
        raise forbidden()
    return allowed[0]


def forbidden() -> Rejected:
    """What such an address is refused with."""
    return Rejected(
        "notify.forbidden",
        "the address is this box itself, the local link or a metadata service; "
        "only local_upstream in nvr.toml can allow that",
    )


def trust(
    ca: Path | None, pin: str, made: Callable[[int], ssl.SSLContext] = ssl.SSLContext
) -> ssl.SSLContext:
    """Return a context that trusts the system's authorities, or one, or one certificate.

    With a pin any certificate passes here: `judge` looks at it before anything is said.

    Raises:
        Misconfigured: ``notify.ca``.
    """
    context = made(ssl.PROTOCOL_TLS_CLIENT)
    if pin:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
        return context
    try:
        if ca is None:
            context.load_default_certs()
        else:
            context.load_verify_locations(ca)
    except (OSError, ssl.SSLError) as err:
        raise Misconfigured("notify.ca", f"the file of its CA cannot be used: {err}") from err
    return context


def judge(certificate: bytes | None, pin: str) -> None:
    """Compare a certificate with the pin, if there is one.

    Raises:
        Rejected: ``notify.certificate``.
    """
    wanted = pin.replace(":", "").lower()
    if wanted and hashlib.sha256(certificate or b"").hexdigest() != wanted:
        raise Rejected("notify.certificate", "its certificate is not the one that was pinned")


def fault_of(error: Exception) -> NvrError:
    """Return what a person is told of a connection that failed."""
    if isinstance(error, ssl.SSLCertVerificationError):
        return Rejected("notify.certificate", error.verify_message.lower())
    if isinstance(error, ssl.SSLError):
        reason = (error.reason or str(error)).lower().replace("_", " ")
        return Unavailable("notify.tls", f"no TLS with it: {reason}")
    if isinstance(error, TimeoutError):
        return Unavailable("notify.unreachable", "it does not answer")
    said = str(error)
    if isinstance(error, OSError) and error.errno:
        said = os.strerror(error.errno).lower()
    return Unavailable("notify.unreachable", said or type(error).__name__)


def for_library(ca: Path | None, pin: str, name: str) -> ssl.SSLContext:
    """Return a context as of `trust` that judges by itself, for a library that dials itself.

    Args:
        ca: As of `trust`.
        pin: As of `judge`.
        name: Whose certificate it must be: the library knows the address alone.

    Raises:
        Misconfigured: As `trust`.
    """

    class Judging(ssl.SSLSocket):
        def do_handshake(self, block: bool = False) -> None:
            try:
                super().do_handshake(block)
                judge(self.getpeercert(binary_form=True), pin)
            except OSError:
                self.close()  # the library forgets it
                raise
            except Rejected as err:
                self.close()
                wrong = ssl.SSLCertVerificationError(1, err.detail)
                wrong.verify_message = err.detail
                raise wrong from err

    class Naming(ssl.SSLContext):
        sslsocket_class = Judging

        def wrap_socket(self, *args: Any, **named: Any) -> ssl.SSLSocket:  # noqa: ANN401 - passed on
            return super().wrap_socket(*args, **{**named, "server_hostname": name})

    return trust(ca, pin, Naming)
