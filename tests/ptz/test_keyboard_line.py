"""Listening on a pseudo-terminal: rate and protocol found, the port lost and back, the wire."""

import termios
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from nvr.base.clock import FakeClock, SystemClock
from nvr.hal.board import BAUDS
from nvr.hal.linux_serial import LinuxSerial
from nvr.hal.virtual_serial import VirtualSerial
from nvr.media.ports import Holder, Position, PtzStatus
from nvr.ptz.answer import answer_to
from nvr.ptz.journal import Journal
from nvr.ptz.keyboard_line import KeyboardLine, LineNews
from nvr.ptz.words import sentence, words_of
from nvr.wire import pelco_d, pelco_p
from nvr.wire.pelco_d import Cmd, Frame, Op
from tests.ptz.line import FarEnd

LEFT = Frame(3, Cmd.LEFT, 0x20)
SPEEDS = {2400: termios.B2400, 4800: termios.B4800, 9600: termios.B9600, 19200: termios.B19200}


class News:
    def __init__(self) -> None:
        self.all: list[LineNews] = []
        self._more = threading.Condition()

    def __call__(self, news: LineNews) -> None:
        with self._more:
            self.all.append(news)
            self._more.notify_all()

    def wait(self, true: Callable[[LineNews], bool]) -> LineNews:
        with self._more:
            found = self._more.wait_for(lambda: next(filter(true, self.all), None), 15.0)
            assert found, self.all
            self.all.clear()
            return found


@pytest.fixture
def news() -> News:
    return News()


@pytest.fixture
def listen(news: News) -> Iterator[Callable[..., KeyboardLine]]:
    made: list[KeyboardLine] = []

    def start(open_port, bauds=(2400,), **more: object) -> KeyboardLine:
        line = KeyboardLine("desk", open_port, bauds, clock=SystemClock(), tell=news, **more)
        line.start()
        made.append(line)
        return line

    yield start
    for line in made:
        line.close()


def heard(news: LineNews) -> bool:
    return news.kind == "heard"


@pytest.mark.parametrize("protocol", ["pelco-d", "pelco-p"])
def test_rate_and_protocol_are_found(far: FarEnd, listen, news: News, protocol: str) -> None:
    def key(frame: Frame) -> None:
        """A keyboard at 9600 baud: at another rate a receiver sees something else."""
        data = frame.encode() if protocol == "pelco-d" else pelco_p.encode(frame)
        speed = termios.tcgetattr(far.master)[4]
        far.say(data if speed == SPEEDS[9600] else bytes(b ^ 0x5A for b in data))

    line = listen(lambda baud: LinuxSerial(far.path, baud), BAUDS)
    news.wait(lambda one: one.kind == "searching")
    ends_s = time.monotonic() + 15.0
    while not line.ear.protocol:
        assert time.monotonic() < ends_s
        key(LEFT)
        time.sleep(0.06)
    found = news.wait(lambda one: one.kind == "found")
    assert (found.baud, found.protocol, line.baud) == (9600, protocol, 9600)
    key(LEFT)
    (said,) = news.wait(heard).said[:1]
    assert (said.frame, said.protocol) == (LEFT, protocol)


def test_a_pulled_adapter_is_said_and_found_again_under_its_name(
    tmp_path: Path, listen, news: News
) -> None:
    link = tmp_path / "by-id"
    first = FarEnd(link)
    line = listen(lambda _baud: VirtualSerial(str(link)))
    news.wait(lambda one: one.kind == "searching")
    for _ in range(2):
        first.say(LEFT.encode())
        time.sleep(0.06)
    news.wait(heard)
    first.close()
    lost = news.wait(lambda one: one.kind == "lost")
    assert lost.detail
    again = FarEnd(link)
    try:
        news.wait(lambda one: one.kind == "searching")
        assert line.ear.protocol == "", "it may be another keyboard"
        again.say(LEFT.encode())
        again.say(LEFT.encode())
        news.wait(heard)
    finally:
        again.close()


def test_what_is_written_to_a_keyboard_does_not_come_back_as_a_command(
    tmp_path: Path, listen, news: News
) -> None:
    far = FarEnd(tmp_path / "desk0", echo=True)
    try:
        journal = Journal(SystemClock())
        line = listen(lambda _baud: VirtualSerial(far.path), overheard=journal.add)
        news.wait(lambda one: one.kind == "searching")
        line.answer(LEFT.encode())  # on no line would it be sent; here it would be a motion
        line.answer(LEFT.encode())
        far.wait_count(2)
        far.say(Frame(3).encode() * 2)
        (said,) = news.wait(heard).said
        assert said.frame == Frame(3)
        assert [one.way for one in journal.after(0)][:2] == ["out", "out"]
    finally:
        far.close()


def test_the_wire_is_remembered_decoded() -> None:
    clock = FakeClock()
    journal = Journal(clock)
    journal.add("out", LEFT.encode())
    reply = bytes((0xFF, 3, 0, LEFT.encode()[-1]))
    journal.add("in", reply[:2])
    assert len(journal.after(0)) == 1, "what is still coming is left for later"
    clock.advance(0.01)
    journal.add("in", reply[2:])
    clock.advance(0.1)
    journal.add("in", b"\x01" + pelco_p.encode(LEFT) + Frame(3, Op.CALL_PRESET, 0, 5).encode())
    clock.advance(0.1)
    found = journal.after(0)
    assert [one.number for one in found] == [1, 2, 3, 4, 5]
    assert [(one.way, one.protocol, one.address, sentence(one.words)) for one in found] == [
        ("out", "pelco-d", 3, "left 32"),
        ("in", "pelco-d", 3, "taken"),
        ("in", "", 0, ""),
        ("in", "pelco-p", 3, "left 32"),
        ("in", "pelco-d", 3, "preset call 5"),
    ]
    assert journal.after(4) == found[4:]


def test_every_command_has_words() -> None:
    assert words_of(Frame(1)) == (("stop", 0),)
    both = pelco_d.motion(1, pan=5, tilt=-6, zoom=1, focus=-1, iris=1)
    assert sentence(words_of(both)) == "right 5, down 6, tele, near, open"
    assert words_of(Frame(1, Cmd.SENSE | Cmd.CAMERA)) == (("camera", 1),)
    for op in Op:
        assert words_of(Frame(1, op, 1, 2))[0][0]


def status(position: Position | None) -> PtzStatus:
    holder: Holder | None = None
    return PtzStatus("gate", True, holder, False, False, position, (), (), None)


def test_a_keyboard_that_waits_for_answers_gets_a_decoders() -> None:
    here = {3: status(Position(90.0, -10.0, 0.5))}
    assert answer_to(LEFT.encode(), here.get) == bytes((0xFF, 3, 0, LEFT.encode()[-1]))
    assert answer_to(pelco_p.encode(LEFT), here.get) == b"\xa2"
    pan, tilt, zoom = (
        answer_to(Frame(3, op).encode(), here.get)
        for op in (Op.QUERY_PAN, Op.QUERY_TILT, Op.QUERY_ZOOM)
    )
    assert pan == bytes.fromhex("FF 03 00 59 23 28 A7")
    assert tilt == Frame(3, Op.TILT, *divmod(35000, 256)).encode()
    assert zoom[3] == Op.ZOOM
    for silent in (Frame(4).encode(), Frame(3, Op.QUERY_DEVICE).encode(), b"\x00", b""):
        assert answer_to(silent, here.get) == b""
    assert answer_to(Frame(3, Op.QUERY_PAN).encode(), {3: status(None)}.get) == b""
