"""A pattern that is taken down from a hand. Time is an argument."""

from nvr.media.ports import Operator
from nvr.media.program import MOST_MOVES, PATTERN_MAX_S, Moved, Pattern
from nvr.ptz.pilot import TRAVEL_S, Seen
from nvr.ptz.schedule import Motion


class Taking:
    """What a hand does from a preset on; what it does before the head may have arrived is left out.

    Args:
        name: Of the pattern.
        preset: Where it begins.
        who: Whose hand.
        now_s: When the head was sent there.
    """

    def __init__(self, name: str, preset: int, who: Operator, now_s: float) -> None:
        self.name, self.preset, self.who = name, preset, who
        self.ready_s = now_s + TRAVEL_S
        self._begun_s: float | None = None
        self._moves: list[Moved] = []

    def seen(self, who: Operator, what: Seen, motion: Motion, now_s: float) -> bool:
        """Note what the head was told; False if it is not this hand's any more."""
        if who != self.who or what == "call":
            return False
        if now_s < self.ready_s or what == "take":
            return True
        speeds = (motion.pan, motion.tilt, motion.zoom)
        if self._begun_s is None:
            if not any(speeds):
                return True
            self._begun_s = now_s
        last = self._moves[-1] if self._moves else None
        if last is None or (last.pan, last.tilt, last.zoom) != speeds:
            self._moves.append(Moved(now_s - self._begun_s, *speeds))
        return True

    def over(self, now_s: float) -> bool:
        """Whether it is as long as one may be."""
        long = self._begun_s is not None and now_s - self._begun_s >= PATTERN_MAX_S
        return long or len(self._moves) >= MOST_MOVES

    def pattern(self, now_s: float) -> Pattern | None:
        """Return what was taken down, None if nothing was."""
        if self._begun_s is None:
            return None
        still = not any((self._moves[-1].pan, self._moves[-1].tilt, self._moves[-1].zoom))
        end_s = self._moves[-1].at_s if still else now_s - self._begun_s
        lasts_s = min(max(end_s, 0.01), PATTERN_MAX_S)
        moves = [one for one in self._moves if one.at_s <= lasts_s]
        return Pattern(self.name, self.preset, tuple(moves), lasts_s)
