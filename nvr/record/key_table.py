"""``keys-a`` and ``keys-b``: two copies of one table of wrapped day keys.

A slot is written to the first copy and flushed, then to the second: a page that a power cut turns
to garbage is whole in the other one. Nothing but the table's own files is touched here.

Source: ``FORMAT.md`` version 1.
"""

import struct
from collections.abc import Mapping
from dataclasses import dataclass

from nvr._native import crc32c
from nvr.hal.ports import Disk
from nvr.record.block import PAGE_BYTES
from nvr.record.volume import Identity
from nvr.seal import root

NAMES = ("keys-a", "keys-b")
ID_BYTES = 16
_NO_KEY = bytes(root.KEY_BYTES)
_NO_WRAP = bytes(root.WRAPPED_BYTES)
_HEAD = struct.Struct(">8sHHI16s32s32s")
_MAGIC = b"nvr keys"
_SLOT = struct.Struct(">4s16sI64s80s80s4x")
_SLOT_MAGIC = b"nkey"
_CRC = struct.Struct(">I")
SLOT_BYTES = _SLOT.size + _CRC.size
_FEWEST_SLOTS = 4096
_MOST_SLOTS = 65536


@dataclass(frozen=True, slots=True)
class Publics:
    """Public halves of the root keys that keys are wrapped to.

    Attributes:
        box: Of the box.
        owner: Of the owner's recovery key, empty if there is none yet.
    """

    box: bytes
    owner: bytes = b""


@dataclass(frozen=True, slots=True)
class Slot:
    """One key as stored.

    Attributes:
        key_id: Hash of the secret, so that a part's header commits to it.
        day: Days since 1970 in the zone of the box that made it.
        stream: Whose recording it seals.
        for_box: The secret, wrapped to the box.
        for_owner: The same, wrapped to the owner; empty if there was none.
    """

    key_id: bytes
    day: int
    stream: str
    for_box: bytes
    for_owner: bytes

    @property
    def about(self) -> bytes:
        """What its wraps are bound to."""
        return self.key_id + struct.pack(">I", self.day) + self.stream.encode()


def present(disk: Disk) -> bool:
    """Whether a volume has a table of keys."""
    return set(NAMES) <= dict(disk.listing()).keys()


class KeyTable:
    """The table of one volume; not safe for several threads.

    Args:
        disk: Of the volume.
        identity: Of the volume.
    """

    def __init__(self, disk: Disk, identity: Identity) -> None:
        self._disk = disk
        self._ring_id = identity.ring_id.bytes
        self.capacity = min(_MOST_SLOTS, max(_FEWEST_SLOTS, 2 * identity.blocks))
        self._size = PAGE_BYTES + self.capacity * SLOT_BYTES

    def make(self, publics: Publics) -> None:
        """Write an empty table once; from here on it is only overwritten.

        Raises:
            OSError: The disk refuses.
        """
        sizes = dict(self._disk.listing())
        for path in NAMES:
            if sizes.get(path) != self._size:
                self._disk.create(path, self._size)
        self._disk.sync_directory()
        for path in NAMES:
            self._disk.zero(path, self._size, 0)
            self._disk.pwrite(path, [self._encode_head(publics)], 0)
            self._disk.flush([(path, 0, self._size)], written_before=False)

    def read(self) -> tuple[Publics | None, dict[int, Slot], bool]:
        """Return the roots, the slots by number, and whether both copies say the same.

        The roots are None if neither head can be read; slots stand for themselves.

        Raises:
            OSError: The disk refuses.
        """
        there = dict(self._disk.listing())
        if all(there.get(path, 0) >= PAGE_BYTES + SLOT_BYTES for path in NAMES):
            # Made for as many blocks as there were then, and never made larger.
            self._size = min(there[path] for path in NAMES)
            self.capacity = (self._size - PAGE_BYTES) // SLOT_BYTES
        copies = [self._disk.pread(p, self._size, 0) if p in there else b"" for p in NAMES]
        heads = [self._decode_head(copy) for copy in copies]
        slots = [_decode_slots(copy) for copy in copies]
        head = heads[0] or heads[1]
        return head, slots[1] | slots[0], heads[0] == heads[1] and slots[0] == slots[1]

    def write(self, slots: Mapping[int, Slot | None], publics: Publics | None = None) -> None:
        """Overwrite slots, None wipes one, and the head if `publics` are given; durably.

        Raises:
            OSError: The disk refuses; each slot is as before or as wanted.
        """
        for path in NAMES:
            ranges = []
            if publics is not None:
                self._disk.pwrite(path, [self._encode_head(publics)], 0)
                ranges.append((path, 0, PAGE_BYTES))
            for number, slot in slots.items():
                at = PAGE_BYTES + number * SLOT_BYTES
                data = _encode_slot(slot) if slot else bytes(SLOT_BYTES)
                self._disk.pwrite(path, [data], at)
                ranges.append((path, at, SLOT_BYTES))
            self._disk.flush(ranges, written_before=False)

    def _encode_head(self, publics: Publics) -> bytes:
        body = _HEAD.pack(
            _MAGIC,
            1,
            SLOT_BYTES,
            self.capacity,
            self._ring_id,
            publics.box,
            publics.owner or _NO_KEY,
        )
        return body + _CRC.pack(crc32c(body))

    def _decode_head(self, data: bytes) -> Publics | None:
        body = data[: _HEAD.size]
        if len(data) < PAGE_BYTES or _CRC.unpack_from(data, _HEAD.size)[0] != crc32c(body):
            return None
        magic, version, slot_bytes, _, of_ring, box, owner = _HEAD.unpack_from(data)
        if (magic, version, slot_bytes, of_ring) != (_MAGIC, 1, SLOT_BYTES, self._ring_id):
            return None
        return Publics(box, b"" if owner == _NO_KEY else owner)


def _encode_slot(slot: Slot) -> bytes:
    body = _SLOT.pack(
        _SLOT_MAGIC, slot.key_id, slot.day, slot.stream.encode(), slot.for_box, slot.for_owner
    )
    return body + _CRC.pack(crc32c(body))


def _decode_slots(data: bytes) -> dict[int, Slot]:
    slots = {}
    for number, at in enumerate(range(PAGE_BYTES, len(data) - SLOT_BYTES + 1, SLOT_BYTES)):
        if data[at : at + 4] != _SLOT_MAGIC:
            continue
        body = data[at : at + _SLOT.size]
        if _CRC.unpack_from(data, at + _SLOT.size)[0] != crc32c(body):
            continue
        _, key_id, day, stream, for_box, for_owner = _SLOT.unpack(body)
        slots[number] = Slot(
            key_id,
            day,
            stream.rstrip(b"\0").decode("utf-8", "replace"),
            for_box,
            b"" if for_owner == _NO_WRAP else for_owner,
        )
    return slots
