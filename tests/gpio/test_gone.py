"""With real processes, and the real libgpiod: what is left on when the recorder dies or freezes."""

import contextlib
import json
import os
import signal
import struct
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from nvr.hal import raw
from tests.gpio.chip import ROOT, PaperChip
from tests.ptz.line import RelayBox

WAIT_S = 10.0
"""The guard acts within half a second; the rest is for a busy machine."""
COUNT = 5
OUTPUT, INPUT, LOW = 1 << 3, 1 << 2, 1 << 1


class Child:
    def __init__(self, driver: str, place: Path | str, env: dict[str, str], count: int) -> None:
        words = [sys.executable, "-m", "tests.gpio.recorder", driver, str(place), str(count)]
        self.process = subprocess.Popen(
            words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=ROOT, env=env
        )
        self.guard = json.loads(self.process.stdout.readline())["guard"]

    def set(self, name: str, on: bool) -> dict[str, str]:
        self.process.stdin.write(json.dumps({"name": name, "on": on}) + "\n")
        self.process.stdin.flush()
        return json.loads(self.process.stdout.readline())

    def end(self) -> None:
        with contextlib.suppress(ProcessLookupError):
            self.process.send_signal(signal.SIGCONT)
        with contextlib.suppress(BrokenPipeError):
            self.process.stdin.close()
        self.process.wait(10)
        self.process.stdout.close()


def until(holds: Callable[[], bool], what: str) -> None:
    end_s = time.monotonic() + WAIT_S
    while not holds():
        assert time.monotonic() < end_s, what
        time.sleep(0.005)


class Lines:
    """Outputs 0 to 4 of one kind; 3 is on after a crash, odd ones of the chip are active low."""

    def __init__(self, driver: str, chip: PaperChip, relays: RelayBox) -> None:
        self.driver, self.chip, self.relays = driver, chip, relays
        self.child: Child

    def start(self) -> Child:
        virtual = self.driver == "virtual"
        place = self.relays.path if virtual else self.chip.place
        env = dict(os.environ) if virtual else self.chip.env
        self.child = Child(self.driver, place, env, COUNT)
        return self.child

    def on(self, n: int) -> bool:
        if self.driver == "virtual":
            return self.relays.state[f"out{n}"]
        return bool(self.chip.level(n)) != (self.driver == "gpiod" and n % 2 == 1)

    def all_on(self) -> None:
        for n in range(COUNT):
            assert self.child.set(f"out{n}", True) == {}
        until(lambda: all(self.on(n) for n in range(COUNT)), "they do not go on")

    def crashed(self) -> bool:
        return [self.on(n) for n in range(COUNT)] == [n == 3 for n in range(COUNT)]


@pytest.fixture(params=["gpiod", "virtual"])
def lines(request: pytest.FixtureRequest, chip: PaperChip, tmp_path: Path) -> Iterator[Lines]:
    relays = RelayBox(tmp_path / "relay0")
    made = Lines(request.param, chip, relays)
    made.start()
    yield made
    made.child.end()
    relays.close()


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGSTOP])
def test_killed_or_frozen_with_every_output_on(lines: Lines, number: signal.Signals) -> None:
    lines.all_on()
    lines.child.process.send_signal(number)
    until(lines.crashed, "outputs are not as after a crash")


def test_killed_with_nothing_on_what_is_to_be_on_after_a_crash_goes_on(lines: Lines) -> None:
    assert not lines.on(3)
    lines.child.process.kill()
    until(lines.crashed, "its level after a crash is not driven")


def test_frozen_with_nothing_on_as_well(lines: Lines) -> None:
    time.sleep(0.15)  # a beat
    lines.child.process.send_signal(signal.SIGSTOP)
    until(lines.crashed, "its level after a crash is not driven")


def test_after_an_orderly_end_all_are_as_at_the_start(lines: Lines) -> None:
    lines.all_on()
    lines.child.end()
    until(lambda: not any(lines.on(n) for n in range(COUNT)), "left on")
    time.sleep(0.3)
    assert not any(lines.on(n) for n in range(COUNT)), "the guard took the end for a crash"


