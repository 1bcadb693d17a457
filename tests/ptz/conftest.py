import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.ptz.line import FarEnd, RelayBox

ROOT = Path(__file__).parents[2]


class Recorder:
    """A control stack in a child process, to be killed and frozen."""

    def __init__(self, far: FarEnd, relays: RelayBox, heads: int = 1, lamp: str = "relay") -> None:
        self.child = subprocess.Popen(
            [
                *(sys.executable, "-m", "tests.ptz.recorder"),
                *(far.path, relays.path, str(heads), lamp),
            ],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            cwd=ROOT,
        )
        self.guard_pid = json.loads(self.child.stdout.readline())["guard"]

    def ask(self, what: str, /, **order: object) -> dict[str, object]:
        self.child.stdin.write(json.dumps({"ask": what, **order}) + "\n")
        self.child.stdin.flush()
        return json.loads(self.child.stdout.readline())

    def signal(self, number: int) -> None:
        self.child.send_signal(number)

    def close(self) -> None:
        if self.child.poll() is None:
            self.child.send_signal(signal.SIGCONT)
            self.child.stdin.close()
        self.child.wait(10)
        self.child.stdout.close()
        if not self.child.stdin.closed:
            self.child.stdin.close()


@pytest.fixture
def far(tmp_path: Path) -> Iterator[FarEnd]:
    end = FarEnd(tmp_path / "dome0")
    yield end
    end.close()


@pytest.fixture
def relays(tmp_path: Path) -> Iterator[RelayBox]:
    box = RelayBox(tmp_path / "relay0")
    yield box
    box.close()


@pytest.fixture
def recorder(far: FarEnd, relays: RelayBox) -> Iterator[Recorder]:
    it = Recorder(far, relays)
    far.wait_count(2)  # every head is told to stop when the port opens
    far.clear()
    yield it
    it.close()


def gone(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    return state == "Z"
