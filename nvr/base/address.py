"""Numeric addresses with a port, as people write them into a configuration."""

from ipaddress import IPv4Address, IPv6Address, ip_address

Address = IPv4Address | IPv6Address


def parse_endpoint(text: str) -> tuple[Address, int | None]:
    """Read ``127.0.0.1:8654`` or ``[::1]:*``; port None is any.

    Raises:
        ValueError: It is something else.
    """
    host, _, port = text.rpartition(":")
    bracketed = host.startswith("[") and host.endswith("]")
    address = ip_address(host[1:-1] if bracketed else host)
    if bracketed != (address.version == 6):
        raise ValueError(f"{text} is not an address and a port")
    if port == "*":
        return address, None
    if not (port.isascii() and port.isdigit() and 1 <= int(port) <= 65535):
        raise ValueError(f"{port} is not a port")
    return address, int(port)
