import contextlib
import errno
import itertools
import logging
import random
from collections.abc import Iterator, Mapping, Sequence

import pytest

from nvr.base.clock import FakeClock
from nvr.base.errors import Unavailable
from nvr.hal.virtual_disk import SECTOR_BYTES, VirtualDisk
from nvr.media.part import Part
from nvr.playback.query import Archive
from nvr.record import block
from nvr.record.lane import Run
from nvr.record.queue import DropNewestGopQueue
from nvr.record.recover import open_store
from nvr.record.store import Store
from nvr.record.writer import Committer
from tests.record import synthetic

ALL = (0, 1 << 62)
BLOCK_BYTES = 256 << 10
STREAMS = ("gate/main", "yard/main")


class Box:
    """A recorder on a disk that fails when told to."""

    def __init__(self, seed: int = 1, blocks: int = 24) -> None:
        self.rng = random.Random(seed)
        self.clock = FakeClock()
        self.disk = VirtualDisk(self.rng)
        self.blocks = blocks
        self.acked: dict[str, int] = {}
        self.queue = DropNewestGopQueue(2 << 20)
        self.store, self.committer = self.open()
        self.parts = self.made(1)

    def open(self, runs: Mapping[str, Run] | None = None) -> tuple[Store, Committer]:
        store = open_store(
            self.disk,
            self.clock,
            self.rng,
            size_bytes=self.blocks * BLOCK_BYTES,
            block_bytes=BLOCK_BYTES,
        )
        return store, Committer(
            store,
            acknowledged=lambda news: self.acked.update({n.stream: n.until_us for n in news}),
            queue=self.queue,
            runs=runs or {},
        )

    def made(self, run: int) -> Iterator[list[Part]]:
        for n in itertools.count():
            yield [
                synthetic.noise_part(
                    stream,
                    self.rng,
                    run=run,
                    start_90k=n * 45_000,
                    wall_us=self.clock.wall_us(),
                    size=30_000,
                    key=n % 2 == 0,
                )
                for stream in STREAMS
            ]

    def record(self, groups: int) -> list[bool]:
        """Half a second a group, as the threads would do it."""
        done = []
        for _ in range(groups):
            self.committer.submit(next(self.parts))
            self.clock.advance(0.5)
            due_s = self.committer.due_s()
            assert due_s is not None
            if due_s <= self.clock.monotonic_s():
                done.append(self.committer.commit())
            with contextlib.suppress(OSError):
                self.store.ring.keep()
        return done

    def cut(self) -> None:
        self.disk.cut_in = 0
        self.disk.power_on()
        self.store, self.committer = self.open()

    def let_go(self) -> None:
        """Let the volume go and open it again, as `app` does; the cameras never stop."""
        self.store, self.committer = self.open(self.committer.runs())

    def until_us(self, stream: str) -> int:
        return Archive(self.store).recorded_until_us(stream)

    def gaps(self, stream: str) -> list[str]:
        return [gap.cause for gap in Archive(self.store).ranges(stream, *ALL).gaps]


@pytest.mark.parametrize("seed", range(8))
def test_after_a_failed_flush_nothing_acknowledged_is_lost_to_a_power_cut(seed: int) -> None:
    box = Box(seed)
    box.record(5)
    box.disk.flush_errors = 1
    done = box.record(4)
    assert done.count(False) == 1
    assert box.store.ring.condemned == len(STREAMS)
    acked = dict(box.acked)
    box.cut()
    for stream in STREAMS:
        assert box.until_us(stream) >= acked[stream]
        assert box.gaps(stream) == []
        ranges = Archive(box.store).ranges(stream, *ALL)
        assert len(ranges.runs) == 1


def test_a_block_the_disk_refuses_holds_up_nobody_else() -> None:
    box = Box()
    box.record(3)
    bad = box.store.catalog.rows("gate/main")[-1].head.block
    box.disk.bad_paths.add(block.name(bad))
    box.record(6)
    assert box.committer.state().failures == 0
    assert box.gaps("gate/main") == box.gaps("yard/main") == []
    assert box.acked["gate/main"] == box.acked["yard/main"]


def test_a_disk_that_is_gone_for_a_while_costs_a_gap_and_no_archive() -> None:
    box = Box()
    box.record(20)
    before = {stream: Archive(box.store).ranges(stream, *ALL).runs[0] for stream in STREAMS}
    box.disk.read_only = True
    box.record(120)
    state = box.committer.state()
    assert state.failures > 10
    assert state.dropped_parts > 0
    assert box.committer.queue.held_bytes <= 2 << 20
    box.disk.read_only = False
    box.record(6)
    assert box.committer.state().failures == 0
    for stream in STREAMS:
        runs = Archive(box.store).ranges(stream, *ALL).runs
        assert runs[0].from_us == before[stream].from_us
        assert runs[-1].to_us == box.acked[stream]
        assert set(box.gaps(stream)) == {"behind"}
    box.cut()
    assert {stream: box.until_us(stream) for stream in STREAMS} == box.acked


def recorded(box: Box, stream: str) -> list[int]:
    """When each part that can be played begins, in the order of playing."""
    return [
        entry.wall_us for row in box.store.catalog.rows(stream) for entry in box.store.entries(row)
    ]


