"""A progressive MP4: ``ftyp``, ``meta``, ``moov`` with full sample tables, then one ``mdat``.

The tables come first, so that a player can begin and seek before the file has come in whole. What
says whose recording it is, and from when, are the boxes of the ONVIF export format: ``suep`` and
``cstb``, in a ``meta`` box of the file. Tables are kept in arrays, 12 to 16 bytes a sample: a day
of 25 pictures a second is some 35 MB.

Source: ISO/IEC 14496-12:2022 sections 8.2 to 8.7; ONVIF Export File Format 26.06 sections 5.2, 5.3.
"""

import struct
from array import array
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field

from nvr.wire.fmp4 import MATRIX, UNDETERMINED, Track, box, full, sample_entry, shown_size

MOVIE_HZ = 90_000
_SINCE_1904_S = 2_082_844_800
_SINCE_1601_100NS = 116_444_736_000_000_000


@dataclass(slots=True)
class Table:
    """The samples of a track.

    Attributes:
        first_dts: Decode time of the first, in the track's ticks on a line all tracks share.
        next_dts: Decode time after the last.
        sizes: Bytes of each.
        durations: Ticks from each to the next.
        shifts: Ticks from decoding to showing.
        keys: Numbers, from 1, of those that depend on no other.
        chunk_offsets: Where each chunk begins, from the start of the media.
        chunk_samples: Samples in each chunk.
    """

    first_dts: int = 0
    next_dts: int = 0
    sizes: "array[int]" = field(default_factory=lambda: array("I"))
    durations: "array[int]" = field(default_factory=lambda: array("I"))
    shifts: "array[int]" = field(default_factory=lambda: array("i"))
    keys: "array[int]" = field(default_factory=lambda: array("I"))
    chunk_offsets: "array[int]" = field(default_factory=lambda: array("Q"))
    chunk_samples: "array[int]" = field(default_factory=lambda: array("I"))

    @property
    def ticks(self) -> int:
        """Length of the track in its own ticks."""
        return self.next_dts - self.first_dts

    @property
    def shown_ticks(self) -> int:
        """From the first sample shown to the end of the last; they may be decoded in another order.

        No codec reorders further than 16 pictures.
        """
        at, end = self.next_dts, self.next_dts
        for n in range(len(self.sizes) - 1, max(-1, len(self.sizes) - 33), -1):
            at -= self.durations[n]
            end = max(end, at + self.shifts[n] + self.durations[n])
        return end - self.first_dts - self.shifts[0]

    def begin_chunk(self, offset: int, dts: int) -> None:
        """Add a chunk; what was missing before it lengthens the sample before.

        Args:
            offset: From the start of the media.
            dts: Decode time of its first sample.
        """
        if not self.sizes:
            self.first_dts = self.next_dts = dts
        elif dts > self.next_dts:
            self.durations[-1] += dts - self.next_dts
            self.next_dts = dts
        self.chunk_offsets.append(offset)
        self.chunk_samples.append(0)

    def add(self, size: int, duration: int, shift: int, *, key: bool) -> None:
        """Add a sample to the last chunk."""
        self.sizes.append(size)
        self.durations.append(duration)
        self.shifts.append(shift)
        if key:
            self.keys.append(len(self.sizes))
        self.chunk_samples[-1] += 1
        self.next_dts += duration


@dataclass(frozen=True, slots=True)
class Provenance:
    """Where an export comes from, as ONVIF's export format has it; what is not known is empty.

    Attributes:
        unit: Name of the recorder.
        unit_url: Address of the recorder.
        made_us: UTC microseconds when the export was begun.
        operator: Who made it.
        source: Name of the camera.
        source_url: Address of the camera, without a password.
        start_us: UTC microseconds at which decode time 0 was.
        comment: What whoever plays it should know; players show it.
    """

    unit: str
    unit_url: str
    made_us: int
    operator: str
    source: str
    source_url: str
    start_us: int
    comment: str = ""


