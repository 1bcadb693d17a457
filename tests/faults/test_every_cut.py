import json

import pytest

from tests.faults import every_cut


@pytest.mark.timeout(300)
def test_no_operation_is_one_after_which_a_cut_loses_or_falsifies_anything(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert every_cut.main(["--ways", "1", "--laps", "2", "--seed", "4", "--json"]) == 0
    told = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert told["figures"]["operations"] > 900
    assert told["figures"]["destroyed_parts"] > 10


@pytest.mark.parametrize("plant", every_cut.PLANTS)
def test_a_planted_mistake_is_found(plant: str) -> None:
    result = every_cut.Story(1, 1 if plant == "destroy_unlogged" else 2, 2, plant).tell()
    assert result.first_failures
    if plant == "destroy_unlogged":
        assert result.risen > 0
    elif plant in {"lock_unlogged", "epoch_at_once"}:
        assert result.locks_lost > 0
    else:
        assert result.acked_lost + result.wrong_bytes > 0
