"""Exports into an S3-compatible store, part by part out of memory: no second copy on a disk.

What the store does not answer is tried again, for a day, from the part that was under way;
meanwhile the next export goes on. What is begun in the store and not finished is noted on the box
until it was aborted there, after a cut of power too.
"""

import contextlib
import hashlib
import json
import time
from collections.abc import Callable, Generator
from dataclasses import dataclass
from pathlib import Path, PurePath
from typing import TypeVar

from nvr.base.errors import Damaged, NvrError, Rejected
from nvr.base.supervise import Backoff
from nvr.export.out import SUMS, Away, File, Pieces, Steps
from nvr.export.store import Part, Place, Store

_TYPES = {".mp4": "video/mp4", ".mpg": "video/mp2p", ".zip": "application/zip"}
PATIENCE_S = 86_400.0
LEAST_PART_BYTES = 8 << 20
MOST_PART_BYTES = 64 << 20
_MOST_PARTS = 10_000
MOST_OBJECT_BYTES = MOST_PART_BYTES * _MOST_PARTS * 4 // 5
"""A fifth is left for estimates that are wrong."""
_MOST_WRONG = 5
_LOOK_S = 60.0
_BACKOFF = Backoff(first_s=1.0, cap_s=60.0)

_T = TypeVar("_T")


