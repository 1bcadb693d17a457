"""The disk writer: groups of parts, one flush a group, and nothing acknowledged before it.

`Committer` is the whole of it without a thread, so that a test can cut the power between any two
of its disk operations; `Writer` is the thread around it, with a second one that keeps blocks
ready and remembers rows.
"""

import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import islice

from nvr.base.errors import Damaged, Misconfigured
from nvr.base.log import event
from nvr.media.part import Part
from nvr.media.ports import Acknowledged
from nvr.record import block
from nvr.record.header import Cause, PartHeader
from nvr.record.lane import Lane, Saved, Write, room
from nvr.record.queue import DropNewestGopQueue, Waiting
from nvr.record.ring import Grant
from nvr.record.store import Store
from nvr.record.sums import sums

_log = logging.getLogger(__name__)

PART_S = 0.5
"""Length the ingest thread gives a part; a group begins when one of that age is waiting."""
BEHIND_S = 1.0
RETRY_S = 1.0
_LEAST_APART_S = 0.25
_FAILURES_TO_CONDEMN = 3
_IDLE_S = 5.0
_TELL_S = 60.0


@dataclass(frozen=True, slots=True)
class WriterState:
    """How the writer is doing.

    Attributes:
        groups: Groups made durable.
        parts: Parts acknowledged.
        part_bytes: Bytes of them on disk, headers and padding included.
        dropped_parts: Parts dropped because the disk was behind.
        behind_s: Age of the oldest part not yet acknowledged.
        worst_group_s: Longest of the last 120 groups.
        failures: Groups in a row that the disk refused.
        condemned: Blocks given up.
    """

    groups: int
    parts: int
    part_bytes: int
    dropped_parts: int
    behind_s: float
    worst_group_s: float
    failures: int
    condemned: int


class _Group:
    """What one commit is about to write."""

    def __init__(self) -> None:
        self.writes: list[Write] = []
        self.saved: dict[str, Saved] = {}
        self.grants: list[Grant] = []
        self.closed: list[int] = []
        self.parts: list[Part] = []


