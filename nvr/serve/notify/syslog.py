"""News and rows of the audit log to a syslog server: TLS, TCP or UDP.

Syslog answers nothing. Over TCP and TLS what the kernel had taken when a connection broke may be
lost, over UDP any datagram; nobody can count these.

Source: RFC 5424, RFC 5425 (TLS), RFC 6587 (TCP), RFC 5426 (UDP).
"""

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from urllib.parse import urlsplit

from nvr.base.clock import Clock
from nvr.base.errors import NvrError, Unavailable
from nvr.base.supervise import first_end
from nvr.base.transport import cut
from nvr.media.happening import BOX
from nvr.media.news import AUDIT, News, wanted
from nvr.media.notify import NotifySettings
from nvr.serve.notify.dial import CONNECT_S, Permit, fault_of, judge, place_of, resolve, trust
from nvr.serve.notify.outbox import Outbox
from nvr.serve.notify.tally import Tally
from nvr.wire.syslog import MOST_BYTES, MOST_DATAGRAM_BYTES, framed, message

SEND_S = 20.0
"""A server that takes nothing for so long is given up."""
Send = Callable[[bytes], None]


class SyslogNotifier:
    """One syslog server.

    Args:
        settings: Which, and what it is told.
        permit: Where it may be.
        home: Where names of files in the configuration begin.
        host: Name of this box.
        clock: Time source.
    """

    def __init__(
        self, settings: NotifySettings, permit: Permit, home: Path, host: str, clock: Clock
    ) -> None:
        self._settings, self._permit, self._home = settings, permit, home
        self._host = host
        self._clock = clock
        self.tally = Tally(clock)
        self.outbox = Outbox(f"syslog/{settings.name}")

    def offer(self, news: News) -> None:
        """Have it told if its filter lets it through."""
        settings = self._settings
        if (news.event == AUDIT and settings.audit) or wanted(
            news, settings.events, settings.cameras
        ):
            self.outbox.put(news)

    async def test(self, news: News) -> float:
        """Tell it that; returns how many seconds it took. See `Outbox.tell`."""
        return await self.outbox.tell(news, self._clock)

    async def session(self) -> None:
        """Connect, and tell what there is, until something breaks.

        Raises:
            NvrError: ``notify.unreachable``, ``notify.forbidden``, ``notify.tls``,
                ``notify.certificate``, ``notify.ca``, ``notify.lost``.
        """
        if urlsplit(self._settings.url).scheme == "udp":
            async with self._datagrams() as send:
                await self._tell(send, None)
            return
        reader, writer = await self._connected()
        try:
            await first_end(self._tell(writer.write, writer), _until_closed(reader))
        except (OSError, TimeoutError) as err:
            raise fault_of(err) from err
        finally:
            cut(writer.transport)

    async def _tell(self, send: Send, writer: asyncio.StreamWriter | None) -> None:
        self.tally.stand("connected")
        while True:
            news = await self.outbox.next()
            most = MOST_DATAGRAM_BYTES if writer is None else MOST_BYTES
            one = line_of(news, self._host, most)
            send(one if writer is None else framed(one))
            if writer is not None:
                async with asyncio.timeout(SEND_S):
                    await writer.drain()
            self.outbox.done(news)
            self.tally.took()

    async def _connected(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        settings = self._settings
        host, port = place_of(settings.url)
        secure = urlsplit(settings.url).scheme == "tls"
        ca = self._home / settings.ca if settings.ca else None
        context = trust(ca, settings.pin) if secure else None
        address = await resolve(host, port, self._permit)
        try:
            async with asyncio.timeout(CONNECT_S):
                reader, writer = await asyncio.open_connection(
                    address, port, ssl=context, server_hostname=host if secure else None
                )
        except (OSError, TimeoutError) as err:
            raise fault_of(err) from err
        try:
            _keep_alive(writer.get_extra_info("socket"))
            shown = writer.get_extra_info("ssl_object")
            if shown is not None:
                judge(shown.getpeercert(binary_form=True), settings.pin)
        except NvrError:
            cut(writer.transport)
            raise
        return reader, writer

    @contextlib.asynccontextmanager
    async def _datagrams(self) -> AsyncIterator[Send]:
        host, port = place_of(self._settings.url)
        address = await resolve(host, port, self._permit)
        try:
            transport, _ = await asyncio.get_running_loop().create_datagram_endpoint(
                asyncio.DatagramProtocol, remote_addr=(address, port)
            )
        except OSError as err:
            raise fault_of(err) from err
        try:
            yield transport.sendto
        finally:
            transport.close()


def line_of(news: News, host: str, most_bytes: int = MOST_BYTES) -> bytes:
    """Return news as a syslog message."""
    plain = news.plain()
    fields = {key: plain[key] for key in plain if key not in {"at", "severity", "detail"}}
    parts = (news.event, "" if news.what == "once" else news.what, news.camera, news.name)
    said = " ".join(one for one in parts if one)
    text = f"{said}: {news.detail}" if news.detail else said
    msgid = "audit" if news.event == AUDIT else ("box" if news.camera == BOX else "camera")
    return message(news.severity, news.at_us, host, msgid, fields, text, most_bytes=most_bytes)


async def _until_closed(reader: asyncio.StreamReader) -> None:
    """A server that ends the connection would be written to for long before anybody noticed."""
    while await reader.read(4096):
        pass
    raise Unavailable("notify.lost", "it closed the connection")


def _keep_alive(sock: socket.socket) -> None:
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, 10)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, 5)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPCNT, 3)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, round(SEND_S * 1000))
