"""The port others use, on a bus with a real far end; time stands still unless told to move."""

import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from nvr.base.clock import FakeClock, SystemClock
from nvr.base.errors import Damaged, Rejected, Unavailable
from nvr.hal.virtual_serial import VirtualSerial
from nvr.media.ports import Operator, Preset, Ptz, PtzStatus
from nvr.ptz.bus import Bus, BusEvent
from nvr.ptz.controller import Controller
from nvr.ptz.heads import Mount
from nvr.ptz.pelco import Aux, Pelco
from nvr.ptz.preset import PresetBook
from nvr.ptz.profile import library
from nvr.wire.pelco_d import Frame, Op
from tests.ptz.line import FarEnd, PaperGuard, Switches

ADA = Operator("ada", "operator", "page/1")
BO = Operator("bo", "operator", "page/2")
CHIEF = Operator("chief", "admin", "page/3")


class Box:
    def __init__(
        self, far: FarEnd, place: Path, more: Callable[[Bus], list[Mount]] = lambda _bus: []
    ) -> None:
        self.clock = FakeClock()
        self.guard = PaperGuard()
        self.switches = Switches("relay-1")
        self.audit: list[tuple[str, str, str, str]] = []
        self.full = False
        self.events: list[BusEvent] = []
        self.told: list[PtzStatus] = []
        self.book = place / "presets.json"
        # The thread waits in real time; leases are judged by the clock that stands still.
        self.bus = Bus(
            "ptz",
            lambda: VirtualSerial(far.path),
            clock=SystemClock(),
            guard=self.guard,
            tell=self.events.append,
            gap_s=0.01,
        )
        self.ptz = Controller(
            [
                Mount("gate", self.bus, Pelco(address=1), {"wiper": "relay-1"}),
                Mount("yard", self.bus, Pelco(address=2)),
                *more(self.bus),
            ],
            switches=self.switches,
            presets=PresetBook(self.book),
            clock=self.clock,
            audit=self.write,
            save=lambda job: job(),
        )
        self.ptz.subscribe(self.told.append)
        self.bus.start()
        far.wait_count(4 + 4 * len(more(self.bus)))
        far.clear()
        # So that a lease judged by the bus thread does not lapse while the test runs.
        self.clock.now_s = time.monotonic() + 60
        self.ptz.tick()
        self.told.clear()

    def write(self, action: str, who: Operator, camera: str, detail: str) -> None:
        if self.full and action != "ptz.stop":
            raise Unavailable("audit.full", "the log does not take it")
        self.audit.append((action, who.name, camera, detail))

    def actions(self) -> list[str]:
        return [entry[0] for entry in self.audit]


@pytest.fixture
def box(far: FarEnd, tmp_path: Path) -> Iterator[Box]:
    made = Box(far, tmp_path)
    yield made
    made.bus.close()


def refused(code: str):
    return pytest.raises(Rejected, check=lambda err: err.code == code)


def commands(far: FarEnd, count: int) -> list[tuple[int, int, int, int]]:
    return [
        (h.frame.address, h.frame.command, h.frame.data1, h.frame.data2)
        for h in far.wait_count(count)
    ]


def test_it_is_the_port_others_were_promised(box: Box) -> None:
    port: Ptz = box.ptz
    assert port.cameras() == ("gate", "yard")


def test_axes_are_merged_and_neutral_stops(box: Box, far: FarEnd) -> None:
    box.ptz.move("gate", ADA, -1, 0.5, 0)
    assert commands(far, 1) == [(1, 0x000C, 63, 32)]
    box.ptz.lens("gate", ADA, 1, 0)
    assert commands(far, 2)[1] == (1, 0x008C, 63, 32)
    box.ptz.move("gate", ADA, 0, 0, 0)
    assert commands(far, 3)[2] == (1, 0x0080, 0, 0)
    assert box.ptz.status("gate").moving
    box.ptz.lens("gate", ADA, 0, 0)
    assert [c[1] for c in commands(far, 5)[3:]] == [0, 0]
    assert not box.ptz.status("gate").moving
    assert box.actions() == ["ptz.move", "ptz.stop"]


