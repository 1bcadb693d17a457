"""Parts on their way from the ingest thread to the disk writer, bounded in bytes.

When it is full it drops the newest group of pictures of the stream with the lowest priority, and
everything more of that stream up to its next key frame: what stays can be played, and the gap
has one place and one cause.
"""

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from nvr.media.part import Part


@dataclass(frozen=True, slots=True)
class Waiting:
    """A part in the queue.

    Attributes:
        put_s: Monotonic second at which it was put.
        part: The part.
        after_drop: Parts of its stream just before it were dropped.
    """

    put_s: float
    part: Part
    after_drop: bool


class DropNewestGopQueue:
    """Safe for several threads; one of them takes.

    Args:
        limit_bytes: Most bytes of parts it holds.
        priority: Priority of a stream; lower ones are dropped first.
    """

    def __init__(self, limit_bytes: int, priority: Callable[[str], int]) -> None:
        self._limit_bytes = limit_bytes
        self._priority = priority
        self._guard = threading.Condition()
        self._parts: list[Waiting] = []
        self._held_bytes = 0
        self._until_key: set[str] = set()
        self._woken = False
        self.dropped_parts = 0

    def put(self, parts: Sequence[Part], now_s: float) -> None:
        """Add parts; what does not fit is dropped."""
        with self._guard:
            for part in parts:
                after_drop = part.stream in self._until_key
                if after_drop:
                    if not part.key:
                        self.dropped_parts += 1
                        continue
                    self._until_key.discard(part.stream)
                self._parts.append(Waiting(now_s, part, after_drop))
                self._held_bytes += _size(part)
            while self._held_bytes > self._limit_bytes and self._parts:
                self._drop()
            self._guard.notify()

    def _drop(self) -> None:
        stream = min({w.part.stream for w in self._parts}, key=lambda s: (self._priority(s), s))
        for at in range(len(self._parts) - 1, -1, -1):
            part = self._parts[at].part
            if part.stream != stream:
                continue
            del self._parts[at]
            self._held_bytes -= _size(part)
            self.dropped_parts += 1
            if part.key:
                break
        self._until_key.add(stream)

    def oldest_s(self) -> float | None:
        """When the oldest part waiting was put, or None."""
        with self._guard:
            return self._parts[0].put_s if self._parts else None

    def due_s(self, part_s: float) -> float | None:
        """When a group should begin so that no sample waits much longer than `part_s`."""
        with self._guard:
            return min(
                (
                    waiting.put_s + max(0.0, part_s - waiting.part.duration_90k / 90_000)
                    for waiting in self._parts
                ),
                default=None,
            )

    def take(self) -> list[Waiting]:
        """Return all parts; their bytes count until `done` says they are off our hands."""
        with self._guard:
            parts, self._parts = self._parts, []
            return parts

    def done(self, parts: Sequence[Waiting]) -> None:
        """Free the room of parts that were taken."""
        with self._guard:
            self._held_bytes -= sum(_size(waiting.part) for waiting in parts)

    def put_back(self, parts: Sequence[Waiting]) -> None:
        """Put parts that were taken back to the front."""
        with self._guard:
            self._parts[:0] = parts

    def wait(self, timeout_s: float) -> None:
        """Sleep until something is put, somebody calls `wake`, or the time is over."""
        with self._guard:
            if not self._woken:
                self._guard.wait(timeout_s)
            self._woken = False

    def wake(self) -> None:
        """End a `wait`, now or the next one."""
        with self._guard:
            self._woken = True
            self._guard.notify()

    @property
    def held_bytes(self) -> int:
        """Bytes of parts waiting or being written."""
        with self._guard:
            return self._held_bytes


def _size(part: Part) -> int:
    return len(part.moof) + len(part.mdat)
