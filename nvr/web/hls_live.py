"""A stream as a live playlist: segments and their parts in memory, while somebody asks for them.

Segments begin with key frames and last a second at least. What is asked for before it exists is
waited for. Sound that players do not know is turned to FLAC, once for all of them.

Source: draft-ietf-hls-rfc8216bis-17, section 6.2 (server responsibilities).
"""

import asyncio
import contextlib
import logging
import math
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Final, Protocol

from nvr.base.clock import TICKS_PER_S, Clock
from nvr.base.errors import Damaged, NvrError, Rejected, Unavailable
from nvr.base.log import event
from nvr.media.part import PORTION_90K, Bytes, Portion
from nvr.media.track import StreamConfig
from nvr.web.fragment import Voice, shown
from nvr.wire import fmp4, m3u8

_log = logging.getLogger(__name__)

IDLE_S: Final = 20.0
"""A stream that nobody has asked for so long is not gathered any more."""
BEGIN_S: Final = 10.0
"""How long the first playlist waits for its first segment."""
SECOND_S: Final = 4.0
"""How much longer it waits for a second: GStreamer 1.22 loses a playlist that began with one.

Its search for what it had in what it gets leaves the first of the old ones out.
"""
LEAST_SEGMENT_90K: Final = TICKS_PER_S
MOST_SEGMENT_90K: Final = 10 * TICKS_PER_S
"""A group of pictures that lasts longer is cut all the same."""
LISTED_S: Final = 12.0
KEPT_S: Final = 24.0
"""What is not listed any more can still be had: a player may be about to ask for it."""
MOST_BYTES: Final = 48 << 20
_LEAST_LISTED: Final = 4
_JOINED_90K: Final = 27_000


class Portioned(Protocol):
    """What can be listed. See `nvr.media.ports.Stream`."""

    def portions(
        self, deliver: Callable[[StreamConfig, list[Portion]], None]
    ) -> Callable[[], None]:
        """Deliver from now on; returns what ends it."""
        ...


@dataclass(slots=True)
class _Piece:
    data: Bytes
    duration_s: float
    key: bool


@dataclass(slots=True)
class _Segment:
    number: int
    at_us: int
    init: int
    fresh: bool
    key: bool
    listed: bool
    pieces: list[_Piece] = field(default_factory=list)
    ticks_90k: int = 0
    whole: bool = False
    size: int = 0

    @property
    def duration_s(self) -> float:
        return self.ticks_90k / TICKS_PER_S

    def add(self, portion: Portion, data: Bytes) -> None:
        self.pieces.append(_Piece(data, portion.duration_90k / TICKS_PER_S, portion.key))
        self.ticks_90k += portion.duration_90k
        self.size += len(data)

    def close(self) -> None:
        """Lay its pieces one behind the other, so that all of it is sent without a copy."""
        self.whole = True
        joined, at = memoryview(b"".join(one.data for one in self.pieces)), 0
        for one in self.pieces:
            size = len(one.data)
            one.data = joined[at : at + size]
            at += size


