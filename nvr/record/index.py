"""``index.db``: the catalogue's rows remembered between starts. A cache; deleting it loses nothing.

Two tables, one row a block and one row a stretch of a run in it. Saved every ten seconds after
the flush of the parts it tells of, never waited for by the writer, and rebuilt from the blocks
when it is missing, damaged, of another volume, or behind.
"""

import contextlib
import logging
import sqlite3
import threading
from collections.abc import Mapping
from pathlib import Path

import msgpack

from nvr.base.log import event
from nvr.media.track import TrackConfig
from nvr.record.block import BlockHeader
from nvr.record.catalog import Catalog, Row, Span
from nvr.record.header import Cause
from nvr.record.volume import Identity

_log = logging.getLogger(__name__)

NAME = "index.db"
_VERSION = 1
_SCHEMA = """
CREATE TABLE IF NOT EXISTS volume (ring_id BLOB NOT NULL, version INTEGER NOT NULL);
CREATE TABLE IF NOT EXISTS block (
  block INTEGER PRIMARY KEY, serial INTEGER NOT NULL, stream TEXT NOT NULL, head BLOB NOT NULL,
  tail INTEGER NOT NULL, parts INTEGER NOT NULL, sequence INTEGER NOT NULL, link BLOB NOT NULL,
  closed INTEGER NOT NULL
);
CREATE TABLE IF NOT EXISTS run (
  block INTEGER NOT NULL, place INTEGER NOT NULL, run INTEGER NOT NULL,
  start_90k INTEGER NOT NULL, end_90k INTEGER NOT NULL,
  from_us INTEGER NOT NULL, to_us INTEGER NOT NULL, cause INTEGER NOT NULL,
  PRIMARY KEY (block, place)
) WITHOUT ROWID;
"""


class Index:
    """The remembered rows of one volume. Safe for several threads.

    Args:
        path: Of the database; its directory must exist.
        identity: Of the volume; rows of another one are thrown away.
    """

    def __init__(self, path: Path, identity: Identity) -> None:
        self._path = path
        self._identity = identity
        self._guard = threading.Lock()
        self._saved: dict[int, tuple[int, int, bool]] = {}
        self._db: sqlite3.Connection | None = None

    def load(self) -> dict[int, Row]:
        """Return the rows last saved, by block; nothing if they cannot be read."""
        with self._guard:
            try:
                return self._read(self._open())
            except (sqlite3.Error, ValueError, KeyError, TypeError, IndexError) as err:
                event(_log, logging.WARNING, "record.index_rebuilt", error=str(err))
                self._start_anew()
                return {}

    def save(self, catalog: Catalog) -> None:
        """Save what changed since the last time; a failure is logged and tried again next time."""
        rows = {row.head.block: row for row in catalog.all_rows()}
        with self._guard:
            try:
                self._write(self._open(), rows)
            except sqlite3.Error as err:
                event(_log, logging.WARNING, "record.index_failed", error=str(err))
                self._start_anew()

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
            db = sqlite3.connect(self._path, check_same_thread=False, isolation_level=None)
            self._db = db
            db.execute("PRAGMA journal_mode=WAL")
            db.execute("PRAGMA synchronous=NORMAL")
            db.executescript(_SCHEMA)
            found = db.execute("SELECT ring_id, version FROM volume").fetchall()
            if found != [(self._identity.ring_id.bytes, _VERSION)]:
                db.executescript("DELETE FROM volume; DELETE FROM block; DELETE FROM run")
                db.execute(
                    "INSERT INTO volume VALUES (?, ?)", (self._identity.ring_id.bytes, _VERSION)
                )
                self._saved.clear()
        return self._db

    def _start_anew(self) -> None:
        self._close()
        self._saved.clear()
        for ending in ("", "-wal", "-shm"):
            with contextlib.suppress(OSError):
                self._path.with_name(self._path.name + ending).unlink(missing_ok=True)

    def _read(self, db: sqlite3.Connection) -> dict[int, Row]:
        spans: dict[int, list[Span]] = {}
        for block, run, start_90k, end_90k, from_us, to_us, cause in db.execute(
            "SELECT block, run, start_90k, end_90k, from_us, to_us, cause"
            " FROM run ORDER BY block, place"
        ):
            spans.setdefault(block, []).append(
                Span(run, start_90k, end_90k, from_us, to_us, Cause(cause))
            )
        rows = {}
        for block, serial, stream, head, tail, parts, sequence, link, closed in db.execute(
            "SELECT block, serial, stream, head, tail, parts, sequence, link, closed FROM block"
        ):
            rows[block] = Row(
                head=self._head(block, serial, stream, head),
                spans=tuple(spans.get(block, ())),
                tail=tail,
                count=parts,
                sequence=sequence,
                link=link,
                closed=bool(closed),
                entries=None if closed else (),
            )
            self._saved[block] = (serial, parts, bool(closed))
        return rows

    def _head(self, block: int, serial: int, stream: str, packed: bytes) -> BlockHeader:
        generation, run, header_bytes, index_bytes, sequence, previous, tracks = msgpack.unpackb(
            packed
        )
        return BlockHeader(
            ring_id=self._identity.ring_id.bytes,
            generation=generation,
            block=block,
            serial=serial,
            run=run,
            block_bytes=self._identity.block_bytes,
            header_bytes=header_bytes,
            index_bytes=index_bytes,
            sequence=sequence,
            previous=previous,
            stream=stream,
            config=tuple(TrackConfig(*track) for track in tracks),
        )

    def _write(self, db: sqlite3.Connection, rows: Mapping[int, Row]) -> None:
        gone = self._saved.keys() - rows.keys()
        changed = {
            block: (row.head.serial, row.count, row.closed)
            for block, row in rows.items()
            if self._saved.get(block) != (row.head.serial, row.count, row.closed)
        }
        if not gone and not changed:
            return
        db.execute("BEGIN IMMEDIATE")
        for block in gone | changed.keys():
            db.execute("DELETE FROM block WHERE block = ?", (block,))
            db.execute("DELETE FROM run WHERE block = ?", (block,))
        for block in changed:
            row = rows[block]
            head = row.head
            packed = msgpack.packb(
                [
                    head.generation,
                    head.run,
                    head.header_bytes,
                    head.index_bytes,
                    head.sequence,
                    head.previous,
                    [_track(track) for track in head.config],
                ]
            )
            db.execute(
                "INSERT INTO block VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
                (
                    block,
                    head.serial,
                    head.stream,
                    packed,
                    row.tail,
                    row.count,
                    row.sequence,
                    row.link,
                    int(row.closed and row.entries is None),
                ),
            )
            db.executemany(
                "INSERT INTO run VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
                [
                    (block, n, s.run, s.start_90k, s.end_90k, s.from_us, s.to_us, int(s.cause))
                    for n, s in enumerate(row.spans)
                ],
            )
        db.execute("COMMIT")
        for block in gone:
            del self._saved[block]
        self._saved.update(changed)


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
