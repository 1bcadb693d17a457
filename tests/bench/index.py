"""Measures the archive at the size of a big disk: start, seek, memory, rebuilding the index.

A 20 TB volume of 312,480 blocks, 16 cameras with two streams each, lies on a disk that is made up
as it is read (`shelf`); recovery is also measured on a real file system, on 1 TiB of sparse files
whose pages and inodes were dropped from memory. What runs is what ships: `open_store`, `Index`,
`Archive`, `Committer`. Times are ours alone: what making up the data takes is taken off.
"""

import contextlib
import gc
import json
import os
import random
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path
from unittest import mock

from nvr.base.clock import FakeClock
from nvr.hal.linux_disk import LinuxDisk
from nvr.hal.ports import Disk
from nvr.playback.query import Archive
from nvr.record import writer
from nvr.record.index import NAME, Index
from nvr.record.rebuild import AT_ONCE, Rebuild
from nvr.record.recover import open_store
from nvr.record.retention import default_terms
from nvr.record.store import Store
from tests.bench import figures
from tests.bench.shelf import END_US, KEY_PARTS, MAIN, PART_90K, Shelf
from tests.record import synthetic

LIMITS = {
    "start_s": figures.at_most(2.0, "recording goes on at once after a restart"),
    "seek_p99_ms": figures.at_most(5.0, "scrubbing asks for ten a second, of several cameras"),
    "rebuild_rows_s": figures.at_least(2000, "a disk that seeks gives fewer: we are not the brake"),
    "lost_1tib_s": figures.at_most(5.0, "recording again within 5 s, though nothing is remembered"),
    "recover_1tib_s": figures.at_most(5.0, "recording again within 5 s of a power cut, cold"),
    "bytes_per_block": figures.at_most(300, "a box with 1 GB can have a 20 TB disk"),
    "seek_growth_mib": figures.at_most(1.0, "what a seek takes is given back"),
    "turnover_growth_mib": figures.at_most(2.0, "a year of recording takes no more than a day"),
    "ring_ms": figures.at_most(100, "GET /api/ring, and once a minute by itself"),
    "ranges_ms": figures.at_most(50, "the timeline of a camera, all 25 days"),
    "gaps_first_ms": figures.at_most(2000, "nvr gaps, which opens the volume for itself"),
    "gaps_ms": figures.at_most(500, "all timelines, 25 days, in a recorder that runs"),
}
PERIODS = 2170
TIB_PERIODS = 114
LATE_PARTS = 20
"""The index is saved every ten seconds."""
_LOGS = "logs"
Result = dict[str, float]


def resident() -> int:
    gc.collect()
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def opened(
    disk: Disk, directory: Path, *, remembered: bool, at_once: int = 0
) -> tuple[Store, Index]:
    made: list[Index] = []

    def known(identity):
        made.append(Index(directory / NAME, identity))
        return made[0].load()

    store = open_store(
        disk, FakeClock(END_US), random.Random(1), size_bytes=0,
        known=known if remembered else None, at_once=at_once,
    )  # fmt: skip
    return store, made[0] if made else Index(directory / NAME, store.identity)


def forget(path: Path) -> None:
    """Drop a file's pages from memory."""
    with path.open("rb") as file:
        os.fsync(file.fileno())
        os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


def rebuild(directory: Path, periods: int, late_parts: int) -> Result:
    """Read every block, because nothing is remembered, and save what was found."""
    shelf = Shelf(periods, late_parts=late_parts)
    began_s = time.perf_counter()
    store, index = opened(shelf, directory, remembered=False)
    took_s = time.perf_counter() - began_s - shelf.spent_s
    began_s = time.perf_counter()
    index.save(store.catalog)
    saved_s = time.perf_counter() - began_s
    index.close()
    shelf.keep(directory / _LOGS)
    return {
        "blocks": shelf.blocks,
        "size_tb": round(store.ring.blocks * store.identity.block_bytes / 1e12, 2),
        "rebuild_rows_s": round(shelf.blocks / took_s),
        "save_all_s": round(saved_s, 2),
        "index_mib": round((directory / NAME).stat().st_size / (1 << 20), 1),
    }


