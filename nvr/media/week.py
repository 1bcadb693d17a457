"""A week by the clock of the place: stretches of days, each with something that holds then.

A stretch counts by what the clock on the wall shows. In the night in which it is put forward, one
that begins in the hour that is left out begins after it; in the other night, the hour that comes
twice counts twice.
"""

import re
from collections.abc import Sequence

DAY_STRETCHES = 8
DAY_MIN = 24 * 60
_STRETCH = re.compile(
    r"([01][0-9]|2[0-3]):([0-5][0-9])-(?:([01][0-9]|2[0-3]):([0-5][0-9])|24:00) (\S.*)"
)


def stretch(text: str) -> tuple[int, int, str]:
    """Return the first minute, the minute after the last and what holds, of ``08:00-18:00 off``.

    Raises:
        ValueError: It is not written so.
    """
    found = _STRETCH.fullmatch(text)
    if found is None:
        raise ValueError(text)
    begin = int(found[1]) * 60 + int(found[2])
    end = DAY_MIN if found[3] is None else int(found[3]) * 60 + int(found[4])
    return begin, end, found[5]


def fault_of_stretch(text: str) -> str:
    """Say in words what is wrong with a stretch, empty if nothing is."""
    try:
        begin, end, _ = stretch(text)
    except ValueError:
        return f"{text[:40]} is not written as 08:00-18:00 and a word"
    return "" if begin < end else f"{text[:40]} ends before it begins"


def at(week: Sequence[Sequence[str]], weekday: int, minute: int) -> str:
    """Return what holds on a weekday, Monday being 0, at a minute of the day; empty for nothing."""
    for text in week[weekday]:
        begin, end, what = stretch(text)
        if begin <= minute < end:
            return what
    return ""
