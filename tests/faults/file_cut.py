"""Cuts the power at every operation that saves what is not a volume: configuration and index.db.

On ext4 over a block device that loses its cache (see `drive`) the file is there as it was, then
it is changed, and the power goes at the first write or flush that reaches the device, at the
second, and so on until one comes after the last. A configuration must be the old one or the new
one, and the new one once `write` has returned. The rows of ``index.db`` must be the old ones or
the new ones, or none, in which case they are read from the blocks. `--plant` builds a known
mistake in and must then report failures.
"""

import contextlib
import itertools
import logging
import os
import random
import subprocess
import sys
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from unittest import mock

from nvr.base.clock import FakeClock
from nvr.base.errors import NvrError
from nvr.config import load
from nvr.hal.virtual_disk import VirtualDisk
from nvr.record.catalog import Catalog
from nvr.record.index import NAME, Index
from nvr.record.recover import open_store
from nvr.record.row import Row
from nvr.record.volume import Identity
from nvr.record.writer import Committer
from tests.bench import figures
from tests.faults.drive import SIZES_MIB, Drive, Missing, in_namespace, require
from tests.record import synthetic

KIND = "ext4"
MOST_OPERATIONS = 400
WAYS = 5
"""How often each operation is cut: what of it stays is chance."""
PLANTS = ("in_place", "no_fsync")
LIMITS = {
    "neither": figures.at_most(0, "a cut leaves the old or the new, never neither"),
    "forgotten": figures.at_most(0, "what was said to be saved is saved"),
    "config_cuts": figures.at_least(5, "a save is at least data, its place, and its name"),
    "index_cuts": figures.at_least(10, "a save is the journal, and the checkpoint"),
}


@dataclass
class Found:
    """What came of the cuts.

    Attributes:
        cuts: Of each kind of file.
        old: How often the old one was found.
        new: How often the new one was.
        none: How often the rows were to be read anew.
        neither: How often it was something else.
        forgotten: How often the old one was found although the new one was said to be saved.
        notes: What went wrong.
    """

    cuts: dict[str, int] = field(default_factory=dict)
    old: int = 0
    new: int = 0
    none: int = 0
    neither: int = 0
    forgotten: int = 0
    notes: list[str] = field(default_factory=list)


@contextlib.contextmanager
def mounted(drive: Drive) -> Iterator[Path]:
    """The file system of the drive, with power."""
    drive.on()
    if not drive.mount(KIND):
        raise RuntimeError(f"{KIND} cannot be mounted after a cut")
    try:
        yield drive.target
    finally:
        drive.unmount()


def cut_each(
    drive: Drive,
    what: str,
    found: Found,
    *,
    begin: Callable[[Path], None],
    change: Callable[[Path], bool],
    look: Callable[[Path], str],
) -> None:
    """Cut the power at each operation of `change`.

    Args:
        drive: With a file system on it.
        what: Is changed.
        found: Where it is counted.
        begin: Makes the old one.
        change: Makes it the new one; whether that was said to be durable.
        look: Says ``old``, ``new``, ``none``, or something else.
    """
    for operation, seed in itertools.product(range(MOST_OPERATIONS), range(WAYS)):
        with mounted(drive) as directory:
            begin(directory)
            subprocess.run(["sync", "-f", str(directory)], check=True)
            drive.arm(operation, seed)
            said = _in_child(change, directory)
            whole = drive.disarm()
            if whole:
                drive.cut(seed)
        found.cuts[what] = found.cuts.get(what, 0) + 1
        with mounted(drive) as directory:
            saw = look(directory)
        if saw not in {"old", "new", "none"}:
            found.neither += 1
            found.notes.append(f"{what}, operation {operation}: {saw}")
        else:
            setattr(found, saw, getattr(found, saw) + 1)
        if said and saw != "new":
            found.forgotten += 1
            found.notes.append(f"{what}, operation {operation}: said to be saved, found {saw}")
        if whole and seed == WAYS - 1:
            return
    raise RuntimeError(f"{what} takes more than {MOST_OPERATIONS} operations")


def _in_child(change: Callable[[Path], bool], directory: Path) -> bool:
    """Call `change` in a process of its own, so that no file stays open when the disk is dead."""
    child = os.fork()
    if not child:
        said = False
        try:
            logging.disable()  # after the cut everything fails, as it must
            with contextlib.suppress(OSError):
                said = change(directory)
        finally:
            os._exit(0 if said else 1)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


# The configuration.

OLD = 'schema = 1\nname = "gate"\n'
CONFIG = "nvr.toml"


def _begin_config(directory: Path) -> None:
    (directory / CONFIG).write_text(OLD)


def _change_config(directory: Path) -> bool:
    try:
        load.edit(directory / CONFIG, lambda document: document.update({"name": "yard"}))
    except NvrError:
        return False
    return True


