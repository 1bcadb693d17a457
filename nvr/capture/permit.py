"""Which addresses a camera may have: those of `Permit`.

Exceptions are the board's own dome, and ``local_cameras`` in the file.
"""

import asyncio
import socket
from collections.abc import Sequence
from urllib.parse import urlsplit

from nvr.base.errors import Rejected, Unavailable
from nvr.base.permit import Permit

RESOLVE_S = 5.0
Found = tuple[
    socket.AddressFamily,
    socket.SocketKind,
    int,
    str,
    tuple[str, int] | tuple[str, int, int, int] | tuple[int, bytes],
]
"""What `socket.getaddrinfo` finds: family, kind, protocol, name and socket address."""


async def resolve(host: str, port: int) -> Sequence[Found]:
    """Ask the resolver.

    Raises:
        Unavailable: ``camera.unreachable``.
    """
    try:
        async with asyncio.timeout(RESOLVE_S):
            return await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except (OSError, TimeoutError, UnicodeError) as err:  # UnicodeError: a label is too long
        raise Unavailable("camera.unreachable", f"nobody knows the name {host}") from err


def forbidden() -> Rejected:
    """What a camera at such an address is refused with."""
    return Rejected(
        "camera.forbidden",
        "the address is this box itself, the local link or a metadata service; "
        "only local_cameras in nvr.toml can allow that",
    )


def host_and_port(url: str) -> tuple[str, int]:
    """Where ``rtsp://`` or ``rtsps://`` leads.

    Raises:
        ValueError: It is no URL, or its port no port.
    """
    parts = urlsplit(url)
    return parts.hostname or "", parts.port or (322 if parts.scheme == "rtsps" else 554)


async def check(url: str, permit: Permit) -> None:
    """Refuse a camera before it is kept. A name nobody knows yet passes: it is judged later.

    Raises:
        Rejected: ``camera.forbidden``, ``config.refused``.
    """
    try:
        host, port = host_and_port(url)
    except ValueError as err:
        raise Rejected("config.refused", f"$.camera.url: {err}") from err
    try:
        found = await resolve(host, port)
    except Unavailable:
        return
    if not all(permit(str(one[4][0]), port) for one in found):
        raise forbidden()
