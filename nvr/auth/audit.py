"""The audit log: who did what, when and to which device, in rows that hold each other.

A row's hash is SHA-256 over the hash before it and every field with its length before it, so no
row can be changed, left out, added or moved without breaking the chain at that place. The last
row's number and hash are kept beside the rows under an HMAC whose key is a file of its own, so
that cutting rows off the end shows as well. Whoever can read that key and write the database
can forge both: exporting the head regularly is what settles that.

Rows are recorded at once and committed by one thread, as many as have come together, so nothing
here waits for the disk. The queue drops nothing: when it is full, recording is refused and with
it the action, because there must be no access without a row. Only STOP is let past the limit; if
even that room is full, a row says how many are missing.

Source: REQUIREMENTS T9 (GB-style log: category, state, reason, hardware number).
"""

import asyncio
import hashlib
import hmac
import logging
import os
import secrets
import sqlite3
import threading
from collections.abc import Callable, Collection, Iterable
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from nvr.auth.state import open_state
from nvr.base.clock import Clock
from nvr.base.errors import Misconfigured, Unavailable
from nvr.base.log import event
from nvr.media.ports import Operator

_log = logging.getLogger(__name__)

Category = Literal["startup", "run", "admin-setting", "function-setting", "event"]
State = Literal["ok", "refused", "failed"]

GENESIS = bytes(32)
MOST_QUEUED = 4096
MOST_QUEUED_STOPS = 1024
RETRY_S = 1.0


@dataclass(frozen=True, slots=True)
class Entry:
    """Something that happened.

    Attributes:
        category: One of five kinds.
        action: Policy key, or a dotted name such as ``box.started``.
        state: How it ended.
        reason: Error code of a refusal or what was asked for; empty if there is nothing to say.
        who: Account, credential or part of the box.
        source: Where it came from: ``page/7``, an IP address.
        camera: Camera concerned, empty if none.
        hardware_no: Number of the device concerned; empty stands for the box itself.
    """

    category: Category
    action: str
    state: State = "ok"
    reason: str = ""
    who: str = ""
    source: str = ""
    camera: str = ""
    hardware_no: str = ""


@dataclass(frozen=True, slots=True)
class Row:
    """An entry as it is kept.

    Attributes:
        seq: Number, from 1 without gaps.
        time_us: UTC microseconds when it was recorded.
        entry: What happened.
        hash: Hash over the one before and this row.
    """

    seq: int
    time_us: int
    entry: Entry
    hash: bytes


@dataclass(frozen=True, slots=True)
class Bad:
    """The first row that does not fit.

    Attributes:
        seq: Its number.
        why: A sentence for a person.
    """

    seq: int
    why: str


def chained(before: bytes, seq: int, time_us: int, entry: Entry) -> bytes:
    """Hash of a row after one whose hash is `before`."""
    digest = hashlib.sha256(before)
    fields = (
        str(seq),
        str(time_us),
        entry.category,
        entry.state,
        entry.reason,
        entry.hardware_no,
        entry.who,
        entry.source,
        entry.camera,
        entry.action,
    )
    for field in fields:
        raw = field.encode("utf-8", "surrogatepass")
        digest.update(len(raw).to_bytes(4, "big"))
        digest.update(raw)
    return digest.digest()


