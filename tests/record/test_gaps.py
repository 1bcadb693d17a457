"""Every second is recorded or explained, whatever happens to cameras, power, disk and clock."""

import contextlib
import random
from collections.abc import Callable, Iterator

import pytest

from nvr.base.clock import FakeClock
from nvr.hal.virtual_disk import PowerCut, VirtualDisk
from nvr.media.ports import Acknowledged
from nvr.playback import gap
from nvr.playback.gap import Gap
from nvr.playback.query import Archive
from nvr.record import ledger, ring
from nvr.record.note import Note
from nvr.record.queue import DropNewestGopQueue
from nvr.record.recover import open_store
from nvr.record.watch import Reason, Watch
from nvr.record.writer import Committer
from tests.record import synthetic

STREAMS = ("gate/main", "yard/main")
BLOCK_BYTES = 256 << 10
BLOCKS = 96
PART_S = 0.5
DISK = ("disk", "behind", "")
"""While the disk fails, what waits in memory may still get onto it."""
LATE = 14
"""So many half seconds a cause may be noticed late; the next has the time before."""


class World:
    """A recorder with two cameras, as `nvr.app` runs it, and a record of what really happened."""

    def __init__(self, seed: int) -> None:
        self.rng = random.Random(seed)
        self.clock = FakeClock()
        self.chip = self.rng.random() < 0.5
        self.unset = False
        self.disk = VirtualDisk(self.rng)
        self.true: list[dict[str, set[str]]] = []
        self.up = dict.fromkeys(STREAMS, True)
        self.connection = dict.fromkeys(STREAMS, 1)
        self.failing = False
        self.acked: dict[str, set[int]] = {stream: set() for stream in STREAMS}
        self.stepped_s = -1e9
        self.boot()

    def boot(self) -> None:
        self.disk.power_on()
        self.store = open_store(
            self.disk, self.clock, self.rng,
            size_bytes=BLOCKS * BLOCK_BYTES, block_bytes=BLOCK_BYTES,
        )  # fmt: skip
        self.pending: list[Note] = []
        self.watch = Watch(self.clock, self.pending.append, lambda: self.unset)
        self.committer = Committer(
            self.store, acknowledged=self.acknowledged, queue=DropNewestGopQueue(60 << 10)
        )
        for stream in STREAMS:
            self.watch.begin(stream)
            self.connection[stream] += 1

    def acknowledged(self, done: list[Acknowledged]) -> None:
        self.watch.acknowledged(done)

    def reason(self, stream: str) -> Reason | None:
        if self.committer.state().failures >= 2:
            return Reason("disk", "volume.unwritable", sure=True)
        return None if self.up[stream] else Reason("camera", "camera.lost", sure=True)

    def half_second(self) -> None:
        """Run for the length of a part."""
        start_s = self.clock.monotonic_s()
        self.clock.advance(PART_S)
        parts = [
            synthetic.noise_part(
                stream,
                self.rng,
                run=self.connection[stream],
                start_90k=round(start_s * 90_000),
                wall_us=self.clock.wall_us() - 500_000,
                size=900,
                key=True,
            )
            for stream in STREAMS
            if self.up[stream]
        ]
        now = {
            stream: {"" if self.up[stream] else "camera", *(DISK if self.failing else ())}
            for stream in STREAMS
        }
        self.true.append(now)
        self.committer.submit(parts)
        due_s = self.committer.due_s()
        if due_s is not None and due_s <= self.clock.monotonic_s():
            self.committer.commit()
        with contextlib.suppress(OSError):
            self.store.ring.keep()
        if len(self.true) % 2 == 0:
            self.watch.look({stream: self.reason(stream) for stream in STREAMS})
        with contextlib.suppress(OSError):
            while self.pending and not self.failing:
                self.store.ring.note(self.pending[0])
                del self.pending[0]

    def run(self, length_s: float) -> None:
        for _ in range(round(length_s / PART_S)):
            self.half_second()

    def off(self, length_s: float, why: str) -> None:
        steps = round(length_s / PART_S)
        self.true += [{stream: {why} for stream in STREAMS}] * steps
        self.clock.advance(steps * PART_S)

    def lose(self) -> None:
        stream = self.rng.choice(STREAMS)
        self.up[stream] = not self.up[stream]
        if self.up[stream]:
            self.connection[stream] += 1

    def cut(self) -> None:
        self.disk.cut_in = self.rng.randrange(60)
        with contextlib.suppress(PowerCut):
            self.run(60)
        cut_us = self.clock.wall_us()
        self.off(self.rng.uniform(1, 200), "power")
        # The kernel counts its ticks anew; the wall clock went on in its own chip.
        wall_us, self.clock = self.clock.wall_us(), FakeClock()
        self.clock.now_s = self.rng.uniform(5, 30)
        self.clock.offset_us = wall_us - round(self.clock.now_s * 1e6)
        self.disk.power_on()
        if self.chip:
            self.boot()
            return
        # Without such a chip it goes on about where it was, and is set once there is a network.
        offset_us = self.clock.offset_us
        self.clock.offset_us = cut_us - self.rng.randrange(-20, 600) * 1_000_000
        self.clock.offset_us -= round(self.clock.now_s * 1e6)
        self.unset = True
        self.boot()
        self.run(self.rng.uniform(0, 20))
        self.clock.offset_us = offset_us
        self.run(2)
        self.unset = False
        self.run(1)

    def stop(self) -> None:
        self.committer.commit()
        for note in self.pending:
            self.store.ring.note(note)
        self.store.ring.end("user anna")
        self.off(self.rng.uniform(1, 200), "stopped")
        self.boot()

    def fail(self) -> None:
        self.failing = True
        self.disk.read_only = True
        self.run(self.rng.uniform(2, 40))
        self.disk.read_only = self.failing = False
        self.run(3)

    def step(self) -> None:
        self.clock.offset_us += self.rng.choice([-1, 1]) * self.rng.choice(
            [2_000_000, 90_000_000, 3_600_000_000]
        )
        self.run(2)  # the power does not go before it was noticed

    def live(self, number: int) -> None:
        self.run(4)
        for _ in range(number):
            events = [self.lose, self.lose, self.cut, self.stop, self.fail, self.step]
            self.rng.choice(events)()
            self.run(self.rng.uniform(0, 25))

    def whole(self, stream: str) -> bool:
        """Whether the first block is still there."""
        return self.store.catalog.rows(stream)[0].head.sequence == 0


