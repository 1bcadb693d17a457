import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from nvr.ptz.pelco import Aux, Pelco
from nvr.ptz.schedule import COMMANDS_MAX, NEUTRAL, TRAVEL_S, Motion, Order, Schedule

GAP = 0.08
LEFT, RIGHT, UP = Motion(pan=-1), Motion(pan=0.5), Motion(tilt=0.5)
HEADS = {f"dome{n}": Pelco(address=n) for n in range(1, 9)}


LAMP = {name: head.auxiliary(Aux(2, 1.0)) for name, head in HEADS.items()}


def schedule(*names: str, told: bool = True) -> Schedule:
    made = Schedule(GAP)
    for name in names or HEADS:
        made.add(name, HEADS[name].encode)
        made.add_auxiliary(name, "lamp", LAMP[name])
    return made


def drain(it: Schedule, now: float, until: float) -> list[tuple[float, Order]]:
    """Play the owner thread: wake when told to, write what is due."""
    out = []
    while now <= until:
        it.expire(now)
        it.expire_auxiliaries(now)
        order = it.next(now)
        if order:
            out.append((round(now, 6), order))
            continue
        wake = it.wake_at_s()
        assert wake > now, "would spin"
        now = wake
    return out


def test_an_idle_bus_sends_at_once() -> None:
    it = schedule("dome1")
    it.move("dome1", LEFT, 100.5, 100.0)
    order = it.next(100.0)
    assert order == Order("dome1", HEADS["dome1"].encode(LEFT), "motion", 100.0)


def test_a_busy_bus_sends_after_what_is_left_of_the_gap() -> None:
    it = schedule("dome1", "dome2")
    it.move("dome1", LEFT, 101, 100.0)
    assert it.next(100.0)
    it.move("dome2", UP, 101, 100.03)
    assert it.next(100.03) is None
    assert it.wake_at_s() == pytest.approx(100.08)
    assert it.next(it.wake_at_s()).head == "dome2"


def test_an_auxiliary_is_told_twice_and_cut_when_its_time_is_over() -> None:
    it = schedule("dome1")
    it.switch("dome1", "lamp", True, 100.0)
    assert not it.lit("dome1", "lamp"), "asked for, and not told yet"
    out = drain(it, 100.0, 100.5)
    assert [(at, order.kind, order.data) for at, order in out] == [
        (100.0, "on", LAMP["dome1"].on),
        (100.08, "on", LAMP["dome1"].on),
    ]
    assert it.lit("dome1", "lamp")
    assert it.idle_at_s() < 100.5, "a lamp that is on is no reason not to ask where the head points"
    it.switch("dome1", "lamp", True, 100.6)  # does not extend it
    out = drain(it, 100.6, 102.0)
    assert [(at, order.kind) for at, order in out if order.kind == "off"] == [
        (101.0, "off"),
        (101.08, "off"),
    ]
    assert not it.lit("dome1", "lamp")
    assert it.on_at_stake() == []


def test_all_stops_go_out_before_the_first_auxiliary_is_cut() -> None:
    it = schedule("dome1", "dome2")
    it.move("dome1", LEFT, 200, 100.0)
    it.next(100.0)
    it.switch("dome2", "lamp", True, 100.1)
    it.next(100.1)
    assert it.cut(100.2) == ["dome1"]
    out = drain(it, 100.2, 102.0)
    assert [order.kind for _, order in out] == ["stop"] * 4 + ["off"] * 2
    it.begin(103.0)
    out = drain(it, 103.0, 105.0)
    assert [order.kind for _, order in out] == ["stop"] * 4 + ["off"] * 4


