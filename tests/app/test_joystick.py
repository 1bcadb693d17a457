"""A hand on a joystick at the box to Pelco bytes on its serial line, through the shipped `nvr run`.

The joystick is the kernel's structs through a pipe; the line is a pseudo-terminal. No real ones.
"""

import os
import signal
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from nvr.sim.joystick import ABS_X, ABS_Y, BTN_JOYSTICK, HandOnJoystick
from nvr.wire.pelco_d import Cmd
from tests.bench.recorder import Recorder, recorder
from tests.ptz.line import FarEnd, Heard

PATIENCE_S = 60.0


@dataclass(frozen=True)
class Scene:
    far: FarEnd
    box: Recorder
    hand: HandOnJoystick

    def until(self, says: str, of: int = 0) -> None:
        """Wait until the log says something more often than that."""
        deadline = PATIENCE_S / 0.05
        while self.box.log.read_text().count(says) <= of:
            deadline -= 1
            assert deadline, f"never {says}: {self.box.log.read_text()}"
            signal.sigtimedwait([], 0.05)


@pytest.fixture
def scene(tmp_path: Path) -> Iterator[Scene]:
    far = FarEnd(tmp_path / "dome0")
    board = f'[serial.ptz]\npath = "{far.path}"\nbaud = 9600\ndirection = "none"'
    try:
        with recorder(
            ["rtsp://127.0.0.1:9/none"], tmp_path, size_mib=256, board_tables=board,
            camera_tables='[camera.ptz]\nbus = "ptz"\naddress = 1',
        ) as box:  # fmt: skip
            far.wait(lambda heard: len(heard) >= 2, PATIENCE_S)
            yield Scene(far, box, HandOnJoystick(box.data / "sim/joystick", "one"))
    finally:
        far.close()


def left(heard: list[Heard]) -> bool:
    return any(one.frame.command & Cmd.LEFT for one in heard)


def stopped(heard: list[Heard]) -> bool:
    moved = next((n for n, one in enumerate(heard) if not one.still), len(heard))
    return any(one.still for one in heard[moved:])


def test_from_the_hand_to_the_line_and_pulled_in_the_middle(scene: Scene) -> None:
    scene.until("joystick.plugged")
    scene.far.clear()
    scene.hand.move({ABS_X: -1, ABS_Y: -0.55})
    (first, *_) = scene.far.wait(left, PATIENCE_S)
    assert first.frame.command & Cmd.UP
    assert first.frame.data1 > first.frame.data2 > 0
    scene.far.wait(lambda heard: heard[-1].at_s - heard[0].at_s > 1.5, PATIENCE_S)
    assert not stopped(scene.far.heard), "it is renewed for as long as it is held"
    at_s = scene.hand.pull()
    heard = scene.far.wait(stopped, PATIENCE_S)
    assert next(one.first_s for one in heard if one.still) > at_s
    scene.until("joystick.gone")
    # It comes again, and is another one as far as the box knows.
    again = HandOnJoystick(scene.box.data / "sim/joystick", "one")
    scene.until("joystick.plugged", 1)
    scene.far.clear()
    again.move({ABS_X: -1})
    scene.far.wait(left, PATIENCE_S)
    os.kill(scene.box.pid, signal.SIGKILL)
    scene.far.wait(stopped, PATIENCE_S)


def test_events_that_the_kernel_lost_and_a_button_that_stops(scene: Scene) -> None:
    scene.until("joystick.plugged")
    scene.hand.lose({ABS_X: -1})  # it says that it lost some, and is asked
    scene.far.wait(left, PATIENCE_S)
    scene.hand.press(BTN_JOYSTICK + 1)  # nobody taught this one: its second button stops
    scene.far.wait(stopped, PATIENCE_S)
