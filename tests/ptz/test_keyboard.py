"""A keyboard as an operator: what it may move, for how long, and what ends it."""

from collections.abc import Callable
from pathlib import Path

import pytest

from nvr.base.clock import FakeClock
from nvr.base.errors import Rejected, Unavailable
from nvr.media.desk import KeyboardSettings
from nvr.media.ports import Operator
from nvr.ptz.controller import Controller
from nvr.ptz.ear import Said
from nvr.ptz.hand import RENEW_S
from nvr.ptz.heads import Mount
from nvr.ptz.keyboard import LATCHED_S, REPEATS_S, Keyboard
from nvr.ptz.pelco import Pelco
from nvr.ptz.preset import PresetBook
from nvr.ptz.schedule import NEUTRAL, Motion
from nvr.wire import pelco_d
from nvr.wire.pelco_d import Cmd, Frame, Op
from tests.ptz.line import Switches

ANNE = Operator("anne", "operator", "page/1")
CHIEF = Operator("chief", "admin", "page/2")


class PaperLine:
    """Writes down what heads are told. See `nvr.ptz.line.Line`."""

    def __init__(self) -> None:
        self.online = True
        self.now: dict[str, Motion] = {}
        self.stops: list[str] = []
        self.commands: list[bytes] = []

    def add(self, head, encode, asked=None, chain=None) -> None:  # noqa: ARG002
        self.now[head] = NEUTRAL

    def add_auxiliary(self, head, name, auxiliary) -> None:
        pass

    def leave(self, head) -> None:
        del self.now[head]

    def move(self, head, motion, until_s) -> None:  # noqa: ARG002
        if not self.online:
            raise Unavailable("ptz.bus_down", "the serial port is not there")
        self.now[head] = motion

    def stop(self, head) -> None:
        self.now[head] = NEUTRAL
        self.stops.append(head)

    def switch(self, head, name, on) -> None:
        pass

    def lit(self, head, name) -> bool:  # noqa: ARG002
        return False

    def unbar(self, head) -> None:
        pass

    def command(self, head, data, *, moves) -> None:  # noqa: ARG002
        self.commands.append(data)


class Rig:
    def __init__(self, path: Path, **settings: object) -> None:
        self.clock = FakeClock()
        self.line, self.relays = PaperLine(), Switches()
        self.audit: list[tuple[str, str, str]] = []
        book = PresetBook(path)
        book.put("gate", 5, "door")
        self.ptz = Controller(
            [
                Mount(name, self.line, Pelco(address=n), {"wiper": "wiper"})
                for n, name in ((1, "gate"), (2, "yard"))
            ],
            switches=self.relays,
            presets=book,
            clock=self.clock,
            audit=lambda action, who, camera, _: self.audit.append((action, who.name, camera)),
            save=lambda _: None,
        )
        self.full = False
        self.keyboard = Keyboard(
            "desk",
            KeyboardSettings(**settings),
            ptz=self.ptz,
            clock=self.clock,
            cameras=lambda: {1: "gate", 2: "yard", 9: "gone"},
            room=self.room,
        )
        self.let_go()

    def room(self) -> None:
        if self.full:
            raise Unavailable("audit.full", "the audit log cannot be written")

    def say(self, frame: Frame, *, sure: bool = True, late_s: float = 0.0) -> str:
        """The code of the refusal, empty if it was done."""
        at_s = self.clock.monotonic_s() - late_s
        self.keyboard.heard(Said(at_s, "pelco-d", frame, frame.encode(), sure))
        last = self.keyboard.state().last
        assert last is not None
        return last.code

    def push(self, address: int = 1, **axes: int) -> str:
        return self.say(pelco_d.motion(address, **axes or {"pan": -63}))

    def let_go(self, address: int = 1) -> str:
        return self.say(Frame(address))

    def wait(self, for_s: float, each: Callable[[], object] = lambda: None) -> None:
        """Let time pass as the desk does, saying something now and then."""
        ends_s = self.clock.monotonic_s() + for_s
        while self.clock.monotonic_s() < ends_s - 1e-9:
            self.clock.advance(RENEW_S)
            each()
            self.keyboard.tick()
            self.ptz.tick()

    @property
    def gate(self) -> Motion:
        return self.line.now["gate"]


@pytest.fixture
def rig(tmp_path: Path) -> Rig:
    return Rig(tmp_path / "presets.json")


def test_a_motion_said_once_lasts_until_the_key_is_let_go(rig: Rig) -> None:
    assert rig.push(pan=-63, tilt=31, zoom=1) == ""
    assert rig.gate == Motion(pan=-1.0, tilt=31 / 63, zoom=1.0)
    rig.wait(5.0)
    assert rig.gate.pan == -1.0
    holder = rig.ptz.status("gate").holder
    assert holder is not None
    assert (holder.operator.name, holder.operator.source) == ("keyboard desk", "keyboard/desk")
    assert rig.let_go() == ""
    assert rig.gate == NEUTRAL
    assert [one[0] for one in rig.audit] == ["ptz.move", "ptz.stop"]
    assert rig.push(pan=5) == "", "it was let go: the next push is a new one"


