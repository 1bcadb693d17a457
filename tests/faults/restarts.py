"""Restarts the shipped `nvr run` again and again on one data directory and checks what is left.

Each start is ended by SIGTERM or SIGKILL, some right after it began, some in the middle of
recording; how and when follows from the seed. Between two starts the archive is read as `nvr gaps`
and `nvr fsck` read it. The volume is small, so that it goes round while this lasts: restarts
must not make it go round sooner than what is recorded does. `--plant` runs a recorder with a
known mistake in it and must then report failures.
"""

import contextlib
import http.client
import itertools
import random
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from nvr.base.clock import SystemClock
from nvr.hal.linux_disk import LinuxDisk
from nvr.playback.query import Archive
from nvr.record import block, fsck
from nvr.record.recover import open_reading
from nvr.record.store import Store
from tests.bench import figures
from tests.bench.camera import cameras
from tests.bench.content import SMALL
from tests.bench.recorder import Page, Setup, claim_code, lasting_ports, scratch, set_up
from tests.bench.stored import pictures
from tests.faults.planted import PLANTS

LIMITS = {
    "acked_lost": figures.at_most(0, "what the recorder called recorded must be there"),
    "parts_lost": figures.at_most(0, "and stay there until its turn comes, whatever restarts"),
    "wrong_bytes": figures.at_most(0, "nvr fsck must call the archive sound after every one"),
    "unplayable": figures.at_most(0, "a player must find every picture the recorder counted"),
    "blocks_over": figures.at_most(0, "a storm of reboots must not eat the archive"),
    "gone_early": figures.at_most(0, "nothing is overwritten while there is room"),
    "not_recording": figures.at_most(0, "a start that does not record is one lost box"),
    "bad_exits": figures.at_most(0, "SIGTERM ends it in order"),
    "gaps_unexplained": figures.at_most(0, "we know who restarted it"),
    "max_start_s": figures.at_most(3, "promised: recording again within 3 s, key frame each 1 s"),
    "max_lost_s": figures.at_most(0.999, "part 0.5 s, tick 0.1 s and the flush under way"),
    "max_hole_s": figures.at_most(0.05, "between first and last picture nothing is missing"),
    "acked_checked": figures.at_least(1, "or nothing was proven"),
}
VOLUME_MIB = 64
CAMERAS = 4
EARLY = 0.3
"""So many of the starts are not waited for."""
EARLY_S = 2.0
START_S = 30.0
STOP_S = 20.0
POLL_S = 0.02

PartKey = tuple[int, int]
"""Run and tick; with the stream the name of a part that nobody else ever has."""


@dataclass
class Result:
    restarts: int = 0
    killed: int = 0
    early: int = 0
    acked_checked: int = 0
    acked_lost: int = 0
    parts: int = 0
    parts_lost: int = 0
    wrong_bytes: int = 0
    torn_tails: int = 0
    unplayable: int = 0
    pictures: int = 0
    blocks_over: int = 0
    blocks_begun: int = 0
    blocks_needed: int = 0
    blocks_gone: int = 0
    gone_early: int = 0
    not_recording: int = 0
    bad_exits: int = 0
    gaps: int = 0
    gaps_unexplained: int = 0
    start_s: list[float] = field(default_factory=list)
    stop_s: list[float] = field(default_factory=list)
    lost_s: dict[str, list[float]] = field(default_factory=lambda: {"term": [], "kill": []})
    hole_s: list[float] = field(default_factory=list)
    first_failures: list[str] = field(default_factory=list)

    def fail(self, what: str) -> None:
        if len(self.first_failures) < 8:
            self.first_failures.append(f"restart {self.restarts}: {what}")


@dataclass(frozen=True, slots=True)
class Life:
    """One start and its end, as seen from outside.

    Attributes:
        begun_us: UTC microseconds at which the process was made.
        ended_us: UTC microseconds at which it was told to end.
        killed: By SIGKILL.
        recorded: It was waited for until it recorded.
        acked_us: For each stream, up to when it last said it had recorded.
    """

    begun_us: int
    ended_us: int
    killed: bool
    recorded: bool
    acked_us: dict[str, int]


@dataclass(frozen=True, slots=True)
class Stored:
    """A part as read between two starts: where it is, when it was, and what it hashes to."""

    place: tuple[int, int]
    from_us: int
    to_us: int
    part_bytes: int
    link: bytes


