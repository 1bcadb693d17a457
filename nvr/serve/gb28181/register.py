"""Registration with one platform: what is said, and what its answer means.

::

    REGISTER -> 401 or 407 -> REGISTER with the answer to the challenge -> 200, Date and Expires
             -> 302, Contact: another server is to be registered with
             -> anything else, or nothing: later again

Source: GB/T 28181-2022, section 9.1; RFC 3261, sections 10.2 and 22.
"""

import re
import secrets
from dataclasses import dataclass, replace
from typing import Final

from nvr.base.clock import Clock
from nvr.base.errors import Unavailable
from nvr.media.gb28181 import PlatformSettings
from nvr.serve.gb28181.link import VERSIONS, Link
from nvr.wire.digest import Login
from nvr.wire.manscdp import Edition, time_us
from nvr.wire.sip import Request, Response, Uri

SHORTEST_S: Final = 60
_SECONDS: Final = re.compile(r"[0-9]{1,9}")


@dataclass(frozen=True, slots=True)
class Registered:
    """It knows us.

    Attributes:
        expires_s: For so long.
        edition: The newest of the standard that both know.
        date_us: What its clock said, UTC microseconds; None if it did not say.
        took_ms: From our last question to that answer, so that it may be as much behind by now.
    """

    expires_s: int
    edition: Edition
    date_us: int | None
    took_ms: int


@dataclass(frozen=True, slots=True)
class Redirected:
    """It sends us to another server."""

    server: str
    host: str
    port: int


class Registrar:
    """Our registration over one link; one ``Call-ID``, numbers that only rise.

    Args:
        link: Way to the platform.
        settings: Of the platform.
        password: Of our log-in.
        clock: Time source.
    """

    def __init__(self, link: Link, settings: PlatformSettings, password: str, clock: Clock) -> None:
        self._link, self._settings, self._clock = link, settings, clock
        self._asked_s = 0.0
        self._login = Login(settings.user or settings.device, password)
        self._proxy = False
        self._number = 0
        self._call_id = f"{secrets.token_hex(10)}@{link.wire.local[0]}"
        self._tag = secrets.token_hex(6)

    async def register(self) -> Registered | Redirected:
        """Register, or register anew.

        Raises:
            Unavailable: ``gb.silent``, ``gb.refused``, ``gb.password``, ``gb.lost``.
        """
        response = await self._ask(self._settings.expires_s)
        if response is None:
            raise Unavailable("gb.silent", "the platform does not answer")
        if 300 <= response.status < 400:
            return self._redirected(response)
        if response.status in {401, 407}:
            raise Unavailable("gb.password", "the platform takes neither name nor password")
        if response.status != 200:
            raise Unavailable(
                "gb.refused",
                f"the platform does not register us: {response.status} {_words(response.reason)}",
                status=response.status,
            )
        return self._registered(response)

    def leave(self) -> None:
        """Say that we go; nobody waits for the answer."""
        self._link.tell(self._request(0))

    async def _ask(self, expires_s: int) -> Response | None:
        """Send it, and once or twice again for a challenge that can be answered."""
        while True:
            self._asked_s = self._clock.monotonic_s()
            response = await self._link.ask(self._request(expires_s))
            if response is None or response.status not in {401, 407}:
                if response is not None and response.status == 200:
                    self._login.accepted()
                return response
            self._proxy = response.status == 407
            name = "Proxy-Authenticate" if self._proxy else "WWW-Authenticate"
            if not self._login.challenged(response.all(name)):
                return response
            challenge = self._login.challenge
            if challenge is None or challenge.scheme != "digest":
                return response  # a password is never sent in the clear

    def _request(self, expires_s: int) -> Request:
        self._number += 1
        link = self._link
        uri = link.server_uri
        headers = [
            ("From", f"<{link.own_uri}>;tag={self._tag}"),
            ("To", f"<{link.own_uri}>"),
            ("Call-ID", self._call_id),
            ("CSeq", f"{self._number} REGISTER"),
            ("Contact", link.contact),
            ("Expires", str(expires_s)),
            ("X-GB-Ver", VERSIONS[self._settings.edition]),
        ]
        said = self._login.authorization("REGISTER", uri, secrets.token_hex(8))
        if said is not None:
            headers.append(("Proxy-Authorization" if self._proxy else "Authorization", said))
        return link.request("REGISTER", uri, headers)

    def _registered(self, response: Response) -> Registered:
        said = response.get("Expires").strip()
        if not _SECONDS.fullmatch(said):
            contact = Uri.parse(response.get("Contact"))
            rest = response.get("Contact").rpartition(">")[2]
            found = re.search(r";\s*expires=([0-9]{1,9})", rest) if contact else None
            said = found.group(1) if found else str(self._settings.expires_s)
        expires_s = min(max(int(said), SHORTEST_S), 10 * 86400)
        spoken: Edition = self._settings.edition
        if response.get("X-GB-Ver").strip() in {"1.0", "1.1", "2.0"}:
            spoken = "2016"
        took_ms = round((self._clock.monotonic_s() - self._asked_s) * 1000)
        return Registered(expires_s, spoken, time_us(response.get("Date")), took_ms)

    def _redirected(self, response: Response) -> Redirected:
        contact = Uri.parse(response.get("Contact"))
        if contact is None or not contact.user.isdecimal():
            raise Unavailable("gb.redirect", "the platform sends us on, but does not say where to")
        return Redirected(contact.user, contact.host.strip("[]"), contact.port or 5060)


def elsewhere(settings: PlatformSettings, to: Redirected) -> PlatformSettings:
    """The same platform at the server that it sent us to."""
    return replace(settings, host=to.host, port=to.port, server=to.server, domain=settings.domain)


def check_redirection(host: str, to: Redirected) -> None:
    """Refuse to be sent to this box itself.

    Raises:
        Unavailable: ``gb.redirect``.
    """
    if to.host in {"127.0.0.1", "::1", "localhost", "0.0.0.0"} and host != to.host:  # noqa: S104 - refused
        raise Unavailable("gb.redirect", "the platform sends us to ourselves", host=to.host)


def _words(text: str) -> str:
    return "".join(c for c in text if " " <= c <= "~")[:64]
