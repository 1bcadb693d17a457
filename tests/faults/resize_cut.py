"""A real ext4 over a drive of ours: a block that cannot be written, and cuts while it is resized.

First some sectors in the middle of a block that was never used cannot be written: the volume is
recorded round and round, and must set that block aside and lose nothing. Then the power goes again
and again while the volume is made larger and smaller; after each cut every block that is there
must have its file, and the newest that was acknowledged must be there.
"""

import contextlib
import random
import sys

from nvr.base.clock import FakeClock
from nvr.hal.linux_disk import LinuxDisk
from nvr.playback.query import Archive
from nvr.record import block
from nvr.record.recover import open_store
from nvr.record.store import Store
from nvr.record.writer import Committer
from tests.bench import figures
from tests.faults.disk_scene import offset_of
from tests.faults.drive import Drive, Missing, in_namespace, require
from tests.record import synthetic

DISK_BYTES = 192 << 20
BLOCK_BYTES = 1 << 20
SIZES = (12, 20, 28, 36)
BAD = 17
OPTIONS = "errors=continue"


class Box:
    """A recorder without threads on the drive."""

    def __init__(self, drive: Drive, clock: FakeClock, seed: int) -> None:
        self.disk = LinuxDisk(drive.target / "ring")
        self.clock, self.rng = clock, random.Random(seed)
        self.acked_us = 0
        self.store: Store = open_store(
            self.disk, clock, self.rng, size_bytes=24 * BLOCK_BYTES, block_bytes=BLOCK_BYTES
        )
        self.committer = Committer(
            self.store, acknowledged=lambda news: self._acknowledged(news[-1].until_us)
        )
        self.n = 0
        self.run = seed

    def _acknowledged(self, until_us: int) -> None:
        self.acked_us = until_us

    def step(self) -> None:
        """Record half a second, and let the keeper do a step."""
        part = synthetic.noise_part(
            "gate/main", self.rng, run=self.run, start_90k=self.n * 45_000,
            wall_us=self.clock.wall_us(), size=120_000, key=self.n % 2 == 0,
        )  # fmt: skip
        self.n += 1
        self.committer.submit([part])
        self.clock.advance(0.5)
        due_s = self.committer.due_s()
        if due_s is not None and due_s <= self.clock.monotonic_s():
            self.committer.commit()
        with contextlib.suppress(OSError):
            self.store.ring.keep()


def bad_block(drive: Drive) -> list[str]:
    """Return what went wrong on a disk with a block that cannot be written."""
    box = Box(drive, FakeClock(synthetic.WALL_US), 1)
    path = drive.target / "ring" / block.name(BAD)
    drive.set(unwritable=[(offset_of(path, BLOCK_BYTES // 2), 64 << 10)])
    for _ in range(600):
        box.step()
    drive.set(unwritable=[])
    ring, wrong = box.store.ring, []
    if ring.aside != (BAD,):
        wrong.append(f"set aside are {ring.aside}")
    if box.committer.state().failures:
        wrong.append("the disk still refuses")
    ranges = Archive(box.store).ranges("gate/main", 0, 1 << 62)
    if ranges.gaps or ranges.recorded_until_us != box.acked_us:
        wrong.append(f"gaps {ranges.gaps}")
    if box.store.catalog.newest().head.serial < 2 * ring.blocks:
        wrong.append("it did not go round twice")
    box.disk.close()
    return wrong


def cuts(drive: Drive, count: int, seed: int) -> list[str]:
    """Return what went wrong when the power went `count` times while it was resized."""
    rng, clock, wrong = random.Random(seed), FakeClock(synthetic.WALL_US + 10**9), list[str]()
    acked_us, sizes = 0, set[int]()
    for cut in range(count):
        drive.on()
        if not drive.mount("ext4", OPTIONS):
            return [*wrong, f"cut {cut}: the file system cannot be mounted"]
        box = Box(drive, clock, cut + 2)
        there = {path.name: path.stat().st_size for path in (drive.target / "ring").iterdir()}
        ring = box.store.ring
        blocks = [n for n in range(ring.identity.blocks) if n not in ring.absent]
        lost = [n for n in blocks if there.get(block.name(n)) != BLOCK_BYTES]
        if lost:
            wrong.append(f"cut {cut}: blocks without their files: {lost}")
        until_us = Archive(box.store).recorded_until_us("gate/main")
        if until_us < acked_us:
            wrong.append(f"cut {cut}: {(acked_us - until_us) / 1e6} s shown as recorded are gone")
        sizes.add(ring.blocks)
        drive.arm(rng.randrange(400), rng.getrandbits(32))
        with contextlib.suppress(OSError):
            ring.resize(rng.choice(SIZES), "op")
            for _ in range(200):
                box.step()
                if box.committer.state().failures:
                    break
        acked_us = box.acked_us or until_us
        drive.cut(rng.getrandbits(32))
        box.disk.close()
        drive.unmount()
    if len(sizes) < 3:
        wrong.append(f"it was only ever {sizes} blocks large")
    return wrong


LIMITS = {"wrong": figures.at_most(0, "a cut may cost nothing that was shown as recorded")}


def main(arguments: list[str] | None = None) -> int:
    parser = figures.arguments(__doc__.partition("\n")[0])
    parser.add_argument("--cuts", type=int, default=200, help="power cuts")
    parser.add_argument("--seed", type=int, default=1, help="where and what stays follows from it")
    chosen = parser.parse_args(arguments)
    try:
        require("ext4")
    except Missing as err:
        print(f"resize_cut cannot run here: {err}", file=sys.stderr)
        return 2
    in_namespace()
    with Drive(DISK_BYTES) as drive:
        drive.make("ext4")
        drive.mount("ext4", OPTIONS)
        wrong = bad_block(drive)
        drive.unmount()
        wrong += cuts(drive, chosen.cuts, chosen.seed)
    return figures.report(
        "resize_cut",
        {"cuts": chosen.cuts, "wrong": len(wrong)},
        LIMITS,
        as_json=chosen.json,
        notes=wrong,
    )


if __name__ == "__main__":
    sys.exit(main())