def test_a_head_that_leaves_is_stopped_and_its_name_is_free_at_once() -> None:
    it = schedule("dome1")
    it.move("dome1", LEFT, 200, 100.0)
    it.switch("dome1", "lamp", True, 100.0)
    drain(it, 100.0, 100.4)
    it.leave("dome1", 101.0)
    assert it.at_stake() == [HEADS["dome1"].encode(NEUTRAL)]
    assert it.on_at_stake() == [LAMP["dome1"].off]
    it.add("dome1", HEADS["dome2"].encode)
    it.add_auxiliary("dome1", "lamp", LAMP["dome2"])
    it.move("dome1", UP, 101.5, 101.0)
    out = [order.data for _, order in drain(it, 101.0, 103.0)]
    assert out.count(HEADS["dome1"].encode(NEUTRAL)) == out.count(LAMP["dome1"].off) == 2
    assert HEADS["dome2"].encode(UP) in out
    assert it.at_stake() == it.on_at_stake() == []
    it.begin(104.0)
    assert {order.data[1] for _, order in drain(it, 104.0, 106.0)} == {2}, (
        "the old one is forgotten"
    )


def test_what_is_on_too_long_waits_for_no_command_and_no_motion() -> None:
    it = schedule("dome1")
    it.switch("dome1", "lamp", True, 100.0)
    drain(it, 100.0, 100.5)
    for _ in range(COMMANDS_MAX):
        it.command("dome1", b"cmd", 100.95, moves=False)
    it.move("dome1", LEFT, 200, 100.96)
    out = drain(it, 100.95, 103.0)
    assert [order.kind for _, order in out[:2]] == ["command", "off"]
    kinds = [order.kind for _, order in out]
    assert kinds.count("off") == 2, "the second takes its turn"
    assert kinds.count("command") == COMMANDS_MAX


def test_what_is_on_too_long_waits_for_each_heads_stops_but_once() -> None:
    it = schedule("dome1", "dome2", "dome3")
    it.switch("dome1", "lamp", True, 100.0)
    drain(it, 100.0, 100.9)
    out = []
    for n in range(40):  # sticks let go again and again: a first STOP waits at any time
        for name in ("dome2", "dome3"):
            it.move(name, LEFT, 200, 101.0 + n * 0.02)
            it.stop(name, 101.0 + n * 0.02)
        out += drain(it, 101.0 + n * 0.02, 101.0 + n * 0.02 + 0.01)
    kinds = [order.kind for _, order in out]
    assert kinds.index("off") == 2, kinds
    assert kinds.count("stop") == len(kinds) - 1, "STOPs pass what was told already"


def test_a_stop_asked_for_again_waits_for_no_second_one() -> None:
    it = schedule("dome1", "dome2", "dome3")
    it.switch("dome1", "lamp", True, 100.0)
    drain(it, 100.0, 100.9)
    it.cut(101.0)
    assert it.next(101.0).head == "dome1"
    it.cut(101.0)
    out = drain(it, 101.0, 103.0)
    said = [(round(at - 101.0, 2), order.head, order.kind) for at, order in out[:4]]
    assert said == [
        (0.08, "dome2", "stop"), (0.16, "dome3", "stop"),
        (0.24, "dome1", "off"), (0.24, "dome1", "stop"),
    ]  # fmt: skip


def test_a_restless_stick_lets_an_auxiliary_through() -> None:
    it = schedule("dome1")
    it.switch("dome1", "lamp", True, 100.0)
    kinds = []
    for n in range(20):
        now = 100.0 + n * GAP
        it.move("dome1", LEFT if n % 2 else RIGHT, 200, now)
        kinds.append(it.next(now).kind)
    assert kinds[:4].count("on") == 2


def test_the_newest_motion_wins_and_an_old_one_is_never_sent() -> None:
    it = schedule("dome1", "dome2")
    it.move("dome2", LEFT, 200, 100.0)
    it.next(100.0)
    it.move("dome1", LEFT, 200, 100.01)
    it.move("dome1", RIGHT, 200, 100.02)
    it.move("dome1", UP, 200, 100.03)
    sent = [order.data for _, order in drain(it, 100.03, 101)]
    assert sent == [HEADS["dome1"].encode(UP)]


def test_all_axes_travel_in_one_frame() -> None:
    it = schedule("dome1")
    motion = Motion(pan=1, tilt=-1, zoom=1, focus=-1)
    it.move("dome1", motion, 101, 100.0)
    assert it.next(100.0).data == bytes.fromhex("FF 01 01 32 3F 3F B2")


