"""Leaves tracks out of fragmented MP4 that a browser cannot play: G.711 has no place in its MP4.

Works on what our own writers make: every ``traf`` with default-base-is-moof, one ``trun`` each.
The samples stay in ``mdat``, unreferenced: telephone sound is a fortieth of a picture.

Source: ISO/IEC 14496-12:2022 sections 8.8.4 to 8.8.8.
"""

import struct
from collections.abc import Iterator, Mapping

from nvr.base.errors import Damaged
from nvr.media.part import Bytes
from nvr.media.track import StreamConfig

_HEAD = struct.Struct(">I4s")
_U32 = struct.Struct(">I")
_I32 = struct.Struct(">i")
_DATA_OFFSET_PRESENT = 1
_SILENT = frozenset(("pcma", "pcmu"))


def playable(config: StreamConfig) -> StreamConfig:
    """The tracks that browsers play."""
    return tuple(track for track in config if track.codec not in _SILENT)


def renumbered(config: StreamConfig) -> Mapping[int, int] | None:
    """Track ids before and after `playable`; None if nothing needs to be left out."""
    kept = [n for n, track in enumerate(config, 1) if track.codec not in _SILENT]
    return {old: new for new, old in enumerate(kept, 1)} if len(kept) < len(config) else None


def without(data: Bytes, ids: Mapping[int, int]) -> bytes:
    """Return ``moof mdat ...`` with only the tracks in `ids`, renumbered.

    Raises:
        Damaged: ``fragment.damaged``: these are no fragments of ours.
    """
    view = memoryview(data)
    out: list[Bytes] = []
    skip = False
    for kind, box in _boxes(view):
        if kind == b"moof":
            moof = _moof(box, ids)
            skip = not moof
            out.append(moof)
        elif not (skip and kind == b"mdat"):
            out.append(box)
    return b"".join(out)


def _moof(moof: memoryview, ids: Mapping[int, int]) -> bytes:
    kept: list[bytearray] = []
    other: list[Bytes] = []
    for kind, box in _boxes(moof[8:]):
        if kind != b"traf":
            other.append(box)
        elif (new := ids.get(_track_id(box))) is not None:
            kept.append(_with_id(box, new))
    if not kept:
        return b""
    size = 8 + sum(map(len, other)) + sum(map(len, kept))
    removed = len(moof) - size
    for traf in kept:
        _shift(traf, removed)
    return b"".join((_HEAD.pack(size, b"moof"), *other, *kept))


def _track_id(traf: memoryview) -> int:
    for kind, box in _boxes(traf[8:]):
        if kind == b"tfhd" and len(box) >= 16:
            return int(_U32.unpack_from(box, 12)[0])
    raise Damaged("fragment.damaged", "a track fragment has no header")


def _with_id(traf: memoryview, new: int) -> bytearray:
    copy = bytearray(traf)
    for kind, at, _ in _places(traf[8:]):
        if kind == b"tfhd":
            _U32.pack_into(copy, 8 + at + 12, new)
    return copy


def _shift(traf: bytearray, removed: int) -> None:
    """Sample data moved closer to the start of ``moof`` by `removed` bytes."""
    for kind, at, size in _places(memoryview(traf)[8:]):
        if kind == b"trun" and size >= 20 and traf[8 + at + 11] & _DATA_OFFSET_PRESENT:
            where = 8 + at + 16
            (offset,) = _I32.unpack_from(traf, where)
            _I32.pack_into(traf, where, offset - removed)


def _boxes(data: memoryview) -> Iterator[tuple[bytes, memoryview]]:
    for kind, at, size in _places(data):
        yield kind, data[at : at + size]


def _places(data: memoryview) -> Iterator[tuple[bytes, int, int]]:
    at = 0
    while at < len(data):
        if len(data) - at < 8:
            raise Damaged("fragment.damaged", "a box is cut off")
        size, kind = _HEAD.unpack_from(data, at)
        if not 8 <= size <= len(data) - at:
            raise Damaged("fragment.damaged", "a box is larger than what holds it")
        yield kind, at, size
        at += size
