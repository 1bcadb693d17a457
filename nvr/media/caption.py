"""What a caption may say: how much of it, in which modes, and the fields that stand for the time.

========== =================================================================
field      stands for
========== =================================================================
{time}     date, weekday, time of day and zone: ``2026-11-23 星期一 14:32:07 +08:00``
{date}     ``2026-11-23``
{weekday}  ``星期一``
{hms}      ``14:32:07``
{zone}     ``+08:00``
{clock}    how far the clock can be trusted: ``NTP ±5 ms``, ``RTC ±2.4 s``, ``时间未校准``
========== =================================================================

Pure text, apart from drawing: who keeps or checks captions loads neither NumPy nor FreeType.
"""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta, tzinfo
from typing import Literal, get_args

Mode = Literal["plain", "outline", "box", "blink", "inverse", "scroll"]
MODES: tuple[Mode, ...] = get_args(Mode)
MOST_LINES = 8
MOST_CHARACTERS = 32
MOST_FIELDS = 6
TIME = "{time}"
CLOCK = "{clock}"
FIELD = re.compile(r"\{(time|date|weekday|hms|zone|clock)\}")

_WEEKDAYS = "一二三四五六日"
_EPOCH = datetime.fromisoformat("1970-01-01T00:00:00+00:00")
_UNKNOWN_MS = 0xFFFFFFFF


@dataclass(frozen=True, slots=True)
class CaptionText:
    """What is written into, or over, a camera's picture.

    Attributes:
        lines: Up to 8 lines of up to 32 characters; ``{time}`` stands for the wall time.
        position_permille: Left and top, thousandths of the picture's width and height.
        size_permille: Height of an em, thousandths of the picture's height.
        mode: ``plain``, ``outline``, ``box``, ``blink``, ``inverse`` or ``scroll``.
    """

    lines: tuple[str, ...]
    position_permille: tuple[int, int]
    size_permille: int
    mode: str


CaptionAt = Callable[[int], CaptionText]
"""Says what a caption was at some UTC microseconds."""


def fault_of(lines: Sequence[str]) -> str:
    """Return what is wrong with the lines of a caption, empty if nothing is."""
    if len(lines) > MOST_LINES:
        return f"a caption has at most {MOST_LINES} lines"
    for line in lines:
        if len(FIELD.sub("", line)) > MOST_CHARACTERS:
            return f"a line has at most {MOST_CHARACTERS} characters"
        if len(FIELD.findall(line)) > MOST_FIELDS:
            return f"a line has at most {MOST_FIELDS} fields"
        if not all(c.isprintable() or c == "\u3000" for c in line):
            return "a line has no line breaks or control characters"
    return ""


def moves(line: str) -> bool:
    """Whether a line says something else every second."""
    return FIELD.search(line) is not None


def expand(line: str, wall_us: int, zone: tzinfo | None = None, clock: str = "") -> str:
    """Return a line with its fields filled in, as of UTC microseconds `wall_us`.

    Args:
        line: As written.
        wall_us: UTC microseconds; what is shown goes by whole seconds.
        zone: Time zone, None for the box's own.
        clock: What ``{clock}`` stands for. See `clock_text`.
    """
    if not moves(line):
        return line
    at = (_EPOCH + timedelta(seconds=wall_us // 1_000_000)).astimezone(zone)
    date, rest = at.isoformat().split("T")  # a caption with the time is drawn every second
    said = {
        "date": date,
        "weekday": f"星期{_WEEKDAYS[at.weekday()]}",
        "hms": rest[:8],
        "zone": rest[-6:],
        "clock": clock,
    }
    said["time"] = f"{said['date']} {said['weekday']} {said['hms']} {said['zone']}"
    return FIELD.sub(lambda found: said[found[1]], line)


def clock_text(state: str, uncertainty_ms: int) -> str:
    """Return how far a clock can be trusted, as a caption says it.

    Args:
        state: ``ntp``, ``gb28181``, ``rtc`` or ``unsynced``; anything else is not known.
        uncertainty_ms: How far it may be off; 0xFFFFFFFF if nobody knows.
    """
    if state not in {"ntp", "gb28181", "rtc"}:
        return "时间未校准" if state == "unsynced" else ""
    name = state.upper()
    if uncertainty_ms >= _UNKNOWN_MS:
        return f"{name} ±?"
    if uncertainty_ms < 1000:
        return f"{name} ±{uncertainty_ms} ms"
    return f"{name} ±{uncertainty_ms / 1000:.1f} s"
