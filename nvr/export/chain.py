"""Follows the chain of parts of an export and names what is not as it was recorded.

Works on part headers as ``FORMAT.md`` has them. A header that was edited, its checksum put right,
no longer has the link that the next one holds; one whose followers were all written again has
another link than the box signed.

Source: ``FORMAT.md`` version 1.
"""

from __future__ import annotations

import hashlib
import struct
from typing import BinaryIO, Iterator, NamedTuple  # noqa: UP035 - Python 3.8

from nvr.export.curve import crc32c, fingerprint, head_message, signed

HEAD_BYTES = 512
CHUNK_BYTES = 1 << 20
_MAGIC = bytes.fromhex("0000020075756964b7c9a41f4ac14c4cbf7e9d3f6e767270")
_HEADER = struct.Struct(">I4s16sHHI16sIIIIQQQqqqIIqIIIIII4IB3xI64s32s32s32s12s4x16s16s64sQ52xI")
_MOST_PART_BYTES = 256 << 20
_NO_SIGNATURE = bytes(64)
_SAME_US = 250_000


class Part(NamedTuple):
    """A part as it was found.

    Attributes:
        file: In which file of the export.
        whole: Its header has the right checksum.
        cut: The file ends within it.
        head_only: Only its header is here, for the signatures.
        sequence: Number in its stream.
        stream: Name of the stream.
        ring: UUID of the volume.
        wall_us: UTC microseconds of its start.
        end_us: UTC microseconds of its end.
        tick_us: Its start on the recorder's own time line.
        run: Number of the recording without interruption that it belongs to.
        wanted: SHA-256 that its header has of what is stored.
        found: SHA-256 of what is stored.
        previous: Link of the part before, as its header has it.
        link: Its own.
        about: Sequence that `signature` is about.
        signature: Of an earlier part, zeroes if there is none.
    """

    file: str
    whole: bool
    cut: bool
    head_only: bool
    sequence: int
    stream: str
    ring: bytes
    wall_us: int
    end_us: int
    tick_us: int
    run: int
    wanted: bytes
    found: bytes
    previous: bytes
    link: bytes
    about: int
    signature: bytes


class Finding(NamedTuple):
    """Something that is not as it was recorded.

    Attributes:
        kind: ``altered``, ``removed``, ``swapped``, ``cut off``, ``time edited``, ``foreign key``
            or ``damaged before``.
        stream: Concerned, empty if it is about the export as a whole.
        sequence: First part concerned, -1 if it is about none.
        wall_us: UTC microseconds of it, 0 if not known.
        text: In words.
        file: In which file.
    """

    kind: str
    stream: str
    sequence: int
    wall_us: int
    text: str
    file: str = ""


class Cursor:
    """Reads a file once, from front to back, and hashes it on the way."""

    def __init__(self, file: BinaryIO, size: int) -> None:
        self._file, self._left = file, size
        self._buffer = b""
        self.digest = hashlib.sha256()

    def peek(self, size: int) -> bytes:
        """Return the next `size` bytes, fewer at the end."""
        while len(self._buffer) < size and self._left:
            piece = self._file.read(min(self._left, max(CHUNK_BYTES, size - len(self._buffer))))
            self._left = self._left - len(piece) if piece else 0
            self._buffer += piece
        return self._buffer[:size]

    def take(self, size: int) -> bytes:
        """Return the next `size` bytes, fewer at the end, and go on behind them."""
        taken = self.peek(size)
        self._buffer = self._buffer[len(taken) :]
        self.digest.update(taken)
        return taken

    def seek_header(self) -> bool:
        """Go on to what looks like the next header; False if there is none."""
        while True:
            ahead = self.peek(CHUNK_BYTES)
            at = ahead.find(_MAGIC)
            if at >= 0:
                self.take(at)
                return True
            if len(ahead) < CHUNK_BYTES:
                self.take(len(ahead))
                return False
            self.take(len(ahead) - len(_MAGIC) + 1)


def parts_of(cursor: Cursor, file: str, *, heads: bool, carve: bool) -> Iterator[Part]:
    """Yield what a file of parts holds; a part without a header to be read comes as not whole."""
    while len(head := cursor.peek(HEAD_BYTES)) > 0:
        size, kind = struct.unpack(">I4s", head[:8]) if len(head) >= 8 else (0, b"")
        if head.startswith(_MAGIC):
            yield _part(cursor, file, heads=heads)
        elif kind in {b"ftyp", b"moov"} and 8 <= size <= 1 << 20 and not carve:
            cursor.take(size)
        else:
            if not carve:
                yield _part_of(head.ljust(HEAD_BYTES, b"\0"), file, cut=len(head) < HEAD_BYTES)
            cursor.take(1)
            if not cursor.seek_header():
                return