def test_a_renewal_is_no_news(box: Box, far: FarEnd) -> None:
    for _ in range(5):
        box.ptz.move("gate", ADA, -1, 0, 0)
        box.clock.advance(0.15)
    time.sleep(0.25)
    assert len(far.heard) == 1
    assert box.actions() == ["ptz.move"]
    assert len(box.told) == 1


def test_anybody_may_stop_and_the_stick_must_be_let_go(box: Box, far: FarEnd) -> None:
    box.ptz.move("gate", ADA, -1, 0, 0)
    commands(far, 1)
    box.ptz.stop("gate", BO)
    assert [c[1] for c in commands(far, 3)[1:]] == [0, 0]
    with refused("ptz.rearm"):
        box.ptz.move("gate", ADA, -1, 0, 0)
    assert box.told[-1].rearm
    box.ptz.move("gate", ADA, 0, 0, 0)
    assert not box.told[-1].rearm
    box.ptz.move("gate", ADA, 1, 0, 0)
    assert box.actions() == ["ptz.move", "ptz.stop", "ptz.refused", "ptz.move"]


def test_stop_all(box: Box, far: FarEnd) -> None:
    box.ptz.move("gate", ADA, -1, 0, 0)
    box.ptz.move("yard", BO, -1, 0, 0)
    commands(far, 2)
    box.ptz.stop_all(CHIEF)
    assert [c[:2] for c in commands(far, 6)[2:]] == [(1, 0), (2, 0), (1, 0), (2, 0)]


def test_a_lapse_seen_here_is_audited_and_disarms(box: Box, far: FarEnd) -> None:
    box.ptz.move("gate", ADA, -1, 0, 0)
    commands(far, 1)
    box.clock.advance(0.5)
    box.ptz.tick()
    assert [c[1] for c in commands(far, 3)[1:]] == [0, 0]
    assert box.audit[-1] == ("ptz.dead_man", "ada", "gate", "lapsed")
    assert (box.told[-1].moving, box.told[-1].rearm) == (False, True)
    with refused("ptz.rearm"):
        box.ptz.move("gate", ADA, -1, 0, 0)


@pytest.mark.parametrize("kind", ["lapsed", "cut"])
def test_a_stop_by_the_bus_is_heard_here(box: Box, far: FarEnd, kind: str) -> None:
    box.ptz.move("gate", ADA, -1, 0, 0)
    commands(far, 1)
    at_s = box.clock.monotonic_s()
    box.ptz.bus_event(BusEvent(kind, "gate", at_s, at_s))
    assert box.audit[-1] == ("ptz.dead_man", "ada", "gate", kind)
    with refused("ptz.rearm"):
        box.ptz.move("gate", ADA, -1, 0, 0)


def test_an_old_stop_of_the_bus_does_not_end_a_newer_motion(box: Box) -> None:
    before_s = box.clock.monotonic_s() - 0.01
    box.ptz.move("gate", ADA, -1, 0, 0)
    box.ptz.bus_event(BusEvent("lapsed", "gate", before_s, before_s))
    assert box.ptz.status("gate").moving


def test_how_long_a_stop_took_is_told(box: Box) -> None:
    box.ptz.move("gate", ADA, -1, 0, 0)
    box.ptz.stop("gate", ADA)
    assert box.told[-1].stop_sent_ms is None
    asked_s = box.clock.monotonic_s()
    box.ptz.bus_event(BusEvent("stopped", "gate", asked_s, asked_s + 0.0123))
    assert box.told[-1].stop_sent_ms == 12.3


def test_a_closed_page_stops_and_releases(box: Box, far: FarEnd) -> None:
    box.ptz.move("gate", ADA, -1, 0, 0)
    commands(far, 1)
    box.ptz.gone(ADA)
    assert [c[1] for c in commands(far, 3)[1:]] == [0, 0]
    assert box.told[-1].holder is None
    box.ptz.move("gate", BO, -1, 0, 0)


