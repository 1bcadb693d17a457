"""The disk writer: groups of parts, one flush a group, and nothing acknowledged before it.

`Committer` is the whole of it without a thread, so that a test can cut the power between any two
of its disk operations; `Writer` is the thread around it, with a second one that keeps blocks
ready and remembers rows.
"""

import logging
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from itertools import islice
from types import MappingProxyType

from nvr.base.errors import Misconfigured
from nvr.base.log import event
from nvr.media.part import Part
from nvr.media.ports import Acknowledged
from nvr.record import block
from nvr.record.header import Cause
from nvr.record.lane import Lane, Run, Saved, Write
from nvr.record.pace import PART_S, Pace, WriterState
from nvr.record.queue import QUEUE_BYTES, DropNewestGopQueue, Waiting
from nvr.record.resume import open_lane
from nvr.record.ring import Grant
from nvr.record.seal import Sealer
from nvr.record.store import Store
from nvr.record.sums import sums

_log = logging.getLogger(__name__)

RETRY_S = 1.0
_LEAST_APART_S = 0.25
_FAILURES_TO_CONDEMN = 3
_IDLE_S = 5.0
_TELL_S = 60.0


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
        queue: Where parts wait; a new one if it is None.
        runs: What was being recorded when this process let the volume go, by stream.
        sealer: Seals and signs; None does neither.
    """

    def __init__(
        self,
        store: Store,
        *,
        sealer: Sealer | None = None,
        acknowledged: Callable[[list[Acknowledged]], None] | None = None,
        queue: DropNewestGopQueue | None = None,
        runs: Mapping[str, Run] = MappingProxyType({}),
    ) -> None:
        self.store = store
        self._runs = runs
        self.queue = queue or DropNewestGopQueue(QUEUE_BYTES)
        self._acknowledged = acknowledged
        self._lanes: dict[str, Lane] = {}
        self._sealer = sealer or Sealer()
        self._to_index = [
            row.head.block
            for row in store.catalog.loose()
            if row.closed and not row.doubtful and store.ring.use(row.head.block, row.head.serial)
        ]
        self._suspects: list[Grant] = []
        self._group_number = 0
        self._groups = 0
        self._parts = 0
        self._part_bytes = 0
        self._failures = 0
        self._not_before_s = 0.0
        self._last_s = -1e9
        self._pace = Pace()
        self._turn = self.queue.turn
        self._told_dropped = 0
        self._told_s = -_TELL_S

    def submit(self, parts: Sequence[Part]) -> None:
        """Queue parts. See `nvr.media.ports.PartSink`."""
        self.queue.put(parts, self.store.clock.monotonic_s())

    def due_s(self) -> float | None:
        """Monotonic second at which the next group should begin, None if nothing waits."""
        due_s = self.queue.due_s(PART_S)
        if due_s is None:
            if not self._unwanted():
                return None
            due_s = self.store.clock.monotonic_s()
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
            busy_s=self._pace.busy_s(now_s),
            worst_group_s=self._pace.worst_s,
            slow=self._pace.slow,
            failures=self._failures,
        )

    def commit(self) -> bool:
        """Write and flush what waits.

        Returns:
            Whether it is durable; if not it waits again, and `due_s` says until when.
        """
        for lane in self._unwanted():
            if lane.place is not None:
                self._to_index.append(lane.place.head.block)
                lane.leave_block()
        parts = self.queue.take()
        self._begin_turn()
        if self.queue.dropped_parts != self._told_dropped:
            now_s = self.store.clock.monotonic_s()
            level = logging.WARNING if now_s - self._told_s >= _TELL_S else logging.DEBUG
            self._told_dropped, self._told_s = self.queue.dropped_parts, now_s
            event(_log, level, "record.dropped", parts=self._told_dropped)
        if not parts and not self._to_index:
            return True
        self._last_s = self.store.clock.monotonic_s()
        self._pace.begin(self._last_s)
        done = self._commit_each(parts) if self._failures else self._commit(parts)
        self._pace.end()
        return done

    def _begin_turn(self) -> None:
        """Begin new runs if another volume was recorded on meanwhile: they ended there."""
        if self._turn != self.queue.turn:
            self._turn, self._runs = self.queue.turn, {}
            for lane in self._lanes.values():
                lane.end_run()

    def _unwanted(self) -> list[Lane]:
        """Lanes whose block holds something past its time, though nothing comes to fill it."""
        unwanted = self.store.ring.unwanted
        return [
            lane
            for lane in (self._lanes.values() if unwanted else ())
            if lane.place is not None and lane.place.head.block in unwanted
        ]

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
                self.store.ring.suspect(grant.block)
            else:
                self.store.ring.give_back(grant)
        self._suspects = []
        return all(done)

    def _commit(self, parts: list[Waiting]) -> bool:
        group = _Group()
        started_s = self.store.clock.monotonic_s()
        try:
            self._plan(self._missing(parts), group)
            self._write(group)
            self._make_durable(group)
        except OSError as err:
            self._condemn(group, parts, err)
            return False
        self._publish(group, started_s)
        self.queue.done(parts)
        return True

    def _missing(self, parts: list[Waiting]) -> list[Waiting]:
        """Leave out what reached the volume before it was let go, though nobody knew."""
        if not self._runs:
            return parts
        return [w for w in parts if not self._lane(w.part.stream).holds(w.part)]

    def _plan(self, parts: list[Waiting], group: _Group) -> None:
        self._group_number += 1
        self._sealer.prepare((waiting.part.stream, waiting.part.wall_us) for waiting in parts)
        open_writes: dict[str, Write] = {}
        for waiting in parts:
            part = waiting.part
            lane = self._lane(part.stream)
            if part.stream not in group.saved:
                group.saved[part.stream] = lane.saved()
            lane.cause = _left_out(waiting) or lane.cause
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
                if lane.add(part, write, self._group_number):
                    group.parts.append(part)
                else:
                    event(_log, logging.ERROR, "record.no_key", stream=part.stream)
                    lane.cause = Cause.BEHIND
        self._finish([(self._lanes[stream], write) for stream, write in open_writes.items()])

    def _finish(self, writes: Sequence[tuple[Lane, Write]]) -> None:
        """Sum all that was added in one go, which is quicker than part by part, and end it."""
        payloads = [lane.payloads() for lane, _ in writes]
        found = iter(sums([payload for each in payloads for payload in each]))
        for (lane, write), each in zip(writes, payloads, strict=True):
            lane.end(list(islice(found, len(each))), write)
            lane.finish(write)

    def _next_block(
        self, lane: Lane, part: Part, group: _Group, write: Write | None
    ) -> Write | None:
        """Close the lane's block and begin another; None if the part is too big for any block."""
        size = self.store.identity.block_bytes
        room = lane.room(part)
        if room > size - block.index_bytes_for(size) - 2 * block.PAGE_BYTES:
            event(_log, logging.ERROR, "record.part_too_big", stream=part.stream, size=room)
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
            for at, buffers in write.pieces:
                disk.pwrite(path, buffers, at)

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
            self._part_bytes += write.part_bytes
        for part in group.parts:
            until_us = part.wall_us + part.duration_90k * 100 // 9
            acknowledged[part.stream] = Acknowledged(part.stream, until_us, now_s)
        for number in self._to_index:
            store.catalog.close(number, indexed=True)
            store.ring.release(number)
        self._to_index = group.closed
        self._failures = 0
        self._groups += 1
        self._pace.durable(now_s - started_s)
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
            lane = self._lanes[stream] = open_lane(
                self.store, stream, self._runs.get(stream), self._sealer
            )
        return lane

    def runs(self) -> dict[str, Run]:
        """What is being recorded of each stream; only once nothing is written any more."""
        found = {stream: lane.run for stream, lane in self._lanes.items()}
        return {**self._runs, **{stream: run for stream, run in found.items() if run}}


