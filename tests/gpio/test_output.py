"""Outputs on relays in another thread's keeping; the limits on a clock that is moved by hand."""

import contextlib
import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nvr.base.clock import FakeClock, SystemClock
from nvr.base.errors import Misconfigured, Rejected, Unavailable
from nvr.gpio.output import Outputs, Wiring
from nvr.hal.ports import Line, Relay
from nvr.hal.virtual_output import VirtualOutput
from tests.ptz.line import PaperGuard, RelayBox


class Coil:
    """An output that can be broken."""

    def __init__(self, level: bool) -> None:
        self.levels = [level]
        self.broken = False
        self.closed = False

    def set(self, on: bool) -> None:
        if self.broken:
            raise Unavailable("gpio.gone", "no such line")
        self.levels.append(on)

    def get(self) -> bool:
        return self.levels[-1]

    def way(self) -> Line | Relay:
        return Relay("/nowhere", "coil")

    def close(self) -> None:
        self.closed = True


class Rig:
    def __init__(self, **wiring: object) -> None:
        self.clock = FakeClock()
        self.guard = PaperGuard()
        self.coils: list[Coil] = []

        def opened(level: bool) -> Coil:
            self.coils.append(Coil(level))
            return self.coils[-1]

        self.outputs = Outputs(
            [Wiring("wiper", opened, **wiring)], clock=self.clock, guard=self.guard
        )
        self.coil = self.coils[0]
        self.turn()

    def turn(self, after_s: float = 0.0) -> float:
        """Let the thread look, every 100 ms while `after_s` passes."""
        end_s = self.clock.now_s + after_s
        while self.clock.now_s < end_s:
            self.outputs.turn(self.clock.now_s)
            self.clock.now_s = min(end_s, self.clock.now_s + 0.1)
        return self.outputs.turn(self.clock.now_s)

    def ask_while_told_off(self) -> None:
        """Have it asked for again in the moment in which the relay is told next."""
        drive = self.coil.set

        def slow(on: bool) -> None:
            drive(on)
            self.coil.set = drive
            self.outputs.set("wiper", True)

        self.coil.set = slow


@pytest.mark.parametrize("safe", [False, True])
def test_safe_is_what_the_line_is_opened_with(safe: bool) -> None:
    rig = Rig(safe=safe)
    assert set(rig.coil.levels) == {safe}
    assert rig.guard.log[0] == ("output", "wiper", safe)


def test_the_driver_cuts_what_was_on_too_long_whatever_the_caller_does() -> None:
    rig = Rig(max_on_s=20)
    for _ in range(30):
        rig.outputs.set("wiper", True)
        rig.turn(0.5)
    rig.turn(4.9)
    assert rig.outputs.get("wiper")
    rig.turn(0.2)
    assert not rig.outputs.get("wiper")
    assert rig.coil.levels[-1] is False


def test_off_and_on_between_two_looks_extends_nothing() -> None:
    rig = Rig(max_on_s=20)
    rig.outputs.set("wiper", True)
    rig.turn(19.9)
    rig.outputs.set("wiper", False)
    rig.outputs.set("wiper", True)
    rig.turn(0.2)
    assert not rig.outputs.get("wiper")


def test_each_time_on_has_the_whole_limit() -> None:
    rig = Rig(max_on_s=2)
    rig.outputs.set("wiper", True)
    rig.turn(1.5)
    rig.outputs.set("wiper", False)
    rig.turn(1)
    rig.outputs.set("wiper", True)
    rig.turn(1.9)
    assert rig.outputs.get("wiper")
    rig.turn(0.2)
    assert not rig.outputs.get("wiper")


def test_asked_for_again_while_the_relay_is_told_off_it_goes_on_for_the_whole_limit() -> None:
    rig = Rig(max_on_s=2)
    rig.outputs.set("wiper", True)
    rig.turn(1.9)
    rig.ask_while_told_off()
    rig.turn(0.3)
    assert rig.coil.levels[-2:] == [False, True]
    rig.turn(1.7)
    assert rig.outputs.get("wiper")
    rig.turn(0.3)
    assert not rig.outputs.get("wiper")