@pytest.mark.parametrize("reached", [False, True])
def test_a_volume_that_is_let_go_and_comes_back_has_no_hole(reached: bool) -> None:
    """`reached`: what the disk refused to acknowledge is on the medium all the same."""
    box = Box()
    box.record(3)  # an odd one, so that a group of pictures goes on beyond it
    flush = box.disk.flush

    def refuse(ranges: Sequence[tuple[str, int, int]], *, written_before: bool) -> None:
        if reached:
            flush(ranges, written_before=written_before)
        raise OSError(errno.EIO, "refused")

    box.disk.flush = refuse
    box.record(12)
    box.disk.flush = flush
    box.let_go()
    box.record(6)
    for stream in STREAMS:
        times = recorded(box, stream)
        assert len(times) == 21
        assert times == sorted(set(times))
        ranges = Archive(box.store).ranges(stream, *ALL)
        assert (len(ranges.runs), ranges.gaps) == (1, ())
        played = list(gops(Archive(box.store), stream))
        assert all(one.to_us == two.from_us for one, two in itertools.pairwise(played))


def test_another_connection_of_the_camera_is_another_run_after_a_volume_came_back() -> None:
    box = Box()
    box.record(4)
    box.let_go()
    box.parts = box.made(2)
    box.record(4)
    assert len(Archive(box.store).ranges("gate/main", *ALL).runs) == 2


def test_what_came_first_is_kept_while_there_is_no_volume() -> None:
    box = Box()
    sent = [next(box.parts) for _ in range(20)]
    room = sum(len(part.moof) + len(part.mdat) for parts in sent[:4] for part in parts)
    queue = DropNewestGopQueue(room)
    for number, parts in enumerate(sent):
        queue.put(parts, float(number), written=False)
    taken = queue.take()
    assert [waiting.part for waiting in taken] == [part for parts in sent[:4] for part in parts]
    queue.done(taken)
    queue.put(sent[5], 20.0)  # no key frame: what it hangs on was not kept
    queue.put(sent[6], 20.5)
    assert [(w.part, w.after_drop) for w in queue.take()] == [(part, True) for part in sent[6]]


def test_write_errors_are_survived() -> None:
    box = Box()
    box.record(4)
    box.disk.write_errors = 3
    box.record(12)
    assert box.committer.state().failures == 0
    assert box.gaps("gate/main") == []


def test_a_bad_sector_in_the_middle_costs_one_group_of_pictures() -> None:
    box = Box()
    box.record(6)
    row = box.store.catalog.rows("gate/main")[-1]
    entries = box.store.entries(row)
    assert len(entries) >= 6
    path, broken = block.name(row.head.block), entries[2]
    box.disk.pwrite(path, [b"\xff" * 600], broken.offset + 1024)
    box.disk.flush([(path, 0, BLOCK_BYTES)], written_before=True)
    box.cut()
    assert box.until_us("gate/main") == box.acked["gate/main"]
    assert box.gaps("gate/main") == ["camera"]
    found = [gop.from_us for gop in gops(Archive(box.store), "gate/main")]
    assert found == [entries[n].wall_us for n in (0, 4)]


def test_a_sector_that_cannot_be_read_now_is_never_written_over() -> None:
    box = Box()
    box.record(6)
    row = box.store.catalog.rows("gate/main")[-1]
    entries = box.store.entries(row)
    path = block.name(row.head.block)
    for place in (0, entries[3].offset):
        box.disk.bad_sectors = {(path, place // SECTOR_BYTES)}
        box.cut()
        box.parts = box.made(2)
        box.record(2)
        assert box.store.catalog.rows("gate/main")[-1].head.block != row.head.block
        box.disk.bad_sectors.clear()
        box.cut()
        again = box.store.catalog.row(row.head.block)
        assert again is not None
        assert [e.wall_us for e in box.store.entries(again)] == [e.wall_us for e in entries]


def test_a_slow_disk_is_told_once_and_again_when_it_has_caught_up(
    caplog: pytest.LogCaptureFixture,
) -> None:
    box = Box()
    box.disk = VirtualDisk(box.rng, spend=box.clock.advance)
    box.store, box.committer = box.open()
    with caplog.at_level(logging.WARNING, "nvr.record"):
        for flush_s in (0.01, 1.2, 0.01):
            box.disk.flush_s = (flush_s, flush_s)
            box.record(4)
    told = [record.getMessage().split()[0] for record in caplog.records]
    assert told == ["record.behind", "record.caught_up"]
    assert box.committer.state().worst_group_s > 1.0


def test_a_full_or_read_only_disk_is_told_apart_when_a_volume_is_made() -> None:
    for fault, code in (("full", r"volume\.full"), ("read_only", r"volume\.unwritable")):
        disk = VirtualDisk(random.Random(1))
        setattr(disk, fault, True)
        with pytest.raises(Unavailable, match=code):
            open_store(disk, FakeClock(), random.Random(1), size_bytes=64 << 20)


def test_a_volume_too_big_for_its_disk_takes_none_of_it() -> None:
    disk = VirtualDisk(random.Random(1))
    disk.free_bytes = lambda: 63 << 20
    with pytest.raises(Unavailable, match=r"volume\.full"):
        open_store(disk, FakeClock(), random.Random(1), size_bytes=64 << 20)
    assert disk.listing() == []


def test_a_disk_with_no_room_for_the_whole_volume_can_be_used_once_it_has() -> None:
    disk = VirtualDisk(random.Random(1))
    create = disk.create

    def scarce(path: str, size: int) -> None:
        disk.full = path == block.name(9)
        create(path, size)

    disk.create = scarce
    with pytest.raises(Unavailable, match=r"volume\.full"):
        open_store(disk, FakeClock(), random.Random(1), size_bytes=64 << 20)
    disk.create, disk.full = create, False
    store = open_store(disk, FakeClock(), random.Random(2), size_bytes=64 << 20)
    assert store.identity.ready


def gops(archive: Archive, stream: str) -> Iterator:
    t_us: int | None = 0
    while t_us is not None:
        gop = archive.gop(stream, t_us)
        if gop is None:
            return
        yield gop
        t_us = gop.next_us