class Committer:
    """Writes what was submitted, group by group.

    Args:
        store: The open volume.
        acknowledged: Told, in the writing thread, of the end of what is durable per stream.
        priority: Priority of a stream; lower ones are dropped first when the disk is behind.
        limit_bytes: Most bytes of parts that may wait.
    """

    def __init__(
        self,
        store: Store,
        *,
        acknowledged: Callable[[list[Acknowledged]], None] | None = None,
        priority: Callable[[str], int] | None = None,
        limit_bytes: int = 96 << 20,
    ) -> None:
        self.store = store
        self.queue = DropNewestGopQueue(limit_bytes, priority or (lambda _: 0))
        self._acknowledged = acknowledged
        self._lanes: dict[str, Lane] = {}
        self._to_index = [
            row.head.block
            for row in store.catalog.all_rows()
            if row.closed and row.entries is not None and not row.doubtful
        ]
        for number in self._to_index:
            store.ring.use(number)
        self._suspects: list[Grant] = []
        self._group_number = 0
        self._groups = 0
        self._parts = 0
        self._part_bytes = 0
        self._failures = 0
        self._not_before_s = 0.0
        self._last_s = -1e9
        self._took_s: deque[float] = deque(maxlen=120)
        self._behind = False
        self._told_dropped = 0
        self._told_s = -_TELL_S

    def submit(self, parts: Sequence[Part]) -> None:
        """Queue parts. See `nvr.media.ports.PartSink`."""
        self.queue.put(parts, self.store.clock.monotonic_s())

    def due_s(self) -> float | None:
        """Monotonic second at which the next group should begin, None if nothing waits."""
        due_s = self.queue.due_s(PART_S)
        if due_s is None:
            return None
        return max(due_s, self._last_s + _LEAST_APART_S, self._not_before_s)

    def state(self) -> WriterState:
        """How it is doing; callable from any thread."""
        oldest_s = self.queue.oldest_s()
        now_s = self.store.clock.monotonic_s()
        return WriterState(
            groups=self._groups,
            parts=self._parts,
            part_bytes=self._part_bytes,
            dropped_parts=self.queue.dropped_parts,
            behind_s=0.0 if oldest_s is None else now_s - oldest_s,
            worst_group_s=max(self._took_s, default=0.0),
            failures=self._failures,
            condemned=self.store.ring.condemned,
        )

    def commit(self) -> bool:
        """Write and flush everything that waits.

        Returns:
            Whether it is durable; if not it waits again, and `due_s` says until when.
        """
        parts = self.queue.take()
        if self.queue.dropped_parts != self._told_dropped:
            now_s = self.store.clock.monotonic_s()
            level = logging.WARNING if now_s - self._told_s >= _TELL_S else logging.DEBUG
            self._told_dropped, self._told_s = self.queue.dropped_parts, now_s
            event(_log, level, "record.dropped", parts=self._told_dropped)
        if not parts and not self._to_index:
            return True
        self._last_s = self.store.clock.monotonic_s()
        if self._failures:
            return self._commit_each(parts)
        return self._commit(parts)

    def _commit_each(self, parts: list[Waiting]) -> bool:
        """Write stream by stream after a failure, so that one bad block holds up nobody else."""
        streams = dict.fromkeys(waiting.part.stream for waiting in parts)
        failures = self._failures
        self._suspects = []
        done = [self._commit([w for w in parts if w.part.stream == stream]) for stream in streams]
        self._failures = 0 if all(done) else failures + 1
        self._not_before_s = self.store.clock.monotonic_s() + RETRY_S if self._failures else 0.0
        for grant in reversed(self._suspects):
            if any(done) or self._failures % _FAILURES_TO_CONDEMN == 0:
                self.store.ring.condemn(grant.block)
            else:
                self.store.ring.give_back(grant)
        self._suspects = []
        return all(done)

    def _commit(self, parts: list[Waiting]) -> bool:
        group = _Group()
        started_s = self.store.clock.monotonic_s()
        try:
            self._plan(parts, group)
            self._write(group)
            self._make_durable(group)
        except OSError as err:
            self._condemn(group, parts, err)
            return False
        self._publish(group, started_s)
        self.queue.done(parts)
        return True

    def _plan(self, parts: list[Waiting], group: _Group) -> None:
        self._group_number += 1
        open_writes: dict[str, Write] = {}
        for waiting in parts:
            part = waiting.part
            lane = self._lane(part.stream)
            if part.stream not in group.saved:
                group.saved[part.stream] = lane.saved()
            if waiting.after_drop:
                lane.cause = Cause.BEHIND
            if lane.is_new_run(part):
                lane.begin_run(part, self.store.ring.new_run())
            write = open_writes.get(part.stream)
            if not lane.fits(part):
                write = self._next_block(lane, part, group, write)
                if write is None:
                    continue
                open_writes[part.stream] = write
            elif write is None and lane.place is not None:
                write = open_writes[part.stream] = lane.continue_block(lane.place)
                group.writes.append(write)
            if write is not None:
                lane.add(part, write, self._group_number)
                group.parts.append(part)
        self._finish([(self._lanes[stream], write) for stream, write in open_writes.items()])

    def _finish(self, writes: Sequence[tuple[Lane, Write]]) -> None:
        """Sum all that was added in one go, which is quicker than part by part, and end it."""
        payloads = [lane.payloads() for lane, _ in writes]
        found = iter(sums([payload for each in payloads for payload in each]))
        for (lane, write), each in zip(writes, payloads, strict=True):
            lane.seal(list(islice(found, len(each))), write)
            lane.finish(write)

    def _next_block(
        self, lane: Lane, part: Part, group: _Group, write: Write | None
    ) -> Write | None:
        """Close the lane's block and begin another; None if the part is too big for any block."""
        size = self.store.identity.block_bytes
        if room(part) > size - block.index_bytes_for(size) - 2 * block.PAGE_BYTES:
            event(_log, logging.ERROR, "record.part_too_big", stream=part.stream, size=room(part))
            lane.cause = Cause.BEHIND
            return None
        if lane.place is not None:
            if write is not None:
                self._finish([(lane, write)])  # the next block's head names the last part's link
            group.closed.append(lane.place.head.block)
            lane.leave_block()
        try:
            grant = self.store.ring.take()
        except Misconfigured as err:
            event(_log, logging.ERROR, "record.no_block", stream=part.stream, error=str(err))
            lane.cause = Cause.BEHIND
            return None
        group.grants.append(grant)
        begun = lane.begin_block(part, grant)
        group.writes.append(begun)
        return begun

    def _write(self, group: _Group) -> None:
        disk = self.store.disk
        for write in sorted(group.writes, key=lambda write: write.block):
            path = block.name(write.block)
            if write.head:
                disk.pwrite(path, [write.head], 0)
            disk.pwrite(path, write.buffers, write.parts_at)

    def _make_durable(self, group: _Group) -> None:
        """Write the indexes of blocks that were full last time, and flush it all at once."""
        ring = self.store.ring
        ranges = [(block.name(w.block), w.start, w.end - w.start) for w in group.writes]
        for number in self._to_index:
            row = self.store.catalog.row(number)
            if row is None or row.entries is None:
                continue
            data = block.encode_index(row.head.serial, row.entries)
            self.store.disk.pwrite(block.name(number), [data], row.head.header_bytes)
            ranges.append((block.name(number), row.head.header_bytes, len(data)))
        numbers = [write.block for write in group.writes] + self._to_index
        self._flush(ranges, written_before=all(map(ring.written_before, numbers)))

    def _flush(self, ranges: list[tuple[str, int, int]], *, written_before: bool) -> None:
        self.store.disk.flush(ranges, written_before=written_before)

    def _publish(self, group: _Group, started_s: float) -> None:
        """Acknowledge a durable group."""
        store = self.store
        now_s = store.clock.monotonic_s()
        acknowledged: dict[str, Acknowledged] = {}
        for write in group.writes:
            if write.row is not None:
                store.catalog.add(write.row)
            store.catalog.acknowledge(
                write.block,
                write.entries,
                tail=write.tail,
                sequence=write.sequence,
                link=write.link,
            )
            self._parts += len(write.entries)
            self._part_bytes += sum(entry.part_bytes for entry in write.entries)
        for part in group.parts:
            until_us = part.wall_us + part.duration_90k * 100 // 9
            acknowledged[part.stream] = Acknowledged(part.stream, until_us, now_s)
        for number in self._to_index:
            store.catalog.close(number, indexed=True)
            store.ring.release(number)
        self._to_index = group.closed
        self._failures = 0
        self._groups += 1
        took_s = now_s - started_s
        self._took_s.append(took_s)
        if (took_s > BEHIND_S) != self._behind:
            self._behind = took_s > BEHIND_S
            name = "record.behind" if self._behind else "record.caught_up"
            event(_log, logging.WARNING, name, group_s=round(took_s, 3))
        if self._acknowledged is not None and acknowledged:
            self._acknowledged(list(acknowledged.values()))

    def _condemn(self, group: _Group, parts: list[Waiting], err: OSError) -> None:
        """Undo a group that did not reach the disk; its parts go to other blocks next time.

        A block in which something was acknowledged is never written again: the kernel may call
        its lost pages clean. A block begun by this group holds nothing yet and is written again
        from its first byte, unless others could be flushed while it could not.
        """
        level = logging.DEBUG if self._failures else logging.ERROR
        event(_log, level, "record.disk_failed", error=str(err), parts=len(parts))
        self._failures += 1
        for number in self._to_index + group.closed:
            self._give_up(number)
        self._to_index = []
        for stream, saved in group.saved.items():
            lane = self._lanes[stream]
            lane.restore(saved)
            if lane.place is not None:
                self._give_up(lane.place.head.block)
                lane.leave_block()
        if self._failures == 1:
            for grant in reversed(group.grants):
                self.store.ring.give_back(grant)
        else:
            self._suspects += group.grants
        self.queue.put_back(parts)

    def _give_up(self, number: int) -> None:
        row = self.store.catalog.row(number)
        if row is not None and not row.closed:
            self.store.catalog.close(number, indexed=False)
            self.store.ring.condemn(number)

    def _lane(self, stream: str) -> Lane:
        lane = self._lanes.get(stream)
        if lane is None:
            lane = self._lanes[stream] = self._open_lane(stream)
        return lane

    def _open_lane(self, stream: str) -> Lane:
        """Pick a stream up where it was left: the same block, if the codecs are the same."""
        store = self.store
        rows = store.catalog.rows(stream)
        last = rows[-1] if rows else None
        header: PartHeader | None = None
        if last is not None and not last.closed:
            entries = store.entries(last)
            try:
                if entries:
                    read = store.reader(last.head.block)
                    header = block.read_header(read, last.head, entries[-1].offset)
            except (Damaged, OSError) as err:
                event(_log, logging.WARNING, "record.block_left", error=str(err), stream=stream)
            if header is not None:
                store.ring.use(last.head.block)
        cause = Cause.STOPPED if store.ring.clean else Cause.POWER
        return Lane(stream, store.identity, last, header, cause)