class Books:
    """Everything ever seen in the archive, and what became of it.

    Args:
        ring: Directory of the volume.
        result: Where failures are told.
    """

    def __init__(self, ring: Path, result: Result) -> None:
        self._ring = ring
        self._result = result
        self._streams: dict[str, dict[PartKey, Stored]] = {}
        self._blocks: dict[tuple[int, int], int] = {}
        self._bytes: dict[str, int] = {}
        self._biggest = 0
        self._live: set[tuple[int, int]] = set()

    def read(self, life: Life | None) -> None:
        """Read the archive after the end of a process, and hold it against what was there."""
        disk = LinuxDisk(self._ring, read_only=True)
        try:
            store = open_reading(disk, SystemClock())
            self._retired(store)
            for name in store.catalog.streams():
                self._stream(store, name, life)
            self._room(store)
            self._gaps(store)
            self._sound(disk)
        finally:
            disk.close()
        if life is not None:
            self._acknowledged(life)

    def _retired(self, store: Store) -> None:
        """Note which blocks are gone: only the oldest may be, and only once the volume is full."""
        result = self._result
        rows = {(row.head.block, row.head.serial): row for row in store.catalog.all_rows()}
        gone = self._live - rows.keys()
        full = len(rows) + store.ring.spare >= store.identity.blocks
        oldest_us = min((row.last_us for row in rows.values() if row.spans), default=0)
        for place in gone:
            result.blocks_gone += 1
            if not full or self._blocks[place] > oldest_us:
                result.gone_early += 1
                result.fail(f"block {place[0]} is gone with {len(rows)} in use")
        self._live = set(rows)
        self._blocks.update((place, row.last_us) for place, row in rows.items())

    def _stream(self, store: Store, name: str, life: Life | None) -> None:
        result = self._result
        known = self._streams.setdefault(name, {})
        found: dict[PartKey, Stored] = {}
        for row in store.catalog.rows(name):
            read = store.reader(row.head.block)
            for entry in store.entries(row):
                link = block.read_header(read, row.head, entry.offset).link
                found[entry.run, entry.start_90k] = Stored(
                    (row.head.block, row.head.serial),
                    entry.wall_us,
                    entry.end_us,
                    entry.part_bytes,
                    link,
                )
        lost = [
            part
            for key, part in known.items()
            if part.place in self._live and (key not in found or found[key].link != part.link)
        ]
        if lost:
            result.parts_lost += len(lost)
            result.fail(f"{name}: {len(lost)} parts that were there are not, or are others")
        fresh = [part for key, part in found.items() if key not in known]
        result.parts += len(fresh)
        self._biggest = max([self._biggest, *(part.part_bytes for part in fresh)])
        self._bytes[name] = self._bytes.get(name, 0) + sum(part.part_bytes for part in fresh)
        self._streams[name] = found
        if life is not None:
            self._lived(name, fresh, life)

    def _lived(self, name: str, fresh: Sequence[Stored], life: Life) -> None:
        """Measure what one start recorded: when it began, what is missing in it and at its end."""
        result = self._result
        if not fresh:
            if life.recorded:
                result.acked_lost += 1
                result.fail(f"{name}: nothing of this start is there")
            return
        for before, after in itertools.pairwise(fresh):
            result.hole_s.append(max(0.0, (after.from_us - before.to_us) / 1e6))
        if not life.recorded:
            return
        start_s = (fresh[0].from_us - life.begun_us) / 1e6
        result.start_s.append(start_s)
        if start_s > LIMITS["max_start_s"].value:
            result.fail(f"{name}: the first picture came after {start_s:.3f} s")
        lost_s = (life.ended_us - fresh[-1].to_us) / 1e6
        result.lost_s["kill" if life.killed else "term"].append(lost_s)
        if lost_s > LIMITS["max_lost_s"].value:
            result.fail(f"{name}: {lost_s:.3f} s before the end are gone")

    def _acknowledged(self, life: Life) -> None:
        for name, acked_us in life.acked_us.items():
            self._result.acked_checked += 1
            parts = self._streams.get(name, {}).values()
            until_us = max((part.to_us for part in parts), default=0)
            if until_us < acked_us:
                self._result.acked_lost += 1
                short_s = (acked_us - until_us) / 1e6
                self._result.fail(f"{name}: {short_s:.3f} s of what was acknowledged are gone")

    def _room(self, store: Store) -> None:
        """Compare blocks begun with what the recorded bytes need: one open block a stream."""
        result = self._result
        sizes = [
            row.head.block_bytes - row.head.first_offset - self._biggest
            for row in store.catalog.all_rows()
        ]
        room = min(sizes, default=store.identity.block_bytes)
        result.blocks_begun = len(self._blocks)
        result.blocks_needed = sum(-(-each // room) for each in self._bytes.values())
        over = result.blocks_begun - result.blocks_needed
        if over > max(0, result.blocks_over):
            result.fail(f"{result.blocks_begun} blocks begun for {result.blocks_needed} blocks")
        result.blocks_over = max(result.blocks_over, over)

    def _gaps(self, store: Store) -> None:
        archive = Archive(store, running=False)
        gaps = [
            (name, gap) for name in archive.noted() for gap in archive.ranges(name, 0, 1 << 62).gaps
        ]
        unexplained = [
            (name, gap) for name, gap in gaps if gap.cause not in {"stopped", "power", "gone"}
        ]
        result = self._result
        result.gaps = len(gaps)
        if len(unexplained) > result.gaps_unexplained:
            name, gap = unexplained[-1]
            length_s = (gap.to_us - gap.from_us) / 1e6
            result.fail(f"{name}: a gap of {length_s:.3f} s says {gap.cause} {gap.code}")
        result.gaps_unexplained = max(result.gaps_unexplained, len(unexplained))

    def _sound(self, disk: LinuxDisk) -> None:
        report = fsck.check(disk, deep=True, repair=False)
        wrong = [each for each in report.findings if not each.harmless]
        self._result.torn_tails += sum(each.kind == "tail" for each in report.findings)
        self._result.wrong_bytes += len(wrong)
        for each in wrong:
            self._result.fail(f"block {each.block}: {each.detail}")

    def play(self) -> None:
        """Have a player look at every block at the end."""
        disk = LinuxDisk(self._ring, read_only=True)
        try:
            store = open_reading(disk, SystemClock())
            for row in store.catalog.all_rows():
                read = store.reader(row.head.block)
                counted = sum(
                    block.read_header(read, row.head, entry.offset).samples
                    for entry in store.entries(row)
                )
                found = pictures((self._ring / block.name(row.head.block)).read_bytes())
                self._result.pictures += found
                self._result.unplayable += abs(found - counted)
        finally:
            disk.close()


def now_us() -> int:
    return time.time_ns() // 1000


def logged_in(setup: Setup, process: "subprocess.Popen[str]", until_s: float) -> Page | None:
    """Log in as soon as the page answers; None if it never does."""
    while time.monotonic() < until_s and process.poll() is None:
        with contextlib.suppress(OSError, http.client.HTTPException):
            return Page(setup.page_port)
        time.sleep(POLL_S)
    return None


def acknowledged(page: Page) -> dict[str, int]:
    """Ask up to when each stream is recorded."""
    found: list[dict[str, Any]] = [
        page.call("GET", f"/api/camera/c{number}") for number in range(CAMERAS)
    ]
    return {f"c{n}/main": int(each["recorded_until_us"]) for n, each in enumerate(found)}


def recording(setup: Setup, process: "subprocess.Popen[str]", begun_us: int) -> Page | None:
    """Wait until a start records every camera; None if it does not."""
    until_s = time.monotonic() + START_S
    page = logged_in(setup, process, until_s)
    while page is not None:
        if min(acknowledged(page).values()) > begun_us:
            return page
        if time.monotonic() > until_s:
            page.close()
            return None
        time.sleep(POLL_S)
    return None


def live(
    setup: Setup, program: Sequence[str], rng: random.Random, most_s: float, result: Result
) -> Life:
    """Start it, end it at a moment that follows from the seed, and say what was seen."""
    early, killed = rng.random() < EARLY, rng.random() < 0.5
    hold_s = rng.uniform(0, EARLY_S if early else most_s)
    begun_us = now_us()
    acked_us: dict[str, int] = {}
    page: Page | None = None
    with setup.spawn(program) as process:
        try:
            if not early:
                page = recording(setup, process, begun_us)
            time.sleep(hold_s)
            if page is not None:
                acked_us = acknowledged(page)
            ended_us = now_us()
            process.send_signal(signal.SIGKILL if killed else signal.SIGTERM)
            process.wait(STOP_S)
        except subprocess.TimeoutExpired:
            result.fail(f"it did not end in {STOP_S} s")
        finally:
            if process.poll() is None:
                process.kill()
                process.wait()
            if page is not None:
                page.close()
    result.restarts += 1
    result.killed += killed
    result.early += early
    if not killed:
        result.stop_s.append((now_us() - ended_us) / 1e6)
        # Before it can say what a SIGTERM means to it, that ends it as it ends any process.
        if process.returncode != 0 and not (early and process.returncode == -signal.SIGTERM):
            result.bad_exits += 1
            result.fail(f"it ended with {process.returncode}")
    if not early and page is None:
        result.not_recording += 1
        result.fail("it does not record: " + setup.log.read_text(errors="replace")[-300:])
    return Life(begun_us, ended_us, killed, page is not None, acked_us)


@contextlib.contextmanager
def claimed(directory: Path, urls: Sequence[str]) -> Iterator[Setup]:
    """Make a box that somebody has claimed, and stop it again."""
    setup = set_up(urls, directory, lasting_ports(3), size_mib=VOLUME_MIB)
    with setup.spawn() as process:
        try:
            Page(setup.page_port, claim_code(process, setup.log)).close()
        finally:
            process.send_signal(signal.SIGTERM)
            process.wait(STOP_S)
    yield setup


def run(restarts: int, seed: int, plant: str = "", most_s: float = 4.0) -> Result:
    """Do all of it and return what was found."""
    result, rng = Result(), random.Random(seed)
    program = ("tests.faults.planted", plant) if plant else ("nvr",)
    with cameras(CAMERAS, shape=SMALL) as running, scratch() as directory:
        urls = [running.url(number) for number in range(CAMERAS)]
        with claimed(directory, urls) as setup:
            books = Books(setup.data / "ring", result)
            books.read(None)
            for _ in range(restarts):
                books.read(live(setup, program, rng, most_s, result))
                if result.restarts % 20 == 0:
                    figures.progress(f"{result.restarts} restarts, {result.parts} parts")
            books.play()
    return result


COUNTED = (
    "restarts", "killed", "early", "acked_checked", "acked_lost", "parts", "parts_lost",
    "wrong_bytes", "torn_tails", "pictures", "unplayable", "blocks_begun", "blocks_needed",
    "blocks_over", "blocks_gone", "gone_early", "not_recording", "bad_exits", "gaps",
    "gaps_unexplained",
)  # fmt: skip


def figures_of(result: Result) -> dict[str, figures.Figure]:
    """Return what was counted and measured; what never was measured is None."""
    term, kill = result.lost_s["term"], result.lost_s["kill"]
    measured = {
        "median_start_s": figures.median(result.start_s) if result.start_s else None,
        "max_start_s": max(result.start_s, default=None),
        "median_lost_term_s": figures.median(term) if term else None,
        "median_lost_kill_s": figures.median(kill) if kill else None,
        "max_lost_s": max([*term, *kill], default=None),
        "max_hole_s": max(result.hole_s, default=None),
        "max_stop_s": max(result.stop_s, default=None),
    }
    return {
        **{name: getattr(result, name) for name in COUNTED},
        **{name: None if one is None else round(one, 3) for name, one in measured.items()},
    }


def main(arguments: list[str] | None = None) -> int:
    """Run the harness."""
    assert __doc__ is not None
    parser = figures.arguments(__doc__.partition("\n")[0])
    parser.add_argument("--restarts", type=int, default=200, help="how often it is ended")
    parser.add_argument("--seed", type=int, default=1, help="how and when follows from it")
    parser.add_argument("--most-s", type=float, default=4.0, help="longest a start records")
    parser.add_argument("--plant", choices=PLANTS, default="", help="build a known mistake in")
    chosen = parser.parse_args(arguments)
    result = run(chosen.restarts, chosen.seed, chosen.plant, chosen.most_s)
    return figures.report(
        "restarts" + (f".{chosen.plant}" if chosen.plant else ""),
        figures_of(result),
        LIMITS,
        as_json=chosen.json,
        notes=result.first_failures,
    )


if __name__ == "__main__":
    sys.exit(main())