def _part(cursor: Cursor, file: str, *, heads: bool) -> Part:
    head = cursor.take(HEAD_BYTES)
    if len(head) < HEAD_BYTES:
        return _part_of(head.ljust(HEAD_BYTES, b"\0"), file, cut=True)
    moof, mdat, stored = struct.unpack(">III", head[136:148])
    whole = crc32c(head[:508]) == struct.unpack(">I", head[508:])[0]
    if heads or not whole or not stored <= moof + mdat <= _MOST_PART_BYTES:
        if not heads:
            cursor.seek_header()
        return _part_of(head, file, whole=whole, head_only=heads)
    body = cursor.take(moof + mdat)
    found = hashlib.sha256(memoryview(body)[:stored]).digest()
    return _part_of(head, file, found, whole=True, cut=len(body) < moof + mdat)


def _part_of(
    head: bytes,
    file: str,
    found: bytes = b"",
    *,
    whole: bool = False,
    cut: bool = False,
    head_only: bool = False,
) -> Part:
    f = _HEADER.unpack(head)
    return Part(
        file=file,
        whole=whole and f[3] == 1,
        cut=cut,
        head_only=head_only,
        sequence=f[12],
        stream=f[32].rstrip(b"\0").decode("utf-8", "replace"),
        ring=f[6],
        wall_us=f[19],
        end_us=f[19] + f[17] * 100 // 9,
        tick_us=f[14] * 100 // 9,
        run=f[13],
        wanted=f[33],
        found=found,
        previous=f[35],
        link=hashlib.sha256(head[:508]).digest(),
        about=f[40],
        signature=f[39],
    )


