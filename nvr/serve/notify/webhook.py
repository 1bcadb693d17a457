"""News to a webhook: JSON by POST, signed, again until it is taken, in order.

A receiver that answers 2xx has taken a message. 400, 413 and 422 say that this one will never be
taken, and it is given up; so is what waited for a day. Everything else, redirects among it, is
tried again, after 5 s at first and half an hour at most. At least once: a receiver tells doubles by
``webhook-id``.

Source: Standard Webhooks 1.0.0.
"""

import asyncio
import errno
import socket
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import aiohttp
import msgspec

from nvr.base.clock import Clock
from nvr.base.errors import Damaged, NvrError, Rejected, Unavailable
from nvr.base.supervise import Backoff
from nvr.media.news import News, wanted
from nvr.media.notify import NotifySettings
from nvr.serve.notify.dial import Permit, fault_of, forbidden, place_of, resolve, trust
from nvr.serve.notify.hook_queue import HookQueue, Waiting
from nvr.serve.notify.tally import Tally
from nvr.wire.webhook import headers, secret_of

POST_S = 20.0
KEEP_S = 86_400.0
"""What could not be told for so long is given up."""
_AGAIN = Backoff(first_s=5.0, cap_s=1800.0, factor=3.0)
_NEVER = frozenset((400, 413, 422))
_MOST_UNKEPT = 200


