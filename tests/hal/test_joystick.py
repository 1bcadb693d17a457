"""Joysticks: which devices are some, how they stand, what lost events leave, and pulled ones."""

import ctypes
import errno
import os
import struct
from pathlib import Path

import pytest

from nvr.base.errors import Unavailable
from nvr.hal import linux_joystick, virtual_joystick
from nvr.hal.joystick import Joystick, Layout
from nvr.hal.linux_joystick import layout_of, standing_of
from nvr.sim.joystick import ABS_X, ABS_Y, BTN_JOYSTICK, HandOnJoystick
from nvr.wire.input_event import EVENT

# The requests as <linux/input.h> makes them on every machine but MIPS, PowerPC and SPARC.
EVIOCGID, EVIOCGNAME, EVIOCGPROP, EVIOCGKEY = 0x80084502, 0x81004506, 0x80044509, 0x80604518
EVIOCGBIT_KEY, EVIOCGBIT_ABS, EVIOCGABS = 0x80604521, 0x80084523, 0x80184540


class Driver:
    """Answers like the kernel's evdev."""

    def __init__(
        self, axes: dict[int, tuple[int, int, int]], keys: set[int], props: set[int] = frozenset()
    ) -> None:
        self.axes, self.keys, self.props, self.held = axes, keys, props, set()
        self.gone = False

    def ioctl(self, request: int, answer: bytearray) -> int:
        if self.gone:
            raise OSError(errno.ENODEV, "No such device")
        if EVIOCGABS <= request < EVIOCGABS + 0x40:
            value, least, most = self.axes[request - EVIOCGABS]
            data = struct.pack("6i", value, least, most, 0, 15, 0)
        else:
            data = {
                EVIOCGID: struct.pack("4H", 3, 0x046D, 0xC215, 0x110),
                EVIOCGNAME: b"Extreme  3D\0rest of the buffer",
                EVIOCGBIT_ABS: bits(set(self.axes)),
                EVIOCGBIT_KEY: bits(self.keys),
                EVIOCGKEY: bits(self.held),
                EVIOCGPROP: bits(self.props),
            }[request]
        answer[: len(data)] = data[: len(answer)]
        return len(data)


def bits(numbers: set[int]) -> bytes:
    return sum(1 << number for number in numbers).to_bytes(96, "little")


STICK = {0: (512, 0, 1023), 1: (512, 0, 1023), 5: (128, 0, 255), 0x10: (0, -1, 1)}
KEYS = {0x120, 0x121, 0x12B}


def test_what_a_joystick_says_it_is() -> None:
    layout = layout_of(Driver(STICK, KEYS).ioctl)
    assert layout.key == "046d:c215:Extreme 3D"
    assert layout.axes == {0: (0, 1023), 1: (0, 1023), 5: (0, 255), 0x10: (-1, 1)}
    assert layout.keys == KEYS


@pytest.mark.parametrize(
    ("what", "axes", "keys", "props"),
    [
        ("mouse", {}, {0x110, 0x111}, set()),
        ("keyboard", {}, set(range(1, 100)), set()),
        ("touchpad", {0: (0, 0, 9), 1: (0, 0, 9)}, {0x145, 0x14A}, {0}),
        ("tablet", {0: (0, 0, 9), 1: (0, 0, 9), 0x18: (0, 0, 9)}, {0x140, 0x14A}, {1}),
        ("touch screen", {0: (0, 0, 9), 1: (0, 0, 9)}, {0x14A}, {1}),
        ("sensor", {0: (0, 0, 9), 1: (0, 0, 9), 2: (0, 0, 9)}, set(), {6}),
        ("virtual machine's pointer", {0: (0, 0, 9), 1: (0, 0, 9)}, {0x110, 0x111, 0x112}, set()),
        ("pedal", {2: (0, 0, 9)}, {0x120}, set()),
    ],
)
def test_what_is_no_joystick(
    what: str, axes: dict[int, tuple[int, int, int]], keys: set[int], props: set[int]
) -> None:
    assert layout_of(Driver(axes, keys, props).ioctl) is None, what


@pytest.mark.parametrize("keys", [{0x130, 0x133}, {0x2C0}, {0x100, 0x101}])
def test_buttons_of_gamepads_and_of_keypads_are_a_joysticks(keys: set[int]) -> None:
    assert layout_of(Driver({0: (0, 0, 9), 1: (0, 0, 9)}, keys).ioctl).keys == keys


class Held:
    """A joystick whose events come through a pipe, and whose driver is `Driver`."""

    def __init__(self, driver: Driver) -> None:
        self.driver = driver
        reader, self.writer = os.pipe2(os.O_NONBLOCK)
        layout = layout_of(driver.ioctl)
        self.it = Joystick(reader, layout, lambda: standing_of(driver.ioctl, layout))

    def tell(self, *events: tuple[int, int, int]) -> None:
        os.write(self.writer, b"".join(EVENT.pack(0, 0, *one) for one in events))


