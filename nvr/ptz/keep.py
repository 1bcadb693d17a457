"""What is kept of heads over a restart: locks, programs and what runs, in one small JSON file.

A file that cannot be read is put aside and the box starts without: what is recorded, and that heads
can be steered and stopped, must not hang on it.
"""

import contextlib
import logging
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import msgspec

from nvr.base.file import replace_file
from nvr.base.log import event
from nvr.media.aim import Accuracy
from nvr.media.owner import PtzLock
from nvr.media.program import Program
from nvr.ptz.sight import Sight

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Kept:
    """One head.

    Attributes:
        lock: Who keeps everybody off, and its priority.
        level: Priority of who locked it.
        program: What it may do by itself.
        running: What of that runs, empty if nothing does.
        by: Who began it, empty for the week.
        week: What the week last said; None if it was never followed.
        sight: What was measured of what it sees and how fast it turns.
        accuracy: How well presets were found again.
    """

    lock: PtzLock | None = None
    level: int = 0
    program: Program = field(default_factory=Program)
    running: str = ""
    by: str = ""
    week: str | None = None
    sight: Sight = field(default_factory=Sight)
    accuracy: tuple[Accuracy, ...] = ()


class KeepBook:
    """All of them; in memory until written.

    Args:
        path: The file; made at the first change.
        save: Runs a blocking call elsewhere.
    """

    def __init__(self, path: Path, save: Callable[[Callable[[], None]], None]) -> None:
        self._path, self._save = path, save
        self._heads = _read(path)

    def of(self, camera: str) -> Kept:
        """Return what is kept of a head."""
        return self._heads.get(camera, Kept())

    def cameras(self) -> tuple[str, ...]:
        """Return of which something is kept."""
        return tuple(self._heads)

    def change(self, camera: str, **values: Any) -> None:  # noqa: ANN401 - as `replace`
        """Change some of it and have that written; no effect if nothing changes."""
        before = self.of(camera)
        after = replace(before, **values)
        if after == before:
            return
        self._heads = {**self._heads, camera: after}
        text = msgspec.json.format(msgspec.json.encode(self._heads), indent=1)
        self._save(lambda: replace_file(self._path, text))


def _read(path: Path) -> dict[str, Kept]:
    try:
        return msgspec.json.decode(path.read_bytes(), type=dict[str, Kept])
    except FileNotFoundError:
        return {}
    except (OSError, msgspec.DecodeError, UnicodeDecodeError) as err:
        event(_log, logging.ERROR, "ptz.programs_damaged", file=str(path), error=str(err))
        with contextlib.suppress(OSError):
            path.replace(path.with_suffix(".damaged"))
        return {}
