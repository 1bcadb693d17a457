"""A connection is cut whatever state its transport is in."""

import asyncio
import asyncio.sslproto
from typing import Any, cast

import pytest

from nvr.base.transport import cut


class Tls:
    """The protocol below a transport of TLS, as far as closing needs it."""

    def __init__(self) -> None:
        self.did: list[str] = []

    def _start_shutdown(self) -> None:
        self.did.append("shutdown")

    def _abort(self, _error: BaseException | None = None) -> None:
        self.did.append("abort")


async def test_one_over_tls_that_was_closed_twice() -> None:
    """Debian 12's Python raises here, which kept a recorder from ending in order."""
    made = cast(Any, asyncio.sslproto)._SSLProtocolTransport
    below = Tls()
    transport = made(asyncio.get_running_loop(), below)
    transport.close()
    cut(transport)
    assert below.did == ["shutdown", "abort"]
    transport.close()
    cut(transport)
    assert below.did == ["shutdown", "abort"]


class Odd(asyncio.WriteTransport):
    def abort(self) -> None:
        raise AttributeError("something else")

    def is_closing(self) -> bool:
        return False


def test_a_fault_of_another_kind_is_not_hidden() -> None:
    with pytest.raises(AttributeError, match="something else"):
        cut(Odd())


def test_none_is_cut_already() -> None:
    cut(None)
