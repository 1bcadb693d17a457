"""What the process that films says of itself, and what both ways of filming do alike."""

import resource
from collections.abc import Callable
from typing import Final

from msgspec.structs import replace

from nvr.app.film_desk import Desk
from nvr.base.clock import Clock
from nvr.capture import v4l2
from nvr.media.film import REPORT_S, Condition, Failed, Refused, Report, Work

SEND_S: Final = 5.0
"""So long may the recorder not read before we give up."""


class Reporter:
    """Says what is the matter with a source, and once a second what was done.

    Args:
        say: Reports.
        pictures: What lacks is said in pictures.
        clock: Time source.
    """

    def __init__(self, say: Callable[[Report], None], clock: Clock, *, pictures: bool) -> None:
        self.say, self._clock, self._pictures = say, clock, pictures
        self._lack = ""
        self._said_s = clock.monotonic_s()

    def look(self, lack: str, work: Work) -> bool:
        """Say what there is to say now; returns whether a second is over."""
        if lack != self._lack:
            self._lack = lack
            self.say(Condition(lack, self._pictures))
        now_s = self._clock.monotonic_s()
        if now_s - self._said_s >= REPORT_S:
            self._said_s = now_s
            self.say(replace(work, cpu_s=spent_s()))
            return True
        return False


def spent_s() -> float:
    """Processor seconds of this process and of those it has waited for."""
    own, children = (
        resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)
    )
    return own.ru_utime + own.ru_stime + children.ru_utime + children.ru_stime


def turn(source: object, desk: Desk, say: Callable[[Report], None]) -> None:
    """Set a device's controls, if others are wished for."""
    wanted = desk.turned()
    if wanted is not None and isinstance(source, v4l2.Device):
        for sentence in source.turn(wanted):
            say(Refused("device.no_control", sentence))


def lost() -> Failed:
    """Return what is said of a sub stream whose socket did not come."""
    return Failed("Unavailable", "film.silent", "its socket was lost on the way")
