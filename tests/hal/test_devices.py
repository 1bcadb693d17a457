"""Serial and outputs as far as a machine without them can show."""

import os
import socket
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import serial
from serial.serialposix import TIOCGRS485, TIOCSRS485

from nvr.base.errors import Misconfigured, NvrError, Unavailable
from nvr.hal import linux_serial, raw
from nvr.hal.linux_gpio import find_chip
from nvr.hal.linux_serial import LinuxSerial
from nvr.hal.ports import Relay, SerialPort
from nvr.hal.virtual_output import VirtualOutput
from nvr.hal.virtual_serial import VirtualSerial
from tests.ptz.line import FarEnd, RelayBox

STOP = bytes.fromhex("FF 01 00 00 00 00 01")


def coded(code: str, kind: type[NvrError] = Unavailable):
    return pytest.raises(kind, check=lambda err: err.code == code)


@pytest.fixture
def far(tmp_path: Path) -> Iterator[FarEnd]:
    end = FarEnd(tmp_path / "dome0")
    yield end
    end.close()


@pytest.mark.parametrize("kind", ["virtual", "auto", "none"])
def test_bytes_go_both_ways_on_a_pseudo_terminal(far: FarEnd, kind: str) -> None:
    port: SerialPort = (
        VirtualSerial(far.path) if kind == "virtual" else LinuxSerial(far.path, 2400, kind)
    )
    port.write(STOP)
    assert far.wait_count(1)[0].still
    assert port.read(0.0) == b""
    far.say(b"\xa2\xff\x0a\x0d\x11\x13")
    got = b""
    while len(got) < 6:
        got += port.read(1.0)
    assert got == b"\xa2\xff\x0a\x0d\x11\x13", "no line discipline touches it"
    assert not port.rts
    port.close()


def test_a_mode_the_driver_cannot_do_is_named(far: FarEnd) -> None:
    with coded("serial.direction", Misconfigured):
        LinuxSerial(far.path, 2400, "kernel")
    with coded("serial.direction", Misconfigured):
        LinuxSerial(far.path, 2400, "rts")
    LinuxSerial(far.path, 2400, "auto").close()


@pytest.mark.parametrize("opener", [VirtualSerial, lambda path: LinuxSerial(path, 9600)])
def test_a_port_that_is_not_there(tmp_path: Path, opener: type) -> None:
    with coded("serial.gone"):
        opener(str(tmp_path / "ttyUSB0"))
    (tmp_path / "plain").write_bytes(b"")
    with coded("serial.gone"):
        opener(str(tmp_path / "plain"))


def test_a_port_has_one_owner(far: FarEnd) -> None:
    port = LinuxSerial(far.path, 9600)
    with coded("serial.gone"):
        LinuxSerial(far.path, 9600)
    port.close()


@pytest.mark.parametrize("opener", [VirtualSerial, lambda path: LinuxSerial(path, 9600)])
def test_a_port_that_is_pulled(tmp_path: Path, opener: type) -> None:
    far = FarEnd(tmp_path / "dome0")
    port = opener(far.path)
    far.close()
    with coded("serial.gone"):
        port.read(1.0)
    with coded("serial.gone"):
        port.write(STOP)
    port.close()


def test_a_line_that_takes_nothing_is_given_up(tmp_path: Path) -> None:
    ours, theirs = socket.socketpair()
    ours.setblocking(False)
    with ours, theirs, pytest.raises(TimeoutError):
        raw.write_frame(ours.fileno(), bytes(16_000_000))


