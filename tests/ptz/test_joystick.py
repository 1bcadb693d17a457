"""A joystick as an operator: what it may move, for how long, and what ends it."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from nvr.base.clock import FakeClock
from nvr.base.errors import Rejected, Unavailable
from nvr.hal.joystick import Layout, Standing
from nvr.media.joystick import Axis, JoystickProfile
from nvr.media.ports import Operator
from nvr.ptz.bus import BusEvent
from nvr.ptz.controller import Controller
from nvr.ptz.hand import RENEW_S
from nvr.ptz.heads import Mount
from nvr.ptz.joystick import LEARN_S, Joystick
from nvr.ptz.pelco import Pelco
from nvr.ptz.preset import PresetBook
from nvr.sim.view import View
from tests.ptz.bench import Dome
from tests.ptz.line import Switches

ANNE = Operator("anne", "operator", "page/1")
CHIEF = Operator("chief", "admin", "page/2")
LAYOUT = Layout(
    "球机摇杆", 0x1209, 1, dict.fromkeys((0, 1, 2), (0, 1023)), set(range(0x120, 0x12C))
)
BUTTONS = {
    "0": "stop", "1": "preset 2", "2": "next", "3": "prev", "4": "take", "5": "release",
    "6": "wiper", "7": "camera yard", "8": "focus far", "9": "snapshot", "10": "preset 9",
    "11": "zoom out",
}  # fmt: skip
PROFILE = JoystickProfile(
    1, LAYOUT.key, pan=Axis(0), tilt=Axis(1, invert=True), zoom=Axis(2), buttons=BUTTONS
)
REST = (0.0, 0.0, 0.0)


class Hands:
    """Two domes, and joysticks before them; time passes only in `run`."""

    def __init__(self, place: Path) -> None:
        self.clock = FakeClock()
        self.room: Callable[[], None] = lambda: None
        self.audit: list[tuple[str, str, str]] = []
        self.switches = Switches()
        self.domes = {name: Dome(self.clock, self._told, reports=True) for name in ("gate", "yard")}
        presets = PresetBook(place / "presets.json")
        self.ptz = Controller(
            [
                Mount(name, dome, Pelco(reports=True), {"wiper": f"{name}-wiper"})
                for name, dome in self.domes.items()
            ],
            switches=self.switches,
            presets=presets,
            clock=self.clock,
            audit=lambda what, who, camera, _detail: self.audit.append((what, who.name, camera)),
            save=lambda job: job(),
        )
        for name, dome in self.domes.items():
            presets.put(name, 2, "P2")
            dome.store(2, 90.0)
        self.sticks: list[Joystick] = []
        self.axes, self.held = REST, set[int]()

    def _told(self, event: BusEvent) -> None:
        self.ptz.bus_event(event)

    def _room(self) -> None:
        self.room()

    def plug(self, axes: tuple[float, ...] = REST, profile: JoystickProfile = PROFILE) -> Joystick:
        stick = Joystick(
            len(self.sticks) + 1, LAYOUT, Standing(axes, (False,) * 12), (profile, True),
            ptz=self.ptz, clock=self.clock, room=self._room,
        )  # fmt: skip
        self.sticks.append(stick)
        self.axes = axes
        return stick

    def hold(self, *axes: float, which: int = 0) -> None:
        """Put a hand there."""
        self.axes = axes
        self._tell(which)

    def press(self, number: int, which: int = 0) -> None:
        for held in ({number}, set()):
            self.held = held
            self._tell(which)

    def _tell(self, which: int) -> None:
        buttons = tuple(number in self.held for number in range(12))
        self.sticks[which].heard([Standing(self.axes, buttons)])

    def run(self, for_s: float, *, renewing: bool = True) -> None:
        steps = round(for_s / 0.05)
        for step in range(steps):
            self.clock.advance(0.05)
            for dome in self.domes.values():
                dome.advance()
            self.ptz.tick()
            if renewing and step % 3 == 0:
                for stick in self.sticks:
                    stick.tick()

    def moved_deg(self, camera: str, for_s: float = 1.0) -> float:
        """How far it pans meanwhile."""
        before = self.domes[camera].view.pan_deg
        self.run(for_s)
        return (self.domes[camera].view.pan_deg - before + 180) % 360 - 180

    def holder(self, camera: str = "gate") -> str:
        holder = self.ptz.status(camera).holder
        return holder.operator.name if holder else ""


@pytest.fixture
def hands(tmp_path: Path) -> Hands:
    return Hands(tmp_path)


def test_a_hand_moves_the_dome_and_a_hand_that_lets_go_stops_it(hands: Hands) -> None:
    stick = hands.plug()
    hands.hold(1, 0, 0)
    assert stick.state().moving
    assert hands.moved_deg("gate") > 5
    hands.hold(*REST)
    assert hands.moved_deg("gate") == 0
    assert not stick.state().moving
    assert ("ptz.move", "joystick 1", "gate") in hands.audit
    assert hands.holder() == "joystick 1"


def test_a_hand_that_holds_still_is_renewed_for_as_long_as_it_does(hands: Hands) -> None:
    hands.plug()
    hands.hold(1, 0, 0)
    hands.run(20)
    assert hands.moved_deg("gate") > 5
    hands.run(0.5, renewing=False)
    assert hands.moved_deg("gate") == 0, "the lease has ended it"
    hands.hold(0.9, 0, 0)
    assert hands.moved_deg("gate") == 0, "it has to be let go first"
    hands.hold(*REST)
    hands.hold(-1, 0, 0)
    assert hands.moved_deg("gate") < -5


def test_only_a_step_that_changed_is_told(hands: Hands, monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[tuple[float, ...]] = []
    move = hands.ptz.move
    monkeypatch.setattr(
        hands.ptz, "move", lambda camera, who, *v: (told.append(v), move(camera, who, *v))
    )
    hands.plug()
    for tremble in range(100):
        hands.hold(0.5 + tremble % 2 / 1023, 0.001 * (tremble % 3), 0)
    assert len(told) <= 2, told
    for n in range(1024):
        hands.hold(n / 1023, 0, 0)
    assert len({v[0] for v in told}) <= 64
    assert len(told) <= 66


def test_a_pulled_joystick_stops_at_once_and_gives_the_dome_back(hands: Hands) -> None:
    stick = hands.plug()
    hands.hold(1, 0, 0)
    hands.run(1)
    stops = hands.domes["gate"].stops
    stick.lost()
    assert hands.domes["gate"].stops == stops + 1
    assert not hands.domes["gate"].head.moving
    assert hands.holder() == ""
    hands.ptz.move("gate", ANNE, 0.5, 0, 0)


def test_one_that_is_not_at_rest_when_it_comes_moves_nothing_before_it_was(hands: Hands) -> None:
    stick = hands.plug((1.0, 0.0, 0.0))
    assert stick.state().must_centre
    hands.hold(0.9, 0, 0)
    assert hands.moved_deg("gate") == 0
    hands.hold(*REST)
    hands.hold(1, 0, 0)
    assert hands.moved_deg("gate") > 5


def test_after_anybodys_stop_it_has_to_be_let_go(hands: Hands) -> None:
    stick = hands.plug()
    hands.hold(1, 0, 0)
    hands.run(1)
    hands.ptz.stop("gate", ANNE)
    hands.run(0.1)
    assert hands.moved_deg("gate", 3.0) == 0
    assert stick.state().must_centre
    hands.hold(0.8, 0, 0)
    assert hands.moved_deg("gate") == 0
    hands.hold(*REST)
    hands.hold(1, 0, 0)
    assert hands.moved_deg("gate") > 5


def test_a_stop_counts_though_nothing_was_renewed_for_long_after_it(hands: Hands) -> None:
    hands.plug()
    hands.hold(1, 0, 0)
    hands.run(1)
    hands.ptz.stop("gate", ANNE)
    hands.run(0.6, renewing=False)  # so long that the arbiter takes the hand for let go
    assert hands.moved_deg("gate") == 0


def test_an_administrator_takes_the_dome_and_it_says_who_has_it(hands: Hands) -> None:
    stick = hands.plug()
    hands.hold(1, 0, 0)
    hands.run(1)
    hands.ptz.move("gate", CHIEF, -0.3, 0, 0)
    hands.run(0.3)
    assert hands.holder() == "chief"
    hands.hold(*REST)
    hands.hold(1, 0, 0)
    state = stick.state()
    assert (state.code, state.moving, state.must_centre) == ("ptz.held", False, True)
    assert "chief" in state.detail or hands.holder() == "chief"


def test_it_takes_a_dome_from_a_page_and_a_lock_keeps_it_off(hands: Hands) -> None:
    stick = hands.plug()
    hands.ptz.move("gate", ANNE, -0.3, 0, 0)
    hands.hold(1, 0, 0)
    assert hands.holder() == "joystick 1"
    hands.ptz.lock("gate", CHIEF, 60, "on the mast")
    assert hands.moved_deg("gate") == 0
    hands.hold(*REST)
    hands.hold(1, 0, 0)
    assert stick.state().code == "ptz.locked"
    assert hands.moved_deg("gate") == 0


def test_two_joysticks_are_two_operators(hands: Hands) -> None:
    hands.plug()
    hands.plug()
    hands.hold(1, 0, 0, which=0)
    hands.hold(-1, 0, 0, which=1)
    assert hands.sticks[1].state().code == "ptz.held"
    assert hands.moved_deg("gate") > 5
    hands.press(2, which=1)
    hands.hold(*REST, which=1)
    hands.hold(-1, 0, 0, which=1)
    assert hands.moved_deg("yard") < -5


def test_stop_on_a_button_stops_even_when_nothing_can_be_written_down(hands: Hands) -> None:
    def full() -> None:
        raise Unavailable("audit.full", "the disk is full")

    stick = hands.plug()
    hands.hold(1, 0, 0)
    hands.room = full
    hands.run(1)
    hands.press(0)
    assert hands.moved_deg("gate") == 0
    assert stick.state().must_centre
    hands.hold(*REST)
    hands.hold(1, 0, 0)
    assert hands.moved_deg("gate") == 0
    assert stick.state().code == "audit.full"
    hands.press(1)
    assert hands.moved_deg("gate") == 0


def test_a_preset_ends_the_motion_and_the_hand_has_to_let_go(hands: Hands) -> None:
    hands.plug()
    hands.hold(1, 0, 0)
    hands.run(0.3)
    hands.press(1)
    hands.run(10)
    assert hands.domes["gate"].off_deg(90.0) < 1
    hands.hold(*REST)
    hands.press(10)
    assert hands.sticks[0].state().code == "ptz.unknown_preset"


def test_another_camera_is_steered_and_the_one_before_stands_still(hands: Hands) -> None:
    stick = hands.plug()
    hands.hold(1, 0, 0)
    hands.run(1)
    hands.press(2)
    assert stick.state().camera == "yard"
    assert hands.holder("gate") == ""
    assert hands.moved_deg("gate") == 0
    assert hands.moved_deg("yard") == 0, "the hand was not let go since"
    hands.hold(*REST)
    hands.hold(1, 0, 0)
    assert hands.moved_deg("yard") > 5
    hands.hold(*REST)
    for button, camera in ((2, "gate"), (3, "yard"), (3, "gate"), (7, "yard")):
        hands.press(button)
        assert stick.state().camera == camera
    with pytest.raises(Rejected, match="no head"):
        stick.aim("elsewhere")


def test_take_release_and_wiper(hands: Hands) -> None:
    hands.plug()
    hands.press(4)
    assert hands.ptz.status("gate").holder.taken
    hands.press(6)
    assert hands.switches.on == {"gate-wiper": True}
    hands.press(6)
    assert hands.switches.on == {"gate-wiper": False}
    hands.press(5)
    assert hands.holder() == ""
    hands.press(9)
    assert hands.sticks[0].state().code == "", "what is for a page is nothing here"


def test_held_buttons_drive_zoom_and_lens_until_they_are_let_go(hands: Hands) -> None:
    hands.plug()
    hands.domes["gate"].head.advance(hands.clock.now_s)
    hands.hold(0, 0, 1)
    hands.run(2)
    hands.hold(*REST)
    near = hands.domes["gate"].view.zoom
    assert near > 1.5
    hands.held = {8, 11}
    hands._tell(0)
    hands.run(1)
    assert hands.domes["gate"].view.zoom < near
    hands.held = set()
    hands._tell(0)
    here = hands.domes["gate"].view.zoom
    hands.run(1)
    assert hands.domes["gate"].view.zoom == here
    assert not hands.sticks[0].moving


def test_it_pans_slower_where_the_dome_is_zoomed_in(hands: Hands) -> None:
    hands.plug()
    hands.hold(1, 0, 0)
    wide = hands.sticks[0].state().speeds
    hands.hold(*REST)
    hands.domes["gate"].head.restore({2: View(90.0, -10.0, 18.0)})
    hands.press(1)
    hands.run(20)
    hands.hold(1, 0, 0)
    tele = hands.sticks[0].state().speeds
    assert tele[0] < wide[0] / 2
    assert hands.sticks[0].state().moving


def test_one_that_is_being_taught_moves_nothing(hands: Hands) -> None:
    stick = hands.plug()
    hands.hold(1, 0, 0)
    hands.run(1)
    stick.learn()
    assert hands.moved_deg("gate") == 0
    hands.hold(-1, 0, 0)
    hands.press(1)
    assert hands.moved_deg("gate") == 0
    assert stick.state().learning
    stick.teach(replace(PROFILE, pan=Axis(2), zoom=None, camera="yard"), learned=True)
    hands.run(LEARN_S)
    assert hands.moved_deg("yard") == 0
    hands.hold(*REST)
    hands.hold(0, 0, 1)
    assert hands.moved_deg("yard") > 5


def test_a_head_that_leaves_is_no_fault_of_the_joystick(hands: Hands) -> None:
    stick = hands.plug()
    hands.hold(1, 0, 0)
    hands.run(0.5)
    hands.ptz.unmount("gate")
    hands.run(0.5)
    assert stick.state().camera == "yard"
    hands.hold(0.9, 0, 0)
    assert hands.moved_deg("yard") == 0
    hands.hold(*REST)
    hands.hold(1, 0, 0)
    assert hands.moved_deg("yard") > 5
    hands.ptz.unmount("yard")
    hands.run(0.5)
    hands.hold(*REST)
    hands.press(1)
    hands.hold(1, 0, 0)
    assert stick.state().camera == ""
    stick.lost()


def test_the_lease_outlives_three_renewals_that_come_late() -> None:
    assert 3 * RENEW_S < 0.5
