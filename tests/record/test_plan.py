"""What passes the gate between ingest and writer, and what the archive says of the rest."""

import random
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nvr.base.clock import FakeClock
from nvr.base.errors import Rejected
from nvr.hal.virtual_disk import VirtualDisk
from nvr.media.part import Part
from nvr.playback.query import Archive
from nvr.record.note import Note, keep
from nvr.record.plan import ALWAYS, MOST_WAITING_BYTES, Gate, Plan, Segment
from nvr.record.recover import open_store
from nvr.record.watch import Reason, Watch
from nvr.record.writer import Committer
from tests.record import synthetic

STREAM = "gate/main"
SECOND_US = 1_000_000
PART_S = 0.5
GOP = 4
WORK = Segment(8 * 60, 18 * 60, "continuous")
NIGHT = Segment(18 * 60, 24 * 60, "off")


class World:
    """A stream of half-second parts with a key frame every two seconds."""

    def __init__(
        self, plan: Plan = ALWAYS, sink: Callable[[list[Part]], None] | None = None
    ) -> None:
        self.plan = plan
        self.clock = FakeClock()
        self.here: tuple[int, int] | None = (0, 12 * 60)
        self.sent: list[Part] = []
        self.out: list[Part] = []
        self.gate = Gate(self._take, lambda _: self.plan, self.clock, lambda: self.here)
        self._sink = sink
        self._rng = random.Random(1)
        self.run = 1

    def _take(self, parts: list[Part]) -> None:
        self.out += parts
        if self._sink:
            self._sink(parts)

    def go(self, seconds: float, size: int = 100) -> None:
        for _ in range(round(seconds / PART_S)):
            part = synthetic.noise_part(
                STREAM, self._rng, run=self.run, start_90k=int(self.clock.now_s * 90_000),
                wall_us=self.clock.wall_us(), size=size, key=len(self.sent) % GOP == 0,
            )  # fmt: skip
            self.clock.advance(PART_S)
            self.sent.append(part)
            self.gate.submit([part])

    def recorded(self) -> set[int]:
        """Places, among those sent, of the parts that passed."""
        places = {part.wall_us: n for n, part in enumerate(self.sent)}
        return {places[part.wall_us] for part in self.out}

    def faults(self) -> list[str]:
        """What a player, or the archive, could not make sense of."""
        found, places = [], {part.wall_us: n for n, part in enumerate(self.sent)}
        at = [places[part.wall_us] for part in self.out]
        if at != sorted(set(at)):
            found.append("out of order, or twice")
        for n, part in enumerate(self.out):
            hole = at[n] != (at[n - 1] + 1 if n else 0)
            if hole and not part.key:
                found.append(f"part {at[n]} hangs on one that was left out")
            if hole != part.skipped:
                found.append(f"part {at[n]} says {part.skipped} of the hole before it")
        return found


STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("go"), st.integers(1, 30)),
        st.tuples(st.just("event"), st.integers(1, 12)),
        st.tuples(st.just("mode"), st.sampled_from(["continuous", "event", "off"])),
        st.tuples(st.just("pre"), st.sampled_from([0.0, 1.0, 5.0, 30.0])),
    ),
    max_size=30,
)


@given(STEPS)
def test_whatever_happens_what_is_recorded_can_be_played_and_says_what_is_not(
    steps: list[tuple[str, object]],
) -> None:
    world = World(Plan("event"))
    for what, value in steps:
        if what == "go":
            world.go(value * PART_S)
        elif what == "event" and world.plan.mode != "off":
            world.gate.event(STREAM, value)
        elif what == "mode":
            world.plan = Plan(value, pre_s=world.plan.pre_s)
        elif what == "pre":
            world.plan = Plan(world.plan.mode, pre_s=value)
    assert world.faults() == []


@pytest.mark.parametrize("pre_s", [0, 1, 5, 10])
def test_an_event_records_what_was_before_it_and_what_comes_after(pre_s: float) -> None:
    world = World(Plan("event", pre_s=pre_s, post_s=10))
    world.go(60)
    assert world.out == []
    world.gate.event(STREAM)
    world.go(30)
    before = 60 - pre_s
    got = [n * PART_S for n in sorted(world.recorded())]
    assert before - GOP * PART_S <= got[0] <= before
    assert 70 <= got[-1] + PART_S <= 71
    assert world.faults() == []


def test_events_that_follow_one_another_are_one_recording() -> None:
    world = World(Plan("event", pre_s=5, post_s=10))
    world.go(30)
    for _ in range(4):
        world.gate.event(STREAM)
        world.go(13)  # longer than post_s, but within what the next one records before it
    world.gate.event(STREAM, 3)
    world.gate.event(STREAM, 1)  # does not shorten the one before
    world.go(20)
    assert [part.skipped for part in world.out].count(True) == 1
    assert world.faults() == []


def test_memory_for_an_event_to_come_has_an_end() -> None:
    world = World(Plan("event", pre_s=30))
    world.go(30, size=1 << 20)
    world.gate.event(STREAM)
    assert sum(len(part.mdat) for part in world.out) <= MOST_WAITING_BYTES
    assert len(world.out) >= 10
    assert world.faults() == []