class Rolling:
    """The live playlist of one stream.

    Args:
        stream: Where it comes from.
        name: What its files are called: ``main``.
        clock: Time source.
    """

    def __init__(self, stream: Portioned, name: str, clock: Clock) -> None:
        self._name, self._clock = name, clock
        # Numbers go on where an earlier playlist of the stream ended: a segment lasts a second.
        self._number = clock.wall_us() // 1_000_000
        self._config: StreamConfig | None = None
        self._inits: dict[int, bytes] = {}
        self._fault: NvrError | None = None
        self._voice = Voice()
        self._segments: deque[_Segment] = deque()
        self._end_90k: int | None = None
        self._target_s, self._part_s = 2, 0.0
        self._fresh = 0
        self._text = b""
        self._changed = asyncio.Event()
        self.asked_s = clock.monotonic_s()
        self._stop = stream.portions(self._deliver)

    def close(self) -> None:
        """Gather no more; who waits is told."""
        self._stop()
        self._fault = Unavailable("hls.no_picture", "it is not gathered any more", retry_after_s=1)
        self._wake()

    def idle(self, now_s: float) -> bool:
        """Whether nobody has asked for it for long, at monotonic seconds."""
        return now_s - self.asked_s > IDLE_S

    @property
    def peak_bps(self) -> int:
        """Most bits a second of a segment that is whole, 0 before the first."""
        rates = (one.size * 8 / one.duration_s for one in self._segments if one.whole)
        return round(max(rates, default=0))

    async def playlist(self, number: int | None = None, part: int | None = None) -> bytes:
        """Return the playlist, once it lists a segment or a part of it, if one is asked for.

        Raises:
            Unavailable: ``hls.no_picture``.
            Rejected: ``hls.codec``; ``hls.ahead``: that is too far ahead.
        """
        self.asked_s = self._clock.monotonic_s()
        await self._until(lambda: self._are_whole(1), BEGIN_S)
        if not self._are_whole(2):
            with contextlib.suppress(Unavailable):
                await self._until(lambda: self._are_whole(2), SECOND_S)
        if number is not None:
            if number > self._segments[-1].number + 2:
                raise Rejected("hls.ahead", "that segment is too far ahead", last=self._number)
            await self._until(lambda: self._lists(number, part), 3.0 * self._target_s)
        if not self._text:
            self._text = self._written().encode()
        return self._text

    async def segment(self, number: int) -> list[Bytes]:
        """Return a segment that is whole, in pieces.

        Raises:
            Rejected: ``hls.gone``.
            Unavailable: ``hls.no_picture``.
        """
        self.asked_s = self._clock.monotonic_s()
        one = self._find(number)
        if one is not None and not one.whole:
            await self._until(lambda: one.whole, 3.0 * self._target_s)
        if one is None:
            raise _gone()
        return [piece.data for piece in one.pieces]

    async def part(self, number: int, part: int) -> Bytes:
        """Return a part of a segment; the next one is waited for.

        Raises:
            Rejected: ``hls.gone``.
            Unavailable: ``hls.no_picture``.
        """
        self.asked_s = self._clock.monotonic_s()
        last = self._segments[-1] if self._segments else None
        if last is None or number > last.number + 1 or part > 64:
            raise _gone()
        if number >= last.number:
            await self._until(lambda: self._lists(number, part), 3.0 * self._target_s)
        one = self._find(number)
        if one is None or part >= len(one.pieces):
            raise _gone()
        return one.pieces[part].data

    def init(self, number: int) -> bytes:
        """Return ``ftyp moov``.

        Raises:
            Rejected: ``hls.gone``.
        """
        self.asked_s = self._clock.monotonic_s()
        found = self._inits.get(number)
        if found is None:
            raise _gone()
        return found

    def _are_whole(self, count: int) -> bool:
        return sum(one.whole for one in self._segments) >= count

    def _find(self, number: int) -> _Segment | None:
        return next((one for one in self._segments if one.number == number), None)

    def _lists(self, number: int, part: int | None) -> bool:
        """Whether a segment is listed, or a part of it; the one after its last is the next's."""
        last = self._segments[-1]
        if number < last.number:
            one = self._find(number)
            after = part is not None and one is not None and part >= len(one.pieces)
            return not after or number + 1 < last.number or bool(last.pieces)
        if number > last.number:
            return False
        return last.whole or (part is not None and part < len(last.pieces))

    async def _until(self, met: Callable[[], bool], most_s: float) -> None:
        if self._fault is None and met():
            return
        try:
            async with asyncio.timeout(most_s):
                while self._fault is None and not met():
                    await self._changed.wait()
        except TimeoutError as err:
            raise Unavailable("hls.no_picture", "nothing came in time", retry_after_s=1) from err
        if self._fault is not None:
            raise self._fault

    def _wake(self) -> None:
        self._text = b""
        self._changed.set()
        self._changed = asyncio.Event()

    def _deliver(self, config: StreamConfig, portions: list[Portion]) -> None:
        for portion in portions:
            if config != self._config:
                self._begin(config)
            if self._fault is None:
                try:
                    data = self._voice.turn(portion.data, config)
                except Damaged as err:
                    event(_log, logging.DEBUG, "hls.part_left_out", error=str(err))
                    continue
                self._take(portion, data, regular=len(portions) == 1)
        self._forget()
        self._wake()

    def _begin(self, config: StreamConfig) -> None:
        self._config, self._fault, self._voice = config, None, Voice()
        self._close_last()
        self._end_90k = None
        try:
            codecs(config)
        except ValueError as err:
            event(_log, logging.WARNING, "hls.codec_unknown", stream=self._name, error=str(err))
            self._fault = Rejected("hls.codec", "players of HLS know no such pictures")
            return
        self._inits[self._number + 1] = fmp4.init_segment(shown(config))

    def _take(self, portion: Portion, data: Bytes, *, regular: bool) -> None:
        end_90k = self._end_90k
        fresh = end_90k is None or abs(portion.start_90k - end_90k) > _JOINED_90K
        self._end_90k = portion.start_90k + portion.duration_90k
        last = self._segments[-1] if self._segments else None
        if last is not None and not last.whole and (fresh or self._enough(last, portion)):
            self._close_last()
        if last is None or last.whole:
            self._number += 1
            # Parts of the first are as the recorder cut them, and of no even length.
            self._segments.append(
                _Segment(
                    self._number, portion.wall_us, max(self._inits), fresh and last is not None,
                    portion.key, listed=last is not None,
                )
            )  # fmt: skip
        self._segments[-1].add(portion, data)
        if regular and not portion.ends:
            seconds = portion.duration_90k / TICKS_PER_S
            self._part_s = max(self._part_s, math.ceil(seconds * 100) / 100)
        if portion.ends and self._segments[-1].ticks_90k >= LEAST_SEGMENT_90K:
            self._close_last()

    @staticmethod
    def _enough(last: _Segment, portion: Portion) -> bool:
        least_90k = LEAST_SEGMENT_90K if portion.key else MOST_SEGMENT_90K
        return last.ticks_90k >= least_90k or last.size > MOST_BYTES // 4

    def _close_last(self) -> None:
        last = self._segments[-1] if self._segments else None
        if last is not None and not last.whole:
            last.close()
            self._target_s = max(self._target_s, math.ceil(last.duration_s))

    def _forget(self) -> None:
        """Let go of what nobody can still want."""
        kept_s, size = 0.0, 0
        for place, one in enumerate(reversed(self._segments)):
            kept_s, size = kept_s + one.duration_s, size + one.size
            if place >= _LEAST_LISTED and (kept_s > KEPT_S or size > MOST_BYTES):
                for _ in range(len(self._segments) - place):
                    self._fresh += self._segments.popleft().fresh
                break
        used = {one.init for one in self._segments} | {max(self._inits, default=0)}
        self._inits = {n: init for n, init in self._inits.items() if n in used}

    def _written(self) -> str:
        listed, listed_s = 0, 0.0
        for one in reversed(self._segments):
            if listed > _LEAST_LISTED and listed_s >= LISTED_S:
                break
            listed, listed_s = listed + 1, listed_s + one.duration_s
        shown_now = list(self._segments)[-listed:]
        before = list(self._segments)[:-listed]
        last = shown_now[-1]
        following = last.number + last.whole
        hint = f"{self._name}-{following}-{0 if last.whole else len(last.pieces)}.mp4"
        return m3u8.live(
            m3u8.Live(
                shown_now[0].number,
                self._fresh + sum(one.fresh for one in before) + shown_now[0].fresh,
                self._target_s,
                self._part_s or PORTION_90K / TICKS_PER_S,
                self._told(shown_now),
                hint,
                all(one.key for one in shown_now),
            )
        )

    def _told(self, segments: Sequence[_Segment]) -> list[m3u8.Segment]:
        """Say what is listed; of the last three target durations also the parts."""
        told: list[m3u8.Segment] = []
        behind_s = 0.0
        for one in reversed(segments):
            with_parts = one.listed and behind_s < 3.0 * self._target_s
            behind_s += one.duration_s
            parts = [
                m3u8.Part(f"{self._name}-{one.number}-{n}.mp4", piece.duration_s, piece.key)
                for n, piece in enumerate(one.pieces)
            ]
            told.append(
                m3u8.Segment(
                    f"{self._name}-{one.number}.mp4" if one.whole else "",
                    one.duration_s, one.at_us, f"{self._name}-{one.init}.init.mp4",
                    parts if with_parts else (), one.fresh,
                )
            )  # fmt: skip
        return told[::-1]


def codecs(config: StreamConfig) -> str:
    """Return the codecs of a stream as playlists name them.

    Raises:
        ValueError: Players of HLS have no name for one.
    """
    tracks = shown(config)
    if any(track.codec == "jpeg" for track in tracks):
        raise ValueError("HLS has no JPEG")
    return fmp4.mime(tracks).split('"')[1]


def _gone() -> Rejected:
    return Rejected("hls.gone", "there is no such segment, or it is gone")
