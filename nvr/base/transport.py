"""What asyncio leaves to be known of its transports."""

import asyncio


def cut(transport: asyncio.WriteTransport | None) -> None:
    """Close a connection at once, with what waits to be sent; never raises.

    Over TLS, ``abort()`` of Python 3.11 raises `AttributeError` on a transport that was closed
    twice before: it has let go of its protocol, and is as good as gone.

    Source: CPython 3.11 ``asyncio/sslproto.py``, ``_SSLProtocolTransport``.
    """
    if transport is None:
        return
    try:
        transport.abort()
    except AttributeError:
        if not transport.is_closing():
            raise
