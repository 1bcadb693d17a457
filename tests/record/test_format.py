import contextlib
import random
import sqlite3
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nvr.base.clock import FakeClock
from nvr.base.errors import Damaged
from nvr.hal.linux_disk import LinuxDisk
from nvr.hal.virtual_disk import PowerCut, VirtualDisk
from nvr.media.part import PART_HEADER_BYTES
from nvr.playback.query import Archive
from nvr.record import block, header, log
from nvr.record.index import NAME, Index
from nvr.record.recover import open_store
from nvr.record.store import Store
from nvr.record.writer import Committer
from tests.record import synthetic

ALL = (0, 1 << 62)
BLOCK_BYTES = 256 << 10


def recorded(disk, parts: int = 12) -> Store:
    store = open_store(
        disk, FakeClock(), random.Random(1), size_bytes=16 * BLOCK_BYTES, block_bytes=BLOCK_BYTES
    )
    committer, rng = Committer(store), random.Random(2)
    for n in range(parts):
        committer.submit(
            [
                synthetic.noise_part(
                    stream,
                    rng,
                    run=1,
                    start_90k=n * 45_000,
                    wall_us=synthetic.WALL_US + n * 500_000,
                    size=rng.randrange(1000, 50_000),
                    key=n % 2 == 0,
                )
                for stream in ("门/main", "yard/main")
            ]
        )
        assert committer.commit()
    return store


def again(disk, **more: object) -> Store:
    return open_store(disk, FakeClock(), random.Random(1), size_bytes=1, **more)


def wholes(store: Store) -> dict[str, bytes]:
    archive = Archive(store)
    return {name: b"".join(archive.export(name, *ALL)) for name in sorted(archive.streams())}


DISK = VirtualDisk(random.Random(1))
STORE = recorded(DISK)
ROW = STORE.catalog.rows("门/main")[0]
HEAD = DISK.pread(block.name(ROW.head.block), ROW.head.header_bytes, 0)
FIRST = STORE.entries(ROW)[0]
PART = DISK.pread(block.name(ROW.head.block), PART_HEADER_BYTES, FIRST.offset)


def test_a_header_says_what_was_written() -> None:
    found, payload = block.read_part(STORE.reader(ROW.head.block), ROW.head, FIRST.offset)
    assert (found.stream, found.run, found.number, found.sequence) == ("门/main", 1, 0, 0)
    assert (found.wall_us, found.duration_90k) == (synthetic.WALL_US, 45_000)
    assert found.key
    assert found.previous == header.NO_LINK
    assert found.part_bytes % block.PAGE_BYTES == 0
    assert len(payload) == found.stored_bytes


@given(st.integers(0, PART_HEADER_BYTES - 1), st.integers(1, 255))
def test_no_byte_of_a_part_header_can_change_unseen(at: int, change: int) -> None:
    changed = bytearray(PART)
    changed[at] ^= change
    try:
        found = header.decode(bytes(changed))
    except Damaged:
        return
    assert at < 4, "only the box size is outside the checksum's reach of meaning"
    assert found.part_bytes == FIRST.part_bytes


@given(st.binary(max_size=PART_HEADER_BYTES + 8))
def test_noise_is_not_a_part_header(noise: bytes) -> None:
    for data in (noise, PART[: len(noise)], PART[:200] + noise):
        try:
            header.decode(data)
        except Damaged:
            continue
        assert data[:PART_HEADER_BYTES] == PART


@given(st.integers(0, len(HEAD) - 1), st.integers(1, 255), st.integers(0, len(HEAD)))
def test_a_damaged_head_is_found_or_does_not_matter(at: int, change: int, cut: int) -> None:
    changed = bytearray(HEAD)
    changed[at] ^= change
    for data in (bytes(changed), HEAD[:cut]):
        try:
            found, _ = block.decode_head(
                lambda offset, size, data=data: data[offset : offset + size]
            )
        except Damaged:
            continue
        assert found == ROW.head


@given(st.binary(max_size=3000), st.integers(0, 2500))
def test_noise_in_the_log_ends_it_and_nothing_else(noise: bytes, at: int) -> None:
    disk = VirtualDisk(random.Random(1))
    for path in log.NAMES:
        disk.create(path, log.size_for(4))
    written = log.VolumeLog(disk, log.size_for(4))
    written.start([{"kind": "summary", "n": 0}])
    for n in range(1, 20):
        written.append({"kind": "note", "n": n})
    disk.pwrite(log.NAMES[0], [noise], at)
    found = log.VolumeLog(disk, log.size_for(4)).read()
    assert [record["n"] for record in found] == list(range(20))


