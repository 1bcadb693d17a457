"""A span of the archive as one progressive MP4: read once for its tables, then for its media.

The archive is read twice rather than kept: a day of a camera does not fit into memory, and the
tables, which must come first, are only known at the end. What was recorded does not change
between the two; what has been overwritten meanwhile ends the export with an error.
"""

from collections.abc import Callable, Iterator

from nvr.base.errors import Rejected, Unavailable
from nvr.media.fragment import extent, runs, samples
from nvr.media.track import StreamConfig, TrackConfig
from nvr.playback.joined import Recordings
from nvr.wire import media_signing, mp4
from nvr.wire.mp4 import Provenance, Table

Pieces = Callable[[], Iterator[tuple[bytes, int]]]
"""Gives ``ftyp moov``, then ``moof mdat`` after ``moof mdat`` with the time it leads up to."""


class Movie:
    """A span that is about to become one file.

    Args:
        config: Codecs of all of it.
        pieces: Reads it; called twice.

    Attributes:
        media_bytes: Size of the media, once they were scanned.
        start_us: UTC microseconds of decode time 0.
        end_us: UTC microseconds of the end.
        marked: There may be signatures of the camera in it.
    """

    def __init__(self, config: StreamConfig, pieces: Pieces) -> None:
        self._pieces = pieces
        self._config = config
        self._tables = [Table() for _ in config]
        self._count = 0
        self.media_bytes = 0
        self.start_us = 0
        self.end_us = 0
        self.marked = False

    def scan(self) -> Iterator[int]:
        """Read the tables; yields the time up to which they are read.

        Raises:
            Damaged: ``fragment.damaged``.
        """
        found = self._pieces()
        _, self.start_us = next(found, (b"", 0))
        for piece, at_us in found:
            first, end = self._add(memoryview(piece))
            self.marked = self.marked or media_signing.UUID in piece
            self.media_bytes += end - first
            self._count += 1
            self.end_us = at_us
            yield at_us

    def head(self, origin: Provenance) -> bytes:
        """Return everything before the media. See `nvr.wire.mp4.head`."""
        return mp4.head(self._config, self._tables, self.media_bytes, origin)

    def media(self) -> Iterator[tuple[bytes, int]]:
        """Yield the media with the time up to which they lead.

        Raises:
            Unavailable: ``export.overwritten``: what `scan` saw is not there any more.
        """
        left, size = self._count, 0
        found = self._pieces()
        next(found, None)
        while left:
            piece, at_us = next(found, (b"", 0))
            view = memoryview(piece)
            first, end = extent(view, list(runs(view)))
            size += end - first
            if not piece or (left == 1 and size != self.media_bytes):
                raise Unavailable(
                    "export.overwritten", "it was overwritten while it was being exported"
                )
            left -= 1
            yield piece[first:end], at_us

    @property
    def video(self) -> TrackConfig | None:
        """The track of pictures."""
        return next((track for track in self._config if track.kind == "video"), None)

    def timed(self) -> Iterator[tuple[bytes, int]]:
        """Yield the pictures with the UTC microseconds at which each is decoded.

        Raises:
            Damaged: ``fragment.damaged``.
        """
        found = self._pieces()
        next(found, None)
        for piece, at_us in found:
            taken = samples(piece, self._config)
            end_90k = max((one.dts_90k + one.duration_90k for one in taken), default=0)
            for one in taken:
                if self._config[one.track].kind == "video":
                    yield one.data, at_us - (end_90k - one.dts_90k) * 100 // 9

    def _add(self, piece: memoryview) -> tuple[int, int]:
        found = list(runs(piece))
        first, end = extent(piece, found)
        for number, dts, offset, entries in found:
            table = self._tables[number - 1]
            table.begin_chunk(self.media_bytes + offset - first, dts)
            for size, duration, shift, key in entries:
                table.add(size, duration, shift, key=key)
        return first, end


def movie_of(archive: Recordings, stream: str, from_us: int, to_us: int) -> Movie:
    """Return one of the pieces that `Archive.configs` splits a span into, as a movie."""
    config = config_of(archive, stream, from_us)
    return Movie(config, lambda: archive.export_timed(stream, from_us, to_us))


def config_of(archive: Recordings, stream: str, from_us: int) -> StreamConfig:
    """Return the codecs of a piece that `Archive.configs` lets begin at `from_us`.

    Raises:
        Rejected: ``export.nothing``.
    """
    for _, _, config in archive.stretches_of_codecs(stream, from_us, from_us + 1):
        return config
    raise Rejected("export.nothing", "nothing is recorded there", stream=stream)


def portion(from_us: int, at_us: int, to_us: int) -> float:
    """Return which share of a span a time is at, 0 to 1."""
    return min(1.0, max(0.0, (at_us - from_us) / max(1, to_us - from_us)))
