"""Parts on their way from the ingest thread to the disk writer, bounded in bytes.

When it is full it drops the newest group of pictures of the stream with the lowest priority, and
everything more of that stream up to its next key frame: what stays can be played, and the gap
has one place and one cause. It belongs to whoever opens volumes, and outlives them: what waits
when a volume fails is for the next one that is opened, or is handed over to another volume's.
"""

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from nvr.media.name import is_beside
from nvr.media.part import Part

QUEUE_BYTES = 96 << 20
"""48 s of 16 megabits a second, in a box of one gigabyte."""
_MOST_TAKEN_BYTES = 16 << 20
"""What a disk that was away for long is given at a time, so that it is acknowledged bit by bit."""
_MOST_KEPT_BYTES = 32 << 20
"""Groups of pictures under way that are kept for another volume to begin with: 16 streams of 4
megabits a second with a key frame every four seconds."""


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
        keeps: Keep what is written of each group of pictures under way, for `hand_over`.

    Attributes:
        dropped_parts: How many found no room.
        turn: How often another queue's parts were taken over.
    """

    def __init__(
        self,
        limit_bytes: int,
        priority: Callable[[str], int] = lambda _: 0,
        *,
        keeps: bool = False,
    ) -> None:
        self._limit_bytes = limit_bytes
        self._priority = priority
        self._guard = threading.Condition()
        self._parts: list[Waiting] = []
        self._taken: dict[int, Waiting] = {}
        self._keeps = keeps
        self._kept: dict[str, list[Waiting]] = {}
        self._kept_bytes = 0
        self._held_bytes = 0
        self.turn = 0
        self._until_key: set[str] = set()
        self._woken = False
        self.dropped_parts = 0

    def put(self, parts: Sequence[Part], now_s: float, *, written: bool = True) -> None:
        """Add parts; what does not fit is dropped.

        Args:
            parts: In the order of their streams.
            now_s: Monotonic second.
            written: Somebody takes them off. If nobody does, what came first is kept of every
                stream: nothing later would ever be joined to it.
        """
        with self._guard:
            for part in parts:
                if not written and self._held_bytes + _size(part) > self._limit_bytes:
                    self._until_key.add(part.stream)
                    self.dropped_parts += 1
                    continue
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
        """Return the first parts; their bytes count until `done` says they are off our hands."""
        with self._guard:
            count, size = 0, 0
            while count < len(self._parts) and size < _MOST_TAKEN_BYTES:
                size += _size(self._parts[count].part)
                count += 1
            parts, self._parts = self._parts[:count], self._parts[count:]
            self._taken.update((id(waiting), waiting) for waiting in parts)
            return parts

    def done(self, parts: Sequence[Waiting]) -> None:
        """Free the room of parts that were taken, and have been written."""
        with self._guard:
            for waiting in parts:
                if self._taken.pop(id(waiting), None) is not None:
                    self._held_bytes -= _size(waiting.part)
                    if self._keeps:
                        self._keep(waiting)

    def put_back(self, parts: Sequence[Waiting]) -> None:
        """Put parts that were taken back to the front."""
        with self._guard:
            self._parts[:0] = [w for w in parts if self._taken.pop(id(w), None) is not None]

    def _keep(self, waiting: Waiting) -> None:
        stream = waiting.part.stream
        if is_beside(stream):
            return
        if waiting.part.key:
            self._forget(stream)
            self._kept[stream] = []
        elif stream not in self._kept:
            return
        self._kept[stream].append(waiting)
        self._kept_bytes += _size(waiting.part)
        while self._kept_bytes > _MOST_KEPT_BYTES:
            self._forget(max(self._kept, key=lambda each: sum(map(_held, self._kept[each]))))

    def _forget(self, stream: str) -> None:
        self._kept_bytes -= sum(map(_held, self._kept.pop(stream, ())))

    def hand_over(self, other: "DropNewestGopQueue") -> int | None:
        """Give everything to the queue of another volume, to be written there from now on.

        Of each stream that begins with the key frame of the group under way, as far as that was
        kept, though it is written here already: each volume can be played without the other.
        What is being written here goes as well: nobody knows what becomes of it. Copies do not:
        the other volume may be the one they are from. Nor does what is being fetched: what is
        missing of it there is fetched again.

        Returns:
            UTC microseconds of the first part that is not written here; None if all are.
        """
        with self._guard:
            kept = [waiting for stream in self._kept.values() for waiting in stream]
            waits = (*self._taken.values(), *self._parts)
            unwritten = [waiting for waiting in waits if not is_beside(waiting.part.stream)]
            until_key, self._until_key = self._until_key, set()
            self._parts, self._taken, self._kept = [], {}, {}
            self._held_bytes = self._kept_bytes = 0
        other.take_over([*kept, *unwritten], until_key)
        return min((waiting.part.wall_us for waiting in unwritten), default=None)

    def take_over(self, parts: Sequence[Waiting], until_key: set[str]) -> None:
        """Take what `hand_over` of another queue gives, in front of what waits here."""
        with self._guard:
            self.turn += 1
            self._parts[:0] = parts
            self._held_bytes += sum(map(_held, parts))
            self._until_key |= until_key
            while self._held_bytes > self._limit_bytes and self._parts:
                self._drop()
            self._guard.notify()

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

    def held_of(self, stream: str) -> int:
        """Bytes of parts of a stream that wait or are being written."""
        with self._guard:
            waits = (*self._taken.values(), *self._parts)
            return sum(_held(waiting) for waiting in waits if waiting.part.stream == stream)

    @property
    def held_bytes(self) -> int:
        """Bytes of parts waiting or being written."""
        with self._guard:
            return self._held_bytes


def _size(part: Part) -> int:
    return len(part.moof) + len(part.mdat)


def _held(waiting: Waiting) -> int:
    return _size(waiting.part)