def head(
    config: Sequence[Track], tables: Sequence[Table], media_bytes: int, origin: Provenance
) -> bytes:
    """Build everything before the media: ``ftyp meta moov`` and the header of ``mdat``.

    Args:
        config: Tracks, ids from 1.
        tables: One a track; a track without samples is left out of the movie.
        media_bytes: Size of the media that follow.
        origin: Whose and from when.
    """
    kinds = box(b"ftyp", b"isom", struct.pack(">I", 0x200), b"isomiso2avc1mp41")
    front = kinds + _meta(config, tables, origin)
    media = struct.pack(">I4sQ", 1, b"mdat", 16 + media_bytes)
    around = len(front) + len(media)
    # Where the media begin changes no size but by the width of offsets.
    at = around + len(_moov(config, tables, 0, origin, wide=True))
    wide = at + media_bytes > 0xFFFFFFFF
    at = around + len(_moov(config, tables, 0, origin, wide=wide))
    return front + _moov(config, tables, at, origin, wide=wide) + media


def begun_us(front: bytes, track: int) -> int | None:
    """Return the UTC microseconds of a track's first sample, None if the file does not say.

    Args:
        front: The file up to the end of its ``meta`` box, or more.
        track: Number of the track.
    """
    meta = _inside(front, b"meta")
    rows = _inside(meta[4:], b"cstb")[4:]
    for at in range(0, len(rows) - 11, 12):
        number, since_1601 = struct.unpack_from(">IQ", rows, at)
        if number == track:
            return int(since_1601 - _SINCE_1601_100NS) // 10
    return None


def _inside(data: bytes, wanted: bytes) -> bytes:
    """Return the contents of the first box of a kind, nothing if it is not there."""
    at = 0
    while at + 8 <= len(data):
        size, kind = struct.unpack_from(">I4s", data, at)
        if kind == wanted:
            return data[at + 8 : at + size]
        if size < 8:
            break
        at += size
    return b""


def _used(config: Sequence[Track], tables: Sequence[Table]) -> Iterator[tuple[int, Track, Table]]:
    for number, (track, table) in enumerate(zip(config, tables, strict=True), 1):
        if table.sizes:
            yield number, track, table


