"""What heads do by themselves: everybody's last in line, and stopped by everything that stops."""

import itertools
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from nvr.base.clock import FakeClock
from nvr.base.errors import Rejected
from nvr.media.ports import Operator
from nvr.media.program import Guard, Pattern, Program, Scan, Step, Tour, fault_of
from nvr.ptz.course import Go, tour
from nvr.ptz.keep import KeepBook
from tests.ptz.bench import Bench

ADA = Operator("ada", "operator", "page/1")
BO = Operator("bo", "operator", "page/2")
ROUND = Tour("夜巡", (Step(1, 5.0), Step(2, 5.0), Step(3, 5.0)))
TOURING = Program(tours=(ROUND,), resume_s=30.0)
GUARDED = Program(guard=Guard(1, 120.0))


@pytest.fixture
def box(tmp_path: Path) -> Bench:
    return Bench(tmp_path)


def refused(code: str):
    return pytest.raises(Rejected, check=lambda err: err.code == code)


def visits(box: Bench, for_s: float) -> list[int]:
    """Presets at which the head stands within `for_s`, each once a stay."""
    seen: list[int] = []
    for _ in range(round(for_s / 0.5)):
        box.run(0.5)
        at = [n for n in (1, 2, 3) if box.dome.off_deg(90.0 * (n - 1)) < 0.1]
        if at and (not seen or seen[-1] != at[0]):
            seen += at
    return seen


def test_a_tour_visits_each_position_and_goes_round(box: Bench) -> None:
    box.pilot.write("gate", TOURING)
    box.pilot.start("gate", "tour 夜巡", "ada")
    assert visits(box, 60.0)[:5] == [1, 2, 3, 1, 2]
    state = box.ptz.status("gate").auto
    assert state is not None
    assert (state.what, state.state, state.by) == ("tour 夜巡", "running", "ada")
    assert box.actions("ptz.program_begun") == [("ptz.program_begun", "ada", "tour 夜巡")]


def test_an_operator_pauses_a_tour_and_it_goes_on_where_it_was(box: Bench) -> None:
    box.pilot.write("gate", TOURING)
    box.pilot.start("gate", "tour 夜巡", "ada")
    assert visits(box, 12.0)[-1] == 2
    box.run(2.0, (BO, 0.5, 0, 0))
    assert box.ptz.status("gate").holder.operator == BO
    stood = box.dome.view
    box.run(29.0)
    assert box.dome.view == stood, "it moved before its time"
    state = box.ptz.status("gate").auto
    assert state.state == "paused"
    assert 0 < state.until_us - box.clock.wall_us() < 2_000_000
    box.until("running", 3.0)
    assert visits(box, 10.0)[0] == 2


@pytest.mark.parametrize("how", ["stop", "stop_all"])
def test_a_stop_ends_a_tour_for_good(box: Bench, how: str) -> None:
    box.pilot.write("gate", TOURING)
    box.pilot.start("gate", "tour 夜巡", "ada")
    box.run(10.0)
    box.run(0.3)
    getattr(box.ptz, how)(*(("gate", BO) if how == "stop" else (BO,)))
    stood = box.dome.view
    box.run(600.0)
    assert box.dome.view == stood
    assert box.ptz.status("gate").auto is None
    assert box.actions("ptz.program_ended") == [("ptz.program_ended", "bo", "tour 夜巡")]


def test_a_stop_on_the_way_to_a_preset_stops_there(box: Bench) -> None:
    box.pilot.write("gate", TOURING)
    box.pilot.start("gate", "tour 夜巡", "ada")
    box.run(9.0)
    while box.dome.head.target is None:
        box.run(0.02)
    box.run(0.2)
    assert box.dome.head.moving
    box.ptz.stop("gate", ADA)
    assert not box.dome.head.moving


def test_the_head_returns_two_minutes_after_the_last_command(box: Bench) -> None:
    box.pilot.write("gate", GUARDED)
    box.run(1.0, (ADA, 0.5, 0, 0))
    released_s = box.clock.now_s
    state = box.ptz.status("gate").auto
    box.run(5.0)
    state = box.ptz.status("gate").auto
    assert (state.what, state.state) == ("home", "waiting")
    while box.dome.off_deg(0.0) > 0.1:
        box.run(0.5)
        assert box.clock.now_s - released_s < 150.0
    assert 90.0 <= box.clock.now_s - released_s <= 150.0
    box.run(3.0)
    assert box.ptz.status("gate").auto is None
    stops = box.dome.stops
    box.run(400.0)
    assert box.dome.stops == stops, "it is at home and left alone"


