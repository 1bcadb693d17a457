"""Everything at once: random operators on the whole stack, judged at the wire.

The real arbiter, controller, schedule and bus, on a clock that is moved by hand; the bus's owner
thread is played by the test, turn by turn, so that every order of events can happen.
"""

import os
from pathlib import Path

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from nvr.base.clock import FakeClock
from nvr.base.errors import NvrError, Unavailable
from nvr.media.ports import Operator
from nvr.ptz.bus import Bus, BusEvent
from nvr.ptz.controller import Controller
from nvr.ptz.heads import Mount
from nvr.ptz.pelco import Aux, Pelco
from nvr.ptz.preset import PresetBook
from nvr.wire.pelco_d import Decoder, Frame, Op
from tests.ptz.line import PaperGuard, Switches

PEOPLE = [
    Operator("ada", "operator", "page/1"),
    Operator("bo", "operator", "page/2"),
    Operator("chief", "admin", "page/3"),
]
CAMERAS = ("dome1", "dome2")
LEASE_S = 2.0
GAP_S = 0.08
STILL_S = (len(CAMERAS) + 1) * GAP_S
"""What is left of a gap, and each head's STOP before any second one."""
LAMP_S = 3.0
DARK_S = 1.0
"""Both STOPs of each head, what each was told before, and the lamps in their turn."""


class Wire:
    """A port whose far end keeps what each head was last told."""

    rts = False

    def __init__(self) -> None:
        self.turning = dict.fromkeys(CAMERAS, False)
        self.lit = dict.fromkeys(CAMERAS, False)
        self.gone = False
        self._decoder = Decoder()

    def fileno(self) -> int:
        return -1

    def write(self, data: bytes) -> None:
        if self.gone:
            raise Unavailable("serial.gone", "pulled")
        for piece in self._decoder.feed(data):
            assert isinstance(piece, Frame)
            if piece.op in {Op.SET_AUX, Op.CLEAR_AUX}:
                self.lit[f"dome{piece.address}"] = piece.op == Op.SET_AUX
            elif not piece.command & 1:
                self.turning[f"dome{piece.address}"] = piece.command != 0

    def read(self, _timeout_s: float) -> bytes:
        return b""

    def close(self) -> None:
        pass


