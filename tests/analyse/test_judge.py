"""From pictures to events: pure, on a line of time that is passed in."""

from dataclasses import dataclass, field

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nvr.analyse.grid import CELLS, HEIGHT, WHOLE, WIDTH, Zone, inside, least_cells, masks
from nvr.analyse.judge import ENTER_S, LONGEST_S, Change, Judge, Seen

GOOD = Seen(
    zones=(0,) * 8, moving=0, changed=3, step=0, mean=1500, low=800, high=2200, flat=20, same=15,
    edged=1850, textured=1800, sharp=1000, lost=5, like=990, dx=0, dy=0, shifted=990, learned=600,
)  # fmt: skip
BAD = {
    "signal": {"flat": 990, "low": 640, "high": 656, "mean": 650},
    "dark": {"high": 300, "low": 260, "mean": 280},
    "bright": {"low": 3600, "mean": 3700, "high": 3760},
    "covered": {"lost": 900, "like": 100, "sharp": 50, "shifted": 150, "edged": 90},
    "moved": {"like": 200, "shifted": 800, "dx": 4, "sharp": 900},
    "defocused": {"sharp": 250, "like": 800},
    "frozen": {"same": 1000},
}


@dataclass
class Film:
    judge: Judge = field(default_factory=lambda: Judge([Zone("", WHOLE)]))
    at_s: float = 1000.0
    changes: list[Change] = field(default_factory=list)

    def show(
        self, seconds: float, apart_s: float = 0.2, hush: bool = False, **seen: object
    ) -> None:
        picture = GOOD._replace(**seen)
        for _ in range(round(seconds / apart_s)):
            self.at_s += apart_s
            self.changes += self.judge.see(picture, self.at_s, hush=hush)

    def move(self, seconds: float, cells: int = 30, apart_s: float = 0.2) -> None:
        self.show(seconds, apart_s, zones=(cells, *(0,) * 7), moving=cells)

    def told(self) -> list[tuple[str, str]]:
        return [(one.what, one.kind) for one in self.changes]


@pytest.fixture
def film() -> Film:
    film = Film()
    film.show(90)
    assert film.changes == []
    return film


def test_motion_begins_with_its_first_picture_and_ends_with_its_last(film: Film) -> None:
    before_s = film.at_s
    film.move(3)
    last_s = film.at_s
    film.show(10)
    assert film.told() == [("begin", "motion"), ("end", "motion")]
    assert film.changes[0].at_s == pytest.approx(before_s + 0.2)
    assert film.changes[1].at_s == pytest.approx(last_s)
    assert film.changes[1].strength == 30


def test_one_picture_alone_is_no_motion(film: Film) -> None:
    for _ in range(20):
        film.move(0.2)
        film.show(2)
    assert film.changes == []


def test_too_few_cells_are_no_motion(film: Film) -> None:
    film.move(10, least_cells(5) - 1)
    assert film.changes == []


def test_a_pause_does_not_end_motion(film: Film) -> None:
    for _ in range(5):
        film.move(2)
        film.show(3)
    assert film.told() == [("begin", "motion")]


def test_long_motion_is_told_in_pieces(film: Film) -> None:
    film.move(2.5 * LONGEST_S)
    film.show(10)
    assert film.told() == [("begin", "motion"), ("end", "motion")] * 3
    for end, begin in zip(film.changes[1::2], film.changes[2::2], strict=False):
        assert begin.at_s == end.at_s


def test_key_frames_alone_show_motion_that_is_clear(film: Film) -> None:
    film.show(60, 2.0)
    film.move(2, 30, 2.0)
    film.show(20, 2.0)
    assert film.told() == [("begin", "motion"), ("end", "motion")]


@pytest.mark.parametrize("kind", BAD)
def test_each_trouble_begins_once_it_has_lasted_and_ends(film: Film, kind: str) -> None:
    before_s = film.at_s
    film.show(ENTER_S[kind] - 1, **BAD[kind])
    assert film.changes == []
    film.show(30, **BAD[kind])
    assert film.told() == [("begin", kind)]
    assert film.changes[0].at_s == pytest.approx(before_s + 0.2)
    after_s = film.at_s
    film.show(20)
    assert film.told() == [("begin", kind), ("end", kind)]
    assert film.changes[1].at_s == pytest.approx(after_s + 0.2)


@pytest.mark.parametrize("kind", BAD)
def test_a_trouble_that_flickers_is_none(film: Film, kind: str) -> None:
    for _ in range(30):
        film.show(ENTER_S[kind] * 0.8, **BAD[kind])
        film.show(0.4)
    assert film.changes == []


def test_a_covered_lens_is_not_called_blurred_or_moved_too(film: Film) -> None:
    film.show(120, lost=900, like=100, sharp=50, shifted=600, dx=3, edged=200)
    assert film.told() == [("begin", "covered")]


def test_a_hand_over_most_of_a_lens_covers_it_though_the_coder_makes_edges(film: Film) -> None:
    """As measured on the film of that name: a coder of few bits makes them, now and then."""
    hand = {"lost": 680, "like": 460, "sharp": 110}
    for _ in range(20):
        film.show(0.4, **hand, edged=700)
        film.show(0.4, **hand, edged=1250)
    assert film.told() == [("begin", "covered")]


