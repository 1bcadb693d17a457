"""Who asks: a machine's credential, by HTTP Digest or by a WS-UsernameToken, each answer once.

Digest goes out as SHA-256 first and MD5 last, as on RTSP. A nonce proves its own age; what was
answered with it is remembered until it is too old, so that a recorded request is no use. Hosts
answer on whichever connection they like, so a nonce belongs to none here.

A token must be of a time that is close to ours, and its nonce new within that window. It needs
the secret itself, not a digest of it: only credentials that were made for ONVIF have it.

Source: RFC 7616; WSS UsernameToken Profile 1.1; ONVIF Core Specification 23.06, section 5.9.
"""

import secrets
from dataclasses import dataclass
from typing import Literal

from nvr.auth.machine import REALM, Machines
from nvr.auth.throttle import Throttle
from nvr.auth.user import Subject
from nvr.base.clock import Clock
from nvr.base.errors import Rejected
from nvr.wire.digest import NONCE_LIFE_S, Answer, Nonces, challenges
from nvr.wire.soap import Token, instant_us

MOST_KEPT = 20_000
"""Answers remembered; only who proved itself adds one, so 150 a second and more are refused."""

How = Literal["digest", "token"]


class Denied(Exception):
    """Nobody proved who asks.

    Attributes:
        why: One sentence.
        challenges: Values of ``WWW-Authenticate``.
    """

    def __init__(self, why: str, offers: list[str]) -> None:
        super().__init__(why)
        self.why = why
        self.challenges = offers


@dataclass(frozen=True, slots=True)
class Credential:
    """What a request brings along.

    Attributes:
        method: HTTP's.
        uri: Of the request line.
        authorization: Header, empty if there is none.
        token: None if there is none.
        address: IP address of the peer.
    """

    method: str
    uri: str
    authorization: str
    token: Token | None
    address: str


class Login:
    """Checks credentials and remembers what was used of them.

    Args:
        machines: Who there is.
        throttle: Slows guessing down.
        clock: Time source.
        window_s: How far a token's time may be off.
    """

    def __init__(
        self, machines: Machines, throttle: Throttle, clock: Clock, window_s: float
    ) -> None:
        self._machines, self._throttle, self._clock = machines, throttle, clock
        self._window_s = window_s
        self._nonces = Nonces(secrets.token_bytes(32))
        self._nobody = {"MD5": secrets.token_hex(16), "SHA-256": secrets.token_hex(32)}
        self._used: dict[tuple[str, ...], float] = {}

    def denied(self, why: str, *, stale: bool = False) -> Denied:
        """A refusal with a fresh challenge."""
        nonce = self._nonces.make(self._clock.monotonic_s(), secrets.token_bytes(8))
        return Denied(why, challenges(REALM, nonce, stale=stale))

    def identify(self, given: Credential) -> tuple[Subject, How]:
        """Return who asks, and how that was shown.

        Raises:
            Denied: It was not.
            Rejected: ``auth.throttled``.
        """
        answer = Answer.parse(given.authorization) if given.authorization else None
        if answer is not None:
            return self._by_digest(given, answer), "digest"
        if given.token is not None:
            return self._by_token(given.token, given.address), "token"
        raise self.denied("sign in: HTTP Digest, or a WS-UsernameToken with a digest")

    def _by_digest(self, given: Credential, answer: Answer) -> Subject:
        age_s = self._nonces.age_s(answer.nonce, self._clock.monotonic_s())
        if age_s is None or age_s > NONCE_LIFE_S:
            raise self.denied("the nonce is too old, or none of ours", stale=age_s is not None)
        attempt = self._throttle.enter(answer.user, given.address)
        secret = self._machines.ha1(answer.user, answer.algorithm)
        proven = answer.proves(
            secret or self._nobody[answer.algorithm],  # an unknown name takes as long
            REALM,
            given.method,
            given.uri,
        )
        subject = self._machines.subject(answer.user)
        if not proven or subject is None:
            raise self.denied("name and secret do not fit")
        self._throttle.right(attempt)
        left_s = NONCE_LIFE_S - age_s
        if not self._take((answer.nonce, str(answer.count)), left_s):
            raise self.denied("this answer was given before", stale=True)
        return subject

    def _by_token(self, token: Token, address: str) -> Subject:
        attempt = self._throttle.enter(token.user, address)
        secret = self._machines.secret(token.user)
        proven = token.proves(secret or self._nobody["SHA-256"])
        subject = self._machines.subject(token.user)
        if not proven or not secret or subject is None:
            raise self.denied("name and secret do not fit, or the credential is not for tokens")
        self._throttle.right(attempt)
        created_us = instant_us(token.created)
        if created_us is None:
            raise self.denied("the token's time is none")
        off_s = (created_us - self._clock.wall_us()) / 1e6
        if abs(off_s) > self._window_s:
            raise self.denied(f"the token's time is {off_s:+.0f} s off the box's clock")
        key = (token.user, token.nonce.hex(), token.created)
        if not self._take(key, off_s + self._window_s):
            raise self.denied("this token was used before")
        return subject

    def _take(self, key: tuple[str, ...], left_s: float) -> bool:
        """Use an answer up; False if it was used before, or too many are remembered."""
        now_s = self._clock.monotonic_s()
        if len(self._used) >= MOST_KEPT:
            self._used = {one: until_s for one, until_s in self._used.items() if until_s > now_s}
        if len(self._used) >= MOST_KEPT or self._used.get(key, now_s) > now_s:
            return False
        self._used[key] = now_s + left_s + 1.0  # a step of the wall clock by less changes nothing
        return True


def throttled(error: Rejected) -> Denied:
    """A refusal without a challenge: who waits is not asked again."""
    return Denied(f"{error.code}: {error.detail}", [])
