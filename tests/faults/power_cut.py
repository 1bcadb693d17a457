"""Cuts the power at any disk operation of the recorder and checks what is served afterwards.

The product's own writer, recovery and archive run on a simulated disk and a fake clock; every
cut follows from the seed. `--plant` builds a known mistake in and must then report failures.
"""

import contextlib
import random
import struct
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from unittest import mock

from nvr.base.clock import FakeClock
from nvr.hal.virtual_disk import PowerCut, VirtualDisk
from nvr.media.part import PART_HEADER_BYTES, Part
from nvr.playback.query import Archive
from nvr.record import block
from nvr.record.catalog import Row
from nvr.record.recover import open_store
from nvr.record.ring import Grant, Ring
from nvr.record.store import Store
from nvr.record.writer import Committer
from tests.bench import figures
from tests.record import synthetic

PLANTS = ("early_ack", "no_checksum", "no_retire", "one_flush_unzeroed")
LIMITS = {
    "acked_lost": figures.at_most(0, "what was shown as recorded must be there"),
    "wrong_bytes": figures.at_most(0, "a picture nobody recorded must never be served"),
    "max_lost_s": figures.at_most(0.999, "part 0.5 s, tick 0.1 s and the flush under way"),
}
STREAMS = ("gate/main", "gate/sub", "yard/main")
BLOCK_BYTES = 256 << 10
BLOCKS = 32
TICK_S = 0.1
CUTS_A_VOLUME = 25
"""A fresh volume now and then, or unzeroed blocks would be met only once."""


@dataclass
class Result:
    cuts: int = 0
    acked: int = 0
    acked_lost: int = 0
    wrong_bytes: int = 0
    max_lost_s: float = 0.0
    wraps: int = 0
    recoveries_cut: int = 0
    first_failures: list[str] = field(default_factory=list)

    def fail(self, what: str) -> None:
        if len(self.first_failures) < 5:
            self.first_failures.append(f"cut {self.cuts}: {what}")


Place = tuple[int, int]
Key = tuple[str, int]


class Watched(Committer):
    """The product's writer, and a note of which part it acknowledged in which block."""

    def __init__(self, store: Store, where: dict[Place, list[Key]], result: Result) -> None:
        super().__init__(store)
        self.where, self.result = where, result

    def _publish(self, group, started_s: float) -> None:
        super()._publish(group, started_s)
        for write in group.writes:
            head = write.place.head
            keys = [(head.stream, entry.wall_us) for entry in write.entries]
            self.where.setdefault((head.block, head.serial), []).extend(keys)
            self.result.acked += len(keys)


class EarlyAck(Watched):
    """Acknowledges first and flushes when the next group comes."""

    _late: tuple[list[tuple[str, int, int]], bool] | None = None

    def _flush(self, ranges: list[tuple[str, int, int]], *, written_before: bool) -> None:
        if self._late is not None:
            super()._flush(self._late[0], written_before=self._late[1])
        self._late = ranges, written_before


class NoRetire(Ring):
    """Overwrites the oldest block without giving it up durably first."""

    def _retire(self, used: list[int], grants: list[Grant]) -> None:
        if not used:
            super()._retire(used, grants)


class OneFlushUnzeroed(Ring):
    """Trusts one flush for many files on extents that were only allocated."""

    def written_before(self, _number: int) -> bool:
        return True


def unchecked_part(read: block.Read, head: block.BlockHeader, offset: int):
    """Read a part without looking at its checksum."""
    header = block.read_header(read, head, offset)
    return header, read(offset + PART_HEADER_BYTES, header.stored_bytes)


@contextlib.contextmanager
def planted(plant: str) -> Iterator[tuple[type[Watched], Callable[..., Ring]]]:
    with contextlib.ExitStack() as stack:
        if plant == "no_checksum":
            stack.enter_context(mock.patch.object(block, "read_part", unchecked_part))
        yield (
            EarlyAck if plant == "early_ack" else Watched,
            {"no_retire": NoRetire, "one_flush_unzeroed": OneFlushUnzeroed}.get(plant, Ring),
        )


class Camera:
    """Makes a part each half second, and cuts one short where its key frame falls."""

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
            size=self.rng.choice([900, 14_000, 30_000]),
            key=self.key,
            duration_90k=(now_us - self.begun_us) * 9 // 100,
        )
        self.begun_us, self.key = now_us, key_due
        if key_due:
            self.key_us = now_us
        return part