def test_a_refusal_says_who_and_until_when_and_is_audited_once(box: Box) -> None:
    box.ptz.take("gate", ADA)
    for _ in range(5):
        with refused("ptz.taken") as caught:
            box.ptz.move("gate", BO, -1, 0, 0)
        box.clock.advance(0.15)
    assert caught.value.context["holder"] == "ada"
    assert caught.value.context["until_us"] > box.clock.wall_us()
    assert box.actions() == ["ptz.take", "ptz.refused"]
    holder = box.ptz.status("gate").holder
    assert holder is not None
    assert (holder.operator, holder.taken) == (ADA, True)
    box.ptz.release("gate", BO)
    box.ptz.release("gate", ADA)
    assert box.told[-1].holder is None


def test_a_chief_takes_a_moving_head_and_stops_it(box: Box, far: FarEnd) -> None:
    box.ptz.move("gate", ADA, -1, 0, 0)
    commands(far, 1)
    box.ptz.take("gate", CHIEF)
    assert [c[1] for c in commands(far, 3)[1:]] == [0, 0]
    box.ptz.move("gate", CHIEF, 0, 1, 0)
    assert commands(far, 4)[3] == (1, 0x0008, 0, 63), "ada's pan is not carried on"


def test_presets_have_names_that_survive(box: Box, far: FarEnd) -> None:
    with refused("ptz.unknown_preset"):
        box.ptz.preset("gate", ADA, "call", 3)
    box.ptz.preset("gate", ADA, "set", 3, "东门")
    box.ptz.preset("gate", ADA, "call", 3)
    assert commands(far, 2) == [(1, Op.SET_PRESET, 0, 3), (1, Op.CALL_PRESET, 0, 3)]
    assert box.told[-1].presets == (Preset(3, "东门"),)
    assert PresetBook(box.book).of("gate") == (Preset(3, "东门"),)
    assert PresetBook(box.book).of("yard") == ()
    box.ptz.preset("gate", ADA, "clear", 3)
    assert commands(far, 3)[2] == (1, Op.CLEAR_PRESET, 0, 3)
    assert PresetBook(box.book).of("gate") == ()


def test_a_preset_call_ends_the_motion_first(box: Box, far: FarEnd) -> None:
    box.ptz.preset("gate", ADA, "set", 1)
    box.ptz.move("gate", ADA, 1, 0, 0)
    commands(far, 2)
    box.ptz.preset("gate", ADA, "call", 1)
    assert [c[1] for c in commands(far, 5)[2:]] == [0, 0, Op.CALL_PRESET]


@pytest.mark.parametrize("number", [33, 34, 94, 95, 99])
def test_numbers_with_another_meaning_are_refused(box: Box, number: int) -> None:
    for do in ("set", "call", "clear"):
        with refused("ptz.reserved"):
            box.ptz.preset("gate", ADA, do, number)


HIKVISION = library().profiles["hikvision"]


def test_a_reserved_number_says_what_it_is(box: Box) -> None:
    box.ptz.mount(Mount("pier", box.bus, HIKVISION.head(3)))
    with pytest.raises(Rejected, match="preset 94 is reserved on this head: Restart") as err:
        box.ptz.preset("pier", ADA, "call", 94)
    assert err.value.code == "ptz.reserved"
    assert (err.value.context["number"], err.value.context["what_zh"]) == (94, "重启球机")


def test_a_function_is_done_when_it_is_asked_for(box: Box, far: FarEnd) -> None:
    box.ptz.mount(Mount("pier", box.bus, HIKVISION.head(3)))
    far.wait_count(2)  # the newcomer is told to stop
    far.clear()
    assert {one.name: one.risk for one in box.ptz.functions("pier")}["reboot"]
    with refused("ptz.unknown_function"):
        box.ptz.perform("pier", ADA, "coffee")
    box.ptz.perform("pier", ADA, "menu")
    far.wait_count(1)
    assert far.heard[-1].frame == Frame(3, Op.CALL_PRESET, 0, 95)
    with refused("ptz.held"):
        box.ptz.perform("pier", BO, "menu")


