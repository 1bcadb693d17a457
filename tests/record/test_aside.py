"""A block that the disk refuses is set aside, by the log, and nothing waits for it."""

import contextlib
import json
import random
from collections.abc import Sequence
from pathlib import Path

import pytest

from nvr.base.clock import FakeClock
from nvr.cli.main import main
from nvr.hal.linux_disk import LinuxDisk
from nvr.playback.query import Archive
from nvr.record import block
from nvr.record.bits import BlockSet
from nvr.record.recover import open_store
from nvr.record.stock import REFUSALS, TRY_S
from nvr.record.writer import Committer
from tests.faults.test_disk import STREAMS, Box
from tests.record import synthetic

LAP = 60
"""So many groups fill the volume about once."""


def used(box: Box) -> set[int]:
    return {row.head.block for row in box.store.catalog.all_rows()}


def test_a_block_that_cannot_be_zeroed_is_set_aside_and_holds_nothing_up() -> None:
    box = Box()
    box.disk.bad_paths = {block.name(20)}
    failed = 0
    for _ in range(3 * LAP):
        box.record(1)
        try:
            box.store.ring.keep()
        except OSError:
            failed += 1
    assert box.store.ring.aside == (20,)
    assert failed <= REFUSALS
    assert box.committer.state().failures == 0
    assert box.gaps("gate/main") == []
    assert 20 not in used(box)
    box.cut()
    assert box.store.ring.aside == (20,)
    assert box.store.ring.condemned == 1
    box.record(LAP)
    assert 20 not in used(box)


def test_a_block_that_is_refused_in_the_middle_of_the_archive_is_set_aside() -> None:
    box = Box()
    box.record(LAP)
    bad = box.store.catalog.rows("gate/main")[0].head.block
    box.disk.bad_paths = {block.name(bad)}
    box.record(4 * LAP)
    assert box.store.ring.aside == (bad,)
    assert box.committer.state().failures == 0
    for stream in STREAMS:
        assert box.gaps(stream) == []
        assert Archive(box.store).recorded_until_us(stream) == box.acked[stream]
    box.cut()
    assert box.store.ring.aside == (bad,)


@pytest.mark.parametrize("path", ["head", "part"])
def test_a_block_that_is_refused_for_a_while_is_used_again_without_a_restart(path: str) -> None:
    box = Box()
    box.record(LAP)
    pwrite = box.disk.pwrite
    bad = box.store.catalog.rows("gate/main")[0].head.block
    refused = 0

    def refuse(name: str, pieces: Sequence[bytes], offset: int) -> None:
        nonlocal refused
        if name == block.name(bad) and (offset > 0 or path == "head") and refused < REFUSALS - 1:
            refused += 1
            raise OSError(5, "refused")
        pwrite(name, pieces, offset)

    box.disk.pwrite = refuse
    box.record(4 * LAP)
    assert refused == REFUSALS - 1
    assert box.store.ring.aside == ()
    # Those that were open, with something in them, wait for the next start.
    assert box.store.ring.condemned == (0 if path == "head" else len(STREAMS))
    assert bad in used(box)


def test_a_disk_that_is_away_sets_nothing_aside() -> None:
    box = Box()
    box.record(5)
    box.disk.read_only = True
    for _ in range(100):
        box.clock.advance(TRY_S)
        with contextlib.suppress(OSError):
            box.store.ring.keep()
    box.record(20)
    box.disk.read_only = False
    box.record(3 * LAP)
    assert box.store.ring.aside == ()


def test_what_is_set_aside_is_still_played_and_never_overwritten() -> None:
    box = Box()
    box.record(LAP)
    row = box.store.catalog.rows("gate/main")[0]
    box.store.ring.set_aside([row.head.block], "read")
    box.record(2 * LAP)
    kept = box.store.catalog.row(row.head.block)
    assert kept is not None
    assert kept.head.serial == row.head.serial
    box.cut()
    kept = box.store.catalog.row(row.head.block)
    assert kept is not None
    assert kept.head.serial == row.head.serial
    assert Archive(box.store).gop("gate/main", row.first_us) is not None


def test_the_open_block_of_a_stream_is_not_gone_on_with_once_it_is_set_aside() -> None:
    box = Box()
    box.record(3)
    number = box.store.catalog.rows("gate/main")[-1].head.block
    box.store.ring.set_aside([number], "read")
    box.cut()
    tail = box.store.catalog.rows("gate/main")[-1].tail
    box.parts = box.made(2)
    box.record(3)
    row = box.store.catalog.row(number)
    assert row is not None
    assert row.tail == tail


def test_blocks_are_tried_and_taken_back(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    directory = tmp_path / "ring"
    store = open_store(LinuxDisk(directory), FakeClock(), random.Random(1), size_bytes=40 << 20)
    committer, camera = Committer(store), synthetic.camera()
    committer.submit([next(camera)])
    assert committer.commit()
    held = store.catalog.all_rows()[0].head.block
    store.ring.set_aside([5, 7, held], "write")
    store.disk.close()
    options = ["--volume", str(directory)]
    assert main(["fsck", *options]) == 0
    assert "SET ASIDE block 5:" in capsys.readouterr().out
    assert main(["disk", "--json", *options]) == 1
    assert next(one["blocks_aside"] for one in json.loads(capsys.readouterr().out)) == 3
    (directory / block.name(7)).unlink()
    assert main(["fsck", *options, "--use-again"]) == 1
    said = capsys.readouterr().out
    assert "block 5 is recorded on again" in said
    assert "block 7 is still refused" in said
    assert main(["fsck", *options, "--use-again", "6"]) == 1
    assert "block 6 is not set aside" in capsys.readouterr().out
    store = open_store(LinuxDisk(directory), FakeClock(), random.Random(1), size_bytes=40 << 20)
    assert store.ring.aside == (7,)
    assert store.catalog.serial(held)
    store.disk.close()


def test_a_set_of_blocks_holds_no_block_the_volume_has_not() -> None:
    found = BlockSet(11, b"\xff\xff")
    assert list(found) == list(range(11))
    assert (len(found), 11 in found, -1 in found) == (11, False, False)
    found.difference_update([3, 40])
    found.update([3, 12, 99])
    assert (len(found), found.stored) == (11, b"\xff\x07")
