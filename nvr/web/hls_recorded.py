"""A span of a recording as a playlist, and its segments: whole groups of pictures from the archive.

Nothing is kept: the name of a segment says where in the archive it begins. Every call blocks on the
disk.
"""

import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, Protocol

from nvr.auth.user import Span
from nvr.base.clock import TICKS_PER_S
from nvr.base.errors import Rejected
from nvr.media.part import Bytes
from nvr.media.track import StreamConfig
from nvr.playback.group import Group
from nvr.playback.query import Gop
from nvr.playback.track import Place
from nvr.web.fragment import Voice, shown
from nvr.web.hls_live import codecs
from nvr.wire import fmp4, m3u8

MOST_SPAN_US: Final = 24 * 3_600_000_000
LEAST_S: Final = 2.0
"""Shorter groups of pictures are put together."""
_MOST_GROUPS: Final = 250


class Archive(Protocol):
    """What of the archive this needs. See `nvr.playback.query.Archive`."""

    def groups(self, stream: str, from_us: int, to_us: int) -> list[Group]:
        """See `nvr.playback.group.groups`."""
        ...

    def config(self, stream: str, run: int) -> StreamConfig:
        """Codecs of a run."""
        ...

    def gop(
        self, stream: str, t_us: int, place: Place | None = None, *, key_only: bool = False
    ) -> Gop | None:
        """Group of pictures at a place."""
        ...


@dataclass(frozen=True, slots=True)
class Asked:
    """A segment by its name.

    Attributes:
        place: Its first group of pictures.
        from_us: UTC microseconds of that.
        groups: How many there are.
    """

    place: Place
    from_us: int
    groups: int


class Spans:
    """Makes playlists of spans, and segments.

    Args:
        archive: What is recorded.
    """

    def __init__(self, archive: Archive) -> None:
        self._archive = archive
        self._voice, self._lock = Voice(), threading.Lock()

    def playlist(self, stream: str, name: str, span: Span) -> str:
        """Return the playlist of a span, from the key frame before it to the one after.

        Args:
            stream: Name of the stream.
            name: What its files are called: ``main``.
            span: UTC microseconds.

        Raises:
            Rejected: ``archive.nothing``; ``hls.span``; ``hls.codec``.
        """
        if span[1] - span[0] > MOST_SPAN_US:
            raise Rejected("hls.span", "a playlist is of 24 hours at most")
        told: list[m3u8.Segment] = []
        known: dict[int, StreamConfig] = {}
        open_: list[Group] = []
        for one in self._archive.groups(stream, *span):
            if one.run not in known:
                known[one.run] = self._playable(stream, one.run)
            if open_ and (one.fresh or _ticks(open_) >= LEAST_S * TICKS_PER_S
                          or len(open_) >= _MOST_GROUPS):  # fmt: skip
                told.append(_segment(open_, name, first=not told))
                open_ = []
            open_.append(one)
        if not open_:
            raise Rejected("archive.nothing", "nothing is recorded then")
        told.append(_segment(open_, name, first=not told))
        return m3u8.recorded(told)

    def init(self, stream: str, run: int) -> bytes:
        """Return ``ftyp moov`` of a run.

        Raises:
            Rejected: ``archive.no_run``, ``hls.codec``.
        """
        return fmp4.init_segment(shown(self._playable(stream, run)))

    def segment(self, stream: str, asked: Asked, allow: Callable[[Span], None]) -> list[Bytes]:
        """Return a segment, in pieces.

        Args:
            stream: Name of the stream.
            asked: Which.
            allow: Raises `Rejected` for a span that must not be seen.

        Raises:
            Rejected: ``hls.gone``: it was overwritten.
        """
        found: list[Bytes] = []
        place: Place | None = asked.place
        t_us = asked.from_us
        while place is not None and len(found) < asked.groups:
            gop = self._archive.gop(stream, t_us, place)
            if gop is None or gop.run != asked.place.run or (not found and gop.from_us != t_us):
                break
            allow((gop.from_us, gop.to_us))
            config = self._archive.config(stream, gop.run)
            with self._lock:
                found.append(self._voice.turn(gop.data, config, (stream, gop.run)))
            place, t_us = gop.following, gop.next_us or 0
        if not found:
            raise Rejected("hls.gone", "there is no such segment, or it is gone")
        return found

    def _playable(self, stream: str, run: int) -> StreamConfig:
        config = self._archive.config(stream, run)
        try:
            codecs(config)
        except ValueError as err:
            raise Rejected("hls.codec", "players of HLS know no such pictures") from err
        return config


def _ticks(groups: list[Group]) -> int:
    return sum(one.duration_90k for one in groups)


def _segment(groups: list[Group], name: str, *, first: bool) -> m3u8.Segment:
    head = groups[0]
    place = f"{head.place.run}.{head.place.start_90k}"
    return m3u8.Segment(
        f"{name}-{place}-{head.from_us}-{len(groups)}.mp4",
        _ticks(groups) / TICKS_PER_S,
        head.from_us,
        f"{name}-{head.run}.init.mp4",
        fresh=head.fresh and not first,
    )