def test_what_the_head_does_by_itself_ends_with_a_stop(box: Box, far: FarEnd) -> None:
    box.ptz.mount(Mount("pier", box.bus, HIKVISION.head(3)))
    far.wait_count(2)
    far.clear()
    box.ptz.perform("pier", ADA, "scan-auto")
    far.wait_count(1)
    box.ptz.stop("pier", BO)
    far.wait_count(4)
    stop, end = Frame(3), Frame(3, Op.CALL_PRESET, 0, 96)
    assert [h.frame for h in far.heard[1:]] == [stop, stop, end]
    far.clear()
    box.ptz.stop("pier", BO)
    far.wait_count(2)
    assert [h.frame for h in far.heard] == [stop, stop], "it is told so once"


@pytest.mark.parametrize("number", [0, -1, 256])
def test_numbers_that_do_not_exist_are_refused(box: Box, number: int) -> None:
    with refused("ptz.range"):
        box.ptz.preset("gate", ADA, "set", number)


@pytest.mark.parametrize("speed", [1.01, -2, float("nan"), float("inf")])
def test_speeds_that_do_not_exist_are_refused(box: Box, speed: float) -> None:
    with refused("ptz.range"):
        box.ptz.move("gate", ADA, speed, 0, 0)
    with refused("ptz.range"):
        box.ptz.lens("gate", ADA, 2, 0)
    with refused("ptz.range"):
        box.ptz.move("gate", ADA, 1, 0, 0, lease_s=11)
    assert not box.ptz.status("gate").moving


def test_outputs(box: Box) -> None:
    box.ptz.output("gate", ADA, "wiper", True)
    assert box.switches.on == {"relay-1": True}
    assert box.told[-1].outputs == (("wiper", True),)
    with refused("ptz.unknown_output"):
        box.ptz.output("gate", ADA, "horn", True)
    box.ptz.take("gate", CHIEF)
    with refused("ptz.taken"):
        box.ptz.output("gate", ADA, "wiper", True)
    box.ptz.output("gate", ADA, "wiper", False)  # turning off is always allowed
    assert box.switches.on == {"relay-1": False}


def shown(box: Box, lamp: bool) -> None:
    """The bus tells when the frame is out, and not before the next tick."""
    end_s = time.monotonic() + 5
    while [one.outputs for one in box.told if one.camera == "pier"][-1:] != [(("lamp", lamp),)]:
        assert time.monotonic() < end_s
        while box.events:
            box.ptz.bus_event(box.events.pop(0))
        time.sleep(0.005)


def test_an_output_of_the_head_itself(far: FarEnd, tmp_path: Path) -> None:
    def lit(bus: Bus) -> list[Mount]:
        return [Mount("pier", bus, Pelco(address=3), {"lamp": Aux(2, 60.0)})]

    box = Box(far, tmp_path, lit)
    try:
        assert box.ptz.status("pier").outputs == (("lamp", False),)
        box.ptz.output("pier", ADA, "lamp", True)
        heard = far.wait_count(2)
        assert [h.frame for h in heard] == [Frame(3, Op.SET_AUX, 0, 2)] * 2
        shown(box, True)
        assert ("ptz.output", "ada", "pier", "lamp on") in box.audit

        # A STOP is about motion: the light stays.
        box.ptz.stop("pier", ADA)
        far.wait_count(4)
        assert box.ptz.status("pier").outputs == (("lamp", True),)

        # Without the guard it goes off, and nothing goes on.
        far.clear()
        box.guard.here = False
        heard = far.wait(lambda heard: sum(h.frame.op == Op.CLEAR_AUX for h in heard) == 2)
        with pytest.raises(Unavailable, match="guard_gone"):
            box.ptz.output("pier", ADA, "lamp", True)
        box.ptz.output("pier", ADA, "lamp", False)  # off is never refused
        shown(box, False)
        assert box.switches.on == {"relay-1": False}
    finally:
        box.bus.close()


