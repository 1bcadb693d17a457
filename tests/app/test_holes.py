"""Which gaps are fetched from a camera's own storage, and from which of its recordings."""

import pytest

from nvr.app.backfill import Filling, chosen, fetching
from nvr.app.holes import LATE_US, Hole, holes
from nvr.base.errors import NvrError
from nvr.config import camera as written
from nvr.media.onvif import EdgeRecording
from nvr.playback.gap import Fetch, Gap
from nvr.record.plan import ALWAYS, Plan, Segment

S_US = 1_000_000
SOURCE = "192.0.2.10:80 gate.main"
NOW_US = 100_000 * S_US


def gap(from_s: float, to_s: float, cause: str = "camera", **more: object) -> Gap:
    return Gap(round(from_s * S_US), round(to_s * S_US), cause, **more)  # type: ignore[arg-type]


def wanted(*gaps: Gap, plan: Plan = ALWAYS, since_s: float = 0) -> list[Hole]:
    return holes(gaps, round(since_s * S_US), NOW_US, 5.0, plan)


@pytest.mark.parametrize("cause", ["stopped", "plan", "removed", "gone", "unread", "away"])
def test_what_was_wanted_or_was_recorded_once_is_not_fetched(cause: str) -> None:
    assert wanted(gap(10, 100, cause)) == []


def test_what_lasts_is_short_or_is_just_over_waits() -> None:
    now_s = NOW_US / S_US
    assert wanted(gap(10, 14.9), gap(20, now_s, open=True), gap(50, now_s - 1)) == []
    assert wanted(gap(70, 90, "power"), gap(10, 20)) == [
        Hole(10 * S_US, 20 * S_US), Hole(70 * S_US, 90 * S_US)
    ]  # fmt: skip
    assert wanted(gap(10, 100), since_s=60) == [Hole(60 * S_US, 100 * S_US)]


@pytest.mark.parametrize(
    ("code", "after_us", "again"),
    [
        ("camera.lost", LATE_US * 5, True),
        ("backfill.which", LATE_US * 5, True),
        ("backfill.nothing", LATE_US - 1, True),
        ("backfill.nothing", LATE_US, False),
        ("backfill.untimed", 0, False),
    ],
)
def test_what_failed_is_tried_again_unless_it_never_will(
    code: str, after_us: int, again: bool
) -> None:
    failed = gap(10, 100, fetch=Fetch(100 * S_US + after_us, SOURCE, code))
    assert wanted(failed) == ([Hole(10 * S_US, 100 * S_US, code)] if again else [])


def test_only_what_the_plan_records_in_any_case_is_fetched() -> None:
    assert wanted(gap(10, 100), plan=Plan("event")) == []
    day = (Segment(8 * 60, 18 * 60, "continuous"),)
    found = wanted(gap(0, 90_000), plan=Plan("off", (day,) * 7))
    assert sum(hole.length_s for hole in found) == pytest.approx(10 * 3600, abs=3600)
    assert all(hole.length_s <= 10 * 3600 for hole in found)


def test_part_of_a_hole() -> None:
    hole = Hole(100, 200)
    assert hole.first(50e-6) == Hole(100, 150)
    assert hole.first(1) == hole
    assert hole.within(Hole(150, 400)) == Hole(150, 200)
    assert hole.within(Hole(300, 400)).length_s < 0


def camera(recording: str = "", profile: str | None = None) -> written.Camera:
    return written.Camera(
        name="gate", url="rtsp://192.0.2.10/1",
        onvif=written.Onvif(address="192.0.2.10", profile=profile),
        backfill=written.Backfill(recording=recording),
    )  # fmt: skip


def edge(token: str, from_us: int = 0, tracks: tuple[str, ...] = ("video:1",)) -> EdgeRecording:
    return EdgeRecording(token, "", from_us, 0, tracks)


MAIN, SUB, SOUND = edge("main"), edge("sub"), edge("sound", tracks=("audio:1",))


@pytest.mark.parametrize(
    ("recordings", "of", "token"),
    [
        ([MAIN], camera(), "main"),
        ([SOUND, MAIN], camera(), "main"),
        ([edge("bare", tracks=())], camera(), "bare"),
        ([MAIN, SUB], camera("sub"), "sub"),
        ([MAIN, SUB], camera(profile="main"), "main"),
        ([MAIN], camera(profile="other"), "main"),
    ],
)
def test_the_recording_of_the_main_stream_is_found(recordings, of, token) -> None:
    assert chosen(recordings, of, 100).token == token


@pytest.mark.parametrize(
    ("recordings", "of", "code"),
    [
        ([], camera(), "backfill.unsupported"),
        ([SOUND], camera(), "backfill.unsupported"),
        ([MAIN, SUB], camera(), "backfill.which"),
        ([MAIN], camera("sub"), "backfill.which"),
        ([edge("main", 101)], camera(), "backfill.nothing"),
    ],
)
def test_what_cannot_be_told_is_said(recordings, of, code) -> None:
    with pytest.raises(NvrError) as failed:
        chosen(recordings, of, 100)
    assert failed.value.code == code


def test_it_is_counted() -> None:
    it = Filling("waiting", "camera.lost", 7.5, 2.5, 100)
    it.failures["camera.lost"] += 2
    told = {family.name: family for family in fetching({"gate": it})}
    assert len(told) == 5
    assert fetching({}) == []
