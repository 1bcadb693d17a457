"""What waits for webhooks, over restarts: ``webhook.db``, bounded for each receiver.

A disk that refuses costs the message, and never more.
"""

import contextlib
import logging
import sqlite3
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from nvr.base.log import event

_log = logging.getLogger(__name__)

Found = TypeVar("Found")
FILE = "webhook.db"
MOST = 1000
"""So many wait for one receiver; then the oldest goes."""
_SCHEMA = """
CREATE TABLE IF NOT EXISTS waiting (
  number INTEGER PRIMARY KEY AUTOINCREMENT, hook TEXT NOT NULL, id TEXT NOT NULL,
  body BLOB NOT NULL, made_us INTEGER NOT NULL, tries INTEGER NOT NULL DEFAULT 0,
  next_us INTEGER NOT NULL DEFAULT 0
);
CREATE INDEX IF NOT EXISTS of ON waiting (hook, number);
"""


@dataclass(frozen=True, slots=True)
class Waiting:
    """One message that waits.

    Attributes:
        number: Under which it is kept.
        id: Of the message.
        body: JSON.
        made_us: UTC microseconds when it was written.
        tries: Attempts so far.
        next_us: UTC microseconds of the next.
    """

    number: int
    id: str
    body: bytes
    made_us: int
    tries: int
    next_us: int


class HookQueue:
    """Blocks on the disk. Safe for several threads.

    Args:
        path: Of the database; one that cannot be read is begun anew.
    """

    def __init__(self, path: Path) -> None:
        self._lock = threading.Lock()
        self._refused = False
        self._db = _opened(path)

    def close(self) -> None:
        """Let go of the file."""
        with self._lock:
            self._db.close()

    def put(self, hook: str, ident: str, body: bytes, at_us: int) -> int:
        """Keep a message; returns how many were dropped for it, or that it was itself: 1."""

        def kept(db: sqlite3.Connection) -> int:
            db.execute(
                "INSERT INTO waiting (hook, id, body, made_us) VALUES (?, ?, ?, ?)",
                (hook, ident, body, at_us),
            )
            done = db.execute(
                "DELETE FROM waiting WHERE hook = ? AND number <= (SELECT number FROM waiting"
                " WHERE hook = ? ORDER BY number DESC LIMIT 1 OFFSET ?)",
                (hook, hook, MOST),
            )
            return done.rowcount

        return self._try(kept, 1)

    def first(self, hook: str) -> Waiting | None:
        """The oldest for a receiver."""
        found = self._rows(
            "SELECT number, id, body, made_us, tries, next_us FROM waiting"
            " WHERE hook = ? ORDER BY number LIMIT 1",
            hook,
        )
        return Waiting(*found[0]) if found else None

    def later(self, number: int, next_us: int) -> None:
        """An attempt failed: the next is then."""
        self._rows(
            "UPDATE waiting SET tries = tries + 1, next_us = ? WHERE number = ?", next_us, number
        )

    def remove(self, number: int) -> None:
        """It was taken, or is given up."""
        self._rows("DELETE FROM waiting WHERE number = ?", number)

    def forget(self, hook: str) -> None:
        """There is no such receiver any more."""
        self._rows("DELETE FROM waiting WHERE hook = ?", hook)

    def keep_only(self, hooks: Sequence[str]) -> None:
        """Forget what waits for others."""
        marks = ", ".join("?" * len(hooks))
        self._rows(f"DELETE FROM waiting WHERE hook NOT IN ({marks})", *hooks)  # noqa: S608 - marks only

    def count(self, hook: str) -> int:
        """How many wait for a receiver."""
        found = self._rows("SELECT count(*) FROM waiting WHERE hook = ?", hook)
        return int(found[0][0]) if found else 0

    def _rows(self, query: str, *values: object) -> list[Any]:
        return self._try(lambda db: db.execute(query, values).fetchall(), [])

    def _try(self, ask: Callable[[sqlite3.Connection], Found], otherwise: Found) -> Found:
        with self._lock:
            try:
                self._db.execute("BEGIN IMMEDIATE")
                with self._db:
                    found = ask(self._db)
            except sqlite3.Error as err:
                level = logging.DEBUG if self._refused else logging.WARNING
                self._refused = True
                event(_log, level, "notify.not_kept", error=str(err))
                return otherwise
            self._refused = False
            return found


def _opened(path: Path) -> sqlite3.Connection:
    for _ in range(2):
        db = sqlite3.connect(path, timeout=10, isolation_level=None, check_same_thread=False)
        try:
            db.execute("PRAGMA journal_mode=WAL")
            db.execute("PRAGMA synchronous=NORMAL")
            db.executescript(_SCHEMA)
        except sqlite3.DatabaseError as err:
            db.close()
            event(_log, logging.WARNING, "notify.begun_anew", error=str(err))
            with contextlib.suppress(OSError):
                for tail in ("", "-wal", "-shm"):
                    path.with_name(path.name + tail).unlink(missing_ok=True)
        else:
            return db
    db = sqlite3.connect(":memory:", isolation_level=None, check_same_thread=False)
    db.executescript(_SCHEMA)
    return db