def test_a_head_is_mounted_while_the_bus_runs(box: Box, far: FarEnd) -> None:
    box.ptz.mount(Mount("pier", box.bus, Pelco(address=3), {"lamp": Aux(2, 60.0)}))
    heard = far.wait_count(4)
    assert sorted((h.frame.address, h.frame.op is None) for h in heard) == [
        *[(3, False)] * 2,
        *[(3, True)] * 2,
    ], "it is told to stop and to go dark, nobody knows what it was told before"
    assert box.told[-1].camera == "pier"
    far.clear()
    box.ptz.move("pier", ADA, 1, 0, 0)
    far.wait(lambda heard: any(h.frame.command for h in heard))

    # Mounted anew at another address, it must not go on turning at the old one.
    far.clear()
    box.ptz.mount(Mount("pier", box.bus, Pelco(address=4)))
    heard = far.wait(
        lambda heard: (
            sum(h.still and h.frame.address == 3 for h in heard) == 2
            and sum(h.still and h.frame.address == 4 for h in heard) == 2
        )
    )
    assert not any(h.frame.command for h in heard if h.frame.op is None)
    assert box.ptz.status("pier").holder is None
    box.ptz.move("pier", BO, 1, 0, 0)
    box.ptz.unmount("pier")
    assert box.ptz.cameras() == ("gate", "yard")
    for told in box.events:  # what the bus said of it meanwhile finds nobody
        box.ptz.bus_event(told)
    with refused("ptz.unknown_camera"):
        box.ptz.move("pier", ADA, 1, 0, 0)


def test_a_relay_goes_to_rest_with_its_camera(box: Box) -> None:
    box.ptz.output("gate", ADA, "wiper", True)
    box.ptz.unmount("gate")
    assert box.switches.on == {"relay-1": False}


def test_a_camera_without_a_head(box: Box) -> None:
    with refused("ptz.unknown_camera"):
        box.ptz.move("hall", ADA, 1, 0, 0)


def test_without_the_port_nothing_is_promised(box: Box, far: FarEnd) -> None:
    box.guard.here = False
    with pytest.raises(Unavailable):
        box.ptz.move("gate", ADA, 1, 0, 0)
    assert not box.ptz.status("gate").moving


def test_nothing_begins_without_a_record_and_a_stop_needs_none(box: Box, far: FarEnd) -> None:
    box.ptz.preset("gate", ADA, "set", 1)
    far.wait_count(1)
    far.clear()
    box.full = True
    for begin in (
        lambda: box.ptz.move("gate", ADA, 1, 0, 0),
        lambda: box.ptz.preset("gate", BO, "call", 1),
        lambda: box.ptz.output("gate", BO, "wiper", True),
    ):
        with pytest.raises(Unavailable):
            begin()
        box.clock.advance(10)
    time.sleep(0.1)
    assert all(h.still for h in far.heard)
    assert not box.ptz.status("gate").moving
    assert box.switches.on == {"relay-1": False}
    far.clear()
    box.ptz.stop("gate", BO)
    far.wait_count(2)


def test_an_owner_who_rests_is_dropped_and_everybody_told(box: Box) -> None:
    box.ptz.move("gate", ADA, 1, 0, 0)
    box.ptz.move("gate", ADA, 0, 0, 0)
    assert box.told[-1].holder is not None
    box.clock.advance(5.1)
    box.ptz.tick()
    assert box.told[-1].holder is None
    count = len(box.told)
    box.ptz.tick()
    assert len(box.told) == count


@pytest.mark.parametrize("text", ["", "[1]", '{"gate": 3}', '{"gate": {"x": "y"}}', "{"])
def test_a_damaged_book_is_named(tmp_path: Path, text: str) -> None:
    path = tmp_path / "presets.json"
    path.write_text(text)
    with pytest.raises(Damaged, match=r"ptz\.presets_damaged"):
        PresetBook(path)
