"""The whole check: formatting, lint, types, layers, tests. Stops at the first that fails.

Most tests wait, for cameras and disks, so several files of them run at a time; a browser keeps the
processors busy, so the page's come after them, one at a time. A few that failed are run once more
with nothing beside them, and named: a machine that was busy is told from a fault.
"""

import json
import os
import subprocess
import sys
import time
from pathlib import Path

BIN = Path(sys.executable).parent
JOBS = (os.cpu_count() or 1) + 1
# In the order of tests.lanes: by number of tests, as xdist does it, long files of few come last.
WORKERS = [
    "--dist",
    "loadfile",
    "--no-loadscope-reorder",
    # A test that kills its worker is given to the next one, without end.
    "--max-worker-restart=3",
    "--tx",
    f"{JOBS}*popen//python={sys.executable} -X dev",
]
PYTEST = [sys.executable, "-X", "dev", "-m", "pytest", "-q", "-p", "tests.lanes"]
PAGE = "tests/web/page"
STEPS = (
    ("format", [BIN / "ruff", "format", "--check", "--quiet", "."]),
    ("lint", [BIN / "ruff", "check", "--quiet", "."]),
    ("types", [BIN / "mypy"]),
    ("layers", [BIN / "lint-imports"]),
)
TESTS = (
    ("tests", [*PYTEST, *WORKERS, f"--ignore={PAGE}"]),
    ("page", [*PYTEST, PAGE]),
)
CHOSEN = (("tests", [*PYTEST, *WORKERS, *sys.argv[1:]]),)
FAILED = Path(".pytest_cache/v/cache/lastfailed")
FEW = 8
"""More than these are a fault, not a busy machine."""


def main() -> int:
    """Run every step, and say how long each took."""
    for name, command in STEPS:
        if code := step(name, command):
            return code
    FAILED.unlink(missing_ok=True)
    tests = CHOSEN if sys.argv[1:] else TESTS
    worst = max([step(name, command) for name, command in tests])
    if worst != 1:  # pytest's word for tests that failed
        return worst
    failed = json.loads(FAILED.read_text())
    if len(failed) > FEW:
        return worst
    print("failed once, run again alone:", *failed, sep="\n  ", flush=True)
    # By whole files: some tests go on where the one before them ended.
    return step("alone", [*PYTEST, *{test.split("::", 1)[0]: None for test in failed}])


def step(name: str, command: list[str | Path]) -> int:
    started = time.monotonic()
    code = subprocess.run(command, check=False).returncode
    took_s = time.monotonic() - started
    print(f"{name}: {'ok' if code == 0 else 'FAILED'} ({took_s:.1f} s)", flush=True)
    return code


if __name__ == "__main__":
    sys.exit(main())
