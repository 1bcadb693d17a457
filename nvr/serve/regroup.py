"""Recorded groups of pictures made anew for a browser: small H.264, with masks over them.

Every picture is converted, so that a step is a step; times stay as they were. A group goes to the
sandbox in pieces, between which recording goes first and whoever wants it no more is heard.
"""

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Final

from nvr.base.clock import TICKS_PER_S
from nvr.base.errors import Damaged, Unavailable
from nvr.codec.sandbox import Sandbox
from nvr.media.fragment import Sample, pieces, samples
from nvr.media.mask import Masks
from nvr.media.track import StreamConfig
from nvr.serve.recode import LINES
from nvr.serve.recode_talk import Coded, Recoded, Wanted, ask, nonsense, track_of
from nvr.wire import fmp4

BITRATE_BPS: Final = 1_200_000
_MOST_FPS: Final = 60
_PIECE_BYTES: Final = 512 << 10
_PIECE: Final = 25


@dataclass(frozen=True, slots=True)
class Regrouped:
    """A group as a browser can show it.

    Attributes:
        config: Its one track.
        data: ``moof mdat`` of each picture, decode times on the line of the group given.
        took_s: Seconds it took.
        span_s: Seconds of recording in it.
    """

    config: StreamConfig
    data: bytes
    took_s: float
    span_s: float


class Regroup:
    """Converts for one viewer, one group after the other. Of one thread at a time; `end` of any.

    Args:
        sandbox: Starts one.
        behind: Whether recording lags, so that nothing is converted.
    """

    def __init__(self, sandbox: Callable[[], Sandbox], behind: Callable[[], bool]) -> None:
        self._sandbox, self._behind = sandbox, behind
        self._lock = threading.Lock()
        self._box: Sandbox | None = None
        self._running = self._ended = False

    def end(self) -> None:
        """Stop what goes on, for good; what runs ends with ``sandbox.died``."""
        with self._lock:
            self._ended = True
            if self._box is None:
                return
            if self._running:
                self._box.kill()  # its pipes are that thread's
                return
        self._close()

    def convert(
        self,
        config: StreamConfig,
        data: bytes,
        masks: Masks,
        *,
        key_only: bool = False,
        dropped: Callable[[], bool] = lambda: False,
    ) -> Regrouped | None:
        """Convert a group.

        Args:
            config: Its tracks.
            data: ``moof mdat ...`` from a key frame on.
            masks: What is hidden in it.
            key_only: Only its key frame.
            dropped: Asked now and then whether it is not wanted any more.

        Returns:
            None if it was dropped.

        Raises:
            Unavailable: ``recode.behind``, ``sandbox.failed``.
            Damaged: ``recode.undecodable``: it has no picture that can be decoded;
                ``sandbox.died``, ``fragment.damaged``.
        """
        number = next((n for n, track in enumerate(config) if track.kind == "video"), -1)
        every = (one for piece in pieces(data) for one in samples(piece, config))
        pictures = [one for one in every if one.track == number]
        if not pictures or config[number].codec not in {"h264", "h265", "jpeg"}:
            raise _undecodable()
        taken = pictures[:1] if key_only else pictures
        track = config[number]
        wanted = Wanted(
            track.codec, track.config, LINES, _fps(pictures), BITRATE_BPS, every=True
        )  # fmt: skip
        try:
            box = self._begun()
            begun_s = time.monotonic()
            ask(box, wanted, Recoded)
            found: list[tuple[bytes, int, bool]] = []
            made: StreamConfig = ()
            for piece, last in _pieces(taken):
                if dropped():
                    return None
                if self._behind():
                    raise Unavailable("recode.behind", "recording lags, and goes first")
                units = [(one.data, one.pts_90k) for one in piece]
                answer = ask(box, Coded(units, masks, last), Recoded)
                made = made or ((track_of(answer.head),) if answer.head else ())
                found += answer.samples
        except Damaged:
            self._close()
            raise
        finally:
            self._over()
        if not found or not made:
            raise _undecodable()
        out = b"".join(_fragments(found, taken))
        span_s = sum(one.duration_90k for one in taken) / TICKS_PER_S
        return Regrouped(made, out, time.monotonic() - begun_s, span_s)

    def _begun(self) -> Sandbox:
        with self._lock:
            self._running, box = True, self._box
        box = box or self._sandbox()
        with self._lock:
            self._box = box
            if self._ended:
                box.kill()
        return box

    def _over(self) -> None:
        with self._lock:
            self._running, ended = False, self._ended
        if ended:
            self._close()

    def _close(self) -> None:
        with self._lock:
            box, self._box = self._box, None
        if box is not None:
            box.close()


def _undecodable() -> Damaged:
    return Damaged("recode.undecodable", "none of these pictures can be decoded")


def _fps(pictures: Sequence[Sample]) -> int:
    ticks = sum(one.duration_90k for one in pictures)
    return min(_MOST_FPS, max(1, round(len(pictures) * TICKS_PER_S / ticks))) if ticks else 25


def _pieces(pictures: Sequence[Sample]) -> Iterator[tuple[list[Sample], bool]]:
    piece: list[Sample] = []
    for n, one in enumerate(pictures, 1):
        piece.append(one)
        full = len(piece) >= _PIECE or sum(len(each.data) for each in piece) >= _PIECE_BYTES
        if full or n == len(pictures):
            yield piece, n == len(pictures)
            piece = []


def _fragments(
    found: Sequence[tuple[bytes, int, bool]], pictures: Sequence[Sample]
) -> Iterator[bytes]:
    """Yield each picture until the next one; the sandbox says no time that was not asked for."""
    first_90k = min(one.pts_90k for one in pictures)
    end_90k = max(one.pts_90k + max(1, one.duration_90k) for one in pictures)
    times = [at_90k for _, at_90k, _ in found]
    if times[0] < first_90k or any(a >= b for a, b in pairwise([*times, end_90k])):
        raise nonsense()
    for (data, at_90k, key), after_90k in zip(found, [*times[1:], end_90k], strict=True):
        yield fmp4.fragment(at_90k, after_90k - at_90k, data, key=key)
