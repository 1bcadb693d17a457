"""Notices when a stream is no longer recorded, and why, and when it is again.

What the disk has acknowledged decides; what the camera or the volume is known to lack only makes
it quicker. Each change becomes an event in the log at once, and a note in the volume's log.
"""

import logging
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace

from nvr.base.clock import Clock
from nvr.base.log import event
from nvr.media.ports import Acknowledged
from nvr.record.note import PLANNED, RECORDED, Note, stamped

_log = logging.getLogger(__name__)

SILENT_S = 5.0
"""A part of half a second and a slow group, with room."""
STEP_US = 500_000
"""The wall clock moved by more than this between two looks, against the monotonic one."""
ALIVE_S = 60.0
_WORSE = 2
"""An uncertainty of the clock this many times the one noted is noted anew."""
_LEAST_MS = 100


@dataclass(frozen=True, slots=True)
class Reason:
    """Why a stream might not be recorded.

    Attributes:
        cause: ``camera``, ``behind``, ``disk``, ``volume`` or ``plan``.
        code: Error code to go with it.
        sure: Nothing can come any more, so that there is no need to wait and see.
    """

    cause: str
    code: str = ""
    sure: bool = False


@dataclass(frozen=True, slots=True)
class Stopped:
    """A stream that is not recorded now.

    Attributes:
        reason: Why.
        since_us: UTC microseconds of the end of what was recorded last.
        since_s: The same in monotonic seconds.
    """

    reason: Reason
    since_us: int
    since_s: float


@dataclass(slots=True)
class _Seen:
    """A stream: up to when it is recorded, when that was said, since when nothing hinders it."""

    until_us: int
    told_s: float
    clear_us: int | None = None
    stopped: Stopped | None = None


