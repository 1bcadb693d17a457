"""The volume comes, goes and is forgotten about; what was not recorded meanwhile is explained."""

import itertools
import json
import shutil
from collections.abc import Sequence
from pathlib import Path

import pytest

from nvr.app.volumes import Volumes
from nvr.base.clock import FakeClock, SystemClock
from nvr.base.errors import Rejected
from nvr.cli.main import main
from nvr.config.model import Volume
from nvr.playback.gap import Gap
from nvr.playback.query import Archive
from nvr.record.recording import open_directory
from nvr.record.recover import open_reading
from nvr.record.retention import Terms
from tests.record import synthetic

MINUTE_US = 60_000_000


class Life:
    """One recorder after the other on one data directory."""

    def __init__(self, data: Path) -> None:
        self.data = data
        self.clock = FakeClock(SystemClock().wall_us() - 120 * MINUTE_US)
        self.runs = 0
        self.uuid = ""
        self.size_mib = 40
        self.spare: list[Volume] = []

    def start(self, streams: Sequence[str] = ("gate/main",)) -> Volumes:
        vault = Volumes(
            self.data,
            [Volume(path="ring", size_mib=self.size_mib, uuid=self.uuid), *self.spare],
            self.clock,
            acknowledged=lambda _: None,
            priority=lambda _: 0,
            terms=lambda _: Terms(3600.0),
            sealing=lambda _: None,
            died=lambda: None,
            streams=lambda: streams,
        )
        vault.open()
        return vault

    def record(self, vault: Volumes) -> None:
        self.runs += 1
        camera = synthetic.camera(
            run=self.runs,
            start_90k=int(self.clock.monotonic_s() * 90_000),
            wall_us=self.clock.wall_us(),
        )
        parts = list(itertools.islice(camera, 6))
        vault.submit(parts)
        self.clock.advance(sum(part.duration_90k for part in parts) / 90_000)

    def stop(self, vault: Volumes, by: str = "signal SIGTERM") -> None:
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


def test_a_larger_size_in_the_configuration_makes_the_volume_larger(tmp_path: Path) -> None:
    life = Life(tmp_path)
    life.once()
    life.size_mib = 60
    vault = life.start()
    ring = vault.vault.store().ring
    for _ in range(1000):
        if ring.blocks == 15:
            break
        ring.keep()
    assert (ring.blocks, ring.wanted, vault.size_warning()) == (15, 15, None)
    life.stop(vault)


def test_a_smaller_size_in_the_configuration_waits_for_somebody_to_agree(tmp_path: Path) -> None:
    life = Life(tmp_path)
    (tmp_path / "nvr.toml").write_text('schema = 1 # kept\n[volume]\npath = "ring"\n')
    life.size_mib = 100
    life.once()
    life.size_mib = 64
    vault = life.start()
    warning = vault.size_warning()
    assert warning is not None
    assert warning.code == "volume.larger"
    assert warning.context == {"has_mib": 100, "size_mib": 64, "volume": "ring"}
    assert (vault.volume().size_bytes, vault.volume().wanted_bytes) == (100 << 20, 100 << 20)
    assert vault.size(64).lost == ()
    assert vault.resize(64, "owner").asked_bytes == 64 << 20
    assert vault.size_warning() is None
    assert vault.volume().wanted_bytes == 64 << 20
    text = (tmp_path / "nvr.toml").read_text()
    assert "size_mib = 64" in text
    assert "# kept" in text
    life.stop(vault)
    vault = life.start()
    assert vault.size_warning() is None
    life.stop(vault)


def test_a_size_that_the_disk_has_no_room_for_changes_nothing_and_is_said(tmp_path: Path) -> None:
    life = Life(tmp_path)
    life.once()
    life.size_mib = 64 << 20
    vault = life.start()
    store = vault.vault.store()
    for _ in range(20):
        store.ring.keep()
    assert (store.identity.blocks, store.ring.wanted, store.ring.blocks) == (10, 10, 10)
    warning = vault.size_warning()
    assert warning is not None
    assert (warning.code, warning.context["has_mib"]) == ("volume.no_room", 40)
    life.stop(vault)


def test_a_spare_volume_is_resized_by_its_name(tmp_path: Path) -> None:
    life = Life(tmp_path)
    before = '[volume]\npath = "ring"\nsize_mib = 64\n[[spare]]\npath = "usb"\nsize_mib = 100\n'
    (tmp_path / "nvr.toml").write_text(f"schema = 1\n{before}")
    life.size_mib = 64
    life.spare = [Volume(path="usb", size_mib=100)]
    vaults = life.start()
    vaults.resize(80, "owner", "usb")
    assert [vault.store().ring.wanted for vault in vaults.all] == [16, 20]
    text = (tmp_path / "nvr.toml").read_text()
    assert text.endswith(before.replace("100", "80"))
    with pytest.raises(Rejected, match=r"volume\.unknown"):
        vaults.size(80, "other")
    life.stop(vaults)