def use(directory: Path, periods: int, seeks: int, blocks: int) -> Result:
    """Start with what is remembered, and look for how long things take and what they leave."""
    shelf = Shelf(periods)
    shelf.take(directory / _LOGS)
    forget(directory / NAME)
    shelf.warm()
    spent_s, before = shelf.spent_s, resident()
    began_s = time.perf_counter()
    store, index = opened(shelf, directory, remembered=True)
    committer = writer.Committer(store)
    start_s = time.perf_counter() - began_s - (shelf.spent_s - spent_s)
    held = resident() - before
    archive, rng = Archive(store), random.Random(2)
    found: Result = {"start_s": round(start_s, 2), "start_reads": shelf.reads}
    found["memory_mib"] = round(held / (1 << 20), 1)
    found["bytes_per_block"] = round(held / shelf.blocks)

    def seek() -> None:
        stream = rng.choice(shelf.streams)
        t_us = rng.randrange(stream.origin_us, END_US)
        gop = archive.gop(stream.name, t_us)
        assert gop is not None
        assert gop.from_us <= t_us < gop.to_us or gop.from_us - t_us <= 22_000_000

    timed(shelf, seek, seeks // 3)
    settled = resident()
    times_ms = timed(shelf, seek, seeks)
    found["seek_median_ms"] = round(times_ms[len(times_ms) // 2], 2)
    found["seek_p99_ms"] = round(times_ms[len(times_ms) * 99 // 100], 2)
    found["seek_growth_mib"] = round((resident() - settled) / (1 << 20), 2)
    names = [stream.name for stream in shelf.streams]
    calls: dict[str, Callable[[], object]] = {
        "ring_ms": lambda: (archive.volume(), archive.holdings(default_terms, names)),
        "ranges_ms": lambda: archive.ranges(names[3], 0, 1 << 62),
        "gaps_ms": lambda: [archive.ranges(name, 0, 1 << 62) for name in names],
    }
    for name, call in calls.items():
        times_ms = timed(shelf, call, 5)
        found[name.replace("_ms", "_first_ms")] = round(times_ms[-1], 1)
        found[name] = round(times_ms[2], 1)
    turn_over(committer, shelf, index, blocks)  # buffers and caches find their size
    settled = resident()
    found["save_ms"] = round(turn_over(committer, shelf, index, blocks), 1)
    found["turnover_growth_mib"] = round((resident() - settled) / (1 << 20), 2)
    index.close()
    return found


def timed(shelf: Shelf, call: Callable[[], object], times: int) -> list[float]:
    """Return how many milliseconds each call took, shortest first, without the disk's own."""
    found = []
    for _ in range(times):
        spent_s, began_s = shelf.spent_s, time.perf_counter()
        call()
        found.append((time.perf_counter() - began_s - (shelf.spent_s - spent_s)) * 1000)
    return sorted(found)


def turn_over(committer: writer.Committer, shelf: Shelf, index: Index, blocks: int) -> float:
    """Record until so many blocks were overwritten; returns the median milliseconds of a save."""
    clock, streams = committer.store.clock, shelf.streams[: shelf.cameras]
    assert isinstance(clock, FakeClock)
    size, saves = 2 << 20, list[float]()
    samples = [synthetic.Sample(bytes(size), PART_90K, key=True)]
    until = max(committer.store.catalog.serial(n) for n in range(shelf.blocks)) + blocks
    start_90k = 1 << 40
    with mock.patch.object(writer, "sums", lambda payloads: [(0, bytes(32)) for _ in payloads]):
        while committer.store.catalog.newest().head.serial < until:
            start_90k += PART_90K
            for stream in streams:
                part = synthetic.part_of(
                    stream.name, 1, MAIN.config, [(start_90k, samples)], start_90k=start_90k,
                    wall_us=clock.wall_us(),
                )  # fmt: skip
                committer.submit([part])
            clock.advance(0.5)
            assert committer.commit()
            committer.store.ring.keep()
            if start_90k // PART_90K % KEY_PARTS == 0:
                began_s = time.perf_counter()
                index.save(committer.store.catalog)
                saves.append((time.perf_counter() - began_s) * 1000)
    return figures.median(saves)


def recover(directory: Path) -> Result:
    """Open the real volume as after a power cut, with or without its index."""
    began_s = time.perf_counter()
    store, index = opened(LinuxDisk(directory), directory, remembered=True)
    writer.Committer(store)
    took_s = time.perf_counter() - began_s
    index.save(store.catalog)
    index.close()
    store.disk.close()
    until = {Archive(store).recorded_until_us(name) for name in store.catalog.streams()}
    assert until == {END_US}, until
    return {"took_s": round(took_s, 2), "blocks": len(store.catalog)}


def lost(directory: Path) -> Result:
    """Open the real volume without its index, ready to record, and read the rest beside it."""
    began_s = time.perf_counter()
    store, _ = opened(LinuxDisk(directory), directory, remembered=False, at_once=AT_ONCE)
    committer = writer.Committer(store)
    took_s = time.perf_counter() - began_s
    until = {Archive(store).recorded_until_us(name) for name in store.catalog.streams()}
    assert until == {END_US}, until
    unread = store.ring.unread
    assert unread
    Rebuild(store).run(threading.Event())
    assert not store.ring.unread
    assert committer.due_s() is None
    return {"took_s": round(took_s, 2), "blocks": len(store.catalog)}


def child(*words: object) -> Result:
    """Do one of these in a process of its own."""
    command = [sys.executable, "-m", __spec__.name, "--do", *map(str, words)]
    done = subprocess.run(command, cwd=figures.ROOT, stdout=subprocess.PIPE, text=True, check=True)
    result: Result = json.loads(done.stdout.splitlines()[-1])
    return result


def cold() -> bool:
    """Drop pages and inodes from memory, if this machine lets us."""
    os.sync()
    with contextlib.suppress(OSError):
        Path("/proc/sys/vm/drop_caches").write_text("3")
        return True
    return False


def tebibyte(directory: Path) -> tuple[Result, list[str]]:
    """Lay out 1 TiB in sparse files with an index ten seconds old, and recover it."""
    child("rebuild", directory, TIB_PERIODS, LATE_PARTS)
    shelf = Shelf(TIB_PERIODS)
    shelf.take(directory / _LOGS)
    shelf.lay(directory)
    (directory / _LOGS).unlink()
    notes = [] if cold() else ["pages and inodes could not be dropped: recovery was not cold"]
    found = child("recover", directory)
    assert found["blocks"] == shelf.blocks
    for path in directory.glob(f"{NAME}*"):
        path.unlink()
    cold()
    again = child("recover", directory)
    assert again["blocks"] == shelf.blocks
    for path in directory.glob(f"{NAME}*"):
        path.unlink()
    cold()
    beside = child("lost", directory)
    assert beside["blocks"] == shelf.blocks
    return {
        "recover_1tib_s": found["took_s"],
        "lost_1tib_s": beside["took_s"],
        "rebuild_1tib_s": again["took_s"],
    }, notes


def main(arguments: list[str] | None = None) -> int:
    parser = figures.arguments(__doc__.partition("\n")[0])
    parser.add_argument("--periods", type=int, default=PERIODS, help="of 144 blocks each")
    parser.add_argument("--seeks", type=int, default=3000, help="into the 20 TB")
    parser.add_argument("--turnover", type=int, default=2500, help="blocks overwritten")
    parser.add_argument("--directory", type=Path, help="on the file system to recover 1 TiB on")
    parser.add_argument("--do", nargs="+", help="one step, in this process")
    chosen = parser.parse_args(arguments)
    if chosen.do:
        name, directory, *numbers = chosen.do
        steps = {"rebuild": rebuild, "use": use, "recover": recover, "lost": lost}
        print(json.dumps(steps[name](Path(directory), *map(int, numbers))))
        return 0
    with tempfile.TemporaryDirectory(dir=chosen.directory) as made:
        big, tib = Path(made, "big"), Path(made, "tib")
        big.mkdir()
        tib.mkdir()
        figures.progress("the index of 20 TB is rebuilt")
        found = child("rebuild", big, chosen.periods, 0)
        figures.progress("20 TB are opened and used")
        found |= child("use", big, chosen.periods, chosen.seeks, chosen.turnover)
        figures.progress("1 TiB of sparse files is recovered")
        more, notes = tebibyte(tib)
    return figures.report("index", found | more, LIMITS, as_json=chosen.json, notes=notes)


if __name__ == "__main__":
    sys.exit(main())
