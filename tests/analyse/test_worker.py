"""The analyst with its real sandbox: one that dies, poison of one camera, a busy box, stills."""

import os
import signal
import time

import pytest

from nvr.analyse.gaze import Aim, Found
from nvr.analyse.grid import WHOLE, Zone
from nvr.analyse.load import LATE_PARTS, Load
from nvr.analyse.talk import Still
from nvr.analyse.tap import MOST_PARTS, Tap, units
from nvr.analyse.worker import Analyst
from nvr.base.clock import SystemClock
from nvr.base.errors import Damaged
from nvr.media.part import Part
from nvr.media.track import TrackConfig
from tests.analyse.film import SIZE, Film, Walker, coded
from tests.analyse.part import part

FILM = Film("worker", 12, walkers=(Walker(6, 11, (100, 600), (900, 640), (60, 220)),), noise=1)


@pytest.fixture(scope="module")
def parts() -> list[Part]:
    record, coded_units = coded(FILM)
    config = (TrackConfig("video", "h264", 90_000, record, *SIZE),)
    return [part("gate/sub", config, coded_units[n : n + 5]) for n in range(0, len(coded_units), 5)]


def named(one: Part, stream: str, mdat: bytes | None = None) -> Part:
    changed = {"stream": stream, "mdat": one.mdat if mdat is None else mdat}
    fields = {name: getattr(one, name) for name in Part.__slots__}
    return Part(**{**fields, **changed})


class Looking:
    def __init__(self, **options: object) -> None:
        self.found: list[Found] = []
        self.memories: dict[str, bytes] = {}
        self.analyst = Analyst(
            SystemClock(), self.found.append, remember=self.memories.__setitem__,
            recall=lambda camera: self.memories.get(camera, b""), **options,
        )  # fmt: skip

    def __enter__(self):
        self.analyst.start()
        return self

    def __exit__(self, *exc: object) -> None:
        self.analyst.stop()

    def aim(self, camera: str, *streams: str) -> None:
        self.analyst.aim(camera, Aim(camera, streams, (Zone("", WHOLE),), ()))
        self.until(lambda: camera in self.analyst._gazes)

    def until(self, holds, seconds: float = 60) -> None:
        end_s = time.monotonic() + seconds
        while not holds():
            assert time.monotonic() < end_s, (self.analyst.health(), self.found)
            time.sleep(0.05)

    def show(self, parts: list[Part]) -> None:
        """Hand parts over no faster than they are taken."""
        for one in parts:
            gaze = self.analyst._gazes[one.stream.split("/")[0]]
            self.until(lambda gaze=gaze: gaze.waiting() < MOST_PARTS - 2)
            self.analyst.tap([one])


def test_motion_is_found_with_its_time_and_picture_and_memory_is_kept(parts) -> None:
    with Looking() as looking:
        looking.aim("gate", "gate/sub", "gate/main")
        looking.show(parts)
        looking.until(lambda: any(one.change.kind == "motion" for one in looking.found))
    begin = looking.found[0]
    assert (begin.change.what, begin.change.zone) == ("begin", "")
    assert 5.8e6 < begin.at_us - 1_700_000_000_000_000 < 7.5e6
    assert begin.jpeg[:2] == b"\xff\xd8"
    assert looking.found[-1].change.what == "end"  # with the analyst
    assert len(looking.memories["gate"]) == 14408


def test_a_camera_that_kills_the_sandbox_is_left_alone_and_the_others_go_on(parts) -> None:
    with Looking(program="tests.analyse.mortal") as looking:
        looking.aim("gate", "gate/sub")
        looking.aim("evil", "evil/sub")
        looking.show(parts[:4])
        looking.until(lambda: looking.analyst._gazes["gate"].now.pictures >= 5)
        poison = bytes(parts[0].mdat[:8]) + b"POISON" + bytes(parts[0].mdat[14:])
        looking.show([named(parts[0], "evil/sub", poison)])
        looking.until(lambda: looking.analyst.health().deaths == 1)
        assert looking.analyst.blamed("evil") is not None
        assert looking.analyst.blamed("gate") is None
        before = looking.analyst._gazes["gate"].now.pictures
        looking.show(parts[4:8])
        looking.until(lambda: looking.analyst._gazes["gate"].now.pictures > before)
        looking.show([named(parts[0], "evil/sub", poison)])
        time.sleep(1.0)
        assert looking.analyst.health().deaths == 1  # it waits


def test_any_bytes_of_a_camera_end_nothing(parts) -> None:
    with Looking() as looking:
        looking.aim("gate", "gate/sub")
        broken = [named(one, one.stream, bytes(len(one.mdat))) for one in parts[:6]]
        cut = [named(one, one.stream, bytes(one.mdat[: len(one.mdat) // 3])) for one in parts[6:9]]
        looking.show(broken + cut)
        looking.show(parts[8:])
        looking.until(lambda: looking.analyst._gazes["gate"].now.pictures > 5)
        assert looking.analyst.health().deaths == 0


def test_a_still_is_made_without_any_camera_and_nonsense_makes_none(parts) -> None:
    config = parts[0].config[0]
    ((unit, _), *_) = units(parts[0], key_only=True)
    with Looking() as looking:
        jpeg = looking.analyst.still(Still("h264", config.config, unit, 320)).result(60)
        assert jpeg[:2] == b"\xff\xd8"
        assert (
            looking.analyst.still(Still("h264", config.config, b"\0" * 99, 320)).result(60) == b""
        )
        assert looking.analyst._sandbox is not None
        os.kill(looking.analyst._sandbox.pid, signal.SIGKILL)
        with pytest.raises(Damaged, match=r"sandbox\.died"):
            looking.analyst.still(Still("h264", config.config, unit, 320)).result(60)
        jpeg = looking.analyst.still(Still("h264", config.config, unit, 0)).result(60)
        assert jpeg[:2] == b"\xff\xd8"


def test_a_tap_nobody_empties_drops_up_to_a_key_frame(parts) -> None:
    tap = Tap(keys_only=False)
    for one in parts[1:] * 3:
        tap.push(one)
        assert tap.waiting() <= MOST_PARTS
    taken = tap.take()
    assert not taken or taken[0].key
    assert tap.dropped
    keys = Tap(keys_only=True)
    for one in parts:
        keys.push(one)
    assert [one.key for one in keys.take()] == [True]


def test_a_busy_box_is_looked_at_less_and_later_fully_again() -> None:
    load, at_s = Load(), 1000.0
    assert not load.look(at_s, 0)
    assert load.look(at_s + 5, LATE_PARTS)
    assert load.slow
    assert not load.look(at_s + 30, 0)
    assert load.look(at_s + 5 + 2 * 60, 0)
    assert not load.slow
    for n in range(40):
        load.spent(0.9)
        load.look(at_s + 200 + n, 0)
    assert load.slow  # nine tenths of a processor
