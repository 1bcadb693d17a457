"""The whole check: formatting, lint, types, layers, tests. Stops at the first that fails."""

import subprocess
import sys
import time
from pathlib import Path

BIN = Path(sys.executable).parent
STEPS = (
    ("format", [BIN / "ruff", "format", "--check", "--quiet", "."]),
    ("lint", [BIN / "ruff", "check", "--quiet", "."]),
    ("types", [BIN / "mypy"]),
    ("layers", [BIN / "lint-imports"]),
    ("tests", [sys.executable, "-X", "dev", "-m", "pytest", "-q", *sys.argv[1:]]),
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
