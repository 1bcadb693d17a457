"""Why there is no recording: every second between two recorded ones, and after the last, explained.

Between two spans of a stream the notes of the volume's log are read in the order of writing and
painted onto the time of the hole, each from its moment on: the camera lost, the recorder stopped,
the power gone since the last sign of life. A step of the clock within splits the hole, so that
each piece is as long as it really was. Without notes the part after the hole names its cause.
"""

from bisect import bisect_right
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from itertools import islice

from nvr.record.header import Cause
from nvr.record.note import ELSEWHERE, FETCH, HERE, RECORDED, Note
from nvr.record.row import Span

GRACE_US = 15_000_000
"""A silence is noticed within this; before, it has the cause that is found, or none yet."""
_SLACK_US = 2_000_000
"""A step of the clock is noticed so late at most."""


@dataclass(frozen=True, slots=True)
class Gap:
    """A stretch of time with nothing recorded.

    Attributes:
        from_us: UTC microseconds of its start.
        to_us: UTC microseconds of its end.
        cause: ``power`` (or the recorder was killed), ``camera``, ``behind``, ``stopped``,
            ``disk``, ``volume`` (missing, foreign or full), ``removed`` (the camera, from the
            configuration), ``plan`` (not to be recorded then), ``gone`` (it was recorded, but is
            not on the disk any more), ``unread`` (it is, or was: the disk is still being looked
            through), ``elsewhere`` (another volume was recorded on), ``away`` (and that is not
            there) or ``unknown``.
        code: Error code to go with it, empty if there is none.
        by: Who stopped the recorder or removed the camera, or which volume is away; empty if not
            known.
        open: It has not ended.
        fetch: What became of fetching it from the camera's own storage, None if nobody tried.
    """

    from_us: int
    to_us: int
    cause: str
    code: str = ""
    by: str = ""
    open: bool = False
    fetch: "Fetch | None" = None


@dataclass(frozen=True, slots=True)
class Fetch:
    """That something was fetched from a camera's own storage, or why it could not be.

    Attributes:
        at_us: UTC microseconds when; 0 if that is not noted any more.
        source: Where from: address and recording.
        code: Error code why not, empty if it was.
    """

    at_us: int = 0
    source: str = ""
    code: str = ""


_Why = tuple[str, str, str]
"""Cause, code and by whom."""
_UNKNOWN: _Why = ("unknown", "", "")


class _Canvas:
    """The time of one hole without the clock's steps, each moment with what is said of it last."""

    def __init__(self, from_us: int, tick_90k: int) -> None:
        self.mark = from_us, tick_90k  # a moment of this start of the recorder
        self.strokes: list[tuple[int, _Why | None]] = [(from_us, None)]
        self.steps: list[tuple[int, int]] = [(from_us, 0)]  # from when, wall time is ahead by
        self.opened = False
        self.removed = False
        self.elsewhere = False

    @property
    def ahead_us(self) -> int:
        return self.steps[-1][1]

    def at(self, wall_us: int) -> int:
        return max(self.strokes[0][0], wall_us - self.ahead_us)

    def at_tick(self, tick_90k: int) -> int:
        return self.mark[0] + max(0, tick_90k - self.mark[1]) * 100 // 9

    def paint(self, at_us: int, why: _Why | None) -> None:
        at_us = max(at_us, self.strokes[0][0])
        while self.strokes and self.strokes[-1][0] >= at_us:
            self.strokes.pop()
        self.strokes.append((at_us, why))

    def step(self, before_us: int, after_us: int) -> None:
        at_us = max(self.steps[-1][0], self.at(before_us))
        self.steps.append((at_us, self.ahead_us + after_us - before_us))

    def gaps(self, to_us: int, base: _Why) -> list[Gap]:
        """Return the pieces up to a wall time; what nothing was said of has the cause `base`."""
        end_us = to_us - self.ahead_us
        found: list[Gap] = []
        for n, (from_us, said) in enumerate(self.strokes):
            until_us = self.strokes[n + 1][0] if n + 1 < len(self.strokes) else end_us
            follows = self.strokes[n + 1][1] if n + 1 < len(self.strokes) else None
            why = said or base
            if not said and follows and until_us - from_us <= GRACE_US:
                why = follows  # it took so long to be noticed
            for begin_us, stop_us, ahead_us in self._pieces(from_us, min(until_us, end_us)):
                _add(found, Gap(begin_us + ahead_us, stop_us + ahead_us, *why))
        return found

    def _pieces(self, from_us: int, to_us: int) -> list[tuple[int, int, int]]:
        pieces = []
        for n, (at_us, ahead_us) in enumerate(self.steps):
            until_us = self.steps[n + 1][0] if n + 1 < len(self.steps) else to_us
            begin_us, stop_us = max(from_us, at_us), min(to_us, until_us)
            if begin_us < stop_us:
                pieces.append((begin_us, stop_us, ahead_us))
        return pieces


