"""``index.db``: the catalogue's rows remembered between starts. A cache; deleting it loses nothing.

One row a block, in the order of recording, its fields and spans packed as the catalogue has them
in memory (`pieces.py`), so that 300,000 are read in a second. Saved every ten seconds after the
flush of the parts it tells of, never waited for by the writer, and rebuilt from the blocks when
it is missing, damaged, of another volume, or behind.
"""

import contextlib
import logging
import sqlite3
import struct
import threading
from dataclasses import replace
from pathlib import Path

import msgpack

from nvr._native import crc32c
from nvr.base.log import event
from nvr.media.track import TrackConfig
from nvr.record.catalog import Catalog, Unsaved
from nvr.record.pieces import PIECE_ROWS, Common, Packed
from nvr.record.row import Row
from nvr.record.volume import Identity

_log = logging.getLogger(__name__)

NAME = "index.db"
_VERSION = 2
_SCHEMA = """
CREATE TABLE IF NOT EXISTS volume (ring_id BLOB NOT NULL, version INTEGER NOT NULL);
CREATE TABLE IF NOT EXISTS stream (stream INTEGER PRIMARY KEY, name TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS config (config INTEGER PRIMARY KEY, tracks BLOB NOT NULL);
CREATE TABLE IF NOT EXISTS block (
  serial INTEGER PRIMARY KEY, stream INTEGER NOT NULL, closed INTEGER NOT NULL,
  crc INTEGER NOT NULL, packed BLOB NOT NULL, spans BLOB NOT NULL
);
"""
_EMPTY = """
DELETE FROM volume;
DROP TABLE IF EXISTS block;
DROP TABLE IF EXISTS run;
DROP TABLE IF EXISTS stream;
DROP TABLE IF EXISTS config;
"""
_FAULTS = (sqlite3.Error, ValueError, KeyError, TypeError, IndexError, struct.error)


