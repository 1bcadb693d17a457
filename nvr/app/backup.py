"""Everything of a box but its recordings in one file, for the box that replaces it.

``nvr backup 1``, a line feed, and under a passphrase (`nvr.seal.passphrase`) zlib of a msgpack map:
``made_us``, ``software`` and ``files``, by name. It holds passwords of cameras and the keys of the
archive, which is why there is none without a passphrase.
"""

import contextlib
import sqlite3
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgpack

from nvr import __version__
from nvr.app.captions import FILE as CAPTIONS
from nvr.app.keydesk import LEAST_PASSPHRASE
from nvr.app.keyring import RECOVERY_PUBLIC, SEAL, SEAL_PUBLIC, SIGN, SIGN_PUBLIC
from nvr.base.errors import Damaged, Rejected, Unavailable
from nvr.seal.passphrase import Passphrase, opened

STATE = "state.db"
_PLAIN = {"nvr.toml", CAPTIONS, "tls.crt", SIGN_PUBLIC, SEAL_PUBLIC, RECOVERY_PUBLIC}
_SECRET = {"secrets.toml", "presets.json", "ptz.json", "audit.key", "tls.key", SIGN, SEAL, STATE}
FILES = tuple(sorted(_PLAIN | _SECRET))
_MARK = b"nvr backup 1\n"
_MOST_BYTES = 1 << 30
BEFORE = "before-restore"
"""Where a restore puts what was there."""


@dataclass(frozen=True, slots=True)
class Backup:
    """What a back-up holds.

    Attributes:
        made_us: UTC microseconds when it was made.
        software: What made it.
        files: Contents by name.
    """

    made_us: int
    software: str
    files: dict[str, bytes]


def back_up(data: Path, passphrase: str, now_us: int) -> bytes:
    """Return a back-up of a data directory, whose recorder may run.

    Raises:
        Rejected: ``key.passphrase``: it is too short.
        Unavailable: ``backup.unreadable``.
    """
    if len(passphrase) < LEAST_PASSPHRASE:
        raise Rejected("key.passphrase", f"it needs at least {LEAST_PASSPHRASE} characters")
    files: dict[str, bytes] = {}
    try:
        for name in FILES:
            path = data / name
            if path.exists():
                files[name] = _database(path) if name == STATE else path.read_bytes()
    except (OSError, sqlite3.Error) as err:
        raise Unavailable("backup.unreadable", f"the data directory cannot be read: {err}") from err
    tree = {"made_us": now_us, "software": f"nvr {__version__}", "files": files}
    packed: bytes = msgpack.packb(tree)
    return _MARK + Passphrase.new(passphrase).encipher(zlib.compress(packed), _MARK)


def read(blob: bytes, passphrase: str) -> Backup:
    """Open a back-up.

    Raises:
        Damaged: ``backup.damaged``: this is none, or one of a newer program.
        Rejected: ``key.passphrase``.
    """
    if not blob.startswith(_MARK):
        raise Damaged("backup.damaged", "this is no back-up, or one of a newer program")
    _, packed = opened(passphrase, blob[len(_MARK) :], _MARK)
    try:
        tree: Any = msgpack.unpackb(
            zlib.decompressobj().decompress(packed, _MOST_BYTES), max_bin_len=_MOST_BYTES
        )
        return Backup(
            tree["made_us"], tree["software"], {n: tree["files"][n] for n in tree["files"]}
        )
    except (zlib.error, ValueError, KeyError, TypeError) as err:
        raise Damaged("backup.damaged", "the back-up is not whole") from err


def restore(found: Backup, data: Path, *, replace: bool) -> list[str]:
    """Put a back-up into a data directory whose recorder is stopped; returns the files.

    What was there is moved into the directory `BEFORE`, recordings apart, which stay.

    Raises:
        Rejected: ``backup.exists``: the directory has a configuration, and `replace` is not given.
        Unavailable: ``data.unwritable``.
    """
    there = [name for name in FILES if (data / name).exists()]
    if "nvr.toml" in there and not replace:
        raise Rejected("backup.exists", "the data directory has a configuration of its own already")
    try:
        if there:
            before = data / BEFORE
            before.mkdir(mode=0o700, exist_ok=True)
            for name in there:
                (data / name).replace(before / name)
        for ending in ("-wal", "-shm"):
            (data / (STATE + ending)).unlink(missing_ok=True)
        for name in FILES:
            if name in found.files:
                path = data / name
                path.touch(mode=0o644 if name in _PLAIN else 0o600)
                path.write_bytes(found.files[name])
    except OSError as err:
        raise Unavailable("data.unwritable", err.strerror or str(err), path=str(data)) from err
    return [name for name in FILES if name in found.files]


def _database(path: Path) -> bytes:
    """Return a database as one file, as of one moment, whoever writes to it."""
    with (
        contextlib.closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True, timeout=10)) as source,
        contextlib.closing(sqlite3.connect(":memory:")) as copy,
    ):
        source.backup(copy)
        copy.execute("PRAGMA journal_mode=DELETE")
        return copy.serialize()
