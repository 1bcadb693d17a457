"""What a harness that cuts the power knows, and compares with what is served afterwards."""

import struct
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field

from nvr.media.part import Part
from nvr.playback.query import Archive
from nvr.record import block
from nvr.record.lock import Lock
from nvr.record.store import Store
from tests.bench import figures

LIMITS = {
    "acked_lost": figures.at_most(0, "what was shown as recorded must be there"),
    "wrong_bytes": figures.at_most(0, "a picture nobody recorded must never be served"),
    "risen": figures.at_most(0, "what was given up must not come back"),
    "locks_lost": figures.at_most(0, "what somebody was told is locked must be there and locked"),
    "max_lost_s": figures.at_most(0.999, "part 0.5 s, tick 0.1 s and the flush under way"),
}


@dataclass
class Result:
    cuts: int = 0
    acked: int = 0
    acked_lost: int = 0
    wrong_bytes: int = 0
    given_up: int = 0
    risen: int = 0
    locks: int = 0
    locks_lost: int = 0
    max_lost_s: float = 0.0
    wraps: int = 0
    resizes: int = 0
    recoveries_cut: int = 0
    first_failures: list[str] = field(default_factory=list)

    def add(self, other: "Result") -> None:
        """Take over what another one counted."""
        for name in ("cuts", "acked", "acked_lost", "wrong_bytes", "recoveries_cut"):
            setattr(self, name, getattr(self, name) + getattr(other, name))
        self.max_lost_s = max(self.max_lost_s, other.max_lost_s)
        self.wraps = max(self.wraps, other.wraps)
        self.first_failures += other.first_failures

    def fail(self, what: str) -> None:
        if len(self.first_failures) < 5:
            self.first_failures.append(f"cut {self.cuts}: {what}")


Place = tuple[int, int]
Key = tuple[str, int]


