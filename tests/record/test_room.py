"""The room from the end of a part to the next page: not written, unless what was there must go."""

import random
from collections.abc import Iterator

import pytest

from nvr.base.clock import FakeClock
from nvr.hal.virtual_disk import VirtualDisk
from nvr.media.part import PART_HEADER_BYTES
from nvr.playback.query import Archive
from nvr.playback.verbatim import Reader
from nvr.record import block
from nvr.record.block import Entry
from nvr.record.header import PartHeader
from nvr.record.recover import open_store
from nvr.record.retention import Terms
from nvr.record.row import Row
from nvr.record.seal import Sealer
from nvr.record.store import Store
from nvr.record.writer import Committer
from tests.record import synthetic
from tests.record.test_sealed import opener

BLOCK_BYTES = 512 << 10
OLD = b"\xee"
MEMORY_PAGE_BYTES = 4096
GATE = "gate/main"


class Counting(VirtualDisk):
    """Counts what is written to blocks behind their heads."""

    written_bytes = 0

    def pwrite(self, path, pieces, offset: int) -> None:
        if path.startswith("block-") and offset:
            self.written_bytes += sum(map(len, pieces))
        super().pwrite(path, pieces, offset)


def opened(disk: VirtualDisk, *, sealed: bool = False, **more: object) -> Store:
    return open_store(
        disk, FakeClock(), random.Random(1), size_bytes=32 * BLOCK_BYTES, block_bytes=BLOCK_BYTES,
        keys=opener() if sealed else None, **more,
    )  # fmt: skip


def committer_of(store: Store) -> Committer:
    token = random.Random(2).randbytes
    return Committer(store, sealer=Sealer(store.keys, None, b"", token) if store.keys else None)


def record(store: Store, committer: Committer, camera, groups: int) -> None:
    """Record groups of two parts; the keeper never has its turn."""
    for _ in range(groups):
        committer.submit([next(camera), next(camera)])
        store.clock.advance(1.0)
        assert committer.commit()


def fill(store: Store) -> None:
    """Have every byte of a volume of nothing be that of something else."""
    while store.ring.keep():
        pass
    for n in range(store.identity.blocks):
        size = BLOCK_BYTES - block.PAGE_BYTES
        store.disk.pwrite(block.name(n), [OLD * size], block.PAGE_BYTES)


def stored(store: Store) -> Iterator[tuple[Row, Entry, PartHeader, bytes]]:
    """Every part, and all bytes from its header to the next."""
    for row in store.catalog.all_rows():
        for entry in store.entries(row):
            read = store.reader(row.head.block)
            header = block.read_header(read, row.head, entry.offset)
            yield row, entry, header, read(entry.offset, entry.part_bytes)


@pytest.mark.parametrize("sealed", [False, True])
def test_what_was_in_the_room_stays_and_is_neither_served_nor_exported(*, sealed: bool) -> None:
    store = opened(VirtualDisk(random.Random(1)), sealed=sealed)
    fill(store)
    record(store, committer_of(store), synthetic.camera(width=160), 10)
    left, reader = 0, Reader(store)
    for row, entry, header, data in stored(store):
        filled = PART_HEADER_BYTES + header.stored_bytes
        begun = -filled % MEMORY_PAGE_BYTES
        room = data[filled:]
        assert room == bytes(begun) + OLD * (len(room) - begun)
        assert len(room) < block.PAGE_BYTES
        left += len(room) - begun
        verbatim = reader.part(row, entry)
        assert verbatim.whole
        assert verbatim.data == data[:filled] + bytes(len(room))
    assert left
    assert OLD * 64 not in b"".join(Archive(store).export(GATE, 0, 1 << 62))


@pytest.mark.parametrize("sealed", [False, True])
def test_little_more_than_the_parts_is_written(*, sealed: bool) -> None:
    disk = Counting(random.Random(1))
    store = opened(disk, sealed=sealed)
    committer, groups, before = committer_of(store), 3, disk.written_bytes
    record(store, committer, synthetic.camera(width=160), groups)
    sizes = [PART_HEADER_BYTES + header.stored_bytes for _, _, header, _ in stored(store)]
    assert len(sizes) == 2 * groups
    assert len(store.catalog.all_rows()) == 1
    assert committer.state().part_bytes == sum(sizes)
    pages = sum(-(-size // MEMORY_PAGE_BYTES) for size in sizes) + groups
    assert disk.written_bytes - before == pages * MEMORY_PAGE_BYTES


def noise(rng: random.Random) -> Iterator[synthetic.Part]:
    at = 0
    while True:
        yield synthetic.noise_part(
            GATE, rng, run=1, start_90k=at * 45_000, wall_us=synthetic.WALL_US + at * 500_000,
            size=rng.randrange(20_000), key=True,
        )  # fmt: skip
        at += 1


def left_over(store: Store) -> dict[int, int]:
    """By serial of a block, how many bytes of the rooms in it were not written with zeroes."""
    found: dict[int, int] = {}
    for row, _, header, data in stored(store):
        room = data[PART_HEADER_BYTES + header.stored_bytes :]
        serial = row.head.serial
        found[serial] = found.get(serial, 0) + len(room) - room.count(0)
    return found


@pytest.mark.parametrize("limit_s", [0.0, 1e9])
def test_what_must_be_gone_is_written_over_though_nobody_had_time_to_zero_it(
    limit_s: float,
) -> None:
    store = opened(VirtualDisk(random.Random(1)), terms=lambda _stream: Terms(1.0, limit_s=limit_s))
    record(store, committer_of(store), noise(random.Random(3)), 1000)
    found = left_over(store)
    assert min(found) > store.identity.blocks, "each block was used before"
    assert any(found.values()) is not bool(limit_s)


def test_a_block_gone_on_with_after_a_restart_has_its_room_written() -> None:
    """Nobody knows any more whether what was in it must go."""
    disk = VirtualDisk(random.Random(1))
    store = opened(disk)
    fill(store)
    camera = noise(random.Random(3))
    record(store, committer_of(store), camera, 3)
    again = opened(disk)
    record(again, committer_of(again), camera, 3)
    assert len(again.catalog.all_rows()) == 1
    rooms = [
        data[PART_HEADER_BYTES + header.stored_bytes :] for _, _, header, data in stored(again)
    ]
    assert [any(room) for room in rooms[6:]] == [False] * 6
    assert max(map(len, rooms[6:])) > MEMORY_PAGE_BYTES
    assert any(map(any, rooms[:6]))
