"""Background exports: their order, pause, cancel, room, restart and age."""

import shutil
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from nvr.base.clock import FakeClock
from nvr.base.errors import NvrError, Unavailable
from nvr.export import jobs
from nvr.export.jobs import Jobs
from nvr.export.order import Job, Wanted
from nvr.export.room import SPARE_BYTES
from tests.web.box import Pieces

WANTED = Wanted("mp4", ("gate", "yard"), 100, 200, "wang")


@pytest.fixture
def make() -> Pieces:
    made = Pieces()
    made.pieces = 4
    return made


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def opened(tmp_path: Path, make: Pieces, clock: FakeClock) -> Iterator[Callable[..., Jobs]]:
    open_ones: list[Jobs] = []

    def open_(**more: object) -> Jobs:
        for one in open_ones:
            one.close()
        open_ones[:] = [Jobs(tmp_path / "export", make, clock, **{"keep_s": 3600.0, **more})]
        return open_ones[0]

    yield open_
    for one in open_ones:
        one.close()


def until(holds: Callable[[], object]) -> None:
    end_s = time.monotonic() + 20
    while not holds():
        assert time.monotonic() < end_s
        time.sleep(0.01)


def let(make: Pieces, pieces: int) -> None:
    for _ in range(pieces):
        make.go.release()


def test_an_export_is_made_file_by_file_and_says_how_far_it_is(
    opened: Callable[..., Jobs], make: Pieces
) -> None:
    work = opened()
    job = work.add(WANTED)
    assert (job.number, job.state, job.size_bytes) == (1, "queued", 2000)
    let(make, 3)
    until(lambda: work.get(1).share == 3 / 8)
    seen = work.get(1)
    assert (seen.state, seen.written_bytes, seen.files) == ("running", 30, ())
    let(make, 5)
    until(lambda: work.get(1).state == "done")
    done = work.get(1)
    assert [(file.name, file.size_bytes) for file in done.files] == [
        ("gate.mp4", 40), ("yard.mp4", 40),
    ]  # fmt: skip
    assert done.share == 1.0
    assert work.path(1, "gate.mp4").read_bytes() == b"".join(bytes([65 + n]) * 10 for n in range(4))
    with pytest.raises(NvrError, match=r"export\.unknown"):
        work.path(1, "../job.json")


def test_a_job_that_rests_lets_the_next_one_go_on(
    opened: Callable[..., Jobs], make: Pieces
) -> None:
    work = opened()
    work.add(WANTED)
    work.add(replace(WANTED, cameras=("dock",)))
    let(make, 2)
    until(lambda: work.get(1).share == 2 / 8)
    assert work.get(2).state == "queued"
    assert work.pause(1).state == "paused"
    until(lambda: work.get(2).state == "running")
    let(make, 4)
    until(lambda: work.get(2).state == "done")
    assert (work.get(1).state, work.get(1).share) == ("paused", 2 / 8)
    assert work.resume(1).state in {"queued", "running"}
    let(make, 6)
    until(lambda: work.get(1).state == "done")
    assert work.path(1, "gate.mp4").stat().st_size == 40, "it went on where it was"
    assert work.pause(1).state == "done"


def test_a_job_that_is_cancelled_leaves_nothing(
    opened: Callable[..., Jobs], make: Pieces, tmp_path: Path
) -> None:
    work = opened()
    work.add(WANTED)
    let(make, 2)
    until(lambda: work.get(1).share == 2 / 8)
    work.remove(1)
    until(lambda: not (tmp_path / "export" / "000001").exists())
    assert work.all() == []
    work.add(WANTED)
    let(make, 8)
    until(lambda: work.all()[0].state == "done")
    work.remove(work.all()[0].number)
    assert list((tmp_path / "export").iterdir()) == []
    with pytest.raises(NvrError, match=r"export\.unknown"):
        work.remove(1)


def test_one_asked_for_while_the_one_before_is_being_cancelled_is_not_in_its_way(
    opened: Callable[..., Jobs], make: Pieces
) -> None:
    work = opened()
    work.add(WANTED)
    let(make, 2)
    until(lambda: work.get(1).share == 2 / 8)
    work.remove(1)
    number = work.add(WANTED).number
    let(make, 16)
    until(lambda: work.get(number).state == "done")


