"""`nvr lock` on a volume that no recorder has open."""

import json
from datetime import UTC, datetime
from pathlib import Path

import pytest

from nvr.auth.audit import Audit
from nvr.base.clock import SystemClock
from nvr.cli.main import main
from nvr.record.log import NAMES
from tests.record.test_gaps_command import Recorder


def at(us: int) -> str:
    return datetime.fromtimestamp(us / 1e6, UTC).isoformat()


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """A data directory with a few seconds of a camera, an hour old."""
    recorder = Recorder(tmp_path / "ring")
    recorder.open()
    recorder.record(1)
    recorder.stop("somebody")
    (tmp_path / "nvr.toml").write_text('schema = 1\n[volume]\npath = "ring"\n')
    return tmp_path


def span(data: Path) -> list[str]:
    del data
    begun_us = SystemClock().wall_us() - 61 * 60_000_000
    return ["--from", at(begun_us), "--to", at(begun_us + 120_000_000)]


def said(capsys: pytest.CaptureFixture[str], *arguments: str, status: int = 0) -> str:
    assert main(["lock", *arguments]) == status
    out = capsys.readouterr()
    return out.out + out.err


def test_a_lock_added_on_the_console_is_listed_audited_and_removed(
    data: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    here = ("--data", str(data))
    assert "nothing is locked" in said(capsys, "list", *here)
    why = ("--why", "东门撞杆")
    made = said(capsys, "add", *here, "--camera", "gate", *span(data), *why, "--days", "30")
    assert made.startswith("lock 1: ")
    hold = said(capsys, "add", *here, "--camera", "gate", *span(data), *why, "--kind", "legal")
    assert hold.startswith("lock 2: ")
    shown = said(capsys, "list", *here)
    assert "no end" in shown
    assert "东门撞杆" in shown
    found = json.loads(said(capsys, "list", *here, "--json"))
    assert [one["number"] for one in found] == [2, 1]
    assert found[0]["until_us"] is None
    assert found[0]["used_bytes"] > 0
    assert "console" in found[0]["by"]
    assert "removed" in said(capsys, "remove", "1", *here)
    assert "lock.unknown" in said(capsys, "remove", "1", *here, status=1)
    assert [one["number"] for one in json.loads(said(capsys, "list", *here, "--json"))] == [2]
    audit = Audit(data / "state.db", SystemClock(), hardware_no="test")
    actions = [row.entry.action for row in audit.rows()[0]]
    audit.close()
    assert actions == ["console lock remove", "console lock add", "console lock add"]


def test_the_disk_of_another_box_can_be_locked_and_is_none_the_worse(
    data: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    there = ("--volume", str(data / "ring"))
    said(
        capsys, "add", *there, "--camera", "gate", *span(data), "--why", "police", "--kind", "legal"
    )
    assert not (data / "state.db").exists()
    recorder = Recorder(data / "ring")
    recorder.open()
    assert recorder.store.ring.clean
    assert [lock.why for lock in recorder.store.ring.locks] == ["police"]
    recorder.record(2)
    assert "volume.busy" in said(
        capsys, "add", *there, "--camera", "gate", *span(data), "--why", "x", status=1
    )
    recorder.stop("somebody")
    assert "police" in said(capsys, "list", *there)


def test_what_cannot_be_locked_is_said_in_a_sentence(
    data: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    here = ("--data", str(data), *span(data), "--why", "x")
    assert "lock.nothing" in said(capsys, "add", *here, "--camera", "attic", status=1)
    legal = ("--camera", "gate", "--kind", "legal", "--days", "3")
    assert "lock.times" in said(capsys, "add", *here, *legal, status=1)
    assert "lock.invalid" in said(
        capsys, "add", *here, "--camera", "gate", "--until", "2020-01-01", status=1
    )


def test_a_log_that_cannot_be_read_is_not_written_over(
    data: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in NAMES:
        with (data / "ring" / name).open("r+b") as file:
            file.write(bytes(64))
    before = [(data / "ring" / name).read_bytes() for name in NAMES]
    assert "volume.log_damaged" in said(
        capsys, "add", "--data", str(data), "--camera", "gate", *span(data), "--why", "x", status=1
    )
    assert before == [(data / "ring" / name).read_bytes() for name in NAMES]
