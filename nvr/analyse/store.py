"""What happened, kept in ``event.db`` with its pictures: bounded in number, bytes and age.

Pictures go first, the oldest of them; rows are small. A disk that refuses costs the row, and never
more: whoever tells of something is not to be stopped by that.
"""

import contextlib
import logging
import sqlite3
import threading
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.parse import quote

from nvr.base.errors import Damaged
from nvr.base.log import event
from nvr.media.happening import OBJECT, Happening, Kind, Source

_log = logging.getLogger(__name__)

FILE = "event.db"
MOST_ROWS = 200_000
MOST_PICTURE_BYTES = 64 << 20
_TRIM_EVERY = 64
_SCHEMA = """
CREATE TABLE IF NOT EXISTS happening (
  number INTEGER PRIMARY KEY AUTOINCREMENT,
  camera TEXT NOT NULL, kind TEXT NOT NULL, zone TEXT NOT NULL,
  from_us INTEGER NOT NULL, to_us INTEGER, strength INTEGER NOT NULL,
  jpeg BLOB, source TEXT NOT NULL DEFAULT ''
);
CREATE INDEX IF NOT EXISTS at ON happening (camera, from_us);
CREATE INDEX IF NOT EXISTS pictured ON happening (number) WHERE jpeg IS NOT NULL;
"""
_COLUMNS = "number, camera, kind, zone, from_us, to_us, strength, jpeg IS NOT NULL, source"
_Key = tuple[str, Kind, str, Source]


class Store:
    """Keeps what happened. Safe for several threads. See `nvr.media.happening.Happenings`.

    Args:
        path: Of the database.
        keep_us: For how many microseconds a camera's are kept.

    Attributes:
        told: Told what began or ended, from any thread, under the lock: it must not wait.
    """

    def __init__(self, path: Path, keep_us: Callable[[str], int]) -> None:
        self._keep_us = keep_us
        self.told: Callable[[Happening], None] = lambda _one: None
        self._lock = threading.Lock()
        self._open: dict[_Key, Happening] = {}
        self._since_trim = 0
        self._refused = False
        self._db = _opened(path)
        # What a power cut left open has no end that anybody saw.
        self._write("UPDATE happening SET to_us = from_us WHERE to_us IS NULL", ())

    def close(self) -> None:
        """Let go of the file."""
        with self._lock:
            self._db.close()

    def begin(
        self,
        camera: str,
        kind: Kind,
        zone: str,
        at_us: int,
        strength: int = 0,
        jpeg: bytes = b"",
        source: Source = "",
    ) -> Happening | None:
        """Note that something begins; None if the disk refuses."""
        with self._lock:
            number = self._write(
                "INSERT INTO happening (camera, kind, zone, from_us, strength, jpeg, source)"
                " VALUES (?, ?, ?, ?, ?, ?, ?)",
                (camera, kind, zone, at_us, strength, jpeg or None, source),
            )
            if number is None:
                return None
            made = Happening(number, camera, kind, zone, at_us, None, strength, bool(jpeg), source)
            self._open = {**self._open, (camera, kind, zone, source): made}
            self._since_trim += 1
            if self._since_trim >= _TRIM_EVERY:
                self._trim(at_us)
            self.told(made)
            return made

    def better(self, camera: str, kind: Kind, zone: str, strength: int, jpeg: bytes) -> None:
        """Take a clearer picture of something that goes on."""
        with self._lock:
            made = self._open.get((camera, kind, zone, ""))
            if made is not None and jpeg:
                self._write(
                    "UPDATE happening SET strength = ?, jpeg = ? WHERE number = ?",
                    (strength, jpeg, made.number),
                )

    def end(
        self,
        camera: str,
        kind: Kind,
        zone: str,
        at_us: int,
        strength: int = 0,
        source: Source = "",
    ) -> Happening | None:
        """Note that it is over; None if it never began, or the disk refuses."""
        with self._lock:
            made = self._open.get((camera, kind, zone, source))
            if made is None:
                return None
            self._open = {key: one for key, one in self._open.items() if one is not made}
            to_us = max(at_us, made.from_us)
            self._write(
                "UPDATE happening SET to_us = ?, strength = max(strength, ?) WHERE number = ?",
                (to_us, strength, made.number),
            )
            over = replace(made, to_us=to_us, strength=max(strength, made.strength))
            self.told(over)
            return over

    def open(self, camera: str) -> tuple[Happening, ...]:
        """What goes on at a camera now."""
        return tuple(one for one in self._open.values() if one.camera == camera)

    def between(
        self, camera: str, from_us: int, to_us: int, kinds: Sequence[Kind] = (), most: int = 1000
    ) -> list[Happening]:
        """What happened at a camera between two wall times, the newest `most`, in order."""
        chosen, wanted = _of_kinds(kinds)
        query = (
            f"SELECT {_COLUMNS} FROM happening WHERE camera = ? AND from_us < ?"  # noqa: S608 - marks only
            f" AND (to_us IS NULL OR to_us >= ?){chosen}"
            " ORDER BY from_us DESC LIMIT ?"
        )
        with self._lock:
            try:
                rows = self._db.execute(query, (camera, to_us, from_us, *wanted, most)).fetchall()
            except sqlite3.Error as err:
                self._say(err)
                return []
        return [_happening(row) for row in reversed(rows)]

    def picture(self, camera: str, number: int) -> tuple[bytes, int] | None:
        """A JPEG of one of them, and the UTC microseconds of its begin."""
        with self._lock:
            try:
                row = self._db.execute(
                    "SELECT jpeg, from_us FROM happening WHERE camera = ? AND number = ?",
                    (camera, number),
                ).fetchone()
            except (sqlite3.Error, OverflowError) as err:
                self._say(err)
                return None
        return (bytes(row[0]), int(row[1])) if row and row[0] is not None else None

    def forget(self, camera: str) -> None:
        """Erase all of a camera."""
        with self._lock:
            self._open = {key: one for key, one in self._open.items() if one.camera != camera}
            self._write("DELETE FROM happening WHERE camera = ?", (camera,))

    def trim(self, now_us: int) -> None:
        """Erase what is too old or too much."""
        with self._lock:
            self._trim(now_us)

    def _trim(self, now_us: int) -> None:
        self._since_trim = 0
        try:
            cameras = [row[0] for row in self._db.execute("SELECT DISTINCT camera FROM happening")]
            sizes = self._db.execute(
                "SELECT number, length(jpeg) FROM happening WHERE jpeg IS NOT NULL"
                " ORDER BY number DESC"
            )
            total, spared = 0, 0
            for number, size in sizes:
                total += size
                if total > MOST_PICTURE_BYTES:
                    spared = number
                    break
            last = self._db.execute("SELECT max(number) FROM happening").fetchone()[0] or 0
        except sqlite3.Error as err:
            self._say(err)
            return
        for camera in cameras:
            oldest_us = now_us - self._keep_us(camera)
            self._write("DELETE FROM happening WHERE camera = ? AND to_us < ?", (camera, oldest_us))
        self._write("UPDATE happening SET jpeg = NULL WHERE number <= ?", (spared,))
        self._write("DELETE FROM happening WHERE number <= ?", (last - MOST_ROWS,))

    def _write(self, query: str, values: tuple[object, ...]) -> int | None:
        try:
            with self._db:
                done = self._db.execute(query, values)
        except (sqlite3.Error, OverflowError) as err:
            self._say(err)
            return None
        self._refused = False
        return done.lastrowid or 0

    def _say(self, err: Exception) -> None:
        level = logging.DEBUG if self._refused else logging.WARNING
        self._refused = True
        event(_log, level, "analyse.not_kept", error=str(err))


