import json

import pytest

from tests.faults import clock, clock_live


def test_every_second_is_found_once_however_the_clock_is_set(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert clock.main(["--days", "4", "--seed", "3", "--json"]) == 0
    figures = json.loads(capsys.readouterr().out.splitlines()[-1])["figures"]
    assert figures["stretches"] > 40
    assert figures["seconds"] > 2 * 3 * 86_400


@pytest.mark.parametrize("plant", clock.PLANTS)
def test_a_planted_mistake_is_found(plant: str) -> None:
    found = clock.run(1, 2, plant)
    if plant in {"by_time", "export_once"}:
        assert found.seconds_lost > 0
    else:
        assert found.stretches_wrong + found.gaps_wrong + found.trust_wrong > 0


@pytest.mark.needs("faketime")
def test_the_shipped_recorder_is_found_whole_by_its_page() -> None:
    found = clock_live.run(25, seed=5, jumps=6)
    assert found.jumps == 6
    assert found.pictures > 2 * 20 * 25
    assert (found.pictures_lost, found.pictures_twice) == (0, 0)
    assert (found.stretches_wrong, found.gaps) == (0, 0), found.notes
