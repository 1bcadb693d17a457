"""How fast a head moves and stops: from the command to the byte on the wire.

The far end of the serial line is a pseudo-terminal that this process reads and stamps.
"""

import json
import os
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from nvr.wire.pelco_d import Cmd
from tests.bench.figures import ROOT, arguments, at_most, progress, report
from tests.ptz.line import FarEnd, Heard, RelayBox

GAP_S = 0.08
LIMITS = {
    "to_wire_p99_ms": at_most(10, "a hand does not feel it, and the frame itself takes 7 to 29 ms"),
    "close_to_stop_ms": at_most(50, "a closed page must not steer"),
    "frozen_to_stop_ms": at_most(550, "the lease of 500 ms, and a margin for the machine"),
    "killed_to_stop_ms": at_most(500, "the guard's silence of 400 ms, and a margin"),
}


class Stack:
    """Bus, arbiter, outputs and guard in a child process, commanded over a pipe."""

    def __init__(self, far: FarEnd, relays: RelayBox) -> None:
        self.far = far
        self._child = subprocess.Popen(
            [sys.executable, "-m", "tests.ptz.recorder", far.path, relays.path, "1"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            cwd=ROOT,
        )
        self._child.stdout.readline()
        far.wait_count(2)

    def ask(self, do: str, **order: object) -> float:
        """Return when the child carried it out."""
        self._child.stdin.write(json.dumps({"do": do, **order}) + "\n")
        self._child.stdin.flush()
        answer = json.loads(self._child.stdout.readline())
        if "code" in answer:
            raise RuntimeError(answer["code"])
        return float(answer["at_s"])

    def move(self, pan: float, lease_s: float = 0.5) -> float:
        return self.ask("move", camera="dome1", pan=pan, tilt=0, zoom=0, lease_s=lease_s)

    def close_page(self) -> float:
        return self.ask("gone")

    def signal(self, number: int) -> float:
        at_s = time.monotonic()
        self._child.send_signal(number)
        return at_s

    def end(self) -> None:
        if self._child.poll() is None:
            self._child.send_signal(signal.SIGCONT)
        self._child.stdin.close()
        self._child.wait(10)
        self._child.stdout.close()


@contextmanager
def stack() -> Iterator[Stack]:
    """Start the control stack alone."""
    with tempfile.TemporaryDirectory() as place:
        far = FarEnd(Path(place) / "dome0")
        relays = RelayBox(Path(place) / "relay0")
        subject = Stack(far, relays)
        try:
            yield subject
        finally:
            subject.end()
            relays.close()
            far.close()


def left(heard: list[Heard]) -> bool:
    return any(h.frame.command & Cmd.LEFT for h in heard)


def first_stop_s(far: FarEnd) -> float:
    heard = far.wait(lambda heard: any(h.still for h in heard))
    return next(h.first_s for h in heard if h.still)


def to_wire_ms(subject: Stack, samples: int) -> list[float]:
    """Change the speed on an idle bus, and see when it arrives."""
    taken = []
    for n in range(samples):
        subject.far.clear()
        at_s = subject.move(-(n % 60 + 3) / 63)
        heard = subject.far.wait(left)
        taken.append((heard[0].first_s - at_s) * 1000)
        time.sleep(GAP_S + 0.02 + n % 7 / 1000)
    settle(subject)
    return taken


def settle(subject: Stack) -> None:
    """Centre the stick and let the line fall silent."""
    subject.far.clear()
    subject.move(0)
    first_stop_s(subject.far)
    time.sleep(3 * GAP_S)


def moving(subject: Stack, lease_s: float = 0.5) -> float:
    """Move and return when the last command was carried out."""
    subject.far.clear()
    subject.move(-1, lease_s)
    subject.far.wait(left)
    time.sleep(GAP_S * 1.5)
    at_s = subject.move(-1, lease_s)
    subject.far.clear()
    return at_s


def closed_ms(subject: Stack, samples: int) -> list[float]:
    """Close the page while it moves the head."""
    taken = []
    for _ in range(samples):
        moving(subject)
        at_s = subject.close_page()
        taken.append((first_stop_s(subject.far) - at_s) * 1000)
        settle(subject)
    return taken


def frozen_ms(subject: Stack, samples: int) -> list[float]:
    """Stop renewing, as a page does whose process is frozen."""
    taken = []
    for _ in range(samples):
        at_s = moving(subject)
        taken.append((first_stop_s(subject.far) - at_s) * 1000)
        settle(subject)
    return taken


def killed_ms(start: Callable[[], "contextmanager[Stack]"], number: int) -> float:
    """Kill or freeze the recorder while it moves the head; a lease of 10 s does not help it."""
    with start() as subject:
        moving(subject, 10)
        at_s = subject.signal(number)
        return (first_stop_s(subject.far) - at_s) * 1000


def main() -> int:
    """Measure and report."""
    parser = arguments(__doc__)
    parser.add_argument("--samples", type=int, default=200, help="commands for to_wire")
    chosen = parser.parse_args()
    progress("control stack alone: command to wire")
    with stack() as subject:
        wire = to_wire_ms(subject, chosen.samples)
        progress("page closed, page frozen")
        closed = closed_ms(subject, 5)
        frozen = frozen_ms(subject, 5)
    progress("recorder killed, recorder frozen")
    ends = {number: [killed_ms(stack, number) for _ in range(3)] for number in (9, 19)}
    figures = {
        "to_wire_p50_ms": statistics.median(wire),
        "to_wire_p99_ms": statistics.quantiles(wire, n=100)[98],
        "close_to_stop_ms": max(closed),
        "frozen_to_stop_ms": max(frozen),
        "killed_to_stop_ms": max(map(max, ends.values())),
        "sigkill_to_stop_ms": max(ends[signal.SIGKILL]),
        "sigstop_to_stop_ms": max(ends[signal.SIGSTOP]),
    }
    rounded = {name: round(value, 2) for name, value in figures.items()}
    return report("control", rounded, LIMITS, as_json=chosen.json)


if __name__ == "__main__":
    os.chdir(ROOT)
    sys.exit(main())
