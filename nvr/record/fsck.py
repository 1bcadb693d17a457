"""Checks a volume with the code that recovery and playback use, and says what it found.

Nothing that could still be read is ever overwritten: the only repairs are an index written again
from the parts it lists, and whatever the next start does by itself.
"""

import logging
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from nvr.base.errors import Damaged
from nvr.hal.ports import Disk
from nvr.record import block, log, recover, volume
from nvr.record.block import Entry, Read
from nvr.record.catalog import Row
from nvr.record.log import VolumeLog
from nvr.record.store import reader
from nvr.record.volume import Identity

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Finding:
    """Something that is not as it should be.

    Attributes:
        kind: ``head``, ``swapped``, ``foreign``, ``index``, ``part``, ``chain``, ``tail``,
            ``log`` or ``unreadable``.
        block: Number of the block, -1 if it is about none.
        stream: Stream concerned, empty if unknown.
        at_us: UTC microseconds concerned, 0 if unknown.
        detail: One sentence.
        harmless: What a power cut leaves and the recorder puts right by itself.
        repaired: It was put right.
    """

    kind: str
    block: int
    stream: str
    at_us: int
    detail: str
    harmless: bool = False
    repaired: bool = False


@dataclass(slots=True)
class Report:
    """What a check found.

    Attributes:
        identity: Of the volume.
        live: Blocks with something in them.
        parts: Parts looked at.
        part_bytes: Bytes they take.
        streams: For each stream its parts and its first and last UTC microseconds.
        findings: What is not as it should be.
    """

    identity: Identity
    live: int = 0
    parts: int = 0
    part_bytes: int = 0
    streams: dict[str, tuple[int, int, int]] = field(default_factory=dict)
    findings: list[Finding] = field(default_factory=list)

    @property
    def sound(self) -> bool:
        """Nothing found that was not harmless or repaired."""
        return all(found.harmless or found.repaired for found in self.findings)


def check(
    disk: Disk,
    *,
    deep: bool,
    repair: bool,
    progress: Callable[[int, int], None] | None = None,
) -> Report:
    """Check a volume.

    Args:
        disk: Its files. To repair, it must be locked by us; a check alone may run beside a
            recorder and then takes what is being written for a torn tail.
        deep: Read every part and verify its checksum, not only heads, indexes and open blocks.
        repair: Write again what can be derived from the parts.
        progress: Told of blocks done and blocks in all.

    Raises:
        NvrError: There is no volume to check.
        OSError: The directory cannot be read.
    """
    identity = volume.read(disk)
    if identity is None:
        raise Damaged("volume.damaged", "there is no volume here")
    report = Report(identity)
    volume_log = VolumeLog(disk, log.size_for(identity.blocks))
    for path, intact in volume_log.copies():
        if not intact:
            report.findings.append(
                Finding("log", -1, "", 0, f"{path} has wrong bytes", harmless=True)
            )
    state = recover.read_log(volume_log, identity)
    rows, refused = recover.read_rows(disk, identity, state, {}, durable=False)
    for number in sorted(refused):
        report.findings.append(
            Finding("unreadable", number, "", 0, "the disk refuses to read the head")
        )
    for finding in _misplaced(disk, identity, state, {row.head.block for row in rows} | refused):
        report.findings.append(finding)
    for done, row in enumerate(rows, 1):
        _check_row(disk, row, report, deep=deep, repair=repair)
        if progress is not None:
            progress(done, len(rows))
    return report


def _misplaced(
    disk: Disk, identity: Identity, state: recover.LogState, known: set[int]
) -> Iterator[Finding]:
    """Look at blocks that are not live although something is in them."""
    for number in range(identity.blocks):
        if number in known:
            continue
        read = reader(disk, number)
        try:
            head, _ = block.decode_head(read)
        except Damaged:
            if state.serials[number] and (entry := _headless(read, identity)) is not None:
                detail = "the head has wrong bytes, but there are parts behind it"
                yield Finding("head", number, entry[0], entry[1], detail)
            continue
        except OSError:
            continue  # told as unreadable
        if head.ring_id != identity.ring_id.bytes:
            yield Finding("foreign", number, head.stream, 0, "the block is of another volume")
        elif head.block != number:
            detail = f"the file holds block {head.block}: files were swapped or copied"
            yield Finding("swapped", number, head.stream, 0, detail)


def _headless(read: Read, identity: Identity) -> tuple[str, int] | None:
    """Return stream and time of the first part behind a head that cannot be read."""
    for offset in range(block.PAGE_BYTES, identity.block_bytes // 4, block.PAGE_BYTES):
        try:
            found = block.decode_part_header(read, offset)
        except (Damaged, OSError):
            continue
        if found.ring_id == identity.ring_id.bytes:
            return found.stream, found.wall_us
    return None


def _check_row(disk: Disk, row: Row, report: Report, *, deep: bool, repair: bool) -> None:
    head, read = row.head, reader(disk, row.head.block)
    entries = row.entries
    if entries is None:
        entries = block.decode_index(read, head)
    elif row.closed:
        repaired = repair and not row.doubtful and _write_index(disk, row, entries)
        detail = "the index is missing or has wrong bytes; its parts are found without it"
        report.findings.append(
            Finding(
                "index", head.block, head.stream, row.first_us, detail,
                harmless=not row.doubtful, repaired=repaired,
            )
        )  # fmt: skip
    else:
        _check_tail(read, row, report)
    report.live += 1
    report.parts += len(entries)
    report.part_bytes += sum(entry.part_bytes for entry in entries)
    if entries:
        parts, first_us, last_us = report.streams.get(head.stream, (0, row.first_us, row.last_us))
        report.streams[head.stream] = (
            parts + len(entries),
            min(first_us, row.first_us),
            max(last_us, row.last_us),
        )
    if deep:
        _check_parts(read, row, entries, report)


def _check_tail(read: Read, row: Row, report: Report) -> None:
    """Say if bytes of an unfinished group lie behind the last part of an open block."""
    free = block.tail_page(row.head.block_bytes, row.tail)
    try:
        behind = read(row.tail, block.PAGE_BYTES)
    except OSError:
        behind = free
    if behind[: len(free)] != free:
        report.findings.append(
            Finding(
                "tail", row.head.block, row.head.stream, row.last_us,
                "a group that was being written was cut off; it was never acknowledged",
                harmless=True,
            )
        )  # fmt: skip


def _check_parts(read: Read, row: Row, entries: tuple[Entry, ...], report: Report) -> None:
    previous = row.head.previous
    head = row.head
    intact = True
    for entry in entries:
        try:
            found, _ = block.read_part(read, head, entry.offset)
        except (Damaged, OSError) as err:
            detail = f"half a second cannot be shown: {err}"
            report.findings.append(Finding("part", head.block, head.stream, entry.wall_us, detail))
            intact = False
            continue
        if intact and found.previous != previous:
            detail = "the part does not follow the one before it"
            report.findings.append(Finding("chain", head.block, head.stream, entry.wall_us, detail))
        previous, intact = found.link, True


def _write_index(disk: Disk, row: Row, entries: tuple[Entry, ...]) -> bool:
    path = block.name(row.head.block)
    data = block.encode_index(row.head.serial, entries)
    try:
        disk.pwrite(path, [data], row.head.header_bytes)
        disk.flush([(path, row.head.header_bytes, len(data))], written_before=False)
    except OSError as err:
        _log.error("record.fsck_failed block=%d %s", row.head.block, err)
        return False
    return True
