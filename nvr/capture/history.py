"""The last hour and the last day of a stream, in steps, in as many numbers and no more."""

from array import array

from nvr.media.health import Condition, History

_LETTERS: dict[Condition, str] = {
    "recording": "r", "watched": "w", "off": "o", "connecting": "c", "degraded": "d", "lost": "l",
}  # fmt: skip
_WORSE = " rwocdl"
_MOST = 2**32 - 1


class Trace:
    """Steps of equal length; what is added goes to the last one.

    Args:
        step_s: Length of a step.
        steps: How many are kept.
    """

    def __init__(self, step_s: float, steps: int) -> None:
        self._step_s = step_s
        self._steps = steps
        self._bytes = array("Q", bytes(8 * steps))
        self._frames, self._lost, self._jitter = (array("I", bytes(4 * steps)) for _ in range(3))
        self._state = bytearray(b" " * steps)
        self._at: int | None = None
        self._since_s = 0.0

    def add(
        self,
        now_s: float,
        *,
        bytes_in: int,
        frames: int,
        lost: int,
        jitter_ms: float,
        state: Condition,
    ) -> None:
        """Add what came since the last call, and the state now; monotonic seconds."""
        at = int(now_s // self._step_s)
        if self._at is None:
            self._at, self._since_s = at, now_s
        for step in range(max(self._at + 1, at - self._steps + 1), at + 1):
            self._clear(step % self._steps)
        self._at = max(self._at, at)
        place = self._at % self._steps
        self._bytes[place] += max(0, bytes_in)
        self._frames[place] = min(_MOST, self._frames[place] + max(0, frames))
        self._lost[place] = min(_MOST, self._lost[place] + max(0, lost))
        self._jitter[place] = max(self._jitter[place], min(_MOST, max(0, round(jitter_ms))))
        worst = max(chr(self._state[place]), _LETTERS[state], key=_WORSE.index)
        self._state[place] = ord(worst)

    def _clear(self, place: int) -> None:
        self._bytes[place] = self._frames[place] = self._lost[place] = self._jitter[place] = 0
        self._state[place] = ord(" ")

    def history(self, now_s: float, wall_us: int) -> History:
        """Return what is kept up to `now_s`, which is `wall_us` UTC microseconds."""
        if self._at is None:
            return History(self._step_s, wall_us)
        places = [step % self._steps for step in range(self._at - self._steps + 1, self._at + 1)]
        places = [place for place in places if self._state[place] != ord(" ")]
        end_s = (self._at + 1) * self._step_s
        # Of the step that goes on, and of the first one, only a part is there.
        spans_s = [self._step_s] * len(places)
        if places:
            spans_s[-1] -= max(0.0, end_s - now_s)
            begun_s = end_s - len(places) * self._step_s
            spans_s[0] -= max(0.0, self._since_s - begun_s)
        spans_s = [max(1.0, span_s) for span_s in spans_s]
        return History(
            self._step_s,
            wall_us + round((end_s - now_s) * 1e6),
            tuple(
                round(self._bytes[p] * 8 / 1000 / s) for p, s in zip(places, spans_s, strict=True)
            ),
            tuple(round(self._frames[p] / s, 1) for p, s in zip(places, spans_s, strict=True)),
            tuple(self._lost[p] for p in places),
            tuple(self._jitter[p] for p in places),
            "".join(chr(self._state[p]) for p in places),
        )
