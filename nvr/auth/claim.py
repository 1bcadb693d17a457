"""First use: whoever reads the code off the box's console becomes its administrator.

The code is 60 random bits in Crockford base32, printed as ``XXXX-XXXX-XXXX``. It stays the same
over restarts until it is used, and is gone afterwards. Ten wrong codes close the claim for
fifteen minutes; a restart in between starts that pause anew.

Source: Crockford base32 (https://www.crockford.com/base32.html).
"""

import hmac
import secrets
import sqlite3

from nvr.auth.user import User, Users, insert_user, rights_of
from nvr.base.clock import Clock
from nvr.base.crockford import ALPHABET, grouped, normal
from nvr.base.errors import Rejected

LENGTH = 12
MOST_WRONG = 10
PAUSE_S = 15 * 60.0


class Claim:
    """Whether the box has an owner, and the code that makes one."""

    def __init__(self, db: sqlite3.Connection, users: Users, clock: Clock) -> None:
        self._db = db
        self._users = users
        self._clock = clock
        self._claimed = self._get("claimed") == "1"
        self._code = "" if self._claimed else self._get("claim_code")
        if not self._claimed and not self._code:
            self._code = "".join(secrets.choice(ALPHABET) for _ in range(LENGTH))
            self._put("claim_code", self._code)
        self._wrong = int(self._get("claim_wrong") or 0)
        self._paused_until_s = (
            clock.monotonic_s() + PAUSE_S if self._wrong >= MOST_WRONG else float("-inf")
        )

    @property
    def claimed(self) -> bool:
        """The box has an administrator."""
        return self._claimed

    def code(self) -> str:
        """The code for the console, in groups; empty once claimed."""
        return grouped(self._code, 4)

    async def claim(self, code: str, name: str, password: str) -> User:
        """Make the first administrator, once.

        Raises:
            Rejected: ``claim.done``, ``claim.wrong``, ``claim.paused``; ``user.invalid``,
                ``password.weak``: the code was right and stays good.
            Unavailable: ``auth.busy``, ``state.unwritable``.
        """
        self._check(code)
        rights = rights_of({})
        user = await self._users.prepare(name, "admin", password, rights)
        if self._claimed:  # somebody else was faster while the password was hashed
            raise Rejected("claim.done", "the box has an administrator already")
        self._claimed = True
        try:
            self._close(user)
        except BaseException:
            self._claimed = False
            raise
        self._code = ""
        self._users.adopt(user)
        return user

    def _check(self, code: str) -> None:
        if self._claimed:
            raise Rejected("claim.done", "the box has an administrator already")
        now_s = self._clock.monotonic_s()
        if now_s < self._paused_until_s:
            raise Rejected(
                "claim.paused",
                "too many wrong codes, wait before the next",
                retry_after_s=round(self._paused_until_s - now_s, 1),
            )
        if self._wrong >= MOST_WRONG:
            self._wrong = 0
        if hmac.compare_digest(normal(code).encode(), self._code.encode()):
            return
        self._wrong += 1
        self._put("claim_wrong", str(self._wrong))
        if self._wrong >= MOST_WRONG:
            self._paused_until_s = now_s + PAUSE_S
        raise Rejected("claim.wrong", "that is not the code on the console")

    def _close(self, user: User) -> None:
        """Account in, code out, in one transaction: a power cut leaves one state or the other."""
        self._db.execute("BEGIN IMMEDIATE")
        try:
            insert_user(self._db, user)
            self._db.execute("INSERT OR REPLACE INTO box VALUES ('claimed', '1')")
            self._db.execute("DELETE FROM box WHERE key IN ('claim_code', 'claim_wrong')")
        except BaseException:
            self._db.execute("ROLLBACK")
            raise
        self._db.execute("COMMIT")

    def _get(self, key: str) -> str:
        row = self._db.execute("SELECT value FROM box WHERE key = ?", (key,)).fetchone()
        return str(row[0]) if row else ""

    def _put(self, key: str, value: str) -> None:
        self._db.execute("INSERT OR REPLACE INTO box VALUES (?, ?)", (key, value))
