"""A big disk of which nothing is remembered: recording goes on at once, the rest is read beside."""

import random
import threading
from pathlib import Path

import pytest

from nvr.base.clock import FakeClock
from nvr.hal.virtual_disk import VirtualDisk
from nvr.playback.query import Archive
from nvr.record import block, destroy
from nvr.record.fsck import check
from nvr.record.index import NAME, Index
from nvr.record.log import NAMES
from nvr.record.rebuild import Rebuild
from nvr.record.recover import open_reading, open_store
from nvr.record.row import Row
from nvr.record.store import Store
from nvr.record.writer import Committer
from tests.record import synthetic

BLOCK_BYTES = 128 << 10
BLOCKS = 64
AT_ONCE = 24
PART_S = 20
STREAMS = ("gate/main", "yard/main")


class Box:
    """Records two cameras, and a third one for a while in the first half of the last lap."""

    def __init__(self) -> None:
        self.rng = random.Random(1)
        self.clock = FakeClock()
        self.disk = VirtualDisk(self.rng)
        self.run = 0
        self.open()

    def open(self, at_once: int = 0, index: Index | None = None) -> None:
        known = (lambda _: index.load()) if index else None
        self.store: Store = open_store(
            self.disk, self.clock, self.rng, size_bytes=BLOCKS * BLOCK_BYTES,
            block_bytes=BLOCK_BYTES, at_once=at_once, known=known,
        )  # fmt: skip
        self.committer = Committer(self.store)
        self.run += 1

    def boot(self, at_once: int = AT_ONCE, index: Index | None = None) -> None:
        self.disk.close()
        self.open(at_once, index)

    def record(self, parts: int, streams: tuple[str, ...] = STREAMS) -> None:
        for _ in range(parts):
            for stream in streams:
                part = synthetic.noise_part(
                    stream, self.rng, run=self.run, start_90k=int(self.clock.now_s * 90_000),
                    wall_us=self.clock.wall_us(), size=10_000, key=True,
                    duration_90k=PART_S * 90_000,
                )  # fmt: skip
                self.committer.submit([part])
            self.clock.advance(PART_S)
            assert self.committer.commit()
            while self.store.ring.keep():
                pass

    def rebuild(self) -> None:
        Rebuild(self.store).run(threading.Event())

    def rows(self) -> list[Row]:
        return self.store.catalog.all_rows()

    def on_disk(self) -> list[Row]:
        """What is there, read from the blocks by somebody who knows nothing."""
        return open_reading(self.disk, self.clock).catalog.all_rows()


@pytest.fixture
def box() -> Box:
    """One lap and a half, then the power goes."""
    made = Box()
    made.record(250)
    made.record(20, (*STREAMS, "mast/main"))
    made.record(60)
    return made


def test_recording_goes_on_before_the_disk_is_read(box: Box) -> None:
    want = {row.head.serial: row for row in box.on_disk()}
    box.boot()
    unread = set(box.store.survey.unread)
    assert len(unread) == box.store.ring.unread == BLOCKS - AT_ONCE
    assert len(box.rows()) == len(want) - len(unread)
    last = box.store.catalog.ends("gate/main").last
    box.record(2)
    after = box.store.catalog.ends("gate/main").last
    assert after.sequence == last.sequence + 2, "its chain goes on"
    box.record(40)
    now = {number for row in box.rows() if (number := row.head.block) in unread}
    assert not now, "nothing unread is overwritten"
    assert Archive(box.store).volume().unread_bytes == len(unread) * BLOCK_BYTES
    box.rebuild()
    assert box.store.ring.unread == 0
    found = {row.head.serial: row for row in box.rows()}
    for serial, row in want.items():
        if row.head.block in unread:
            assert found[serial] == row
    assert [r.head.serial for r in box.on_disk()] == [r.head.serial for r in box.rows()]
    assert box.store.catalog.ends("mast/main") is not None
    box.record(200)
    assert check(box.disk, deep=True, repair=False).sound


