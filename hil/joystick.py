"""Joysticks that the kernel itself makes (uinput), through all that steers to Pelco bytes.

Runs in the guest of `hil.guest`: evdev, its ioctls, its buffer that overflows, its ENODEV and its
uevents are the kernel's own; the hand and the far end of the serial line are ours. Prints one JSON
object, and ends with 1 if a check failed.
"""

import asyncio
import contextlib
import fcntl
import json
import logging
import os
import signal
import statistics
import struct
import subprocess
import sys
import tempfile
import time
import traceback
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from nvr.app.control import Control as AppControl
from nvr.base.clock import SystemClock
from nvr.base.errors import Unavailable
from nvr.base.log import set_up
from nvr.config import load
from nvr.hal import linux_joystick
from nvr.hal.board import load as load_board
from nvr.hal.joystick import Joystick
from nvr.wire.input_event import EV_ABS, EV_KEY, EV_SYN, EVENT
from nvr.wire.pelco_d import Cmd
from tests.ptz.line import FarEnd

ABS_X, ABS_Y, ABS_RZ, ABS_HAT0X, BTN_TRIGGER, BTN_THUMB = 0, 1, 5, 0x10, 0x120, 0x121
AXES = {ABS_X: (0, 1023), ABS_Y: (0, 1023), ABS_RZ: (0, 255), ABS_HAT0X: (-1, 1)}
NAME, VENDOR, PRODUCT = "Three axes", 0x1209, 0x0002
PATIENCE_S = 30.0
START_S = 120.0
"""Of a process that imports most of us, on the guest's one processor of a machine that is busy."""
SAMPLES = 100
GAP_S = 0.08
_SET_EVBIT, _SET_KEYBIT, _SET_ABSBIT = 0x40045564, 0x40045565, 0x40045567
_SETUP, _ABS_SETUP, _CREATE, _DESTROY = 0x405C5503, 0x401C5504, 0x5501, 0x5502


class Wrong(Exception):
    """A check failed."""


def must(holds: object, what: str) -> None:
    if not holds:
        raise Wrong(what)


def until(holds: Callable[[], object], what: str) -> float:
    """Wait for it; returns how long that took."""
    began_s = time.monotonic()
    while not holds():
        must(time.monotonic() - began_s < PATIENCE_S, what)
        time.sleep(0.005)
    return time.monotonic() - began_s


class Hand:
    """A joystick of the kernel's making."""

    def __init__(self, keys: Collection[int] = range(BTN_TRIGGER, BTN_TRIGGER + 12)) -> None:
        self._fd = os.open("/dev/uinput", os.O_WRONLY)
        for kind in (EV_KEY, EV_ABS):
            fcntl.ioctl(self._fd, _SET_EVBIT, kind)
        for key in keys:
            fcntl.ioctl(self._fd, _SET_KEYBIT, key)
        for code, (least, most) in AXES.items():
            fcntl.ioctl(self._fd, _SET_ABSBIT, code)
            middle = (least + most) // 2
            setup = struct.pack("H2x6i", code, middle, least, most, 0, 0, 0)
            fcntl.ioctl(self._fd, _ABS_SETUP, setup)
        about = struct.pack("4H80sI", 3, VENDOR, PRODUCT, 1, NAME.encode(), 0)
        fcntl.ioctl(self._fd, _SETUP, about)
        fcntl.ioctl(self._fd, _CREATE)

    def tell(self, *events: tuple[int, int, int]) -> float:
        """Returns monotonic seconds just before the kernel is told."""
        told = b"".join(EVENT.pack(0, 0, *one) for one in (*events, (EV_SYN, 0, 0)))
        at_s = time.monotonic()
        os.write(self._fd, told)
        return at_s

    def pull(self) -> float:
        at_s = time.monotonic()
        fcntl.ioctl(self._fd, _DESTROY)
        os.close(self._fd)
        return at_s


@contextmanager
def hand(keys: Collection[int] = range(BTN_TRIGGER, BTN_TRIGGER + 12)) -> Iterator[Hand]:
    """One that is plugged in; pulled at the end, if nobody did."""
    it = Hand(keys)
    try:
        yield it
    finally:
        with contextlib.suppress(OSError):
            it.pull()


def opened() -> Joystick:
    """The one that is plugged in, as the recorder opens it."""
    found: list[Joystick] = []

    def look() -> list[Joystick]:
        for node in linux_joystick.nodes():
            with contextlib.suppress(Unavailable):
                if it := linux_joystick.open_joystick(node):
                    found.append(it)
        return found

    until(look, "no joystick came")
    must(len(found) == 1, f"{len(found)} joysticks")
    return found[0]