class WebhookNotifier:
    """One receiver.

    Args:
        settings: Which, and what it is told.
        secret: What messages are signed with; asked for in a thread. Empty: they are not.
        queue: Where messages wait.
        disk: In which it is asked.
        box: What the box says of itself in each message.
        permit: Where it may be.
        home: Where names of files in the configuration begin.
        clock: Time source.
    """

    def __init__(
        self,
        settings: NotifySettings,
        secret: Callable[[], str],
        queue: HookQueue,
        disk: ThreadPoolExecutor,
        box: Callable[[], dict[str, str]],
        permit: Permit,
        home: Path,
        clock: Clock,
    ) -> None:
        self._settings, self._secret, self._box = settings, secret, box
        self._queue, self._disk, self._clock = queue, disk, clock
        self._permit, self._home = permit, home
        self._loop = asyncio.get_running_loop()
        self._came = asyncio.Event()
        self._keeping = 0
        self.waiting = 0
        self.dropped = 0
        self.tally = Tally(clock)

    def offer(self, news: News) -> None:
        """Have it told if its filter lets it through."""
        settings = self._settings
        if not wanted(news, settings.events, settings.cameras):
            return
        if self._keeping >= _MOST_UNKEPT:  # the disk does not keep up
            self.dropped += 1
            return
        self._keeping += 1
        body = self._body(news)
        keep = self._loop.run_in_executor(
            self._disk, self._queue.put, settings.name, news.id, body, news.at_us
        )
        keep.add_done_callback(self._kept)

    async def session(self) -> None:
        """Send what waits, and what comes, for ever."""
        while True:
            self._came.clear()
            first = await self._ask(self._queue.first, self._settings.name)
            self.waiting = await self._ask(self._queue.count, self._settings.name)
            if first is None:
                await self._came.wait()
                continue
            wait_s = min((first.next_us - self._clock.wall_us()) / 1e6, _AGAIN.cap_s)
            if wait_s > 0:
                self.tally.stand("waiting")
                await self._clock.sleep(wait_s)
            await self._try(first)

    async def test(self, news: News) -> float:
        """Send one message now, past what waits; returns how many seconds that took.

        Raises:
            NvrError: As `_post`.
        """
        began_s = self._clock.monotonic_s()
        await self._post(news.id, self._body(news))
        return self._clock.monotonic_s() - began_s

    async def _try(self, first: Waiting) -> None:
        try:
            await self._post(first.id, first.body)
        except NvrError as err:
            self.tally.wrong(err)
            self.tally.stand("waiting")
            age_s = (self._clock.wall_us() - first.made_us) / 1e6
            if isinstance(err, Damaged) or age_s > KEEP_S:
                self.tally.failed += 1
                await self._ask(self._queue.remove, first.number)
                return
            next_us = self._clock.wall_us() + round(_AGAIN.wait_s(first.tries + 1) * 1e6)
            await self._ask(self._queue.later, first.number, next_us)
            return
        await self._ask(self._queue.remove, first.number)
        self.tally.took()
        self.tally.stand("connected")

    async def _post(self, ident: str, body: bytes) -> None:
        """Send it.

        Raises:
            Damaged: ``notify.not_taken``: it will never be.
            Unavailable: ``notify.answer``, ``notify.unreachable``, ``notify.tls``.
            Rejected: ``notify.forbidden``, ``notify.certificate``, ``notify.secret``.
            Misconfigured: ``notify.ca``, and as of the secrets file.
        """
        settings = self._settings
        text = await asyncio.to_thread(self._secret)
        try:
            secret = secret_of(text) if text else b""
        except ValueError as err:
            raise Rejected("notify.secret", f"the secret of this webhook: {err}") from err
        ca = self._home / settings.ca if settings.ca else None
        tls: Any = trust(ca, "")
        if settings.pin:
            tls = aiohttp.Fingerprint(bytes.fromhex(settings.pin.replace(":", "")))
        await resolve(*place_of(settings.url), self._permit)  # for a sentence that says it
        connector = aiohttp.TCPConnector(
            ssl=tls, socket_factory=self._socket, use_dns_cache=False, force_close=True
        )
        said = {
            "content-type": "application/json", "user-agent": "nvr",
            **headers(secret, ident, self._clock.wall_us() // 1_000_000, body),
        }  # fmt: skip
        try:
            async with (
                aiohttp.ClientSession(
                    connector=connector,
                    timeout=aiohttp.ClientTimeout(total=POST_S),
                    cookie_jar=aiohttp.DummyCookieJar(),
                    trust_env=False,
                ) as session,
                session.post(
                    settings.url, data=body, headers=said, allow_redirects=False
                ) as answer,
            ):
                status = answer.status
        except aiohttp.ServerFingerprintMismatch as err:
            raise Rejected(
                "notify.certificate", "its certificate is not the one that was pinned"
            ) from err
        except aiohttp.ClientConnectorCertificateError as err:
            raise fault_of(err.certificate_error) from err
        except aiohttp.ClientConnectorError as err:
            if isinstance(err.os_error, PermissionError):
                raise forbidden() from err
            raise fault_of(err.os_error) from err
        except (aiohttp.ClientError, OSError, TimeoutError, ValueError) as err:
            raise fault_of(err) from err
        if status in _NEVER:
            raise Damaged("notify.not_taken", f"it refuses this message: HTTP {status}")
        if not 200 <= status < 300:
            raise Unavailable("notify.answer", f"it answers HTTP {status}")

    def _socket(self, found: Any) -> socket.socket:  # noqa: ANN401 - as of getaddrinfo
        """Judge what is connected to, whatever the name led to before."""
        family, kind, protocol, _, address = found
        if not self._permit(str(address[0]), int(address[1])):
            raise PermissionError(errno.EACCES, "not an address to be told anything")
        return socket.socket(family, kind, protocol)

    def _body(self, news: News) -> bytes:
        plain = news.plain()
        kind = news.event if news.what == "once" else f"{news.event}.{news.what}"
        return msgspec.json.encode(
            {"type": kind, "timestamp": plain["at"], "data": {**plain, **self._box()}}
        )

    def _kept(self, keep: "asyncio.Future[int]") -> None:
        self._keeping -= 1
        self.dropped += 0 if keep.cancelled() else keep.result()
        self._came.set()

    async def _ask(self, *call: Any) -> Any:  # noqa: ANN401 - as the call
        return await self._loop.run_in_executor(self._disk, *call)