def test_any_command_begins_the_two_minutes_anew(box: Bench) -> None:
    box.pilot.write("gate", GUARDED)
    box.run(1.0, (ADA, 0.5, 0, 0))
    for _ in range(3):
        box.run(100.0)
        box.run(0.5, (BO, 0.2, 0, 0))
    assert box.dome.off_deg(0.0) > 1.0


def test_a_guard_that_is_switched_off_shows_that_and_stays_away(box: Bench) -> None:
    box.pilot.write("gate", GUARDED)
    box.pilot.guard("gate", on=False)
    box.run(1.0, (ADA, 0.5, 0, 0))
    box.run(300.0)
    assert box.ptz.status("gate").auto.state == "paused"
    assert box.dome.off_deg(0.0) > 1.0
    box.pilot.guard("gate", on=True)
    box.run(130.0)
    assert box.dome.off_deg(0.0) < 0.1


def test_after_a_tour_is_ended_the_head_goes_home(box: Bench) -> None:
    box.pilot.write("gate", Program(Guard(1, 30.0), tours=(ROUND,)))
    box.pilot.start("gate", "tour 夜巡", "ada")
    box.run(12.0)
    box.pilot.end("gate", "ada")
    stood = box.dome.view
    box.run(28.0)
    assert box.dome.view == stood
    box.run(10.0)
    assert box.dome.off_deg(0.0) < 0.1


def test_a_tour_skips_what_is_not_stored_any_more(box: Bench) -> None:
    box.pilot.write("gate", TOURING)
    box.ptz.preset("gate", ADA, "clear", 2)
    box.pilot.start("gate", "tour 夜巡", "ada")
    assert visits(box, 60.0)[:3] == [1, 3, 1]


def test_an_alarm_calls_the_head_up_and_the_tour_goes_on_after_it(box: Bench) -> None:
    box.pilot.write("gate", TOURING)
    box.pilot.start("gate", "tour 夜巡", "ada")
    box.run(10.0)
    box.ptz.call_up("gate", 3, 15, 20.0, "door")
    box.run(15.0)
    assert box.dome.off_deg(180.0) < 0.1
    assert box.ptz.status("gate").holder.operator.name == "door"
    assert box.ptz.status("gate").auto.state == "paused"
    box.until("running", 7.0)


def test_an_alarm_does_not_take_the_head_from_a_hand_unless_it_ranks_above(box: Bench) -> None:
    box.ptz.move("gate", ADA, 0.5, 0, 0)
    with refused("ptz.held"):
        box.ptz.call_up("gate", 3, 15, 20.0, "door")
    box.ptz.call_up("gate", 3, 90, 20.0, "fire")
    with refused("ptz.held") as caught:
        box.ptz.move("gate", BO, 0.5, 0, 0)
    assert caught.value.context["holder"] == "fire"
    assert caught.value.context["outranks"]
    box.ptz.stop("gate", BO)  # passes
    assert not box.dome.head.moving
    assert ("ptz.call_up", "fire", "3 for 20 s") in box.audit


def test_a_scan_turns_at_its_limits_whatever_the_speed_of_the_head(box: Bench) -> None:
    box.dome.store(4, 60.0)
    box.presets.put("gate", 4, "right")
    box.pilot.write("gate", Program(scans=(Scan("fence", 1, 4, 0.4),)))
    box.pilot.start("gate", "scan fence", "ada")
    box.run(20.0)
    seen = []
    for _ in range(600):
        box.run(0.1)
        pan_deg = (box.dome.view.pan_deg + 180) % 360 - 180
        assert -6 < pan_deg < 66
        seen.append(pan_deg)
    assert min(seen) < 1
    assert max(seen) > 59


def test_a_scan_of_a_head_that_does_not_report_goes_by_its_time(tmp_path: Path) -> None:
    box = Bench(tmp_path, reports=False)
    box.pilot.write("gate", Program(scans=(Scan("fence", 1, 2, 0.4, 3.0),)))
    box.pilot.start("gate", "scan fence", "ada")
    seen = [box.run(0.2) or box.dome.view.pan_deg for _ in range(200)]
    assert any(abs(deg - 90) < 0.1 for deg in seen)
    assert sum(1 for a, b in itertools.pairwise(seen) if 0.5 < b - a < 60) > 10