def test_a_pulse_ends_by_itself() -> None:
    rig = Rig(pulse_ms=300, max_on_s=20)
    rig.outputs.set("wiper", True)
    assert rig.turn() <= rig.clock.now_s + 0.3
    rig.turn(0.29)
    assert rig.outputs.get("wiper")
    rig.turn(0.02)
    assert not rig.outputs.get("wiper")


def test_the_guard_knows_before_the_line_does_and_is_told_when_it_is_over() -> None:
    rig = Rig()
    rig.outputs.set("wiper", True)
    seen: list[object] = []
    drive = rig.coil.set
    rig.coil.set = lambda on: (seen.append(rig.guard.log[-1]), drive(on))
    rig.turn(0.35)
    assert seen[0] == ("beat", "outputs", (), True)
    assert rig.guard.log.count(("beat", "outputs", (), True)) >= 3
    rig.outputs.set("wiper", False)
    rig.turn(0.1)
    assert rig.guard.log[-1] == ("beat", "outputs", (), False)
    count = len(rig.guard.log)
    assert rig.turn(5) == float("inf")
    assert len(rig.guard.log) == count


def test_without_the_guard_nothing_goes_on_and_what_is_on_goes_off() -> None:
    rig = Rig()
    rig.outputs.set("wiper", True)
    rig.turn()
    rig.guard.here = False
    rig.turn(0.1)
    assert rig.coil.levels[-1] is False
    with pytest.raises(Unavailable, check=lambda err: err.code == "gpio.guard_gone"):
        rig.outputs.set("wiper", True)
    rig.outputs.set("wiper", False)


@pytest.mark.parametrize("how", ["the guard acted", "we were away"])
def test_what_was_made_safe_stays_safe(how: str) -> None:
    rig = Rig()
    rig.outputs.set("wiper", True)
    rig.turn(0.2)
    if how == "the guard acted":
        rig.guard.took = True
    else:
        rig.clock.advance(0.4)
    rig.turn()
    assert rig.coil.levels[-1] is False
    rig.turn(1)
    assert rig.coil.levels[-1] is False
    rig.outputs.set("wiper", True)
    rig.turn()
    assert rig.outputs.get("wiper")


def test_a_late_on_is_nobodys_wish_but_a_late_off_is() -> None:
    rig = Rig()
    rig.outputs.set("wiper", True)
    rig.turn()
    rig.coil.broken = True
    rig.outputs.set("wiper", False)
    rig.turn(2)
    with pytest.raises(Unavailable, check=lambda err: err.code == "gpio.gone"):
        rig.outputs.set("wiper", True)
    rig.coil.broken = False
    rig.turn(0.6)
    assert rig.coil.levels[-1] is False
    assert rig.outputs.get("wiper") is False


def test_bad_names_and_bad_wiring() -> None:
    rig = Rig()
    for call in (lambda: rig.outputs.set("horn", True), lambda: rig.outputs.get("horn")):
        with pytest.raises(Rejected, check=lambda err: err.code == "gpio.unknown_output"):
            call()
    with pytest.raises(Misconfigured, check=lambda err: err.code == "gpio.bad_wiring"):
        Wiring("siren", Coil, safe=True, max_on_s=3)
    assert rig.outputs.names() == ("wiper",)


def test_the_thread_switches_a_relay_of_another_process_and_leaves_it_safe(tmp_path: Path) -> None:
    box = RelayBox(tmp_path / "relay0")
    guard = PaperGuard()

    def opened(level: bool) -> VirtualOutput:
        output = VirtualOutput(box.path, "lamp")
        output.set(level)
        return output

    outputs = Outputs(
        [Wiring("lamp", opened, max_on_s=0.3)], clock=SystemClock(), guard=guard
    )  # fmt: skip
    outputs.start()
    limit_s = time.monotonic() + 5
    while outputs.get("lamp") is not False and time.monotonic() < limit_s:
        time.sleep(0.01)
    time.sleep(0.05)
    outputs.set("lamp", True)
    on_s = box.first("lamp", True, after_s=0.0)
    off_s = box.first("lamp", False, after_s=on_s)
    assert off_s - on_s > 0.2
    outputs.set("lamp", True)  # the thread may yet wait for the relay's answer
    box.first("lamp", True, after_s=off_s)
    outputs.close()
    assert box.state["lamp"] is False
    assert guard.log[-1] == ("beat", "outputs", (), False)
    box.close()


