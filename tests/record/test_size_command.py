"""`nvr resize` and `nvr plan --size-mib` on a volume that no recorder has open."""

import io
import random
from pathlib import Path

import pytest

from nvr.auth.audit import Audit
from nvr.base.clock import FakeClock, SystemClock
from nvr.cli.main import main
from nvr.hal.linux_disk import LinuxDisk
from nvr.record.recover import open_store
from nvr.record.writer import Committer
from tests.record import synthetic


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """A data directory whose volume of 25 blocks is full."""
    clock = FakeClock(synthetic.WALL_US)
    store = open_store(LinuxDisk(tmp_path / "ring"), clock, random.Random(1), size_bytes=100 << 20)
    committer, camera = Committer(store), synthetic.camera()
    while len(store.catalog) < 22:
        committer.submit([next(camera)])
        clock.advance(0.5)
        assert committer.commit()
        store.ring.keep()
    store.ring.end()
    store.disk.close()
    (tmp_path / "nvr.toml").write_text('schema = 1\n[volume]\npath = "ring"\nsize_mib = 100\n')
    return tmp_path


def said(capsys: pytest.CaptureFixture[str], *arguments: str, status: int = 0) -> str:
    assert main([*arguments]) == status
    out = capsys.readouterr()
    return out.out + out.err


def test_a_smaller_volume_is_planned_agreed_to_and_done_at_the_next_start(
    data: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO("no\n"))
    here = ("--data", str(data))
    smaller = ("--size-mib", "64")
    plan = said(capsys, "plan", *here, *smaller, status=1)
    assert "LOST  gate" in plan
    assert "size.unconfirmed" in said(capsys, "resize", *here, *smaller, status=1)
    assert "size_mib = 100" in (data / "nvr.toml").read_text()
    done = said(capsys, "resize", *here, *smaller, "--yes")
    assert "LOST  gate" in done
    assert "size_mib = 64" in (data / "nvr.toml").read_text()
    audit = Audit(data / "state.db", SystemClock(), hardware_no="test")
    assert [row.entry.action for row in audit.rows()[0]] == ["console resize volume"]
    audit.close()
    store = open_store(LinuxDisk(data / "ring"), FakeClock(), random.Random(2), size_bytes=64 << 20)
    assert (store.ring.blocks, store.ring.wanted) == (25, 16)
    while store.ring.keep():
        pass
    assert store.ring.blocks == 16
    store.disk.close()
    assert "refused" in said(capsys, "plan", *here, "--size-mib", str(1 << 25), status=1)
    assert "nothing is lost" in said(capsys, "plan", *here, "--size-mib", "80")
    assert "size.too_small" in said(capsys, "resize", *here, "--size-mib", "8", status=1)
