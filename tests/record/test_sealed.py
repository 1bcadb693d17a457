"""A sealed volume: the same archive, and nothing on the disk without a key."""

import io
import itertools
import random
from pathlib import Path

import av
import pytest

from nvr.base.clock import FakeClock
from nvr.base.errors import Damaged, Unavailable
from nvr.hal.linux_disk import LinuxDisk
from nvr.hal.virtual_disk import PowerCut, VirtualDisk
from nvr.media.name import FETCHED
from nvr.playback.query import Archive
from nvr.record import block, header, keys
from nvr.record.destroy import destroy, forget_unused, genuine
from nvr.record.key_table import NAMES, SLOT_BYTES, KeyTable, Publics, present
from nvr.record.keys import Keys, day_of
from nvr.record.recover import open_reading, open_store
from nvr.record.seal import SIGN_90K, Sealer
from nvr.record.store import Store
from nvr.record.writer import Committer
from nvr.seal import root, sign, suite
from tests.record import synthetic

SIZE = 48 << 20
ALL = (0, 1 << 62)
GATE = "gate/main"
BOX, OWNER, OTHER = (bytes([n]) * 32 for n in (1, 2, 3))
SIGNER = sign.Signer(bytes([4]) * 32)
PARTS = list(itertools.islice(synthetic.camera(with_audio=True), 60))
MORE = list(itertools.islice(synthetic.camera(run=2, with_audio=True), 8))


def opener(private: bytes = BOX, box: bytes = BOX, suite_id: int = suite.AES_256_GCM):
    def open_keys(disk, identity) -> Keys:
        publics = Publics(root.public_of(box), root.public_of(OWNER))
        privates = [private] if private else []
        made = Keys(KeyTable(disk, identity), publics, privates, suite_id)
        made.open()
        return made

    return open_keys


def opened(disk, *, sealed: bool = True, **how: object) -> Store:
    open_keys = opener(**how) if sealed else None
    return open_store(disk, FakeClock(), random.Random(1), size_bytes=SIZE, keys=open_keys)


def recorded(store: Store, parts=PARTS) -> None:
    committer = Committer(store, sealer=Sealer(store.keys, SIGNER, store.identity.ring_id.bytes))
    for part in parts:
        committer.submit([part])
        store.clock.advance(0.5)
        assert committer.commit()
        store.ring.keep()


def read(directory: Path, private: bytes, box: bytes = BOX) -> Archive:
    def open_keys(disk, identity) -> Keys:
        publics = Publics(root.public_of(box))
        privates = [private] if private else []
        made = Keys(KeyTable(disk, identity), publics, privates, suite.AES_256_GCM)
        made.load()
        return made

    disk = LinuxDisk(directory, read_only=True)
    return Archive(open_reading(disk, FakeClock(), open_keys))


def headers(store: Store) -> list[header.PartHeader]:
    return [
        block.read_header(store.reader(row.head.block), row.head, entry.offset)
        for row in store.catalog.rows(GATE)
        for entry in store.entries(row)
    ]


@pytest.mark.parametrize("suite_id", sorted(suite.NAMES))
def test_it_serves_what_an_unsealed_one_serves_and_shows_nothing(
    suite_id: int, tmp_path: Path
) -> None:
    plain, sealed = opened(LinuxDisk(tmp_path / "p"), sealed=False), None
    recorded(plain)
    sealed = opened(LinuxDisk(tmp_path / "s"), suite_id=suite_id)
    recorded(sealed)
    want = b"".join(Archive(plain).export(GATE, *ALL))
    assert b"".join(Archive(sealed).export(GATE, *ALL)) == want
    with av.open(io.BytesIO(want)) as container:
        assert sum(1 for _ in container.decode(video=0)) == sum(part.samples for part in PARTS)
    raw = b"".join(path.read_bytes() for path in sorted((tmp_path / "s").glob("block-*")))
    for part in PARTS:
        assert bytes(part.mdat[40:72]) not in raw
        assert bytes(part.moof[:40]) not in raw
    for store in (plain, sealed):
        store.disk.close()


def test_a_payload_fits_only_the_header_it_was_sealed_for(tmp_path: Path) -> None:
    store = opened(LinuxDisk(tmp_path))
    recorded(store, PARTS[:4])
    row = store.catalog.rows(GATE)[0]
    path, offset = block.name(row.head.block), store.entries(row)[1].offset
    data = bytearray(store.disk.pread(path, header.PART_HEADER_BYTES, offset))
    data[120:128] = (int.from_bytes(data[120:128]) - 3_600_000_000).to_bytes(8)
    data[508:512] = keys_crc(data[:508])
    store.disk.pwrite(path, [data], offset)
    with pytest.raises(Damaged, match="do not fit their key"):
        store.part(row, store.entries(row)[1])
    assert store.part(row, store.entries(row)[2])
    store.disk.close()