def read(it: Joystick) -> list[object]:
    found: list[object] = []
    while more := it.read():
        found += more
    return found


def what_it_is() -> dict[str, object]:
    with hand():
        it = opened()
        layout, rest = it.layout, it.standing
        it.close()
    must(layout.key == f"{VENDOR:04x}:{PRODUCT:04x}:{NAME}", layout.key)
    must(layout.axes == AXES, f"axes {layout.axes}")
    must(layout.keys == set(range(BTN_TRIGGER, BTN_TRIGGER + 12)), f"keys {layout.keys}")
    must(max(map(abs, rest.axes)) < 0.01, f"at rest {rest}")
    with hand(range(0x110, 0x113)):  # a pointer of a virtual machine
        time.sleep(1.0)
        opens = [linux_joystick.open_joystick(node) for node in linux_joystick.nodes()]
    must(opens == [None], f"a pointer is one: {opens}")
    return {"key": layout.key}


def what_it_says() -> dict[str, object]:
    with hand() as it:
        stick = opened()
        raw = os.open(linux_joystick.nodes()[0], os.O_RDONLY)
        it.tell((EV_ABS, ABS_X, 1023), (EV_KEY, BTN_TRIGGER, 1))
        told = os.read(raw, 4096)
        (standing,) = stick.read()
        must(standing.axes[0] == 1 and standing.buttons[0], f"{standing}")
        at_s = it.pull()
        try:
            stick.read()
            raise Wrong("a pulled joystick goes on")
        except Unavailable as err:
            gone = err.detail
        gone_ms = (time.monotonic() - at_s) * 1000
        stick.close()
        os.close(raw)
    must("No such device" in gone, gone)
    return {"bytes": told.hex(" ", EVENT.size), "gone": gone, "gone_ms": round(gone_ms, 2)}


def lost_events() -> dict[str, object]:
    with hand() as it:
        stick = opened()
        for n in range(500):
            it.tell((EV_ABS, ABS_X, n % 1024), (EV_ABS, ABS_Y, 1023 - n))
        it.tell((EV_KEY, BTN_THUMB, 1))
        found = read(stick)
        must(len(found) < 400, f"nothing was lost: {len(found)}")
        last = stick.standing
        stick.close()
    must(abs(last.axes[0] - (2 * 499 / 1023 - 1)) < 0.001, f"{last}")
    must(last.buttons[1], f"{last}")
    return {"written": 501, "heard": len(found)}


@dataclass(frozen=True)
class Control:
    """What steers, in a process of its own."""

    far: FarEnd
    log: Path

    def says(self, what: str, count: int) -> Callable[[], bool]:
        return lambda: self.log.read_text().count(what) >= count


@contextmanager
def product() -> Iterator[Control]:
    """All of `nvr run` that steers: joysticks, arbiter, bus and guard, put together as it does.

    Without recording and page. All of `nvr run` took 20 s to start in there with a ring of 256 MiB
    and 66 s with one of 2 GiB, on a host with a load of eight: its 920 modules cost 8 s of
    processor, ten times as much as outside, and hostfs has no fallocate, so that the C library
    writes every page of a ring, 32 ms a MiB.
    """
    with tempfile.TemporaryDirectory() as place:
        far, log = FarEnd(Path(place) / "dome0"), Path(place) / "log"
        words = [sys.executable, "-m", "hil.joystick", "--steer", place, far.path]
        with log.open("w") as said, subprocess.Popen(words, stderr=said) as process:
            try:
                far.wait(lambda heard: len(heard) >= 2, START_S)
                yield Control(far, log)
            except BaseException:
                print(log.read_text(), file=sys.stderr)
                raise
            finally:
                process.terminate()
                far.close()


async def steer(place: Path, port: str) -> None:
    board = f'schema = 1\nid = "hil"\ntitle = "HIL"\n[serial.ptz]\npath = "{port}"\nbaud = 9600\n'
    (place / "board.toml").write_text(f'{board}direction = "none"\n')
    camera = '[[camera]]\nname = "c0"\nurl = "rtsp://127.0.0.1:9/none"\n'
    volume = '[volume]\npath = "ring"\nsize_mib = 256\n'
    text = f'schema = 1\n{volume}{camera}[camera.ptz]\nbus = "ptz"\naddress = 1\n'
    (place / "nvr.toml").write_text(text)
    control = AppControl(
        load_board(place / "board.toml"), load.read(place / "nvr.toml"), place / "sim", place,
        SystemClock(), lambda *_: None,
    )  # fmt: skip
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, asyncio.current_task().cancel)
    try:
        async with asyncio.TaskGroup() as group:
            control.start(group)
    finally:
        control.close()