def record(box: Bench) -> list[float]:
    """A pattern of two moves; returns where the head pointed, each half second of it."""
    box.pilot.take_down("gate", ADA, "sweep", 1)
    assert box.ptz.status("gate").auto.state == "recording"
    box.run(5.0)
    where = []
    for pan, tilt in ((0.5, 0.0), (0.5, -0.3), (-0.4, 0.0)):
        for _ in range(3):
            box.run(0.5, (ADA, pan, tilt, 0.0))
            box.run(0.3)
            where.append(box.dome.view.pan_deg)
    box.pilot.taken("gate", ADA, keep=True)
    return where


def test_a_recorded_pattern_is_replayed_and_does_not_drift(box: Bench) -> None:
    record(box)
    end = box.dome.view
    (pattern,) = box.pilot.program("gate").patterns
    box.run(10.0)
    box.pilot.start("gate", "pattern sweep", "ada")
    for lap in range(20):
        while not box.dome.off_deg(0.0) < 0.01:
            box.run(0.02)
        stood = box.clock.now_s
        while box.dome.off_deg(0.0) < 0.01:
            box.run(0.02)
        assert box.clock.now_s - stood < 10.0
        box.run(pattern.lasts_s + 0.3)
        assert box.dome.off_deg(end.pan_deg, end.tilt_deg) < 3.0, f"lap {lap}"


def test_a_pattern_that_somebody_else_interrupts_is_not_kept(box: Bench) -> None:
    box.pilot.take_down("gate", ADA, "sweep", 1)
    box.run(5.0)
    box.run(1.0, (ADA, 0.5, 0, 0))
    box.run(6.0)
    box.run(0.5, (BO, 0.5, 0, 0))
    with refused("ptz.unknown_program"):
        box.pilot.taken("gate", ADA, keep=True)
    assert not box.pilot.program("gate").patterns


def test_the_week_begins_and_ends_a_tour_and_a_stop_holds_until_it_says_something_new(
    box: Bench,
) -> None:
    day = ("08:00-12:00 tour 夜巡", "12:00-13:00 preset 3")
    box.pilot.write("gate", Program(tours=(ROUND,), week=(day,) * 7, resume_s=5.0))
    box.run(10.0)
    assert box.ptz.status("gate").auto is None
    box.local = (0, 8 * 60)
    box.run(10.0)
    assert box.ptz.status("gate").auto.by == ""
    assert box.ptz.status("gate").auto.state == "running"
    box.ptz.stop("gate", ADA)
    box.run(60.0)
    assert box.ptz.status("gate").auto is None
    box.local = (0, 12 * 60)
    box.run(15.0)
    assert box.dome.off_deg(180.0) < 0.1
    box.run(1.0, (BO, 0.5, 0, 0))
    box.run(30.0)
    assert box.dome.off_deg(180.0) < 0.1, "it is brought back while the stretch lasts"
    box.local = None  # nobody knows the time
    box.run(5.0)
    assert box.ptz.status("gate").auto.what == "preset 3"
    box.local = (0, 13 * 60)
    box.run(5.0)
    assert box.ptz.status("gate").auto is None


def test_what_runs_and_what_is_locked_is_the_same_after_a_restart(tmp_path: Path) -> None:
    clock = FakeClock()
    first = Bench(tmp_path, clock=clock)
    first.pilot.write("gate", TOURING)
    first.pilot.start("gate", "tour 夜巡", "ada")
    first.ptz.lock("gate", ADA, 600.0, "on the mast")
    second = Bench(tmp_path, clock=clock)
    assert second.ptz.status("gate").lock.name == "ada"
    stood = second.dome.view
    second.run(590.0)
    assert second.dome.view == stood, "locked"
    second.run(45.0)
    assert second.ptz.status("gate").lock is None
    assert second.ptz.status("gate").auto.state == "running"
    third = Bench(tmp_path, clock=clock)
    assert third.ptz.status("gate").lock is None


def test_a_clock_that_jumped_back_does_not_lengthen_a_lock(tmp_path: Path) -> None:
    clock = FakeClock()
    Bench(tmp_path, clock=clock).ptz.lock("gate", ADA, 600.0, "on the mast")
    clock.offset_us -= 86_400_000_000
    second = Bench(tmp_path, clock=clock)
    second.run(601.0)
    assert second.ptz.status("gate").lock is None


def test_a_lock_stops_a_tour_on_its_way(box: Bench) -> None:
    box.pilot.write("gate", TOURING)
    box.pilot.start("gate", "tour 夜巡", "ada")
    while box.dome.head.target is None:
        box.run(0.02)
    box.ptz.lock("gate", BO, 600.0, "rain")
    assert not box.dome.head.moving
    box.run(300.0)
    assert not box.dome.head.moving
    assert box.ptz.status("gate").auto.state == "waiting"


