"""Cuts the power at every single disk operation of one recorded story, not at random ones.

The story is told once on a simulated disk, and at each write and flush the disk is copied as it
is, loses its power, and is opened and checked by what `oracle` expects at that moment; several
times, since chance decides what of the unflushed writes stays. In the story a volume is made,
records past its end twice, is cut and recovered, stopped and opened, gets new day keys and new
roots, loses the keys of a day for good, is locked and unlocked, zeroes what is past its time,
grows, sets a block aside, shrinks, grows again, remembers its rows, and begins its log anew.
`--plant` builds a known mistake in and must then report failures.
"""

import contextlib
import random
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from unittest import mock

from nvr.base.clock import FakeClock
from nvr.base.errors import NvrError
from nvr.hal.virtual_disk import PowerCut, VirtualDisk, _File
from nvr.media.part import Part
from nvr.record import log
from nvr.record.catalog import Catalog
from nvr.record.destroy import destroy
from nvr.record.key_table import NAMES, KeyTable, Publics
from nvr.record.keys import Keys, day_of
from nvr.record.lock import Lock, blocks_of
from nvr.record.log import Record, VolumeLog
from nvr.record.recover import open_store
from nvr.record.retention import DEFAULT, Terms
from nvr.record.row import Row
from nvr.record.seal import Sealer
from nvr.record.store import Store
from nvr.record.volume import Identity
from nvr.seal import root, suite
from nvr.seal.sign import Signer
from tests.bench import figures
from tests.faults import power_cut
from tests.faults.oracle import LIMITS, Oracle, Result
from tests.faults.power_cut import (
    BLOCK_BYTES,
    STREAMS,
    TICK_S,
    Camera,
    Watched,
    planted,
)

BLOCKS = 16
LOG_BYTES = 2048
"""So small that the log begins anew within the story."""
DAY_S = 86_400.0
PLANTS = (
    "early_ack",
    "no_checksum",
    "no_retire",
    "lock_unlogged",
    "late_key",
    "keys_at_once",
    "destroy_unlogged",
    "epoch_at_once",
)
BRIEF = ("yard/main",)
"""What must be gone after seconds."""
COVERED = (
    "make", "recover", "record", "wrap", "key", "roots", "destroy", "lock", "epoch", "keep",
    "size", "grow", "shrink", "aside",
)  # fmt: skip
"""Each must have been cut somewhere within."""


class Found(Exception):
    """A planted mistake was found: the story, which may stumble over it, need not go on."""


class Told(VirtualDisk):
    """A disk that tells of each operation in which the power could go."""

    story: "Story"

    def _operate(self) -> None:
        super()._operate()
        self.story.boundary()

    def copy(self, seed: int) -> VirtualDisk:
        """Return this disk after its power went now."""
        disk = VirtualDisk(random.Random(seed))
        for path, file in (self._removed | self._files).items():
            made = _File(0)
            (disk._files if path in self._files else disk._removed)[path] = made
            made.view, made.medium = bytearray(file.view), bytearray(file.medium)
            made.pending, made.named = list(file.pending), file.named
            made.known_bytes = file.known_bytes
            made.unwritten, made.uncommitted = set(file.unwritten), set(file.uncommitted)
        disk.power_on()
        return disk


