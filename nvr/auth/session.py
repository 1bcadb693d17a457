"""Sessions of people, kept on the server: the cookie is a random number and nothing else.

A session ends 30 minutes after its last use, 12 hours after log-in, at log-out, and when its
account changes. Only the SHA-256 of the number is kept, and only in memory: a restart signs
everybody out.
"""

import hashlib
import itertools
import secrets
from collections.abc import Callable
from dataclasses import dataclass

from nvr.auth.user import Subject, User
from nvr.base.clock import Clock

IDLE_S = 30 * 60.0
ABSOLUTE_S = 12 * 3600.0
MOST_PER_USER = 16
MOST = 512


@dataclass(slots=True)
class Session:
    """One signed-in browser.

    Attributes:
        number: Small number for the log; never the secret.
        subject: Who it is.
        address: Where it signed in from.
        opened_s: Monotonic seconds of log-in.
        used_s: Monotonic seconds of the last use.
        ended: It is over; whoever serves it must stop.
    """

    number: int
    subject: Subject
    address: str
    opened_s: float
    used_s: float
    ended: bool = False


class Sessions:
    """All sessions; the oldest ends when there are too many."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._numbers = itertools.count(1)
        self._sessions: dict[bytes, Session] = {}

    def __len__(self) -> int:
        return len(self._sessions)

    def open(self, user: User, address: str) -> tuple[str, Session]:
        """Begin a session.

        Returns:
            The cookie's value, 256 bits, and the session.
        """
        now_s = self._clock.monotonic_s()
        self.sweep()
        own = [key for key, one in self._sessions.items() if one.subject.name == user.name]
        for key in own[: max(0, len(own) - MOST_PER_USER + 1)]:
            self._end(key)
        if len(self._sessions) >= MOST:
            self._end(next(iter(self._sessions)))
        token = secrets.token_urlsafe(32)
        session = Session(next(self._numbers), user.subject(), address, now_s, now_s)
        self._sessions[_key(token)] = session
        return token, session

    def find(self, token: str, *, use: bool = True) -> Session | None:
        """The live session of a cookie, or None; `use` starts its idle time afresh."""
        session = self._sessions.get(_key(token))
        if session is None or not self.alive(session):
            return None
        if use:
            session.used_s = self._clock.monotonic_s()
        return session

    def use(self, session: Session) -> None:
        """Note that somebody is there: a control command, a picture being watched."""
        if self.alive(session):
            session.used_s = self._clock.monotonic_s()

    def alive(self, session: Session) -> bool:
        """False once the session is over; whoever serves it long asks again and again."""
        now_s = self._clock.monotonic_s()
        if now_s - session.used_s >= IDLE_S or now_s - session.opened_s >= ABSOLUTE_S:
            session.ended = True
        return not session.ended

    def close(self, token: str) -> None:
        """End the session of a cookie, if there is one."""
        key = _key(token)
        if key in self._sessions:
            self._end(key)

    def close_user(self, name: str) -> None:
        """End every session of an account: it was changed or removed."""
        self._close_if(lambda session: session.subject.name == name)

    def sweep(self) -> None:
        """Forget sessions that are over."""
        self._close_if(lambda session: not self.alive(session))

    def _close_if(self, over: Callable[[Session], bool]) -> None:
        for key in [key for key, session in self._sessions.items() if over(session)]:
            self._end(key)

    def _end(self, key: bytes) -> None:
        self._sessions.pop(key).ended = True


def _key(token: str) -> bytes:
    return hashlib.sha256(token.encode("utf-8", "surrogatepass")).digest()
