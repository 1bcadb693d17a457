"""``volume.log``: what must never be guessed again, written and flushed before it takes effect.

Two files of fixed size hold the same records. Each record is appended to the first and flushed,
then to the second and flushed: a power cut can turn the page being written to garbage, older
records in it included, but never in both. When the files are full a summary of what still
matters starts them anew under the next epoch, again one after the other, the worse one first.

A record is ``size crc32c epoch number`` (big-endian, 32 bits each; the checksum covers the rest)
and a msgpack map. Source: ``FORMAT.md`` version 1.
"""

import struct
from collections.abc import Sequence
from typing import Any

import msgpack

from nvr._native import crc32c
from nvr.base.errors import Damaged
from nvr.hal.ports import Disk

NAMES = ("volume-a.log", "volume-b.log")
Record = dict[str, Any]
"""A msgpack map with a ``kind``; ``FORMAT.md`` lists them."""

_HEAD = struct.Struct(">IIII")


def size_for(blocks: int) -> int:
    """Return the size of each file for a volume of `blocks` blocks."""
    return (1 << 20) + blocks * 16


def _pack(record: Record, epoch: int, number: int) -> bytes:
    body: bytes = msgpack.packb(record)
    rest = struct.pack(">II", epoch, number) + body
    return struct.pack(">II", _HEAD.size + len(body), crc32c(rest)) + rest


def _parse(data: bytes) -> tuple[int, list[Record], int]:
    """Read one file: its epoch (0 if it has none), its records and where they end."""
    at, epoch, records = 0, 0, list[Record]()
    while at + _HEAD.size <= len(data):
        size, crc, of_epoch, number = _HEAD.unpack_from(data, at)
        if size < _HEAD.size or at + size > len(data) or number != len(records):
            break
        if crc32c(data[at + 8 : at + size]) != crc or (records and of_epoch != epoch):
            break
        try:
            record = msgpack.unpackb(data[at + _HEAD.size : at + size], strict_map_key=False)
        except (ValueError, TypeError, msgpack.UnpackException):
            break  # whole, and not of ours
        if not isinstance(record, dict) or (not records and record.get("kind") != "summary"):
            break
        epoch = of_epoch
        records.append(record)
        at += size
    return epoch, records, at


def counted(value: object) -> int:
    """Return a number of a record.

    Raises:
        ValueError: It is none, or below 0.
    """
    if not isinstance(value, int) or value < 0:
        raise ValueError(f"{value!r} counts nothing")
    return value


class VolumeLog:
    """The log of an open volume; not safe for several threads (the ring's lock covers it).

    Args:
        disk: Of the volume.
        size: Of each file, from `size_for`.
    """

    def __init__(self, disk: Disk, size: int) -> None:
        self._disk = disk
        self._size = size
        self._epoch = 0
        self._number = 0
        self._tail = 0
        self._order = list(NAMES)  # the better one last

    def widen(self, size: int) -> None:
        """Use more of each file, which has that size already."""
        self._size = size

    def read(self) -> list[Record]:
        """Return the records of the better copy; the first is the summary.

        Raises:
            Damaged: ``volume.log_damaged``: neither copy can be read.
        """
        found: dict[str, tuple[int, list[Record]]] = {}
        for path in NAMES:
            try:
                epoch, records, _ = _parse(self._disk.pread(path, self._size, 0))
            except OSError:
                epoch, records = 0, []  # the other copy is there for this
            found[path] = epoch, records
        self._order = sorted(NAMES, key=lambda path: (found[path][0], len(found[path][1])))
        self._epoch, best = found[self._order[-1]]
        if not best:
            raise Damaged("volume.log_damaged", "neither copy of volume.log can be read")
        return best

    def copies(self) -> list[tuple[str, bool]]:
        """Return the name of each copy, and whether it can be read."""
        found = []
        for path in NAMES:
            try:
                found.append((path, bool(_parse(self._disk.pread(path, self._size, 0))[1])))
            except OSError:
                found.append((path, False))
        return found

    def start(self, summary: Sequence[Record]) -> None:
        """Begin a new epoch with `summary`, whose first record is of the kind ``summary``.

        The worse copy is written first: it may be garbage already, and the other is all there is.

        Raises:
            OSError: It did not get onto the disk; the copy not yet reached is still whole.
        """
        self._epoch += 1
        data = b"".join(_pack(record, self._epoch, n) for n, record in enumerate(summary))
        for path in self._order:
            self._disk.pwrite(path, [data], 0)
            self._disk.flush([(path, 0, len(data))], written_before=False)
        self._number = len(summary)
        self._tail = len(data)

    def fits(self, *records: Record) -> bool:
        """Whether `records` can be appended without a new summary."""
        return self._tail + sum(len(_pack(record, 0, 0)) for record in records) <= self._size

    def append(self, *records: Record) -> None:
        """Make `records` durable in both copies; afterwards what they say may take effect.

        Raises:
            OSError: They did not get onto the disk, and must not take effect.
        """
        numbered = enumerate(records, self._number)
        data = b"".join(_pack(record, self._epoch, number) for number, record in numbered)
        for path in NAMES:
            self._disk.pwrite(path, [data], self._tail)
            self._disk.flush([(path, self._tail, len(data))], written_before=False)
        self._number += len(records)
        self._tail += len(data)