def _meta(config: Sequence[Track], tables: Sequence[Table], origin: Provenance) -> bytes:
    """Return the ``meta`` box of the file with ``suep`` version 1 and ``cstb``."""
    used = list(_used(config, tables))
    sources = b"".join(
        struct.pack(">H", number) + _text(origin.source, origin.source_url, "", "")
        for number, _, _ in used
    )
    suep = full(
        b"suep", 1, 0,
        _text(origin.unit, origin.unit_url, ""),
        struct.pack(">Q", origin.made_us // 1_000_000 + _SINCE_1904_S),
        _text(origin.operator),
        struct.pack(">I", len(used)),
        sources,
    )  # fmt: skip
    starts = b"".join(
        struct.pack(
            ">IQ",
            number,
            origin.start_us * 10 + table.first_dts * 10**7 // track.clock_hz + _SINCE_1601_100NS,
        )
        for number, track, table in used
    )
    cstb = box(b"cstb", struct.pack(">I", len(used)), starts)
    return full(b"meta", 0, 0, full(b"hdlr", 0, 0, bytes(4) + b"null" + bytes(13)), suep, cstb)


def _text(*values: str) -> bytes:
    return b"".join(value.replace("\0", "").encode("utf-8", "replace") + b"\0" for value in values)


def _moov(
    config: Sequence[Track],
    tables: Sequence[Table],
    media_at: int,
    origin: Provenance,
    *,
    wide: bool,
) -> bytes:
    used = list(_used(config, tables))
    # What is shown first may be decoded later than the first sound, or earlier.
    shown = {number: _ticks(t.first_dts + t.shifts[0], track) for number, track, t in used}
    begin = min(shown.values(), default=0)
    times = struct.pack(
        ">QQ", *(at // 1_000_000 + _SINCE_1904_S for at in (origin.start_us, origin.made_us))
    )
    traks, longest = [], 0
    for number, track, table in used:
        late = shown[number] - begin
        length = _ticks(table.shown_ticks, track)
        longest = max(longest, late + length)
        traks.append(_trak(track, number, table, times, (late, length), media_at, wide=wide))
    mvhd = times + struct.pack(">IQIH10x", MOVIE_HZ, longest, 0x10000, 0x100)
    return box(
        b"moov",
        full(b"mvhd", 1, 0, mvhd, MATRIX, bytes(24), struct.pack(">I", len(config) + 1)),
        *traks,
        *([_comment(origin.comment)] if origin.comment else ()),
    )


def _comment(text: str) -> bytes:
    """Return ``udta`` with a comment where iTunes has it, which is where players look."""
    data = box(b"data", struct.pack(">II", 1, 0), text.encode("utf-8", "replace"))
    hdlr = full(b"hdlr", 0, 0, bytes(4) + b"mdirappl" + bytes(9))
    return box(b"udta", full(b"meta", 0, 0, hdlr, box(b"ilst", box(b"\xa9cmt", data))))


def _ticks(ticks: int, track: Track) -> int:
    return ticks * MOVIE_HZ // track.clock_hz


def _trak(
    track: Track,
    number: int,
    table: Table,
    times: bytes,
    edit: tuple[int, int],
    media_at: int,
    *,
    wide: bool,
) -> bytes:
    video = track.kind == "video"
    late, length = edit
    tkhd = times + struct.pack(
        ">IIQQHHHH", number, 0, late + length, 0, 0, 0 if video else 1, 0 if video else 0x100, 0
    )
    size = shown_size(track)
    edits = [struct.pack(">Qqi", late, -1, 0x10000)] if late else []
    edits.append(struct.pack(">Qqi", length, table.shifts[0], 0x10000))
    mdhd = times + struct.pack(">IQHH", track.clock_hz, table.ticks, UNDETERMINED, 0)
    hdlr = struct.pack(">I4s12x", 0, b"vide" if video else b"soun") + b"nvr\0"
    media = full(b"vmhd", 0, 1, bytes(8)) if video else full(b"smhd", 0, 0, bytes(4))
    dref = full(b"dref", 0, 0, struct.pack(">I", 1), full(b"url ", 0, 1))
    return box(
        b"trak",
        full(b"tkhd", 1, 3, tkhd, MATRIX, size),
        box(b"edts", full(b"elst", 1, 0, struct.pack(">I", len(edits)), *edits)),
        box(
            b"mdia",
            full(b"mdhd", 1, 0, mdhd),
            full(b"hdlr", 0, 0, hdlr),
            box(b"minf", media, box(b"dinf", dref), _stbl(track, table, media_at, wide=wide)),
        ),
    )


def _stbl(track: Track, table: Table, media_at: int, *, wide: bool) -> bytes:
    count = len(table.sizes)
    boxes = [
        full(b"stsd", 0, 0, struct.pack(">I", 1), sample_entry(track)),
        _runs(b"stts", 0, table.durations),
    ]
    if any(table.shifts):
        boxes.append(_runs(b"ctts", 1 if min(table.shifts) < 0 else 0, table.shifts))
    if len(table.keys) < count:
        boxes.append(full(b"stss", 0, 0, struct.pack(">I", len(table.keys)), _big(table.keys)))
    boxes.append(full(b"stsz", 0, 0, struct.pack(">II", 0, count), _big(table.sizes)))
    boxes.append(_stsc(table.chunk_samples))
    offsets = array("Q" if wide else "I", (media_at + at for at in table.chunk_offsets))
    kind = b"co64" if wide else b"stco"
    boxes.append(full(kind, 0, 0, struct.pack(">I", len(offsets)), _big(offsets)))
    return box(b"stbl", *boxes)


def _big(values: "array[int]") -> bytes:
    """Return an array's values big-endian."""
    if struct.pack("=H", 1) == struct.pack(">H", 1):
        return values.tobytes()
    copy = values[:]
    copy.byteswap()
    return copy.tobytes()


def _runs(kind: bytes, version: int, values: Iterable[int]) -> bytes:
    """Return a table of ``(how many, value)``."""
    counts, seen = array("I"), array("q")
    for value in values:
        if seen and seen[-1] == value:
            counts[-1] += 1
        else:
            counts.append(1)
            seen.append(value)
    rows = b"".join(
        struct.pack(">II", count, value & 0xFFFFFFFF)
        for count, value in zip(counts, seen, strict=True)
    )
    return full(kind, version, 0, struct.pack(">I", len(counts)), rows)


def _stsc(chunk_samples: Iterable[int]) -> bytes:
    rows, last = [], -1
    for number, samples in enumerate(chunk_samples, 1):
        if samples != last:
            rows.append(struct.pack(">III", number, samples, 1))
            last = samples
    return full(b"stsc", 0, 0, struct.pack(">I", len(rows)), *rows)
