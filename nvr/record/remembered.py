"""What reading back found, and how far it has come: the file ``readback`` of a volume.

Two slots of 64 KiB, written in turn: ``u32 size, u32 CRC of the rest, u64 number`` and a JSON
object. The intact one with the higher number counts. It is a memory, not a promise: without it
reading begins anew, and finds again what is to be found.
"""

import struct
from collections.abc import Collection

import msgspec

from nvr._native import crc32c
from nvr.hal.ports import Disk

NAME = "readback"
SLOT_BYTES = 64 << 10
MOST_DAMAGES = 100
"""A disk on which more blocks are damaged is to be changed: nobody counts the rest."""
MOST_OFFSETS = 16
_HEAD = struct.Struct(">IIQ")


class Damage(msgspec.Struct, frozen=True):
    """A block in which something is not as it was written.

    Attributes:
        block: Its number.
        serial: Of the use of the block that is damaged.
        stream: What is recorded there.
        from_us: UTC microseconds of the first part concerned; of the block, if none is.
        to_us: End of the last one.
        parts: How many cannot be shown, or do not follow the one before.
        offsets: Where the first of them are.
        refused: The disk refused to read something; else it gave wrong bytes.
        detail: One sentence about the first.
        found_us: UTC microseconds at which it was found.
    """

    block: int
    serial: int
    stream: str
    from_us: int
    to_us: int
    parts: int
    offsets: tuple[int, ...]
    refused: bool
    detail: str
    found_us: int


class Round(msgspec.Struct, frozen=True):
    """One time through all closed blocks.

    Attributes:
        from_us: UTC microseconds of its start, 0 if it has not begun.
        to_us: Of its end, 0 while it lasts.
        blocks: Blocks read.
        read_bytes: Bytes read.
    """

    from_us: int = 0
    to_us: int = 0
    blocks: int = 0
    read_bytes: int = 0


class Remembered(msgspec.Struct, frozen=True):
    """Everything that is remembered.

    Attributes:
        ring: UUID of the volume.
        next_block: Where reading goes on.
        now: The round under way.
        last: The last whole round.
        damages: What is damaged and not overwritten yet, in the order it was found.
        avoided: Blocks that are set aside. ``volume.log`` knows them; here are those of volumes
            written before it did.
    """

    ring: str
    next_block: int = 0
    now: Round = Round()
    last: Round = Round()
    damages: tuple[Damage, ...] = ()
    avoided: tuple[int, ...] = ()


def load(disk: Disk, ring: str) -> tuple[Remembered, int]:
    """Return what volume `ring` remembers, or nothing, and the number of its slot."""
    best = Remembered(ring), 0
    for slot in (0, 1):
        try:
            data = disk.pread(NAME, SLOT_BYTES, slot * SLOT_BYTES)
            size, crc, number = _HEAD.unpack_from(data)
            body = data[_HEAD.size : size]
            if number <= best[1] or size > len(data) or crc32c(data[8:size]) != crc:
                continue
            found = msgspec.json.decode(body, type=Remembered)
        except (OSError, struct.error, msgspec.MsgspecError):
            continue
        if found.ring == ring:
            best = found, number
    return best


def save(disk: Disk, remembered: Remembered, number: int) -> None:
    """Write slot `number`, one more than the last, durably.

    Raises:
        OSError: The disk refuses.
    """
    body = msgspec.json.encode(remembered)
    rest = struct.pack(">Q", number) + body
    data = struct.pack(">II", 8 + len(rest), crc32c(rest)) + rest
    if len(data) > SLOT_BYTES:
        raise ValueError(f"{len(data)} bytes to remember are too many")
    if dict(disk.listing()).get(NAME) != 2 * SLOT_BYTES:
        disk.create(NAME, 2 * SLOT_BYTES)
        disk.sync_directory()
    at = number % 2 * SLOT_BYTES
    disk.pwrite(NAME, [data], at)
    disk.flush([(NAME, at, len(data))], written_before=False)


def forget(disk: Disk, ring: str, numbers: Collection[int]) -> None:
    """Forget what was found in blocks that are used again.

    Raises:
        OSError: The disk refuses.
    """
    remembered, slot = load(disk, ring)
    avoided = tuple(each for each in remembered.avoided if each not in numbers)
    damages = tuple(each for each in remembered.damages if each.block not in numbers)
    if (avoided, damages) != (remembered.avoided, remembered.damages):
        save(disk, msgspec.structs.replace(remembered, avoided=avoided, damages=damages), slot + 1)
