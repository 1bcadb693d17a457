"""Where shipped files lie: in a checkout its own, else those installed with the recorder."""

import sys
from pathlib import Path


def shipped(name: str) -> Path:
    """Return a directory of shipped files, such as ``board`` or ``board/ptz``."""
    source = Path(__file__).parents[2] / name
    return source if source.is_dir() else Path(sys.prefix) / "share" / "nvr" / name