class Chain:
    """Follows the parts of one stream and notes where they are not as they were recorded."""

    def __init__(self, stream: str, ring: bytes | None, parts: list[Part]) -> None:
        self.stream = stream
        self.ring = ring
        self.parts = parts
        self.found: list[Finding] = []
        self.blamed: set[int] = set()
        self._end = len(parts)
        self._places: dict[int, list[int]] = {}
        for n, part in enumerate(parts):
            if self._own(part):
                self._places.setdefault(part.sequence, []).append(n)

    def _own(self, part: Part) -> bool:
        return part.whole and part.stream == self.stream and self.ring in {None, part.ring}

    def note(self, kind: str, sequence: int, wall_us: int, text: str, file: str = "") -> None:
        """Keep a finding. See `Finding`."""
        self.blamed.add(sequence)
        self.found.append(Finding(kind, self.stream, sequence, wall_us, text, file))

    def follow(self, first: int, last: int | None, begin: int, end: int, *, linked: bool) -> None:
        """Check the parts from place `begin` to `end`, which should be `first` to `last`.

        Args:
            first: Sequence of the first part.
            last: Of the last, None if it is not known.
            begin: Place of the first in `parts`.
            end: Place after the last.
            linked: The part before the first is the one at the place before.
        """
        expected, before, self._end = first, None, end
        if linked and begin and self._own(self.parts[begin - 1]):
            before = self.parts[begin - 1]
        for n in range(begin, end):
            part = self.parts[n]
            if not self._own(part):
                self._strange(n, expected)
                before, expected = None, expected + 1
                continue
            expected, stays = self._in_order(n, expected, before)
            self._check_data(part)
            if before and stays and before.sequence + 1 == part.sequence:
                self._check_link(before, part, n)
            before = part if stays else None
        if last is not None and expected <= last:
            wall_us = next((p.end_us for p in reversed(self.parts[begin:end]) if p.whole), 0)
            kind = "cut off" if end > begin else "removed"
            self.note(kind, expected, wall_us, f"{_count(last + 1 - expected)} at the end missing")

    def _time(self, n: int) -> int:
        """Return when a part should begin of which nothing can be believed."""
        for other in self.parts[n - 1 : n] if n else ():
            if self._own(other):
                return other.end_us
        return next((other.wall_us for other in self.parts[n + 1 :] if self._own(other)), 0)

    def _strange(self, n: int, expected: int) -> None:
        part, wall_us = self.parts[n], self._time(n)
        if part.whole:
            text = f"in its place is part {part.sequence} of {part.stream}"
            if self.ring not in {None, part.ring}:
                text += " of another volume"
            self.note("swapped", expected, wall_us, text, part.file)
        elif part.cut:
            self.note("cut off", expected, wall_us, "the file ends within it", part.file)
        else:
            self.note("altered", expected, wall_us, "its header has wrong bytes", part.file)

    def _in_order(self, n: int, expected: int, before: Part | None) -> tuple[int, bool]:
        """Check the place of a part; returns the next sequence, and whether it stands right."""
        part = self.parts[n]
        later = any(n < at < self._end for at in self._places.get(expected, ()))
        if part.sequence == expected:
            return expected + 1, True
        since_us = before.end_us if before else part.wall_us
        if part.sequence > expected and not later:
            missing = part.sequence - expected
            text = f"{_count(missing)} missing before part {part.sequence}"
            self.note("removed", expected, since_us, text, part.file)
            return part.sequence + 1, True
        if part.sequence > expected:
            text = f"part {part.sequence} stands in its place"
            self.note("swapped", expected, since_us, text, part.file)
            return expected + 1, False
        text = f"it stands in the place of part {expected}"
        self.note("swapped", part.sequence, part.wall_us, text, part.file)
        return (expected if later else expected + 1), False

    def _check_data(self, part: Part) -> None:
        if part.cut:
            text = "the file ends within it"
            self.note("cut off", part.sequence, part.wall_us, text, part.file)
        elif part.found != part.wanted and not part.head_only:
            kind, text = "altered", "its pictures or sound are not those that were recorded"
            for other in self.parts:
                if other.wanted == part.found:
                    kind, text = "swapped", f"the pictures of part {other.sequence} are in it"
            self.note(kind, part.sequence, part.wall_us, text, part.file)

    def _check_link(self, before: Part, part: Part, n: int) -> None:
        if part.previous == before.link or before.sequence in self.blamed:
            return
        after = self.parts[n + 1] if n + 1 < len(self.parts) else None
        if after and after.sequence == part.sequence + 1 and after.previous != part.link:
            self._blame(part, n, " or of the one before it")
        else:
            self._blame(before, n - 1, "")

    def _blame(self, part: Part, n: int, more: str) -> None:
        around = [p for p in self.parts[max(0, n - 1) : n + 2] if p is not part and p.whole]
        ahead_us = [p.wall_us - p.tick_us for p in around if p.run == part.run]
        off_us = part.wall_us - part.tick_us
        apart_us = min((abs(off_us - one) for one in ahead_us), default=0)
        if apart_us > _SAME_US and max(ahead_us) - min(ahead_us) <= _SAME_US:
            text = f"{(off_us - ahead_us[0]) / 1e6:+.3f} s against its neighbours"
            self.note("time edited", part.sequence, part.wall_us, text, part.file)
            return
        text = f"its header{more} was changed after it was recorded"
        self.note("altered", part.sequence, part.wall_us, text, part.file)

    def check_head(self, sequence: int, link: str) -> None:
        """Check that the part `sequence` is the one the manifest names."""
        for n in self._places.get(sequence, []):
            part = self.parts[n]
            if part.link.hex() != link and sequence not in self.blamed:
                text = "it is not the part that the manifest names"
                self.note("altered", sequence, part.wall_us, text, part.file)

    def check_signatures(self, key: bytes) -> tuple[int, int]:
        """Check every signature; returns how many are right and the last sequence they cover."""
        links = {p.sequence: p for p in self.parts if self._own(p)}
        if self.parts and self.parts[0].whole:
            first = self.parts[0]
            links.setdefault(first.sequence - 1, first._replace(link=first.previous))
        tried = [
            (links[p.about], p)
            for p in self.parts
            if self._own(p) and p.signature != _NO_SIGNATURE and p.about in links
        ]
        good = [
            signed(key, head_message(p.ring, self.stream, p.about, head.link), p.signature)
            for head, p in tried
        ]
        if tried and not any(good):
            head = tried[0][0]
            text = f"none of {len(tried)} signatures is by the key {fingerprint(key)}"
            self.note("foreign key", head.sequence, head.wall_us, text)
            return 0, -1
        last = max((p.about for (_, p), right in zip(tried, good) if right), default=-1)  # noqa: B905 - 3.8
        self._find_bad(tried, good)
        return sum(good), last

    def _find_bad(self, tried: list[tuple[Part, Part]], good: list[bool]) -> None:
        since = self.parts[0].sequence if self.parts else 0
        for (head, part), right in zip(tried, good):  # noqa: B905 - 3.8
            if right:
                since = part.about + 1
            elif not any(since <= one <= part.about for one in self.blamed):
                text = f"the box signed other parts {since} to {part.about}"
                first = next((p for p in self.parts if p.sequence == since), head)
                self.note("altered", since, first.wall_us, text, part.file)
                return


def _count(parts: int) -> str:
    return "1 part is" if parts == 1 else f"{parts} parts are"
