"""How fast a disk is worn is known over restarts, and what it says of itself is told once."""

import os
from pathlib import Path

import msgspec
import pytest

from nvr.app.wear import LOOK_S, SAVE_S, Wear, load
from nvr.base.clock import FakeClock
from nvr.cli import disk as command
from nvr.cli.main import main
from nvr.hal.block_device import BlockDevice
from nvr.record.wear import DAY_S, MOST_DAYS, Watched, looked, report
from tests.hal.test_block_device import STAT, Tree

GB = 10**9


class Machine:
    """A box whose volume lies on an eMMC in a tree of our own."""

    def __init__(self, root: Path) -> None:
        self.data = root / "data"
        (self.data / "ring").mkdir(parents=True)
        self.tree = Tree(root)
        number = self.data.stat().st_dev
        self.place = self.tree.disk(
            "mmc0/block/mmcblk0",
            f"{os.major(number)}:{os.minor(number)}",
            device__type="MMC",
            device__cid="4501",
            device__life_time="0x02 0x02",
            device__pre_eol_info="0x01",
        )
        self.clock = FakeClock()
        self.sectors = 2048
        self.recorded = 0
        self.boots = 0
        self.boot()

    def boot(self) -> None:
        """Start the machine: its clock and the counters begin anew."""
        self.boots += 1
        self.tree.write(self.tree.proc / "sys/kernel/random/boot_id", f"boot-{self.boots}")
        self.sectors, self.clock.now_s = 0, 30.0
        self.start()

    def start(self) -> None:
        """Start the recorder."""
        self.recorded = 0
        self.wear = Wear(
            self.data,
            [self.data / "ring"],
            self.clock,
            lambda: [self.recorded],
            sys=self.tree.sys,
            proc=self.tree.proc,
        )
        self.look()

    def look(self) -> None:
        self.tree.write(self.place / "stat", STAT.format(self.sectors))
        self.wear.look()

    def record(self, seconds: float, *, factor: float = 1.5) -> None:
        """Record 1 MB a second, for which the disk is given more."""
        end_s = self.clock.now_s + seconds
        while self.clock.now_s < end_s:
            self.clock.advance(LOOK_S)
            self.recorded += round(LOOK_S * 1e6)
            self.sectors += round(LOOK_S * 1e6 * factor / 512)
            self.look()


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    return Machine(tmp_path)


def test_nothing_is_said_of_a_day_before_an_hour_was_seen(machine: Machine) -> None:
    machine.record(SAVE_S / 2)
    (disk,) = machine.wear.report()
    assert (disk.bytes_a_day, disk.recorded_a_day, disk.disk_writes_a_year) == (None, None, None)
    assert disk.uses == ("volume", "system")
    assert disk.written_bytes == pytest.approx(SAVE_S / 2 * 1.5e6, rel=0.001)


def test_what_is_written_a_day_and_for_each_byte_recorded(machine: Machine) -> None:
    machine.record(2 * SAVE_S)
    (disk,) = machine.wear.report()
    assert disk.bytes_a_day == pytest.approx(1.5e6 * DAY_S, rel=0.001)
    assert disk.recorded_a_day == pytest.approx(1e6 * DAY_S, rel=0.001)
    assert disk.amplification == pytest.approx(1.5, rel=0.001)
    size = 61067264 * 512
    assert disk.disk_writes_a_year == pytest.approx(1.5e6 * DAY_S * 365 / size, rel=0.001)
    assert (disk.life_percent, disk.days_left, disk.worn) == (20, None, False)


def test_a_restart_of_the_recorder_loses_nothing(machine: Machine) -> None:
    machine.record(2 * SAVE_S)
    machine.wear.save()
    machine.clock.advance(600)  # somebody else writes meanwhile
    machine.sectors += 2 * GB // 512
    machine.start()
    (disk,) = machine.wear.report()
    assert disk.written_bytes == pytest.approx(2 * SAVE_S * 1.5e6 + 2 * GB, rel=0.001)
    assert disk.watched_s == pytest.approx(2 * SAVE_S + 600, abs=LOOK_S)


def test_the_counters_begin_anew_with_the_machine_and_the_sum_does_not(machine: Machine) -> None:
    machine.record(2 * SAVE_S)
    machine.wear.save()
    machine.boot()
    machine.record(2 * SAVE_S)
    (disk,) = machine.wear.report()
    assert disk.written_bytes == pytest.approx(4 * SAVE_S * 1.5e6, rel=0.001)
    assert disk.bytes_a_day == pytest.approx(1.5e6 * DAY_S, rel=0.01)


def test_all_since_the_machine_was_started_counts_though_we_come_late(machine: Machine) -> None:
    machine.record(SAVE_S)
    machine.wear.save()
    before = machine.wear.report()[0]
    machine.tree.write(machine.tree.proc / "sys/kernel/random/boot_id", "another")
    machine.sectors, machine.clock.now_s = 9 * GB // 512, 5 * SAVE_S  # more than ever before
    machine.start()
    (disk,) = machine.wear.report()
    assert disk.written_bytes - before.written_bytes == 9 * GB // 512 * 512
    assert disk.watched_s - before.watched_s == 5 * SAVE_S


