"""Which block goes when room is needed, and whether what is foretold comes true."""

import logging
import random
from dataclasses import replace
from pathlib import Path

import pytest

from nvr.app.promises import Promises
from nvr.base.clock import FakeClock
from nvr.cli.main import main
from nvr.hal.linux_disk import LinuxDisk
from nvr.hal.virtual_disk import VirtualDisk
from nvr.playback.holding import Holding, holdings
from nvr.record.block import BlockHeader
from nvr.record.catalog import Oldest
from nvr.record.recover import open_store
from nvr.record.retention import Terms, next_to_go
from nvr.record.row import Row
from nvr.record.store import Store
from nvr.record.writer import Committer
from tests.record import synthetic

HOUR_US = 3_600_000_000
BLOCK_BYTES = 128 << 10
BLOCKS = 64
PART_S = 60
"""Parts are long and thin here: a day of recording in a few thousand of them."""


class Box:
    """Records streams on a small volume, with a clock that jumps from group to group."""

    def __init__(self, promises_h: dict[str, float], sizes: dict[str, int], disk=None) -> None:
        self.rng = random.Random(1)
        self.clock = FakeClock()
        self.promises_h, self.sizes = promises_h, sizes
        self.more: dict[str, Terms] = {}
        self.store: Store = open_store(
            disk or VirtualDisk(self.rng),
            self.clock,
            self.rng,
            size_bytes=BLOCKS * BLOCK_BYTES,
            block_bytes=BLOCK_BYTES,
            terms=self.terms,
        )
        self._committer = Committer(self.store)
        self._now_90k = 0

    def terms(self, stream: str) -> Terms:
        return self.more.get(stream) or Terms(self.promises_h[stream] * 3600)

    def record(self, hours: float, wall_step_us: int = 0) -> None:
        self.clock.offset_us += wall_step_us
        for _ in range(round(hours * 3600 / PART_S)):
            wall_us = self.clock.wall_us()
            parts = [
                synthetic.noise_part(
                    stream, self.rng, run=1, start_90k=self._now_90k, wall_us=wall_us,
                    size=size, key=True, duration_90k=PART_S * 90_000,
                )
                for stream, size in self.sizes.items()
            ]  # fmt: skip
            self._now_90k += PART_S * 90_000
            self.clock.advance(PART_S)
            self._committer.submit(parts)
            assert self._committer.commit()
            if self.more:
                while self.store.ring.keep():
                    pass

    def held_h(self, stream: str) -> float:
        first = self.store.catalog.rows(stream)[0]
        return (self.clock.wall_us() - first.first_us) / HOUR_US

    def holdings(self) -> dict[str, Holding]:
        found = holdings(self.store, self.terms, self.sizes)
        return {each.stream: each for each in found}


def block_h(size: int) -> float:
    """Hours in one block."""
    return BLOCK_BYTES / (size + 4096) * PART_S / 3600


@pytest.mark.parametrize(
    ("promises_h", "sizes"),
    [
        ([2, 2], [20_000, 20_000]),
        ([1, 4, 4], [12_000, 12_000, 36_000]),
        ([12, 3, 6, 1], [10_000, 30_000, 20_000, 30_000]),
        ([0.2, 0.1], [24_000, 24_000]),
    ],
)
def test_a_full_volume_keeps_the_same_share_of_every_promise_and_as_foretold(
    promises_h: list[float], sizes: list[int]
) -> None:
    names = [f"camera-{n}/main" for n in range(len(sizes))]
    box = Box(dict(zip(names, promises_h, strict=True)), dict(zip(names, sizes, strict=True)))
    box.record(2 * max(map(block_h, sizes)))
    foretold = box.holdings()
    box.record(2 * max(foretold[name].holds_s for name in names) / 3600)
    for name in names:
        held_s, about_s = box.held_h(name) * 3600, 2 * block_h(box.sizes[name]) * 3600
        assert held_s == pytest.approx(foretold[name].holds_s, abs=about_s, rel=0.1)
        assert foretold[name].short == (held_s < foretold[name].promised_s)


def test_nothing_goes_before_its_time_while_something_is_past_its_own() -> None:
    box = Box({"short/main": 1, "long/main": 1000}, {"short/main": 8000, "long/main": 8000})
    box.record(4)
    assert box.held_h("long/main") == pytest.approx(4, abs=0.01)
    assert 1 <= box.held_h("short/main") < 4


def test_what_a_wrong_clock_stamped_does_not_stay_for_ever() -> None:
    """The years 2056 to 2026 again: the camera recorded alone in 2056 must give way too."""
    box = Box({"a/main": 5, "b/main": 5}, {"a/main": 8000})
    box.record(2, wall_step_us=30 * 365 * 24 * HOUR_US)
    box.sizes["b/main"] = 8000
    box.record(6, wall_step_us=-30 * 365 * 24 * HOUR_US)
    assert box.held_h("a/main") == pytest.approx(box.held_h("b/main"), abs=0.5)


def oldest(stream: str, serial: int, ended_us: int) -> Oldest:
    head = BlockHeader(
        ring_id=bytes(16), generation=1, block=serial, serial=serial, run=1, block_bytes=1,
        header_bytes=1, index_bytes=1, sequence=0, previous=bytes(32), stream=stream, config=(),
    )  # fmt: skip
    return Oldest(Row(head, (), 0, 0, 0, b"", closed=True, entries=None), ended_us)