def test_stop_is_told_twice_and_before_anything_else() -> None:
    it = schedule("dome1", "dome2", "dome3")
    it.move("dome1", LEFT, 200, 100.0)
    it.next(100.0)
    it.command("dome2", b"preset", 100.001, moves=True)
    it.move("dome3", UP, 200, 100.002)
    it.stop("dome1", 100.01)
    heads = [(order.head, order.kind) for _, order in drain(it, 100.01, 101)]
    assert heads == [
        ("dome1", "stop"),
        ("dome1", "stop"),
        ("dome2", "command"),
        ("dome3", "motion"),
    ]


def test_heads_stopped_together_are_all_told_once_before_any_is_told_twice() -> None:
    it = schedule()
    for n, name in enumerate(HEADS):
        it.move(name, LEFT, 200, 100 + n / 1000)
    drain(it, 100.0, 101.9)
    for name in HEADS:
        it.stop(name, 101.9)
    sent = drain(it, 101.9, 110)
    first, second = sent[: len(HEADS)], sent[len(HEADS) :]
    assert [order.head for _, order in first] == list(HEADS)
    assert [order.head for _, order in second] == list(HEADS)
    for k, (at, order) in enumerate(first, 1):
        assert at - 101.9 <= k * GAP + 1e-6, order


def test_what_the_whole_line_is_told_stands_between_first_and_second_stops() -> None:
    it = schedule("dome1", "dome2")
    it.begin(100.0)
    it.greet([b"hello", b"again"])
    said = [order.data for _, order in drain(it, 100.0, 100.3)]
    stops = [HEADS[name].encode(NEUTRAL) for name in ("dome1", "dome2")]
    assert said == [*stops, b"hello", b"again"]
    # A first STOP waits for no greeting, not even for half of one.
    it.greet([b"hello", b"again"])
    it.move("dome1", LEFT, 200, 100.3)
    assert [order.data for _, order in drain(it, 100.32, 100.32)] == [b"hello"]
    it.stop("dome1", 100.33)
    said = [order.data for _, order in drain(it, 100.33, 100.5)]
    assert said[:2] == [stops[0], b"again"]


def test_a_lapsed_lease_is_a_stop_and_bars_motion_until_it_was_heard() -> None:
    it = schedule("dome1")
    it.move("dome1", LEFT, 100.5, 100.0)
    it.next(100.0)
    assert it.wake_at_s() == 100.5
    assert it.expire(100.4) == []
    assert it.expire(100.5) == ["dome1"]
    it.move("dome1", LEFT, 101.0, 100.51)
    assert {order.kind for _, order in drain(it, 100.5, 102)} == {"stop"}
    it.unbar("dome1")
    it.move("dome1", LEFT, 103.0, 102.5)
    assert it.next(102.5).kind == "motion"


def test_a_renewed_motion_is_not_sent_again_but_repeated_every_two_seconds() -> None:
    it = schedule("dome1")
    sent = []
    now = 100.0
    while now < 109:
        it.move("dome1", LEFT, now + 0.5, now)
        sent += drain(it, now, now + 0.149)
        now += 0.15
    ats = [at for at, _ in sent]
    assert len(ats) == 5
    assert all(1 <= b - a <= 5 for a, b in itertools.pairwise(ats))


def test_a_motion_after_a_stop_comes_after_it() -> None:
    it = schedule("dome1", "dome2")
    it.move("dome1", LEFT, 200, 100.0)
    it.move("dome2", LEFT, 200, 100.0)
    it.next(100.0)
    it.stop("dome1", 100.01)
    it.move("dome1", RIGHT, 200, 100.02)
    kinds = [o.kind for _, o in drain(it, 100.02, 101) if o.head == "dome1"]
    assert kinds == ["stop", "motion"]


def test_a_stop_drops_a_preset_call_but_not_a_switch() -> None:
    it = schedule("dome1", "dome2")
    it.command("dome1", b"call", 100.0, moves=True)
    it.command("dome1", b"aux", 100.0, moves=False)
    it.command("dome2", b"other", 100.0, moves=True)
    it.stop("dome1", 100.0)
    assert [o.data for _, o in drain(it, 100.0, 101) if o.kind == "command"] == [b"aux", b"other"]