def test_a_tour_called_like_whoever_locked_does_not_pass(box: Bench) -> None:
    named = Program(tours=(Tour("ada", (Step(2),)),))
    box.pilot.write("gate", named)
    box.pilot.start("gate", "tour ada", "ada")
    box.ptz.lock("gate", ADA, 600.0, "mine")
    stood = box.dome.view
    box.run(100.0)
    assert box.dome.view == stood


def test_a_damaged_file_is_put_aside(tmp_path: Path) -> None:
    (tmp_path / "ptz.json").write_text('{"gate": {"running": 5}}')
    box = Bench(tmp_path)
    assert box.pilot.program("gate") == Program()
    assert (tmp_path / "ptz.damaged").exists()


@pytest.mark.parametrize(
    "program",
    [
        Program(guard=Guard(300)),
        Program(guard=Guard(1, 1.0)),
        Program(tours=(Tour("a", ()),)),
        Program(tours=(Tour("", (Step(1),)),)),
        Program(tours=(Tour("a", (Step(0),)),)),
        Program(tours=(Tour("a", (Step(1, 0.1),)),)),
        Program(tours=(ROUND, ROUND)),
        Program(scans=(Scan("a", 1, 1),)),
        Program(scans=(Scan("a", 1, 2, 7.0),)),
        Program(patterns=(Pattern("a", 1, (), 1e9),)),
        Program(week=(("08:00-07:00 home",),) * 7, guard=Guard(1)),
        Program(week=(("8-9 home",),) * 7, guard=Guard(1)),
        Program(week=(("08:00-09:00 tour b",),) * 7),
        Program(week=((),) * 6),
        Program(resume_s=float("nan")),
    ],
)
def test_a_program_that_cannot_be_is_refused_in_words(box: Bench, program: Program) -> None:
    assert fault_of(program)
    with refused("ptz.program_invalid"):
        box.pilot.write("gate", program)


@given(st.integers(2, 6), st.randoms(use_true_random=False))
def test_by_chance_each_position_comes_once_a_lap_and_none_twice_in_a_row(
    count: int, chance
) -> None:
    steps = tuple(Step(n) for n in range(1, count + 1))
    going = tour(Tour("a", steps, "shuffle"), chance)
    visited = [do.preset for do in itertools.islice(going, 8 * count) if isinstance(do, Go)]
    assert all(a != b for a, b in itertools.pairwise(visited))
    laps = [visited[n : n + count] for n in range(0, len(visited), count)]
    assert all(sorted(lap) == list(range(1, count + 1)) for lap in laps)


@settings(
    max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    st.lists(
        st.sampled_from(("move", "wait", "tour", "alarm", "lock", "unlock", "take", "end", "call")),
        max_size=12,
    ),
    st.sampled_from(("stop", "lock")),
)
def test_whatever_happened_a_stop_stands_and_stays(
    tmp_path_factory: pytest.TempPathFactory, deeds: list[str], last: str
) -> None:
    """Nothing that runs by itself moves after a stop, or passes a lock, whatever came before."""
    box = Bench(tmp_path_factory.mktemp("bench"))
    box.pilot.write("gate", TOURING)
    for who, deed in zip(itertools.cycle((ADA, BO)), deeds, strict=False):
        try:
            {
                "move": lambda who=who: box.run(0.3, (who, 0.5, 0, 0)),
                "wait": lambda: box.run(8.0),
                "tour": lambda: box.pilot.start("gate", "tour 夜巡", "ada"),
                "alarm": lambda: box.ptz.call_up("gate", 3, 15, 5.0, "door"),
                "lock": lambda who=who: box.ptz.lock("gate", who, 60.0, "rain"),
                "unlock": lambda who=who: box.ptz.unlock("gate", who),
                "take": lambda who=who: box.ptz.take("gate", who),
                "end": lambda: box.pilot.end("gate", "ada"),
                "call": lambda who=who: box.ptz.preset("gate", who, "call", 2),
            }[deed]()
        except Rejected:
            box.run(0.5)
    if last == "stop":
        box.ptz.stop("gate", ADA)
    else:
        try:
            box.ptz.lock("gate", ADA, 600.0, "rain")
        except Rejected:
            return
    assert not box.dome.head.moving
    stood = box.dome.view
    box.run(70.0)
    assert box.dome.view == stood


def test_of_two_changes_the_later_one_is_kept(tmp_path: Path) -> None:
    book = KeepBook(tmp_path / "ptz.json", lambda job: job())
    book.change("门", running="tour 夜巡")
    book.change("门", running="")
    assert KeepBook(tmp_path / "ptz.json", lambda job: job()).of("门") == book.of("门")
