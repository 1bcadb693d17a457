"""Who is on an RTSP connection: machine credentials by Digest, one user a connection.

Challenges go out SHA-256 first and MD5 last (ffmpeg and GStreamer answer only MD5). A nonce is
good for five minutes and for the connection that got it; once a connection has proven itself the
count protects what follows, so that a keepalive after six minutes is not refused: readers send
those without waiting for the answer.
"""

import secrets
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from nvr.auth.user import Span
from nvr.base.clock import Clock
from nvr.base.errors import Rejected
from nvr.wire.digest import NONCE_LIFE_S, Algorithm, Answer, Counter, Nonces, challenges
from nvr.wire.rtsp import Headers, Request

_BEGINNING = frozenset({"DESCRIBE", "SETUP", "PLAY"})


@dataclass(frozen=True, slots=True)
class Access:
    """What the server must know about rights; `app` fills it from `nvr.auth`.

    Attributes:
        lookup: HA1 of a machine's name in `realm` for an algorithm, None if unknown.
        authorise: ``(user, "rtsp PLAY cam/{name}", camera, span)`` returns or raises `Rejected`.
        enter: ``(user, address)``: let a guess in, or raise `Rejected` unseen.
        right: Told what `enter` returned when the guess was right.
        realm: Digest realm.
    """

    lookup: Callable[[str, Algorithm], str | None]
    authorise: Callable[[str, str, str, Span | None], None]
    enter: Callable[[str, str], Any]
    right: Callable[[Any], None]
    realm: str = "nvr"


class Denied(Exception):
    """The request gets this answer instead of what it asked for."""

    def __init__(self, status: int, headers: Headers) -> None:
        super().__init__(status)
        self.status = status
        self.headers = headers


class Doorkeeper:
    """Makes and checks the nonces of one server."""

    def __init__(self, access: Access, clock: Clock) -> None:
        self.access = access
        self._clock = clock
        self._nonces = Nonces(secrets.token_bytes(32))
        self._nobody = {"MD5": secrets.token_hex(16), "SHA-256": secrets.token_hex(32)}

    def challenge(self, counter: Counter, *, stale: bool = False) -> Denied:
        """A 401 with a nonce of this connection's own."""
        nonce = self._nonces.make(self._clock.monotonic_s(), secrets.token_bytes(8))
        counter.issued(nonce)
        offers = challenges(self.access.realm, nonce, stale=stale)
        return Denied(401, tuple(("WWW-Authenticate", offer) for offer in offers))

    def identify(self, request: Request, counter: Counter, address: str, known: str) -> str:
        """Return who sent `request`.

        Args:
            request: With or without ``Authorization``.
            counter: What the connection has used.
            address: IP address of the peer.
            known: Who the connection belongs to already, empty if nobody.

        Raises:
            Denied: 401 with a challenge.
            Rejected: ``auth.throttled``.
        """
        header = request.header("Authorization")
        answer = Answer.parse(header) if header else None
        if answer is None:
            raise self.challenge(counter)
        age_s = self._nonces.age_s(answer.nonce, self._clock.monotonic_s())
        late = age_s is None or age_s > NONCE_LIFE_S
        if late and (not known or request.method in _BEGINNING):
            raise self.challenge(counter, stale=age_s is not None)
        guess = known != answer.user
        attempt = self.access.enter(answer.user, address) if guess else None
        secret = self.access.lookup(answer.user, answer.algorithm)
        proven = answer.proves(
            secret or self._nobody[answer.algorithm],  # an unknown name takes as long
            self.access.realm,
            request.method,
            request.uri,
        )
        if not (proven and secret):
            if not guess:
                self.access.enter(answer.user, address)
            raise self.challenge(counter)
        if not counter.take(answer):
            raise self.challenge(counter, stale=True)
        if guess:
            self.access.right(attempt)
        return answer.user

    def allow(
        self, user: str, method: str, camera: str, what: str = "cam", span: Span | None = None
    ) -> None:
        """Check the right on the object: what is live, or a span of what is recorded (``rec``).

        Raises:
            Rejected: The policy refuses.
        """
        self.access.authorise(user, f"rtsp {method} {what}/{{name}}", camera, span)


def refused(error: Rejected) -> Denied:
    """What a refusal looks like on the wire: 403 and our stable code."""
    return Denied(403, (("X-NVR-Code", error.code),))
