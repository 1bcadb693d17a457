import logging

import pytest

from nvr.base.clock import FakeClock
from nvr.media.ports import Acknowledged
from nvr.record.note import Note, newest, note_of
from nvr.record.watch import Reason, Watch

GATE = "gate/main"
LOST = Reason("camera", "camera.lost", sure=True)


class Bench:
    def __init__(self) -> None:
        self.clock = FakeClock()
        self.notes: list[Note] = []
        self.watch = Watch(self.clock, self.notes.append)
        self.watch.begin(GATE)

    def record(self, seconds: float) -> None:
        for _ in range(round(seconds * 2)):
            self.clock.advance(0.5)
            done = Acknowledged(GATE, self.clock.wall_us(), self.clock.monotonic_s())
            self.watch.acknowledged([done])
            self.look(None)

    def look(self, reason: Reason | None) -> list[str]:
        return self.watch.look({GATE: reason})

    def wait(self, seconds: float, reason: Reason | None) -> None:
        for _ in range(round(seconds)):
            self.clock.advance(1)
            self.look(reason)

    def told(self) -> list[tuple[str, str, str]]:
        return [(note.kind, note.cause, note.code) for note in self.notes]


def test_a_lost_camera_is_told_at_once_and_its_return_with_how_long_it_was(
    caplog: pytest.LogCaptureFixture,
) -> None:
    bench = Bench()
    caplog.set_level(logging.INFO)
    bench.record(10)
    assert bench.told() == []
    assert bench.look(LOST) == [GATE]
    stopped = bench.watch.stopped(GATE)
    assert stopped is not None
    assert stopped.since_us == bench.clock.wall_us()
    bench.wait(30, LOST)
    bench.record(2)
    assert bench.watch.stopped(GATE) is None
    assert bench.told() == [("gap", "camera", "camera.lost"), ("gap", "none", "")]
    assert 'cause="camera" code="camera.lost"' in caplog.text
    assert 'record.camera_resumed stream="gate/main" cause="camera" lasted_s=31.0' in caplog.text


def test_what_was_under_way_when_the_camera_went_is_no_return() -> None:
    bench = Bench()
    bench.record(5)
    bench.look(LOST)
    late_us = bench.clock.wall_us() + 300_000
    bench.clock.advance(0.4)
    done = Acknowledged(GATE, late_us, bench.clock.monotonic_s())
    bench.watch.acknowledged([done])
    bench.clock.advance(0.2)
    assert bench.look(None) == []
    stopped = bench.watch.stopped(GATE)
    assert stopped is not None
    bench.record(1)
    assert bench.watch.stopped(GATE) is None


def test_silence_without_a_known_cause_is_told_within_seconds_and_the_cause_when_found() -> None:
    bench = Bench()
    bench.record(5)
    since_us = bench.clock.wall_us()
    bench.wait(6, None)
    bench.wait(3, LOST)
    assert bench.told() == [("gap", "unknown", ""), ("gap", "camera", "camera.lost")]
    assert [note.since_us for note in bench.notes] == [since_us, since_us]


def test_a_camera_that_never_came_is_told_too() -> None:
    bench = Bench()
    bench.wait(6, Reason("camera"))
    assert bench.told() == [("gap", "camera", "")]


def test_a_quiet_recorder_gives_a_sign_of_life_each_minute() -> None:
    bench = Bench()
    bench.record(5)
    bench.wait(200, LOST)
    assert [kind for kind, _, _ in bench.told()] == ["gap", "alive", "alive", "alive"]


def test_a_step_of_the_clock_is_noted_and_slewing_is_not() -> None:
    bench = Bench()
    for _ in range(1000):
        bench.clock.offset_us += 400  # 800 ppm
        bench.record(0.5)
    assert bench.notes == []
    bench.clock.offset_us -= 3_600_000_000
    bench.record(1)
    (note,) = bench.notes
    assert (note.kind, note.after_us - note.wall_us) == ("clock", -3_600_000_000)
    assert note.tick_90k > 0


def test_notes_survive_their_records_and_the_oldest_go_first() -> None:
    notes = [Note("gap", n, stream=GATE, cause="camera", since_us=n) for n in range(1, 100)]
    kept = newest([note.record() for note in notes], 2000)
    assert 10 < len(kept) < 99
    assert [note_of(record) for record in kept] == notes[-len(kept) :]
    assert note_of({"kind": "gap", "wall_us": "soon"}) is None
    assert note_of({"kind": "lock", "wall_us": 1}) is None
    assert note_of({"kind": "stopped", "wall_us": 1, "later": [1]}) == Note("stopped", 1)
