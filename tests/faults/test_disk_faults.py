"""The harness of failing disks on one short fault, and a mistake that it must find."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.faults import drive
from tests.faults.disk_scene import merged, outside

ROOT = Path(__file__).parents[2]


def fail(*words: str) -> dict:
    """Run the harness in a process, and a mount namespace, of its own."""
    try:
        drive.require("ext4")
    except drive.Missing as err:
        pytest.skip(str(err))
    done = subprocess.run(
        [sys.executable, "-m", "tests.faults.disk", "--json", *words],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        text=True,
        check=False,
    )
    if done.returncode == 2:
        pytest.skip("needs the package libssl-dev (tests/apt.txt)")
    return json.loads(done.stdout.splitlines()[-1])


def test_a_flush_that_fails_is_seen_and_costs_nothing() -> None:
    told = fail("--fault", "flush_once")
    assert told["met"], told
    assert told["figures"]["flush_once"].startswith("volume.")


@pytest.mark.timeout(300)
def test_a_flush_that_is_tried_again_on_the_same_pages_is_found() -> None:
    for _ in range(3):  # the flush that fails may be that of the kernel's journal
        told = fail("--fault", "flush_once", "--plant", "retry_flush")
        if told["figures"]["acked_lost"]:
            break
    assert not told["met"], told
    assert told["figures"]["acked_lost"] > 0


def test_what_is_missing_of_what_was_shown_is_counted() -> None:
    shown = merged([(0, 4_000_000), (4_100_000, 9_000_000)])
    assert shown == [(0, 9_000_000)]
    assert outside(shown, [(0, 9_000_000)]) == 0
    assert outside(shown, [(0, 3_000_000), (5_000_000, 8_000_000)]) == 3_000_000
    assert outside(shown, []) == 9_000_000