def keys_crc(data: bytes) -> bytes:
    return header.crc32c(data).to_bytes(4)


def test_the_owner_reads_without_the_box_and_another_box_does_not(tmp_path: Path) -> None:
    store = opened(LinuxDisk(tmp_path))
    recorded(store)
    store.disk.close()
    want = b"".join(read(tmp_path, BOX).export(GATE, *ALL))
    assert b"".join(read(tmp_path, OWNER).export(GATE, *ALL)) == want
    with pytest.raises(Unavailable, match=r"key\.foreign"):
        list(read(tmp_path, OTHER, OTHER).export(GATE, *ALL))
    with pytest.raises(Unavailable, match=r"key\.locked"):
        list(read(tmp_path, b"").export(GATE, *ALL))
    with pytest.raises(Unavailable, match=r"key\.none"):
        list(
            Archive(open_reading(LinuxDisk(tmp_path, read_only=True), FakeClock())).export(
                GATE, *ALL
            )
        )


def test_another_box_adopts_it_with_the_recovery_key(tmp_path: Path) -> None:
    store = opened(LinuxDisk(tmp_path))
    recorded(store)
    want = b"".join(Archive(store).export(GATE, *ALL))
    store.disk.close()
    store = opened(LinuxDisk(tmp_path), private=OTHER, box=OTHER)
    recorded(store, MORE)
    assert store.keys.wrap_anew(store.keys.publics) == 1, "the old box's key, not its own"
    assert store.keys.wrap_anew(store.keys.publics, [OWNER]) == 0
    store.disk.close()
    assert b"".join(read(tmp_path, OTHER, OTHER).export(GATE, *ALL)).startswith(want[:100_000])
    with pytest.raises(Unavailable, match=r"key\.foreign"):
        list(read(tmp_path, BOX).export(GATE, *ALL))


def test_a_locked_box_records_on_under_new_keys(tmp_path: Path) -> None:
    store = opened(LinuxDisk(tmp_path))
    recorded(store, PARTS[:20])
    store.disk.close()
    store = opened(LinuxDisk(tmp_path), private=b"")
    recorded(store, MORE)
    assert len(store.keys.slots()) == 2
    store.disk.close()
    assert len(b"".join(read(tmp_path, BOX).export(GATE, *ALL))) > 0


@pytest.mark.parametrize("copy", NAMES)
def test_a_copy_of_the_keys_turned_to_garbage_is_mended_from_the_other(
    copy: str, tmp_path: Path
) -> None:
    store = opened(LinuxDisk(tmp_path))
    recorded(store)
    want = b"".join(Archive(store).export(GATE, *ALL))
    store.disk.close()
    path = tmp_path / copy
    data = path.read_bytes()
    path.write_bytes(random.Random(1).randbytes(32 << 10) + data[32 << 10 :])
    store = opened(LinuxDisk(tmp_path))
    assert b"".join(Archive(store).export(GATE, *ALL)) == want
    store.disk.close()
    (other,) = set(NAMES) - {copy}
    (tmp_path / other).write_bytes(bytes(len(data)))
    assert b"".join(read(tmp_path, BOX).export(GATE, *ALL)) == want


def test_what_is_destroyed_is_gone_from_both_copies_and_the_box_signed_for_it(
    tmp_path: Path,
) -> None:
    store = opened(LinuxDisk(tmp_path))
    recorded(store)
    slots = store.keys.slots()
    assert [slot.stream for slot in slots] == [GATE]
    wrapped = slots[0].for_box
    assert all(wrapped in (tmp_path / name).read_bytes() for name in NAMES)
    destroy(store.ring, store.keys, slots, by="li", why="asked", clock=store.clock, signer=SIGNER)
    assert not any(wrapped in (tmp_path / name).read_bytes() for name in NAMES)
    assert Archive(store).gop(GATE, 0) is None
    recorded(store, MORE)
    assert Archive(store).gop(GATE, 0) is not None, "what comes after has a key of its own"
    store.disk.close()
    store = opened(LinuxDisk(tmp_path))
    (record,) = store.ring.destroyed_records
    assert (record["by"], record["why"], record["of"]) == ("li", "asked", [[GATE, slots[0].day]])
    assert genuine(record)
    assert not genuine({**record, "by": "wang"})
    store.disk.close()


