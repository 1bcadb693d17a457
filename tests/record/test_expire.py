"""Whether what must be gone is gone, down to its bytes, and nothing that need not be."""

import random
from dataclasses import replace

import pytest

from nvr.base.clock import FakeClock
from nvr.hal.virtual_disk import PowerCut, VirtualDisk
from nvr.playback import lock
from nvr.playback.query import Archive
from nvr.record import block
from nvr.record.note import Note, stamped
from nvr.record.recover import open_store
from nvr.record.retention import Terms
from nvr.record.ring import LOOK_S
from nvr.record.store import Store
from nvr.record.writer import Committer
from tests.record import synthetic

SECOND = 1_000_000
HOUR_US = 3600 * SECOND
DAY_US = 24 * HOUR_US
BLOCK_BYTES = 128 << 10
BLOCKS = 32
PART_S = 20
BLOCK_S = 120
"""What a block holds: six parts."""


class Box:
    """Records on a small volume; the keeper has its turn after each part."""

    def __init__(self, terms: dict[str, Terms], streams: tuple[str, ...] = ("gate/main",)) -> None:
        self.rng = random.Random(1)
        self.clock = FakeClock()
        self.disk = VirtualDisk(self.rng)
        self.terms, self.streams = terms, streams
        self.marks: dict[bytes, tuple[str, int]] = {}
        self.run = 0
        self.open()

    def open(self) -> None:
        self.store: Store = open_store(
            self.disk, self.clock, self.rng, size_bytes=BLOCKS * BLOCK_BYTES,
            block_bytes=BLOCK_BYTES, terms=lambda stream: self.terms.get(stream, Terms(1e9)),
        )  # fmt: skip
        self.committer = Committer(self.store)
        self.run += 1

    def boot(self) -> None:
        self.disk.close()
        self.open()

    def keep(self, most: int = 1000) -> None:
        while most and self.store.ring.keep():
            most -= 1
        if (due_s := self.committer.due_s()) is not None and due_s <= self.clock.monotonic_s():
            self.committer.commit()

    def wait(self, seconds: float) -> None:
        """Let time pass in which nothing is recorded."""
        for _ in range(3):  # to notice, to close the block, to give it up
            self.clock.advance(seconds / 3 + LOOK_S)
            self.keep()

    def record(self, seconds: float, streams: tuple[str, ...] = ()) -> None:
        for _ in range(round(seconds / PART_S)):
            wall_us = self.clock.wall_us()
            for stream in streams or self.streams:
                part = synthetic.noise_part(
                    stream, self.rng, run=self.run, start_90k=int(self.clock.now_s * 90_000),
                    wall_us=wall_us, size=10_000, key=True, duration_90k=PART_S * 90_000,
                )  # fmt: skip
                self.marks[bytes(part.mdat)[100:132]] = stream, wall_us
                self.committer.submit([part])
            self.clock.advance(PART_S)
            assert self.committer.commit()
            self.keep()

    def on_disk(self, stream: str = "gate/main") -> set[int]:
        """Wall times of the parts of a stream whose bytes are anywhere in the files."""
        data = b"".join(self.disk.pread(block.name(n), BLOCK_BYTES, 0) for n in range(BLOCKS))
        return {us for mark, (name, us) in self.marks.items() if name == stream and mark in data}

    def sent(self, stream: str = "gate/main") -> set[int]:
        return {us for name, us in self.marks.values() if name == stream}

    def held_s(self, stream: str = "gate/main") -> float:
        rows = [row for row in self.store.catalog.rows(stream) if row.spans]
        return (self.clock.wall_us() - rows[0].first_us) / SECOND if rows else 0.0


def test_nothing_is_on_the_disk_for_longer_than_its_limit() -> None:
    terms = {"gate/main": Terms(900, limit_s=1500), "yard/main": Terms(900)}
    box = Box(terms, ("gate/main", "yard/main"))
    for _ in range(100):
        box.record(100)
        assert box.held_s() <= 1500 + LOOK_S + PART_S
    assert box.held_s() > 1500 - BLOCK_S - PART_S
    assert min(box.on_disk()) >= box.clock.wall_us() - (1500 + LOOK_S + PART_S) * SECOND
    assert len(box.on_disk("yard/main")) > len(box.on_disk()), "past its promise, with no limit"


