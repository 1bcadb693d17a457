"""Talking to one platform over one wire: requests with their answers, and what it asks.

Everything that keeps time is one timer of the loop; there is no task.
"""

import asyncio
import secrets
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from nvr.base.clock import Clock
from nvr.base.errors import Unavailable
from nvr.media.gb28181 import PlatformSettings
from nvr.serve.gb28181.transport import Wire
from nvr.wire.manscdp import TYPE
from nvr.wire.sip import MAGIC, Headers, Malformed, Request, Response, fault, parse, reply
from nvr.wire.sip_transaction import (
    Acknowledged,
    Answered,
    Asked,
    Peer,
    Transactions,
    Unacknowledged,
)

AGENT = "nvr"
ALLOW = "INVITE, ACK, INFO, CANCEL, BYE, OPTIONS, MESSAGE, SUBSCRIBE, NOTIFY"
VERSIONS = {"2016": "2.0", "2022": "3.0"}
"""``X-GB-Ver`` of each edition."""


@dataclass(slots=True)
class Counts:
    """What went over it."""

    asked: int = 0
    refused: int = 0
    damaged: int = 0
    repeated: int = 0


class Link:
    """See the module. `close` ends what waits; the wire is its owner's.

    Args:
        wire: Carries the messages.
        settings: Of the platform.
        clock: Time source.
        counts: Counted in.
        heard: Told what it asks, and how its ACKs do.
    """

    def __init__(
        self,
        wire: Wire,
        settings: PlatformSettings,
        clock: Clock,
        counts: Counts,
        heard: Callable[[Asked | Acknowledged | Unacknowledged], None],
    ) -> None:
        self.wire, self.settings = wire, settings
        self._clock, self._counts, self._heard = clock, counts, heard
        self._transactions = Transactions(reliable=wire.reliable)
        self._waiting: dict[str, asyncio.Future[Response | None]] = {}
        self._timer: asyncio.TimerHandle | None = None
        self._closed = False

    def __len__(self) -> int:
        return len(self._transactions)

    @property
    def own_uri(self) -> str:
        """Ours, in the platform's domain."""
        return f"sip:{self.settings.device}@{self.settings.realm}"

    @property
    def server_uri(self) -> str:
        """The platform's."""
        return f"sip:{self.settings.server}@{self.settings.realm}"

    @property
    def contact(self) -> str:
        """Where we are reached."""
        host, port = self.wire.local
        host = f"[{host}]" if ":" in host else host
        tail = ";transport=tcp" if self.wire.reliable else ""
        return f"<sip:{self.settings.device}@{host}:{port}{tail}>"

    def request(
        self,
        method: str,
        uri: str,
        headers: Sequence[tuple[str, str]],
        body: bytes = b"",
        content: str = "",
    ) -> Request:
        """Make a request: what each needs is put before and after `headers`."""
        host, port = self.wire.local
        host = f"[{host}]" if ":" in host else host
        how = "TCP" if self.wire.reliable else "UDP"
        via = f"SIP/2.0/{how} {host}:{port};rport;branch={MAGIC}{secrets.token_hex(8)}"
        more: Headers = (("Content-Type", content),) if body else ()
        return Request(
            (("Via", via), *headers, ("Max-Forwards", "70"), ("User-Agent", AGENT), *more),
            body, method, uri,
        )  # fmt: skip

    def message(self, number: int, body: bytes) -> Request:
        """A MESSAGE with a body in MANSCDP, in no dialog."""
        headers = [*self._outside(), ("CSeq", f"{number} MESSAGE")]
        return self.request("MESSAGE", self.server_uri, headers, body, TYPE)

    def _outside(self) -> list[tuple[str, str]]:
        """Headers of a request that is in no dialog, but for ``CSeq``."""
        return [
            ("From", f"<{self.own_uri}>;tag={secrets.token_hex(6)}"),
            ("To", f"<{self.server_uri}>"),
            ("Call-ID", f"{secrets.token_hex(10)}@{self.wire.local[0]}"),
        ]

    async def ask(self, request: Request) -> Response | None:
        """Send a request and wait for its final answer; None if there is none in 32 s.

        Raises:
            Unavailable: ``gb.lost``, ``gb.busy``: far too much waits for an answer already.
        """
        if self._closed:
            raise Unavailable("gb.lost", "the way to the platform is closed")
        answer: asyncio.Future[Response | None] = asyncio.get_running_loop().create_future()
        try:
            branch = self._transactions.send(request, self.wire.remote, self._clock.monotonic_s())
        except OverflowError as err:
            raise Unavailable("gb.busy", str(err)) from err
        self._waiting[branch] = answer
        self._move()
        try:
            return await answer
        finally:
            self._waiting.pop(branch, None)
            self._transactions.forget(branch)

    def acknowledge(self, invite: Request, ack: Request) -> None:
        """Send the ACK of a grant of an INVITE of ours."""
        via = invite.via
        assert via is not None
        now_s = self._clock.monotonic_s()
        self._transactions.acknowledge(via.branch, ack, self.wire.remote, now_s)
        self._move()

    def tell(self, request: Request) -> None:
        """Send a request whose answer does not matter, once."""
        if not self._closed:
            self.wire.send(request.encode(), self.wire.remote)

    def answer(
        self,
        asked: Asked,
        status: int,
        reason: str,
        *,
        tag: str = "",
        headers: Sequence[tuple[str, str]] = (),
        body: bytes = b"",
    ) -> None:
        """Answer what was asked."""
        if status >= 400:
            self._counts.refused += 1
        version = VERSIONS[self.settings.edition]
        more = [*headers, ("User-Agent", AGENT), ("X-GB-Ver", version)]
        response = reply(
            asked.request, status, reason,
            tag=tag or ("" if status == 100 else secrets.token_hex(6)), headers=more, body=body,
        )  # fmt: skip
        self._transactions.answer(asked.key, response, self._clock.monotonic_s())
        self._move()

    def invite_of(self, cancel: Request) -> Asked | None:
        """Return the INVITE that a CANCEL is of."""
        return self._transactions.find_invite(cancel)

    def received(self, data: bytes, peer: Peer) -> None:
        """Take what came: a message, or what is none and is counted."""
        try:
            message = parse(data)
        except Malformed:
            self._counts.damaged += 1
            return
        wrong = fault(message)
        if wrong:
            self._counts.damaged += 1
            if isinstance(message, Request) and message.method != "ACK" and message.via:
                back = reply(message, 400, "Bad Request", headers=[("Warning", _warning(wrong))])
                self.wire.send(back.encode(), peer)
            return
        self._transactions.receive(message, peer, self._clock.monotonic_s())
        self._move()

    def close(self) -> None:
        """Wait for nothing more."""
        self._closed = True
        if self._timer is not None:
            self._timer.cancel()
        for one in self._waiting.values():
            if not one.done():
                one.set_result(None)

    def _move(self) -> None:
        """Send what is due, tell what happened, and come back in time."""
        if self._closed:
            return
        now_s = self._clock.monotonic_s()
        for data, peer in self._transactions.to_send(now_s):
            self.wire.send(data, peer)
        self._counts.repeated += self._transactions.repeated
        self._transactions.repeated = 0
        while (event := self._transactions.next_event()) is not None:
            if isinstance(event, Answered):
                waiting = self._waiting.pop(event.branch, None)
                if waiting is not None and not waiting.done():
                    waiting.set_result(event.response)
            else:
                if isinstance(event, Asked):
                    self._counts.asked += 1
                self._heard(event)
        if self._timer is not None:
            self._timer.cancel()
        wake_s = self._transactions.wake_at()
        self._timer = None
        if wake_s is not None and not self._closed:
            delay_s = max(0.0, wake_s - now_s) + 0.001
            self._timer = asyncio.get_running_loop().call_later(delay_s, self._move)


def _warning(text: str) -> str:
    return f'399 nvr "{text}"'
