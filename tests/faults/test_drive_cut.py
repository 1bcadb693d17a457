import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.faults import drive
from tests.faults.drive_life import PLANTS

ROOT = Path(__file__).parents[2]


def cut(kind: str, *words: str) -> dict:
    """Run the harness in a process, and a mount namespace, of its own."""
    try:
        drive.require(kind)
    except drive.Missing as err:
        pytest.skip(str(err))
    done = subprocess.run(
        [sys.executable, "-m", "tests.faults.drive_cut", "--disk", kind, "--json", *words],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        text=True,
        check=False,
    )
    return json.loads(done.stdout.splitlines()[-1])


@pytest.mark.parametrize("kind", ["ext4", "xfs"])
def test_a_real_file_system_on_a_drive_that_loses_its_cache_keeps_what_was_acknowledged(
    kind: str,
) -> None:
    told = cut(kind, "--mode", "as_shipped", "--cuts", "8")
    assert told["met"], told
    assert told["figures"]["cuts"] == 8
    assert told["figures"]["acked"] > 50


@pytest.mark.parametrize("plant", PLANTS)
def test_a_planted_mistake_is_found_on_a_real_file_system(plant: str) -> None:
    figures = cut("ext4", "--plant", plant, "--cuts", "60")["figures"]
    assert figures["acked_lost"] + figures["wrong_bytes"] > 0
    if plant == "no_checksum":
        assert figures["wrong_bytes"] > 0
