"""Cuts the power at any disk operation of the recorder and checks what is served afterwards.

The product's own writer, recovery and archive run on a simulated disk and a fake clock; every
cut follows from the seed. `--plant` builds a known mistake in and must then report failures.
"""

import contextlib
import random
import sys
from collections.abc import Callable, Collection, Iterator, Sequence
from unittest import mock

from nvr.base.clock import FakeClock
from nvr.base.errors import Misconfigured, Rejected
from nvr.hal.virtual_disk import PowerCut, VirtualDisk
from nvr.media.name import camera_of
from nvr.media.part import PART_HEADER_BYTES, Part
from nvr.record import block
from nvr.record import ring as rings
from nvr.record.catalog import Catalog
from nvr.record.key_table import KeyTable, Publics
from nvr.record.keys import Keys
from nvr.record.lock import Lock, Locks, blocks_of
from nvr.record.recover import open_store
from nvr.record.retention import DEFAULT, Terms
from nvr.record.ring import Grant, Ring
from nvr.record.row import Row
from nvr.record.seal import Sealer
from nvr.record.store import Store
from nvr.record.volume import Identity
from nvr.record.writer import Committer
from nvr.seal import root, suite
from tests.bench import figures
from tests.faults.oracle import LIMITS, Oracle, Result
from tests.record import synthetic

PLANTS = (
    "early_ack",
    "no_checksum",
    "no_retire",
    "one_flush_unzeroed",
    "lock_unlogged",
    "lock_ignored",
    "expired_unlogged",
    "late_key",
)
"""The last one needs a sealed volume."""
STREAMS = ("gate/main", "gate/sub", "yard/main")
BLOCK_BYTES = 256 << 10
BLOCKS = 32
TICK_S = 0.1
SIZES = (20, 26, 32, 40, 48)
MOST_LOCKED = 10
CUTS_A_VOLUME = 25
"""A fresh volume now and then, or unzeroed blocks would be met only once."""


class Watched(Committer):
    """The product's writer, and a note of which part it acknowledged in which block."""

    def __init__(self, store: Store, oracle: Oracle, sealer: Sealer | None) -> None:
        super().__init__(store, sealer=sealer)
        self.oracle = oracle

    def _next_block(self, lane, part, group, write):
        found = super()._next_block(lane, part, group, write)
        if found is None:
            self.oracle.roomless.add(part.stream)
        return found

    def _publish(self, group, started_s: float) -> None:
        super()._publish(group, started_s)
        for write in group.writes:
            head = write.place.head
            keys = [(head.stream, entry.wall_us) for entry in write.entries]
            self.oracle.acknowledged((head.block, head.serial), keys)


class FlushesLate:
    """What makes a writer acknowledge first and flush when the next group comes."""

    _late: tuple[list[tuple[str, int, int]], bool] | None = None

    def _flush(self, ranges: list[tuple[str, int, int]], *, written_before: bool) -> None:
        if self._late is not None:
            super()._flush(self._late[0], written_before=self._late[1])
        self._late = ranges, written_before


class EarlyAck(FlushesLate, Watched):
    """The planted bug, watched."""


class NoRetire(Ring):
    """Overwrites the oldest block without giving it up durably first."""

    def _retire(self, used, grants: list[Grant], erase: Sequence[int] = ()) -> Collection[int]:
        return () if used else super()._retire(used, grants, erase)


class OneFlushUnzeroed(Ring):
    """Trusts one flush for many files on extents that were only allocated."""

    def written_before(self, _number: int) -> bool:
        return True


class LockUnlogged(Ring):
    """Says that something is locked before the log does."""

    def lock(self, wanted: Lock, _coming: int = 0) -> Lock:
        with self._guard:
            made = self._locks.numbered(wanted)
            self._locks.add(made)
            self._locked = self._locks.blocks(self._catalog)
        return made


class LockIgnored(Ring):
    """Keeps locks, and overwrites what they hold when its turn comes."""

    def _victim(self) -> int | None:
        locks, locked, self._locks, self._locked = self._locks, self._locked, Locks(), set()
        try:
            return super()._victim()
        finally:
            self._locks, self._locked = locks, locked


class ExpiredUnlogged(Ring):
    """Zeroes what is past its time before the log says that it is given up."""

    def _give_up(self, row: Row, why: str) -> None:
        path = block.name(row.head.block)
        self._disk.zero(path, BLOCK_BYTES, 0)
        self._disk.flush([(path, 0, BLOCK_BYTES)], written_before=True)
        super()._give_up(row, why)


class LateKeys(KeyTable):
    """Leaves a key in the page cache, so that parts are acknowledged before it is durable."""

    def write(self, slots, publics=None) -> None:
        with mock.patch.object(self._disk, "flush", return_value=None):
            super().write(slots, publics)


def unchecked_part(read: block.Read, head: block.BlockHeader, offset: int):
    """Read a part without looking at its checksum."""
    header = block.read_header(read, head, offset)
    return header, read(offset + PART_HEADER_BYTES, header.stored_bytes)


