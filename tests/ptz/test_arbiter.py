import pytest
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from nvr.base.errors import Rejected
from nvr.media.ports import Operator
from nvr.ptz.arbiter import IDLE_S, LEASE_MAX_S, LET_GO_S, TAKEN_S, Arbiter
from nvr.ptz.controller import priority

ADA = Operator("ada", "operator", "page/1")
BO = Operator("bo", "operator", "page/2")
CHIEF = Operator("chief", "admin", "page/3")
TOUR = Operator("tour 1", "tour", "tour/1")


@pytest.fixture
def it() -> Arbiter:
    return Arbiter("gate", priority)


def refused(code: str):
    return pytest.raises(Rejected, check=lambda err: err.code == code)


def test_whoever_moves_a_free_head_owns_it_until_idle(it: Arbiter) -> None:
    it.move(ADA, "drive", 0.5, 100.0)
    with refused("ptz.held") as caught:
        it.move(BO, "drive", 0.5, 100.1)
    assert caught.value.context["holder"] == "ada"
    assert caught.value.context["until_us"] == round((100.0 + IDLE_S) * 1e6)
    it.neutral(ADA, "drive", 100.2)
    with refused("ptz.held"):
        it.move(BO, "drive", 0.5, 100.2 + IDLE_S - 0.01)
    it.move(BO, "drive", 0.5, 100.2 + IDLE_S)
    assert it.holder == BO


def test_two_pages_of_one_person_are_two_operators(it: Arbiter) -> None:
    it.move(ADA, "drive", 0.5, 100.0)
    with refused("ptz.held"):
        it.move(Operator("ada", "operator", "page/9"), "drive", 0.5, 100.0)


def test_a_higher_priority_takes_over_and_the_other_must_let_go(it: Arbiter) -> None:
    it.move(ADA, "drive", 5, 100.0)
    assert it.move(CHIEF, "drive", 0.5, 100.1) == ADA
    with refused("ptz.held"):
        it.move(ADA, "drive", 0.5, 100.9 + IDLE_S)
    it.release(CHIEF, 101.0)


def test_after_losing_a_head_a_held_stick_does_not_get_it_back(it: Arbiter) -> None:
    it.move(ADA, "drive", 5, 100.0)
    it.move(CHIEF, "drive", 0.5, 100.1)
    it.release(CHIEF, 100.2)
    for n in range(5):
        with refused("ptz.rearm"):
            it.move(ADA, "drive", 0.5, 100.25 + 0.15 * n)
    it.neutral(ADA, "drive", 101.0)
    it.move(ADA, "drive", 0.5, 101.1)


def test_after_a_dead_man_stop_only_neutral_helps(it: Arbiter) -> None:
    it.move(ADA, "drive", 0.5, 100.0)
    assert it.expire(100.49) is None
    assert it.expire(100.5) == ADA
    assert not it.moving
    assert it.holder == ADA
    with refused("ptz.rearm"):
        it.move(ADA, "drive", 0.5, 100.6)
    with refused("ptz.rearm"):
        it.move(ADA, "drive", 0.5, 104.0)
    it.neutral(ADA, "drive", 104.1)
    it.move(ADA, "drive", 0.5, 104.2)


def test_a_late_renewal_is_a_lapse_even_if_nobody_looked(it: Arbiter) -> None:
    it.move(ADA, "drive", 0.5, 100.0)
    with refused("ptz.rearm"):
        it.move(ADA, "drive", 0.5, 100.5)


def test_neutral_of_the_lens_does_not_let_go_of_the_stick(it: Arbiter) -> None:
    it.move(ADA, "drive", 0.5, 100.0)
    it.expire(101.0)
    it.neutral(ADA, "lens", 101.1)
    with refused("ptz.rearm"):
        it.move(ADA, "drive", 0.5, 101.2)


def test_when_the_lens_lapses_all_stops(it: Arbiter) -> None:
    it.move(ADA, "lens", 0.5, 100.0)
    it.move(ADA, "drive", 0.5, 100.4)
    assert it.lease_until_s() == 100.5
    assert it.expire(100.5) == ADA
    it.neutral(ADA, "drive", 100.6)
    with refused("ptz.rearm"):
        it.move(ADA, "drive", 0.5, 100.7)
    it.neutral(ADA, "lens", 100.8)
    it.move(ADA, "drive", 0.5, 100.9)


def test_after_a_stop_a_held_stick_stays_stopped_and_a_rested_one_moves(it: Arbiter) -> None:
    it.move(ADA, "drive", 0.5, 100.0)
    assert it.stopped(100.1) == ADA
    for n in range(10):
        with refused("ptz.rearm"):
            it.move(ADA, "drive", 0.5, 100.2 + 0.15 * n)
    it.move(ADA, "drive", 0.5, 100.2 + 0.15 * 9 + LET_GO_S)


def test_a_stop_long_after_the_lease_counts_as_a_dead_man_stop(it: Arbiter) -> None:
    it.move(ADA, "drive", 0.5, 100.0)
    assert it.stopped(103.0) == ADA
    with refused("ptz.rearm"):
        it.move(ADA, "drive", 0.5, 110.0)


