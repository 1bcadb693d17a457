"""Notifications to a host's own server: WS-BaseNotification's ``Notify``, sent by us.

Who subscribes makes us open connections. So a consumer is where the request came from and nowhere
else, whatever name it gives, and never this box itself, the local link or a metadata service; that
is judged when it subscribes and again at every connection. Redirects are not followed, answers not
read, no log-in is sent.

Source: WS-BaseNotification 1.3, sections 3 and 4; ONVIF Core Specification 23.06, section 9.3.
"""

import asyncio
import errno
import logging
import socket
from collections import deque
from collections.abc import Callable
from ipaddress import ip_address
from typing import Any
from urllib.parse import urlsplit

import aiohttp

from nvr.base.log import event
from nvr.base.supervise import Backoff
from nvr.wire import soap
from nvr.wire.soap import Fault, tag

_log = logging.getLogger(__name__)

SEND_S = 10.0
MOST_AT_ONCE = 20
_AGAIN = Backoff(first_s=1.0, cap_s=30.0)
_HEADERS = {"content-type": "application/soap+xml; charset=utf-8", "user-agent": "nvr"}
Permit = Callable[[str, int], bool]


def check(url: str, peer: str, permit: Permit) -> None:
    """Judge where a host wants to be told.

    Args:
        url: As it says.
        peer: IP address that it asked from.
        permit: Where connections may go at all.

    Raises:
        Fault: It is no ``http://``, or elsewhere than the host itself.
    """
    try:
        parts = urlsplit(url)
        host, port = parts.hostname or "", parts.port or 80
        same = ip_address(host) == ip_address(peer)
    except ValueError as err:
        raise Fault(
            "a consumer is http:// and the numeric address that asks", "ter:InvalidArgVal"
        ) from err
    if parts.scheme != "http" or parts.username is not None or not same or not permit(host, port):
        raise Fault("a consumer is where the request comes from", "ter:InvalidArgVal")


class Consumer:
    """Tells one host's server what a subscription has to tell.

    Args:
        url: Where; checked.
        queue: What is to be told; what was taken goes.
        came: Set when there is something new.
        permit: As of `check`.
    """

    def __init__(self, url: str, queue: deque[str], came: asyncio.Event, permit: Permit) -> None:
        self._url, self._queue, self._came, self._permit = url, queue, came, permit
        self._task = asyncio.get_running_loop().create_task(self._run())

    def close(self) -> None:
        """Tell no more."""
        self._task.cancel()

    async def _run(self) -> None:
        failures = 0
        connector = aiohttp.TCPConnector(socket_factory=self._socket, limit=1)
        async with aiohttp.ClientSession(
            connector=connector,
            timeout=aiohttp.ClientTimeout(total=SEND_S),
            cookie_jar=aiohttp.DummyCookieJar(),
            trust_env=False,
        ) as session:
            while True:
                self._came.clear()
                if not self._queue:
                    await self._came.wait()
                    continue
                told = list(self._queue)[:MOST_AT_ONCE]
                why = await self._send(session, told)
                if not why:
                    failures = 0
                    for one in told:  # of a full queue the oldest went meanwhile
                        if self._queue and self._queue[0] is one:
                            self._queue.popleft()
                    continue
                failures += 1
                level = logging.WARNING if failures == 1 else logging.DEBUG
                event(_log, level, "onvif.not_notified", consumer=self._url, error=why)
                await asyncio.sleep(_AGAIN.wait_s(failures))

    async def _send(self, session: aiohttp.ClientSession, told: list[str]) -> str:
        """Send them; returns why they were not taken, empty if they were."""
        data = soap.envelope(tag("wsnt:Notify", *told))
        try:
            async with session.post(
                self._url, data=data, headers=_HEADERS, allow_redirects=False
            ) as answer:
                return "" if 200 <= answer.status < 300 else f"HTTP {answer.status}"
        except (aiohttp.ClientError, OSError, TimeoutError) as err:
            return str(err) or type(err).__name__

    def _socket(self, found: Any) -> socket.socket:  # noqa: ANN401 - as of getaddrinfo
        family, kind, protocol, _, address = found
        if not self._permit(str(address[0]), int(address[1])):
            raise PermissionError(errno.EACCES, "not an address to be told anything")
        return socket.socket(family, kind, protocol)