def part_bytes(size_bytes: int) -> int:
    """Return how big the parts of an object of about this size are; all but the last are alike."""
    least = size_bytes * 5 // 4 // _MOST_PARTS  # the size is an estimate
    return min(MOST_PART_BYTES, max(LEAST_PART_BYTES, -(-least // (1 << 20)) << 20))


class StoreOut:
    """See `Out`.

    Args:
        store: The bucket.
        folder: What the names of its objects begin with.
        notes: Where to note what is begun.
        size_bytes: About how big it will be.
    """

    def __init__(self, store: Store, folder: str, notes: "Notes", size_bytes: int) -> None:
        self._store = store
        self._folder = folder
        self._notes = notes
        self._part_bytes = part_bytes(size_bytes)
        self._share = 0.0
        self._begun: tuple[str, str] | None = None
        self._sums = ""
        self._finished = False
        self.files: list[File] = []
        self.safe: bool | None = None
        self.place = f"{store.place}{folder}"

    def write(self, name: str, pieces: Pieces) -> Steps:  # noqa: D102 - see Out
        kind = _TYPES.get(PurePath(name).suffix, "application/octet-stream")
        file = yield from self._object(name, kind, pieces)
        self.files.append(file)
        self._sums += f"{file.sha256}  {file.name}\n"

    def finish(self, last: Callable[[], bool]) -> Steps:  # noqa: ARG002, D102 - see Out
        yield from self._object(SUMS, "text/plain; charset=utf-8", [(self._sums.encode(), 1.0)])
        self._store.close()
        self._finished = True
        yield 1.0

    def hurry(self) -> None:  # noqa: D102 - see Out
        self._store.hurry()

    def give_up(self) -> None:  # noqa: D102 - see Out
        if self._finished:
            return
        for file in self.files:
            with contextlib.suppress(NvrError):  # the credential may be for writing only
                self._store.remove(f"{self._folder}/{file.name}")
        self.files = []
        if self._begun is not None:
            self._notes.abort(self._store, *self._begun)
            self._begun = None
        self._store.close()

    def _object(self, name: str, kind: str, pieces: Pieces) -> Generator[float | Away, None, File]:
        key = f"{self._folder}/{name}"
        upload = yield from self._again(lambda: _once(lambda: self._store.begin(key, kind)))
        self._begun = key, upload
        self._notes.keep(str(self._store.place), key, upload)
        digest, size, waiting = hashlib.sha256(), 0, bytearray()
        parts: list[Part] = []
        for piece, share in pieces:
            digest.update(piece)
            size += len(piece)
            waiting += piece
            self._share = share
            while len(waiting) >= self._part_bytes:
                yield from self._part(key, upload, parts, waiting, self._part_bytes)
            yield share
        if waiting or not parts:
            yield from self._part(key, upload, parts, waiting, len(waiting))
        yield from self._again(
            lambda: _once(lambda: self._store.complete(key, upload, parts, size))
        )
        self._begun = None
        self._notes.drop(upload)
        return File(name, size, digest.hexdigest())

    def _part(
        self, key: str, upload: str, parts: list[Part], waiting: bytearray, size: int
    ) -> Steps:
        data, number = bytes(memoryview(waiting)[:size]), len(parts) + 1
        del waiting[:size]
        if number > _MOST_PARTS:
            raise Rejected("export.too_big", "it has become bigger than the store takes at once")
        parts.append(
            (
                yield from self._again(
                    lambda: self._store.send(key, upload, number, memoryview(data))
                )
            )
        )

    def _again(
        self, attempt: Callable[[], Generator[None, None, _T]]
    ) -> Generator[float | Away, None, _T]:
        """Try until it is done, or for as long as there is patience."""
        failures, since_s = 0, time.monotonic()
        while True:
            steps = attempt()
            try:
                while True:
                    next(steps)
                    yield self._share
            except StopIteration as done:
                result: _T = done.value
                return result
            except NvrError as err:
                failures += 1
                away_s = time.monotonic() - since_s
                if (
                    not err.retry
                    or away_s > PATIENCE_S
                    or (isinstance(err, Damaged) and failures > _MOST_WRONG)
                ):
                    raise
                yield Away(err, _BACKOFF.wait_s(failures))
            finally:
                steps.close()


def _once(call: Callable[[], _T]) -> Generator[None, None, _T]:
    """Make an attempt of what cannot be left in the middle."""
    yield from ()
    return call()


class Notes:
    """What was begun in the store and is neither finished nor aborted there: a file each.

    Args:
        directory: Where they are.
    """

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._live: set[str] = set()
        self._looked_s = -_LOOK_S

    def keep(self, place: str, key: str, upload: str) -> None:
        """Note an upload that is begun; a disk that does not take it stops nothing."""
        self._live.add(upload)
        with contextlib.suppress(OSError):
            self._directory.mkdir(parents=True, exist_ok=True)
            note = json.dumps({"place": place, "key": key, "upload": upload})
            self._path(upload).write_text(note, encoding="utf-8")

    def drop(self, upload: str) -> None:
        """Forget one that is finished."""
        self._live.discard(upload)
        with contextlib.suppress(OSError):
            self._path(upload).unlink(missing_ok=True)

    def abort(self, store: Store, key: str, upload: str) -> None:
        """Abort one, now or when `tidy` is called."""
        self._live.discard(upload)
        with contextlib.suppress(NvrError):
            store.abort(key, upload)
            self.drop(upload)

    def tidy(self, store: Callable[[], Store]) -> None:
        """Abort what was left by an export that was interrupted, at most once a minute."""
        now_s = time.monotonic()
        if now_s - self._looked_s < _LOOK_S:
            return
        self._looked_s = now_s
        for path in sorted(self._directory.glob("*.json")):
            with contextlib.suppress(OSError, ValueError, KeyError, TypeError, NvrError):
                note = json.loads(path.read_text(encoding="utf-8"))
                if note["upload"] in self._live:
                    continue
                with contextlib.closing(store()) as opened:
                    if note["place"] == str(opened.place):
                        self.abort(opened, str(note["key"]), str(note["upload"]))

    def _path(self, upload: str) -> Path:
        return self._directory / f"{hashlib.sha256(upload.encode()).hexdigest()[:16]}.json"


@dataclass(frozen=True, slots=True)
class Bucket:
    """How to get at a store, again and again.

    Attributes:
        place: Which bucket.
        secret: Secret half of the credential.
        wall_us: UTC microseconds now.
        notes: What is unfinished there.
    """

    place: Place
    secret: Callable[[], str]
    wall_us: Callable[[], int]
    notes: Notes

    def store(self) -> Store:
        """Return a store of one's own, to be closed.

        Raises:
            Misconfigured: ``s3.ca``.
        """
        return Store(self.place, self.secret, self.wall_us)