def test_another_view_that_hides_most_edges_is_not_a_covered_lens(film: Film) -> None:
    film.show(60, lost=630, like=265, sharp=140, edged=1150)
    assert film.told() == [("begin", "moved")]


def test_what_is_wrong_is_not_learned(film: Film) -> None:
    assert film.judge.learn
    film.show(1, **BAD["covered"])
    assert not film.judge.learn
    film.show(1)
    assert film.judge.learn


def test_nothing_is_compared_before_enough_was_learned() -> None:
    film = Film()
    film.show(100, learned=5, **BAD["moved"])
    assert film.changes == []


def test_a_camera_that_never_had_noise_cannot_freeze() -> None:
    film = Film()
    film.show(600, same=1000)
    assert film.changes == []


def test_while_the_head_moves_nothing_is_judged(film: Film) -> None:
    film.move(2)
    film.show(40, hush=True, zones=(900,) * 8, **BAD["moved"])
    assert film.told() == [("begin", "motion"), ("end", "motion")]
    assert not film.judge.learn


def test_no_pictures_are_no_signal_until_one_comes(film: Film) -> None:
    film.move(2)
    film.changes += film.judge.gone(film.at_s + 10)
    film.changes += film.judge.gone(film.at_s + 11)
    assert film.told() == [("begin", "motion"), ("end", "motion"), ("begin", "signal")]
    film.at_s += 20
    film.show(1)
    assert film.told()[3:] == [("end", "signal")]


def test_only_what_is_asked_for_is_told() -> None:
    film = Film(Judge([], ("dark",)))
    film.show(30)
    film.move(30)
    film.show(60, **BAD["covered"])
    film.show(60, **BAD["dark"])
    assert film.told() == [("begin", "dark")]


def test_how_it_looks_now_can_be_taken_as_right(film: Film) -> None:
    film.show(30, **BAD["moved"])
    film.changes += film.judge.accept(film.at_s)
    assert film.told() == [("begin", "moved"), ("end", "moved")]


seen = st.builds(
    Seen, st.tuples(*[st.integers(0, 60)] * 8), *[st.integers(0, 1000)] * 3,
    *[st.integers(0, 4080)] * 3, *[st.integers(0, 1000)] * 2, *[st.integers(0, 3600)] * 2,
    *[st.integers(0, 1500)] * 2, st.integers(-1000, 1000), *[st.integers(-14, 14)] * 2,
    st.integers(-1000, 1000), st.integers(0, 65535),
)  # fmt: skip
step = st.tuples(seen, st.floats(-5, 40), st.booleans(), st.integers(1, 60))


@given(st.lists(step, max_size=8))
@settings(deadline=None, max_examples=40)
def test_whatever_comes_each_begin_has_one_end(steps: list) -> None:
    zones = [Zone("a", WHOLE), Zone("b", WHOLE, 9)]
    judge, at_s, open_ = Judge(zones), 0.0, set()

    def check(changes: list[Change]) -> None:
        for one in changes:
            key = (one.kind, one.zone)
            assert (one.what == "begin") == (key not in open_)
            open_.symmetric_difference_update({key})

    for picture, apart_s, hush, times in steps:
        for _ in range(times):
            at_s += apart_s
            check(judge.see(picture, at_s, hush=hush))
        if times == 7:
            check(judge.gone(at_s))
    check(judge.end(at_s))
    assert not open_


def test_a_zone_is_the_cells_whose_middle_it_holds() -> None:
    sense, zones = masks([Zone("left", ((0, 0), (500, 0), (500, 1000), (0, 1000)), 7)])
    rows = [sense[y * WIDTH : (y + 1) * WIDTH] for y in range(HEIGHT)]
    assert rows == [b"\7" * 40 + b"\0" * 40] * HEIGHT
    assert zones == sense.replace(b"\7", b"\1")


def test_what_is_ignored_is_in_no_zone_and_the_most_sensitive_counts() -> None:
    half = ((0, 0), (500, 0), (500, 1000), (0, 1000))
    sense, zones = masks([Zone("", WHOLE, 3), Zone("x", half, 0), Zone("y", WHOLE, 8)])
    assert set(sense[:40]) == {0}
    assert set(sense[40:80]) == {8}
    assert set(zones[40:80]) == {3}


@given(st.lists(st.tuples(st.integers(0, 1000), st.integers(0, 1000)), min_size=3, max_size=16))
@settings(deadline=None, max_examples=20)
def test_any_polygon_makes_a_mask(points: list) -> None:
    sense, zones = masks([Zone("", tuple(points))])
    assert len(sense) == len(zones) == CELLS
    for cell in range(0, CELLS, 97):
        x, y = (cell % WIDTH + 0.5) * 1000 / WIDTH, (cell // WIDTH + 0.5) * 1000 / HEIGHT
        assert bool(sense[cell]) == inside(points, x, y)
