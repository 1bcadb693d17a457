"""What a disk no longer holds is found by itself, told once, remembered, and never recorded on."""

import logging
import random
import threading
import time
from pathlib import Path

import pytest

from nvr.base.clock import FakeClock, SystemClock
from nvr.cli.main import main
from nvr.hal.idle import give_way
from nvr.hal.linux_disk import LinuxDisk
from nvr.hal.virtual_disk import SECTOR_BYTES, VirtualDisk
from nvr.media.part import Part
from nvr.record import block, volume
from nvr.record.block import Entry
from nvr.record.catalog import Row
from nvr.record.readback import BUSY_S, GONE_S, PIECE_BYTES, ROUND_S, SAVE_S, ReadBack
from nvr.record.recording import Recording
from nvr.record.recover import open_store
from nvr.record.remembered import NAME, Damage, Remembered, Round, load, save
from nvr.record.retention import Terms, TermsOf, default_terms
from nvr.record.writer import Committer
from tests.record import synthetic

RATE = 1 << 20


class Box:
    """A volume of eleven blocks on a disk in memory, a camera, and reading back."""

    def __init__(self) -> None:
        self.clock = FakeClock(synthetic.WALL_US)
        self.disk = VirtualDisk(random.Random(1))
        self.terms: TermsOf = default_terms
        self.camera = synthetic.camera()
        self.start()

    def start(self, *, busy: bool = False) -> None:
        self.store = open_store(
            self.disk,
            self.clock,
            random.Random(2),
            size_bytes=44 << 20,
            terms=self._terms,
        )
        self.committer = Committer(self.store)
        self.busy = busy
        self.back = ReadBack(self.store, bytes_per_s=RATE, busy=lambda: self.busy)

    def _terms(self, stream: str) -> Terms:
        return self.terms(stream)

    def record(self, blocks: int) -> None:
        """Record until so many blocks are full and a little of another one."""
        while len(self.closed()) < blocks:
            self.record_one()

    def record_one(self) -> None:
        part: Part = next(self.camera)
        self.committer.submit([part])
        self.clock.advance(0.5)
        assert self.committer.commit()
        self.store.ring.keep()

    def closed(self) -> list[Row]:
        ring = self.store.ring
        rows = self.store.catalog.all_rows()
        return [row for row in rows if row.closed and ring.at_rest(row.head.block)]

    def entries(self, row: Row) -> tuple[Entry, ...]:
        return self.store.entries(row)

    def flip(self, row: Row, offset: int) -> None:
        """Flip one bit on the medium; the page cache still holds the right one."""
        self.disk._files[block.name(row.head.block)].medium[offset] ^= 0x10

    def round(self) -> None:
        """Read until a round has ended."""
        before = self.back.remembered.last.to_us
        for _ in range(10_000):
            self.clock.advance(self.back.step())
            if self.back.remembered.last.to_us != before:
                return
        raise AssertionError("no round ends")


@pytest.fixture
def box() -> Box:
    return Box()


def told(caplog: pytest.LogCaptureFixture, level: int = logging.WARNING) -> list[str]:
    return [
        record.getMessage().split()[0]
        for record in caplog.records
        if record.levelno >= level and record.name == "nvr.record.readback"
    ]


def test_a_whole_round_reads_every_part_of_every_closed_block_and_finds_nothing(box: Box) -> None:
    box.record(5)
    box.round()
    whole = sum(entry.part_bytes for row in box.closed() for entry in box.entries(row))
    done = box.back.remembered.last
    assert (done.blocks, done.read_bytes) == (5, whole)
    assert box.back.remembered.damages == ()


@pytest.mark.parametrize("place", ["payload", "header", "link"])
def test_one_bit_is_found_told_once_and_remembered(
    box: Box, caplog: pytest.LogCaptureFixture, place: str
) -> None:
    box.record(5)
    row = box.closed()[2]
    entry = box.entries(row)[3]
    at = {"payload": block.PART_HEADER_BYTES + 900, "header": 130, "link": 310}[place]
    box.flip(row, entry.offset + at)
    for _ in range(2):
        box.round()
    assert told(caplog) == ["record.decayed"], "once, not each round"
    for _ in range(2):
        (found,) = box.back.remembered.damages
        assert (found.block, found.serial) == (row.head.block, row.head.serial)
        assert (found.stream, found.from_us, found.to_us) == (
            "gate/main", entry.wall_us, entry.end_us,
        )  # fmt: skip
        assert (found.parts, found.refused) == (1, False)
        assert box.store.damaged == {(row.head.block, row.head.serial, entry.offset)}
        box.start()  # the page says so after a restart as well
    box.round()
    assert told(caplog) == ["record.decayed"], "nor after a restart"
    assert box.store.ring.condemned == 0, "it can be written"


