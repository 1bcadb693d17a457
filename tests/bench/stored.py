"""Looks at what a recorder left on its volume: is anything missing between first and last part?

Part headers say where each part begins and ends on the stream's time line; PyAV, which knows
nothing of them, must find as many pictures in each block as the headers promise.
"""

import io
from collections import defaultdict
from pathlib import Path

import av

from nvr.app.keyring import Keyring
from nvr.hal.linux_disk import LinuxDisk
from nvr.media.part import PART_HEADER_BYTES
from nvr.record import volume
from nvr.record.header import BOX_TYPE, PartHeader, decode
from nvr.record.keys import Keys, reading
from nvr.record.seal import unsealed

FRAME_90K = 90_000 // 25


def headers(block: bytes) -> list[PartHeader]:
    """Return the part headers of a block in order."""
    found = []
    at = 0
    while at + 8 <= len(block):
        size = int.from_bytes(block[at : at + 4], "big")
        if size < 8:
            break
        if size == PART_HEADER_BYTES and block[at + 4 : at + 24] == b"uuid" + BOX_TYPE:
            found.append(decode(block[at : at + size]))
        at += size
    return found


def unsealed_block(block: bytes, found: list[PartHeader], keys: Keys | None) -> bytes:
    """Return a block as it would be without sealing: each sealed part unsealed in its place."""
    plain, at = bytearray(block), 0
    for header in found:
        at = block.index(BOX_TYPE, at) - 8
        begin = at + PART_HEADER_BYTES
        if header.suite:
            payload = unsealed(header, block[begin : begin + header.stored_bytes], keys)
            plain[begin : begin + len(payload)] = payload
        at = begin
    return bytes(plain)


def keys_of(ring: Path) -> Keys | None:
    """Return the keys of a volume whose data directory is the one above it."""
    disk = LinuxDisk(ring, read_only=True)
    try:
        identity = volume.read(disk)
        assert identity is not None
        return reading(Keyring(ring.parent, make=False).privates)(disk, identity)
    finally:
        disk.close()


def pictures(block: bytes) -> int:
    """Return how many pictures a player finds in a block."""
    with av.open(io.BytesIO(block), format="mp4") as container:
        video = container.streams.video[0]
        return sum(packet.size > 0 for packet in container.demux(video))


def begun(path: Path) -> bool:
    """Whether something was recorded in a block."""
    with path.open("rb") as file:
        return file.read(8)[4:] == b"ftyp"


def missing(ring: Path, streams: int, seconds: float) -> int:
    """Return the video frames missing in a volume, and damaged access units.

    Args:
        ring: The volume's directory.
        streams: How many streams must be there.
        seconds: What each must hold at least; what is short of it is missing too.
    """
    parts: dict[str, list[PartHeader]] = defaultdict(list)
    lost = 0
    keys = keys_of(ring)
    for path in sorted(ring.glob("block-*.mp4")):
        block = path.read_bytes()
        found = headers(block) if begun(path) else []
        for header in found:
            parts[header.stream].append(header)
        if found:
            plain = unsealed_block(block, found, keys)
            lost += abs(pictures(plain) - sum(header.samples for header in found))
    for stored in parts.values():
        stored.sort(key=lambda header: header.sequence)
        end_90k = stored[0].start_90k
        for header in stored:
            lost += abs(header.start_90k - end_90k) // FRAME_90K + header.damaged
            end_90k = header.start_90k + header.duration_90k
        lost += max(0, int(seconds * 25) - sum(header.samples for header in stored))
    return lost + (streams - len(parts)) * int(seconds * 25)