def test_what_is_not_read_yet_is_a_gap_that_says_so(box: Box) -> None:
    everything = Archive(open_reading(box.disk, box.clock)).ranges("gate/main", 0, 1 << 62)
    box.boot()
    box.record(1)
    archive = Archive(box.store)
    assert "unread" in {gap.cause for gap in archive.ranges("gate/main", 0, 1 << 62).gaps}
    box.rebuild()
    after = archive.ranges("gate/main", 0, 1 << 62)
    assert "unread" not in {gap.cause for gap in after.gaps}
    assert after.runs[0].to_us == everything.runs[0].to_us


def test_a_camera_that_comes_back_before_its_last_block_is_read(box: Box) -> None:
    """Its chain begins anew, and no number of it was used before."""
    used = {
        entry_number
        for row in box.on_disk()
        if row.head.stream == "mast/main"
        for entry_number in range(row.sequence)
    }
    box.boot()
    assert box.store.catalog.ends("mast/main") is None
    box.record(5, (*STREAMS, "mast/main"))
    begun = box.store.catalog.ends("mast/main").first
    assert begun.head.sequence > max(used)
    box.rebuild()
    archive = Archive(box.store)
    assert len(archive.ranges("mast/main", 0, 1 << 62).runs) == 2
    runs = [span.run for row in box.store.catalog.rows("mast/main") for span in row.spans]
    assert runs == sorted(runs)
    assert check(box.disk, deep=True, repair=False).sound


def test_a_reading_that_is_stopped_goes_on_at_the_next_start(box: Box, tmp_path: Path) -> None:
    want = [row.head.serial for row in box.on_disk()]
    index = Index(tmp_path / NAME, box.store.identity)
    box.boot(index=index)

    class Soon(threading.Event):
        left = 10

        def wait(self, _timeout: float | None = None) -> bool:
            self.left -= 1
            return self.left == 0

    left = box.store.ring.unread
    Rebuild(box.store).run(Soon())
    assert 0 < box.store.ring.unread < left
    index.save(box.store.catalog)
    index.close()
    box.boot(index=Index(tmp_path / NAME, box.store.identity))
    assert box.store.ring.unread < left - AT_ONCE // 2
    box.rebuild()
    assert [row.head.serial for row in box.rows()] == want


def test_blocks_that_cannot_be_read_are_not_used_and_empty_ones_are(box: Box) -> None:
    box.boot()
    refused, empty = box.store.survey.unread[5], box.store.survey.unread[6]
    box.disk.pwrite(block.name(empty), [bytes(block.PAGE_BYTES)], 0)
    read = box.disk.pread

    def pread(path: str, size: int, offset: int) -> bytes:
        if path == block.name(refused):
            raise OSError(5, "Input/output error")
        return read(path, size, offset)

    box.disk.pread = pread
    box.rebuild()
    assert box.store.ring.condemned == 1
    box.record(250)
    used = {row.head.block for row in box.rows()}
    assert refused not in used
    assert empty in used


def test_no_key_is_destroyed_because_its_recordings_are_not_read_yet(box: Box, monkeypatch) -> None:
    box.boot()
    asked = []
    monkeypatch.setattr(destroy, "unused", lambda *_: asked.append(1) or [])
    object.__setattr__(box.store, "keys", type("Keys", (), {"slots": lambda _: []})())
    destroy.forget_unused(box.store, None)
    assert not asked
    box.rebuild()
    destroy.forget_unused(box.store, None)
    assert asked


def test_a_disk_whose_log_is_lost_is_read_whole_first(box: Box) -> None:
    """Nobody knows which blocks are the newest."""
    want = [row.head.serial for row in box.on_disk()]
    sizes = dict(box.disk.listing())
    for path in NAMES:
        box.disk.pwrite(path, [bytes(sizes[path])], 0)
    box.boot()
    assert box.store.ring.unread == 0
    assert [row.head.serial for row in box.rows()] == want