def _left_out(waiting: Waiting) -> Cause:
    """Why parts just before this one were left out on purpose, if they were."""
    if waiting.after_drop:
        return Cause.BEHIND
    return Cause.PLAN if waiting.part.skipped else Cause.NONE


class Writer(Committer):
    """A `Committer` with its thread, and a second thread that keeps blocks ready.

    Args:
        store: The open volume.
        acknowledged: As for `Committer`.
        queue: As for `Committer`.
        runs: As for `Committer`.
        sealer: As for `Committer`.
        remember: Called every ten seconds, beside the writing, to save the catalogue's rows.
        died: Called in a thread that ends without having been stopped; the trace goes to
            ``threading.excepthook``. Nothing is recorded any more: the process should end.
    """

    def __init__(
        self,
        store: Store,
        *,
        acknowledged: Callable[[list[Acknowledged]], None] | None = None,
        queue: DropNewestGopQueue | None = None,
        runs: Mapping[str, Run] = MappingProxyType({}),
        sealer: Sealer | None = None,
        remember: Callable[[], None] | None = None,
        died: Callable[[], None] | None = None,
    ) -> None:
        super().__init__(
            store,
            sealer=sealer,
            acknowledged=acknowledged,
            queue=queue,
            runs=runs,
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

    def stop(self, timeout_s: float | None = 10.0, *, by: str = "") -> None:
        """Write what still waits, note that recording was stopped by whom, end the threads.

        Args:
            timeout_s: How long a thread that hangs in the disk is waited for; None is for ever.
            by: Who stopped it.
        """
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
        while self.queue.oldest_s() is not None and self.commit():
            pass
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
