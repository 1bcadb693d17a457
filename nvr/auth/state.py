"""`state.db`: what must survive a power cut besides video: users, credentials, claim, audit.

SQLite in WAL mode with ``synchronous=FULL``: a committed row is on the disk. Writers are few and
slow (a person changes something), so every table is read into memory once by its owner.
"""

import os
import sqlite3
import uuid
from pathlib import Path

from nvr.base.errors import Damaged, Misconfigured, Unavailable

SCHEMA = 2

_TABLES = """
CREATE TABLE IF NOT EXISTS user (
  name TEXT PRIMARY KEY, role TEXT NOT NULL, password TEXT NOT NULL, rights TEXT NOT NULL,
  recorded_from_us INTEGER, recorded_to_us INTEGER, made_us INTEGER NOT NULL
) STRICT;
CREATE TABLE IF NOT EXISTS machine (
  name TEXT PRIMARY KEY, ha1_md5 TEXT NOT NULL, ha1_sha256 TEXT NOT NULL, rights TEXT NOT NULL,
  made_us INTEGER NOT NULL, secret TEXT NOT NULL DEFAULT ''
) STRICT;
CREATE TABLE IF NOT EXISTS box (key TEXT PRIMARY KEY, value TEXT NOT NULL) STRICT;
CREATE TABLE IF NOT EXISTS audit (
  seq INTEGER PRIMARY KEY, time_us INTEGER NOT NULL, category TEXT NOT NULL,
  state TEXT NOT NULL, reason TEXT NOT NULL, hardware_no TEXT NOT NULL, who TEXT NOT NULL,
  source TEXT NOT NULL, camera TEXT NOT NULL, action TEXT NOT NULL, hash BLOB NOT NULL
) STRICT;
CREATE TABLE IF NOT EXISTS audit_head (
  one INTEGER PRIMARY KEY CHECK (one = 1), seq INTEGER NOT NULL, hash BLOB NOT NULL,
  mac BLOB NOT NULL
) STRICT;
"""

_TO_2 = "ALTER TABLE machine ADD COLUMN secret TEXT NOT NULL DEFAULT '';"


def endpoint(db: sqlite3.Connection) -> str:
    """Return the UUID under which this box is known on networks, made on first use. Commits."""
    db.execute("INSERT OR IGNORE INTO box VALUES ('endpoint', ?)", (str(uuid.uuid4()),))
    (found,) = db.execute("SELECT value FROM box WHERE key = 'endpoint'").fetchone()
    return str(found)


def open_state(path: Path) -> sqlite3.Connection:
    """Open the database, made with mode 0600 on first use, tables included.

    The connection may be used from any thread, by one at a time.

    Raises:
        Unavailable: ``state.unwritable``: the directory or the disk refuses.
        Damaged: ``state.damaged``: the file is not a database of ours.
        Misconfigured: ``state.newer``: a later release wrote it.
    """
    try:
        os.close(os.open(path, os.O_RDWR | os.O_CREAT, 0o600))
        db = sqlite3.connect(path, timeout=10, isolation_level=None, check_same_thread=False)
    except (OSError, sqlite3.OperationalError) as err:
        raise Unavailable("state.unwritable", str(err), file=str(path)) from err
    try:
        db.execute("PRAGMA journal_mode=WAL")
        db.execute("PRAGMA synchronous=FULL")
        (version,) = db.execute("PRAGMA user_version").fetchone()
        if version == 0:
            db.executescript(f"BEGIN IMMEDIATE;{_TABLES}PRAGMA user_version={SCHEMA};COMMIT;")
        elif version == 1:
            db.executescript(f"BEGIN IMMEDIATE;{_TO_2}PRAGMA user_version=2;COMMIT;")
    except sqlite3.OperationalError as err:
        db.close()
        raise Unavailable("state.unwritable", str(err), file=str(path)) from err
    except sqlite3.DatabaseError as err:
        db.close()
        raise Damaged("state.damaged", str(err), file=str(path)) from err
    if version > SCHEMA:
        db.close()
        raise Misconfigured(
            "state.newer", "a later release wrote this file; run that one", file=str(path)
        )
    return db
