import pytest
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from nvr.base.errors import Rejected
from nvr.media.ports import Operator
from nvr.ptz.arbiter import ASKED_S, HANDOVER_S, IDLE_S, LEASE_MAX_S, LET_GO_S, TAKEN_S, Arbiter
from nvr.ptz.priority import Ranks

ADA = Operator("ada", "operator", "page/1")
BO = Operator("bo", "operator", "page/2")
CHIEF = Operator("chief", "admin", "page/3")
TOUR = Operator("tour 1", "tour", "tour/1")
FIRE = Operator("fire", "alarm", "event/gate", 90)

priority = Ranks().of


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


def test_a_held_stick_that_is_heard_late_stays_stopped(it: Arbiter) -> None:
    it.move(ADA, "drive", 0.5, 100.0)
    assert it.stopped(100.1) == ADA
    for at_s in (100.3, 101.3, 101.45, 102.6):
        with refused("ptz.rearm"):
            it.move(ADA, "drive", 0.5, at_s)


def test_a_preset_is_gone_to_soon_after_a_stop_and_a_held_stick_stays_stopped(it: Arbiter) -> None:
    it.move(ADA, "drive", 0.5, 100.0)
    assert it.stopped(100.1) == ADA
    with refused("ptz.rearm"):
        it.act(ADA, 100.3)
    it.act(ADA, 100.8)
    with refused("ptz.rearm"):
        it.move(ADA, "drive", 0.5, 101.0)


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
    with refused("ptz.taken"):
        it.move(BO, "drive", 0.5, 100.0 + TAKEN_S - 0.1)
    with refused("ptz.taken"):
        it.take(BO, 100.0 + HANDOVER_S - 0.1)
    with refused("ptz.taken"):
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


def test_priorities_are_in_their_order() -> None:
    roles = ("guard", "schedule", "machine", "alarm", "operator", "local", "admin")
    ranks = [priority(Operator("x", role, "y")) for role in roles]
    assert ranks == sorted(set(ranks))
    assert priority(FIRE) == 90
    assert priority(Operator("x", "alarm", "y", 1000)) == 100


def test_an_equal_gets_a_taken_head_after_a_rest_and_the_holder_is_told_before(it: Arbiter) -> None:
    it.take(ADA, 100.0)
    with refused("ptz.taken") as caught:
        it.take(BO, 101.0)
    assert caught.value.context["outranks"] is False
    assert it.asked(101.0) == "bo"
    assert it.asked(101.0 + ASKED_S) == ""
    assert it.take(BO, 100.0 + HANDOVER_S) == ADA
    assert it.asked(100.0 + HANDOVER_S) == ""


def test_who_asks_a_higher_one_is_told_so(it: Arbiter) -> None:
    it.take(CHIEF, 100.0)
    with refused("ptz.taken") as caught:
        it.take(BO, 100.0 + HANDOVER_S)
    assert caught.value.context["outranks"] is True
    assert it.asked(100.0 + HANDOVER_S) == "bo"


def test_an_alarm_stays_owner_as_long_as_it_asked_for(it: Arbiter) -> None:
    it.act(FIRE, 100.0, 60.0)
    with refused("ptz.held") as caught:
        it.move(CHIEF, "drive", 0.5, 159.0)
    assert caught.value.context["until_us"] == 160_000_000
    it.move(BO, "drive", 0.5, 160.0)


def test_a_lock_keeps_everybody_else_off_until_its_time(it: Arbiter) -> None:
    assert it.set_lock(ADA, "on the mast", 600.0, 100.0) is None
    for who in (BO, CHIEF, FIRE, TOUR):
        with refused("ptz.locked") as caught:
            it.move(who, "drive", 0.5, 101.0)
        with refused("ptz.locked"):
            it.act(who, 101.0)
        with refused("ptz.locked"):
            it.take(who, 101.0)
        with refused("ptz.locked"):
            it.allow_switch(who, 101.0)
        with refused("ptz.locked"):
            it.set_lock(who, "mine", 600.0, 101.0)
    assert caught.value.context["until_us"] == 700_000_000
    assert caught.value.context["reason"] == "on the mast"
    it.move(Operator("ada", "operator", "page/9"), "drive", 0.5, 101.0)
    it.stopped(101.1)
    assert it.lock_lapsed(699.9) is None
    it.move(BO, "drive", 0.5, 700.0)
    assert it.lock_lapsed(700.0).name == "ada"
    assert it.lock_lapsed(700.0) is None


