import json
import random

import pytest

from nvr.base.clock import FakeClock
from nvr.hal.virtual_disk import VirtualDisk
from nvr.record.recover import open_store
from tests.faults import power_cut
from tests.faults.oracle import Oracle, Result
from tests.record import synthetic


@pytest.mark.parametrize("how", [[], ["--sealed"]])
def test_no_cut_loses_what_was_acknowledged_or_serves_what_was_not_sent(
    how: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert power_cut.main(["--cuts", "250", "--seed", "7", "--json", *how]) == 0
    told = json.loads(capsys.readouterr().out.splitlines()[-1])
    figures = told["figures"]
    assert figures["cuts"] == 250
    assert figures["acked"] > 5000
    assert figures["recoveries_cut"] > 5
    assert figures["wraps"] >= 3
    assert figures["locks"] > 100
    assert figures["given_up"] > 5000


@pytest.mark.parametrize("plant", power_cut.PLANTS)
def test_a_planted_mistake_is_found(plant: str) -> None:
    result = power_cut.run(75, 2, plant, sealed=plant == "late_key")
    if plant.startswith("lock"):
        assert result.locks_lost > 0
    else:
        assert result.acked_lost + result.wrong_bytes > 0
    if plant == "no_checksum":
        assert result.wrong_bytes > 0


def test_a_seed_tells_the_same_story_twice() -> None:
    assert power_cut.run(20, 5) == power_cut.run(20, 5)


def test_what_was_given_up_counts_as_recorded_up_to_its_end() -> None:
    """The newest part may go with its block: then what came after it is lost, not it as well."""
    rng, clock, yard = random.Random(1), FakeClock(), "yard/main"
    store = open_store(
        VirtualDisk(rng), clock, rng, size_bytes=32 * (256 << 10), block_bytes=256 << 10
    )
    part = synthetic.noise_part(
        yard, rng, run=1, start_90k=0, wall_us=clock.wall_us(), size=900, key=True
    )
    result = Result()
    oracle = Oracle((yard,), 32, {bytes(part.mdat[8:24]): part}, result)
    oracle.acknowledged((0, 1), [(yard, part.wall_us)])
    oracle.gone.add((yard, part.wall_us))
    oracle.cut((), part.wall_us, part.wall_us + 1_200_000)
    oracle.check(store)
    assert (result.max_lost_s, result.first_failures) == (0.7, [])
