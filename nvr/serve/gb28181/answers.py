"""What a platform asks in a MESSAGE: acknowledged at once, done, and answered in messages of ours.

A command about an ID that it does not know of us is 404, one that is no MANSCDP 400. One that we
do not know is answered ``ERROR``, and one that the policy does not let it do too; where the
standard has no answer the SIP one says so: 403.

Source: GB/T 28181-2022, sections 9.3.2, 9.5.2 and annex J.
"""

import asyncio
import inspect
import logging
from collections.abc import Awaitable, Mapping
from contextlib import suppress

from nvr.auth.policy import authorise
from nvr.base.errors import Misconfigured, NvrError, Rejected
from nvr.base.log import event
from nvr.serve.gb28181.broadcast import Broadcasts
from nvr.serve.gb28181.control import ANSWERED
from nvr.serve.gb28181.link import ALLOW
from nvr.serve.gb28181.parts import Bodies, Call, Operation, Refusal
from nvr.serve.gb28181.registration import Registration
from nvr.wire.manscdp import Body, build, parse
from nvr.wire.sip_transaction import Asked
from nvr.wire.soap import leaf
from nvr.wire.xml import Malformed

_log = logging.getLogger(__name__)

AT_ONCE = 8
"""Bodies that wait for their 200 at a time."""
MOST_WORK = 32
"""Questions that are being answered; beyond them a platform is told to come later."""


class Answers:
    """Answers one platform, over one registration.

    Args:
        registration: What it shares with the rest.
        operations: What is done, by kind and name.
        broadcasts: Begins those.
    """

    def __init__(
        self,
        registration: Registration,
        operations: Mapping[tuple[str, str], Operation],
        broadcasts: Broadcasts,
    ) -> None:
        self._reg = registration
        self._operations, self._broadcasts = operations, broadcasts
        self._work = 0

    def other(self, asked: Asked) -> None:
        """What is no MESSAGE, and of no dialog that we have."""
        method, headers = asked.request.method, [("Allow", ALLOW)]
        if method == "OPTIONS":
            self._reg.link.answer(asked, 200, "OK", headers=headers)
        elif method == "NOTIFY":
            self._reg.link.answer(asked, 481, "Subscription Does Not Exist")
        else:
            self._reg.link.answer(asked, 405, "Method Not Allowed", headers=headers)

    def message(self, asked: Asked) -> None:
        """``MESSAGE``."""
        link = self._reg.link
        try:
            body = parse(asked.request.body)
        except Malformed as err:
            headers = [("Warning", f'399 nvr "{_ascii(str(err))}"')]
            link.answer(asked, 400, "Bad Request", headers=headers)
            return
        if body.kind == "Notify" and body.command == "Broadcast":
            self._broadcasts.notify(asked, body)
            return
        if body.kind in {"Response", "Notify"}:  # answers to what we told
            link.answer(asked, 200, "OK")
            return
        operation = self._operations.get((body.kind, body.command))
        whole = body.command == "Catalog"
        if not (whole or self._reg.roster.knows(body.device)):
            link.answer(asked, 404, "Not Found")
        elif operation is None:
            link.answer(asked, 200, "OK")
            self._reg.spawn(self._send([self._error(body)]))
        elif self._work >= MOST_WORK:
            link.answer(asked, 503, "Service Unavailable", headers=[("Retry-After", "5")])
        else:
            self._begin(asked, body, operation)

    def _begin(self, asked: Asked, body: Body, operation: Operation) -> None:
        """Do it. A head hears of it at once; what is asked is answered after its 200."""
        link = self._reg.link
        call = Call(self._reg.roster.subject, body, self._reg.edition, asked.peer[0])
        key = f"gb {body.command}"
        try:
            authorise(
                call.subject,
                key,
                self._about(body, operation),
                masked=self._reg.parts.masked,
            )
            made = operation.do(call)
        except (Refusal, NvrError) as err:
            status, reason = _worded(err)
            self._refused(call, key, reason)
            if body.kind == "Query" or set(_children(body)) & ANSWERED:
                link.answer(asked, 200, "OK")
                self._reg.spawn(self._send([self._error(body)]))
            else:
                link.answer(asked, status, reason)
            return
        link.answer(asked, 200, "OK")
        if made != ():
            self._reg.spawn(self._reply(call, made))

    async def _reply(self, call: Call, made: Bodies | Awaitable[Bodies]) -> None:
        self._work += 1
        try:
            bodies = await made if inspect.isawaitable(made) else made
            await self._send(bodies)
        except (Refusal, NvrError) as err:
            self._refused(call, f"gb {call.body.command}", _worded(err)[1])
            with suppress(NvrError):
                await self._send([self._error(call.body)])
        finally:
            self._work -= 1

    async def _send(self, bodies: Bodies) -> None:
        """Send each in a message of its own, a few at a time; who takes none is sent no more."""
        link, failed = self._reg.link, False
        going: set[asyncio.Task[None]] = set()

        async def one(body: bytes) -> None:
            nonlocal failed
            response = await link.ask(link.message(self._reg.number(), body))
            failed = failed or response is None

        for body in bodies:
            if failed:
                break
            going.add(self._reg.spawn(one(body)))
            if len(going) >= AT_ONCE:
                _, going = await asyncio.wait(going, return_when=asyncio.FIRST_COMPLETED)
        if going:
            await asyncio.wait(going)

    def _about(self, body: Body, operation: Operation) -> str | None:
        if not operation.about:
            return None
        camera = self._reg.roster.camera(body.device)
        if camera is None:
            raise Refusal(404, "that is no camera")
        return camera

    def _error(self, body: Body) -> bytes:
        return build(
            "Response", body.command, body.number, body.device, leaf("Result", "ERROR"),
            edition=self._reg.edition,
        )  # fmt: skip

    def _refused(self, call: Call, key: str, reason: str) -> None:
        event(_log, logging.INFO, "gb.not_done", platform=call.subject.name, command=key,
              device=call.body.device, why=reason)  # fmt: skip


def _children(body: Body) -> list[str]:
    return [one.name for one in body.root.children]


def _worded(err: Refusal | NvrError) -> tuple[int, str]:
    if isinstance(err, Refusal):
        return err.status, err.reason
    if isinstance(err, Rejected):
        return (404 if err.code == "camera.unknown" else 403), err.code
    return (500 if isinstance(err, Misconfigured) else 480), err.code


def _ascii(text: str) -> str:
    return "".join(c for c in text if " " <= c <= "~" and c not in '"\\')[:100]