def test_a_stop_while_still_disarms_nobody(it: Arbiter) -> None:
    it.move(ADA, "drive", 0.5, 100.0)
    it.neutral(ADA, "drive", 100.1)
    assert it.stopped(100.2) is None
    it.move(ADA, "drive", 0.5, 100.3)


def test_a_taken_head_stays_taken_while_idle(it: Arbiter) -> None:
    it.take(ADA, 100.0)
    with refused("ptz.locked"):
        it.move(BO, "drive", 0.5, 100.0 + TAKEN_S - 0.1)
    with refused("ptz.locked"):
        it.take(BO, 100.0 + TAKEN_S - 0.1)
    with refused("ptz.locked"):
        it.allow_switch(BO, 101.0)
    it.allow_switch(CHIEF, 101.0)
    it.move(BO, "drive", 0.5, 100.0 + TAKEN_S)


def test_an_equal_may_take_a_head_that_rests(it: Arbiter) -> None:
    it.move(ADA, "drive", 0.5, 100.0)
    with refused("ptz.held"):
        it.take(BO, 100.1)
    it.neutral(ADA, "drive", 100.2)
    assert it.take(BO, 100.3) == ADA
    assert it.holder == BO
    assert it.take(CHIEF, 100.4) == BO


def test_a_lower_one_may_not_take_what_is_held(it: Arbiter) -> None:
    it.move(ADA, "drive", 0.5, 100.0)
    it.neutral(ADA, "drive", 100.2)
    with refused("ptz.held"):
        it.take(TOUR, 100.3)
    it.allow_switch(BO, 100.3)


def test_release_and_gone(it: Arbiter) -> None:
    it.move(ADA, "drive", 0.5, 100.0)
    assert it.release(BO, 100.1) is False
    assert it.release(ADA, 100.1) is True
    assert it.holder is None
    it.neutral(ADA, "drive", 100.2)
    it.move(ADA, "drive", 0.5, 100.2)
    assert it.gone(ADA, 100.3) is True
    assert it.gone(ADA, 100.3) is False
    it.move(ADA, "drive", 0.5, 100.3)


def test_a_preset_ends_the_motion_and_needs_the_head(it: Arbiter) -> None:
    it.move(ADA, "drive", 0.5, 100.0)
    with refused("ptz.held"):
        it.act(BO, 100.1)
    it.act(ADA, 100.1)
    assert not it.moving
    assert it.act(CHIEF, 100.2) is None


@pytest.mark.parametrize("lease_s", [0, -1, LEASE_MAX_S + 0.1, float("nan"), float("inf")])
def test_a_lease_is_never_endless(it: Arbiter, lease_s: float) -> None:
    with refused("ptz.range"):
        it.move(ADA, "drive", lease_s, 100.0)
    assert it.holder is None


class AnyOperators(RuleBasedStateMachine):
    """Random operators; the model keeps only what each one's hand did."""

    who = st.sampled_from((ADA, BO, CHIEF, TOUR))

    def __init__(self) -> None:
        super().__init__()
        self.it = Arbiter("gate", priority)
        self.now = 100.0
        self.mover: Operator | None = None
        self.until = 0.0
        self.held_since_dead_man: set[Operator] = set()

    def lapse(self) -> None:
        if self.mover and self.now >= self.until:
            self.held_since_dead_man.add(self.mover)
            self.mover = None

    @rule(who=who, lease=st.floats(0.05, 1.0))
    def move(self, who: Operator, lease: float) -> None:
        self.lapse()
        before = self.it.holder if self.mover else None
        try:
            self.it.move(who, "drive", lease, self.now)
        except Rejected:
            return
        assert who not in self.held_since_dead_man, "moved without having let go"
        if before not in {None, who}:
            assert priority(who) > priority(before), "took a moving head from an equal"
        self.mover, self.until = who, self.now + lease

    @rule(who=who)
    def neutral(self, who: Operator) -> None:
        self.lapse()
        self.it.neutral(who, "drive", self.now)
        self.held_since_dead_man.discard(who)
        if who == self.mover:
            self.mover = None

    @rule()
    def stop(self) -> None:
        self.lapse()
        stopped = self.it.stopped(self.now)
        assert self.mover is None or stopped == self.mover
        self.mover = None

    @rule(who=who)
    def take(self, who: Operator) -> None:
        self.lapse()
        try:
            self.it.take(who, self.now)
        except Rejected:
            assert self.it.holder != who
            return
        assert self.it.holder == who
        if self.mover != who:
            self.mover = None

    @rule(who=who)
    def release(self, who: Operator) -> None:
        self.lapse()
        self.it.release(who, self.now)
        if self.mover == who:
            self.mover = None

    @rule(delay=st.floats(0.0, 3.0))
    def wait(self, delay: float) -> None:
        self.now += delay

    @rule()
    def look(self) -> None:
        self.lapse()
        self.it.expire(self.now)

    @invariant()
    def motion_has_one_owner_and_a_lease(self) -> None:
        if self.it.moving:
            assert self.it.holder is not None
            assert self.it.lease_until_s() - self.now <= LEASE_MAX_S
        if self.mover:
            assert self.it.moving
            assert self.it.holder == self.mover


TestAnyOperators = AnyOperators.TestCase
