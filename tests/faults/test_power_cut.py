import json

import pytest

from tests.faults import power_cut


def test_no_cut_loses_what_was_acknowledged_or_serves_what_was_not_sent(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert power_cut.main(["--cuts", "250", "--seed", "7", "--json"]) == 0
    told = json.loads(capsys.readouterr().out.splitlines()[-1])
    figures = told["figures"]
    assert figures["cuts"] == 250
    assert figures["acked"] > 5000
    assert figures["recoveries_cut"] > 5
    assert figures["wraps"] >= 3


@pytest.mark.parametrize("plant", power_cut.PLANTS)
def test_a_planted_mistake_is_found(plant: str) -> None:
    result = power_cut.run(75, 3, plant)
    assert result.acked_lost + result.wrong_bytes > 0
    if plant == "no_checksum":
        assert result.wrong_bytes > 0


def test_a_seed_tells_the_same_story_twice() -> None:
    assert power_cut.run(20, 5) == power_cut.run(20, 5)