def test_axes_and_buttons_are_counted_as_a_browser_counts_them() -> None:
    held = Held(Driver({**STICK, 1: (0, 0, 1023)}, {0x120, 0x12B, 0x101}))
    assert held.it.standing.axes == pytest.approx((0, -1, 0, 0), abs=0.005)
    held.tell((3, 5, 255), (1, 0x101, 1), (0, 0, 0), (3, 0x10, -1), (1, 0x12B, 1), (0, 0, 0))
    first, second = held.it.read()
    assert first.axes == pytest.approx((0, -1, 1, 0), abs=0.005)
    assert first.buttons == (False, False, True)
    assert second.axes[3] == -1
    assert second.buttons == (False, True, True)
    assert held.it.read() == []


def test_after_lost_events_it_is_asked_how_it_stands() -> None:
    driver = Driver(STICK, KEYS)
    held = Held(driver)
    driver.axes = {**STICK, 0: (1023, 0, 1023)}
    driver.held = {0x121}
    held.tell((0, 3, 0), (3, 1, 0), (0, 0, 0))
    (found,) = held.it.read()
    assert found.axes[:2] == pytest.approx((1, 0), abs=0.005), "what it told meanwhile is no use"
    assert found.buttons == (False, True, False)
    assert held.it.standing == found


def test_a_pulled_joystick_is_gone(monkeypatch: pytest.MonkeyPatch) -> None:
    def pulled(_fd: int, _most: int) -> bytes:
        raise OSError(errno.ENODEV, "No such device")

    held = Held(Driver(STICK, KEYS))
    monkeypatch.setattr(os, "read", pulled)
    with pytest.raises(Unavailable, match=r"joystick\.gone: .*No such device"):
        held.it.read()
    monkeypatch.undo()
    os.close(held.writer)
    with pytest.raises(Unavailable, match=r"joystick\.gone"):
        held.it.read()


def test_one_that_is_pulled_while_it_is_asked_is_gone() -> None:
    driver = Driver(STICK, KEYS)
    held = Held(driver)
    driver.gone = True
    held.tell((0, 3, 0), (0, 0, 0))
    with pytest.raises(Unavailable, match=r"joystick\.gone"):
        held.it.read()
    reader, writer = os.pipe()
    with pytest.raises(Unavailable):
        Joystick(reader, held.it.layout, lambda: standing_of(driver.ioctl, held.it.layout))
    with pytest.raises(OSError, match="Bad file descriptor"):
        os.fstat(reader)
    os.close(writer)


def test_an_axis_without_a_range_rests() -> None:
    held = Held(Driver({0: (0, 0, 0), 1: (7, 0, 9)}, KEYS))
    assert held.it.standing.axes[0] == 0


def test_a_file_that_is_no_device_is_refused(tmp_path: Path) -> None:
    node = tmp_path / "event0"
    node.write_bytes(b"")
    (tmp_path / "mouse0").write_bytes(b"")
    assert linux_joystick.nodes(tmp_path) == [node]
    assert linux_joystick.nodes(tmp_path / "none") == []
    with pytest.raises(Unavailable, match=r"joystick\.gone"):
        linux_joystick.open_joystick(node)
    with pytest.raises(Unavailable, match=r"joystick\.gone"):
        linux_joystick.open_joystick(tmp_path / "event1")


def test_a_simulated_one_tells_what_a_kernel_would(tmp_path: Path) -> None:
    assert virtual_joystick.nodes(tmp_path) == []
    hand = HandOnJoystick(tmp_path, "one")
    hand.move({ABS_X: -1})  # nobody listened: it is not told late
    (pipe,) = virtual_joystick.nodes(tmp_path)
    stick = virtual_joystick.open_joystick(pipe)
    assert stick.standing.axes == pytest.approx((-1, 0, 0), abs=0.005)
    assert stick.read() == []
    hand.move({ABS_X: 0, ABS_Y: 1})
    hand.press(BTN_JOYSTICK)
    moved, pressed = stick.read()
    assert moved.axes == pytest.approx((0, 1, 0), abs=0.005)
    assert pressed.buttons[0]
    hand.lose({ABS_Y: 0})
    assert stick.read()[-1].axes == pytest.approx((0, 0, 0), abs=0.005)
    hand.release(BTN_JOYSTICK)
    assert not stick.read()[-1].buttons[0]
    hand.pull()
    with pytest.raises(Unavailable):
        stick.read()
    assert virtual_joystick.nodes(tmp_path) == []
    stick.close()


def test_a_simulated_one_that_nobody_holds_is_not_there(tmp_path: Path) -> None:
    HandOnJoystick(tmp_path, "one").pull()
    os.mkfifo(tmp_path / "one/events")
    with pytest.raises(Unavailable, match="nobody holds it"):
        virtual_joystick.open_joystick(tmp_path / "one/events")
    (tmp_path / "one/layout.json").write_text("no JSON")
    hand = HandOnJoystick(tmp_path, "one")
    (tmp_path / "one/layout.json").write_text('{"name": 1}')
    with pytest.raises(Unavailable):
        virtual_joystick.open_joystick(tmp_path / "one/events")
    hand.pull()


def test_profiles_are_kept_by_make() -> None:
    assert Layout(" A \n  b ", 1, 0xABCD, {}, frozenset()).key == "0001:abcd:A b"


def test_the_kernel_has_requests_of_these_sizes() -> None:
    assert EVENT.size == 2 * ctypes.sizeof(ctypes.c_long) + 8