def test_the_one_that_is_oldest_for_its_promise_goes() -> None:
    blocks = [oldest("a", 1, 5), oldest("b", 2, 50), oldest("c", 3, 80)]
    promises = {"a": 100.0, "b": 10.0, "c": 10.0}
    assert next_to_go(blocks, lambda name: Terms(promises[name]), 100) == blocks[1]


def test_of_equal_blocks_the_one_begun_first_goes() -> None:
    blocks = [oldest("a", 2, 5), oldest("b", 1, 5), oldest("c", 3, 5)]
    assert next_to_go(blocks, lambda _: Terms(1.0), 10) == blocks[1]
    assert next_to_go(blocks, lambda _: Terms(1.0), 1) == blocks[1], "a clock that was set back"
    assert next_to_go([], lambda _: Terms(1.0), 10) is None


def test_a_promise_that_will_be_broken_is_said_once_and_so_is_its_end(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.INFO)
    fine = Holding("gate/main", 1, 1, 2, 1.0, 100.0, 200.0)
    short = replace(fine, holds_s=50.0)
    watch = Promises(list, FakeClock())
    broken = replace(short, guaranteed_s=60.0)
    rounds = ([fine], [short], [short], [fine], [fine], [replace(fine, holds_s=0.0)])
    for found in (*rounds, [broken], [broken], [short], [broken], [fine]):
        watch.look(found)
    said = [record.getMessage().split()[0] for record in caplog.records]
    assert said == [
        *("retention.short", "retention.kept"),
        *("retention.broken", "retention.short", "retention.broken", "retention.kept"),
    ]


HOUR = 3600.0


@pytest.mark.parametrize(
    "terms",
    [
        # What is guaranteed is not shortened; the other gives way.
        {"a/main": Terms(4 * HOUR, guaranteed_s=3 * HOUR), "b/main": Terms(8 * HOUR)},
        # Even that is too much: both guarantees are shortened by the same share.
        {
            "a/main": Terms(9 * HOUR, guaranteed_s=6 * HOUR),
            "b/main": Terms(9 * HOUR, guaranteed_s=3 * HOUR),
        },
        # What one may not have longer, the other has.
        {"a/main": Terms(HOUR / 2, limit_s=HOUR), "b/main": Terms(8 * HOUR)},
        {"a/main": Terms(9 * HOUR, limit_bytes=12 * BLOCK_BYTES), "b/main": Terms(9 * HOUR)},
        {"a/main": Terms(9 * HOUR, own_bytes=12 * BLOCK_BYTES), "b/main": Terms(9 * HOUR)},
    ],
)
def test_guarantees_and_limits_come_true_as_foretold(terms: dict[str, Terms]) -> None:
    box = Box({}, dict.fromkeys(terms, 20_000))
    box.more = terms
    box.record(0.4)
    foretold = box.holdings()
    box.record(8)
    about_s = 2.5 * block_h(20_000) * 3600
    for name, of in terms.items():
        held_s, will_s = box.held_h(name) * 3600, foretold[name].holds_s
        assert held_s == pytest.approx(will_s, abs=about_s), name
        assert foretold[name].broken == (will_s < of.guaranteed_s)
        assert foretold[name].short == (will_s < of.promised_s)


def test_what_is_guaranteed_goes_last() -> None:
    blocks = [oldest("a", 1, 5), oldest("b", 2, 50), oldest("c", 3, 80)]
    terms = {"a": Terms(1.0, guaranteed_s=1.0), "b": Terms(100.0), "c": Terms(1000.0)}
    assert next_to_go(blocks, terms.__getitem__, 100) == blocks[1]
    assert next_to_go([blocks[0], blocks[2]], terms.__getitem__, 100) == blocks[2]
    assert next_to_go(blocks[:1], terms.__getitem__, 100) == blocks[0], "but it goes"
    assert next_to_go(blocks, terms.__getitem__, 2_000_000) == blocks[0], "past its guarantee"


def test_nvr_plan_measures_a_volume(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    box = Box({"gate/main": 1}, {"gate/main": 8000}, LinuxDisk(tmp_path / "ring"))
    box.record(0.5)
    toml = 'schema = 1\n[volume]\npath = "ring"\n[[camera]]\nname = "gate"\nurl = "rtsp://192.0.2.1/"\n'
    (tmp_path / "nvr.toml").write_text(toml + "retain_h = 1\n")
    assert main(["plan", "--data", str(tmp_path)]) == 0
    said = capsys.readouterr().out
    assert "gate/main" in said
    assert "SHORT" not in said
    (tmp_path / "nvr.toml").write_text(toml + "retain_h = 8000\n")
    assert main(["plan", "--data", str(tmp_path)]) == 1
    assert "SHORT" in capsys.readouterr().out


def test_nvr_plan_works_out_a_disk(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["plan", "--cameras", "16", "--mbps", "4", "--days", "30"]) == 0
    assert "21,886 GB" in capsys.readouterr().out
    assert main(["plan", "--cameras", "16", "--mbps", "4", "--disk-gb", "21886"]) == 0
    assert "30.0 days" in capsys.readouterr().out
    assert main(["plan", "--days", "3"]) == 1
    assert main(["plan", "--cameras", "0", "--days", "3"]) == 1