def test_the_last_recording_of_a_camera_that_is_gone_goes_too() -> None:
    """Its block is open, and nothing comes to fill it."""
    box = Box({"gate/main": Terms(900, limit_s=1800)})
    box.record(60)
    box.wait(1700)
    assert box.held_s() > 0
    box.wait(200)
    assert not box.store.catalog.rows("gate/main")
    assert box.on_disk() == set()
    box.record(60)
    assert box.held_s() == pytest.approx(60, abs=1)
    box.boot()
    assert box.held_s() == pytest.approx(60, abs=1)
    assert len(box.on_disk()) == 3


def test_a_power_cut_between_giving_up_and_zeroing_leaves_nothing() -> None:
    for cut_in in range(40):
        box = Box({"gate/main": Terms(900, limit_s=1800)})
        box.record(600)
        box.clock.advance(3600)
        box.disk.cut_in = cut_in
        try:
            box.wait(60)
        except PowerCut:
            box.disk.power_on()
            box.disk.cut_in = -1
            box.open()
            box.boot()  # twice: then only the summary knows what is to be zeroed
        box.disk.cut_in = -1
        box.wait(60)
        assert box.on_disk() == set(), cut_in
        assert Archive(box.store).ranges("gate/main", 0, 1 << 62).runs == ()


def test_what_is_locked_stays_past_the_limit_and_goes_when_the_lock_does() -> None:
    box = Box({"gate/main": Terms(900, limit_s=1800)})
    box.record(1000)
    now_us = box.clock.wall_us()
    wanted = lock.Wanted("legal", "gate", now_us - 500 * SECOND, now_us - 300 * SECOND, 0, "a", "b")
    made = lock.add(box.store, wanted)
    box.record(4000)
    locked = {us for us in box.sent() if wanted.from_us <= us < wanted.to_us}
    assert locked <= box.on_disk()
    early = {us for us in box.on_disk() if us < now_us} - locked
    assert len(early) <= 2 * BLOCK_S // PART_S, "only what shares a block with it"
    lock.remove(box.store, made.lock.number, "a")
    box.wait(30)
    assert not {us for us in box.on_disk() if us < now_us}


def test_a_limit_that_is_changed_takes_effect_at_once() -> None:
    box = Box({})
    box.record(3000)
    assert box.held_s() == pytest.approx(3000, abs=BLOCK_S)
    box.terms["gate/main"] = Terms(500, limit_s=1000)
    box.wait(30)
    assert box.held_s() <= 1000 + 60
    assert min(box.on_disk()) >= box.clock.wall_us() - 1060 * SECOND


def test_a_clock_that_leaps_into_the_future_erases_nothing_for_a_day() -> None:
    box = Box({"gate/main": Terms(900, limit_s=7 * 86_400)})
    box.record(1000)
    box.clock.offset_us += 30 * 365 * DAY_US
    box.record(1000)
    box.clock.offset_us -= 30 * 365 * DAY_US
    box.record(100)
    assert len(box.on_disk()) == 105
    box.clock.offset_us += 40 * DAY_US
    box.wait(3600)
    assert len(box.on_disk()) == 105
    box.wait(25 * 3600)
    assert len(box.on_disk()) < 105, "but it is believed in the end"


def test_what_was_recorded_before_the_clock_was_set_is_not_taken_for_old() -> None:
    """A box without a battery was off for 40 days, and starts where its clock stood."""
    box = Box({"gate/main": Terms(900, limit_s=86_400)})
    box.record(400)
    box.store.ring.end("service manager")
    box.boot()
    box.record(400)
    before_us = box.clock.wall_us()
    box.clock.offset_us += 40 * DAY_US
    note = Note("clock", before_us, after_us=box.clock.wall_us(), unset=True)
    box.store.ring.note(stamped(note, box.clock))
    box.record(400)
    box.wait(25 * 3600)  # a day, until the clock is believed
    old = {us for us in box.sent() if us < before_us - 400 * SECOND}
    assert not box.on_disk() & old
    box.boot()
    box.wait(60)


