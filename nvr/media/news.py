"""What the box tells upstream systems: one thing that began, ended or happened at once."""

from dataclasses import dataclass, field
from datetime import UTC, datetime
from fnmatch import fnmatchcase
from typing import Literal

from nvr.media.happening import BOX

What = Literal["begin", "end", "once"]
Severity = Literal["alert", "error", "warning", "notice", "info"]
AUDIT, TEST, DROPPED = "audit", "test", "dropped"


@dataclass(frozen=True, slots=True)
class News:
    """One thing.

    Attributes:
        id: Never given out twice by any box.
        at_us: UTC microseconds by the box's clock.
        event: A kind of `nvr.media.happening`, or ``camera.lost``, ``record.stopped``,
            ``box.started``, ``box.fault``, ``box.warning``, ``audit``, ``dropped``, ``test``.
        what: It begins, is over, or has no length.
        camera: At which camera; empty for the box.
        name: Zone, input or output; the code of what is the matter with the box.
        severity: How bad, as syslog has it.
        code: Stable code of what is the matter, empty if nothing is.
        detail: One sentence for a person, or empty.
        more: Fields that only its kind has.
    """

    id: str
    at_us: int
    event: str
    what: What = "once"
    camera: str = BOX
    name: str = ""
    severity: Severity = "notice"
    code: str = ""
    detail: str = ""
    more: dict[str, str] = field(default_factory=dict)

    def plain(self) -> dict[str, str]:
        """The same for JSON: what is empty is left out."""
        at = datetime.fromtimestamp(self.at_us / 1e6, UTC).isoformat(timespec="milliseconds")
        found = {
            "id": self.id, "at": at.replace("+00:00", "Z"), "event": self.event,
            "what": self.what, "camera": self.camera, "name": self.name,
            "severity": self.severity, "code": self.code, "detail": self.detail, **self.more,
        }  # fmt: skip
        return {key: value for key, value in found.items() if value}


def wanted(news: News, events: tuple[str, ...], cameras: tuple[str, ...]) -> bool:
    """Whether a filter lets that through.

    Args:
        news: What.
        events: Kinds, with ``*`` for any end: ``object.*``; empty for all but the audit log.
        cameras: Names; empty for all. What is the box's own always comes.
    """
    if news.event in {TEST, DROPPED}:
        return True
    if cameras and news.camera != BOX and news.camera not in cameras:
        return False
    if not events:
        return news.event != AUDIT
    return any(fnmatchcase(news.event, pattern) for pattern in events)