class Watch:
    """Looks at every stream that should be recorded; of one thread but for `acknowledged`.

    Args:
        clock: Time source.
        note: Keeps a note.
        unset: Whether the wall clock was not set yet since the box was switched on.
        trust: How the wall clock is set, and by how many milliseconds it may be off; None if that
            cannot be told.
    """

    def __init__(
        self,
        clock: Clock,
        note: Callable[[Note], None],
        unset: Callable[[], bool] = lambda: False,
        trust: Callable[[], tuple[str, int] | None] = lambda: None,
    ) -> None:
        self._clock = clock
        self._note = note
        self._seen: dict[str, _Seen] = {}
        self._ahead_us = self._ahead()
        self._is_unset = unset
        self._trust = trust
        self._trusted: tuple[str, int] | None = None
        self._unset = unset()
        self._told_s = clock.monotonic_s()
        self._gaps: dict[str, Counter[str]] = {}

    def gaps(self, stream: str) -> Mapping[str, int]:
        """How often a stream stopped being recorded, by cause."""
        return self._gaps.get(stream, {})

    def acknowledged(self, done: Iterable[Acknowledged]) -> None:
        """Take what is durable; from any thread."""
        for one in done:
            seen = self._seen.get(one.stream)
            if seen is not None:
                seen.until_us, seen.told_s = one.until_us, one.at_s

    def stopped(self, stream: str) -> Stopped | None:
        """Return why and since when a stream is not recorded, None if it is."""
        seen = self._seen.get(stream)
        return seen.stopped if seen else None

    def begin(self, stream: str) -> None:
        """A stream is to be recorded from now on."""
        now_s = self._clock.monotonic_s()
        self._seen[stream] = _Seen(self._clock.wall_us(), now_s)

    def end(self, stream: str, by: str) -> None:
        """A stream is not to be recorded any more, as somebody wanted it.

        Args:
            stream: Its name.
            by: Who.
        """
        seen = self._seen.pop(stream, None)
        now_us = self._clock.wall_us()
        since_us = seen.until_us if seen else now_us
        event(_log, logging.INFO, "record.camera_removed", stream=stream, by=by)
        self._write(Note("gap", now_us, stream=stream, cause="removed", by=by, since_us=since_us))

    def look(self, reasons: Mapping[str, Reason | None]) -> list[str]:
        """Compare what is recorded with what should be.

        Args:
            reasons: For each stream to be recorded what is known to be in the way.

        Returns:
            The streams of which it changed whether, or why not, they are recorded.
        """
        self._look_at_clock()
        now_s = self._clock.monotonic_s()
        changed = [
            stream
            for stream, reason in reasons.items()
            if (seen := self._seen.get(stream)) and self._look_at(stream, seen, reason, now_s)
        ]
        newest_s = max([self._told_s, *(seen.told_s for seen in self._seen.values())])
        if self._seen and now_s - newest_s >= ALIVE_S:
            self._write(Note("alive", self._clock.wall_us()))
        return changed

    def _look_at(self, stream: str, seen: _Seen, reason: Reason | None, now_s: float) -> bool:
        silent = now_s - seen.told_s >= SILENT_S
        hindered = reason is not None and reason.sure
        before = seen.stopped
        if before is None:
            if silent or hindered:
                self._stop(stream, seen, reason or Reason("unknown"))
                return True
            return False
        if hindered:
            seen.clear_us = None
        elif seen.clear_us is None:
            seen.clear_us = self._clock.wall_us()
        if seen.clear_us is None and seen.until_us != before.since_us:
            # What was under way when it stopped, or came in a short moment between.
            seen.stopped = replace(before, since_us=seen.until_us, since_s=seen.told_s)
            self._write_gap(stream, before.reason, seen.until_us)
        elif seen.clear_us is not None and seen.until_us > seen.clear_us and not silent:
            self._go_on(stream, seen, before)
            return True
        if reason and reason.cause != before.reason.cause:
            self._stop(stream, seen, reason)
            return True
        return False

    def _stop(self, stream: str, seen: _Seen, reason: Reason) -> None:
        now_us, before = self._clock.wall_us(), seen.stopped
        if before is None:
            self._gaps.setdefault(stream, Counter())[reason.cause] += 1
        began = before or Stopped(reason, seen.until_us, seen.told_s)
        seen.stopped = replace(began, reason=reason)
        seen.clear_us = None if reason.sure else now_us
        event(
            _log,
            logging.DEBUG if reason.cause == PLANNED else logging.WARNING,
            "record.camera_stopped",
            stream=stream,
            cause=reason.cause,
            code=reason.code,
        )
        # Another cause counts from now on, but one that was found late from the beginning.
        since_us = now_us if before and before.reason.cause != "unknown" else seen.until_us
        self._write_gap(stream, reason, since_us)

    def _write_gap(self, stream: str, reason: Reason, since_us: int) -> None:
        self._write(
            Note(
                "gap",
                self._clock.wall_us(),
                stream=stream,
                cause=reason.cause,
                code=reason.code,
                since_us=since_us,
            )
        )

    def _go_on(self, stream: str, seen: _Seen, before: Stopped) -> None:
        lasted_s = round(seen.told_s - before.since_s, 1)
        event(
            _log,
            logging.DEBUG if before.reason.cause == PLANNED else logging.INFO,
            "record.camera_resumed",
            stream=stream,
            cause=before.reason.cause,
            lasted_s=lasted_s,
        )
        seen.stopped = None
        self._write(Note("gap", self._clock.wall_us(), stream=stream, cause=RECORDED))

    def _look_at_clock(self) -> None:
        ahead_us = self._ahead()
        if abs(ahead_us - self._ahead_us) > STEP_US:
            after_us = self._clock.wall_us()
            before_us = after_us - ahead_us + self._ahead_us
            for seen in self._seen.values():  # what is noted later speaks of the new clock
                seen.until_us += ahead_us - self._ahead_us
                if seen.stopped is not None:
                    since_us = seen.stopped.since_us + ahead_us - self._ahead_us
                    seen.stopped = replace(seen.stopped, since_us=since_us)
                if seen.clear_us is not None:
                    seen.clear_us += ahead_us - self._ahead_us
            self._write(Note("clock", before_us, after_us=after_us, unset=self._unset))
        self._ahead_us, self._unset = ahead_us, self._is_unset()
        self._look_at_trust()

    def _look_at_trust(self) -> None:
        """Note how good the clock is, if that is not what was noted last."""
        now, before = self._trust(), self._trusted
        if now is None:
            return
        if before and before[0] == now[0]:
            low, high = sorted((max(now[1], _LEAST_MS), max(before[1], _LEAST_MS)))
            if high < low * _WORSE:
                return
        self._trusted = now
        self._write(Note("trust", self._clock.wall_us(), state=now[0], uncertainty_ms=now[1]))

    def _ahead(self) -> int:
        return self._clock.wall_us() - round(self._clock.monotonic_s() * 1e6)

    def _write(self, note: Note) -> None:
        self._told_s = self._clock.monotonic_s()
        self._note(stamped(note, self._clock))
