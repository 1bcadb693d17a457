"""A bad block, and a few cuts of a volume that is resized, on a real file system."""

import subprocess
import sys
from pathlib import Path

import pytest

from tests.faults import drive

ROOT = Path(__file__).parents[2]


def test_a_bad_block_is_set_aside_and_no_cut_of_a_resize_leaves_a_block_without_its_file() -> None:
    try:
        drive.require("ext4")
    except drive.Missing as err:
        pytest.skip(str(err))
    done = subprocess.run(  # in a mount namespace of its own
        [sys.executable, "-m", "tests.faults.resize_cut", "--cuts", "8"],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout
