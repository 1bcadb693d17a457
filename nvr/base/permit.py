"""Which addresses may be connected to: not this box, not the local link, not a cloud's secrets.

Whoever may say where the box connects to could otherwise make it call services that trust their
own machine. A name is judged by what it resolves to, at every connection and on the address that
is then connected to: a name that changes its mind gains nothing.

Exceptions are exact, address and port.
"""

import socket
from collections.abc import Iterable
from ipaddress import IPv4Address, IPv6Network, ip_address

from nvr.base.address import Address, parse_endpoint

# Metadata services outside the link-local range: AWS, Alibaba, Azure.
_METADATA = frozenset(map(ip_address, ("fd00:ec2::254", "100.100.100.200", "168.63.129.16")))
_NAT64 = IPv6Network("64:ff9b::/96")


class Permit:
    """Says of an address whether it may be connected to.

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
