"""Checks a volume with the code that recovery and playback use, and says what it found.

Nothing that could still be read is ever overwritten: the only repairs are an index written again
from the parts it lists, and whatever the next start does by itself.
"""

import logging
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

from nvr.base.errors import Damaged
from nvr.hal.ports import Disk
from nvr.record import block, log, volume
from nvr.record.block import Entry, Read
from nvr.record.catalog import Catalog
from nvr.record.chain import follow
from nvr.record.log import VolumeLog
from nvr.record.log_state import LogState, read_log
from nvr.record.row import Row
from nvr.record.survey import Survey
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
        blocks: Blocks that are there.
        live: Those with something in them.
        parts: Parts looked at.
        part_bytes: Bytes they take.
        streams: For each stream its parts and its first and last UTC microseconds.
        aside: Blocks the disk refused, on which nothing is recorded any more.
        findings: What is not as it should be.
    """

    identity: Identity
    blocks: int = 0
    live: int = 0
    parts: int = 0
    part_bytes: int = 0
    streams: dict[str, tuple[int, int, int]] = field(default_factory=dict)
    aside: tuple[int, ...] = ()
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
    state = read_log(volume_log, identity)
    report.aside = tuple(state.aside)
    report.blocks = identity.blocks - len(state.absent)
    catalog = Catalog()
    lost = not state.intact
    survey = Survey(
        disk, identity, state.serials, catalog, state.absent, all_blocks=lost, durable=False
    )
    survey.begin()
    for number in sorted(survey.refused):
        report.findings.append(
            Finding("unreadable", number, "", 0, "the disk refuses to read the head")
        )
    live = {n for n in range(identity.blocks) if catalog.serial(n)}
    for finding in _misplaced(disk, identity, state, live | survey.refused):
        report.findings.append(finding)
    for done, row in enumerate(catalog.in_order(), 1):
        whole = row if row.closed else catalog.row(row.head.block)
        _check_row(disk, whole or row, report, deep=deep, repair=repair)
        if progress is not None:
            progress(done, len(live))
    return report


def _misplaced(
    disk: Disk, identity: Identity, state: LogState, known: set[int]
) -> Iterator[Finding]:
    """Look at blocks that are not live although something is in them."""
    for number in range(identity.blocks):
        if number in known or number in state.absent:
            continue
        read = block.reader(disk, number)
        try:
            head, _ = block.decode_head(read)
        except Damaged:
            serial = state.serials[number]
            if serial and (entry := _headless(read, identity, serial)) is not None:
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


def _headless(read: Read, identity: Identity, serial: int) -> tuple[str, int] | None:
    """Return stream and time of the first part behind a head that cannot be read.

    Parts older than `serial`, the block's last grant, were given up with the head they had.
    """
    for offset in range(block.PAGE_BYTES, identity.block_bytes // 4, block.PAGE_BYTES):
        try:
            found = block.decode_part_header(read, offset)
        except (Damaged, OSError):
            continue
        if found.ring_id == identity.ring_id.bytes and found.serial >= serial:
            return found.stream, found.wall_us
    return None


def _check_row(disk: Disk, row: Row, report: Report, *, deep: bool, repair: bool) -> None:
    head, read = row.head, block.reader(disk, row.head.block)
    entries: Sequence[Entry]
    entries = block.decode_index(read, head) if row.entries is None else row.entries
    if row.entries is not None and row.closed:
        repaired = repair and not row.doubtful and _write_index(disk, row, entries)
        detail = "the index is missing or has wrong bytes; its parts are found without it"
        report.findings.append(
            Finding(
                "index", head.block, head.stream, row.first_us, detail,
                harmless=not row.doubtful, repaired=repaired,
            )
        )  # fmt: skip
    elif not row.closed:
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


def _check_parts(read: Read, row: Row, entries: Sequence[Entry], report: Report) -> None:
    head = row.head
    link: bytes | None = head.previous
    for entry in entries:
        link, fault = follow(read, head, entry, link)
        if fault is not None:
            report.findings.append(
                Finding(fault.kind, head.block, head.stream, entry.wall_us, fault.detail)
            )


def _write_index(disk: Disk, row: Row, entries: Sequence[Entry]) -> bool:
    path = block.name(row.head.block)
    data = block.encode_index(row.head.serial, entries)
    try:
        disk.pwrite(path, [data], row.head.header_bytes)
        disk.flush([(path, row.head.header_bytes, len(data))], written_before=False)
    except OSError as err:
        _log.error("record.fsck_failed block=%d %s", row.head.block, err)
        return False
    return True
