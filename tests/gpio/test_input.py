"""Inputs: what the thread makes of contacts that are moved, gone, back and chattering."""

import json
import os
import struct
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import pytest

from nvr.base.clock import FakeClock, SystemClock
from nvr.base.errors import Unavailable
from nvr.gpio.input import Change, Inputs, Sensor
from nvr.hal.linux_contact import IioContact
from nvr.hal.ports import Contact, Edge
from nvr.hal.virtual_contact import VirtualContact
from tests.gpio.chip import ROOT, PaperChip

STATES = ("normal", "alarm")


class Wire:
    """A contact that a test moves."""

    def __init__(self) -> None:
        self.there = True
        self.now = 0
        self.waiting: list[Edge] = []
        self.asked = 0
        self.closed = 0

    def fileno(self) -> int:
        return 99

    def level(self) -> int:
        if not self.there:
            raise Unavailable("gpio.gone", "no such line")
        return self.now

    def edges(self) -> Sequence[Edge]:
        self.asked += 1
        if not self.there:
            raise Unavailable("gpio.gone", "no such line")
        found, self.waiting = self.waiting, []
        return found

    def close(self) -> None:
        self.closed += 1


class Rig:
    def __init__(self, states: Sequence[str] = STATES, **more: object) -> None:
        self.clock = FakeClock()
        self.wire = Wire()
        self.told: list[Change] = []
        sensor = Sensor("gate", self._open, states, **more)
        self.inputs = Inputs([sensor], clock=self.clock, tell=self.told.append)

    def _open(self) -> Contact:
        if not self.wire.there:
            raise Unavailable("gpio.gone", "no such line")
        return self.wire

    def move(self, level: int, missed: int = 0) -> None:
        self.wire.now = level
        self.wire.waiting.append(Edge(level, self.clock.now_s, missed))

    def turn(self, for_s: float = 0.0) -> None:
        end_s = self.clock.now_s + for_s
        while True:
            wake_s = self.inputs.turn(self.clock.now_s)
            if wake_s > end_s:
                break
            self.clock.now_s = max(wake_s, self.clock.now_s + 0.001)
        self.clock.now_s = max(end_s, self.clock.now_s)

    def said(self) -> list[tuple[str, str | None]]:
        return [(one.what, one.state) for one in self.told]


def test_the_first_thing_told_is_how_it_is() -> None:
    rig = Rig()
    rig.wire.now = 1
    rig.turn()
    assert rig.said() == [("begin", "alarm")]
    assert rig.inputs.reading("gate").state == "alarm"


def test_a_change_is_dated_by_its_edge() -> None:
    rig = Rig()
    rig.turn()
    rig.clock.advance(5)
    edge_s = rig.clock.now_s
    rig.move(1)
    rig.turn(1)
    assert rig.told[-1] == Change("gate", "change", "alarm", edge_s, 1)


def test_levels_of_four_kinds_are_named() -> None:
    rig = Rig(("short", "normal", "alarm", "open"))
    rig.wire.now = 1
    rig.turn()
    for level in (2, 3, 0, 1):
        rig.move(level)
        rig.turn(1)
    assert [state for _, state in rig.said()] == ["normal", "alarm", "open", "short", "normal"]


def test_gone_is_told_once_and_back_too() -> None:
    rig = Rig()
    rig.turn()
    rig.wire.there = False
    rig.move(1)
    rig.turn(10)
    assert rig.said() == [("begin", "normal"), ("gone", None)]
    assert rig.inputs.reading("gate").state is None
    assert rig.wire.closed == 1
    rig.wire.there = True
    rig.turn(3)
    assert rig.said()[2:] == [("begin", "alarm")]


def test_a_storm_is_looked_at_twice_a_second() -> None:
    rig = Rig()
    rig.turn()
    rig.move(1, missed=4000)
    rig.turn()
    assert rig.inputs.listening() == []
    asked = rig.wire.asked
    for n in range(100):  # ten seconds of it
        rig.move(n % 2, missed=50)
        rig.turn(0.1)
    assert rig.wire.asked - asked <= 22
    assert rig.said() == [("begin", "normal"), ("storm", "normal")]
    assert rig.inputs.reading("gate").storm
    rig.turn(12)
    assert rig.said()[2:] == [("calm", "normal"), ("change", "alarm")]
    assert rig.inputs.listening() == [99]
    assert rig.inputs.reading("gate").storms == 1


def wait_for(told: list[Change], count: int) -> None:
    end_s = time.monotonic() + 10
    while len(told) < count:
        assert time.monotonic() < end_s, told
        time.sleep(0.005)