class Volume:
    """One simulated volume through many cuts."""

    def __init__(self, seed: int, result: Result) -> None:
        self.rng = random.Random(seed)
        self.result = result
        self.clock = FakeClock()
        self.disk = VirtualDisk(self.rng, spend=self.clock.advance)
        self.disk.flush_s = (0.002, 0.1)
        self.sent: dict[bytes, Part] = {}
        self.where: dict[Place, list[Key]] = {}
        self.required: set[Key] = set()
        self.known: dict[int, Row] = {}
        self.cut_us: dict[str, tuple[int, int]] = {}
        self.runs = 0
        self.keeper = self.rng.choice([0.1, 0.9])

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
        self.check(store)
        self.runs += 1
        self.clock.now_s = round(self.clock.now_s + rng.uniform(0.1, 5.0), 1)
        cameras = [Camera(stream, rng, self.clock, self.runs) for stream in STREAMS]
        begun_us = self.clock.wall_us()
        disk.cut_in = rng.randrange(400)
        with contextlib.suppress(PowerCut):
            self.record(make(store, self.where, self.result), store, cameras)
        self.cut_us = dict.fromkeys(STREAMS, (begun_us, self.clock.wall_us()))
        live = [(row.head.block, row.head.serial) for row in store.catalog.all_rows()]
        self.required = {key for place in live for key in self.where.get(place, ())}

    def open(self, ring: Callable[..., Ring]) -> Store:
        return open_store(
            self.disk,
            self.clock,
            self.rng,
            size_bytes=BLOCK_BYTES * BLOCKS,
            block_bytes=BLOCK_BYTES,
            known=(lambda _: self.known) if self.rng.random() < 0.7 else None,
            ring_type=ring,
        )

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
                store.ring.keep()
                self.clock.now_s = now_s  # it has a thread of its own: the writer does not wait
            if self.rng.random() < 0.02:
                self.known = {row.head.block: row for row in store.catalog.all_rows()}

    def check(self, store: Store) -> None:
        """Compare everything served with what was sent, acknowledged and listed."""
        archive = Archive(store)
        for stream in STREAMS:
            listed = [
                ((row.head.block, row.head.serial), entry.wall_us, entry.key)
                for row in store.catalog.rows(stream)
                for entry in store.entries(row)
            ]
            first = next((n for n, (_, _, key) in enumerate(listed) if key), len(listed))
            headless = {wall for _, wall, _ in listed[:first]}  # their key frame was retired
            served = self.served(archive, stream)
            due = {wall for name, wall in self.required if name == stream}
            lost = (due | {wall for _, wall, _ in listed}) - served.keys() - headless
            if lost:
                self.result.acked_lost += len(lost)
                self.result.fail(f"{stream}: {len(lost)} parts shown as recorded are gone")
            if stream in self.cut_us:
                begun_us, cut_us = self.cut_us[stream]
                until_us = max([begun_us, *served.values()])
                lost_s = (cut_us - until_us) / 1e6
                if lost_s > LIMITS["max_lost_s"].value:
                    self.result.fail(f"{stream}: {lost_s:.3f} s before the cut are gone")
                self.result.max_lost_s = max(self.result.max_lost_s, lost_s)
            # What was found once, acknowledged or not, must be found from now on.
            for place in {place for place, _, _ in listed}:
                self.where[place] = [(stream, wall) for at, wall, _ in listed if at == place]
        self.cut_us = {}
        self.result.wraps = max(self.result.wraps, self.serials() // BLOCKS)

    def serials(self) -> int:
        return max((serial for _, serial in self.where), default=0)

    def served(self, archive: Archive, stream: str) -> dict[int, int]:
        """Return start and end of every part the archive serves, as the pictures say."""
        found: dict[int, int] = {}
        t_us: int | None = 0
        while t_us is not None:
            gop = archive.gop(stream, t_us)
            if gop is None:
                break
            parts = list(self.parts(gop.data, stream))
            if not parts or parts[0][0].wall_us != gop.from_us:
                self.result.wrong_bytes += 1
                self.result.fail(f"{stream}: the group is not the one that was asked for")
            for part, tfdt in parts:
                origin = gop.start_90k - parts[0][0].start_90k
                if tfdt != part.start_90k + origin:
                    self.result.wrong_bytes += 1
                    self.result.fail(f"{stream}: decode time {tfdt} is wrong")
                found[part.wall_us] = part.wall_us + part.duration_90k * 100 // 9
            if gop.next_us is not None and gop.next_us <= t_us:
                self.result.fail(f"{stream}: next_us goes back")
                break
            t_us = gop.next_us
        return found

    def parts(self, data: bytes, stream: str) -> Iterator[tuple[Part, int]]:
        """Recognise the parts in what was served; anything else is wrong bytes."""
        at = 0
        while at < len(data):
            moof_bytes = struct.unpack_from(">I", data, at)[0]
            mdat_at = at + moof_bytes
            size = struct.unpack_from(">I", data, mdat_at)[0] if mdat_at + 8 <= len(data) else 0
            part = self.sent.get(data[mdat_at + 8 : mdat_at + 24])
            if part is None or part.stream != stream or data[mdat_at : mdat_at + size] != part.mdat:
                self.result.wrong_bytes += 1
                self.result.fail(f"{stream}: bytes nobody sent")
                return
            moof = bytearray(data[at:mdat_at])
            tfdt = struct.unpack_from(">Q", moof, part.tfdt_offsets[0])[0]
            struct.pack_into(">Q", moof, part.tfdt_offsets[0], part.start_90k)
            struct.pack_into(">I", moof, part.sequence_offset, 0)
            if moof != part.moof:
                self.result.wrong_bytes += 1
                self.result.fail(f"{stream}: a moof nobody sent")
                return
            yield part, tfdt
            at = mdat_at + size


def run(cuts: int, seed: int, plant: str = "") -> Result:
    """Cut the power `cuts` times."""
    result = Result()
    with planted(plant) as (make, ring):
        while result.cuts < cuts:
            volume = Volume(seed * 1_000_003 + result.cuts, result)
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
    parser.add_argument("--plant", choices=PLANTS, default="", help="build a known mistake in")
    chosen = parser.parse_args(arguments)
    result = run(chosen.cuts, chosen.seed, chosen.plant)
    return figures.report(
        "power_cut" + (f".{chosen.plant}" if chosen.plant else ""),
        {
            "cuts": result.cuts,
            "acked": result.acked,
            "acked_lost": result.acked_lost,
            "wrong_bytes": result.wrong_bytes,
            "max_lost_s": round(result.max_lost_s, 3),
            "recoveries_cut": result.recoveries_cut,
            "wraps": result.wraps,
        },
        LIMITS,
        as_json=chosen.json,
        notes=result.first_failures,
    )


if __name__ == "__main__":
    sys.exit(main())