def test_time_stamped_before_the_clock_was_set_counts_from_when_it_was() -> None:
    box = Box({"gate/main": Terms(900, limit_s=2 * 86_400)})
    box.boot()
    box.record(400)
    before_us = box.clock.wall_us()
    box.clock.offset_us += 40 * DAY_US
    note = Note("clock", before_us, after_us=box.clock.wall_us(), unset=True)
    box.store.ring.note(stamped(note, box.clock))
    box.record(400)
    box.wait(30 * 3600)
    assert len(box.on_disk()) == 40, "thirty hours old, not forty days"
    box.wait(30 * 3600)
    assert box.on_disk() == set()


def test_a_camera_has_no_more_than_its_bytes_though_there_is_room() -> None:
    most = 6 * BLOCK_BYTES
    terms = {"gate/main": Terms(1e6, limit_bytes=most), "yard/main": Terms(1e6)}
    box = Box(terms, ("gate/main", "yard/main"))
    box.record(2000)
    gate = box.store.catalog.rows("gate/main")
    assert len(gate) == 6
    assert box.held_s() == pytest.approx(5.5 * BLOCK_S, abs=BLOCK_S)
    assert box.held_s("yard/main") == pytest.approx(2000, abs=BLOCK_S)
    now_us = box.clock.wall_us()
    wanted = lock.Wanted("legal", "gate", gate[1].first_us, gate[3].last_us, 0, "op", "why")
    lock.add(box.store, wanted)
    box.record(2000)
    rows = box.store.catalog.rows("gate/main")
    locked = [row for row in rows if row.first_us < now_us]
    assert len(rows) - len(locked) == 6, "locked ones apart"


def test_streams_of_a_camera_share_its_bytes() -> None:
    terms = Terms(1e6, limit_bytes=8 * BLOCK_BYTES)
    streams = ("gate/main", "gate/sub")
    box = Box(dict.fromkeys(streams, terms), streams)
    box.record(3000)
    assert box.held_s("gate/main") == pytest.approx(box.held_s("gate/sub"), abs=BLOCK_S + 20)
    assert sum(len(box.store.catalog.rows(stream)) for stream in streams) == 8


def test_a_stream_has_no_more_than_its_own_bytes_whatever_its_camera_may_have() -> None:
    streams = ("gate/main", "gate/sub")
    terms = {
        "gate/main": Terms(1e6, limit_bytes=14 * BLOCK_BYTES),
        "gate/sub": Terms(1e6, limit_bytes=14 * BLOCK_BYTES, own_bytes=3 * BLOCK_BYTES),
    }
    box = Box(terms, streams)
    box.record(3000)
    assert [len(box.store.catalog.rows(stream)) for stream in streams] == [11, 3]


def test_a_block_used_anew_keeps_nothing_of_a_camera_with_a_limit() -> None:
    """The disk is full before the limit is reached: what goes is zeroed before its next use."""
    box = Box({"gate/main": Terms(100, limit_s=1e6)}, ("gate/main", "yard/main"))
    for _ in range(80):
        box.record(100)

    def listed(stream: str) -> set[int]:
        rows = box.store.catalog.rows(stream)
        return {entry.wall_us for row in rows for entry in box.store.entries(row)}

    assert box.on_disk() <= listed("gate/main")
    assert not box.on_disk("yard/main") <= listed("yard/main"), (
        "of the other one a rest may be left"
    )


def test_a_given_up_block_is_not_written_on_by_a_camera_that_comes_back() -> None:
    box = Box({"gate/main": Terms(900, limit_s=1800)})
    box.record(60)
    box.boot()  # the lane is not open yet, so the block is nobody's
    row = box.store.catalog.rows("gate/main")[-1]
    box.wait(3000)
    assert box.store.ring.use(row.head.block, row.head.serial) is False
    box.record(60)
    assert box.held_s() == pytest.approx(60, abs=1)


def test_terms_that_say_nothing_change_nothing() -> None:
    box = Box({"gate/main": Terms(1.0)})
    box.record(3000)
    assert len(box.on_disk()) == 150
    assert replace(Terms(1.0), limit_s=0.0) == Terms(1.0)
