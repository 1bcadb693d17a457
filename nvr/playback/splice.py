"""Parts put one behind the other into one fragmented MP4, without a demuxer.

A few bytes of each are patched: the fragment's number, decode times, and the size of ``mdat``,
which on disk takes in the padding.
"""

import struct
from collections.abc import Iterator
from typing import NamedTuple

from nvr.base.clock import TICKS_PER_S
from nvr.base.errors import Damaged
from nvr.media.track import StreamConfig
from nvr.playback.track import Place, Track
from nvr.record.header import PartHeader
from nvr.record.row import TOLERANCE_90K, Row
from nvr.record.store import Store
from nvr.wire.fmp4 import init_segment

_U32 = struct.Struct(">I")
_U64 = struct.Struct(">Q")


class Piece(NamedTuple):
    """A piece of an export.

    Attributes:
        data: ``ftyp moov``, then ``moof mdat`` each.
        from_us: UTC microseconds of its first picture's decode time.
        to_us: UTC microseconds of its end.
    """

    data: bytes
    from_us: int
    to_us: int


class Splice:
    """One MP4 under way; what several volumes hold of a stream can be put into the same."""

    def __init__(self) -> None:
        self._config: StreamConfig | None = None
        self._number = 0
        self._out_90k = 0
        self._origin_90k = 0
        self._last: tuple[int, int] | None = None  # run and end of the part before
        self.changed = False
        """The codecs changed: what follows belongs into another file."""

    def pieces(
        self, store: Store, stream: str, from_us: int, to_us: int, begin: Place | None = None
    ) -> Iterator[Piece]:
        """Yield what one volume holds of a span.

        Begins at the key frame at or before `from_us`, the first time with ``ftyp moov``.

        Args:
            store: The volume.
            stream: Name of the stream.
            from_us: UTC microseconds of the first picture.
            to_us: UTC microseconds after the last.
            begin: Only what was recorded there or later.
        """
        track = Track(store, store.catalog.rows(stream))
        needed = track.inside(_first(track, begin), from_us, to_us)
        at = needed and track.key_at_or_before(needed)
        if needed is None or at is None:
            return
        yield from self._opening(track, at)
        broken = False
        self._last = None
        before = at
        while at is not None:
            row, entry = track.row(at[0]), track.entry(at)
            inside = entry.end_us > from_us and entry.wall_us < to_us
            if not inside and at >= needed:
                # The clock may have been set back later: the same hour was recorded once more.
                again = track.inside(at, from_us, to_us)
                if again is None:
                    break
                needed, key = again, track.key_at_or_before(again)
                at = max(at, key) if key is not None else again
                continue
            if row.head.config != self._config:
                self.changed = True
                break
            broken = broken or not track.joined(before, at)
            before = at
            try:
                header, payload = store.part(row, entry)
            except (Damaged, OSError):
                broken = True  # what follows depends on it, up to the next key frame
            else:
                broken = broken and not entry.key
                if not broken:
                    follows = (
                        self._last is not None
                        and self._last[0] == entry.run
                        and 0 <= entry.start_90k - self._last[1] <= TOLERANCE_90K
                    )
                    if not follows:
                        self._origin_90k = entry.start_90k - self._out_90k
                    self._number += 1
                    data = patched(header, payload, row, self._origin_90k, self._number)
                    yield Piece(data, entry.wall_us, entry.end_us)
                    self._last = entry.run, entry.start_90k + entry.duration_90k
                    self._out_90k = self._last[1] - self._origin_90k
            at = track.after(at)

    def _opening(self, track: Track, at: tuple[int, int]) -> Iterator[Piece]:
        if self._config is None:
            self._config = track.row(at[0]).head.config
            first_us = track.entry(at).wall_us
            yield Piece(init_segment(self._config), first_us, first_us)


def _first(track: Track, begin: Place | None) -> tuple[int, int]:
    return (track.at_place(begin) if begin else None) or (0, 0)


def patched(header: PartHeader, payload: bytes, row: Row, origin_90k: int, number: int) -> bytes:
    """Return a stored part with its decode times counted from `origin_90k` of the stream.

    Args:
        header: Of the part.
        payload: Its stored bytes.
        row: Of its block.
        origin_90k: Tick of the stream's time line that becomes 0; earlier samples become 0 too.
        number: Fragment number it gets.
    """
    data = bytearray(payload)
    _U32.pack_into(data, header.sequence_offset, number)
    _U32.pack_into(data, header.moof_bytes, len(data) - header.moof_bytes)
    for at, track in zip(header.tfdt_offsets, row.head.config, strict=False):
        if at >= 0:
            shift = (
                header.base_90k * track.clock_hz // TICKS_PER_S
                - origin_90k * track.clock_hz // TICKS_PER_S
            )
            _U64.pack_into(data, at, max(0, _U64.unpack_from(data, at)[0] + shift))
    return bytes(data)
