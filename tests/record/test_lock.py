"""Whether what is locked stays, and whether everything that ends a lock ends it."""

import random
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nvr.base.clock import FakeClock
from nvr.base.errors import Rejected
from nvr.hal.virtual_disk import VirtualDisk
from nvr.playback import lock
from nvr.playback.holding import holdings
from nvr.playback.query import Archive
from nvr.record import log
from nvr.record.age import Steady
from nvr.record.lock import Lock, Locks, lock_of
from nvr.record.recover import open_store
from nvr.record.retention import Terms
from nvr.record.store import Store
from nvr.record.writer import Committer
from tests.record import synthetic

SECOND = 1_000_000
HOUR_US = 3600 * SECOND
DAY_US = 24 * HOUR_US
BLOCK_BYTES = 128 << 10
BLOCKS = 32
PART_S = 20
GOP = 3
"""Every third part begins with a key frame, so that blocks begin in the middle of a group."""


class Box:
    """Records on a small volume, with a clock that jumps from group to group."""

    def __init__(self, streams: tuple[str, ...] = ("gate/main",)) -> None:
        self.rng = random.Random(1)
        self.clock = FakeClock()
        self.disk = VirtualDisk(self.rng)
        self.streams = streams
        self.sent: dict[tuple[str, int], bytes] = {}
        self._now_90k = self._number = 0
        self.open()

    def open(self) -> None:
        self.store: Store = open_store(
            self.disk, self.clock, self.rng, size_bytes=BLOCKS * BLOCK_BYTES,
            block_bytes=BLOCK_BYTES,
        )  # fmt: skip
        self._committer = Committer(self.store)
        self._number = 0

    def reopen(self, end: bool = True) -> None:
        if end:
            self.store.ring.end("somebody")
        self.disk.close()
        self.open()

    def record(self, minutes: float) -> None:
        for _ in range(round(minutes * 60 / PART_S)):
            wall_us = self.clock.wall_us()
            parts = [
                synthetic.noise_part(
                    stream, self.rng, run=1, start_90k=self._now_90k, wall_us=wall_us,
                    size=10_000, key=self._number % GOP == 0, duration_90k=PART_S * 90_000,
                )
                for stream in self.streams
            ]  # fmt: skip
            for part in parts:
                self.sent[part.stream, wall_us] = bytes(part.mdat)[8:]
            self._now_90k += PART_S * 90_000
            self._number += 1
            self.clock.advance(PART_S)
            self._committer.submit(parts)
            assert self._committer.commit()

    def lap(self) -> None:
        """Record more than the volume holds."""
        for _ in range(BLOCKS // len(self.streams) * 2):
            self.record(3)

    def lock(self, from_us: int, to_us: int, **more: object) -> lock.Locked:
        wanted = lock.Wanted(
            "evidence", "gate", from_us, to_us, self.clock.wall_us() + 30 * DAY_US, "op", "theft"
        )
        return lock.add(self.store, replace(wanted, **more))

    def served(self, stream: str = "gate/main") -> set[int]:
        """Times of the parts that playback serves, each compared with what was sent."""
        archive, found = Archive(self.store), set()
        t_us: int | None = 0
        while t_us is not None and (gop := archive.gop(stream, t_us)) is not None:
            at = 0
            walls = sorted(wall for name, wall in self.sent if name == stream)
            first = walls.index(gop.from_us)
            for wall in walls[first : first + GOP]:
                sent = self.sent[stream, wall]
                where = gop.data.find(sent[:64], at)
                if where < 0:
                    break
                assert gop.data[where : where + len(sent)] == sent
                at = where
                found.add(wall)
            assert gop.next_us is None or gop.next_us > t_us
            t_us = gop.next_us
        return found


def refused(code: str, call, *args: object, **more: object) -> Rejected:
    with pytest.raises(Rejected) as caught:
        call(*args, **more)
    assert caught.value.code == code
    return caught.value


def test_a_locked_stretch_plays_whole_after_everything_around_it_was_overwritten() -> None:
    box = Box(("gate/main", "gate/sub", "yard/main"))
    box.record(4)
    first_us = box.clock.wall_us()
    box.record(10)
    last_us = box.clock.wall_us()
    made = box.lock(first_us + 7 * SECOND, last_us)
    assert made.used_bytes > 0
    assert made.lock.key_us <= first_us, "from the key frame its first picture hangs on"
    box.lap()
    for stream in ("gate/main", "gate/sub"):
        due = {w for name, w in box.sent if name == stream and made.lock.key_us <= w < last_us}
        assert due <= box.served(stream)
        assert len(box.served(stream)) < len([1 for name, _ in box.sent if name == stream])
    assert min(box.served("yard/main")) > last_us, "another camera's goes as ever"


def test_a_lock_outlives_restarts_and_epochs_until_it_is_removed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    box = Box()
    box.record(5)
    first_us, last_us = box.clock.wall_us() - 200 * SECOND, box.clock.wall_us() - 60 * SECOND
    made = box.lock(first_us, last_us, kind="legal", until_us=0, why="法院 2026-114", by="张三")
    box.reopen()
    assert box.store.ring.locks == (made.lock,)
    box.lap()
    box.reopen(end=False)
    assert box.store.ring.locks == (made.lock,)
    assert {w for _, w in box.sent if first_us <= w < last_us} <= box.served()
    gone = lock.remove(box.store, made.lock.number, "admin")
    assert gone == made.lock
    refused("lock.unknown", lock.remove, box.store, made.lock.number, "admin")
    box.reopen()
    assert box.store.ring.locks == ()
    box.lap()
    assert min(box.served()) > last_us
    next_one = box.lock(box.clock.wall_us() - 60 * SECOND, box.clock.wall_us())
    assert next_one.lock.number == made.lock.number + 1, "a number is never given twice"


def test_a_lock_is_carried_into_every_summary() -> None:
    box = Box()
    box.record(5)
    made = box.lock(box.clock.wall_us() - 200 * SECOND, box.clock.wall_us())
    size = log.size_for(BLOCKS)
    filler = "x" * 190
    for _ in range(size // 200 + 10):
        number = box.lock(made.lock.from_us, made.lock.to_us, why=filler).lock.number
        lock.remove(box.store, number, "op")
    box.reopen()
    assert box.store.ring.locks == (made.lock,)


def test_a_lock_ends_by_itself_and_not_because_the_clock_leapt() -> None:
    box = Box()
    box.record(5)
    first_us, last_us = box.clock.wall_us() - 200 * SECOND, box.clock.wall_us()
    box.lock(first_us, last_us, until_us=box.clock.wall_us() + 10 * DAY_US)
    box.clock.offset_us += 30 * 365 * DAY_US
    box.lap()
    box.clock.offset_us -= 30 * 365 * DAY_US
    assert len(box.store.ring.locks) == 1
    assert {w for _, w in box.sent if first_us <= w < last_us} <= box.served()
    box.clock.advance(10 * 86_400)
    assert box.store.ring.locks == ()
    box.lap()
    assert min(box.served()) > last_us


def test_what_is_recorded_after_the_lock_was_made_is_locked_too() -> None:
    box = Box()
    box.record(5)
    now_us = box.clock.wall_us()
    box.lock(now_us - 60 * SECOND, now_us + 600 * SECOND)
    box.record(10)
    box.lap()
    assert {w for _, w in box.sent if now_us <= w < now_us + 600 * SECOND} <= box.served()


def test_most_of_a_volume_can_be_locked_and_not_all_of_it() -> None:
    box = Box()
    box.lap()
    now_us = box.clock.wall_us()
    err = refused("lock.too_much", box.lock, 0, now_us)
    assert err.context["would_percent"] > err.context["most_percent"] == 80
    refused("lock.too_much", box.lock, now_us - 60 * SECOND, now_us + 20 * HOUR_US)
    oldest_us = box.store.catalog.rows("gate/main")[0].first_us
    half = oldest_us + (now_us - oldest_us) // 2
    box.lock(oldest_us, half)
    box.lock(oldest_us, half)
    before = len(box.sent)
    box.lap()
    assert len(box.sent) - before == len([w for _, w in box.sent if w >= now_us]), "it goes on"
    refused("lock.too_much", box.lock, half, box.clock.wall_us())


@pytest.mark.parametrize(
    ("field", "change"),
    [
        ("kind", {"kind": "holy"}),
        ("to_us", {"to_us": 5}),
        ("to_us", {"to_us": 1 << 60}),
        ("why", {"why": "  "}),
        ("why", {"why": "x" * 201}),
        ("by", {"by": ""}),
        ("until_us", {"kind": "legal"}),
        ("until_us", {"until_us": 0}),
        ("until_us", {"until_us": 7}),
    ],
)
def test_a_lock_that_says_too_little_is_refused(field: str, change: dict[str, object]) -> None:
    box = Box()
    box.record(2)
    now_us = box.clock.wall_us()
    more = {"from_us": now_us - 60 * SECOND, "to_us": now_us, **change}
    assert refused("lock.invalid", box.lock, **more).context["field"] == field


def test_nothing_recorded_is_nothing_to_lock() -> None:
    box = Box()
    box.record(2)
    now_us = box.clock.wall_us()
    refused("lock.nothing", box.lock, now_us - 60 * SECOND, now_us, camera="attic")
    refused("lock.nothing", box.lock, 5, 6)


def test_there_is_an_end_to_the_number_of_locks() -> None:
    box = Box()
    box.record(2)
    made = box.lock(box.clock.wall_us() - 60 * SECOND, box.clock.wall_us()).lock
    locks = Locks()
    with pytest.raises(Rejected, match=r"lock\.too_many"):  # noqa: PT012 - each may be the one
        for _ in range(2000):
            locks.add(locks.numbered(replace(made, why="因" * 200)))
    assert len(locks.all()) > 300


def test_locked_room_counts_in_what_is_foretold() -> None:
    box = Box()
    box.lap()

    def will_hold() -> float:
        return holdings(box.store, lambda _: Terms(3600.0), box.streams)[0].holds_s

    before_s, now_us = will_hold(), box.clock.wall_us()
    oldest_us = box.store.catalog.rows("gate/main")[0].first_us
    box.lock(oldest_us, oldest_us + (now_us - oldest_us) // 2)
    assert will_hold() == pytest.approx(before_s / 2, rel=0.15)
    box.lap()
    found = holdings(box.store, lambda _: Terms(3600.0), box.streams)[0]
    held_s = (box.clock.wall_us() - found.from_us) / SECOND
    about_s = 3 * PART_S * BLOCK_BYTES / (10_000 + 4096)
    assert held_s == pytest.approx(found.holds_s, abs=about_s), "not since what is only locked"
    assert Archive(box.store).volume().locked_bytes == found.locked_bytes > 0


def test_an_export_over_what_is_gone_begins_again_at_a_key_frame() -> None:
    box = Box()
    box.record(3)
    first_us = box.clock.wall_us()
    box.record(10)
    box.lock(first_us, box.clock.wall_us())
    box.lap()
    served = box.served()
    data = b"".join(Archive(box.store).export("gate/main", 0, box.clock.wall_us()))
    sent = {wall: mdat for (_, wall), mdat in box.sent.items()}
    assert {wall for wall, mdat in sent.items() if mdat[:64] in data} == served


LOCK = Lock(7, "alarm", "gate", 10, 20, 9, 0, "op", "why", 5)


def test_a_record_says_all_of_a_lock() -> None:
    assert lock_of(LOCK.record()) == LOCK


@pytest.mark.parametrize("name", sorted(LOCK.record().keys() - {"kind"}))
def test_a_record_that_is_not_one_is_passed_over(name: str) -> None:
    assert lock_of({**LOCK.record(), name: None}) is None


@given(
    st.lists(st.tuples(st.integers(0, 60), st.integers(1, 20)), max_size=8),
    st.tuples(st.integers(0, 80), st.integers(1, 20)),
)
def test_merged_stretches_hold_what_each_of_them_holds(
    stretches: list[tuple[int, int]], span: tuple[int, int]
) -> None:
    locks = Locks()
    for start, length in stretches:
        locks.add(locks.numbered(replace(LOCK, key_us=start, to_us=start + length)))
    row = replace(SOME_ROW, spans=(replace(SOME_SPAN, from_us=span[0], to_us=sum(span)),))
    holds = any(s < sum(span) and span[0] < s + length for s, length in stretches)
    assert locks.hold(row) == holds


SOME_BOX = Box()
SOME_BOX.record(1)
SOME_ROW = SOME_BOX.store.catalog.rows("gate/main")[0]
SOME_SPAN = SOME_ROW.spans[0]


def test_a_clock_that_leaps_is_believed_a_day_later_and_one_set_back_at_once() -> None:
    clock = FakeClock()
    begun_us = clock.wall_us()
    age = Steady(clock, begun_us - HOUR_US)
    assert age.now_us() == begun_us
    clock.offset_us += 400 * DAY_US
    clock.advance(3600)
    assert age.now_us() == begun_us + HOUR_US
    clock.advance(86_400)
    assert age.now_us() == clock.wall_us()
    clock.offset_us -= 500 * DAY_US
    assert age.now_us() == clock.wall_us()
    assert Steady(clock, clock.wall_us() - 9 * DAY_US).now_us() == clock.wall_us() - 9 * DAY_US
    assert Steady(clock, 0).now_us() == clock.wall_us()
