"""The volume comes, goes and is forgotten about; what was not recorded meanwhile is explained."""

import itertools
import json
import shutil
from collections.abc import Sequence
from pathlib import Path

import pytest

from nvr.app.vault import Vault
from nvr.base.clock import FakeClock, SystemClock
from nvr.cli.main import main
from nvr.config.model import Volume
from nvr.playback.gap import Gap
from nvr.playback.query import Archive
from nvr.record.recording import open_directory
from nvr.record.recover import open_reading
from tests.record import synthetic

MINUTE_US = 60_000_000


class Life:
    """One recorder after the other on one data directory."""

    def __init__(self, data: Path) -> None:
        self.data = data
        self.clock = FakeClock(SystemClock().wall_us() - 120 * MINUTE_US)
        self.runs = 0
        self.uuid = ""

    def start(self, streams: Sequence[str] = ("gate/main",)) -> Vault:
        vault = Vault(
            self.data,
            Volume(path="ring", size_mib=40, uuid=self.uuid),
            self.clock,
            acknowledged=lambda _: None,
            priority=lambda _: 0,
            promised_s=lambda _: 3600.0,
            died=lambda: None,
            streams=lambda: streams,
        )
        vault.open()
        return vault

    def record(self, vault: Vault) -> None:
        self.runs += 1
        camera = synthetic.camera(
            run=self.runs,
            start_90k=int(self.clock.monotonic_s() * 90_000),
            wall_us=self.clock.wall_us(),
        )
        parts = list(itertools.islice(camera, 6))
        vault.submit(parts)
        self.clock.advance(sum(part.duration_90k for part in parts) / 90_000)

    def stop(self, vault: Vault, by: str = "signal SIGTERM") -> None:
        vault.stopped_by = by
        vault.close()

    def once(self) -> None:
        vault = self.start()
        self.record(vault)
        self.uuid = str(vault.volume().ring_id)
        self.stop(vault)
        self.clock.advance(60)

    def gaps(self, stream: str = "gate/main") -> list[Gap]:
        disk = open_directory(self.data / "ring", read_only=True)
        archive = Archive(open_reading(disk, self.clock), running=False)
        found = [one for one in archive.account(stream) if isinstance(one, Gap)]
        disk.close()
        return found


def test_a_volume_that_was_away_over_restarts_is_the_cause(tmp_path: Path) -> None:
    life = Life(tmp_path)
    life.once()
    (tmp_path / "ring").rename(tmp_path / "unplugged")
    for _ in range(3):
        vault = life.start()
        assert vault.fault is not None
        assert vault.fault.code == "volume.missing"
        life.clock.advance(600)
        life.stop(vault)
    shutil.rmtree(tmp_path / "ring")
    (tmp_path / "unplugged").rename(tmp_path / "ring")
    life.once()
    stopped, away, off = life.gaps()
    assert (stopped.cause, stopped.by) == ("stopped", "signal SIGTERM")
    assert stopped.to_us - stopped.from_us == pytest.approx(MINUTE_US, abs=500_000)
    assert (away.cause, away.code) == ("volume", "volume.missing")
    assert away.to_us - away.from_us == pytest.approx(30 * MINUTE_US, abs=500_000)
    assert (off.cause, off.open) == ("stopped", True)
    assert not (tmp_path / "outage.json").exists()


def test_a_camera_taken_out_of_the_configuration_is_removed_until_it_is_back(
    tmp_path: Path,
) -> None:
    life = Life(tmp_path)
    life.once()
    vault = life.start(())
    life.clock.advance(600)
    life.stop(vault)
    life.clock.advance(600)
    assert [(gap.cause, gap.by) for gap in life.gaps()] == [
        ("stopped", "signal SIGTERM"),
        ("removed", "configuration"),
    ]
    assert life.gaps()[-1].open
    life.once()
    assert [gap.cause for gap in life.gaps()] == ["stopped", "removed", "stopped"]


def test_the_command_knows_of_a_volume_the_recorder_had_to_let_go(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    life = Life(tmp_path)
    life.once()
    (tmp_path / "nvr.toml").write_text('schema = 1\n[volume]\npath = "ring"\nsize_mib = 64\n')
    now_us = life.clock.wall_us()
    outage = {"since_us": now_us + 5_000_000, "cause": "disk", "code": "volume.unwritable"}
    (tmp_path / "outage.json").write_text(json.dumps(outage))
    assert main(["gaps", str(tmp_path), "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert [(gap["cause"], gap["code"], gap["open"]) for gap in found] == [
        ("stopped", "", False),
        ("disk", "volume.unwritable", True),
    ]
