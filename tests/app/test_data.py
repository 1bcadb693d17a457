import subprocess
import sys
from pathlib import Path

import pytest

from nvr.app.data import DataDirectory
from nvr.base.errors import Rejected
from nvr.hal.board import Board

HOLD = """
import sys
from pathlib import Path
from nvr.app.data import DataDirectory
held = DataDirectory(Path(sys.argv[1]))
print("held", flush=True)
sys.stdin.read()
"""


def test_a_second_recorder_on_the_same_data_is_refused(tmp_path: Path) -> None:
    first = subprocess.Popen(
        [sys.executable, "-c", HOLD, tmp_path], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    with first:
        assert first.stdout is not None
        assert first.stdout.readline() == b"held\n"
        with pytest.raises(Rejected) as caught:
            DataDirectory(tmp_path)
        assert caught.value.code == "data.busy"
        assert caught.value.context["pid"] == str(first.pid)
        first.kill()
    with DataDirectory(tmp_path):
        pass  # a killed recorder leaves no lock behind


def test_a_new_box_gets_the_boards_configuration_and_keeps_its_own(tmp_path: Path) -> None:
    board = Board(schema=1, id="x", title="x", start='schema = 1\nname = "new"\n')
    with DataDirectory(tmp_path) as data:
        assert data.config(board).name == "new"
        data.config_path.write_text('schema = 1\nname = "mine"\n', encoding="utf-8")
        assert data.config(board).name == "mine"