def test_focus_and_iris_are_driven_and_let_go(rig: Rig) -> None:
    rig.push(focus=1)
    assert rig.gate == Motion(focus=1)
    rig.wait(1.0)
    assert rig.gate == Motion(focus=1)
    rig.push(pan=20)
    assert rig.gate == Motion(pan=20 / 63)
    rig.push(pan=20, iris=-1)
    assert rig.gate == Motion(pan=20 / 63, iris=-1)
    rig.let_go()
    assert rig.gate == NEUTRAL


def test_a_silent_keyboard_is_stopped_and_must_let_go(rig: Rig) -> None:
    rig.push()
    rig.wait(LATCHED_S - 0.3)
    assert rig.gate.pan == -1.0
    rig.wait(0.6)
    assert rig.gate == NEUTRAL
    assert rig.push(pan=5) == "ptz.rearm"
    rig.wait(5.0)
    assert rig.push(pan=5) == "ptz.rearm", "no time makes up for a key that was not let go"
    rig.let_go()
    assert rig.push(pan=5) == ""


@pytest.mark.parametrize(("settings", "hold_s"), [({"profile": "repeats"}, REPEATS_S),
                                                  ({"hold_s": 3.0}, 3.0)])  # fmt: skip
def test_the_hold_is_as_configured(tmp_path: Path, settings: dict, hold_s: float) -> None:
    rig = Rig(tmp_path / "presets.json", **settings)
    rig.push()
    rig.wait(hold_s - 0.2)
    assert rig.gate.pan == -1.0
    rig.wait(0.4)
    assert rig.gate == NEUTRAL


def test_a_keyboard_that_repeats_is_found_out_and_held_to_it(rig: Rig) -> None:
    assert rig.keyboard.hold_s == LATCHED_S
    rig.push()
    rig.wait(3.0, rig.push)
    assert rig.keyboard.repeats
    assert rig.keyboard.hold_s < 1.0
    rig.wait(1.0)  # its cable is pulled
    assert rig.gate == NEUTRAL


def test_one_that_does_not_repeat_after_all_is_taken_at_its_word(rig: Rig) -> None:
    rig.push()
    rig.wait(3.0, rig.push)
    rig.wait(4.0)
    assert rig.gate == NEUTRAL
    rig.let_go()  # so it was there all the time
    assert not rig.keyboard.repeats
    rig.push()
    rig.wait(5.0, rig.push)
    assert rig.keyboard.hold_s == LATCHED_S


def test_a_hand_at_the_box_takes_a_camera_from_a_page(rig: Rig) -> None:
    rig.ptz.move("gate", ANNE, 0.5, 0.0, 0.0)
    assert rig.push() == ""
    assert rig.gate == Motion(pan=-1.0)
    with pytest.raises(Rejected, match=r"ptz\.rearm"):
        rig.ptz.move("gate", ANNE, 0.5, 0.0, 0.0)
    rig.ptz.move("gate", ANNE, 0.0, 0.0, 0.0)
    assert rig.gate == Motion(pan=-1.0), "it is not hers to stop by letting go"
    with pytest.raises(Rejected, match=r"ptz\.held"):
        rig.ptz.move("gate", ANNE, 0.5, 0.0, 0.0)
    rig.let_go()
    rig.ptz.lock("gate", CHIEF, 600, "on the mast")
    assert rig.push() == "ptz.locked"
    assert rig.gate == NEUTRAL


def test_who_ranks_above_is_not_disturbed_and_the_keyboard_is_told(rig: Rig) -> None:
    rig.ptz.move("gate", CHIEF, 0.5, 0.0, 0.0)
    assert rig.push() == "ptz.held"
    assert rig.gate == Motion(pan=0.5)
    assert rig.let_go() == ""
    assert rig.gate == Motion(pan=0.5), "a key let go stops nobody else's motion"
    refused = rig.keyboard.state().refused
    assert refused is not None
    assert (refused.code, refused.camera, refused.words) == ("ptz.held", "gate", (("left", 63),))
    assert ("ptz.refused", "keyboard desk", "gate") in rig.audit


def test_anybodys_stop_ends_it_until_the_key_was_let_go(rig: Rig) -> None:
    rig.push()
    rig.wait(0.3)
    rig.ptz.stop("gate", ANNE)
    rig.wait(3.0, rig.push)
    assert rig.gate == NEUTRAL
    assert rig.push() == "ptz.rearm"
    # One that says it rarely must let go as well: it is still the same push.
    rig.wait(3.0)
    assert rig.push() == "ptz.rearm"
    rig.let_go()
    assert rig.push() == ""


def test_a_higher_priority_takes_it_away_and_it_stays_away(rig: Rig) -> None:
    rig.push()
    rig.wait(0.3)
    rig.ptz.move("gate", CHIEF, 0.0, 1.0, 0.0, 10.0)
    rig.wait(2.0)
    assert rig.gate == Motion(tilt=1.0)
    assert not rig.keyboard.moving
    rig.ptz.move("gate", CHIEF, 0.0, 0.0, 0.0)
    rig.wait(8.0)
    assert rig.gate == NEUTRAL, "the old push does not come back"


