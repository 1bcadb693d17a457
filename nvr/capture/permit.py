"""Which addresses a camera may have: not this box, not the local link, not a cloud's secrets.

Whoever may add a camera chooses where the box connects to. Without this it could be made to call
services that trust their own machine. A name is judged by what it resolves to, at every connection
and on the address that is then connected to: a name that changes its mind gains nothing.

Exceptions are exact, address and port: the board's own dome, and ``local_cameras`` in the file.
"""

import asyncio
import socket
from collections.abc import Iterable, Sequence
from ipaddress import IPv4Address, IPv6Network, ip_address
from urllib.parse import urlsplit

from nvr.base.address import Address, parse_endpoint
from nvr.base.errors import Rejected, Unavailable

RESOLVE_S = 5.0
Found = tuple[
    socket.AddressFamily,
    socket.SocketKind,
    int,
    str,
    tuple[str, int] | tuple[str, int, int, int] | tuple[int, bytes],
]
"""What `socket.getaddrinfo` finds: family, kind, protocol, name and socket address."""

# Metadata services outside the link-local range: AWS, Alibaba, Azure.
_METADATA = frozenset(map(ip_address, ("fd00:ec2::254", "100.100.100.200", "168.63.129.16")))
_NAT64 = IPv6Network("64:ff9b::/96")


class Permit:
    """Says of an address whether a camera may be there.

    Args:
        exceptions: What is allowed all the same, as `parse_endpoint` reads it.
    """

    def __init__(self, exceptions: Iterable[str] = ()) -> None:
        self._exceptions = frozenset(map(parse_endpoint, exceptions))

    def __call__(self, host: str, port: int) -> bool:
        """Judge a numeric address, as the resolver returned it."""
        address = _inner(ip_address(host))
        bare = ip_address(str(address).partition("%")[0])
        if not self._exceptions.isdisjoint({(bare, port), (bare, None)}):
            return True
        if bare.is_loopback or bare.is_link_local or bare.is_unspecified or bare.is_multicast:
            return False
        return bare not in _METADATA and not _ours(bare)


def _inner(address: Address) -> Address:
    """The IPv4 address that the system would really connect to, where there is one inside."""
    if isinstance(address, IPv4Address):
        return address
    if address in _NAT64:
        return IPv4Address(int(address) & 0xFFFFFFFF)
    return address.ipv4_mapped or address.sixtofour or address


def _ours(address: Address) -> bool:
    """Whether this machine has the address: to reach itself it sends from the same one."""
    family = socket.AF_INET if address.version == 4 else socket.AF_INET6
    try:
        with socket.socket(family, socket.SOCK_DGRAM) as probe:
            probe.connect((str(address), 9))  # a datagram socket: nothing is sent
            return ip_address(probe.getsockname()[0].partition("%")[0]) == address
    except OSError:
        return False  # no way there, so it is not here


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