class Index:
    """The remembered rows of one volume. Safe for several threads.

    Args:
        path: Of the database; its directory must exist.
        identity: Of the volume; rows of another one are thrown away.
        read_only: Only read what a recorder saved, even while one runs.
    """

    def __init__(self, path: Path, identity: Identity, *, read_only: bool = False) -> None:
        self._path = path
        self._identity = identity
        self._read_only = read_only
        self._guard = threading.Lock()
        self._streams: dict[str, int] = {}
        self._configs = 0
        self._db: sqlite3.Connection | None = None

    def load(self) -> Catalog:
        """Return what was saved last, nothing if it cannot be read."""
        with self._guard:
            try:
                return self._read(self._open())
            except _FAULTS as err:
                level = logging.DEBUG if self._read_only else logging.WARNING
                event(_log, level, "record.index_rebuilt", error=str(err))
                self._start_anew()
                return Catalog()

    def save(self, catalog: Catalog) -> None:
        """Save what changed since the last time; a failure is logged and tried again next time."""
        with self._guard:
            try:
                self._write(self._open(), catalog.unsaved())
            except sqlite3.Error as err:
                event(_log, logging.WARNING, "record.index_failed", error=str(err))
                self._start_anew()
                catalog.saved(nothing=True)

    def close(self) -> None:
        """Close the database."""
        with self._guard:
            self._close()

    def _close(self) -> None:
        if self._db is not None:
            with contextlib.suppress(sqlite3.Error):
                self._db.close()
            self._db = None

    def _open(self) -> sqlite3.Connection:
        if self._db is None:
            mode = "mode=rwc"
            if self._read_only:
                # Without a log of its own nobody has it open, and nothing need be written to read.
                log = self._path.with_name(f"{self._path.name}-wal")
                mode = "mode=ro" if log.exists() else "mode=ro&immutable=1"
            where = f"{self._path.absolute().as_uri()}?{mode}"
            db = sqlite3.connect(where, uri=True, check_same_thread=False, isolation_level=None)
            self._db = db
            mine = (self._identity.ring_id.bytes, _VERSION)
            if self._read_only:
                if db.execute("SELECT ring_id, version FROM volume").fetchall() != [mine]:
                    raise ValueError("the index is of another volume or version")
                return db
            db.execute("PRAGMA journal_mode=WAL")
            db.execute("PRAGMA synchronous=NORMAL")
            db.executescript("CREATE TABLE IF NOT EXISTS volume (ring_id BLOB, version INTEGER)")
            if db.execute("SELECT ring_id, version FROM volume").fetchall() != [mine]:
                db.executescript(_EMPTY)
                db.execute("INSERT INTO volume VALUES (?, ?)", mine)
            db.executescript(_SCHEMA)
        return self._db

    def _start_anew(self) -> None:
        self._close()
        self._streams.clear()
        self._configs = 0
        for ending in () if self._read_only else ("", "-wal", "-shm"):
            with contextlib.suppress(OSError):
                self._path.with_name(self._path.name + ending).unlink(missing_ok=True)

    def _read(self, db: sqlite3.Connection) -> Catalog:
        """Read everything at one moment, a recorder beside us or not."""
        db.execute("BEGIN")
        try:
            names = dict(db.execute("SELECT stream, name FROM stream").fetchall())
            configs = [
                tuple(TrackConfig(*track) for track in msgpack.unpackb(packed))
                for (packed,) in db.execute("SELECT tracks FROM config ORDER BY config")
            ]
            catalog = Catalog(configs)
            identity = (self._identity.ring_id.bytes, self._identity.block_bytes)
            waiting: dict[int, list[tuple[bytes, bytes]]] = {number: [] for number in names}
            opened: list[Row] = []
            for number, closed, crc, packed, spans in db.execute(
                "SELECT stream, closed, crc, packed, spans FROM block ORDER BY serial"
            ):
                if crc32c(packed + spans) != crc:
                    raise ValueError("a row of the index has wrong bytes")
                if not closed:
                    common = Common(names[number], *identity, configs)
                    row = Packed(common, packed, spans).row(0)
                    opened.append(replace(row, closed=False, entries=()))
                    continue
                group = waiting[number]
                group.append((packed, spans))
                if len(group) == PIECE_ROWS:
                    catalog.load(names[number], identity, group)
                    group.clear()
            for number, group in waiting.items():
                catalog.load(names[number], identity, group)
            for row in opened:
                catalog.add(row)
        finally:
            db.execute("ROLLBACK")
        catalog.saved()
        self._streams = {name: number for number, name in names.items()}
        self._configs = len(configs)
        return catalog

    def _write(self, db: sqlite3.Connection, unsaved: Unsaved) -> None:
        db.execute("BEGIN IMMEDIATE")
        if unsaved.whole:
            db.execute("DELETE FROM block")
            db.execute("DELETE FROM stream")
            db.execute("DELETE FROM config")
            self._streams, self._configs = {}, 0
        db.executemany("DELETE FROM block WHERE serial = ?", ((gone,) for gone in unsaved.gone))
        db.executemany(
            "INSERT INTO config VALUES (?, ?)",
            (
                (n, msgpack.packb([_track(track) for track in config]))
                for n, config in enumerate(unsaved.configs)
                if n >= self._configs
            ),
        )
        self._configs = len(unsaved.configs)
        db.executemany(
            "INSERT OR REPLACE INTO block VALUES (?, ?, ?, ?, ?, ?)",
            (
                (serial, self._stream(db, name), closed, crc32c(row + spans), row, spans)
                for name, serial, closed, row, spans in unsaved.rows
            ),
        )
        db.execute("COMMIT")

    def _stream(self, db: sqlite3.Connection, name: str) -> int:
        number = self._streams.get(name)
        if number is None:
            number = self._streams[name] = len(self._streams)
            db.execute("INSERT INTO stream VALUES (?, ?)", (number, name))
        return number


def _track(track: TrackConfig) -> tuple[object, ...]:
    return (
        track.kind,
        track.codec,
        track.clock_hz,
        track.config,
        track.width_px,
        track.height_px,
        track.channels,
    )
