"""What is found in films whose motion was put there; `tests.analyse.score` looks at all of them."""

import pytest

from tests.analyse.film import Film, coded, plain, watch
from tests.analyse.scenes import MOTION, QUIET, TROUBLE
from tests.analyse.score import Score, compared

FILMS = {film.name: film for film in (*MOTION, *QUIET, *TROUBLE)}


def perfect(film: Film, found: list) -> None:
    wanted, found = compared(film, found)
    score = Score()
    score.add(wanted, found)
    assert (score.hit, score.right) == (len(wanted), len(found)), found


@pytest.mark.parametrize(
    "name",
    [
        "a person at night, noise", "a person, lamps switched", "a person in rain",
        "only in the zone", "much noise at night", "clouds", "a bag over the lens",
        "out of focus", "knocked by a twentieth", "turned away", "blue picture",
    ],
)  # fmt: skip
def test_what_is_painted_is_found_and_nothing_else(name: str) -> None:
    film = FILMS[name]
    perfect(film, plain(film, fps=5 if film not in TROUBLE else 2).intervals(film.seconds))


def test_what_is_coded_is_found_too() -> None:
    film = FILMS["comes, stands, goes"]
    made = coded(film)
    perfect(film, watch(*made).intervals(film.seconds))
    perfect(film, watch(*made, keys_only=True).intervals(film.seconds))


def test_while_the_head_turns_nothing_is_found() -> None:
    film = FILMS["turned away"]
    assert plain(film, fps=2).changes
    made = watch(*coded(film, fps=2), hush=lambda at_s: 38 <= at_s < 42 or 88 <= at_s < 94)
    assert [one for one in made.changes if one.kind == "motion"] == []