def test_a_power_cut_costs_an_hour_of_counting_at_most(machine: Machine) -> None:
    machine.record(5 * SAVE_S + 1800)
    machine.boot()
    (disk,) = machine.wear.report()
    assert disk.watched_s >= 5 * SAVE_S - LOOK_S


def test_a_disk_that_was_pulled_is_counted_anew(machine: Machine) -> None:
    machine.record(SAVE_S)
    before = machine.wear.report()[0].written_bytes
    machine.sectors = 1000
    machine.clock.advance(LOOK_S)
    machine.look()
    assert machine.wear.report()[0].written_bytes == before + 1000 * 512


def test_it_is_written_once_an_hour(machine: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    saved: list[float] = []
    save = machine.wear.save
    monkeypatch.setattr(machine.wear, "save", lambda: (saved.append(machine.clock.now_s), save()))
    machine.record(3 * SAVE_S)
    assert len(saved) == 3


def test_an_emmc_at_the_end_of_its_spares_is_an_alarm_told_once(
    machine: Machine, caplog: pytest.LogCaptureFixture
) -> None:
    machine.record(LOOK_S)
    assert machine.wear.warnings() == []
    machine.tree.write(machine.place / "device/pre_eol_info", "0x02")
    machine.record(5 * LOOK_S)
    (warning,) = machine.wear.warnings()
    assert (warning.code, warning.context["disk"]) == ("disk.worn", "mmcblk0")
    told = [r.getMessage() for r in caplog.records if r.name == "nvr.app.wear"]
    assert len(told) == 1
    assert told[0].startswith('wear.nearly_over disk="mmcblk0" uses="volume+system"')
    machine.tree.write(machine.place / "device/pre_eol_info", "0x03")
    machine.record(5 * LOOK_S)
    told = [r.getMessage() for r in caplog.records if r.name == "nvr.app.wear"]
    assert len(told) == 2, "urgent is news"


@pytest.mark.parametrize(("life", "worn"), [(10, False), (11, True)])
def test_an_emmc_beyond_its_life_is_an_alarm(life: int, worn: bool) -> None:
    disk = BlockDevice("mmcblk0", "emmc", "x", life=(life, 1), pre_eol="normal")
    assert report(disk, None, ("system",)).worn == worn


def watch(lives: list[tuple[float, int]]) -> Watched | None:
    """Look at an eMMC once a day."""
    watched, now_s = None, 0.0
    for days, life in lives:
        for _ in range(round(days)):
            now_s += DAY_S
            disk = BlockDevice("mmcblk0", "emmc", "x", written_bytes=1, life=(life, 1))
            watched = looked(watched, disk, "boot", now_s, 0)
    return watched


def test_days_left_are_said_only_once_two_tenths_went_by() -> None:
    def left(lives: list[tuple[float, int]]) -> float | None:
        disk = BlockDevice("mmcblk0", "emmc", "x", life=(lives[-1][1], 1))
        return report(disk, watch(lives), ("volume",)).days_left

    assert left([(400, 3)]) is None
    assert left([(100, 3), (100, 4)]) is None, "how much of the third was over, nobody knows"
    # The fourth tenth took 100 days: six more from the start of the fifth, of which 50 are over.
    assert left([(30, 3), (100, 4), (51, 5)]) == pytest.approx(550)
    assert left([(30, 3), (100, 4), (2000, 5)]) == 0.0, "longer than thought, and not below nothing"
    disk = BlockDevice("sda", "ssd", "y")
    assert report(disk, watch([(30, 3), (100, 4), (51, 5)]), ("volume",)).days_left is None


def test_what_is_kept_does_not_grow() -> None:
    watched = watch([(500, 1)])
    assert watched is not None
    assert len(watched.days) == MOST_DAYS
    assert watched.watched_s == pytest.approx(499 * DAY_S)


def test_what_cannot_be_kept_is_told_and_no_memory_is_no_fault(
    machine: Machine, caplog: pytest.LogCaptureFixture
) -> None:
    (machine.data / "wear.json").write_text("{")
    assert load(machine.data) == {}
    (machine.data / "wear.json.new").mkdir()
    machine.wear.save()
    assert "wear.unsaved" in caplog.text


def test_the_command_says_it_for_people_and_programs(
    machine: Machine, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    machine.record(2 * SAVE_S)
    command.show(list(machine.wear.report()))
    said = capsys.readouterr().out
    assert "mmcblk0 (volume and system): eMMC" in said
    assert "129.6 GB" in said
    assert "up to 20 %" in said
    real = command.wear.disks
    monkeypatch.setattr(
        command.wear,
        "disks",
        lambda data, volume: real(data, volume, sys=machine.tree.sys, proc=machine.tree.proc),
    )
    machine.wear.save()
    options = ["disk", "--data", str(machine.data), "--volume", str(machine.data / "ring")]
    assert main([*options, "--json"]) == 0
    (found,) = msgspec.json.decode(capsys.readouterr().out)
    assert found["amplification"] == pytest.approx(1.5, rel=0.001)
    machine.tree.write(machine.place / "device/pre_eol_info", "0x02")
    assert main(options) == 1
    assert "CHANGE IT" in capsys.readouterr().out
