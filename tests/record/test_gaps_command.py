import itertools
import json
import random
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from nvr.base.clock import FakeClock, SystemClock
from nvr.cli.gaps import length
from nvr.cli.main import main
from nvr.hal.linux_disk import LinuxDisk, in_use
from nvr.record.note import Note
from nvr.record.recover import open_store
from nvr.record.store import Store
from nvr.record.writer import Committer
from tests.record import synthetic

MINUTE_US = 60_000_000


class Recorder:
    """Records a few seconds of the gate's camera whenever told to, a minute apart."""

    def __init__(self, directory: Path, ago_min: int = 60) -> None:
        self.directory = directory
        self.clock = FakeClock(SystemClock().wall_us() - ago_min * MINUTE_US)
        self.store: Store

    def open(self) -> None:
        self.store = open_store(
            LinuxDisk(self.directory), self.clock, random.Random(1), size_bytes=40 << 20
        )
        self.committer = Committer(self.store)

    def record(self, run: int) -> None:
        camera = synthetic.camera(
            run=run,
            start_90k=int(self.clock.monotonic_s() * 90_000),
            wall_us=self.clock.wall_us(),
        )
        for part in itertools.islice(camera, 12):
            self.committer.submit([part])
            self.clock.advance(part.duration_90k / 90_000)
            assert self.committer.commit()

    def note(self, cause: str, **more: str) -> None:
        self.store.ring.note(
            Note(
                "gap",
                self.clock.wall_us(),
                int(self.clock.monotonic_s() * 90_000),
                stream="gate/main",
                cause=cause,
                since_us=self.clock.wall_us(),
                **more,
            )
        )

    def stop(self, by: str = "") -> None:
        if by:
            self.store.ring.end(by)
        self.store.disk.close()


def asked(capsys: pytest.CaptureFixture[str], *words: object) -> tuple[int, list[dict]]:
    status = main(["gaps", *map(str, words), "--json"])
    return status, json.loads(capsys.readouterr().out)


def test_each_gap_has_its_cause_and_the_box_that_is_off_has_one_that_lasts(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    box = Recorder(tmp_path)
    box.open()
    box.record(1)
    box.note("camera", code="camera.silent")
    box.clock.advance(60)
    box.record(2)
    box.stop("user anna")
    box.clock.advance(600)
    box.open()
    box.record(1)
    box.stop()
    box.clock.advance(300)
    box.open()
    box.record(1)
    status, gaps = asked(capsys, "--volume", tmp_path)
    assert status == 3  # the recorder runs, was silent for 45 minutes and does not say why
    assert [(g["cause"], g["code"], g["by"], g["open"]) for g in gaps] == [
        ("camera", "camera.silent", "", False),
        ("stopped", "", "user anna", False),
        ("power", "", "", False),
        ("unknown", "", "", True),
    ]
    assert [g["length_s"] for g in gaps[:3]] == [60.0, 600.0, 300.0]
    assert {g["camera"] for g in gaps} == {"gate"}
    box.stop()
    status, gaps = asked(capsys, "--volume", tmp_path)
    assert (status, gaps[-1]["cause"], gaps[-1]["open"]) == (0, "power", True)
    assert gaps[-1]["length_s"] > 40 * 60


def test_the_table_can_be_read_by_a_person(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    box = Recorder(tmp_path, ago_min=26 * 60)
    box.open()
    box.record(1)
    box.note("camera", code="camera.silent")
    box.clock.advance(12.5)
    box.record(2)
    box.stop("service manager")
    assert main(["gaps", "--volume", str(tmp_path)]) == 0
    said = capsys.readouterr().out.splitlines()
    assert said[0] == "no recorder is running on this volume"
    assert said[1].split() == ["CAMERA", "FROM", "TO", "LENGTH", "CAUSE"]
    assert said[2].endswith("12.5 s  camera lost (camera.silent)")
    assert "until now" in said[3]
    assert said[3].endswith("  recorder stopped by service manager")
    assert "  1d 01:59:" in said[3]


def test_what_was_fetched_since_says_so_and_what_could_not_be_says_why(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    box = Recorder(tmp_path)
    box.open()
    box.record(1)
    lost_us = box.clock.wall_us()
    box.clock.advance(60)
    back_us = box.clock.wall_us()
    box.record(2)
    for since_us, code in ((lost_us, ""), (back_us - 30_000_000, "backfill.nothing")):
        box.store.ring.note(
            Note(
                "fetch", back_us, stream="gate/main", since_us=since_us, until_us=back_us,
                code=code, by="192.0.2.10 one",
            )
        )  # fmt: skip
    camera = synthetic.camera(run=1, start_90k=0, wall_us=lost_us)
    for part in itertools.takewhile(lambda part: part.wall_us < lost_us + 30_000_000, camera):
        box.committer.submit([replace(part, stream="gate/main+fetched")])
        assert box.committer.commit()
    box.stop("user anna")
    _, gaps = asked(capsys, "--volume", tmp_path)
    assert [gap["cause"] for gap in gaps] == ["filled", "camera", "stopped"]
    assert (gaps[0]["from_us"], round(gaps[0]["length_s"])) == (lost_us, 30)
    assert gaps[0]["fetch"] == {"at_us": back_us, "source": "192.0.2.10 one", "code": ""}
    assert gaps[1]["fetch"]["code"] == "backfill.nothing"
    assert gaps[2]["fetch"] is None
    main(["gaps", "--volume", str(tmp_path)])
    said = capsys.readouterr().out.splitlines()
    assert "  no gap any more: fetched from 192.0.2.10 one at 20" in said[2]
    assert "  camera lost; could not be fetched from 192.0.2.10 one: backfill.nothing at" in said[3]


def test_only_what_is_asked_for_is_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    box = Recorder(tmp_path)
    box.open()
    box.record(1)
    box.clock.advance(100)
    from_us = box.clock.wall_us() - 50_000_000
    box.record(2)
    box.stop("signal SIGTERM")
    times = [
        datetime.fromtimestamp(us / 1e6, UTC).isoformat() for us in (from_us, from_us + 20_000_000)
    ]
    status, gaps = asked(
        capsys, "--volume", tmp_path, "--camera", "gate", "--from", times[0], "--to", times[1]
    )
    assert status == 0
    assert [gap["length_s"] for gap in gaps] == [20.0]
    assert main(["gaps", "--volume", str(tmp_path), "--camera", "hall"]) == 1
    assert "gaps.no_camera" in capsys.readouterr().err
    assert main(["gaps", "--volume", str(tmp_path), "--from", times[1], "--to", times[0]]) == 1
    assert "gaps.times" in capsys.readouterr().err


def test_it_writes_nothing_and_knows_whether_a_recorder_runs(tmp_path: Path) -> None:
    box = Recorder(tmp_path)
    assert not in_use(tmp_path)
    box.open()
    box.record(1)
    before = {path.name: path.stat().st_mtime_ns for path in tmp_path.iterdir()}
    assert in_use(tmp_path)
    main(["gaps", "--volume", str(tmp_path)])
    assert {path.name: path.stat().st_mtime_ns for path in tmp_path.iterdir()} == before
    box.stop("signal SIGINT")
    assert not in_use(tmp_path)


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(0.04, "0.0 s"), (59.94, "59.9 s"), (60, "00:01:00"), (90_061, "1d 01:01:01")],
)
def test_lengths_are_short(seconds: float, words: str) -> None:
    assert length(seconds) == words


def test_help_has_examples(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["gaps", "--help"])
    assert "nvr gaps --volume /mnt/disk --json" in capsys.readouterr().out