def half_seconds(account: list[object]) -> Iterator[str]:
    """Yield what an account says of each half second: empty if recorded, else the cause."""
    owed_us = 0
    for one in account:
        owed_us += one.to_us - one.from_us
        while owed_us >= 250_000:
            owed_us -= 500_000
            yield one.cause if isinstance(one, Gap) else ""


def judge(world: World) -> list[str]:
    """Compare what the archive says with what was."""
    found = []
    for stream in STREAMS:
        account = list(Archive(world.store).account(stream))
        total_s = sum(one.to_us - one.from_us for one in account) / 1e6
        lived_s = len(world.true) * PART_S
        truth = [moment[stream] for moment in world.true]
        for at, said in zip(
            range(len(truth) - 1, -1, -1), reversed(list(half_seconds(account))), strict=False
        ):
            near = truth[max(0, at - LATE) : at + LATE + 1]
            allowed = set().union(*near)
            soon = truth[at : at + 140]
            if {"power"} in soon and not any("" in why for why in soon[: soon.index({"power"})]):
                allowed.add("power")  # the last sign of life may be a minute old
            if said not in allowed:
                found.append(f"{stream}: {at * PART_S} s is {said!r}, was {allowed}")
                break
        late_s = 0.0 if isinstance(account[-1], Gap) else LATE * PART_S
        if world.whole(stream) and not -0.6 <= lived_s - total_s <= late_s + 0.6:
            found.append(f"{stream}: {lived_s} s went by, {total_s} s are accounted for")
    return found


@pytest.mark.parametrize("seed", range(40))
def test_every_second_is_recorded_or_explained(seed: int) -> None:
    world = World(seed)
    world.live(12)
    assert judge(world) == []


def silent_watch(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Watch, "_write", lambda _self, _note: None)


def steps_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gap._Canvas, "step", lambda *_: None)


def power_undated(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gap.Notes, "_alive_us", lambda _self, canvas, _opened: canvas.strokes[0][0])


def epochs_forget(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ledger, "newest", lambda *_: [])


def stops_look_like_cuts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ring.Ring, "end", lambda *_, **__: None)


@pytest.mark.parametrize(
    "plant", [silent_watch, steps_forgotten, power_undated, epochs_forget, stops_look_like_cuts]
)
def test_a_planted_mistake_is_found(
    plant: Callable[[pytest.MonkeyPatch], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    plant(monkeypatch)
    for seed in range(12):
        world = World(seed)
        world.live(12)
        if judge(world):
            return
    pytest.fail("nobody noticed")
