"""What a life of `drive_life` tells its harness, and a volume's story over many lives."""

import json
import os
import pickle
import random
from collections import ChainMap, deque
from collections.abc import Mapping

from nvr.media.part import Part
from tests.faults.drive_life import BLOCKS, STREAMS, Life, parts_until
from tests.faults.oracle import Oracle, Result

_REMEMBERED_BYTES = 120 << 20
"""What was sent so long ago that three volumes of it came since is on no volume any more."""
WALL_US = 1_800_000_000_000_000


class Told:
    """What one life told so far, through a pipe that outlives it.

    Args:
        oracle: What is known of the volume; replaced by what the life found.
        life: What it sends.
        pipe: What it tells through.
    """

    def __init__(self, oracle: Oracle, life: Life, pipe: int) -> None:
        self.oracle, self.life, self.pipe = oracle, life, pipe
        self.checked = False
        self.struck_s = 0.0
        self.steps = 0
        self._clock_us = 0
        self._leaps: list[tuple[float, float]] = []
        self._said = b""

    def read(self) -> bool:
        """Take what it said; False once it has ended."""
        data = os.read(self.pipe, 1 << 20)
        self._said += data
        while b"\n" in self._said:
            line, _, rest = self._said.partition(b"\n")
            words = json.loads(line)
            if words[0] == "checked":
                if len(rest) < words[1]:
                    break
                self.adopt(pickle.loads(rest[: words[1]]))
                rest = rest[words[1] :]
            else:
                self._take(words)
            self._said = rest
        return bool(data)

    def adopt(self, oracle: Oracle) -> None:
        """Take over what it found."""
        self.oracle, self.checked = oracle, True

    def failed(self, what: str, where: str) -> None:
        """It ended by an error."""
        raise RuntimeError(f"the recorder failed: {what} ({where})")

    def leapt(self, at_s: float, leapt_s: float) -> None:
        """Its clock leapt."""
        self._leaps.append((at_s, leapt_s))

    def _take(self, words: list) -> None:
        match words:
            case ["acked", block, serial, stream, times]:
                self.oracle.live.add((block, serial))
                self.oracle.acknowledged((block, serial), [(stream, wall) for wall in times])
            case ["gone", block]:
                self.oracle.live -= {place for place in self.oracle.live if place[0] == block}
            case ["leapt", at_s, leapt_s]:
                self.leapt(at_s, leapt_s)
            case ["sent", step]:
                self.steps = step
            case ["clock", clock_us]:
                self._clock_us = clock_us
            case ["error", what, where]:
                self.failed(what, where)

    def cut_us(self) -> int:
        """UTC microseconds on its clock when the power went."""
        leapt_s = [0.0] + [leapt_s for at_s, leapt_s in self._leaps if at_s <= self.struck_s]
        at_us = self._clock_us + round((self.struck_s + leapt_s[-1]) * 1e6)
        return max(self.life.begun_us, at_us)


class Story:
    """What became of one volume in the lives so far.

    Args:
        seed: Of what is left to chance.
        sealed: Whether it is sealed.

    Attributes:
        oracle: What is known of it.
        sent: The lives that anything on it is from, and up to which tick.
    """

    def __init__(self, seed: int, *, sealed: bool) -> None:
        self.sealed = sealed
        self.rng = random.Random(seed)
        self.oracle = Oracle(STREAMS, BLOCKS, {}, Result())
        self.sent: deque[tuple[Life, int]] = deque()
        self._parts: deque[Mapping[bytes, Part]] = deque()
        self._lives = 0

    def next_life(self) -> Life:
        """Return what comes next; `oracle` is ready to check what the last cut left."""
        self.oracle.sent = ChainMap(*self._parts)
        self._lives += 1
        begun_us = WALL_US + self._lives * 3_600_000_000
        return Life(self.rng.getrandbits(32), self._lives, begun_us, self.sealed)

    def ended(self, told: Told) -> None:
        """Take over how a life ended."""
        self.oracle = told.oracle
        if not told.checked:
            self.oracle.result.recoveries_cut += 1
            return
        self.oracle.cut(self.oracle.live, told.life.begun_us, told.cut_us())
        self.sent.append((told.life, told.steps))
        self._parts.append(parts_until(told.life, told.steps))
        while sum(_size(parts) for parts in list(self._parts)[1:]) > _REMEMBERED_BYTES:
            self.sent.popleft()
            self._parts.popleft()


def _size(parts: Mapping[bytes, Part]) -> int:
    return sum(len(part.mdat) for part in parts.values())