def _look_at_config(directory: Path) -> str:
    try:
        name = load.read(directory / CONFIG).name
    except NvrError as err:
        return str(err)
    return {"gate": "old", "yard": "new"}.get(name, name)


def _write_in_place(path: Path, text: str, *, mode: int = 0o644) -> None:
    with path.open("w") as file:
        os.fsync(file.fileno())  # as the journal does by itself every five seconds
        file.write(text)
        file.flush()
        os.fsync(file.fileno())


@contextlib.contextmanager
def planted(plant: str) -> Iterator[None]:
    with contextlib.ExitStack() as stack:
        if plant == "in_place":
            stack.enter_context(mock.patch.object(load, "write", _write_in_place))
        elif plant == "no_fsync":
            stack.enter_context(mock.patch.object(os, "fsync", return_value=None))
        yield


# The rows.


def stories() -> tuple[Identity, list[Row], list[Row]]:
    """Return the rows of a volume at two times; between them blocks were added, grew, and went."""
    rng, clock = random.Random(1), FakeClock()
    store = open_store(
        VirtualDisk(rng), clock, rng, size_bytes=64 * (64 << 10), block_bytes=64 << 10
    )
    committer = Committer(store)
    start_90k = 90_000

    def record(parts: int) -> list[Row]:
        nonlocal start_90k
        for _ in range(parts):
            clock.advance(0.5)
            part = synthetic.noise_part(
                "gate/main",
                rng,
                run=1,
                start_90k=start_90k,
                wall_us=clock.wall_us(),
                size=900,
                key=True,
            )
            start_90k += 45_000
            committer.submit([part])
            committer.commit()
            store.ring.keep()
        return store.catalog.all_rows()

    return store.identity, record(150), record(60)


def _told(rows: Iterable[Row]) -> dict[int, tuple]:
    return {row.head.serial: (row.head.block, row.count, row.sequence, row.spans) for row in rows}


def index_of(
    identity: Identity, old: list[Row], new: list[Row]
) -> tuple[Callable[[Path], None], Callable[[Path], bool], Callable[[Path], str]]:
    """Return what begins, changes and looks at ``index.db``."""
    were, are = _told(old), _told(new)

    def begin(directory: Path) -> None:
        for ending in ("", "-wal", "-shm"):
            (directory / (NAME + ending)).unlink(missing_ok=True)
        index, catalog = Index(directory / NAME, identity), Catalog()
        catalog.fill(old)
        index.load()
        index.save(catalog)
        index.close()

    def change(directory: Path) -> bool:
        index = Index(directory / NAME, identity)
        catalog = index.load()
        for row in old:
            if were[row.head.serial] != are.get(row.head.serial):
                catalog.remove(row.head.block)
        for row in new:
            if are[row.head.serial] != were.get(row.head.serial):
                catalog.add(row)
        index.save(catalog)
        index.close()  # the last one out makes the checkpoint
        return False  # it is a cache: nobody is told that it is saved

    def look(directory: Path) -> str:
        index = Index(directory / NAME, identity)
        rows = _told(index.load().all_rows())
        index.close()
        if not rows:
            return "none"
        return "old" if rows == were else "new" if rows == are else "rows of neither"

    return begin, change, look


def run(drive: Drive, plant: str = "") -> Found:
    """Cut everything there is to cut."""
    found = Found()
    drive.on()
    drive.make(KIND)
    with planted(plant):
        cut_each(
            drive,
            "config",
            found,
            begin=_begin_config,
            change=_change_config,
            look=_look_at_config,
        )
    if not plant:
        begin, change, look = index_of(*stories())
        cut_each(drive, "index", found, begin=begin, change=change, look=look)
    return found


def main(arguments: list[str] | None = None) -> int:
    parser = figures.arguments(__doc__.partition("\n")[0])
    parser.add_argument("--plant", choices=PLANTS, default="", help="build a known mistake in")
    chosen = parser.parse_args(arguments)
    try:
        require(KIND)
        in_namespace()
        with Drive(SIZES_MIB[KIND] << 20) as drive:
            found = run(drive, chosen.plant)
    except Missing as err:
        print(f"file_cut cannot run here: {err}", file=sys.stderr)
        return 2
    return figures.report(
        "file_cut" + (f".{chosen.plant}" if chosen.plant else ""),
        {
            "config_cuts": found.cuts.get("config", 0),
            "index_cuts": found.cuts.get("index", 0),
            "old": found.old,
            "new": found.new,
            "none": found.none,
            "neither": found.neither,
            "forgotten": found.forgotten,
        },
        LIMITS,
        as_json=chosen.json,
        notes=found.notes[:5],
    )


if __name__ == "__main__":
    sys.exit(main())