class Audit:
    """Writes and checks the log.

    Args:
        path: ``state.db``; the key is made beside it as ``audit.key``.
        clock: Time source.
        hardware_no: Number of this box, put where an entry names no other device.

    Attributes:
        told: Told of each entry and when it was recorded, from any thread: it must not wait.
    """

    def __init__(self, path: Path, clock: Clock, hardware_no: str) -> None:
        self._path = path
        self._clock = clock
        self._hardware_no = hardware_no
        self._key = _key(path.with_name("audit.key"))
        self._db = open_state(path)
        self._seq, self._hash = self._last()
        self._queue: list[tuple[int, Entry]] = []
        self._recorded = 0
        self._written = 0
        self._behind = False
        self._missing = 0
        self._lock = threading.Condition()
        self._ending = False
        self.told: Callable[[int, Entry], None] = lambda _at_us, _entry: None
        self._waiters: list[tuple[int, asyncio.AbstractEventLoop, asyncio.Event]] = []
        self._thread = threading.Thread(target=self._write, name="audit", daemon=True)
        self._thread.start()

    def record(self, entry: Entry, *, stop: bool = False) -> None:
        """Put `entry` into the log; returns at once.

        Args:
            entry: What happened.
            stop: It is a STOP, which is never refused: there is room for it when there is none
                for anything else.

        Raises:
            Unavailable: ``audit.full``: the disk does not keep up; refuse the action.
        """
        limit = MOST_QUEUED + (MOST_QUEUED_STOPS if stop else 0)
        with self._lock:
            if len(self._queue) >= limit:
                if stop:
                    self._missing += 1
                    return
                raise Unavailable("audit.full", "the audit log cannot be written")
            now_us = self._clock.wall_us()
            self._queue.append((now_us, entry))
            self._recorded += 1
            self._lock.notify_all()
        self.told(now_us, entry)

    def control(self, action: str, who: Operator, camera: str, detail: str) -> None:
        """Record what a head was told; never raises, whoever moves asked `check_room` before."""
        entry = Entry(
            "event",
            action,
            reason=detail,
            who=who.name,
            source=who.source,
            camera=camera,
            hardware_no=f"ptz:{camera}",
        )
        self.record(entry, stop=True)

    @property
    def failing(self) -> bool:
        """Whether rows could not be written the last time it was tried."""
        return self._behind

    def check_room(self) -> None:
        """Refuse an action before it is done if it could not be recorded.

        Raises:
            Unavailable: ``audit.full``.
        """
        with self._lock:
            if len(self._queue) >= MOST_QUEUED:
                raise Unavailable("audit.full", "the audit log cannot be written")

    async def flush(self) -> None:
        """Wait until everything recorded so far is on the disk."""
        loop, done = asyncio.get_running_loop(), asyncio.Event()
        with self._lock:
            if self._written >= self._recorded:
                return
            self._waiters.append((self._recorded, loop, done))
        await done.wait()

    def close(self) -> None:
        """Write what is queued and end the thread."""
        with self._lock:
            self._ending = True
            self._lock.notify_all()
        self._thread.join()
        self._db.close()

    def rows(self, before: int | None = None, limit: int = 200) -> tuple[list[Row], Bad | None]:
        """Return rows, newest first, and the first of them that does not fit. Blocks on the disk.

        Args:
            before: Only rows with a smaller number.
            limit: How many.
        """
        with closing(open_state(self._path)) as db:
            top = before if before is not None else 1 << 62
            rows = list(_rows(db, "WHERE seq < ? ORDER BY seq DESC LIMIT ?", (top, limit + 1)))
            head = None if before is not None else self._read_head(db)
        shown = rows[:limit]
        bad = _check(reversed(shown), rows[limit] if len(rows) > limit else None)
        if bad is None and before is None:
            bad = self._check_head(shown[0] if shown else None, head)
        return shown, bad

    def verify(self) -> Bad | None:
        """Return the first row that does not fit, or None. Reads everything; blocks."""
        with closing(open_state(self._path)) as db:
            db.execute("BEGIN")  # one snapshot: rows committed meanwhile do not look forged
            bad = _check(_rows(db, "ORDER BY seq", ()), None)
            last = next(iter(_rows(db, "ORDER BY seq DESC LIMIT 1", ())), None)
            head = self._read_head(db)
        return bad or self._check_head(last, head)

    def _check_head(self, last: Row | None, head: tuple[int, bytes, bytes] | None) -> Bad | None:
        seq = last.seq if last else 0
        if head is None:
            return Bad(seq, "the head of the log is missing") if last else None
        head_seq, head_hash, mac = head
        if not hmac.compare_digest(mac, self._mac(head_seq, head_hash)):
            return Bad(seq, "the head of the log was changed")
        if head_seq > seq:
            return Bad(seq + 1, "the log was cut off here")
        if head_seq < seq or last is None or head_hash != last.hash:
            return Bad(head_seq + 1 if head_seq < seq else seq, "this row was added or changed")
        return None

    def _read_head(self, db: sqlite3.Connection) -> tuple[int, bytes, bytes] | None:
        row = db.execute("SELECT seq, hash, mac FROM audit_head").fetchone()
        return (row[0], row[1], row[2]) if row else None

    def _mac(self, seq: int, digest: bytes) -> bytes:
        return hmac.digest(self._key, seq.to_bytes(8, "big") + digest, "sha256")

    def _last(self) -> tuple[int, bytes]:
        """Where to go on: after the last row, or after the head if rows were cut off."""
        last = next(iter(_rows(self._db, "ORDER BY seq DESC LIMIT 1", ())), None)
        head = self._read_head(self._db)
        if head and (last is None or head[0] > last.seq):
            return head[0], head[1]  # the hole stays visible instead of being written over
        return (last.seq, last.hash) if last else (0, GENESIS)

    def _write(self) -> None:
        while True:
            with self._lock:
                while not self._queue and not self._ending:
                    self._lock.wait()
                if not self._queue:
                    return
                batch = self._queue[:512]
            try:
                self._commit(batch)
            except sqlite3.Error as err:
                self._failed(err)
                with self._lock:
                    if self._ending:
                        return
                    self._lock.wait_for(lambda: self._ending, RETRY_S)
                continue
            self._behind = False
            with self._lock:
                del self._queue[: len(batch)]
                if self._missing:
                    why = f"{self._missing} rows did not fit while the disk was away"
                    self._missing = 0
                    entry = Entry("run", "audit.missing", "failed", why)
                    self._queue.append((self._clock.wall_us(), entry))
                    self._recorded += 1
                self._written += len(batch)
                ready = [one for one in self._waiters if one[0] <= self._written]
                self._waiters = [one for one in self._waiters if one[0] > self._written]
            for _, loop, done in ready:
                if not loop.is_closed():
                    loop.call_soon_threadsafe(done.set)

    def _commit(self, batch: list[tuple[int, Entry]]) -> None:
        seq, digest = self._seq, self._hash
        rows = []
        for time_us, entry in batch:
            seq += 1
            whole = entry if entry.hardware_no else _on(entry, self._hardware_no)
            digest = chained(digest, seq, time_us, whole)
            rows.append(
                (
                    seq,
                    time_us,
                    whole.category,
                    whole.state,
                    whole.reason,
                    whole.hardware_no,
                    whole.who,
                    whole.source,
                    whole.camera,
                    whole.action,
                    digest,
                )
            )
        self._db.execute("BEGIN IMMEDIATE")
        try:
            self._db.executemany("INSERT INTO audit VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)", rows)
            self._db.execute(
                "INSERT OR REPLACE INTO audit_head VALUES (1, ?, ?, ?)",
                (seq, digest, self._mac(seq, digest)),
            )
            self._db.execute("COMMIT")
        except sqlite3.Error:
            if self._db.in_transaction:
                self._db.execute("ROLLBACK")
            raise
        self._seq, self._hash = seq, digest

    def _failed(self, err: sqlite3.Error) -> None:
        level = logging.DEBUG if self._behind else logging.WARNING
        self._behind = True
        event(_log, level, "audit.unwritable", error=str(err), queued=len(self._queue))