def test_a_pipe_moves_a_virtual_one(tmp_path: Path) -> None:
    path = tmp_path / "input/gate"
    told: list[Change] = []
    sensor = Sensor("gate", lambda: VirtualContact(path, 1), ("alarm", "normal"), 0.01)
    inputs = Inputs([sensor], clock=SystemClock(), tell=told.append)
    inputs.start()
    try:
        wait_for(told, 1)
        path.write_text("0\n")
        wait_for(told, 2)
        path.write_text("nonsense 7\n1\n")
        wait_for(told, 3)
    finally:
        inputs.close()
    assert [(one.what, one.state) for one in told] == [
        ("begin", "normal"), ("change", "alarm"), ("change", "normal"),
    ]  # fmt: skip


def test_no_inputs_no_thread() -> None:
    inputs = Inputs([], clock=SystemClock(), tell=lambda _change: None)
    inputs.start()
    inputs.close()


def test_an_adc_is_between_its_thresholds(tmp_path: Path) -> None:
    place = tmp_path / "iio:device0"
    place.mkdir()
    (place / "name").write_text("ads1015\n")
    raw = place / "in_voltage2_raw"
    raw.write_text("900\n")
    contact = IioContact("ads1015", 2, (200, 800, 1400), tmp_path)
    assert (contact.fileno(), contact.level()) == (-1, 2)
    assert contact.edges() == []
    for value, level in ((199, 0), (200, 1), (1400, 3), (-5, 0)):
        raw.write_text(f"{value}\n")
        assert [edge.level for edge in contact.edges()] == [level]
    raw.write_text("nonsense")
    with pytest.raises(Unavailable):
        contact.edges()
    with pytest.raises(Unavailable, match="ads1015"):
        IioContact("mcp3208", 0, (1,), tmp_path)


CHILD = """
import json, sys
from pathlib import Path
from nvr.base.clock import SystemClock
from nvr.gpio.input import Inputs, Sensor
from nvr.hal.linux_contact import LinuxContact
place = Path(sys.argv[1])
def opened():
    return LinuxContact("paper-chip", (8, 9), active_low=True, bias="pull-up", devices=place)
def tell(change):
    print(json.dumps([change.what, change.state, change.at_s, change.edges]), flush=True)
states = ("tamper", "tamper", "normal", "alarm")
inputs = Inputs([Sensor("gate", opened, states, 0.02)], clock=SystemClock(), tell=tell)
inputs.start()
sys.stdin.read()
inputs.close()
"""


def kernel_event(line: int, rises: bool, number: int, at_ns: int) -> bytes:
    """A ``gpio_v2_line_event``."""
    return struct.pack("QIIII24x", at_ns, 1 if rises else 2, line, number, number)


def test_two_kernel_lines_and_their_own_time(chip: PaperChip) -> None:
    chip.put(8, 1)  # open: high, and so inactive
    chip.put(9, 0)  # its loop is closed
    child = subprocess.Popen(
        [sys.executable, "-c", CHILD, str(chip.place)],
        env=chip.env, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip

    def heard() -> list[object]:
        return json.loads(child.stdout.readline())

    try:
        assert heard()[:2] == ["begin", "normal"]
        pipe = os.open(chip.place / "events-8", os.O_WRONLY)
        time.sleep(0.05)  # no edge is older than the begin
        chip.put(8, 0)
        at_ns = time.monotonic_ns() - 30_000_000  # the kernel saw it before we did
        os.write(pipe, kernel_event(8, True, 1, at_ns))
        what, state, at_s, edges = heard()
        assert (what, state, edges) == ("change", "alarm", 1)
        assert at_s == pytest.approx(at_ns / 1e9, abs=1e-6)
        chip.put(9, 1)
        os.write(pipe, kernel_event(9, False, 2, time.monotonic_ns()))
        assert heard()[:2] == ["change", "tamper"]
        # Numbers 3 to 3999 were dropped: a storm, counted and not read.
        os.write(pipe, kernel_event(9, True, 4000, time.monotonic_ns()))
        what, state, _, edges = heard()
        assert (what, state) == ("storm", "tamper")
        assert edges >= 3998
        os.close(pipe)
    finally:
        child.stdin.close()
        child.wait(10)
        child.stdout.close()
    # Both lines as inputs with both edges and a pull-up, in one request.
    request = chip.requests()[0]
    flags = struct.unpack_from("Q", request, 288)[0]
    assert flags == (1 << 2) | (1 << 1) | (1 << 4) | (1 << 5) | (1 << 8)
    assert struct.unpack_from("II", request) == (8, 9)
