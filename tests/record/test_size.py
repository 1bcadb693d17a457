"""A volume grows and shrinks while it records; what must stay stays."""

import random
from pathlib import Path
from unittest import mock

import pytest

from nvr.base.clock import FakeClock
from nvr.base.errors import Rejected
from nvr.hal.linux_disk import LinuxDisk
from nvr.playback.query import Archive
from nvr.record import block, log
from nvr.record.ledger import Ledger
from nvr.record.lock import Lock, blocks_of
from nvr.record.log import Record
from nvr.record.recover import open_store
from nvr.record.resize import planned, resize
from nvr.record.retention import Terms, default_terms
from nvr.record.size import AGAIN_S
from nvr.record.writer import Committer
from tests.faults.test_disk import ALL, BLOCK_BYTES, STREAMS, Box
from tests.record import synthetic

LAP = 60
"""So many groups fill the 24 blocks about once."""


def files(box: Box) -> set[str]:
    return {name for name, _ in box.disk.listing() if name.startswith("block-")}


def settle(box: Box) -> None:
    """Record until the volume is as large as it is to be."""
    for _ in range(100):
        box.record(1)
        if box.store.ring.blocks == box.store.ring.wanted:
            return
    raise AssertionError(f"{box.store.ring.blocks} blocks, not {box.store.ring.wanted}")


def mib(blocks: int) -> int:
    return blocks * BLOCK_BYTES >> 20


def test_a_volume_grows_while_it_records_and_uses_what_it_got() -> None:
    box = Box()
    box.record(LAP)
    before = Archive(box.store).ranges("gate/main", *ALL).runs[0]
    box.store.ring.resize(80, "op")
    settle(box)
    assert len(files(box)) == 80
    box.record(LAP)
    assert box.committer.state().failures == 0
    assert len(box.store.catalog) > 30
    after = Archive(box.store).ranges("gate/main", *ALL).runs[0]
    assert after.from_us <= before.from_us + 30_000_000
    for _ in range(2):
        box.cut()
        assert (box.store.ring.blocks, box.store.ring.wanted) == (80, 80)
        assert len(box.store.catalog) > 30
        for stream in STREAMS:
            assert box.until_us(stream) == box.acked[stream]
            assert box.gaps(stream) == []


def test_a_volume_shrinks_by_its_oldest_and_gives_their_room_back() -> None:
    box = Box()
    box.record(3 * LAP)
    change = planned(box.store, default_terms, mib(12))
    assert change.refused is None
    assert {one.stream for one in change.lost} == set(STREAMS)
    resize(box.store, default_terms, mib(12), "op")
    settle(box)
    assert len(files(box)) == 12
    first = Archive(box.store).ranges("gate/main", *ALL).runs[0].from_us
    lost = {one.stream: one.to_us for one in change.lost}
    assert first >= lost["gate/main"]
    assert first - lost["gate/main"] < 30_000_000, "not much more than was said"
    box.record(2 * LAP)
    assert box.committer.state().failures == 0
    assert box.gaps("gate/main") == []
    box.cut()
    assert (box.store.ring.blocks, len(files(box))) == (12, 12)
    assert box.until_us("gate/main") == box.acked["gate/main"]


def test_what_was_given_up_does_not_rise_when_the_volume_grows_again() -> None:
    box = Box()
    box.record(2 * LAP)
    box.store.ring.resize(10, "op")
    settle(box)
    first = Archive(box.store).ranges("gate/main", *ALL).runs[0].from_us
    box.store.ring.resize(24, "op")
    settle(box)
    for lost_log in (False, True):
        box.cut()
        assert box.store.ring.blocks == 24
        assert Archive(box.store).ranges("gate/main", *ALL).runs[0].from_us >= first
        if not lost_log:
            for name in log.NAMES:
                box.disk.pwrite(name, [b"\xee" * 64], 0)
                box.disk.flush([(name, 0, 64)], written_before=False)
    box.record(LAP)
    assert box.committer.state().failures == 0


def test_a_log_that_is_lost_does_not_hide_which_files_are_not_there() -> None:
    box = Box()
    box.record(LAP)
    box.store.ring.resize(14, "op")
    settle(box)
    for name in log.NAMES:
        box.disk.pwrite(name, [b"\xee" * 64], 0)
        box.disk.flush([(name, 0, 64)], written_before=False)
    box.cut()
    assert (box.store.ring.blocks, box.store.ring.condemned) == (14, 0)
    box.record(LAP)
    assert box.committer.state().failures == 0


def test_what_is_locked_is_never_given_up_for_a_smaller_volume() -> None:
    box = Box()
    box.record(LAP)
    row = box.store.catalog.rows("gate/main")[0]
    made = box.store.ring.lock(
        Lock(0, "legal", "gate", row.first_us, row.last_us, row.first_us, 0, "op", "why", 1)
    )
    held = blocks_of([made], box.store.catalog)[made.number]
    resize(box.store, default_terms, mib(12), "op")
    settle(box)
    for number in held:
        assert box.store.catalog.serial(number)
    assert Archive(box.store).gop("gate/main", row.first_us) is not None
    with pytest.raises(Rejected, match=r"size\.too_small"):
        resize(box.store, default_terms, 1, "op")