@pytest.mark.parametrize("direction", ["kernel", "auto"])
def test_the_kernel_is_asked_to_switch_the_transmitter(
    monkeypatch: pytest.MonkeyPatch, far: FarEnd, direction: str
) -> None:
    """A pseudo-terminal has no RS-485 either: what is asked of a driver that has is what is seen.

    Source: Linux ``serial.h``: ENABLED 1, RTS_ON_SEND 2, RTS_AFTER_SEND 4, RX_DURING_TX 16.
    """
    asked: list[int] = []
    real = raw.fcntl.ioctl

    def ioctl(fd: int, request: int, *rest: Any) -> Any:
        if request == TIOCSRS485:
            asked.append(rest[0][0])
        return 0 if request in {TIOCGRS485, TIOCSRS485} else real(fd, request, *rest)

    monkeypatch.setattr(raw.fcntl, "ioctl", ioctl)
    port = LinuxSerial(far.path, 2400, direction)
    assert set(asked) == {1 | 2}, "sends with RTS up, hears with it down, and not itself"
    assert not port.rts, "nobody else raises it"
    port.write(STOP)
    assert far.wait_count(1)[0].still
    monkeypatch.undo()
    port.close()


def test_rts_is_raised_around_each_frame(monkeypatch: pytest.MonkeyPatch, far: FarEnd) -> None:
    """A pseudo-terminal has no RTS, so the four calls themselves are what can be seen."""
    calls: list[str] = []

    class Port(serial.Serial):
        rts = property(lambda _self: False, lambda _self, on: calls.append(f"rts {on}"))

    monkeypatch.setattr(linux_serial.serial, "Serial", Port)
    monkeypatch.setattr(
        raw.fcntl, "ioctl", lambda _fd, request, _arg: calls.append(f"ioctl {request:#x}")
    )
    monkeypatch.setattr(raw.termios, "tcdrain", lambda _fd: calls.append("drain"))
    monkeypatch.setattr(raw.time, "sleep", lambda delay_s: calls.append(f"wait {delay_s:.4f}"))
    port = LinuxSerial(far.path, 2400, "rts")
    assert port.rts
    calls.clear()
    port.write(STOP)
    assert calls == ["ioctl 0x5416", "drain", "wait 0.0292", "ioctl 0x5417"]
    monkeypatch.undo()
    port.close()


def test_an_adapter_pulled_while_rts_is_up_is_a_lost_port(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of a port that hung up the kernel says EIO to a drain too, which Python makes no OSError."""
    master, slave = os.openpty()
    os.close(master)
    monkeypatch.setattr(raw.fcntl, "ioctl", lambda *_: 0)  # a pseudo-terminal has no RTS
    try:
        with pytest.raises(OSError, match="Input/output error"):
            raw.write_frame(slave, b"", rts=True)
    finally:
        os.close(slave)


def test_a_relay_of_another_process(tmp_path: Path) -> None:
    box = RelayBox(tmp_path / "relay0")
    wiper = VirtualOutput(box.path, "wiper")
    assert wiper.get() is False
    wiper.set(True)
    assert (wiper.get(), box.state) == (True, {"wiper": True, "lamp": False})
    assert wiper.way() == Relay(box.path, "wiper")
    wiper.close()
    box.close()
    with coded("gpio.gone"):
        wiper.set(False)


@pytest.mark.parametrize("answer", [b"", b"{}\n", b"[]\n", b"nonsense\n", b'{"ok": false}\n'])
def test_a_relay_that_answers_nonsense(tmp_path: Path, answer: bytes) -> None:
    path = str(tmp_path / "relay0")
    with socket.socket(socket.AF_UNIX) as sock:
        sock.bind(path)
        sock.listen()

        def serve() -> None:
            conn, _ = sock.accept()
            with conn:
                conn.recv(100)
                conn.sendall(answer)

        thread = threading.Thread(target=serve)
        thread.start()
        with coded("gpio.gone"):
            VirtualOutput(path, "wiper").set(True)
        thread.join()


def test_a_chip_that_is_not_there_is_named(tmp_path: Path) -> None:
    (tmp_path / "gpiochip0").write_bytes(b"")
    with coded("gpio.no_chip", Misconfigured):
        find_chip("pinctrl-bcm2711", tmp_path)


def test_driving_what_is_no_line_is_an_error() -> None:
    end_r, end_w = os.pipe()
    with pytest.raises(OSError, match="Inappropriate ioctl"):
        raw.drive_line(end_w, on=True)
    os.close(end_r)
    os.close(end_w)