def test_a_cut_while_keys_are_destroyed_leaves_them_or_none_of_them() -> None:
    outcomes = set()
    for cut_in in range(16):
        rng = random.Random(cut_in)
        disk = VirtualDisk(rng)
        store = opened(disk)
        recorded(store, PARTS[:4])
        disk.cut_in = cut_in
        try:
            destroy(
                store.ring, store.keys, store.keys.slots(),
                by="li", why="", clock=store.clock, signer=None,
            )  # fmt: skip
            disk.cut_in = 0
            disk.pwrite("volume.id", [b""], 0)
        except PowerCut:
            pass
        disk.power_on()
        store = opened(disk)
        noted, left = bool(store.ring.destroyed_records), len(store.keys.slots())
        assert left == (0 if noted else 1)
        outcomes.add(noted)
    assert outcomes == {True, False}


def test_a_full_table_goes_on_with_the_streams_last_key(tmp_path: Path, monkeypatch) -> None:
    store = opened(LinuxDisk(tmp_path))
    monkeypatch.setattr(store.keys._table, "capacity", 2)
    for day in range(4):
        store.keys.prepare([("a/main", day)])
    assert [slot.day for slot in store.keys.slots()] == [0, 1]
    assert store.keys.current("a/main", 3).key_id == store.keys.slots()[1].key_id
    assert store.keys.current("b/main", 3) is None
    store.disk.close()


def test_keys_that_seal_nothing_any_more_are_named() -> None:
    def slot(stream: str, day: int) -> keys.Slot:
        return keys.Slot(bytes([day]) * 16, day, stream, b"", b"")

    slots = [slot("a/main", 0), slot("a/main", 1), slot("gone/main", 2), slot("gone/main", 4)]
    found = keys.unused(slots, {"a/main": 2}, today=5)
    assert [(each.stream, each.day) for each in found] == [("a/main", 0), ("gone/main", 2)]


def test_the_keys_of_days_that_were_overwritten_are_wiped_and_it_is_noted(tmp_path: Path) -> None:
    store = opened(LinuxDisk(tmp_path))
    recorded(store, PARTS[:4])
    day = day_of(PARTS[0].wall_us)
    store.keys.prepare([(GATE, day - 3), (GATE, day - 1), ("gone/main", day - 9)])
    store.clock.now_s += (day + 2) * 86400 - store.clock.wall_us() / 1e6
    assert forget_unused(store, SIGNER) == 2
    left = {(slot.stream, slot.day) for slot in store.keys.slots()}
    assert left == {(GATE, day - 1), (GATE, day)}
    (record,) = store.ring.destroyed_records
    assert record["why"] == "retention"
    assert genuine(record)
    assert Archive(store).gop(GATE, 0) is not None
    assert forget_unused(store, SIGNER) == 0
    store.disk.close()


def test_the_key_of_a_day_that_is_being_fetched_stays(tmp_path: Path) -> None:
    store = opened(LinuxDisk(tmp_path))
    recorded(store, PARTS[:4])
    day = day_of(PARTS[0].wall_us)
    store.clock.now_s += (day + 2) * 86400 - store.clock.wall_us() / 1e6
    store.keys.prepare([(GATE + FETCHED, day - 5)])  # its first part is not on the disk yet
    assert forget_unused(store, SIGNER) == 0
    store.disk.close()
    store = opened(LinuxDisk(tmp_path))  # nothing came of it
    store.clock.now_s += (day + 2) * 86400 - store.clock.wall_us() / 1e6
    assert forget_unused(store, SIGNER) == 1
    assert [slot.stream for slot in store.keys.slots()] == [GATE]
    store.disk.close()


def test_the_chain_is_signed_every_ten_seconds_and_after_each_start(tmp_path: Path) -> None:
    store = opened(LinuxDisk(tmp_path), sealed=False)
    recorded(store)
    store.disk.close()
    store = opened(LinuxDisk(tmp_path), sealed=False)
    recorded(store, MORE)
    found = headers(store)
    signed = [(n, each) for n, each in enumerate(found) if each.signature != bytes(64)]
    first_90k = [found[n].start_90k for n, _ in signed if n < len(PARTS)]
    assert len(first_90k) == (found[len(PARTS) - 1].start_90k - found[0].start_90k) // SIGN_90K
    assert signed[-1][0] == len(PARTS), "the first after a start"
    for n, each in signed:
        assert each.signed == n - 1
        message = sign.head_message(each.ring_id, GATE, n - 1, found[n - 1].link)
        assert sign.valid(SIGNER.public, each.signature, message)
    store.disk.close()


def test_a_volume_without_sealing_has_no_table(tmp_path: Path) -> None:
    store = opened(LinuxDisk(tmp_path), sealed=False)
    assert not present(store.disk)
    assert SLOT_BYTES == 256
    assert day_of(-5) == 0
    store.disk.close()
