"""The watchdog's feeder, on a clock moved by hand, with a watchdog that is a process of its own."""

import contextlib
import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from nvr.app import watchdog
from nvr.app.watchdog import Feeder, Memory
from nvr.base.clock import FakeClock
from nvr.hal.board_gpio import Watchdog

# It notes each feed, and whether it was disarmed before the pipe was closed.
DOG = """
import json, os, sys, time
fd = os.open(sys.argv[1], os.O_RDONLY)
print("reads", flush=True)
fed = magic = 0
while data := os.read(fd, 4096):
    fed += data.count(0)
    magic = data.endswith(b"V")
print(json.dumps({"fed": fed, "disarmed": bool(magic)}), flush=True)
"""


class PaperAudit:
    def __init__(self) -> None:
        self.rows: list[tuple[str, str]] = []

    def record(self, entry, **_more: object) -> None:
        self.rows.append((entry.action, entry.reason))


class Rig:
    def __init__(self, tmp_path: Path) -> None:
        self.place = tmp_path
        self.clock = FakeClock()
        self.audit = PaperAudit()
        self.well = {"recording": True, "control": True, "disk": True}
        self.boot = "one"
        with contextlib.suppress(FileExistsError):
            os.mkfifo(tmp_path / "dog")

    def start(self) -> Feeder:
        self.dog = subprocess.Popen(
            [sys.executable, "-c", DOG, str(self.place / "dog")], stdout=subprocess.PIPE, text=True
        )
        feeder = Feeder(
            Watchdog(device="dog", driver="virtual", timeout_s=15, patience_s=60),
            self.place,
            {name: lambda name=name: self.well[name] for name in self.well},
            self.clock,
            self.audit,
            self.place,
        )
        end_s = time.monotonic() + 10
        while True:
            feeder.open()
            if feeder._device is not None:
                break
            assert time.monotonic() < end_s
            time.sleep(0.01)
        feeder._fault = None
        assert self.dog.stdout.readline() == "reads\n"
        return feeder

    def turn(self, feeder: Feeder, for_s: float) -> None:
        end_s = self.clock.now_s + for_s
        while self.clock.now_s < end_s:
            feeder.turn(self.clock.now_s)
            self.clock.advance(5)

    def noted(self) -> dict[str, object]:
        said = json.loads(self.dog.stdout.readline())
        self.dog.wait(10)
        self.dog.stdout.close()
        return said

    def memory(self) -> Memory:
        return watchdog._load(self.place / watchdog.FILE)


@pytest.fixture
def rig(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Rig]:
    made = Rig(tmp_path)
    monkeypatch.setattr(watchdog, "_boot", lambda: made.boot)
    yield made
    if made.dog.poll() is None:
        made.dog.kill()
        made.dog.wait()
    made.dog.stdout.close()


def test_it_is_fed_while_all_is_well_and_disarmed_at_an_orderly_end(rig: Rig) -> None:
    feeder = rig.start()
    rig.turn(feeder, 100)
    assert rig.memory().armed
    feeder.close(clean=True)
    assert rig.noted() == {"fed": 20, "disarmed": True}
    assert not rig.memory().armed
    assert rig.audit.rows == []


def test_an_end_with_an_error_leaves_it_armed(rig: Rig) -> None:
    feeder = rig.start()
    rig.turn(feeder, 10)
    feeder.close(clean=False)
    assert rig.noted() == {"fed": 2, "disarmed": False}


@pytest.mark.parametrize("what", ["recording", "control", "disk"])
def test_what_starved_it_is_written_before_and_told_after_the_restart(rig: Rig, what: str) -> None:
    feeder = rig.start()
    rig.turn(feeder, 20)
    rig.well[what] = False
    rig.turn(feeder, 55)
    assert feeder.starving == "", "its patience is a minute"
    rig.well[what] = True
    rig.turn(feeder, 10)
    rig.well[what] = False
    rig.turn(feeder, 300)
    assert feeder.starving == what
    assert rig.memory().untold
    assert rig.audit.rows == [("watchdog.starved", what)]
    rig.well[what] = True
    rig.turn(feeder, 100)  # too late: half fed is not fed
    feeder.close(clean=True)
    noted = rig.noted()
    assert noted["disarmed"] is False
    assert noted["fed"] <= (20 + 55 + 10 + 65) / 5
    rig.boot = "two"
    after = rig.start()
    assert [err.code for err in after.warnings()] == ["watchdog.restarted"]
    assert after.warnings()[0].context["why"] == what
    assert rig.audit.rows[-1] == ("watchdog.restarted", what)
    after.close(clean=True)
    rig.noted()
    third = rig.start()
    assert third.warnings() == [], "told once"
    third.close(clean=True)
    rig.noted()


def test_three_restarts_that_did_not_help_are_enough(rig: Rig) -> None:
    rig.well["disk"] = False
    for n in range(3):
        rig.boot = f"boot{n}"
        feeder = rig.start()
        rig.turn(feeder, 100)
        assert feeder.starving == "disk"
        feeder.close(clean=False)
        rig.noted()
    feeder = rig.start()
    rig.turn(feeder, 1000)
    assert feeder.starving == ""
    assert "watchdog.gave_up" in [err.code for err in feeder.warnings()]
    feeder.close(clean=True)
    assert rig.noted() == {"fed": 200, "disarmed": True}


def test_a_recorder_that_was_killed_did_not_restart_the_box(rig: Rig) -> None:
    feeder = rig.start()
    rig.turn(feeder, 10)
    feeder._device.close(disarm=False)
    rig.noted()
    after = rig.start()
    assert after.warnings() == []
    after.close(clean=True)
    rig.noted()


def test_frozen_it_says_so_where_the_hardware_knows(rig: Rig) -> None:
    feeder = rig.start()
    rig.turn(feeder, 10)
    feeder._device.close(disarm=False)
    rig.noted()
    rig.boot = "two"
    after = rig.start()
    after._device.was_reset = True
    after._memory = Memory(True, "one")
    after._tell_of_last(was_reset=True)
    assert after.warnings()[0].context["why"] == "frozen"
    after.close(clean=True)
    rig.noted()


def test_a_box_without_the_device_goes_on_and_says_so(tmp_path: Path) -> None:
    feeder = Feeder(
        Watchdog(device=str(tmp_path / "none")), tmp_path, {}, FakeClock(), PaperAudit(), tmp_path
    )
    feeder.open()
    assert [err.code for err in feeder.warnings()] == ["watchdog.gone"]
    feeder.close(clean=True)


async def test_without_the_device_there_is_nothing_to_run(tmp_path: Path) -> None:
    settings = Watchdog(device=str(tmp_path / "none"))
    feeder = Feeder(settings, tmp_path, {}, FakeClock(), PaperAudit(), tmp_path)
    feeder.open()
    await feeder.run()