@pytest.mark.parametrize("damaged", log.NAMES)
def test_a_new_epoch_overwrites_the_damaged_copy_first(damaged: str) -> None:
    """The other one is all there is until then, and the power may go at any moment."""
    for cut_in in range(6):
        disk = VirtualDisk(random.Random(cut_in))
        for path in log.NAMES:
            disk.create(path, log.size_for(4))
        disk.sync_directory()
        log.VolumeLog(disk, log.size_for(4)).start([{"kind": "summary", "n": 0}])
        disk.pwrite(damaged, [random.Random(1).randbytes(16384)], 0)
        disk.flush([(damaged, 0, 16384)], written_before=False)
        again = log.VolumeLog(disk, log.size_for(4))
        again.read()
        disk.cut_in = cut_in
        with contextlib.suppress(PowerCut):
            again.start([{"kind": "summary", "n": 0}])
        disk.power_on()
        assert log.VolumeLog(disk, log.size_for(4)).read()[0]["n"] == 0


@settings(max_examples=40, deadline=None)
@given(st.data())
def test_what_survives_random_damage_is_what_was_recorded(data: st.DataObject) -> None:
    disk = VirtualDisk(random.Random(1))
    store = recorded(disk, 6)
    media = {
        piece
        for name in store.catalog.streams()
        for row in store.catalog.rows(name)
        for entry in store.entries(row)
        for piece in [block.read_part(store.reader(row.head.block), row.head, entry.offset)[1]]
    }
    for _ in range(data.draw(st.integers(1, 6))):
        path, size = data.draw(st.sampled_from(disk.listing()))
        if path == "volume.id":
            continue
        at = data.draw(st.integers(0, min(size, 200_000) - 1))
        noise = data.draw(st.binary(min_size=1, max_size=600))
        disk.pwrite(path, [noise[: size - at]], at)
    found = again(disk)
    for name in found.catalog.streams():
        for row in found.catalog.rows(name):
            for entry in found.entries(row):
                try:
                    _, payload = block.read_part(
                        found.reader(row.head.block), row.head, entry.offset
                    )
                except Damaged:
                    continue
                assert payload in media
    assert all(whole is not None for whole in wholes_or_nothing(found))


def wholes_or_nothing(store: Store):
    archive = Archive(store)
    for name in archive.streams():
        gop = archive.gop(name, 0)
        yield gop.data if gop else b""


def test_both_logs_gone_the_blocks_still_say_it_all() -> None:
    disk = VirtualDisk(random.Random(1))
    before = wholes(recorded(disk))
    for path in log.NAMES:
        disk.pwrite(path, [bytes(5000)], 0)
    store = again(disk)
    assert wholes(store) == before
    assert store.ring.new_run() == 3


def test_the_index_is_a_cache(tmp_path: Path) -> None:
    def reopened() -> tuple[Store, Index]:
        made: list[Index] = []

        def known(identity):
            made.append(Index(tmp_path / NAME, identity))
            return made[0].load()

        return again(LinuxDisk(tmp_path), known=known), made[0]

    store = recorded(LinuxDisk(tmp_path), 30)
    before, ranges = wholes(store), Archive(store).ranges("门/main", *ALL)
    index = Index(tmp_path / NAME, store.identity)
    index.save(store.catalog)
    index.close()
    store.disk.close()

    store, index = reopened()
    rows = sqlite3.connect(tmp_path / NAME)
    assert rows.execute("SELECT count(*) FROM block").fetchone() == (len(store.catalog.all_rows()),)
    rows.close()
    assert wholes(store) == before
    store.disk.close()
    index.close()
    for damage in (
        (tmp_path / NAME).unlink,
        lambda: (tmp_path / NAME).write_bytes(b"no database" * 1000),
        lambda: (tmp_path / NAME).write_bytes((tmp_path / NAME).read_bytes()[:5000] + b"\xff" * 99),
    ):
        damage()
        store, index = reopened()
        assert wholes(store) == before
        assert Archive(store).ranges("门/main", *ALL) == ranges
        index.save(store.catalog)
        index.close()
        store.disk.close()


def test_more_pieces_than_a_vectored_write_takes_are_written_whole(tmp_path):
    disk = LinuxDisk(tmp_path)
    disk.create("block", 4096)
    pieces = [bytes([n % 251]) for n in range(2500)]
    disk.pwrite("block", pieces, 100)
    assert disk.pread("block", 2500, 100) == b"".join(pieces)