def test_an_output_that_is_not_there_yet_is_opened_when_it_is() -> None:
    there: list[Coil] = []
    guard = PaperGuard()
    clock = FakeClock()

    def opened(level: bool) -> Coil:
        if not there:
            raise Unavailable("gpio.gone", "the simulator is still starting")
        return there[0]

    outputs = Outputs([Wiring("lamp", opened)], clock=clock, guard=guard)
    with pytest.raises(Unavailable, check=lambda err: err.code == "gpio.gone"):
        outputs.set("lamp", True)
    there.append(Coil(False))
    clock.advance(1)
    outputs.turn(clock.now_s)
    assert guard.log == [("output", "lamp", False)]
    outputs.set("lamp", True)
    outputs.turn(clock.now_s)
    assert there[0].levels == [False, True]


def test_a_late_word_of_the_guard_does_not_end_the_next_time_on() -> None:
    rig = Rig()
    rig.guard.took = True
    rig.outputs.set("wiper", True)
    rig.turn(0.3)
    assert rig.outputs.get("wiper")


def test_a_bug_leaves_the_output_to_the_guard_and_then_it_works_again() -> None:
    class Faulty(Coil):
        def set(self, on: bool) -> None:
            if on and True not in self.levels:
                self.levels.append(on)
                raise ZeroDivisionError
            super().set(on)

    coil = Faulty(False)
    guard = PaperGuard()
    outputs = Outputs([Wiring("lamp", lambda _on: coil)], clock=SystemClock(), guard=guard)
    outputs.start()
    with contextlib.closing(outputs):
        outputs.set("lamp", True)
        limit_s = time.monotonic() + 5
        while coil.levels != [False, True, False] and time.monotonic() < limit_s:
            time.sleep(0.01)
        assert coil.levels == [False, True, False]
        outputs.set("lamp", True)
        while not outputs.get("lamp") and time.monotonic() < limit_s:
            time.sleep(0.01)
        assert outputs.get("lamp")
    assert coil.levels[-1] is False


def test_a_pulse_of_another_length_than_the_limit() -> None:
    rig = Rig(max_on_s=20)
    rig.outputs.set("wiper", True, 0.5)
    rig.turn(0.4)
    assert rig.outputs.get("wiper")
    rig.turn(0.2)
    assert not rig.outputs.get("wiper")


def test_what_was_on_rests() -> None:
    rig = Rig(min_off_s=5)
    rig.outputs.set("wiper", True)
    rig.turn(1)
    rig.outputs.set("wiper", False)
    rig.turn(1)
    with pytest.raises(Rejected, check=lambda err: err.code == "gpio.resting") as told:
        rig.outputs.set("wiper", True)
    assert 3.8 < told.value.context["wait_s"] <= 4.1
    assert rig.outputs.standing("wiper").wait_s == pytest.approx(4, abs=0.2)
    rig.turn(4.1)
    rig.outputs.set("wiper", True)


def test_asked_for_again_while_it_is_told_off_it_rests_as_well() -> None:
    rig = Rig(min_off_s=5, max_on_s=2)
    rig.outputs.set("wiper", True)
    rig.turn(1.9)
    rig.ask_while_told_off()
    rig.turn(0.5)
    assert rig.coil.levels[-1] is False


class Group:
    """Three outputs, of which two may not be on together, on one clock."""

    def __init__(self) -> None:
        self.clock, self.guard = FakeClock(), PaperGuard()
        self.told: list[tuple[str, bool, str]] = []
        self.coils = {name: Coil(False) for name in ("open", "close", "lamp")}
        self.outputs = Outputs(
            [
                Wiring("open", lambda _on: self.coils["open"], max_on_s=4, interlock="gate"),
                Wiring("close", lambda _on: self.coils["close"], max_on_s=4, interlock="gate"),
                Wiring("lamp", lambda _on: self.coils["lamp"], max_on_s=3, min_off_s=2),
            ],
            clock=self.clock,
            guard=self.guard,
            tell=lambda *words: self.told.append(words),
        )
        self.outputs.turn(self.clock.now_s)


