"""`nvr` with a known mistake in it, for harnesses that start a recorder and must find it out.

``python -m tests.faults.planted new_block run --board ... --data ...``
"""

import asyncio
import contextlib
import sys
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any
from unittest import mock

from nvr.cli.main import main
from nvr.hal.linux_disk import LinuxDisk
from nvr.ptz.guard_link import GuardLink
from nvr.ptz.schedule import Schedule
from nvr.record import block, survey, writer
from nvr.record.block import BlockHeader
from nvr.record.catalog import Row, spans_of
from nvr.record.lane import Lane


def new_block() -> None:
    """Every start begins a block of its own."""
    kept = writer.open_lane

    def open_lane(*about: Any) -> Lane:
        lane = kept(*about)
        lane.leave_block()
        return lane

    mock.patch.object(writer, "open_lane", open_lane).start()


def last_part_lost() -> None:
    """A start takes the last part of an open block for one that was cut off."""
    kept = survey.read_open

    def read_open(read: block.Read, head: BlockHeader, trusted: int = 0) -> Row:
        row = kept(read, head, trusted)
        if not row.entries:
            return row
        last = block.read_header(read, head, row.entries[-1].offset)
        entries = row.entries[:-1]
        return replace(
            row, entries=entries, spans=spans_of(entries), count=len(entries),
            tail=row.entries[-1].offset, sequence=last.sequence, link=last.previous,
        )  # fmt: skip

    mock.patch.object(survey, "read_open", read_open).start()


def flipped_bit() -> None:
    """One bit of what is written now and then is another."""
    kept = LinuxDisk.pwrite
    calls = 0

    def pwrite(self: LinuxDisk, path: str, buffers: Sequence[bytes], offset: int) -> None:
        nonlocal calls
        calls += 1
        data = bytearray(b"".join(buffers))
        if calls % 7 == 0 and path.startswith("block-") and len(data) > 20_000:
            data[len(data) // 3] ^= 1
        kept(self, path, [bytes(data)], offset)

    mock.patch.object(LinuxDisk, "pwrite", pwrite).start()


def retry_flush() -> None:
    """A flush that failed is tried again on the same pages, and then succeeds."""
    kept = LinuxDisk.flush

    def flush(
        self: LinuxDisk, ranges: Sequence[tuple[str, int, int]], *, written_before: bool
    ) -> None:
        while True:
            with contextlib.suppress(OSError):
                kept(self, ranges, written_before=written_before)
                return

    mock.patch.object(LinuxDisk, "flush", flush).start()


def no_guard() -> None:
    """The guard is never started, and nobody misses it."""

    async def run(_self: GuardLink) -> None:
        await asyncio.Event().wait()

    mock.patch.object(GuardLink, "start", return_value=None).start()
    mock.patch.object(GuardLink, "ready", return_value=True).start()
    mock.patch.object(GuardLink, "run", run).start()


def no_stop_on_lapse() -> None:
    """A lease that lapses is forgotten, and the head not told."""

    def expire(self: Schedule, now_s: float) -> list[str]:
        lapsed = [name for name, it in self._heads.items() if it.frame and now_s >= it.until_s]
        for name in lapsed:
            self._heads[name].frame = b""
        return lapsed

    mock.patch.object(Schedule, "expire", expire).start()


def no_stop_on_return() -> None:
    """When a port is there again the heads are taken to stand."""
    kept = Schedule.begin

    def begin(self: Schedule, now_s: float) -> None:
        kept(self, now_s)
        for it in self._heads.values():
            it.stops_left = 0

    mock.patch.object(Schedule, "begin", begin).start()


_MAKES: dict[str, Callable[[], None]] = {
    make.__name__: make
    for make in (
        new_block, last_part_lost, flipped_bit, retry_flush,
        no_guard, no_stop_on_lapse, no_stop_on_return,
    )
}  # fmt: skip
PLANTS = ("new_block", "last_part_lost", "flipped_bit")
"""What `restarts` must find."""
DISK_PLANTS = ("retry_flush",)
"""What `disk` must find."""


if __name__ == "__main__":
    _MAKES[sys.argv[1]]()
    sys.exit(main(sys.argv[2:]))