def about(
    path: Path, cameras: Collection[str], from_us: int, to_us: int, *, motion: bool
) -> list[tuple[Row, bytes]]:
    """Return the rows about some cameras in a span, each with the hash before it; blocks.

    Args:
        path: ``state.db``.
        cameras: Their names.
        from_us: UTC microseconds.
        to_us: UTC microseconds.
        motion: Only what heads and their outputs were told.
    """
    clause = "WHERE time_us >= ? AND time_us < ? ORDER BY seq"
    with closing(open_state(path)) as db:
        db.execute("BEGIN")
        found = [
            row
            for row in _rows(db, clause, (from_us, to_us))
            if row.entry.camera in cameras
            and (not motion or row.entry.hardware_no.startswith("ptz:"))
        ]
        hashes = [next(iter(_rows(db, "WHERE seq = ?", (row.seq - 1,))), None) for row in found]
    return [
        (row, before.hash if before else GENESIS) for row, before in zip(found, hashes, strict=True)
    ]


def _on(entry: Entry, hardware_no: str) -> Entry:
    return Entry(
        entry.category,
        entry.action,
        entry.state,
        entry.reason,
        entry.who,
        entry.source,
        entry.camera,
        hardware_no,
    )


def _rows(db: sqlite3.Connection, clause: str, values: tuple[int, ...]) -> Iterable[Row]:
    fields = (
        "SELECT seq, time_us, category, state, reason, hardware_no, who, source, camera, action,"
        " hash FROM audit "
    )
    for row in db.execute(fields + clause, values):
        seq, time_us, category, state, reason, hardware_no, who, source, camera, action, h = row
        entry = Entry(category, action, state, reason, who, source, camera, hardware_no)
        yield Row(seq, time_us, entry, h)


def _check(rows: Iterable[Row], before: Row | None) -> Bad | None:
    """First bad one of `rows`, in ascending order; `before` is the row ahead of them."""
    seq, digest = (before.seq, before.hash) if before else (0, GENESIS)
    for row in rows:
        if row.seq != seq + 1:
            return Bad(seq + 1, "this row is missing")
        if row.hash != chained(digest, row.seq, row.time_us, row.entry):
            return Bad(row.seq, "this row, or the one before it, was changed")
        seq, digest = row.seq, row.hash
    return None


def _key(path: Path) -> bytes:
    try:
        key = path.read_bytes()
    except FileNotFoundError:
        key = secrets.token_bytes(32)
        try:
            descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            with os.fdopen(descriptor, "wb") as file:
                file.write(key)
                file.flush()
                os.fsync(file.fileno())
        except OSError as err:
            raise Unavailable("state.unwritable", str(err), file=str(path)) from err
    if len(key) != 32:
        raise Misconfigured("audit.key", "the key of the audit log is not one", file=str(path))
    return key