@contextlib.contextmanager
def planted(plant: str) -> Iterator[tuple[type[Watched], Callable[..., Ring]]]:
    with contextlib.ExitStack() as stack:
        stack.enter_context(mock.patch.object(rings, "LOOK_S", 1.0))
        if plant == "no_checksum":
            stack.enter_context(mock.patch.object(block, "read_part", unchecked_part))
        yield (
            EarlyAck if plant == "early_ack" else Watched,
            {
                "no_retire": NoRetire,
                "one_flush_unzeroed": OneFlushUnzeroed,
                "lock_unlogged": LockUnlogged,
                "lock_ignored": LockIgnored,
                "expired_unlogged": ExpiredUnlogged,
            }.get(plant, Ring),
        )


class Camera:
    """Makes a part each half second, and cuts one short where its key frame falls."""

    sizes = (900, 14_000, 30_000)

    def __init__(self, stream: str, rng: random.Random, clock: FakeClock, run: int) -> None:
        self.stream, self.rng, self.clock, self.run = stream, rng, clock, run
        self.begun_us = clock.wall_us()
        self.origin_us = self.begun_us - rng.randrange(10**9)
        self.key = True
        self.gop_s = rng.choice([0.8, 1.0, 2.0])
        self.key_us = self.begun_us

    def tick(self, *, cut_all: bool) -> Part | None:
        now_us = self.clock.wall_us()
        key_due = now_us - self.key_us >= self.gop_s * 1e6 - 1
        if now_us == self.begun_us or not (cut_all or key_due):
            return None
        part = synthetic.noise_part(
            self.stream,
            self.rng,
            run=self.run,
            start_90k=(self.begun_us - self.origin_us) * 9 // 100,
            wall_us=self.begun_us,
            size=self.rng.choice(self.sizes),
            key=self.key,
            duration_90k=(now_us - self.begun_us) * 9 // 100,
        )
        self.begun_us, self.key = now_us, key_due
        if key_due:
            self.key_us = now_us
        return part


class Volume:
    """One simulated volume through many cuts."""

    def __init__(self, seed: int, result: Result, *, sealed: bool) -> None:
        self.rng = random.Random(seed)
        self.table = KeyTable
        self.roots = tuple(self.rng.randbytes(32) for _ in range(2)) if sealed else ()
        self.result = result
        self.clock = FakeClock()
        self.disk = VirtualDisk(self.rng, spend=self.clock.advance)
        self.disk.flush_s = (0.002, 0.1)
        self.sent: dict[bytes, Part] = {}
        self.oracle = Oracle(STREAMS, BLOCKS, self.sent, result)
        self.known: list[Row] = []
        self.runs = 0
        self.limited = self.rng.random() < 0.5
        self.keeper = self.rng.choice([0.1, 0.9])
        self.resizes = random.Random(seed + 1)

    def life(self, make: type[Watched], ring: Callable[..., Ring]) -> None:
        """Power on, check what the last cut left, record until the next."""
        rng, disk = self.rng, self.disk
        disk.power_on()
        if rng.random() < 0.15:
            disk.cut_in = rng.randrange(60)
        try:
            store = self.open(ring)
        except PowerCut:
            self.result.recoveries_cut += 1
            return
        disk.cut_in = -1
        self.oracle.check(store)
        self.oracle.check_size(store, disk.listing())
        self.runs += 1
        self.clock.now_s = round(self.clock.now_s + rng.uniform(0.1, 5.0), 1)
        cameras = [Camera(stream, rng, self.clock, self.runs) for stream in STREAMS]
        begun_us = self.clock.wall_us()
        disk.cut_in = rng.randrange(400)
        with contextlib.suppress(PowerCut):
            sealer = Sealer(store.keys, None, b"", rng.randbytes) if self.roots else None
            self.record(make(store, self.oracle, sealer), store, cameras)
        live = [(row.head.block, row.head.serial) for row in store.catalog.all_rows()]
        brief = [stream for stream in STREAMS if self.terms(stream).limit_s]
        self.oracle.cut(live, begun_us, self.clock.wall_us(), brief)

    def open(self, ring: Callable[..., Ring]) -> Store:
        return open_store(
            self.disk,
            self.clock,
            self.rng,
            size_bytes=BLOCK_BYTES * BLOCKS,
            block_bytes=BLOCK_BYTES,
            known=self.remembered if self.rng.random() < 0.7 else None,
            terms=self.terms,
            keys=self.keys if self.roots else None,
            ring_type=ring,
        )

    def remembered(self, _: Identity) -> Catalog:
        catalog = Catalog()
        catalog.fill(self.known)
        return catalog

    def keys(self, disk: VirtualDisk, identity: Identity) -> Keys:
        box, owner = self.roots
        publics = Publics(root.public_of(box), root.public_of(owner))
        # What the owner's key unwraps must be there as well: he may be all that is left.
        private = box if self.rng.random() < 0.8 else owner
        table = self.table(disk, identity)
        made = Keys(table, publics, [private], suite.CHACHA20_POLY1305, self.rng.randbytes)
        made.open()
        return made

    def record(self, committer: Watched, store: Store, cameras: list[Camera]) -> None:
        started_s, step = self.clock.monotonic_s(), 0
        while True:
            step += 1
            # The ingest thread's tick, or later if a flush took longer than one.
            self.clock.now_s = max(self.clock.now_s, started_s + step * TICK_S)
            parts = [part for camera in cameras if (part := camera.tick(cut_all=step % 5 == 0))]
            for part in parts:
                self.sent[bytes(part.mdat[8:24])] = part
            if parts:
                committer.submit(parts)
            due_s = committer.due_s()
            if due_s is not None and due_s <= self.clock.monotonic_s() + 1e-6:
                committer.commit()
            elif self.rng.random() < self.keeper:
                now_s = self.clock.now_s
                self.keep(store)
                self.clock.now_s = now_s  # it has a thread of its own: the writer does not wait
            if self.rng.random() < 0.02:
                self.lock(store)
            if self.resizes.random() < 0.004:
                store.ring.resize(self.resizes.choice(SIZES), "op")
                self.result.resizes += 1
            if self.rng.random() < 0.02:
                self.known = store.catalog.all_rows()

    def keep(self, store: Store) -> None:
        """Let the keeper do a step, and note what it gave up."""
        before = {(row.head.block, row.head.serial) for row in store.catalog.all_rows()}
        with contextlib.suppress(Misconfigured):  # all is locked, or being written
            store.ring.keep()
        after = {(row.head.block, row.head.serial) for row in store.catalog.all_rows()}
        gone = {key for place in before - after for key in self.oracle.where.get(place, ())}
        self.oracle.gone |= gone
        self.result.given_up += len(gone)

    def terms(self, stream: str) -> Terms:
        """The yard must be gone after seconds, the gate may not have more than some blocks."""
        if stream.startswith("yard") and self.limited:
            return Terms(5.0, limit_s=8.0)
        if stream.startswith("gate") and self.limited:
            return Terms(3600.0, limit_bytes=12 * BLOCK_BYTES)
        return DEFAULT

    def lock(self, store: Store) -> None:
        """Lock some of what is recorded, or end a lock when there are many."""
        locked = self.oracle.locked
        if locked and len(store.ring.locked) > MOST_LOCKED:
            number = self.rng.choice(sorted(locked))
            del locked[number]  # from here on it may be gone
            with contextlib.suppress(Rejected):  # a cut took it, which was counted
                store.ring.unlock(number, "op")
            return
        rows = [row for row in store.catalog.all_rows() if row.spans]
        if not rows:
            return
        from_us = self.rng.choice(rows).first_us
        camera = camera_of(self.rng.choice(rows).head.stream)
        to_us = from_us + self.rng.randrange(10_000_000)
        wanted = Lock(0, "legal", camera, from_us, to_us, from_us, 0, "op", "why", from_us)
        try:
            made = store.ring.lock(wanted)
        except Rejected:  # so much is locked that too little would be left
            return
        held = blocks_of([made], store.catalog)[made.number]
        places = [(row.head.block, row.head.serial) for row in rows if row.head.block in held]
        locked[made.number] = made, {key for at in places for key in self.oracle.where[at]}
        self.result.locks += 1


