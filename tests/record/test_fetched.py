"""What is fetched from a camera later: joined where nothing is, and kept as long as the rest."""

import itertools
import random
from collections.abc import Iterator

import pytest

from nvr.base.clock import FakeClock
from nvr.hal.virtual_disk import VirtualDisk
from nvr.media.name import FETCHED, is_beside, original
from nvr.playback.gap import Fetch
from nvr.playback.joined import Joined
from nvr.playback.query import Archive, Recorded
from nvr.record.lane import BESIDE_US
from nvr.record.note import FETCH, Note, note_of
from nvr.record.recover import open_store
from nvr.record.retention import Terms
from nvr.record.series import Series
from nvr.record.writer import Committer
from tests.record import synthetic

GATE = "gate/main"
S_US, HOUR_US = 1_000_000, 3_600_000_000
BLOCK_BYTES = 1 << 20
SOURCE = "192.0.2.10:80 gate.main"


class World:
    """One camera on a small volume."""

    def __init__(self, terms: Terms | None = None) -> None:
        self.rng = random.Random(3)
        self.disk = VirtualDisk(self.rng)
        self.clock = FakeClock()
        self.terms = terms or Terms(1000 * 3600.0)
        self.runs = 0
        self.open()

    def open(self) -> None:
        self.store = open_store(
            self.disk, self.clock, self.rng, size_bytes=64 * BLOCK_BYTES, block_bytes=BLOCK_BYTES,
            terms=lambda _: self.terms,
        )  # fmt: skip
        self.committer = Committer(self.store)

    def put(self, stream: str, from_us: int, seconds: float, *, ahead_us: int = 0) -> None:
        """Record so much of a stream, from a wall time on, in a run of its own."""
        self.runs += 1
        ago_90k = (self.clock.wall_us() - from_us) * 9 // 100
        tick = max(0, int(self.clock.monotonic_s() * 90_000) - ago_90k)
        parts = [
            synthetic.noise_part(
                stream, self.rng, run=self.runs, start_90k=tick + n * 45_000 + ahead_us * 9 // 100,
                wall_us=from_us + n * 500_000, size=2000, key=n % 4 == 0,
            )
            for n in range(round(seconds * 2))
        ]  # fmt: skip
        self.committer.submit(parts)
        assert self.committer.commit()

    def live(self, seconds: float) -> int:
        """Record what is happening; returns when that began."""
        begun_us = self.clock.wall_us()
        self.clock.advance(seconds)
        self.put(GATE, begun_us, seconds)
        return begun_us

    def archive(self) -> Joined:
        return Joined({0: Archive(self.store)})

    def told(self, since_us: int, until_us: int, code: str = "") -> None:
        self.store.ring.note(
            Note(
                FETCH, self.clock.wall_us(), stream=GATE, code=code, by=SOURCE,
                since_us=since_us, until_us=until_us,
            )
        )  # fmt: skip

    def blocks(self) -> list[tuple[int, int]]:
        """First and last time of each block of what was fetched."""
        rows = self.store.catalog.rows(GATE + FETCHED)
        return [(row.spans[0].from_us, row.spans[-1].to_us) for row in rows]


@pytest.fixture
def world() -> World:
    return World()


def gapped(world: World) -> tuple[int, int, int]:
    """A minute recorded, one missed, one recorded: begin, and ends of the gap."""
    begun_us = world.live(60)
    world.clock.advance(60)
    world.live(60)
    return begun_us, begun_us + 60 * S_US, begun_us + 120 * S_US


def gops(archive: Joined, from_us: int) -> Iterator[tuple[int, int]]:
    found = archive.gop(GATE, from_us)
    while found is not None:
        yield found.from_us, found.to_us
        if found.following is None or found.next_us is None:
            return
        found = archive.gop(GATE, found.next_us, found.following)


def test_a_gap_that_was_filled_is_none_and_says_when_and_from_where(world: World) -> None:
    begun_us, from_us, to_us = gapped(world)
    (gap,) = world.archive().ranges(GATE, 0, 1 << 60).gaps
    assert (gap.from_us, gap.to_us, gap.cause) == (from_us, to_us, "camera")
    world.told(from_us, to_us)
    at_us = world.clock.wall_us()
    world.put(GATE + FETCHED, from_us - 2 * S_US, 64)  # more than is missing, at both ends
    archive = world.archive()
    assert archive.streams() == (GATE,)
    ranges = archive.ranges(GATE, 0, 1 << 60)
    assert ranges.gaps == ()
    spans = [(run.from_us, run.to_us, run.fetch) for run in ranges.runs]
    assert spans == [
        (begun_us, from_us, None),
        (from_us, to_us, Fetch(at_us, SOURCE)),
        (to_us, to_us + 60 * S_US, None),
    ]
    seen = list(gops(archive, begun_us))
    assert seen[0][0] == begun_us
    assert seen[-1][1] == to_us + 60 * S_US
    assert all(two[0] - one[1] <= 0 for one, two in itertools.pairwise(seen))
    exported = list(archive.export_pieces(GATE, begun_us, to_us + 60 * S_US))
    covered = [(one.from_us, one.to_us) for one in exported if one.to_us > one.from_us]
    assert covered[0][0] == begun_us
    assert covered[-1][1] == to_us + 60 * S_US
    assert max(two[0] - one[1] for one, two in itertools.pairwise(covered)) <= 0
    # Its run has its codecs, and is found again.
    run = ranges.runs[1]
    assert archive.config(GATE, run.run) == synthetic.NOISE_CONFIG