def _add(gaps: list[Gap], gap: Gap) -> None:
    last = gaps[-1] if gaps else None
    if last and last.to_us == gap.from_us and _why(last) == _why(gap):
        gaps[-1] = replace(last, to_us=gap.to_us)
    else:
        gaps.append(gap)


def _why(gap: Gap) -> _Why:
    return gap.cause, gap.code, gap.by


class Notes:
    """The notes of a volume, ready to explain holes.

    Args:
        notes: In the order of writing.
        last_tick: Returns the last tick recorded from one run on and before another, below 0 for
            none; asked only where the time of a power cut matters.
        running: Whether a recorder has the volume open; None for the recorder itself.
    """

    def __init__(
        self,
        notes: Sequence[Note],
        last_tick: Callable[[int, int], int],
        *,
        running: bool | None,
    ) -> None:
        self._notes = notes = [note for note in notes if note.kind != FETCH]
        self._running = running
        self._runs = [note.run for note in notes]
        self._last_tick = last_tick

    def streams(self) -> set[str]:
        """Return the streams that any note is about."""
        return {note.stream for note in self._notes if note.stream}

    def between(self, stream: str, last: Span, following: Span) -> list[Gap]:
        """Explain the hole between two spans; none if the clock was set back over all of it."""
        base = "camera" if following.cause is Cause.NONE else following.cause.name.lower()
        if last.run == following.run:  # one clock of ticks: they say how long it was
            hole_us = (following.start_90k - last.end_90k) * 100 // 9
            return [Gap(last.to_us, last.to_us + hole_us, base)] if hole_us > 0 else []
        canvas = _Canvas(last.to_us, last.end_90k)
        found = range(bisect_right(self._runs, last.run), bisect_right(self._runs, following.run))
        told = self._read(canvas, stream, found, last)
        self._read_late(canvas, found.stop, following)
        return canvas.gaps(following.from_us, _UNKNOWN if told else (base, "", ""))

    def before(self, stream: str, first: Span) -> list[Gap]:
        """Explain the time before the first span that a stream ever had, since it is known."""
        return self._without(stream, bisect_right(self._runs, first.run), first.from_us)

    def never(self, stream: str, now_us: int) -> list[Gap]:
        """Explain all the time of a stream of which nothing was ever recorded."""
        return _opened(self._without(stream, len(self._notes), now_us))

    def _without(self, stream: str, until: int, to_us: int) -> list[Gap]:
        begun = None
        for n in range(until):
            if self._notes[n].stream == stream or self._notes[n].cause == ELSEWHERE:
                if self._notes[n].cause == RECORDED:
                    begun = None  # what was recorded since is not on the disk any more
                elif begun is None:
                    begun = n
        if begun is None:
            return []
        note = self._notes[begun]
        canvas = _Canvas(note.since_us or note.wall_us, note.tick_90k)
        self._read(canvas, stream, range(begun, until), None)
        return canvas.gaps(to_us, _UNKNOWN)

    def after(self, stream: str, last: Span, now_us: int) -> list[Gap]:
        """Explain the time since the last span, if the stream is not being recorded now."""
        canvas = _Canvas(last.to_us, last.end_90k)
        found = range(bisect_right(self._runs, last.run), len(self._notes))
        self._read(canvas, stream, found, last)
        silent = canvas.removed or canvas.elsewhere
        if self._running is False and not silent and not self._stopped():
            canvas.paint(self._alive_us(canvas, len(self._notes)), ("power", "", ""))
        untold = canvas.strokes == [(last.to_us, None)]
        if untold and (self._running is None or now_us - last.to_us < GRACE_US):
            return []
        return _opened(canvas.gaps(now_us, _UNKNOWN))

    def _stopped(self) -> bool:
        kinds = (note.kind for note in reversed(self._notes) if note.kind in {"opened", "stopped"})
        return next(kinds, "opened") == "stopped"

    def _read(self, canvas: _Canvas, stream: str, found: range, last: Span | None) -> bool:
        """Paint what the notes in `found` say; returns whether any said something."""
        told = False
        for n in found:
            note = self._notes[n]
            if note.kind == "gap" and note.stream in {"", stream}:
                told = self._read_gap(canvas, note, told=told)
            elif note.kind == "clock":
                if canvas.opened or last is None or _after(canvas, note, last):
                    canvas.step(note.wall_us, note.after_us)
            elif note.kind in {"opened", "stopped"}:
                told = True
                canvas.opened |= note.kind == "opened"
                behind_us = self._behind_us(n) if note.kind == "opened" else 0
                # Nothing was to be recorded here, whatever became of the box.
                if not (canvas.removed or canvas.elsewhere):
                    self._read_life(canvas, n, note.wall_us + behind_us)
                if behind_us:
                    canvas.step(note.wall_us + behind_us, note.wall_us)
                if note.kind == "opened":
                    canvas.mark = canvas.at(note.wall_us), note.tick_90k
        return told

    def _read_late(self, canvas: _Canvas, begin: int, following: Span) -> None:
        """Take steps of the clock before `following`, but noticed in its first moments."""
        for note in islice(self._notes, begin, None):
            since_us = (note.tick_90k - following.start_90k) * 100 // 9
            if note.kind == "opened" or not 0 <= since_us <= _SLACK_US:
                break
            was_us, is_us = note.wall_us - since_us, note.after_us - since_us
            if note.kind == "clock" and abs(is_us - following.from_us) < abs(
                was_us - following.from_us
            ):
                canvas.step(was_us, is_us)

    @staticmethod
    def _read_gap(canvas: _Canvas, note: Note, *, told: bool) -> bool:
        if note.cause == HERE:
            canvas.paint(canvas.at(note.wall_us), None)
            canvas.elsewhere = False
            return True
        if note.cause != RECORDED:
            since_us = min(note.since_us or note.wall_us, note.wall_us)
            if note.cause == ELSEWHERE:
                canvas.opened = canvas.elsewhere = True
            canvas.paint(canvas.at(since_us), (note.cause, note.code, note.by))
            canvas.removed = note.cause == "removed"
            return True
        if not canvas.opened:  # an earlier gap, within the run of the span before
            canvas.strokes = [(canvas.strokes[0][0], None)]
            return False
        return told

    def _behind_us(self, opened: int) -> int:
        """Return by how much the clock was behind when a box without one of its own was started."""
        found_us = 0
        for note in islice(self._notes, opened + 1, None):
            if note.kind == "opened":
                break
            if note.kind == "clock" and note.unset:
                found_us += note.after_us - note.wall_us
        return found_us

    def _read_life(self, canvas: _Canvas, n: int, wall_us: int) -> None:
        note = self._notes[n]
        if note.kind == "stopped":
            canvas.paint(canvas.at(wall_us), ("stopped", note.code, note.by))
        elif not note.clean:
            alive_us = min(self._alive_us(canvas, n), canvas.at(wall_us))
            canvas.paint(alive_us, ("power", "", ""))
        elif canvas.strokes[-1][1] is None:
            canvas.paint(canvas.strokes[-1][0], ("stopped", "", ""))

    def _alive_us(self, canvas: _Canvas, opened: int) -> int:
        """Return when, on the canvas, the last sign of life before the note `opened` was."""
        begun = opened - 1
        while begun >= 0 and self._notes[begun].kind != "opened":
            begun -= 1
        since_run = self._notes[begun].run if begun >= 0 else 0
        until_run = self._notes[opened].run if opened < len(self._notes) else 1 << 63
        ticks = [self._last_tick(since_run, until_run)]
        ticks += [note.tick_90k for note in self._notes[max(begun, 0) : opened]]
        return canvas.at_tick(max(ticks, default=0))


def _after(canvas: _Canvas, note: Note, last: Span) -> bool:
    """Whether the clock was stepped after `last`, not while that was recorded."""
    since_us = (note.tick_90k - last.end_90k) * 100 // 9
    expected_us = last.to_us + canvas.ahead_us + since_us
    was_us, is_us = abs(note.wall_us - expected_us), abs(note.after_us - expected_us)
    return since_us >= -_SLACK_US and was_us <= is_us


def _opened(gaps: list[Gap]) -> list[Gap]:
    return [*gaps[:-1], replace(gaps[-1], open=True)] if gaps else []
