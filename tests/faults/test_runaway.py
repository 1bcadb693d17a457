"""A few of `tests.faults.runaway`: one of each kind, and mistakes that must be found out."""

import asyncio

import pytest

from tests.faults.runaway.__main__ import PLANTS, caught, faults_of, figures_of, play_all, tell
from tests.faults.runaway.far import DECODER_S
from tests.faults.runaway.scene import KINDS, Outcome, Story, scenario

LATE_S = 2.0
"""For a machine that runs other tests as well; the promise of one second is measured by itself."""


@pytest.mark.needs("faketime")
def test_what_moves_stands_and_relays_are_safe_whatever_fails() -> None:
    found = asyncio.run(play_all([scenario(seed) for seed in range(len(KINDS))], workers=3))
    told = "\n".join(f"{one.scenario} {one}" for one in found)
    seen = figures_of(found)
    assert all(seen[f"{kind}_count"] for kind in KINDS)
    assert not seen["void"], told
    assert seen["worst_still_s"] <= LATE_S, told
    assert seen["worst_no_wire_s"] <= DECODER_S + LATE_S, told
    assert seen["worst_relay_s"] <= LATE_S, told
    assert seen["worst_over_s"] <= LATE_S, told


@pytest.mark.parametrize("plant", PLANTS)
def test_a_mistake_is_found_out(plant: str) -> None:
    assert caught(plant, 1)


def test_what_began_again_did_not_end() -> None:
    story = Story([(1.0, "head 1", True), (5.2, "head 1", False), (5.9, "head 1", True)], 7.0)
    assert story.over_s("head 1", 5.0) == float("inf")
    assert story.over_s("head 1", 5.0, first=True) == pytest.approx(0.2)
    assert story.over_s("head 2", 5.0) == 0.0
    later = Story([*story.changes, (6.5, "head 1", False)], 7.0)
    assert later.over_s("head 1", 5.0) == pytest.approx(1.5)
    assert later.longest_s("head 1") == pytest.approx(4.2)


def test_what_is_not_as_promised_is_named_and_told(capsys: pytest.CaptureFixture[str]) -> None:
    good = Outcome(
        scenario(0), still_s=0.9, relay_s=0.3, over_s=0.4, story=[(-0.5, "head 1", True)]
    )
    assert faults_of(good) == []
    assert tell(good) == 0
    assert "  -0.500 head 1 on" in capsys.readouterr().out
    late = Outcome(scenario(0), still_s=float("inf"), over_s=1.544)
    assert faults_of(late) == ["still inf", "over 1.544"]
    assert tell(late) == 1
    assert capsys.readouterr().out.endswith("still inf; over 1.544\n")
    assert faults_of(Outcome(scenario(0), void=True)) == ["nothing moved"]