def test_what_could_not_be_had_says_why(world: World) -> None:
    _, from_us, to_us = gapped(world)
    world.told(from_us, to_us)
    (gap,) = world.archive().ranges(GATE, 0, 1 << 60).gaps
    assert gap.fetch is None  # it is under way
    world.put(GATE + FETCHED, from_us, 20)
    world.told(from_us + 20 * S_US, to_us, "backfill.nothing")
    at_us = world.clock.wall_us()
    ranges = world.archive().ranges(GATE, 0, 1 << 60)
    (gap,) = ranges.gaps
    assert (gap.from_us, gap.to_us) == (from_us + 20 * S_US, to_us)
    assert gap.fetch == Fetch(at_us, SOURCE, "backfill.nothing")
    assert [bool(run.fetch) for run in ranges.runs] == [False, True, False]


def test_it_is_the_same_after_a_restart_and_without_the_notes(world: World) -> None:
    _, from_us, to_us = gapped(world)
    world.told(from_us, to_us)
    world.put(GATE + FETCHED, from_us, 60)
    before = world.archive().ranges(GATE, 0, 1 << 60)
    world.open()
    after = world.archive().ranges(GATE, 0, to_us)
    assert after.runs[1] == before.runs[1]
    world.store.ring._notes.clear()
    (run,) = [one for one in world.archive().ranges(GATE, 0, to_us).runs if one.fetch]
    assert run.fetch == Fetch()  # that it was fetched is in its name


def test_a_note_of_fetching_explains_no_gap(world: World) -> None:
    world.told(world.clock.wall_us() - HOUR_US, world.clock.wall_us(), "backfill.nothing")
    found = list(world.archive().account("gate/main"))
    assert found == []
    note = Note(FETCH, 5, stream=GATE, since_us=1, until_us=2, by=SOURCE)
    assert note_of(note.record()) == note


def test_a_block_of_it_spans_an_hour_at_most(world: World) -> None:
    begun_us = world.clock.wall_us() - 30 * 24 * HOUR_US
    times = [0, 1800, 3500, 3600 * 5, 3600 * 5 - 60, 3600 * 24 * 7]
    for at_s in times:
        world.put(GATE + FETCHED, begun_us + at_s * S_US, 10)
        if at_s == 1800:
            world.open()  # the recorder was stopped: the open block goes on
    found = world.blocks()
    assert len(found) == 4
    assert [round((from_us - begun_us) / S_US) for from_us, _ in found] == [0, *times[3:]]
    assert all(0 < to_us - from_us <= BESIDE_US + 10 * S_US for from_us, to_us in found)


def test_what_happens_is_not_bound_to_the_hour(world: World) -> None:
    for _ in range(4):
        world.live(5)
        world.clock.advance(3600)
    assert len(world.store.catalog.rows(GATE)) == 1


def limited() -> list[int]:
    """Fetch something old after something young; hours of age of what is left in the end."""
    world = World(Terms(24 * 3600.0, limit_s=48 * 3600.0))
    now_us = world.clock.wall_us()
    for ago_h in (2, 40):
        world.put(GATE + FETCHED, now_us - ago_h * HOUR_US, 10)
    world.live(10)
    world.clock.advance(10 * 3600)
    for _ in range(4):
        world.clock.advance(11)
        while world.store.ring.keep():
            pass
        world.committer.commit()
    return [round((world.clock.wall_us() - from_us) / HOUR_US) for from_us, _ in world.blocks()]


def test_what_is_past_its_limit_goes_whenever_it_was_fetched(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert limited() == [12]
    monkeypatch.setattr(Series, "oldest_but", Series.first_but)
    assert limited() == [12, 50]  # so the test above would notice


def test_it_is_no_sign_of_life(world: World) -> None:
    world.live(10)
    lived = world.store.catalog.last_tick(0, 1 << 60)
    world.put(GATE + FETCHED, world.clock.wall_us() - 5 * S_US, 10, ahead_us=HOUR_US)
    assert world.store.catalog.last_tick(0, 1 << 60) == lived


def test_names() -> None:
    assert [original(GATE + tail) for tail in ("", "+copy", "+fetched", "+fetched+copy")] == [
        GATE
    ] * 4
    assert not is_beside(GATE)
    assert is_beside(GATE + FETCHED)


def test_a_stretch_recorded_as_it_happened_says_nothing_of_fetching(world: World) -> None:
    world.live(10)
    (one,) = world.archive().account(GATE)
    assert isinstance(one, Recorded)
    assert one.fetch is None
