"""Heads found on a pseudo-terminal: by what they answer, and by what a picture does."""

import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

from nvr.base.clock import SystemClock
from nvr.base.errors import Unavailable
from nvr.hal.virtual_serial import VirtualSerial
from nvr.ptz.guard_link import GuardLink
from nvr.ptz.scan import Found, Language, Nudger, by_picture, by_reply
from nvr.ptz.shift import Grey, moved, shift_px
from nvr.wire import pelco_d, pelco_p
from nvr.wire.pelco_d import Cmd, Frame, Op
from tests.ptz.line import FarEnd

TOWN = (
    np.random.default_rng(5)
    .integers(0, 255, (30, 60), dtype=np.uint8)
    .repeat(6, axis=0)
    .repeat(6, axis=1)
)


def view(at_px: int) -> Grey:
    return TOWN[:160, at_px : at_px + 240]


class Head:
    """A dome that answers; `replies` maps its commands to answers."""

    def __init__(self, address: int, protocol: Language = "pelco-d") -> None:
        self.address, self.protocol = address, protocol
        self.moves = 0

    def answer(self, data: bytes) -> bytes:
        if self.protocol == "pelco-p":
            heard = [one for one in pelco_p.Decoder().feed(data) if isinstance(one, Frame)]
        else:
            heard = [one for one in pelco_d.Decoder(255).feed(data) if isinstance(one, Frame)]
        said = b""
        for frame in heard:
            self.moves += frame.command != 0 and frame.op is None
            if frame.address != self.address:
                continue
            if self.protocol == "pelco-p":
                said += b"\xa2"
            elif frame.op is Op.QUERY_PAN:
                said += Frame(self.address, Op.PAN, 1, 2).encode()
            else:
                said += bytes((0xFF, self.address, 0, data[-1]))
        return said


def quiet(done: int, of: int, what: str) -> None:
    pass


@pytest.mark.parametrize(("protocol", "echo"), [("pelco-d", False), ("pelco-p", True)])
def test_who_answers_is_found_and_nothing_is_moved(
    tmp_path: Path, protocol: Language, *, echo: bool
) -> None:
    head = Head(5, protocol)
    far = FarEnd(tmp_path / "dome0", echo=echo, answer=head.answer)
    steps: list[int] = []
    try:
        found = by_reply(
            lambda _baud: VirtualSerial(far.path),
            [9600],
            ["pelco-d", "pelco-p"],
            [4, 5, 6],
            lambda done, _of, _what: steps.append(done),
        )
    finally:
        far.close()
    assert found == [Found(5, 9600, protocol, "reply")]
    assert head.moves == 0
    assert steps == [0, 1, 2, 3, 4, 5, 6]


class Town(VirtualSerial):
    """A line, and what a camera sees whose head has an address on it."""

    def __init__(self, path: str, address: int) -> None:
        super().__init__(path)
        self.address = address
        self.at_px, self.looks = 60, 0

    def write(self, data: bytes) -> None:
        super().write(data)
        for frame in pelco_d.Decoder(255).feed(data):
            if isinstance(frame, Frame) and frame.address == self.address:
                self.at_px += 14 * (bool(frame.command & Cmd.RIGHT))
                self.at_px -= 14 * (bool(frame.command & Cmd.LEFT))

    def look(self) -> Grey:
        self.looks += 1
        return view(self.at_px)


@pytest.fixture
def guard() -> Iterator[GuardLink]:
    it = GuardLink(SystemClock())
    it.start()
    yield it
    it.close()


def nudger(open_port: Callable[[], VirtualSerial], guard: GuardLink, addresses: list[int]):
    def made(baud: int, protocol: Language) -> Nudger:
        assert baud == 9600
        return Nudger(
            lambda _: open_port(), baud, protocol, addresses,
            guard=guard, clock=SystemClock(), nudge_s=0.1,
        )  # fmt: skip

    return made


def test_the_head_whose_picture_moves_is_found_and_stands_still(
    far: FarEnd, guard: GuardLink
) -> None:
    addresses = [1, 2, 3, 4]
    town = Town(far.path, 3)
    found = by_picture(
        nudger(lambda: town, guard, addresses), [9600], ["pelco-d"], addresses, town.look, quiet
    )
    assert found == [Found(3, 9600, "pelco-d", "picture")]
    assert town.looks == 10  # 2 at rest; all, the first half, half of the other, the one
    # Two STOPs each at first and at the end, and a motion and two STOPs for each of 8 nudges.
    heard = [one.frame for one in far.wait_count(8 + 8 * 3 + 8)]
    for some in (heard[:8], heard[-8:]):
        assert sorted(one.address for one in some) == sorted(addresses * 2)
        assert not any(one.command for one in some)
    for motion, *stops in zip(*[iter(heard[8:-8])] * 3, strict=True):
        assert motion.command in {Cmd.LEFT, Cmd.RIGHT}
        assert stops == [Frame(motion.address)] * 2, "each stands before the next one goes"


def test_a_picture_that_nobody_moves_is_nobodys(far: FarEnd, guard: GuardLink) -> None:
    town = Town(far.path, 9)
    made = nudger(lambda: town, guard, [1, 2])
    assert by_picture(made, [9600], ["pelco-d"], [1, 2], town.look, quiet) == []
    assert town.looks == 4
    assert far.wait_count(4 + 6 + 4)[-1].still


def test_a_line_that_is_pulled_ends_it(tmp_path: Path, guard: GuardLink) -> None:
    far = FarEnd(tmp_path / "pulled")
    hands = nudger(lambda: VirtualSerial(far.path), guard, [1])(9600, "pelco-d")
    far.close()
    try:
        with pytest.raises(Unavailable):
            hands.nudge([1], 1)
    finally:
        hands.close()
    assert not [one for one in threading.enumerate() if one.name == "ptz/scan"]


def test_how_far_a_picture_went() -> None:
    for px in (0, 2, 14, 60):
        away_px, peak = shift_px(view(60), view(60 + px))
        assert away_px == px
        assert peak > 0.1
    assert not moved(view(60), view(60), 0.0)
    assert moved(view(60), view(65), 0.0)
    other = np.random.default_rng(6).integers(0, 255, (160, 240), dtype=np.uint8)
    assert moved(view(60), other, 1.0), "it went so far that nothing is left of the old picture"
    noisy = np.clip(
        view(60).astype(int) + np.random.default_rng(1).normal(0, 9, (160, 240)), 0, 255
    )
    assert not moved(view(60), noisy.astype(np.uint8), 7.0), "a grainy night moves nothing"
