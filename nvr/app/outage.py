"""A note on the system's disk that the volume took nothing, since when and why.

The volume cannot say so itself while it is missing, foreign or broken, and the box may be started
again before it is back. Once it is back, its own log takes the note over.
"""

import contextlib
import logging
from pathlib import Path

import msgspec

from nvr.base.errors import Unavailable
from nvr.base.log import event
from nvr.config import load as config
from nvr.record.note import Note

_log = logging.getLogger(__name__)
_NAME = "outage.json"


class Outage(msgspec.Struct, frozen=True):
    """Time in which nothing could be recorded.

    Attributes:
        since_us: UTC microseconds of its start.
        cause: ``disk`` or ``volume``.
        code: Error code of what was wrong first.
    """

    since_us: int
    cause: str
    code: str

    def note(self, now_us: int) -> Note:
        """Return it as a note of the volume's log."""
        return Note("gap", now_us, cause=self.cause, code=self.code, since_us=self.since_us)


def load(data: Path) -> Outage | None:
    """Return what is noted in a data directory, None if nothing is or it cannot be read."""
    try:
        return msgspec.json.decode((data / _NAME).read_bytes(), type=Outage)
    except (OSError, msgspec.MsgspecError):
        return None


def save(data: Path, outage: Outage) -> None:
    """Note an outage; what keeps it from being noted is logged."""
    try:
        config.write(data / _NAME, msgspec.json.encode(outage).decode())
    except Unavailable as err:
        event(_log, logging.WARNING, "record.outage_unsaved", error=str(err))


def forget(data: Path) -> None:
    """It is over, and noted elsewhere."""
    with contextlib.suppress(OSError):
        (data / _NAME).unlink(missing_ok=True)