def test_off_keeps_nothing_in_memory_and_an_event_changes_nothing() -> None:
    world = World(Plan("off"))
    world.go(30)
    with pytest.raises(Rejected, match=r"plan\.off"):
        world.gate.event(STREAM)
    assert not world.gate.wanted(STREAM)
    world.plan = Plan("event", pre_s=30)
    world.gate.event(STREAM)
    assert world.out == []
    assert world.gate.wanted(STREAM)


def test_the_hours_of_the_week_decide() -> None:
    week = ((WORK, NIGHT),) * 5 + ((), (Segment(0, 24 * 60, "off"),))
    plan = Plan("event", week)
    world = World(plan)
    said = {
        (0, 7 * 60 + 59): "event",
        (0, 8 * 60): "continuous",
        (4, 17 * 60 + 59): "continuous",
        (4, 18 * 60): "off",
        (4, 24 * 60 - 1): "off",
        (5, 12 * 60): "event",
        (6, 0): "off",
    }
    for here, mode in said.items():
        assert plan.at(*here) == mode
        world.here = here
        assert world.gate.wanted(STREAM) == (mode == "continuous")
    world.here = None
    assert world.gate.wanted(STREAM), "a box that does not know the hour records all"
    world.plan = Plan("off")
    assert not world.gate.wanted(STREAM), "but what never goes by the clock"


def test_a_stream_without_a_plan_passes_untouched() -> None:
    world = World()
    world.go(30)
    assert [id(part) for part in world.out] == [id(part) for part in world.sent]
    world.gate.forget(STREAM)


class Recorder(World):
    """The same with a disk, a watch and the archive behind the gate."""

    def __init__(self, plan: Plan) -> None:
        super().__init__(plan, self._submit)
        rng = random.Random(1)
        self.disk = VirtualDisk(rng)
        self.disk_rng = rng
        self.open()

    def open(self) -> None:
        self.store = open_store(
            self.disk, self.clock, self.disk_rng, size_bytes=64 << 20, block_bytes=1 << 20
        )
        self.watch = Watch(self.clock, self.store.ring.note)
        self.committer = Committer(self.store, acknowledged=self.watch.acknowledged)
        self.watch.begin(STREAM)

    def _submit(self, parts: list[Part]) -> None:
        self.committer.submit(parts)
        assert self.committer.commit()

    def look(self, seconds: float) -> None:
        for _ in range(round(seconds)):
            self.go(1)
            wanted = self.gate.wanted(STREAM)
            self.watch.look({STREAM: None if wanted else Reason("plan", sure=True)})

    def gaps(self) -> list[tuple[str, float, bool]]:
        found = Archive(self.store).ranges(STREAM, 0, 1 << 62).gaps
        return [
            (gap.cause, round((gap.to_us - gap.from_us) / SECOND_US, 1), gap.open) for gap in found
        ]


def test_what_is_not_planned_is_a_gap_of_its_own_kind() -> None:
    world = Recorder(Plan("event", pre_s=2, post_s=10))
    world.look(30)
    assert world.gaps() == [("plan", 30.0, True)]
    for _ in range(3):
        world.gate.event(STREAM)
        world.look(40)
    gaps = world.gaps()
    assert {cause for cause, *_ in gaps} == {"plan"}
    assert [is_open for *_, is_open in gaps] == [False, False, False, True]
    assert all(25 <= length <= 30 for _, length, _ in gaps)
    world.plan = ALWAYS
    world.look(20)
    assert [is_open for *_, is_open in world.gaps()] == [False] * 4


def test_a_restart_in_hours_of_events_is_told_apart_from_them() -> None:
    world = Recorder(Plan("event", pre_s=2, post_s=10))
    world.look(10)
    world.gate.event(STREAM)
    world.look(40)
    world.store.ring.end("somebody")
    world.disk.close()
    world.clock.advance(100)
    world.run += 1
    world.open()
    world.look(20)
    world.gate.event(STREAM)
    world.look(40)
    causes = [cause for cause, *_ in world.gaps()]
    assert causes == ["plan", "plan", "stopped", "plan", "plan"]


def test_a_thousand_events_leave_room_for_what_else_the_log_says() -> None:
    world = Recorder(Plan("event", pre_s=1, post_s=1))
    world.watch.look({STREAM: Reason("camera", "camera.lost", sure=True)})
    for _ in range(60):
        world.look(8)
        world.gate.event(STREAM)
        world.look(4)
    notes = [note for note in world.store.ring.notes if note.kind == "gap"]
    assert len(notes) < 6
    assert any(note.cause == "camera" for note in notes)


def test_signs_of_life_do_not_pile_up_and_an_opening_keeps_its_own() -> None:
    notes: list[Note] = []
    for kind in ("opened", "alive", "alive", "stopped", "alive", "opened", "alive", "alive"):
        keep(notes, Note(kind, 1))
    assert [note.kind for note in notes] == ["opened", "stopped", "alive", "opened", "alive"]
