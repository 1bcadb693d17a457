"""The identity of a volume, and making one: a directory of files that are only overwritten.

``volume.id`` holds two copies of the identity, each on a page of its own and written in turn, so
that a cut while one is written leaves the other. The generation counts how often the volume was
opened: a copy of the disk that was taken earlier falls behind and is refused.

Source: ``FORMAT.md`` version 1.
"""

import errno
import random
import struct
import uuid
from dataclasses import dataclass, replace

from nvr._native import crc32c
from nvr.base.errors import Damaged, Misconfigured, Unavailable
from nvr.hal.ports import Disk
from nvr.record import block, log
from nvr.record.block import PAGE_BYTES

ID_NAME = "volume.id"
MIN_BLOCKS = 8
_ID = struct.Struct(">8sHHI16sIIQ")
_CRC = struct.Struct(">I")
_MAGIC = b"nvr vol\0"
_READY = 1

SPARE_BYTES = 64 << 20
"""Room left on the disk beside a new volume, for the index, the log and everybody else."""


@dataclass(frozen=True, slots=True)
class Identity:
    """What makes a directory this volume.

    Attributes:
        ring_id: UUID.
        generation: How often it was opened.
        block_bytes: Size of every block.
        blocks: Numbers that blocks can have; of which some may be absent, see `record.size`.
        created_us: UTC microseconds when it was made.
        ready: All files are there; False while it is being made.
    """

    ring_id: uuid.UUID
    generation: int
    block_bytes: int
    blocks: int
    created_us: int
    ready: bool


def _encode(identity: Identity) -> bytes:
    body = _ID.pack(
        _MAGIC,
        1,
        _READY if identity.ready else 0,
        identity.generation,
        identity.ring_id.bytes,
        identity.block_bytes,
        identity.blocks,
        identity.created_us,
    )
    return body + _CRC.pack(crc32c(body))


def _decode(data: bytes) -> Identity | None:
    if len(data) < _ID.size + _CRC.size or data[:8] != _MAGIC:
        return None
    if _CRC.unpack_from(data, _ID.size)[0] != crc32c(data[: _ID.size]):
        return None
    _, version, flags, generation, ring_id, block_bytes, blocks, created_us = _ID.unpack_from(data)
    if version != 1:
        raise Misconfigured(
            "volume.version", f"the volume has format version {version}, this program knows 1"
        )
    return Identity(
        uuid.UUID(bytes=ring_id), generation, block_bytes, blocks, created_us, bool(flags & _READY)
    )


def write(disk: Disk, identity: Identity) -> None:
    """Make the identity durable in the copy whose turn it is; a cut leaves the other one."""
    offset = identity.generation % 2 * PAGE_BYTES
    disk.pwrite(ID_NAME, [_encode(identity)], offset)
    disk.flush([(ID_NAME, offset, PAGE_BYTES)], written_before=False)


def read(disk: Disk) -> Identity | None:
    """Return the identity of what is in the directory, or None if it holds nothing at all.

    Raises:
        Misconfigured: ``volume.foreign``: something else is there. ``volume.version``.
        Damaged: ``volume.damaged``: both copies of the identity have wrong bytes.
    """
    try:
        data = disk.pread(ID_NAME, 2 * PAGE_BYTES, 0)
    except FileNotFoundError:
        data = b""
    copies = [
        copy for at in (0, PAGE_BYTES) if (copy := _decode(data[at : at + PAGE_BYTES])) is not None
    ]
    if copies:
        return max(copies, key=lambda copy: (copy.generation, copy.ready))
    files = dict(disk.listing())  # asked only now: a big volume has 300,000 of them
    if ID_NAME not in files:
        if files:
            raise Misconfigured(
                "volume.foreign",
                "the directory holds other files and no volume",
                file=min(files),
            )
        return None
    if set(files) == {ID_NAME}:
        return None  # the power went before the first identity was whole
    raise Damaged("volume.damaged", "both copies of the volume's identity have wrong bytes")


def _require_room(disk: Disk, size_bytes: int) -> None:
    free_bytes = max(0, disk.free_bytes() - SPARE_BYTES)
    if size_bytes > free_bytes:
        raise Unavailable(
            "volume.full",
            "the disk has too little room for the volume that size_mib asks for",
            needs_mib=size_bytes >> 20,
            free_mib=free_bytes >> 20,
        )


def make(
    disk: Disk,
    rng: random.Random,
    *,
    size_bytes: int,
    wall_us: int,
    block_bytes: int = 0,
    begun: Identity | None = None,
) -> Identity:
    """Make a volume, or carry on making one that a power cut interrupted.

    Args:
        disk: An empty directory.
        rng: Where the UUID comes from.
        size_bytes: Room it may take.
        wall_us: UTC microseconds now.
        block_bytes: Size of a block; 0 for the usual one.
        begun: What an interrupted attempt left.

    Raises:
        Misconfigured: ``volume.too_small``.
        Unavailable: ``volume.full``: the disk has no room for it.
    """
    block_bytes = block_bytes or block.size_for(size_bytes)
    count = size_bytes // block_bytes
    if count < MIN_BLOCKS:
        raise Misconfigured(
            "volume.too_small",
            f"a volume needs room for {MIN_BLOCKS} blocks of {block_bytes} bytes",
            size_bytes=size_bytes,
        )
    identity = begun or Identity(
        ring_id=uuid.UUID(int=rng.getrandbits(128), version=4),
        generation=0,
        block_bytes=block_bytes,
        blocks=count,
        created_us=wall_us,
        ready=False,
    )
    files = dict.fromkeys(log.NAMES, log.size_for(identity.blocks))
    files |= {block.name(number): identity.block_bytes for number in range(identity.blocks)}
    try:
        present = dict(disk.listing())
        missing = {path: size for path, size in files.items() if present.get(path) != size}
        # Asked before the first file: found out by filling it, a disk shared with others would
        # stop them as well.
        _require_room(disk, sum(missing.values()))
        if begun is None:
            disk.create(ID_NAME, 2 * PAGE_BYTES)
            write(disk, identity)
            disk.sync_directory()
        for path, size in missing.items():
            disk.create(path, size)
        disk.sync_directory()
    except OSError as err:
        raise refusal(err) from err
    return replace(identity, ready=True)


def refusal(err: OSError) -> Unavailable:
    """Say what a disk refused when a volume was to be made or opened."""
    if err.errno in {errno.ENOSPC, errno.EDQUOT}:
        return Unavailable("volume.full", "the disk has no room for the volume")
    return Unavailable("volume.unwritable", f"the volume cannot be opened: {err}")