def test_room_is_looked_for_before_with_what_waits(
    opened: Callable[..., Jobs], make: Pieces, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    work = opened()
    free = SPARE_BYTES + 3000
    usage = shutil.disk_usage(tmp_path)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage._replace(free=free))
    work.add(WANTED)
    with pytest.raises(NvrError, match=r"export\.no_room") as refused:
        work.add(WANTED)
    assert refused.value.context["free_bytes"] == free
    work.add(replace(WANTED, cameras=("dock",)))
    assert len(work.all()) == 2
    with pytest.raises(NvrError, match=r"export\.nothing"):
        work.add(replace(WANTED, from_us=0))


def test_after_a_restart_what_is_done_is_there_and_the_rest_says_so(
    opened: Callable[..., Jobs], make: Pieces, tmp_path: Path
) -> None:
    work = opened()
    work.add(WANTED)
    let(make, 8)
    until(lambda: work.get(1).state == "done")
    work.add(WANTED)
    let(make, 5)
    until(lambda: work.get(2).share > 0.5)
    again = opened()
    assert [(job.number, job.state) for job in again.all()] == [(2, "failed"), (1, "done")]
    assert again.get(2).code == "export.interrupted"
    assert again.get(1).files == work.get(1).files
    assert again.path(1, "yard.mp4").stat().st_size == 40
    assert not list((tmp_path / "export").rglob("*.part"))
    (tmp_path / "export" / "000001" / "job.json").write_text("{")
    assert [job.number for job in opened().all()] == [2]


def test_an_export_that_fails_says_why_and_the_next_is_made(
    opened: Callable[..., Jobs], make: Pieces, tmp_path: Path
) -> None:
    work = opened()
    files = make.files

    def failing(wanted: Wanted) -> Iterator[tuple[str, Iterator[tuple[bytes, float]]]]:
        if wanted.by == "bad":

            def pieces() -> Iterator[tuple[bytes, float]]:
                yield b"x", 0.1
                raise Unavailable("export.overwritten", "it was overwritten")

            yield "a.mp4", pieces()
        else:
            yield from files(wanted)

    make.files = failing  # type: ignore[method-assign]
    work.add(replace(WANTED, by="bad"))
    work.add(WANTED)
    let(make, 8)
    until(lambda: work.get(2).state == "done")
    failed: Job = work.get(1)
    assert (failed.state, failed.code, failed.files) == ("failed", "export.overwritten", ())
    assert [path.name for path in (tmp_path / "export" / "000001").iterdir()] == ["job.json"]


def test_it_gives_way_while_the_disk_lags(opened: Callable[..., Jobs], make: Pieces) -> None:
    lags = True
    work = opened(busy=lambda: lags)
    work.add(WANTED)
    let(make, 8)
    time.sleep(0.6)
    assert work.get(1).state == "running"
    lags = False
    until(lambda: work.get(1).state == "done")


def test_old_exports_go_by_themselves(
    opened: Callable[..., Jobs], make: Pieces, clock: FakeClock, tmp_path: Path
) -> None:
    work = opened()
    work.add(WANTED)
    let(make, 8)
    until(lambda: work.get(1).state == "done")
    clock.advance(3601)
    work.add(replace(WANTED, cameras=("dock",)))
    until(lambda: [job.number for job in work.all()] == [2])
    assert not (tmp_path / "export" / "000001").exists()


def test_there_is_an_end_to_how_many_are_kept(opened: Callable[..., Jobs]) -> None:
    work = opened()
    for _ in range(jobs.MOST_JOBS):
        work.add(WANTED)
    with pytest.raises(NvrError, match=r"export\.too_many"):
        work.add(WANTED)


def test_a_pause_holds_at_the_next_piece_not_a_while_later(
    opened: Callable[..., Jobs], make: Pieces
) -> None:
    make.pieces = 1000
    work = opened()
    work.add(WANTED)
    let(make, 1)
    until(lambda: work.get(1).state == "running")
    work.pause(1)
    let(make, 2000)
    time.sleep(0.5)
    assert (work.get(1).state, work.get(1).share < 0.1) == ("paused", True)


def test_a_disk_that_takes_nothing_fails_one_export_and_not_all_that_follow(
    opened: Callable[..., Jobs], make: Pieces, tmp_path: Path
) -> None:
    work = opened()
    work.add(WANTED)
    work.add(replace(WANTED, cameras=("dock",)))
    work.add(WANTED)
    until(lambda: work.get(1).state == "running")
    shutil.rmtree(tmp_path / "export" / "000002")
    let(make, 20)
    until(lambda: work.get(3).state == "done")
    assert (work.get(2).state, work.get(2).code) == ("failed", "export.unwritable")
