"""Pictures that a platform orders: taken one after the other, posted to it, and told when done.

``SnapShotConfig`` says how many, how far apart, and where to. A picture is the newest key frame as
a JPEG, sent by an HTTP POST as the part ``file`` of a form, with ``SessionID`` in the query; the
standard leaves that open. Only the platform's own address is posted to. The name of a picture is
its device, 01, the time to the millisecond in Beijing, and its number.

Source: GB/T 28181-2022, section 9.14 and annexes A.2.1, A.2.3.2 and A.2.5 (UploadSnapShotFinished).
"""

import errno
import logging
import re
import socket
from collections.abc import Awaitable, Callable, Coroutine
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, Protocol

import aiohttp
from yarl import URL

from nvr.auth.audit import Entry
from nvr.auth.policy import authorise
from nvr.base.errors import NvrError, Unavailable
from nvr.base.log import event
from nvr.serve.gb28181.parts import Call, Parts, Refusal
from nvr.wire.manscdp import BEIJING, said
from nvr.wire.soap import leaf, tag
from nvr.wire.xml import Element

_log = logging.getLogger(__name__)

KEY: Final = "gb SnapShotConfig"
MOST: Final = 10
MOST_APART_S: Final = 3600
POST_S: Final = 20.0
_SESSION: Final = re.compile(r"[0-9A-Za-z_.-]{1,128}")


class Say(Protocol):
    """Tells the platform something in a message of its own."""

    def __call__(self, command: str, device: str, *inner: str) -> Awaitable[None]:
        """Do; what nobody hears is lost."""
        ...


@dataclass(frozen=True, slots=True)
class Order:
    """What was ordered.

    Attributes:
        call: By whom.
        camera: Of which camera.
        many: How many.
        apart_s: How far apart.
        url: Where to.
        session: Its ``SessionID``.
    """

    call: Call
    camera: str
    many: int
    apart_s: int
    url: URL
    session: str


class Snapshots:
    """Takes them; one order at a time for a camera.

    Args:
        parts: What we are built from.
        spawn: Runs what takes a while, and ends it with the registration.
        say: Tells the platform that they are there.
    """

    def __init__(
        self, parts: Parts, spawn: Callable[[Coroutine[Any, Any, None]], object], say: Say
    ) -> None:
        self._parts, self._spawn, self._say = parts, spawn, say
        self._busy: set[str] = set()

    def order(self, call: Call, camera: str, element: Element) -> Order:
        """Read an order.

        Raises:
            Refusal: 400, 486.
        """
        many, apart_s = said(element, "SnapNum"), said(element, "Interval") or "1"
        if not many.isdecimal() or not 1 <= int(many[:9]) <= MOST:
            raise Refusal(400, f"SnapNum is 1 to {MOST}")
        if not apart_s.isdecimal() or not 1 <= int(apart_s[:9]) <= MOST_APART_S:
            raise Refusal(400, f"Interval is 1 to {MOST_APART_S} seconds")
        session = said(element, "SessionID")
        if not _SESSION.fullmatch(session):
            raise Refusal(400, "there is no SessionID")
        try:
            url = URL(said(element, "UploadURL")[:1024])
        except ValueError as err:
            raise Refusal(400, "UploadURL is none") from err
        if url.scheme not in {"http", "https"} or not url.host:
            raise Refusal(400, "UploadURL is http:// or https://")
        if camera in self._busy:
            raise Refusal(486, "pictures of this camera are being taken")
        return Order(call, camera, int(many), int(apart_s), url, session)

    def begin(self, order: Order) -> None:
        """Take them, and tell."""
        self._busy.add(order.camera)
        self._spawn(self._take(order))

    async def _take(self, order: Order) -> None:
        device, taken = order.call.body.device, list[str]()
        try:
            for number in range(1, order.many + 1):
                if number > 1:
                    await self._parts.clock.sleep(order.apart_s)
                try:
                    taken.append(await self._one(order, number))
                except NvrError as err:
                    event(_log, logging.INFO, "gb.not_done", platform=order.call.subject.name,
                          command=KEY, device=device, why=str(err))  # fmt: skip
        finally:
            self._busy.discard(order.camera)
        self._parts.audit.record(
            Entry(
                "event", KEY, reason=f"{len(taken)} of {order.many} to {order.url.host}",
                who=order.call.subject.name, source=order.call.address, camera=order.camera,
            )
        )  # fmt: skip
        ids = [leaf("SnapShotFileID", one) for one in taken]
        await self._say(
            "UploadSnapShotFinished", device, leaf("SessionID", order.session),
            tag("SnapShotList", *ids, Num=len(ids)),
        )  # fmt: skip

    async def _one(self, order: Order, number: int) -> str:
        """Take one and send it; returns its name."""
        # A right may have ended, and masks may have come, since it was ordered.
        authorise(order.call.subject, KEY, order.camera, masked=self._parts.masked)
        jpeg, at_us = await self._parts.snapshot(order.camera, f"{order.camera}/main", 0)
        at = datetime.fromtimestamp(at_us / 1e6, BEIJING)
        stamp = f"{at:%Y%m%d%H%M%S}{at.microsecond // 1000:03}"
        name = f"{order.call.body.device}01{stamp}{number:02}"
        await _post(order, name, jpeg)
        return name


async def _post(order: Order, name: str, jpeg: bytes) -> None:
    def connected(found: Any) -> socket.socket:  # noqa: ANN401 - as of getaddrinfo
        """Judge what is connected to, whatever the name led to before."""
        family, kind, protocol, _, address = found
        if address[0] != order.call.address:
            raise PermissionError(errno.EACCES, "pictures go to the platform's own address only")
        return socket.socket(family, kind, protocol)

    form = aiohttp.FormData()
    form.add_field("file", jpeg, filename=f"{name}.jpg", content_type="image/jpeg")
    connector = aiohttp.TCPConnector(socket_factory=connected, force_close=True)
    try:
        async with (
            aiohttp.ClientSession(
                connector=connector, timeout=aiohttp.ClientTimeout(total=POST_S),
                cookie_jar=aiohttp.DummyCookieJar(), trust_env=False,
            ) as session,
            session.post(
                order.url.update_query(SessionID=order.session), data=form, allow_redirects=False
            ) as answer,
        ):  # fmt: skip
            status = answer.status
    except (aiohttp.ClientError, OSError, TimeoutError, ValueError) as err:
        raise Unavailable("gb.unreachable", str(err) or "it did not answer") from err
    if not 200 <= status < 300:
        raise Unavailable("gb.unreachable", f"it answers HTTP {status}")