def first_stop_s(far: FarEnd) -> float:
    heard = far.wait(lambda heard: any(one.still for one in heard), PATIENCE_S)
    return next(one.first_s for one in heard if one.still)


def pushed(far: FarEnd, hand: Hand, code: int, value: int, way: Cmd) -> tuple[float, int]:
    """Let go, push, and wait for the line; returns milliseconds, and how often it took more.

    The guest has one processor of a machine that does other things: a bus thread that was away for
    350 ms moves nothing, as it must, and then the joystick has to be let go.
    """
    for again in range(20):
        hand.tell((EV_ABS, ABS_X, 511), (EV_ABS, ABS_Y, 511))
        time.sleep(4 * GAP_S + again / 100)
        far.clear()
        at_s = hand.tell((EV_ABS, code, value))
        with contextlib.suppress(AssertionError):
            heard = far.wait(lambda heard: any(one.frame.command & way for one in heard), 1.5)
            first = next(one for one in heard if one.frame.command & way)
            return (first.first_s - at_s) * 1000, again
    raise Wrong("nothing comes to the line")


def from_hand_to_line() -> dict[str, object]:
    took: dict[str, object] = {}
    with product() as control:
        far, says = control.far, control.says
        with hand() as it:
            took["plugged_s"] = round(until(says("joystick.plugged", 1), "not taken"), 2)
            tries = [pushed(far, it, ABS_X, 300 - n % 60 * 5, Cmd.LEFT) for n in range(SAMPLES)]
            wire = [took_ms for took_ms, _ in tries]
            took["samples"], took["again"] = SAMPLES, sum(again for _, again in tries)
            took["to_wire_p50_ms"] = round(statistics.median(wire), 2)
            took["to_wire_p99_ms"] = round(statistics.quantiles(wire, n=100)[98], 2)
        until(says("joystick.gone", 1), "it is not gone")
        stops = []
        for n in range(2, 12):
            with hand() as it:
                until(says("joystick.plugged", n), f"not taken the {n}. time")
                pushed(far, it, ABS_Y, 0, Cmd.UP)
                time.sleep(0.2)
                far.clear()
                at_s = it.pull()
                stops.append((first_stop_s(far) - at_s) * 1000)
                until(says("joystick.gone", n), "it is not gone")
        took["pulled"], took["pulled_to_stop_ms"] = len(stops), round(max(stops), 2)
    return took


def console() -> dict[str, object]:
    words = [sys.executable, "-m", "nvr", "joystick"]
    with hand() as it:
        opened().close()
        said = subprocess.run(words, check=True, capture_output=True, text=True).stdout
        must(said.startswith("1209:0002:Three axes: 4 axes, 12 buttons, guessed"), said)
        with subprocess.Popen([*words, "watch"], stdout=subprocess.PIPE, text=True) as watching:
            assert watching.stdout is not None
            head = [watching.stdout.readline() for _ in range(2)]
            it.tell((EV_ABS, ABS_X, 1023), (EV_KEY, BTN_THUMB, 1))
            line = watching.stdout.readline()
            must("pan +1.00, stop" in line, f"{head} {line}")
            it.pull()
            must(watching.wait(PATIENCE_S) == 1, "it goes on without")
    return {"list": said.strip(), "watch": line.strip()}


CHECKS: dict[str, Callable[[], dict[str, object]]] = {
    "what it is": what_it_is,
    "what it says, and pulled": what_it_says,
    "events that the kernel lost": lost_events,
    "from the hand to the line, plugged and pulled": from_hand_to_line,
    "nvr joystick": console,
}


def main() -> int:
    if sys.argv[1:2] == ["--steer"]:
        set_up(logging.INFO)
        with contextlib.suppress(asyncio.CancelledError):
            asyncio.run(steer(Path(sys.argv[2]), sys.argv[3]))
        return 0
    Path("/dev/pts").mkdir(exist_ok=True)
    subprocess.run(["mount", "-t", "devpts", "devpts", "/dev/pts"], check=True)
    found: dict[str, object] = {}
    failed = 0
    for name, check in CHECKS.items():
        print(name, file=sys.stderr, flush=True)
        try:
            found[name] = {"passed": True, **check()}
        except Exception as err:  # noqa: BLE001 - the others are to be seen too
            failed += 1
            traceback.print_exc()
            found[name] = {"passed": False, "why": str(err)}
    kernel = os.uname()
    about = f"{kernel.sysname} {kernel.release} {kernel.machine}, user-mode Linux"
    print("\n" + json.dumps({"kernel": about, "failed": failed, "checks": found}))
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
