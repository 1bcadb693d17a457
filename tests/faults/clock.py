"""Sets the wall clock of a recorder again and again, and looks for every second it recorded.

A month on a fake clock: the product's own mapping of ticks to wall time, writer, watch, recovery
and archive record two cameras, one of which has a clock of its own, while the box's clock is set
forward and back, by minutes and by days, over the change to winter time, by a leap second, and
begins in 1970 after some starts, until it is set: once by a GB/T 28181 platform. In each stretch
the real time is known, and what the box's clock said. Every part must be found once by going from
group to group, and every stretch once, at the times that the clock said, in `account` and in
`ranges`. A file of a time that was there twice holds both. Nothing is a gap that was recorded, and
nothing recorded that was a gap.
`tests.faults.clock_live` does the same to the shipped recorder. `--plant` builds a known mistake
in and must then report failures.
"""

import asyncio
import contextlib
import os
import random
import sys
import time
from collections.abc import Iterator
from types import SimpleNamespace
from unittest import mock

from nvr.app.walltime import WallTime
from nvr.base.clock import FakeClock
from nvr.hal.virtual_disk import VirtualDisk
from nvr.media.ingest import Ingest
from nvr.media.part import Part
from nvr.playback.query import Archive
from nvr.playback.track import Track
from nvr.record import row as rows
from nvr.record.note import UNKNOWN_MS, Note
from nvr.record.recover import open_store
from nvr.record.store import Store
from nvr.record.watch import Watch
from nvr.record.writer import Committer
from tests.bench import figures
from tests.faults.stretches import Found, Stretch, by_day, compare, take_away, walk
from tests.record import synthetic
from tests.serve.gb_world import Kernel

STREAMS = ("gate/main", "yard/main")
"""The second has a clock of its own, which the box believes while it is close to its own."""
BLOCK_BYTES = 1 << 20
BEGIN_US = 1_791_000_000_000_000
"""2026-10-03: the month holds the end of summer time in Europe, 2026-10-25."""
DAYS = 30
LONG_S = 600.0
SHORT_S = 0.5
AROUND_S = 20.0
"""Parts are as short as they really are so long before and after what happens; else longer."""
LIMITS = {
    "seconds_lost": figures.at_most(0, "what was recorded is found"),
    "seconds_twice": figures.at_most(0, "once"),
    "stretches_wrong": figures.at_most(0, "at the times that the clock said then"),
    "gaps_wrong": figures.at_most(0, "no gap where recording went on, and none missing"),
    "trust_wrong": figures.at_most(0, "how good the clock was is told"),
    "jumps": figures.at_least(20, "enough of them"),
    "restarts": figures.at_least(4, "the clock is not all that happens"),
}
PLANTS = ("by_time", "camera_flaps", "export_once", "no_notes", "one_mapping")
MINUTE_US = 60_000_000
JUMPS_US = [
    *(5 * MINUTE_US, -5 * MINUTE_US, 90 * MINUTE_US, -90 * MINUTE_US, -1_000_000, 700_000),
    *(60 * MINUTE_US, -60 * MINUTE_US, 1440 * MINUTE_US, -1440 * MINUTE_US, -700_000),
    *(3 * 1440 * MINUTE_US, -3 * 1440 * MINUTE_US, -20 * MINUTE_US, 20 * MINUTE_US),
    *(13 * MINUTE_US, -13 * MINUTE_US, -2 * 1440 * MINUTE_US, 2 * 1440 * MINUTE_US, 2_000_000),
]


