import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.faults import drive
from tests.faults.file_cut import KIND, PLANTS

ROOT = Path(__file__).parents[2]


def cut(*words: str) -> dict:
    """Run the harness in a process, and a mount namespace, of its own."""
    try:
        drive.require(KIND)
    except drive.Missing as err:
        pytest.skip(str(err))
    done = subprocess.run(
        [sys.executable, "-m", "tests.faults.file_cut", "--json", *words],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        text=True,
        check=False,
    )
    return json.loads(done.stdout.splitlines()[-1])


def test_a_cut_leaves_the_old_configuration_or_the_new_one_and_rows_that_were_or_are() -> None:
    told = cut()
    assert told["met"], told
    assert told["figures"]["old"] > 0
    assert told["figures"]["new"] > 0


@pytest.mark.parametrize("plant", PLANTS)
def test_a_planted_mistake_is_found(plant: str) -> None:
    figures = cut("--plant", plant)["figures"]
    assert figures["neither"] + figures["forgotten"] > 0