class Story:
    """One volume from its making on, looked at by cutting its power at each operation.

    Args:
        seed: Everything follows from it.
        ways: How often each operation is cut.
        laps: How often the volume is filled.
        plant: One of `PLANTS`, or none.
    """

    def __init__(self, seed: int, ways: int, laps: int, plant: str = "") -> None:
        self.rng = random.Random(seed)
        self.ways, self.laps, self.plant = ways, laps, plant
        self.result = Result()
        self.clock = FakeClock()
        self.disk = Told(random.Random(seed + 1), spend=self.clock.advance)
        self.disk.story = self
        self.disk.flush_s = (0.002, 0.1)
        self.sent: dict[bytes, Part] = {}
        self.oracle = Oracle(STREAMS, BLOCKS, self.sent, self.result)
        self.boxes = [self.rng.randbytes(32)]
        self.owner = self.rng.randbytes(32)
        self.signer = Signer(self.rng.randbytes(32))
        self.store: Store | None = None
        self.known: Sequence[Row] = ()
        self.begun_us: int | None = None
        self.runs = 0
        self.aside: set[int] = set()
        self.within: list[str] = []
        self.seen: Counter[str] = Counter()

    @contextlib.contextmanager
    def doing(self, what: str) -> Iterator[None]:
        """Note that what happens now belongs to `what`."""
        self.within.append(what)
        try:
            yield
        finally:
            self.within.pop()

    # At each operation.

    def boundary(self) -> None:
        """Cut the power of a copy, open that, and compare."""
        if self.plant and self.result.first_failures:
            raise Found
        self.seen.update(set(self.within))
        for way in range(self.ways):
            self.result.cuts += 1
            seed = self.result.cuts
            oracle = self.expected()
            clock = FakeClock(self.clock.wall_us())
            # Now and then only the owner is left, and the index.db may be there or not.
            privates = [self.owner] if seed % 7 == 0 else self.boxes
            known = self.known if way % 2 else ()
            try:
                disk = self.disk.copy(seed)
                opened = self.opened(disk, clock, seed, privates, known)
                oracle.check(opened)
                oracle.check_size(opened, disk.listing())
                if self.aside - set(opened.ring.aside):
                    self.result.fail("a block that was set aside is used again")
            except NvrError as err:  # it cannot be opened, or not be read: all of it is lost
                self.result.acked_lost += len(oracle.required)
                self.result.fail(str(err))

    def expected(self) -> Oracle:
        """Return what must be there if the power goes now."""
        known = self.oracle
        oracle = Oracle(STREAMS, BLOCKS, self.sent, self.result)
        oracle.where, oracle.required = dict(known.where), known.required
        oracle.wanted = known.wanted
        oracle.locked, oracle.gone, oracle.doomed = dict(known.locked), known.gone, known.doomed
        if self.store is not None:
            live = [(row.head.block, row.head.serial) for row in self.store.catalog.all_rows()]
            begun_us = self.clock.wall_us() if self.begun_us is None else self.begun_us
            oracle.cut(live, begun_us, self.clock.wall_us(), BRIEF)
        return oracle

    def opened(
        self,
        disk: VirtualDisk,
        clock: FakeClock,
        seed: int,
        privates: Sequence[bytes],
        known: Sequence[Row],
    ) -> Store:
        def keys(on: VirtualDisk, identity: Identity) -> Keys:
            publics = Publics(root.public_of(self.boxes[0]), root.public_of(self.owner))
            token = random.Random(seed).randbytes
            table = self.table(on, identity)
            made = Keys(table, publics, privates, suite.CHACHA20_POLY1305, token)
            made.open()
            return made

        def remembered(_: Identity) -> Catalog:
            catalog = Catalog()
            catalog.fill(known)
            return catalog

        return open_store(
            disk,
            clock,
            random.Random(seed),
            size_bytes=BLOCK_BYTES * BLOCKS,
            block_bytes=BLOCK_BYTES,
            known=remembered,
            terms=self.terms,
            keys=keys,
            ring_type=self.ring,
        )

    @staticmethod
    def terms(stream: str) -> Terms:
        """The yard must be gone after seconds."""
        return Terms(5.0, limit_s=12.0) if stream in BRIEF else DEFAULT

    # The story.

    def tell(self) -> Result:
        """Tell it from beginning to end."""
        table = TABLES.get(self.plant, KeyTable)
        start, disk = VolumeLog.start, self.disk

        def starting(of: VolumeLog, summary: Sequence[Record]) -> None:
            with self.doing("epoch" if of._disk is disk and of._number else "opening"):
                (started_at_once if self.plant == "epoch_at_once" else start)(of, summary)

        class Table(table):  # type: ignore[misc,valid-type]
            def write(_, slots, publics=None) -> None:  # noqa: N805 - the story is `self`
                with self.doing("key"):
                    super(Table, _).write(slots, publics)

        self.table = Table
        plant = self.plant if self.plant in power_cut.PLANTS else ""
        with planted(plant) as (self.make, self.ring), contextlib.ExitStack() as stack:
            stack.enter_context(mock.patch.object(log, "size_for", return_value=LOG_BYTES))
            stack.enter_context(mock.patch.object(VolumeLog, "start", starting))
            with contextlib.suppress(Found):
                self.chapters()
        return self.result

    def chapters(self) -> None:
        with self.doing("make"):
            self.open()
        self.record(8.0)
        self.disk.cut_in = 25  # in the middle of a group, and then a recovery, each cut as well
        self.record(8.0)
        self.open()
        self.record(4.0)
        with self.doing("stop"):
            self.store.ring.end("op")
        self.open()
        self.clock.advance(DAY_S)  # a key of its own for each stream
        self.record(6.0)
        self.roots()
        self.record(3.0)
        self.destroy("gate/main")
        self.record(2.0)
        self.resize(18, "grow")
        self.record(2.0)
        self.set_aside()
        self.resize(14, "shrink")
        self.open()
        self.resize(BLOCKS, "grow")
        while self.oracle.serials() < self.laps * BLOCKS:
            self.record(5.0)

    def open(self) -> None:
        """Open the volume, as at any start, after a cut if there was one."""
        store, self.store, self.begun_us = self.store, None, None
        if store is not None:
            live = [(row.head.block, row.head.serial) for row in store.catalog.all_rows()]
            self.oracle.cut(live, 0, 0, BRIEF)
        self.oracle.cut_us = {}
        with self.doing("recover"):
            self.disk.power_on()
            seed = -self.disk.operations - 1  # never twice, or two openings would make one key
            opened = self.opened(self.disk, self.clock, seed, self.boxes, self.known)
        self.oracle.check(opened)
        self.store = opened
        sealer = Sealer(opened.keys, None, b"", self.rng.randbytes)
        self.committer: Watched = self.make(opened, self.oracle, sealer)
        self.tidy()

    def tidy(self) -> None:
        """Nothing is remembered of the parts that no block holds any more."""
        where = self.oracle.where
        here = {key for place in self.oracle.live for key in where.get(place, ())}
        self.oracle.gone |= {key for keys in where.values() for key in keys} - here

    def record(self, length_s: float) -> None:
        """Record for a while, or until the power goes."""
        clock, rng = self.clock, self.rng
        self.runs += 1
        clock.now_s = round(clock.now_s + 1.0, 1)
        cameras = [Camera(stream, rng, clock, self.runs) for stream in STREAMS]
        self.begun_us, started_s = clock.wall_us(), clock.now_s
        with contextlib.suppress(PowerCut):
            for step in range(1, round(length_s / TICK_S) + 1):
                clock.now_s = max(clock.now_s, started_s + step * TICK_S)
                self.tick(cameras, cut_all=step % 5 == 0)
            self.tick(cameras, cut_all=True)
            with self.doing("record"):
                self.committer.commit()
        self.begun_us = None

    def tick(self, cameras: Sequence[Camera], *, cut_all: bool) -> None:
        parts = [part for camera in cameras if (part := camera.tick(cut_all=cut_all))]
        self.sent.update((bytes(part.mdat[8:24]), part) for part in parts)
        committer, clock = self.committer, self.clock
        if parts:
            committer.submit(parts)
        due_s = committer.due_s()
        if due_s is not None and due_s <= clock.monotonic_s() + 1e-6:
            wrapped = self.oracle.serials() >= BLOCKS
            with self.doing("record"), self.doing("wrap" if wrapped else "first lap"):
                committer.commit()
            return
        now_s = clock.now_s
        self.keep()
        clock.now_s = now_s  # it has a thread of its own: the writer does not wait
        if self.rng.random() < 0.04:
            self.lock()
        if self.rng.random() < 0.05:
            self.known = self.store.catalog.all_rows()

    def keep(self) -> None:
        """Let the keeper do a step, and note what it gave up."""
        catalog = self.store.catalog
        before = {(row.head.block, row.head.serial) for row in catalog.all_rows()}
        with self.doing("keep"):
            self.store.ring.keep()
        after = {(row.head.block, row.head.serial) for row in catalog.all_rows()}
        gone = {key for place in before - after for key in self.oracle.where.get(place, ())}
        self.oracle.gone = self.oracle.gone | gone
        self.result.given_up += len(gone)

    def resize(self, blocks: int, what: str) -> None:
        """Have the volume grow or shrink, and let the keeper do it."""
        ring = self.store.ring
        self.oracle.wanted = (ring.wanted, blocks)
        with self.doing("size"):
            ring.resize(blocks, "op")
        self.oracle.wanted = (blocks,)
        for _ in range(300):
            if ring.blocks == blocks:
                break
            self.clock.advance(0.1)
            with self.doing(what):
                self.keep()
        assert ring.blocks == blocks

    def set_aside(self) -> None:
        """The oldest block of the gate cannot be read."""
        number = self.store.catalog.rows("gate/main")[0].head.block
        with self.doing("aside"):
            self.store.ring.set_aside([number], "read")
        self.aside = {number}

    def lock(self) -> None:
        """Lock a second of the gate, or unlock what was locked before."""
        ring, locked = self.store.ring, self.oracle.locked
        with self.doing("lock"):
            if locked and self.rng.random() < 0.5:
                number = min(locked)
                del locked[number]  # from here on it may be gone
                ring.unlock(number, "op")
                return
            rows = [row for row in self.store.catalog.rows("gate/main") if row.spans]
            if not rows or len(locked) > 3:
                return
            from_us = rows[len(rows) // 2].first_us
            made = ring.lock(
                Lock(0, "legal", "gate", from_us, from_us + 10**6, from_us, 0, "op", "why", from_us)
            )
            held = blocks_of([made], self.store.catalog)[made.number]
            live = [(r.head.block, r.head.serial) for r in self.store.catalog.all_rows()]
            keys = {k for at in live if at[0] in held for k in self.oracle.where.get(at, ())}
            locked[made.number] = made, keys - self.oracle.doomed
            self.result.locks += 1

    def roots(self) -> None:
        """Wrap every key to a new root of the box."""
        self.boxes = [self.rng.randbytes(32), *self.boxes]
        publics = Publics(root.public_of(self.boxes[0]), root.public_of(self.owner))
        with self.doing("roots"):
            assert self.store.keys.wrap_anew(publics, self.boxes) == 0
        self.boxes = self.boxes[:1]

    def destroy(self, stream: str) -> None:
        """Destroy the key of a stream's first day."""
        day = day_of(self.clock.wall_us()) - 1
        over = [s for s in self.store.keys.slots() if (s.stream, s.day) == (stream, day)]
        assert over
        sealed = {
            (name, part.wall_us)
            for part in self.sent.values()
            if (name := part.stream) == stream and day_of(part.wall_us) == day
        }
        for number, (made, keys) in list(self.oracle.locked.items()):
            self.oracle.locked[number] = made, keys - sealed
        self.oracle.doomed = sealed
        ring = self.store.ring
        with self.doing("destroy"), contextlib.ExitStack() as stack:
            if self.plant == "destroy_unlogged":
                stack.enter_context(mock.patch.object(ring, "destroyed"))
            destroy(
                ring,
                self.store.keys,
                over,
                by="op",
                why="it must be gone",
                clock=self.clock,
                signer=self.signer,
            )
        self.oracle.gone = self.oracle.gone | sealed
        self.seen["destroyed parts"] += len(sealed)


class LateKeys(KeyTable):
    """Leaves keys in the page cache, so that parts are acknowledged before they are durable."""

    def write(self, slots, publics=None) -> None:
        with mock.patch.object(self._disk, "flush", return_value=None):
            super().write(slots, publics)


class KeysAtOnce(KeyTable):
    """Writes both copies and flushes them together, so that one cut can spoil both."""

    def write(self, slots, publics=None) -> None:
        with mock.patch.object(self._disk, "flush") as flush:
            super().write(slots, publics)
        late = [each for call in flush.call_args_list for each in call.args[0]]
        self._disk.flush(late, written_before=False)


class WipedOnce(KeyTable):
    """Wipes keys from the first copy only: without the record of it, they are back."""

    def write(self, slots, publics=None) -> None:
        if slots and not any(slots.values()):
            pwrite = self._disk.pwrite

            def once(path, pieces, offset):
                if path == NAMES[0]:
                    pwrite(path, pieces, offset)

            with mock.patch.object(self._disk, "pwrite", once):
                super().write(slots, publics)
        else:
            super().write(slots, publics)


TABLES = {"late_key": LateKeys, "keys_at_once": KeysAtOnce, "destroy_unlogged": WipedOnce}


def started_at_once(of: VolumeLog, summary: Sequence[Record]) -> None:
    """Begin an epoch in both copies with one flush, so that one cut can spoil both."""
    of._epoch += 1
    data = b"".join(log._pack(record, of._epoch, n) for n, record in enumerate(summary))
    for path in log.NAMES:
        of._disk.pwrite(path, [data], 0)
    of._disk.flush([(path, 0, len(data)) for path in log.NAMES], written_before=False)
    of._number, of._tail = len(summary), len(data)


def told(story: Story, *, as_json: bool) -> int:
    """Tell `story` and say what came of it."""
    result = story.tell()
    found = {f"cuts_in_{what}": story.ways * story.seen[what] for what in COVERED}
    limits = {name: figures.at_least(1, "the story must come by there") for name in found}
    return figures.report(
        ".".join(filter(None, ("every_cut", story.plant))),
        {
            "operations": result.cuts // story.ways,
            "cuts": result.cuts,
            "acked": result.acked,
            "acked_lost": result.acked_lost,
            "wrong_bytes": result.wrong_bytes,
            "given_up": result.given_up,
            "risen": result.risen,
            "locks": result.locks,
            "locks_lost": result.locks_lost,
            "destroyed_parts": story.seen["destroyed parts"],
            "max_lost_s": round(result.max_lost_s, 3),
            "wraps": result.wraps,
            **found,
        },
        {**LIMITS, **limits},
        as_json=as_json,
        notes=result.first_failures,
    )


def main(arguments: list[str] | None = None) -> int:
    parser = figures.arguments(__doc__.partition("\n")[0])
    parser.add_argument("--ways", type=int, default=4, help="cuts of each operation")
    parser.add_argument("--laps", type=int, default=3, help="how often the volume is filled")
    parser.add_argument("--seed", type=int, default=1, help="everything follows from it")
    parser.add_argument("--plant", choices=PLANTS, default="", help="build a known mistake in")
    chosen = parser.parse_args(arguments)
    story = Story(chosen.seed, chosen.ways, chosen.laps, chosen.plant)
    return told(story, as_json=chosen.json)


if __name__ == "__main__":
    sys.exit(main())