def _happening(row: tuple[Any, ...]) -> Happening:
    number, camera, kind, zone, from_us, to_us, strength, picture, source = row
    return Happening(number, camera, kind, zone, from_us, to_us, strength, bool(picture), source)


def _of_kinds(kinds: Sequence[Kind]) -> tuple[str, list[Kind]]:
    """What chooses kinds in a question, empty for all, and the values for its marks."""
    if not kinds:
        return "", []
    objects = f" OR kind LIKE '{OBJECT}.%'" if OBJECT in kinds else ""
    return f" AND (kind IN ({', '.join('?' * len(kinds))}){objects})", list(kinds)


def read(
    path: Path, cameras: Sequence[str], from_us: int, to_us: int, kinds: Sequence[Kind], most: int
) -> list[Happening]:
    """Return what happened between two wall times, the newest `most`, in order; changes nothing.

    Args:
        path: Of the database, of a recorder that may be running.
        cameras: Of which cameras, empty for all.
        from_us: UTC microseconds.
        to_us: The same.
        kinds: Which kinds, empty for all.
        most: So many at most.

    Raises:
        Damaged: ``event.unreadable``.
    """
    chosen, wanted = _of_kinds(kinds)
    if cameras:
        chosen += f" AND camera IN ({', '.join('?' * len(cameras))})"
    query = (
        f"SELECT {_COLUMNS} FROM happening WHERE from_us < ? AND (to_us IS NULL OR to_us >= ?)"  # noqa: S608 - marks only
        + chosen
        + " ORDER BY from_us DESC LIMIT ?"
    )
    values = [to_us, from_us, *wanted, *cameras, most]
    try:
        with contextlib.closing(_looked_at(path)) as db:
            return [_happening(row) for row in reversed(db.execute(query, values).fetchall())]
    except (sqlite3.Error, OverflowError) as err:
        raise Damaged("event.unreadable", str(err), file=str(path)) from err


def _looked_at(path: Path) -> sqlite3.Connection:
    """Open it to be read; of a disk that is only to be read, as it is."""
    name = quote(str(path.absolute()))
    failed: sqlite3.Error = sqlite3.OperationalError("it cannot be opened")
    for how in ("mode=ro", "mode=ro&immutable=1"):
        db = sqlite3.connect(f"file:{name}?{how}", uri=True, timeout=5.0)
        try:
            _add_columns(db, write=False)
        except sqlite3.Error as err:
            db.close()
            failed = err
        else:
            return db
    raise failed


def _add_columns(db: sqlite3.Connection, *, write: bool) -> None:
    """Give a database of an older recorder what it lacks."""
    names = {row[1] for row in db.execute("PRAGMA table_info(happening)")}
    if "source" in names:
        return
    if not write:
        raise sqlite3.DatabaseError("it is of an older recorder; start this one once")
    db.execute("ALTER TABLE happening ADD COLUMN source TEXT NOT NULL DEFAULT ''")


def _opened(path: Path) -> sqlite3.Connection:
    """Open the database; one that is damaged is begun anew, for all else goes on without it."""
    try:
        return _connect(path)
    except sqlite3.DatabaseError as err:
        event(_log, logging.WARNING, "analyse.begun_anew", error=str(err))
        for suffix in ("", "-wal", "-shm"):
            path.with_name(path.name + suffix).unlink(missing_ok=True)
        return _connect(path)


def _connect(path: Path) -> sqlite3.Connection:
    db = sqlite3.connect(path, check_same_thread=False, timeout=5.0)
    try:
        db.execute("PRAGMA journal_mode = WAL")
        db.execute("PRAGMA synchronous = NORMAL")
        db.execute("PRAGMA secure_delete = ON")
        db.executescript(_SCHEMA)
        _add_columns(db, write=True)
    except sqlite3.Error:
        db.close()
        raise
    return db
