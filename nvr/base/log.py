"""One line per event: a dotted name and ``key=value`` pairs, Chinese readable.

The first failure of a thing is a WARNING, its repeats are DEBUG; per-packet trouble is a
counter reported once a second. Never a credential.
"""

import json
import logging
import sys


def event(log: logging.Logger, level: int, name: str, **fields: object) -> None:
    """Log ``name key=value ...`` at `level`; values are JSON, so a line stays one line."""
    if log.isEnabledFor(level):
        pairs = " ".join(
            f"{key}={json.dumps(value, ensure_ascii=False, default=str)}"
            for key, value in fields.items()
        )
        log.log(level, "%s %s", name, pairs)


def set_up(level: int = logging.INFO) -> None:
    """Send every event to standard error, which systemd stamps and keeps."""
    logging.basicConfig(
        level=level, stream=sys.stderr, format="%(levelname)s %(name)s %(message)s", force=True
    )
