"""What of recordings was looked at, for the audit log."""

from collections import OrderedDict

from nvr.auth.audit import Audit, Entry
from nvr.web.parts import Caller

NOTED_US = 3600_000_000
MOST_NOTED = 4096


class Looked:
    """Scrubbing fetches ten groups a second: the log says which hours were looked at.

    Args:
        audit: The log.
    """

    def __init__(self, audit: Audit) -> None:
        self._audit = audit
        # What the log has already: one row for each session, camera and hour.
        self._noted: OrderedDict[tuple[int, str, int], None] = OrderedDict()

    def note(self, caller: Caller, camera: str, t_us: int) -> None:
        """Say that somebody looks at a time, UTC microseconds."""
        if caller.session is None:
            return
        key = (caller.session.number, camera, t_us // NOTED_US)
        if key in self._noted:
            return
        self.record(caller, camera, "gop", f"at {t_us}")
        self._noted[key] = None
        if len(self._noted) > MOST_NOTED:
            self._noted.popitem(last=False)

    def record(self, caller: Caller, camera: str, what: str, reason: str) -> None:
        """Written before the first byte goes out, so that breaking off does not hide it."""
        self._audit.record(
            Entry(
                "event",
                f"http GET /api/camera/{{name}}/{what}",
                "ok",
                reason,
                caller.subject.name,
                caller.address,
                camera,
                f"camera:{camera}",
            )
        )