def test_one_hand_moves_one_camera_unless_the_line_is_shared(tmp_path: Path) -> None:
    rig = Rig(tmp_path / "presets.json")
    rig.push(1)
    rig.push(2)
    assert rig.line.now["gate"] == NEUTRAL
    assert rig.line.now["yard"].pan == -1.0
    rig = Rig(tmp_path / "presets.json", shared=True)
    rig.push(1)
    rig.push(2)
    assert rig.line.now["gate"].pan == rig.line.now["yard"].pan == -1.0


def test_a_lost_port_stops_all_and_a_held_key_moves_nothing_on_return(rig: Rig) -> None:
    rig.push()
    rig.keyboard.lost()
    assert rig.gate == NEUTRAL
    assert not rig.keyboard.moving
    assert rig.push() == "ptz.rearm"
    rig.let_go()
    assert rig.push() == ""


def test_a_key_that_is_held_from_before_the_start_moves_nothing(rig: Rig) -> None:
    rig.keyboard.lost()
    assert rig.push(2) == "ptz.rearm"
    rig.wait(20.0, lambda: rig.push(2))
    assert rig.line.now == {"gate": NEUTRAL, "yard": NEUTRAL}
    rig.let_go(2)
    assert rig.push(1) == ""


def test_presets_and_auxiliaries_are_done_once_however_often_they_are_said(rig: Rig) -> None:
    call = Frame(1, Op.CALL_PRESET, 0, 5)
    for _ in range(3):
        assert rig.say(call) == ""
        rig.clock.advance(0.1)
    assert rig.line.commands == [call.encode()]
    rig.clock.advance(1.0)
    rig.say(call)
    assert len(rig.line.commands) == 2
    assert rig.say(Frame(1, Op.SET_PRESET, 0, 7)) == ""
    assert [one.number for one in rig.ptz.status("gate").presets] == [5, 7]
    assert rig.say(Frame(1, Op.CALL_PRESET, 0, 94)) == "ptz.reserved"
    assert rig.say(Frame(1, Op.CALL_PRESET, 0, 8)) == "ptz.unknown_preset"
    assert rig.say(Frame(1, Op.SET_AUX, 0, 1)) == ""
    assert rig.relays.on["wiper"]
    assert rig.say(Frame(1, Op.CLEAR_AUX, 0, 1)) == ""
    assert not rig.relays.on["wiper"]
    assert rig.say(Frame(1, Op.SET_AUX, 0, 6)) == "keyboard.ignored"


def test_what_means_nothing_here_moves_nothing(rig: Rig) -> None:
    assert rig.push(4) == "keyboard.unmapped"
    assert rig.push(9) == "ptz.unknown_camera"
    assert rig.say(Frame(1, Op.RESET)) == "keyboard.ignored"
    assert rig.say(Frame(1, Cmd.SENSE | Cmd.SCAN)) == "keyboard.ignored"
    assert rig.say(pelco_d.motion(1, pan=9), sure=False) == "keyboard.doubtful"
    assert rig.say(pelco_d.motion(1, pan=9), late_s=0.6) == "keyboard.late"
    assert rig.line.now == {"gate": NEUTRAL, "yard": NEUTRAL}
    assert rig.line.commands == []


def test_a_scan_ends_the_motion_before_it(rig: Rig) -> None:
    rig.push()
    rig.say(Frame(1, Cmd.SENSE | Cmd.SCAN))
    assert rig.gate == NEUTRAL


def test_zoom_is_as_fast_as_the_keyboard_set_it(rig: Rig) -> None:
    rig.say(Frame(1, Op.ZOOM_SPEED, 0, 1))
    rig.push(zoom=-1)
    assert rig.gate == Motion(zoom=-0.5)


def test_without_a_record_nothing_begins_and_everything_stops(rig: Rig) -> None:
    rig.full = True
    assert rig.push() == "audit.full"
    assert rig.gate == NEUTRAL
    rig.full = False
    rig.push()
    rig.full = True
    assert rig.let_go() == ""
    assert rig.gate == NEUTRAL


def test_a_line_that_goes_is_said_and_a_head_that_goes_ends_it(rig: Rig) -> None:
    rig.line.online = False
    assert rig.push() == "ptz.bus_down"
    rig.line.online = True
    rig.let_go()
    assert rig.push() == ""
    rig.ptz.unmount("gate")
    rig.wait(0.3)
    assert not rig.keyboard.moving
    with pytest.raises(Rejected):
        rig.ptz.status("gate")


def test_a_tap_has_nothing_to_say_of_others_cameras(rig: Rig) -> None:
    tap = Keyboard("tap", KeyboardSettings(), ptz=rig.ptz, clock=rig.clock,
                   cameras=lambda: {2: "yard"}, passive=True)  # fmt: skip
    left = pelco_d.motion(1, pan=-9)
    tap.heard(Said(rig.clock.monotonic_s(), "pelco-d", left, left.encode(), sure=True))
    state = tap.state()
    assert state.refused is None
    assert state.last is not None
    assert rig.gate == NEUTRAL