class Box:
    """A recorder, and what really happened to it.

    Args:
        seed: Everything follows from it.
        days: How long, in days.
        ingest: The product's; only its mapping of ticks is used.
    """

    def __init__(self, seed: int, days: float, ingest: Ingest) -> None:
        self.rng = random.Random(seed)
        self.found = Found()
        self.clock = FakeClock(BEGIN_US)
        self.true_us = self.clock.offset_us  # real time, against the monotonic clock
        self.end_us = BEGIN_US + round(days * 86_400e6)
        self.disk = VirtualDisk(self.rng)
        self.parts = 2 * round(days * 144 + 2 * (len(JUMPS_US) + 20) * 2 * AROUND_S / SHORT_S)
        self.ingest = ingest
        ingest._clock = self.clock
        ingest._sink = self.submit
        self.truth: dict[str, list[Stretch]] = {stream: [] for stream in STREAMS}
        self.state, self.uncertainty_ms = "ntp", 20
        self.connection = 0
        self.pending: list[Note] = []
        self.off_s = 0.0
        self.start()

    def real_us(self) -> int:
        return round(self.clock.now_s * 1e6) + self.true_us

    def start(self) -> None:
        """Start the recorder."""
        self.store: Store = open_store(
            self.disk,
            self.clock,
            self.rng,
            size_bytes=max(64, self.parts // 40) * BLOCK_BYTES,
            block_bytes=BLOCK_BYTES,
        )
        self.watch = Watch(
            self.clock,
            self.pending.append,
            lambda: self.state == "unsynced",
            lambda: (self.state, self.uncertainty_ms),
        )
        self.committer = Committer(self.store, acknowledged=self.watch.acknowledged)
        for stream in STREAMS:
            self.watch.begin(stream)
        self.connection += 1
        self.runs = {stream: self.run_of(stream) for stream in STREAMS}
        self.fresh = True

    def run_of(self, stream: str) -> SimpleNamespace:
        """Return what the product's mapping needs of a run."""
        taken: list[Part] = []
        return SimpleNamespace(
            config=synthetic.NOISE_CONFIG,
            number=self.connection,
            stream=SimpleNamespace(name=stream, take_part=lambda part, _: taken.append(part)),
            doubted_parts=0,
            replay=None,
            taken=taken,
        )

    def submit(self, parts: list[Part]) -> None:
        self.committer.submit(parts)

    def record(self, length_s: float, part_s: float) -> None:
        """Record for a while in parts of one length."""
        for _ in range(round(length_s / part_s)):
            begun_us = self.clock.wall_us()
            self.clock.advance(part_s)
            for stream in STREAMS:
                self.take(stream, part_s, begun_us)
            self.committer.commit()
            self.store.ring.keep()
            if part_s > 1.0 or round(self.clock.now_s / part_s) % 2 == 0:
                self.look()
        self.off_s = 0.0

    def take(self, stream: str, part_s: float, begun_us: int) -> None:
        """Hand a part to the product's mapping, as the native engine does."""
        made = synthetic.noise_part(
            stream,
            self.rng,
            run=self.connection,
            start_90k=round((self.clock.now_s - part_s) * 90_000),
            wall_us=0,
            size=900,
            key=self.fresh or self.rng.random() < 0.5,
            duration_90k=round(part_s * 90_000),
        )
        run = self.runs[stream]
        # Jitter: sometimes the picture had waited in the camera.
        camera_us = self.real_us() - round(part_s * 1e6) - self.rng.randrange(400_000)
        self.ingest.now_s = self.clock.now_s
        self.ingest._take_part(
            run,
            (
                *(3, run, made.moof, made.mdat, made.tfdt_offsets, made.start_90k),
                *(made.duration_90k, 0, camera_us if stream == STREAMS[1] else 0),
                *(made.key, False, made.samples, 0),
            ),
            self.uncertainty_ms,
        )
        self.ingest._hand_over()
        self.found.seconds += part_s
        stretches = self.truth[stream]
        now_us = self.clock.wall_us()
        last = stretches[-1] if stretches else None
        if last is None or self.fresh or abs(begun_us - last.to_us) > 500_000:
            off_s = self.off_s if self.fresh else 0.0
            stretches.append(last := Stretch(begun_us, now_us, off_s, self.state))
        last.to_us, last.state = now_us, self.state
        last.parts += run.taken
        run.taken.clear()
        if stream == STREAMS[-1]:
            self.fresh = False

    def look(self) -> None:
        """What the recorder does once a second."""
        self.watch.look(dict.fromkeys(STREAMS))
        for note in self.pending:
            self.store.ring.note(note)
        self.pending.clear()

    def jump(self, by_us: int) -> None:
        """Set the wall clock."""
        self.record(AROUND_S, SHORT_S)
        self.clock.offset_us += by_us
        # Somebody's hand, then the network's time once more: that is what brings it back.
        right = abs(self.clock.wall_us() - self.real_us()) < 2_000_000
        self.state, self.uncertainty_ms = ("ntp", 20) if right else ("rtc", UNKNOWN_MS)
        self.found.jumps += 1
        self.record(AROUND_S, SHORT_S)

    def restart(self, how: str, off_s: float) -> None:
        """Stop the recorder, kill it, or switch off a box without a clock of its own."""
        self.record(AROUND_S, SHORT_S)
        if how != "killed":
            self.store.ring.end("op")
        before_us = self.real_us()
        self.clock.advance(off_s)
        unset = how in {"1970", "platform"}
        if unset:
            self.clock.now_s = 30.0 + self.rng.random()
            self.clock.offset_us = -round(self.clock.now_s * 1e6) + 60_000_000
            self.true_us = before_us + round(off_s * 1e6) - round(self.clock.now_s * 1e6)
            self.state, self.uncertainty_ms = "unsynced", UNKNOWN_MS
        self.off_s = off_s
        self.found.restarts += 1
        self.start()
        self.record(AROUND_S, SHORT_S)
        if unset:
            self.record(60.0, SHORT_S)
            by_us = self.real_us() - self.clock.wall_us()
            for stream in STREAMS:
                self.truth[stream][-1].behind_us = by_us
            if how == "platform":
                wall = WallTime(self.clock, Kernel(self.clock), "2026-10-01")
                assert wall.offer("city", self.real_us(), 1000) == "set"
                self.state, self.uncertainty_ms = wall.trust()
            else:
                self.clock.offset_us += by_us
                self.state, self.uncertainty_ms = "ntp", 20
            self.found.jumps += 1
            self.record(AROUND_S, SHORT_S)


def live(box: Box) -> None:
    """Let the month go by."""
    events: list[tuple] = [("jump", by_us) for by_us in JUMPS_US]
    # By hand, wrong and right again, in pairs; what happens in between happens to a wrong clock.
    for at, how, off_s in (
        *((3, "stopped", 40.0), (6, "1970", 300.0), (9, "killed", 25.0)),
        *((13, "platform", 7200.0), (17, "stopped", 3600.0), (20, "killed", 90.0)),
    ):
        events.insert(at, ("restart", how, off_s))
    share_s = (box.end_us - box.real_us()) / 1e6 / (len(events) + 1)
    for name, *how in events:
        box.record(share_s - 4 * AROUND_S, min(LONG_S, share_s / 8))
        getattr(box, name)(*how)
    box.record(share_s - 4 * AROUND_S, min(LONG_S, share_s / 8))


def check(box: Box) -> None:
    """Compare what the archive tells with what happened."""
    archive = Archive(box.store)
    for stream in STREAMS:
        told = list(archive.account(stream))
        compare(box.found, stream, box.truth[stream], told, own_clock=stream == STREAMS[1])
        walk(box.found, archive, stream, box.truth[stream], told)
        by_day(box.found, archive, stream, told)
        take_away(box.found, archive, stream, box.truth[stream])


@contextlib.contextmanager
def planted(plant: str) -> Iterator[None]:
    with contextlib.ExitStack() as stack:
        if plant == "by_time":
            stack.enter_context(mock.patch.object(Track, "at_place", return_value=None))
        elif plant == "camera_flaps":
            stack.enter_context(mock.patch("nvr.media.ingest._DOUBTED_PARTS", 0))
        elif plant == "export_once":
            inside = Track.inside

            def once(
                track: Track, begin: tuple[int, int], from_us: int, to_us: int
            ) -> tuple[int, int] | None:
                return inside(track, begin, from_us, to_us) if begin == (0, 0) else None

            stack.enter_context(mock.patch.object(Track, "inside", once))
        elif plant == "no_notes":
            stack.enter_context(mock.patch.object(Watch, "_look_at_clock"))
        elif plant == "one_mapping":
            joined = rows.Span.continued_by

            def continued_by(span: rows.Span, run: int, start_90k: int, _: int) -> bool:
                to_us = span.to_us + (start_90k - span.end_90k) * 100 // 9
                return joined(span, run, start_90k, to_us)

            stack.enter_context(mock.patch.object(rows.Span, "continued_by", continued_by))
        yield


def run(seed: int, days: float, plant: str = "") -> Found:
    """Let a month go by and compare."""

    async def go() -> Found:
        box = Box(seed, days, Ingest(lambda _: None, FakeClock()))
        live(box)
        check(box)
        return box.found

    zone = os.environ.get("TZ")
    os.environ["TZ"] = "Europe/Berlin"
    time.tzset()
    try:
        with planted(plant):
            return asyncio.run(go())
    finally:
        os.environ.pop("TZ")
        if zone is not None:
            os.environ["TZ"] = zone
        time.tzset()


def main(arguments: list[str] | None = None) -> int:
    parser = figures.arguments(__doc__.partition("\n")[0])
    parser.add_argument("--days", type=float, default=DAYS, help="how long the month is")
    parser.add_argument("--seed", type=int, default=1, help="everything follows from it")
    parser.add_argument("--plant", choices=PLANTS, default="", help="build a known mistake in")
    chosen = parser.parse_args(arguments)
    found = run(chosen.seed, chosen.days, chosen.plant)
    return figures.report(
        "clock" + (f".{chosen.plant}" if chosen.plant else ""),
        {
            "days": chosen.days,
            **{
                name: round(value, 3) if isinstance(value, float) else value
                for name, value in vars(found).items()
                if name != "notes"
            },
        },
        LIMITS,
        as_json=chosen.json,
        notes=found.notes,
    )


if __name__ == "__main__":
    sys.exit(main())