class Oracle:
    """What was sent, acknowledged, listed and locked on one volume through many cuts.

    Args:
        streams: Their names.
        blocks: Of the volume.
        sent: Every part that was handed to the recorder, by the first 16 bytes of its samples.
        result: Where failures are counted.

    Attributes:
        where: What was acknowledged, or found listed, in which block and use of it.
        live: The blocks, and uses of them, that are listed; whoever overwrites one takes it out.
        required: What was acknowledged in blocks that were live when the power went.
        locked: Each lock that somebody was told of, and what it holds.
        gone: What was given up durably, so that it is never served again.
        brief: What streams that must be gone after seconds had in blocks given up by then.
        doomed: What is, or may be, sealed with a key that somebody wants destroyed.
        wanted: How many blocks there are to be: what was told, or was about to be.
        cut_us: When each stream began, and the power went; empty if nothing was recorded since.
        roomless: Streams that the recorder said there was no block for: all others were locked, or
            being written.
    """

    def __init__(
        self, streams: Collection[str], blocks: int, sent: Mapping[bytes, Part], result: Result
    ) -> None:
        self.streams = streams
        self.blocks = blocks
        self.sent = sent
        self.result = result
        self.where: dict[Place, list[Key]] = {}
        self.live: set[Place] = set()
        self.required: set[Key] = set()
        self.locked: dict[int, tuple[Lock, set[Key]]] = {}
        self.gone: set[Key] = set()
        self.brief: set[Key] = set()
        self.doomed: set[Key] = set()
        self.cut_us: dict[str, tuple[int, int]] = {}
        self.roomless: set[str] = set()
        self.wanted: tuple[int, ...] = ()

    def acknowledged(self, place: Place, keys: Collection[Key]) -> None:
        self.where.setdefault(place, []).extend(keys)
        self.result.acked += len(keys)

    def cut(
        self, live: Collection[Place], begun_us: int, cut_us: int, brief: Collection[str] = ()
    ) -> None:
        self.cut_us = dict.fromkeys(self.streams, (begun_us, cut_us))
        self.required = {key for place in live for key in self.where.get(place, ())}
        dead = self.where.keys() - set(live)
        self.brief = {key for place in dead for key in self.where[place] if key[0] in brief}

    def check(self, store: Store) -> None:
        """Compare everything served with what was sent, acknowledged and listed."""
        archive = Archive(store)
        self.live = set()
        lost_locks = {lock for lock, _ in self.locked.values()} - set(store.ring.locks)
        if lost_locks:
            self.result.locks_lost += len(lost_locks)
            self.result.fail(f"{len(lost_locks)} locks are gone")
        for stream in self.streams:
            listed = [
                ((row.head.block, row.head.serial), entry.wall_us)
                for row in store.catalog.rows(stream)
                for entry in store.entries(row)
            ]
            headless = self.headless(store, stream)
            served = self.served(archive, stream)
            risen = {(stream, wall) for wall in served} & self.gone
            if risen:
                self.result.risen += len(risen)
                self.result.fail(f"{stream}: {len(risen)} parts given up are back")
            due = {wall for name, wall in self.required if name == stream}
            kept = {w for _, keys in self.locked.values() for name, w in keys if name == stream}
            gone = kept - served.keys() - headless
            if gone:
                self.result.locks_lost += 1
                self.result.fail(f"{stream}: {len(gone)} locked parts are gone")
            doomed = {wall for name, wall in self.doomed if name == stream}
            lost = (due | {wall for _, wall in listed}) - served.keys() - headless - doomed
            if lost:
                self.result.acked_lost += len(lost)
                self.result.fail(f"{stream}: {len(lost)} parts shown as recorded are gone")
            if stream in self.cut_us and stream not in self.roomless:
                begun_us, cut_us = self.cut_us[stream]
                # The newest part may have been given up with the block it is in.
                given_up = self.ends(stream, self.gone | self.brief)
                # Or its key frame has been, and it is there, but nothing can be shown of it.
                blind = (
                    entry.end_us
                    for row in store.catalog.rows(stream)
                    for entry in store.entries(row)
                    if entry.wall_us in headless
                )
                until_us = max([begun_us, *served.values(), *given_up, *blind])
                lost_s = (cut_us - until_us) / 1e6
                if lost_s > LIMITS["max_lost_s"].value:
                    self.result.fail(f"{stream}: {lost_s:.3f} s before the cut are gone")
                self.result.max_lost_s = max(self.result.max_lost_s, lost_s)
            # What was found once, acknowledged or not, must be found from now on.
            for place in {place for place, _ in listed}:
                self.live.add(place)
                self.where[place] = [(stream, wall) for at, wall in listed if at == place]
        self.cut_us, self.roomless = {}, set()
        self.result.wraps = max(self.result.wraps, self.serials() // self.blocks)

    def check_size(self, store: Store, files: Collection[tuple[str, int]]) -> None:
        """Every block that is there has its file, and as many are wanted as somebody was told."""
        there, ring = dict(files), store.ring
        numbers = [number for number in range(ring.identity.blocks) if number not in ring.absent]
        missing = [n for n in numbers if there.get(block.name(n)) != ring.identity.block_bytes]
        if missing:
            self.result.fail(f"blocks without their files: {missing}")
        if self.wanted and ring.wanted not in self.wanted:
            self.result.fail(f"{ring.wanted} blocks are wanted, not one of {self.wanted}")

    def headless(self, store: Store, stream: str) -> set[int]:
        """Parts whose key frame was retired: at the beginning, and after what locks held."""
        found: set[int] = set()
        sequence, keyed = -1, False
        for row in store.catalog.rows(stream):
            keyed = keyed and row.head.sequence <= sequence
            sequence = row.sequence
            for entry in store.entries(row):
                keyed = keyed or entry.key
                if not keyed:
                    found.add(entry.wall_us)
        return found

    def ends(self, stream: str, keys: set[Key]) -> list[int]:
        """Return when parts of a stream that were sent ended."""
        walls = {wall for name, wall in keys if name == stream}
        parts = self.sent.values() if walls else ()
        return [
            part.wall_us + part.duration_90k * 100 // 9
            for part in parts
            if part.stream == stream and part.wall_us in walls
        ]

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
