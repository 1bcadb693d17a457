import hashlib
import json
import random
import shutil
from collections.abc import Callable
from pathlib import Path

import av
import pytest

from nvr.base.clock import FakeClock
from nvr.cli.main import main
from nvr.hal.linux_disk import LinuxDisk
from nvr.playback.query import Archive
from nvr.record import block
from nvr.record.fsck import Report, check
from nvr.record.recover import open_reading, open_store
from nvr.record.row import Row
from nvr.record.store import Store
from nvr.record.writer import Committer
from tests.record import synthetic

ALL = (0, 1 << 62)


@pytest.fixture
def volume(tmp_path: Path) -> Path:
    directory = tmp_path / "ring"
    store = open_store(LinuxDisk(directory), FakeClock(), random.Random(1), size_bytes=40 << 20)
    committer, camera = Committer(store), synthetic.camera()
    for _ in range(90):
        committer.submit([next(camera)])
        store.clock.advance(0.5)
        assert committer.commit()
    store.disk.close()
    return directory


def rows(directory: Path) -> list[Row]:
    disk = LinuxDisk(directory, read_only=True)
    found = open_reading(disk, FakeClock()).catalog.all_rows()
    disk.close()
    return found


def checked(directory: Path, *, repair: bool = False) -> Report:
    disk = LinuxDisk(directory, read_only=not repair)
    report = check(disk, deep=True, repair=repair)
    disk.close()
    return report


def write(path: Path, data: bytes, at: int) -> None:
    with path.open("r+b") as file:
        file.seek(at)
        file.write(data)


def test_a_sound_archive_is_sound(volume: Path, capsys: pytest.CaptureFixture[str]) -> None:
    report = checked(volume)
    assert (report.sound, report.findings, report.parts) == (True, [], 90)
    assert main(["fsck", "--volume", str(volume), "--dry-run"]) == 0
    assert "gate/main: 90 parts" in capsys.readouterr().out
    with pytest.raises(SystemExit):
        main(["fsck", "--volume", str(volume), "--dry-run", "--repair"])


def test_blocks_that_were_given_up_for_the_next_are_no_damage(volume: Path) -> None:
    store = open_store(LinuxDisk(volume), FakeClock(), random.Random(2), size_bytes=0)
    committer, camera = Committer(store), synthetic.camera(wall_us=synthetic.WALL_US + 90_000_000)
    for _ in range(400):  # the ring goes round, and some of its oldest are kept ready
        committer.submit([next(camera)])
        store.clock.advance(0.5)
        assert committer.commit()
        store.ring.keep()
    store.disk.close()
    assert min(row.head.serial for row in rows(volume)) > 1, "it went round"
    assert len(rows(volume)) < 10, "a block is ready, with old parts behind a head of zeros"
    assert checked(volume).findings == []
    # What is in use is missed as before.
    write(volume / block.name(rows(volume)[0].head.block), b"\xee" * 3000, 0)
    assert [found.kind for found in checked(volume).findings] == ["head"]


@pytest.mark.parametrize("kind", ["part", "index", "tail", "head", "swapped", "foreign", "log"])
def test_each_kind_of_damage_is_found_and_named(volume: Path, kind: str, tmp_path: Path) -> None:
    full, last = rows(volume)[0], rows(volume)[-1]
    path = volume / block.name(full.head.block)
    spare = volume / block.name(
        next(n for n in range(10) if n not in {r.head.block for r in rows(volume)})
    )
    damage: dict[str, Callable[[], object]] = {
        "part": lambda: write(path, b"\xee" * 3000, full.head.first_offset + 20_000),
        "index": lambda: write(path, b"\xee" * 100, full.head.header_bytes),
        "tail": lambda: write(volume / block.name(last.head.block), b"\xee" * 9000, last.tail),
        "head": lambda: write(path, b"\xee" * 3000, 0),
        "swapped": lambda: shutil.copy(path, spare),
        "foreign": lambda: foreign(tmp_path / "other", spare),
        "log": lambda: write(volume / "volume-a.log", b"\xee" * 30, 8),
    }
    damage[kind]()
    report = checked(volume)
    assert [found.kind for found in report.findings] == [kind]
    assert report.sound == (kind in {"index", "tail", "log"})


def foreign(directory: Path, spare: Path) -> None:
    store = open_store(LinuxDisk(directory), FakeClock(), random.Random(9), size_bytes=40 << 20)
    committer = Committer(store)
    committer.submit([next(synthetic.camera())])
    committer.commit()
    number = store.catalog.all_rows()[0].head.block
    store.disk.close()
    shutil.copy(directory / block.name(number), spare)


def test_a_lost_index_is_written_again_and_nothing_else_is_touched(volume: Path) -> None:
    full = rows(volume)[0]
    path = volume / block.name(full.head.block)
    whole = path.read_bytes()
    write(path, bytes(100), full.head.header_bytes)
    assert main(["fsck", "--volume", str(volume), "--repair"]) == 0
    assert path.read_bytes() == whole
    assert checked(volume).findings == []


def test_half_a_volume_is_still_read(volume: Path) -> None:
    full = rows(volume)[0]
    for row in rows(volume)[1:]:
        (volume / block.name(row.head.block)).unlink()
    report = checked(volume)
    assert report.streams["gate/main"][0] == full.count
    assert not report.sound


def test_an_export_plays_and_its_manifest_is_true(
    volume: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    clip = tmp_path / "clip.mp4"
    # 2027-01-15T08:00:00Z is where the synthetic camera begins.
    words = ["export", "--volume", str(volume), "--camera", "gate", str(clip)]
    span = ["--from", "2027-01-15T08:00:05.300Z", "--to", "2027-01-15T16:00:12+08:00"]
    assert main([*words, *span]) == 0
    manifest = json.loads((tmp_path / "clip.mp4.json").read_text())
    told = manifest["files"][0]
    assert told["sha256"] == hashlib.sha256(clip.read_bytes()).hexdigest()
    assert told["from_us"] == synthetic.WALL_US + 5_000_000
    assert manifest["gaps"] == []
    with av.open(str(clip)) as container:
        assert sum(1 for _ in container.decode(video=0)) == 7 * 25
    assert main([*words, *span]) == 1
    assert "export.exists" in capsys.readouterr().err
    late = ["--from", "2031-01-01T00:00:00Z", "--to", "2031-01-01T00:00:01Z"]
    assert (
        main(["export", "--volume", str(volume), "--camera", "gate", str(tmp_path / "b"), *late])
        == 1
    )
    assert "export.nothing" in capsys.readouterr().err


def test_reading_beside_a_recorder_changes_nothing(volume: Path) -> None:
    disk = LinuxDisk(volume)
    store: Store = open_store(disk, FakeClock(), random.Random(1), size_bytes=1)
    before = {path.name: path.stat().st_mtime_ns for path in volume.iterdir()}
    reading = LinuxDisk(volume, read_only=True)
    beside = Archive(open_reading(reading, FakeClock()))
    assert beside.ranges("gate/main", *ALL) == Archive(store).ranges("gate/main", *ALL)
    assert {path.name: path.stat().st_mtime_ns for path in volume.iterdir()} == before
    reading.close()
    disk.close()
