"""Outputs when the recorder is killed or frozen: how long until each is as after a crash.

    python -m tests.faults.outputs --rounds 10 --json

Five outputs, one of them on after a crash, are switched on by a recorder in a process of its own;
then it is killed or stopped at a random moment of its beat. The lines keep their state elsewhere:
simulated relays, or a chip on a directory under the real libgpiod (`tests/gpio`).
"""

import random
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from tests.bench import figures
from tests.gpio.chip import SOURCE, PaperChip
from tests.gpio.test_gone import Lines
from tests.ptz.line import RelayBox

LIMITS = {
    "left": figures.at_most(0, "nothing may be left as it was"),
    "worst_safe_s": figures.at_most(1, "promised: safe within 1 s"),
}
SIGNALS = {"killed": signal.SIGKILL, "frozen": signal.SIGSTOP}
_GIVEN_UP_S = 5.0


def one(driver: str, number: signal.Signals, library: Path, rng: random.Random) -> float | None:
    """Seconds until all are safe, None if they never were."""
    with tempfile.TemporaryDirectory(prefix="nvr-outputs-") as made:
        place = Path(made)
        relays = RelayBox(place / "relay0")
        lines = Lines(driver, PaperChip(place / "chip", library), relays)
        child = lines.start()
        try:
            lines.all_on()
            time.sleep(rng.uniform(0.1, 0.3))
            began_s = time.monotonic()
            child.process.send_signal(number)
            while not lines.crashed():
                if time.monotonic() - began_s > _GIVEN_UP_S:
                    return None
                time.sleep(0.001)
            return time.monotonic() - began_s
        finally:
            child.end()
            relays.close()


def main(arguments: list[str] | None = None) -> int:
    """Run the harness."""
    assert __doc__ is not None
    parser = figures.arguments(__doc__.partition("\n")[0])
    parser.add_argument("--rounds", type=int, default=10, help="of each driver and signal")
    parser.add_argument("--seed", type=int, default=1)
    chosen = parser.parse_args(arguments)
    rng = random.Random(chosen.seed)
    took: dict[str, list[float]] = {}
    left = 0
    with tempfile.TemporaryDirectory(prefix="nvr-chip-") as made:
        library = Path(made) / "gpiochip.so"
        words = ["gcc", "-shared", "-fPIC", "-O1", "-o", library, SOURCE, "-ldl"]
        subprocess.run(words, check=True)
        for _ in range(chosen.rounds):
            for driver in ("gpiod", "virtual"):
                for what, number in SIGNALS.items():
                    safe_s = one(driver, number, library, rng)
                    if safe_s is None:
                        left += 1
                    else:
                        took.setdefault(f"{driver}_{what}", []).append(safe_s)
    each = {f"{name}_worst_s": round(max(found), 3) for name, found in sorted(took.items())}
    every = [one_s for found in took.values() for one_s in found]
    measured = {
        "scenarios": len(every) + left,
        "left": left,
        "worst_safe_s": round(max(every), 3) if every else None,
        **each,
    }
    return figures.report("outputs", measured, LIMITS, as_json=chosen.json)


if __name__ == "__main__":
    sys.exit(main())
