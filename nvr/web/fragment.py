"""Makes of fragmented MP4 what a browser plays: telephone sound becomes FLAC, or sound is left out.

Browsers have no decoder for G.711, G.726 and L16 in MP4, and all of them one for FLAC. Writing FLAC
without compressing takes no encoder, and is done only while somebody listens. Works on what our own
writers make: every ``traf`` with default-base-is-moof, one ``trun`` each, whose rows are a duration
and a size for sound. Only sizes change, so a ``moof`` keeps its length.

Source: ISO/IEC 14496-12:2022 sections 8.8.4 to 8.8.8; RFC 9639 section 8.2 (STREAMINFO).
"""

import struct
from collections import OrderedDict
from collections.abc import Hashable, Iterator, Mapping, Sequence
from dataclasses import replace

from nvr._native import flac
from nvr.base.errors import Damaged
from nvr.media.part import Bytes
from nvr.media.track import StreamConfig, TrackConfig

_HEAD = struct.Struct(">I4s")
_U32 = struct.Struct(">I")
_I32 = struct.Struct(">i")
_DATA_OFFSET_PRESENT = 1
FOREIGN = frozenset(("h265", "jpeg"))
"""Pictures that some browser, or every one, has no decoder for in MP4."""
_TURNED = {"pcma": 0, "pcmu": 1, "l16": 2, "g726": 3}
_ROW = struct.Struct(">II")
_MOST_UNIT_BYTES = 65_536
_MOST_PLACES = 64


def shown(config: StreamConfig, *, sound: bool = True) -> StreamConfig:
    """The tracks as a browser gets them: FLAC for telephone sound; pictures only, if no `sound`."""
    return tuple(_flac(track) for track in config if sound or track.kind == "video")


def _flac(track: TrackConfig) -> TrackConfig:
    if track.codec not in _TURNED:
        return track
    channels = track.channels or 1
    info = struct.pack(">HH6x", 16, 65_535)
    info += (track.clock_hz << 44 | (channels - 1) << 41 | 15 << 36).to_bytes(8, "big") + bytes(16)
    return replace(track, codec="flac", config=info)


def renumbered(config: StreamConfig) -> Mapping[int, int]:
    """Track ids before and after leaving out all sound."""
    kept = [n for n, track in enumerate(config, 1) if track.kind == "video"]
    return {old: new for new, old in enumerate(kept, 1)}


class Voice:
    """Turns one stream's telephone sound to FLAC, fragment by fragment.

    G.726 goes on from where the fragment before ended; where that is not known its decoder begins
    anew, and is right within some milliseconds.
    """

    def __init__(self) -> None:
        self._states: OrderedDict[Hashable, bytes] = OrderedDict()

    def turn(self, data: Bytes, config: StreamConfig, run: Hashable = 0) -> Bytes:
        """Return ``moof mdat ...`` as `shown` promises.

        Args:
            data: Fragments of ours.
            config: Their tracks.
            run: Which recording they are of, where one `Voice` is for several.

        Raises:
            Damaged: ``fragment.damaged``: these are no fragments of ours.
        """
        turned = {n: track for n, track in enumerate(config, 1) if track.codec in _TURNED}
        if not turned:
            return data
        view, out, moof = memoryview(data), list[Bytes](), memoryview(b"")
        for kind, box in _boxes(view):
            if kind == b"moof":
                moof = box
            elif kind == b"mdat" and moof:
                out.extend(self._pair(moof, box, turned, run))
                moof = memoryview(b"")
            else:
                out.append(box)
        return b"".join(out)

    def _pair(
        self,
        moof: memoryview,
        mdat: memoryview,
        turned: Mapping[int, TrackConfig],
        run: Hashable,
    ) -> list[Bytes]:
        made, body = bytearray(moof), list[Bytes]()
        end = len(moof) + 8
        for kind, at, size in _places(moof[8:]):
            if kind != b"traf":
                continue
            traf = _Traf(moof[8 + at : 8 + at + size])
            begin = traf.offset - len(moof)
            if not 8 <= begin <= begin + sum(traf.sizes) <= len(mdat):
                raise Damaged("fragment.damaged", "samples lie outside of their fragment")
            samples = mdat[begin : begin + sum(traf.sizes)]
            sizes = list(traf.sizes)
            if track := turned.get(traf.number):
                units = list(self._units(samples, traf, track, run))
                sizes = [len(unit) for unit in units]
                body += units
            else:
                body.append(samples)
            traf.write(made, 8 + at, end, sizes)
            end += sum(sizes)
        return [made, _HEAD.pack(end - len(moof), b"mdat"), *body]

    def _units(
        self, samples: memoryview, traf: "_Traf", track: TrackConfig, run: Hashable
    ) -> Iterator[bytes]:
        code, width = _TURNED[track.codec], track.config[0] if track.codec == "g726" else 0
        at, time = 0, traf.time
        state = self._states.get((run, traf.number, time), b"")
        for size, duration in zip(traf.sizes, traf.durations, strict=True):
            unit = samples[at : at + min(size, _MOST_UNIT_BYTES)]
            try:
                frame, state = flac(
                    code, width, unit, track.channels or 1, track.clock_hz, time, state
                )
            except ValueError as err:
                raise Damaged("fragment.damaged", f"sound that is none: {err}") from err
            yield frame
            at, time = at + size, time + duration
        if state:
            self._states[run, traf.number, time] = state
            self._states.move_to_end((run, traf.number, time))
            if len(self._states) > _MOST_PLACES:
                self._states.popitem(last=False)


class _Traf:
    """What a ``traf`` of ours says."""

    def __init__(self, traf: memoryview) -> None:
        self.number, self.time = _track_id(traf), 0
        self._trun, trun = -1, memoryview(b"")
        for kind, at, size in _places(traf[8:]):
            body = traf[8 + at + 8 : 8 + at + size]
            if kind == b"tfdt" and len(body) >= 12:
                self.time = int.from_bytes(body[4:12], "big")
            elif kind == b"trun" and len(body) >= 12:
                self._trun, trun = 8 + at + 8, body
        if self._trun < 0:
            raise Damaged("fragment.damaged", "a track fragment has no samples")
        flags = int.from_bytes(trun[1:4], "big")
        self.offset = _I32.unpack_from(trun, 8)[0]
        self._first = first = 12 + (4 if flags & 4 else 0)
        self._width = width = 12 if flags & 0x800 else 8
        count = int(_U32.unpack_from(trun, 4)[0])
        if flags & ~0x804 != 0x301 or len(trun) != first + count * width:
            raise Damaged("fragment.damaged", "samples are not told as ours are")
        rows = [_ROW.unpack_from(trun, first + n * width) for n in range(count)]
        self.durations = [duration for duration, _ in rows]
        self.sizes = [size for _, size in rows]

    def write(self, moof: bytearray, at: int, offset: int, sizes: Sequence[int]) -> None:
        """Put new sizes, and where they begin, into the ``traf`` at `at` of a copy of its moof."""
        _I32.pack_into(moof, at + self._trun + 8, offset)
        for n, size in enumerate(sizes):
            _U32.pack_into(moof, at + self._trun + self._first + n * self._width + 4, size)


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