def test_too_many_commands_are_refused() -> None:
    it = schedule("dome1")
    taken = [it.command("dome1", b"x", 100.0, moves=False) for _ in range(COMMANDS_MAX + 1)]
    assert taken == [True] * COMMANDS_MAX + [False]


def test_a_joystick_that_never_rests_lets_commands_and_neighbours_through() -> None:
    it = schedule("dome1", "dome2")
    it.command("dome2", b"aux", 100.0, moves=False)
    it.move("dome2", LEFT, 200, 100.0)
    now, heads = 100.0, []
    for n in range(100):
        it.move("dome1", Motion(pan=(n % 60 + 2) / 63), 200, now)
        order = it.next(now)
        heads += [order.head] if order else []
        now += 0.02
    assert heads.count("dome2") >= 2
    assert heads[:3].count("dome2") == 2


def test_neutral_is_told_like_a_stop_once() -> None:
    it = schedule("dome1")
    it.move("dome1", NEUTRAL, 200, 100.0)
    assert it.next(100.0) is None
    it.move("dome1", LEFT, 200, 100.0)
    it.next(100.0)
    it.move("dome1", NEUTRAL, 200, 100.1)
    it.move("dome1", NEUTRAL, 200, 100.2)
    assert [o.kind for _, o in drain(it, 100.2, 102)] == ["stop", "stop"]
    it.move("dome1", NEUTRAL, 200, 103)
    assert it.wake_at_s() == float("inf")


def test_what_is_at_stake_is_known_from_the_motion_to_the_second_stop() -> None:
    it = schedule("dome1", "dome2")
    stop = HEADS["dome1"].encode(NEUTRAL)
    assert it.at_stake() == []
    it.move("dome1", LEFT, 200, 100.0)
    assert it.at_stake() == [stop]
    it.next(100.0)
    it.stop("dome1", 100.1)
    assert it.next(100.1).kind == "stop"
    assert it.at_stake() == [stop]
    assert it.next(100.2).kind == "stop"
    assert it.at_stake() == []


def test_a_head_that_is_sent_somewhere_is_at_stake_until_it_must_have_come() -> None:
    it = schedule("dome1", "dome2")
    stop = HEADS["dome1"].encode(NEUTRAL)
    it.command("dome1", b"store", 100.0, moves=False)
    it.command("dome1", b"call", 100.0, moves=True)
    assert it.at_stake() == [stop], "before it is on the wire"
    drain(it, 100.0, 101.0)
    assert it.at_stake() == [stop]
    assert it.idle_at_s() < 101.0, "it is asked where it is"
    assert 100.0 + TRAVEL_S <= it.wake_at_s() <= 101.0 + TRAVEL_S
    it.expire(it.wake_at_s())
    assert it.at_stake() == []
    assert it.wake_at_s() == float("inf")
    it.command("dome1", b"call", 200.0, moves=True)
    it.stop("dome1", 200.0)
    assert [o.kind for _, o in drain(it, 200.0, 201.0)] == ["stop", "stop"]
    assert it.at_stake() == []


def test_switching_on_again_before_it_is_told_off_extends_nothing() -> None:
    it = schedule("dome1", "dome2")
    it.switch("dome1", "lamp", True, 100.0)
    drain(it, 100.0, 100.9)
    it.stop("dome2", 100.96)
    assert it.next(100.96).kind == "stop"
    assert it.expire_auxiliaries(101.0) == [("dome1", "lamp")]
    it.switch("dome1", "lamp", True, 101.01)
    assert it.expire_auxiliaries(101.02) == [("dome1", "lamp")]
    assert "off" in [order.kind for _, order in drain(it, 101.02, 101.4)]
    it.switch("dome1", "lamp", True, 101.5)
    assert it.expire_auxiliaries(102.4) == [], "dark in between, it has all its time"