class Runaway(RuleBasedStateMachine):
    @initialize()
    def build(self) -> None:
        self.clock = FakeClock()
        self.guard = PaperGuard()
        self.events: list[BusEvent] = []
        self.wire = Wire()
        self.bus = Bus(
            "ptz", lambda: self.wire, clock=self.clock, guard=self.guard, tell=self.events.append
        )
        self.ptz = Controller(
            [self.mount(name) for name in CAMERAS],
            switches=Switches(),
            presets=PresetBook(Path("/nonexistent/presets.json")),
            clock=self.clock,
            audit=lambda *_: None,
            save=lambda _job: None,
        )
        # What the hands did: who moves a head, until when, since when it ought to stand, and who
        # has to centre the stick before it moves again.
        self.mover: dict[str, Operator | None] = dict.fromkeys(CAMERAS)
        self.renewed_s = dict.fromkeys(CAMERAS, -10.0)
        self.stands_s = dict.fromkeys(CAMERAS, -10.0)
        self.must_centre: set[tuple[str, Operator]] = set()
        self.dark_s = dict.fromkeys(CAMERAS, -10.0)  # since when a lamp ought to be off
        self.cut: dict[str, tuple[Operator | None, float]] = {}
        self.bus._open(self.clock.now_s)
        self.turns(1.0)

    def mount(self, name: str) -> Mount:
        return Mount(name, self.bus, Pelco(address=int(name[-1])), {"lamp": Aux(2, LAMP_S)})

    def teardown(self) -> None:
        if hasattr(self, "bus"):
            os.close(self.bus._wake)

    def turns(self, for_s: float, *, hear: bool = True) -> None:
        """Play the owner thread, and the event loop that hears of what it did."""
        end_s = self.clock.now_s + for_s
        seen = len(self.events)
        while True:
            self.bus._turn_s = self.clock.now_s
            try:
                if self.bus._port is None:
                    self.bus._open(self.clock.now_s)
                else:
                    self.bus._write_due(self.bus._port, self.clock.now_s)
            except Unavailable as err:
                self.bus._lose(err)
            for told in self.events[seen:]:
                if told.kind == "cut":
                    self.cut[told.head] = (self.mover[told.head], self.clock.now_s)
            seen = len(self.events)
            if hear:
                self.hear()
                seen = 0
            if self.clock.now_s >= end_s:
                return
            self.clock.now_s = min(end_s, self.clock.now_s + 0.01)

    def hear(self) -> None:
        while self.events:
            self.ptz.bus_event(self.events.pop(0))

    def lapse(self) -> None:
        for camera, mover in self.mover.items():
            until_s = self.renewed_s[camera] + LEASE_S
            if mover and self.clock.now_s >= until_s:
                self.must_centre.add((camera, mover))
                self.stand(camera, until_s)

    def stand(self, camera: str, since_s: float) -> None:
        if any(told.kind == "cut" and told.head == camera for told in self.events):
            # Ended on purpose before anybody heard of the cut, so nobody is told to let go first.
            self.cut.pop(camera, None)
        if self.mover[camera]:
            self.mover[camera], self.stands_s[camera] = None, since_s

    cameras = st.sampled_from(CAMERAS)
    people = st.sampled_from(PEOPLE)
    then = st.sampled_from([0.0, 0.0, 0.03, 0.4, 1.0])

    @rule(camera=cameras, who=people, pan=st.sampled_from([-1.0, 0.3, 1.0]), then=then)
    def push(self, camera: str, who: Operator, pan: float, then: float) -> None:
        self.lapse()
        try:
            self.ptz.move(camera, who, pan, 0, 0, LEASE_S)
        except NvrError:
            return
        assert (camera, who) not in self.must_centre, "moves again without having let go"
        self.mover[camera], self.renewed_s[camera] = who, self.clock.now_s
        self.turns(then)

    @rule(camera=cameras, who=people, then=then)
    def centre(self, camera: str, who: Operator, then: float) -> None:
        self.lapse()
        self.ptz.move(camera, who, 0, 0, 0)
        self.must_centre.discard((camera, who))
        if self.cut.get(camera, (None, 0))[0] == who:
            del self.cut[camera]
        if self.mover[camera] == who:
            self.stand(camera, self.clock.now_s)
        self.turns(then)

    @rule(camera=cameras, who=people, then=then)
    def stop(self, camera: str, who: Operator, then: float) -> None:
        self.lapse()
        self.ptz.stop(camera, who)
        self.stand(camera, self.clock.now_s)
        self.turns(then)

    @rule(who=people)
    def stop_all(self, who: Operator) -> None:
        self.lapse()
        self.ptz.stop_all(who)
        for camera in CAMERAS:
            self.stand(camera, self.clock.now_s)

    @rule(who=people)
    def close_page(self, who: Operator) -> None:
        self.lapse()
        self.ptz.gone(who)
        for camera in CAMERAS:
            self.must_centre.discard((camera, who))
            if self.mover[camera] == who:
                self.stand(camera, self.clock.now_s)
            if self.cut.get(camera, (None, 0))[0] == who:
                del self.cut[camera]

    @rule(camera=cameras, who=people, what=st.sampled_from(["take", "release"]))
    def ownership(self, camera: str, who: Operator, what: str) -> None:
        self.lapse()
        try:
            getattr(self.ptz, what)(camera, who)
        except NvrError:
            return
        if (self.mover[camera] == who) == (what == "release"):
            self.stand(camera, self.clock.now_s)

    @rule(
        camera=cameras,
        who=people,
        number=st.integers(1, 3),
        do=st.sampled_from(["set", "call"]),
        then=then,
    )
    def preset(self, camera: str, who: Operator, number: int, do: str, then: float) -> None:
        self.lapse()
        try:
            self.ptz.preset(camera, who, do, number)
        except NvrError:
            return
        self.stand(camera, self.clock.now_s)
        self.turns(then)

    @rule(camera=cameras, who=people, on=st.booleans(), then=then)
    def switch(self, camera: str, who: Operator, on: bool, then: float) -> None:
        self.lapse()
        try:
            self.ptz.output(camera, who, "lamp", on)
        except NvrError:
            return
        if not on:
            self.dark_s[camera] = self.clock.now_s
        elif self.dark_s[camera] <= self.clock.now_s:
            self.dark_s[camera] = self.clock.now_s + LAMP_S
        self.turns(then)

    def darken(self) -> None:
        for camera in CAMERAS:
            self.dark_s[camera] = min(self.dark_s[camera], self.clock.now_s)

    @rule(camera=cameras, then=then)
    def mount_anew(self, camera: str, then: float) -> None:
        """As the page does it when the settings of a head are changed."""
        self.lapse()
        self.ptz.mount(self.mount(camera))
        self.stand(camera, self.clock.now_s)
        self.dark_s[camera] = min(self.dark_s[camera], self.clock.now_s)
        self.must_centre -= {(camera, who) for who in PEOPLE}
        self.cut.pop(camera, None)
        self.turns(then)

    @rule(for_s=st.floats(0.0, 2.5))
    def wait(self, for_s: float) -> None:
        self.turns(for_s)

    @rule(for_s=st.floats(0.0, 0.7))
    def event_loop_stuck(self, for_s: float) -> None:
        self.turns(for_s, hear=False)

    @rule(heard=st.booleans())
    def guard_acts(self, heard: bool) -> None:
        self.lapse()
        self.guard.took = True
        for camera, turning in self.wire.turning.items():
            if turning:
                self.cut[camera] = (self.mover[camera], self.clock.now_s)
                self.wire.turning[camera] = False
        self.darken()
        self.turns(0.01, hear=heard)

    @rule(for_s=st.floats(0.1, 2.0))
    def adapter_pulled(self, for_s: float) -> None:
        self.wire.gone = True
        self.bus._open_port = self.missing
        self.turns(for_s)
        if self.bus._port is None:  # noticed, which takes a write
            self.darken()
        self.wire.gone = False
        self.bus._open_port = lambda: self.wire
        self.turns(2.0)

    def missing(self) -> Wire:
        raise Unavailable("serial.gone", "pulled")

    @rule(for_s=st.floats(0.0, 0.3))
    def guard_missing(self, for_s: float) -> None:
        self.guard.here = False
        self.darken()
        self.turns(STILL_S + for_s)
        assert not any(self.wire.turning.values()), "moves without a guard"
        self.turns(DARK_S)
        assert not any(self.wire.lit.values()), "lit without a guard"
        self.guard.here = True

    @invariant()
    def no_lamp_is_left_on(self) -> None:
        if not hasattr(self, "wire") or self.wire.gone:
            return
        for camera in CAMERAS:
            late_s = self.clock.now_s - self.dark_s[camera]
            assert not self.wire.lit[camera] or late_s <= DARK_S, f"{camera} stays lit"
            shown = dict(self.ptz.status(camera).outputs)["lamp"]
            assert shown == self.wire.lit[camera]

    @invariant()
    def nothing_turns_without_a_hand_on_it(self) -> None:
        if not hasattr(self, "wire") or self.wire.gone:
            return
        self.lapse()
        for camera in CAMERAS:
            if self.wire.turning[camera]:
                late_s = self.clock.now_s - self.stands_s[camera]
                assert self.mover[camera] or late_s <= STILL_S, f"{camera} runs away"
                stopped, at_s = self.cut.get(camera, (None, 0.0))
                if stopped and stopped == self.mover[camera]:
                    assert self.clock.now_s - at_s <= STILL_S, f"{camera} went on by itself"


TestRunaway = Runaway.TestCase
TestRunaway.settings = settings(
    max_examples=60,
    stateful_step_count=40,
    deadline=None,
)


@pytest.mark.parametrize("heard", [True, False])
def test_a_renewal_on_its_way_does_not_undo_what_the_guard_did(heard: bool) -> None:
    box = Runaway()
    box.build()
    box.push("dome1", PEOPLE[0], 1.0, 0.4)
    assert box.wire.turning["dome1"]
    box.guard_acts(heard)
    box.push("dome1", PEOPLE[0], 0.3, 0.4)
    assert not box.wire.turning["dome1"]
    box.centre("dome1", PEOPLE[0], 0.0)
    box.push("dome1", PEOPLE[0], 0.3, 0.4)
    assert box.wire.turning["dome1"]
    box.teardown()