def test_a_line_that_the_guard_cannot_share_is_claimed_once_we_are_gone(
    chip: PaperChip, tmp_path: Path
) -> None:
    child = Child("claim", chip.place, chip.env, 1)
    child.set("out0", True)
    until(lambda: chip.level(0) == 1, "it does not go on")
    child.process.kill()
    until(lambda: chip.level(0) == 0, "the guard did not claim it")
    child.end()


def fields(request: bytes) -> tuple[int, int, dict[int, int], int]:
    """Offset, flags, attributes and number of lines of a ``gpio_v2_line_request``."""
    offset, flags, count = (
        *struct.unpack_from("I", request),
        *struct.unpack_from("QI", request, 288),
    )
    found = {}
    for n in range(count):
        kind, _, value, mask = struct.unpack_from("IIQQ", request, 320 + 24 * n)
        assert mask == 1
        found[kind] = value
    return offset, flags, found, struct.unpack_from("I", request, 560)[0]


def test_a_line_has_its_direction_and_its_level_in_one_request(chip: PaperChip) -> None:
    child = Child("gpiod", chip.place, chip.env, 2)
    child.end()
    # One request a line, an output with the attribute OUTPUT_VALUES (2): inactive.
    assert [fields(one) for one in chip.requests()] == [
        (0, OUTPUT, {2: 0}, 1),
        (1, OUTPUT | LOW, {2: 0}, 1),
    ]
    # The active-low relay never saw anything but its off, which is high.
    assert {level for level, _ in chip.levels(1)} == {1}
    assert {level for level, _ in chip.levels(0)} == {0}


def test_the_guards_own_request_is_the_same(chip: PaperChip) -> None:
    code = f"from nvr.hal import raw; raw.claim_line({str(chip.place / 'gpiochip0')!r}, 7, True)"
    done = chip.run([sys.executable, "-c", code])
    assert done.returncode == 0, done.stderr
    assert [fields(one) for one in chip.requests()] == [(7, OUTPUT, {2: 1}, 1)]
    assert chip.requests()[0][256:288].rstrip(b"\0") == b"nvr-guard"
    assert chip.level(7) == 1


def test_a_line_of_the_first_abi_is_driven_too(monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[tuple[int, bytes]] = []

    def ioctl(_fd: int, code: int, data: bytes) -> None:
        calls.append((code, data))
        if len(calls) == 1:
            raise OSError(25, "Inappropriate ioctl for device")

    monkeypatch.setattr(raw.fcntl, "ioctl", ioctl)
    raw.drive_line(5, True)
    assert [code for code, _ in calls] == [0xC010B40F, 0xC040B409]
    assert calls[1][1] == b"\1" + bytes(63)


BOARD = """
schema = 1
id = "paper"
title = "paper"
[gpio.pump]
kind = "relay"
chip = "paper-chip"
line = 4
active_low = true
[gpio.lock]
kind = "door"
chip = "paper-chip"
line = 5
on_crash = "on"
"""


def test_nvr_safe_drives_all_it_can_and_names_the_rest(chip: PaperChip, tmp_path: Path) -> None:
    board = tmp_path / "board.toml"
    board.write_text(BOARD)
    code = (
        "import sys, nvr.hal.linux_gpio as m; from pathlib import Path;"
        f"m.find_chip.__defaults__ = (Path({str(chip.place)!r}),);"
        f"m.LinuxOutput.__init__.__kwdefaults__['devices'] = Path({str(chip.place)!r});"
        "from nvr.cli.main import main; sys.exit(main(sys.argv[1:]))"
    )
    words = [sys.executable, "-c", code, "safe", str(board)]
    done = chip.run(words)
    assert (done.returncode, done.stdout) == (0, "pump: off\nlock: on\n"), done.stderr
    assert (chip.level(4), chip.level(5)) == (1, 1)
    assert [fields(one)[1:3] for one in chip.requests()] == [
        (OUTPUT | LOW, {2: 0}),
        (OUTPUT, {2: 1}),
    ]
    holder = Child("gpiod", chip.place, chip.env, 5)  # holds line 4
    done = chip.run(words)
    holder.end()
    assert done.returncode == 1
    assert "gpio.gone" in done.stderr
    assert done.stdout == "lock: on\n"
