"""Passwords of people: argon2id in one thread of its own, so that log-ins never crowd recording.

m = 19 MiB, t = 2, p = 1 is the least OWASP and our own requirement S3 allow. One hash at a time
bounds the memory to one such block; nine waiting log-ins are answered with 503 instead.

Source: RFC 9106 (argon2), OWASP Password Storage Cheat Sheet 2025.
"""

import asyncio
import unicodedata
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import ParamSpec, TypeVar

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

from nvr.base.errors import Rejected, Unavailable

P = ParamSpec("P")
T = TypeVar("T")

MOST_WAITING = 8
SHORTEST, LONGEST = 8, 128


class Hasher:
    """Hashes and compares passwords, one at a time, in its own thread.

    Args:
        memory_kib: Memory of one hash.
        passes: Passes over it.
    """

    def __init__(self, memory_kib: int = 19 * 1024, passes: int = 2) -> None:
        self._argon = PasswordHasher(time_cost=passes, memory_cost=memory_kib, parallelism=1)
        self._pool = ThreadPoolExecutor(1, "auth")
        self._waiting = 0
        # Compared against for a name that does not exist, so that both take the same time.
        self._dummy = self._argon.hash("nobody has this password")

    def check_strength(self, password: str, name: str) -> None:
        """Refuse what is guessed first.

        Raises:
            Rejected: ``password.weak``.
        """
        plain = _normal(password)
        if not SHORTEST <= len(plain) <= LONGEST:
            raise Rejected("password.weak", f"a password has {SHORTEST} to {LONGEST} characters")
        if len(set(plain)) < 4 or plain.casefold() == name.casefold() * (
            len(plain) // max(1, len(name))
        ):
            raise Rejected("password.weak", "that password is guessed at once")

    async def hash(self, password: str) -> str:
        """Return the encoded argon2id hash.

        Raises:
            Unavailable: ``auth.busy``.
        """
        return await self._queued(self._argon.hash, _normal(password))

    async def verify(self, encoded: str | None, password: str) -> bool:
        """True if `password` belongs to `encoded`; None takes as long and is False.

        Raises:
            Unavailable: ``auth.busy``.
        """
        right = await self._queued(self._matches, encoded or self._dummy, _normal(password))
        return right and encoded is not None

    def outdated(self, encoded: str) -> bool:
        """True if the hash was made with other parameters than today's."""
        return self._argon.check_needs_rehash(encoded)

    async def beside(self, call: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Run a small blocking write in the same thread, not counted against the queue."""
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._pool, lambda: call(*args, **kwargs))

    def close(self) -> None:
        """End the thread after what it is doing."""
        self._pool.shutdown(cancel_futures=True)

    def _matches(self, encoded: str, password: str) -> bool:
        try:
            return self._argon.verify(encoded, password)
        except (VerificationError, InvalidHashError):
            return False

    async def _queued(self, call: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        if self._waiting > MOST_WAITING:
            raise Unavailable("auth.busy", "too many log-ins at once, try again in a second")
        self._waiting += 1
        try:
            return await self.beside(call, *args, **kwargs)
        finally:
            self._waiting -= 1


def _normal(password: str) -> str:
    """One spelling for what looks the same: input methods differ in how they compose."""
    return unicodedata.normalize("NFKC", password[: LONGEST * 4])