def run(cuts: int, seed: int, plant: str = "", *, sealed: bool = False) -> Result:
    """Cut the power `cuts` times."""
    result = Result()
    with planted(plant) as (make, ring):
        while result.cuts < cuts:
            volume = Volume(seed * 1_000_003 + result.cuts, result, sealed=sealed)
            volume.table = LateKeys if plant == "late_key" else KeyTable
            for _ in range(min(CUTS_A_VOLUME, cuts - result.cuts)):
                volume.life(make, ring)
                result.cuts += 1
                if result.cuts % 100 == 0:
                    figures.progress(f"{result.cuts} cuts, {result.acked} acknowledged")
    return result


def main(arguments: list[str] | None = None) -> int:
    parser = figures.arguments(__doc__.partition("\n")[0])
    parser.add_argument("--cuts", type=int, default=1000, help="power cuts")
    parser.add_argument("--seed", type=int, default=1, help="everything follows from it")
    parser.add_argument("--sealed", action="store_true", help="on a sealed volume")
    parser.add_argument("--plant", choices=PLANTS, default="", help="build a known mistake in")
    chosen = parser.parse_args(arguments)
    result = run(chosen.cuts, chosen.seed, chosen.plant, sealed=chosen.sealed)
    return figures.report(
        ".".join(filter(None, ("power_cut", "sealed" if chosen.sealed else "", chosen.plant))),
        {
            "cuts": result.cuts,
            "acked": result.acked,
            "acked_lost": result.acked_lost,
            "wrong_bytes": result.wrong_bytes,
            "given_up": result.given_up,
            "risen": result.risen,
            "locks": result.locks,
            "locks_lost": result.locks_lost,
            "max_lost_s": round(result.max_lost_s, 3),
            "resizes": result.resizes,
            "recoveries_cut": result.recoveries_cut,
            "wraps": result.wraps,
        },
        LIMITS,
        as_json=chosen.json,
        notes=result.first_failures,
    )


if __name__ == "__main__":
    sys.exit(main())