class Writer(Committer):
    """A `Committer` with its thread, and a second thread that keeps blocks ready.

    Args:
        store: The open volume.
        acknowledged: As for `Committer`.
        priority: As for `Committer`.
        limit_bytes: As for `Committer`.
        remember: Called every ten seconds, beside the writing, to save the catalogue's rows.
        died: Called in a thread that ends without having been stopped; the trace goes to
            ``threading.excepthook``. Nothing is recorded any more: the process should end.
    """

    def __init__(
        self,
        store: Store,
        *,
        acknowledged: Callable[[list[Acknowledged]], None] | None = None,
        priority: Callable[[str], int] | None = None,
        limit_bytes: int = 96 << 20,
        remember: Callable[[], None] | None = None,
        died: Callable[[], None] | None = None,
    ) -> None:
        super().__init__(
            store, acknowledged=acknowledged, priority=priority, limit_bytes=limit_bytes
        )
        self._remember = remember
        self._died = died
        self._stopping = threading.Event()
        self._threads = [
            threading.Thread(target=self._guarded, args=(body,), name=name, daemon=True)
            for name, body in (("disk-writer", self._run), ("disk-keeper", self._keep))
        ]

    def start(self) -> None:
        """Start both threads."""
        for thread in self._threads:
            thread.start()

    def stop(self, timeout_s: float = 10.0, *, by: str = "") -> None:
        """Write what still waits, note that recording was stopped by whom, end the threads."""
        self._stopping.set()
        self.queue.wake()
        for thread in self._threads:
            thread.join(timeout_s)
        if self._remember is not None:
            self._remember()
        try:
            self.store.ring.end(by)
        except OSError as err:
            event(_log, logging.ERROR, "record.disk_failed", error=str(err))

    def _guarded(self, body: Callable[[], None]) -> None:
        try:
            body()
        finally:
            if self._died is not None and not self._stopping.is_set():
                self._died()

    def _run(self) -> None:
        while not self._stopping.is_set():
            due_s = self.due_s()
            wait_s = _IDLE_S if due_s is None else due_s - self.store.clock.monotonic_s()
            if wait_s > 0:
                self.queue.wait(wait_s)
            else:
                self.commit()
        for _ in range(3):  # once for what waits, again for indexes and one retry
            self.commit()

    def _keep(self) -> None:
        remembered_s = time.monotonic()
        while not self._stopping.is_set():
            try:
                busy = self.store.ring.keep()
            except (OSError, Misconfigured) as err:
                event(_log, logging.DEBUG, "record.keep_failed", error=str(err))
                busy = False
            if self._remember is not None and time.monotonic() - remembered_s >= 10.0:
                remembered_s = time.monotonic()
                self._remember()
            self._stopping.wait(0.05 if busy else 0.5)
