"""What was measured, with all that a reader needs to judge it: hil/reports/NAME.json."""

import json
import os
import subprocess
import time
from collections.abc import Mapping
from pathlib import Path

ROOT = Path(__file__).parent.parent


def keep(name: str, command: str, machine: str, found: Mapping[str, object]) -> dict[str, object]:
    """Write a report and return it."""
    git = ["git", "-C", str(ROOT)]
    commit = subprocess.run([*git, "rev-parse", "HEAD"], check=True, capture_output=True, text=True)
    changed = subprocess.run(
        [*git, "status", "--porcelain", "--", "nvr", "native", "board", "images", "hil/*.py"],
        check=True, capture_output=True, text=True,
    )  # fmt: skip
    kept = {
        "command": command,
        "commit": commit.stdout.strip() + ("+changes" if changed.stdout else ""),
        "machine": machine,
        "load": round(os.getloadavg()[0], 1),
        "when": time.strftime("%Y-%m-%d", time.gmtime()),
        **found,
    }
    text = json.dumps(kept, indent=1, ensure_ascii=False)
    (ROOT / f"hil/reports/{name}.json").write_text(text + "\n")
    return kept
