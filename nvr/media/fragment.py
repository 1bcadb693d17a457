"""What the fragments of the archive hold: their samples, and where each of them is.

A fragment is ``moof mdat`` as the recorder makes it: one run of samples a track. A box that is not
what it says is `Damaged`.

Source: ISO/IEC 14496-12:2022 section 8.8.
"""

import struct
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from nvr.base.clock import TICKS_PER_S
from nvr.base.errors import Damaged
from nvr.media.track import TrackConfig

_HEAD = struct.Struct(">I4s")
_TRUN_FIRST_FLAGS = 0x4
_TRUN_DURATION, _TRUN_SIZE, _TRUN_FLAGS, _TRUN_SHIFT = 0x100, 0x200, 0x400, 0x800
_NOT_SYNC = 0x10000

Entries = list[tuple[int, int, int, bool]]
"""Of each: size, duration, shift, whether it is a key frame."""
Run = tuple[int, int, int, Entries]
"""Track id, decode time, offset in the piece, samples."""


class Sample(NamedTuple):
    """A sample of a fragment.

    Attributes:
        track: Index of its track.
        dts_90k: When it is decoded, on the line that all tracks share.
        pts_90k: When it is shown.
        duration_90k: Until the next one.
        key: It depends on no other.
        data: Its bytes.
    """

    track: int
    dts_90k: int
    pts_90k: int
    duration_90k: int
    key: bool
    data: bytes


def samples(piece: bytes, config: Sequence[TrackConfig]) -> list[Sample]:
    """Return the samples of a piece in the order of decoding, all tracks together.

    Raises:
        Damaged: ``fragment.damaged``.
    """
    view = memoryview(piece)
    found = list(runs(view))
    extent(view, found)
    taken: list[Sample] = []
    for number, first_dts, begin, entries in found:
        if not 1 <= number <= len(config):
            raise Damaged("fragment.damaged", f"there is no track {number}")
        hz, dts, at = config[number - 1].clock_hz, first_dts, begin
        for size, duration, shift, key in entries:
            pts = dts + shift
            taken.append(
                Sample(
                    number - 1,
                    dts * TICKS_PER_S // hz,
                    pts * TICKS_PER_S // hz,
                    duration * TICKS_PER_S // hz,
                    key,
                    piece[at : at + size],
                )
            )
            dts, at = dts + duration, at + size
    return sorted(taken, key=lambda one: (one.dts_90k, one.track))


def pieces(group: bytes) -> Iterator[bytes]:
    """Yield each ``moof mdat`` of a group of pictures.

    Raises:
        Damaged: ``fragment.damaged``.
    """
    begin = at = 0
    try:
        for kind, body in _boxes(memoryview(group)):
            if kind == b"moof" and begin < at:
                yield group[begin:at]
                begin = at
            at += 8 + len(body)
    except struct.error as err:
        raise Damaged("fragment.damaged", "a box is cut off") from err
    if begin < at:
        yield group[begin:at]


def extent(piece: memoryview, found: list[Run]) -> tuple[int, int]:
    """Where in a piece its samples begin and end.

    Raises:
        Damaged: ``fragment.damaged``.
    """
    places = [
        (offset, offset + sum(size for size, _, _, _ in entries)) for _, _, offset, entries in found
    ]
    first = min((begin for begin, _ in places), default=0)
    end = max((after for _, after in places), default=0)
    if not 0 <= first <= end <= len(piece):
        raise Damaged("fragment.damaged", "samples lie outside of their fragment")
    return first, end


def runs(piece: memoryview) -> Iterator[Run]:
    """Yield the runs of samples of a piece.

    Raises:
        Damaged: ``fragment.damaged``.
    """
    try:
        for kind, moof in _boxes(piece):
            if kind != b"moof":
                continue
            for inner, traf in _boxes(moof):
                if inner == b"traf":
                    yield from _track_runs(traf)
    except struct.error as err:
        raise Damaged("fragment.damaged", "a box is cut off") from err


def _track_runs(traf: memoryview) -> Iterator[Run]:
    number, dts, defaults = 0, 0, [0, 0, 0]
    for kind, body in _boxes(traf):
        if kind == b"tfhd":
            flags, number = struct.unpack_from(">II", body)
            at = 8
            for n, bit in enumerate((0x8, 0x10, 0x20)):  # default duration, size, flags
                if flags & bit:
                    (defaults[n],) = struct.unpack_from(">I", body, at)
                    at += 4
        elif kind == b"tfdt":
            (dts,) = struct.unpack_from(">Q", body, 4)
        elif kind == b"trun":
            offset, entries = _entries(body, defaults)
            yield number, dts, offset, entries
            dts += sum(duration for _, duration, _, _ in entries)


def _entries(body: memoryview, defaults: list[int]) -> tuple[int, Entries]:
    flags, count, offset = struct.unpack_from(">IIi", body)
    at, first_flags = 12, None
    if flags & _TRUN_FIRST_FLAGS:
        (first_flags,) = struct.unpack_from(">I", body, at)
        at += 4
    names = [bit for bit in (_TRUN_DURATION, _TRUN_SIZE, _TRUN_FLAGS, _TRUN_SHIFT) if flags & bit]
    row = struct.Struct(">" + "".join("i" if bit == _TRUN_SHIFT else "I" for bit in names))
    entries: Entries = []
    for n in range(count):
        values = dict(zip(names, row.unpack_from(body, at), strict=True))
        at += row.size
        marks = values.get(_TRUN_FLAGS, defaults[2])
        if n == 0 and first_flags is not None:
            marks = first_flags
        entries.append(
            (
                values.get(_TRUN_SIZE, defaults[1]),
                values.get(_TRUN_DURATION, defaults[0]),
                values.get(_TRUN_SHIFT, 0),
                not marks & _NOT_SYNC,
            )
        )
    return offset, entries


def _boxes(data: memoryview) -> Iterator[tuple[bytes, memoryview]]:
    """Yield the kind and the contents of each box."""
    at = 0
    while at < len(data):
        size, kind = _HEAD.unpack_from(data, at)
        if not 8 <= size <= len(data) - at:
            raise Damaged("fragment.damaged", "a box is larger than what holds it")
        yield kind, data[at + 8 : at + size]
        at += size
