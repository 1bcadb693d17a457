"""The whole check: formatting, lint, types, layers, tests. Stops at the first that fails.

Tests mostly wait, for cameras, disks and browsers, so several files of them run at a time.
"""

import os
import subprocess
import sys
import time
from pathlib import Path

BIN = Path(sys.executable).parent
JOBS = (os.cpu_count() or 1) + 1
WORKERS = ["--dist", "loadfile", "--tx", f"{JOBS}*popen//python={sys.executable} -X dev"]
STEPS = (
    ("format", [BIN / "ruff", "format", "--check", "--quiet", "."]),
    ("lint", [BIN / "ruff", "check", "--quiet", "."]),
    ("types", [BIN / "mypy"]),
    ("layers", [BIN / "lint-imports"]),
    ("tests", [sys.executable, "-X", "dev", "-m", "pytest", "-q", *WORKERS, *sys.argv[1:]]),
)


def main() -> int:
    """Run every step, and say how long each took."""
    for name, command in STEPS:
        started = time.monotonic()
        code = subprocess.run(command, check=False).returncode
        print(
            f"{name}: {'ok' if code == 0 else 'FAILED'} ({time.monotonic() - started:.1f} s)",
            flush=True,
        )
        if code:
            return code
    return 0


if __name__ == "__main__":
    sys.exit(main())