def test_so_much_may_be_locked_that_a_volume_cannot_be_made_that_small() -> None:
    box = Box()
    box.record(LAP)
    rows = box.store.catalog.rows("gate/main")
    span = rows[0].first_us, rows[6].last_us
    box.store.ring.lock(Lock(0, "legal", "gate", *span, span[0], 0, "op", "why", 1))
    change = planned(box.store, default_terms, mib(8))
    assert change.refused is not None
    assert change.refused.code == "size.locked"
    assert (
        planned(box.store, default_terms, change.refused.context["least_mib"] + 1).refused is None
    )


def test_what_is_guaranteed_is_refused_and_waited_for() -> None:
    box = Box()

    def terms(_: str) -> Terms:
        return Terms(1000.0, guaranteed_s=guaranteed_s)

    guaranteed_s = 1000.0
    box.store.ring._terms = terms
    box.record(LAP)
    with pytest.raises(Rejected, match=r"size\.guaranteed"):
        resize(box.store, terms, mib(12), "op")
    assert box.store.ring.wanted == 24
    box.store.ring.resize(12, "op")  # the guarantee came after it was agreed to
    for _ in range(30):
        box.store.ring.keep()
    assert box.store.ring.stuck is not None
    assert box.store.ring.stuck.code == "volume.kept"
    assert box.store.ring.blocks > 12
    guaranteed_s = 1.0
    box.clock.advance(AGAIN_S)
    settle(box)
    assert box.store.ring.stuck is None


def test_a_disk_without_room_says_so_before_it_is_filled() -> None:
    box = Box()
    box.record(5)
    box.disk.free_bytes = lambda: 65 << 20
    change = planned(box.store, default_terms, 40)
    assert change.refused is not None
    assert change.refused.code == "size.no_room"
    assert change.refused.context == {"needs_mib": 34, "free_mib": 1}
    box.store.ring.resize(160, "configuration")
    box.record(20)
    assert len(files(box)) == 24, "none of it is taken"
    assert box.store.ring.stuck is not None
    assert box.store.ring.stuck.code == "volume.no_room"
    box.disk.free_bytes = lambda: 1 << 40
    box.clock.advance(AGAIN_S)
    settle(box)
    assert box.store.ring.stuck is None


def test_a_disk_that_becomes_full_meanwhile_holds_nothing_up() -> None:
    box = Box()
    box.record(5)
    create, made = box.disk.create, 0

    def scarce(path: str, size: int) -> None:
        nonlocal made
        made += path.startswith("block-")
        if made > 20:
            raise OSError(28, "no room")
        create(path, size)

    box.disk.create = scarce
    box.store.ring.resize(80, "op")
    box.record(LAP)
    assert box.committer.state().failures == 0
    assert len(files(box)) == box.store.ring.blocks == 40
    made = -1000
    box.clock.advance(AGAIN_S)
    settle(box)
    assert box.store.ring.blocks == 80


def test_a_volume_from_before_opens_as_it_was_and_can_grow() -> None:
    def summary(ledger: Ledger) -> Record:
        return {k: v for k, v in kept(ledger).items() if k not in {"aside", "absent", "wanted"}}

    kept = Ledger._summary
    with mock.patch.object(Ledger, "_summary", summary):
        box = Box()
        box.record(LAP)
        box.cut()
    held = len(box.store.catalog)
    box.cut()
    assert (box.store.ring.blocks, box.store.ring.wanted, len(box.store.catalog)) == (24, 24, held)
    box.store.ring.resize(30, "op")
    settle(box)


def test_on_a_real_disk_the_room_is_given_back_though_a_reader_has_a_file(tmp_path: Path) -> None:
    disk = LinuxDisk(tmp_path / "ring")
    clock = FakeClock(synthetic.WALL_US)
    store = open_store(disk, clock, random.Random(1), size_bytes=80 << 20)
    committer, camera = Committer(store), synthetic.camera()
    for _ in range(200):
        committer.submit([next(camera)])
        clock.advance(0.5)
        assert committer.commit()
        store.ring.keep()

    def taken() -> int:
        there = [path for path in (tmp_path / "ring").iterdir() if path.name.startswith("block-")]
        return sum(path.stat().st_blocks * 512 for path in there) >> 20  # less than 1 for its own

    before = taken()
    assert before == 80
    store.ring.resize(10, "op")
    for _ in range(60):
        clock.advance(0.5)
        store.ring.keep()
    assert (store.ring.blocks, taken()) == (10, 40)
    store.ring.resize(15, "op")
    for _ in range(10):
        store.ring.keep()
    assert (store.ring.blocks, taken()) == (15, 60)
    for _ in range(60):
        committer.submit([next(camera)])
        clock.advance(0.5)
        assert committer.commit()
        store.ring.keep()
    until_us = Archive(store).recorded_until_us("gate/main")
    disk.close()
    disk = LinuxDisk(tmp_path / "ring")
    store = open_store(disk, clock, random.Random(2), size_bytes=80 << 20)
    assert store.ring.blocks == 15
    assert Archive(store).recorded_until_us("gate/main") == until_us
    assert not (tmp_path / "ring" / block.name(19)).exists() or store.ring.blocks == 15
    disk.close()