def test_of_an_interlock_one_is_on() -> None:
    rig = Group()
    rig.outputs.set("open", True)
    for _ in range(2):  # before it is driven, and while it is
        with pytest.raises(Rejected, check=lambda err: err.code == "gpio.interlocked") as told:
            rig.outputs.set("close", True)
        assert told.value.context["by"] == "open"
        rig.outputs.turn(rig.clock.now_s)
    assert rig.outputs.standing("close").blocked_by == "open"
    rig.outputs.set("open", False)
    with pytest.raises(Rejected):  # told off, but not seen to be
        rig.outputs.set("close", True)
    rig.outputs.turn(rig.clock.now_s)
    rig.outputs.set("close", True)
    rig.outputs.turn(rig.clock.now_s)
    assert rig.told == [("open", True, "asked"), ("open", False, "asked"), ("close", True, "asked")]


def test_one_that_does_not_answer_may_be_on() -> None:
    rig = Group()
    rig.outputs.set("open", True)
    rig.outputs.turn(rig.clock.now_s)
    rig.coils["open"].broken = True
    rig.outputs.set("open", False)
    rig.outputs.turn(rig.clock.now_s)
    with pytest.raises(Rejected, check=lambda err: err.code == "gpio.interlocked"):
        rig.outputs.set("close", True)


STEPS = st.lists(
    st.tuples(
        st.sampled_from(["open", "close", "lamp"]),
        st.sampled_from(["on", "off", "pulse", "break", "mend", "guard", "wait", "freeze"]),
        st.floats(0.0, 2.5),
    ),
    max_size=60,
)


@given(STEPS)
def test_whatever_people_do_interlock_limit_and_rest_hold(
    steps: list[tuple[str, str, float]],
) -> None:
    rig = Group()
    on_since: dict[str, float] = {}
    off_since: dict[str, float] = {}

    def look() -> None:
        now_s = rig.clock.now_s
        assert not (rig.coils["open"].get() and rig.coils["close"].get())
        for name, coil in rig.coils.items():
            if coil.get() and name not in on_since:
                on_since[name] = now_s
                if name == "lamp":
                    assert now_s - off_since.get(name, -1e9) >= 2 - 1e-6
            elif not coil.get() and name in on_since:
                del on_since[name]
                off_since[name] = now_s
            if name in on_since and not coil.broken:
                limit_s = 3 if name == "lamp" else 4
                # A turn, and what it takes to try again one that had no answer.
                assert now_s - on_since[name] <= limit_s + 0.1 + 0.5 + 1e-6

    for name, do, wait_s in steps:
        with contextlib.suppress(Rejected, Unavailable):
            if do in {"on", "off"}:
                rig.outputs.set(name, do == "on")
            elif do == "pulse":
                rig.outputs.set(name, True, 0.3)
            elif do == "break":
                rig.coils[name].broken = True
            elif do == "mend":
                rig.coils[name].broken = False
            elif do == "guard":
                rig.guard.here = not rig.guard.here
        if do == "freeze":
            rig.clock.advance(0.5)
            for coil in rig.coils.values():  # the guard acts
                if not coil.broken:
                    coil.levels.append(False)
            look()
        end_s = rig.clock.now_s + wait_s
        while True:
            rig.outputs.turn(rig.clock.now_s)
            look()
            if rig.clock.now_s >= end_s:
                break
            rig.clock.now_s = min(end_s, rig.clock.now_s + 0.1)


def test_the_level_after_a_crash_is_the_guards_and_the_safe_one_is_ours() -> None:
    rig = Rig(on_crash=True)
    assert ("output", "wiper", True) in rig.guard.log
    assert rig.coil.levels[-1] is False
    rig.turn(0.35)  # at rest, and yet the guard would change it: it must know that we live
    assert rig.guard.log.count(("beat", "outputs", (), True)) >= 3
    rig.guard.here = False
    levels = len(rig.coil.levels)
    rig.turn(1)
    assert len(rig.coil.levels) == levels, "at rest there is nothing to make safe"


def test_resting_on_allows_no_limit_and_no_interlock() -> None:
    for more in ({"max_on_s": 3}, {"pulse_ms": 100}, {"interlock": "gate"}):
        for rest in ({"safe": True}, {"on_crash": True}):
            with pytest.raises(Misconfigured, check=lambda err: err.code == "gpio.bad_wiring"):
                Wiring("siren", Coil, **rest, **more)
