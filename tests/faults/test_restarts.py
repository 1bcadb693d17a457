import pytest

from tests.faults import restarts

pytestmark = pytest.mark.timeout(180)


def test_restarts_lose_nothing_that_was_recorded_and_begin_no_blocks() -> None:
    # Two kills and a stop in the middle of recording, a kill at the start.
    result = restarts.run(4, 46, most_s=0.6)
    assert (result.restarts, result.killed, result.early) == (4, 3, 1)
    assert result.acked_checked == 12
    assert result.blocks_begun == 4
    figures = restarts.figures_of(result)
    timed = {"max_start_s", "max_lost_s"}  # a busy machine's, and no matter of right or wrong
    limits = {name: one for name, one in restarts.LIMITS.items() if name not in timed}
    assert {name for name, one in limits.items() if not one.holds(figures[name])} == set(), (
        result.first_failures
    )


@pytest.mark.parametrize("plant", ["new_block", "last_part_lost"])
def test_a_planted_mistake_is_found(plant: str) -> None:
    result = restarts.run(2, 46, plant, most_s=0.6)
    # A block whose only part is lost is not gone on with either.
    assert result.blocks_over + result.parts_lost > 0