def test_a_part_that_is_whole_but_of_another_recording_breaks_the_chain(box: Box) -> None:
    box.record(3)
    row = box.closed()[1]
    entries, path = box.entries(row), block.name(row.head.block)
    same = next(
        (a, b)
        for a in range(1, len(entries))
        for b in range(a + 1, len(entries))
        if entries[a].part_bytes == entries[b].part_bytes
    )
    first, second = (entries[n] for n in same)
    for side in (box.disk._files[path].view, box.disk._files[path].medium):
        at, to, size = second.offset, first.offset, first.part_bytes
        side[to : to + size] = side[at : at + size]
    box.round()
    (found,) = box.back.remembered.damages
    assert found.offsets[0] == first.offset
    assert "does not follow" in found.detail


def test_damage_ends_when_it_is_overwritten(box: Box) -> None:
    box.record(5)
    row = box.closed()[0]
    box.flip(row, box.entries(row)[0].offset + 2000)
    box.round()
    assert len(box.back.remembered.damages) == 1
    while box.back.remembered.damages:
        box.record_one()
    now = box.store.catalog.row(row.head.block)
    assert now is None or now.head.serial != row.head.serial
    box.round()
    assert box.store.damaged == set()


def test_a_block_that_cannot_be_read_is_recorded_on_no_more(
    box: Box, caplog: pytest.LogCaptureFixture
) -> None:
    box.record(5)
    row = box.closed()[1]
    path, entry = block.name(row.head.block), box.entries(row)[4]
    box.disk.bad_sectors = {(path, entry.offset // SECTOR_BYTES + 3)}
    box.round()
    box.round()
    assert told(caplog) == ["record.decayed"]
    (found,) = box.back.remembered.damages
    assert (found.refused, found.from_us, found.parts) == (True, entry.wall_us, 1)
    assert box.back.remembered.avoided == (row.head.block,)
    assert box.store.ring.condemned == 1
    for _ in range(2):
        again = box.store.catalog.row(row.head.block)
        begun = box.closed()[-1].head.serial
        while box.closed()[-1].head.serial < begun + 25:
            box.record_one()  # twice round
        assert again is not None
        kept = box.store.catalog.row(row.head.block)
        assert kept is not None
        assert kept.head.serial == row.head.serial, "it is readable where it is, and not used"
        box.start()
    box.round()
    assert told(caplog) == ["record.decayed"]


def test_what_must_be_gone_goes_from_an_avoided_block_and_nothing_comes_after_it(box: Box) -> None:
    box.record(4)
    row = box.closed()[0]
    box.disk.bad_sectors = {(block.name(row.head.block), box.entries(row)[4].offset // 512 + 3)}
    box.round()
    assert box.back.remembered.avoided == (row.head.block,)
    box.disk.bad_sectors = set()
    box.terms = lambda _: Terms(promised_s=60.0, limit_s=120.0)
    for _ in range(1200):
        box.record_one()
        now = box.store.catalog.row(row.head.block)
        assert now is None or now.head.serial == row.head.serial
    assert now is None


def test_a_disk_that_is_away_blames_no_block(box: Box, caplog: pytest.LogCaptureFixture) -> None:
    box.record(3)
    number = box.closed()[0].head.block
    paths = [block.name(number), volume.ID_NAME]
    box.disk.bad_sectors = {(path, sector) for path in paths for sector in range(8192)}
    waits = [box.back.step() for _ in range(20)]
    assert GONE_S in waits
    assert (told(caplog), box.back.remembered.avoided) == ([], ())
    box.disk.bad_sectors = set()
    box.round()
    assert box.back.remembered.last.blocks == 3


def test_a_dying_disk_keeps_most_of_its_blocks_in_use(box: Box) -> None:
    box.record(5)
    box.disk.bad_sectors = {
        (block.name(row.head.block), box.entries(row)[0].offset // 512) for row in box.closed()
    }
    box.round()
    assert len(box.back.remembered.damages) == 5
    assert len(box.back.remembered.avoided) == 1
    box.record_one()


def test_a_restart_goes_on_where_it_was(box: Box) -> None:
    box.record(6)
    numbers = sorted(row.head.block for row in box.closed())
    while box.back.remembered.now.blocks < 3:
        box.clock.advance(box.back.step())
    box.back.close()
    read_bytes = box.back.remembered.now.read_bytes
    box.start()
    assert box.back.remembered.next_block == numbers[2] + 1
    box.round()
    assert box.back.remembered.last.blocks == 6
    assert box.back.remembered.last.read_bytes > read_bytes


def test_a_power_cut_costs_ten_minutes_of_reading_at_most(box: Box) -> None:
    box.record(6)
    begun_s = box.clock.monotonic_s()
    box.round()
    box.clock.advance(ROUND_S)
    while box.back.remembered.now.blocks < 3:
        box.back.step()
        box.clock.advance(SAVE_S / 4)
    box.disk._off = True
    box.disk.power_on()
    box.start()
    assert box.back.remembered.last.blocks == 6
    assert box.back.remembered.next_block >= 1
    assert begun_s < box.clock.monotonic_s()


def test_half_a_memory_is_no_memory(box: Box) -> None:
    box.record(3)
    box.round()
    box.back._save()
    last = box.back.remembered.last
    box.disk.pwrite(NAME, [b"\xee" * 40], box.back._number % 2 * (64 << 10) + 30)
    box.start()
    assert box.back.remembered.last == last, "the slot before says it too"
    for at in (30, (64 << 10) + 30):
        box.disk.pwrite(NAME, [b"\xee" * 40], at)
    box.start()
    assert box.back.remembered == Remembered(str(box.store.identity.ring_id))


def test_the_rate_is_kept_and_a_round_begins_once_a_day_at_most(box: Box) -> None:
    box.record(6)
    begun_s, read_bytes = box.clock.monotonic_s(), 0
    reads: list[int] = []
    pread = box.disk.pread

    def counted(path: str, size: int, offset: int) -> bytes:
        if path.startswith("block-") and size > block.PAGE_BYTES:
            reads.append(size)
        return pread(path, size, offset)

    box.disk.pread = counted  # type: ignore[method-assign]
    while not box.back.remembered.last.to_us:
        before = len(reads)
        wait_s = box.back.step()
        parts = [size for size in reads[before:] if size > 100_000]
        read_bytes += sum(parts)
        box.clock.advance(wait_s)
        took_s = box.clock.monotonic_s() - begun_s
        assert read_bytes <= RATE * took_s
    assert took_s > sum(e.part_bytes for r in box.closed() for e in box.entries(r)) / RATE
    assert max(reads) <= PIECE_BYTES
    assert ROUND_S - took_s <= wait_s <= ROUND_S


def test_the_block_being_written_and_one_that_waits_for_its_index_are_left_alone(box: Box) -> None:
    box.record(2)
    asked: set[str] = set()
    pread = box.disk.pread

    def seen(path: str, size: int, offset: int) -> bytes:
        asked.add(path)
        return pread(path, size, offset)

    box.disk.pread = seen  # type: ignore[method-assign]
    box.round()
    assert {path for path in asked if path.startswith("block-")} == {
        block.name(row.head.block) for row in box.closed()
    }
    row = box.closed()[0]
    box.disk.pwrite(block.name(row.head.block), [bytes(100)], row.head.header_bytes)
    box.disk.flush([(block.name(row.head.block), 0, 1 << 20)], written_before=True)
    box.start()  # the power went before its index was written: the next commit does it
    assert [each.head.block for each in box.closed()] == [1]
    asked.clear()
    box.clock.advance(ROUND_S)
    box.round()
    assert box.back.remembered.last.blocks == 1
    assert block.name(row.head.block) not in asked


def test_a_block_that_is_given_up_while_it_is_read_is_not_damaged(
    box: Box, caplog: pytest.LogCaptureFixture
) -> None:
    box.record(3)
    row = box.closed()[1]
    while box.back.remembered.next_block < row.head.block:
        box.clock.advance(box.back.step())
    box.clock.advance(box.back.step())  # some of it is read
    box.store.catalog.remove(row.head.block)
    box.disk.zero(block.name(row.head.block), row.head.block_bytes, 0)
    box.disk.flush([(block.name(row.head.block), 0, row.head.block_bytes)], written_before=True)
    box.round()
    assert (told(caplog), box.back.remembered.last.blocks) == ([], 2)


def test_an_empty_volume_is_looked_at_again_soon(box: Box) -> None:
    assert box.back.step() == GONE_S
    box.record(2)
    box.round()
    assert box.back.remembered.last.blocks == 2


def test_it_waits_while_the_recording_is_behind(box: Box) -> None:
    box.record(2)
    box.busy = True
    assert {box.back.step() for _ in range(5)} == {BUSY_S}
    assert box.back.remembered.now.read_bytes == 0


def test_a_damaged_index_and_a_damaged_head_are_found(box: Box) -> None:
    box.record(4)
    first, second = box.closed()[:2]
    box.flip(first, first.head.header_bytes + 50)
    path = block.name(second.head.block)
    box.flip(second, box.disk.pread(path, 4096, 0).index(block.BLOCK_TYPE) + 40)
    box.round()
    assert [(d.block, d.parts) for d in box.back.remembered.damages] == [
        (first.head.block, 0), (second.head.block, 0),
    ]  # fmt: skip


def test_a_recording_reads_back_in_a_thread_of_its_own_and_remembers(tmp_path: Path) -> None:
    store = open_store(
        LinuxDisk(tmp_path / "ring"), FakeClock(), random.Random(1), size_bytes=40 << 20
    )
    committer, camera = Committer(store), synthetic.camera()
    for _ in range(90):
        committer.submit([next(camera)])
        store.clock.advance(0.5)
        assert committer.commit()
    store.disk.close()
    for rounds in (1, 0):
        recording = Recording(
            tmp_path / "ring",
            SystemClock(),
            size_bytes=40 << 20,
            readback_bytes_per_s=(64 << 20) * rounds,
        )
        recording.start()
        before = recording.readback.remembered
        deadline_s = time.monotonic() + 20.0
        while not recording.readback.remembered.last.blocks:
            assert time.monotonic() < deadline_s
            time.sleep(0.02)
        recording.stop()
        assert not [t for t in threading.enumerate() if t.name == "disk-reader"]
    assert before.last.blocks >= 1, "said even when it is turned off"


def test_fsck_says_what_was_found_and_gives_a_block_back(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    directory = tmp_path / "ring"
    store = open_store(LinuxDisk(directory), FakeClock(), random.Random(1), size_bytes=40 << 20)
    ring, options = str(store.identity.ring_id), ["fsck", "--volume", str(directory)]
    assert main(options) == 0
    assert "not read this volume back yet" in capsys.readouterr().out
    assert main([*options, "--use-again", "4"]) == 1
    assert "volume.busy" in capsys.readouterr().err
    damage = Damage(4, 9, "gate/main", 1, 2, 3, (8192,), True, "Input/output error", 5)
    kept = Remembered(ring, last=Round(1, 2, 7, 10**9), damages=(damage,), avoided=(4,))
    save(store.disk, kept, 1)
    store.disk.close()
    assert main(options) == 0
    said = capsys.readouterr().out
    assert "7 blocks, 1.0 GB" in said
    assert "block 4 (gate/main" in said
    assert "SET ASIDE block 4:" in said
    assert main([*options, "--use-again", "4"]) == 0
    assert main([*options, "--use-again", "4"]) == 1
    disk = LinuxDisk(directory, read_only=True)
    assert load(disk, ring) == (Remembered(ring, last=kept.last), 2)
    assert load(disk, "another") == (Remembered("another"), 0)
    disk.close()


def test_the_kernel_takes_the_idle_class() -> None:
    taken: list[bool] = []
    thread = threading.Thread(target=lambda: taken.append(give_way()))
    thread.start()
    thread.join()
    assert taken == [True]