class AnyOperators(RuleBasedStateMachine):
    """Random commands; the wire is watched by a decoder that only knows frames."""

    def __init__(self) -> None:
        super().__init__()
        self.it = schedule("dome1", "dome2", "dome3")
        self.now = 100.0
        self.lease = {"dome1": 0.0, "dome2": 0.0, "dome3": 0.0}
        self.owed: dict[str, tuple[float, int]] = {}
        self.last_s, self.last_kind = -1.0, ""
        self.turning = dict.fromkeys(self.lease, False)
        self.sent_s: dict[str, float] = {}
        self.lit_s: dict[str, float] = {}
        self.stopped_s = 0.0
        self.told_off = dict.fromkeys(self.lease, 2)

    names = st.sampled_from(("dome1", "dome2", "dome3"))

    @rule(name=names, pan=st.integers(-63, 63), lease=st.floats(0.01, 1.0))
    def move(self, name: str, pan: int, lease: float) -> None:
        self.it.unbar(name)
        self.it.move(name, Motion(pan=pan / 63), self.now + lease, self.now)
        self.lease[name] = self.now + lease if pan else self.now

    @rule(name=names)
    def stop(self, name: str) -> None:
        self.it.stop(name, self.now)
        self.lease[name] = self.now
        self.owed.setdefault(name, (self.now, 0))

    @rule(name=names)
    def command(self, name: str) -> None:
        self.it.command(name, b"cmd", self.now, moves=True)

    @rule(name=names, on=st.booleans())
    def switch(self, name: str, on: bool) -> None:
        self.it.switch(name, "lamp", on, self.now)

    @rule()
    def cut(self) -> None:
        self.it.cut(self.now)
        for name in self.lease:
            self.lease[name] = self.now
            self.owed.setdefault(name, (self.now, 0))

    @rule(delay=st.floats(0.0, 0.6))
    def wait(self, delay: float) -> None:
        until = self.now + delay
        while self.now <= until:
            self.it.expire(self.now)
            self.it.expire_auxiliaries(self.now)
            order = self.it.next(self.now)
            if order:
                self.written(order)
                continue
            wake = self.it.wake_at_s()
            assert wake > self.now
            self.now = wake
        self.now = until

    def written(self, order: Order) -> None:
        hurried = order.kind == "stop" and self.last_kind != "stop"
        assert hurried or self.now - self.last_s >= GAP - 1e-9, "gap"
        self.last_s, self.last_kind = self.now, order.kind
        if order.kind == "command":
            self.sent_s[order.head] = self.now
        elif order.kind == "motion":
            assert self.now < self.lease[order.head], "motion without a lease"
            assert order.head not in self.owed, "motion before the STOP that was asked for"
            self.turning[order.head] = True
        elif order.kind == "on":
            self.lit_s.setdefault(order.head, self.now)
            self.told_off[order.head] = 0
        elif order.kind == "off":
            self.lit_s.pop(order.head, None)
            self.told_off[order.head] += 1
        elif order.kind == "stop":
            self.turning[order.head] = False
            self.sent_s.pop(order.head, None)
            self.stopped_s = self.now
            asked = self.owed.pop(order.head, None)
            if asked:
                assert self.now - asked[0] <= 3 * GAP + 1e-6, "a STOP waited too long"

    @invariant()
    def what_is_on_goes_off_in_time_and_the_guard_would_do_it_too(self) -> None:
        for name, told in self.told_off.items():
            if told < 2:
                assert LAMP[name].off in self.it.on_at_stake()
            assert self.it.lit(name, "lamp") == (name in self.lit_s)
        for name, since_s in self.lit_s.items():
            # STOPs pass it, the frame that is on its way, and what is told off with it.
            due_s = max(since_s + LAMP[name].max_on_s, self.stopped_s)
            assert self.now - due_s <= 3 * GAP + 1e-6, f"{name} stays lit"

    @precondition(lambda self: self.sent_s or any(self.turning.values()))
    @invariant()
    def the_guard_would_stop_what_turns(self) -> None:
        for name, turning in self.turning.items():
            on_its_way = self.now < self.sent_s.get(name, -TRAVEL_S) + TRAVEL_S
            if turning or on_its_way:
                assert HEADS[name].encode(NEUTRAL) in self.it.at_stake()


TestAnyOperators = AnyOperators.TestCase


@given(st.floats(-1, 1, allow_nan=False))
def test_every_speed_makes_a_frame(value: float) -> None:
    frame = Pelco(turbo=0xFF).encode(Motion(pan=value, tilt=value))
    assert len(frame) == 7
    assert (frame == Pelco().encode(NEUTRAL)) == (value == 0)
