"""Edges on a clock that is moved by hand: what is believed of them."""

import itertools
from dataclasses import dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nvr.gpio.debounce import QUIET_S, Debounce, Settled

SETTLE_S = 0.05


@dataclass
class Line:
    """An input that is looked at every 10 ms, as the thread does at the latest."""

    settle_s: float = SETTLE_S
    most_per_min: int = 30
    most_edges_per_s: int = 100

    def __post_init__(self) -> None:
        self.now_s = 100.0
        self.told: list[Settled] = []
        self.debounce = Debounce(
            0, self.now_s, settle_s=self.settle_s, most_per_min=self.most_per_min,
            most_edges_per_s=self.most_edges_per_s,
        )  # fmt: skip

    def edge(self, level: int, after_s: float = 0.0, missed: int = 0) -> None:
        self.wait(after_s)
        if told := self.debounce.edge(level, self.now_s, missed):
            self.told.append(told)

    def wait(self, for_s: float) -> None:
        end_s = self.now_s + for_s
        while self.debounce.wake_at_s() <= end_s:
            self.now_s = max(self.now_s, self.debounce.wake_at_s())
            if (told := self.debounce.due(self.now_s)) is None:
                self.now_s += 0.01
            else:
                self.told.append(told)
        self.now_s = max(self.now_s, end_s)

    def levels(self) -> list[int]:
        return [one.level for one in self.told if one.what == "change"]


def test_a_level_that_stays_counts_from_its_edge() -> None:
    line = Line()
    line.edge(1, 1.0)
    line.wait(1)
    assert line.told == [Settled("change", 1, 101.0, 1)]


def test_a_bounce_is_one_change_dated_by_its_last_edge() -> None:
    line = Line()
    for level in (1, 0, 1, 0, 1):
        line.edge(level, 0.01)
    line.wait(1)
    assert line.levels() == [1]
    assert line.told[0].at_s == pytest.approx(100.05)
    assert line.told[0].edges == 5


def test_a_spike_is_nothing() -> None:
    line = Line()
    line.edge(1, 1.0)
    line.edge(0, SETTLE_S / 2)
    line.wait(10)
    assert line.told == []
    assert line.debounce.edges == 2


def test_edges_that_the_kernel_dropped_start_the_time_anew() -> None:
    line = Line()
    line.edge(1)
    line.edge(1, 0.04, missed=2)
    line.wait(0.04)
    assert line.told == []
    line.wait(0.02)
    assert line.levels() == [1]


def test_a_line_that_chatters_is_two_events_however_long() -> None:
    line = Line()
    for n in range(20_000):
        line.edge(n % 2, 0.005)
    assert [one.what for one in line.told] == ["storm"]
    line.edge(1)
    line.wait(QUIET_S + 1)
    assert [one.what for one in line.told] == ["storm", "calm", "change"]
    assert line.levels() == [1]
    assert line.debounce.storms == 1
    assert line.debounce.edges == 20_001


def test_a_slow_chatter_is_a_storm_as_well() -> None:
    line = Line(most_per_min=6)
    for n in range(200):
        line.edge((n + 1) % 2, 1.0)
    assert line.levels() == [1, 0, 1, 0, 1, 0]
    assert line.debounce.storm


def test_a_storm_that_the_kernel_counted_is_one() -> None:
    line = Line()
    line.edge(1, 0, missed=5000)
    assert [one.what for one in line.told] == ["storm"]


EDGES = st.lists(
    st.tuples(st.integers(0, 3), st.floats(0.0, 0.4) | st.floats(0.0, 70.0), st.integers(0, 3)),
    max_size=120,
)


@given(EDGES, st.sampled_from([0.0, 0.02, 0.5]), st.integers(2, 10), st.integers(10, 40))
def test_whatever_the_line_does(
    edges: list[tuple[int, float, int]], settle_s: float, per_min: int, per_s: int
) -> None:
    line = Line(settle_s, per_min, per_s)
    for level, after_s, missed in edges:
        line.edge(level, after_s, missed)
    last = edges[-1][0] if edges else 0
    line.wait(QUIET_S + settle_s + 1)
    # In the end what the line shows is what is believed.
    assert line.debounce.level == last
    assert not line.debounce.storm
    levels = [0, *line.levels()]
    assert all(a != b for a, b in itertools.pairwise(levels)), "told twice"
    # Never more changes within a minute than are allowed, one more than calm brings each time.
    at = [one.at_s for one in line.told if one.what == "change"]
    calms = sum(one.what == "calm" for one in line.told)
    for n, first_s in enumerate(at):
        within = sum(1 for one in at[n:] if one - first_s < 60)
        assert within <= per_min * (calms + 1)
    assert line.debounce.edges == sum(1 + missed for _, _, missed in edges)
    assert [one.what for one in line.told if one.what != "change"] == ["storm", "calm"] * calms
    assert sum(one.edges for one in line.told) <= line.debounce.edges