@pytest.mark.parametrize("role", ["tour", "guard", "schedule", "alarm", "machine"])
def test_what_is_called_like_whoever_locked_does_not_pass(it: Arbiter, role: str) -> None:
    it.set_lock(ADA, "on the mast", 600.0, 100.0)
    with refused("ptz.locked"):
        it.act(Operator("ada", role, "auto/gate"), 101.0)


def test_a_lock_takes_a_moving_head_from_a_lower_one_only(it: Arbiter) -> None:
    it.move(ADA, "drive", 5, 100.0)
    with refused("ptz.held"):
        it.set_lock(BO, "rain", 600.0, 100.1)
    assert it.set_lock(CHIEF, "rain", 600.0, 100.1) == ADA
    assert not it.moving
    with refused("ptz.locked"):
        it.move(ADA, "drive", 5, 101.0)


def test_who_may_end_a_lock(it: Arbiter) -> None:
    it.set_lock(CHIEF, "rain", 600.0, 100.0)
    with refused("ptz.locked"):
        it.unlock(ADA, 101.0)
    assert it.unlock(Operator("boss", "admin", "page/8"), 101.0).name == "chief"
    it.set_lock(ADA, "rain", 600.0, 102.0)
    with refused("ptz.locked"):
        it.unlock(BO, 103.0)
    assert it.unlock(ADA, 103.0).name == "ada"
    assert it.unlock(ADA, 103.0) is None


@pytest.mark.parametrize("lease_s", [0, -1, LEASE_MAX_S + 0.1, float("nan"), float("inf")])
def test_a_lease_is_never_endless(it: Arbiter, lease_s: float) -> None:
    with refused("ptz.range"):
        it.move(ADA, "drive", lease_s, 100.0)
    assert it.holder is None


class AnyOperators(RuleBasedStateMachine):
    """Random operators; the model keeps only what each one's hand did."""

    who = st.sampled_from((ADA, BO, CHIEF, TOUR, FIRE))
    people = st.sampled_from((ADA, BO, CHIEF))

    def __init__(self) -> None:
        super().__init__()
        self.it = Arbiter("gate", priority)
        self.now = 100.0
        self.mover: Operator | None = None
        self.until = 0.0
        self.held_since_dead_man: set[Operator] = set()
        self.locked_by: str | None = None
        self.locked_until = 0.0

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
        assert self.locker() in {None, who.name}, "moved a head that another locked"
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

    def locker(self) -> str | None:
        return self.locked_by if self.now < self.locked_until else None

    @rule(who=people, lasts=st.floats(0.5, 20.0))
    def lock(self, who: Operator, lasts: float) -> None:
        self.lapse()
        try:
            self.it.set_lock(who, "rain", lasts, self.now)
        except Rejected:
            assert self.locker() is not None or self.it.holder not in {None, who}
            return
        assert self.locker() in {None, who.name}, "locked over another's lock"
        self.locked_by, self.locked_until = who.name, self.now + lasts
        if self.mover != who:
            self.mover = None

    @rule(who=people)
    def unlock(self, who: Operator) -> None:
        self.lapse()
        try:
            self.it.unlock(who, self.now)
        except Rejected:
            assert self.locker() not in {None, who.name}
            return
        self.locked_by = None

    @rule(who=who, hold=st.floats(0.0, 10.0))
    def act(self, who: Operator, hold: float) -> None:
        self.lapse()
        before = self.it.holder
        try:
            self.it.act(who, self.now, hold)
        except Rejected:
            return
        assert self.locker() in {None, who.name}
        assert self.it.holder == who
        if before not in {None, who} and before == self.mover:
            assert priority(who) > priority(before)
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
